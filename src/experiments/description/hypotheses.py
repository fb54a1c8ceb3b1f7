"""Hypotheses about customers' tiers, stated in data and tested on what happened after the tiers were known.

A hypothesis says what to measure, in which direction, and the smallest effect that matters; its test gives an effect
with an interval. It holds where an effect is shown and the estimate matters; it does not hold where the effect is shown
to be smaller than that; else it is undecided. Verdicts are read off intervals that hold for all claims of a report at
once, so that no verdict says other than the interval beside it.
"""

from __future__ import annotations

import calendar
import dataclasses
import inspect
import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.stats import norm

from experiments.description.purchasing import COUNTED, LEAST_DAYS_OF_A_MONTH, Window
from experiments.evaluation.bootstrap import Distribution, paired_bootstrap
from experiments.evaluation.spend_metrics import spearman
from experiments.evaluation.weighted import checked, ratio, value
from features import group_totals
from features.errors import InputError, check_type, did_you_mean, listing
from features.families import resolve
from features.families.habits import WEEKDAYS
from features.shop import Shop
from features.tables import SPECS

logger = logging.getLogger(__name__)

HOLDS, FAILS, UNDECIDED, NOT_TESTED = "holds", "does not hold", "undecided", "not tested"
DIRECTIONS = ("higher", "lower")
REPORTED = ("held", "rejected")
TOGETHER = "these tiers together"  # a part that is told beside the others and claims nothing
COMPARED = ("means", "ranks")
NEWTON_STEPS = 20
LARGEST_RISE = np.log(100.0)  # stands for an infinite one
NO_SPREAD = 1e-9  # standard errors below it are those of draws that are all alike
LEAST_WEEKS = 8  # a bootstrap of fewer shows effects where there are none
LEAST_WEEKS_OF_A_SIDE = 4  # a month


@dataclass(frozen=True)
class Part:
    """One of the claims that a hypothesis is made of: of one tier, or one column.

    Attributes
    ----------
    name : str
    effect : Distribution
        On the scale on which 0 is no effect, the hypothesis' direction upwards.
    details : mapping
        What a table shows beside it.
    """

    name: str
    effect: Distribution
    details: Mapping[str, object]


def dear_share(
    window: Window, *, level: str, measure: str, dearest: float, min_customers: int
) -> tuple[pd.Series, list[str]]:
    """Share of a customer's units (spend) that falls on the dearest categories.

    A category's price is what was spent / the units it was spent on, over all lines of the window; the dear ones are
    the `dearest` share of the categories that at least `min_customers` customers bought. A share is no count: who buys
    twice as much of everything has the same share.
    """
    everybody = pd.Series("all", index=window.tiers.index)
    rows = window.shop.behaviour(partial(group_totals.by_value, level=level), everybody, window.start, window.end)
    rows = rows.set_index("value")
    priced = rows[(rows["customers"] >= min_customers) & rows["mean_unit_price"].notna()]
    priced = priced.sort_index().sort_values("mean_unit_price", ascending=False, kind="stable")
    if len(priced) < 3:
        raise InputError(
            f"too few values of {level} have a price to tell dear ones from others",
            where="parameters.min_customers",
            expected=f"at least 3 that {min_customers} customers bought",
            found=f"{len(priced)} of {len(rows)} that were bought",
            hint="choose a coarser level, or a smaller min_customers",
        )
    dear = list(priced.index[: max(1, round(dearest * len(priced)))])
    notes = [
        f"Dear are {listing(dear)}: {len(dear)} of {len(priced)} with a price, from "
        f"{priced.loc[dear[-1], 'mean_unit_price']:,.2f} {window.shop.staged.currency} a unit."
    ]
    if len(priced) < len(rows):
        notes.append(
            f"{len(rows) - len(priced)} values of {level} count as not dear: fewer than {min_customers} customers "
            "bought them, or their units are unknown."
        )
    share = window.shop.behaviour(
        partial(group_totals.value_share, values=dear, level=level, measure=measure),
        window.tiers,
        window.start,
        window.end,
    )
    return share.set_index("customer_id")["share"], notes


def coupon_rate(window: Window, *, of: str, status: str) -> tuple[pd.Series, list[str]]:
    """Share of a customer's orders (lines) that has a coupon status: see `group_totals.customer_coupons`."""
    share = window.shop.behaviour(
        partial(group_totals.coupon_share, status=status, of=of), window.tiers, window.start, window.end
    )
    if share.empty:
        raise InputError(
            "nothing is recorded of coupons",
            where="transactions.coupon_status, transactions.coupon_discount",
            expected="either of them in some lines",
        )
    if not share["share"].any():
        raise InputError(
            f"no coupon has the status {status}",
            where="transactions.coupon_status" if status != group_totals.USED else "transactions.coupon_discount",
        )
    return share.set_index("customer_id")["share"], []


MEASURES: Mapping[str, Callable[..., tuple[pd.Series, list[str]]]] = {
    "dear_share": dear_share,
    "coupon_used_rate": partial(coupon_rate, status=group_totals.USED),
    "coupon_clicked_rate": partial(coupon_rate, status="Clicked"),
}


@dataclass(frozen=True)
class Trend:
    """Does what customers do rise with their tier? Customers are resampled.

    Customers who bought nothing in the window have no share or rate and are left out, unless `absent` gives their
    value. Resampling gives interval and p-value at once, so that they agree, and does not presume, as permuting would,
    that tiers are alike in all but the mean.

    Shares and rates are to be compared by `means`. Whoever buys little has a share of exactly 0 more often, at the
    same habits; as low tiers buy less, ranks would rise with the tier where nothing does, while means do not.

    Attributes
    ----------
    columns : sequence of str
        Measures (`MEASURES`) or features of the project over the window; all must rise.
    compare : str
        "means": how much more the top tier has than the bottom tier, as a share of what the bottom tier has, on a trend
        through all tiers (`log_rise`). "ranks": Spearman's rank correlation with the tier, for amounts with long tails.
    parameters : mapping
        Of the measures.
    absent : float, optional
        What a customer has who bought nothing.
    """

    columns: Sequence[str]
    compare: str
    parameters: Mapping[str, Any]
    absent: float | None = None

    @property
    def is_correlation(self) -> bool:
        """Whether the effect is a rank correlation rather than a share more."""
        return self.compare == "ranks"

    def parts(self, window: Window) -> tuple[list[Part], list[str]]:
        """A part for each column, and what there is to say of them."""
        parts: list[Part] = []
        notes: list[str] = []
        missing = []
        for column in self.columns:
            try:
                values, said = self._values(column, window)
                part, of_tiers = self._part(column, values, window)
                parts.append(part)
                notes += [*of_tiers, *said]
            except InputError as error:  # another column may be there
                missing.append(error)
                notes.append(f"{column} is left out: {error.problem}.")
        if not parts:
            raise missing[0]
        return parts, list(dict.fromkeys(notes))

    def _values(self, column: str, window: Window) -> tuple[pd.Series, list[str]]:
        if column not in MEASURES:
            return window.shop.during([column], window.start, window.end)[column], []
        known = _parameters(MEASURES[column])
        return MEASURES[column](window, **{name: self.parameters[name] for name in known})

    def _part(self, column: str, values: pd.Series, window: Window) -> tuple[Part, list[str]]:
        frame = pd.DataFrame({"tier": window.tiers, "value": values.reindex(window.tiers.index).astype(float)})
        frame = frame.dropna() if self.absent is None else frame.fillna({"value": self.absent})
        tiers, notes = _large_enough(frame["tier"], window)
        frame = frame[frame["tier"].isin(tiers)]
        if frame["value"].nunique() < 2:
            raise InputError(f"{column} does not differ between customers", found=f"{len(frame)} customers")
        rank = -frame["tier"].cat.codes.to_numpy(float)
        means = frame.groupby("tier", observed=True)["value"].mean()
        options = {"n_resamples": window.n_resamples, "seed": window.seed}
        metric = spearman if self.is_correlation else log_rise
        effect = paired_bootstrap(metric, frame["value"], {column: rank}, frame.index, **options)[column]
        if not abs(effect.estimate) < LARGEST_RISE:  # of which resamples would be as sure as of any other
            raise InputError(
                f"{column} has no ratio from tier to tier",
                expected=f"means above 0, the highest less than {np.exp(LARGEST_RISE):.0f} times the lowest",
                found=f"means from {means.min():.3g} to {means.max():.3g}",
                hint="parameters.compare: ranks",
            )
        details = {
            "customers": len(frame),
            "left out": int(window.tiers.isin(tiers).sum()) - len(frame),
            "rank correlation": spearman(frame["value"], rank),
            **{f"mean of {tier}": means[tier] for tier in tiers},
        }
        return Part(column, effect, details), notes


def log_rise(y: ArrayLike, rank: ArrayLike, *, weights: ArrayLike | None = None) -> float | np.ndarray:
    """log of how many times as much the highest rank has as the lowest, on a trend through all: b of log E y = a + b x.

    x is the rank, moved and scaled to [0, 1]. Fitted by Poisson's quasi-likelihood: with two ranks it is the log
    ratio of their means, whatever the distribution; takes weights as a metric does.

    Returns
    -------
    float, or array of shape (n_resamples,)
        Within log 100 on both sides, as where one end alone has anything the ratio is infinite. NaN where the sum of y
        is not above 0.

    Examples
    --------
    >>> round(float(np.exp(log_rise([1.0, 2.0, 4.0], [0, 1, 2]))), 6)
    4.0
    """
    y, rank, w = checked(y, rank, weights)
    ranks, at = np.unique(rank, return_inverse=True)
    x = (ranks - ranks[0]) / np.ptp(ranks)
    of_rank = np.eye(len(ranks))[at]
    sizes, sums = w @ of_rank, (w * y) @ of_rank
    total = sums.sum(axis=-1)
    wanted = ratio(sums @ x, total)  # mean of x, each counted by its y, which the fit reproduces
    beta = np.zeros(len(total))
    for _ in range(NEWTON_STEPS):
        fitted = sizes * np.exp(np.outer(beta, x))
        mean = ratio(fitted @ x, fitted.sum(axis=-1))
        variance = ratio(fitted @ x**2, fitted.sum(axis=-1)) - mean**2
        beta = np.clip(beta + np.clip(ratio(wanted - mean, variance), -1.0, 1.0), -LARGEST_RISE, LARGEST_RISE)
    return value(np.where(total > 0, beta, np.nan))


@dataclass(frozen=True)
class Season:
    """Is the daily rate in some months above that in the others, in every tier? Weeks resampled.

    The ratio is that of rates a day, of all orders (units, spend, customers) of a tier. With `against_trend` a steady
    growth or decline of the tier is allowed for, by a Poisson regression log rate = a + b day + c [in those months], of
    which the ratio is exp(c): customers who were chosen by what they did before fall back to what is usual for them,
    and that would pass for a season. Weeks are resampled, as days of one week go together. One year holds each season
    once: whether the next brings it again these data cannot tell.
    """

    months: Sequence[int]
    measure: str
    against_trend: bool

    is_correlation = False

    def __post_init__(self) -> None:
        numbers = all(type(month) is int for month in self.months)
        if not numbers or not 1 <= len(set(self.months)) <= 11 or not set(self.months) <= set(range(1, 13)):
            raise InputError(
                "months are no season", where="parameters.months", expected="1 to 11 of 1 … 12", found=str(self.months)
            )

    def parts(self, window: Window) -> tuple[list[Part], list[str]]:
        counts, notes = _daily(window, self.measure)
        inside = np.asarray(counts.index.month.isin(list(self.months)))
        names = [calendar.month_name[month] for month in sorted(self.months)]
        parts = _ratios(window, counts, inside, self.against_trend, " and ".join(names))
        months = counts.assign(**{TOGETHER: counts.sum(axis=1)}).groupby(counts.index.month).agg(["mean", "size"])
        parts = [
            dataclasses.replace(part, details={**part.details, "peak": _peak(months[part.name])}) for part in parts
        ]
        peaks = {part.details["peak"] for part in parts[:-1]}
        notes += [
            f"All tiers peak in {peaks.pop()}."
            if len(peaks) == 1
            else "The month with the highest rate: "
            + ", ".join(f"{part.details['peak']} ({part.name})" for part in parts[:-1])
            + ".",
            f"{listing(names, limit=12)}: {inside.sum()} of {len(inside)} days.",
        ]
        return parts, notes


@dataclass(frozen=True)
class Weekday:
    """Is the daily rate on some days of the week above that on the others, in every tier? Weeks resampled."""

    days: Sequence[str]
    measure: str

    is_correlation = False

    def __post_init__(self) -> None:
        for day in self.days:
            _one_of(str(day).lower(), WEEKDAYS, "parameters.days")
        if not 0 < len(set(self.days)) < 7:
            raise InputError(
                "nothing is left to compare with", where="parameters.days", expected="1 to 6 days", found=str(self.days)
            )

    def numbers(self) -> list[int]:
        """The days, from 0 for Monday."""
        return [WEEKDAYS.index(day.lower()) for day in self.days]

    def parts(self, window: Window) -> tuple[list[Part], list[str]]:
        counts, notes = _daily(window, self.measure)
        inside = np.asarray(counts.index.day_of_week.isin(self.numbers()))
        parts = _ratios(window, counts, inside, False, " and ".join(day.capitalize() for day in self.days))
        total = counts.sum(axis=1).groupby(counts.index.day_of_week).mean()
        high, low = (calendar.day_name[int(day)] for day in (total.idxmax(), total.idxmin()))
        return parts, [*notes, f"Over all tiers {high} is the busiest day and {low} the quietest."]


def _daily(window: Window, measure: str) -> tuple[pd.DataFrame, list[str]]:
    """Days by the tiers that are large enough, and what there is to say of the others."""
    tiers, notes = _large_enough(window.buyers, window)
    return window.counts[measure][tiers], notes


def _large_enough(tiers: pd.Series, window: Window) -> tuple[list[str], list[str]]:
    """Of the tiers of those who count: which hold enough to be resampled, best first, and a note of the others.

    Raises
    ------
    InputError
        If there are not two.
    """
    held = tiers.value_counts().reindex(tiers.cat.categories)
    large = [tier for tier in held.index if held[tier] >= window.min_customers]
    small = listing((f"{tier} ({held[tier]})" for tier in held.index if tier not in large), limit=20)
    if len(large) < 2:
        raise InputError(
            "too few customers bought",
            expected=f"at least {window.min_customers} in at least 2 tiers",
            found=f"fewer in {small}",
            hint="tiers as of a later day hold more of them",
        )
    too_few = f"Left out, as fewer than {window.min_customers} customers are too few to tell: {small}."
    return large, [too_few] if small else []


def _ratios(window: Window, counts: pd.DataFrame, inside: np.ndarray, against_trend: bool, when: str) -> list[Part]:
    """A part for each tier, and one for all together: the log of the rate on days inside over that on the others."""
    weeks = counts.index.to_period("W-SUN")
    of_sides = [weeks[side].nunique() for side in (inside, ~inside)]
    if weeks.nunique() < LEAST_WEEKS or min(of_sides) < LEAST_WEEKS_OF_A_SIDE:
        raise InputError(
            f"the window from {window.start} until before {window.end} has too few weeks",
            expected=f"at least {LEAST_WEEKS}, {LEAST_WEEKS_OF_A_SIDE} of them with days of {when}, and with others",
            found=f"{weeks.nunique()}, {of_sides[0]} of them with days of {when}, {of_sides[1]} with others",
            hint="tiers as of an earlier day leave more days to test them on",
        )
    silent = [
        tier for tier in counts.columns if min(counts.loc[inside, tier].sum(), counts.loc[~inside, tier].sum()) <= 0
    ]
    if silent:
        raise InputError(
            f"tier {listing(silent)} bought on one side only",
            expected=f"customers in every tier who buy both in {when} and else",
            hint="what is said of all tiers can only be tested where each has some",
        )
    ratios = [_ratio(str(tier), counts[tier].to_numpy(), inside, window, against_trend) for tier in counts.columns]
    return [*ratios, _ratio(TOGETHER, counts.sum(axis=1).to_numpy(), inside, window, against_trend)]


def _ratio(name: str, y: np.ndarray, inside: np.ndarray, window: Window, against_trend: bool) -> Part:
    estimate, draws = (
        log_rate_ratio(y, inside, weights, against_trend=against_trend)
        for weights in (np.ones((1, len(y))), window.week_weights)
    )
    details = {"rate": y[inside].mean(), "rate of others": y[~inside].mean()}
    return Part(name, Distribution(float(estimate[0]), draws), details)


def log_rate_ratio(y: np.ndarray, inside: np.ndarray, weights: np.ndarray, *, against_trend: bool) -> np.ndarray:
    """log of the mean of y inside over that outside, for each row of weights; beside a log-linear trend if asked for.

    Parameters
    ----------
    y : array of shape (n_days,)
        Counts or amounts, >= 0.
    inside : array of bool, of shape (n_days,)
    weights : array of shape (n_resamples, n_days)
    against_trend : bool
        Fit log E y = a + b day + c inside by Poisson's quasi-likelihood, and give c.

    Returns
    -------
    array of shape (n_resamples,)
        NaN where a resample has no day, or nothing bought, on one side.
    """
    sums = [(weights[:, side] @ y[side], weights[:, side].sum(axis=1)) for side in (inside, ~inside)]
    usable = np.all([(total > 0) & (days > 0) for total, days in sums], axis=0)
    rates = [np.where(usable, ratio(total, days), 1.0) for total, days in sums]
    plain = np.log(rates[0] / rates[1])
    if not against_trend:
        return np.where(usable, plain, np.nan)
    days = np.linspace(-1.0, 1.0, len(y))
    X = np.column_stack([np.ones(len(y)), inside, days])
    products = np.einsum("ni,nj->nij", X, X).reshape(len(y), 9)
    beta = np.column_stack([np.log(rates[1]), plain, np.zeros(len(plain))])
    for _ in range(NEWTON_STEPS):
        mean = weights * np.exp(np.clip(beta @ X.T, -30.0, 30.0))
        slope = (weights * y - mean) @ X
        curvature = (mean @ products).reshape(-1, 3, 3) + 1e-9 * np.eye(3)
        step = np.clip(np.linalg.solve(curvature, slope[..., None])[..., 0], -1.0, 1.0)
        beta = beta + step
        if np.abs(step[usable]).max(initial=0.0) < 1e-8:
            break
    return np.where(usable, beta[:, 1], np.nan)


def _peak(rates: pd.DataFrame) -> str:
    whole = rates[rates["size"] >= LEAST_DAYS_OF_A_MONTH]
    return calendar.month_name[int((whole if len(whole) else rates)["mean"].idxmax())]


TESTS: Mapping[str, type[Trend | Season | Weekday]] = {"trend": Trend, "season": Season, "weekday": Weekday}


@dataclass(frozen=True)
class Hypothesis:
    """A statement and how it is tested.

    Attributes
    ----------
    name : str
    statement : mapping of language to str
        `en`, and others that the report may show, such as `ko`.
    test : Trend, Season or Weekday
    direction : str
        "higher" or "lower": what the statement says of higher tiers, or of those months or days.
    smallest_effect : float
        That matters, above 0: a share more (.1 is a tenth), or a rank correlation.
    needs : tuple of str
        Canonical tables.
    reported : str or None
        What the case study found: "held" or "rejected".
    note : str or None
        What to bear in mind.
    """

    name: str
    statement: Mapping[str, str]
    test: Trend | Season | Weekday
    direction: str
    smallest_effect: float
    needs: tuple[str, ...]
    reported: str | None = None
    note: str | None = None

    @classmethod
    def from_config(cls, name: str, config: object) -> Hypothesis:
        """Read what `hypotheses/<name>.yaml` says, in conf/ or a folder of the user's; or raise why it cannot be read.

        Raises
        ------
        InputError
            For a key, test, column or parameter that is unknown, missing or of the wrong type.
        """
        if isinstance(config, InputError):
            raise config
        where = f"hypotheses/{name}.yaml"
        try:
            return cls._read(name, config)
        except InputError as error:
            place = where if error.where in (None, "features.names") else f"{where}, {error.where}"
            raise InputError(
                error.problem, where=place, expected=error.expected, found=error.found, hint=error.hint
            ) from error

    @classmethod
    def _read(cls, name: str, config: object) -> Hypothesis:
        if not isinstance(config, Mapping):
            raise InputError("a hypothesis is a mapping", expected="statement: …, test: …", found=repr(config))
        required = [key for key, annotation in KEYS.items() if "None" not in annotation]
        _check_keys(config, KEYS, VALUES, required)
        statement = _statement(config)
        if not config["smallest_effect"] > 0:
            raise InputError(
                "an effect that matters is above 0", where="smallest_effect", found=str(config["smallest_effect"])
            )
        if config["direction"] == "lower" and not config["smallest_effect"] < 1:
            raise InputError(
                "nothing is lower by more than all of it",
                where="smallest_effect",
                expected="less than 1",
                found=str(config["smallest_effect"]),
            )
        return cls(
            name=name,
            statement=statement,
            test=_test(config),
            direction=config["direction"],
            smallest_effect=float(config["smallest_effect"]),
            needs=tuple(config["needs"]),
            reported=config.get("reported"),
            note=config.get("note"),
        )

    @property
    def threshold(self) -> float:
        """The smallest effect on the scale of the parts' distributions."""
        if self.test.is_correlation:
            return self.smallest_effect
        return float(np.log1p(self.smallest_effect) if self.direction == "higher" else -np.log1p(-self.smallest_effect))

    def readable(self, effect: float) -> float:
        """An effect of the distributions' scale as it is read: higher above 0, a share more or a rank correlation."""
        effect = effect if self.direction == "higher" else -effect
        return float(effect) if self.test.is_correlation else float(np.expm1(effect))

    def check_tables(self, shop: Shop) -> None:
        """Raise an InputError where the shop lacks a table that the hypothesis needs."""
        present = shop.tables.present()
        absent = [table for table in self.needs if table not in present]
        if absent:
            raise InputError(
                f"the table {listing(absent)} is missing",
                expected=listing(self.needs),
                found=f"the tables {', '.join(present)}",
                hint="add it to the source",
            )


def _statement(config: object) -> dict[str, str]:
    texts = config.get("statement") if isinstance(config, Mapping) else None
    if not isinstance(texts, Mapping) or "en" not in texts or not all(isinstance(text, str) for text in texts.values()):
        raise InputError("a statement needs its English text", where="statement", expected="en: …", found=str(texts))
    return {str(language): text for language, text in texts.items()}


KEYS = {
    "statement": "Mapping",
    "test": "str",
    "direction": "str",
    "smallest_effect": "float",
    "needs": "Sequence",
    "column": "str | Sequence | None",
    "absent": "float | None",
    "parameters": "Mapping | None",
    "reported": "str | None",
    "note": "str | None",
}
VALUES: Mapping[str, Collection[str]] = {
    "test": TESTS,
    "direction": DIRECTIONS,
    "needs": SPECS,
    "reported": REPORTED,
}


def _test(config: Mapping[str, Any]) -> Trend | Season | Weekday:
    kind, column, given = TESTS[config["test"]], config.get("column"), config.get("parameters") or {}
    if kind is not Trend:
        if column is not None or config.get("absent") is not None:
            raise InputError(f"the test {config['test']} takes no column", where="column", hint="see its measure")
        known = {field.name: str(field.type) for field in dataclasses.fields(kind)}
        _check_keys(given, known, {"measure": COUNTED}, list(known), "parameters.")
        return kind(**given)
    columns = [column] if isinstance(column, str) else list(column or [])
    if not columns:
        raise InputError("a trend needs something to measure", where="column", expected="a measure or a feature")
    for name in columns:
        if not isinstance(name, str):
            raise InputError("a column is no name", where="column", expected="a measure or a feature", found=str(name))
        if name not in MEASURES:
            _check_feature(name)
    known = {"compare": "str"}
    for name in columns:
        known |= _parameters(MEASURES[name]) if name in MEASURES else {}
    values = {
        "measure": ("units", "spend"),
        "compare": COMPARED,
        "level": group_totals.LEVELS,
        "of": group_totals.COUNTS,
    }
    _check_keys(given, known, values, list(known), "parameters.")
    if not 0 < given.get("dearest", 0.5) < 1:
        raise InputError("dearest is a share", where="parameters.dearest", expected="between 0 and 1")
    return Trend(columns, given["compare"], given, config.get("absent"))


def _parameters(measure: Callable[..., Any]) -> dict[str, str]:
    """Those that a configuration gives: of keywords, those that are not given already."""
    fixed = measure.keywords if isinstance(measure, partial) else {}
    signature = inspect.signature(measure).parameters.values()
    return {p.name: str(p.annotation) for p in signature if p.kind is p.KEYWORD_ONLY and p.name not in fixed}


def _check_keys(
    given: Mapping[str, Any],
    known: Mapping[str, str],
    values: Mapping[str, Collection[str]],
    required: Sequence[str],
    prefix: str = "",
) -> None:
    """Refuse keys that are unknown, of the wrong type, not among their values where those are given, or missing."""
    for key, found in given.items():
        if key not in known:
            raise InputError(f"there is no key {key!r}", where=f"{prefix}{key}", hint=did_you_mean(str(key), known))
        check_type(found, known[key], f"{prefix}{key}")
        if key in values and found is not None:
            for item in [found] if isinstance(found, str) else found:
                _one_of(item, values[key], f"{prefix}{key}")
    for key in required:
        if key not in given:
            allowed = " or ".join(values[key]) if key in values else known[key]
            raise InputError(f"{prefix}{key} is missing", where=f"{prefix}{key}", expected=f"{key}: {allowed}")


def _check_feature(name: str) -> None:
    try:
        resolve([name])
    except InputError as error:
        raise InputError(
            f"there is no measure or feature {name!r}",
            where="column",
            hint=f"{error.hint}; measures: {listing(MEASURES)}",
        ) from error
    if name.endswith(".*"):
        raise InputError(f"{name} stands for several features", where="column", expected="one measure or feature")


def _one_of(found: object, known: Collection[str], where: str) -> None:
    if not isinstance(found, str) or found not in known:
        raise InputError(
            f"{where}: there is no {found!r}",
            where=where,
            expected=listing(known, limit=20),
            hint=did_you_mean(str(found), known),
        )


@dataclass(frozen=True)
class Finding:
    """What a hypothesis came to.

    Attributes
    ----------
    name : str
    statement : mapping of language to str
        The name where it could not be read.
    verdict : str
        "holds", "does not hold", "undecided" or "not tested".
    hypothesis : Hypothesis or None
    decisive : str
        The part that the verdict rests on: all parts must show their effect, and one that lacks it refutes it.
    effect, low, high : float
        Of that part, as it is read.
    p_value : float
        Of no effect at all, or one in the other direction, in some part; corrected as the intervals are.
    parts : DataFrame
        A row for each part, by name: effect, low, high, p_value, and details. Of ratios the last is of all tiers
        together, without p_value.
    notes : tuple of str
        Sentences.
    message : str or None
        Why it was not tested.
    confidence : float
        Of all intervals of the report at once.
    """

    name: str
    statement: Mapping[str, str]
    verdict: str
    hypothesis: Hypothesis | None = None
    decisive: str = ""
    effect: float = np.nan
    low: float = np.nan
    high: float = np.nan
    p_value: float = np.nan
    parts: pd.DataFrame = dataclasses.field(default_factory=pd.DataFrame)
    notes: tuple[str, ...] = ()
    message: str | None = None
    confidence: float = np.nan


@dataclass(frozen=True)
class _Tested:
    """A hypothesis and its parts, in its direction."""

    hypothesis: Hypothesis
    parts: Sequence[Part]
    notes: Sequence[str]

    @property
    def claims(self) -> list[Part]:
        """The parts of which each must show its effect."""
        return [part for part in self.parts if part.name != TOGETHER]


def named_times(hypotheses: Mapping[str, object]) -> dict[str, set[int]]:
    """The times that hypotheses speak of: `month`, 1 to 12, and `day_of_week`, 0 for Monday.

    Parameters
    ----------
    hypotheses : mapping
        As of `assess`; those that cannot be read speak of none.
    """
    named: dict[str, set[int]] = {"month": set(), "day_of_week": set()}
    for name, config in hypotheses.items():
        with suppress(InputError):
            test = Hypothesis.from_config(name, config).test
            if isinstance(test, Season):
                named["month"].update(test.months)
            elif isinstance(test, Weekday):
                named["day_of_week"].update(test.numbers())
    return named


def assess(hypotheses: Mapping[str, object], window: Window, tiers_as_of: date, *, confidence: float) -> list[Finding]:
    """Test hypotheses about tiers on what happened in a window, and correct them for the number of their claims.

    An interval is the estimate -/+ z standard errors of its draws, on the scale on which 0 is no effect, with z the
    normal quantile of 1 - alpha / n (Bonferroni for n claims in all), and p-values are those that agree with it: so far
    out quantiles of a few thousand draws would be chance. No spread at all is no certainty, and gives no interval.

    Parameters
    ----------
    hypotheses : mapping of name to mapping
        As their files say; or an InputError, why a file cannot be read.
    window : Window
        It must not begin before `tiers_as_of`.
    tiers_as_of : datetime.date
        The cutoff that the tiers were made at.
    confidence : float
        Of all intervals at once, such as .95; half of the rest is alpha.

    Returns
    -------
    list of Finding
        In the order given. One that cannot be read or tested says why, and the others are tested all the same.

    Raises
    ------
    InputError
        If the window begins before the tiers were known, or is not covered by the data, or if nobody in the tiers
        bought in it.
    """
    if window.start < tiers_as_of:
        raise InputError(
            "tiers are tested on days that they were made from",
            where="start",
            expected=f"a window from {tiers_as_of}, when the tiers were known, or later",
            found=f"one from {window.start}",
            hint="let the window begin at the tiers' cutoff",
        )
    window.shop.tables.check_window(window.start, window.end)
    _ = window.buyers
    tested: dict[str, _Tested | Finding] = {name: _tested(name, config, window) for name, config in hypotheses.items()}
    n_claims = sum(len(result.claims) for result in tested.values() if isinstance(result, _Tested))
    return [
        _finding(result, n_claims, confidence) if isinstance(result, _Tested) else result for result in tested.values()
    ]


def _tested(name: str, config: object, window: Window) -> _Tested | Finding:
    hypothesis = None
    try:
        hypothesis = Hypothesis.from_config(name, config)
        hypothesis.check_tables(window.shop)
        parts, notes = hypothesis.test.parts(window)
    except InputError as error:
        logger.warning("hypothesis %s is not tested: %s", name, error.sentence)
        statement = {"en": name}
        with suppress(InputError):  # the mistake may be elsewhere
            statement = _statement(config)
        return Finding(name, statement, NOT_TESTED, hypothesis, message=error.sentence)
    if hypothesis.direction == "lower":
        parts = [
            dataclasses.replace(part, effect=Distribution(-part.effect.estimate, -part.effect.draws)) for part in parts
        ]
    return _Tested(hypothesis, parts, notes)


def _finding(tested: _Tested, n_claims: int, confidence: float) -> Finding:
    """Read the verdict off the intervals: shown where each part's is above no effect, refuted where one is too low."""
    hypothesis = tested.hypothesis
    found = pd.DataFrame(
        {
            "effect": [part.effect.estimate for part in tested.parts],
            "error": [part.effect.standard_error for part in tested.parts],
        },
        index=pd.Index([part.name for part in tested.parts], name="part"),
    )
    error = found.pop("error").where(lambda error: error > NO_SPREAD, np.inf)
    z = norm.isf((1 - confidence) / 2 / n_claims)
    found["low"], found["high"] = found["effect"] - z * error, found["effect"] + z * error
    found["p_value"] = np.minimum(n_claims * norm.sf(found["effect"] / error), 1.0)
    found.loc[found.index == TOGETHER, "p_value"] = np.nan
    claims = found[found.index != TOGETHER]
    if claims["high"].min() < hypothesis.threshold:
        verdict, decisive = FAILS, claims["high"].idxmin()
    elif claims["low"].min() <= 0:
        verdict, decisive = UNDECIDED, claims["low"].idxmin()
    else:
        verdict = HOLDS if claims["effect"].min() >= hypothesis.threshold else UNDECIDED
        decisive = claims["effect"].idxmin()
    ends = ("low", "high") if hypothesis.direction == "higher" else ("high", "low")
    found["effect"], found["low"], found["high"] = (found[name].map(hypothesis.readable) for name in ("effect", *ends))
    return Finding(
        name=hypothesis.name,
        statement=hypothesis.statement,
        verdict=verdict,
        hypothesis=hypothesis,
        decisive=str(decisive),
        **found.loc[decisive, ["effect", "low", "high"]],
        p_value=claims["p_value"].max(),
        parts=found.join(pd.DataFrame([part.details for part in tested.parts], index=found.index)),
        notes=tuple(tested.notes),
        confidence=confidence,
    )
