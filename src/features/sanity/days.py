"""Days of the shop: days without sales, jumps of level, a first or last day that is cut."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from math import exp, log

import numpy as np
import pandas as pd

from features.sanity.finding import Facts, Finding, accepted, check

LIKE = 8  # the nearest days of the same weekday, which say how many orders to expect
CHANCE = 1e-3  # of a day with so few orders
LEVEL = 0.7  # of the expected orders: weeks differ by more than chance
RUN, EXPECTED = 3, 20.0  # days without sales in a row, and orders expected in them
WEEKS, LONG, YEAR = 6, 26, 52  # weeks on either side of a jump, those that show if it lasts, and of a year
SAME = 0.5  # of the logarithm of a jump, from which that of the year before is the same season
APART = 1.5  # times: each week on one side, compared with each on the other
ENOUGH = 20.0  # orders a week, below which weeks differ by chance


@check
def days_without_sales(facts: Facts) -> Iterator[Finding]:
    """Find runs of days without a sale in which many orders were to be expected."""
    orders = facts.days.orders
    expected = _expected(orders)
    open_days = expected >= 1
    missing = (orders == 0) & open_days
    runs = missing.ne(missing.shift()).where(open_days).ffill().cumsum() if missing.any() else missing
    for _, run in expected[missing].groupby(runs[missing]):
        if len(run) >= RUN and run.sum() >= EXPECTED:
            first, last = run.index[0].date(), run.index[-1].date()
            yield Finding(
                "days_without_sales",
                f"no sale on {len(run):,} days from {first} to {last}, where {run.sum():,.0f} orders "
                f"and {_money(facts, run):,.0f} {facts.staged.currency} were to be expected",
                _lines(facts, "days_without_sales", last + timedelta(days=1), None),
            )


@check
def jumps_of_level(facts: Facts) -> Iterator[Finding]:
    """Find days on which orders, or the value of an order, change at once and for good."""
    weeks = facts.days[len(facts.days) % 7 :]
    weeks = weeks.groupby(np.arange(len(weeks)) // 7).sum().set_index(weeks.index[::7])
    values = weeks.amount / weeks.orders.clip(lower=1)
    for name, series in (("orders a week", weeks.orders), (f"{facts.staged.currency} an order", values)):
        found = _jump(series, weeks.orders)
        if found is not None:
            at, before, after = found
            old = float(facts.days.amount[: pd.Timestamp(at) - pd.Timedelta(days=1)].sum())
            yield Finding(
                "jumps_of_level",
                f"{name} jump from {before:,.2f} in the {WEEKS} weeks before {at} to {after:,.2f} in the {WEEKS} weeks "
                f"after; {facts.money(old)} lie before it",
                _lines(facts, "jumps_of_level", at, None),
            )


@check
def cut_days(facts: Facts) -> Iterator[Finding]:
    """Find a first or last day with far fewer orders than its weekday has."""
    orders = facts.days.orders
    expected = _expected(orders)
    for at, name in ((0, "first"), (-1, "last")):
        if _chance(float(orders.iloc[at]), LEVEL * float(expected.iloc[at])) < CHANCE:
            day = orders.index[at].date()
            inner = (day + timedelta(days=1), None) if at == 0 else (None, day - timedelta(days=1))
            yield Finding(
                "cut_days",
                f"the {name} day, {day}, seems to be cut: {orders.iloc[at]:,} orders, "
                f"{facts.money(float(facts.days.amount.iloc[at]))}, where {expected.iloc[at]:,.0f} were to be expected",
                _lines(facts, "cut_days", *inner),
            )


def _expected(orders: pd.Series) -> pd.Series:
    """Return the median orders of the nearest days of the same weekday, the day itself left out."""
    expected = np.zeros(len(orders))
    for weekday in range(min(7, len(orders))):  # days are without gaps
        like = orders.to_numpy()[weekday::7]
        own = np.arange(len(like))[:, None]
        first = np.clip(own - LIKE // 2, 0, max(0, len(like) - LIKE - 1))
        near = first + np.arange(min(LIKE + 1, len(like)))
        others = like[near[near != own]].reshape(len(like), -1)
        if others.shape[1] >= LIKE // 2:
            expected[weekday::7] = np.median(others, axis=1)
    return pd.Series(expected, index=orders.index)


def _chance(orders: float, expected: float) -> float:
    """Return Chernoff's bound on the probability that a Poisson variable is at most so large; 1 from its mean on."""
    if orders >= expected:
        return 1.0
    return exp(orders - expected + (orders * log(expected / orders) if orders else 0.0))


def _jump(series: pd.Series, orders: pd.Series) -> tuple[date, float, float] | None:
    """Return the first day and the levels around the largest jump; None where weeks change gradually or by chance."""
    best, found = APART, None
    for n in range(WEEKS, len(series) - WEEKS + 1):
        before, after = series.iloc[n - WEEKS : n], series.iloc[n : n + WEEKS]
        if min(orders.iloc[n - WEEKS : n].median(), orders.iloc[n : n + WEEKS].median()) < ENOUGH:
            continue
        apart = max(after.min() / max(before.max(), 1e-9), before.min() / max(after.max(), 1e-9))
        if apart >= best and _stays(series, n):
            best, found = apart, (series.index[n].date(), float(before.mean()), float(after.mean()))
    return found


def _stays(series: pd.Series, n: int) -> bool:
    """Check that a level is left for good.

    A season's peak is left for the level that was there before it, and begins about as it began a year before.
    """
    before, after = _levels(series, n, WEEKS)
    middle = (before * after) ** 0.5
    long_before, long_after = _levels(series, n, LONG)
    if (long_before > middle) != (before > middle) or (long_after > middle) != (after > middle):
        return False
    if n - YEAR < WEEKS:
        return True
    then = np.subtract(*np.log(_levels(series, n - YEAR, WEEKS)))
    now = np.subtract(*np.log((before, after)))
    return bool(then / now < SAME)


def _levels(series: pd.Series, n: int, weeks: int) -> tuple[float, float]:
    """Return the median of the weeks before a week, and of those from it on."""
    before, after = series.iloc[max(n - weeks, 0) : n].median(), series.iloc[n : n + weeks].median()
    return max(float(before), 1e-9), max(float(after), 1e-9)


def _money(facts: Facts, run: pd.Series) -> float:
    sold = facts.days[facts.days.orders > 0]
    return float(run.sum() * sold.amount.sum() / sold.orders.sum())


def _lines(facts: Facts, name: str, first: date | None, last: date | None) -> tuple[str, ...]:
    """Write the lines that leave days out, where the source can, and that accept the finding."""
    period = (_period(facts, first, last),) if facts.can("period") else ()
    return (*period, accepted(facts, name))


def _period(facts: Facts, first: date | None, last: date | None) -> str:
    """Write the days that are used, within those that the config has."""
    known = facts.config.get("period") or (None, None)
    days = [str(day or old) if day or old else "null" for day, old in zip((first, last), known, strict=True)]
    return f"period: [{', '.join(days)}]"
