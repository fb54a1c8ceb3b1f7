"""Facts about products and customers that nobody had seen by the cutoff.

A table without dates, such as products, lists goods that are sold for the first time later. Their number and kinds tell
the assortment to come. So the facts about all that no dated row names before the cutoff are removed, and every feature
must stay the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

import ibis
import ibis.expr.types as ir

from features.attrition import SUBJECTS
from features.engines import Engine
from features.families import resolve
from features.leakage import ROWS, Finding, all_features, changes, grains_of
from features.progress import steps
from features.snapshot import frame_of
from features.tables import SPECS, Tables
from features.tampering import Tampered

CHECK = "unseen"


def audit_unseen(tables: Tables, engine: Engine, cutoff: date, trained: tuple[str, ...] = ()) -> Iterator[Finding]:
    """Audit every grain and feature that the tables allow for facts about what had not been seen by the cutoff.

    A feature that moves leaks. One whose family declares facts of unknown date differs, and fails only if models are
    trained on it.

    Parameters
    ----------
    tables : Tables
    engine : Engine
    cutoff : datetime.date
    trained : tuple of str
        Features that models are trained on.
    """
    other = seen_alone(tables, engine, cutoff)
    if other is None:
        return
    names_of = ", ".join(undated(tables))
    where = f"without the facts ({names_of}) about what no row names before {cutoff}"
    grains, checked, changed = grains_of(tables), 0, 0
    for grain in steps(grains, CHECK, len(grains), "grains"):
        names = all_features(tables, cutoff, engine, grain)
        before, after = (frame_of(tables.as_of(cutoff), names, grain, on) for on in (engine, other))
        checked += len(names) + 1
        for what, figures in changes(before, after, grain, where):
            changed += 1
            if what.startswith(ROWS):
                yield Finding(CHECK, what, "leaks", figures, fails=True)
                continue
            (family,) = resolve([what])
            fails = not family.undated or what in trained
            yield Finding(CHECK, f"feature {what}", "differs" if family.undated else "leaks", figures, fails=fails)
    yield Finding(CHECK, f"{checked - changed} features and grains", "clean", f"the same {where}", checked)


def undated(tables: Tables) -> list[str]:
    """List the tables of facts about products or customers of which no row has a date, and that dated rows name."""
    return [
        name
        for name, table in tables.items()
        if not SPECS[name].moment(table.columns)
        and len(SPECS[name].key) == 1
        and SPECS[name].key[0] in SUBJECTS
        and _named(tables, SPECS[name].key[0])
    ]


def _named(tables: Tables, key: str) -> list[ir.Table]:
    """List the ids that rows of each dated table name."""
    return [
        table.select(key)
        for name, table in tables.items()
        if SPECS[name].moment(table.columns) and key in table.columns
    ]


def seen_alone(tables: Tables, engine: Engine, cutoff: date) -> Tampered | None:
    """Return an engine on which undated tables hold the facts about what a dated row names before the cutoff.

    None where the shop has no such table.
    """
    past = tables.as_of(cutoff)
    instead: dict[ir.Table, ir.Table] = {}
    for name in undated(tables):
        (key,) = SPECS[name].key
        ids = _named(past, key)
        instead[tables[name]] = tables[name].semi_join(ibis.union(*ids) if len(ids) > 1 else ids[0], key)
    return Tampered(engine, instead) if instead else None
