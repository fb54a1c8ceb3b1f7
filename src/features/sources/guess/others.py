"""Rows beside the lines of goods: postage, fees, payouts and payments by their kind, and sums of orders."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import ibis
import ibis.expr.types as ir

from features.engines import DuckDB
from features.sources.files.values import factor
from features.sources.guess.documents import CREDITS, TYPES
from features.sources.guess.facts import Facts, frequencies
from features.sources.guess.given import Given
from features.sources.guess.mapping import Guess, flow
from features.sources.guess.money import Style
from features.sources.guess.opened import Opened
from features.sources.guess.orders import ranked
from features.sources.guess.statuses import MOST_WORDS, kind_of
from features.sources.guess.words import phrases, score, tokens
from features.sources.meanings import FEES, POSTAGE

SOLD, LINE, NO_SALE, PAID, LESS = "sold", "line", "no sale", "paid", "less"
KINDS: Mapping[str, str] = {
    SOLD: "sale, sales, charge, order, purchase, invoice, verkauf, rechnung, vente, venta, venda, vendita, verkoop, "
    "sprzedaż, prodej, satış, försäljning, продажа, 売上, 销售, 판매, "
    "myynti, tilaus, lasku, salg, eladás, vânzare, πώληση, inv, normal, standard",
    LINE: "line, lines, line item, sale line, order line, item, items, product, products, goods, article, artikel, "
    "position, ware, produkt, producto, produto, prodotto, produit, articolo, artículo, towar, zboží, ürün, товар, "
    "商品, 상품, tuote, tuoterivi, vare, varelinje, termék, produs, προϊόν",
    NO_SALE: f"{POSTAGE}, {FEES}, port, packaging, versandposition, payout, payouts, payout failure, transfer, "
    "withdrawal, bank transfer, adjustment, reserve, auszahlung, virement, uitbetaling, wypłata, výplata, выплата, "
    "出金, 提现, stripe fee, application fee, provision, tax, taxes, vat, mwst, tip, tips, gratuity, comment, note, "
    "text, kommentar, subtotal, zwischensumme",
    PAID: "payment, payments, zahlung, zahlungen, paiement, pago, pagamento, betaling, płatność, platba, ödeme, "
    "betalning, оплата, 支払い, 付款, 결제, tender, maksu, fizetés, plată, πληρωμή",
    LESS: "discount, discounts, coupon, voucher, promotion, promo, gutschein, rabatt, remise, descuento, desconto, "
    "sconto, korting, rabat, kupon, sleva, indirim, скидка, 値引き, 割引, クーポン, 折扣, 优惠券, 할인, 쿠폰, "
    "alennus, kuponki, kedvezmény, reducere, έκπτωση",
}
KIND_OF = {phrase: kind for kind, words in KINDS.items() for phrase in phrases(words)}
OF_KINDS = r"(typ|type|art|kind|soort|rodzaj|tipo)$"  # ends of a name, such as Positionstyp
OF_OTHERS = {"payment", "zahlungsart", "zahlung", "shipping", "versandart", "delivery", "customer", "card", "discount"}
ALIKE = 0.95  # of the orders, from which one row has the sum of the others
COUNTED = 5  # orders
CENT = 0.011
NAMED, CLEARLY = 0.3, 0.8
TRIED = 2  # columns of orders


def kind_of_row(word: str) -> str | None:
    """Return what a word says about a row; None where it is not known.

    >>> kind_of_row("Sale Line"), kind_of_row("Versand"), kind_of_row("payout"), kind_of_row("refund"), kind_of_row("X")
    ('line', 'no sale', 'no sale', 'sold', None)
    >>> kind_of_row("General Withdrawal"), kind_of_row("Payment refund"), kind_of_row("Express Checkout Payment")
    ('no sale', 'sold', 'paid')
    """
    said = tokens(word)
    if kind_of(word) is not None or CREDITS & set(said):
        return KIND_OF.get(said, SOLD)
    return next((KIND_OF[said[start:]] for start in range(len(said)) if said[start:] in KIND_OF), None)


def is_of_kinds(name: str) -> bool:
    """Check whether a column is called after kinds of rows.

    >>> is_of_kinds("Line Type"), is_of_kinds("Positionstyp"), is_of_kinds("Zahlungsart"), is_of_kinds("Colour")
    (True, True, False, False)
    """
    words = set(tokens(name))
    return bool(words & TYPES or any(re.search(OF_KINDS, word) for word in words)) and not words & OF_OTHERS


def of_goods(opened: Opened, facts: Mapping[str, Facts], given: Given) -> Guess | None:
    """Return the rows that are lines of goods, by a column with the kinds of rows; None where all are."""
    for name, each in facts.items():
        if not (is_of_kinds(name) and 1 < each.distinct <= MOST_WORDS) or name in given.values():
            continue
        if score(name, "status") >= CLEARLY:  # of orders: shipping is a sale there, and no line of postage
            continue
        words = frequencies(opened, name, MOST_WORDS)
        kinds = {word: kind_of_row(word) for word in words}
        if LINE not in kinds.values():
            kinds = {word: SOLD if kind == PAID else kind for word, kind in kinds.items()}
        left_out = [word for word, kind in kinds.items() if kind in (NO_SALE, PAID)]
        less = [word for word, kind in kinds.items() if kind == LESS]
        unknown = [word for word, kind in kinds.items() if kind is None]
        sold = [word for word, kind in kinds.items() if kind in (SOLD, LINE)]
        bare = [word for word in unknown if _lacks_product(opened, facts, name, word)]
        if not left_out and not (less and sold) and not bare:
            continue
        evidence = f"rows: {', '.join(f'{word} {rows:,}' for word, rows in words.items())}"
        gaps = [""] if each.filled < opened.rows else []
        if sold and not less and not unknown and not gaps:
            return Guess({name: sold}, f"{evidence}; {', '.join(left_out)}: no sales")
        doubtful = ", ".join([*unknown, *less, *(["rows without one"] if gaps else [])])
        others = [word for word in unknown if word not in bare]
        narrow, wide = sold or others or unknown, [*sold, *unknown, *less, *gaps]
        ways = [f"only={shlex.quote(flow({name: kept}))}" for kept in (narrow, wide)]
        said = f"{evidence}; {', '.join(left_out) or 'none'}: no sales; not clear: {doubtful}"
        return Guess(None, said, (*dict.fromkeys(ways), "only={} (all rows are sales)"), is_open=True)
    return None


def _lacks_product(opened: Opened, facts: Mapping[str, Facts], name: str, word: str) -> bool:
    """Check whether rows with a word have no product, and the others have one."""
    table = opened.table
    is_word = (table[name] == word).fill_null(False)
    for product in ranked(facts, "product_id", [name]):
        lacks = table[product].isnull()
        figures = table.aggregate(own=lacks.mean(where=is_word), others=lacks.mean(where=~is_word))
        row = figures.to_pyarrow().to_pylist()[0]
        if (row["own"] or 0) >= ALIKE and row["others"] is not None and row["others"] <= 1 - ALIKE:
            return True
    return False


def kept_rows(opened: Opened, only: Mapping[str, Sequence[object]], engine: DuckDB) -> Opened:
    """Return a table with the rows that `only` keeps."""
    kept = [
        opened.table[name]
        .fill_null("")
        .isin([str(value) for value in ([values] if isinstance(values, str) else values)])
        for name, values in only.items()
        if name in opened.columns
    ]
    return _filtered(opened, ibis.and_(*kept), "kept", engine) if kept else opened


def without_sums(
    opened: Opened, facts: Mapping[str, Facts], style: Style, engine: DuckDB
) -> tuple[Opened, Guess | None]:
    """Return a table without rows that have the sums of the other rows of their order, and what marks them."""
    orders = ranked(facts, "order_id")[:TRIED]
    money = [
        name
        for name, each in facts.items()
        if each.is_number and max(score(name, role) for role in ("amount", "unit_price")) >= NAMED
    ]
    counts = [name for name, each in facts.items() if each.is_number and score(name, "quantity") >= CLEARLY]
    for order in orders:
        for name, word in _marks(opened, facts, order):
            is_sum = opened.table[name].fill_null("") == word
            found = _sums(opened, style, order, is_sum, money, counts)
            if found:
                rows = int(opened.table.filter(is_sum).count().execute())
                evidence = f"{rows:,} rows {f'with {word}' if word else f'without {name}'} have the sum of the others: "
                return (
                    _filtered(opened, ~is_sum, "lines", engine),
                    Guess({name: [word]}, f"{evidence}{found} of the same {order}"),
                )
    return opened, None


def _marks(opened: Opened, facts: Mapping[str, Facts], order: str) -> Iterator[tuple[str, str]]:
    """Yield what may mark rows with sums: a word of a column of kinds, and nothing in place of a product."""
    for name, each in facts.items():
        if name != order and is_of_kinds(name) and 1 < each.distinct <= MOST_WORDS:
            yield from ((name, word) for word in frequencies(opened, name, MOST_WORDS))
    for name in ranked(facts, "product_id", [order]):
        if facts[name].filled < opened.rows:
            yield name, ""


def _sums(
    opened: Opened, style: Style, order: str, is_sum: ir.BooleanColumn, money: Sequence[str], counts: Sequence[str]
) -> str | None:
    """Return the column of which one row of an order has the sum of the others."""
    table = opened.table
    values = {name: factor(table[name], style.numbers).cast("float64") for name in (*money, *counts)}
    rows = table.select(order=table[order], is_sum=is_sum, **{f"v.{n}": each for n, each in enumerate(values.values())})
    place = {name: f"v.{n}" for n, name in enumerate(values)}
    rows = rows.filter(rows.order.notnull())
    figures: dict[str, ir.Value] = {"sums": rows.is_sum.cast("int64").sum(), "rows": rows.count()}
    ways: list[tuple[str, str]] = []
    for name in money:
        one = rows[place[name]].sum(where=rows.is_sum)
        others = {"": rows[place[name]]} | {f" x {q}": rows[place[name]] * rows[place[q]] for q in counts if q != name}
        for what, each in others.items():
            figures[f"w.{len(ways)}"] = (one - each.sum(where=~rows.is_sum)).abs() <= CENT
            figures[f"n.{len(ways)}"] = each.count(where=~rows.is_sum)
            ways.append((name, what))
    found = rows.group_by("order").aggregate(**figures)
    shares: dict[str, ir.Value] = {"alone": found.count(where=found.sums == found.rows)}
    for n, _ in enumerate(ways):
        several = (found.sums == 1) & (found[f"n.{n}"] > 1)
        shares[f"orders.{n}"] = found.count(where=several)
        shares[f"share.{n}"] = found[f"w.{n}"].fill_null(False).mean(where=several)
    told = found.aggregate(**shares).to_pyarrow().to_pylist()[0]
    for n, (name, what) in enumerate(ways):
        if told[f"orders.{n}"] >= COUNTED and told[f"share.{n}"] >= ALIKE:
            return None if told["alone"] else f"{name}{what}"
    return None


def _filtered(opened: Opened, is_kept: ir.BooleanColumn, suffix: str, engine: DuckDB) -> Opened:
    name = f"{opened.table.get_name()}_{suffix}"
    table = engine.connection.create_table(name, opened.table.filter(is_kept), temp=True)
    return replace(opened, table=table, rows=int(table.count().execute()))
