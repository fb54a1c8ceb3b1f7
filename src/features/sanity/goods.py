"""Products that are no goods: postage, fees, deposits, vouchers, manual entries, tests."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import ibis
import ibis.expr.types as ir

from features.sanity.finding import Facts, Finding, accepted, check, examples
from features.sources.meanings import FEES, POSTAGE

# what a line is called that is no good, as the last word of a short name: LED POSTAGE LAMP is a good
WORDS = "|".join([re.escape(word) for word in f"{POSTAGE}, {FEES}".split(", ")]) + (
    r"|envio|charges?|gebuhr|deposit|pfand|leergut|consigne|fianza|보증금|"
    r"vouchers?|gift ?cards?|gutschein|geschenkkarte|gift certificate|coupons?|rabatt|discount|adjust(ment)?|"
    r"adjust bad debt|manual|samples?|donation|spende|tip|trinkgeld|refund|tax|test( ?(product|item|article|artikel))?"
)
CODES = r"^(post|dot|m|d|s|pads|cruk|amazonfee|bank charges|adjust2?|gift_[0-9_]+|test[0-9]*)$"
NAME = rf"^([^\s]+\s+)?({WORDS})[\s0-9.,£€$-]*$"
NUMBERED = 0.95  # share of products with digits in their ids, above which those without are no goods
FEW = 30
FETCHED = 200


@check
def non_goods(facts: Facts) -> Iterator[Finding]:
    """Find products that are no goods by their names or codes, or by codes unlike all others."""
    lines = facts.tables.transactions
    sold = facts.engine.keep(
        lines.filter(lines.product_id.notnull())
        .group_by("product_id")
        .aggregate(lines=lambda t: t.count(), amount=lambda t: t.amount.sum().cast("float64"))
    )
    suspects = [sold.filter(_is_called(sold.product_id, CODES) | _is_called(sold.product_id, NAME))]
    products = facts.tables.products
    if products is not None:
        named = products.filter(_is_called(products.name, NAME)).select("product_id")
        suspects.append(sold.semi_join(named, "product_id"))
    found = {row.product_id: row for row in _rows(facts, *suspects)}
    plain = sold.product_id.re_search("[0-9]")
    numbered = facts.engine.frame(sold.aggregate(products=sold.count(), numbered=plain.sum())).iloc[0]
    rest = int(numbered.products - (numbered.numbered or 0))
    if numbered.products and rest <= FEW and numbered.numbered >= NUMBERED * numbered.products:
        found |= {row.product_id: row for row in _rows(facts, sold.filter(~plain))}
    if found:
        codes = sorted(found)
        rows, amount = (float(sum(getattr(row, name) for row in found.values())) for name in ("lines", "amount"))
        yield Finding(
            "non_goods",
            f"products {examples(codes)} look like postage, fees or vouchers, not like goods: {rows:,.0f} lines, "
            f"{facts.money(amount)}",
            (
                *facts.drop("non_product_code", "non_product_codes", codes, rows, amount),
                accepted(facts, "non_goods"),
            ),
        )


def _is_called(texts: ir.StringColumn, pattern: str) -> ir.BooleanColumn:
    return texts.lower().re_search(pattern).fill_null(False)


def _rows(facts: Facts, *sold: ir.Table) -> Iterator[Any]:
    first = [part.order_by("product_id").limit(FETCHED) for part in sold]
    return facts.engine.frame(ibis.union(*first) if len(first) > 1 else first[0]).itertuples()
