"""A report as one page."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from html import escape

import pandas as pd

from experiments.reports.glossary import explained
from experiments.reports.html import document, table
from experiments.reports.section import Heading, Part, Picture, Record, Section, Table, Text, number

LANGUAGES = {"en": "English", "ko": "한국어"}
FEW = 2  # parts that are not worth a fold
LONG = 24  # characters of a cell beside which a phone has no place for other columns


def page(title: str, about: str, sections: Sequence[Section]) -> str:
    """Return the page as HTML.

    Parameters
    ----------
    title : str
    about : str
        One line: which shop, which days.
    sections : sequence of Section
        In the order of reading; each is an entry of the contents.
    """
    contents = "".join(f'<li><a href="#{escape(s.name)}">{escape(s.title)}</a></li>' for s in sections)
    body = "\n".join(
        f'<section id="{escape(s.name)}"><h2>{escape(s.title)}</h2>\n{_parts(s.parts)}</section>' for s in sections
    )
    languages = dict.fromkeys(part.lang for s in sections for part in s.parts if isinstance(part, Text) and part.lang)
    head = f"<p class=eyebrow>{escape(about)}</p><h1>{escape(title)}</h1>{_switch(list(languages))}"
    head += f"<nav><ol>{contents}</ol></nav>"
    return document(title, f"{head}\n{body}{_words(sections)}", STYLE)


def _words(sections: Sequence[Section]) -> str:
    """Return what the page's words mean; nothing where it has none that needs it."""
    known = explained(" ".join(_said(part) for section in sections for part in section.parts))
    rows = "".join(f"<dt>{escape(word)}</dt><dd>{escape(meaning)}</dd>" for word, meaning in known.items())
    return f"<section id=words><h2>Words</h2><dl>{rows}</dl></section>" if known else ""


def _said(part: Part) -> str:
    match part:
        case Text() | Heading():
            return part.text
        case Table():
            return f"{part.caption} {' '.join(map(str, part.frame.columns))} {part.frame.to_string(index=False)}"
        case Picture():
            return part.caption
        case Record():
            return ""


def _switch(languages: Sequence[str]) -> str:
    """Return buttons that show the texts of one language; none where there is one language alone."""
    if len(languages) < 2:
        return ""
    buttons = "".join(
        f'<label><input type=radio name=lang value="{escape(each)}"{" checked" if n == 0 else ""}> '
        f"{escape(LANGUAGES.get(each, each))}</label> "
        for n, each in enumerate(languages)
    )
    hidden = "".join(
        f'body:has(input[value="{escape(each)}"]:checked) p[lang]:not([lang="{escape(each)}"]) {{ display: none }}\n'
        for each in languages
    )
    return f"<p class=switch>{buttons}</p><style>{hidden}</style>"


def _parts(parts: Sequence[Part]) -> str:
    """Return a section's parts: its finding with the first picture or table is shown, and the rest is folded."""
    shown = next((n + 1 for n, part in enumerate(parts) if isinstance(part, Picture | Table)), len(parts))
    shown = min([shown, *(n for n, part in enumerate(parts) if isinstance(part, Heading))])
    rest = [part for part in parts[shown:] if not isinstance(part, Record)]
    if len(rest) < FEW or not shown:
        return "".join(map(_part, parts))
    folded = "".join(map(_part, rest))
    return f"{''.join(map(_part, parts[:shown]))}<details><summary>Details</summary>\n{folded}</details>\n"


def _part(part: Part) -> str:
    match part:
        case Text():
            lang = f' lang="{escape(part.lang)}"' if part.lang else ""
            return f'<p class="{escape(part.kind)}"{lang}>{escape(part.text)}</p>\n'
        case Heading():
            return f"<h3>{escape(part.text)}</h3>\n"
        case Table():
            return _table(part)
        case Picture():
            caption = escape(part.caption)
            return (
                f'<figure><img alt="{caption}" src="data:image/png;base64,{base64.b64encode(part.png).decode()}">'
                f"<figcaption>{caption}</figcaption></figure>\n"
            )
        case Record():
            return ""


def _table(part: Table) -> str:
    frame = part.frame.reset_index() if part.frame.index.name is not None else part.frame
    numeric = [pd.api.types.is_numeric_dtype(frame[column]) for column in frame]
    rows = [list(map(number, row)) for row in frame.astype(object).itertuples(index=False)]
    longest = max((len(cell) for row in rows for cell in row), default=0)
    caption = f"<p class=caption>{escape(part.caption)}</p>" if part.caption else ""
    return caption + table(list(map(str, frame.columns)), rows, numeric, is_stacked=longest > LONG)


STYLE = """
h2 { font-size: 1.3rem; line-height: 1.3; margin: 3rem 0 .6rem; padding-top: 1rem; border-top: 1px solid #e3e6ea }
h3 { font-size: 1.05rem; margin: 1.8rem 0 .3rem }
nav ol { columns: 2; column-gap: 2rem; padding-left: 1.8rem; margin: 0; font-size: .9375rem }
.lead { border-left: 4px solid #2563a8; padding-left: .8rem } .caption { margin: 1.4rem 0 .3rem }
figure { margin: 1.4rem 0 } figcaption { margin-top: .2rem } img { max-width: 100%; height: auto; display: block }
table { font-size: .875rem; line-height: 1.4 } td:not(.number) { min-width: 5rem }
/* On a phone a picture keeps a size at which its words can be read, and is moved sideways. */
@media (max-width: 38rem) { nav ol { columns: 1 } figure { overflow-x: auto } img { max-width: none; width: 36rem }
  figcaption { position: sticky; left: 0 } }
details { margin: .8rem 0 } summary { cursor: pointer; color: #1d5a9e; font-size: .9375rem }
dl { font-size: .9375rem } dt { font-weight: 600; margin-top: .5rem } dd { margin: 0 }
.switch { font-size: .9375rem } .switch label { margin-right: .8rem }
@media print { nav, .switch, summary { display: none } figure, table { break-inside: avoid }
  details::details-content { content-visibility: visible; block-size: auto } }
"""
