"""The merchandise store: its published figures, amounts worked out by hand, both languages, and what is refused."""

import os
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

import duckdb
import pandas as pd
import pytest
from test_bad_input import refused
from test_families import names_of_set

from features.data_profile import profile
from features.snapshot import snapshot
from features.sources import stage
from merchandise_store import NAMES, ROWS, Store
from online_retail import data_config

BESIDE = Path(__file__).parents[3] / "shared" / "data" / "merchandise_store"
DATA = Path(os.environ.get("MERCHANDISE_STORE_DATA", BESIDE))
published = pytest.mark.skipif(
    "MERCHANDISE_STORE_DATA" not in os.environ and not BESIDE.is_dir(),
    reason="set MERCHANDISE_STORE_DATA to the folder of the five files, which are not part of the repository",
)


@pytest.fixture(scope="module")
def real(shared_cache):
    """The published files, staged."""
    return stage(data_config("merchandise_store", path=str(DATA)), shared_cache)


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """The small store, staged."""
    folder = tmp_path_factory.mktemp("small")
    return stage(Store(folder).config, folder / "cache")


@pytest.fixture(scope="module")
def usual(small):
    """The rows of all tables that the small store gives."""
    return everything(small)


def select(staged, columns, table="transactions"):
    return duckdb.sql(f"SELECT {columns} FROM '{staged.folder / table}.parquet'").fetchall()


def everything(staged):
    return {
        table: sorted(duckdb.sql(f"FROM '{staged.folder / table}.parquet'").fetchall(), key=str)
        for table in staged.rows
    }


@published
class TestPublishedFigures:
    def test_rows_customers_days(self, real):
        assert real.rows == {
            "transactions": 52_924,
            "customers": 1_468,
            "products": 1_145,
            "discounts": 204,
            "marketing_spend": 730,
            "taxes": 20,
        }
        assert (real.customers, sum(drop.rows for drop in real.drops)) == (1_468, 0)
        assert (real.start, real.end) == (date(2019, 1, 1), date(2020, 1, 1))
        assert select(real, 'count(DISTINCT "timestamp")') == [(365,)]
        assert (
            select(real, "spent_at - lag(spent_at, 2) OVER (ORDER BY spent_at)", "marketing_spend")[2:]
            == [(date(2019, 1, 2) - date(2019, 1, 1),)] * 728
        )

    def test_orders_are_customers_parts_of_transactions(self, real):
        transactions = "split_part(order_id, '-', 2)"
        assert select(real, f"count(DISTINCT {transactions}), count(DISTINCT order_id)") == [(25_061, 26_631)]
        per_transaction = duckdb.sql(
            f"SELECT {transactions}, count(DISTINCT customer_id) AS customers, count(*) AS lines "
            f"FROM '{real.folder}/transactions.parquet' GROUP BY 1"
        ).df()
        shared = per_transaction[per_transaction.customers > 1]
        assert round(len(shared) / len(per_transaction), 3) == 0.053
        assert round(shared.lines.sum() / per_transaction.lines.sum(), 3) == 0.147
        assert per_transaction.customers.max() == 8

    def test_delivery_is_counted_once_and_the_formula_that_circulates_overstates_revenue(self, real):
        assert select(real, "sum(delivery_amount), count(delivery_amount)") == [(Decimal("220522.1400"), 25_061)]
        sales = pd.read_csv(DATA / "Online_Sales.csv")
        assert sales.Delivery_Charges.sum() == pytest.approx(556_635.07)
        ours = float(select(real, "sum(amount) + sum(tax_amount) + sum(delivery_amount)")[0][0])
        discounts = pd.read_csv(DATA / "Discount_Coupon.csv").rename(columns=str.strip)
        sales["Month"] = pd.to_datetime(sales.Transaction_Date.astype(str), format="%Y%m%d").dt.strftime("%b")
        sales = sales.merge(discounts, how="left").merge(pd.read_csv(DATA / "Tax_amount.csv"))
        discount = (sales.Discount_pct / 100).where(sales.Coupon_Status == "Used").fillna(0)
        goods = sales.Quantity * sales.Avg_Price * (1 - discount)
        assert float(select(real, "sum(amount)")[0][0]) == pytest.approx(goods.sum(), abs=0.05)
        circulating = (goods * (1 + sales.GST) + sales.Delivery_Charges).sum()
        assert circulating / ours == pytest.approx(1.066, abs=0.0005)

    def test_categories_of_one_table_only(self, real):
        discounted = {category for (category,) in select(real, "DISTINCT category", "discounts")}
        taxed = {category for (category,) in select(real, "DISTINCT category", "taxes")}
        sold = {category for (category,) in select(real, "DISTINCT category", "products")}
        assert sold == taxed
        assert sold - discounted == {"Fun", "Google", "Backpacks", "More Bags"}
        assert discounted - sold == {"Notebooks"}

    def test_half_buy_on_one_day_only_most_of_them_in_several_transactions(self, real, engine):
        found = profile(real, real.open(engine), engine, {})
        assert (found.customers, found.repeat_customers, found.left_truncated_customers) == (1_468, 734, 215)
        customers = duckdb.sql(
            'SELECT count(DISTINCT "timestamp") AS days, count(DISTINCT order_id) AS orders '
            f"FROM '{real.folder}/transactions.parquet' GROUP BY customer_id"
        ).df()
        assert round(((customers.days == 1) & (customers.orders > 1)).mean(), 2) == 0.41

    def test_brands_read_from_names_agree_with_the_letter_that_skus_carry(self, real):
        brands = set(select(real, "substr(product_id, 5, 1), brand", "products"))
        assert {pair for pair in brands if pair[1]} == {
            ("A", "Android"),
            ("G", "Google"),
            ("N", "Nest"),
            ("W", "Waze"),
            ("Y", "YouTube"),
        }

    @pytest.mark.slow
    def test_no_feature_of_the_set_store_is_constant_or_another_ones_copy(self, real, engine, tmp_path):
        names = names_of_set("store")
        cutoff = [date(2019, 10, 3)]
        frame = snapshot(real.open(engine), names, cutoff, engine, cache=tmp_path, digest=real.digest)
        assert frame.shape == (1_211, len(names))
        assert frame.columns[frame.nunique() == 1].empty
        assert frame.columns[frame.round(9).T.duplicated()].empty


class TestAmounts:
    """Of the lines of `ROWS`, by hand."""

    def test_discount_of_the_month_where_the_coupon_was_used_then_tax_and_delivery_apart(self, small):
        columns = "order_id, list_amount, amount, coupon_discount, tax_amount, delivery_amount, coupon_status"
        expected = [
            ("17850-16679", "200", "180", "20", "18", "6.5", "Used"),
            ("17850-16679", "6.15", "6.15", "0", "0.615", None, "Not Used"),
            ("13047-16679", "2.05", "2.05", "0", "0.205", None, "Clicked"),
            ("13047-16680", "10.55", "10.55", "0", "1.899", "0", "Used"),
            ("12583-16681", "99.99", "79.992", "19.998", "7.9992", "12.99", "Used"),
        ]
        assert select(small, columns) == [
            (order, *(None if value is None else Decimal(value) for value in values), status)
            for order, *values, status in expected
        ]

    def test_discounts_hold_for_their_month_also_where_nothing_is_sold(self, small):
        assert select(small, "discount_id, category, starts_at, ends_at, discount_rate", "discounts")[2:] == [
            ("OFF20", "Office", datetime(2019, 2, 1), datetime(2019, 3, 1), 0.2),
            ("NOTES30", "Notebooks", datetime(2019, 3, 1), datetime(2019, 4, 1), 0.3),
        ]

    def test_products_spend_and_customers(self, small):
        assert select(small, "product_id, name, category, brand", "products") == [
            ("G1", "25 oz Google Bottle", "Google", "Google"),
            ("N1", "Nest Cam", "Nest-USA", "Nest"),
            ("P1", "Pen, 7&quot;", "Office", None),
        ]
        assert sorted(select(small, "spent_at, channel, amount", "marketing_spend")) == [
            (datetime(2019, 1, 31), "offline", Decimal("4500")),
            (datetime(2019, 1, 31), "online", Decimal("2424.5")),
            (datetime(2019, 2, 1), "offline", Decimal("0")),
            (datetime(2019, 2, 1), "online", Decimal("3480.36")),
        ]
        assert select(small, "customer_id, gender, region, tenure_months", "customers")[1] == (
            "13047",
            "F",
            "New York",
            43,
        )

    def test_discounts_repeat_in_each_year_of_the_sales(self, store, tmp_path):
        store.add("sales", "12583,16700,20200115,N1,Nest Cam,Nest-USA,1,100,6,Used")
        staged = stage(store.config, tmp_path / "cache")
        assert staged.rows["discounts"] == 8
        assert select(staged, "amount")[-1] == (Decimal("90"),)

    def test_what_is_kept_without_its_row_elsewhere_is_reported(self, store, tmp_path, caplog):
        store.add("sales", "99999,16700,20190216,C1,Cap,Headgear,1,10,6,Used")
        staged = stage(store.config, tmp_path / "cache")
        assert staged.customers == 4
        assert select(staged, "amount, tax_amount")[-1] == (Decimal("10"), None)
        assert (
            "1 customers have no row in the customer file; they stay, without gender and region: 99999 (1 lines)"
            in (caplog.text)
        )
        assert "1 categories have no tax rate; the tax of their lines is unknown: Headgear (1 lines)" in caplog.text
        assert (
            "2 categories have used coupons but no discount; their lines stay at full price: Google, Headgear (2"
            in (caplog.text)
        )


class TestLanguagesAndFormats:
    WRITTEN = (
        {"korean": True, "suffix": ".csv", "encoding": "utf-8-sig"},
        {"korean": True, "suffix": ".csv", "encoding": "cp949"},
        {"korean": True, "suffix": ".csv", "form": "NFD"},
        {"korean": False, "suffix": ".xlsx"},
        {"korean": True, "suffix": ".XLSX"},
    )

    @pytest.mark.parametrize("turn", [0, 1, 3])
    @pytest.mark.quick(1)
    def test_any_mixture_gives_the_same_tables(self, store, usual, tmp_path, turn):
        """Five files, each written in another way, by turns."""
        ways = [*self.WRITTEN[turn:], *self.WRITTEN[:turn]]
        for role, options in zip(NAMES, ways, strict=True):
            store.translate(role, **options)
        found = everything(stage(store.config, tmp_path / "cache"))
        if ways[list(NAMES).index("sales")]["korean"]:  # the Korean sales have no descriptions
            usual = usual | {"products": [(product, None, *rest) for product, _, *rest in usual["products"]]}
        assert found == usual

    def test_names_of_files_and_columns_in_any_case(self, store, usual, tmp_path):
        store.write("taxes", header="  PRODUCT_category ,gst ")
        (store.folder / "Tax_amount.csv").rename(store.folder / "TAX_AMOUNT.Csv")
        assert everything(stage(store.config, tmp_path / "cache")) == usual

    def test_days_may_be_iso(self, store, usual, tmp_path):
        store.write(
            "sales", [line.replace(",201901", ",2019-01-").replace(",201902", ",2019-02-") for line in ROWS["sales"]]
        )
        store.write("spend", ["2019-01-31 00:00:00,4500,2424.5", "2019-2-1,0,3480.36"])
        assert everything(stage(store.config, tmp_path / "cache")) == usual


class TestRefusals:
    @pytest.mark.parametrize("path", [None, "", "???"])
    def test_without_files_say_where_they_are_published(self, tmp_path, path):
        refused(
            data_config("merchandise_store", path=path),
            tmp_path,
            "data.path is not set",
            "Kaggle",
            "Marketing Insights for E-Commerce Company",
            "Dacon",
            *(name for names in NAMES.values() for name in names),
        )

    def test_folder_that_is_none(self, store, tmp_path):
        refused(
            store.config | {"path": str(tmp_path / "nowhere")}, tmp_path, "nowhere is not a folder", "Kaggle", "Dacon"
        )

    def test_some_files_only(self, store, tmp_path):
        (store.folder / "Tax_amount.csv").rename(store.folder / "Tax.csv")
        (store.folder / "Marketing_Spend.csv").unlink()
        words = [
            "2 of 5 files are missing: Marketing_Spend or Marketing_info; Tax_amount or Tax_info",
            "Tax.csv",
            "Kaggle",
        ]
        refused(store.config, tmp_path, *words)

    @pytest.mark.parametrize("other", ["Tax_info.xlsx", "tax_amount.xlsx", "Tax_info.csv"])
    def test_two_files_of_one_role(self, store, tmp_path, other):
        (store.folder / other).write_text("")
        refused(store.config, tmp_path, "several files could be the one of taxes", "Tax_amount.csv", other)

    @pytest.mark.parametrize(
        ("header", "words"),
        [
            ("Product_Category,VAT", ["Tax_amount.csv lacks columns: GST", "Product_Category, VAT"]),
            ("제품,GST", ["lacks columns: Product_Category or 제품카테고리"]),
            ("Product_Category;GST", ["lacks columns", "between commas", "Product_Category;GST"]),
            ("Product_Category,제품카테고리,GST", ["several columns could be the one of category", "'제품카테고리'"]),
        ],
    )
    def test_headers(self, store, tmp_path, header, words):
        store.write("taxes", [], header=header)
        refused(store.config, tmp_path, *words)

    @pytest.mark.parametrize(
        ("role", "line", "words"),
        [
            (
                "sales",
                "1,1,20190105,A,A,Office,1,2,3,Redeemed",
                ["1 coupon statuses are unknown", "Redeemed", "Clicked"],
            ),
            ("sales", "1,1,20190105,A,A,Office,1,2,3,", ["1 coupon statuses are unknown", "(blank)"]),
            ("sales", "1,16681,20190215,A,A,Office,1,2,3,Used", ["1 transactions have a delivery charge", "16681"]),
            ("sales", "1,16681,20190215,A,A,Office,1,2,,Used", ["1 transactions have a delivery charge", "16681"]),
            ("sales", ROWS["sales"][0], ["1 products stand on several lines", "17850 / 16679 / N1"]),
            ("sales", "1,1,13/1/2019,A,A,Office,1,2,3,Used", ["transactions.timestamp", "'13/1/2019'", "month first"]),
            ("sales", "1,1,1/3/19,A,A,Office,1,2,3,Used", ["transactions.timestamp", "'1/3/19'", "Transaction_Date"]),
            ("sales", "1,1,2019011,A,A,Office,1,2,3,Used", ["transactions.timestamp", "'2019011' (1 rows"]),
            ("sales", "1,1,20190105,A,A,Office,two,2,3,Used", ["transactions.quantity", "'two'", "column Quantity"]),
            ("sales", '1,1,20190105,A,A,Office,1,"1,200",3,Used', ["transactions.unit_price", "'1,200'", "Avg_Price"]),
            ("sales", "1,1,20190105,A,A,Office,1,2,free,Used", ["transactions.delivery", "'free'", "Delivery_Charges"]),
            ("sales", "1,1,20190105,A,A,Office,-1,2,3,Used", ["transactions.amount is out of range", "-2"]),
            ("sales", ",1,20190105,A,A,Office,1,2,3,Used", ["transactions.order_id lacks values", "line_number=6"]),
            ("sales", "1,1,20190105,,A,Office,1,2,3,Used", ["products.product_id lacks values"]),
            ("sales", "1,1,20190105,N1,Nest Cam,Nest,1,2,3,Used", ["products has the same key", "N1 (1 keys"]),
            ("sales", "1,1,20190105,A,A,Office,1,2,3", ["Online_Sales.csv"]),
            ("customers", "17850,F,Chicago,12", ["customers has the same key", "17850"]),
            ("customers", "1,F,Chicago,a year", ["customers.tenure_months", "'a year'", "Tenure_Months"]),
            ("discounts", "Jan,Office,OFF,110", ["1 discounts are not valid percentages", "110 Jan Office"]),
            ("discounts", "Jan,Office,OFF,0.1", ["1 discounts are not valid percentages", "0.1 Jan Office", "Excel"]),
            ("discounts", "Jan,Office,OFF,", ["1 discounts are not valid percentages", "(blank) Jan Office"]),
            ("discounts", "Jan,Office,OFF,10%", ["discounts.discount_rate", "'10%'", "Discount_pct"]),
            ("discounts", "Janet,Office,OFF,10", ["discounts.starts_at", "'Janet'", "column Month"]),
            ("discounts", "1,Nest-USA,NEW,15", ["1 months and categories have several discounts", "Nest-USA"]),
            ("spend", "2/30/2019,1,2", ["marketing_spend.spent_at", "'2/30/2019' (1 rows"]),
            ("spend", "2/2/2019,1,much", ["marketing_spend.online", "'much' (1 rows", "column Online_Spend"]),
            ("spend", "2/1/2019,1,2", ["marketing_spend has the same key"]),
            ("spend", "2/2/2019,-1,2", ["marketing_spend.amount is out of range"]),
            ("taxes", "Bags,18", ["taxes.tax_rate is out of range", "18"]),
            ("taxes", "Office,0.18", ["1 categories have several tax rates", "Office"]),
        ],
    )
    @pytest.mark.quick(12)
    def test_lines(self, store, tmp_path, role, line, words):
        store.add(role, line)
        refused(store.config, tmp_path, f"{NAMES[role][0]}.csv", *words)

    @pytest.mark.quick(1)
    @pytest.mark.parametrize("role", NAMES)
    def test_files_without_rows(self, store, tmp_path, role):
        store.write(role, [])
        refused(store.config, tmp_path, "is empty", f"{NAMES[role][0]}.csv")

    def test_files_of_no_bytes(self, store, tmp_path):
        (store.folder / "Tax_amount.csv").write_text("")
        refused(store.config, tmp_path, "Tax_amount.csv")

    @pytest.mark.parametrize("damage", ["nothing", "half", "almost all", "noise"])
    def test_damaged_workbooks(self, store, tmp_path, damage):
        store.translate("customers", korean=False, suffix=".xlsx")
        file = store.folder / "CustomersData.xlsx"
        content = file.read_bytes()
        damaged = {
            "nothing": b"",
            "half": content[: len(content) // 2],
            "almost all": content[:-20],
            "noise": content[:1000] + bytes(range(256)) + content[1256:],
        }
        file.write_bytes(damaged[damage])
        refused(store.config, tmp_path, "not a complete Excel workbook", "CustomersData.xlsx")

    def test_other_encodings(self, store, tmp_path):
        store.write("customers", ["17850,M,Malmö,12"], encoding="latin-1")
        refused(store.config, tmp_path, "neither utf-8 nor cp949", "CustomersData.csv")
