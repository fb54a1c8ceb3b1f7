"""`mlflow models serve` and a plain `mlflow ui`, as in the README, on loopback."""

from __future__ import annotations

import http.client
import json
import os
import random
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
import pytest

from experiments.commands.main import run
from merchandise_store import Store, sales_of_a_year
from workplace import BIN, environment

NAME, SEGMENTS = "cdnow-clv", "merchandise_store-segmentation"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def server(folder: Path, *command: str, answers: str) -> Iterator[str]:
    """Run a server of the mlflow command line until the block ends, and end it with all its children."""
    port = free_port()
    log = (folder / "server.log").open("w")
    process = subprocess.Popen(
        [str(BIN / "mlflow"), *command, "--port", str(port)],
        cwd=folder,
        env=environment(MLFLOW_SERVER_ENABLE_JOB_EXECUTION="false"),  # as `experiments ui` starts it
        stdout=log,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    address = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + 300
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


def post(address: str, body: Any, kind: str = "application/json") -> tuple[int, dict[str, Any]]:
    text = body if isinstance(body, str) else json.dumps(body)
    request = urllib.request.Request(f"{address}/invocations", text.encode(), {"Content-Type": kind})
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as refused:
        return refused.code, json.loads(refused.read())


@contextmanager
def serving(folder: Path, name: str) -> Iterator[tuple[str, list[str]]]:
    """Serve the champion of that name from a folder, and return its address and its features."""
    mlflow.set_tracking_uri(f"sqlite:///{folder}/mlflow.db")
    features = mlflow.models.get_model_info(f"models:/{name}@champion").signature.inputs.input_names()
    command = ("models", "serve", "-m", f"models:/{name}@champion", "--env-manager", "local")
    with server(folder, *command, answers="/ping") as address:
        yield address, features


@pytest.fixture(scope="module")
def served(finished_run: tuple[Path, str]) -> Iterator[tuple[str, list[str]]]:
    with serving(finished_run[0], NAME) as answers:
        yield answers


def test_served_model_gives_the_same_answer_to_every_json_form(served: tuple[str, list[str]]) -> None:
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


def lines_of(*rows: Mapping[str, Any]) -> str:
    """Write rows as CSV."""
    return "\n".join([",".join(rows[0]), *(",".join(map(str, row.values())) for row in rows)])


def test_served_model_answers_csv_as_it_answers_json(served: tuple[str, list[str]]) -> None:
    address, features = served
    row = {name: 1.0 for name in features} | {"frequency": 2, "recency": 30, "T": 60.5}
    status, answer = post(address, lines_of({"visit": "0042", **row}), "text/csv")
    assert (status, answer) == post(address, {"dataframe_records": [row]})


def test_served_model_answers_what_request_and_features_write_with_the_customers_ids(
    served: tuple[str, list[str]],
    finished_run: tuple[Path, str],
    workspace: Path,
    run: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    table = pd.read_parquet(finished_run[0] / "outputs" / "cdnow" / "customer_360.parquet").set_index("customer_id")[
        "clv"
    ]
    status, answer = post(served[0], run("request", "data=cdnow", f"customer={table.index[5]}").stdout)
    assert (status, answer["predictions"]) == (200, [{"customer_id": table.index[5], "clv": table.iloc[5]}])
    run("features", "data=cdnow", "output=rows.csv")
    status, answer = post(served[0], (workspace / "rows.csv").read_text(), "text/csv")
    assert status == 200, answer
    answered = pd.DataFrame(answer["predictions"]).set_index("customer_id")["clv"]
    pd.testing.assert_series_equal(answered, table.loc[answered.index], rtol=1e-12)
    assert "such as" in run("request", "data=cdnow", "customer=nobody", code=2).stderr
    own = table.index[5]
    assert own.startswith("0")
    assert f"customer={own}," in run("request", "data=cdnow", f"customer={own.lstrip('0')}", code=2).stderr


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda row: row | {"monetary_value": "abc"}, ["monetary_value", "'abc'", "row 0"]),
        (lambda row: row | {"monetary_value": "true"}, ["monetary_value", "'true'"]),
        (lambda row: row | {"monetary_value": ""}, ["monetary_value", "missing"]),
        (lambda row: row | {"monetary_value": -1}, ["monetary_value must be at least 0", "-1"]),
        (lambda row: row | {"recency": 61}, ["recency must be at most T", "61", "60.5"]),
        (lambda row: row | {"frequency": 0, "recency": 9}, ["recency must be 0 where frequency is 0", "9"]),
        (lambda row: row | {"monetary_value": "1,7"}, ["values", "columns", "row 0"]),
    ],
)
def test_served_model_names_a_value_of_csv_that_cannot_be(
    served: tuple[str, list[str]], change: Callable[[dict[str, Any]], dict[str, Any]], words: list[str]
) -> None:
    address, features = served
    row = {name: 1.0 for name in features} | {"frequency": 2, "recency": 30, "T": 60.5}
    status, answer = post(address, lines_of(change(row)), "text/csv")
    assert status == 400, answer
    assert not [word for word in words if word not in answer["message"]], answer
    assert "Traceback" not in str(answer)
    assert "/" not in str(answer)


def test_no_fuzzed_request_ends_in_an_error_of_the_server(served: tuple[str, list[str]]) -> None:
    """1,000 requests: pieces of good and hostile ones, cut, repeated and mixed, under several content types."""
    address, features = served
    row = {name: 1.0 for name in features} | {"frequency": 2, "recency": 30, "T": 60.5}
    good, table = json.dumps({"inputs": [row]}), lines_of(row)
    pieces = [
        good,
        table,
        "[" * 3000,
        "9" * 5001,
        '{"inputs":',
        "NaN",
        "true",
        "\0",
        "\ufeff",
        "\ud7ff",
        '"',
        ",",
        "\n",
    ]
    kinds = [None, "", "application/json", "text/csv", "text/csv; charset=latin-1", "application/x-parquet", "a/b", "-"]
    rng, seen = random.Random(0), Counter()
    connection = http.client.HTTPConnection(address.removeprefix("http://"), timeout=30)
    right = answered(connection, good.encode(), "application/json")[1]
    for _ in range(1000):
        text = rng.choice([good, table]) if rng.random() < 0.7 else ""
        at = rng.randrange(len(text) + 1)
        body = (text[:at] + rng.choice(pieces) + text[at + rng.choice([0, 0, 1, 5]) :]).encode()
        status, words = answered(connection, body if rng.random() < 0.9 else body + b"\xff", rng.choice(kinds))
        seen[status] += 1
        assert status != 200 or "predictions" in json.loads(words)
        assert "Traceback" not in words
        assert len(words) < 1000
    assert seen.keys() == {200, 400, 415}
    assert answered(connection, good.encode(), "application/json") == (200, right)


def answered(connection: http.client.HTTPConnection, body: bytes, kind: str | None) -> tuple[int, str]:
    """Send bytes as they are, under any content type or none."""
    connection.request("POST", "/invocations", body, {} if kind is None else {"Content-Type": kind})
    answer = connection.getresponse()
    return answer.status, answer.read().decode()


@pytest.mark.parametrize("body", ["[" * 100_000, '{"inputs": [' + "9" * 10**6 + "]}", "", '{"dataframe_records": []}'])
def test_served_model_answers_hostile_requests_with_400(served: tuple[str, list[str]], body: str) -> None:
    status, answer = post(served[0], body)
    assert status == 400, answer
    assert "/" not in str(answer)


@pytest.mark.slow
def test_segments_of_the_merchandise_store_are_scored_and_served(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    customers = 160
    store.sell(sales_of_a_year(customers))
    monkeypatch.chdir(tmp_path)
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path}/mlflow.db")
    quick = ["evaluation.step_days=400", "task.n_resamples=5", "task.guards.ari_p05=[0, 1]", "tuning.n_trials=2"]
    quick += ["evaluation.n_controls=1", "task.n_nulls=1"]
    for command in (["tune", *quick], ["promote", "version=1", "reason=a first segmentation"], ["score"]):
        assert run([*command, "data=merchandise_store", "data.path=raw", "task=segmentation"]) == 0

    table = pd.read_parquet(tmp_path / "outputs" / "merchandise_store" / "customer_360.parquet")
    assert len(table) == customers
    assert table["segmentation_model"].unique() == [f"{SEGMENTS}/1"]
    spend = table.groupby("segment")["segment_spend"].agg(["nunique", "first"])
    assert len(spend) > 1
    assert (spend["nunique"] == 1).all()
    assert spend["first"].is_monotonic_decreasing  # segment 1 is the most valuable

    with serving(tmp_path, SEGMENTS) as (address, features):
        # The rate of the baseline's bins, which these clusters do not use, is not among the table's main features.
        rows = table.assign(total_spend_rate=table["total_spend"] / 365)[features].to_dict("records")
        status, answer = post(address, {"dataframe_records": rows})
        assert status == 200, answer
        assert pd.DataFrame(answer["predictions"]).equals(table[["segment", "segment_spend"]])
        status, answer = post(address, {"dataframe_records": [*rows, {**rows[0], "monetary_value": None}]})
        assert status == 400, answer
        assert "monetary_value" in answer["message"]


@pytest.mark.slow
def test_a_bare_mlflow_ui_shows_runs_and_models(finished_run: tuple[Path, str]) -> None:
    folder, _ = finished_run
    with server(folder, "ui", "--workers", "1", answers="/health") as address:  # each worker imports MLflow
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
