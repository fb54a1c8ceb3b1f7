"""The MLflow store: connected once, created once, locked where one writer at a time must be."""

from __future__ import annotations

import fcntl
import hashlib
import logging
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import mlflow
from mlflow import MlflowClient
from mlflow.environment_variables import MLFLOW_HTTP_REQUEST_MAX_RETRIES
from mlflow.exceptions import MlflowException
from mlflow.store.db import utils as db
from sqlalchemy.exc import OperationalError

from features.errors import InputError


def connect(uri: str | None) -> MlflowClient:
    """Connect to the tracking store and its registry, creating a local one where there is none.

    Parameters
    ----------
    uri : str or None
        None leaves the choice to MLflow: MLFLOW_TRACKING_URI where set, else `mlflow.db` in the working folder.

    Raises
    ------
    InputError
        If the store cannot be reached.
    """
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)  # logs what it raises: see `answering`
    for noisy in ("alembic", "mlflow.tracking", "mlflow.models.model", "mlflow.pyfunc"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    try:
        if uri:
            mlflow.set_tracking_uri(uri)
        with locked(mlflow.get_tracking_uri(), "store"), few_retries():  # of two that create it, one would crash
            client = MlflowClient()
            client.search_experiments(max_results=1)
    except Exception as error:  # of MLflow, its database driver or its HTTP client
        raise InputError(
            "the MLflow store does not answer",
            where=f"tracking.uri={uri or mlflow.get_tracking_uri()}",
            found=f"{type(error).__name__}: {str(error).strip().splitlines()[0]}",
            hint="start the server, or leave tracking.uri null for a store in this folder",
        ) from error
    return client


@contextmanager
def few_retries() -> Iterator[None]:
    """Hear within seconds that no server or database answers; MLflow tries for minutes, which suits a run under way."""
    retries, of_databases = MLFLOW_HTTP_REQUEST_MAX_RETRIES, db.MAX_RETRY_COUNT
    before = retries.get_raw()
    retries.set(1)
    db.MAX_RETRY_COUNT = 2  # tries, of which MLflow has no option
    try:
        yield
    finally:
        retries.unset() if before is None else retries.set(before)
        db.MAX_RETRY_COUNT = of_databases


@contextmanager
def answering(client: MlflowClient) -> Iterator[None]:
    """Say in the user's words that the store's database is locked, full or not to be written.

    Raises
    ------
    InputError
        In place of MLflow's own error.
    """
    try:
        yield
    except MlflowException as error:
        refusal: BaseException | None = error  # the driver's, which MLflow does not always name as the cause
        while refusal is not None and not isinstance(refusal, OperationalError):
            refusal = refusal.__context__
        if refusal is None:
            raise
        raise InputError(
            "the MLflow store stopped answering",
            where=f"tracking.uri={client.tracking_uri}",
            found=str(refusal.orig),
            hint="end what locks it, make room, or let it be written to, and give the same command again",
        ) from error


def address(client: MlflowClient) -> str:
    """The URI of the store in use."""
    return client.tracking_uri


@contextmanager
def exclusive(client: MlflowClient, name: str) -> Iterator[None]:
    """Hold the lock of that name: other processes that use the same store from this machine wait.

    The lock lies beside a local store, whatever folder a process works in; that of a server lies in the
    machine's folder for temporary files, and other machines do not see it.
    """
    with locked(client.tracking_uri, name):
        yield


@contextmanager
def locked(uri: str, name: str) -> Iterator[None]:
    """Hold a lock of a store that may not be there yet: see `exclusive`."""
    beside = uri.removeprefix("sqlite:///") if uri.startswith("sqlite:///") else tempfile.gettempdir() + "/mlflow"
    digest = hashlib.sha256(f"{uri} {name}".encode()).hexdigest()[:12]
    path = Path(f"{beside}.{digest}.lock")
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
