"""Money that is not what a customer spent on an order: what is left after fees, and the sum of all orders so far."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, combinations, product

import ibis.expr.types as ir
import numpy as np

from features.sources.guess.discounts import CENT, is_on_top
from features.sources.guess.opened import ROW
from features.sources.guess.words import score, tokens

FEES = {"fee", "fees", "commission", "commissions", "comision", "comissao", "commissione", "provision", "provisionen"}
FEES |= {"gebuhr", "gebuhren", "frais", "prowizja", "oplata", "poplatek", "komisyon", "provisie", "komissio", "gebyr"}
FEES |= {"комиссия", "手数料", "手续费", "수수료", "προμηθεια", "dij"}
NAMED = 0.3  # least score of a name
ADDS_UP = 0.95  # of the rows with fees
TOLD = 5  # rows with fees
MOST_COLUMNS = 6  # beside an amount, of which some make the difference
SAMPLE = 2_000  # rows
STEPS, RISES = 10, 0.9  # from one row of a customer to the next, and the share of those by which a sum grows


def is_fee(name: str) -> bool:
    """Check whether a column is called after what others take from a sale."""
    return bool(FEES & set(tokens(name)))


def after_fees(lines: ir.Table, names: Mapping[str, str], amounts: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Return the amounts that are another one less fees: column -> the other, and what adds up.

    Parameters
    ----------
    lines : ibis table
        Typed lines, with a column of numbers for each of `names`.
    names : mapping of str to str
        Column of the file -> column of `lines`.
    amounts : sequence of str
        Columns of the file that may be the money of a line.
    """
    fees = [name for name in names if is_fee(name)]
    if not fees:
        return {}
    amounts = [name for name in amounts if name not in fees]
    others = [name for name in names if name not in (*fees, *amounts) and score(name, "quantity") < NAMED]
    beside = sorted(others, key=lambda name: not (is_on_top(name) or score(name, "discount") > 0))
    values = _sampled(lines, {name: names[name] for name in (*fees, *amounts, *beside)})
    found: dict[str, tuple[str, str]] = {}
    for after, before in product(amounts, amounts):
        if after == before or after in found:
            continue
        for taken in _some((*fees, *beside)[:MOST_COLUMNS]):
            if not set(taken) & set(fees):
                continue
            if _adds_up(values, before, after, taken):
                found[after] = (before, f"{after} is {before} with {', '.join(taken)} taken off or added")
                break
    return {after: said for after, said in found.items() if said[0] not in found}


def running(lines: ir.Table, names: Mapping[str, str], customer: str | None, amounts: Sequence[str]) -> dict[str, str]:
    """Return the amounts that are the sum of a customer's orders so far: column -> the one that is added.

    Parameters
    ----------
    lines : ibis table
        Typed lines, with a column of numbers for each of `names`.
    names : mapping of str to str
        Column of the file -> column of `lines`.
    customer : str or None
        Column of `lines`.
    amounts : sequence of str
        Columns of the file that may be the money of a line.
    """
    if customer is None or len(names) < 2:
        return {}
    known = lines.filter(lines[customer].notnull())
    columns = {f"v.{n}": known[column].cast("float64") for n, column in enumerate(names.values())}
    rows = known.select(customer, ROW, **columns)
    place = {name: f"v.{n}" for n, name in enumerate(names)}
    before = {f"b.{n}": rows[place[name]].lag().over(group_by=customer, order_by=ROW) for n, name in enumerate(amounts)}
    steps = rows.mutate(**before)
    pairs = [(n, name, added) for n, name in enumerate(amounts) for added in names if added != name]
    figures: dict[str, ir.Value] = {}
    for number, (n, name, added) in enumerate(pairs):
        step, value = steps[place[name]] - steps[f"b.{n}"], steps[place[added]]
        figures[f"fits.{number}"] = ((step - value).abs() <= CENT).mean(where=value != 0)
        figures[f"steps.{number}"] = (step.notnull() & (value != 0)).fill_null(False).cast("int64").sum()
    row = steps.aggregate(**figures).to_pyarrow().to_pylist()[0] if figures else {}
    found = {
        name: added
        for number, (_, name, added) in enumerate(pairs)
        if row[f"steps.{number}"] >= STEPS and (row[f"fits.{number}"] or 0) >= RISES
    }
    return {name: added for name, added in found.items() if added not in found}


def _some(names: Sequence[str]) -> Iterator[tuple[str, ...]]:
    return chain.from_iterable(combinations(names, number) for number in range(1, len(names) + 1))


def _sampled(lines: ir.Table, names: Mapping[str, str]) -> dict[str, np.ndarray]:
    step = max(int(lines.count().execute()) // SAMPLE, 1)
    sample = lines.filter(lines[ROW] % step == 0)
    columns = {f"n.{n}": sample[name].cast("float64").fill_null(0.0) for n, name in enumerate(names.values())}
    read = sample.select(**columns).to_pyarrow()
    return {name: np.asarray(read[f"n.{n}"].to_numpy(), dtype=float) for n, name in enumerate(names)}


def _adds_up(values: Mapping[str, np.ndarray], before: str, after: str, taken: Sequence[str]) -> bool:
    """Check whether the difference of two amounts is made of some columns, signed or all taken off."""
    fees = sum(np.abs(values[name]) for name in taken if is_fee(name))
    told = (fees > 0) & (values[before] != 0)
    if told.sum() < TOLD:
        return False
    gap = values[after] - values[before]
    if (np.abs(values[after]) < np.abs(values[before]))[told].mean() <= 1 / 2:
        return False  # the larger of both is the one before
    ways = (sum(values[name] for name in taken), -sum(np.abs(values[name]) for name in taken))
    return any(float((np.abs(gap - way)[told] <= CENT).mean()) >= ADDS_UP for way in ways)
