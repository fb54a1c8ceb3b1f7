"""Every option of every group composes, has the right types, and names only what there is."""

from __future__ import annotations

import dataclasses

import pytest
from hydra import compose, initialize_config_dir

from experiments.commands import main
from experiments.commands.compose import of_task, session_of, typed
from experiments.models import CANDIDATES
from experiments.tasks import TASKS
from experiments.tuning.space import Space
from experiments.workflow.audit import asking
from experiments.workflow.config import Config
from experiments.workflow.session import Session
from features.errors import InputError
from features.families import resolve
from workplace import ROOT

CONF = ROOT / "conf"
READ_ALL = {"hypotheses"}  # folders of which every file is read and none picked
OPTIONS = sorted(
    f"{path.parent.relative_to(CONF)}={path.stem}"
    for path in CONF.glob("*/*.yaml")
    if path.stem != "files" and path.parent.name not in READ_ALL
)


def composed(*overrides: str) -> Config:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return typed(compose("config", list(overrides)))


def candidates(task: str) -> set[str]:
    config = composed(f"task={task}")
    options = {**config.task, "variables": None} if "variables" in config.task else config.task
    return set(Session(dataclasses.replace(config, task=options)).task.candidates())


def task_of(option: str) -> list[str]:
    """Models and search spaces belong to a task; everything else goes with any."""
    group, _, name = option.partition("=")
    for task in TASKS:
        if group in ("model", "search") and name in {*candidates(task), task}:
            return [f"task={task}"]
    return []


@pytest.mark.parametrize("option", OPTIONS)
def test_every_option_composes_and_names_only_what_there_is(option: str) -> None:
    config = composed(*task_of(option), option)
    for rules in (config.tiers, config.tiers.value, config.lifecycle):
        rules.check()
    known = {name: candidate.build().get_params() for name, candidate in CANDIDATES.items()}
    resolve(config.features.names)
    Space(config.search.models, config.search.space).check(known)
    assert set(config.model.params) <= set(known[config.model.name])
    task = {**config.task, "variables": None} if "variables" in config.task else config.task
    candidates = Session(dataclasses.replace(config, task=task)).task.candidates()
    assert {config.model.name, *config.search.models} <= set(candidates)


def test_a_saved_combination_gives_other_tasks_all_but_what_belongs_to_its_own() -> None:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        quick, overrides = of_task("segmentation", ["data=cdnow", "experiment=clv_quick"])
        gone, _ = of_task("clv", ["experiment=gone_after_active"])
        plain, _ = of_task("segmentation", ["data=cdnow"])
    assert (quick.evaluation.n_resamples, quick.tuning.n_trials) == (200, 5)
    assert (quick.task, quick.features, quick.search) == (plain.task, plain.features, plain.search)
    assert "experiment=clv_quick" in overrides
    assert (gone.task["name"], "event" in gone.task) == ("clv", False)


def test_an_audit_asks_each_task_as_given_and_the_configured_one_as_it_is() -> None:
    given = ["data=cdnow", "experiment=gone_after_active", "evaluation.seed=7", "task.horizon_days=14"]
    session = Session(composed(*given), given)
    session.shop = None
    assert asking(session, "repurchase") is session
    with initialize_config_dir(str(CONF), version_base="1.3"):
        other = asking(session, "clv")
    assert (other.config.task["horizon_days"], other.config.evaluation.seed) == (90, 7)
    assert "experiment=gone_after_active" in other.overrides


def test_every_choice_of_the_defaults_is_a_file() -> None:
    config = composed()
    assert config.data["shop"] == "complete_journey"
    assert config.task["name"] == "clv"
    folders = {path.name for path in CONF.iterdir() if path.is_dir()}
    assert {option.partition("=")[0] for option in OPTIONS} == folders - READ_ALL


def test_a_shop_without_products_gets_features_that_need_none() -> None:
    narrow = composed("data=cdnow").features.names
    assert {table for family in resolve(narrow) for table in family.needs} == {"transactions"}
    assert composed("data=cdnow", "features=rfm").features.names != narrow


def test_saved_questions_about_absence_differ_in_whom_they_judge() -> None:
    everybody, active = (composed(f"experiment={name}").task for name in ("inactive_28_days", "gone_after_active"))
    assert everybody["event"] == active["event"] == "inactivity"
    assert (everybody["active_within_days"], active["active_within_days"]) == (None, 28)
    assert composed("task=repurchase", "task.horizon_days=90").task["horizon_days"] == 90


def test_wrong_tiers_and_stages_stop_no_command_that_asks_for_none() -> None:
    config = composed("tiers.cut_points=[0.4,0.2]", "tiers.value.names=[]", "lifecycle.period_days=0")
    for options in (config.tiers, config.tiers.value, config.lifecycle):
        with pytest.raises(InputError):
            options.check()


def test_a_password_from_the_environment_is_on_no_command_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """What another process is asked is what was typed, not what it stands for."""
    asked = []
    monkeypatch.setenv("PASSWORD", "se'c,ret")
    monkeypatch.setattr(
        "experiments.workflow.data.main", lambda config: asked.append((config, session_of(config).arguments))
    )
    assert main.run(["data", "data=cdnow", "tuning.storage=postgresql://fleet:${oc.env:PASSWORD}@db/studies"]) == 0
    ((config, arguments),) = asked
    assert config.tuning.storage == "postgresql://fleet:se'c,ret@db/studies"
    assert arguments == ["data=cdnow", "tuning.storage=postgresql://fleet:${oc.env:PASSWORD}@db/studies"]
