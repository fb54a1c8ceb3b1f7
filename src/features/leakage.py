"""The audit for leakage: what a feature is read from, and whether another future moves it.

Features are built from `tables.as_of(cutoff)`, so that an honest one passes by construction. The audit is for the one
that is not: it reads the tables by another way, asks the clock, or takes a fact that was measured after the cutoff. So
the audit puts other rows in place of those that an expression reads in the end, however it came to them.

Where the line is. A fact of unknown date (a region, an age band) may have been recorded after the cutoff, but need not
have been: its family declares it `undated`, its meaning says so, and it may be used. *Descriptive*, and never promoted,
is what certainly holds more than the past: what reads anything but `as_of`, a column measured at the end of the data
(`Column.after_the_fact`), the clock, chance or a function that cannot be looked into, and facts about customers of
unknown date that no declaration admits.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache

import ibis
import ibis.expr.operations as ops
import ibis.expr.types as ir
import numpy as np
import pandas as pd

from features.engines import Engine
from features.errors import listing
from features.families import FAMILIES, PARAMETRISED, Family, feature_families, resolve
from features.grains import CUSTOMER, GRAINS, Grain
from features.progress import steps
from features.snapshot import WILDCARD_LIMIT, FamilyQueries, by_key, expand
from features.tables import NET, SPECS, Tables, blank_tables
from features.tampering import TAMPERINGS, Tamperer

ROWS = "rows of "  # begins the subject of a finding on a grain
DURATIONS_DAYS = {"_days": 1.0, "_months": 365.25 / 12}
Frame = Callable[[Engine], pd.DataFrame]
_LEAVES = (ops.PhysicalTable, ops.SQLQueryResult, ops.SQLStringView)


@dataclass(frozen=True)
class Finding:
    """One line of the audit's report.

    Attributes
    ----------
    check : str
        Kind of check.
    subject : str
        Feature, rows, task or fact that was checked.
    finding : str
        "clean", "leaks", "differs", "unproven", "circular", "descriptive", "contradicted" or "not checked".
    figures : str
    checks : int
        Comparisons behind it.
    fails : bool
        True if something that could be promoted is wrong: the command ends with exit code 1.
    """

    check: str
    subject: str
    finding: str
    figures: str
    checks: int = 1
    fails: bool = False


# What an expression reads


def descriptive(names: Iterable[str], grain: Grain = CUSTOMER) -> dict[str, str]:
    """Return those of the named features that can never be promoted, each with the reason.

    Looks at expressions over empty tables, so that it needs no data and takes no time worth mentioning. What is
    wrong with one feature is said of all that its family computes with it, and what is wrong with the grain's rows of
    every feature.

    Parameters
    ----------
    names : iterable of str
        Features; wildcards too.
    grain : Grain
        Rows that they are features of.

    Returns
    -------
    dict of feature to reason
        Empty where all are made of `Tables.as_of` alone.

    Raises
    ------
    InputError
        As `families.resolve`.
    """
    reasons = {}
    rows = _reason_of_rows(grain)
    for family, features in resolve(names).items():
        reason = rows or _reason(family)
        reasons.update(dict.fromkeys(features, reason) if reason else {})
    return reasons


@cache
def _reason(family: Family) -> str | None:
    reason, facts = _looked_into(family.name, family.build)
    if reason is None and facts and not family.undated:
        return f"{family.name} reads {listing(facts)}, facts of unknown date, and does not declare it (undated=True)"
    return reason


@cache
def _reason_of_rows(grain: Grain) -> str | None:
    reason, _ = _looked_into(f"the grain {grain.name}", grain.rows)
    return reason


def _looked_into(name: str, build: Callable[[Tables], ir.Table]) -> tuple[str | None, list[str]]:
    """Return what the expression reads beyond the past, and the facts about customers of unknown date that it reads."""
    past = blank_tables(date(2000, 1, 1), date(2001, 1, 1), spend=NET).as_of(date(2001, 1, 1))  # net reads more
    seen = {table.op(): ibis.table(table.schema(), name=f"past.{name}").op() for name, table in past.items()}
    read = build(past).op().replace(seen)
    given = dict(zip(seen.values(), past, strict=True))
    leaves = [leaf for leaf in read.find(_LEAVES) if leaf not in given]
    calls = sorted({type(call).__name__ for call in read.find(ops.Impure)})
    undated = {table for table, spec in SPECS.items() if spec.known_at is None and spec.is_about_customers}
    facts = sorted(undated & {given.get(leaf) for leaf in read.find(_LEAVES)})
    if leaves:
        whole = sorted({str(getattr(leaf, "name", "a query")) for leaf in leaves})
        return f"{name} reads {listing(whole)} by another way than as_of", facts
    if calls:
        return f"{name} calls {listing(calls)}, which depends on more than the tables", facts
    return None, facts


def grains_of(tables: Tables) -> list[Grain]:
    """List the grains that these tables allow, with those that families alone declare."""
    declared = dict.fromkeys([*GRAINS.values(), *(family.grain for family in FAMILIES.values())])
    return [grain for grain in declared if not grain.lacks(tables)]


def all_features(tables: Tables, cutoff: date, engine: Engine, grain: Grain = CUSTOMER) -> list[str]:
    """List the grain's own features that these tables allow; of those named by a value, the values with most spend."""
    past, present = tables.as_of(cutoff), set(tables)
    own = [name for name, family in feature_families().items() if family.grain == grain]
    names = [name for name in own if present.issuperset(feature_families()[name].needs)]
    for base in PARAMETRISED.values() if grain == CUSTOMER else ():
        if present.issuperset(base.needs) and not engine.frame(base.largest(past, WILDCARD_LIMIT)).empty:
            names.append(f"{base.name}.*")
    return expand(names, past, engine)


# What moves

ALL_TABLES = "all tables"


@dataclass(frozen=True)
class Movement:
    """A value that moved when it should not have.

    Attributes
    ----------
    what : str
        A feature, or the target.
    cutoff : datetime.date
    table, how : str
        The table that was changed after the cutoff (for a target: outside its window), and the tampering. `ALL_TABLES`
        where none of them alone moves the value.
    rows : int
        Rows of the table that were changed.
    moved, customers : int
        Customers (rows of a finer grain) for whom the value is another one, of how many.
    example : str
        The first of them, with both values.
    """

    what: str
    cutoff: date
    table: str
    how: str
    rows: int
    moved: int
    customers: int
    example: str

    def __str__(self) -> str:
        return (
            f"{self.how} {self.table} ({self.rows:,} rows) at {self.cutoff}: "
            f"{self.moved:,} of {self.customers:,} values move, {self.example}"
        )


def differences(before: pd.DataFrame, after: pd.DataFrame) -> Iterator[tuple[str, int, str]]:
    """Yield the columns that are not the same to the bit: name, number of rows, an example.

    Rows that only one of the frames has differ in every column.
    """
    if not before.index.equals(after.index):
        before, after = (frame[~frame.index.duplicated()] for frame in (before, after))
        before, after = before.align(after, join="outer", axis=0)
    for column in before.columns:
        old, new = (frame[column].to_numpy(dtype=np.float64) for frame in (before, after))
        differs = old.view(np.int64) != new.view(np.int64)
        if differs.any():
            first = int(np.argmax(differs))
            example = f"{_row_in_words(before.index[[first]])}: {old[first]:g} became {new[first]:g}"
            yield str(column), int(differs.sum()), example


def changes(before: pd.DataFrame, after: pd.DataFrame, grain: Grain, where: str) -> Iterator[tuple[str, str]]:
    """Yield what differs between two frames of a grain, with figures that end in `where`: rows first, then features."""
    gone = len(before.index.symmetric_difference(after.index))
    if gone:
        yield f"{ROWS}{grain.name}", f"{gone:,} of {len(before):,} come or go {where}"
        both = before.index.intersection(after.index)
        before, after = before.loc[both], after.loc[both]
    for what, number, example in differences(before, after):
        yield what, f"{number:,} of {len(before):,} values move {where}, {example}"


def _row_in_words(row: pd.Index) -> str:
    """Name the row: customer 7, or customer 7, product 12; the cutoff is said elsewhere."""
    keys = row.to_frame(index=False).iloc[0].drop("cutoff", errors="ignore")
    return ", ".join(f"{str(name or 'customer').removesuffix('_id')} {value}" for name, value in keys.items())


def moving_features(
    tamperer: Tamperer, names: Sequence[str], cutoffs: Sequence[date], grain: Grain = CUSTOMER
) -> Iterator[tuple[int, list[Movement]]]:
    """Change all tables that are read in each way after each cutoff, and recompute the features.

    One query computes all features of a family. Where some move, each table is changed in turn, and those of them
    that read it are recomputed to name the cause. A feature whose expression does not name a table cannot move with it.

    Yields
    ------
    (int, list of Movement)
        For each table, tampering and cutoff: how many features were compared or do not read the table, and those that
        moved. Then those that move only with several tables, if there are any.
    """
    # All cutoffs before any change: a function that remembers what it saw at a later one gives other values now.
    pasts = {cutoff: tamperer.tables.as_of(cutoff) for cutoff in cutoffs}
    queries = {cutoff: FamilyQueries.of(past, names, grain) for cutoff, past in pasts.items()}
    befores = {cutoff: each.frame(tamperer.memory) for cutoff, each in queries.items()}
    tamperer.engine.learnt.next_round()
    for cutoff, past in pasts.items():
        families = resolve(names)
        read = {family: _leaves(family.build(past)) for family in families}
        before = befores[cutoff]
        leaves = set().union(*read.values())
        tables = [table for table in tamperer.names if tamperer.tables[table].op() in leaves]
        together = {
            how: _movements(tamperer, queries[cutoff].frame, before, cutoff, tables, how) if tables else []
            for how in TAMPERINGS
        }
        explained = set()
        for table in tamperer.names:
            leaf = tamperer.tables[table].op()
            readers = {name for family, chosen in families.items() if leaf in read[family] for name in chosen}
            for how in TAMPERINGS:
                found = []
                suspects = [movement.what for movement in together[how] if movement.what in readers]
                if suspects:
                    alone = FamilyQueries.of(past, suspects, grain)
                    found = _movements(tamperer, alone.frame, before[suspects], cutoff, [table], how)
                    explained |= {(how, movement.what) for movement in found}
                yield len(names), found
        several = [m for how, found in together.items() for m in found if (how, m.what) not in explained]
        if several:
            yield 0, several


def moving_rows(tamperer: Tamperer, cutoffs: Sequence[date], grain: Grain) -> Iterator[list[Movement]]:
    """Change all tables that are read in each way after each cutoff, and see whether the grain has the same rows.

    Where rows come or go, each table is changed in turn to name the cause.

    Yields
    ------
    list of Movement
        For each tampering and cutoff of a table that the rows are read from: those that came or went. Then those that
        move only with several tables, if there are any.
    """
    what = f"{ROWS}{grain.name}"
    rows = {cutoff: grain.rows(tamperer.tables.as_of(cutoff)) for cutoff in cutoffs}

    def frame(cutoff: date) -> Frame:
        return lambda engine: by_key(engine.frame(rows[cutoff].mutate(**{what: ibis.literal(1.0)})), grain)

    befores = {cutoff: frame(cutoff)(tamperer.memory) for cutoff in cutoffs}
    tamperer.engine.learnt.next_round()
    for cutoff, before in befores.items():
        leaves = _leaves(rows[cutoff])
        tables = [table for table in tamperer.names if tamperer.tables[table].op() in leaves]
        together = {how: _movements(tamperer, frame(cutoff), before, cutoff, tables, how) for how in TAMPERINGS}
        unexplained = {how: found for how, found in together.items() if found}
        for table in tables:
            for how in TAMPERINGS:
                found = _movements(tamperer, frame(cutoff), before, cutoff, [table], how) if together[how] else []
                if found:
                    unexplained.pop(how, None)
                yield found
        yield from unexplained.values()


def _movements(
    tamperer: Tamperer, frame: Frame, before: pd.DataFrame, cutoff: date, tables: Sequence[str], how: str
) -> list[Movement]:
    # The last one finds what depends on the order of rows, or on an earlier call; one table alone is a suspect already.
    everything = how == TAMPERINGS[-1] or len(tables) == 1
    engine, rows = tamperer.change(tables, how, (cutoff, None), everything=everything)
    after = frame(engine)
    changed = tables[0] if len(tables) == 1 else ALL_TABLES
    return [
        Movement(what, cutoff, changed, how, rows, moved, len(before), example)
        for what, moved, example in differences(before, after)
    ]


def _leaves(expression: ir.Table) -> set[ops.Node]:
    return set(expression.op().find(_LEAVES))


def leak(subject: str, movements: Sequence[Movement]) -> Finding:
    """Return the finding of a leak: what moved, by which tamperings."""
    ways = Counter(f"{movement.how} {movement.table}" for movement in movements)
    figures = f"{movements[0]}; moves with {listing(ways)}"
    return Finding("future changed", subject, "leaks", figures, len(movements), fails=True)


def audit_features(tamperer: Tamperer, cutoffs: Sequence[date]) -> Iterator[Finding]:
    """Audit every grain and feature that the tables allow: what it reads, and whether another future moves it."""
    yield from _audit_rows(tamperer, cutoffs)
    for grain in grains_of(tamperer.tables):
        names = all_features(tamperer.tables, cutoffs[0], tamperer.memory, grain)
        if names:
            yield from _audit_features(tamperer, names, cutoffs, grain)


def _audit_rows(tamperer: Tamperer, cutoffs: Sequence[date]) -> Iterator[Finding]:
    """Audit the rows of each grain: a row that exists only because of the future is a leak."""
    clean, comparisons = [], 0
    grains = grains_of(tamperer.tables)
    for grain in steps(grains, "rows", len(grains), "grains"):
        reason = _reason_of_rows(grain)
        if reason:
            yield Finding("read from", f"{ROWS}{grain.name}", "descriptive", f"{reason}: can never be promoted")
        found = list(moving_rows(tamperer, cutoffs, grain))
        comparisons += len(found)
        movements = [movement for moved in found for movement in moved]
        if movements:
            yield leak(f"{ROWS}{grain.name}", movements)
        elif not reason:
            clean.append(grain.name)
    yield Finding(
        "future changed",
        f"rows of {len(clean)} grains",
        "clean",
        f"{comparisons:,} comparisons: {listing(clean, limit=len(clean))}",
        comparisons,
    )


def _audit_features(
    tamperer: Tamperer, names: Sequence[str], cutoffs: Sequence[date], grain: Grain
) -> Iterator[Finding]:
    of_grain = "" if grain == CUSTOMER else f" of {grain.name}"
    reasons = descriptive(names, grain)
    for name, reason in reasons.items():
        yield Finding("read from", f"feature {name}", "descriptive", f"{reason}: can never be promoted")
    if len(reasons) < len(names):
        undated = [name for name in names if name in feature_families() and feature_families()[name].undated]
        also = f"; {len(undated)} of them facts of unknown date, declared so" if undated else ""
        honest = len(names) - len(reasons)
        yield Finding("read from", f"{honest} features{of_grain}", "clean", f"made of as_of alone{also}", honest)

    moved: dict[str, list[Movement]] = {}
    comparisons = 0
    n_steps = len(cutoffs) * len(tamperer.names) * len(TAMPERINGS)
    found = moving_features(tamperer, names, cutoffs, grain)
    for compared, movements in steps(found, f"features{of_grain}", n_steps, "tamperings"):
        comparisons += compared
        for movement in movements:
            moved.setdefault(movement.what, []).append(movement)
    for name, movements in moved.items():
        yield leak(f"feature {name}", movements)
    yield Finding(
        "future changed",
        f"{len(names) - len(moved)} features{of_grain}",
        "clean",
        f"{comparisons:,} comparisons: {listing(tamperer.names, limit=9)}, each deleted, poisoned and shuffled from "
        f"{' and '.join(map(str, cutoffs))} on",
        comparisons,
    )


# What the data say against themselves


@dataclass(frozen=True)
class Contradiction:
    """A static fact that says that a customer is younger than the customer's own purchases.

    Attributes
    ----------
    table, column : str
    contradicted, customers : int
        Customers whose first purchase lies before the start that the fact tells, of those of whom it is known.
    example : str
    """

    table: str
    column: str
    contradicted: int
    customers: int
    example: str


def contradictions(tables: Tables, engine: Engine) -> list[Contradiction]:
    """Compare durations measured at the end of the data (`tenure_months`) with the time since the first purchase.

    A duration of m months lasts less than m + 1; it is contradicted by a first purchase m + 1 months or more before
    the end of the data. Every such column that has a value is listed, with 0 where nothing contradicts it.
    """
    lines, last_day = tables.transactions, ibis.literal(tables.end - timedelta(days=1))
    firsts = lines.group_by("customer_id").agg(first=lines.timestamp.min().date())
    found = []
    for name, table in tables.items():
        spec = SPECS[name]
        for column, about in spec.columns.items():
            unit = next((days for suffix, days in DURATIONS_DAYS.items() if column.endswith(suffix)), None)
            if spec.key != ("customer_id",) or not about.after_the_fact or unit is None:
                continue
            known = table.filter(table[column].notnull()).select("customer_id", stated=column)
            both = firsts.inner_join(known, "customer_id")
            both = both.select("customer_id", "stated", bought=last_day.delta(both["first"], unit="day"))
            rows = engine.frame(both.order_by("customer_id"))
            wrong = rows[rows.bought >= (rows.stated + 1) * unit]
            example = ""
            if len(wrong):
                worst = int((wrong.bought - wrong.stated * unit).argmax())
                who, stated, bought = wrong.iloc[worst].to_list()
                example = f"customer {who}: {column} {stated}, first purchase {bought} days before the end"
            if len(rows):
                found.append(Contradiction(name, column, len(wrong), len(rows), example))
    return found


def audit_facts(tables: Tables, engine: Engine) -> Iterator[Finding]:
    """Audit every static fact that is a duration against the past."""
    for fact in contradictions(tables, engine):
        share = fact.contradicted / fact.customers
        yield Finding(
            "static against past",
            f"{fact.table}.{fact.column}",
            "contradicted" if fact.contradicted else "clean",
            f"{fact.contradicted:,} of {fact.customers:,} customers ({share:.1%}) bought before it says they could"
            + (f", {fact.example}; it is not a feature (measured after the fact)" if fact.contradicted else ""),
            checks=fact.customers,
        )
