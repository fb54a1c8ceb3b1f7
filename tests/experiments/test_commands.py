"""The commands on CDNOW's sample: what they leave in MLflow, and what a second one finds."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import optuna
import pandas as pd
import psutil
import pyarrow.parquet as pq
import pytest
import yaml
from mlflow import MlflowClient
from omegaconf import OmegaConf

from experiments.addresses import masked, masked_lines, without_secrets
from experiments.commands import main
from experiments.commands.compose import open_session
from experiments.commands.main import COMMANDS, _masked_dump
from experiments.commands.overrides import check_kept, expand
from experiments.models.registry import label_of
from experiments.tracking.hidden import plain
from experiments.tracking.registry import Registry
from experiments.tracking.runs import Runs, TrialRecord
from experiments.tuning.storage import open_storage
from experiments.tuning.study import finished
from experiments.workflow import promote, side_by_side
from features.families import FAMILIES, Family
from features.tables import Tables
from features.writing import partial_of
from workplace import BIN, QUICK, ROOT, environment, experiments

NAME = "cdnow-clv"
Run = Callable[..., subprocess.CompletedProcess[str]]


def client(folder: Path) -> MlflowClient:
    return MlflowClient(f"sqlite:///{folder}/mlflow.db")


def runs(folder: Path) -> list[mlflow.entities.Run]:
    experiment = client(folder).get_experiment_by_name(NAME)
    return client(folder).search_runs([experiment.experiment_id], max_results=1000)


def kind(folder: Path, of: str) -> list[mlflow.entities.Run]:
    return sorted((r for r in runs(folder) if r.data.tags.get("kind") == of), key=lambda r: r.info.start_time)


# What `run` leaves


def test_run_ends_with_a_table_and_the_next_commands(finished_run: tuple[Path, str]) -> None:
    *_, table, said, after = finished_run[1].split("\n\n")
    columns, row = (re.split(" {2,}", line) for line in table.splitlines())
    shown = dict(zip(columns, row, strict=True))
    assert shown["candidate"] == shown["in use"] == "version 1, ridge"
    assert shown["its figure"] == shown["its own figure"]
    assert re.fullmatch(r"gini 0\.\d{3} \[0\.\d{3}, 0\.\d{3}\]", shown["its figure"])
    assert shown["verdict"] == "strong"
    assert shown["best baseline"].endswith("naive_lifetime_rate")
    assert said.startswith("clv: strong: ranks customers better than ")
    following = [shlex.split(line.removeprefix("next:").partition(": ")[0]) for line in after.splitlines()]
    assert [words[:2] for words in following] == [["experiments", "show"], ["experiments", "ui"]]


def test_the_pages_of_the_registry_say_what_is_in_use_and_why(finished_run: tuple[Path, str]) -> None:
    model = client(finished_run[0]).get_registered_model(NAME)
    day = datetime.now(UTC).date().isoformat()
    figure = r"gini 0\.\d{3} \[0\.\d{3}, 0\.\d{3}\]"
    own = rf"version 1, ridge regression on logarithms \(`ridge`\), {figure} in the window from 1998-04-02"
    assert re.search(rf"\*\*In use\*\* since {day}: {own}\. \*\*Why\*\*: gate: it measured best\.", model.description)
    for expected in ("**Predicts** `clv`, ", "**Verdict** strong: ranks customers", "experiments score data=cdnow"):
        assert expected in model.description
    seen = {key: value for key, value in model.tags.items() if not key.startswith("mlflow.")}
    assert seen.keys() == {"in use", "figure", "since", "verdict", "amounts"}
    assert max(map(len, seen.values())) < 40
    (version,) = client(finished_run[0]).search_model_versions(f"name = '{NAME}'")
    assert version.description.startswith("ridge regression on logarithms, in use. strong: ranks customers better ")
    assert not [value for key, value in version.tags.items() if not key.startswith("mlflow.") and value[:1] in "[{"]


def test_show_says_what_stands_behind_the_model_in_use_and_looks_at_nothing(workspace: Path, run: Run) -> None:
    printed = run("show", *QUICK).stdout
    assert f"{NAME}: in use: version 1, ridge, gini 0." in printed
    board = re.search(r"^rank .*?(?=\n\n)", printed, re.M | re.S)[0].splitlines()[1:]
    rows = [re.split(" {2,}", line) for line in board]
    assert [float(row[1]) for row in rows] == sorted((float(row[1]) for row in rows), reverse=True)
    assert {row[4] for row in rows} == {"version 1, in use", "trial 0", "trial 2", "trial 3", "baseline"}
    assert sum(row[4] == "baseline" for row in rows) == 3
    falls = re.search(r"^feature .*?(?=\d+ more features)", printed, re.M | re.S)[0].splitlines()[1:]
    assert "first_day_spend" in {line.split()[0].rstrip(",") for line in falls}  # the model reads all features
    for expected in ("verdict: strong: ", "look 1 at this window, level 0.0304", "gate: it measured best  in use"):
        assert expected in printed
    assert len(Registry(client(workspace), NAME).ledger()) == 1

    everything = run("show", "data=cdnow").stdout.splitlines()
    tasks = ["basket_completion", "clv", "next_purchase", "propensity", "recommendation", "repurchase", "segmentation"]
    assert [line.split()[0] for line in everything] == ["task", *tasks, "next:"]
    day = datetime.now(UTC).date().isoformat()
    of_clv = everything[2]
    assert re.split(" {2,}", of_clv)[3:] == [day, "strong", of_clv.rpartition("  ")[2]]


def test_one_parent_one_child_a_trial_and_only_the_refit_has_a_model(finished_run: tuple[Path, str]) -> None:
    folder, _ = finished_run
    (study,), trials, (refit,) = kind(folder, "study"), kind(folder, "trial"), kind(folder, "refit")
    named = [f"{trial.data.params['model']} #{number:03d}" for number, trial in enumerate(trials)]
    assert [trial.info.run_name for trial in trials] == named
    assert {run.data.tags["mlflow.parentRunId"] for run in (*trials, refit)} == {study.info.run_id}
    assert {run.info.status for run in runs(folder)} == {"FINISHED"}
    assert refit.outputs.model_outputs
    assert not [name for name in refit.data.params if name.startswith(("features", "limits"))]
    assert not any(run.outputs and run.outputs.model_outputs for run in (study, *trials))
    best = max(trials, key=lambda trial: trial.data.metrics["valid/gini"])
    assert best.data.params["model"] == refit.data.params["model"]
    assert refit.data.metrics["valid/gini"] == best.data.metrics["valid/gini"]
    tuned = {name: value for name, value in best.data.params.items()}
    assert {name: refit.data.params[name] for name in tuned} == tuned
    assert len(client(folder).get_metric_history(trials[0].info.run_id, "valid_by_cutoff/gini")) == 3


def test_the_study_says_what_it_found(finished_run: tuple[Path, str]) -> None:
    folder, _ = finished_run
    (study,), trials = kind(folder, "study"), kind(folder, "trial")
    best = max(trial.data.metrics["valid/gini"] for trial in trials)
    note = study.data.tags["mlflow.note.content"]
    assert note.startswith(f"**Best** gini {best:.4f}: ridge #001, refitted as version 1.")
    assert "4 trials for clv (4 complete)" in note
    assert study.data.metrics == {"valid/gini": best}
    listed = {
        file.path for path in ("figures", "tables") for file in client(folder).list_artifacts(study.info.run_id, path)
    }
    assert listed == {"figures/history.png", "tables/trials.csv"}  # too few of one model for its parameters


def test_the_refit_says_where_its_figures_come_from(finished_run: tuple[Path, str]) -> None:
    folder, _ = finished_run
    (refit,) = kind(folder, "refit")
    (dataset,) = refit.inputs.dataset_inputs
    profile = json.loads(dataset.dataset.profile)
    columns = {column["name"]: column["type"] for column in json.loads(dataset.dataset.schema)["mlflow_colspec"]}
    assert columns["transactions.timestamp"] == "datetime"
    assert columns["transactions.amount"] == "double"
    assert (profile["customers"], profile["first_day"], profile["end"]) == (2357, "1997-01-01", "1998-07-01")
    metrics = refit.data.metrics
    assert metrics["sealed/gini"] - metrics["sealed/naive_last_91_days_rate/gini"] == pytest.approx(
        metrics["sealed/gain_over_naive_last_91_days_rate"]
    )
    assert metrics["sealed/gain_over_naive_last_91_days_rate_lower"] > 0
    listed = {
        file.path
        for path in ("", "figures", "tables", "sealed")
        for file in client(folder).list_artifacts(refit.info.run_id, path)
    }
    assert {
        "config.yaml",
        "overrides.txt",
        "figures/calibration.png",
        "figures/cumulative_gain.png",
        "figures/sealed_calibration.png",
        "tables/calibration.csv",
        "sealed/decision.json",
        "sealed/decision.html",
    } <= listed
    assert refit.data.tags["mlflow.note.content"].startswith("**Verdict** strong: ranks customers better than ")
    version = client(folder).get_model_version_by_alias(NAME, "champion")
    tags = plain(version.tags)
    for tag in (
        "shop",
        "target",
        "currency",
        "population",
        "feature_hash",
        "data_digest",
        "trained_through",
        "git_commit",
    ):
        assert tags[tag]
    assert version.tags["trained_through"] <= version.tags["sealed_from"]


@pytest.mark.slow
def test_a_model_carries_doubles_code_and_pins_and_loads_in_a_fresh_process(
    finished_run: tuple[Path, str], tmp_path: Path
) -> None:
    folder, _ = finished_run
    mlflow.set_tracking_uri(f"sqlite:///{folder}/mlflow.db")
    uri = f"models:/{NAME}@champion"
    info = mlflow.models.get_model_info(uri)
    assert {str(kind) for kind in (*info.signature.inputs.input_types(), *info.signature.outputs.input_types())} == {
        "DataType.double"
    }
    local = Path(mlflow.artifacts.download_artifacts(uri, dst_path=str(tmp_path / "model")))
    assert not list(local.rglob("*.pkl"))
    assert all("==" in line for line in (local / "requirements.txt").read_text().split())
    assert (local / "code" / "experiments" / "models" / "base.py").exists()
    rows = pd.DataFrame(**json.loads((local / "input_example.json").read_text()))
    rows.to_csv(tmp_path / "rows.csv", index=False)
    script = (
        "import sys, mlflow, pandas; model = mlflow.pyfunc.load_model(sys.argv[1]);"
        "print(model.predict(pandas.read_csv(sys.argv[2]).astype(float)).to_csv(index=False));"
        "import experiments; print(experiments.__file__)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(local), str(tmp_path / "rows.csv")],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    header, *values, source = done.stdout.split()
    assert header == "clv"
    assert [float(value) for value in values] == mlflow.pyfunc.load_model(str(local)).predict(rows)["clv"].tolist()
    assert source.startswith(str(local))  # its own code, not the checkout's


# tune


def trial_figures(folder: Path, study: str) -> list[tuple[object, ...]]:
    """Figures of a study's trials whose runs are whole: a killed process may leave one half-written."""
    (parent,) = [run for run in kind(folder, "study") if run.data.tags["study"] == study]
    return [
        (run.info.run_name, sorted(run.data.params.items()), sorted(run.data.metrics.items()))
        for run in kind(folder, "trial")
        if run.data.tags["mlflow.parentRunId"] == parent.info.run_id and run.info.status != "RUNNING"
    ]


@pytest.mark.slow
def test_the_same_command_in_a_fresh_study_gives_the_same_figures_and_no_new_version(workspace: Path, run: Run) -> None:
    (first,) = kind(workspace, "study")
    done = run("tune", *QUICK, "tuning.study_name=again", "tuning.storage=again.journal")
    assert trial_figures(workspace, "again") == trial_figures(workspace, first.data.tags["study"])
    assert f"{NAME} version 1" in done.stdout
    assert "already registered" in done.stderr


def is_worker(process: psutil.Process) -> bool:
    return "spawn_main" in " ".join(process.cmdline())


def blocks_interrupts(pid: int) -> bool:
    (blocked,) = re.findall(r"SigBlk:\s*(\w+)", Path(f"/proc/{pid}/status").read_text())
    return bool(int(blocked, 16) & 1 << signal.SIGINT - 1)


@pytest.mark.parametrize(("sent", "workers"), [(signal.SIGINT, 1), (signal.SIGKILL, 1), (signal.SIGINT, 2)])
@pytest.mark.slow
def test_an_interrupted_sweep_goes_on_and_nothing_stays_running(
    workspace: Path, run: Run, sent: signal.Signals, workers: int
) -> None:
    command = ["tune", *QUICK, "tuning.study_name=broken", f"tuning.workers={workers}"]
    errors = workspace / "broken.txt"
    process = subprocess.Popen(
        [str(BIN / "experiments"), *command, "tuning.n_trials=500"],
        cwd=workspace,
        env=environment(),
        stderr=errors.open("w"),
        start_new_session=True,
    )
    deadline = time.monotonic() + 300
    while sum(r.info.status == "FINISHED" for r in kind(workspace, "trial")) < 4 + 2 and time.monotonic() < deadline:
        time.sleep(0.1)
    assert all(blocks_interrupts(child.pid) for child in psutil.Process(process.pid).children() if is_worker(child))
    os.killpg(process.pid, sent)  # as a keyboard does: to the workers too
    code = process.wait(timeout=60)
    assert code == (130 if sent == signal.SIGINT else -signal.SIGKILL)
    assert "Traceback" not in errors.read_text()
    kept = trial_figures(workspace, "broken")
    assert 2 <= len(kept) < 500
    if sent == signal.SIGINT:
        assert not [r for r in runs(workspace) if r.info.status == "RUNNING"]
    journal = open_storage(str(workspace / "optuna.journal"), heartbeat_interval=60, grace_period=120)
    wanted = len(finished(optuna.load_study(study_name="broken", storage=journal))) + 2
    run(*command, f"tuning.n_trials={wanted}")
    figures = trial_figures(workspace, "broken")
    assert all(figure in figures for figure in kept)
    assert len(figures) == wanted
    assert not [r for r in runs(workspace) if r.info.status == "RUNNING"]
    studies = [r for r in kind(workspace, "study") if r.data.tags["study"] == "broken"]
    assert [study.info.status for study in studies] == ["FINISHED"]


def test_a_run_that_another_machine_takes_over_is_left_to_it(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (study,), before = kind(workspace, "study"), len(kind(workspace, "trial"))
    writing = Runs(client(workspace), NAME)
    log_batch = writing.client.log_batch

    def taken_over(run_id: str, **values: object) -> None:
        client(workspace).delete_run(run_id)
        log_batch(run_id, **values)

    monkeypatch.setattr(writing.client, "log_batch", taken_over)
    now = datetime.now()
    writing.log_trial(study.info.run_id, TrialRecord(99, "complete", {"model": "a"}, {}, [], now, now, seed=1))
    assert len(kind(workspace, "trial")) == before


def test_failing_trials_are_recorded_and_if_all_fail_so_does_the_command(workspace: Path, run: Run) -> None:
    fails = ["search.models=[lightgbm]", "search.space.lightgbm.tweedie_variance_power={low: 3.0, high: 4.0}"]
    done = run("tune", *QUICK, "tuning.n_trials=2", "tuning.study_name=fails", *fails, code=2)
    assert "all 2 trials failed" in done.stderr
    assert "tweedie_variance_power" in done.stderr
    failed = [r for r in kind(workspace, "trial") if r.info.status == "FAILED"]
    assert len(failed) == 2
    assert all("Traceback (most recent call last)" in r.data.tags["mlflow.note.content"] for r in failed)
    values = Runs(client(workspace), NAME).trial_values(failed[0].data.tags["mlflow.parentRunId"], "valid/gini")
    assert len(values) == 2, "trials without a value count as trials that were run"
    assert np.isnan(values).all()
    assert not [r for r in runs(workspace) if r.info.status == "RUNNING"]


# promote


def test_a_second_promotion_opens_nothing(workspace: Path, run: Run) -> None:
    before = client(workspace).get_registered_model(NAME).tags
    done = run("promote", *QUICK)
    assert "decided before; no further look was taken" in done.stdout
    assert client(workspace).get_registered_model(NAME).tags == before


@pytest.mark.slow
def test_train_override_and_roll_back(workspace: Path, run: Run) -> None:
    trained = run("train", *QUICK, "model=bg_nbd").stdout
    assert f"{NAME}: 8 models and baselines by gini" in trained
    assert re.search(r"bg_nbd +version 2$", trained, re.M)
    refused = run("promote", *QUICK)
    assert "version 2: not used" in refused.stdout
    assert "the gain over version 1, " in refused.stdout
    assert "and it is not shown" in refused.stdout
    assert "look 2 at this window, level 0.0076" in refused.stdout
    run("promote", *QUICK, "version=2", "reason=it's better, and the shop knows why")
    champion = client(workspace).get_model_version_by_alias(NAME, "champion")
    assert (int(champion.version), champion.tags["override_reason"]) == (2, "it's better, and the shop knows why")
    assert "champion is version 1 again (was 2)" in run("promote", *QUICK, "rollback=true").stdout
    assert int(client(workspace).get_model_version_by_alias(NAME, "champion").version) == 1
    lines = {int(v.version): v.description for v in client(workspace).search_model_versions(f"name = '{NAME}'")}
    assert lines[1].startswith("ridge regression on logarithms, in use. strong: ")
    assert lines[2].startswith("BG/NBD, rolled back: rolled back by hand. ")
    assert "since" in client(workspace).get_registered_model(NAME).tags
    assert "was rolled back" in run("promote", *QUICK, code=2).stderr
    run("promote", *QUICK, "rollback=true", code=2)
    assert "is the champion already" in run("promote", *QUICK, "version=1", "reason=again").stdout
    assert Registry(client(workspace), NAME).history() == [1]


@pytest.mark.slow
def test_another_horizon_is_another_question_whose_columns_stand_beside(workspace: Path, run: Run) -> None:
    other = [*QUICK, "task.horizon_days=60"]
    assert "cdnow-clv_60d has no version to promote" in run("promote", *other, code=2).stderr
    run("train", *other, "model=ridge")  # as the champion
    run("promote", *other)
    registry = Registry(client(workspace), "cdnow-clv_60d")
    assert [look["target"] for look in registry.ledger()] == ["spend_60d_discount0_margin1"]
    assert len(Registry(client(workspace), NAME).ledger()) == 1
    run("score", *QUICK, "output=c.parquet")
    table = pd.read_parquet(workspace / "c.parquet")
    for question, days in (("clv", 90), ("clv_60d", 60)):
        assert set(table[f"{question}_horizon_days"]) == {days}
        assert table[f"{question}_model"].str.startswith(f"cdnow-{question}/").all()
    assert 0.9 < table["clv_60d"].corr(table["clv"], method="spearman") < 1
    assert {b"clv_verdict", b"clv_60d_verdict"} <= pq.read_schema(workspace / "c.parquet").metadata.keys()
    for given, days in ((QUICK, 90), (other, 60)):
        run("report", *given, "report.sections=[value]", "output=r.html")
        assert f"in the next {days} days" in (workspace / "r.html").read_text()


def trials(folder: Path) -> int:
    return len(kind(folder, "trial"))


@pytest.mark.slow
def test_a_champion_of_another_target_is_refused_before_the_search_and_can_be_retired(
    workspace: Path, run: Run
) -> None:
    """Older stores have models of other horizons under the same name."""
    client(workspace).set_model_version_tag(NAME, "1", "target", "spend_30d_discount0_margin1")
    before = trials(workspace)
    for command in (["tune", "tuning.n_trials=9"], ["train", "model=bg_nbd"], ["run", "task=clv"]):
        refused = run(*command, *QUICK, code=2).stderr
        assert "the champion, version 1, was trained for another target" in refused
        assert "spend_30d_discount0_margin1" in refused
    assert trials(workspace) == before
    assert len(Registry(client(workspace), NAME).versions()) == 1
    (way_out,) = re.findall(r"experiments (promote .*retire=true)", refused)
    run(*shlex.split(way_out), "reason=another horizon")
    registry = Registry(client(workspace), NAME)
    assert registry.champion() is None
    assert registry.get(1).tags["retired"] == "another horizon"
    assert "has no champion to retire" in run(*shlex.split(way_out), code=2).stderr
    run("train", *QUICK, "model=bg_nbd")
    run("promote", *QUICK)
    assert registry.champion() is not None


@pytest.mark.slow
def test_a_retired_champion_comes_back_by_the_commands_that_are_printed_and_a_rolled_back_one_is_replaced(
    workspace: Path, run: Run
) -> None:
    def next_of(printed: str) -> list[str]:
        (command,) = re.findall(r"next: experiments (.*?)(?:,|$)", printed, re.M)
        return shlex.split(command)

    retired = run("promote", *QUICK, "retire=true", "reason=to see the way back").stdout
    tuned = run(*next_of(retired), "tuning.n_trials=4").stdout
    registry = Registry(client(workspace), NAME)
    assert registry.champion() is None
    run(*next_of(tuned))
    assert registry.champion().number == 1
    assert len(registry.ledger()) == 1

    run("promote", *QUICK, "retire=true")
    registry.tag(1, {"rolled_back": "worse"})
    done = run("run", *QUICK, "report.sections=[verdicts]").stdout
    assert "version 1 is still the best and was rolled back (worse); in use without a look: version 2, naive_" in done
    assert registry.champion().is_baseline
    assert len(registry.ledger()) == 1


def with_more(name: str, feature: str, more: int) -> Family:
    """Return a family with a column that nothing reads, and a number added to one of its features."""
    family = FAMILIES[name]

    def build(past: Tables) -> object:
        table = family.build(past)
        changed = {feature: table[feature] + more} if more else {}
        return table.mutate(**changed, unread=table[feature] * 2)

    return dataclasses.replace(family, build=build, features={**family.features, "unread": "nothing reads it"})


@pytest.mark.slow
def test_a_champion_is_skipped_if_a_feature_that_it_reads_changed_and_the_others_score(
    workspace: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads = ["frequency", "recency", "T", "monetary_value", "days_since_last_purchase", "total_spend"]
    reads += ["purchase_days_last_28_days", "purchase_days_last_91_days"]
    asked = ["data=cdnow", "task=repurchase", f"features.names=[{','.join(reads)}]", "evaluation.step_days=400"]
    asked += ["evaluation.n_controls=1", "evaluation.n_resamples=50", "evaluation.n_origins=1"]
    run("train", *asked, "model=logistic")
    run("promote", *asked)
    score = ["score", *QUICK, "output=c.parquet"]
    run(*score)
    before = pd.read_parquet(workspace / "c.parquet")
    monkeypatch.setitem(FAMILIES, "value", with_more("value", "max_order_value", 0))  # a column more
    done = run(*score)
    assert "skipped" not in done.stderr
    pd.testing.assert_frame_equal(pd.read_parquet(workspace / "c.parquet"), before)

    monkeypatch.setitem(FAMILIES, "value", with_more("value", "max_order_value", 1))
    done = run(*score)
    (line,) = [line for line in done.stderr.splitlines() if "skipped" in line]
    assert "cdnow-clv version 1 is skipped: max_order_value changed since it was trained" in line
    (again,) = re.findall(r"Next: (experiments tune .*) && (experiments promote .*)", line)
    assert all("data=cdnow" in command and "task=repurchase" not in command for command in again)
    after = pd.read_parquet(workspace / "c.parquet")
    assert "clv" not in after
    pd.testing.assert_series_equal(after["p_repurchase"], before["p_repurchase"])
    run("report", *QUICK, "report.sections=[value, return]", "output=r.html")
    page = (workspace / "r.html").read_text()
    assert "the task clv has no model in use that can score" in page
    assert "predicted to buy" in page

    run("train", *QUICK, "model=bg_nbd")
    done = run("promote", *QUICK)
    assert "version 1 is out of use: its features have another definition: max_order_value" in done.stderr
    run(*score)
    assert {"clv", "p_repurchase"} <= set(pd.read_parquet(workspace / "c.parquet"))


def without_a_champion(folder: Path) -> None:
    client(folder).delete_registered_model_alias(NAME, "champion")
    for key in client(folder).get_registered_model(NAME).tags:
        client(folder).delete_registered_model_tag(NAME, key)


@pytest.mark.slow
def test_the_best_measured_baseline_is_used_until_it_is_beaten(
    workspace: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_a_champion(workspace)
    monkeypatch.setattr(
        "experiments.evaluation.validation.Validation", None
    )  # all was validated when the candidate was made
    strict = [*QUICK, "+task.guards.total_ratio=[5.0, 6.0]"]
    planned = run("promote", *strict, "dry=true").stdout
    assert "version 1, ridge: look 1 at the sealed window 1998-04-02 to 1998-07-01" in planned
    assert "level 0.0304; looks before have spent 0.0000 of 0.05" in planned
    assert not Registry(client(workspace), NAME).ledger()  # it did not look
    done = run("promote", *strict)
    assert done.stdout.startswith(planned)
    assert "version 1: not used" in done.stdout
    assert "outside its guard [5, 6]" in done.stdout
    (refit,) = kind(workspace, "refit")
    gains = {name for name in refit.data.metrics if name.startswith("backtest/")}
    assert gains == {"backtest/1998-04-02/gain"}
    naive = client(workspace).get_model_version_by_alias(NAME, "champion")
    assert (int(naive.version), naive.tags["kind"], naive.tags["verdict"]) == (2, "naive", "strong")
    figures = {
        name: refit.data.metrics[f"naive/{name}/gini"] * n_validation + refit.data.metrics[f"sealed/{name}/gini"]
        for n_validation in [len(refit.data.params["validation_cutoffs"].split(", "))]
        for name in ("naive_lifetime_rate", "naive_last_91_days_rate", "naive_past_total")
    }
    assert naive.tags["model"] == max(figures, key=lambda name: figures[name])
    assert "it measured best of the baselines; version 1 was judged beside it" in naive.tags["reason"]
    validated = client(workspace).get_run(naive.run_id).data.metrics
    assert validated["valid/gini"] == refit.data.metrics[f"naive/{naive.tags['model']}/gini"]
    mean = {name for name in refit.data.metrics if name.startswith("valid/")}
    assert {name for name in validated if not name.startswith("amounts/")} == mean
    assert naive.tags["amounts"].partition(" ")[0] in ("reliable", "rough", "unreliable")
    assert f"in use: version 2, {naive.tags['model']}, gini" in done.stdout
    assert "no further look is needed" in run("promote", *strict, "dry=true").stdout
    assert "no further look was taken" in run("promote", *strict).stdout  # of the newest candidate
    assert "is a baseline, and candidates" in run("promote", *strict, "version=2", code=2).stderr

    run("score", *QUICK, "output=c.parquet")
    table = pq.read_table(workspace / "c.parquet")
    assert set(table["clv_model"].to_pylist()) == {f"{NAME}/2"}
    assert set(table["clv_verdict"].to_pylist()) == {"strong"}
    in_words = table.schema.metadata[b"clv_verdict"].decode()
    assert in_words.startswith("strong: ranks customers better than ")
    assert in_words.endswith(f"in use instead: {label_of(naive.tags['model'])}")

    promoted = run("promote", *QUICK).stdout
    assert "version 1: promoted" in promoted
    assert "in use: version 1, ridge, gini" in promoted
    assert int(client(workspace).get_model_version_by_alias(NAME, "champion").version) == 1
    last = Registry(client(workspace), NAME).ledger()[-1]
    assert (last["look"], last["champion"]) == (2, 2)
    rivals = [comparison["rival"] for comparison in last["decision"]["comparisons"]]
    assert len(rivals) == 3
    assert "champion" not in rivals  # it is one of the baselines


@pytest.mark.slow
def test_a_baseline_replaces_a_worse_model_that_was_put_in_use_by_hand(workspace: Path, run: Run) -> None:
    """Never is something in use that a baseline beats provably in the same windows."""
    without_a_champion(workspace)
    run("train", *QUICK, "model=lightgbm", "model.params.n_estimators=1", "model.params.num_leaves=2")
    run("promote", *QUICK, "version=2", "reason=a wrong one")
    done = run("promote", *QUICK, "version=2").stdout
    (look,) = Registry(client(workspace), NAME).ledger()
    use, stay = look["decision"]["use"], look["decision"]["stay"]
    champion = client(workspace).get_model_version_by_alias(NAME, "champion")
    assert (stay["model"], champion.tags["model"]) == ("candidate", use["model"])
    assert use["estimate"] > stay["estimate"] + 0.005
    assert f"in use: version 3, {use['model']}" in done


@pytest.mark.slow
def test_where_no_trial_is_within_the_guards_the_naive_model_is_used_without_a_look(workspace: Path, run: Run) -> None:
    (workspace / "mlflow.db").unlink()
    guarded = ["data=cdnow", "experiment=clv_quick", "search.models=[bg_nbd]", "tuning.n_trials=1"]
    guarded.append("+task.guards.total_ratio=[5.0, 6.0]")
    for _ in range(2):  # nothing changes by asking again
        done = run("run", *guarded, "report.sections=[verdicts]")
        assert "clv: not judged: there is no candidate: none of 1 complete trials is within" in done.stdout
        assert "comes nearest, outside the guard on total_ratio by " in done.stdout
        assert "in use without a look: version 1, naive_" in done.stdout
        champion = client(workspace).get_model_version_by_alias(NAME, "champion")
        assert (int(champion.version), champion.tags["kind"], champion.tags["verdict"]) == (1, "naive", "not judged")
        assert "none of 1 complete trials" in champion.tags["reason"]
    assert not [name for one in runs(workspace) for name in one.data.metrics if name.startswith(("sealed", "backtest"))]
    assert not Registry(client(workspace), NAME).ledger()
    table = pq.read_table(workspace / "outputs" / "cdnow" / "customer_360.parquet")
    assert set(table["clv_verdict"].to_pylist()) == {"not judged"}
    assert (
        table.schema.metadata[b"clv_verdict"].decode().endswith(f"in use instead: {label_of(champion.tags['model'])}")
    )


# Several questions in one run


@pytest.fixture
def three_questions(workspace: Path) -> list[str]:
    """A folder without a store, and the command for a question, quick segments and one whose horizon is too long."""
    (workspace / "mlflow.db").unlink()
    (workspace / "conf" / "task").mkdir(parents=True)
    (workspace / "conf" / "task" / "segments.yaml").write_text(
        "defaults: [segmentation, _self_]\nn_resamples: 2\nn_nulls: 1\n"
        "guards: {ari_p05: [-1.0, 1.0], smallest_share: [0.0, 1.0]}\n"
    )
    (workspace / "conf" / "task" / "far.yaml").write_text("defaults: [repurchase, _self_]\nhorizon_days: 400\n")
    command = ["run", "--config-dir", "conf", "data=cdnow", "tasks=[clv, segments, far]", "tuning.n_trials=2"]
    command += ["report.sections=[verdicts]"]
    command += ["evaluation.n_resamples=300", "evaluation.n_controls=1", "evaluation.n_origins=1"]
    return [*command, "evaluation.step_days=400"]


@pytest.mark.slow
def test_several_questions_are_judged_together_and_a_killed_run_goes_on(
    workspace: Path, run: Run, three_questions: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as killed:
        killed.setattr(promote, "close_look", lambda *arguments: (_ for _ in ()).throw(KeyboardInterrupt))
        run(*three_questions, code=130)
    for name in (NAME, "cdnow-segmentation"):
        model = client(workspace).get_registered_model(name)
        (look,) = Registry(client(workspace), name).ledger()
        assert look["together"] == ["clv", "segmentation"]
        assert look["decision"]
        assert not look["outcome"]
        assert not model.aliases  # nobody is champion by a p-value that is not corrected
    checked = []
    check = promote.checked_rival
    monkeypatch.setattr(promote, "checked_rival", lambda *given: checked.append(given) or check(*given))
    done = run(*three_questions)
    assert len(checked) == 2  # each candidate once
    assert "repurchase_400d: skipped, the data is too short for horizon_days=400" in done.stdout
    assert re.search(r"^next: experiments show --config-dir=\S+ data=cdnow .*task=clv: ", done.stdout, re.M)
    for name in (NAME, "cdnow-segmentation"):
        model = client(workspace).get_registered_model(name)
        (look,) = Registry(client(workspace), name).ledger()
        assert look["outcome"]
        assert "champion" in model.aliases
    table = pd.read_parquet(workspace / "outputs" / "cdnow" / "customer_360.parquet")
    assert table[["clv", "segment", "clv_verdict", "segmentation_verdict"]].notna().all(axis=None)


def figures_of(folder: Path, experiment: str) -> list[dict[str, float]]:
    """Return the metrics of each trial, in their order."""
    there = client(folder).get_experiment_by_name(experiment)
    trials = client(folder).search_runs([there.experiment_id], "tags.kind = 'trial'", order_by=["start_time"])
    return [trial.data.metrics for trial in trials]


SHORT = ["data=cdnow", "evaluation.n_resamples=300", "evaluation.n_controls=1", "evaluation.n_origins=1"]
SHORT += ["evaluation.n_validation=1", "evaluation.step_days=168"]


def two_questions(n_trials: int) -> list[str]:
    asked = ["tasks=[clv, repurchase]", f"tuning.n_trials={n_trials}", "report.sections=[verdicts]", "processes=2"]
    return ["run", *SHORT, *asked]


@pytest.mark.slow
def test_a_question_searched_beside_another_comes_out_as_alone(workspace: Path, run: Run) -> None:
    folder = workspace / "beside"
    folder.mkdir()
    shutil.copytree(workspace / ".cache", folder / ".cache")
    done = experiments(folder, *two_questions(2))
    assert "repurchase | best of 2 trials" in done.stderr
    assert "rror" not in done.stderr
    assert "continues here" not in done.stderr
    table = re.search(r"^task .*?(?=\n\n)", done.stdout, re.M | re.S)[0].splitlines()
    assert [row.split()[0] for row in table] == ["task", "clv", "repurchase"]
    run("tune", *SHORT, "task=repurchase", "tuning.n_trials=2", "tuning.storage=alone.journal")
    beside, alone = (figures_of(there, "cdnow-repurchase") for there in (folder, workspace))
    assert len(alone) == 2
    assert beside == alone


@pytest.mark.slow
def test_another_process_searches_one_question_after_the_other_and_is_replaced_where_it_is_killed(
    tmp_path: Path, shared_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = ["search.models=[nothing]", f"cache={shared_cache}"]  # refused at once
    tasks = ("clv", "repurchase", "next_purchase", "segmentation")
    helpers = side_by_side._Helpers([open_session("cdnow", task, tmp_path, asked) for task in tasks])
    started: list[subprocess.Popen[bytes]] = []
    said: list[str] = []
    popen = subprocess.Popen

    def start(*arguments: Any, **options: Any) -> subprocess.Popen[bytes]:
        started.append(popen(*arguments, **options))
        if len(started) == 1:
            started[0].kill()
            started[0].wait()
        return started[-1]

    monkeypatch.setattr(side_by_side.subprocess, "Popen", start)
    for level in ("info", "warning"):
        monkeypatch.setattr(side_by_side.logger, level, lambda text, *values: said.append(text % values))
    helpers.search(helpers.waiting.popleft())
    assert "the search of clv ended with code -9 and continues here" in said
    known = [line for line in said if "known: " in line]  # the candidates of each task in turn, behind its error
    assert [name in line for name, line in zip(("logistic", "cox", "quantile_bins"), known, strict=True)] == [True] * 3
    assert len(started) == 2


def is_alive(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.mark.slow
@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGKILL])
def test_no_search_outlives_the_run_that_began_it(workspace: Path, sent: signal.Signals) -> None:
    errors = workspace / "errors.txt"
    process = subprocess.Popen(
        [str(BIN / "experiments"), *two_questions(500)],
        cwd=workspace,
        env=environment(TQDM_MININTERVAL="0.1"),  # a line of the other search soon
        stderr=errors.open("w"),
    )
    deadline = time.monotonic() + 300
    while "repurchase | cdnow-repurchase" not in errors.read_text() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert "repurchase | cdnow-repurchase" in errors.read_text()
    (search,) = (child for child in psutil.Process(process.pid).children() if "cdnow-repurchase" in child.cmdline())
    process.send_signal(sent)
    assert process.wait(timeout=60) == (130 if sent == signal.SIGINT else -signal.SIGKILL)
    deadline = time.monotonic() + 60
    while is_alive(search):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert "Traceback" not in errors.read_text()
    if sent == signal.SIGINT:
        assert "repurchase | interrupted" in errors.read_text()
        assert not [r for r in runs(workspace) if r.info.status == "RUNNING"]


def test_an_override_of_one_task_is_refused_where_several_are_run(run: Run) -> None:
    refused = run("run", "data=cdnow", "task.horizon_days=30", code=2)
    assert "task.horizon_days=30 belongs to one task, and 5 are run" in refused.stderr
    assert "add task=clv" in refused.stderr
    assert "there is no task=sales" in run("run", "data=cdnow", "tasks=[clv, sales]", code=2).stderr


@pytest.mark.slow
def test_questions_of_one_task_have_models_ledgers_and_columns_of_their_own(workspace: Path, run: Run) -> None:
    quick = ["data=cdnow", "features=transactions", "model=logistic", "evaluation.step_days=400"]
    quick += ["evaluation.n_controls=1", "evaluation.n_resamples=50", "evaluation.n_origins=1"]
    asked = {"inactivity": "experiment=inactive_28_days", "inactivity_of_active": "experiment=gone_after_active"}
    for name, question in asked.items():
        run("train", *quick, question)
        run("promote", *quick, question)
        registry = Registry(client(workspace), f"cdnow-{name}")
        assert [(look["look"], look["champion"]) for look in registry.ledger()] == [(1, None)]
        assert registry.champion().tags["judged"] == f"p_{name}"
    run("score", *QUICK, "output=c.parquet")
    table = pd.read_parquet(workspace / "c.parquet")
    for name in asked:
        assert table[f"p_{name}"].between(0, 1).all()
        assert table[f"{name}_model"].str.startswith(f"cdnow-{name}/").all()
    assert set(table["inactivity_of_active_population"]) != set(table["inactivity_population"])


# score


def test_customer_360_has_a_row_per_customer_and_says_what_it_owes_its_figures_to(workspace: Path, run: Run) -> None:
    done = run("score", *QUICK, "output=out/c.parquet")
    table = pd.read_parquet(workspace / "out" / "c.parquet")
    assert len(table) == table["customer_id"].nunique() == 2357
    assert table["clv"].ge(0).all()
    assert table["p_alive"].between(0, 1).all()
    assert table["expected_purchases"].ge(0).all()
    assert set(table["as_of"]) == {"1998-07-01"}
    assert set(table["clv_model"]) == {f"{NAME}/1"}
    assert set(table["currency"]) == {"USD"}
    assert np.corrcoef(table["expected_purchases"], table["frequency"])[0, 1] > 0.5

    assert table["tier"].isin(["VIP", "Gold", "Silver", "Bronze", "At Risk"]).all()
    vips = pd.read_csv(workspace / "out" / "c_lists" / "vip_at_risk.csv", dtype={"customer_id": str})
    assert set(vips["customer_id"]) == set(table["customer_id"][table["action_list"] == "vip_at_risk"])
    assert (
        table.loc[table["action_list"] == "vip_at_risk", "action_reason"]
        .str.contains(r"tier Gold; chance to be a customer still \d")
        .any()
    )
    assert f"{len(vips)} customers, USD" in done.stdout

    run("score", *QUICK, "as_of=1997-03-01", "output=out/early.csv")
    early = pd.read_csv(workspace / "out" / "early.csv")
    assert len(early) < 2357
    assert early["T"].max() == 58
    assert sorted(path.name for path in (workspace / "out").iterdir()) == ["c.parquet", "c_lists", "early.csv"]


def test_clean_removes_what_a_killed_process_left_below_outputs(workspace: Path, run: Run) -> None:
    lists = workspace / "outputs" / "cdnow" / "lists"
    lists.mkdir(parents=True)
    left = lists / re.sub(r"-\d+-", "-999999999-", partial_of(lists / "best.csv").name)
    left.write_text("customer_id")
    assert str(left.relative_to(workspace)) in run("clean", "data=cdnow", "dry=true").stdout
    run("clean", "data=cdnow")
    assert list(lists.iterdir()) == []


# Command words


def test_mlprojects_one_parameter_for_all_overrides_is_split_and_empty_ones_are_left_out() -> None:
    assert expand(["task=clv", "data=", "overrides=a=1 b='x y'", "overrides="]) == ["task=clv", "a=1", "b=x y"]


def test_a_secret_in_a_parameter_of_an_mlflow_run_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MLFLOW_RUN_ID", "a1")
    assert main.run(["data", "overrides=data.url=postgresql://shop:hunter2@h/d"]) == 2
    refused = capsys.readouterr().err
    assert "hunter2" not in refused
    assert "delete run a1" in refused
    check_kept(["data.password=${oc.env:SHOP_DB_PASSWORD}", "tuning.storage=sqlite:///o.db?timeout=60", "task=clv"])
    check_kept(["tuning.storage=postgresql://fleet:${oc.env:FLEET_PASSWORD}@h/d", "reason=basic features were missing"])


def test_every_command_is_an_mlproject_entry_point() -> None:
    assert set(COMMANDS) == set(yaml.safe_load((ROOT / "MLproject").read_text())["entry_points"]) - {"main"}


def test_hydras_own_flags_work(tmp_path: Path) -> None:
    assert "n_trials: 4" in experiments(tmp_path, "tune", *QUICK, "--cfg", "job").stdout
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "flags", [["--cfg", "job"], ["--cfg=job"], ["-cjob"], ["-mc", "job"], ["--inf", "all"], ["-h"]]
)
def test_a_flag_that_dumps_is_masked(flags: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with _masked_dump(flags):
        print("password: hunter2")
    assert capsys.readouterr().out == "password: '***'\n"


LEAKS = [
    "mysql://h/d?user=u&passwd=hunter2",
    "mysql://h/d?pwd=hunter2",
    "snowflake://u@h/d?private_key=a hunter2 b",
    "bigquery://h/d?credentials_base64=hunter2",
    "mssql+pyodbc:///?odbc_connect=DRIVER%3DODBC%3BUID%3Du%3BPWD%3Dhunter2",
    "postgresql://u:a hunter2 b@h/d",
    "postgresql://u:a@hunter2@h/d",
    "postgresql://u:a/hunter2,b@h/d",
    "https://hunter2@h/d",
    "https://h/d?sv=1&sig=hunter2",
]
NAMED_SECRETS = [
    "passwd=hunter2",
    "DB_PWD=hunter2",
    "api_key=a/hunter2",
    "fs.azure.account.key=hunter2",
    "sig=hunter2",
    "SharedAccessSignature=hunter2",
    "password=a,hunter2",
    "password='it''s, hunter2'",
    'password="a, hunter2"',
]


@pytest.mark.parametrize("pair", NAMED_SECRETS)
def test_no_value_named_as_a_secret_is_in_a_message_a_line_or_a_configuration(pair: str) -> None:
    name, value = pair.split("=")
    assert masked(f"{pair} is refused by u@h, order_key=a") == f"{name}=*** is refused by u@h, order_key=a"
    assert masked_lines(f"data.{pair}\norder_key=a\n") == f"data.{name}=***\norder_key=a\n"
    assert without_secrets({name: value, "order_key": "a", "significance": 1}) == {
        **{name: "***", "order_key": "a"},
        "significance": 1,
    }


def test_a_token_of_a_header_is_not_in_a_message() -> None:
    refused = "401 for Authorization: Token eyJhb, Bearer eyJhbGciOi.J9-_x=; the bearer of a card, basic statistics"
    assert masked(refused) == "401 for Authorization: ***, Bearer ***; the bearer of a card, basic statistics"
    assert masked("experiment=basic\nevaluation.step_days=400") == "experiment=basic\nevaluation.step_days=400"


@pytest.mark.parametrize("address", LEAKS)
def test_no_secret_of_an_address_is_in_a_dump_or_an_artifact(address: str, capsys: pytest.CaptureFixture[str]) -> None:
    long = address.replace("hunter2", f"{'x ' * 60}hunter2")  # YAML folds it
    for url in (address, long):
        config = {"data": {"url": url, "passwd": "hunter2", "order_key": "a", "password": "${oc.env:P}"}}
        with _masked_dump(["--cfg", "job"]):
            print(OmegaConf.to_yaml(OmegaConf.create(config)))
        dumped = capsys.readouterr().out
        texts = [dumped, str(without_secrets(config)), masked_lines(f"data.url={url}\n")]
        texts += [] if " " in url else [masked(f"no answer of {url} by now")]
        assert [text for text in texts if "hunter2" in text] == []
        assert yaml.safe_load(dumped)["data"] | {"url": 0} == {
            **{"url": 0, "passwd": "***", "order_key": "a"},
            "password": "${oc.env:P}",
        }


@pytest.mark.parametrize("flags", [["-cd", "conf"], ["-cn=config"], ["--config-dir=conf", "data=shop"], ["-m"], []])
def test_what_a_command_prints_without_such_a_flag_is_seen_at_once(
    flags: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with _masked_dump(flags):
        print("trial 1")
        assert capsys.readouterr().out == "trial 1\n"


def test_a_reader_that_leaves_is_no_error(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)  # as `head -1` does when it has its line
    with os.fdopen(writing, "w") as closed:
        done = subprocess.run(
            [str(BIN / "experiments"), "--help"], cwd=tmp_path, env=environment(), stdout=closed, stderr=subprocess.PIPE
        )
    assert (done.returncode, done.stderr) == (main.READER_GONE, b"")


def test_the_ui_listens_where_it_is_told(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    typed: list[list[str]] = []
    jobs: set[str] = set()

    def started(program: str, command: list[str], environment: dict[str, str]) -> None:
        typed.append(command)
        jobs.add(environment["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"])

    monkeypatch.setattr("os.execve", started)
    said = run("ui", "port=5001").stdout
    assert "http://127.0.0.1:5001/#/experiments?workflowType=machine_learning" in said  # GenAI has no runs
    run("ui")
    assert typed[0][-2:] == ["--port", "5001"]
    assert "--port" not in typed[1]
    assert jobs == {"false"}
    assert "port is out of range" in run("ui", "port=0", code=2).stderr


def test_one_customer_is_answered_as_in_customer_360_and_no_reason_is_made_up(
    run: Callable[..., subprocess.CompletedProcess[str]], workspace: Path
) -> None:
    run("score", "data=cdnow")
    customers = pd.read_parquet(workspace / "outputs/cdnow/customer_360.parquet").set_index("customer_id")
    best = str(customers["clv"].idxmax())
    printed = run("ask", "data=cdnow", f"customer={best}").stdout
    assert printed.startswith(f"cdnow, customer {best} as of 1998-07-01, amounts in USD")
    row = customers.loc[best]
    said = dict(re.findall(r"^  (\w+) +(.+)$", printed, flags=re.MULTILINE))
    assert said["clv"] == f"{row['clv']:,.2f}"
    assert said["tier"] == row["tier"]
    assert said["action_reason"] == row["action_reason"]
    assert set(said) >= set(row.dropna().index) - set(score_columns(row.index))
    assert "raised by" not in printed  # a ridge regression has no trees
    assert "has no row as of" in run("ask", "data=cdnow", "customer=nobody", code=2).stderr


def score_columns(columns: Iterable[str]) -> Iterator[str]:
    """Yield the columns that say which model a score is of, and of which day."""
    ends = ("_horizon_days", "_model", "_verdict", "_population", "_amounts")
    yield from (name for name in columns if name.endswith(ends) or name in ("currency", "as_of"))
