"""Small made-up shops in the layouts of well-known exports, and what is true of each."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd

START = datetime(2023, 1, 9)
DAYS, CUSTOMERS = 200, 60
NAMES = ("Lantern", "Mug", "Candle", "Basket", "Clock", "Frame", "Tray", "Bowl", "Lamp", "Vase", "Rug", "Hook")


@dataclass(frozen=True)
class Line:
    """One line of a made-up order."""

    order: int
    customer: int
    time: datetime
    product: int
    quantity: int
    price: Decimal

    @property
    def total(self) -> Decimal:
        return self.quantity * self.price

    @property
    def name(self) -> str:
        return NAMES[self.product]


@dataclass(frozen=True)
class Truth:
    """Counts and money that staging has to find."""

    customers: int
    orders: int
    days: int
    money: Decimal

    @classmethod
    def of(cls, lines: Sequence[Line], order: Callable[[Line], object] = lambda line: line.order) -> Truth:
        """Count lines that are all sales of known customers."""
        return cls(
            customers=len({line.customer for line in lines}),
            orders=len({order(line) for line in lines}),
            days=len({line.time.date() for line in lines}),
            money=sum((line.total for line in lines), Decimal(0)),
        )


def shop(seed: int = 0) -> list[Line]:
    """Draw orders of 60 customers on 200 days in the order of time, each with one to four lines of other products."""
    rng = np.random.default_rng(seed)
    prices = [Decimal(int(price)) / 100 for price in rng.integers(125, 4999, size=len(NAMES))]
    rates = rng.gamma(1.0, 0.03, size=CUSTOMERS) + 0.005
    bought = sorted(
        (START + timedelta(days=int(day), minutes=int(rng.integers(480, 1260))), customer)
        for customer in range(CUSTOMERS)
        for day in np.flatnonzero(rng.random(DAYS) < rates[customer])
    )
    return [
        Line(number, customer, time, int(product), int(rng.integers(1, 7)), prices[product])
        for number, (time, customer) in enumerate(bought)
        for product in rng.choice(len(NAMES), size=rng.integers(1, 5), replace=False)
    ]


def of_orders(lines: Sequence[Line]) -> dict[int, list[Line]]:
    found: dict[int, list[Line]] = {}
    for line in lines:
        found.setdefault(line.order, []).append(line)
    return found


def table(header: str, rows: Iterable[Sequence[object]], delimiter: str = ",") -> str:
    """Write rows as CSV; the header is given as it stands in the file."""
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter, lineterminator="\n").writerows(rows)
    return f"{header}\n{text.getvalue()}"


def german(value: Decimal | float, places: int = 2) -> str:
    """Write a number with a decimal comma and points between thousands."""
    return f"{value:,.{places}f}".translate(str.maketrans(",.", ".,"))


def online_retail(folder: Path) -> tuple[Path, Truth]:
    """UCI's Online Retail: times m/d/Y, customers as doubles and often none, C-invoices, postage."""
    lines = shop(1)
    rows = []
    for line in lines:
        time = f"{line.time.month}/{line.time.day}/{line.time.year} {line.time.hour}:{line.time:%M}"
        rows.append(
            [
                536365 + line.order,
                f"{20000 + line.product}A",
                line.name.upper(),
                line.quantity,
                time,
                line.price,
                f"{12346 + line.customer}.0",
                "United Kingdom",
            ]
        )
    back = [[f"C{row[0] + 5000}", *row[1:3], -row[3], *row[4:]] for row in rows[40:52]]
    anonymous = [[row[0] + 9000, *row[1:6], "", "United Kingdom"] for row in rows[::9]]
    postage = [
        [row[0], code, code, 1, row[4], price, *row[6:]]
        for row, code, price in zip(rows[:60:6], ["POST", "D", "M", "POST", "D"] * 2, ["18.00"] * 10, strict=True)
    ]
    path = folder / "Online Retail.csv"
    header = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country"
    path.write_text(table(header, [*rows, *anonymous, *back, *postage]))
    return path, Truth.of(lines)


def online_retail_ii(folder: Path) -> tuple[Path, Truth]:
    """Online Retail II: a workbook with two sheets of the same columns."""
    lines = shop(2)
    rows = [
        [
            str(489434 + line.order),
            f"{20000 + line.product}",
            line.name,
            line.quantity,
            line.time,
            float(line.price),
            float(13085 + line.customer) if line.customer else None,
            "United Kingdom",
        ]
        for line in lines
    ]
    columns = ["Invoice", "StockCode", "Description", "Quantity", "InvoiceDate", "Price", "Customer ID", "Country"]
    path = folder / "online_retail_II.xlsx"
    with pd.ExcelWriter(path) as book:
        half = len(rows) // 2
        for sheet, part in (("Year 2009-2010", rows[:half]), ("Year 2010-2011", rows[half:])):
            pd.DataFrame(part, columns=columns).to_excel(book, sheet_name=sheet, index=False)
    return path, Truth.of([line for line in lines if line.customer])


def superstore(folder: Path) -> tuple[Path, Truth]:
    """Superstore: days m/d/Y of order and shipment, totals of lines after a discount, a profit below 0."""
    rows = []
    money = Decimal(0)
    lines = shop(3)
    for number, line in enumerate(lines):
        discount = Decimal(number % 4) / 10
        sales = (line.total * (1 - discount)).quantize(Decimal("0.0001"))
        money += sales
        ship = line.time + timedelta(days=number % 5)
        rows.append(
            [
                number + 1,
                f"CA-2023-{100000 + line.order}",
                f"{line.time:%-m/%-d/%Y}",
                f"{ship:%-m/%-d/%Y}",
                "Standard Class",
                f"CG-{12000 + line.customer}",
                f"Claire {line.customer}",
                "Consumer",
                "United States",
                "Henderson",
                "Kentucky",
                42420,
                "South",
                f"FUR-BO-1000{line.product:04}",
                "Furniture",
                "Bookcases",
                f'{line.name}, 5" wide',
                sales,
                line.quantity,
                discount,
                (sales * Decimal("0.1") - 3).quantize(Decimal("0.0001")),
            ]
        )
    header = (
        "Row ID,Order ID,Order Date,Ship Date,Ship Mode,Customer ID,Customer Name,Segment,Country,City,"
        "State,Postal Code,Region,"
    )
    header += "Product ID,Category,Sub-Category,Product Name,Sales,Quantity,Discount,Profit"
    path = folder / "Sample - Superstore.csv"
    path.write_text(table(header, rows), encoding="cp1252")
    truth = Truth.of(lines)
    return path, replace(truth, money=money)


def olist(folder: Path) -> tuple[Path, Truth]:
    """Olist: a folder of tables; the customer of an order has an id of its own, and one that comes back."""
    lines = shop(4)
    orders = of_orders(lines)
    status = {
        number: ("canceled" if number % 17 == 5 else "shipped" if number % 7 == 1 else "delivered") for number in orders
    }

    def quoted(name: str, header: list[str], rows: list[list[object]]) -> None:
        with (folder / f"olist_{name}_dataset.csv").open("w", newline="") as file:
            csv.writer(file, quoting=csv.QUOTE_ALL).writerows([header, *rows])

    key = {number: f"{number:08x}" * 4 for number in orders}
    person = {number: f"{held[0].customer + 77:08x}" * 4 for number, held in orders.items()}
    quoted(
        "orders",
        [
            "order_id",
            "customer_id",
            "order_status",
            "order_purchase_timestamp",
            "order_approved_at",
            "order_delivered_carrier_date",
            "order_delivered_customer_date",
            "order_estimated_delivery_date",
        ],
        [
            [
                key[number],
                key[number][::-1],
                status[number],
                held[0].time,
                held[0].time + timedelta(hours=2),
                held[0].time + timedelta(days=2),
                held[0].time + timedelta(days=5),
                held[0].time + timedelta(days=20),
            ]
            for number, held in orders.items()
        ],
    )
    quoted(
        "customers",
        ["customer_id", "customer_unique_id", "customer_zip_code_prefix", "customer_city", "customer_state"],
        [[key[number][::-1], person[number], "01409", "sao paulo", "SP"] for number in orders],
    )
    quoted(
        "order_items",
        ["order_id", "order_item_id", "product_id", "seller_id", "shipping_limit_date", "price", "freight_value"],
        [
            [
                key[line.order],
                item,
                f"{line.product:032x}",
                f"{line.product % 3:032x}",
                line.time + timedelta(days=4),
                line.price,
                "13.29",
            ]
            for held in orders.values()
            for item, line in enumerate((line for line in held for _ in range(line.quantity)), start=1)
        ],
    )
    quoted(
        "order_payments",
        ["order_id", "payment_sequential", "payment_type", "payment_installments", "payment_value"],
        [[key[number], 1, "credit_card", 2, sum(line.total for line in held) + 20] for number, held in orders.items()],
    )
    quoted(
        "products",
        ["product_id", "product_category_name", "product_name_lenght", "product_weight_g"],
        [[f"{product:032x}", "utilidades_domesticas", len(name), 250] for product, name in enumerate(NAMES)],
    )
    return folder, Truth.of([line for line in lines if status[line.order] != "canceled"])


def shopify(folder: Path) -> tuple[Path, Truth]:
    """Shopify's orders: what is the order's stands on its first line; times have a zone; an order has one discount."""
    lines = shop(5)
    orders = of_orders(lines)
    header = (
        "Name,Email,Financial Status,Paid at,Fulfillment Status,Accepts Marketing,Currency,Subtotal,"
        "Shipping,Taxes,Total,Discount Code,"
    )
    header += (
        "Discount Amount,Shipping Method,Created at,Lineitem quantity,Lineitem name,Lineitem price,"
        "Lineitem compare at price,"
    )
    header += (
        "Lineitem sku,Billing Name,Billing Country,Cancelled at,Payment Method,Refunded Amount,Vendor,"
        "Id,Lineitem discount"
    )
    rows: list[list[object]] = []
    counted: list[Line] = []
    off = Decimal(0)
    for number, held in orders.items():
        status = "voided" if number % 19 == 3 else "pending" if number % 23 == 4 else "paid"
        total = sum((line.total for line in held), Decimal(0))
        discount = (total / 10).quantize(Decimal("0.01")) if number % 3 == 0 else Decimal(0)
        if status == "paid":
            counted += held
            off += discount
        for place, line in enumerate(held):
            first: list[object] = [""] * 13
            rest: list[object] = ["", "", "", "", "", "", ""]
            time = f"{line.time:%Y-%m-%d %H:%M:%S} +0100"
            if place == 0:
                first = [
                    f"c{line.customer}@Example.org",
                    status,
                    time,
                    "fulfilled",
                    "yes",
                    "EUR",
                    total - discount,
                    "4.90",
                ]
                first += ["0.00", total - discount + Decimal("4.90"), "TEN" if discount else "", discount, "Standard"]
                rest = [f"Kim {line.customer}", "DE", "", "Credit Card", "0.00", "Home", 4000000000 + number]
            rows.append(
                [
                    f"#{1001 + number}",
                    *first,
                    time,
                    line.quantity,
                    line.name,
                    line.price,
                    "",
                    f"SKU-{line.product:03}",
                    *rest[:5],
                    "Home",
                    rest[6],
                    "0.00",
                ]
            )
    path = folder / "orders_export_1.csv"
    path.write_text(table(header, rows))
    truth = Truth.of(counted)
    return path, replace(truth, money=truth.money - off)


def woocommerce(folder: Path) -> tuple[Path, Truth]:
    """WooCommerce's export of orders: what is the order's stands on each of its lines."""
    lines = shop(6)
    header = (
        "Order Number,Order Status,Order Date,Customer Note,First Name (Billing),Last Name (Billing),"
        "City (Billing),Country Code (Billing),"
    )
    header += (
        "Email (Billing),Payment Method Title,Cart Discount Amount,Order Subtotal Amount,"
        "Order Shipping Amount,Order Refund Amount,"
    )
    header += "Order Total Amount,Order Total Tax Amount,SKU,Item #,Item Name,Quantity (- Refund),Item Cost,Coupon Code"
    status = {0: "wc-cancelled", 1: "wc-failed"}
    rows = []
    counted: list[Line] = []
    for number, held in of_orders(lines).items():
        said = status.get(number % 15, "wc-completed" if number % 5 else "wc-processing")
        subtotal = sum((line.total for line in held), Decimal(0))
        counted += [] if number % 15 in status else held
        for item, line in enumerate(held, start=1):
            rows.append(
                [
                    5000 + number,
                    said,
                    f"{line.time:%Y-%m-%d %H:%M}",
                    "",
                    "Kim",
                    "Doe",
                    "London",
                    "GB",
                    f"c{line.customer}@example.org",
                    "Cash",
                    "0",
                    subtotal,
                    "3.5",
                    "",
                    subtotal + Decimal("3.5"),
                    "0",
                    f"W{line.product:03}",
                    item,
                    line.name,
                    line.quantity,
                    line.price,
                    "",
                ]
            )
    path = folder / "orders-2023.csv"
    path.write_text(table(header, rows))
    return path, Truth.of(counted)


def ta_feng(folder: Path) -> tuple[Path, Truth]:
    """Ta-Feng: no number of orders, ids with leading zeros, AMOUNT counts pieces and SALES_PRICE is a total."""
    rows = []
    lines = shop(7)
    for line in lines:
        rows.append(
            [
                f"{line.time:%-m/%-d/%Y}",
                f"{line.customer + 42:08}",
                ["A", "B", "K"][line.customer % 3],
                "115",
                100205 + line.product % 4,
                f"47100{line.product:08}",
                line.quantity,
                int(line.total * Decimal("80")),
                int(line.total * 100),
            ]
        )
    header = "TRANSACTION_DT,CUSTOMER_ID,AGE_GROUP,PIN_CODE,PRODUCT_SUBCLASS,PRODUCT_ID,AMOUNT,ASSET,SALES_PRICE"
    path = folder / "ta_feng_all_months_merged.csv"
    path.write_text(table(header, rows))
    truth = Truth.of(lines, order=lambda line: (line.customer, line.time.date()))
    return path, replace(truth, money=truth.money * 100)


def instacart(folder: Path) -> tuple[Path, None]:
    """Instacart: orders have a number and a weekday, but neither day nor price."""
    lines = shop(8)
    orders = of_orders(lines)
    (folder / "orders.csv").write_text(
        table(
            "order_id,user_id,eval_set,order_number,order_dow,order_hour_of_day,days_since_prior_order",
            [
                [
                    2000 + number,
                    held[0].customer + 1,
                    "prior",
                    number % 9 + 1,
                    held[0].time.weekday(),
                    f"{held[0].time:%H}",
                    number % 30,
                ]
                for number, held in orders.items()
            ],
        )
    )
    (folder / "order_products__prior.csv").write_text(
        table(
            "order_id,product_id,add_to_cart_order,reordered",
            [
                [2000 + line.order, line.product + 1, place, 1]
                for held in orders.values()
                for place, line in enumerate(held, start=1)
            ],
        )
    )
    (folder / "products.csv").write_text(
        table(
            "product_id,product_name,aisle_id,department_id",
            [[n + 1, name, n % 3, n % 2] for n, name in enumerate(NAMES)],
        )
    )
    return folder, None


def till_receipts(folder: Path) -> tuple[Path, Truth]:
    """A till: numbers that begin anew each day, day and time apart, decimal commas, a preamble, totals."""
    header = "Bon-Nr;Kasse;Datum;Uhrzeit;Kundennr;Artikel-Nr;Bezeichnung;Menge;Einzelpreis;Betrag"
    text = ["Kassenbericht Filiale Mitte;;;;;;;;;", "Zeitraum 09.01.2023 bis 27.07.2023;;;;;;;;;", "", header]
    lines = shop(9)
    day, numbers, total = None, {}, Decimal(0)
    for line in lines:
        if day is not None and line.time.date() != day:
            text.append(f"Tagessumme;;;;;;;;;{german(total)}")
            text += [header] if day.day == 1 else []
            numbers, total = {}, Decimal(0)
        day = line.time.date()
        number = numbers.setdefault(line.order, len(numbers) + 1)
        total += line.total
        text.append(
            f"{number};1;{line.time:%d.%m.%Y};{line.time:%H:%M};K{line.customer:04};{4000 + line.product};{line.name};"
            f"{line.quantity};{german(line.price)};{german(line.total)}"
        )
    text += [
        f"Tagessumme;;;;;;;;;{german(total)}",
        "",
        f"Erstellt am 28.07.2023; Summe aller Tage: {german(sum(line.total for line in lines))}",
    ]
    path = folder / "Kasse 1.csv"
    path.write_bytes("\r\n".join([*text, ""]).encode("cp1252"))
    return path, Truth.of(lines)


def german_erp(folder: Path) -> tuple[Path, Truth]:
    """An ERP's invoices: net totals with a minus behind credits, thousands in points, days first."""
    header = "Belegnummer;Belegdatum;Debitor;Debitorenname;Material;Menge;ME;Rabatt %;Nettobetrag;Währung"
    lines = shop(10)
    rows = []
    for line in lines:
        rows.append(
            [
                f"90{line.order:06}",
                f"{line.time:%d.%m.%Y}",
                f"{100000 + line.customer:010}",
                f"Müller & Söhne {line.customer}",
                f"M-{line.product:05}",
                german(line.quantity, 3),
                "ST",
                "0,00",
                german(line.total * 100),
                "EUR",
            ]
        )
    credits = [
        [f"95{number:06}", *row[1:5], row[5] + "-", "ST", "0,00", row[8] + "-", "EUR"]
        for number, row in enumerate(rows[30:42])
    ]
    path = folder / "FAKTURA_2023.TXT"
    path.write_text(table(header, [*rows, *credits], ";"), encoding="cp1252")
    truth = Truth.of(lines)
    return path, replace(truth, money=truth.money * 100)


def event_log(folder: Path) -> tuple[Path, Truth]:
    """An app's purchases in several Parquet files: milliseconds since 1970, prices with a sign."""
    lines = shop(11)
    frame = pd.DataFrame(
        {
            "event_time": [int(line.time.timestamp() * 1000) for line in lines],
            "user_id": [90000 + line.customer for line in lines],
            "basket_id": [f"b-{line.order:06}" for line in lines],
            "sku": [f"S{line.product:04}" for line in lines],
            "qty": [line.quantity for line in lines],
            "price": [f"${line.price}" for line in lines],
        }
    )
    half = len(frame) // 2
    for number, part in enumerate((frame[:half], frame[half:])):
        part.to_parquet(folder / f"part-{number}.parquet", index=False)
    return folder, Truth.of(lines)


def grocery_baskets(folder: Path) -> tuple[Path, Truth]:
    """Dunnhumby's baskets: weekly files, days without marks, spend of the line, many rows without a card."""
    lines = shop(12)
    by_week: dict[str, list[list[object]]] = {}
    for line in lines:
        by_week.setdefault(f"{line.time:%G%V}", []).append(
            [
                f"{line.time:%G%V}",
                f"{line.time:%Y%m%d}",
                line.time.isoweekday(),
                line.time.hour,
                line.quantity,
                line.total,
                f"PRD09{line.product:05}",
                f"CL000{line.product % 5:02}",
                "" if line.customer % 6 == 0 else f"CUST{line.customer:010}",
                "LA",
                f"9941{line.order:011}",
                "M",
                "STORE00001",
                "LS",
                "E02",
            ]
        )
    header = (
        "SHOP_WEEK,SHOP_DATE,SHOP_WEEKDAY,SHOP_HOUR,QUANTITY,SPEND,PROD_CODE,PROD_CODE_10,CUST_CODE,"
        "CUST_PRICE_SENSITIVITY,"
    )
    header += "BASKET_ID,BASKET_SIZE,STORE_CODE,STORE_FORMAT,STORE_REGION"
    for week, rows in by_week.items():
        (folder / f"transactions_{week}.csv").write_text(table(header, rows))
    return folder / "transactions_*.csv", Truth.of([line for line in lines if line.customer % 6])


def brazilian(folder: Path) -> tuple[Path, Truth]:
    """A shop's orders, one row each: days first, R$ with commas, cancelled ones by their status."""
    lines = shop(13)
    orders = of_orders(lines)
    rows = []
    for number, held in orders.items():
        total = sum((line.total for line in held), Decimal(0)) * 20
        status = "Cancelado" if number % 11 == 2 else "Entregue" if number % 4 else "Enviado"
        cpf = f"{held[0].customer + 100:03}.456.789-0{held[0].customer % 10}"
        rows.append(
            [f"P{number:05}", f"{held[0].time:%d/%m/%Y %H:%M}", cpf, "SP", f"R$ {german(total)}", "Pix", status]
        )
    path = folder / "pedidos.csv"
    path.write_text(
        table("Pedido;Data do Pedido;CPF;UF;Valor Total;Pagamento;Situação", rows, ";"), encoding="utf-8-sig"
    )
    truth = Truth.of([line for line in lines if line.order % 11 != 2])
    return path, replace(truth, money=truth.money * 20)


def korean(folder: Path) -> tuple[Path, Truth]:
    """A Korean shop's sales: another encoding, whole amounts of won with a sign behind them."""
    lines = shop(29)
    rows = [
        [
            *(f"ORD{line.order:06}", f"{line.time:%Y.%m.%d %H:%M}", f"M{line.customer:04}", f"P{line.product:03}"),
            *(line.name, line.quantity, f"{int(line.price * 1000):,}원", f"{int(line.total * 1000):,}원"),
        ]
        for line in lines
    ]
    path = folder / "매출.csv"
    path.write_text(table("주문번호,주문일시,회원번호,상품코드,상품명,수량,판매단가,결제금액", rows), encoding="cp949")
    truth = Truth.of(lines)
    return path, replace(truth, money=truth.money * 1000)


def shop_events(folder: Path) -> tuple[Path, Truth]:
    """A web shop's events: purchases among views and carts, prices and no quantities, UTC in words."""
    lines = shop(26)
    rows = [
        [
            *(f"{line.time:%Y-%m-%d %H:%M:%S} UTC", kind, 1000 + line.product, "20530135556", "home.light", "acme"),
            *(line.price, 500 + line.customer, f"s-{line.order:06}"),
        ]
        for line in lines
        for kind in ("view", "view", "cart", "purchase")[line.quantity % 3 :]
    ]
    path = folder / "2023-Jan.csv"
    header = "event_time,event_type,product_id,category_id,category_code,brand,price,user_id,user_session"
    path.write_text(table(header, rows))
    truth = Truth.of(lines)
    return path, replace(truth, money=sum((line.price for line in lines), Decimal(0)))


def shopping_malls(folder: Path) -> tuple[Path, Truth]:
    """Invoices of one row each, without a product's code: `price` is the total of the row."""
    lines = shop(28)
    rows = [
        [
            *(f"I{138884 + number}", f"C{241288 + line.customer}", "Female", 28, line.name, line.quantity, line.total),
            *("Credit Card", f"{line.time.day}/{line.time.month}/{line.time.year}", "Kanyon"),
        ]
        for number, line in enumerate(lines)
    ]
    path = folder / "customer_shopping_data.csv"
    header = "invoice_no,customer_id,gender,age,category,quantity,price,payment_method,invoice_date,shopping_mall"
    path.write_text(table(header, rows))
    truth = Truth.of(lines)
    return path, replace(truth, orders=len(lines))


LAYOUTS: dict[str, Callable[[Path], tuple[Path, Truth | None]]] = {
    made.__name__: made
    for made in (
        online_retail,
        online_retail_ii,
        superstore,
        olist,
        shopify,
        woocommerce,
        ta_feng,
        instacart,
        till_receipts,
        german_erp,
        event_log,
        grocery_baskets,
        brazilian,
        korean,
        shop_events,
        shopping_malls,
    )
}
