"""`mlflow models serve` and a bare `mlflow ui`, as the README has them, on loopback."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import mlflow
import pytest

from workplace import BIN, environment

NAME = "cdnow-clv"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def server(folder: Path, *command: str, answers: str) -> Iterator[str]:
    """A server of the mlflow command line, up when its address answers, ended with all its children."""
    port = free_port()
    log = (folder / "server.log").open("w")
    process = subprocess.Popen(
        [str(BIN / "mlflow"), *command, "--port", str(port)],
        cwd=folder,
        env=environment(),
        stdout=log,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    address = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + 90
        while True:
            try:
                urllib.request.urlopen(address + answers, timeout=5).read()
                break
            except OSError:
                assert process.poll() is None, (folder / "server.log").read_text()
                assert time.monotonic() < deadline, (folder / "server.log").read_text()
                time.sleep(0.2)
        yield address
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(timeout=30)
        log.close()


def post(address: str, body: Any) -> tuple[int, dict[str, Any]]:
    request = urllib.request.Request(
        f"{address}/invocations", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as refused:
        return refused.code, json.loads(refused.read())


@pytest.fixture(scope="module")
def served(finished_run: tuple[Path, str]) -> Iterator[tuple[str, list[str]]]:
    folder, _ = finished_run
    mlflow.set_tracking_uri(f"sqlite:///{folder}/mlflow.db")
    features = mlflow.models.get_model_info(f"models:/{NAME}@champion").signature.inputs.input_names()
    command = ("models", "serve", "-m", f"models:/{NAME}@champion", "--env-manager", "local")
    with server(folder, *command, answers="/ping") as address:
        yield address, features


def test_served_model_answers_every_json_form_alike(served: tuple[str, list[str]]) -> None:
    address, features = served
    row = {name: 1.0 for name in features} | {"frequency": 2, "recency": 30, "T": 60.5}
    split = {"columns": features, "data": [[row[name] for name in features]]}
    answers = [
        post(address, body)
        for body in ({"dataframe_records": [row]}, {"dataframe_split": split}, {"inputs": [row]}, {"instances": [row]})
    ]
    assert [status for status, _ in answers] == [200] * 4
    values = {answer["predictions"][0]["clv"] for _, answer in answers}
    assert len(values) == 1
    assert values.pop() > 0


@pytest.mark.parametrize("form", ["dataframe_records", "inputs", "instances"])
@pytest.mark.parametrize("wrong", ["missing", None, "3", "abc", True, [3.0]])
def test_served_model_names_a_missing_null_or_mistyped_value(
    served: tuple[str, list[str]], form: str, wrong: Any
) -> None:
    address, features = served
    good = {name: 1.0 for name in features}
    bad = {**good, "monetary_value": wrong}
    if wrong == "missing":
        del bad["monetary_value"]
    for rows in ([bad], [good, bad]):
        status, answer = post(address, {form: rows})
        assert status == 400, answer
        assert "monetary_value" in answer["message"]
        assert "recency" not in answer["message"]


def test_a_bare_mlflow_ui_shows_runs_and_models(finished_run: tuple[Path, str]) -> None:
    folder, _ = finished_run
    with server(folder, "ui", answers="/health") as address:
        with urllib.request.urlopen(
            f"{address}/api/2.0/mlflow/registered-models/get?name={NAME}", timeout=30
        ) as answer:
            model = json.loads(answer.read())["registered_model"]
        assert [alias["alias"] for alias in model["aliases"]] == ["champion"]
        request = urllib.request.Request(
            f"{address}/api/2.0/mlflow/experiments/search",
            json.dumps({"max_results": 10}).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            names = [experiment["name"] for experiment in json.loads(answer.read())["experiments"]]
        assert NAME in names
