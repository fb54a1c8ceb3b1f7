"""Cutoffs for training, for validation, and for the sealed window."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import date, timedelta

from features.errors import InputError, InsufficientDataError


@dataclass(frozen=True)
class Splits:
    """Cutoffs of a shop's history; each has a window [cutoff, cutoff + horizon_days) of outcomes.

    Windows of different parts do not overlap. The end of a window may equal the first cutoff of the next part.

    Attributes
    ----------
    training, validation : tuple of date
        Ascending. `training` holds the training cutoffs of the first validation cutoff.
    sealed : date
        First cutoff of the last part with complete windows; only `promote` opens them.
    horizon_days : int
    step_days : int
        Days between held-out cutoffs of one part.
    training_step_days : int
        Days between training cutoffs.
    earliest : date
        First cutoff with enough history.
    part_cutoffs : int
        Number of cutoffs that are held out together, `step_days` apart: 1 for customers as of a day, several for a
        series with a row per week or day. `validation` and `sealed` hold the first of them.
    """

    training: tuple[date, ...]
    validation: tuple[date, ...]
    sealed: date
    horizon_days: int
    step_days: int
    training_step_days: int
    earliest: date
    part_cutoffs: int = 1

    @property
    def part_days(self) -> int:
        """Days from the first cutoff of a held-out part to the end of its last window."""
        return self.horizon_days + (self.part_cutoffs - 1) * self.step_days

    @property
    def sealed_cutoffs(self) -> tuple[date, ...]:
        """All cutoffs of the sealed part."""
        return self._part(self.sealed)

    @property
    def sealed_end(self) -> date:
        """The first day after the sealed windows."""
        return self.sealed + timedelta(days=self.part_days)

    def folds(self) -> list[tuple[tuple[date, ...], tuple[date, ...]]]:
        """Return for each validation part its training cutoffs, whose windows end by then, and its own cutoffs."""
        return [(self._ending_by(cutoff), self._part(cutoff)) for cutoff in self.validation]

    def refit(self) -> tuple[date, ...]:
        """Return the training cutoffs of the candidate: all whose windows end by the sealed cutoff."""
        return self._ending_by(self.sealed)

    def origins(self, most: int) -> list[tuple[tuple[date, ...], tuple[date, ...]]]:
        """Return the folds before the sealed part: those of validation, and at most `most` before them."""
        step = max(self.step_days, self.part_days)
        grid = _grid(self.validation[-1], self.earliest + timedelta(days=self.horizon_days), step)
        first = max(0, len(grid) - len(self.validation) - most)
        return [(self._ending_by(cutoff), self._part(cutoff)) for cutoff in grid[first:]]

    def cutoffs(self) -> tuple[date, ...]:
        """Return all cutoffs of `folds` and `refit`, ascending, without those of the sealed part."""
        used = {cutoff for training, held_out in self.folds() for cutoff in (*training, *held_out)}
        return tuple(sorted(used.union(self.refit())))

    def _part(self, first: date) -> tuple[date, ...]:
        return tuple(first + timedelta(days=number * self.step_days) for number in range(self.part_cutoffs))

    def _ending_by(self, day: date) -> tuple[date, ...]:
        return _grid(day - timedelta(days=self.horizon_days), self.earliest, self.training_step_days)


def make_splits(
    start: date,
    end: date,
    *,
    horizon_days: int,
    step_days: int,
    min_history_days: int,
    n_validation: int,
    part_cutoffs: int = 1,
    training_step_days: int | None = None,
) -> Splits:
    """Set the cutoffs from the end of the data backwards.

    A held-out part takes p = h + (part_cutoffs - 1) x step_days days, and sealed = end - p. The last validation part
    begins at sealed - p. Earlier ones step back from it by `step_days`, or by p if that is longer, so that each outcome
    is validated once. Training cutoffs step back from (held-out cutoff - h) by `training_step_days` while
    `min_history_days` of history lie before them. If the history is too short for a training cutoff, there are fewer
    validation parts than requested.

    Parameters
    ----------
    start, end : date
        First day of the data, and the first day after it.
    horizon_days, step_days, min_history_days, n_validation : int
    part_cutoffs : int
        Number of cutoffs that are held out together: see `Splits`. Above 1 they are rolling origins of a series.
    training_step_days : int, optional
        Days between training cutoffs; `step_days` when left out. It moves no held-out cutoff.

    Raises
    ------
    InsufficientDataError
        If the data is too short for one training window, one validation part and the sealed part.

    Examples
    --------
    >>> splits = make_splits(
    ...     date(2017, 1, 1), date(2018, 1, 1), horizon_days=90, step_days=30, min_history_days=60, n_validation=3
    ... )
    >>> [str(cutoff) for cutoff in (*splits.training, *splits.validation, splits.sealed)]
    ['2017-03-07', '2017-04-06', '2017-07-05', '2017-10-03']
    """
    training_step_days = step_days if training_step_days is None else training_step_days
    given = {
        "horizon_days": horizon_days,
        "step_days": step_days,
        "min_history_days": min_history_days,
        "n_validation": n_validation,
        "part_cutoffs": part_cutoffs,
        "training_step_days": training_step_days,
    }
    for name, value in given.items():
        if value < 1:
            raise InputError(f"{name} is out of range", where=name, expected=">= 1", found=str(value))
    part_days = horizon_days + (part_cutoffs - 1) * step_days
    days, needed = (end - start).days, min_history_days + horizon_days + 2 * part_days
    if days < needed:
        windows = (
            f"windows of {horizon_days} each"
            if part_cutoffs == 1
            else f"windows of {horizon_days}, {part_days} and {part_days}"
        )
        raise InsufficientDataError(
            f"the data is too short for horizon_days={horizon_days}",
            where=f"{start} to {end} (end exclusive)",
            expected=f"{needed} days = min_history_days {min_history_days} + training, validation and sealed {windows}",
            found=f"{days} days, {needed - days} too few",
            hint=_shorter(days, needed, min_history_days),
        )
    horizon, part = timedelta(days=horizon_days), timedelta(days=part_days)
    earliest, sealed = start + timedelta(days=min_history_days), end - part
    validation = _grid(sealed - part, earliest + horizon, max(step_days, part_days))[-n_validation:]
    return Splits(
        training=_grid(validation[0] - horizon, earliest, training_step_days),
        validation=validation,
        sealed=sealed,
        horizon_days=horizon_days,
        step_days=step_days,
        training_step_days=training_step_days,
        earliest=earliest,
        part_cutoffs=part_cutoffs,
    )


def _grid(last: date, earliest: date, step_days: int) -> tuple[date, ...]:
    """List the days from `last` back to `earliest` by steps, ascending."""
    steps = range((last - earliest).days // step_days + 1)
    return tuple(last - timedelta(days=step * step_days) for step in reversed(steps))


def _shorter(days: int, needed: int, min_history_days: int) -> str:
    more = f"{math.ceil((needed - days) / 7)} more weeks of data"
    longest = (days - min_history_days) // 3
    if longest >= 1:
        return f"use task.horizon_days={longest} or shorter, a smaller evaluation.min_history_days, or {more}"
    return f"use a smaller evaluation.min_history_days and task.horizon_days, or {more}"
