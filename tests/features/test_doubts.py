"""Questions of `experiments init`: two readings that differ in money, customers, orders or days are asked for.

The functions are called on small tables in memory, without staging.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import date, datetime
from pathlib import Path
from typing import Any

import ibis
import pytest

from features.engines import DuckDB, staging_engine
from features.errors import InputError
from features.sources.files.config import NumberStyle, TableConfig
from features.sources.files.encodings import Encoding
from features.sources.files.layout import layout_of
from features.sources.files.values import number
from features.sources.guess.discounts import Priced, discount_of
from features.sources.guess.documents import words_back
from features.sources.guess.given import check_columns
from features.sources.guess.lines import Lines, lines_of
from features.sources.guess.opened import ROW, Opened
from features.sources.guess.refunds import refunds_beside
from features.sources.guess.statuses import kind_of
from features.sources.guess.words import ROLES, score
from features.sources.languages import ENGLISH_MONTHS, LANGUAGES, listed, with_english_months, words_of_totals
from features.tables import MONEY

DAYS = (date(1990, 1, 1), date(2030, 1, 1))
Column = Callable[[int], object]
OF_ORDERS: Mapping[str, Column] = {
    "order_id": lambda n: 100 + n // 2,
    "customer_id": lambda n: f"K{n // 2 % 8:02}",
    "date": lambda n: f"2023-{1 + n // 24:02}-{1 + n // 2 % 12:02}",
    "sku": lambda n: f"S{n % 5}",
}


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DuckDB]:
    made = staging_engine(tmp_path_factory.mktemp("doubts"))
    yield made
    made.connection.disconnect()


@pytest.fixture
def guessed(engine: DuckDB) -> Callable[..., Lines]:
    """`guessed({"total": lambda n: n}, amount="total")`: guesses about 60 lines of 30 orders with further columns."""

    def made(columns: Mapping[str, Column], own: Mapping[str, Column] = OF_ORDERS, **given: object) -> Lines:
        texts = {name: [str(each(n)) for n in range(60)] for name, each in (*own.items(), *columns.items())}
        cells = {name: [text or None for text in column] for name, column in texts.items()}
        raw = ibis.memtable({**cells, ROW: list(range(1, 61))}, schema={**dict.fromkeys(cells, "string"), ROW: "int64"})
        name = ibis.util.gen_name("guess")
        opened = Opened("x.csv", engine.connection.create_table(name, raw, temp=True), tuple(cells), 60, {})
        check_columns(given, opened.columns, opened.name)
        return lines_of(opened, engine, DAYS, given)

    return made


def columns_of(lines: Lines) -> dict[str, Any]:
    """Return canonical column -> column of the file; ??? where it is asked for."""
    keys = {key.removeprefix("columns."): each for key, each in lines.guesses.items() if key.startswith("columns.")}
    return {key: "???" if each.is_open else each.value for key, each in keys.items()}


def test_columns_that_are_given_are_taken(guessed: Callable[..., Lines]) -> None:
    columns: dict[str, Column] = {
        "qty": lambda n: 1 + n % 3,
        "list": lambda n: 5 + n % 5,
        "total": lambda n: (1 + n % 3) * (5 + n % 5),
        "paid": lambda n: 4 + n,
        "sent": lambda n: f"2023-{2 + n // 24:02}-{1 + n // 2 % 12:02}",
    }
    given = {"amount": "paid", "customer_id": "sku", "product_id": None, "timestamp": "sent"}
    found = columns_of(guessed(columns, **given))
    assert {name: found.get(name) for name in given} == given
    given = {"unit_price": "list", "quantity": "qty"}
    found = columns_of(guessed(columns, **given))
    assert {name: found.get(name) for name in (*given, "amount")} == {**given, "amount": None}


def test_a_column_that_is_given_and_missing_is_refused() -> None:
    with pytest.raises(InputError, match=r"no column 'Totl' for amount(.|\n)*did you mean 'Total'"):
        check_columns({"amount": "Totl"}, ["Total"], "x.csv")


PRICES = (4.0, 7.5, 12.0)
OFF = {"line": 1.2, "unit": 0.4, "rate": 0.15, "percent": 15.0}  # on each third row


def lines_with(engine: DuckDB, **columns: Callable[[int, float, float], float]) -> Priced:
    """Return 60 lines of 30 orders of three products, with columns by row, quantity and price before a discount."""
    rows = [(n, 1.0 + n % 4, PRICES[n // 4 % 3]) for n in range(60)]
    made = {name: [each(*row) for row in rows] for name, each in columns.items()}
    texts = {"order": [f"{n // 2}" for n, _, _ in rows], "product": [f"{price}" for _, _, price in rows]}
    raw = ibis.memtable({**texts, "count": [quantity for _, quantity, _ in rows], **made})
    names = {name: name for name in made if name != "value"}
    return Priced(engine.connection.create_table(ibis.util.gen_name("priced"), raw, temp=True), names, ())


def off(of_what: str) -> Callable[[int, float, float], float]:
    return lambda n, quantity, price: OFF[of_what] * (n % 3 == 1)


def gross(n: int, quantity: float, price: float) -> float:
    return quantity * price


def net_of_rate(n: int, quantity: float, price: float) -> float:
    return quantity * price * (1 - OFF["rate"] * (n % 3 == 1))


@pytest.mark.parametrize(
    ("columns", "settled"),
    [
        ({"value": gross, "Discount %": off("percent")}, {"line_discount_percent": "Discount %"}),
        ({"value": net_of_rate, "Rabatt": off("percent")}, {"line_discount": None}),  # prices are less already
        ({"value": net_of_rate, "remise": off("rate")}, {"line_discount": None}),
        ({"value": gross, "Rabatt": off("percent")}, {"line_discount": "???"}),  # percent, or money
        ({"value": gross, "discount": lambda *row: -off("line")(*row)}, {"line_discount": "???"}),
        ({"value": lambda n, *_: 5.0 + n % 7, "скидка": off("rate")}, {"line_discount": "???"}),  # prices vary
        (
            {"value": gross, "dto": off("line"), "paid": lambda *row: gross(*row) - off("line")(*row) + 2, "tax": 2},
            {"line_discount": "dto"},
        ),
        ({"value": gross, "discount": lambda *row: 0.0}, {}),
        ({"value": gross, "discount code": off("line"), "description": off("line")}, {}),
    ],
)
def test_a_discount_is_settled_by_what_adds_up_and_by_prices_or_asked_for(
    columns: Mapping[str, Any], settled: Mapping[str, str | None], engine: DuckDB
) -> None:
    made = {name: each if callable(each) else (lambda *row, each=each: float(each)) for name, each in columns.items()}
    found = discount_of(lines_with(engine, **made))
    assert {key: "???" if guess.is_open else guess.value for key, guess in found.items()} == settled
    for guess in found.values():
        assert not guess.is_open or (guess.value is None and guess.others[-1].startswith("line_discount=none"))


def test_a_total_is_compared_with_each_meaning_of_a_discount_also_where_few_rows_have_one(
    guessed: Callable[..., Lines],
) -> None:
    """Quantity x price gives 95% of the totals here, and yet the others are after the discount."""
    columns: dict[str, Column] = {
        "qty": lambda n: 1 + n % 3,
        "price": lambda n: 5 + n % 4,
        "off": lambda n: 0,
        "rebate": lambda n: "10%" if n in (7, 31, 50) else "0%",
        "total": lambda n: round((1 + n % 3) * (5 + n % 4) * (0.9 if n in (7, 31, 50) else 1), 2),
    }
    assert columns_of(guessed(columns)) == {
        **{"order_id": "order_id", "customer_id": "customer_id", "timestamp": "date", "product_id": "sku"},
        **{"amount": "total", "quantity": "qty"},
    }
    del columns["total"]
    asked = columns_of(guessed(columns, line_discount_percent="rebate"))
    assert (asked["unit_price"], asked["line_discount_percent"]) == ("price", "rebate")


@pytest.mark.parametrize(
    ("name", "sale", "back"),
    [
        *[("doc_type", "Invoice", "Credit note"), ("type", "INV", "CN"), ("Belegart", "Rechnung", "Gutschrift")],
        *[
            ("nature", "facture", "avoir"),
            ("rodzaj", "sprzedaż", "zwrot"),
            ("区分", "売上", "返品"),
            ("flag", "", "void"),
        ],
        *[
            ("is_return", "0", "1"),
            ("Storno", "nein", "ja"),
            ("state", "ok", "storno"),
            ("Estado", "Pagado", "Anulado"),
        ],
        *[("movimento", "vendita", "reso"), ("remark", "rush", "Cancelled"), ("Estado envío", "Enviado", "Devuelto")],
        *[("country", "CN", ""), ("gift", "Y", ""), ("product", "Return ticket", ""), ("status", "paid", "")],
    ],
)
def test_words_of_credits_are_known_where_their_column_allows(name: str, sale: str, back: str) -> None:
    assert words_back(name, [sale, back]) == ([back] if back else [])


@pytest.mark.parametrize(
    ("name", "words"),
    [("Payment method", ["x", "Credit"]), ("Tender type", ["Cash", "Credit"]), ("Zahlart", ["EC", "Kredit"])],
)
def test_credit_among_ways_of_payment_takes_nothing_back(name: str, words: list[str]) -> None:
    assert words_back(name, words) == []
    assert words_back("type", words) == (["Credit"] if words[0] == "x" else [])


def test_credits_have_a_minus_where_their_sales_are_there_and_are_asked_for_otherwise(
    guessed: Callable[..., Lines],
) -> None:
    """Here the last ten lines give back what the same customers bought for the same money in the first ten."""
    columns: dict[str, Column] = {"amount": lambda n: 5 + n % 50 + 100 * (n % 50 > 9), "kind": lambda n: "x"}
    columns["doc"] = lambda n: "Gutschrift" if n > 49 else "Rechnung"
    own = {**OF_ORDERS, "sku": lambda n: f"S{n % 50}", "customer_id": lambda n: f"K{n % 50 // 2 % 8:02}"}
    assert guessed(columns, own).guesses["credits"].value == {"doc": ["Gutschrift"]}
    columns["amount"] = lambda n: 5 + n
    asked = guessed(columns, own).guesses["status"]
    assert (asked.value, asked.is_open) == (None, True)
    assert [way.partition("=")[0] for way in asked.others] == ["credits", "status", "status"]


def test_voided_lines_beside_others_of_their_order_are_left_out_one_by_one(guessed: Callable[..., Lines]) -> None:
    """A status is that of an order, so a flag that differs within one is settled by `only`."""
    columns: dict[str, Column] = {"amount": lambda n: 5.5 + n, "voided": lambda n: "Y" if n % 6 == 1 else "N"}
    asked = guessed(columns).guesses["status"]
    assert (asked.is_open, asked.others[1]) == (True, "only='{voided: [\"N\"]}' (left out)")
    answered = guessed(columns, only={"voided": ["N"]})
    assert ("status" in answered.guesses, answered.guesses["only"].value) == (False, {"voided": ["N"]})


@pytest.mark.parametrize(("name", "asked"), [("qty", "qty"), ("zz", "???")])
def test_a_price_alone_is_given_with_the_quantity_by_its_name_or_asks_for_it(
    name: str, asked: str, guessed: Callable[..., Lines]
) -> None:
    columns: dict[str, Column] = {name: lambda n: 1 + n // 5 % 3, "zzPaid": lambda n: 3.25 + n % 7}
    lines = guessed(columns, unit_price="zzPaid")
    found = columns_of(lines)
    assert (found["unit_price"], found["quantity"], "amount" in found) == ("zzPaid", asked, False)
    assert ("quantity=zz unit_price=zzPaid" in lines.guesses["columns.quantity"].others) == (asked == "???")


def test_days_of_return_are_read_as_the_days_of_orders(guessed: Callable[..., Lines]) -> None:
    columns: dict[str, Column] = {
        "Importe": lambda n: 5 + n % 7,
        "Devuelto el": lambda n: f"{13 + n % 9}/12/2023" if n // 2 % 9 == 4 else "",
    }
    own = {**OF_ORDERS, "date": lambda n: f"{13 + n // 2 % 12}/{1 + n // 24:02}/2023"}
    assert columns_of(guessed(columns, own))["returned_at"] == "Devuelto el"


WRITTEN = [
    ("cp1252", "Hélène Lefèvre, François, écharpe bleue, crème fraîche, payé, gâteau"),
    ("mac_roman", "Hélène Lefèvre, François, écharpe bleue, crème fraîche, payé, gâteau"),
    ("cp1252", "José Núñez, María Peña, Málaga, pantalón, camión, devolución"),
    ("cp1252", "Jürgen Müller, Käthe Weiß, Köln, Gürtel grün, Größe"),
    ("cp850", "Jürgen Müller, Käthe Weiß, Köln, Gürtel grün, Größe"),
    ("cp1250", "Łukasz Wójcik, Żaneta, Gdańsk, koszulka żółta, mleko świeże, Zwrócone"),
    ("cp1250", "Jiří Novák, Věra Dvořáková, Plzeň, tričko žluté, Vráceno, děti"),
    ("cp1254", "Ayşe Yılmaz, Çağrı, İstanbul, gömlek, kırmızı, şeker"),
    ("cp1253", "Γιώργος, Μαρία, Αθήνα, γάλα, μπλούζα, πληρωμένο"),
    ("cp1251", "Иванов, Петрова, Москва, Рубашка, Молоко, Возврат"),
    ("koi8_r", "Иванов, Петрова, Москва, Рубашка, Молоко, Возврат"),
    ("cp932", "田中太郎, 鈴木花子, 東京, シャツ, りんご, 返品, 配送中"),
    ("cp949", "김민수, 이영희, 매출, 주문번호, 상품코드, 결제금액"),
    ("gb18030", "王小明, 李华, 北京, 衬衫, 笔记本, 已付款, 退货"),
    ("big5", "王小明, 陳大文, 臺北, 襯衫, 筆記本, 已付款, 退貨"),
]


def encodings_found(words: list[str], encoding: str, n_rows: int, folder: Path) -> list[Encoding]:
    rows = [f"{n};{words[n % len(words)]} {n};{words[n % 3 - 1]}" for n in range(n_rows)]
    (folder / "x.csv").write_bytes("\n".join(["id;a;b", *rows]).encode(encoding))
    return list(layout_of(TableConfig("x", paths=(folder / "x.csv",)), folder).encodings)


@pytest.mark.parametrize("n_rows", [9, 99])
@pytest.mark.parametrize(("encoding", "words"), WRITTEN)
def test_a_language_is_read_by_the_encoding_that_it_was_written_in(
    encoding: str, words: str, n_rows: int, tmp_path: Path
) -> None:
    (found,) = encodings_found(words.split(", "), encoding, n_rows, tmp_path)
    assert words.encode(encoding).decode(found.name) == words


def test_an_encoding_is_asked_for_where_another_gives_words_of_a_language(tmp_path: Path) -> None:
    found = encodings_found(["mère", "très", "père"], "cp1252", 99, tmp_path)  # with letters of Czech by cp1250
    assert {each.name: each.sample.split(", ")[0] for each in found} == {"cp1252": "mère", "cp1250": "mčre"}


WITH_LINES: Mapping[str, Column] = {"qty": lambda n: 1 + n % 2, "amount": lambda n: 5.5 + n % 7}


@pytest.mark.parametrize(
    ("name", "words", "kept"),
    [
        ("Line Type", ["Sale Line", "Sale Line", "Payment"], ["Sale Line"]),
        ("Type", ["charge", "charge", "payout", "refund"], ["charge", "refund"]),
        ("Type", ["Payment", "Fee"], ["Payment"]),  # no lines beside which it would be how they were paid
        ("Positionstyp", ["Artikel", "Artikel", "Versand"], ["Artikel"]),
        ("itemType", ["product", "shipping"], ["product"]),
        ("typ", ["zboží", "doprava"], ["zboží"]),
        ("Positionstyp", ["Artikel", "Gutschein"], "???"),
        ("record type", ["item", "fee", "zzz"], "???"),
        ("record type", ["item", "fee", ""], "???"),
        ("Zahlungsart", ["Rechnung", "Gutschein"], None),
        ("Shipping type", ["standard", "delivery"], None),
        ("kind", ["red", "blue"], None),
    ],
)
@pytest.mark.quick(3)
def test_rows_that_are_no_goods_are_left_out_by_the_kind_of_row_or_asked_for(
    name: str, words: list[str], kept: object, guessed: Callable[..., Lines]
) -> None:
    found = guessed({**WITH_LINES, name: lambda n: words[n % len(words)]}).guesses.get("only")
    said = found and ("???" if found.is_open else {**found.value}[name])  # type: ignore[dict-item]
    assert said == kept or (isinstance(said, list) and sorted(said) == sorted(kept))  # type: ignore[call-overload]
    assert found is None or not found.is_open or all(way.startswith("only=") for way in found.others)


@pytest.mark.parametrize(("has_product", "asked"), [(False, True), (True, False)])
def test_rows_of_a_kind_that_have_no_product_are_asked_for_whatever_its_word(
    has_product: bool, asked: bool, guessed: Callable[..., Lines]
) -> None:
    own = {**OF_ORDERS, "sku": lambda n: f"S{n % 5}" if n % 4 or has_product else ""}
    found = guessed({**WITH_LINES, "Reatüüp type": lambda n: "toode" if n % 4 else "vedu"}, own).guesses.get("only")
    assert (found is not None) == asked
    assert not found or (found.is_open, found.others[0]) == (True, "only='{Reatüüp type: [toode]}'")


@pytest.mark.quick(2)
@pytest.mark.parametrize(
    ("words", "off", "totals"),
    [
        (("Subtotal", "Grand Total"), 0, ["Grand Total", "Subtotal"]),
        (("", "Total"), 0, ["Total"]),
        (("Total Care", "Total Care"), 5, None),  # the name of something that was sold
        (("", "9177"), 0, ["9177"]),  # no word: by the value that it alone has
        (("", "9177"), 5, None),
    ],
)
def test_rows_as_wide_as_the_table_that_have_the_sums_of_the_others_are_totals(
    words: tuple[str, str], off: float, totals: list[str] | None, guessed: Callable[..., Lines]
) -> None:
    """The thirtieth row may sum up those above it, and the last one all that are none of these."""
    marks = {n: word for n, word in zip((29, 59), words, strict=True) if word}

    def price(n: int) -> float:
        above = range(n) if n in marks else ()
        return sum(price(each) for each in above if each not in marks) + off if above else 3.25 + n * 7 % 11

    own = {**OF_ORDERS, "order_id": lambda n: marks.get(n, 100 + n // 2)}
    found = guessed({"total": lambda n: f"{price(n):.2f}"}, own).guesses.get("totals")
    assert (found and sorted(found.value["order_id"])) == totals  # type: ignore[call-overload, index]


@pytest.mark.parametrize(("off", "totals"), [(0.0, {"sku": [""]}), (1.0, None)])
def test_a_row_with_the_sum_of_the_others_of_its_order_is_a_total(
    off: float, totals: object, guessed: Callable[..., Lines]
) -> None:
    """Of three rows of an order the first has no product, and the sum of what the others cost."""

    def price(n: int) -> float:
        return 3.25 + n % 5

    def count(n: int) -> int:
        return 1 + n % 3

    def total(n: int) -> float:
        return sum(count(each) * price(each) for each in (n + 1, n + 2)) + off

    own = {
        "order": lambda n: 100 + n // 3,
        "customer": lambda n: f"K{n // 3 % 6}",
        "date": lambda n: f"2023-{1 + n // 30:02}-{1 + n // 3 % 20:02}",
        "sku": lambda n: f"S{n % 4}" if n % 3 else "",
    }
    columns: dict[str, Column] = {
        "qty": lambda n: count(n) if n % 3 else 1,
        "price": lambda n: price(n) if n % 3 else total(n),
    }
    found = guessed(columns, own).guesses.get("totals")
    assert (found and found.value) == totals


@pytest.mark.parametrize(
    ("columns", "cents"),
    [
        ({"amount_cents": lambda n: 1234 + n}, True),
        ({"price_in_cents": lambda n: 1234 + n, "qty": lambda n: 1 + n % 2}, True),
        ({"amount": lambda n: 1234 + n, "currency": lambda n: "eur"}, "???"),
        ({"amount": lambda n: 1200 + 100 * (n % 3), "currency": lambda n: "USD"}, "???"),
        ({"amount": lambda n: 1234 + n, "currency": lambda n: "JPY"}, None),
        ({"amount": lambda n: 1234 + n, "fee": lambda n: 1.5 + n, "currency": lambda n: "EUR"}, None),
        ({"amount": lambda n: f"{1234 + n}.00", "currency": lambda n: "EUR"}, None),
        ({"amount": lambda n: 5 + n % 9, "currency": lambda n: "EUR"}, None),
        ({"amount": lambda n: 1234 + n}, None),  # no currency beside it: as shops of whole money write
    ],
)
@pytest.mark.quick(3)
def test_whole_amounts_beside_a_currency_may_be_cents(
    columns: Mapping[str, Column], cents: object, guessed: Callable[..., Lines]
) -> None:
    found = guessed(columns).guesses.get("cents")
    assert (found and ("???" if found.is_open else found.value)) == cents
    assert not found or guessed(columns, cents=False).guesses["cents"].value is False


def test_cents_are_read_as_money_and_never_rounded() -> None:
    texts = ibis.memtable({"text": ["1234", "-5", "1,234", "12.5", "12.345", "x"]})
    read = number(texts.text, ibis.dtype(MONEY), NumberStyle(thousands=",", cents=True))
    assert [
        each if each is None else str(each) for each in texts.select(read=read).to_pyarrow()["read"].to_pylist()
    ] == [
        *("12.3400", "-0.0500", "12.3400", "0.1250"),
        *(None, None),
    ]


@pytest.mark.parametrize(
    ("name", "words", "asked"),
    [
        ("Status", ["Paid", "Zz"], True),
        ("Stav objednávky", ["aaa", "bbb"], True),
        ("Sipariş Durumu", ["Teslim edildi", "İptal edildi", "Zz"], True),
        ("状态", ["已付款", "某某"], True),
        ("current_state", ["4", "5"], True),
        ("Status", ["Paid", "Shipped"], False),
        ("State", ["CA", "NY"], False),
        ("Customer status", ["gold", "silver"], False),
    ],
)
@pytest.mark.quick(2)
def test_a_status_with_words_that_are_not_known_is_asked_for(
    name: str, words: list[str], asked: bool, guessed: Callable[..., Lines]
) -> None:
    columns: dict[str, Column] = {**WITH_LINES, name: lambda n: words[n // 2 % len(words)]}
    found = guessed(columns).guesses.get("status")
    assert (found is not None and found.is_open and found.value is None) == asked
    settled = guessed(columns, status=None).guesses.get("status") if asked else None
    assert settled is None or not settled.is_open


@pytest.mark.parametrize(
    ("name", "words", "is_of_orders", "asked"),
    [
        (
            "Zz",
            ["Odottaa maksua", "Xx", "Maksettu"],
            True,
            "status='{column: Zz, sale: [Maksettu, Xx], exclude: [Odottaa maksua]}'",
        ),
        ("Zz", ["Odottaa maksua", "Maksettu"], False, None),
        ("Zz", ["Xx", "Yy"], True, None),
        ("Payment method", ["Maksamatta", "Maksettu"], True, None),
    ],
)
@pytest.mark.quick(2)
def test_a_column_that_no_name_explains_is_asked_for_by_words_of_no_sale(
    name: str, words: list[str], is_of_orders: bool, asked: str | None, guessed: Callable[..., Lines]
) -> None:
    columns: dict[str, Column] = {
        **WITH_LINES,
        name: lambda n: words[(n // 2 if is_of_orders else n) % len(words)],
    }
    found = guessed(columns).guesses.get("status")
    assert (found and (found.value, found.others)) == (asked and (None, (asked, "status=none (they are sales)")))
    settled = guessed(columns, status=None).guesses.get("status") if asked else None
    assert settled is None or not settled.is_open


def test_a_status_given_by_its_column_lists_its_words_and_asks_for_those_that_are_not_known(
    guessed: Callable[..., Lines],
) -> None:
    words = ["Peruttu", "Maksettu"]
    columns: dict[str, Column] = {**WITH_LINES, "Zz": lambda n: words[n // 2 % 2], "Yy": lambda n: "ab"[n // 2 % 2]}
    found = guessed(columns, status="Zz").guesses["status"]
    assert (found.value, found.is_open) == ({"column": "Zz", "sale": ["Maksettu"], "cancellation": ["Peruttu"]}, False)
    found = guessed(columns, status="Yy").guesses["status"]
    assert (found.value, found.is_open, found.others) == (None, True, ("status='{column: Yy, sale: [a, b]}'",))
    with pytest.raises(InputError, match="no column 'Xx' for status"):
        guessed(columns, status="Xx")
    with pytest.raises(InputError, match="order_id has too many words"):
        guessed(columns, status="order_id")


def test_money_given_back_beside_an_orders_own_is_asked_for(guessed: Callable[..., Lines]) -> None:
    columns: dict[str, Column] = {
        "amount": lambda n: 5.5 + n,
        "amount_refunded": lambda n: 5.5 + n if n in (7, 31) else 0,
        "refunded": lambda n: "true" if n in (7, 31) else "false",
    }
    own = {**OF_ORDERS, "order_id": lambda n: 100 + n}
    lines = guessed(columns, own)
    (asked,) = refunds_beside(lines, {})[1].items()
    assert asked[0] == "returns"
    assert asked[1].is_open
    assert [way.partition(" (")[0] for way in asked[1].others] == ["refund=amount_refunded", "refund=none"]
    assert not {"status", "credits"} & lines.guesses.keys()  # one question for one thing
    assert refunds_beside(lines, {"refund": None})[1] == {}
    mapped = refunds_beside(lines, {"refund": "amount_refunded"})[1]
    assert {key.rpartition(".")[2]: each.value for key, each in mapped.items() if "columns." in key} == {
        **{"order_id": "order_id", "returned_at": "date", "amount": "amount_refunded"}
    }
    columns["amount_refunded"] = lambda n: 0
    assert refunds_beside(guessed(columns, own), {})[1] == {}


def test_money_that_a_buyer_paid_is_no_customer(guessed: Callable[..., Lines]) -> None:
    paid = {"Price Paid by Buyer": lambda n: f"{n // 2 % 8}.25", "Username (Buyer)": lambda n: f"u{n // 2 % 8}"}
    own = {name: each for name, each in OF_ORDERS.items() if name != "customer_id"}
    found = guessed({**WITH_LINES, **paid}, own).guesses["columns.customer_id"]
    assert (found.value, found.is_open) == ("Username (Buyer)", False)


@pytest.mark.parametrize(
    ("columns", "guess"),
    [
        ({"zz": lambda n: f"k{n // 2 % 8}@x.eu", "yy": lambda n: n // 2 % 9}, "zz"),
        ({"zz": lambda n: f"Q{n // 2 % 8}", "yy": lambda n: f"R{n % 7}"}, "zz"),  # the other differs within orders
        ({"zz": lambda n: f"Q{n // 2}{n}"}, None),  # never comes back
    ],
)
def test_a_customer_is_guessed_by_values_and_asked_for_where_no_name_says_it(
    columns: Mapping[str, Column], guess: str | None, guessed: Callable[..., Lines]
) -> None:
    own = {name: each for name, each in OF_ORDERS.items() if name != "customer_id"}
    found = guessed({**WITH_LINES, **columns}, own).guesses["columns.customer_id"]
    assert (found.value, found.is_open) == (guess, True)


@pytest.mark.parametrize(
    ("named", "role"),
    [
        ("Numer zamówienia, Číslo objednávky, Sipariş No, Número do pedido, Bestelnummer, Ordernummer", "order_id"),
        ("注文番号, 订单编号, Номер заказа", "order_id"),
        ("Kuittinro, Tilausnumero, Bestillingsnummer, Rendelésszám, Număr comandă, Αριθμός παραγγελίας", "order_id"),
        ("Kanta-asiakasnro, Asiakasnumero, Kundenummer, Vevőkód, Cod client, Κωδικός πελάτη", "customer_id"),
        ("Pvm, Päivämäärä, Ordredato, Dátum, Data comenzii, Ημερομηνία", "timestamp"),
        ("Klo, Kellonaika, Klokkeslæt, Időpont, Ώρα", "time"),
        ("Tuotekoodi, Tuotenumero, Varenummer, Cikkszám, Cod produs, Κωδικός προϊόντος", "product_id"),
        ("Määrä, Kpl, Mennyiség, Cantitate, Ποσότητα", "quantity"),
        ("Yksikköhinta €, Hinta, Stykpris, Enhetspris, Egységár, Preț unitar, Τιμή μονάδας", "unit_price"),
        ("Rivisumma €, Yhteensä, Beløb, Beløp, Összesen, Valoare totală, Σύνολο", "amount"),
        ("Alennus, Tilausalennus, Rabat, Kedvezmény, Reducere, Έκπτωση", "discount"),
        ("Tila, Tilauksen tila, Ordrestatus, Rendelés állapota, Stare comandă, Κατάσταση", "status"),
        ("Nr klienta, Číslo zákazníka, Müşteri, Código do cliente, Klantnummer, Kundnummer, 会員ID", "customer_id"),
        ("会员卡号, Код клиента, رقم العميل, کد مشتری", "customer_id"),
        ("رقم الطلب, رقم الفاتورة, شماره سفارش", "order_id"),
        ("تاريخ الطلب, التاريخ, تاریخ سفارش", "timestamp"),
        ("المبلغ, الإجمالي, مبلغ کل", "amount"),
        ("Data zamówienia, Datum vytvoření, Sipariş Tarihi, Data da venda, Besteldatum, Köpdatum", "timestamp"),
        ("購入日時, 下单时间, Дата заказа", "timestamp"),
        ("Ilość, Množství, Adet, Quantidade, Aantal, Antal, 個数, 数量, Кол-во", "quantity"),
        ("Cena jednostkowa, Cena za kus, Birim Fiyat, Preço unitário, Stukprijs, Styckpris", "unit_price"),
        ("単価, 单价, Цена за шт.", "unit_price"),
        ("Wartość brutto, Cena celkem, Tutar, Valor total, Totaalbedrag, Belopp, 合計金額", "amount"),
        ("支付金额, Сумма заказа", "amount"),
        ("Stan zamówienia, Stav, Sipariş durumu, Situação, Bestelstatus, 対応状況, 订单状态, Состояние", "status"),
    ],
)
def test_headers_are_known_in_the_languages_of_shops(named: str, role: str) -> None:
    best = {name: max(ROLES, key=lambda each: score(name, each)) for name in named.split(", ")}
    assert best == dict.fromkeys(best, role)
    assert all(score(name, role) >= 0.7 for name in best)


@pytest.mark.parametrize(
    "name", ["お届け先", "送料合計", "优惠金额", "運送会社", "Data wysyłki", "KDV Tutarı", "Дата доставки"]
)
def test_what_is_on_top_of_goods_or_happens_later_is_neither_amount_nor_time(name: str) -> None:
    assert max(score(name, "amount"), score(name, "timestamp")) < 0.3


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_language_is_known_by_its_headers_and_its_months(language: str) -> None:
    """One list holds all that init knows of a language: none is known by its headers alone."""
    said = LANGUAGES[language]
    known = [word for word in said.headers.split() if max(score(word, role) for role in ROLES) >= 0.4]
    assert len(known) > 2 * len(said.headers.split()) / 3, set(said.headers.split()) - {*known}  # others are inflected
    months = [month.split("|") for month in listed(said.months)]
    assert len(months) == (0 if language in ("Japanese", "Chinese", "Korean") else 12)
    for english, names in zip(ENGLISH_MONTHS, months, strict=False):
        assert {with_english_months(f"7. {name} 2023") for name in names} == {f"7. {english} 2023"}


def test_words_of_totals_are_known_in_all_languages(guessed: Callable[..., Lines]) -> None:
    totals = [word for language in LANGUAGES.values() for word in listed(language.totals)]
    words = [*totals, *(f"{word.upper()}: 7" for word in totals), "Summer", "Totem", "合"]
    found = ibis.memtable({"word": words}).word.re_search(words_of_totals()).to_pyarrow().to_pylist()
    assert [word for word, is_total in zip(words, found, strict=True) if not is_total] == ["Summer", "Totem", "合"]
    word = "Yhteensä"
    own = {
        name: (lambda n, each=each, name=name: each(n) if n < 59 else word if name == "order_id" else "")
        for name, each in OF_ORDERS.items()
    }
    assert guessed(WITH_LINES, own).guesses["totals"].value == {"order_id": [word]}


@pytest.mark.parametrize(
    ("word", "kind"),
    [
        *[("Zrealizowane", "sale"), ("Vyřízena", "sale"), ("Teslim Edildi", "sale"), ("Concluído", "sale")],
        *[
            ("Geleverd", "sale"),
            ("Levererad", "sale"),
            ("発送済み", "sale"),
            ("已发货", "sale"),
            ("Доставлено", "sale"),
        ],
        *[("Anulowane", "cancellation"), ("Stornována", "cancellation"), ("İptal Edildi", "cancellation")],
        *[("注文取消し", "cancellation"), ("已取消", "cancellation"), ("Отменён", "cancellation")],
        *[
            ("Zwrócone", "return"),
            ("Vráceno", "return"),
            ("İade", "return"),
            ("Estornado", "return"),
            ("退货", "return"),
        ],
        *[("Maksettu", "sale"), ("Toimitettu", "sale"), ("Leveret", "sale"), ("Teljesítve", "sale")],
        *[("Livrată", "sale"), ("Ολοκληρώθηκε", "sale"), ("Peruttu", "cancellation"), ("Peruutettu", "cancellation")],
        *[("Annulleret", "cancellation"), ("Kansellert", "cancellation"), ("Törölve", "cancellation")],
        *[("Anulată", "cancellation"), ("Ακυρώθηκε", "cancellation"), ("Palautettu", "return")],
        *[("Refundert", "return"), ("Returnat", "return"), ("Odottaa maksua", "exclude")],
        *[("Awaiting Payment", "exclude"), ("Awaiting Fulfillment", "sale"), ("Shipping", "sale")],
        *[("Nieopłacone", "exclude"), ("Nezaplaceno", "exclude"), ("未付款", "exclude"), ("W trakcie", None)],
    ],
)
def test_statuses_are_known_in_the_languages_of_shops(word: str, kind: str | None) -> None:
    assert kind_of(word) == kind


@pytest.mark.quick(2)
@pytest.mark.parametrize(
    ("written", "form"),
    [
        ("{day:02d}-{month}-2023", "%d-%b-%Y"),
        ("{day}. {month} 2023 08:30", "%d. %b %Y %H:%M"),
        ("{day} de {month} de 2023", "%d %b %Y"),
        ("2023年{number}月{day}日", "%Y年%m月%d日"),
        ("2023. {number}. {day}.", "%Y. %m. %d."),
    ],
)
def test_names_of_months_are_read_in_the_languages_of_shops(
    written: str, form: str, guessed: Callable[..., Lines]
) -> None:
    months = ["enero", "feb", "März"]

    def date_of(n: int) -> str:
        return written.format(day=1 + n // 2 % 12, month=months[n // 24], number=1 + n // 24)

    lines = guessed(WITH_LINES, {**OF_ORDERS, "date": date_of})
    assert (lines.guesses["date_format"].value, lines.guesses["date_format"].is_open) == (form, False)
    days = lines.typed.aggregate(first=lines.typed.day.min(), last=lines.typed.day.max(), n=lines.typed.day.nunique())
    assert days.to_pyarrow().to_pylist() == [{"first": date(2023, 1, 1), "last": date(2023, 3, 6), "n": 30}]


@pytest.mark.parametrize("written", ["%b %d, %Y, %I:%M:%S %p", "%b-%d-%y", "%d/%b/%Y %H:%M", "%m/%d/%Y %I:%M%p"])
@pytest.mark.quick(1)
def test_times_of_exports_are_read(written: str, guessed: Callable[..., Lines]) -> None:
    own = {**OF_ORDERS, "date": lambda n: f"{datetime(2023, 1 + n // 24, 13 + n // 2 % 12, n % 24):{written}}"}
    lines = guessed(WITH_LINES, own)
    assert lines.guesses["date_format"].value == written


def three(count: str, price: str, total: str, **further: Column) -> dict[str, Column]:
    """Return quantities, prices of five products and totals under any names."""
    return {
        count: lambda n: 1 + n // 5 % 3,
        price: lambda n: f"{3.25 + n % 5:.2f}",
        total: lambda n: f"{(1 + n // 5 % 3) * (3.25 + n % 5):.2f}",
        **further,
    }


def vat(n: int) -> str:
    return f"{1.19 * (1 + n // 5 % 3) * (3.25 + n % 5):.2f}"


@pytest.mark.quick(4)
@pytest.mark.parametrize(
    ("columns", "settled"),
    [
        (three("c5", "c6", "c7"), {"amount": "c7", "quantity": "c5"}),
        (three("الكمية", "السعر", "المبلغ"), {"amount": "المبلغ", "quantity": "الكمية"}),
        (three("qty", "c6", "c7"), {"amount": "c7", "quantity": "qty"}),
        (three("c5", "price", "c7"), {"amount": "c7", "quantity": "c5"}),
        (three("c5", "c6", "Total"), {"amount": "Total", "quantity": "c5"}),
        (
            three("Weight kg", "Price per kg", "Line total")
            | {"Weight kg": lambda n: 0.5 + n // 5 % 3, "Line total": lambda n: (0.5 + n // 5 % 3) * (3.25 + n % 5)},
            {"amount": "Line total", "quantity": "Weight kg"},
        ),
        # a name says other money of lines: what adds up beside it is no reason to leave it
        (three("c5", "c6", "c7", Total=lambda n: 2.5 + n), {"amount": "Total"}),
        # net and gross, both of which are a price times the quantity
        (three("c5", "c6", "c7", c8=lambda n: f"{1.19 * (3.25 + n % 5):.4f}", c9=vat), {"amount": "???"}),
        # pieces in packs are whole numbers, too, and a rate of exchange is none
        (
            {"c5": lambda n: 1 + n % 3, "c6": lambda n: 2 + n % 5, "c7": lambda n: (1 + n % 3) * (2 + n % 5)},
            {"amount": "???"},
        ),
        (
            {
                "c5": lambda n: 0.9 + n % 3 / 10,
                "c6": lambda n: 5.5 + n % 4,
                "c7": lambda n: (9 + n % 3) * (5.5 + n % 4) / 10,
            },
            {"amount": "???"},
        ),
        # 49 of 60 rows add up
        (three("c5", "c6", "c7") | {"c7": lambda n: vat(n) if n % 5 else 1}, {"amount": "???"}),
    ],
)
def test_quantity_price_and_total_are_found_by_what_adds_up_where_no_name_says_them(
    columns: Mapping[str, Column], settled: Mapping[str, str], guessed: Callable[..., Lines]
) -> None:
    lines = guessed(columns)
    found = {key: each for key, each in columns_of(lines).items() if key in ("amount", "quantity", "unit_price")}
    assert found == settled
    asked = lines.guesses["columns.amount"]
    if asked.is_open and "gives" in asked.evidence:
        given = dict(each.split("=") for each in asked.others[0].split())
        answered = columns_of(guessed(columns, **given))
        assert {role: answered[role] for role in given} == given


def test_numbers_without_names_are_read_as_they_are_written(guessed: Callable[..., Lines]) -> None:
    columns = {name: lambda n, each=each: str(each(n)).replace(".", ",") for name, each in three("x", "y", "z").items()}
    lines = guessed(columns)
    assert (lines.style.numbers.decimal, columns_of(lines)["amount"]) == (",", "z")


def test_an_order_is_guessed_by_the_lines_on_which_its_number_stands(guessed: Callable[..., Lines]) -> None:
    """Without a name for it, and asked for; the number of a customer, a day or a till is none."""
    own = {f"c{n}": each for n, each in enumerate(OF_ORDERS.values())}
    found = guessed(three("c5", "c6", "c7", c8=lambda n: n % 3), own).guesses["columns.order_id"]
    assert (found.value, found.is_open) == ("c0", True)


@pytest.mark.quick(2)
@pytest.mark.parametrize(
    ("columns", "amount"),
    [
        ({"Price per kg": lambda n: 3.25 + n % 5, "Weight kg": lambda n: f"{0.5 + n % 7 / 8:.3f}"}, "???"),
        ({"Unit price": lambda n: 3.25 + n % 5}, "???"),
        ({"Price": lambda n: 3.25 + n % 5}, "Price"),
        ({"Gross": lambda n: 30.5 + n, "Fee": lambda n: -1.5, "Net": lambda n: 29 + n}, "Gross"),
        ({"Total": lambda n: 28.5 + n, "Sales": lambda n: 30.5 + n, "Commission": lambda n: 2}, "Sales"),
        ({"Total": lambda n: 28.5 + n, "Sales": lambda n: 30.5 + n, "Points": lambda n: 2}, "Total"),
    ],
)
def test_money_of_a_unit_and_money_after_fees_are_not_what_was_spent(
    columns: Mapping[str, Column], amount: str, guessed: Callable[..., Lines]
) -> None:
    assert columns_of(guessed(columns))["amount"] == amount


def test_a_sum_so_far_is_not_what_an_order_cost(guessed: Callable[..., Lines]) -> None:
    own = {**OF_ORDERS, "order_id": lambda n: 100 + n, "customer_id": lambda n: f"K{n % 8:02}"}

    def cost(n: int) -> float:
        return 3.25 + n * 7 % 11

    columns: dict[str, Column] = {"Total spend": lambda n: sum(map(cost, range(n % 8, n + 1, 8))), "Basket value": cost}
    assert columns_of(guessed(columns, own))["amount"] == "Basket value"


def test_a_price_that_all_products_have_is_that_of_a_line(guessed: Callable[..., Lines]) -> None:
    """Where an order's total stands on each of its lines, too."""
    columns: dict[str, Column] = {"UnitPrice": lambda n: 0.99, "Quantity": lambda n: 1, "Total": lambda n: 1.98}
    found = columns_of(guessed(columns))
    assert (found.get("unit_price"), found.get("amount")) == ("UnitPrice", None)


def test_all_flags_of_rows_that_were_never_sold_are_asked_for_at_once(guessed: Callable[..., Lines]) -> None:
    flags = {"Storno": lambda n: "Ja" if n % 9 == 4 else "Nein", "Training": lambda n: int(n % 7 == 3)}
    asked = guessed({"amount": lambda n: 5.5 + n % 7, **flags}).guesses["status"]
    assert (asked.is_open, asked.others[1]) == (
        True,
        "only='{Storno: [Nein], Training: [\"0\"]}' (all of them left out)",
    )
    kinds = {"Txn Type": lambda n: ("Sale", "Sale", "Training", "Void")[n // 2 % 4]}
    asked = guessed({"amount": lambda n: 5.5 + n % 7, **kinds}).guesses["status"]
    assert "status='{column: Txn Type, sale: [Sale], exclude: [Training, Void]}' (left out)" in asked.others


def test_pieces_of_a_pack_are_no_quantity_and_money_is_no_product(guessed: Callable[..., Lines]) -> None:
    columns: dict[str, Column] = {
        "Units per pack": lambda n: (1, 6, 12, 1, 6)[n % 5],
        "Packs": lambda n: 1 + n // 5 % 3,
        "Pack price": lambda n: 3.25 + n % 5,
    }
    assert columns_of(guessed(columns))["amount"] == "???"
    own = {name: each for name, each in OF_ORDERS.items() if name != "sku"}
    assert "product_id" not in columns_of(guessed({"Item total": lambda n: 3.25 + n, "Item tax": lambda n: 0.5}, own))


def test_masked_numbers_of_cards_are_asked_for(guessed: Callable[..., Lines]) -> None:
    own = {**OF_ORDERS, "customer_id": lambda n: f"**** {1000 + n // 2 % 8}"}
    assert guessed(WITH_LINES, own).guesses["columns.customer_id"].is_open


@pytest.mark.parametrize(("words", "asked"), [(["Paid", "Open"], True), (["Open", "Closed"], False)])
def test_open_beside_paid_may_be_a_bill_that_nobody_paid(
    words: list[str], asked: bool, guessed: Callable[..., Lines]
) -> None:
    found = guessed({**WITH_LINES, "Status": lambda n: words[n // 2 % 2]}).guesses.get("status")
    assert (found is not None and found.is_open) == asked


PIECES: Mapping[str, Column] = {"itemAmount": lambda n: 1 + n // 5 % 3, "itemPrice": lambda n: 3.25 + n % 5}


@pytest.mark.parametrize(
    ("columns", "settled"),
    [
        (PIECES, {"amount": "???"}),
        ({"itemAmount": PIECES["itemAmount"], "paid": PIECES["itemPrice"]}, {"amount": "???"}),  # one price a product
        ({"itemAmount": PIECES["itemAmount"], "zzAmount": PIECES["itemPrice"]}, {"amount": "???"}),
        ({**PIECES, "itemPrice": lambda n: 3.25 + n % 7}, {"amount": "???"}),  # prices vary, and are called prices
        (
            {**PIECES, "order total": lambda n: sum(sold(each, True) for each in (n // 2 * 2, n // 2 * 2 + 1))},
            {"quantity": "itemAmount", "unit_price": "itemPrice"},
        ),
        (
            {**PIECES, "order total": lambda n: sum(sold(each, False) for each in (n // 2 * 2, n // 2 * 2 + 1))},
            {"amount": "itemPrice"},
        ),
        ({**PIECES, "total with VAT": lambda n: sold(n, True)}, {"quantity": "itemAmount", "amount": "total with VAT"}),
        ({**PIECES, "itemAmount": lambda n: 1 + n % 2}, {"amount": "itemPrice"}),  # numbers the lines of an order
        ({**PIECES, "itemAmount": lambda n: 1 + n // 2 % 3}, {"amount": "itemPrice"}),  # is the order's
        ({**PIECES, "itemAmount": lambda n: n // 5 % 3}, {"amount": "itemPrice"}),  # is often 0
        ({**PIECES, "itemAmount": lambda n: 1 + n % 5}, {"amount": "itemPrice"}),  # is the product's
        ({"age": PIECES["itemAmount"], "itemPrice": PIECES["itemPrice"]}, {"amount": "itemPrice"}),
        ({"itemAmount": PIECES["itemAmount"], "paid": lambda n: 3.25 + n % 7}, {"amount": "paid"}),
    ],
)
@pytest.mark.quick(3)
def test_a_price_beside_a_column_that_may_count_pieces_is_asked_for_unless_totals_settle_it(
    columns: Mapping[str, Column], settled: Mapping[str, str], guessed: Callable[..., Lines]
) -> None:
    lines = guessed(columns)
    found = {key: each for key, each in columns_of(lines).items() if key in ("amount", "quantity", "unit_price")}
    assert found == settled
    if settled == {"amount": "???"}:
        price = [*columns][1]
        one, times = (way.partition(" (")[0] for way in lines.guesses["columns.amount"].others)
        assert (one, times) == (f"amount={price}", f"quantity=itemAmount unit_price={price}")
        assert columns_of(guessed(columns, amount=price))["amount"] == price
        answered = columns_of(guessed(columns, quantity="itemAmount", unit_price=price))
        assert (answered["quantity"], answered["unit_price"]) == ("itemAmount", price)


def sold(n: int, is_multiplied: bool) -> float:
    return float(PIECES["itemPrice"](n)) * (int(PIECES["itemAmount"](n)) if is_multiplied else 1)  # type: ignore[arg-type, call-overload]


@pytest.mark.parametrize(("codes", "order"), [(lambda n: f"2024{n // 2:04}", "code"), (lambda n: f"S{n % 5}", None)])
def test_a_column_of_codes_numbers_orders_where_they_stand_on_neighbouring_lines(
    codes: Column, order: str | None, guessed: Callable[..., Lines]
) -> None:
    own = {"code": codes, **{name: each for name, each in OF_ORDERS.items() if name != "order_id"}}
    guesses = guessed(WITH_LINES, own).guesses
    found = guesses.get("columns.order_id")
    assert (found and (found.value, found.is_open)) == (order and (order, True))
    assert ("order_key" in guesses) == (order is None)
