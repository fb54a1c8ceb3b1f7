"""The profile of a staged shop: rows, dates, customers, tables, drops, and the tables that each task lacks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from features.assortment import names_products
from features.engines import Engine
from features.lateness import Lateness, lateness, lateness_lines
from features.sanity import Facts, Finding, run_checks
from features.sources.joins import Join
from features.sources.raw import Drop
from features.sources.staged import Staged
from features.tables import SPECS, Tables, midnight


@dataclass(frozen=True)
class Returned:
    """The rows of one kind of return.

    Attributes
    ----------
    kind : str
        "return" or "cancellation".
    rows : int
    amount : float
        Money given back.
    unmatched : int
        Rows of which no sale was found.
    late : int
        Rows after the last sale: no cutoff reads them.
    """

    kind: str
    rows: int
    amount: float
    unmatched: int
    late: int


@dataclass(frozen=True)
class Profile:
    """The figures of `experiments data`.

    Attributes
    ----------
    shop, currency : str
        Of the data config.
    start, end : datetime.date
        The days that the transactions cover, end exclusive.
    days : int
        end - start.
    customers : int
        Customers who bought at least once.
    repeat_customers : int
        Customers who bought on at least two days.
    left_truncated_customers : int
        First seen within `burn_in_days` of the start: they may have bought before it.
    burn_in_days : int
        See `Tables`.
    orders : int
        Distinct order ids.
    amount : float
        Total of all lines, in `currency`: gross.
    spend : {"net", "gross"}
        What features and outcomes of spend count: see `Tables`.
    returns : tuple of Returned
        By kind; empty where the shop has none.
    overreturned : int
        Customers who got back more than they paid.
    rows : mapping of str to int
        Canonical table -> rows, of the tables present.
    absent : tuple of str
        Canonical tables that the shop lacks.
    drops : tuple of Drop
        Rows left out, per table and rule.
    notes : tuple of str
        What was decided and changed in reading.
    joins : tuple of Join
        The tables that meet, and how many of their keys match.
    lateness : tuple of Lateness
        Rows that were recorded late, of the tables that say when a row was recorded.
    findings : tuple of Finding
        What does not look like customers, goods and days.
    names_products : bool
        Whether a line of an order names its product.
    """

    shop: str
    currency: str
    start: date
    end: date
    days: int
    customers: int
    repeat_customers: int
    left_truncated_customers: int
    burn_in_days: int
    orders: int
    amount: float
    spend: str
    returns: tuple[Returned, ...]
    overreturned: int
    rows: Mapping[str, int]
    absent: tuple[str, ...]
    drops: tuple[Drop, ...]
    notes: tuple[str, ...]
    joins: tuple[Join, ...]
    lateness: tuple[Lateness, ...]
    findings: tuple[Finding, ...]
    names_products: bool


def profile(staged: Staged, tables: Tables, engine: Engine, config: Mapping[str, Any]) -> Profile:
    """Count what a staged shop holds.

    Parameters
    ----------
    staged : Staged
        From `sources.stage`.
    tables : Tables
        `staged.open(engine)`.
    engine : Engine
        Computes the figures.
    config : mapping
        One of conf/data/, as a plain dictionary: the one that was staged.
    """
    facts = Facts(staged, tables, engine, config)
    figures = facts.totals
    return Profile(
        shop=staged.shop,
        currency=staged.currency,
        start=staged.start,
        end=staged.end,
        days=(staged.end - staged.start).days,
        customers=int(figures.customers),
        repeat_customers=int(figures.repeat_customers),
        left_truncated_customers=int(figures.left_truncated_customers),
        burn_in_days=staged.burn_in_days,
        orders=int(figures.orders),
        amount=float(figures.amount),
        spend=tables.spend,
        returns=_returned(tables, engine),
        overreturned=_overreturned(tables, engine),
        rows=dict(staged.rows),
        absent=tuple(name for name in SPECS if name not in staged.rows),
        drops=staged.drops,
        notes=staged.notes,
        joins=staged.joins,
        lateness=lateness(tables, engine),
        findings=run_checks(facts),
        names_products=names_products(tables, engine),
    )


def _returned(tables: Tables, engine: Engine) -> tuple[Returned, ...]:
    """Count what came back, by kind."""
    returns = tables.returns
    if returns is None:
        return ()
    by_kind = returns.group_by("kind").aggregate(
        rows=returns.count(),
        amount=returns.amount.sum().cast("float64"),
        unmatched=returns.sold_at.isnull().sum(),
        late=(returns.returned_at >= midnight(tables.end)).sum(),
    )
    return tuple(
        Returned(str(row["kind"]), int(row["rows"]), float(row["amount"]), int(row["unmatched"]), int(row["late"]))
        for row in engine.frame(by_kind.order_by("kind")).to_dict("records")
    )


def _overreturned(tables: Tables, engine: Engine) -> int:
    """Count customers who got back more than they paid."""
    returns = tables.returns
    if returns is None:
        return 0
    lines = tables.transactions
    paid = lines.group_by("customer_id").aggregate(paid=lines.amount.sum())
    back = returns.group_by("customer_id").aggregate(back=returns.amount.sum())
    both = paid.inner_join(back, "customer_id")
    return int(engine.frame(both.aggregate(customers=(both.back > both.paid).sum())).customers.fillna(0).iloc[0])


def missing_tables(needs: Mapping[str, Iterable[str]], present: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Return the tables that each task still lacks; an empty tuple where it has all that it needs.

    Parameters
    ----------
    needs : mapping of str to iterable of str
        Task -> canonical tables (`Task.needs`).
    present : iterable of str
        Canonical tables that the shop has, such as `Profile.rows`.

    Examples
    --------
    >>> missing_tables({"clv": ["transactions"], "response": ["contacts", "responses"]}, ["transactions", "contacts"])
    {'clv': (), 'response': ('responses',)}
    """
    present = set(present)
    return {task: tuple(table for table in tables if table not in present) for task, tables in needs.items()}


def profile_text(profile: Profile, needs: Mapping[str, Iterable[str]] | None = None) -> str:
    """Write the profile as text, with the tables that each task lacks when `needs` (task -> tables) is given."""
    last_day = profile.end - timedelta(days=1)
    lines = [
        f"{profile.shop}: {profile.start} to {last_day} ({profile.days:,} days), amounts in {profile.currency}",
        "",
        f"  customers        {profile.customers:>12,}",
        f"    repeat         {profile.repeat_customers:>12,}   bought on two days or more"
        f" ({profile.repeat_customers / profile.customers:.0%})",
        f"    left-truncated {profile.left_truncated_customers:>12,}   first seen in the first"
        f" {profile.burn_in_days} days ({profile.left_truncated_customers / profile.customers:.0%})",
        f"  orders           {profile.orders:>12,}",
        f"  amount           {profile.amount:>12,.0f}   {profile.currency}{', sold' if profile.returns else ''}",
        *_given_back(profile),
        *_balance(profile),
        "",
        "tables",
        *(f"  {name:<16} {rows:>12,}   {SPECS[name].meaning}" for name, rows in profile.rows.items()),
        f"  absent: {', '.join(profile.absent) or 'none'}",
        "",
        "rows left out",
        *(_left_out(drop, profile.currency) for drop in profile.drops),
        *([] if profile.drops else ["  none"]),
    ]
    if profile.joins:
        lines += ["", "keys that match in tables that meet"]
        for join in profile.joins:
            lines += [f"  {join.column:<16} {join.left}", f"  {'':<16} {join.right}"]
    if profile.notes:
        lines += ["", "as read", *(f"  {note}" for note in profile.notes)]
    lines += ["", "rows recorded after their day", *lateness_lines(profile.lateness)]
    lines += ["", "worth a look", *(_finding(finding) for finding in profile.findings)]
    lines += [] if profile.findings else ["  nothing"]
    if needs:
        lines += ["", "tasks"]
        for task, missing in missing_tables(needs, profile.rows).items():
            lines.append(f"  {task:<16} {'has the tables it needs' if not missing else 'lacks ' + ', '.join(missing)}")
    return "\n".join(lines)


def _finding(finding: Finding) -> str:
    texts = [f"  {finding.check}: {finding.text}"]
    for number, line in enumerate(finding.lines):
        first, *more = line.splitlines()
        texts += [f"    {'or' if number else 'write':<5} {first}", *(f"          {each}" for each in more)]
    return "\n".join(texts)


def _given_back(profile: Profile) -> Iterator[str]:
    """Yield the lines on what came back, and what is left."""
    for each in profile.returns:
        remarks = [f"{each.rows:,} rows"]
        remarks += [f"of {each.unmatched:,} no sale was found"] if each.unmatched else []
        remarks += [f"{each.late:,} after the last sale, which no cutoff reads"] if each.late else []
        yield f"    {each.kind:<14} {-each.amount:>12,.0f}   {profile.currency}, {'; '.join(remarks)}"
    if profile.returns:
        net = profile.amount - sum(each.amount for each in profile.returns)
        yield f"    net            {net:>12,.0f}   {profile.currency}; spend is {profile.spend} (data.spend)"
    if profile.overreturned:
        yield f"    {profile.overreturned:,} customers got back more than they paid: outcomes of net spend count 0"


def _balance(profile: Profile) -> list[str]:
    """Return a table of the customers, orders, rows and money in the files of transactions, and of what is left."""
    drops = [drop for drop in profile.drops if drop.table == "transactions"]
    kept, left = (_sums([drop for drop in drops if bool(drop.kept_in) == is_kept]) for is_kept in (True, False))
    sold = profile.customers, profile.orders, profile.rows["transactions"], profile.amount
    lines = [f"  {'files':<16} {'in':>12} {'out':>12} {'left out':>12}"]
    for what, own in zip(left, sold, strict=True):
        out = own + kept[what]
        lines.append(f"    {what:<14} {out + left[what]:>12,.0f} {out:>12,.0f} {left[what]:>12,.0f}")
    lines[-1] += f"   {profile.currency}, absolute amounts"
    return [*lines, "    returns are kept, and count as out"] if kept["rows"] else lines


def _sums(drops: Sequence[Drop]) -> dict[str, float]:
    return {
        "customers": sum(drop.customers for drop in drops),
        "orders": sum(drop.orders for drop in drops),
        "rows": sum(drop.rows for drop in drops),
        "money": sum(drop.amount or 0 for drop in drops),
    }


def _left_out(drop: Drop, currency: str) -> str:
    money = f" ({drop.amount:,.2f} {currency})" if drop.amount else ""
    kept = f", kept in {drop.kept_in}" if drop.kept_in and drop.rows else ""
    whole = [
        f"{number:,} {what}" for what, number in (("customers", drop.customers), ("orders", drop.orders)) if number
    ]
    gone = f", all rows of {' and '.join(whole)}" if whole else ""
    return f"  {drop.table:<16} {drop.rows:>12,}   {drop.rule}{money}{kept}{gone}"
