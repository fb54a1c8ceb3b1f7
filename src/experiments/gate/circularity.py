"""Audit of a task's target: it must depend on its window only, and must not be a formula of features."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import pandas as pd

from experiments.evaluation.cluster_metrics import surrogate
from experiments.evaluation.identities import MOST_NAMED, best_fit, identities
from experiments.evaluation.validation import Dataset
from experiments.models import Segmentation
from experiments.models.base import Model
from experiments.tasks.base import Task
from features.errors import InputError, InsufficientDataError, listing
from features.families import resolve
from features.leakage import ALL_TABLES, Finding, Movement, differences, leak
from features.progress import SELDOM, steps
from features.shop import Shop
from features.tampering import TAMPERINGS, Tamperer, deal, on_engine, splice

ACCUSING_LOSS = 0.01


@dataclass(frozen=True)
class Limits:
    """Limits above which a fit is too good to be a prediction (conf/audit/).

    Attributes
    ----------
    max_r2 : float
        Maximum out-of-fold R2 of a target by features.
    max_labels_known : float
        Maximum share of the labels outside the largest cluster that a classifier predicts correctly.
    min_rows, min_distinct : int
        Minimum number of rows, and of different values among them, that must satisfy a formula.
    n_folds : int
    seed : int
    """

    max_r2: float
    max_labels_known: float
    min_rows: int
    min_distinct: int
    n_folds: int
    seed: int


def audit_task(
    task: Task, shop: Shop, features: Sequence[str], tamperer: Tamperer, cutoffs: Sequence[date], limits: Limits
) -> Iterator[Finding]:
    """Check a task by changing the data that its features and its target must not read; search for a formula.

    Features must not change with the future, and the target must not change with data outside its window.

    Yields
    ------
    Finding
    """
    shop = on_engine(shop, tamperer.memory, shop.cache)
    dataset = task.dataset(shop, features, cutoffs)
    tamperer.engine.learnt.next_round()  # a function of the task that remembers later cutoffs is called again
    moved, comparisons = _movements(task, shop, features, tamperer, dataset, cutoffs)
    for what, movements in moved.items():
        yield leak(f"task {task.name}: {what}", movements)
    if not moved:
        yield Finding(
            "future changed",
            f"task {task.name}",
            "clean",
            f"{comparisons:,} comparisons of {dataset.X.shape[1]} features, and of {task.target} with all data "
            "outside its window changed",
            comparisons,
        )
    yield from audit_emptied(task, shop, features, tamperer, dataset, cutoffs)
    yield from audit_dealt(task, shop, features, dataset, cutoffs)
    units = dataset.X.index.get_level_values(task.grain.resampled)
    targets = _named(task, dataset.y)
    for target, y in steps(targets.items(), f"formulas of {task.name}", targets.shape[1], "targets", every=SELDOM):
        yield audit_formula(f"task {task.name}: {target}", dataset.X, y, limits, units=units, fails=True)


def _movements(
    task: Task,
    shop: Shop,
    features: Sequence[str],
    tamperer: Tamperer,
    dataset: Dataset,
    cutoffs: Sequence[date],
) -> tuple[dict[str, list[Movement]], int]:
    """Find the features and targets of a task that change with data that they must not read.

    All tables are changed at once. If a value changes, each table is changed in turn to name the cause.

    Returns
    -------
    moved : dict of feature or target to its movements
    comparisons : int
        Number of compared columns.
    """
    horizon = timedelta(days=task.horizon_days)
    moved: dict[str, list[Movement]] = {}
    comparisons = 0

    def changed(cutoff: date, tables: Sequence[str], how: str, part: str) -> tuple[pd.DataFrame, pd.DataFrame, int]:
        """Compute features (part X) or target (y) before and after a change.

        The third value is the number of changed rows.
        """
        end = cutoff + horizon
        periods = {"X": [(cutoff, None)], "y": [(None, cutoff), (end, None)]}[part]
        everything = how == TAMPERINGS[-1] or len(tables) == 1  # as of features: see leakage
        engine, rows = tamperer.change(tables, how, *periods, everything=everything)
        other = on_engine(shop, engine, tamperer.cache(tables, how, *periods))
        spliced = splice(other, shop) if part == "X" else splice(shop, other)
        then = dataset.at(cutoff)
        of_window = [column for column in then.y if column not in task.outcome().of_past]
        try:
            now = task.dataset(spliced, features, [cutoff])
        except InsufficientDataError:
            if part == "X":
                raise
            nothing = _named(task, then.y.iloc[:0][of_window])  # no row is left of a past without its latest orders
            return nothing, nothing, rows
        if part == "X":
            return then.X, now.X, rows
        same = then.y.index.intersection(now.y.index)  # eligibility depends on the past
        return _named(task, then.y.loc[same, of_window]), _named(task, now.y.loc[same, of_window]), rows

    for cutoff in cutoffs:
        for how in steps(TAMPERINGS, f"{task.name} at {cutoff}", len(TAMPERINGS), "tamperings"):
            for part in ("X", "y"):
                before, after, all_rows = changed(cutoff, tamperer.names, how, part)
                comparisons += before.shape[1]
                together = {what: change for what, *change in differences(before, after)}
                if not together:
                    continue
                for table in tamperer.names:
                    before, after, rows = changed(cutoff, [table], how, part)
                    for what, customers, example in differences(before, after):
                        movement = Movement(what, cutoff, table, how, rows, customers, len(before), example)
                        moved.setdefault(what, []).append(movement)
                        together.pop(what, None)
                for what, (customers, example) in together.items():  # no table alone moves it
                    movement = Movement(what, cutoff, ALL_TABLES, how, all_rows, customers, len(before), example)
                    moved.setdefault(what, []).append(movement)
    return moved, comparisons


def audit_emptied(
    task: Task, shop: Shop, features: Sequence[str], tamperer: Tamperer, dataset: Dataset, cutoffs: Sequence[date]
) -> Iterator[Finding]:
    """Empty the window: the target must change, be the same for all rows, and the rows must be those of before.

    The rows must be the same too if all days from the cutoff on are emptied, those after the window included.

    Features and rows depend on the past alone. A target that differs between rows although nothing happened holds
    something else than its window; one that stays as it was is no outcome.
    """
    subject = f"task {task.name}: {task.target}"
    silent: list[date] = []
    for cutoff in cutoffs:
        end, then = cutoff + timedelta(days=task.horizon_days), dataset.at(cutoff)
        rows, because = task.judged_rows(then).X.index, ""
        for cause, until in (("days after it", None), ("their window", end)):  # the window last: its target is checked
            change = (tamperer.names, "delete", (cutoff, until))
            engine, _ = tamperer.change(*change, everything=False)
            now = task.dataset(splice(shop, on_engine(shop, engine, tamperer.cache(*change))), features, [cutoff])
            gone = len(rows.symmetric_difference(task.judged_rows(now).X.index))
            if gone:
                because = f"{gone:,} of {len(rows):,} rows at {cutoff} are there, or not, because of {cause}"
        if because:
            yield Finding("future changed", f"task {task.name}: rows", "leaks", because, fails=True)
            continue
        same = then.y.index.intersection(now.y.index)
        before, after = (_named(task, each.y.loc[same]) for each in (then, now))
        if before.nunique().max() > 1 and not any(differences(before, after)):
            silent.append(cutoff)
            continue
        for target, y in after.items():
            if y.nunique() > 1:
                yield Finding(
                    "read from", f"task {task.name}: {target}", "circular", _held(y, now.X, cutoff), fails=True
                )
    if silent:
        figures = f"stays the same if its window is emptied ({listing(silent)}): it is not an outcome, never promote it"
        yield Finding("read from", subject, "descriptive", figures, fails=True)


def audit_dealt(
    task: Task, shop: Shop, features: Sequence[str], dataset: Dataset, cutoffs: Sequence[date]
) -> Iterator[Finding]:
    """Give each row the features of another row: its target must stay the same.

    A target that is multiplied by a feature, divided by it or compared with it is 0 for all rows of an empty window, so
    `audit_emptied` does not find it. Where rows exchange features it changes, whatever its formula.
    """
    for cutoff in cutoffs:
        then = dataset.at(cutoff)
        for target, rows in _moved_by_dealing(task, shop, features, then, cutoff, features).items():
            guilty = [
                name for name in features if target in _moved_by_dealing(task, shop, features, then, cutoff, [name])
            ]
            held = f"it holds {listing(guilty)}" if guilty else "it holds several features"
            said = f"{rows:,} of {len(then.y):,} values at {cutoff} change where rows exchange their features: {held}"
            yield Finding("read from", f"task {task.name}: {target}", "circular", said, fails=True)


def _moved_by_dealing(
    task: Task, shop: Shop, features: Sequence[str], then: Dataset, cutoff: date, dealt: Sequence[str]
) -> dict[str, int]:
    """Return the targets that change where rows exchange some features, with the number of rows."""
    now = task.dataset(deal(shop, dealt), features, [cutoff])
    same = then.y.index.intersection(now.y.index)
    of_window = [column for column in then.y if column not in task.outcome().of_past]
    before, after = (_named(task, each.y.loc[same, of_window]) for each in (then, now))
    return {what: rows for what, rows, _ in differences(before, after)}


def _held(y: pd.Series, X: pd.DataFrame, cutoff: date) -> str:
    """Say what a target holds that differs between rows although its window is empty."""
    alike = X.loc[y.index].rank().corrwith(y.rank()).abs().sort_values(ascending=False)
    said = f"differs between rows at {cutoff} although its window is emptied: it holds more than the outcome"
    return f"{said}, such as {alike.index[0]} (rank correlation {alike.iloc[0]:.3f})" if alike.notna().any() else said


def _named(task: Task, y: pd.DataFrame) -> pd.DataFrame:
    """Name the columns of an outcome by the task's target."""
    return y.set_axis([task.target if y.shape[1] == 1 else f"{task.target}, {column}" for column in y], axis=1)


def audit_formula(
    subject: str, X: pd.DataFrame, y: pd.Series, limits: Limits, *, units: pd.Index, fails: bool
) -> Finding:
    """Check a target for a formula of features: an exact one, or a fit that is too good.

    Parameters
    ----------
    units : Index of length n_rows
        Resampled unit of each row, such as its customer; folds keep a unit's rows together.
    """
    if y.nunique() < 2:
        return Finding("formula", subject, "not checked", f"the same for all {len(y):,} rows", checks=0)
    if units.nunique() < limits.min_rows:
        few = f"{units.nunique():,} different {units.name}, fewer than audit.min_rows={limits.min_rows}"
        return Finding("formula", subject, "not checked", few, checks=0)
    exact = identities(X, y, min_rows=limits.min_rows, min_distinct=limits.min_distinct, seed=limits.seed)
    fit = best_fit(X, y, units, explained_above=limits.max_r2, n_folds=limits.n_folds, seed=limits.seed)
    fitted = f"out-of-fold R2 {fit.r2:.3f} ({fit.model})"
    if exact:
        arithmetic = " and = ".join(identity.arithmetic for identity in exact)
        on = f"on {exact[0].rows:,} of {len(y):,} rows" if exact[0].rows < len(y) else f"on all {len(y):,} rows"
        figures = f"= {arithmetic}, exactly, {on}; {fitted}"
        return Finding("formula", subject, "circular", figures, len(y), fails)
    if len(fit.losses):
        guilty = fit.losses[fit.losses > ACCUSING_LOSS].index[: 2 * MOST_NAMED]
        figures = f"predicted nearly perfectly from {listing(guilty)}: {fitted}"
        return Finding("formula", subject, "circular", figures, len(y), fails)
    figures = f"not a formula of one or two of {X.shape[1]} features; {fitted}, {len(y):,} rows"
    return Finding("formula", subject, "clean", figures, len(y))


def audit_feature(
    subject: str,
    shop: Shop,
    cutoffs: Sequence[date],
    limits: Limits,
    *,
    target: str,
    features: Sequence[str],
    above_zero: str | None,
) -> Finding:
    """Check a target that is a feature itself for a formula of other features at the same cutoffs.

    Parameters
    ----------
    target, features : str, sequence of str
    above_zero : str or None
        Use only rows where this feature is above 0.

    Raises
    ------
    InsufficientDataError
        If the shop lacks the tables of these features.
    """
    present = set(shop.tables.present())
    named = each_once([target, above_zero, *features])
    usable = {name for family, names in resolve(named).items() if present.issuperset(family.needs) for name in names}
    known = [feature for feature in features if feature in usable and feature != target]
    lacking = sorted({target, above_zero or target} - usable)
    if lacking or not known:
        raise InsufficientDataError(f"the shop lacks the tables of {listing(lacking or features)}")
    rows = shop.features([feature for feature in named if feature in usable], cutoffs)
    if above_zero:
        rows = rows[rows[above_zero] > 0]
    customers = rows.index.get_level_values("customer_id")
    return audit_formula(f"{subject}: {target}", rows[known], rows[target], limits, units=customers, fails=False)


def each_once(names: Iterable[str | None]) -> list[str]:
    """Return the names without None and without duplicates, in their order."""
    return list(dict.fromkeys(name for name in names if name))


def audit_labels(subject: str, model: Model, dataset: Dataset, limits: Limits) -> Finding:
    """Check how well a classifier predicts cluster labels from the variables that made them, compared with a null.

    Raises
    ------
    InsufficientDataError
        If the model gives no labels, or the same label for all customers.
    """
    if not isinstance(model, Segmentation):
        raise InsufficientDataError(f"{type(model).__name__} gives no cluster labels")
    try:
        model.fit(dataset.X, dataset.target)
    except InputError as error:
        raise InsufficientDataError(error.problem) from error
    Z, labels = model.transform(dataset.X), model.segment(dataset.X)
    found = surrogate(model.cluster, Z, labels, n_folds=limits.n_folds, seed=limits.seed)
    largest = float(np.unique(labels, return_counts=True)[1].max() / len(labels))
    if largest == 1:
        raise InsufficientDataError("all customers are in one cluster")
    known = 1 - (1 - found.accuracy) / (1 - largest)
    figures = (
        f"a classifier finds {found.accuracy:.1%} of the labels again from {listing(Z.columns)}, which made them; "
        f"{found.null_accuracy:.1%} where those columns are permuted; the largest cluster alone is {largest:.1%}"
    )
    circular = known > limits.max_labels_known
    return Finding("formula", subject, "circular" if circular else "clean", figures, len(labels))
