"""The MLflow store: connected once, created whole or not at all, and locked where one process may write."""

from __future__ import annotations

import logging
import os
import sqlite3
from collections.abc import Iterator
from contextlib import AbstractContextManager, chdir, closing, contextmanager
from pathlib import Path
from urllib.parse import unquote

import mlflow
from alembic.script import ScriptDirectory
from mlflow import MlflowClient
from mlflow.environment_variables import MLFLOW_HTTP_REQUEST_MAX_RETRIES
from mlflow.exceptions import MlflowException
from mlflow.store.db import utils as db
from requests.exceptions import RequestException
from sqlalchemy import URL, Engine, create_engine, event
from sqlalchemy.exc import DatabaseError, OperationalError

from experiments import addresses
from experiments.addresses import masked
from features.errors import InputError, first_line
from features.writing import remove, replacing

logger = logging.getLogger(__name__)

FILLED_AT_CREATION = {"alembic_version", "workspaces"}  # all other tables are empty then

_chosen: dict[str, str | None] = {}  # URIs that were set here, with the URI that was in use before


def connect(uri: str | None, folder: Path = Path()) -> MlflowClient:
    """Connect to the tracking store and its registry; create a local store if there is none.

    Parameters
    ----------
    uri : str or None
        None leaves the choice to MLflow: MLFLOW_TRACKING_URI if set, else `mlflow.db` in the folder.
    folder : Path
        Folder of a local store, with its artifacts in `mlruns/`; by default the working folder.

    Raises
    ------
    InputError
        If the store cannot be reached, or models in its folder could never be loaded.
    """
    db._make_parent_dirs_if_sqlite = _make_folder  # takes a URL for a path, and MLflow has no option for it
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)  # it also raises what it logs
    for noisy in ("mlflow.store", "alembic", "mlflow.tracking", "mlflow.models.model", "mlflow.pyfunc"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    try:
        with chdir(folder):  # MLflow's defaults are relative to the working folder
            _choose(uri)
            _check_folder(mlflow.get_tracking_uri(), Path.cwd())
            # If two processes create it at once, one crashes.
            with addresses.exclusive(mlflow.get_tracking_uri(), "store"), few_retries():
                _make_whole(mlflow.get_tracking_uri())
                client = MlflowClient()
                client.search_experiments(max_results=1)
    except InputError:
        raise
    except Exception as error:  # of MLflow, its database driver or its HTTP client
        raise InputError(
            "the MLflow store does not answer",
            where=f"tracking.uri={masked(uri or mlflow.get_tracking_uri())}",
            found=masked(f"{type(error).__name__}: {first_line(error)}"),
            hint=_repair(uri or mlflow.get_tracking_uri(), error),
        ) from error
    return client


def _repair(uri: str, error: Exception) -> str:
    if uri.startswith("sqlite:") and isinstance(error, DatabaseError):
        return (
            "end the process that locks it, free space or make it writable. If it is damaged, restore it from a copy, "
            "or move it away: the next command makes an empty one"
        )
    return "start the server, or leave tracking.uri null for a store in this folder"


def _check_folder(uri: str, folder: Path) -> None:
    """Refuse a local store in a folder such as `a%20b`: MLflow reads the path as a URL, and finds no model in `a b`."""
    if uri.startswith("sqlite:///") and unquote(str(folder)) != str(folder):
        raise InputError(
            "MLflow cannot load models from this folder: it reads the code after % in its name as a character",
            where=str(folder),
            expected="a path without codes such as %20",
            hint="rename the folder, or name an MLflow server: tracking.uri=http://…",
        )


def _make_whole(uri: str) -> None:
    """Create a local database beside its place and rename it; replace one whose creation was cut off."""
    if not uri.startswith("sqlite:///"):
        return
    path = addresses.sqlite_path(uri)
    if path.exists():
        if not _is_half_made(path):
            return
        logger.warning("%s is only half made, by a command that was interrupted, and is made anew", path)
    _make_folder(uri)
    with replacing(path) as partial:
        _create_tables(partial)
        for old in (path, *(path.with_name(f"{path.name}{end}") for end in ("-journal", "-wal", "-shm"))):
            remove(old)  # SQLite would apply an old journal to the new database


def _is_half_made(path: Path) -> bool:
    """Return True for MLflow's own database that lacks tables or steps of its creation, and holds nothing."""
    known = {*db.Base.metadata.tables, *db.InitialBase.metadata.tables, "alembic_version"}
    try:
        with closing(sqlite3.connect(path, timeout=1)) as database:
            tables = {name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            tables = {name for name in tables if not name.startswith(("sqlite_", "_alembic_tmp_"))}
            if not tables <= known:
                return False
            for name in tables - FILLED_AT_CREATION:
                of_work = "WHERE experiment_id <> 0" if name == "experiments" else ""  # MLflow makes the one of id 0
                if database.execute(f"SELECT 1 FROM {name} {of_work} LIMIT 1").fetchone():
                    return False
    except sqlite3.Error:  # locked, or not a database: MLflow's own error says so
        return False
    engine = _engine(path)
    try:
        version = db._get_schema_version(engine)
        scripts = ScriptDirectory.from_config(db._get_alembic_config(db_url=""))
        if version not in (None, *(step.revision for step in scripts.walk_revisions())):
            return False  # of a later MLflow
        return not db._all_tables_exist(engine) or version != scripts.get_current_head()
    finally:
        engine.dispose()


def _create_tables(path: Path) -> None:
    """Create a database with MLflow's tables, flushed to disk once: flushing each step takes four times longer."""
    engine = _engine(path)
    event.listen(engine, "connect", lambda connection, _: connection.execute("PRAGMA synchronous = OFF"))
    try:
        db._initialize_tables(engine)
    finally:
        engine.dispose()
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _engine(path: Path) -> Engine:
    return create_engine(URL.create("sqlite", database=str(path)))


def use(client: MlflowClient) -> None:
    """Set a client's store as the one of MLflow's own functions, such as those that load a model."""
    if mlflow.get_tracking_uri() != client.tracking_uri:
        _choose(client.tracking_uri)


def _choose(uri: str | None) -> None:
    """Set the store in use; None restores the store that was in use before."""
    now = mlflow.get_tracking_uri() if mlflow.is_tracking_uri_set() else None
    before = _chosen.get(now, now) if now is not None else None
    if uri is not None:
        _chosen[uri] = before
    if (uri or before) != now:
        mlflow.set_tracking_uri(uri or before)


def _make_folder(uri: str) -> None:
    """Make the folder of a local database; MLflow's own function makes `my%20shop` beside `my shop`."""
    if uri.startswith("sqlite:///"):
        addresses.sqlite_path(uri).parent.mkdir(parents=True, exist_ok=True)


@contextmanager
def few_retries() -> Iterator[None]:
    """Fail within seconds if no server or database answers; MLflow retries for minutes, which suits a running study."""
    retries, of_databases = MLFLOW_HTTP_REQUEST_MAX_RETRIES, db.MAX_RETRY_COUNT
    before = retries.get_raw()
    retries.set(1)
    db.MAX_RETRY_COUNT = 2  # MLflow has no option for it
    try:
        yield
    finally:
        retries.unset() if before is None else retries.set(before)
        db.MAX_RETRY_COUNT = of_databases


@contextmanager
def answering(client: MlflowClient) -> Iterator[None]:
    """Translate MLflow's error for a database that is locked, full or read-only, or for a server that is gone.

    Raises
    ------
    InputError
        In place of MLflow's own error.
    """
    try:
        yield
    except MlflowException as error:
        refusal: BaseException | None = error  # the driver's error, which MLflow does not always set as the cause
        while refusal is not None and not isinstance(refusal, OperationalError | RequestException):
            refusal = refusal.__context__
        if refusal is None:
            raise
        raise InputError(
            "the MLflow store stopped answering",
            where=f"tracking.uri={masked(client.tracking_uri)}",
            found=masked(first_line(refusal.orig if isinstance(refusal, OperationalError) else refusal)),
            hint="start it, end the process that locks it, free space or make it writable, then repeat the command",
        ) from error


def address(client: MlflowClient) -> str:
    """Return the URI of the store in use."""
    return client.tracking_uri


def exclusive(client: MlflowClient, name: str) -> AbstractContextManager[None]:
    """Hold the named lock of the store in use: see `addresses.exclusive`."""
    return addresses.exclusive(client.tracking_uri, name)
