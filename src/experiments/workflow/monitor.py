"""The day after: has the population moved away from that of training, and does each model in use keep its promise?"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from experiments.evaluation.drift import distances, shifts
from experiments.gate.admission import changed_features
from experiments.gate.history import promotions, regret
from experiments.gate.realised import realised
from experiments.reports.monitoring import monitored_parts, values_parts
from experiments.reports.page import page
from experiments.reports.section import Section, Table
from experiments.workflow.in_use import OwnFigure, own_figure
from experiments.workflow.output import check_writable
from experiments.workflow.promote import newest
from experiments.workflow.score import scoring_day
from experiments.workflow.session import Session
from features.errors import InputError, UnsuitableDataError, listing
from features.grains import CUSTOMER
from features.line_values import value_changes
from features.tables import parse_day
from features.writing import replacing

if TYPE_CHECKING:
    from experiments.tracking.registry import Version

logger = logging.getLogger(__name__)

DEFAULT_OUTPUT = "monitor.html"
PREDICTION = "prediction"
LEAST_DAYS = 28  # of history that features are computed from
YEAR_DAYS = 364  # whole weeks
EARLIER, EARLIER_STEP = 3, 28  # days before training, so many days apart, between which features moved as usual
NAMED = 3  # features in an alarm


@dataclass(frozen=True)
class Monitored:
    """One model in use as of a day.

    Attributes
    ----------
    question, model : str
    promised : OwnFigure
        What the gate measured.
    drift : DataFrame
        Of the features that the model reads and of its predictions: see `evaluation.drift.shifts`; `usual` is the
        largest distance to the last training day from three days before it, four weeks apart. Where there is a year of
        history, `year_distance` and `year_p` compare with the same day of the year before. Empty where not known.
    windows : DataFrame
        Windows that have ended since: see `gate.realised.realised`.
    promotions : DataFrame
        See `gate.history.promotions`; empty unless the history is asked for.
    alarms, notes : tuple of str
        What crossed a threshold, with the cause where one is seen; what could not be checked, and why.
    """

    question: str
    model: str
    promised: OwnFigure
    drift: pd.DataFrame
    windows: pd.DataFrame
    promotions: pd.DataFrame
    alarms: tuple[str, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Watch:
    """All that one run of monitoring found.

    Attributes
    ----------
    as_of : date
    models : tuple of Monitored
    values : DataFrame
        See `features.line_values.value_changes`; empty where no model tells when it was trained.
    alarms : tuple of str
        Of the lines of orders.
    page : Path
    """

    as_of: date
    models: tuple[Monitored, ...]
    values: pd.DataFrame = field(default_factory=pd.DataFrame)
    alarms: tuple[str, ...] = ()
    page: Path = Path(DEFAULT_OUTPUT)

    @property
    def has_alarms(self) -> bool:
        return bool(self.alarms) or any(each.alarms for each in self.models)


def monitor(sessions: Sequence[Session], output: str | Path | None = None) -> Watch:
    """Compare today's customers with those of training, and each model in use with what the gate measured.

    Writes a page, and a run for each question to the MLflow experiment `<shop>-monitor`; a run of the same day and
    question is replaced.

    Parameters
    ----------
    sessions : sequence of Session
        One for each task, of one shop. A task with nothing in use is left out.
    output : path, optional
        File that ends in .html; outputs/<shop>/monitor.html when left out.

    Raises
    ------
    InputError
        If nothing is in use.
    """
    first = sessions[0]
    path = first.path(output) if output else first.outputs / DEFAULT_OUTPUT
    check_writable(path, "output")
    day = scoring_day(first)
    for other in sessions[1:]:
        other.shop = first.shop  # opened once
    in_use = {session: version for session in sessions if (version := session.registry.champion()) is not None}
    if not in_use:
        raise InputError(
            f"{first.shop.staged.shop} has nothing in use to monitor",
            where="registry",
            hint=f"{first.again('tune')}, then {first.again('promote')}",
        )
    models = tuple(_monitored(session, version, day) for session, version in in_use.items())
    values, alarms = _values(first, min(_trained_at(session, version) for session, version in in_use.items()), day)
    watch = Watch(day, models, values, alarms, path)
    sections = _sections(watch)
    html = page("Monitoring", _about(first, day), sections)
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as beside:
        beside.write_text(html, encoding="utf-8")
    _keep(first, watch, sections, html)
    return watch


def _monitored(session: Session, version: Version, day: date) -> Monitored:
    """Check one model in use; what cannot be checked is a note."""
    notes: list[str] = []
    drift = windows = past = pd.DataFrame()
    promised = own_figure(session.registry, version)
    if outdated := changed_features(version, session.shop.tables.spend):
        notes.append(f"nothing is compared: {listing(outdated)} changed since it was trained; train another model")
    else:
        try:
            drift = _drift(session, version, day)
        except InputError as error:
            notes.append(f"drift is not known: {error.sentence}")
        notes += _buyers(drift)
        if not drift.empty and "year_p" not in drift:
            notes.append("with less than a year before, a season cannot be told from a change")
        try:
            windows = realised(
                session.task,
                session.shop,
                session.splits,
                version,
                _unseen_from(session, version, promised),
                n_resamples=session.config.evaluation.n_resamples,
                alpha=session.config.monitor.alpha,
                seed=session.config.evaluation.seed,
            )
        except InputError as error:
            notes.append(f"no window could be measured: {error.sentence}")
        if windows.empty:
            notes.append(f"no window of {session.task.horizon_days} days has ended since it was judged")
    if session.config.history:
        past = _promotions(session, version)
        notes += regret(past)
    alarms = (*_drift_alarms(session, drift), *_window_alarms(windows, promised))
    return Monitored(session.question, version.title, promised, drift, windows, past, alarms, tuple(notes))


def _promotions(session: Session, version: Version) -> pd.DataFrame:
    """Replay the gate with the recipe in use; with that of the newest candidate where a baseline is in use."""
    options = session.config.evaluation
    return promotions(
        session.task,
        session.judged_shop,
        session.splits,
        newest(session) if version.is_baseline else version,
        n_resamples=options.n_resamples,
        alpha=(1 - options.confidence) / 2,
        seed=options.seed,
    )


def _trained_at(session: Session, version: Version) -> date:
    """Return the last cutoff that a version was trained on."""
    return parse_day(version.tags["trained_through"]) - timedelta(days=int(version.tags["horizon_days"]))


def _unseen_from(session: Session, version: Version, promised: OwnFigure) -> date:
    """Return the first day that a version was neither trained nor judged on."""
    part = (session.splits.sealed_end - session.splits.sealed).days
    judged = [parse_day(window) + timedelta(days=part) for window in promised.windows]
    return max([parse_day(version.tags["trained_through"]), *judged])


def _drift(session: Session, version: Version, day: date) -> pd.DataFrame:
    """Compare the features of customers, computed from a past of equal length before both days.

    Of unequal pasts, sums and tenure would grow by themselves.
    """
    options, start = session.config.monitor, session.shop.tables.start
    trained = _trained_at(session, version)
    length = min(options.history_days, (trained - start).days)
    if session.task.grain != CUSTOMER or length < LEAST_DAYS or trained >= day:
        raise UnsuitableDataError(
            "populations cannot be compared",
            expected=f"rows of customers, {LEAST_DAYS} days before the last training cutoff, and a later day",
            found=f"rows of {session.task.grain.name}, {length} days before {trained}, and {day}",
        )
    population = cache(partial(_population, session, version))  # of a day and a length, several of which come again
    populations = [population(at, length) for at in (trained, day)]
    found = shifts(*populations, n_resamples=options.n_resamples, seed=session.config.evaluation.seed)
    bought = {"days": length, "customers_before": len(populations[0]), "customers": len(populations[1])}
    found = found.join(_usual(population, start, trained, length))
    year_before = day - timedelta(days=YEAR_DAYS)
    shorter = min(length, (year_before - start).days)
    if shorter >= LEAST_DAYS:
        populations = [population(at, shorter) for at in (year_before, day)]
        seasonal = shifts(*populations, n_resamples=options.n_resamples, seed=session.config.evaluation.seed)
        found = found.join(seasonal[["distance", "p"]].add_prefix("year_"))
    found.attrs = bought  # at last, as a join forgets them
    return found


def _usual(population: Callable[[date, int], pd.DataFrame], start: date, trained: date, length: int) -> pd.Series:
    """Return how far each feature moved at most to the last training day from days before it; empty without history."""
    shorter = min(length, (trained - start).days - EARLIER * EARLIER_STEP)
    if shorter < LEAST_DAYS:
        return pd.Series(dtype=float, name="usual")
    then = population(trained, shorter)
    earlier = (trained - timedelta(days=n * EARLIER_STEP) for n in range(1, EARLIER + 1))
    moved = [distances(population(at, shorter), then) for at in earlier]
    return pd.concat(moved, axis=1).max(axis=1).rename("usual")


def _buyers(drift: pd.DataFrame) -> Iterator[str]:
    """Yield how many customers the two populations have: a shop loses some without a change in the others."""
    if drift.attrs:
        now, before, days = (drift.attrs[name] for name in ("customers", "customers_before", "days"))
        yield f"{now:,} customers bought in the last {days} days, {before:,} in as many before training"


def _population(session: Session, version: Version, day: date, length: int) -> pd.DataFrame:
    """Return features and prediction of those who bought in the days before, as of a shop that begins with these."""
    X = session.shop.during(version.features, day - timedelta(days=length), day).astype("float64")
    scores = version.scores(X[version.features])
    return X.assign(**{PREDICTION: scores[scores.columns[0]].astype("float64")})


def _drift_alarms(session: Session, drift: pd.DataFrame) -> Iterator[str]:
    """Yield what moved farther than chance and than the threshold; where a year before is known, from that day too."""
    if drift.empty:
        return
    options = session.config.monitor
    moved = (drift["p"] < options.alpha) & (drift["distance"] >= options.min_distance)
    moved &= ~(drift["distance"] <= drift["usual"])  # true where the usual distance is not known
    if "year_p" in drift:
        moved &= (drift["year_p"] < options.alpha) & (drift["year_distance"] >= options.min_distance)
    found = drift[moved]
    if found.empty:
        return
    named = [
        f"{name} (distance {row.distance:.2f}, {_usually(row)}; median {_short(row.now)}, was {_short(row.before)})"
        for name, row in found.head(NAMED).iterrows()
    ]
    yield f"{len(found)} of {len(drift)} distributions moved since training: {', '.join(named)}"


def _usually(row: pd.Series) -> str:
    by_chance = f"up to {row.expected:.2f} by chance"
    return by_chance if math.isnan(row.usual) else f"{by_chance} and {row.usual:.2f} in the months before"


def _window_alarms(windows: pd.DataFrame, promised: OwnFigure) -> Iterator[str]:
    for row in windows.to_dict("records"):
        if row["gain_high"] < 0:
            yield (
                f"in the window from {row['window']} {row['baseline']} was better: {promised.metric} "
                f"{row['baseline_figure']:.3f}, and {row['figure']:.3f} of the model in use"
            )
        if promised.interval is not None and row["high"] < promised.interval[0]:
            figure = f"{promised.metric} was {row['figure']:.3f}"
            yield f"in the window from {row['window']} {figure}; the gate had measured {promised}"


def _values(session: Session, trained: date, day: date) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Compare the values of lines of the last days with those before the last training cutoff."""
    options, start = session.config.monitor, session.shop.tables.start
    recent = day - timedelta(days=options.recent_days)
    if trained <= start or recent < trained:
        return pd.DataFrame(), ()
    found = value_changes(session.shop, (start, trained), (recent, day))
    alarms = [
        f"{row.new:.0%} of the lines of the last {options.recent_days} days have a {name} that training had not seen"
        for name, row in found.iterrows()
        if row.new > options.max_new
    ]
    alarms += [
        f"{name} is missing on {row.missing:.0%} of the lines of the last {options.recent_days} days, was "
        f"{row.missing_before:.0%}"
        for name, row in found.iterrows()
        if abs(row.missing - row.missing_before) > options.max_missing
    ]
    return found, tuple(alarms)


def _about(session: Session, day: date) -> str:
    return f"{session.shop.staged.shop.replace('_', ' ')}, as of {day}"


def _sections(watch: Watch) -> list[Section]:
    sections = [
        Section(
            each.question,
            monitored_parts(
                each.model,
                str(each.promised),
                each.promised.metric,
                each.drift,
                each.windows,
                each.promotions,
                each.alarms,
                each.notes,
            ),
            each.question.replace("_", " "),
        )
        for each in watch.models
    ]
    return [*sections, Section("values", values_parts(watch.values, watch.alarms), "Values of order lines")]


def _keep(session: Session, watch: Watch, sections: Sequence[Section], html: str) -> None:
    """Keep a run for each question, in place of one of the same day."""
    from experiments.tracking.runs import MONITOR, Runs
    from experiments.tracking.store import answering

    shop = session.shop.staged.shop
    with answering(session.client):
        runs = Runs(
            session.client, f"{shop}-monitor", f"What monitoring found in {shop}, a run for each day and question"
        )
        for each, section in zip(watch.models, sections, strict=False):
            tags = {"kind": MONITOR, "day": str(watch.as_of), "question": each.question}
            run_id = runs.start(f"{each.question} {watch.as_of}", tags)
            runs.log(run_id, metrics=_metrics(each), params={"model": each.model}, note=_note(each))
            tables = {name: part.frame for name, part in section.files(Table).items()}
            runs.log_artifacts(run_id, texts={watch.page.name: html}, tables=tables)
            runs.end(run_id)
            runs.keep_only(run_id, **tags)


def _metrics(each: Monitored) -> dict[str, float]:
    """Return figures that a chart over days can show."""
    found = {"alarms": len(each.alarms), f"promised/{each.promised.metric}": each.promised.estimate}
    found |= {
        f"drift/{name}": distance for name, distance in each.drift.get("distance", pd.Series(dtype=float)).items()
    }
    if not each.windows.empty:
        last = each.windows.iloc[-1]
        found |= {f"realised/{each.promised.metric}": last["figure"], "realised/gain": last["gain"]}
    return {name: float(value) for name, value in found.items() if not math.isnan(value)}


def _note(each: Monitored) -> str:
    return "\n\n".join([*(f"**Alarm**: {alarm}." for alarm in each.alarms), *each.notes]) or "No alarm."


def watch_text(watch: Watch) -> str:
    """Return a table with a line for each model in use, and below it the alarms and what could not be checked."""
    from experiments.reports.text import aligned

    rows = [
        {
            "task": each.question,
            "in use": each.model,
            "promised": str(each.promised),
            "realised": _realised_text(each.windows),
            "largest drift": _drift_text(each.drift),
            "alarms": str(len(each.alarms)),
        }
        for each in watch.models
    ]
    lines = [aligned(pd.DataFrame(rows)), ""]
    lines += [f"alarm: {each.question}: {alarm}" for each in watch.models for alarm in each.alarms]
    lines += [f"alarm: order lines: {alarm}" for alarm in watch.alarms]
    lines += [] if watch.has_alarms else ["no alarm"]
    lines += [f"{each.question}: {note}" for each in watch.models for note in each.notes]
    return "\n".join(lines)


def next_text(watch: Watch, sessions: Sequence[Session]) -> str:
    """Return the commands to type next: those that train and judge another model for each task with an alarm."""
    alarmed = [each.question for each in watch.models if each.alarms]
    commands = [sessions[0].again("data")] if watch.alarms else []
    commands += [f"{one.again('tune')} && {one.again('promote')}" for one in sessions if one.question in alarmed]
    return "\n".join(f"next: {command}" for command in commands or [sessions[0].again("score")])


def _realised_text(windows: pd.DataFrame) -> str:
    if windows.empty:
        return "-"
    last = windows.iloc[-1]
    return f"{last['figure']:.3f} [{last['low']:.3f}, {last['high']:.3f}] from {last['window']}"


def _drift_text(drift: pd.DataFrame) -> str:
    if drift.empty:
        return "-"
    return f"{drift.index[0]} {drift['distance'].iloc[0]:.2f} (chance: {drift['expected'].iloc[0]:.2f})"


def _short(value: float) -> str:
    return f"{value:,.4g}"
