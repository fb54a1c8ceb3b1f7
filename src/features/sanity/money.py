"""Money that cannot be added up, and orders without any."""

from __future__ import annotations

from collections.abc import Iterator

from features.sanity.finding import Facts, Finding, accepted, check

SIGNS = {"$": "USD", "€": "EUR", "£": "GBP", "₩": "KRW", "¥": "JPY"}
FREE = 1e-3  # of all orders


@check
def currencies(facts: Facts) -> Iterator[Finding]:
    """Find several currencies in one column of the file, or one that is not the shop's."""
    found = facts.staged.currencies
    if not found:
        return
    codes = [share.code for share in found]
    mine = next((share for share in found if _iso(share.code) == facts.staged.currency), None)
    if len(found) == 1 and mine is not None:
        return
    column = found[0].column
    shown = "; ".join(f"{share.code or 'none'}: {share.rows:,} lines, {share.amount:,.2f}" for share in found)
    if len(found) == 1:
        line = f"currency: {_iso(codes[0])}" if codes[0] else None
    else:
        kept = mine or found[0]
        others = [share for share in found if share is not kept]
        rows, amount = sum(share.rows for share in others), sum(share.amount for share in others)
        line = (
            f'tables: {{transactions: {{only: {{"{column}": ["{kept.code}"]}}}}}}'
            + facts.confirmation("other_value", rows, amount)
            + facts.action("other_value")
            + ("" if mine else f"\ncurrency: {_iso(kept.code)}")
        )
    yield Finding(
        "currencies",
        f"the column {column} has {shown}; all are added up as {facts.staged.currency}",
        tuple(filter(None, (line, accepted(facts, "currencies")))),
    )


@check
def orders_of_value_0(facts: Facts) -> Iterator[Finding]:
    """Find orders that cost nothing."""
    free = facts.orders.filter(facts.orders.amount == 0)
    figures = facts.engine.frame(free.aggregate(orders=free.count(), lines=free.lines.sum())).iloc[0]
    if figures.orders and figures.orders >= FREE * facts.totals.orders:
        rule = "zero_price"
        line = (facts.confirmation(rule, figures.lines, 0.0) + facts.action(rule)).lstrip("\n")
        yield Finding(
            "orders_of_value_0",
            f"{figures.orders:,.0f} orders ({figures.orders / facts.totals.orders:.1%}, {figures.lines:,.0f} lines) "
            f"cost nothing: 0.00 {facts.staged.currency}",
            tuple(filter(None, (line if facts.can("rules") else None, accepted(facts, "orders_of_value_0")))),
        )


def _iso(code: str | None) -> str | None:
    return SIGNS.get(code, code.upper()) if code else None
