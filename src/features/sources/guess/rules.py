"""The rules that a shop's rows call for: those that rows meet when the mapping is tried on all of them."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import ibis
import ibis.expr.types as ir
import pyarrow.compute as pc
import pyarrow.parquet as pq

from features.errors import InputError
from features.sources import stage
from features.sources.files import UNLIMITED
from features.sources.files.config import RETURNS, RULES
from features.sources.guess.lines import Lines
from features.sources.guess.mapping import Draft, Guess
from features.sources.guess.opened import ROW
from features.sources.guess.orders import ranked
from features.sources.guess.words import phrases, tokens
from features.sources.meanings import POSTAGE
from features.sources.raw import Drop
from features.sources.rules import HalvedOrdersError, confirmed_share, shares_of
from features.sources.staged import Staged
from features.tables import SPECS

TAKEN_BACK = 0.9  # of the orders of a prefix, from which it marks cancellations
PREFIXES = r"^([A-Za-z]+)[-_]?[0-9]"
ONE_ROW = 0.9  # of the orders have one line, from which a table has a row for each order
CODED = 0.95  # of the rows have a product with a number in its code, from which those without are none
MEANINGS = {name: meaning.replace("data.", "") for name, meaning in RULES.items()}


def add_rules(draft: Draft, lines: Lines, template: Mapping[str, Any], scratch: Path) -> InputError | None:
    """Try the mapping on all rows with every rule, and add those that rows meet. Return what stops it."""
    for key, found in [*_prefix(lines), *_codes(lines)]:
        draft.add(key, found)
    try:
        rules = {**lines.rules, **dict(_kept(lines))}
        staged = _whole(draft, template, scratch, rules)
        met = dict(_met(staged, template["max_dropped"], rules))
        for key, found in {**_keyed(rules), **met}.items():
            draft.add(key, found)
    except InputError as problem:
        removed = draft.remove("tables.products")  # orders can be read without
        if not removed:
            return problem
        if add_rules(draft, lines, template, scratch) is None:
            draft.notes.append(f"what lines say of products is not mapped: {problem.sentence}")
            return None
        draft.guesses |= removed  # they are not what stops it
        return problem
    return None


def _keyed(rules: Mapping[str, Guess]) -> dict[str, Guess]:
    return {f"rules.{name}": rule for name, rule in rules.items()}


def _whole(draft: Draft, template: Mapping[str, Any], scratch: Path, rules: Mapping[str, Guess]) -> Staged:
    """Stage, and let rules leave orders half where rows call for it: the user confirms that."""
    halving = list(template["may_halve_orders"] or ())
    for _ in RULES:
        try:
            return _trial(draft, template, scratch, rules)
        except HalvedOrdersError as problem:
            halving = [*halving, problem.rule]
            evidence = f"{problem.problem.partition(':')[0]}: {problem.found}"
            draft.add("may_halve_orders", Guess(halving, evidence, is_open=True))
    raise AssertionError("a rule halves orders although it may")


def _trial(draft: Draft, template: Mapping[str, Any], scratch: Path, rules: Mapping[str, Guess]) -> Staged:
    """Stage with every rule in force, whatever share it drops."""
    config = _merged(template, draft.config())
    config["rules"] = dict.fromkeys(RULES, "drop") | dict.fromkeys(RETURNS, "return")
    config["rules"] |= {name: rule.value for name, rule in rules.items()}
    config["confirmed_drops"] = dict.fromkeys(RULES, 1.0)
    return _staged(config, scratch)


def _staged(config: Mapping[str, Any], scratch: Path) -> Staged:
    logger = logging.getLogger("features")
    level = logger.level
    logger.setLevel(logging.WARNING)  # a trial is none of the user's stagings
    try:
        return stage({key: value for key, value in config.items() if key != "defaults"}, scratch / "trial")
    finally:
        logger.setLevel(level)


def _merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Lay a mapping over the one that it begins from, key by key, as the configuration does."""
    return {**below} | {
        key: _merged(below[key], value) if isinstance(value, Mapping) and isinstance(below.get(key), Mapping) else value
        for key, value in above.items()
    }


def _met(staged: Staged, largest: float, rules: Mapping[str, Guess]) -> Iterator[tuple[str, Guess]]:
    """Yield the rules that rows meet, and the shares that are more than a rule may drop unasked.

    A rule that is asked for has its rows beside the question: who answers drop has seen the share, and is asked once.
    """
    drops = [drop for drop in staged.drops if drop.rows]
    totals = {table: _total(staged, table) for table in dict.fromkeys(drop.table for drop in drops)}
    confirmed: list[tuple[str, Guess]] = []
    for name in dict.fromkeys(drop.rule for drop in drops):
        shares = {drop.table: shares_of(vars(drop), totals[drop.table]) for drop in drops if drop.rule == name}
        said = ", ".join(_said(drop, shares[drop.table]) for drop in drops if drop.rule == name)
        is_return = name in RETURNS
        actions = ("return", "drop", "error") if is_return else ("drop", "error")
        asked = rules.get(name)
        if asked is None:
            yield f"rules.{name}", Guess(actions[0], f"{said}: {MEANINGS[name]}", actions[1:])
        elif asked.is_open:
            yield f"rules.{name}", replace(asked, evidence=f"{said}: {asked.evidence}")
        share = max(confirmed_share(each) for each in shares.values())
        if max(max(each.values()) for each in shares.values()) > largest and not is_return and name not in UNLIMITED:
            is_asked = asked is not None and asked.is_open
            evidence = f"{said}; see whether that is right before you confirm it"
            evidence = f"what rules.{name}: drop leaves out" if is_asked else evidence
            confirmed.append((f"confirmed_drops.{name}", Guess(share, evidence, is_open=not is_asked)))
    yield from confirmed


def _said(drop: Drop, shares: Mapping[str, float]) -> str:
    of_table = "" if drop.table == "transactions" else f" of {drop.table}"
    return f"{drop.rows:,} rows{of_table}: {' and '.join(f'{share:.1%} of {what}' for what, share in shares.items())}"


def _total(staged: Staged, table: str) -> dict[str, float]:
    """Return the rows of a table and the money on them, those that rules drop included."""
    drops = [drop for drop in staged.drops if drop.table == table]
    rows = staged.rows.get(table, 0) + sum(drop.rows for drop in drops)
    kept = 0.0
    if table in staged.rows and "amount" in SPECS[table].columns:
        amounts = pq.read_table(staged.folder / f"{table}.parquet", columns=["amount"])["amount"]
        kept = float(pc.sum(amounts).as_py() or 0)
    return {"rows": rows, "amount": kept + sum(drop.amount or 0 for drop in drops)}


def _kept(lines: Lines) -> Iterator[tuple[str, Guess]]:
    """Yield the rules whose rows are right as they are, or of which rows do not say whether they are."""
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
    """Yield what becomes of rows that repeat another.

    They stay where most stand beside lines of their order that occur once, as nothing was read twice. They go where
    orders of several lines are there twice, line by line, and where an order that has a number is one row. Otherwise a
    piece may have been sold twice, and the rule is asked for.
    """
    key = _order(lines)
    if not key:
        return
    table = lines.opened.table
    same = ibis.struct({str(number): table[name] for number, name in enumerate(lines.opened.columns)}).hash()
    typed = lines.typed.select(ROW, *key).join(table.select(ROW, same=same), ROW)
    copies = typed.group_by([*key, "same"]).aggregate(copies=typed.count())
    orders = copies.group_by(key).aggregate(
        least=copies.copies.min(), most=copies.copies.max(), lines=copies.count(), repeated=(copies.copies - 1).sum()
    )
    is_twice = orders.least > 1
    figures = orders.aggregate(
        repeated=orders.repeated.sum(),
        some=((orders.most > 1) & ~is_twice).cast("int64").sum(),
        whole=(is_twice & (orders.lines > 1)).cast("int64").sum(),
        alone=(is_twice & (orders.lines == 1)).cast("int64").sum(),
        single=(orders.lines == 1).mean(),
    )
    row = figures.to_pyarrow().to_pylist()[0]
    if not row["repeated"]:
        return
    if row["some"] > row["whole"] + row["alone"]:
        evidence = (
            f"{row['repeated']:,} rows repeat another, in {row['some']:,} orders beside lines that occur once: the "
            "same thing twice, and no order that was written twice"
        )
        yield "duplicate_rows", Guess("keep", evidence, ("drop",))
    elif not row["whole"] and not ("order" in key and row["single"] >= ONE_ROW):
        evidence = (
            f"{row['repeated']:,} rows repeat another, and nothing says whether a piece was sold twice (keep) or a row "
            "was written twice (drop)"
        )
        yield "duplicate_rows", Guess("keep", evidence, ("drop",), is_open=True)


def _order(lines: Lines) -> list[str]:
    """Return what tells orders apart, whether or not their numbers begin anew; customer and time where they have none.

    There is nothing where the customer is not known either.
    """
    columns = lines.typed.columns
    if "order" in columns:
        return [name for name in ("order", "day") if name in columns]
    customer = lines.customers.get(lines.column("customer_id") or "")
    return [customer, "time"] if customer and "time" in columns else []


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
    found = [each for each in (_words_among_numbers(lines), _called_postage(lines)) if each]
    if found:
        codes = list(dict.fromkeys(code for listed, _ in found for code in listed))
        yield "non_product_codes", Guess(codes, "; ".join(evidence for _, evidence in found))


def _words_among_numbers(lines: Lines) -> tuple[list[str], str] | None:
    """Return the codes without a number, where nearly all rows have one with a number, and what speaks for them."""
    rows = lines.typed.filter(lines.typed["product"].notnull())
    counted = rows.select(code=rows["product"]).group_by("code").aggregate(rows=lambda each: each.count())
    has_number = counted.code.re_search("[0-9]")
    with_number = counted.aggregate(share=ibis.ifelse(has_number, counted.rows, 0).sum() / counted.rows.sum())
    coded = with_number.to_pyarrow().to_pylist()[0]["share"] or 0
    if coded < CODED:
        return None
    words = counted.filter(~counted.code.re_search("[0-9]")).order_by(counted.rows.desc()).to_pyarrow().to_pylist()
    evidence = f"{coded:.1%} of the rows have a product with a number in its code; these have none: no goods"
    return ([str(row["code"]) for row in words], evidence) if words else None


def _called_postage(lines: Lines) -> tuple[list[str], str] | None:
    """Return the codes of products that each of their names calls postage, and what speaks for them."""
    table = lines.opened.table
    for name in dict.fromkeys([*ranked(lines.facts, "name"), str(lines.column("product_id"))]):
        different = table.select(name=table[name]).distinct().to_pyarrow()["name"].to_pylist()
        postage = [each for each in different if each and tokens(each) in phrases(POSTAGE)]
        if not postage:
            continue
        named = lines.typed.select(ROW, code=lines.typed["product"]).join(table.select(ROW, name=table[name]), ROW)
        codes = named.group_by("code").aggregate(is_postage=named.name.isin(postage).fill_null(False).all())
        found = codes.filter(codes.is_postage & codes.code.notnull()).order_by("code").to_pyarrow()["code"].to_pylist()
        if found:
            return [str(code) for code in found], f"{name} calls them {', '.join(sorted(postage)[:3])}: no goods"
    return None
