"""The contract of a task: one marketing question, from its rows to its report section."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from math import inf
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd

from experiments.evaluation.amounts import check_bounds
from experiments.evaluation.metrics import Metric, check_guards, check_primary_metric, measure
from experiments.evaluation.validation import Dataset, Evaluation
from experiments.models import registry
from experiments.models.registry import Candidate
from features.errors import InputError, check_type, did_you_mean, listing
from features.grains import CUSTOMER, Grain
from features.outcomes import Outcome
from features.shop import Shop

if TYPE_CHECKING:  # scikit-learn and matplotlib take seconds to import, and not every command needs them
    from experiments.models.base import Model
    from experiments.reports.material import Material
    from experiments.reports.section import Section

Expand = Callable[[Sequence[str]], list[str]]


@dataclass(frozen=True)
class Task(ABC):
    """Contract of one marketing question.

    A task is one file in this folder, which is found automatically, and `conf/task/<file>.yaml`, whose keys are the
    fields of the class. A subclass must define all abstract methods before it can be instantiated.

    Attributes
    ----------
    horizon_days : int
        Outcomes are observed in [cutoff, cutoff + horizon_days).
    primary_metric : str
        Metric that the search maximises and the gate decides on.
    min_effect : float
        Smallest gain in the primary metric that is worth a change of champion.
    guards : mapping of metric to (lowest, highest)
        Inclusive ranges; a model outside them is not promoted.
    minimum : mapping of count to int
        Minimum counts of each window: see `counted`.
    """

    horizon_days: int
    primary_metric: str
    min_effect: float
    guards: Mapping[str, tuple[float, float]]
    minimum: Mapping[str, int]

    needs: ClassVar[tuple[str, ...]] = ("transactions",)
    """Canonical tables that the task reads."""
    further_metrics: ClassVar[Mapping[str, str]] = {}
    """Metrics that `evaluate` adds to those of `metrics()`, each with its meaning; they may have guards."""
    nulls: ClassVar[Mapping[str, str]] = {}
    """Metrics that are negative controls, with their names under control/."""
    keeps_labels: ClassVar[bool] = False
    """True if `align` changes labels."""
    shown_features: ClassVar[tuple[str, ...]] = ()
    """Features that the customer view shows beside the scores."""
    section_name: ClassVar[str] = ""
    """Name of the task's section, as report.sections has it; the name of the task's file when empty."""
    label: ClassVar[str] = ""
    """The task in a marketer's words, as in "a model for …"; its name without underscores when empty."""
    words: ClassVar[Mapping[str, str]] = {}
    """Outputs in a marketer's words, where their names are not: see `reports.words.worded`."""
    in_plain_run: ClassVar[bool] = True
    """False if a run that names no tasks leaves this one out, such as one that takes minutes."""
    plain_metric: ClassVar[str] = ""
    """Metric that says a difference in the primary one in plain words, beside it in decisions."""

    def __post_init__(self) -> None:
        if self.horizon_days < 1:
            raise InputError(
                "horizon_days is out of range", where="task.horizon_days", expected=">= 1", found=str(self.horizon_days)
            )
        if not 0 <= self.min_effect < inf:
            raise InputError(
                "min_effect is out of range",
                where="task.min_effect",
                expected="a finite number, at least 0",
                found=str(self.min_effect),
            )
        self._check_names()
        metrics = self.metrics()
        check_primary_metric(self.primary_metric, metrics)
        check_guards(self.guards, [*metrics, *self.further_metrics])
        check_minimum(self.minimum, self.counted)

    def _check_names(self) -> None:
        """Check that `names` lists the name, and that `judged` names outputs."""
        name, foreseen = self.name, type(self).names()
        if name not in foreseen:
            raise InputError(f"names() lacks {name!r}", where="Task.names", expected=name, found=listing(foreseen))
        foreign = [output for output in self.judged if output not in self.outputs]
        if foreign or not self.judged:
            raise InputError(
                f"{name} has no valid judged outputs",
                where="Task.judged",
                expected=f"some of its outputs: {listing(self.outputs)}",
                found=listing(foreign) or "none",
            )

    # The question

    @property
    @abstractmethod
    def name(self) -> str:
        """Name of the question under the default options: see `suffix`."""

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """Return all names that the task may have under its configurations."""
        return (cls.name,)

    def suffix(self, defaults: Mapping[str, Any]) -> str:
        """Return the end of the question's name: what differs from the default options in outcome or population.

        `name` and suffix name registered models, ledger and columns of the scores. Configurations with the same name
        and suffix must have the same `target` and `population`; the default options have no suffix.

        Parameters
        ----------
        defaults : mapping
            Options as conf/task/<file>.yaml has them; one that is absent has no default, and is never named.
        """
        return f"_{self.horizon_days}d" if self.differs("horizon_days", defaults) else ""

    def differs(self, option: str, defaults: Mapping[str, Any]) -> bool:
        """Return True if an option is not the default one."""
        return option in defaults and getattr(self, option) != defaults[option]

    @classmethod
    def configure(cls, options: dict[str, Any], expand: Expand) -> dict[str, Any]:
        """Return the options of the configuration in the form that the class takes.

        Parameters
        ----------
        options : dict
            Keys of conf/task/<file>.yaml without `name`.
        expand : callable
            Replaces wildcards in feature names.
        """
        return options

    @property
    @abstractmethod
    def grain(self) -> Grain:
        """Grain of the task: the meaning of a row."""

    @abstractmethod
    def outcome(self) -> Outcome:
        """Return the outcome that is predicted for each row."""

    @property
    def target(self) -> str:
        """Outcome and population in one string; models of different targets are never compared."""
        return self.outcome().name

    @property
    def population(self) -> str:
        """Rows that are evaluated, in words; models of different populations are never compared."""
        return f"{self.grain.name} rows known at the cutoff"

    @abstractmethod
    def expected(self, lines: pd.DataFrame, cutoff: date) -> pd.DataFrame:
        """Compute the outcome a second time in plain pandas, for the comparison in tests.

        Parameters
        ----------
        lines : DataFrame
            All canonical transactions, with the categories of their products where the shop knows them.
        cutoff : date

        Returns
        -------
        DataFrame of the outcome's columns, indexed by the grain's key
        """

    def opened(self, shop: Shop) -> Shop:
        """Return the shop that models are trained and judged on; by default as it is.

        A task overrides this if what it predicts is recorded together with what is known: the parts of an order. Scores
        are made of the shop as it is.
        """
        return shop

    def dataset(self, shop: Shop, features: Sequence[str], cutoffs: Sequence[date]) -> Dataset:
        """Compute the features before, and the outcome after, each cutoff."""
        return Dataset(
            X=shop.features(features, cutoffs, self.grain),
            y=shop.outcome(self.outcome(), cutoffs, self.horizon_days, self.grain),
        )

    def judged_rows(self, dataset: Dataset) -> Dataset:
        """Return the rows of the population. Models train on all rows and predict all rows."""
        return dataset

    @property
    def history(self) -> tuple[str, ...]:
        """Features that `judged_rows` and `counts` read; empty for a grain without customers."""
        return ("frequency",) if self.grain.takes(CUSTOMER) else ()

    @property
    def counted(self) -> Mapping[str, str]:
        """Meaning of each count of `counts`, by the names that `minimum` may use; the unit of the rows comes first.

        A grain without customers, such as a category's weeks, counts rows instead.
        """
        outcomes = {"positives": "rows with a target above 0", "negatives": "rows with a target of 0"}
        if not self.grain.takes(CUSTOMER):
            return {"rows": "rows of the task's population", **outcomes}
        return {
            "customers": "customers of the task's population",
            "repeat_customers": "rows of customers with at least two purchase days",
            **outcomes,
        }

    def counts(self, dataset: Dataset) -> pd.DataFrame:
        """Count customers and outcomes of each window, among the rows of the population.

        Parameters
        ----------
        dataset : Dataset
            It must have the features of `history`.

        Returns
        -------
        DataFrame indexed by cutoff, one column for each of `counted`
        """
        judged = self.judged_rows(dataset)
        y = judged.y.iloc[:, 0]
        rows = {"positives": y > 0, "negatives": y == 0}
        if not self.grain.takes(CUSTOMER):
            return pd.DataFrame({"rows": True, **rows}, index=y.index).groupby(level="cutoff").sum()
        rows = {"repeat_customers": judged.X["frequency"] > 0, **rows}
        counts = pd.DataFrame(rows, index=y.index).groupby(level="cutoff").sum()
        customers = y.index.to_frame()[["customer_id", "cutoff"]].drop_duplicates()
        counts.insert(0, "customers", customers.groupby(level="cutoff").size())
        return counts

    # Models

    @property
    def own_features(self) -> tuple[str, ...]:
        """Features that every model gets beside the configured ones, such as those of a category that is asked for."""
        return ()

    @abstractmethod
    def candidates(self) -> Mapping[str, Candidate]:
        """Return the models that may be trained, by name; at least one of them is a baseline."""

    def build(self, name: str, params: Mapping[str, Any]) -> Model:
        """Build one of the candidates without training it, and check it: see `models.registry.build`."""
        model = registry.build(self.candidates(), name, params, self.name)
        model.check()
        return model

    def baselines(self, params: Mapping[str, Any]) -> dict[str, Callable[[], Model]]:
        """Return the baselines for a comparison with a model of these parameters: see `models.registry.baselines`.

        Raises
        ------
        InputError
            If the task has no baseline.
        """
        found = registry.baselines(self.candidates(), params)
        if not found:
            raise InputError(
                f"{self.name} has no baseline",
                where="Task.candidates",
                expected="at least one Candidate with is_baseline=True",
                found=listing(self.candidates()),
            )
        return found

    def align(self, model: Model, X: pd.DataFrame, champion: Model, champion_X: pd.DataFrame) -> Model:
        """Return the model with labels that agree with the champion's on the same rows."""
        return model

    def control(self) -> Model:
        """Build the control that uses no feature: the same prediction for every row.

        Raises
        ------
        InputError
            If the outcome has several columns: their mean predicts none of them, so the task must override this.
        """
        from experiments.models.baselines import Constant

        columns = self.outcome().columns
        if len(columns) > 1:
            raise InputError(
                f"{self.name} has no control for an outcome of several columns",
                where="Task.control",
                expected="a model of its own that predicts the same for all rows",
                found=listing(columns),
            )
        return Constant()

    # Evaluation

    @abstractmethod
    def metrics(self) -> Mapping[str, Metric]:
        """Return the metrics of predictions, by name."""

    @property
    def metric(self) -> Metric:
        """Primary metric."""
        return self.metrics()[self.primary_metric]

    @property
    def ability(self) -> str:
        """Meaning of a better primary metric to a marketer, as in "the model ... better than another"."""
        return self.metric.gain

    @property
    def objective_metric(self) -> str:
        """Metric that the search maximises."""
        return self.primary_metric

    @property
    def judged(self) -> tuple[str, ...]:
        """Outputs that `predict` returns and metrics evaluate."""
        return tuple(self.outputs)

    def predict(self, model: Any, X: pd.DataFrame) -> pd.Series | pd.DataFrame:
        """Predict each row, indexed as X: a Series, or a DataFrame if several outputs are judged."""
        prediction = np.asarray(model.predict(X))
        if len(self.judged) == 1:
            return pd.Series(prediction, index=X.index, name="prediction")
        return pd.DataFrame(prediction, index=X.index, columns=list(self.judged))

    def evaluate(self, model: Any, dataset: Dataset) -> Evaluation:
        """Predict the rows of the population, and compute the metrics."""
        judged = self.judged_rows(dataset)
        prediction = self.predict(model, judged.X)
        metrics, undefined = measure(self.metrics().values(), judged.target, prediction)
        return Evaluation(judged.target, prediction, metrics, undefined, self.tables(judged.target, prediction))

    def sealed_figures(self, y: pd.Series | pd.DataFrame, prediction: pd.Series | pd.DataFrame) -> Mapping[str, float]:
        """Return further figures of the candidate in the sealed window, logged beside its metrics."""
        return {}

    def tables(self, y: pd.Series | pd.DataFrame, prediction: pd.Series | pd.DataFrame) -> Mapping[str, pd.DataFrame]:
        """Return the tables for the charts of an evaluation, by name."""
        return {}

    def diagnose(self, model: Model, dataset: Dataset) -> Evaluation | None:
        """Compute further diagnostics of a candidate that are too slow for every trial; None if there are none."""
        return None

    # Outputs and report

    @property
    @abstractmethod
    def outputs(self) -> Mapping[str, str]:
        """Columns of the scores, each with its meaning and unit in words."""

    @classmethod
    def lists(cls, question: str, scores: pd.DataFrame, shop: Shop, as_of: date) -> pd.DataFrame | None:
        """Return the rows that people are shown in place of all scored rows of another grain, with more columns.

        Not called for a task of customers.

        Parameters
        ----------
        question : str
            Name of the task with its suffix: what the scores answer.
        scores : DataFrame of `outputs`, indexed by the grain's key
        shop : Shop
        as_of : date
            Day of the scores, which is not included.

        Returns
        -------
        DataFrame indexed by the grain's key, or None
            Its columns are `outputs`, and further ones such as a reason in words. None shows all scored rows.
        """
        return None

    @classmethod
    def customer_view(cls, scores: pd.DataFrame) -> pd.DataFrame | None:
        """Fold the scores of another grain into one row for each customer, for customer_360.

        Not called for a task of customers: its scores are columns of customer_360 already.

        Parameters
        ----------
        scores : DataFrame of `outputs`, indexed by the grain's key; or what `lists` makes of them

        Returns
        -------
        DataFrame indexed customer_id, or None
            None keeps them out of customer_360.
        """
        return None

    @classmethod
    def customer_columns(cls, scores: pd.DataFrame, as_of: date, horizon_days: int) -> pd.DataFrame:
        """Return the columns of customer_360 that the scores of a task of customers become; by default the scores.

        Not called for a task of another grain, which has `customer_view`.

        Parameters
        ----------
        scores : DataFrame of `outputs`, indexed customer_id
            Some of the customers: rows are scored in batches.
        as_of : date
            Day of the scores, which is not included.
        horizon_days : int
            Of the model that made them.

        Returns
        -------
        DataFrame, same index
            Numbers and texts; each column of one type in every batch.
        """
        return scores

    @classmethod
    def eligible(cls, question: str, X: pd.DataFrame) -> np.ndarray | None:
        """Return which customers the event can happen to, or None for all. The others have no score in customer_360.

        Not called for a task of another grain.

        Parameters
        ----------
        question : str
            Name of the task with its suffix.
        X : DataFrame indexed customer_id
            Features, those of the model among them.

        Returns
        -------
        bool array of shape (n_customers,), or None
        """
        return None

    @classmethod
    def groups(cls, scores: pd.DataFrame) -> pd.Series | None:
        """Return the groups of customers that the task makes, or None.

        Parameters
        ----------
        scores : DataFrame
            Columns of customer_360, including those of the task, indexed customer_id.

        Returns
        -------
        Series of ordered categories, indexed customer_id, or None
            Its name says what a group is: "segment".
        """
        return None

    @classmethod
    def section(cls, material: Material) -> Section | None:
        """Write the task's report section, or return None.

        A section whose data are missing says so: see `reports.section.Topic`, which a task may declare for it.

        Parameters
        ----------
        material : Material
        """
        return None


@dataclass(frozen=True)
class AmountTask(Task):
    """Task whose predictions add up to an amount: money, or a number of customers.

    After the fit its totals are calibrated by past windows and by the season, and the version says how far they can be
    trusted (`evaluation.amounts`). Neither changes the order of rows at a cutoff, on which the gate decides.

    Attributes
    ----------
    amounts : mapping of status to (lowest, highest)
        Range of actual / predicted total within which the interval of the next window lies, for `reliable` and `rough`.
    """

    amounts: Mapping[str, tuple[float, float]]

    link: ClassVar[str]
    """Scale on which a total is moved: `log` of amounts that may grow without limit, `logit` of probabilities."""

    @property
    def total(self) -> str:
        """Sum of the outcomes in words, as in "the actual spend"."""
        return "total"

    def __post_init__(self) -> None:
        check_bounds(self.amounts)
        super().__post_init__()


def check_minimum(minimum: Mapping[str, int], counted: Mapping[str, str]) -> None:
    """Check that each minimum is a count that the task knows.

    Raises
    ------
    InputError
    """
    for name, number in minimum.items():
        where = f"task.minimum.{name}"
        if name not in counted:
            raise InputError(f"{name!r} is not counted", where="task.minimum", hint=did_you_mean(name, counted))
        check_type(number, "int", where)
        if number < 0:
            raise InputError("the minimum is out of range", where=where, expected=">= 0", found=str(number))
