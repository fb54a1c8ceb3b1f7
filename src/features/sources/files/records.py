"""Text files and workbooks as tables: one dialect for all files of a table, decided over all of their records.

A dialect that is guessed from the first lines, or for each file anew, makes two customers of one. Here every record
of every file is read once with Python's own reader. The dialect is right when each record has as many columns as its
header. DuckDB then reads with that dialect, and must find as many records.
"""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import lzma
import re
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date, datetime, time
from glob import glob
from itertools import chain, islice
from pathlib import Path
from typing import IO, Any
from zipfile import BadZipFile, ZipFile

import ibis
import ibis.expr.types as ir

from features.csv_files import original
from features.engines import DuckDB
from features.errors import InputError, first_line, listing
from features.sources.files.config import FORMATS, TableConfig, column_type
from features.sources.files.values import trimmed
from features.sources.reading import DAMAGED_WORKBOOK, check_query, literal_path, query, sql_literal
from features.sources.shop_config import shell_value

DELIMITERS = (",", ";", "\t", "|")
COMPRESSED: dict[str, Callable[[Path], Any]] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
ENCODINGS = ("cp1252", "cp949", "cp932", "gb18030", "big5", "cp1251")  # tried where a file is not UTF-8
BYTE_ORDER_MARKS = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}
MOST_SKIPPED = 20  # lines above a header that are tried
TRIED_LINES = 5_000  # on which they are tried, before all lines confirm them
MIDNIGHT = r"[ T]00:00:00$"
UNLIMITED = 1 << 30  # of a field; one that a lost quote makes is found by the number of columns
READING = r"\bread_csv(_auto)?\s*\(\s*$"  # what stands before the files that a query reads
DAMAGED = (OSError, EOFError, BadZipFile, lzma.LZMAError)


@dataclass(frozen=True)
class Dialect:
    """The way in which a text file separates columns and quotes texts."""

    delimiter: str
    quote: str  # empty where nothing is quoted
    escape: str  # of a quote within quotes: the quote itself, or a backslash

    def reader(self, lines: Iterable[str]) -> Any:
        if not self.quote:
            return csv.reader(lines, delimiter=self.delimiter, quoting=csv.QUOTE_NONE, strict=True)
        doubled = self.escape in ("", self.quote)
        return csv.reader(
            lines,
            delimiter=self.delimiter,
            quotechar=self.quote,
            doublequote=doubled,
            escapechar=None if doubled else self.escape,
            strict=True,
        )

    def __str__(self) -> str:
        quoted = f"quote {self.quote}" if self.quote else "no quotes"
        escaped = f", escape {self.escape}" if self.quote and self.escape not in ("", self.quote) else ""
        return f"delimiter {'tab' if self.delimiter == chr(9) else self.delimiter}, {quoted}{escaped}"


STANDARD = Dialect(",", '"', '"')  # of the copies that are made of files which DuckDB cannot read as they are


@dataclass(frozen=True)
class Part:
    """One text: a file, or a file within an archive."""

    name: str
    path: Path
    open: Callable[[], IO[bytes]]
    encoding: str
    compression: str | None  # as DuckDB names it; None where it cannot read the file itself
    file: str = ""  # that it stands in, where that is another

    def lines(self) -> io.TextIOWrapper:
        return io.TextIOWrapper(self.open(), encoding=self.encoding, newline="")

    @property
    def is_utf8(self) -> bool:
        return self.encoding.startswith("utf-8")


@dataclass(frozen=True)
class Scan:
    """The records of a part as a dialect reads them."""

    header: tuple[str, ...]
    records: int
    fits: bool
    has_breaks: bool = False  # within a field
    has_blanks: bool = False  # lines that DuckDB takes for a row or for the header
    repeats: int = 0  # records that repeat the header, which are none


@dataclass(frozen=True)
class Read:
    """Raw columns, under names of their own, and what they are called in the files."""

    table: ir.Table
    names: tuple[str, ...]  # of table.columns, in their order
    records: int | None = None
    notes: tuple[str, ...] = ()
    dialect: Dialect | None = None  # of text files
    files: tuple[tuple[str, int], ...] = ()  # the names of text files and workbooks in their order, and their records

    @property
    def columns(self) -> dict[str, ir.Column]:
        """Return the raw columns by their names in the files, without blanks around these."""
        return {name.strip(): self.table[column] for name, column in zip(self.names, self.table.columns, strict=True)}


def read_records(config: TableConfig, engine: DuckDB, scratch: Path) -> Read:
    """Read the text files or workbooks of a table.

    Raises
    ------
    InputError
        If no dialect fits all records, two do that differ in what they read, or a file is damaged.
    """
    csv.field_size_limit(UNLIMITED)
    if config.format == "excel":
        parts = list(sheets(config, scratch))
        config = replace(config, delimiter=",", quote='"', escape='"')
    else:
        parts = texts(config)
    with _decoded(config, parts):
        dialect, scans = _decide(config, parts)
        names = _names(config, parts, scans)
        sources = [
            _source(part, scan, dialect, config, scratch / f"{config.name}-{number}.csv", names)
            for number, (part, scan) in enumerate(zip(parts, scans, strict=True))
        ]
    table = query(engine, config.name, " UNION ALL ".join(sources))
    records, note = sum(scan.records for scan in scans), _note(config, parts, scans, dialect)
    notes = (note, *(f"{config.name}: dates of {name} are {form}" for name, form in config.formats_of_files.items()))
    files = tuple((Path(file_of(part)).name, scan.records) for part, scan in zip(parts, scans, strict=True))
    return Read(table, tuple(names), records, notes, dialect, files)


def with_joined(read: Read, config: TableConfig) -> Read:
    """Add the columns that the config joins from several, such as a day and a time of day."""
    columns = read.columns
    added = {name: parts for name, parts in config.joined.items() if all(part in columns for part in parts)}
    if not added:
        return read
    joined = {f"joined{n}": joined_text([columns[part] for part in parts]) for n, parts in enumerate(added.values())}
    return replace(read, table=read.table.mutate(**joined), names=(*read.names, *added))


def joined_text(parts: Sequence[ir.Column]) -> ir.StringColumn:
    """Join texts by a blank; a spreadsheet's midnight beside a day is left out, and so is what is empty."""
    texts = [trimmed(part).re_replace(MIDNIGHT, "").fill_null("") for part in parts]
    whole = texts[0]
    for text in texts[1:]:
        whole = ibis.ifelse(whole == "", "", (whole + " " + text).rstrip())
    return whole


def without_totals(read: Read, config: TableConfig) -> Read:
    """Leave out the rows that sum up others, and count them."""
    columns = read.columns
    marks = [
        trimmed(columns[name]).fill_null("").isin(words) for name, words in config.totals.items() if name in columns
    ]
    if not marks:
        return read
    is_total = ibis.or_(*marks)
    rows = int(read.table.filter(is_total).count().execute())
    return replace(
        read,
        table=read.table.filter(~is_total),
        records=None if read.records is None else read.records - rows,
        notes=(*read.notes, f"{config.name}: {rows:,} rows are totals of others (totals) and are left out"),
    )


def converted_query(config: TableConfig, sql: str, scratch: Path, root: Path) -> str:
    """Return the query with copies in UTF-8 in place of the files that it names, where it declares an encoding.

    Raises
    ------
    InputError
        If it is not a single query that only reads.
    """
    check_query(sql, config.where)

    def convert(match: re.Match[str]) -> str:
        named = match[1].replace("''", "'")
        paths = matched(root / named) if FORMATS.get(Path(named).suffix.lower()) == "csv" else []
        if not paths:
            return match[0]
        copies = [sql_literal(literal_path(copied(path, f"{match.start()}-{n}"))) for n, path in enumerate(paths)]
        if len(copies) == 1:
            return copies[0]
        listed = f"[{', '.join(copies)}]"
        return listed if re.search(READING, sql[: match.start()], re.IGNORECASE) else f"read_csv({listed})"

    def copied(path: Path, number: str) -> Path:
        copy = scratch / f"{config.name}-{number}{Path(path.stem).suffix or '.csv'}"
        (part,) = _parts(path, config)
        with _decoded(config, [part]), part.lines() as raw, copy.open("w", encoding="utf-8", newline="") as text:
            for piece in iter(lambda: raw.read(1 << 20), ""):
                text.write(piece)
        return copy

    return re.sub(r"'((?:[^']|'')*)'", convert, sql) if config.encoding else sql


def matched(path: Path) -> list[Path]:
    """Return the file of a path, or the files that match it where it is a pattern."""
    if path.is_file():
        return [path]
    if not any(mark in str(path) for mark in "*?["):
        return []
    return [Path(each) for each in sorted(glob(str(path), recursive=True)) if Path(each).is_file()]


def texts(config: TableConfig) -> list[Part]:
    """Return the text files of a table, and those within archives."""
    return [part for path in config.paths for part in _parts(path, config)]


def sheets(config: TableConfig, scratch: Path) -> Iterator[Part]:
    """Yield the sheets of a table's workbooks as texts."""
    for number, path in enumerate(config.paths):
        for place, name in enumerate(config.sheets or (None,)):
            yield _sheet(path, name, config, scratch / f"{config.name}-{number}-{place}.sheet.csv")


def _parts(path: Path, config: TableConfig) -> Iterator[Part]:
    suffix = path.suffix.lower()
    if suffix == ".zip":
        yield from _members(path, config)
        return
    opener = COMPRESSED.get(suffix)

    def opened() -> IO[bytes]:
        stream: IO[bytes] = opener(path) if opener else path.open("rb")
        return stream

    compression = {"": "none", ".gz": "gzip"}.get(suffix if opener else "")
    yield Part(str(path), path, opened, _encoding(config, opened, str(path)), compression)


def _members(path: Path, config: TableConfig) -> Iterator[Part]:
    with _undamaged(str(path)), ZipFile(path) as archive:
        names = [
            name
            for name in archive.namelist()
            if not name.startswith(("__MACOSX/", ".")) and FORMATS.get(Path(name).suffix.lower()) == "csv"
        ]
    if not names:
        raise InputError("the archive has no text file", where=str(path), expected="a .csv, .tsv or .txt in it")
    for name in names:

        def opened(name: str = name) -> IO[bytes]:
            return ZipFile(path).open(name)

        yield Part(f"{path}/{name}", path, opened, _encoding(config, opened, f"{path}/{name}"), None, str(path))


def _encoding(config: TableConfig, opened: Callable[[], IO[bytes]], where: str) -> str:
    """Return the declared encoding, or the one that the first bytes tell."""
    if config.encoding not in (None, "utf-8"):
        return str(config.encoding)
    with _undamaged(where), opened() as stream:
        return BYTE_ORDER_MARKS.get(stream.read(2), "utf-8-sig")


@contextmanager
def _undamaged(where: str) -> Iterator[None]:
    """Raise a message in the user's words where a file cannot be opened or decompressed."""
    try:
        yield
    except DAMAGED as error:
        raise InputError(
            "the file cannot be read",
            where=where,
            found=first_line(error),
            hint="it may be truncated: copy or write it again",
        ) from None


@contextmanager
def _decoded(config: TableConfig, parts: Sequence[Part]) -> Iterator[None]:
    """Raise a message with the encodings that read the files where the declared one does not."""
    try:
        with _undamaged(config.where):
            yield
    except UnicodeError as error:
        raise _undecoded(config, parts, error) from None


def _undecoded(config: TableConfig, parts: Sequence[Part], error: UnicodeError) -> InputError:
    said = config.encoding or "utf-8"
    part = next((part for part in parts if not decodes(part, part.encoding)), parts[0])
    fitting = fitting_encodings(parts)
    return InputError(
        f"the file is not encoded in {'UTF-8' if said == 'utf-8' else said}",
        where=part.name,
        expected=f"{said}, or the encoding declared as {config.key}.encoding",
        found=str(error),
        hint=f"{' or '.join(f'{config.key}.encoding={name}' for name in fitting[:3])} can read it"
        if fitting
        else "save it as UTF-8",
    )


def fitting_encodings(parts: Sequence[Part]) -> list[str]:
    """Return the encodings other than UTF-8 that read all files."""
    return [name for name in ENCODINGS if all(decodes(part, name) for part in parts)]


def decodes(part: Part, encoding: str) -> bool:
    try:
        with replace(part, encoding=encoding).lines() as lines:
            while lines.read(1 << 20):
                pass
    except (UnicodeError, EOFError):
        return False
    return True


def _decide(config: TableConfig, parts: Sequence[Part]) -> tuple[Dialect, list[Scan]]:
    """Return the first dialect under which every record of every part is as wide as its header."""
    for part in parts:
        with part.lines() as lines:
            if not lines.read(1):
                raise InputError("the file is empty", where=part.name, expected="a header and records", found="0 bytes")
    tried: list[tuple[Dialect, list[Scan]]] = []
    for dialect in candidates(config, parts):
        scans = [scan(part, dialect, config) for part in parts]
        if all(scan.fits for scan in scans):
            _check_breaks(config, parts, dialect, scans)
            return dialect, scans
        tried.append((dialect, scans))
    raise _ragged(config, parts, *tried[0])


def candidates(config: TableConfig, parts: Sequence[Part]) -> list[Dialect]:
    if config.delimiter is not None:
        delimiters = [config.delimiter]
    else:
        widths = {
            mark: min(len(_header(part, Dialect(mark, '"', '"'), config)) for part in parts) for mark in DELIMITERS
        }
        delimiters = sorted((mark for mark in DELIMITERS if widths[mark] > 1), key=lambda mark: -widths[mark])
    quotes = ['"', ""] if config.quote is None else [config.quote]
    return [
        Dialect(delimiter, quote, escape)
        for delimiter in delimiters or [","]
        for quote in quotes
        for escape in (["", "\\"] if config.escape is None and quote else [config.escape or ""])
    ]


def _reader(part_lines: IO[str], dialect: Dialect, config: TableConfig, lines: int | None = None) -> Any:
    """Return the reader of the records between the lines to skip; of the first `lines` only, where that is given."""
    for _ in range(config.skip):
        part_lines.readline()
    if lines is not None:
        return dialect.reader(islice(part_lines, lines))
    return dialect.reader(_above(part_lines, config.footer) if config.footer else part_lines)


def _above(lines: Iterable[str], footer: int) -> Iterator[str]:
    """Yield the lines without the last ones; empty lines do not count."""
    held: deque[str] = deque()
    written = 0
    for line in lines:
        held.append(line)
        written += bool(line.strip())
        while written > footer:
            written -= bool(held[0].strip())
            yield held.popleft()


def is_blank(record: list[str]) -> bool:
    return len(record) < 2 and not any(map(str.strip, record))


def _records(part: Part, dialect: Dialect, config: TableConfig, lines: int | None = None) -> Iterator[list[str]]:
    """Yield the records of a part, its header once among them; no blank lines."""
    with part.lines() as text:
        records = (record for record in _reader(text, dialect, config, lines) if not is_blank(record))
        header = next(records, None)
        if header is not None:
            yield header
            yield from (record for record in records if not (config.header and record == header))


def _has_quoted(part: Part, dialect: Dialect, config: TableConfig, lines: int | None) -> bool:
    """Check whether a text within quotes stands in a part that is read without quotes."""
    cells = chain.from_iterable(_records(part, dialect, config, lines))
    return any(len(cell) > 1 and cell[0] == cell[-1] == '"' for cell in cells)


def _header(part: Part, dialect: Dialect, config: TableConfig) -> list[str]:
    try:
        return next(_records(part, dialect, config), [])
    except csv.Error:
        return []


def scan(part: Part, dialect: Dialect, config: TableConfig, lines: int | None = None) -> Scan:
    """Read the records of a part, or those of its first `lines`, of which the last may be cut off."""
    header = _header(part, dialect, config)
    names = [name.strip() for name in header] if config.header else [str(n + 1) for n in range(len(header))]
    widths: Counter[int] = Counter()
    blank, has_blanks, repeats = 0, len(header) == 1, -int(config.header)
    with part.lines() as text:
        reader = _reader(text, dialect, config, lines)
        try:
            for record in reader:
                if is_blank(record):
                    blank += 1
                    has_blanks |= bool(record) or not widths
                else:
                    widths[len(record)] += 1
                    repeats += config.header and record == header
        except csv.Error:
            if reader.line_num != lines:
                return Scan(tuple(names), 0, fits=False)
        read = reader.line_num
    return Scan(
        header=tuple(names),
        records=max(0, widths.total() - config.header - max(0, repeats)),
        fits=set(widths) <= {len(header)} and (bool(dialect.quote) or not _has_quoted(part, dialect, config, lines)),
        has_breaks=read > widths.total() + blank,
        has_blanks=has_blanks,
        repeats=max(0, repeats),
    )


def _check_breaks(config: TableConfig, parts: Sequence[Part], dialect: Dialect, scans: Sequence[Scan]) -> None:
    """Refuse quotes that join lines, where the same lines are whole without them."""
    if config.quote is not None or not any(scan.has_breaks for scan in scans):
        return
    plain = [scan(part, replace(dialect, quote=""), config) for part in parts]
    if all(scan.fits for scan in plain):
        key = f"{config.key}.quote"
        joined, single = (sum(scan.records for scan in each) for each in (scans, plain))
        raise InputError(
            f"the file can be read in two ways: {joined:,} records with quotes, {single:,} without",
            where=config.where,
            expected="quotes around whole texts",
            found=f"{dialect.quote} before and after line ends",
            hint=f"where each line is a record, {key}={shell_value('')}; where not, {key}={shell_value(dialect.quote)}",
        )


def _ragged(config: TableConfig, parts: Sequence[Part], dialect: Dialect, scans: Sequence[Scan]) -> InputError:
    part, scan = next((part, scan) for part, scan in zip(parts, scans, strict=True) if not scan.fits)
    line, found = _first_misfit(part, dialect, config, len(scan.header))
    skip = _skip_of_sheets(config, parts) if config.format == "excel" else _skip_of_texts(config, parts)
    return InputError(
        f"line {line:,} does not have the columns of the header",
        where=part.name,
        expected=f"{len(scan.header)} columns ({dialect}): {listing(scan.header)}",
        found=found,
        hint=f"{config.key}.skip={skip} leaves out the lines above the header, and reads all others"
        if skip
        else f"correct that line, or declare {config.key}.delimiter, quote or escape",
    )


def _skip_of_texts(config: TableConfig, parts: Sequence[Part]) -> int | None:
    """Return how many lines to skip so that all records fit a header; None where that does not help.

    The first number that fits the first lines is the only one that is tried on all of them: a further one would only
    take a record for the header.
    """

    def fits(dialect: Dialect, tried: TableConfig, lines: int | None = None) -> bool:
        scans = (scan(part, dialect, tried, lines) for part in parts)
        return all(scan.fits and scan.records and _may_be_header(scan.header, config) for scan in scans)

    for tried in _skipping_more(config):
        dialects = [dialect for dialect in candidates(tried, parts) if fits(dialect, tried, TRIED_LINES)]
        if dialects:
            return tried.skip if any(fits(dialect, tried) for dialect in dialects) else None
    return None


def _skip_of_sheets(config: TableConfig, parts: Sequence[Part]) -> int | None:
    """Return how many rows to skip so that no row is wider than the header; None where that does not help."""

    def fits(part: Part, skip: int) -> bool:
        with part.lines() as text:
            rows = filter(None, _cells(STANDARD.reader(text), skip))
            header, first = next(rows, []), next(rows, [])
            is_table = bool(first) and _may_be_header(header, config)
            return is_table and all(len(row) == len(header) for row in chain([first], rows))

    skips = (tried.skip for tried in _skipping_more(config))
    return next((skip for skip in skips if all(fits(part, skip) for part in parts)), None)


def _skipping_more(config: TableConfig) -> Iterator[TableConfig]:
    return (replace(config, skip=config.skip + more) for more in range(1, MOST_SKIPPED + 1))


def _may_be_header(names: Sequence[str], config: TableConfig) -> bool:
    """Check that there are several columns, one of them mapped if the file names its columns."""
    named = not config.header or any(name.strip() in config.raw_columns for name in names)
    return len(names) > 1 and named


def _first_misfit(part: Part, dialect: Dialect, config: TableConfig, width: int) -> tuple[int, str]:
    with part.lines() as lines:
        reader = _reader(lines, dialect, config)
        try:
            for record in reader:
                if len(record) != width and not is_blank(record):
                    return config.skip + reader.line_num, f"{len(record)} columns: {listing(record)}"
        except csv.Error as error:
            return config.skip + reader.line_num, str(error)
    raise AssertionError(f"{part.name} fits")


def _names(config: TableConfig, parts: Sequence[Part], scans: Sequence[Scan]) -> list[str]:
    """Return the columns of all parts; refuse a part that lacks one of those that are mapped."""
    names = list(scans[0].header)
    for scan in scans[1:]:
        names += [name for name in scan.header if name not in names]
    for part, scan in zip(parts, scans, strict=True):
        lacking = [name for name in config.raw_columns if name in names and name not in scan.header]
        if lacking:
            raise InputError(
                f"a file of {config.name} lacks the column {lacking[0]!r} that others have",
                where=part.name,
                expected=f"the columns that {config.key}.columns maps, in every file",
                found=listing(scan.header, limit=30),
            )
    return names


def _source(part: Part, scan: Scan, dialect: Dialect, config: TableConfig, copy: Path, names: Sequence[str]) -> str:
    """Return the query that reads a part: the file itself where DuckDB can, or else a copy in UTF-8."""
    path, compression = part.path, part.compression
    if compression is None or not part.is_utf8 or config.skip or config.footer or scan.has_blanks or scan.repeats:
        with copy.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file, lineterminator="\n", quoting=csv.QUOTE_ALL).writerows(_records(part, dialect, config))
        path, compression, dialect = copy, "none", STANDARD
    columns = ", ".join(f"'c{number}': 'VARCHAR'" for number in range(max(1, len(scan.header))))
    picked = [_picked(name, part, scan, config) for name in names]
    return (
        f"SELECT {', '.join(f'{column} AS c{number}' for number, column in enumerate(picked or ['c0']))} "
        f"FROM read_csv({sql_literal(literal_path(path))}, auto_detect = false, columns = {{{columns}}}, "
        f"header = {str(config.header).lower()}, delim = {sql_literal(dialect.delimiter)}, "
        f"quote = {sql_literal(dialect.quote)}, escape = {sql_literal(dialect.escape or dialect.quote)}, "
        f"compression = '{compression}', hive_partitioning = false, max_line_size = 100000000)"
    )


def _picked(name: str, part: Part, scan: Scan, config: TableConfig) -> str:
    """Return SQL for a column of a part; null where it has none."""
    if name not in scan.header:
        return "NULL::VARCHAR"
    column = original(f"c{scan.header.index(name)}")
    form = config.formats_of_files.get(Path(file_of(part)).name)
    roles = [role for role, source in config.columns.items() if source == name] if form else []
    is_time = any(column_type(config.name, role).is_timestamp() for role in roles)
    return _as_iso(column, str(form)) if is_time else column


def _as_iso(column: str, form: str) -> str:
    """Return SQL for the times of a file in ISO 8601; what the file's own format does not read stays as it is."""
    read = f"try_strptime(trim({column}), {sql_literal(form)})"
    return f"coalesce(strftime({read}, '%Y-%m-%d %H:%M:%S'), {column})"


def file_of(part: Part) -> str:
    """Return the file of a text, of a sheet of a workbook, or of a text within an archive."""
    return part.file or part.name


def _note(config: TableConfig, parts: Sequence[Part], scans: Sequence[Scan], dialect: Dialect) -> str:
    encodings = listing(dict.fromkeys("UTF-8" if part.is_utf8 else part.encoding for part in parts))
    records, repeats = sum(scan.records for scan in scans), sum(scan.repeats for scan in scans)
    repeated = f"; {repeats:,} further lines repeat the header and are left out" if repeats else ""
    return f"{config.name}: {records:,} records of {len(parts):,} files; {dialect}, {encodings}{repeated}"


def sheet_names(path: Path) -> list[str]:
    """Return the names of a workbook's sheets."""
    from openpyxl import load_workbook  # takes a while to import

    with _whole_workbook(path):
        book = load_workbook(path, read_only=True)
        names = list(book.sheetnames)
        book.close()
    return names


@contextmanager
def _whole_workbook(path: Path) -> Iterator[None]:
    try:
        yield
    except InputError:
        raise
    except DAMAGED_WORKBOOK as error:
        raise InputError(
            "the file is not a complete Excel workbook",
            where=str(path),
            expected="xlsx without a password",
            found=first_line(error),
            hint="it may be truncated: copy or save it again",
        ) from None


def _sheet(path: Path, sheet: str | None, config: TableConfig, copy: Path) -> Part:
    """Return a sheet of a workbook as text: a line for each row, so that numbers of lines are those of rows."""
    from openpyxl import load_workbook  # takes a while to import

    with _whole_workbook(path):
        book = load_workbook(path, read_only=True, data_only=True)
        name = sheet or book.sheetnames[0]
        if name not in book.sheetnames:
            raise InputError(
                f"the workbook has no sheet {name!r}", where=str(path), hint=f"its sheets: {listing(book.sheetnames)}"
            )
        with copy.open("w", encoding="utf-8", newline="") as file:
            rows = _cells(book[name].iter_rows(values_only=True), config.skip)
            csv.writer(file, lineterminator="\n").writerows(rows)
        book.close()
    return Part(f"{path}, sheet {name}", copy, lambda: copy.open("rb"), "utf-8-sig", "none", str(path))


def _cells(rows: Iterable[Sequence[object]], skip: int) -> Iterator[list[str]]:
    """Yield the cells as texts, as many as the header has or more; none of a row that is empty or above the header."""
    width = 0
    for number, row in enumerate(rows):
        texts = [_cell(value) for value in row] if number >= skip else []
        used = max((column + 1 for column, text in enumerate(texts) if text), default=0)
        width = width or used
        yield (texts + [""] * width)[: max(width, used)] if used else []


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    if isinstance(value, datetime):
        return value.isoformat(" ")
    return value.isoformat() if isinstance(value, date | time) else str(value)
