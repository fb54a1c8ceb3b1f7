"""The ledger and the registry after interruptions, with several processes and with changed code."""

from __future__ import annotations

import fcntl
import logging
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import date
from functools import partial
from itertools import count
from pathlib import Path
from typing import NoReturn
from unittest.mock import MagicMock
from uuid import uuid4

import mlflow
import numpy as np
import pandas as pd
import pytest
from hydra import compose, initialize_config_dir
from mlflow import MlflowClient

from experiments.commands.compose import typed
from experiments.evaluation.splits import make_splits
from experiments.gate import ledger
from experiments.gate.promotion import carry_out
from experiments.gate.rule import Comparison, Decision, Outcome, alpha_of_look, correct
from experiments.tracking import packaging, store
from experiments.tracking.hidden import plain
from experiments.tracking.registry import LONGEST_TAG, REGISTERING, Registry, Version
from experiments.tracking.runs import Runs
from experiments.tracking.store import connect
from experiments.workflow import promote, run
from experiments.workflow.candidate import registered
from experiments.workflow.session import Session
from features.errors import InputError
from workplace import QUICK, ROOT, environment

NAME = "shop-clv"
TAGS = {"target": "spend"}
WINDOW = ledger.Window(start="2017-10-03", end="2018-01-01", rule="r")


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory, new_store: Path) -> str:
    return f"sqlite:///{shutil.copy(new_store, tmp_path_factory.mktemp('gate'))}"


@pytest.fixture
def registry(address: str, request: pytest.FixtureRequest) -> Registry:
    """A registered model with three versions and no champion, of its own for each test."""
    registry = Registry(connect(address), f"{NAME}-{request.node.name}".replace("[", "-").replace("]", ""))
    for _ in range(3):
        registry.register("file:///nowhere", None, TAGS)
    return registry


def decided(promote: bool) -> Decision:
    p_values = {"gain": 0.001 if promote else 0.5, "effect": 0.01 if promote else 0.6, "loss": 0.9, "absence": 0.9}
    comparison = Comparison("naive", 0.58, (0.5, 0.6), 0.02, 0.01, 0.03, (0.01, 0.03), 0.95, 0.01, p_values)
    return Decision(
        promote=promote,
        verdict="strong" if promote else "undecided",
        reasons=() if promote else ("no gain",),
        comparisons=(comparison,),
        metric="gini",
        min_effect=0.005,
        alpha=0.03,
        estimate=0.6,
        interval=(0.5, 0.7),
        baseline="naive",
        guards={},
        n_baselines=1,
        backtest={},
    )


def taken(
    registry: Registry,
    number: int,
    decision: Decision,
    window: ledger.Window = WINDOW,
    together: Sequence[str] = ("clv",),
) -> ledger.Look:
    """Open a look and record this decision, unless one is recorded."""
    look = ledger.open_look(registry, registry.get(number), registry.champion(), window, together)
    return look if look.is_decided else ledger.record_decision(registry, look, decision)


def look(registry: Registry, number: int, promote: bool, window: ledger.Window = WINDOW) -> ledger.Look:
    """Take a look, close it and carry it out."""
    opened = taken(registry, number, decided(promote), window)
    (outcome,) = correct([opened.decision])
    closed = ledger.close_look(registry, opened, outcome)
    carry_out(registry, registry.get(number), closed, "in words")
    return closed


@pytest.mark.parametrize(("task", "rule"), [("clv", "126a826bff13a487"), ("repurchase", "516d158a1a4efd9e")])
def test_looks_of_stores_in_use_are_by_the_rule_of_today(task: str, rule: str) -> None:
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        config = typed(compose("config", [f"task={task}"]))
    session = MagicMock(task=Session(config).task, config=config)
    assert promote._window(session).rule == rule


def test_the_window_of_a_series_ends_with_its_last_step() -> None:
    splits = make_splits(
        date(2017, 1, 1),
        date(2018, 1, 1),
        horizon_days=7,
        step_days=7,
        min_history_days=60,
        n_validation=1,
        part_cutoffs=13,
    )
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        config = typed(compose("config", ["evaluation=series"]))
    window = promote._window(MagicMock(task=Session(config).task, config=config, splits=splits))
    assert (window.start, window.end) == ("2017-10-02", "2018-01-01")


def champion(registry: Registry) -> int | None:
    version = registry.champion()
    return version and version.number


def test_a_store_is_created_by_one_process_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def watched(path: Path) -> NoReturn:
        (lock,) = tmp_path.glob("new/.locks/mlflow.db.*.lock")
        with lock.open("w") as file, pytest.raises(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        raise ConnectionError("seen")

    monkeypatch.setattr("experiments.tracking.store._create_tables", watched)
    with pytest.raises(InputError, match="seen"):
        connect(f"sqlite:///{tmp_path}/new/mlflow.db")
    assert [path.name for path in (tmp_path / "new").iterdir()] == [".locks"]


def test_a_store_is_made_anew_if_it_is_half_made_and_never_if_it_may_hold_something(
    tmp_path: Path, new_store: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Killed while MLflow made its tables; a store with an experiment; a database of another program."""
    whole, half, used, foreign = (tmp_path / name for name in ("mlflow.db", "half.db", "used.db", "foreign.db"))
    shutil.copy(new_store, whole)
    for path, change in {
        half: "ALTER TABLE tags RENAME TO _alembic_tmp_tags",
        used: "INSERT INTO experiments (experiment_id, name) VALUES (1, 'shop'); DROP TABLE tags",
        foreign: "CREATE TABLE orders (id INTEGER); DROP TABLE tags",
    }.items():
        shutil.copy(whole, path)
        with closing(sqlite3.connect(path)) as database:
            database.executescript(change)
    before = [path.read_bytes() for path in (used, foreign)]
    assert [store._is_half_made(path) for path in (whole, half, used, foreign)] == [False, True, False, False]
    (tmp_path / "half.db-journal").write_text("of a transaction that was cut off")
    caplog.set_level(logging.WARNING, "experiments.tracking.store")
    assert connect(f"sqlite:///{half}").search_experiments()
    assert "half.db is only half made, by a command that was interrupted, and is made anew" in caplog.text
    assert [path.read_bytes() for path in (used, foreign)] == before
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        *(".locks", "foreign.db", "half.db", "mlflow.db", "used.db"),
    ]


def test_a_look_that_dies_counts_once_and_goes_on_for_the_same_question(registry: Registry) -> None:
    """Its process is killed in the evaluation, twice; another version, rule or champion is another look."""
    for _ in range(2):
        died = ledger.open_look(registry, registry.get(1), None, WINDOW, ["clv"])
        assert (died.number, died.alpha, died.is_decided) == (1, alpha_of_look(1), False)
    assert look(registry, 2, promote=False).number == 2
    assert [entry["look"] for entry in registry.ledger()] == [1, 2]
    again = look(registry, 1, promote=False)
    assert (again.number, again.alpha, again.fresh) == (1, alpha_of_look(1), True)
    assert not look(registry, 1, promote=False).fresh
    assert [(entry["look"], bool(entry["decision"])) for entry in registry.ledger()] == [(1, True), (2, True)]


@pytest.mark.parametrize("changed", ["version", "rule", "champion"])
def test_a_look_that_died_does_not_go_on_for_another_question(registry: Registry, changed: str) -> None:
    ledger.open_look(registry, registry.get(1), None, WINDOW, ["clv"])
    if changed == "champion":
        registry.crown(3, "by hand")
    other = ledger.open_look(
        registry,
        registry.get(2 if changed == "version" else 1),
        registry.champion(),
        replace(WINDOW, rule="another") if changed == "rule" else WINDOW,
        ["clv"],
    )
    assert (other.number, other.alpha) == (2, alpha_of_look(2))


def test_looks_at_overlapping_windows_count_together(registry: Registry) -> None:
    look(registry, 1, promote=False)
    a_day_later = ledger.Window(start="2017-10-04", end="2018-01-02", rule="r")
    assert look(registry, 2, promote=False, window=a_day_later).number == 2
    next_quarter = ledger.Window(start="2018-01-02", end="2018-04-02", rule="r")
    assert look(registry, 2, promote=False, window=next_quarter).number == 1


def test_a_look_is_in_the_ledger_before_the_sealed_window_is_read(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dies(*arguments: object, **options: object) -> NoReturn:
        (entry,) = registry.ledger()
        assert (entry["look"], entry["version"], entry["decision"]) == (1, 1, None)
        raise MemoryError

    monkeypatch.setattr(promote, "gather", dies)
    monkeypatch.setattr(promote, "_window", lambda session: WINDOW)
    session = MagicMock(registry=registry)
    with pytest.raises(MemoryError):
        promote.take_look(session, registry.get(1), None, ["clv"])
    with pytest.raises(MemoryError):  # of the second try: `dies` has found one entry, and no other
        promote.take_look(session, registry.get(1), None, ["clv"])
    assert [entry["decision"] for entry in registry.ledger()] == [None]
    session.runs.log.assert_not_called()


def test_a_decision_stands_until_rule_or_champion_change(registry: Registry) -> None:
    assert look(registry, 1, promote=False).fresh
    assert not look(registry, 1, promote=True).fresh
    assert champion(registry) is None
    assert look(registry, 1, promote=True, window=ledger.Window(WINDOW.start, WINDOW.end, rule="milder")).fresh
    assert champion(registry) == 1


def test_a_promotion_killed_before_the_alias_was_set_is_resumed(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    look(registry, 1, promote=True)
    with monkeypatch.context() as killed:
        killed.setattr(Registry, "crown", lambda *arguments: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            look(registry, 2, promote=True)
    assert champion(registry) == 1
    again = look(registry, 2, promote=False)
    assert (again.fresh, again.number, champion(registry)) == (False, 2, 2)


def test_a_champion_that_changed_meanwhile_stops_the_promotion(registry: Registry) -> None:
    opened = ledger.open_look(registry, registry.get(1), None, WINDOW, ["clv"])
    registry.crown(3, "by someone on another machine")
    decision = ledger.record_decision(registry, opened, decided(True))
    closed = ledger.close_look(registry, decision, correct([decision.decision])[0])
    with pytest.raises(InputError, match="changed while version 1 was judged"):
        carry_out(registry, registry.get(1), closed, "in words")
    assert champion(registry) == 3


def test_a_recorded_outcome_stands(registry: Registry) -> None:
    alone = taken(registry, 1, decided(True), together=["clv", "segmentation"])
    assert alone.outcome is None
    assert champion(registry) is None  # a look alone crowns nobody
    refused = Outcome(False, "weak", ("not beside the others",))
    carry_out(registry, registry.get(1), ledger.close_look(registry, alone, refused), "in words")
    again = look(registry, 1, promote=True)
    assert (again.fresh, again.outcome, champion(registry)) == (False, refused, None)
    assert registry.get(1).tags["verdict"] == "weak"
    assert again.entry["decision"]["promote"]  # what it said alone stays in the ledger


def test_a_ledger_holds_decisions_of_any_length_and_each_reason_once(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = decided(False)
    rivals = tuple(replace(one.comparisons[0], rival=f"naive_{number}_{'long_' * 40}") for number in range(60))
    long = replace(
        one,
        comparisons=rivals,
        baseline=rivals[0].rival,
        n_baselines=60,
        reasons=tuple(f"the gain over {rival.rival} is not shown" for rival in rivals),
    )

    def judged(registry: Registry, *, killed: bool = False) -> ledger.Look:
        with monkeypatch.context() as patched:
            if killed:  # as the ledger would be where a process ends between two pieces
                pieces = iter([True, True, False])
                write = registry.client.set_registered_model_tag
                patched.setattr(
                    registry.client,
                    "set_registered_model_tag",
                    lambda *tag: write(*tag) if next(pieces) else (_ for _ in ()).throw(KeyboardInterrupt),
                )
            return taken(registry, 1, long)

    with pytest.raises(KeyboardInterrupt):
        judged(registry, killed=True)
    assert [past["decision"] for past in registry.ledger()] == [None]
    judged_again = judged(registry)
    (outcome,) = correct([judged_again.decision])
    beside_others = replace(outcome, reasons=(*outcome.reasons, "not beside the others"))
    closed = ledger.close_look(registry, judged_again, beside_others)
    carry_out(registry, registry.get(1), closed, "in words")
    tags = registry.client.get_registered_model(registry.name).tags
    assert max(map(len, tags.values())) <= LONGEST_TAG
    assert max(map(len, registry.get(1).tags.values())) <= LONGEST_TAG
    again = taken(registry, 1, one)
    assert (again.fresh, again.decision, again.outcome) == (False, judged_again.decision, beside_others)
    assert [comparison.rival for comparison in again.decision.comparisons] == [rival.rival for rival in rivals]
    assert "".join(value for key, value in tags.items() if ".0001" in key).count(long.reasons[-1]) == 1

    with pytest.raises(InputError, match=r"too long for the ledger(.|\n)*at most 4,000 characters"):
        ledger.open_look(registry, registry.get(2), None, WINDOW, ["task" * 1000])


def test_a_look_stands_after_a_baseline_was_used_instead_of_its_candidate(registry: Registry) -> None:
    look(registry, 1, promote=False)
    registry.tag(3, {"kind": "naive", "instead_of": "1"})
    registry.crown(3, "nothing better")
    assert not look(registry, 1, promote=True).fresh
    assert look(registry, 2, promote=True).fresh
    assert champion(registry) == 2


def test_rolling_back_follows_the_history_of_the_alias(registry: Registry) -> None:
    for number in (1, 2):
        registry.crown(number, "test")
    registry.crown(2, "again: nothing happens")
    registry.client.set_registered_model_alias(registry.name, "champion", "3")  # in the UI
    assert registry.roll_back("test") == (3, 2)
    assert registry.roll_back("test") == (2, 1)
    with pytest.raises(InputError, match="no champion to go back to"):
        registry.roll_back("test")
    assert champion(registry) == 1
    registry.crown(2, "back by hand")
    assert "rolled_back" not in registry.get(2).tags


WRITING = [
    *("set_registered_model_tag", "delete_registered_model_tag", "set_model_version_tag", "delete_model_version_tag"),
    *("set_registered_model_alias", "delete_registered_model_alias"),
    *("update_run", "set_terminated", "delete_model_version"),
]
LONG = "because of " + "this " * 1500  # two tags of the store
CHANGES: dict[str, Callable[[Registry], object]] = {
    "crown": lambda registry: registry.crown(1, LONG, {"gate": "bypassed"}),
    "roll back": lambda registry: registry.roll_back("worse"),
    "retire": lambda registry: registry.retire("old"),
}


def state_of(registry: Registry) -> tuple[object, ...]:
    tags = {version.number: dict(version.tags) for version in registry.versions()}
    own = plain(registry.client.get_registered_model(registry.name).tags)
    return champion(registry), {key: own[key] for key in own if not key.startswith("change.")}, tags


def begun(address: str, name: str) -> Registry:
    """Return a registered model of which versions 1 and 2 were champion in turn, and 1 was once found worse."""
    registry = Registry(connect(address), name)
    for tags in ({**TAGS, "rolled_back": "before"}, TAGS):
        registry.register("file:///nowhere", None, tags)
    registry.client.set_registered_model_alias(name, "champion", "2")
    registry.client.set_registered_model_tag(name, "champions", "[1, 2]")
    return registry


UNREADABLE = ["", "0 {", "0 []", "99999999999 {}", '0 {"operation": "crown", "owner": "anna"}']


def described(registry: Registry, change: str) -> None:
    registry._set("change", change)
    registry.finish_abandoned()  # nobody's, as far as that can be read


@pytest.mark.parametrize(
    ("meanwhile", "said", "in_use"),
    [
        (lambda registry: registry.delete(1), "version 1 is gone", 2),
        (lambda registry: alias(registry, 3), "version 3 was put in use meanwhile", 3),
        *((lambda registry, said=said: described(registry, said), "be read", 2) for said in UNREADABLE),
    ],
)
def test_a_change_that_no_longer_holds_is_given_up(
    address: str, meanwhile: Callable[[Registry], None], said: str, in_use: int, caplog: pytest.LogCaptureFixture
) -> None:
    registry = begun(address, f"meanwhile {uuid4().hex}")
    with pytest.raises(KeyboardInterrupt), killed_at(2, registry.client):
        registry.roll_back("worse")
    registry.register("file:///nowhere", None, TAGS)
    meanwhile(registry)
    assert registry.finish() is None
    assert said in caplog.text
    assert champion(registry) == in_use
    assert "change" not in plain(registry.client.get_registered_model(registry.name).tags)


@pytest.mark.parametrize("name", ["roll back", "retire"])
def test_a_change_stands_written_down_until_all_that_goes_with_it_is_done(address: str, name: str) -> None:
    registry = begun(address, f"kept {name}")
    answers = []

    def made() -> None:
        with registry.one_change():
            answers.append(CHANGES[name](registry))
            if len(answers) == 1:
                raise KeyboardInterrupt  # before the descriptions are written

    with pytest.raises(KeyboardInterrupt):
        made()
    made()
    assert answers[0] == answers[1]
    assert champion(registry) == (1 if name == "roll back" else None)
    assert registry.finish() is None


def test_tags_of_older_stores_are_read_and_give_way_to_later_ones(address: str) -> None:
    registry = begun(address, "older")  # its champions are under the plain key
    assert registry.history() == [1, 2]
    registry.register("file:///nowhere", None, {**TAGS, "features": "[]", "files_digest": "0"})
    registry.roll_back("worse")
    assert registry.history() == [1]
    shown = {key for key in registry.client.get_registered_model("older").tags if not key.startswith("mlflow.")}
    assert shown == {"champions", "since"}
    seen = registry.client.get_model_version("older", "3").tags
    assert not {"features", "files_digest"} & seen.keys()
    assert (registry.get(3).features, registry.get(3).tags["files_digest"]) == ([], "0")


def test_a_rollback_whose_bad_version_was_deleted_goes_back_once(address: str) -> None:
    registry = begun(address, "deleted")
    with pytest.raises(KeyboardInterrupt), killed_at(3, registry.client):
        registry.roll_back("worse")
    registry.delete(2)
    assert registry.roll_back("worse") == (2, 1)
    assert champion(registry) == 1


def test_a_change_of_a_process_that_is_alive_is_left_to_it(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    registry = begun(address, "alive")
    with pytest.raises(KeyboardInterrupt), killed_at(2, registry.client):
        registry.roll_back("worse")
    registry.finish_abandoned()
    assert champion(registry) == 2
    monkeypatch.setattr("experiments.tracking.change.is_gone", lambda owner: True)
    registry.finish_abandoned()
    assert champion(registry) == 1


def alias(registry: Registry, number: int) -> None:
    registry.client.set_registered_model_alias(registry.name, "champion", str(number))


@contextmanager
def killed_at(write: int, client: MlflowClient) -> Iterator[None]:
    """Interrupt a client before one of its writes."""
    numbers = count(1)

    def counted(*arguments: object, method: Callable[..., object], **named: object) -> None:
        if next(numbers) == write:
            raise KeyboardInterrupt
        method(*arguments, **named)

    with pytest.MonkeyPatch.context() as patched:
        for name in WRITING:
            patched.setattr(client, name, partial(counted, method=getattr(client, name)))
        yield


@pytest.mark.parametrize("name", CHANGES)
@pytest.mark.quick(1)
def test_a_change_that_is_cut_off_at_any_write_is_made_once(address: str, name: str) -> None:
    """Finish it by the next command that changes the model, or by the same command."""
    change, undisturbed = CHANGES[name], begun(address, f"{name} undisturbed")
    answer = change(undisturbed)
    for write in count(1, 2):
        registry = begun(address, f"{name} {write}")
        before = state_of(registry)
        try:
            with killed_at(write, registry.client):
                change(registry)
            break
        except KeyboardInterrupt:
            pass
        if write % 4 == 1:
            registry.finish()
        if write % 4 == 3 or state_of(registry) == before:  # it was not written down yet
            assert change(registry) == answer
        assert state_of(registry) == state_of(undisturbed)
    assert write > 5


def test_of_two_that_were_registered_at_once_the_first_stays_wherever_a_process_is_killed(
    address: str, tmp_path: Path
) -> None:
    (tmp_path / "MLmodel").touch()
    for write in count(1):
        client, name = connect(address), f"at once {write}"
        session = MagicMock(registry=Registry(client, name), runs=Runs(client, name))
        for _ in range(2):  # the second on another machine, which was killed before it looked for the first
            of_run = {"kind": "refit", "model": "bg_nbd"}
            run_id = session.runs.start("refit bg_nbd", of_run)
            session.registry.register(tmp_path.as_uri(), run_id, {**of_run, "candidate_digest": "same"})
        try:
            with killed_at(write, client):
                registered(session, "same")
            break
        except KeyboardInterrupt:
            found = registered(session, "same")
        assert found is not None
        (only,) = session.registry.versions()
        assert (found.number, only.number, REGISTERING in only.tags) == (1, 1, False)
        runs = [run.info for run in session.runs._search("")]
        assert {(run.run_name, run.status) for run in runs} == {
            ("bg_nbd, version 1", "FINISHED"),
            ("bg_nbd, as version 1", "FINISHED"),
        }
    assert write > 6


def test_of_versions_of_one_candidate_those_that_were_confirmed_or_in_use_stay(registry: Registry) -> None:
    session = MagicMock(registry=registry, runs=MagicMock())
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Version, "has_files", True)
        for number in (1, 2, 3):
            registry.tag(number, {"candidate_digest": "same"})
        registry.confirm(2)  # registered while the files of 1 were gone
        registry.crown(3, "by hand")
        assert [version.number for version in registry.same("same")] == [1, 2, 3]
        first = registered(session, "same")
    assert first is not None
    assert (first.number, len(registry.versions())) == (1, 3)


def test_a_retired_version_may_be_judged_again_and_rolling_back_restores_the_one_before(registry: Registry) -> None:
    assert look(registry, 1, promote=True).fresh
    assert registry.retire("another question") == 1
    retired = registry.get(1)
    assert (champion(registry), retired.tags["retired"], retired.rolled_back) == (None, "another question", None)
    with pytest.raises(InputError, match="no champion to go back to"):
        registry.roll_back("test")
    assert not look(registry, 1, promote=True).fresh  # the same window and rule: the recorded look stands
    assert champion(registry) == 1
    assert "retired" not in registry.get(1).tags
    registry.crown(2, "test")
    registry.retire("test")
    assert registry.history() == [1]
    assert registry.roll_back("test") == (1, 1)
    assert champion(registry) == 1


def test_a_task_without_a_champion_whose_candidate_is_not_judged_gets_a_baseline(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of four candidates one was rolled back, one is refused, one refused beside a champion, and one is judged."""
    used, refusal = [], InputError("undefined there")
    registry.tag(1, {"rolled_back": "worse"})
    of_champion = MagicMock(registry=MagicMock(champion=lambda: registry.get(3)))
    answers = [
        run.Answer(MagicMock(registry=registry), candidate=registry.get(1)),
        run.Answer(MagicMock(registry=registry), candidate=registry.get(2)),
        run.Answer(of_champion, candidate=registry.get(2)),
        run.Answer(MagicMock(registry=registry), candidate=registry.get(2)),
    ]
    monkeypatch.setattr(run, "promote_together", lambda sessions, candidates: [refusal, refusal, MagicMock()])
    monkeypatch.setattr(run, "use_baseline_unjudged", lambda session, why: used.append((session, why.problem)))
    run.judge(answers)
    assert used == [
        (answers[0].session, "version 1 is still the best and was rolled back"),
        (answers[1].session, "undefined there"),
    ]
    assert [(answer.is_unjudged, answer.is_skipped) for answer in answers] == [
        (True, False),
        (True, False),
        (False, True),
        (False, False),
    ]


@pytest.mark.slow
def test_a_version_predicts_with_its_own_code(finished_run: tuple[Path, str], monkeypatch: pytest.MonkeyPatch) -> None:
    folder, _ = finished_run
    registry = Registry(connect(f"sqlite:///{folder}/mlflow.db"), "cdnow-clv")
    version = registry.champion()
    assert version is not None
    X = packaging.synthetic_rows(version.features)
    expected = version.scores(X)
    other_code = replace(version, tags={**version.tags, "models_digest": "another"})
    assert not other_code.has_current_code
    monkeypatch.setattr(type(version.estimator), "predict", lambda self, X: np.full(len(X), -1.0))
    assert (version.scores(X) != expected).all(axis=None)  # the code in use stands in for the version's own
    pd.testing.assert_frame_equal(other_code.scores(X), expected)


@pytest.mark.parametrize(
    "file",
    ["artifacts/model.json", "artifacts/config.json", "served.py", "code/experiments/models/base.py", "code/new.py"],
)
@pytest.mark.parametrize("models_digest", ["current", "another"])
def test_nothing_of_a_version_runs_whose_files_were_changed(
    finished_run: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str, models_digest: str
) -> None:
    version = Registry(MlflowClient(f"sqlite:///{finished_run[0]}/mlflow.db"), "cdnow-clv").champion()
    assert version is not None
    if models_digest == "another":
        version = replace(version, tags={**version.tags, "models_digest": models_digest})
    mlflow.set_tracking_uri(version.store)
    folder = shutil.copytree(mlflow.artifacts.download_artifacts(version.uri), tmp_path / "model")
    monkeypatch.setattr(mlflow.artifacts, "download_artifacts", lambda uri: str(folder))
    assert packaging.files_digest(folder) == version.tags["files_digest"]
    with (folder / file).open("a") as changed:
        changed.write(f"open({str(tmp_path / 'ran')!r}, 'w')\n" if file.endswith(".py") else " ")
    with pytest.raises(InputError, match="are not those that were registered"):
        version.check_loads()
    assert not (tmp_path / "ran").exists()


def test_the_digest_of_files_counts_names_and_not_the_bytecode_of_an_import(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("1")
    before = packaging.files_digest(tmp_path)
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__" / "a.pyc").write_text("1")
    assert packaging.files_digest(tmp_path) == before
    (tmp_path / "a").rename(tmp_path / "b")
    assert packaging.files_digest(tmp_path) != before


def test_the_code_of_a_model_includes_the_task_file_that_defines_it() -> None:
    models = packaging.models_digest()
    assert packaging.models_digest("experiments.models.blend") == models
    own = {packaging.models_digest(f"experiments.tasks.{task}") for task in ("clv", "repurchase")}
    assert len({models, *own}) == 3
    assert packaging.models_digest("experiments.tasks.gone") == models


@pytest.mark.slow
def test_of_two_winners_at_once_the_second_must_beat_the_first(workspace: Path, run: Callable[..., object]) -> None:
    run("train", *QUICK, "model=mbg_nbd", "model.params.penalizer_coef=0.001")
    client = MlflowClient(f"sqlite:///{workspace}/mlflow.db")
    client.delete_registered_model_alias("cdnow-clv", "champion")
    for key in client.get_registered_model("cdnow-clv").tags:
        client.delete_registered_model_tag("cdnow-clv", key)
    both = [
        subprocess.Popen(
            [str(Path(sys.executable).parent / "experiments"), "promote", *QUICK, f"version={number}"],
            cwd=workspace,
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in (1, 2)
    ]
    printed = [process.communicate(timeout=180) for process in both]
    assert [process.returncode for process in both] == [0, 0], printed
    looks = Registry(client, "cdnow-clv").ledger()
    assert [entry["look"] for entry in looks] == [1, 2]
    assert looks[0]["decision"]["promote"]
    assert looks[1]["champion"] == looks[0]["version"]
    assert not looks[1]["decision"]["promote"]
    assert int(client.get_model_version_by_alias("cdnow-clv", "champion").version) == looks[0]["version"]
    assert date.fromisoformat(looks[0]["start"]) == date(1998, 4, 2)
