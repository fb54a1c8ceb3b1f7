"""Parts of all pages: one file, no network, readable on a phone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from experiments.reports.fonts import FAMILY, embedded


def document(title: str, body: str, style: str = "") -> str:
    """Return a whole page; Hangul brings its font along.

    Parameters
    ----------
    title : str
        Of the window.
    body : str
        HTML.
    style : str
        More CSS.
    """
    return PAGE.format(title=escape(title), style=embedded(body) + STYLE + style, body=body)


def table(
    heads: Sequence[str], rows: Iterable[Sequence[str]], numeric: Sequence[bool] = (), *, is_stacked: bool = False
) -> str:
    """Return a table of texts; `numeric` columns are aligned to the right.

    With `is_stacked` a phone shows the cells of a row below each other, each behind the head of its column.
    """
    kinds = [" class=number" if right else "" for right in numeric] or [""] * len(heads)
    head = "".join(f"<th{kind}>{escape(name)}</th>" for name, kind in zip(heads, kinds, strict=True))
    of_cells = [
        f'{kind} data-head="{escape(name)}"' if is_stacked else kind for name, kind in zip(heads, kinds, strict=True)
    ]
    body = "".join(
        f"<tr>{''.join(f'<td{kind}>{escape(cell)}</td>' for cell, kind in zip(row, of_cells, strict=True))}</tr>"
        for row in rows
    )
    style = " class=stacked" if is_stacked else ""
    head = f"<thead><tr>{head}</tr></thead>"
    return f"<div class=scroll tabindex=0><table{style}>{head}<tbody>{body}</tbody></table></div>\n"


STYLE = f"""
body {{ margin: 0; background: #f5f6f8; color: #1f2430;
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", sans-serif, {FAMILY} }}
main {{ max-width: 64rem; margin: 0 auto; padding: 1.5rem 1.25rem 3rem; background: #fff; min-height: 100vh }}
h1 {{ font-size: 1.5rem; line-height: 1.35; margin: .4rem 0 1rem }}
/* Tables take the page's width, lines of text no more than the eye follows. */
h1, h2, h3, p, nav, figure {{ max-width: 48rem }}
h2 {{ font-size: 1.1rem; margin: 2.2rem 0 .4rem }} p {{ margin: .4rem 0 .8rem }} a {{ color: #1d5a9e }}
.eyebrow, .note, .caption, figcaption, .foot {{ color: #555b66; font-size: .875rem }} .foot {{ margin-top: 2.5rem }}
.lead {{ font-size: 1.0625rem }}
/* A shadow at an edge behind which there is more: white covers that scroll along hide it at the table's own edges. */
.scroll {{ overflow-x: auto; background:
  linear-gradient(to right, #fff 50%, #fff0) left / 2.5rem 100% no-repeat local,
  linear-gradient(to left, #fff 50%, #fff0) right / 2.5rem 100% no-repeat local,
  linear-gradient(to right, #1f243040, #1f243000) left / .8rem 100% no-repeat scroll,
  linear-gradient(to left, #1f243040, #1f243000) right / .8rem 100% no-repeat scroll }}
table {{ border-collapse: collapse; width: 100%; font-size: .9375rem }}
th, td {{ text-align: left; padding: .3rem .8rem .3rem 0; border-bottom: 1px solid #e3e6ea; vertical-align: top;
  font-variant-numeric: tabular-nums }}
th {{ color: #555b66; font-weight: 500 }} .number {{ text-align: right }}
@media (max-width: 30rem) {{ h1 {{ font-size: 1.25rem }} }}
@media (max-width: 38rem) {{ .stacked thead {{ display: none }} .stacked tr, .stacked td {{ display: block }}
  .stacked tr {{ border-bottom: 1px solid #e3e6ea; padding: .5rem 0 }}
  .stacked td {{ border: 0; padding: .1rem 0; text-align: left }} .stacked td:first-child {{ font-weight: 600 }}
  .stacked td:not(:first-child)::before {{ content: attr(data-head) ": "; color: #555b66 }} }}
@media print {{ .scroll {{ overflow: visible; background: none }} table {{ font-size: .7rem }} }}
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
