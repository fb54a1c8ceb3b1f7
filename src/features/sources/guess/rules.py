"""The rules that a shop's rows call for: those that rows meet when the mapping is tried on all of them."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping
from math import ceil
from pathlib import Path
from typing import Any

import ibis
import ibis.expr.types as ir
import pyarrow.compute as pc
import pyarrow.parquet as pq

from features.errors import InputError
from features.sources import stage
from features.sources.files.config import RETURNS, RULES
from features.sources.guess.lines import Lines
from features.sources.guess.mapping import Draft, Guess
from features.sources.guess.opened import ROW
from features.sources.staged import Staged

TAKEN_BACK = 0.9  # of the orders of a prefix, from which it marks cancellations
PREFIXES = r"^([A-Za-z]+)[-_]?[0-9]"
CODED = 0.95  # of the rows have a product with a number in its code, from which those without are none
MEANINGS = {name: meaning.replace("data.", "") for name, meaning in RULES.items()}


def add_rules(draft: Draft, lines: Lines, template: Mapping[str, Any], scratch: Path) -> InputError | None:
    """Try the mapping on all rows with every rule, and add those that rows meet. Return what stops it still."""
    for key, found in [*_prefix(lines), *_codes(lines)]:
        draft.add(key, found)
    try:
        _add_met(draft, lines, template, scratch)
    except InputError as problem:
        return problem
    return None


def _add_met(draft: Draft, lines: Lines, template: Mapping[str, Any], scratch: Path) -> None:
    kept = {**lines.kept, **dict(_kept(lines))}
    staged = _whole(draft, template, scratch, kept)
    for name, rule in _met(staged, template["max_dropped"]):
        draft.add(name, rule)
    for name, rule in kept.items():
        draft.add(f"rules.{name}", rule)


def _whole(draft: Draft, template: Mapping[str, Any], scratch: Path, kept: Mapping[str, Guess]) -> Staged:
    """Stage, and let rules leave orders half where rows call for it."""
    for _ in RULES:
        try:
            return _trial(draft, template, scratch, kept)
        except InputError as problem:
            halving = re.search(r"data\.may_halve_orders='?\[([^]]*)\]", problem.hint or "")
            if halving is None:
                raise
            rules = [name.strip(' "') for name in halving[1].split(",")]
            draft.add("may_halve_orders", Guess(rules, f"{problem.problem.partition(':')[0]}: {problem.found}"))
    raise AssertionError("a rule halves orders although it may")


def _trial(draft: Draft, template: Mapping[str, Any], scratch: Path, kept: Mapping[str, Guess]) -> Staged:
    config = {key: value for key, value in template.items() if key != "defaults"} | draft.config()
    config["rules"] = dict.fromkeys(RULES, "drop") | dict.fromkeys(RETURNS, "return") | dict.fromkeys(kept, "keep")
    config["confirmed_drops"] = dict.fromkeys(RULES, 1.0)
    logger = logging.getLogger("features")
    level = logger.level
    logger.setLevel(logging.WARNING)  # a trial is none of the user's stagings
    try:
        return stage(config, scratch / "trial")
    finally:
        logger.setLevel(level)


def _met(staged: Staged, largest: float) -> Iterator[tuple[str, Guess]]:
    """Yield the rules that rows meet, and the shares that are more than a rule may drop unasked."""
    drops = [drop for drop in staged.drops if drop.table == "transactions" and drop.rows]
    rows = staged.rows["transactions"] + sum(drop.rows for drop in drops)
    money = _money(staged) + sum(drop.amount or 0 for drop in drops)
    confirmed: list[tuple[str, Guess]] = []
    for drop in drops:
        shares = {"rows": drop.rows / rows, "money": (drop.amount or 0) / money if money else 0.0}
        said = f"{drop.rows:,} rows: {' and '.join(f'{share:.1%} of {what}' for what, share in shares.items())}"
        is_return = drop.rule in RETURNS
        actions = ("return", "drop", "error") if is_return else ("drop", "error")
        yield f"rules.{drop.rule}", Guess(actions[0], f"{said}: {MEANINGS[drop.rule]}", actions[1:])
        if max(shares.values()) > largest and not is_return:
            share = ceil(max(shares.values()) * 100) / 100
            evidence = f"seen by init: {said}; look at it before you rely on it"
            confirmed.append((f"confirmed_drops.{drop.rule}", Guess(share, evidence)))
    yield from confirmed


def _money(staged: Staged) -> float:
    amounts = pq.read_table(staged.folder / "transactions.parquet", columns=["amount"])["amount"]
    return float(pc.sum(amounts).as_py() or 0)


def _kept(lines: Lines) -> Iterator[tuple[str, Guess]]:
    """Yield the rules whose rows are right as they are."""
    if "order" in lines.typed.columns:
        yield from _free_lines(lines)
        yield from _same_lines(lines)


def _free_lines(lines: Lines) -> Iterator[tuple[str, Guess]]:
    """Yield that lines which cost nothing stay, where most of them stand beside others that do."""
    amount = _amount(lines)
    if amount is None:
        return
    rows = lines.typed.select(**{name: lines.typed[name] for name in _order(lines)}, amount=amount)
    orders = rows.group_by(_order(lines)).aggregate(
        free=(rows.amount == 0).cast("int64").sum(), paid=(rows.amount > 0).cast("int64").sum()
    )
    beside = ibis.ifelse(orders.paid > 0, orders.free, 0).sum()
    row = orders.aggregate(free=orders.free.sum(), beside=beside).to_pyarrow().to_pylist()[0]
    if row["free"] and row["beside"] > row["free"] / 2:
        evidence = f"{row['free']:,} lines cost nothing, {row['beside']:,} of them beside others of their order that do"
        yield "zero_price", Guess("keep", evidence, ("drop",))


def _same_lines(lines: Lines) -> Iterator[tuple[str, Guess]]:
    """Yield that rows which repeat another stay, where orders have single ones beside them: nothing was read twice."""
    table = lines.opened.table
    same = ibis.struct({str(number): table[name] for number, name in enumerate(lines.opened.columns)}).hash()
    typed = lines.typed.select(ROW, *_order(lines)).join(table.select(ROW, same=same), ROW)
    copies = typed.group_by([*_order(lines), "same"]).aggregate(copies=typed.count())
    orders = copies.group_by(_order(lines)).aggregate(
        least=copies.copies.min(), most=copies.copies.max(), repeated=(copies.copies - 1).sum()
    )
    some = orders.filter((orders.most > 1) & (orders.least == 1))
    figures = orders.aggregate(repeated=orders.repeated.sum(), orders=(orders.least > 1).cast("int64").sum())
    row = figures.to_pyarrow().to_pylist()[0] | {"some": int(some.count().execute())}
    if row["repeated"] and row["some"] > row["orders"]:
        evidence = (
            f"{row['repeated']:,} rows repeat another, in {row['some']:,} orders beside lines that occur once: the "
            "same thing twice, and no order that was written twice"
        )
        yield "duplicate_rows", Guess("keep", evidence, ("drop",))


def _order(lines: Lines) -> list[str]:
    """Return what tells orders apart, whether or not their numbers begin anew."""
    return [name for name in ("order", "day") if name in lines.typed.columns]


def _amount(lines: Lines) -> ir.Column | None:
    mapped = {name: lines.numbers.get(lines.column(name) or "") for name in ("amount", "quantity", "unit_price")}
    if mapped["amount"]:
        return lines.typed[mapped["amount"]]
    if mapped["quantity"] and mapped["unit_price"]:
        return lines.typed[mapped["quantity"]] * lines.typed[mapped["unit_price"]]
    return None


def _prefix(lines: Lines) -> Iterator[tuple[str, Guess]]:
    """Yield the letters that begin the numbers of orders that take others back."""
    value = _value(lines)
    if "order" not in lines.typed.columns or value is None or lines.column("order_id") is None:
        return
    rows = lines.typed.select(prefix=lines.typed.order.re_extract(PREFIXES, 1), is_back=lines.typed[value] < 0)
    counted = rows.group_by("prefix").aggregate(rows=rows.count(), back=rows.is_back.cast("int64").sum())
    found = counted.to_pyarrow().to_pylist()
    for row in found:
        back = (row["back"] or 0) / row["rows"]
        if row["prefix"] and back >= TAKEN_BACK and row["rows"] < sum(each["rows"] for each in found) / 2:
            evidence = f"{row['rows']:,} rows whose order begins so, {back:.0%} of them below 0"
            yield "cancelled_order_prefix", Guess(row["prefix"], evidence)
            return


def _value(lines: Lines) -> str | None:
    """Return the typed column that is below 0 where something comes back."""
    numbers = lines.numbers
    mapped = [lines.column(name) for name in ("quantity", "amount")]
    return next((numbers[name] for name in mapped if name is not None and name in numbers), None)


def _codes(lines: Lines) -> Iterator[tuple[str, Guess]]:
    """Yield the codes of products that are no goods: words among numbers, and what their names say."""
    if "product" not in lines.typed.columns or not lines.column("product_id"):
        return
    rows = lines.typed.filter(lines.typed["product"].notnull())
    counted = rows.select(code=rows["product"]).group_by("code").aggregate(rows=lambda each: each.count())
    has_number = counted.code.re_search("[0-9]")
    with_number = counted.aggregate(share=ibis.ifelse(has_number, counted.rows, 0).sum() / counted.rows.sum())
    coded = with_number.to_pyarrow().to_pylist()[0]["share"] or 0
    if coded < CODED:
        return
    words = counted.filter(~counted.code.re_search("[0-9]")).order_by(counted.rows.desc()).to_pyarrow().to_pylist()
    codes = [str(row["code"]) for row in words]
    if not codes:
        return
    evidence = f"{coded:.1%} of the rows have a product with a number in its code; these have none: no goods"
    yield "non_product_codes", Guess(codes, evidence)
