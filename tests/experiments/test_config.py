"""Every option of every group composes, has the right types, and names only what there is."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from copy import deepcopy
from functools import cache

import pytest
import yaml
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig

from experiments.commands import main
from experiments.commands.compose import each_task_beside, of_task, session_of, tasks_left_out, typed
from experiments.models.registry import CANDIDATES, Candidate
from experiments.tasks import TASKS
from experiments.tuning.space import Space
from experiments.workflow.config import Config
from experiments.workflow.session import Session
from features.errors import InputError
from features.families import resolve
from workplace import ROOT

pytestmark = pytest.mark.usefixtures("quick_composition")
CONF = ROOT / "conf"
COMPLETED_LATER = {"files", "database", "own"}  # by the user's own file, by the task's own file
READ_ALL = {"hypotheses", "lists"}  # folders of which every file is read and none picked
OPTIONS = sorted(
    f"{path.parent.relative_to(CONF)}={path.stem}"
    for path in CONF.glob("*/*.yaml")
    if path.stem not in COMPLETED_LATER and path.parent.name not in READ_ALL
)


def composed(*overrides: str) -> Config:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return typed(compose("config", list(overrides)))


@cache
def of_task_alone(task: str) -> DictConfig:
    """Return the configuration of a task as it is without any other choice."""
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose("config", [f"task={task}"])


@cache
def parameters(task: str) -> Mapping[str, object]:
    """Return the parameters of each of a task's candidates."""
    return known_of(typed(of_task_alone(task)))


KNOWN: dict[str, Mapping[str, object]] = {}  # parameters of the candidates, by the task's options


def known_of(config: Config) -> Mapping[str, object]:
    """Return the parameters of each candidate of the configured task."""
    options = repr(config.task)
    if options not in KNOWN:
        KNOWN[options] = {name: candidate.build().get_params() for name, candidate in candidates(config).items()}
    return KNOWN[options]


def candidates(config: Config) -> Mapping[str, Candidate]:
    need_data = {name: value for name, value in {"variables": None, "category": "tea"}.items() if name in config.task}
    return Session(dataclasses.replace(config, task={**config.task, **need_data})).task.candidates()


def task_of(option: str) -> str:
    """Return the task that a model or search space belongs to; everything else goes with any."""
    group, _, name = option.partition("=")
    if group not in ("model", "search"):
        return "clv"
    return next((t for t in TASKS if name in {*parameters(t), t} or name.startswith(f"{t}_")), "clv")


def chosen(option: str) -> Config:
    """Return the configuration with an option: its own file is composed alone where it chooses no other file."""
    group, _, name = option.partition("=")
    if group in ("task", "data", "experiment"):
        return composed(option)
    config = deepcopy(of_task_alone(task_of(option)))
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config[group] = compose(f"{group}/{name}")[group]
    return typed(config)


@pytest.mark.parametrize("option", OPTIONS)
def test_every_option_composes_and_names_only_what_there_is(option: str) -> None:
    config = chosen(option)
    for rules in (config.tiers, config.tiers.value, config.lifecycle):
        rules.check()
    resolve(config.features.names)
    known = known_of(config)
    Space(config.search.models, config.search.space).check(known)
    assert {config.model.name, *config.search.models} <= set(known)
    assert set(config.model.params) <= set(known[config.model.name])


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
    with initialize_config_dir(str(CONF), version_base="1.3"):
        asked = each_task_beside(session)
    assert asked["repurchase"] is session
    other = asked["clv"]
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
    """Another process gets the text that was typed, not its value."""
    asked = []
    monkeypatch.setenv("PASSWORD", "se'c,ret")
    monkeypatch.setattr(
        "experiments.commands.data.main", lambda config: asked.append((config, session_of(config).overrides))
    )
    assert main.run(["data", "data=cdnow", "tuning.storage=postgresql://fleet:${oc.env:PASSWORD}@db/studies"]) == 0
    ((config, arguments),) = asked
    assert config.tuning.storage == "postgresql://fleet:se'c,ret@db/studies"
    assert arguments == ["data=cdnow", "tuning.storage=postgresql://fleet:${oc.env:PASSWORD}@db/studies"]


def test_every_candidate_has_a_file_that_repeats_no_default_of_its_signature() -> None:
    files = sorted((CONF / "model").glob("*.yaml"))
    assert {path.stem for path in files} == set(CANDIDATES)
    for path in files:
        content = yaml.safe_load(path.read_text())
        assert content["name"] == path.stem
        defaults = CANDIDATES[content["name"]].parameters()
        assert all(value != defaults[name] for name, value in content.get("params", {}).items()), path


def test_parameters_of_a_candidate_that_only_its_task_knows_are_left_to_the_task() -> None:
    config = composed("model.name=own_rate", "++model.params.shrinkage=0.4")
    assert config.model.params == {"shrinkage": 0.4}
    with pytest.raises(InputError, match="clv has no candidate 'own_rate'"):
        Session(config).task.build(config.model.name, config.model.params)


@pytest.mark.parametrize(
    ("typed", "problem", "hint"),
    [
        ("model.params.num_leavs=31", "lightgbm has no parameter 'num_leavs'", "did you mean 'num_leaves'?"),
        ("model.params.num_leaves=many", "model.params.num_leaves has a value of the wrong type", "expected: int"),
        ("model.params={leaves: 3}", "lightgbm has no parameter 'leaves'", "did you mean 'num_leaves'?"),
    ],
)
def test_a_models_parameters_are_those_of_its_signature(
    typed: str, problem: str, hint: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[Config] = []
    monkeypatch.setattr("experiments.commands.train.main", asked.append)
    assert main.run(["train", "model=lightgbm", "model.params.num_leaves=31"]) == 0
    assert asked.pop().model.params == {"num_leaves": 31}
    assert main.run(["train", "model=lightgbm", typed]) == 2
    refused = capsys.readouterr().err
    assert problem in refused
    assert hint in refused
    assert not asked


def test_what_a_task_sets_is_no_parameter_of_its_models() -> None:
    task = Session(composed("task=clv")).task
    assert task.build("bg_nbd", {"penalizer_coef": 0.1}).horizon_days == 90
    with pytest.raises(InputError, match="no parameter 'horizon_days'"):
        task.build("bg_nbd", {"horizon_days": 30})


def test_a_blend_is_searched_over_the_ranges_of_its_parts() -> None:
    clv, repurchase = (composed(f"task={task}").search.space for task in ("clv", "repurchase"))
    assert list(clv["blend"]) == ["probabilistic", "weight", *(f"boosting__{name}" for name in clv["lightgbm"])]
    for blend, alone in (
        (clv["blend"], clv["lightgbm"]),
        (repurchase["probability_blend"], repurchase["lightgbm_probability"]),
    ):
        assert {name: blend[f"boosting__{name}"] for name in alone} == alone
    assert list(repurchase["lightgbm_probability"]) == list(clv["lightgbm"])[2:]
    assert list(clv["bg_nbd"]) == ["penalizer_coef", "gamma_gamma_penalizer_coef"]


def test_a_plain_run_names_the_tasks_that_it_leaves_out_where_the_shop_has_their_tables() -> None:
    assert tasks_left_out(composed(), ["transactions", "products"]) == [
        name for name, task in TASKS.items() if not task.in_plain_run
    ]
    assert "propensity" not in tasks_left_out(composed(), ["transactions"])
    assert tasks_left_out(composed("tasks=[clv]"), ["transactions", "products"]) == []
