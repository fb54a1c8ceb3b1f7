"""One conformance suite over all tasks, on CDNOW's sample or a simulated store, and tests of validation and pruning."""

from __future__ import annotations

import dataclasses
from contextlib import suppress
from datetime import date, timedelta
from itertools import product
from pathlib import Path
from typing import ClassVar

import numpy as np
import optuna
import pandas as pd
import pytest
import yaml
from hydra import compose, initialize_config_dir

from baskets import sales_of_baskets
from experiments.commands.compose import typed
from experiments.evaluation.bootstrap import paired_bootstrap
from experiments.evaluation.metrics import Metric
from experiments.evaluation.validation import Dataset, validate
from experiments.models.base import Model
from experiments.models.registry import Candidate
from experiments.tasks import TASKS, check_classes
from experiments.tasks.base import Task
from experiments.tuning.objective import ValidationObjective
from experiments.tuning.space import Space
from experiments.workflow.session import Session
from experiments.workflow.shipped import default_options
from features.errors import InputError, UnsuitableDataError, check_type
from features.grains import CUSTOMER
from features.outcomes import Outcome
from merchandise_store import Store
from small_task import SmallTask
from workplace import ROOT

DAY = timedelta(days=1)


FEW = "evaluation.min_history_days=240"
OF_PRODUCTS = {  # tasks that CDNOW, whose lines name no products, does not allow
    "basket_completion": [FEW, "evaluation.part_cutoffs=1", "evaluation.training_step_days=60"],
    "propensity": [FEW, "evaluation.training_step_days=60", "features=rfm", "task.category=Bakery"],
    "recommendation": [FEW],
}


@pytest.fixture(scope="module")
def baskets(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the overrides of a simulated store with products."""
    folder = tmp_path_factory.mktemp("baskets")
    Store(folder).sell(sales_of_baskets())
    return f"data.path={folder}"


@pytest.fixture(scope="module", params=sorted(TASKS))
def session(request: pytest.FixtureRequest, shared_cache: Path, baskets: str) -> Session:
    few = OF_PRODUCTS.get(request.param)
    of_shop = ["data=merchandise_store", baskets, *few] if few else ["data=cdnow", "evaluation.training_step_days=90"]
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        asked = [*of_shop, f"task={request.param}", f"cache={shared_cache}"]
        return Session(typed(compose("config", asked)))


@pytest.fixture(scope="module")
def fitted(session: Session) -> tuple[Model, Dataset, Dataset]:
    """Return the configured model after fitting, its training rows, and the rows of the last validation cutoff."""
    training, held_out = session.splits.folds()[-1]
    dataset = session.dataset([*training, *held_out])
    train = dataset.at(*training)
    return session.task.build(session.config.model.name, {}).fit(train.X, train.target), train, dataset.at(*held_out)


VALUES = (True, None, 1, 28, 56, 0.1, 0.3, "purchase", "inactivity")


def test_questions_have_one_name_exactly_if_outcome_and_population_are_the_same(session: Session) -> None:
    """The default options have no suffix, unless one must be given, and conf/task/ states all of them."""
    task, defaults = session.task, default_options(session.config.task["name"])
    options = [field for field in dataclasses.fields(task) if field.name in defaults]
    assert options == [*dataclasses.fields(task)]
    is_asked = any(defaults[option.name] is None and task.differs(option.name, defaults) for option in options)
    assert (task.suffix(defaults) != "", session.question) == (is_asked, task.name + task.suffix(defaults))
    asked = [task]
    for option, value, days in product(options, VALUES, (28, 56, 90)):
        with suppress(InputError):  # not a value of this option
            check_type(value, str(option.type), option.name)
            asked.append(dataclasses.replace(task, **{"horizon_days": days, option.name: value}))
    named = {(f"{other.name}{other.suffix(defaults)}", other.target, other.population) for other in asked}
    assert len(named) > 3
    assert len({name for name, _, _ in named}) == len(named)
    assert len({(target, population) for _, target, population in named}) == len(named)


def test_features_lie_before_and_outcomes_after_the_cutoff(session: Session) -> None:
    task, cutoff = session.task, session.splits.validation[-1]
    whole = session.dataset([cutoff])
    shop = session.judged_shop
    lines = shop.engine.frame(shop.tables.transactions)
    if shop.tables.products is not None:
        lines = lines.merge(shop.engine.frame(shop.tables.products.select("product_id", "category")), "left")
    expected = task.expected(lines, cutoff)
    found = whole.y.droplevel("cutoff")
    assert list(found.columns) == list(expected.columns) == list(task.outcome().columns)
    assert found.index.names == list(task.grain.key)
    pd.testing.assert_frame_equal(found.sort_index(), expected.sort_index(), check_exact=False, rtol=1e-12)
    before = timedelta(days=session.config.evaluation.min_history_days)
    assert "T" not in whole.X or (whole.X["T"] <= (cutoff - session.splits.earliest + before).days).all()


def test_task_declares_its_contract(session: Session, fitted: tuple[Model, Dataset, Dataset]) -> None:
    task, (model, _, rows) = session.task, fitted
    baselines = task.baselines({})
    assert baselines
    assert set(baselines) < set(task.candidates())
    assert all(candidate.label for candidate in task.candidates().values())
    outputs = pd.DataFrame(model.outputs(rows.X), columns=list(task.outputs))
    np.testing.assert_array_equal(outputs[list(task.judged)].to_numpy(), np.c_[task.predict(model, rows.X)])
    evaluation = task.evaluate(model, rows)
    assert {task.objective_metric, task.primary_metric, *task.guards} <= set(evaluation.metrics)
    assert set(evaluation.metrics) | set(evaluation.undefined) >= set(task.metrics())
    assert all(metric.name == name and metric.means for name, metric in task.metrics().items())
    assert set(task.needs) <= set(session.shop.tables.present())
    assert task.ability
    assert task.primary_metric not in task.ability  # it is written in a marketer's words
    scores = outputs.set_index(rows.X.index.droplevel("cutoff"))
    view, groups = task.customer_view(scores), task.groups(scores)
    assert view is None or view.index.name == "customer_id"
    assert groups is None or groups.cat.ordered


def test_primary_metric_equals_the_metric_that_the_gate_resamples(
    session: Session, fitted: tuple[Model, Dataset, Dataset]
) -> None:
    task, (model, train, rows) = session.task, fitted
    evaluation = task.evaluate(model, rows)
    assert task.metric(evaluation.y, evaluation.prediction) == evaluation.metrics[task.primary_metric]
    baseline = next(iter(task.baselines(model.get_params()).values()))().fit(train.X, train.target)
    draws = paired_bootstrap(
        task.metric,
        evaluation.y,
        {"model": evaluation.prediction, "baseline": task.evaluate(baseline, rows).prediction},
        evaluation.y.index.get_level_values(task.grain.resampled),
        n_resamples=50,
        seed=0,
    )
    assert draws["model"].estimate == evaluation.metrics[task.primary_metric]
    assert np.isfinite(draws.gain("model", "baseline").draws).all()


def test_diagnosis_returns_numbers_and_tables(session: Session, fitted: tuple[Model, Dataset, Dataset]) -> None:
    model, _, rows = fitted
    diagnosis = session.task.diagnose(model, rows)
    if diagnosis is None:
        pytest.skip("this task has none")
    assert all(np.isfinite(value) for value in diagnosis.metrics.values())
    assert not any(table.empty for table in diagnosis.tables.values())


def test_aligned_models_agree_with_the_champion(session: Session, fitted: tuple[Model, Dataset, Dataset]) -> None:
    model, train, rows = fitted
    if not session.task.keeps_labels:
        pytest.skip("this task has no labels to keep")
    again = session.task.build(session.config.model.name, {}).fit(train.X, train.target)
    numbers = sorted(set(again.segment(rows.X)))
    again.relabel(dict(zip(numbers, reversed(numbers), strict=True)))
    assert (again.segment(rows.X) != model.segment(rows.X)).any()
    again = session.task.align(again, rows.X, model, rows.X)
    np.testing.assert_array_equal(again.segment(rows.X), model.segment(rows.X))


def test_a_task_without_a_method_cannot_be_instantiated() -> None:
    class Forgetful(Task):
        name = "forgetful"

    with pytest.raises(TypeError, match=r"candidates.*expected.*grain.*metrics.*outcome.*outputs"):
        Forgetful(30, "gini", 0.01, {}, {})


def test_every_file_of_the_folder_is_a_task_with_its_configuration() -> None:
    files = {path.stem for path in (ROOT / "src" / "experiments" / "tasks").glob("*.py")} - {"__init__", "base"}
    assert set(TASKS) == files
    assert files <= {path.stem for path in (ROOT / "conf" / "task").glob("*.yaml")}
    configured = [yaml.safe_load(path.read_text()) for path in (ROOT / "conf" / "task").glob("*.yaml")]
    assert {config["name"] for config in configured} <= files


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"grain": property(lambda task: CUSTOMER)}, "grain must be an attribute of the class"),
        ({"name": property(lambda task: "wobbly")}, r"needs names\(\)"),
        ({"name": "small"}, "two tasks are named 'small': first, second"),
        ({"section": lambda task, material: None}, "section must be a class method"),
    ],
)
def test_a_class_by_which_a_champion_would_not_be_found_is_refused(content: dict[str, object], message: str) -> None:
    with pytest.raises(ImportError, match=message):
        check_classes({"first": SmallTask, "second": type("Second", (SmallTask,), {"name": "other", **content})})


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"judged": ("spent",)}, "small has no valid judged outputs"),
        ({"outputs": {}}, "small has no valid judged outputs"),
        ({"names": classmethod(lambda task: ("large",))}, "lacks 'small'"),
    ],
)
def test_a_task_that_contradicts_itself_is_refused(content: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        type("Contradictory", (SmallTask,), content)()


def test_a_task_without_a_baseline_is_refused() -> None:
    with pytest.raises(InputError, match="small has no baseline"):
        SmallTask(models={"level": Candidate(Level, "a level")}).baselines({})


def test_an_outcome_of_several_columns_has_no_mean_for_a_control() -> None:
    class Censored(SmallTask):
        def outcome(self) -> Outcome:
            return Outcome("wait", ("days", "observed"), lambda future, rows: rows)

    with pytest.raises(InputError, match="small has no control for an outcome of several columns"):
        Censored().control()


class Level(Model):
    """Model that predicts its parameter for every row, and records the cutoffs that it was trained at."""

    seen: ClassVar[list[tuple[set[date], set[date]]]] = []

    def __init__(self, level: float = 0.0) -> None:
        self.level = level

    def fit(self, X: pd.DataFrame, y: pd.Series) -> Level:
        self.trained_ = days_of(X)
        return self

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        self.seen.append((self.trained_, days_of(X)))
        return np.full(len(X), self.level)


def days_of(X: pd.DataFrame) -> set[date]:
    return {day.date() for day in X.index.get_level_values("cutoff")}


CUTOFFS = [date(2017, 1, 1) + 30 * DAY * step for step in range(8)]
FOLDS = [(CUTOFFS[:3], CUTOFFS[5:6]), (CUTOFFS[:4], CUTOFFS[6:7]), (CUTOFFS[:5], CUTOFFS[7:])]
TASK = SmallTask(
    primary_metric="level",
    guards={"level": (0.0, 0.9)},
    models={"level": Candidate(Level, "a level")},
    measured={"level": Metric("level", "mean prediction", lambda y, p, weights=None: p.mean(), gain="is higher")},
)


def rows_at(cutoffs: list[date]) -> Dataset:
    index = pd.MultiIndex.from_product([["a", "b"], pd.DatetimeIndex(cutoffs)], names=["customer_id", "cutoff"])
    return Dataset(pd.DataFrame({"T": 1.0}, index=index), pd.DataFrame({"y": 1.0}, index=index))


def test_each_fold_trains_only_on_its_own_cutoffs() -> None:
    Level.seen.clear()
    validate(TASK.evaluate, lambda: TASK.build("level", {"level": 0.5}), rows_at(CUTOFFS), FOLDS)
    assert Level.seen == [(set(training), set(held_out)) for training, held_out in FOLDS]


def test_a_cutoff_without_rows_raises() -> None:
    with pytest.raises(KeyError, match="2017-01-31"):
        rows_at(CUTOFFS[:1]).at(*CUTOFFS[:2])


def test_a_poor_trial_is_pruned_after_its_first_cutoff_and_a_guard_is_a_constraint() -> None:
    space = Space(["level"], {"level": {"level": {"low": 0.0, "high": 1.0}}})
    objective = ValidationObjective(TASK, space, rows_at(CUTOFFS), FOLDS)
    study = optuna.create_study(
        direction="maximize", pruner=optuna.pruners.MedianPruner(n_startup_trials=3, n_warmup_steps=0)
    )
    for level in (0.5, 0.6, 0.95, 0.1):
        study.enqueue_trial({"model": "level", "level.level": level})
    study.optimize(objective, n_trials=4)
    assert [trial.state.name for trial in study.trials] == ["COMPLETE", "COMPLETE", "COMPLETE", "PRUNED"]
    assert [len(trial.user_attrs["fold_metrics"]) for trial in study.trials] == [3, 3, 3, 1]
    assert study.trials[2].constraints["level"] == pytest.approx(0.05)
    assert study.trials[0].constraints["level"] <= 0


def test_an_undefined_objective_raises_and_is_never_a_number() -> None:
    nothing = Metric(
        "level", "no figure", lambda y, p, weights=None: np.nan, gain="is higher", undefined="all are equal"
    )
    task = dataclasses.replace(TASK, guards={}, measured={"level": nothing})
    evaluation = task.evaluate(Level().fit(rows_at(CUTOFFS[:1]).X, None), rows_at(CUTOFFS[:1]))
    assert evaluation.metrics == {}
    assert evaluation.undefined == {"level": "all are equal"}
    objective = ValidationObjective(task, Space(["level"], {"level": {}}), rows_at(CUTOFFS), FOLDS)
    with pytest.raises(UnsuitableDataError, match="level is undefined on these rows: at 2017-05-31 all are equal"):
        objective(optuna.trial.FixedTrial({"model": "level"}))


def test_an_unknown_candidate_or_parameter_is_named() -> None:
    with pytest.raises(InputError, match="did you mean 'level'"):
        TASK.build("levl", {})
    with pytest.raises(InputError, match="did you mean 'level'"):
        TASK.build("level", {"levl": 1})
