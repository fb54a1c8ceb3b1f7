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
    for noisy in ("mlflow.store.db.utils", "alembic", "mlflow.tracking", "mlflow.models.model", "mlflow.pyfunc"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    try:
        if uri:
            mlflow.set_tracking_uri(uri)
        client = MlflowClient()
        with exclusive(client, "store"), few_retries():  # of two that create one database, one would crash
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
    """Hear within seconds that no server answers; MLflow tries for minutes, which suits a run under way."""
    retries = MLFLOW_HTTP_REQUEST_MAX_RETRIES
    before = retries.get_raw()
    retries.set(1)
    try:
        yield
    finally:
        retries.unset() if before is None else retries.set(before)


def address(client: MlflowClient) -> str:
    """The URI of the store in use."""
    return client.tracking_uri


@contextmanager
def exclusive(client: MlflowClient, name: str) -> Iterator[None]:
    """Hold the lock of that name: other processes that use the same store from this machine wait.

    The lock lies beside a local store, whatever folder a process works in; that of a server lies in the
    machine's folder for temporary files, and other machines do not see it.
    """
    uri = client.tracking_uri
    beside = uri.removeprefix("sqlite:///") if uri.startswith("sqlite:///") else tempfile.gettempdir() + "/mlflow"
    digest = hashlib.sha256(f"{uri} {name}".encode()).hexdigest()[:12]
    with Path(f"{beside}.{digest}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
