"""Files of a path, the tables that they hold, and their rows as texts."""

from __future__ import annotations

import glob
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import count, groupby
from operator import itemgetter
from pathlib import Path

import duckdb
import ibis
import ibis.expr.types as ir
import pyarrow.parquet as pq

from features.engines import DuckDB
from features.errors import InputError, listing
from features.sources.files.config import FORMATS, TableConfig
from features.sources.files.layout import Layout, header_of, layout_of
from features.sources.files.records import Dialect, Read, converted_query, read_records, sheet_names, texts
from features.sources.files.values import is_missing, trimmed
from features.sources.guess.mapping import Guess
from features.sources.guess.words import is_of_refunds, score
from features.sources.reading import literal_path, query, readable, sql_literal

IGNORED = (".", "_", "~$")  # names that hidden, temporary and lock files begin with
MOST_ENCODINGS = 5  # that are named
LISTED = 4  # files that are named one by one
CALLED, BELOW_0 = 0.5, r"^\s*[(-]|-\s*$"  # least score of a name; what negative numbers have
ALIKE = 0.75  # of the columns of two files, from which they are one table
OF_DOCUMENTS = (".json", ".jsonl", ".ndjson")
Members = list[tuple[Path, str]]  # files, each with its sheet
ROW = "row number"  # of the rows as they are read


@dataclass(frozen=True)
class Opened:
    """One raw table: rows as trimmed texts, null where there is nothing.

    Attributes
    ----------
    name : str
        What messages call it.
    table : ibis table
        Columns under their names in the file, and `ROW`.
    columns : tuple of str
        Without `ROW`.
    rows : int
    reading : mapping of str to Guess
        Keys of data.tables.<table> that say how it is read: path, skip, encoding, ...
    source : str
        The query of DuckDB that reads it, for joins.
    encoding : str, optional
        Of the files that the query names, where they are not UTF-8: the key `encoding` beside it.
    """

    name: str
    table: ir.Table
    columns: tuple[str, ...]
    rows: int
    reading: Mapping[str, Guess]
    source: str = ""
    encoding: str | None = None  # that `encoding` beside the query says
    notes: tuple[str, ...] = field(default_factory=tuple)
    is_of_database: bool = False
    is_of_parquet: bool = False
    files: tuple[tuple[str, int, int], ...] = ()  # the name of each, and the numbers of its first and its last row


def open_path(
    path: str, engine: DuckDB, scratch: Path, missing: Sequence[str], encoding: str | None = None
) -> list[Opened]:
    """Open all tables of a path: a file, several with commas between them, a pattern or a folder.

    Raises
    ------
    InputError
        If there is no file, or none that can be read.
    """
    files, ignored = _files(path)
    numbers = count()
    found: list[tuple[Opened, Members]] = []

    def read(members: Members, said: str | None = encoding) -> tuple[Opened, Members]:
        return _open(next(numbers), path, members, engine, scratch, missing, said), members

    for members in _tables(files, scratch, encoding):
        apart = [each for each in members if is_of_refunds(f"{each[0].stem} {each[1]}")]
        groups = [[each for each in members if each not in apart], apart] if apart != members else [members]
        opened = [read(group) for group in groups if group]
        if len(opened) > 1 and _is_below_0(opened[1][0]):  # a minus says what they are
            opened = [read(members)]
        found += opened
    said = [table.reading["encoding"] for table, _ in found if "encoding" in table.reading]
    sure = {str(each.value) for each in said if not each.is_open}
    for number, (table, members) in enumerate(found):
        ways = [name for name in sure if _may_be(table, name)]
        if len(ways) == 1:
            found[number] = _as_others(read(members, ways[0])[0]), members
    tables = [table for table, _ in found]
    return [replace(tables[0], notes=tuple(ignored)), *tables[1:]] if tables else []


def _may_be(table: Opened, encoding: str) -> bool:
    """Check whether a table of which several encodings give words may have the one of another table."""
    asked = table.reading.get("encoding")
    return asked is not None and asked.is_open and any(f"={encoding} " in way for way in asked.others)


def _as_others(table: Opened) -> Opened:
    said = replace(table.reading["encoding"], evidence="not UTF-8; that of the other tables is the only one of theirs")
    return replace(table, reading={**table.reading, "encoding": said})


def _is_below_0(opened: Opened) -> bool:
    """Check whether most amounts or quantities of a table have a minus."""
    table = opened.table
    for name in opened.columns:
        if max(score(name, "amount"), score(name, "quantity")) >= CALLED and opened.rows:
            below = table[name].re_search(BELOW_0).fill_null(False).mean()
            if (table.aggregate(share=below).to_pyarrow()["share"][0].as_py() or 0) > 1 / 2:
                return True
    return False


def _files(path: str) -> tuple[list[Path], list[str]]:
    """Return the files that can be read, and notes on others in the same folder."""
    entries = [entry.strip() for entry in path.strip("[]").split(",")] if not Path(path).exists() else [path]
    files: list[Path] = []
    for entry in entries:
        given = Path(entry).expanduser()
        if given.is_dir():
            files += sorted(file for file in given.rglob("*") if file.is_file() and not file.name.startswith(IGNORED))
        elif given.exists():
            files.append(given)
        else:
            files += sorted(map(Path, glob.glob(str(given), recursive=True)))
    known = [file for file in files if file.suffix.lower() in FORMATS]
    others = [file.name for file in files if file.suffix.lower() not in FORMATS]
    if known:
        return known, [f"not read: {listing(others)}"] if others else []
    old = [name for name in others if name.lower().endswith((".xls", ".ods"))]
    documents = [file for file in files if file.suffix.lower() in OF_DOCUMENTS]
    hint = f"save {old[0]} as .xlsx, and name that" if old else "check the path: path=FILE, FOLDER or PATTERN"
    raise InputError(
        f"there is no table in {path}" if files or Path(path).is_dir() else f"there is no file {path}",
        where="path",
        expected=f"files such as {', '.join(FORMATS)}",
        found=listing(others) if others else None,
        hint=_as_parquet(documents[0]) if documents else hint,
    )


def _as_parquet(file: Path) -> str:
    """Return how a file of JSON becomes a table."""
    copy = file.with_suffix(".parquet")
    sql = f"COPY (FROM read_json({sql_literal(str(file))})) TO {sql_literal(str(copy))}"
    command = shlex.join(["python", "-c", f"import duckdb; duckdb.sql({sql!r})"])
    return f"make a table of it, and name that: {command}, then path={shlex.quote(str(copy))}"


def _tables(files: Sequence[Path], scratch: Path, encoding: str | None) -> Iterator[Members]:
    """Yield files with the same columns, or nearly so, together, each with the sheet of a workbook."""
    groups: dict[tuple[str, frozenset[str]], list[tuple[Path, str]]] = {}
    for file in files:
        for sheet, names in _headers(file, scratch, encoding):
            kind, own = FORMATS[file.suffix.lower()], frozenset(names)
            same = (
                other for other in groups if other[0] == kind and len(own & other[1]) >= ALIKE * len(own | other[1])
            )
            groups.setdefault(next(same, (kind, own)), []).append((file, sheet))
    yield from groups.values()


def _headers(file: Path, scratch: Path, encoding: str | None) -> Iterator[tuple[str, list[str]]]:
    """Yield the columns of a file, by sheet where it has sheets."""
    kind = FORMATS[file.suffix.lower()]
    if kind == "parquet":
        with readable(str(file)):
            yield "", pq.read_schema(file).names
        return
    _check_archive(file)
    for sheet in sheet_names(file) if kind == "excel" else [""]:
        header = layout_of(_unmapped([file], [sheet], encoding), scratch).header
        if header:
            yield sheet, list(header)


def _check_archive(file: Path) -> None:
    """Refuse an archive with several tables: a mapping reads all of its files as one.

    Raises
    ------
    InputError
    """
    if file.suffix.lower() != ".zip":
        return
    headers = {part.name: frozenset(header_of(part)) for part in texts(_unmapped([file], []))}
    if len(set(headers.values())) > 1:
        folder = file.with_suffix("")
        raise InputError(
            f"the archive holds {len(set(headers.values()))} different tables",
            where=str(file),
            expected="files with the same columns: a mapping reads all files of an archive as one table",
            found=listing(Path(name).name for name in headers),
            hint=f"unpack it, and name the folder: unzip {shlex.quote(str(file))} -d {shlex.quote(str(folder))}, then "
            f"path={shlex.quote(str(folder))}",
        )


def _unmapped(files: Sequence[Path], names: Sequence[str], encoding: str | None = None) -> TableConfig:
    """Return the config of a table of which nothing is mapped yet."""
    kind = FORMATS[files[0].suffix.lower()]
    said = encoding if kind == "csv" else None
    sheets_of = tuple(filter(None, names))
    return TableConfig(name="transactions", paths=tuple(files), format=kind, sheets=sheets_of, encoding=said)


def _open(
    number: int,
    path: str,
    members: Members,
    engine: DuckDB,
    scratch: Path,
    missing: Sequence[str],
    encoding: str | None,
) -> Opened:
    """Read the rows of one table, of files and their sheets, as texts."""
    files, names = (list(dict.fromkeys(each)) for each in zip(*members, strict=True))
    config = replace(_unmapped(files, names, encoding), name=f"guess_{number}")
    reading = {"path": _path_guess(path, files)}
    if config.format == "parquet":
        literals = ", ".join(sql_literal(literal_path(file)) for file in files)
        source = f"SELECT * FROM read_parquet([{literals}], union_by_name = true, hive_partitioning = false)"
        with readable(str(files[0])):
            raw = query(engine, config.name, source)
        source = f"({source})"
        read = Read(raw, tuple(raw.columns))
    else:
        layout = layout_of(config, scratch)
        config = layout.config
        reading |= _layout_guesses(layout, files, encoding)
        read = read_records(config, engine, scratch)
    names_of = list(dict.fromkeys(name.strip() for name in read.names))
    columns = {name.strip(): column for name, column in zip(read.names, read.table.columns, strict=True)}
    table = read.table.select(
        **{name: texts_of(read.table[columns[name]], missing) for name in names_of}, **{ROW: ibis.row_number() + 1}
    )
    kept = engine.connection.create_table(config.name, table, temp=True)
    rows = int(kept.count().execute())
    said = None
    if config.format != "parquet":
        source, said = _source(config, read.dialect) if config.format == "csv" and read.dialect else ("", None)
        sql = f"SELECT * FROM {source}" if source else ""
        if said:
            sql = converted_query(replace(config, encoding=said), sql, scratch, Path())
        source = source if _reads(engine, sql, names_of, rows) else ""
    return Opened(
        _name(files, names),
        kept,
        tuple(names_of),
        rows,
        reading,
        source,
        said,
        is_of_parquet=config.format == "parquet",
        files=tuple(_placed(read.files)),
    )


def _placed(files: Sequence[tuple[str, int]]) -> Iterator[tuple[str, int, int]]:
    """Yield each file with the numbers of its first and its last row."""
    before = 0
    for name, own in groupby(files, key=itemgetter(0)):
        rows = sum(records for _, records in own)
        yield name, before + 1, before + rows
        before += rows


def texts_of(values: ir.Column, missing: Sequence[str]) -> ir.StringColumn:
    """Return values as trimmed texts; null for words for nothing."""
    texts = trimmed(values)
    return ibis.ifelse(is_missing(texts, missing), ibis.null("string"), texts)


def _path_guess(path: str, files: Sequence[Path]) -> Guess:
    if len(files) == 1:
        return Guess(str(files[0]))
    if len(files) > LISTED and glob.has_magic(path):
        return Guess(path, f"{len(files):,} files with the same columns")
    folder, suffix = files[0].parent, files[0].suffix
    pattern = folder / f"*{suffix}"
    if len(files) > LISTED and set(map(Path, glob.glob(str(pattern)))) == set(files):
        return Guess(str(pattern), f"{len(files):,} files with the same columns")
    return Guess([str(file) for file in files], f"{len(files):,} files with the same columns")


def _layout_guesses(layout: Layout, files: Sequence[Path], encoding: str | None) -> dict[str, Guess]:
    """Return the keys that say where the table stands in its files."""
    config = layout.config
    found: dict[str, Guess] = {}
    if config.sheets and len(sheet_names(files[0])) > 1:
        found["sheet"] = Guess(
            config.sheets[0] if len(config.sheets) == 1 else list(config.sheets),
            f"of {len(sheet_names(files[0]))} sheets" + (" with the same columns" if len(config.sheets) > 1 else ""),
        )
    if encoding:
        found["encoding"] = Guess(config.encoding, "as given")
    elif len(layout.encodings) > 1:
        ways = tuple(f"encoding={each.name} ({each.sample})" for each in layout.encodings[:MOST_ENCODINGS])
        found["encoding"] = Guess(None, "not UTF-8, and several encodings give words that differ", ways, is_open=True)
    elif config.encoding:
        found["encoding"] = Guess(config.encoding, f"not UTF-8; this one gives words: {layout.encodings[0].sample}")
    if not config.header:
        found["header"] = Guess(False, "the first line has values, not names: columns are called 1, 2, ...")
    if config.skip:
        found["skip"] = Guess(config.skip, "lines above the header")
    if config.footer:
        found["footer"] = Guess(config.footer, "lines below the last record, which do not have its columns")
    return found


def _source(config: TableConfig, dialect: Dialect) -> tuple[str, str | None]:
    """Return the query that reads text files, for joins, and their encoding where it has to be said.

    There is none where DuckDB cannot read the files itself.
    """
    parts = texts(config)
    encodings = {None if part.is_utf8 else part.encoding for part in parts}
    if config.footer or len(encodings) > 1 or any(part.compression is None for part in parts):
        return "", None
    marks = {
        "header": str(config.header).lower(),
        "delim": sql_literal(dialect.delimiter),
        "quote": sql_literal(dialect.quote),
        "escape": sql_literal(dialect.escape or dialect.quote),
    }
    marks |= {"skip": str(config.skip)} if config.skip else {}
    marks |= {"union_by_name": "true"} if len(parts) > 1 else {}
    said = ", ".join(f"{name} = {value}" for name, value in marks.items())
    paths = [sql_literal(literal_path(part.path)) for part in parts]
    named = paths[0] if len(paths) == 1 else f"[{', '.join(paths)}]"
    return f"read_csv({named}, all_varchar = true, {said})", encodings.pop()


def _reads(engine: DuckDB, sql: str, columns: Sequence[str], rows: int) -> bool:
    """Check whether DuckDB finds by itself the columns and rows that were read."""
    if not sql:
        return False
    try:
        found = engine.connection.raw_sql(f"{sql} LIMIT 0").to_arrow_table().column_names
        (count,) = engine.connection.raw_sql(f"SELECT count(*) FROM ({sql})").fetchone()
    except duckdb.Error:
        return False
    return found == list(columns) and count == rows


def _name(files: Sequence[Path], names: Sequence[str]) -> str:
    sheets_of = f", sheet {', '.join(filter(None, names))}" if any(names) else ""
    return f"{listing((file.name for file in files), limit=2)}{sheets_of}"
