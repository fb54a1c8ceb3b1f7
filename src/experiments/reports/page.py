"""A report as one page: no network, readable on a phone."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from html import escape

import pandas as pd
from matplotlib.figure import Figure

from experiments.reports.fonts import FAMILY, embedded
from experiments.reports.section import Heading, Part, Picture, Section, Table, Text, number

DPI = 110  # as wide as the page's column on a screen of twice the density


def page(title: str, about: str, sections: Sequence[Section]) -> str:
    """The page, as HTML.

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
        f'<section id="{escape(s.name)}"><h2>{escape(s.title)}</h2>\n{"".join(map(_part, s.parts))}</section>'
        for s in sections
    )
    head = f"<p class=eyebrow>{escape(about)}</p><h1>{escape(title)}</h1><nav><ol>{contents}</ol></nav>"
    return PAGE.format(title=escape(title), style=embedded(head + body) + STYLE, body=f"{head}\n{body}")


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
                f'<figure><img alt="{caption}" src="data:image/png;base64,{_png(part.figure)}">'
                f"<figcaption>{caption}</figcaption></figure>\n"
            )


def _table(table: Table) -> str:
    frame = table.frame.reset_index() if table.frame.index.name is not None else table.frame
    classes = ["" if pd.api.types.is_numeric_dtype(frame[column]) else " class=words" for column in frame]
    heads = "".join(f"<th{kind}>{escape(str(column))}</th>" for column, kind in zip(frame, classes, strict=True))
    rows = "".join(
        "<tr>"
        + "".join(f"<td{kind}>{escape(number(cell))}</td>" for cell, kind in zip(row, classes, strict=True))
        + "</tr>"
        for row in frame.astype(object).itertuples(index=False)
    )
    caption = f"<p class=caption>{escape(table.caption)}</p>" if table.caption else ""
    return (
        f"{caption}<div class=scroll tabindex=0><table><thead><tr>{heads}</tr></thead>"
        f"<tbody>{rows}</tbody></table></div>\n"
    )


def _png(figure: Figure) -> str:
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=DPI)
    return base64.b64encode(file.getvalue()).decode()


STYLE = f"""
body {{ margin: 0; background: #f5f6f8; color: #1f2430;
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", sans-serif, {FAMILY} }}
main {{ max-width: 52rem; margin: 0 auto; padding: 1.5rem 1.25rem 4rem; background: #fff; min-height: 100vh }}
h1 {{ font-size: 1.75rem; line-height: 1.25; margin: .3rem 0 1rem }}
h2 {{ font-size: 1.3rem; line-height: 1.3; margin: 3rem 0 .6rem; padding-top: 1rem; border-top: 1px solid #e3e6ea }}
h3 {{ font-size: 1.05rem; margin: 1.8rem 0 .3rem }} p {{ margin: .5rem 0 .9rem }}
nav ol {{ columns: 2; column-gap: 2rem; padding-left: 1.3rem; margin: 0; font-size: .9375rem }} a {{ color: #1d5a9e }}
.eyebrow, .note, .caption, figcaption, .foot {{ color: #555b66; font-size: .875rem }}
.lead {{ font-size: 1.0625rem; border-left: 4px solid #2563a8; padding-left: .8rem }}
.caption {{ margin: 1.4rem 0 .3rem }} figure {{ margin: 1.4rem 0 }} figcaption {{ margin-top: .2rem }}
img {{ max-width: 100%; height: auto; display: block }}
.scroll {{ overflow-x: auto }} table {{ border-collapse: collapse; width: 100%; font-size: .875rem; line-height: 1.4 }}
th, td {{ text-align: right; padding: .35rem .7rem .35rem 0; border-bottom: 1px solid #e3e6ea; vertical-align: top;
  font-variant-numeric: tabular-nums }}
.words {{ text-align: left }} th {{ color: #555b66; font-weight: 500 }} td.words {{ min-width: 5.5rem }}
@media (max-width: 38rem) {{ nav ol {{ columns: 1 }} h1 {{ font-size: 1.4rem }} }}
@media print {{ body {{ background: #fff }} nav {{ display: none }} figure, table {{ break-inside: avoid }} }}
"""
PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy"
  content="default-src 'none'; img-src data:; font-src data:; style-src 'unsafe-inline'">
<title>{title}</title>
<style>{style}</style>
</head>
<body><main>
{body}
</main></body>
</html>
"""
