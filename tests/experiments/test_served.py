"""The served model in process: what the scoring server answers to requests that no client should send."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from mlflow.exceptions import MlflowException
from mlflow.pyfunc import scoring_server

from experiments.tracking import served, server
from experiments.tracking.requests import Limits

FEATURES = ["T", "recency"]
SCHEMA = SimpleNamespace(input_names=lambda: FEATURES)
GOOD = json.dumps({"inputs": [{"T": 60, "recency": 30}]})


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Read strictly before an MLflow that answers every request, and collect what reaches it."""
    bodies: list[str] = []

    def answer(data: str, kind: str, model: Any, schema: Any) -> Any:
        bodies.append(data)
        return scoring_server.InvocationsResponse("{}", 200, kind)

    monkeypatch.setattr(scoring_server, "invocations", answer)
    monkeypatch.setenv(server.LARGEST, "5000")
    served.read_strictly(FEATURES, Limits(ranges={"T": (0, None)}, at_most=[("recency", "T")]), ())
    return bodies


def status(body: bytes, kind: str | None) -> tuple[int, str]:
    try:
        answer = scoring_server.invocations(body, kind, None, SCHEMA)
    except MlflowException as refused:
        return refused.get_http_status_code(), refused.serialize_as_json()
    return answer.status, answer.response


def test_other_types_and_too_long_requests_never_reach_mlflows_reader(sent: list[str]) -> None:
    assert status(GOOD.encode(), None)[0] == 200
    assert status(GOOD.encode(), "application/x-parquet") == (415, "the server reads application/json and text/csv")
    assert status(GOOD.encode() + b" " * 5000, "application/json")[0] == 413
    assert len(sent) == 1


def test_an_error_of_the_model_is_answered_without_path_and_stack(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise MlflowException("in /srv/model", stack_trace="Traceback /srv/model.py")

    monkeypatch.setattr(scoring_server, "invocations", fail)
    served.read_strictly(FEATURES, Limits(ranges={}), ())
    code, text = status(GOOD.encode(), "application/json")
    assert code == 400
    assert "no answer for these rows" in text
    assert "/srv" not in text


def test_a_size_that_is_no_number_is_refused_when_the_model_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(server.LARGEST, "16MB")
    with pytest.raises(MlflowException, match="must be a number of bytes, such as 16777216, but is '16MB'"):
        served.read_strictly(FEATURES, Limits(ranges={}), ())


def test_a_changed_text_of_the_model_is_not_read(tmp_path: Path) -> None:
    text = tmp_path / "model.json"
    text.write_text("{}")
    digest = hashlib.sha256(b"{}").hexdigest()
    assert served.unchanged(text, digest) == "{}"
    text.write_text("{ }")
    with pytest.raises(MlflowException, match="not the file that was logged"):
        served.unchanged(text, digest)
