"""Does a number come from the past alone? What it is read from, and whether another future moves it.

Features are built from `tables.as_of(cutoff)`, so that an honest one passes by construction. The audit is for the one
that is not: it reads the tables by another way, asks the clock, or takes a fact that was measured after the cutoff. So
other rows are put in place of those that an expression names in the end, by whatever way it came to them.

Where the line is. A fact of unknown date (a region, an age band) may have been recorded after the cutoff, but need not
have been: its family declares it `undated`, its meaning says so, and it may be used. *Descriptive*, and never promoted,
is what certainly holds more than the past: what reads anything but `as_of`, a column measured at the end of the data
(`Column.after_the_fact`), the clock, chance or a function that cannot be looked into, and facts about customers of
unknown date that no declaration admits.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache

import ibis
import ibis.expr.operations as ops
import ibis.expr.types as ir
import numpy as np
import pandas as pd
from tqdm import tqdm

from features.engines import Engine
from features.errors import listing
from features.families import PARAMETRISED, Family, feature_families, resolve
from features.grains import CUSTOMER, Grain
from features.snapshot import expand, feature_rows
from features.tables import SPECS, Tables
from features.tampering import TAMPERINGS, Tampered, Tamperer

DURATIONS_DAYS = {"_days": 1.0, "_months": 365.25 / 12}
_LEAVES = (ops.PhysicalTable, ops.SQLQueryResult, ops.SQLStringView)


@dataclass(frozen=True)
class Finding:
    """One line of the audit's report.

    Attributes
    ----------
    check : str
        What was done.
    subject : str
        To what.
    finding : str
        "clean", "leaks", "circular", "descriptive", "contradicted" or "not checked".
    figures : str
    checks : int
        Comparisons behind it.
    fails : bool
        Whether what could be promoted is wrong: the command ends with exit code 1.
    """

    check: str
    subject: str
    finding: str
    figures: str
    checks: int = 1
    fails: bool = False


# What an expression reads


def descriptive(names: Iterable[str]) -> dict[str, str]:
    """Those of the named features that can never be promoted, each with the reason.

    Looks at expressions over empty tables, so that it needs no data and takes no time worth mentioning. What is
    wrong with one feature is said of all that its family computes with it.

    Parameters
    ----------
    names : iterable of str
        Features; wildcards too.

    Returns
    -------
    dict of feature to reason
        Empty where all are made of `Tables.as_of` alone.

    Raises
    ------
    InputError
        As `groups.resolve`.
    """
    reasons = {}
    for family, features in resolve(names).items():
        reason = _reason(family)
        reasons.update(dict.fromkeys(features, reason) if reason else {})
    return reasons


@cache
def _reason(family: Family) -> str | None:
    cutoff = date(2001, 1, 1)
    tables = {name: ibis.table(spec.schema, name=name) for name, spec in SPECS.items()}
    past = Tables(start=date(2000, 1, 1), end=cutoff, burn_in_days=30, **tables).as_of(cutoff)
    seen = {table.op(): ibis.table(table.schema(), name=f"past.{name}").op() for name, table in past.present().items()}
    read = family.build(past).op().replace(seen)
    given = dict(zip(seen.values(), past.present(), strict=True))
    leaves = [leaf for leaf in read.find(_LEAVES) if leaf not in given]
    calls = sorted({type(call).__name__ for call in read.find(ops.Impure)})
    if leaves:
        whole = sorted({str(getattr(leaf, "name", "a query")) for leaf in leaves})
        return f"{family.name} reads {listing(whole)} by another way than as_of"
    if calls:
        return f"{family.name} calls {listing(calls)}, which depends on more than the tables"
    facts = sorted({given[leaf] for leaf in read.find(_LEAVES) if SPECS[given[leaf]].key == ("customer_id",)})
    if facts and not family.undated:
        return f"{family.name} reads {listing(facts)}, facts of unknown date, and does not declare it (undated=True)"
    return None


def all_features(tables: Tables, cutoff: date, engine: Engine, grain: Grain = CUSTOMER) -> list[str]:
    """List the grain's own features that these tables allow; of those named by a value, the values with most spend."""
    past, present = tables.as_of(cutoff), set(tables.present())
    names = [
        name
        for name, family in feature_families().items()
        if family.grain == grain and present.issuperset(family.needs)
    ]
    for base in PARAMETRISED.values() if grain == CUSTOMER else ():
        if present.issuperset(base.needs) and not engine.frame(base.largest(past, 1)).empty:
            names.append(f"{base.name}.*")
    return expand(names, past, engine)


# What moves


@dataclass(frozen=True)
class Movement:
    """Something that moved when it should not have.

    Attributes
    ----------
    what : str
        A feature, or the target.
    cutoff : datetime.date
    table, how : str
        What was changed after the cutoff (of a target: outside its window), and how.
    rows : int
        Rows of the table that were changed.
    moved, customers : int
        Customers for whom the value is another one, of how many.
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
    """The columns that are not the same to the bit: name, number of rows, an example.

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
            label = before.index[first]
            who = label[0] if isinstance(label, tuple) else label
            yield str(column), int(differs.sum()), f"customer {who}: {old[first]:g} became {new[first]:g}"


def moving_features(
    tamperer: Tamperer, names: Sequence[str], cutoffs: Sequence[date], grain: Grain = CUSTOMER
) -> Iterator[tuple[int, list[Movement]]]:
    """Change each table in each way after each cutoff, and recompute the features that read it.

    One query computes all features of a tampering. A feature whose expression does not name a table cannot move with
    it, and is not recomputed.

    Yields
    ------
    (int, list of Movement)
        For each table, tampering and cutoff: how many features were compared or do not read the table, and those that
        moved.
    """
    for cutoff in cutoffs:
        past = tamperer.tables.as_of(cutoff)
        families = resolve(names)
        read = {family: set(family.build(past).op().find(_LEAVES)) for family in families}
        before = _rows(feature_rows(past, names, grain), tamperer.engine, grain)
        for table in tamperer.names:
            leaf = tamperer.tables.present()[table].op()
            readers = [name for family, chosen in families.items() if leaf in read[family] for name in chosen]
            readers = [name for name in names if name in readers]
            for how in TAMPERINGS:
                found = []
                if readers:
                    engine, rows = tamperer.change([table], how, (cutoff, None))
                    after = _rows(feature_rows(past, readers, grain), engine, grain)
                    found = [
                        Movement(what, cutoff, table, how, rows, moved, len(before), example)
                        for what, moved, example in differences(before[readers], after)
                    ]
                yield len(names), found


def _rows(expression: ir.Table, engine: Engine | Tampered, grain: Grain) -> pd.DataFrame:
    return engine.frame(expression).set_index(list(grain.key)).sort_index()


def leak(subject: str, movements: Sequence[Movement]) -> Finding:
    """What moved, by which tamperings."""
    ways = Counter(f"{movement.how} {movement.table}" for movement in movements)
    figures = f"{movements[0]}; moves with {listing(ways)}"
    return Finding("future changed", subject, "leaks", figures, len(movements), fails=True)


def audit_features(tamperer: Tamperer, cutoffs: Sequence[date]) -> Iterator[Finding]:
    """Every feature that the tables allow: what it is read from, and whether another future moves it."""
    names = all_features(tamperer.tables, cutoffs[0], tamperer.engine)
    reasons = descriptive(names)
    for name, reason in reasons.items():
        yield Finding("read from", f"feature {name}", "descriptive", f"{reason}: can never be promoted")
    if len(reasons) < len(names):
        undated = [name for name in names if name in feature_families() and feature_families()[name].undated]
        also = f"; {len(undated)} of them facts of unknown date, declared so" if undated else ""
        honest = len(names) - len(reasons)
        yield Finding("read from", f"{honest} features", "clean", f"made of as_of alone{also}", honest)

    moved: dict[str, list[Movement]] = {}
    comparisons = 0
    steps = len(cutoffs) * len(tamperer.names) * len(TAMPERINGS)
    for compared, found in tqdm(moving_features(tamperer, names, cutoffs), "features", steps, unit=" tamperings"):
        comparisons += compared
        for movement in found:
            moved.setdefault(movement.what, []).append(movement)
    for name, movements in moved.items():
        yield leak(f"feature {name}", movements)
    yield Finding(
        "future changed",
        f"{len(names) - len(moved)} features",
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
    """Durations measured at the end of the data (`tenure_months`) against the time since the first purchase.

    A duration of m months lasts less than m + 1; it is contradicted by a first purchase m + 1 months or more before
    the end of the data. Every such column that has a value is listed, with 0 where nothing contradicts it.
    """
    lines, last_day = tables.transactions, ibis.literal(tables.end - timedelta(days=1))
    firsts = lines.group_by("customer_id").agg(first=lines.timestamp.min().date())
    found = []
    for name, table in tables.present().items():
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
    """Every static fact that is a duration, against the past."""
    for fact in contradictions(tables, engine):
        share = fact.contradicted / fact.customers
        yield Finding(
            "static against past",
            f"{fact.table}.{fact.column}",
            "contradicted" if fact.contradicted else "clean",
            f"{fact.contradicted:,} of {fact.customers:,} customers ({share:.1%}) bought before it says they could"
            + (f", {fact.example}; it is no feature (measured after the fact)" if fact.contradicted else ""),
            checks=fact.customers,
        )
