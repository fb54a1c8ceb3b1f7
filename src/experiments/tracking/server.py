"""MLflow's scoring server, made strict: a model of this project reads its requests itself."""

from __future__ import annotations

import functools
import logging
import os
import sys
from collections.abc import Callable
from typing import Any

from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE

from experiments.tracking.requests import RequestError

JSON, CSV = "application/json", "text/csv"
LARGEST = "EXPERIMENTS_LARGEST_REQUEST"  # environment variable: bytes of the largest request that is read
LARGEST_BYTES = 16 * 2**20

logger = logging.getLogger(__name__)


def invalid(message: str) -> MlflowException:
    """Build the exception that the scoring server answers with status 400."""
    return MlflowException(message, error_code=INVALID_PARAMETER_VALUE)


def answer_requests(is_own: Callable[[Any, Any], bool], respond: Callable[..., Any]) -> None:
    """Make the scoring server hand the requests to a model to a function, before its own reader.

    MLflow casts to the signature's types before a model sees a request: "3" becomes 3.0, true 1.0, and a value too many
    in a CSV row moves all columns. There is no hook before that, so this wraps the function that answers all requests.
    Outside the scoring server it does nothing. Parquet is refused: MLflow reads it without these checks. An error of
    the model is logged, and is not sent with its stack.

    Parameters
    ----------
    is_own : callable
        `(model, schema) -> bool`: True for the model whose requests these are.
    respond : callable
        `(body, kind, answer) -> response`: `answer` takes a body of JSON to MLflow's own reader and the model. A
        `RequestError` is answered with its words.
    """
    server = sys.modules.get("mlflow.pyfunc.scoring_server")
    if server is None:
        return
    answer = getattr(server.invocations, "__wrapped__", server.invocations)
    given = os.environ.get(LARGEST, str(LARGEST_BYTES))
    if not given.isdecimal():
        raise invalid(f"{LARGEST} must be a number of bytes, such as {LARGEST_BYTES}, but is {given!r}")
    largest = int(given)

    @functools.wraps(answer)
    def checked(data: bytes, content_type: str | None, model: Any, schema: Any) -> Any:
        kind = (content_type or JSON).strip().lower()
        if not is_own(model, schema):
            return answer(data, kind, model, schema)
        if not kind.startswith((JSON, CSV)):
            return server.InvocationsResponse(f"the server reads {JSON} and {CSV}", 415, "text/plain")
        if len(data) > largest:
            words = f"the request has {len(data):,} bytes, and {largest:,} are read at most: send fewer rows at a time"
            return server.InvocationsResponse(words, 413, "text/plain")
        try:
            return respond(data, kind, lambda body: answer(body, JSON, model, schema))
        except RequestError as error:
            raise invalid(str(error)) from None
        except Exception:
            logger.exception("The model has no answer for a request")
            raise invalid("the model has no answer for these rows; the server's log says why") from None

    server.invocations = checked


def response_of(body: str) -> Any:
    """Return the server's response of a body of JSON."""
    return sys.modules["mlflow.pyfunc.scoring_server"].InvocationsResponse(body, 200, JSON)
