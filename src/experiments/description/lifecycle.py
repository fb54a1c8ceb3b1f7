"""Stages of a customer's life, how customers move between them, and what the next period holds if they go on so."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd

from experiments.description.groups import movements, row_shares
from features.errors import InputError, InsufficientDataError
from features.families import resolve
from features.shop import Shop

ARRIVALS = "arrivals"  # those who were no customers at the start of a period
SPENT, LAST_BOUGHT = "total_spend", "days_since_last_purchase"


@dataclass
class LifecycleOptions:
    """Rules of the stages, and the periods. Values and their meaning are in conf/lifecycle/.

    They are checked where stages are asked for, not when they are read: who tunes a model asks for none.

    Attributes
    ----------
    stages : dict of stage to {feature: [lowest, highest]}
        Both included, None for an open side. The first that fits is a customer's; the last takes the rest.
    period_days : int
    n_periods : int
        The last ones, over which transitions and spend are averaged.
    """

    stages: dict[str, dict[str, Any]]
    period_days: int
    n_periods: int

    def check(self) -> None:
        """Refuse rules that leave customers out, contradict each other or name what is no feature.

        Raises
        ------
        InputError
        """
        for key in ("period_days", "n_periods"):
            if getattr(self, key) < 1:
                raise InputError(
                    f"{key} is out of range",
                    where=f"lifecycle.{key}",
                    expected="at least 1",
                    found=str(getattr(self, key)),
                )
        if len(self.stages) < 2:
            raise InputError(
                "a lifecycle has two stages or more", where="lifecycle.stages", found=", ".join(self.stages) or "none"
            )
        if ARRIVALS in self.stages:
            raise InputError(f"the name {ARRIVALS!r} is taken", where="lifecycle.stages", expected="another name")
        *ruled, rest = self.stages
        if self.stages[rest]:
            raise InputError(
                f"the last stage, {rest}, takes whoever is left: it has no ranges",
                where=f"lifecycle.stages.{rest}",
                expected="{}",
                found=str(self.stages[rest]),
            )
        for stage in ruled:
            where = f"lifecycle.stages.{stage}"
            if not self.stages[stage]:
                raise InputError(
                    f"the stage {stage} takes everybody: it has no ranges, and others follow",
                    where=where,
                    expected="{feature: [lowest, highest]}",
                    found="{}",
                )
            resolve(self.stages[stage], where)
            for feature, ends in self.stages[stage].items():
                if not _is_range(ends):
                    raise InputError(
                        f"{feature} has no range there",
                        where=f"{where}.{feature}",
                        expected="[lowest, highest], null for an open side",
                        found=str(ends),
                    )
        for feature in self.features:
            self._check_gaps(feature)

    @property
    def features(self) -> list[str]:
        """The features that the rules name."""
        return list(dict.fromkeys(feature for ranges in self.stages.values() for feature in ranges))

    def _check_gaps(self, feature: str) -> None:
        """Refuse ranges between which values fall to the last stage unseen; whole numbers may be one apart."""
        named = [(stage, ranges[feature]) for stage, ranges in self.stages.items() if feature in ranges]
        lowest = {stage: -np.inf if ends[0] is None else ends[0] for stage, ends in named}
        highest = {stage: np.inf if ends[1] is None else ends[1] for stage, ends in named}
        first, *others = sorted(lowest, key=lambda stage: lowest[stage])
        reached, owner = highest[first], first
        for stage in others:
            low = lowest[stage]
            if low > reached + (1 if float(low).is_integer() and float(reached).is_integer() else 0):
                raise InputError(
                    f"customers with {feature} between {reached:g} and {low:g} have no stage of their own",
                    where=f"lifecycle.stages.{stage}.{feature}",
                    expected=f"a range that begins where {owner} ends, at {reached:g}",
                    found=f"{low:g}",
                )
            if highest[stage] > reached:
                reached, owner = highest[stage], stage


def _is_range(ends: object) -> bool:
    """Whether it is a pair of numbers that do not fall, either of them None for an open side."""
    if not isinstance(ends, list) or len(ends) != 2:
        return False
    numbers = [end for end in ends if end is not None]
    return all(isinstance(end, int | float) for end in numbers) and numbers == sorted(numbers)


@dataclass(frozen=True)
class Averages:
    """What customers of each stage do in a period, averaged over some periods; all customers of all periods alike.

    Attributes
    ----------
    counts : DataFrame
        Customers who went from each stage (or arrived) to which, added up.
    shares : DataFrame
        Of the customers of each stage (and of arrivals) who are in which stage a period later; rows sum to 1.
    spend, buyers : Series
        Mean spend in the period, and share of those who buy in it, by stage and for arrivals.
    arrivals : float
        Mean number a period.
    unseen : tuple of str
        Stages that held nobody in those periods: their customers are taken to stay and to buy nothing.
    """

    counts: pd.DataFrame
    shares: pd.DataFrame
    spend: pd.Series
    buyers: pd.Series
    arrivals: float
    unseen: tuple[str, ...]


@dataclass(frozen=True)
class Lifecycle:
    """Stages at the starts of consecutive periods, and what happened in them.

    Attributes
    ----------
    cutoffs : tuple of datetime.date
        Ascending, `period_days` apart; the last is now.
    stages : DataFrame
        Customers in each stage at each cutoff: indexed by cutoff, a column for each stage.
    periods : tuple of Period
        One fewer than cutoffs.
    averages : Averages
        Over the last `n_periods`.
    forecast : Forecast
        Of the period that begins now.
    backtest : DataFrame
        As `backtest` returns it, of the periods that ended before the sealed window.
    notes : tuple of str
    """

    cutoffs: tuple[date, ...]
    stages: pd.DataFrame
    periods: tuple[Period, ...]
    averages: Averages
    forecast: Forecast
    backtest: pd.DataFrame
    notes: tuple[str, ...]

    @property
    def now(self) -> date:
        return self.cutoffs[-1]

    @property
    def present(self) -> pd.Series:
        """Customers in each stage now."""
        return self.stages.iloc[-1].rename("customers")


@dataclass(frozen=True)
class Period:
    """What happened between two cutoffs.

    Attributes
    ----------
    start, end : datetime.date
    counts : DataFrame
        As `movements` returns them: from the stage at the start, or arrivals, to the stage at the end.
    spend, buyers : Series
        Spend in the period, and customers who bought in it, by stage at the start and for arrivals.
    """

    start: date
    end: date
    counts: pd.DataFrame
    spend: pd.Series
    buyers: pd.Series


@dataclass(frozen=True)
class Forecast:
    """What a period is expected to hold.

    Attributes
    ----------
    customers : Series
        In each stage at its end.
    spend, buyers : Series
        In the period, by stage at its start and for arrivals.
    """

    customers: pd.Series
    spend: pd.Series
    buyers: pd.Series

    @property
    def revenue(self) -> float:
        return float(self.spend.sum())

    @property
    def active(self) -> float:
        """Customers who buy in the period."""
        return float(self.buyers.sum())


def stage_of(X: pd.DataFrame, options: LifecycleOptions) -> pd.Series:
    """The stage of each customer: the first whose ranges all hold, else the last.

    Parameters
    ----------
    X : DataFrame with the features that the rules name

    Returns
    -------
    Series of ordered categories, indexed as `X`
    """
    names = list(options.stages)
    code = np.full(len(X), len(names) - 1)
    for number in reversed(range(len(names) - 1)):
        fits = np.ones(len(X), dtype=bool)
        for feature, (low, high) in options.stages[names[number]].items():
            fits &= (True if low is None else X[feature] >= low) & (True if high is None else X[feature] <= high)
        code[fits] = number
    return pd.Series(pd.Categorical.from_codes(code, names, ordered=True), index=X.index, name="stage")


def in_stages(shop: Shop, cutoffs: Sequence[date], options: LifecycleOptions) -> pd.DataFrame:
    """The stage of each customer at each cutoff, and the features that tell it: indexed (customer_id, cutoff).

    Raises
    ------
    InputError
        If the rules do not go together.
    """
    options.check()
    X = shop.features(list(dict.fromkeys([*options.features, SPENT, LAST_BOUGHT])), list(cutoffs))
    return X.assign(stage=stage_of(X, options))


def period(before: pd.DataFrame, after: pd.DataFrame, start: date, end: date) -> Period:
    """What happened between two cutoffs, from what was known at each.

    Parameters
    ----------
    before, after : DataFrame indexed by customer_id
        stage, total_spend and days_since_last_purchase at the cutoffs `start` and `end`.
    """
    counts = movements(before["stage"], after["stage"], ARRIVALS)
    origin = before["stage"].astype(object).reindex(after.index).fillna(ARRIVALS)
    rows = pd.DataFrame(
        {
            "spend": after[SPENT] - before[SPENT].reindex(after.index).fillna(0.0),
            "buyers": after[LAST_BOUGHT] < (end - start).days,
        }
    )
    sums = rows.groupby(origin).sum().reindex(counts.index).fillna(0.0)
    return Period(start, end, counts, sums["spend"], sums["buyers"])


def average(periods: Sequence[Period]) -> Averages:
    """What customers of each stage do in a period, over all customers of these periods."""
    counts = sum((period.counts for period in periods[1:]), periods[0].counts)
    customers = counts.sum(axis=1)
    unseen = [str(stage) for stage in counts.columns if not customers[stage]]
    shares = row_shares(counts).fillna(0.0)
    for stage in unseen:
        shares.loc[stage, stage] = 1.0
    if not customers[ARRIVALS]:  # then none are expected either, and where they would go makes no difference
        shares.loc[ARRIVALS, counts.columns[0]] = 1.0
    totals = customers.where(customers > 0)
    spend, buyers = (
        (sum(getattr(period, name) for period in periods) / totals).fillna(0.0).rename(name)
        for name in ("spend", "buyers")
    )
    return Averages(counts, shares, spend, buyers, float(customers[ARRIVALS]) / len(periods), tuple(unseen))


def forecast(present: pd.Series, averages: Averages) -> Forecast:
    """What the next period holds, if customers of each stage do as on average.

    Parameters
    ----------
    present : Series
        Customers in each stage at its start.
    averages : Averages
    """
    starting = present.astype(float).reindex(averages.shares.index).fillna(0.0)
    starting[ARRIVALS] = averages.arrivals
    return Forecast(
        customers=(starting @ averages.shares).rename("customers"),
        spend=starting * averages.spend,
        buyers=starting * averages.buyers,
    )


def backtest(periods: Sequence[Period], n_periods: int) -> pd.DataFrame:
    """Forecast each period from the `n_periods` before it, and "as in the last period", and compare.

    Returns
    -------
    DataFrame indexed by start
        revenue, revenue_forecast, revenue_naive; active (customers who bought), active_forecast, active_naive; and
        <what>_error, <what>_naive_error: forecast / truth - 1, NaN where the truth is 0.
    """
    rows = []
    for i in range(n_periods, len(periods)):
        truth, last = periods[i], periods[i - 1]
        present = truth.counts.drop(index=ARRIVALS).sum(axis=1)
        expected = forecast(present, average(periods[i - n_periods : i]))
        row: dict[str, object] = {"start": truth.start}
        for what, happened, told, naive in (
            ("revenue", truth.spend.sum(), expected.revenue, last.spend.sum()),
            ("active", truth.buyers.sum(), expected.active, last.buyers.sum()),
        ):
            row |= {what: happened, f"{what}_forecast": told, f"{what}_naive": naive}
            row |= {
                f"{what}_error": told / happened - 1 if happened else np.nan,
                f"{what}_naive_error": naive / happened - 1 if happened else np.nan,
            }
        rows.append(row)
    return pd.DataFrame(rows, columns=["start", *BACKTEST_COLUMNS]).set_index("start")


BACKTEST_COLUMNS = [
    f"{what}{suffix}"
    for what in ("revenue", "active")
    for suffix in ("", "_forecast", "_naive", "_error", "_naive_error")
]


def lifecycle(shop: Shop, until: date, options: LifecycleOptions, now: date | None = None) -> Lifecycle:
    """Stages, movements, back-test and forecast of a shop.

    Parameters
    ----------
    shop : Shop
    until : datetime.date
        What happens from then on tests nothing: the sealed cutoff.
    options : LifecycleOptions
    now : datetime.date, optional
        The forecast's period begins then; the end of the data where not given.

    Raises
    ------
    InputError
        If the rules do not go together.
    InsufficientDataError
        If there is not even one period.
    """
    options.check()
    cutoffs = _cutoffs(shop, now or shop.staged.end, options)
    X = in_stages(shop, cutoffs, options)
    at: Mapping[date, pd.DataFrame] = {day: X.xs(pd.Timestamp(day), level="cutoff") for day in cutoffs}
    stages = pd.DataFrame({day: at[day]["stage"].value_counts(sort=False) for day in cutoffs}).T
    periods = [period(at[a], at[b], a, b) for a, b in pairwise(cutoffs)]
    # Each forecast of the back-test averages the periods just before its own, and so does the one that is shown, or
    # the back-test would be of another forecast. Those periods lie within the sealed window, whose days are known by
    # now as those behind any feature: they choose and register nothing, and no forecast is judged on them.
    averages = average(periods[-options.n_periods :])
    testing = [past for past in periods if past.end <= until]
    tested = backtest(testing, options.n_periods)
    return Lifecycle(
        cutoffs=cutoffs,
        stages=stages,
        periods=tuple(periods),
        averages=averages,
        forecast=forecast(stages.iloc[-1], averages),
        backtest=tested,
        notes=tuple(_notes(shop, periods, len(testing), averages, options)),
    )


def _cutoffs(shop: Shop, now: date, options: LifecycleOptions) -> tuple[date, ...]:
    """Back from now by periods, as long as those who appear are new: from the end of the burn-in on."""
    first = shop.tables.start + timedelta(days=max(shop.tables.burn_in_days, options.period_days))
    n = (now - first).days // options.period_days
    if n < 1:
        raise InsufficientDataError(
            f"there is no period of {options.period_days} days to see customers move in",
            where=f"{first} (after the burn-in) to {now}",
            expected=f"{options.period_days} days or more",
            found=f"{(now - first).days} days",
            hint="choose a shorter lifecycle.period_days",
        )
    return tuple(now - timedelta(days=options.period_days * step) for step in range(n, -1, -1))


def _notes(
    shop: Shop, periods: Sequence[Period], n_testing: int, averages: Averages, options: LifecycleOptions
) -> list[str]:
    notes = []
    if len(periods) < options.n_periods:
        notes.append(f"Averages are over {len(periods)} periods: there are no more before {periods[-1].end}.")
    if n_testing <= options.n_periods:
        notes.append(
            f"The history is too short for a back-test: it takes {options.n_periods + 1} periods of "
            f"{options.period_days} days before those kept sealed, and there are {n_testing}."
        )
    empty = [stage.replace("_", " ") for stage in options.stages if not periods[0].counts.loc[stage].sum()]
    if empty:
        notes.append(
            f"On {periods[0].start}, {(periods[0].start - shop.tables.start).days} days into the data, nobody is "
            f"{' or '.join(empty)}: the stages of the first periods tell of the data's beginning, not of customers."
        )
    if averages.unseen:
        notes.append(
            f"Nobody was {' or '.join(averages.unseen)} in the periods averaged: such customers are taken to stay so "
            "and to buy nothing."
        )
    return notes
