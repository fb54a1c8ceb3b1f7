"""Customers who are none: placeholders, tills and shops, tests; and lines that have no customer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import ibis
import ibis.expr.types as ir
import pandas as pd

from features.sanity.finding import Facts, Finding, accepted, check, examples
from features.sources.meanings import NO_NUMBER, NOBODY

NEGATIVE = r"^-[0-9]+$"
TEST = r"(?:^|[^a-z])(?:test|tests|testing|tester|dummy|demo)(?:[^a-z]|$)|@example\.(?:com|org|net)$"
TILL = r"^(?:store|shop|till|pos|register|kasse|filiale|branch|caja|tienda|caisse|magasin)(?:[^a-z]|$)"
CALLED = (NOBODY, NEGATIVE, TEST, TILL)
MOST_ORDERS = "most orders"
BUSIEST = 50
TWICE = 2  # as many orders as the busiest customer has
MOST = 5  # customers far above all others
FAR = 5  # times as many orders as the next customer has
OFTEN = 30  # orders, below which no activity is out of the ordinary
SHARE = 0.01  # of all orders
ORDERS_A_DAY, DAYS = 4.0, 10  # of a till
USUAL = 2.0  # orders a day of 99 of 100 customers, above which many are no sign of a till
WITHOUT_CUSTOMER = 0.01  # of the lines or of the money
FETCHED = 50
MANY, COME_BACK = 200, 0.001  # customers, and the share of them who buy on a second day in any shop
FEW = 2  # ids below 0: more of them are the shop's way to count


@check
def placeholder_ids(facts: Facts) -> Iterator[Finding]:
    """Find ids that stand for nobody, and ids with far more orders than any other."""
    nobody = _nobody(facts)
    found = pd.concat([nobody, _far_above(facts, [nobody, _tills(facts, nobody)])]).drop_duplicates("customer_id")
    if len(found):
        yield _finding(facts, "placeholder_ids", found, "look like placeholders, not like one customer each")


@check
def tills(facts: Facts) -> Iterator[Finding]:
    """Find customers who order many times a day on many days, or who are called a shop."""
    found = _tills(facts, _nobody(facts))
    if len(found):
        yield _finding(facts, "tills", found, "look like shops or tills, not like customers")


@check
def test_orders(facts: Facts) -> Iterator[Finding]:
    """Find customers and orders that are tests by their ids."""
    found = _those(facts, TEST)
    if len(found):
        yield _finding(facts, "test_orders", found, "are tests by their ids")
    orders = _called(facts.orders, facts.orders.order_id, TEST).limit(FETCHED)
    sums = facts.engine.frame(orders.mutate(amount=orders.amount.cast("float64")).order_by("order_id"))
    if len(sums):
        amount = float(sums.amount.sum())
        yield Finding(
            "test_orders",
            f"orders {examples(list(sums.order_id))} are tests by their ids: {facts.money(amount)}",
            (
                *facts.drop("test_order", "test_orders", sums.order_id, sums.lines.sum(), amount),
                accepted(facts, "test_orders"),
            ),
        )


@check
def lines_without_customer(facts: Facts) -> Iterator[Finding]:
    """Report the part of the lines and of the money that has no customer, where nobody has confirmed it."""
    rule = "missing_customer_id"
    drop = next((d for d in facts.staged.drops if d.table == "transactions" and d.rule == rule and d.rows), None)
    if drop is None or (facts.config.get("confirmed_drops") or {}).get(rule):
        return
    lines, amount = facts.lines + drop.rows, facts.totals.amount + (drop.amount or 0)
    shares = drop.rows / lines, (drop.amount or 0) / amount if amount else 0.0
    if max(shares) >= WITHOUT_CUSTOMER:
        line = f"confirmed_drops: {{{rule}: {max(shares) + 0.005:.2f}}}" if facts.can("confirmed_drops") else None
        yield Finding(
            "lines_without_customer",
            f"{drop.rows:,} lines ({shares[0]:.1%}) have no customer and are left out: "
            f"{drop.amount or 0:,.2f} {facts.staged.currency} ({shares[1]:.1%})",
            tuple(filter(None, (line, accepted(facts, "lines_without_customer")))),
        )


@check
def nobody_comes_back(facts: Facts) -> Iterator[Finding]:
    """Find ids of customers that are new with each order, such as numbers of orders."""
    people = facts.customers
    counted = people.aggregate(all=people.count(), again=(people.days > 1).sum())
    figures = facts.engine.frame(counted.select(counted.all.cast("int64"), counted.again.cast("int64"))).iloc[0]
    everybody, again = int(figures["all"]), int(figures["again"])
    if everybody >= MANY and again < COME_BACK * everybody:
        yield Finding(
            "nobody_comes_back",
            f"{again:,} of {everybody:,} customers buy on a second day: customer_id looks like an id of orders, and no "
            "model can say who comes back",
            (accepted(facts, "nobody_comes_back"),),
        )


def _remarkable(facts: Facts) -> pd.DataFrame:
    """Return the customers with most orders, the first one first, and those of telling ids; `why` says which."""
    people = facts.customers
    busiest = people.order_by(people.orders.desc(), people.customer_id).limit(BUSIEST)
    called = {pattern: _called(people, people.customer_id, pattern).limit(FETCHED) for pattern in CALLED}
    parts = [part.mutate(why=ibis.literal(why)) for why, part in {MOST_ORDERS: busiest, **called}.items()]
    found = facts.engine.frame(ibis.union(*parts).mutate(amount=lambda t: t.amount.cast("float64")))
    order = found.orders.where(found.why == MOST_ORDERS, 0)
    return found.assign(order=-order).sort_values(["order", "customer_id"], ignore_index=True)


def _those(facts: Facts, why: str) -> pd.DataFrame:
    """Return the remarkable customers of one kind."""
    found = facts.once(_remarkable)
    return found[found.why == why].reset_index(drop=True)


def _nobody(facts: Facts) -> pd.DataFrame:
    """Return the customers whose ids stand for nobody."""
    negative = _those(facts, NEGATIVE)
    busiest = _those(facts, MOST_ORDERS)
    numbers = busiest.customer_id.str.lower().str.contains(NO_NUMBER, regex=True)
    others = busiest[~numbers].orders
    more = numbers & (busiest.orders > max(2, TWICE * others.max() if len(others) else 0))
    found = [_those(facts, NOBODY), negative.iloc[: len(negative) if len(negative) <= FEW else 0]]
    return pd.concat([*found, busiest[more]]).drop_duplicates("customer_id")


def _tills(facts: Facts, nobody: pd.DataFrame) -> pd.DataFrame:
    """Return the customers who order many times a day on many days, or who are called a shop; none of `nobody`."""
    busiest = _those(facts, MOST_ORDERS)
    busy = (busiest.orders >= ORDERS_A_DAY * busiest.days) & (busiest.days >= DAYS)
    if busy.any() and _usual_orders_a_day(facts) > USUAL:
        busy[:] = False
    found = pd.concat([busiest[busy], _those(facts, TILL)]).drop_duplicates("customer_id")
    return found[~found.customer_id.isin(nobody.customer_id)]


def _far_above(facts: Facts, known: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Return the few customers with several times the orders of the next one; none of those that are known."""
    busiest = _those(facts, MOST_ORDERS)
    busiest = busiest[~busiest.customer_id.isin(pd.concat(known).customer_id)]
    orders = busiest.orders.to_numpy()
    for n in range(min(MOST, len(orders) - 1), 0, -1):
        if orders[n - 1] >= max(FAR * orders[n], OFTEN, SHARE * facts.totals.orders):
            return busiest.iloc[:n]
    return busiest.iloc[:0]


def _usual_orders_a_day(facts: Facts) -> float:
    people = facts.customers
    figures = facts.engine.frame(people.aggregate(usual=(people.orders / people.days).quantile(0.99)))
    return float(figures["usual"].iloc[0])


def _called(table: ir.Table, ids: ir.StringColumn, pattern: str) -> ir.Table:
    return table.filter(ids.lower().re_search(ibis.literal(pattern))).order_by(ids)


def _finding(facts: Facts, name: str, found: pd.DataFrame, what: str) -> Finding:
    ids = [str(each) for each in found.customer_id]
    lines = facts.tables.transactions
    of_them = lines.filter(lines.customer_id.isin(ids))
    rows = int(facts.engine.frame(of_them.aggregate(rows=of_them.count()))["rows"].iloc[0])
    amount = float(found.amount.sum())
    return Finding(
        name,
        f"customers {examples(ids)} {what}: {int(found.orders.sum()):,} orders "
        f"({found.orders.sum() / facts.totals.orders:.1%}), {facts.money(amount)}",
        (*facts.drop("non_customer", "non_customer_ids", ids, rows, amount), accepted(facts, name)),
    )
