"""Compute stages, movements, back-test and forecast of a shop."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import pairwise

import pandas as pd

from experiments.description.lifecycle.forecast import Averages, Forecast, Period, average, backtest, forecast, period
from experiments.description.lifecycle.options import LifecycleOptions
from experiments.description.lifecycle.stages import in_stages
from features.errors import InsufficientDataError
from features.shop import Shop


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


def lifecycle(shop: Shop, until: date, options: LifecycleOptions, now: date | None = None) -> Lifecycle:
    """Compute stages, movements, back-test and forecast of a shop.

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
    """Return cutoffs back from now by periods, down to the end of the burn-in: after it, who appears is new."""
    first = shop.tables.start + timedelta(days=max(shop.tables.burn_in_days, options.period_days))
    n = (now - first).days // options.period_days
    if n < 1:
        raise InsufficientDataError(
            f"the history is shorter than one period of {options.period_days} days",
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
            f"The history is too short for a back-test: it needs {options.n_periods + 1} periods of "
            f"{options.period_days} days before the sealed window, and there are {n_testing}."
        )
    empty = [stage.replace("_", " ") for stage in options.stages if not periods[0].counts.loc[stage].sum()]
    if empty:
        notes.append(
            f"On {periods[0].start}, {(periods[0].start - shop.tables.start).days} days into the data, no customer is "
            f"{' or '.join(empty)}: stages of the first periods reflect the start of the data, not customers."
        )
    if averages.unseen:
        notes.append(
            f"No customer was {' or '.join(averages.unseen)} in the averaged periods: such customers are assumed to "
            "stay there and to buy nothing."
        )
    return notes
