"""The place of the table within a text file or a sheet: its encoding, its header, the lines above and below."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

from features.errors import InputError, listing
from features.sources.files.config import TableConfig
from features.sources.files.encodings import Encoding, encodings_of
from features.sources.files.records import (
    DELIMITERS,
    STANDARD,
    UNLIMITED,
    Dialect,
    Part,
    candidates,
    decodes,
    fitting_encodings,
    is_blank,
    scan,
    sheets,
    texts,
)

SEEN_LINES = 60  # in which the header is looked for
LACKING, SHOWN_NAMES = 2, 40  # names that a header may lack or have too many; names that are shown
MOST_BELOW = 10  # lines below the last record that are looked for
READ_FOR_ENCODING = 1 << 20
WESTERN, TYPOGRAPHY = "cp1252", "€£¥°–—’“”„«»…·²³µ§´\xa0"
WIDE = r"\u3000-\u303f\uff00-\uffef"  # marks and signs of East Asia
SCRIPTS = {  # encoding -> characters of its language
    "cp949": rf"[\uac00-\ud7a3₩{WIDE}]",
    "cp932": rf"[\u3040-\u30ff\u4e00-\u9fff¥{WIDE}]",
    "gb18030": rf"[\u4e00-\u9fff¥{WIDE}]",
    "big5": rf"[\u4e00-\u9fff{WIDE}]",
    "cp1251": r"[\u0400-\u04ff№–—«»\xa0]",
}
MONTH = (
    r"(?i)(jan|feb|m[aä]r|apr|ma[iy]|jun|jul|aug|sep|o[ck]t|nov|de[cz]|ene|abr|ago|dic|f[eé]v|avr|ao[uû]|d[eé]c)[a-zé.]*"
    r"([ _/-]?'?\d{2,4})?|\d{4}[-/_. ]?[qm]?\d{1,2}([-/_.]\d{1,2})?( 00:00:00)?|\d{1,2}[-/_.]\d{4}"
)


@dataclass(frozen=True)
class Layout:
    """The place of a table in its files.

    Attributes
    ----------
    config : TableConfig
        With `encoding`, `header`, `skip` and `footer`.
    header : tuple of str
        Names of the columns; empty where there is no table.
    encodings : tuple of Encoding
        Those that may be right, the likeliest first; none for UTF-8 and for one that is declared.
    """

    config: TableConfig
    header: tuple[str, ...]
    encodings: tuple[Encoding, ...] = ()


def layout_of(config: TableConfig, scratch: Path) -> Layout:
    """Find the encoding of text files, and the lines above the header and below the last record."""
    csv.field_size_limit(UNLIMITED)
    encodings: list[Encoding] = []
    if config.format == "excel":
        parts = list(sheets(config, scratch))
        marks: Sequence[str] = (STANDARD.delimiter,)
    else:
        encodings = [] if config.encoding else encodings_of(texts(config), _encoding(texts(config)))
        config = replace(config, encoding=encodings[0].name if encodings else config.encoding)
        parts, marks = texts(config), DELIMITERS
    heads = [_head(parts[0], Dialect(mark, '"', '"'), config.format == "excel") for mark in marks]
    best = max(heads, key=_likelihood)
    if len(best.names) < 2 or best.agreeing < 2:
        return Layout(config, (), tuple(encodings))
    if best.misnamed:
        raise InputError(
            f"records have other columns than the header: {len(best.names)} values and {len(best.misnamed)} names",
            where=f"{parts[0].name}, line {best.skip or 1}",
            expected="a name for each value",
            found=listing(best.misnamed, limit=SHOWN_NAMES),
            hint="correct the header: name the column that is missing, or remove the delimiter at its end",
        )
    config = replace(config, skip=best.skip, header=best.is_named)
    if config.format == "excel" and config.skip:
        parts = list(sheets(config, scratch))
    names = best.names if best.is_named else tuple(str(n + 1) for n in range(len(best.names)))
    return Layout(replace(config, footer=_footer(config, parts)), names, tuple(encodings))


def header_of(part: Part) -> tuple[str, ...]:
    """Return the names of a text's columns; empty where it has no table."""
    heads = [_head(part, Dialect(mark, '"', '"'), is_sheet=False) for mark in DELIMITERS]
    return max(heads, key=_likelihood).names


def _likelihood(head: _Head) -> int:
    return head.agreeing * (len(head.names) - 1)


@dataclass(frozen=True)
class _Head:
    names: tuple[str, ...]
    skip: int
    is_named: bool
    agreeing: int  # records that are as wide
    misnamed: tuple[str, ...] = ()  # a header that is nearly as wide


def _head(part: Part, dialect: Dialect, is_sheet: bool) -> _Head:
    """Find the header among the first lines: the first record that is as wide as most and has names."""
    records: list[tuple[int, list[str]]] = []
    before = 0
    with part.lines() as text:
        reader = dialect.reader(islice(text, SEEN_LINES))
        try:
            for row in reader:
                records.append((before, [cell.strip() for cell in row]))
                before = before + 1 if is_sheet else reader.line_num
        except csv.Error:
            pass
    records = [(line, row) for line, row in records if not is_blank(row)]
    widths = Counter(len(row) for _, row in records)
    width, agreeing = max(widths.items(), key=lambda item: (item[0] > 1, item[1], item[0]), default=(0, 0))
    as_wide = [(line, row) for line, row in records if len(row) == width]
    for number, (line, row) in enumerate(as_wide):
        if _has_names(row):
            above = any(other < line for other, _ in records)
            return _Head(tuple(row), line if above else 0, True, agreeing - number)
    if not as_wide:
        return _Head((), 0, True, 0)
    line, row = as_wide[0]
    narrow = [other for at, other in records if at < line and abs(len(other) - width) <= LACKING < len(other)]
    if narrow and _has_names(narrow[-1]):
        return _Head(tuple(row), line, False, agreeing, tuple(narrow[-1]))
    return _Head(tuple(row), line if line != records[0][0] else 0, False, agreeing)


def _has_names(cells: Sequence[str]) -> bool:
    """Check whether cells are names of columns: most are filled, none twice, and hardly any is a number or a date."""
    filled = [cell for cell in cells if cell]
    numbers = [cell for cell in filled if re.match(r"[-+(]?\W?\d", cell) and not re.fullmatch(MONTH, cell)]
    return (
        len(filled) > 1
        and len(filled) >= 0.6 * len(cells)
        and len(set(filled)) >= len(filled) - 1
        and len(numbers) <= 0.1 * len(filled)
        and not all(re.fullmatch(MONTH, cell) for cell in filled)
    )


def _footer(config: TableConfig, parts: Sequence[Part]) -> int:
    """Return the number of lines below the last record: those from the first that does not fit, if they are few."""
    tried = candidates(config, parts)
    if any(all(scan(part, dialect, config).fits for part in parts) for dialect in tried):
        return 0
    below = {_lines_below(part, tried[0], config) for part in parts}
    return below.pop() if len(below) == 1 else 0


def _lines_below(part: Part, dialect: Dialect, config: TableConfig) -> int:
    width, misfit, filled = 0, 0, 0
    with part.lines() as text:
        for _ in range(config.skip):
            text.readline()
        try:
            for row in dialect.reader(text):
                if is_blank(row) and not width:
                    continue
                filled += bool(row)
                width = width or len(row)
                if not misfit and row and len(row) != width:
                    misfit = filled
        except csv.Error:
            return 0
    below = filled - misfit + 1 if misfit else 0
    return below if below <= MOST_BELOW else 0


def _encoding(parts: Sequence[Part]) -> str | None:
    """Return the encoding that reads all files and gives words; None for UTF-8, and UTF-16 with its mark."""
    if all(decodes(part, part.encoding) for part in parts):
        return None
    return min(fitting_encodings(parts), key=lambda name: sum(_oddness(part, name) for part in parts), default=None)


def _oddness(part: Part, encoding: str) -> float:
    """Return the share of foreign characters that no text has, where a file is read in an encoding.

    Western words have single foreign letters. Others are of one script, and do not stand among Latin letters.
    """
    with replace(part, encoding=encoding).lines() as lines:
        text = lines.read(READ_FOR_ENCODING)
    foreign = re.findall(r"[^\x00-\x7f]", text)
    if not foreign:
        return 0.0
    if encoding == WESTERN:
        marks = sum(not mark.isalpha() and mark not in TYPOGRAPHY for mark in foreign)
        odd = marks + sum(map(len, re.findall(r"[^\W\d_a-zA-Z]{3,}", text)))
    else:
        odd = sum(not re.match(SCRIPTS[encoding], mark) for mark in foreign)
        odd += len(re.findall(r"[a-zA-Z][^\x00-\x7f]|[^\x00-\x7f][a-zA-Z]", text))
    return odd / len(foreign)
