"""The only place that opens a connection."""

from __future__ import annotations

import fcntl
import inspect
import os
import shutil
import sys
import tempfile
import weakref
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from threading import Event, Thread
from typing import IO, TYPE_CHECKING, Protocol
from uuid import uuid4

import duckdb
import ibis
import ibis.expr.types as ir
import pyarrow as pa
import pyarrow.dataset as ds

from features.errors import InputError, check_type, did_you_mean, first_line
from features.learnt import Results, size
from features.progress import Progress
from features.writing import replacing

if TYPE_CHECKING:
    import pandas as pd
    from ibis.backends.duckdb import Backend
    from ibis.expr.operations import Node

BATCH_ROWS = 100_000
SHOWN_AFTER_SECONDS = 3
BAR = "{desc}: {percentage:3.0f}% |{bar:30}| {elapsed}"

RowFunction = Callable[[pa.RecordBatch], pa.RecordBatch]


class Engine(Protocol):
    """The place where expressions run: it reads canonical Parquet, returns frames and writes files."""

    name: str
    learnt: Results

    def read(self, path: Path, table: str) -> ir.Table:
        """Open a Parquet file (or folder) as a table expression of that name."""

    def frame(self, expression: ir.Table) -> pd.DataFrame:
        """Run an expression and gather its rows."""

    def keep(self, expression: ir.Table) -> ir.Table:
        """Run an expression once, for several that read it; its rows are kept as long as the table is in use."""

    def write(self, expression: ir.Table, path: Path) -> None:
        """Run an expression and write its rows as Parquet, a file or a folder of them, whole or not at all.

        Raises
        ------
        InputError
            If it cannot be written.
        """

    def map(self, function: RowFunction, path: Path, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
        """Apply a function of rows to what `write` wrote, wherever the engine works, and gather its batches.

        Parameters
        ----------
        function : callable
            Of one batch, giving one of the schema with as many rows; may be sent to other processes.
        path : Path
            Parquet, ordered by its first columns of text: the key.
        schema : pyarrow schema
            Of the function's batches, which are ordered by their columns of text, the key first.
        """


def batches(path: Path) -> Iterator[pa.RecordBatch]:
    """Yield the rows of a Parquet file, or of a folder's files in the order of their names, in batches."""
    yield from ds.dataset(path, format="parquet").to_batches(batch_size=BATCH_ROWS)


def count_rows(path: Path) -> int:
    """Return the number of rows of a Parquet file, or of a folder's files."""
    return ds.dataset(path, format="parquet").count_rows()


class DuckDB:
    """DuckDB inside this process; it streams, and spills to `temp_directory` beyond `memory_limit`.

    Parameters
    ----------
    threads : int
        Threads for queries.
    memory_limit : str
        Such as "4GiB".
    temp_directory : str
        Folder to spill to, made where it is missing; each engine has a folder of its own in it.
    """

    name = "duckdb"

    def __init__(self, threads: int, memory_limit: str, temp_directory: str) -> None:
        own, lock = own_folder(Path(temp_directory).absolute())  # it is written to later, perhaps from another folder
        weakref.finalize(self, _leave, lock)
        self.connection: Backend = ibis.duckdb.connect(
            threads=threads, memory_limit=memory_limit, temp_directory=str(own)
        )
        for setting in ("enable_progress_bar = true", "enable_progress_bar_print = false"):  # see `progress`
            self.connection.raw_sql(f"SET {setting}")
        self.learnt = Results(self.connection.to_pandas)

    def read(self, path: Path, table: str) -> ir.Table:
        self.learnt.read(table)
        return self.connection.read_parquet(path, table_name=table)

    def frame(self, expression: ir.Table) -> pd.DataFrame:
        with self.enough_memory():
            return self.connection.to_pandas(self.learnt.within(expression))

    def keep(self, expression: ir.Table) -> ir.Table:
        with self.enough_memory():
            return self.learnt.within(expression).cache()

    def write(self, expression: ir.Table, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as partial, self.progress(path.stem[:24]), self.enough_memory():
            try:
                self.connection.to_parquet(self.learnt.within(expression), partial)
            except duckdb.IOException as error:
                raise unwritable(path, error) from error

    @contextmanager
    def enough_memory(self) -> Iterator[None]:
        """Refuse in the user's words a query that does not fit, spilled or not.

        Raises
        ------
        InputError
        """
        try:
            yield
        except duckdb.OutOfMemoryException as error:
            raise InputError(
                "a query takes more memory than DuckDB may use",
                where="engine.memory_limit",
                found=first_line(error),
                hint="raise it, or make room in engine.temp_directory, which takes what exceeds it",
            ) from error

    @contextmanager
    def progress(self, what: str) -> Iterator[None]:
        """Show a bar for a query that takes more than a few seconds, as DuckDB estimates its own progress."""
        ended = Event()

        def watch() -> None:
            if ended.wait(SHOWN_AFTER_SECONDS):
                return
            highest = 0
            with Progress(what, 100, "percent", leave=False, bar_format=BAR) as progress:
                while not ended.wait(0.5):
                    highest = max(int(self.connection.con.query_progress()), highest)
                    progress.to(highest)

        watcher = Thread(target=watch, daemon=True)
        watcher.start()
        try:
            yield
        finally:
            ended.set()
            watcher.join()

    def map(self, function: RowFunction, path: Path, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
        return map(function, batches(path))


class Spark:
    """Spark, in this machine or on a cluster. Needs the extra `spark` and Java 17 or later.

    The cache must lie where the driver and all executors reach it by the same path, and the executors need
    this project installed.

    Parameters
    ----------
    master : str
        Such as "local[2]" or "spark://host:7077".
    driver_memory : str
        Such as "4g"; in local mode all work is done in it.
    shuffle_partitions : int
        Number of parts that rows are divided into when they are grouped or joined.
    options : sequence of str, optional
        More of Spark's own configuration, such as "spark.executor.memory=8g".
    """

    name = "spark"

    def __init__(self, master: str, driver_memory: str, shuffle_partitions: int, options: Sequence[str] = ()) -> None:
        _check_spark()
        from pyspark.errors import PySparkException
        from pyspark.sql import SparkSession

        os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
        fixed: dict[str, object] = {
            "spark.driver.memory": driver_memory,
            "spark.sql.shuffle.partitions": shuffle_partitions,
            "spark.log.level": "ERROR",
            "spark.ui.enabled": False,
            "spark.sql.ansi.enabled": True,  # an overflow is an error, as on DuckDB, and no null
            "spark.sql.session.timeZone": "UTC",
            "spark.sql.execution.arrow.maxRecordsPerBatch": BATCH_ROWS,
        }
        if master.startswith("local"):
            os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
            fixed |= {"spark.driver.host": "127.0.0.1", "spark.driver.bindAddress": "127.0.0.1"}
        builder = SparkSession.builder.appName("experiments").master(master)
        for option, value in {**fixed, **dict(map(_key_and_value, options))}.items():
            builder = builder.config(option, str(value).lower() if isinstance(value, bool) else str(value))
        try:
            # Names of tables are a session's own: two shops may share the process.
            self._session = builder.getOrCreate().newSession()
        except (PySparkException, RuntimeError, OSError) as error:
            raise InputError(
                "Spark does not start",
                where=f"engine.master={master}",
                found=first_line(error),
                hint="read what Java printed above; Spark 4 needs Java 17 or later",
            ) from error
        self.connection = ibis.pyspark.connect(self._session)
        self.learnt = Results(self.connection.to_pandas)

    def read(self, path: Path, table: str) -> ir.Table:
        self.learnt.read(table)
        return self.connection.read_parquet(path.absolute(), table_name=table)

    def frame(self, expression: ir.Table) -> pd.DataFrame:
        return self.connection.to_pandas(self.learnt.within(expression))

    def keep(self, expression: ir.Table) -> ir.Table:
        return self.learnt.within(expression).cache()

    def write(self, expression: ir.Table, path: Path) -> None:
        from pyspark.errors import PySparkException

        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path.absolute()) as partial:
            try:
                self.connection.to_parquet(self.learnt.within(expression), partial)
            except PySparkException as error:
                if "java.io.IOException" not in str(error):
                    raise
                raise unwritable(path, error) from error

    def map(self, function: RowFunction, path: Path, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
        from pyspark.sql.pandas.types import from_arrow_schema

        def of_batches(given: Iterable[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
            return map(function, given)

        read = self._session.read.parquet
        with tempfile.TemporaryDirectory(dir=path.parent.absolute(), prefix=".mapped.") as folder:
            made, ordered = f"{folder}/made", f"{folder}/ordered"
            read(str(path.absolute())).mapInArrow(of_batches, from_arrow_schema(schema)).write.parquet(made)
            key = [field.name for field in schema if field.type in (pa.string(), pa.large_string())]
            read(made).orderBy(*key).write.parquet(ordered)  # at once, Spark would map twice
            yield from batches(Path(ordered))


class Remembering:
    """An engine over tables that do not change: it runs an expression once, and keeps the frame.

    A name that is read again may have other rows. All frames are then forgotten.

    Parameters
    ----------
    engine : Engine
    most_bytes : int
        Of the frames that are kept; the oldest ones go first.
    """

    def __init__(self, engine: Engine, most_bytes: int = 2**28) -> None:
        self.name = engine.name
        self.learnt = engine.learnt
        self._engine = engine
        self._most_bytes = most_bytes
        self._frames: OrderedDict[Node, pd.DataFrame] = OrderedDict()
        self._bytes = 0
        self._names: set[str] = set()

    def read(self, path: Path, table: str) -> ir.Table:
        if table in self._names:
            self._frames.clear()
            self._bytes = 0
        self._names.add(table)
        return self._engine.read(path, table)

    def frame(self, expression: ir.Table) -> pd.DataFrame:
        key = expression.op()
        if key not in self._frames:
            self._frames[key] = self._engine.frame(expression)
            self._bytes += size(self._frames[key])
            while self._bytes > self._most_bytes and len(self._frames) > 1:
                self._bytes -= size(self._frames.popitem(last=False)[1])
        return self._frames[key].copy(deep=False)

    def keep(self, expression: ir.Table) -> ir.Table:
        return self._engine.keep(expression)

    def write(self, expression: ir.Table, path: Path) -> None:
        self._engine.write(expression, path)

    def map(self, function: RowFunction, path: Path, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
        return self._engine.map(function, path, schema)


def _key_and_value(option: str) -> tuple[str, str]:
    key, sign, value = str(option).partition("=")
    if not sign:
        raise InputError(
            f"{option!r} is not a valid option of Spark",
            where="engine.options",
            expected="such as spark.executor.memory=8g",
        )
    return key, value


def unwritable(path: Path, error: Exception) -> InputError:
    """Return the error to raise where a full or closed disk stops an engine."""
    return InputError(
        f"{path} cannot be written",
        where=str(path.parent),
        found=first_line(error),
        hint="make room there or let it be written to, and give the same command again",
    )


def _check_spark() -> None:
    """Refuse an engine that cannot start, before Spark fails with a page of its own."""
    java = os.environ.get("JAVA_HOME")
    if find_spec("pyspark") is None:
        raise InputError(
            "engine=spark needs a package that is not installed",
            where="engine",
            expected="pyspark",
            hint="pip install --require-hashes -r requirements-spark.lock",
        )
    if not shutil.which("java", path=f"{java}/bin" if java else None):
        raise InputError(
            "engine=spark needs Java 17 or later",
            where="JAVA_HOME" if java else "PATH",
            expected="a command java",
            found=f"none in {java}/bin" if java else "none",
            hint="install it, on Debian 12: apt-get install openjdk-17-jre-headless",
        )


def own_folder(folder: Path) -> tuple[Path, IO[str]]:
    """Return a folder within `folder` for one engine to spill to, and its lock; remove what killed processes left.

    In a folder that two share, each would write over the other's files: they have the same names, see DuckDB's
    issue 15173. The lock is the system's: it goes with the process that holds it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.glob("*.lock"):
        with suppress(OSError), path.open("w") as held:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(path.with_suffix(""), ignore_errors=True)
            path.unlink()
    own = folder / uuid4().hex
    lock = own.with_suffix(".lock").open("w")
    fcntl.flock(lock, fcntl.LOCK_EX)
    return own, lock


def _leave(lock: IO[str]) -> None:
    Path(lock.name).unlink(missing_ok=True)
    lock.close()


def staging_engine(scratch: Path) -> DuckDB:
    """Open the engine that stages raw files: always DuckDB, always in UTC, and without fetching extensions unasked."""
    from joblib import cpu_count  # takes a while to import, which a shop staged before need not wait for

    engine = DuckDB(threads=cpu_count(), memory_limit="3GiB", temp_directory=str(scratch))
    for setting in ("TimeZone = 'UTC'", "autoinstall_known_extensions = false"):
        engine.connection.raw_sql(f"SET {setting}")
    return engine


def duckdb_file(path: Path, scratch: Path) -> duckdb.DuckDBPyConnection:
    """Open a user's database of DuckDB for reading alone, in UTC; what it spills goes to `scratch`."""
    options: dict[str, str | bool | int | float | list[str]] = {
        "memory_limit": "512MiB",
        "temp_directory": str(scratch),
        "autoinstall_known_extensions": False,
    }
    connection = duckdb.connect(str(path), read_only=True, config=options)
    connection.execute("SET TimeZone = 'UTC'")
    return connection


class InMemory:
    """DuckDB in the memory of this process, for the few rows of a request: several threads may ask at once.

    Parameters
    ----------
    fixed : mapping of str to Path
        Parquet files that are read once, by the names of their tables.
    """

    def __init__(self, fixed: Mapping[str, Path]) -> None:
        self._connection = duckdb.connect(config={"threads": 1, "autoinstall_known_extensions": False})
        for name, path in fixed.items():
            self._connection.execute(f'CREATE TABLE "{name}" AS SELECT * FROM read_parquet(?)', [str(path)])

    def run(self, sql: str, tables: Mapping[str, pa.Table]) -> pa.Table:
        """Run a query over tables that only this call sees, beside the fixed ones."""
        cursor = self._connection.cursor()
        try:
            for name, table in tables.items():
                cursor.register(name, table)
            return cursor.execute(sql).to_arrow_table()
        finally:
            cursor.close()


ENGINES: Mapping[str, Callable[..., Engine]] = {"duckdb": DuckDB, "spark": Spark}


def open_engine(name: str, **options: object) -> Engine:
    """Open the engine of that name with the options of its config (conf/engine/).

    Raises
    ------
    InputError
        If there is no such engine.
    """
    if name not in ENGINES:
        raise InputError(f"there is no engine {name!r}", where="engine", hint=did_you_mean(name, ENGINES))
    known = inspect.signature(ENGINES[name]).parameters
    for option, value in options.items():
        if option not in known:
            raise InputError(
                f"the engine {name} has no option {option!r}",
                where=f"engine.{option}",
                hint=did_you_mean(option, known),
            )
        check_type(value, known[option].annotation, f"engine.{option}")
    try:
        return ENGINES[name](**options)
    except (duckdb.Error, TypeError) as error:
        raise InputError(
            f"the engine {name} does not start with these options",
            where="engine",
            found=f"{options}: {first_line(error)}",
        ) from error
