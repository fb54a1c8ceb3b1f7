"""Feature names and cutoffs -> the rows of a grain at each cutoff, cached; outcomes beside them.

A row exists at a cutoff if the grain has it as of then: a customer who bought before it. Every feature is a double and
nothing is null.
"""

from __future__ import annotations

import hashlib
import logging
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache
from pathlib import Path
from time import perf_counter

import ibis
import ibis.expr.types as ir
import numpy as np
import pandas as pd

from features.checksums import NAME as CHECKSUM
from features.checksums import checksum, is_whole, short_digest
from features.engines import Engine, count_rows
from features.errors import InputError, InsufficientDataError, listing
from features.families import PARAMETRISED, Family, is_wildcard, resolve, spelling
from features.grains import CUSTOMER, Grain
from features.learnt import as_declared
from features.memory import check_memory
from features.outcomes import Outcome
from features.progress import SELDOM, steps
from features.tables import GROSS, NET, Tables, blank_tables, parse_day
from features.writing import replacing

logger = logging.getLogger(__name__)

FEATURES, OUTCOMES = "features", "outcomes"  # folders of the cache: a folder for each digest of data in them
WILDCARD_LIMIT = 12
BLANK_HORIZON = timedelta(days=90)


def feature_rows(past: Tables, names: Sequence[str], grain: Grain = CUSTOMER) -> ir.Table:
    """Return the key and the named features of every row of the grain, as an expression.

    Parameters
    ----------
    past : Tables
        `tables.as_of(cutoff)`.
    names : sequence of str
        Features, in the order of the columns. Those of a coarser grain are joined by its key.
    grain : Grain

    Returns
    -------
    ibis table
        The key (string) and the features (float64), none of them null.

    Raises
    ------
    InputError
        If a feature is unknown, named twice, a wildcard, of rows that the grain does not know, or needs a table that
        the shop lacks.
    """
    families = _families(past, names, grain)
    key = grain.key
    first, *others = sorted(families, key=lambda family: not family.covers(grain))
    if first.covers(grain):
        rows = first.build(past).select(*key, *families[first])
    else:
        rows, others = grain.rows(past), [first, *others]
    for family in others:
        by = family.grain.key
        rows = rows.left_join(family.build(past).select(*by, *families[family]), list(by))
        for level in by:  # one at a time: Ibis keeps several in a set, whose order no process repeats
            rows = rows.drop(f"{level}_right")
    fallbacks = {name: float(family.fallbacks.get(name, 0.0)) for family in families for name in families[family]}
    return rows.select(*key, **{name: rows[name].cast("float64").fill_null(fallbacks[name]) for name in names})


@dataclass(frozen=True)
class FamilyQueries:
    """Features of every row of a grain, as one expression for each family.

    They give the frame of `feature_rows`. Small queries compile several times faster than one large query, and each
    holds all features of its family: whoever asks for others of them runs the same expression.

    Attributes
    ----------
    past : Tables
    names : tuple of str
        Features, in the order of the columns.
    grain : Grain
    of_families : mapping of Family to ibis table
    """

    past: Tables
    names: tuple[str, ...]
    grain: Grain
    of_families: Mapping[Family, ir.Table]

    @classmethod
    def of(cls, past: Tables, names: Sequence[str], grain: Grain = CUSTOMER) -> FamilyQueries:
        """Build the expressions; parameters and errors are those of `feature_rows`."""
        families = _families(past, names, grain)
        built = {family: feature_rows(past, [*family.features], grain) for family in families}
        return cls(past, tuple(names), grain, built)

    def frame(self, engine: Engine) -> pd.DataFrame:
        """Run the expressions.

        Returns
        -------
        DataFrame indexed by the grain's key, sorted by it
        """
        parts = [by_key(engine.frame(expression), self.grain) for expression in self.of_families.values()]
        rows = parts[0].index
        if not all(part.index.is_unique and part.index.equals(rows) for part in parts):  # a family repeats or adds rows
            return by_key(engine.frame(feature_rows(self.past, self.names, self.grain)), self.grain)
        return pd.concat(parts, axis=1)[list(self.names)]


def frame_of(past: Tables, names: Sequence[str], grain: Grain, engine: Engine) -> pd.DataFrame:
    """Compute the named features of every row of the grain, or the rows alone where none is named.

    Returns
    -------
    DataFrame indexed by the grain's key, sorted by it
    """
    if names:
        return FamilyQueries.of(past, names, grain).frame(engine)
    return by_key(engine.frame(grain.rows(past)), grain)


def by_key(frame: pd.DataFrame, grain: Grain) -> pd.DataFrame:
    """Return rows of a grain indexed by its key, and sorted by it."""
    return frame.set_index(list(grain.key)).sort_index()


def expand(names: Sequence[str], past: Tables, engine: Engine) -> list[str]:
    """Replace each wildcard, such as `category_share.*`, by the features of its 12 values with most spend.

    Equal spend is ordered by value; a feature that comes twice is kept where it comes first. Without a
    wildcard nothing is read.

    Parameters
    ----------
    names : sequence of str
        Features and wildcards.
    past : Tables
        `tables.as_of(cutoff)`: what comes later does not choose features.
    engine : Engine
        Sums the values.

    Returns
    -------
    list of str
        Features, in the order of `names`, the largest value of a wildcard first.

    Raises
    ------
    InputError
        As `feature_rows`, or if there is no value for a wildcard.
    """
    wildcards = [name for name in names if is_wildcard(name)]
    if not wildcards:
        return list(names)
    _check_needs(past, resolve(names))
    values = {name: _largest(name, past, engine) for name in wildcards}
    features: dict[str, str] = {}
    for feature in (feature for name in names for feature in values.get(name, [name])):
        features.setdefault(feature.lower(), feature)
    return list(features.values())


def _largest(wildcard: str, past: Tables, engine: Engine) -> list[str]:
    base = PARAMETRISED[wildcard.removesuffix(".*")]
    values = engine.frame(base.largest(past, WILDCARD_LIMIT))["value"]
    if values.empty:
        raise InputError(
            f"there is no value for {wildcard}",
            where="features.names",
            expected="lines with an amount and such a value",
            found=f"none from {past.start} until before {past.end}",
            hint=f"leave out {wildcard}, or add such values to the source",
        )
    return [f"{base.name}.{spelling.spell(value)}" for value in values]


def _families(tables: Tables, names: Sequence[str], grain: Grain) -> dict[Family, list[str]]:
    """Return the named features by family, if these tables allow them for rows of the grain."""
    families = resolve(names)
    wildcards = [name for name in names if is_wildcard(name)]
    if wildcards:
        raise InputError(
            f"{wildcards[0]} stands for values that no cutoff has chosen yet",
            where="features.names",
            expected="names of features",
            found=listing(wildcards),
            hint="expand the names as of a cutoff, or name the values",
        )
    foreign = [name for family, chosen in families.items() if not grain.takes(family.grain) for name in chosen]
    if foreign:
        raise InputError(
            f"{foreign[0]} cannot be a feature of the grain {grain.name}",
            where="features.names",
            expected=f"features of {grain.name}, or of a grain whose key is among {', '.join(grain.key)}",
            found=listing(foreign),
            hint=f"leave out {', '.join(foreign)}",
        )
    _check_grain(tables, grain)
    _check_needs(tables, families)
    return families


def _check_grain(tables: Tables, grain: Grain) -> None:
    absent = grain.lacks(tables)
    if absent:
        raise InputError(
            f"the grain {grain.name} needs tables that this shop does not have: {', '.join(absent)}",
            where="grain",
            expected=f"the tables {', '.join(dict.fromkeys([*grain.needs, *absent]))}",
            found=f"the tables {', '.join(tables)}",
            hint="add the tables to the source",
        )


def _check_needs(tables: Tables, families: Mapping[Family, Sequence[str]]) -> None:
    absent = dict.fromkeys(table for family in families for table in family.needs if table not in tables)
    if absent:
        useless = [name for family, chosen in families.items() if absent.keys() & set(family.needs) for name in chosen]
        raise InsufficientDataError(
            f"{len(useless)} of the named features need tables that this shop does not have: {', '.join(absent)}",
            where="features.names",
            expected=f"the tables {', '.join(absent)}",
            found=f"the tables {', '.join(tables)}",
            hint=f"add the tables to the source, or leave out {', '.join(useless)}",
        )


def definition_hash(names: Iterable[str], grain: Grain = CUSTOMER, spend: str = GROSS) -> str:
    """Compute a fingerprint of what the named features of the grain's rows mean, independent of the data.

    SHA-256 of the SQL that the expressions compile to over empty canonical tables and a fixed window.
    It changes when an expression of one of the features' families changes, or `Tables.spend` where they read spend; the
    order of names does not matter.
    """
    names = sorted(names)
    return _definition_hash(tuple(names), tuple(resolve(names)), grain, spend)


@cache  # a command asks several times, and compiling takes half a second; a name means what its family builds
def _definition_hash(names: tuple[str, ...], _families: tuple[Family, ...], grain: Grain, spend: str) -> str:
    past, _ = blank_windows(spend=spend)
    return _sql_hash(feature_rows(past, names, grain))


def snapshot(
    tables: Tables,
    names: Sequence[str],
    cutoffs: Sequence[date],
    engine: Engine,
    *,
    cache: Path,
    digest: str,
    grain: Grain = CUSTOMER,
) -> pd.DataFrame:
    """Compute the named features of every row of the grain at every cutoff.

    Parameters
    ----------
    tables : Tables
        The shop's tables, whole.
    names : sequence of str
        Features, in the order of the columns.
    cutoffs : sequence of datetime.date
        Exclusive midnights in the shop's time zone.
    engine : Engine
        Runs the expressions.
    cache : Path
        Folder of built snapshots: one Parquet file per cutoff, built again only where it is not as it was written.
    digest : str
        Fingerprint of the source's data.
    grain : Grain

    Returns
    -------
    DataFrame
        float64, finite; indexed (*grain.key, cutoff) with the cutoff as Timestamp, sorted by it.

    Raises
    ------
    InputError
        If a feature is unknown or lacks its table, or a cutoff lies outside the data.
    """
    names = list(names)
    return gather(snapshot_files(tables, names, cutoffs, engine, cache=cache, digest=digest, grain=grain), names, grain)


def computed(
    tables: Tables, names: Sequence[str], cutoffs: Sequence[date], engine: Engine, *, grain: Grain = CUSTOMER
) -> pd.DataFrame:
    """Compute the frame of `snapshot` in memory, family by family; nothing is read from a cache or written to it.

    Parameters, returns and errors are those of `snapshot`.
    """
    days = _days(cutoffs)
    return _joined({day: FamilyQueries.of(tables.as_of(day), names, grain).frame(engine) for day in days}, grain)


def snapshot_files(
    tables: Tables,
    names: Sequence[str],
    cutoffs: Sequence[date],
    engine: Engine,
    *,
    cache: Path,
    digest: str,
    grain: Grain = CUSTOMER,
) -> dict[date, Path]:
    """Write the rows of `snapshot` as Parquet, not gathered: a file, or a folder of files, for each cutoff.

    Its columns are the key, by which the rows are ordered, and the features. Parameters and errors are those
    of `snapshot`.
    """
    _families(tables, names, grain)
    days = _days(cutoffs)
    for day in days:
        tables.check_cutoff(day)

    def rows(day: date) -> ir.Table:
        return feature_rows(tables.as_of(day), sorted(names), grain)

    key = (digest, tables.start, tables.burn_in_days, engine.name, definition_hash(names, grain, tables.spend))
    return _build(days, rows, grain.key, key, engine, cache / FEATURES)


def combinations(path: Path, columns: Sequence[str], engine: Engine) -> pd.DataFrame:
    """Return the distinct values of some columns of a snapshot's file, and the number of `customers` of each."""
    rows = engine.read(path, "rows_of_a_snapshot")
    return engine.frame(rows.group_by(list(columns)).agg(customers=rows.count()))


def outcome(
    tables: Tables,
    asked: Outcome,
    cutoffs: Sequence[date],
    horizon_days: int,
    engine: Engine,
    *,
    cache: Path,
    digest: str,
    grain: Grain = CUSTOMER,
) -> pd.DataFrame:
    """Compute what happens to every row of the grain in the `horizon_days` from each cutoff on.

    Parameters
    ----------
    tables, cutoffs, engine, cache, digest, grain
        As for `snapshot`, so that both have the same rows.
    asked : Outcome
    horizon_days : int
        Days in the window, at least 1.

    Returns
    -------
    DataFrame
        The outcome's columns, float64 and finite; indexed like `snapshot`.

    Raises
    ------
    InputError
        If a window is not covered by the data, or the grain needs a table that the shop lacks.
    """
    if horizon_days < 1:
        raise InputError(
            f"horizon_days={horizon_days} is not a valid horizon", expected="a whole number of days, at least 1"
        )
    _check_grain(tables, grain)
    horizon = timedelta(days=horizon_days)
    days = _days(cutoffs)
    for day in days:
        tables.check_cutoff(day)
        tables.check_window(day, day + horizon)

    def rows(day: date) -> ir.Table:
        return _outcome_rows(asked, tables.as_of(day), tables.between(day, day + horizon), grain)

    definition = _outcome_hash(asked, grain, tables.spend, horizon)
    key = (digest, tables.start, engine.name, horizon_days, definition)
    return gather(_build(days, rows, grain.key, key, engine, cache / OUTCOMES), asked.columns, grain)


def _outcome_rows(asked: Outcome, past: Tables, future: Tables, grain: Grain) -> ir.Table:
    built = asked.rows(future, grain.rows(past), past)
    return built.select(*grain.key, **{column: built[column].cast("float64") for column in asked.columns})


def reads_spend(asked: Outcome, grain: Grain) -> bool:
    """Return True if the outcome depends on `Tables.spend`: net and gross are different questions then."""
    return _outcome_hash(asked, grain, NET) != _outcome_hash(asked, grain, GROSS)


def _outcome_hash(asked: Outcome, grain: Grain, spend: str, horizon: timedelta = BLANK_HORIZON) -> str:
    return _sql_hash(_outcome_rows(asked, *blank_windows(horizon, spend), grain))


def _days(cutoffs: Iterable[date]) -> list[date]:
    days = sorted({parse_day(cutoff) for cutoff in cutoffs})
    if not days:
        raise InputError("no cutoff is given", where="cutoffs", expected="at least one day")
    return days


def _build(
    days: Iterable[date],
    rows: Callable[[date], ir.Table],
    order: Sequence[str],
    key: tuple[object, ...],
    engine: Engine,
    folder: Path,
) -> dict[date, Path]:
    """Build the cutoffs that the folder lacks, or whose files are not as they were written.

    Each is a folder of its own, with rows and checksum: both are put in place in one step.
    """
    digest = short_digest(str(key[0]))
    paths = {day: folder / digest / _hash(*key, day)[:24] / f"{day}.parquet" for day in days}
    missing = {day: path for day, path in paths.items() if not is_whole(path)}
    if not missing:
        return paths
    for day, path in steps(missing.items(), folder.name, len(missing), "cutoffs", every=SELDOM):
        if path.parent.exists():
            logger.warning("%s: the files in %s are not as they were written; built anew", folder.name, path.parent)
            shutil.rmtree(path.parent)
        started = perf_counter()
        try:
            with replacing(path.parent) as partial:
                engine.write(rows(day).order_by(list(order)), partial / path.name)
                (partial / CHECKSUM).write_text(checksum(partial / path.name), encoding="utf-8")
        finally:
            with suppress(OSError):  # not empty: built
                path.parent.parent.rmdir()
        logger.debug("%s at %s built in %.1f s", folder.name, day, perf_counter() - started)
    return paths


def gather(paths: Mapping[date, Path], columns: Sequence[str], grain: Grain = CUSTOMER) -> pd.DataFrame:
    """Read what `snapshot_files` wrote into memory, if it holds it.

    Parameters
    ----------
    paths : mapping of cutoff to Path
    columns : sequence of str
        Those to read beside the key.
    grain : Grain
        Of the rows.

    Returns
    -------
    DataFrame
        float64, finite; indexed (*grain.key, cutoff), sorted by it.

    Raises
    ------
    InputError
        If memory does not hold the rows.
    InsufficientDataError
        If there is none.
    """
    rows = sum(count_rows(path) for path in paths.values())
    check_memory(rows, len(columns), ids=len(grain.key))
    key, columns = list(grain.key), list(columns)
    return _joined(
        {day: pd.read_parquet(path, columns=[*key, *columns]).set_index(key) for day, path in paths.items()}, grain
    )


def _joined(parts: Mapping[date, pd.DataFrame], grain: Grain) -> pd.DataFrame:
    """Put the rows of several cutoffs into one frame, and check it."""
    by_moment = {pd.Timestamp(day): part for day, part in parts.items()}
    frame = pd.concat(by_moment, names=["cutoff"]).reorder_levels(grain.index).sort_index()
    if frame.empty:
        raise InsufficientDataError(
            f"no customer bought before {max(parts)}"
            if grain == CUSTOMER
            else f"the grain {grain.name} has no row before {max(parts)}",
            where="cutoffs",
            expected="a cutoff after the first purchases" if grain == CUSTOMER else "a cutoff after the first rows",
        )
    bad = frame.columns[~np.isfinite(frame.to_numpy()).all(axis=0)]
    if len(bad):
        raise ArithmeticError(f"values that are not finite: {listing(bad)}")
    return frame


@cache
def blank_windows(horizon: timedelta = BLANK_HORIZON, spend: str = GROSS) -> tuple[Tables, Tables]:
    """Return past and future of a shop that has every table and no data, for compiling definitions."""
    cutoff = date(2001, 1, 1)
    blank = blank_tables(date(2000, 1, 1), cutoff + horizon, spend=spend)
    return blank.as_of(cutoff), blank.between(cutoff, cutoff + horizon)


def _sql_hash(expression: ir.Table) -> str:
    return _hash(ibis.to_sql(as_declared(expression), dialect="duckdb"))


def _hash(*parts: object) -> str:
    return hashlib.sha256("\n".join(map(str, parts)).encode()).hexdigest()
