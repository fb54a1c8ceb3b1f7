"""Mistakes in data and config: each gets an error that says what to do, and leaves the disk as it was."""

import ibis
import pandas as pd
import pytest

from features import checks
from features.errors import InputError
from features.sources import stage
from features.tables import SPECS
from online_retail import HEADER, LINES, data_config


def listing_of(folder):
    return sorted((path, path.read_bytes() if path.is_file() else None) for path in folder.rglob("*"))


def refused(config, tmp_path, *words):
    """Stage, expect one refusal that says all of the words, and nothing new on disk."""
    before = listing_of(tmp_path)
    with pytest.raises(InputError) as caught:
        stage(config, tmp_path / "cache")
    message = str(caught.value)
    missing = [word for word in words if word not in message]
    assert not missing, f"{missing} not in:\n{message}"
    assert listing_of(tmp_path) == before
    return message


def with_line(shop, **values):
    """Add one line that is right but for the values given."""
    right = ["536399", "22633", "HAND WARMER", "1", "12/5/2010 9:01", "1.85", "17850", "UK"]
    line = dict(zip(HEADER.split(","), right, strict=True))
    shop.write([*LINES, ",".join((line | values).values())])


class TestConfig:
    @pytest.mark.parametrize(
        ("changes", "words"),
        [
            ({"source": "complete_jorney"}, ["no source 'complete_jorney'", "did you mean 'complete_journey'?"]),
            ({"source": "???"}, ["data.source is not set"]),
            ({"shop": "???"}, ["data.shop is not set"]),
            ({"shop": "My Shop"}, ["data.shop=My Shop", "lower-case"]),
            ({"currency": "dollars"}, ["data.currency=dollars", "ISO 4217"]),
            ({"timezone": "America/NewYork"}, ["no time zone 'America/NewYork'", "did you mean 'America/New_York'"]),
            ({"burn_in_days": -1}, ["data.burn_in_days=-1", "at least 0"]),
            ({"burn_in": 31}, ["unknown key data.burn_in", "did you mean 'burn_in_days'?"]),
        ],
    )
    def test_of_any_shop(self, tmp_path, changes, words):
        refused(data_config("complete_journey", **changes), tmp_path, *words)

    def test_unknown_variant(self, tmp_path):
        refused(data_config("cdnow", variant="sampel"), tmp_path, "no variant 'sampel'", "did you mean 'sample'?")

    @pytest.mark.parametrize(
        ("changes", "words"),
        [
            ({"path": "online_retial.csv"}, ["there is no file", "did you mean 'online_retail.csv'?"]),
            ({"path": "*.parquet"}, ["no file matches"]),
            ({"path": "."}, ["is a directory", "*.parquet"]),
            ({"path": "???"}, ["data.tables.transactions.path is not set"]),
            ({"path": None}, ["either path or sql"]),
            ({"sql": "SELECT 1"}, ["either path or sql"]),
            ({"path": None, "sql": "SELEC 1"}, ["data.tables.transactions.sql", "syntax error"]),
            ({"path": None, "sql": "SELECT * FROM 'nowhere.csv'"}, ["data.tables.transactions.sql", "nowhere.csv"]),
            ({"format": "xlsx"}, ["is not a valid format", "csv or excel or parquet"]),
            ({"encoding": "cp94999"}, ["no encoding 'cp94999'"]),
            ({"decimal": ";"}, ["is not a valid decimal mark"]),
            ({"date_format": "%d %z"}, ["date_format '%d %z'", "%m/%d/%Y %H:%M", "each reads all rows"]),
            ({"date_format": "%Q"}, ["%Q"]),
            ({"timezone": "Mars"}, ["no time zone 'Mars'"]),
            ({"colunms": {}}, ["unknown key data.tables.transactions.colunms", "did you mean 'columns'?"]),
            ({"delimiter": "|"}, ["one column only", "delimiter"]),
        ],
    )
    def test_of_a_table(self, online_retail, tmp_path, changes, words):
        online_retail.lines |= changes
        refused(online_retail.config, tmp_path, *words)

    @pytest.mark.parametrize(
        ("changes", "words"),
        [
            ({"timestamp": "InvoiceDtae"}, ["no column 'InvoiceDtae'", "did you mean 'InvoiceDate' or"]),
            ({"customer": "CustomerID"}, ["unknown key", "did you mean 'customer_id'"]),
            ({"timestamp": None}, ["data.tables.transactions.columns.timestamp is not set"]),
            ({"quantity": None}, ["data.tables.transactions.columns.quantity is not set"]),
            ({"amount": "UnitPrice"}, ["both amount and unit_price", "unit_price: null"]),
        ],
    )
    def test_of_the_columns(self, online_retail, tmp_path, changes, words):
        online_retail.lines["columns"] |= changes
        refused(online_retail.config, tmp_path, *words)

    @pytest.mark.parametrize(
        ("rules", "words"),
        [
            ({"zero_prize": "drop"}, ["unknown key data.rules.zero_prize", "did you mean 'zero_price'?"]),
            ({"zero_price": "delete"}, ["is not a valid action", "error or drop or keep"]),
            ({"missing_customer_id": "keep"}, ["is not a valid action", "error or drop"]),
        ],
    )
    def test_of_the_rules(self, online_retail, tmp_path, rules, words):
        online_retail.rules |= rules
        refused(online_retail.config, tmp_path, *words)

    def test_unknown_table(self, online_retail, tmp_path):
        online_retail.config["tables"]["custmers"] = {"path": "x.csv", "columns": {"customer_id": "x"}}
        refused(online_retail.config, tmp_path, "unknown key data.tables.custmers", "did you mean 'customers'")


class TestValues:
    @pytest.mark.parametrize(
        ("values", "words"),
        [
            (
                {"InvoiceDate": "5/12/2010 9h01"},
                ["transactions.timestamp", "'5/12/2010 9h01' (1 rows", "%m/%d/%Y %H:%M"],
            ),
            ({"InvoiceDate": "13/25/2010 9:01"}, ["transactions.timestamp", "column InvoiceDate"]),
            ({"InvoiceDate": ""}, ["transactions.timestamp lacks values", "order_id=536399"]),
            ({"UnitPrice": "NaN"}, ["transactions.amount lacks values", "order_id=536399"]),
            ({"UnitPrice": "£1.85"}, ["transactions.unit_price", "'£1.85'"]),
            ({"UnitPrice": "inf"}, ["transactions.unit_price", "'inf'"]),
            (
                {"UnitPrice": "-1.85"},
                ["meet the rule negative_amount", "-1.85 (row 5)", "data.rules.negative_amount=return"],
            ),
            ({"UnitPrice": ""}, ["transactions.amount lacks values"]),
            ({"Quantity": "two"}, ["transactions.quantity", "'two'"]),
            ({"CustomerID": "4.00123E+12"}, ["customer_id was shortened by a spreadsheet", "'4.00123E+12'"]),
        ],
    )
    @pytest.mark.quick(6)
    def test_that_cannot_be_read_or_are_out_of_range(self, online_retail, tmp_path, values, words):
        with_line(online_retail, **values)
        refused(online_retail.config, tmp_path, *words)

    def test_of_which_there_are_many_are_shown_five_and_counted(self, online_retail, tmp_path):
        online_retail.write([*LINES, *(f"{n},1,x,1,day {n},1.00,17850,UK" for n in range(7000))])
        message = refused(online_retail.config, tmp_path, "(7,000 rows in all)")
        assert message.count("'day ") == 5

    @pytest.mark.parametrize(
        ("rule", "values", "shown"),
        [
            ("cancelled_order", {"InvoiceNo": "C536399"}, "order_id = C536399 (row 5)"),
            ("missing_customer_id", {"CustomerID": ""}, "order_id = 536399 (row 5)"),
            ("non_product_code", {"StockCode": "POST"}, "product_id = POST (row 5)"),
            ("negative_quantity", {"Quantity": "-3"}, "quantity = -3 (row 5)"),
            ("zero_price", {"UnitPrice": "0.00"}, "order_id = 536399 (row 5)"),
            (
                "duplicate_rows",
                dict(zip(HEADER.split(","), LINES[0].split(","), strict=True)),
                "order_id = 536365 (row 5)",
            ),
        ],
    )
    @pytest.mark.quick(3)
    def test_that_no_rule_declares_name_the_rule_and_how_to_declare_it(
        self, online_retail, tmp_path, rule, values, shown
    ):
        del online_retail.rules[rule]
        with_line(online_retail, **values)
        refused(
            online_retail.config,
            tmp_path,
            f"1 rows of transactions meet the rule {rule}",
            shown,
            f"data.rules.{rule}=drop",
        )

    def test_nan_in_a_share(self, online_retail, tmp_path):
        frame = pd.DataFrame({"category": ["a", "b"], "tax_rate": [0.1, 1.7]})
        frame.to_parquet(online_retail.folder / "tax.parquet")
        taxes = {"path": "tax.parquet", "columns": {"category": "category", "tax_rate": "tax_rate"}}
        online_retail.config["tables"]["taxes"] = taxes
        refused(online_retail.config, tmp_path, "taxes.tax_rate is out of range", "0 to 1", "1.7")
        taxes |= {"path": None, "sql": "SELECT 'a' AS category, 'NaN'::DOUBLE AS tax_rate"}
        refused(online_retail.config, tmp_path, "taxes.tax_rate lacks values", "category=a")

    @pytest.mark.parametrize(
        ("column", "value", "kind"),
        [("UnitPrice", True, "boolean"), ("Quantity", [1], "array"), ("InvoiceDate", 20101201, "int64")],
    )
    def test_of_the_wrong_type(self, online_retail, tmp_path, column, value, kind):
        frame = pd.read_csv(online_retail.file)
        frame["InvoiceDate"] = pd.to_datetime(frame["InvoiceDate"])
        frame[column] = [value] * len(frame)
        frame.to_parquet(online_retail.folder / "x.parquet")
        online_retail.lines |= {"path": "x.parquet", "date_format": None}
        refused(online_retail.config, tmp_path, "has the wrong type", f"column {column}", kind)


class TestFiles:
    def test_without_rows(self, online_retail, tmp_path):
        online_retail.write([])
        refused(online_retail.config, tmp_path, "transactions is empty")
        online_retail.file.write_text("")
        refused(online_retail.config, tmp_path, "online_retail.csv")

    def test_without_rows_after_the_rules(self, online_retail, tmp_path):
        online_retail.write(["C1,1,x,1,12/1/2010 8:26,1.00,17850,UK"])
        refused(online_retail.config, tmp_path, "no row of transactions is left", "cancelled_order: 1 rows")

    def test_in_another_encoding(self, online_retail, tmp_path):
        lines = [*LINES, "536399,22633,CAFÉ,1,12/5/2010 9:01,1.85,17850,Curaçao"]
        online_retail.write(lines, encoding="latin-1")
        refused(online_retail.config, tmp_path, "not encoded in UTF-8", "online_retail.csv", "cp1252")
        online_retail.lines["encoding"] = "ascii"
        refused(online_retail.config, tmp_path, "not encoded in ascii")
        online_retail.lines["encoding"] = "cp1252"
        assert stage(online_retail.config, tmp_path / "cache").rows == {"transactions": 5}

    def test_of_utf_16(self, online_retail, tmp_path):
        online_retail.write(LINES, encoding="utf-16-le")  # without the mark that says so
        refused(online_retail.config, tmp_path, "online_retail.csv")
        online_retail.write(LINES, encoding="utf-16")
        assert stage(online_retail.config, tmp_path / "cache").rows == {"transactions": 4}

    @pytest.mark.parametrize("kept", [0, 3, 0.5, 0.99])
    def test_of_truncated_parquet(self, online_retail, tmp_path, kept):
        whole = online_retail.folder / "x.parquet"
        pd.read_csv(online_retail.file).to_parquet(whole)
        content = whole.read_bytes()
        whole.write_bytes(content[: kept if isinstance(kept, int) else int(kept * len(content))])
        online_retail.lines["path"] = "x.parquet"
        refused(online_retail.config, tmp_path, "not a complete Parquet file", "x.parquet", "truncated")

    def test_of_csv_named_parquet(self, online_retail, tmp_path):
        online_retail.file.rename(online_retail.folder / "x.parquet")
        online_retail.lines["path"] = "x.parquet"
        refused(online_retail.config, tmp_path, "not a complete Parquet file", "format: csv")


class TestShop:
    def test_of_a_single_customer(self, online_retail, tmp_path):
        online_retail.write([line for line in LINES if "17850" in line])
        refused(online_retail.config, tmp_path, "single customer")

    def test_of_a_single_day(self, online_retail, tmp_path):
        online_retail.write(LINES[:3])
        refused(online_retail.config, tmp_path, "single day", "2010-12-01")

    def test_whose_orders_span_customers(self, online_retail, tmp_path):
        with_line(online_retail, InvoiceNo="536365", CustomerID="13047")
        refused(online_retail.config, tmp_path, "1 orders belong to several customers", "536365")

    def test_with_a_customer_described_twice(self, online_retail, tmp_path):
        (online_retail.folder / "customers.csv").write_text("id,sex\n17850,F\n13047,M\n17850,M\n")
        online_retail.config["tables"]["customers"] = {
            "path": "customers.csv",
            "columns": {"customer_id": "id", "gender": "sex"},
        }
        refused(online_retail.config, tmp_path, "customers has the same key on several rows", "17850 (1 keys in all)")


class TestCheck:
    """Tables that no source should yield."""

    @pytest.mark.parametrize(
        ("change", "words"),
        [
            (lambda t: t.drop("tax_rate"), ["taxes has no column tax_rate", "share of the price"]),
            (lambda t: t.mutate(tax_rat=1.0), ["taxes has an unknown column tax_rat", "did you mean 'tax_rate'"]),
            (
                lambda t: t.mutate(tax_rate=t.tax_rate.cast("int64")),
                ["tax_rate has the wrong type", "float64", "int64"],
            ),
            (lambda t: t.mutate(category=t.category.nullif("b")), ["taxes.category lacks values"]),
            (lambda t: t.mutate(category=ibis.literal("a")), ["same key", "a (1 keys in all)"]),
            (lambda t: t.mutate(tax_rate=t.tax_rate - 1), ["out of range", "0 to 1", "-0.9, -0.8 (2 rows in all)"]),
        ],
    )
    def test_explains_each_broken_promise(self, change, words):
        taxes = ibis.memtable({"category": ["a", "b"], "tax_rate": [0.1, 0.2]}, schema=SPECS["taxes"].schema)
        checks.check("taxes", taxes, where="here")
        with pytest.raises(InputError) as caught:
            checks.check("taxes", change(taxes), where="here")
        for word in [*words, "here"]:
            assert word in str(caught.value)
