"""Amounts: a predicted total beside the actual one, what past windows say of the next, and how far to trust it.

Ranking and amounts are two questions. A constant factor at a cutoff changes every total and no order, so the total is
calibrated after the fit, by windows that had ended by then.

For each past window, with a model that was trained on windows that had ended by its cutoff,

    shift  = log(actual total / predicted total) - level of that model on its training windows
    season = mean shift of that model on its training windows in the same weeks of the years before
    shift  = drift + weight x season + error

drift, weight and error are Gaussian with the prior `PRIOR`; errors of overlapping windows are correlated by their
overlap. The shift of the next window then has a Student t distribution.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date, timedelta

import numpy as np
import pandas as pd

from features.errors import InputError, check_type, listing
from features.seasons import same_weeks

COVERAGE = 0.9  # of the interval of the next window's total
STATUSES = ("reliable", "rough")
UNRELIABLE = "unreliable"
USE = {
    "reliable": "Budgets and plans may use them.",
    "rough": "Use them as orders of magnitude.",
    UNRELIABLE: "Use the order of customers only.",
}


@dataclass(frozen=True)
class Prior:
    """Prior of the shift of a window, by what shops in general show.

    Fitted on 47 simulated seasonal shops, with a wider drift (0.06 in place of 0.04) and fewer degrees of freedom (10
    in place of 19): real shops may be less like each other.

    Attributes
    ----------
    drift : float
        Standard deviation of the shift that neighbouring windows share.
    drift_days : float
        Days in which that correlation falls to 1 / e.
    weight, weight_sd : float
        Mean and standard deviation of the weight of the season.
    error : float
        Standard deviation of a window's shift beyond its sampling error, where the season is known.
    unknown_season : float
        Factor on `error` where it is not.
    sampling : float
        Factor on the variance that the customers of a window bring.
    degrees : float
        Degrees of freedom of the prior of the common scale.
    """

    drift: float = 0.06
    drift_days: float = 365.0
    weight: float = 0.95
    weight_sd: float = 0.2
    error: float = 0.11
    unknown_season: float = 3.4
    sampling: float = 1.1
    degrees: float = 10.0


PRIOR = Prior()


@dataclass(frozen=True)
class Window:
    """One past window: its shift, its season, and the chance in it.

    Attributes
    ----------
    cutoff : date
    shift : float
        log(actual total / predicted total), beyond the level of the model on its training windows.
    season : float or None
        That of the same weeks of the years before; None where the history is too short.
    sampling : float
        Variance of the shift by the chance of its customers.
    """

    cutoff: date
    shift: float
    season: float | None
    sampling: float


@dataclass(frozen=True)
class Season:
    """Shift of a model on each of its training windows, in which the season of later years is looked up."""

    shifts: Mapping[date, float]

    def at(self, cutoff: date) -> float | None:
        """Return the mean shift of the same weeks of the years before, or None where no window is early enough."""
        if not self.shifts:
            return None
        days = sorted(self.shifts)
        found = float(same_weeks(cutoff.toordinal(), [day.toordinal() for day in days], [self.shifts[d] for d in days]))
        return None if math.isnan(found) else found


@dataclass(frozen=True)
class Forecast:
    """Distribution of the shift of a window to come: Student t.

    Attributes
    ----------
    drift : float
        Part that is not of the season.
    weight : float
        Weight of the season.
    centre, scale, degrees : float
    """

    drift: float
    weight: float
    centre: float
    scale: float
    degrees: float

    def interval(self) -> tuple[float, float]:
        """Return the central interval of `COVERAGE`."""
        from scipy.stats import t

        half = float(t.ppf((1 + COVERAGE) / 2, self.degrees)) * self.scale
        return self.centre - half, self.centre + half


def forecast(
    windows: Sequence[Window], cutoff: date, season: float | None, horizon_days: int, prior: Prior = PRIOR
) -> Forecast:
    """Predict the shift of the window at a cutoff from the shifts of past windows.

    Parameters
    ----------
    windows : sequence of Window
        At least one.
    cutoff : date
    season : float or None
        Season of the new window.
    horizon_days : int
    prior : Prior
    """
    sampling = float(np.median([window.sampling for window in windows[-3:]]))
    everyone = [*windows, Window(cutoff, math.nan, season, sampling)]
    day = np.array([window.cutoff.toordinal() for window in everyone], dtype=float)
    is_known = np.array([window.season is not None for window in everyone])
    x = np.array([window.season or 0.0 for window in everyone])
    apart = np.abs(day[:, None] - day)
    error = prior.error * np.where(is_known, 1.0, prior.unknown_season)
    by_chance = np.sqrt(prior.sampling * np.array([window.sampling for window in everyone]))
    overlap = np.maximum(0.0, 1 - apart / horizon_days)
    shared = prior.drift**2 * np.exp(-apart / prior.drift_days)
    covariance = overlap * (np.outer(error, error) + np.outer(by_chance, by_chance))
    covariance += shared + prior.weight_sd**2 * np.outer(x, x)
    covariance[np.diag_indices_from(covariance)] *= 1.02  # overlapping windows are not quite the sum of their parts
    unexplained = np.array([window.shift for window in windows]) - prior.weight * x[:-1]
    past, cross = covariance[:-1, :-1], covariance[-1, :-1]
    solved = np.linalg.solve(past, unexplained)
    variance = covariance[-1, -1] - cross @ np.linalg.solve(past, cross)
    n = n_apart(windows, horizon_days)
    degrees = prior.degrees + n
    common = (prior.degrees + n * float(unexplained @ solved) / len(windows)) / degrees
    drift = float((shared + overlap * np.outer(error, error))[-1, :-1] @ solved)
    return Forecast(
        drift=drift,
        weight=prior.weight + prior.weight_sd**2 * float(x[:-1] @ solved),
        centre=prior.weight * x[-1] + float(cross @ solved),
        scale=math.sqrt(common * variance),
        degrees=degrees,
    )


def n_apart(windows: Sequence[Window], horizon_days: int) -> float:
    """Return how many windows without overlap the windows are worth, at most their number."""
    span = (windows[-1].cutoff - windows[0].cutoff).days
    return min(float(len(windows)), span / horizon_days + 1)


@dataclass(frozen=True)
class Calibration:
    """Terms added to a model's log total at a cutoff: the level of its training windows, the drift, the season.

    Attributes
    ----------
    level, drift, weight : float
    season : Season
    """

    level: float
    drift: float
    weight: float
    season: Season

    def at(self, cutoff: date) -> float:
        """Return the shift beyond the level that is expected at a cutoff."""
        return self.drift + self.weight * (self.season.at(cutoff) or 0.0)


@dataclass(frozen=True)
class Amounts:
    """Trust in the totals of a calibrated model, from past windows.

    Attributes
    ----------
    calibration : Calibration
        As the model applies it.
    windows : tuple of Window
        What past windows showed, ascending.
    horizon_days : int
    bounds : mapping of status to (lowest, highest)
        Range of actual / predicted total within which the interval of a status lies.
    total : str
        What the amounts add up to, in words: "spend".
    """

    calibration: Calibration
    windows: tuple[Window, ...]
    horizon_days: int
    bounds: Mapping[str, tuple[float, float]]
    total: str = "total"

    @property
    def following(self) -> date:
        """First cutoff whose window begins when the last one that is known has ended."""
        return self.windows[-1].cutoff + timedelta(days=self.horizon_days)

    @property
    def knows_season(self) -> bool:
        """True if the same weeks of the year before are known for the window to come."""
        return self.calibration.season.at(self.following) is not None

    def interval(self, cutoff: date | None = None) -> tuple[float, float]:
        """Return the range of actual total / predicted total in the window at a cutoff, else in the next window."""
        if not self.windows:
            return 0.0, math.inf
        cutoff = cutoff or self.following
        season = self.calibration.season.at(cutoff)
        low, high = forecast(self.windows, cutoff, season, self.horizon_days).interval()
        applied = self.calibration.at(cutoff)
        return math.exp(low - applied), math.exp(high - applied)

    @property
    def status(self) -> str:
        """Return reliable, rough with its interval, or unreliable."""
        low, high = self.interval()
        for status in STATUSES:
            lowest, highest = self.bounds[status]
            if lowest <= low <= high <= highest:
                return status if status == "reliable" else f"{status} ({apart(low)} to {apart(high)})"
        return UNRELIABLE

    @property
    def said(self) -> str:
        """Return in a sentence how far totals can be trusted, and what that rests on."""
        if not self.windows:
            why = "no past window shows how far they are from the actual ones"
            return f"Amounts are {UNRELIABLE}: {why}. {USE[UNRELIABLE]}"
        low, high = self.interval()
        basis = "one past window" if len(self.windows) == 1 else f"{len(self.windows)} past windows"
        season = " and the same weeks of the year before" if self.knows_season else "; no year before shows the season"
        name = self.status.partition(" ")[0]
        return (
            f"Amounts are {name}: the actual {self.total} is expected between {apart(low)} and {apart(high)} what is "
            f"predicted ({COVERAGE:.0%} interval from {basis}{season}). {USE[name]}"
        )

    def with_window(self, window: Window) -> Amounts:
        """Return the amounts with one more window, in place of one of the same cutoff."""
        others = [known for known in self.windows if known.cutoff != window.cutoff]
        return replace(self, windows=tuple(sorted([*others, window], key=lambda known: known.cutoff)))

    def tags(self) -> dict[str, str]:
        """Return the tags of a version: the status, the sentence, and what `recorded` reads."""
        return {"amounts": self.status, "amounts_said": self.said, "amounts_record": self._record()}

    def metrics(self) -> dict[str, float]:
        """Return the ends of the interval, and the number of windows behind it, as a run logs them."""
        counted = {"amounts/windows": float(len(self.windows))}
        return (
            {**dict(zip(("amounts/low", "amounts/high"), self.interval(), strict=True)), **counted}
            if self.windows
            else counted
        )

    def _record(self) -> str:
        windows = [
            [str(w.cutoff), round(w.shift, 5), None if w.season is None else round(w.season, 5), round(w.sampling, 7)]
            for w in self.windows
        ]
        season = {str(day): round(shift, 5) for day, shift in self.calibration.season.shifts.items()}
        content = {**asdict(self), "windows": windows, "calibration": {**asdict(self.calibration), "season": season}}
        return json.dumps(content, separators=(",", ":"))

    @classmethod
    def recorded(cls, tags: Mapping[str, str]) -> Amounts | None:
        """Read the amounts of a version from its tags; None where it has none."""
        if "amounts_record" not in tags:
            return None
        content = json.loads(tags["amounts_record"])
        season = {date.fromisoformat(day): shift for day, shift in content["calibration"].pop("season").items()}
        windows = [Window(date.fromisoformat(day), *rest) for day, *rest in content["windows"]]
        return cls(
            calibration=Calibration(**content["calibration"], season=Season(season)),
            windows=tuple(windows),
            horizon_days=content["horizon_days"],
            bounds={status: tuple(bounds) for status, bounds in content["bounds"].items()},
            total=content.get("total", "total"),
        )


def after_look(tags: Mapping[str, str], y: pd.Series, prediction: pd.Series, cutoff: date) -> dict[str, str]:
    """Return a version's tags on amounts once one more window is known, such as the sealed one after a look.

    Parameters
    ----------
    tags : mapping
        Tags of the version that predicted.
    y, prediction : Series, same index
        Actual and predicted amounts of the window, by the version itself.
    cutoff : date
        Of the window.

    Returns
    -------
    dict of str to str
        Empty for a version without amounts. The same call twice gives the same tags.
    """
    amounts = Amounts.recorded(tags)
    observed = total_shift(y, prediction)
    if amounts is None or observed is None:
        return {}
    calibration = amounts.calibration
    shift = observed + calibration.at(cutoff)
    return amounts.with_window(Window(cutoff, shift, calibration.season.at(cutoff), sampling(y, prediction))).tags()


def total_shift(y: pd.Series, prediction: pd.Series) -> float | None:
    """Return log(actual total / predicted total), or None where a total is 0."""
    actual, predicted = float(np.sum(y)), float(np.sum(prediction))
    return math.log(actual / predicted) if actual > 0 and predicted > 0 else None


def sampling(y: pd.Series, prediction: pd.Series) -> float:
    """Return the variance of the shift by the chance of the customers: sum of (y - p)^2 / (sum of y)^2."""
    residual = np.asarray(y, dtype=float) - np.asarray(prediction, dtype=float)
    return float(residual @ residual) / float(np.sum(y)) ** 2


def apart(ratio: float) -> str:
    """Return in words how far the actual is from the predicted, by their ratio.

    >>> apart(0.8), apart(1.35), apart(1.0)
    ('20% below', '35% above', '0% above')
    """
    return f"{abs(ratio - 1):.0%} {'below' if ratio < 1 else 'above'}"


def check_bounds(bounds: Mapping[str, object]) -> None:
    """Check the ranges of actual / predicted total within which amounts are called reliable or rough.

    Raises
    ------
    InputError
    """
    if sorted(bounds) != sorted(STATUSES):
        raise InputError(
            "the ranges of amounts are not complete",
            where="task.amounts",
            expected=listing(STATUSES),
            found=listing(bounds) or "none",
        )
    for status, given in bounds.items():
        where = f"task.amounts.{status}"
        check_type(given, "Sequence[float]", where)
        low, high = [*given][:2] if len(list(given)) == 2 else (math.nan, math.nan)  # type: ignore[call-overload]
        if not 0 < low < 1 < high:
            raise InputError(
                f"the range of {status} amounts is not valid",
                where=where,
                expected="[lowest, highest] of actual / predicted total, such as [0.8, 1.25], on both sides of 1",
                found=str(given),
            )
    reliable, rough = ([*bounds[status]] for status in STATUSES)  # type: ignore[call-overload]
    if not (rough[0] <= reliable[0] and reliable[1] <= rough[1]):
        raise InputError(
            "the range of rough amounts does not hold that of reliable ones",
            where="task.amounts.rough",
            expected=f"a range that holds {reliable}",
            found=str(rough),
        )
