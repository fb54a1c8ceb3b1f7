"""The MLflow store: connected once, created once, locked where one writer at a time must be."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import AbstractContextManager, chdir, contextmanager
from pathlib import Path

import mlflow
from mlflow import MlflowClient
from mlflow.environment_variables import MLFLOW_HTTP_REQUEST_MAX_RETRIES
from mlflow.exceptions import MlflowException
from mlflow.store.db import utils as db
from requests.exceptions import RequestException
from sqlalchemy.exc import OperationalError

from experiments import addresses
from experiments.addresses import masked
from features.errors import InputError, first_line

_chosen: dict[str, str | None] = {}  # URIs that were set here, and what was in use before


def connect(uri: str | None, folder: Path = Path()) -> MlflowClient:
    """Connect to the tracking store and its registry, creating a local one where there is none.

    Parameters
    ----------
    uri : str or None
        None leaves the choice to MLflow: MLFLOW_TRACKING_URI where set, else `mlflow.db` in the folder.
    folder : Path
        Where a local store is, with its artifacts in `mlruns/`; the working folder when left out.

    Raises
    ------
    InputError
        If the store cannot be reached.
    """
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)  # logs what it raises: see `answering`
    for noisy in ("mlflow.store", "alembic", "mlflow.tracking", "mlflow.models.model", "mlflow.pyfunc"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    try:
        with chdir(folder):  # which MLflow's choices start from
            _choose(uri)
            # Of two that create it, one would crash.
            with addresses.exclusive(mlflow.get_tracking_uri(), "store"), few_retries():
                client = MlflowClient()
                client.search_experiments(max_results=1)
    except Exception as error:  # of MLflow, its database driver or its HTTP client
        raise InputError(
            "the MLflow store does not answer",
            where=f"tracking.uri={masked(uri or mlflow.get_tracking_uri())}",
            found=masked(f"{type(error).__name__}: {first_line(error)}"),
            hint="start the server, or leave tracking.uri null for a store in this folder",
        ) from error
    return client


def use(client: MlflowClient) -> None:
    """Let MLflow's own functions, such as those that load a model, work on a client's store."""
    if mlflow.get_tracking_uri() != client.tracking_uri:
        _choose(client.tracking_uri)


def _choose(uri: str | None) -> None:
    """Set the store in use; None gives back what was in use before any was set here."""
    now = mlflow.get_tracking_uri() if mlflow.is_tracking_uri_set() else None
    before = _chosen.get(now, now) if now is not None else None
    if uri is not None:
        _chosen[uri] = before
    if (uri or before) != now:
        mlflow.set_tracking_uri(uri or before)


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
    """Say in the user's words that the store's database is locked, full or not to be written, or its server gone.

    Raises
    ------
    InputError
        In place of MLflow's own error.
    """
    try:
        yield
    except MlflowException as error:
        refusal: BaseException | None = error  # the driver's, which MLflow does not always name as the cause
        while refusal is not None and not isinstance(refusal, OperationalError | RequestException):
            refusal = refusal.__context__
        if refusal is None:
            raise
        raise InputError(
            "the MLflow store stopped answering",
            where=f"tracking.uri={masked(client.tracking_uri)}",
            found=masked(first_line(refusal.orig if isinstance(refusal, OperationalError) else refusal)),
            hint="start it, end what locks it, make room or let it be written to, and give the same command again",
        ) from error


def address(client: MlflowClient) -> str:
    """The URI of the store in use."""
    return client.tracking_uri


def exclusive(client: MlflowClient, name: str) -> AbstractContextManager[None]:
    """The lock of that name in the store in use: see `addresses.exclusive`."""
    return addresses.exclusive(client.tracking_uri, name)
