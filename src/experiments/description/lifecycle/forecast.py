"""Movements between stages in a period, and a forecast of the next period if they continue."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
import pandas as pd
from scipy.stats import t

from experiments.description.groups import movements
from experiments.description.lifecycle.options import ARRIVALS
from experiments.description.lifecycle.stages import LAST_BOUGHT, SPENT
from experiments.evaluation.shares import row_shares

CONFIDENCE = 0.9
BASELINE = "_baseline"  # in names of the back-test's columns: of "as in the last period"


@dataclass(frozen=True)
class Period:
    """Movements, spend and buyers between two cutoffs.

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
class Averages:
    """Averages over some periods of what customers of each stage do; each customer of each period counts alike.

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
class Forecast:
    """Forecast of a period.

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


def period(before: pd.DataFrame, after: pd.DataFrame, start: date, end: date) -> Period:
    """Compute movements, spend and buyers between two cutoffs, from what was known at each.

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
    """Average what customers of each stage do in a period, over all customers of these periods."""
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
    """Forecast the next period, if customers of each stage behave as on average.

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
        revenue, revenue_forecast, revenue_baseline; active (customers who bought), active_forecast, active_baseline;
        and <what>_error, <what>_baseline_error: forecast / actual - 1, NaN where the actual figure is 0.
    """
    rows = []
    for i in range(n_periods, len(periods)):
        truth, last = periods[i], periods[i - 1]
        present = truth.counts.drop(index=ARRIVALS).sum(axis=1)
        expected = forecast(present, average(periods[i - n_periods : i]))
        row: dict[str, object] = {"start": truth.start}
        for what, actual, predicted, baseline in (
            ("revenue", truth.spend.sum(), expected.revenue, last.spend.sum()),
            ("active", truth.buyers.sum(), expected.active, last.buyers.sum()),
        ):
            row |= {what: actual, f"{what}_forecast": predicted, f"{what}_baseline": baseline}
            row |= {
                f"{what}_error": predicted / actual - 1 if actual else np.nan,
                f"{what}_baseline_error": baseline / actual - 1 if actual else np.nan,
            }
        rows.append(row)
    return pd.DataFrame(rows, columns=["start", *BACKTEST_COLUMNS]).set_index("start")


def is_better(backtest: pd.DataFrame, what: str) -> bool:
    """Check that forecasts were off by less than "as in the last period", on average; False where none was tested.

    Parameters
    ----------
    backtest : DataFrame
        As `backtest` returns it.
    what : {"revenue", "active"}
    """
    return mean_error(backtest, what) < mean_error(backtest, what, BASELINE)


def mean_error(backtest: pd.DataFrame, what: str, kind: str = "") -> float:
    """Return the mean absolute error of forecasts, or of the baseline with kind=BASELINE; NaN where none was tested."""
    return float(backtest[f"{what}{kind}_error"].abs().mean())


def next_error(backtest: pd.DataFrame, what: str) -> float:
    """Return the error that the next forecast stays below with 90% confidence; NaN where none was tested.

    For n errors that are Gaussian around 0 it is t(0.95, n) x sqrt(mean error^2): few of them say little of the next.
    """
    errors = backtest[f"{what}_error"].dropna()
    if errors.empty:
        return float("nan")
    return float(t.ppf((1 + CONFIDENCE) / 2, len(errors)) * np.sqrt(np.square(errors).mean()))


BACKTEST_COLUMNS = [
    f"{what}{suffix}"
    for what in ("revenue", "active")
    for suffix in ("", "_forecast", "_baseline", "_error", "_baseline_error")
]
