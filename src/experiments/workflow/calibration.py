"""Calibration of amounts: a fitted model with the totals that past windows and the season call for."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import pandas as pd

from experiments.evaluation.amounts import (
    Amounts,
    Calibration,
    Season,
    Window,
    after_look,
    forecast,
    sampling,
    total_shift,
)
from experiments.evaluation.splits import Splits
from experiments.evaluation.validation import Dataset
from experiments.gate.sealed import SEALED
from experiments.tasks.base import AmountTask, Task
from features.errors import UnsuitableDataError
from features.seasons import days_since_epoch

if TYPE_CHECKING:
    from experiments.models.base import Model
    from experiments.tracking.registry import Version
    from experiments.workflow.session import Session

logger = logging.getLogger(__name__)

MOST_WINDOWS = 5
LEAST_ELASTICITY = 0.05  # of a total in the log odds, where nearly all customers have the event or nearly none


@dataclass(frozen=True)
class Hindcast:
    """A past cutoff as a model saw it that was trained on windows that had ended by then.

    Attributes
    ----------
    cutoff : date
    y, p : Series
        Outcomes and predictions of the window at the cutoff.
    trained_y, trained_p : Series
        Those of the training windows, indexed (…, cutoff).
    """

    cutoff: date
    y: pd.Series
    p: pd.Series
    trained_y: pd.Series
    trained_p: pd.Series

    def sloped(self, slope: float) -> Hindcast:
        """Return the hindcast with every probability's log odds times a slope."""
        if slope == 1:
            return self
        return Hindcast(self.cutoff, self.y, _sloped(self.p, slope), self.trained_y, _sloped(self.trained_p, slope))


def _sloped(p: pd.Series, slope: float) -> pd.Series:
    from scipy.special import expit, logit

    return pd.Series(expit(slope * logit(p.to_numpy())), index=p.index)


Fitted = Mapping[tuple[date, ...], Any]
"""Models by their training cutoffs."""


def calibrated(
    session: Session, name: str, model: Model, build: Callable[[], Model], fitted: Fitted | None = None
) -> tuple[Model, Amounts | None]:
    """Calibrate the amounts of a model that was fitted on all windows before the sealed one.

    Parameters
    ----------
    session : Session
    name : str
        Of the model, in the log.
    model : Model
        Fitted on the windows of `splits.refit()`.
    build : callable
        Builds it without training, for the past windows.
    fitted : mapping of training cutoffs to Model, optional
        What `build` gave and was fitted before.

    Returns
    -------
    model : Model
        Calibrated; the same model if the task has no amounts, or no past window shows any.
    amounts : Amounts or None
        None if the task has no amounts. `amounts.tags()` are tags of the version, `amounts.metrics()` go to its run.
    """
    task = session.task
    if not isinstance(task, AmountTask):
        return model, None
    hindcasts = look_back(task, build, session.training, session.splits, fitted or {})
    refit = session.splits.refit()
    today = _hindcast(task, model, session.training.at(*refit), session.training.at(max(refit)), session.splits.sealed)
    final, amounts = calibrate(task, model, hindcasts, today)
    logger.debug("%s: %s", name, amounts.said)
    return final, amounts


def observe_sealed(session: Session, version: Version, *, keep_tables: bool = False) -> None:
    """Add what the sealed window shows of a version to it; only after a look, which has been counted.

    Its tags get what the window shows of its amounts. Repeating it changes nothing.

    Parameters
    ----------
    session : Session
    version : Version
    keep_tables : bool
        Log the tables of its evaluation, which the report draws, to its run; those of a candidate are there already.
    """
    task, splits = session.task, session.splits
    has_amounts = isinstance(task, AmountTask) and Amounts.recorded(version.tags) is not None
    keep_tables = keep_tables and type(task).tables is not Task.tables  # which has none
    if not (has_amounts or keep_tables):
        return
    rows = task.judged_rows(task.dataset(session.judged_shop, version.features, splits.sealed_cutoffs))
    prediction = task.predict(version, rows.X)
    if has_amounts:
        session.registry.tag(version.number, after_look(version.tags, rows.target, prediction, splits.sealed))
    if keep_tables:
        tables = task.tables(rows.target, prediction)
        session.runs.log_artifacts(version.run_id, tables={f"{SEALED}{name}": own for name, own in tables.items()})


def look_back(
    task: AmountTask, build: Callable[[], Model], dataset: Dataset, splits: Splits, fitted: Fitted
) -> list[Hindcast]:
    """Train the model as it would have been at past cutoffs, and predict the windows that followed.

    Windows may overlap, as nothing is chosen by them. At most `MOST_WINDOWS` are taken, half a horizon apart at least.
    """
    horizon = timedelta(days=splits.horizon_days)
    hindcasts = []
    for cutoff in past_cutoffs(splits):
        training = tuple(day for day in splits.refit() if day + horizon <= cutoff)
        train = dataset.at(*training)
        try:
            model = fitted[training] if training in fitted else build().fit(train.X, train.target)
        except UnsuitableDataError as error:
            logger.info("no amounts from %s: %s", cutoff, error.problem)
            continue
        hindcasts.append(_hindcast(task, model, train, dataset.at(cutoff), cutoff))
    return hindcasts


def past_cutoffs(splits: Splits) -> list[date]:
    """Return the latest cutoffs before the sealed one, at most `MOST_WINDOWS`, ascending.

    Each follows the whole window of a training cutoff, and they are half a horizon apart at least.
    """
    refit, horizon = splits.refit(), timedelta(days=splits.horizon_days)
    later = [day for day in refit if day - horizon >= refit[0]]
    stride = math.ceil(splits.horizon_days / 2 / splits.training_step_days)
    return later[::-1][::stride][:MOST_WINDOWS][::-1]


def _hindcast(task: AmountTask, model: Model, train: Dataset, held_out: Dataset, cutoff: date) -> Hindcast:
    held_out, train = task.judged_rows(held_out), task.judged_rows(train)
    return Hindcast(
        cutoff, held_out.target, task.predict(model, held_out.X), train.target, task.predict(model, train.X)
    )


def calibrate(task: AmountTask, model: Model, hindcasts: Sequence[Hindcast], today: Hindcast) -> tuple[Model, Amounts]:
    """Return a model with calibrated amounts, and how far they can be trusted.

    Parameters
    ----------
    task : AmountTask
    model : Model
        Fitted.
    hindcasts : sequence of Hindcast
        Of past cutoffs, ascending.
    today : Hindcast
        Of the model itself: its training windows, and at its `cutoff` the next window begins. `y` and `p` are those of
        the latest window that is known.
    """
    from experiments.models.calibrated import Calibrated

    slope = _slope(hindcasts) if task.link == "logit" else 1.0
    sloped = [hindcast.sloped(slope) for hindcast in hindcasts]
    windows = tuple(window for hindcast in sloped if (window := seen(hindcast)) is not None)
    own = today.sloped(slope)
    level = total_shift(own.trained_y, own.trained_p)
    if not windows or level is None:
        nothing = Calibration(0.0, 0.0, 0.0, Season({}))
        return model, Amounts(nothing, (), task.horizon_days, task.amounts, task.total)
    season = season_of(own, level)
    expected = forecast(windows, own.cutoff, season.at(own.cutoff), task.horizon_days)
    calibration = Calibration(level, expected.drift, expected.weight, season)
    days = sorted(season.shifts)
    wrapped = Calibrated(
        model,
        link=task.link,
        constant=level + expected.drift,
        weight=expected.weight,
        days=[days_since_epoch(day) for day in days],
        shifts=[season.shifts[day] for day in days],
        slope=slope,
        stretch=1 / _elasticity(own.p) if task.link == "logit" else 1.0,
    )
    return wrapped.set_state({"model": model.get_state()}), Amounts(
        calibration, windows, task.horizon_days, task.amounts, task.total
    )


def seen(hindcast: Hindcast) -> Window | None:
    """Return what a past window showed, or None where a total is 0."""
    shift, level = total_shift(hindcast.y, hindcast.p), total_shift(hindcast.trained_y, hindcast.trained_p)
    if shift is None or level is None:
        return None
    season = season_of(hindcast, level).at(hindcast.cutoff)
    return Window(hindcast.cutoff, shift - level, season, sampling(hindcast.y, hindcast.p))


def season_of(hindcast: Hindcast, level: float) -> Season:
    """Return the shift of each training window beyond the level; empty if the next year could not read it."""
    totals = pd.DataFrame({"y": hindcast.trained_y, "p": hindcast.trained_p}).groupby(level="cutoff").sum()
    shifts: Mapping[date, float] = {
        day.date(): shift - level for day, y, p in totals.itertuples() if (shift := total_shift(y, p)) is not None
    }
    season = Season(shifts)
    return season if season.at(hindcast.cutoff) is not None else Season({})


def _slope(hindcasts: Sequence[Hindcast]) -> float:
    from experiments.models.probabilities import lasting_slope

    return lasting_slope([(hindcast.y.to_numpy(), hindcast.p.to_numpy()) for hindcast in hindcasts])


def _elasticity(p: pd.Series) -> float:
    """Return the change of the log of the total by the log odds: sum of p (1 - p) / sum of p."""
    return max(float((p * (1 - p)).sum() / p.sum()), LEAST_ELASTICITY)
