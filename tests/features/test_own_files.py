"""The user's own files as people have them: each kind of mistake with its right value, and each hint followed."""

import bz2
import csv
import gzip
import io
import re
import shlex
import zipfile
from collections import Counter
from datetime import date, datetime
from decimal import Decimal

import duckdb
import pandas as pd
import pyarrow as pa
import pytest
from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from openpyxl import Workbook

from features.csv_files import CsvWriter, write_csv
from features.data_profile import profile, profile_text
from features.errors import InputError
from features.snapshot import feature_rows
from features.sources import stage
from features.sources.files.config import RULES
from features.sources.shop_config import shell_value
from features.tables import SPECS
from online_retail import data_config

COLUMNS = {"order_id": "order", "customer_id": "customer", "timestamp": "date", "amount": "total"}
FACTORS = {
    "order_id": "order",
    "customer_id": "customer",
    "timestamp": "date",
    "quantity": "qty",
    "unit_price": "price",
}
ALL = 1.0  # a few rows are a large share of a small table


class Door:
    """A folder with files, and the config that stages them."""

    def __init__(self, folder):
        self.folder = folder
        self.config = data_config("files", shop="s", currency="EUR", timezone="Europe/Berlin", path=str(folder))
        self.table = self.config["tables"]["transactions"]
        self.table |= {"path": "x.csv", "columns": {**COLUMNS}}

    def write(self, *lines, header="order,customer,date,total", name="x.csv", encoding="utf-8", end="\n"):
        (self.folder / name).write_bytes(end.join([header, *lines, ""]).encode(encoding))

    def set(self, setting, value):
        """Set `data.rules.zero_price` or the like, as a hint names it."""
        *path, last = setting.removeprefix("data.").split(".")
        node = self.config
        for key in path:
            node = node[key]
        node[last] = value

    def stage(self):
        return stage(self.config, self.folder / "cache")

    def rows(self, columns='order_id, customer_id, "timestamp", amount'):
        staged = self.stage()
        return duckdb.sql(
            f"SELECT {columns} FROM '{staged.folder}/transactions.parquet' ORDER BY line_number"
        ).fetchall()

    def returned(self, columns):
        staged = self.stage()
        return duckdb.sql(f"SELECT {columns} FROM '{staged.folder}/returns.parquet' ORDER BY return_number").fetchall()

    def features(self, cutoff, engine, names=("total_spend",)):
        past = self.stage().open(engine).as_of(date.fromisoformat(cutoff))
        return engine.frame(feature_rows(past, names)).set_index("customer_id").sort_index()

    def refused(self, *words):
        with pytest.raises(InputError) as caught:
            self.stage()
        message = str(caught.value)
        missing = [word for word in words if word not in message]
        assert not missing, f"{missing} not in:\n{message}"
        return caught.value

    def follow(self, error):
        """Type the first setting that a hint names: as a shell reads it, and then Hydra."""
        override = read_by_hydra(error.hint[re.search(r"\+*data\.\S+=", error.hint).start() :])
        self.set(override.key_or_group, override.value())


def read_by_hydra(typed):
    """Return the override that the first word of a text is in a shell."""
    words = shlex.shlex(typed, posix=True)
    words.whitespace_split, words.commenters = True, ""
    return OverridesParser.create().parse_override(next(words).rstrip(";,"))


def workbook(path, rows):
    """Write rows of cells to the first sheet of a workbook."""
    book = Workbook()
    for row in rows:
        book.active.append(row)
    book.save(path)


@pytest.fixture
def door(tmp_path):
    (tmp_path / "shop").mkdir()
    return Door(tmp_path / "shop")


class TestDates:
    def test_of_two_digit_years_are_refused_with_the_one_format_that_reads_all(self, door):
        door.write("1,A,05-03-21,10", "2,B,17-03-21,20", "3,A,28-11-21,30", "4,B,01-02-22,5", "5,A,30-03-22,5")
        door.follow(door.refused("transactions.timestamp", "'05-03-21'", "%d-%m-%y", "reads all rows"))
        first, *_, last = door.rows()
        assert (last[2] - first[2]).days == 390

    def test_that_a_format_puts_into_the_year_21_are_not_believed(self, door):
        door.write("1,A,05-03-21,10", "2,B,17-03-21,20")
        door.table["date_format"] = "%d-%m-%Y"
        door.follow(door.refused("dates that cannot be right", "0021-03-05", "1990-01-01 to ", "%d-%m-%y"))
        assert door.rows()[0][2] == datetime(2021, 3, 5)

    def test_that_can_be_read_in_two_ways_are_refused_with_both(self, door):
        door.write("1,A,05/03/2021,10", "2,B,07/04/2021,20")
        door.refused("%d/%m/%Y", "%m/%d/%Y", "each reads all rows")

    @pytest.mark.parametrize(
        ("values", "date_format"),
        [
            (("1615000000", "1617000000"), "epoch_seconds"),
            pytest.param(("1615000000000", "1617000000000"), "epoch_milliseconds", marks=pytest.mark.slow),
            pytest.param(("44260.125", "44283.25"), "excel_days", marks=pytest.mark.slow),
            pytest.param(("20210305", "20210407"), "%Y%m%d", marks=pytest.mark.slow),
            (("5 Mar 2021", "28 Mar 2021"), "%d %b %Y"),
            pytest.param(("3/28/2021 9:01 PM", "3/30/2021 11:01 AM"), "%m/%d/%Y %I:%M %p", marks=pytest.mark.slow),
        ],
    )
    def test_of_other_kinds_are_recognised(self, door, values, date_format):
        door.write(f"1,A,{values[0]},10", f"2,B,{values[1]},20")
        door.follow(door.refused(date_format))
        days = [row[2] for row in door.rows()]
        assert all(datetime(2021, 3, 5) <= day < datetime(2021, 4, 8) for day in days)

    def test_are_joined_from_a_day_and_a_time_of_day(self, door):
        ways = ["2021-03-05,08:26", "2021-03-05 00:00:00,08:26:00", " 2021-03-05,8:26 ", "2021-04-07,"]
        lines = [f"{n},{'AB'[n % 2]},{way},10" for n, way in enumerate(ways)]
        door.write(*lines, header="order,customer,date,at,total")
        door.table["columns"]["timestamp"] = ["date", "at"]
        assert [row[2] for row in door.rows()] == [*[datetime(2021, 3, 5, 8, 26)] * 3, datetime(2021, 4, 7)]

    def test_keep_their_zone_however_it_is_written(self, door):
        door.config["timezone"] = "America/New_York"
        minutes = dict.fromkeys([" UTC", "Z", " GMT", "+0000", "+00:00", " +00"], 0)
        minutes |= {"+01:00": 60, " +0100": 60, "-05:30": -330}
        times = [f"2020-04-24 {clock}{zone}" for clock in ("03:30:00", "03:30") for zone in minutes]
        door.write(*(f"{n},{'AB'[n % 2]},{time},10" for n, time in enumerate(times)))
        local = [datetime(2020, 4, 23, 23, 30) - pd.Timedelta(minutes=offset) for offset in minutes.values()]
        assert [row[2] for row in door.rows()] == local * 2

    def test_with_words_for_zones_that_mean_several_are_refused(self, door):
        door.write("1,A,2020-04-24 03:30:00 CST,10", "2,B,2020-04-24 15:00:00 CST,20")
        door.refused("transactions.timestamp", "CST")

    def test_outside_the_days_of_any_shop_are_believed_where_declared(self, door):
        door.write("1,A,1985-04-24,10", "2,B,1986-04-24,20")
        door.refused("dates that cannot be right", "1985-04-24", "data.dates=[from,to]")
        door.config["dates"] = ["1980-01-01", "1989-12-31"]
        assert len(door.rows()) == 2

    def test_of_tomorrow_and_later_are_refused(self, door):
        door.write("1,A,2020-04-24,10", "2,B,2199-04-24,20")
        door.refused("dates that cannot be right", "2199-04-24")

    def test_a_year_away_from_all_others_are_named(self, door):
        door.write("1,A,2018-04-24,10", "2,B,2020-04-24,20", "3,A,2020-05-01,20")
        assert any("2018-04-24 stands 731 days away" in note for note in door.stage().notes)


class TestIds:
    def test_in_words_for_nothing_are_missing(self, door):
        words = ["NULL", "nan", "None", "N/A", "#N/A", "-", "", " null "]
        door.write("1,A,2021-01-07,5", "2,B,2021-03-07,5", *(f"{n + 3},{w},2021-02-05,9" for n, w in enumerate(words)))
        door.follow(door.refused("missing_customer_id drops 80.0% of rows and 87.8% of money", "8 of 10 rows"))
        assert [row[1] for row in door.rows()] == ["A", "B"]
        assert any("word for nothing" in note and note.endswith(": 7 rows") for note in door.stage().notes)

    def test_are_words_where_the_shop_says_that_they_mean_something(self, door):
        door.write("1,None,2021-01-07,5", "2,B,2021-03-07,5")
        door.config["missing"] = []
        assert [row[1] for row in door.rows()] == ["None", "B"]

    def test_of_products_group_them_by_the_word_that_most_share(self, door):
        """`lamp` is on 6 of 40 names, `oak` on 5, `tin` on 4, `fine` on 30, `red` on all: a colour."""
        names = [f"Red {'Oak ' * (n in (0, 36, 37, 38, 39))}{'LAMP' if n < 6 else f'item{n}'}" for n in range(40)]
        names = [f"{'fine ' * (n > 9)}{name}{', tin' * (6 <= n < 10)}" for n, name in enumerate(names)]
        door.write("1,A,2020-01-01,2", "2,B,2020-01-02,2")
        door.write(*(f'{n},"{name}"' for n, name in enumerate(names)), "40,", header="code,name", name="p.csv")
        door.config["tables"]["products"] = {"path": "p.csv", "columns": {"product_id": "code", "name": "name"}}
        door.set("category_from_name", True)
        staged = door.stage()
        found = duckdb.sql(f"SELECT category, count(*) FROM '{staged.folder}/products.parquet' GROUP BY 1 ORDER BY 1")
        assert found.fetchall() == [("LAMP", 6), ("OAK", 4), (None, 31)]

    def test_have_one_spelling(self, door):
        spellings = ["12345", "12345.0", "\t12345", "12345\u00a0", "\u200b12345", "\ufeff12345", "12345.00"]
        door.write(*(f"{n},{s},2021-01-0{n + 1},10" for n, s in enumerate(spellings)), "9,B,2021-02-01,5")
        assert {row[1] for row in door.rows()} == {"12345", "B"}
        assert any("read as 12345: 2 rows" in note for note in door.stage().notes)

    def test_keep_their_zeros_and_their_capitals(self, door):
        door.write("1,00042,2021-01-05,1", "2,42,2021-01-06,1", "3,a,2021-01-06,1", "4,A,2021-01-07,1")
        assert [row[1] for row in door.rows()] == ["00042", "42", "a", "A"]

    def test_that_are_addresses_have_no_capitals(self, door):
        door.write("1,Ann@Example.org,2021-01-05,1", "2,ann@example.org,2021-01-06,1", "3,b@x.org,2021-02-01,1")
        assert [row[1] for row in door.rows()] == ["ann@example.org", "ann@example.org", "b@x.org"]

    def test_of_doubles_in_parquet(self, door):
        frame = pd.DataFrame({"order": [1, 2, 3], "customer": [12345.0, 7.0, float("nan")], "total": [1.0, 2.0, 0.01]})
        frame["date"] = pd.to_datetime(["2021-01-01", "2021-01-02", "2021-01-03"])
        frame.to_parquet(door.folder / "x.parquet")
        door.table["path"] = "x.parquet"
        door.config["confirmed_drops"] = {"missing_customer_id": ALL}
        assert [row[1] for row in door.rows()] == ["12345", "7"]


class TestDialect:
    def test_is_one_for_all_files(self, door):
        door.write("1,12345,2021-01-05,10", "2,777,2021-01-06,20", name="a1.csv")
        door.write('11,"12345",2021-03-05,10', '12,"777",2021-03-06,20', name="a2.csv")
        door.table["path"] = ["a1.csv", "a2.csv"]
        assert [row[1] for row in door.rows()] == ["12345", "777"] * 2
        assert any('4 records of 2 files; delimiter ,, quote ", UTF-8' in note for note in door.stage().notes)

    def test_of_apostrophes_loses_no_line(self, door):
        names = ["'TIS THE SEASON", "lamp", "GIRLS'", "cup", "cup"]
        lines = [f"{n + 1},{'AB'[n % 2]},{name},2021-0{n + 1}-05,{10 * n + 10}" for n, name in enumerate(names)]
        door.write(*lines, header="order,customer,name,date,total")
        assert sum(row[3] for row in door.rows()) == 150

    def test_of_quotes_that_may_join_lines_is_asked_for(self, door):
        names = ['"TIS THE SEASON', "lamp", 'GIRLS"', "cup", "cup"]
        lines = [f"{n + 1},{'AB'[n % 2]},{name},2021-0{n + 1}-05,{10 * n + 10}" for n, name in enumerate(names)]
        door.write(*lines, header="order,customer,name,date,total")
        door.follow(door.refused("two ways: 3 records with quotes, 5 without"))
        assert sum(row[3] for row in door.rows()) == 150

    def test_keeps_line_ends_delimiters_and_quotes_within_texts(self, door):
        door.table["columns"]["product_id"] = "name"
        names = ['"a, ""b""\nc"', '5" pipe', "'t"]
        lines = [f"{n + 1},{'AB'[n % 2]},{name},2021-0{n + 1}-05,1" for n, name in enumerate(names)]
        door.write(*lines, header="order,customer,name,date,total")
        assert [row[0] for row in door.rows("product_id")] == ['a, "b"\nc', '5" pipe', "'t"]

    def test_with_backslashes_before_quotes(self, door):
        door.table["columns"]["product_id"] = "name"
        door.write(r'1,A,"5\" pipe, new",2021-01-05,1', "2,B,x,2021-02-05,1", header="order,customer,name,date,total")
        assert door.rows("product_id") == [('5" pipe, new',), ("x",)]

    def test_names_the_line_that_does_not_fit(self, door):
        door.write("1,A,2021-01-05,1", "2,B,2021-02-05,1,000")
        door.refused("line 3 does not have the columns of the header", "5 columns", "x.csv")

    def test_finds_the_lines_above_the_header(self, door):
        door.write("", "order,customer,date,total", "1,A,2021-01-05,1", "2,B,2021-02-05,1", header="Report of 2021")
        door.follow(door.refused("does not have the columns of the header", "reads all others"))
        assert len(door.rows()) == 2

    def test_of_files_that_begin_with_empty_lines(self, door):
        door.write("", "order,customer,date,total", "1,A,2021-01-05,1", "", "2,B,2021-02-05,1", header="")
        assert len(door.rows()) == 2

    def test_takes_no_record_for_the_header(self, door):
        door.write("1,A,2021-01-05,1,000", *(f"{n},B,2021-02-05,1" for n in range(2, 9)))
        assert "skip" not in door.refused("line 2 does not have the columns of the header").hint

    @pytest.mark.parametrize("last", ["9000,B,2021-02-05,1", "9000,B,2021-02-05,1,000"])
    def test_reads_a_long_file_a_few_times_only_to_find_the_lines_above_the_header(self, door, monkeypatch, last):
        records = [f"{n},{'AB'[n % 2]},2021-01-05,1" for n in range(9_000)]
        door.write("order,customer,date,total", *records, last, header="Report of 2021")
        read = Counter()

        class Counted(io.TextIOWrapper):
            def __next__(self):
                read["lines"] += 1
                return super().__next__()

        monkeypatch.setattr("features.sources.files.records.io.TextIOWrapper", Counted)
        hint = door.refused("does not have the columns of the header").hint
        assert ("transactions.skip=1 " in hint) == (last == "9000,B,2021-02-05,1")
        assert read["lines"] < 12 * len(records)  # not once for each number of lines and each dialect

    def test_of_files_whose_columns_stand_in_another_order(self, door):
        door.write("1,A,2021-01-05,10", name="a1.csv")
        door.write("20;2021-02-05;B;2", header="total;date;customer;order", name="a2.csv")
        door.table["path"] = "a*.csv"
        door.refused("a2.csv")  # one dialect: not a semicolon here and a comma there
        door.write("20,2021-02-05,B,2", header="total,date,customer,order", name="a2.csv")
        assert [row[1:] for row in door.rows()] == [
            ("A", datetime(2021, 1, 5), Decimal(10)),
            ("B", datetime(2021, 2, 5), Decimal(20)),
        ]
        door.write("3,2021-02-05,B", header="order,date,customer", name="a3.csv")
        door.refused("lacks the column 'total'", "a3.csv")

    def test_leaves_out_the_lines_below_the_last_record(self, door):
        door.write("1,A,2021-01-05,10", "", "2,B,2021-02-05,20", "", "Total: 30", "Printed, on 2021-03-01", "")
        door.refused("line 6 does not have the columns of the header")
        door.table["footer"] = 2
        assert [row[0] for row in door.rows()] == ["1", "2"]

    def test_leaves_out_lines_that_repeat_the_header(self, door):
        header = "order,customer,date,total"
        door.write("1,A,2021-01-05,10", header, "2,B,2021-02-05,20", header)
        assert [row[0] for row in door.rows()] == ["1", "2"]
        assert any("2 records of 1 files" in note and "2 further lines" in note for note in door.stage().notes)

    def test_leaves_out_rows_of_totals_where_a_word_or_an_empty_cell_marks_them(self, door):
        door.write("1,A,2021-01-05,10", "Sum,,,10", "2,B,2021-02-05,20", " Sum,,,20", ",,,30")
        door.table["totals"] = {"order": ["Sum", ""]}
        assert [row[0] for row in door.rows()] == ["1", "2"]
        assert any("3 rows are totals of others" in note for note in door.stage().notes)
        door.table["totals"] = ["Sum"]
        door.refused("data.tables.transactions.totals is not a valid mapping", "{Bon: [Summe]}")

    def test_without_a_header(self, door):
        door.write("2,B,2021-02-05,20", header="1,A,2021-01-05,10")
        door.table |= {
            "header": False,
            "columns": {"order_id": "1", "customer_id": "2", "timestamp": "3", "amount": "4"},
        }
        assert [row[0] for row in door.rows()] == ["1", "2"]


class TestFiles:
    def test_of_any_name(self, door):
        names = ["[x] = 50% #1.csv", "X.CSV", "a b/x*.txt", "year=2021/x.csv", "ü?.tsv"]
        for n, name in enumerate(names):
            (door.folder / name).parent.mkdir(exist_ok=True)
            door.write(f"{n},A,2021-01-05,10", f"{n}b,B,2021-02-05,20", name=name)
        door.table["path"] = names
        assert [row[0] for row in door.rows()] == [order for n in range(5) for order in (f"{n}", f"{n}b")]

    def test_in_archives(self, door):
        suffixes = ["gz", "GZ", "bz2", "zip"]
        for n, suffix in enumerate(suffixes):
            door.write(f"{n},007,2021-01-05,10", f"{n}b,Ö,2021-02-05 09:30:00,20.5")
            raw, name = (door.folder / "x.csv").read_bytes(), f"y.csv.{suffix}"
            if suffix == "zip":
                with zipfile.ZipFile(door.folder / name, "w") as archive:
                    archive.writestr("__MACOSX/x.csv", b"\0")
                    archive.writestr("x.csv", raw)
            else:
                (door.folder / name).write_bytes({"gz": gzip, "bz2": bz2}[suffix.lower()].compress(raw))
        door.table["path"] = [f"y.csv.{suffix}" for suffix in suffixes]
        first, second = datetime(2021, 1, 5), datetime(2021, 2, 5, 9, 30)
        assert door.rows() == [
            row
            for n in range(4)
            for row in ((f"{n}", "007", first, Decimal(10)), (f"{n}b", "Ö", second, Decimal("20.5")))
        ]

    def test_in_workbooks(self, door):
        frame = pd.DataFrame({"order": [1, 2], "customer": ["007", "Ö"], "total": [10, 20.5]})
        frame["date"] = pd.to_datetime(["2021-01-05 00:00", "2021-02-05 09:30"])
        frame.to_excel(door.folder / "y.csv.xlsx", index=False)
        door.table["path"] = "y.csv.xlsx"
        assert door.rows() == [
            ("1", "007", datetime(2021, 1, 5), Decimal(10)),
            ("2", "Ö", datetime(2021, 2, 5, 9, 30), Decimal("20.5")),
        ]

    @pytest.mark.parametrize(
        ("above", "skip"),
        [
            ([["Report\nof 2021"], []], 1),
            ([["Report of 2021"], []], 2),
            ([["Report of 2021"], ["Berlin", None, None, None, None, "North"]], 2),
            ([[], []], 0),
        ],
    )
    @pytest.mark.quick(2)
    def test_in_workbooks_with_lines_above_the_header(self, door, above, skip):
        records = [["1", "A", "2021-01-05", 10], ["2", None, "2021-02-05", 5], [], ["2", "B", "2021-02-05", 20, "x"]]
        rows = [*above, [*COLUMNS.values(), "note"], *records]
        workbook(door.folder / "x.xlsx", rows)
        door.table |= {"path": "x.xlsx", "skip": skip}
        assert [(row[0], row[1], row[3]) for row in door.rows()] == [("1", "A", 10), ("2", "B", 5), ("2", "B", 20)]

    def test_in_workbooks_name_the_line_that_does_not_fit(self, door):
        records = [["1", "A", "2021-01-05", 10], ["2", None, "2021-02-05", 5], [], ["2", "B", "2021-02-05", 20, "x"]]
        rows = [["Report of 2021"], [], [*COLUMNS.values(), "note"], *records]
        door.table |= {"path": "x.xlsx", "skip": 2}
        workbook(door.folder / "x.xlsx", [*rows, [], ["3", "B", "2021-02-06", 20, "x", "y"]])
        door.refused("line 9 does not have the columns of the header", "5 columns", "6 columns")

    def test_in_workbooks_name_the_lines_above_the_header(self, door):
        rows = [["Report of 2021"], [], ["Berlin", "Hamburg"], [], [*COLUMNS.values(), "note"]]
        workbook(door.folder / "x.xlsx", [*rows, ["1", "A", "2021-01-05", 10, None], ["2", "B", "2021-02-05", 20, "x"]])
        door.table["path"] = "x.xlsx"
        door.follow(door.refused("line 3 does not have the columns", "skip=3 leaves out the lines above the header"))
        assert [row[0] for row in door.rows()] == ["1", "2"]

    def test_in_several_sheets_of_a_workbook(self, door):
        frame = pd.DataFrame([["1", "A", "2021-01-05", 10]], columns=COLUMNS.values())
        with pd.ExcelWriter(door.folder / "x.xlsx") as book:
            for n, sheet in enumerate(("2020", "2021", "notes")):
                made = frame.assign(order=n, customer="AB"[n % 2], date=f"2021-01-0{n + 1}")
                made.to_excel(book, sheet_name=sheet, index=False)
        door.table |= {"path": "x.xlsx", "sheet": ["2020", "2021"]}
        assert [row[:2] for row in door.rows()] == [("0", "A"), ("1", "B")]
        door.table["sheet"] = ["2020", "2022"]
        door.refused("the workbook has no sheet '2022'", "2020, 2021, notes")

    @pytest.mark.parametrize(("encoding", "end"), [("utf-8-sig", "\r"), ("utf-16", "\r\n")])
    def test_with_marks_of_their_encoding_and_any_line_ends(self, door, encoding, end):
        door.write("1,Ä,2021-01-05,10", "2,B,2021-02-05,20", encoding=encoding, end=end)
        assert [row[:2] for row in door.rows()] == [("1", "Ä"), ("2", "B")]

    def test_in_another_encoding_beside_a_query(self, door):
        door.write("1,Café,2021-01-05,10", "2,B,2021-02-05,20", encoding="cp1252")
        door.follow(door.refused("not encoded in UTF-8", "encoding=cp1252"))
        assert door.rows()[0][1] == "Café"
        door.table |= {"path": None, "sql": "SELECT * FROM read_csv('x.csv', all_varchar = true)"}
        assert door.rows()[0][1] == "Café"
        door.write("3,Thé,2021-01-05,10", name="x2.csv", encoding="cp1252")
        for sql in ("FROM 'x*.csv'", "FROM read_csv('x*.csv', all_varchar = true)"):
            door.table["sql"] = sql
            assert sorted(row[1] for row in door.rows()) == ["B", "Café", "Thé"]

    def test_dialect_of_files_has_no_meaning_beside_a_query(self, door):
        door.write("1,A,2021-01-05,10", "2,B,2021-02-05,20")
        door.table |= {"path": None, "sql": "FROM 'x.csv'", "delimiter": ";"}
        door.refused("delimiter is about files", "FROM read_csv(")

    def test_whose_archive_is_cut(self, door):
        (door.folder / "x.zip").write_bytes(b"PK\x03\x04")
        door.table["path"] = "x.zip"
        door.refused("cannot be read", "x.zip")

    @pytest.mark.parametrize(
        "sql",
        [
            "COPY (FROM 'x.csv') TO 'out/stolen.csv'",
            "FROM 'x.csv'; COPY (FROM 'x.csv') TO 'out/stolen.csv'",
            "FROM 'x.csv') ; COPY (FROM 'x.csv') TO 'out/stolen.csv'; FROM (SELECT 1",
            "ATTACH 'out/stolen.duckdb'",
            "EXPORT DATABASE 'out'",
            "INSTALL httpfs",
            "PRAGMA enable_profiling",
            "SET memory_limit = '1TB'",
            "FROM enable_logging('QueryLog', storage = 'file', storage_path = 'out')",
            """SELECT * FROM "enable_logging" ('QueryLog', storage = 'file', storage_path = 'out'), 'x.csv'""",
            "FROM query('FROM enable_logging(''QueryLog'', storage = ''file'', storage_path = ''out'')')",
        ],
    )
    def test_that_a_query_names_are_only_read(self, door, sql):
        door.write("1,A,2021-01-05,10", "2,B,2021-02-05,20")
        (door.folder / "out").mkdir()
        door.table |= {"path": None, "sql": sql.replace("'out", f"'{door.folder}/out")}
        door.refused("data.tables.transactions.sql", "read")
        assert [path.name for path in (door.folder / "out").iterdir()] == []

    def test_may_be_called_as_a_function_that_writes(self, door):
        door.write("1,A,2021-01-05,10", "2,B,2021-02-05,20", name="query (1).csv")
        door.table |= {"path": None, "sql": """WITH "query" AS (SELECT * FROM 'query (1).csv') FROM query -- COPY"""}
        assert [row[:2] for row in door.rows()] == [("1", "A"), ("2", "B")]

    @pytest.mark.parametrize("name", ["base64", "rot13", "undefined", "punycode", "utf-8\0", "latín"])
    def test_in_no_encoding_of_files_are_refused(self, door, name):
        door.write("1,A,2021-01-05,10")
        door.table["encoding"] = name
        door.refused(f"there is no encoding {name!r}", "data.tables.transactions.encoding", "utf-8, cp1252")

    def test_that_this_project_wrote_read_as_they_were(self, door):
        ids = ["=HYPERLINK(0)", "+49 170", "-5", "@sum(a1)", "'=1", "''-1", "it's", "'quoted'", "plain"]
        rows = pd.DataFrame({"order": [f"-{n}" for n in range(len(ids))], "customer": ids, "date": "2021-01-05"})
        rows.loc[1, "date"] = "2021-01-06"  # a shop of one day is refused
        rows["total"] = [-1.5, *range(1, len(ids))]
        write_csv(rows, door.folder / "x.csv", index=False)
        with CsvWriter(door.folder / "y.csv", pa.Schema.from_pandas(rows)) as writer:
            writer.write(pa.RecordBatch.from_pandas(rows.astype({"customer": "category"})))
        for name in ("x.csv", "y.csv"):
            cells = list(csv.reader((door.folder / name).read_text().splitlines()))
            assert not [cell for row in cells for cell in row[:3] if cell[0] in "=+-@"]
            assert float(cells[1][3]) == -1.5
            door.table["path"] = name
            door.config["rules"]["negative_amount"] = "drop"
            door.config["max_dropped"] = 1.0
            assert [row[:2] for row in door.rows()] == [(f"-{n}", each) for n, each in enumerate(ids)][1:]

    def test_of_all_errors_of_duckdb_are_messages(self, door):
        door.table |= {"path": None, "sql": "SELECT error('no such luck')"}
        door.refused("no such luck", "data.tables.transactions.sql")


class TestMoney:
    @pytest.mark.parametrize("everywhere", [True, False])
    def test_of_lines_is_less_the_discount_of_their_order(self, door, everywhere):
        lines = ["1,A,2021-03-01,10,{}", "1,A,2021-03-01,20,{}", "1,A,2021-03-01,0.01,{}", "2,B,2021-03-02,7,"]
        off = ["-10", *(["-10"] * 2 if everywhere else ["", ""])]
        written = [line.format(each) for line, each in zip(lines, [*off, ""], strict=True)]
        door.write(*written, header="order,customer,date,total,off")
        door.table["columns"]["order_discount"] = "off"
        amounts = [row[3] for row in door.rows()]
        assert sum(amounts) == Decimal("27.01")
        assert amounts[1] == Decimal("20") - Decimal("6.6645")  # 10 x 20 / 30.01, of what the lines before it leave
        assert amounts[3] == 7

    @pytest.mark.parametrize(
        ("totals", "settings", "total"),
        [
            (("10,50", "1234,56"), {"decimal": ","}, "1245.06"),
            pytest.param(("$10.50", "$3.00"), {"currency_sign": "$"}, "13.50", marks=pytest.mark.slow),
            pytest.param(("1,234.50", "3.00"), {"thousands": ","}, "1237.50", marks=pytest.mark.slow),
            (("1.234,50 €", "3,00 €"), {"decimal": ",", "thousands": ".", "currency_sign": "€"}, "1237.50"),
            pytest.param(
                ("1 234 567,50", "3,00"), {"decimal": ",", "thousands": " "}, "1234570.50", marks=pytest.mark.slow
            ),
        ],
    )
    def test_is_refused_with_what_reads_it(self, door, totals, settings, total):
        door.write(f"1;A;2021-03-01;{totals[0]}", f"2;B;2021-03-02;{totals[1]}", header="order;customer;date;total")
        error = door.refused("transactions.amount has values that cannot be read", "reads all rows")
        for key in settings:
            assert f"data.tables.transactions.{key}='\"{settings[key]}\"'" in error.hint
        door.table |= settings
        assert sum(row[3] for row in door.rows()) == Decimal(total)

    def test_that_can_be_read_in_two_ways_is_refused_with_both(self, door):
        door.write('1,A,2021-03-01,"1,234"', '2,B,2021-03-02,"5,678"')
        door.refused("thousands='\",\"' or data.tables.transactions.decimal='\",\"' each reads all rows")

    def test_below_zero_as_accountants_write_it(self, door):
        door.write(
            "1;A;2021-03-01;10.50", "2;B;2021-03-02;(5.00)", "3;B;2021-03-03;3.00-", header="order;customer;date;total"
        )
        door.follow(door.refused("'(5.00)'", "accounting=true reads all rows"))
        door.refused("rule negative_amount", "-5 (row 2), -3 (row 3)")

    def test_of_fractions_is_rounded_once(self, door):
        lines = ["1,A,2021-03-01,0.0004,250000", "2,B,2021-03-02,0.00051,250000", "3,A,2021-03-03,1.5,10"]
        door.write(*lines, "4,B,2021-03-04,2,0.0000004", header="order,customer,date,qty,price")
        door.table["columns"] = FACTORS
        error = door.refused(
            "1 rows of transactions meet the rule zero_price", "25.0% of all rows", "0.0% of all money"
        )
        assert "data.rules.zero_price=drop ++data.confirmed_drops.zero_price=0.25" in error.hint
        door.config["rules"]["zero_price"] = "drop"
        door.config["confirmed_drops"] = {"zero_price": 0.25}
        assert door.rows("quantity, amount") == [
            (Decimal("0.000400"), Decimal(100)),
            (Decimal("0.000510"), Decimal("127.5")),
            (Decimal("1.5"), Decimal(15)),
        ]

    @pytest.mark.parametrize(
        ("discount", "off", "amount"),
        [
            ("line_discount", "-2.5", "7.5"),
            ("unit_discount", "0.75", "7"),
            ("line_discount_rate", "0.125", "8.75"),
            ("line_discount_percent", "12.5 %", "8.75"),
        ],
    )
    @pytest.mark.quick(2)
    def test_of_a_line_is_less_its_discount(self, door, discount, off, amount):
        door.write(f"1,A,2021-03-01,10,4,{off}", "2,B,2021-03-02,7,1,", header="order,customer,date,total,qty,off")
        door.table["columns"] |= {discount: "off", "quantity": "qty"}
        assert [row[3] for row in door.rows()] == [Decimal(amount), 7]

    def test_of_credits_is_read_with_a_minus(self, door):
        lines = ["1,A,2021-03-01,10,R", "2,B,2021-03-02,7,R", "3,A,2021-03-04,10,CN"]
        door.write(*lines, header="order,customer,date,total,type")
        door.table["credits"] = {"type": ["CN"]}
        door.config["rules"]["negative_amount"] = "return"
        assert [row[3] for row in door.rows()] == [10, 7]
        assert any("with a minus (credits): 1 rows" in note for note in door.stage().notes)

    def test_of_a_line_is_not_less_than_nothing(self, door):
        door.write("1,A,2021-03-01,10,15", "2,B,2021-03-02,7,", header="order,customer,date,total,off")
        door.table["columns"]["line_discount_rate"] = "off"
        door.refused("transactions.line_discount_rate is more than the whole amount", "0 to 1")

    def test_of_a_currency_without_small_units_fits(self, door):
        door.write("1,A,2021-03-01,8000,1700000", "2,B,2021-03-02,1,1", header="order,customer,date,qty,price")
        door.table["columns"] = FACTORS
        assert door.rows("amount")[0] == (Decimal(13_600_000_000),)

    @pytest.mark.parametrize("name", ["order", 'the "total"'])
    def test_with_more_decimals_than_are_kept_is_refused(self, door, name):
        lines = ["1,A,2021-03-01,3.33333", "2,B,2021-03-02,1.50000", "3,B,2021-03-02,12.340000000000001"]
        escaped = name.replace('"', '""')
        door.write(*lines, header=f'no,customer,date,"{escaped}"')
        door.table["columns"] |= {"order_id": "no", "amount": name}
        door.follow(door.refused("'3.33333' (1 rows in all)", "not rounded unasked"))
        assert [row[3] for row in door.rows()] == [Decimal("3.3333"), Decimal("1.5"), Decimal("12.34")]


class TestOrders:
    def test_have_the_customer_of_their_first_line(self, door):
        door.write("1,A,2021-01-05,10", "1,,2021-01-05,20", "1,,2021-01-05,30", "2,B,2021-02-05,5")
        assert [row[1] for row in door.rows()] == ["A", "A", "A", "B"]
        assert any("order's other lines: 2 rows" in note for note in door.stage().notes)

    def test_without_any_customer_stay_without(self, door):
        door.write("1,A,2021-01-05,10", "2,,2021-01-06,20", "2,,2021-01-06,30", "3,B,2021-02-05,5")
        door.refused("missing_customer_id drops 50.0% of rows and 76.9% of money")

    def test_of_several_days_or_customers_are_told_apart_by_a_key(self, door):
        door.write("1,A,2021-01-05,10", "2,B,2021-01-05,20", "1,A,2021-01-06,30", "2,C,2021-01-06,5")
        error = door.refused(
            "1 orders belong to several customers", 'order_key=\'["order","day"]\' tells all orders apart'
        )
        door.follow(error)
        assert [row[0] for row in door.rows()] == ["1/2021-01-05", "2/2021-01-05", "1/2021-01-06", "2/2021-01-06"]

    def test_without_a_number_are_told_apart_by_times_that_a_query_gives(self, door):
        door.write("1,A,2021-01-05 10:00,10", "2,A,2021-01-05 10:00,20", "3,B,2021-01-06 11:00,30")
        door.table["columns"] = {"customer_id": "customer", "timestamp": "timestamp", "amount": "total"}
        path = door.table.pop("path")
        door.table["sql"] = f"SELECT * EXCLUDE (date), date::TIMESTAMP AS timestamp FROM '{path}'"
        door.table["order_key"] = ["customer", "timestamp"]
        assert [row[0] for row in door.rows()] == ["A/2021-01-05 10:00:00"] * 2 + ["B/2021-01-06 11:00:00"]

    def test_that_span_days_stop_unless_that_is_so(self, door):
        door.write("1,A,2021-01-05 23:59,10", "2,B,2021-01-05,20", "1,A,2021-01-06 00:01,30")
        error = door.refused(
            "1 orders belong to several days", 'order_key=\'["order","day"]\'', "data.order_spans_days=true"
        )
        door.config["order_spans_days"] = True
        assert len(door.rows()) == 3
        door.config["order_spans_days"] = False
        door.follow(error)
        assert len({row[0] for row in door.rows()}) == 3

    def test_of_two_tills_are_told_apart(self, door):
        lines = ["1,A,2021-01-05,10,x", "1,B,2021-01-05,20,y", "2,A,2021-01-06,30,x"]
        door.write(*lines, header="order,customer,date,total,till")
        door.table["columns"]["store_id"] = "till"
        door.follow(door.refused("several customers", 'order_key=\'["order","till"]\''))
        assert [row[0] for row in door.rows()] == ["1/x", "1/y", "2/x"]

    @pytest.mark.parametrize("name", ["No", 'it\'s [a] "key"'])  # how others are quoted: see the end of this file
    def test_are_told_apart_by_a_key_of_any_name(self, door, name):
        escaped = name.replace('"', '""')
        door.write("1,A,2021-01-05,10", "1,B,2021-01-06,20", header=f'"{escaped}",customer,date,total')
        door.table["columns"]["order_id"] = name
        door.follow(door.refused("several customers", "tells all orders apart"))
        assert door.table["order_key"] == [name, "day"]
        assert [row[0] for row in door.rows()] == ["1/2021-01-05", "1/2021-01-06"]

    def test_may_have_lines_that_differ_in_what_is_not_mapped(self, door):
        lines = [f"1,A,2021-01-05,2.50,{product}" for product in ("roll", "cake", "bread")]
        door.write(*lines, "2,B,2021-02-05,5,cake", header="order,customer,date,total,product")
        assert sum(row[3] for row in door.rows() if row[1] == "A") == Decimal("7.5")
        door.write(*lines, lines[0], "2,B,2021-02-05,5,cake", header="order,customer,date,total,product")
        door.refused("1 rows of transactions meet the rule duplicate_rows", "all columns of the file")


class TestReturns:
    @pytest.fixture
    def returns(self, door):
        lines = ["1,A,2021-03-05,100", "2,B,2021-03-06,20", "3,A,2021-03-07,100", "1R,A,2021-03-09,-100"]
        door.write(*lines, "3R,B,2021-03-10,-7", "4,B,2021-04-06,30", "5R,C,2021-04-06,-1")
        return door

    def test_are_refused_with_actions_that_exist(self, returns):
        error = returns.refused(
            "rule negative_amount", "-100 (row 4), -7 (row 5)", "data.rules.negative_amount=return", "data.spend=net"
        )
        returns.set("data.rules.negative_amount", "return")
        assert "data.rules.negative_amount=return" in error.hint
        assert [row[0] for row in returns.rows()] == ["1", "2", "3", "4"]

    def test_that_are_dropped_leave_gross_amounts_and_say_so(self, returns):
        returns.config["rules"]["negative_amount"] = "drop"
        returns.config["confirmed_drops"] = {"negative_amount": ALL}
        assert sum(row[3] for row in returns.rows()) == 250
        staged = returns.stage()
        assert "returns" not in staged.rows
        assert any("amounts are gross" in note and note.endswith("3 rows") for note in staged.notes)
        assert {drop.rule: drop.amount for drop in staged.drops}["negative_amount"] == 108

    def test_are_kept_with_the_sale_that_they_take_back(self, returns):
        returns.config["rules"]["negative_amount"] = "return"
        assert returns.returned("return_id, customer_id, amount, kind, order_id, line_number, sold_at") == [
            ("1R", "A", 100, "return", "3", 3, datetime(2021, 3, 7)),
            ("3R", "B", 7, "return", "2", 2, datetime(2021, 3, 6)),
            ("5R", "C", 1, "return", None, None, None),
        ]
        staged = returns.stage()
        assert [drop.kept_in for drop in staged.drops if drop.rows] == ["returns"]
        assert any("no sale that they take back was found before them: 1 of 3 rows" in note for note in staged.notes)

    def test_are_shown_in_rows_and_money_by_kind(self, returns, engine):
        returns.config["rules"] |= {"negative_amount": "return", "cancelled_order": "return"}
        returns.config["cancelled_order_prefix"] = "3R"
        staged = returns.stage()
        text = profile_text(profile(staged, staged.open(engine), engine, returns.config))
        assert re.search(
            r"cancellation +-7   EUR, 1 rows\n +return +-101   EUR, 2 rows; of 1 no sale was found\n", text
        )
        assert re.search(r"amount +250   EUR, sold\n(?s:.*) net +142   EUR; spend is net", text)
        assert "negative_amount (101.00 EUR), kept in returns" in text

    def test_of_the_same_day_cancel_their_order(self, door, engine):
        header = "order,customer,date,qty,price,sku"
        lines = ["541431,16000,1/18/2011 10:01,74215,1.04,23166", "C541433,16000,1/18/2011 10:17,-74215,1.04,23166"]
        kept = ["541434,16001,2/18/2011 10:01,10,1.04,23166", "541435,16002,3/18/2011 10:01,10,1.04,23166"]
        door.write(*lines, *kept, header=header)
        door.table |= {"columns": {**FACTORS, "product_id": "sku"}, "date_format": "%m/%d/%Y %H:%M"}
        door.config["cancelled_order_prefix"] = "C"
        assert door.returned("order_id, kind, amount, quantity") == [
            ("541431", "cancellation", Decimal("77183.6"), 74215)
        ]
        assert door.features("2011-01-19", engine)["total_spend"].to_dict() == {"16000": 0.0}
        door.config["spend"] = "gross"
        assert door.features("2011-01-19", engine)["total_spend"].to_dict() == {"16000": 77183.6}

    def test_under_another_id_of_the_customer_find_their_sale(self, door):
        door.write("1,A,2021-03-05,100", "2,B,2021-03-06,20", "1R,card 7,2021-03-09,-100")
        door.write("card 7,A", header="card,who", name="cards.csv")
        columns = {"id": "card", "customer_id": "who"}
        door.config["tables"]["identities"] = {"path": "cards.csv", "columns": columns}
        door.config["rules"] |= {"negative_amount": "return", "undated_identity": "keep"}
        assert door.returned("customer_id, order_id") == [("A", "1")]

    def test_take_back_no_sale_that_is_not_there_yet(self, door):
        door.table["columns"] = {**COLUMNS, "product_id": "sku"}
        lines = ["1R,A,2021-03-05,-9,x", "2,B,2021-03-06,20,x", "3,A,2021-03-07,9,x", "4,A,2021-03-08,9,y"]
        door.write(*lines, "5R,A,2021-03-09,-9,y", header="order,customer,date,total,sku")
        door.config["rules"]["negative_amount"] = "return"
        assert door.returned("return_id, order_id") == [("1R", None), ("5R", "4")]

    SALE = "1,A,2021-03-05,10,1.00,x"
    OTHERS = ("2,B,2021-03-06,3,1.00,x", "3,C,2021-04-07,4,1.00,x")

    @pytest.fixture
    def cancellations(self, door):
        """A shop whose cancellations take sales back, while other rules leave rows out."""
        door.table["columns"] = {**FACTORS, "product_id": "sku"}
        door.config |= {"cancelled_order_prefix": "C", "non_product_codes": ["POST"]}
        door.config["rules"] = dict.fromkeys(RULES, "drop") | {"cancelled_order": "return"}
        door.config["confirmed_drops"] = dict.fromkeys(RULES, ALL)
        return door

    @pytest.mark.parametrize(
        ("quantities", "orders"),
        [
            ([4, 4, 4], ["1", "1", None]),  # 10 - 4 - 4 does not cover 4 more
            ([10, 1], ["1", None]),
            ([11, 10], [None, "1"]),
            ([3, 6], ["1", "1"]),
        ],
    )
    @pytest.mark.quick(2)
    def test_take_back_no_more_than_was_sold(self, cancellations, quantities, orders):
        back = [f"C{n},A,2021-03-09,-{quantity},1.00,x" for n, quantity in enumerate(quantities)]
        cancellations.write(self.SALE, *back, *self.OTHERS, header="order,customer,date,qty,price,sku")
        assert [row[0] for row in cancellations.returned("order_id")] == orders

    def test_take_back_the_sale_of_the_same_quantity_before_a_later_one_that_covers_it(self, cancellations):
        lines = [self.SALE, "4,A,2021-03-06,12,1.00,x", "C1,A,2021-03-09,-10,1.00,x", "C2,A,2021-03-09,-9,1.00,x"]
        cancellations.write(*lines, *self.OTHERS, header="order,customer,date,qty,price,sku")
        assert cancellations.returned("return_id, order_id") == [("C1", "1"), ("C2", "4")]

    @pytest.mark.parametrize(
        "between",
        [
            ["4,A,2021-03-06,-10,1.00,x"],  # a correction of stock
            ["4,A,2021-03-06,10,-1.00,x"],  # a credit
            ["4,A,2021-03-06,-10,1.00,x", "5,A,2021-03-07,10,-1.00,x"],
            [SALE],  # the same row again
        ],
    )
    @pytest.mark.quick(2)
    def test_take_back_the_sale_and_no_row_that_another_rule_leaves_out(self, cancellations, between):
        cancellations.config["may_halve_orders"] = list(RULES)
        back = "C1,A,2021-03-09,-10,1.00,x"
        cancellations.write(self.SALE, *between, back, *self.OTHERS, header="order,customer,date,qty,price,sku")
        assert [row[0] for row in cancellations.rows()] == ["1", "2", "3"]
        assert cancellations.returned("order_id, line_number") == [("1", 1)]
        drops = {drop.rule: drop.rows for drop in cancellations.stage().drops if drop.rows}
        assert drops.pop("cancelled_order") == 1
        assert sum(drops.values()) == len(between)

    def test_that_are_repeated_rows_take_back_one_sale(self, cancellations):
        back = "C1,A,2021-03-09,-10,1.00,x"
        lines = [self.SALE, "4,A,2021-03-06,10,1.00,x", back, back, *self.OTHERS]
        cancellations.write(*lines, header="order,customer,date,qty,price,sku")
        assert cancellations.returned("order_id") == [("4",)]
        assert not any("no sale" in note or "gross" in note for note in cancellations.stage().notes)

    def test_that_are_repeated_rows_take_back_both_where_these_are_right(self, cancellations):
        cancellations.config["rules"]["duplicate_rows"] = "keep"
        back = "C1,A,2021-03-09,-10,1.00,x"
        lines = [self.SALE, self.SALE, back, back, *self.OTHERS]
        cancellations.write(*lines, header="order,customer,date,qty,price,sku")
        assert sorted(cancellations.returned("order_id, line_number")) == [("1", 1), ("1", 2)]

    def test_of_postage_go_the_way_of_postage(self, cancellations):
        cancellations.table["columns"]["product_id"] = "sku"
        lines = [self.SALE, "1,A,2021-03-05,1,5.00,POST", "C1,A,2021-03-09,-1,5.00,POST", *self.OTHERS]
        cancellations.write(*lines, header="order,customer,date,qty,price,sku")
        assert "returns" not in cancellations.stage().rows


class TestRefunds:
    """Refunds in a table of their own."""

    @pytest.fixture
    def refunds(self, door):
        lines = ["1,A,2021-03-05 14:00,100,x", "1,A,2021-03-05 14:00,50,y", "2,B,2021-03-06 09:00,20,x"]
        door.write(*lines, "3,A,2021-04-07 10:00,100,x", header="order,customer,date,total,sku")
        door.table["columns"]["product_id"] = "sku"
        columns = {"return_id": "refund", "order_id": "order", "returned_at": "date", "amount": "money"}
        door.config["tables"]["returns"] = {"path": "refunds.csv", "columns": columns}
        return door

    def test_name_their_order(self, refunds):
        lines = ["r1,1,2021-03-09,-30", "r2,2,2021-03-06,20", "r3,9,2021-03-10,5", "r4,3,2021-04-08,0"]
        refunds.write(*lines, header="refund,order,date,money", name="refunds.csv")
        refunds.refused("the rule missing_customer_id drops 25.0% of rows")
        refunds.config["confirmed_drops"] = {"missing_customer_id": ALL}
        assert refunds.returned("return_id, customer_id, order_id, line_number, amount, returned_at, sold_at") == [
            ("r1", "A", "1", None, 30, datetime(2021, 3, 9), datetime(2021, 3, 5, 14)),
            ("r2", "B", "2", 3, 20, datetime(2021, 3, 6, 9), datetime(2021, 3, 6, 9)),  # a day without a time
        ]
        drops = {(drop.table, drop.rule): drop.rows for drop in refunds.stage().drops if drop.rows}
        assert drops == {("returns", "empty_return"): 1, ("returns", "missing_customer_id"): 1}

    def test_name_their_product_or_nothing(self, refunds):
        refunds.config["tables"]["returns"]["columns"] = {
            **{"return_id": "refund", "customer_id": "who", "product_id": "sku"},
            **{"returned_at": "date", "amount": "money"},
        }
        lines = ["r1,A,y,2021-03-09,50", "r2,A,x,2021-03-09,100", "r3,A,x,2021-03-10,1", "r4,A,,2021-04-08,100"]
        refunds.write(*lines, "r5,Z,x,2021-03-10,1", header="refund,who,sku,date,money", name="refunds.csv")
        assert refunds.returned("return_id, order_id, line_number") == [
            *[("r1", "1", 2), ("r2", "1", 1), ("r3", None, None), ("r4", "3", 4), ("r5", None, None)]
        ]

    def test_that_cannot_be_read_or_are_of_no_day_are_refused(self, refunds):
        refunds.write("r1,1,2021-03-09,much", header="refund,order,date,money", name="refunds.csv")
        refunds.refused("returns.amount has values that cannot be read", "'much'", "refunds.csv")
        refunds.write("r1,1,2091-03-09,3", header="refund,order,date,money", name="refunds.csv")
        refunds.refused("returns.returned_at has dates that cannot be right", "2091-03-09")


class TestStatus:
    """Columns that say what became of an order."""

    HEADER = "order,customer,date,total,status,back"
    LINES = (
        *("1,A,2021-03-05,10,paid,", "1,A,2021-03-05,20,,", "2,B,2021-03-06,30,Refunded,2021-03-20"),
        *(
            "2,B,2021-03-06,40,,",
            "3,A,2021-03-07,50,voided,2021-03-07",
            "4,C,2021-04-08,60,test,",
            "5,C,2021-04-09,7,paid,",
        ),
    )

    @pytest.fixture
    def orders(self, door):
        door.write(*self.LINES, header=self.HEADER)
        door.table["columns"]["returned_at"] = "back"
        door.table["status"] = {
            "column": "status",
            "sale": ["paid"],
            "return": ["refunded"],
            "cancellation": ["voided"],
        }
        door.table["status"]["exclude"] = ["test"]
        door.config["confirmed_drops"] = {"excluded_status": 0.3}
        return door

    def test_hold_for_all_lines_of_an_order(self, orders):
        assert [(row[0], row[3]) for row in orders.rows()] == [
            *[("1", 10), ("1", 20), ("2", 30), ("2", 40), ("3", 50), ("5", 7)]
        ]
        assert orders.returned("order_id, line_number, kind, amount, returned_at, sold_at") == [
            ("2", 3, "return", 30, datetime(2021, 3, 20), datetime(2021, 3, 6)),
            ("2", 4, "return", 40, datetime(2021, 3, 20), datetime(2021, 3, 6)),
            ("3", 5, "cancellation", 50, datetime(2021, 3, 7), datetime(2021, 3, 7)),
        ]
        drops = {drop.rule: (drop.rows, drop.amount) for drop in orders.stage().drops if drop.rows}
        assert drops == {"excluded_status": (1, 60.0)}

    def test_count_from_the_day_on_which_the_order_came_back(self, orders, engine):
        for day, spend in {"2021-03-20": 70.0, "2021-03-21": 0.0}.items():
            assert orders.features(day, engine)["total_spend"]["B"] == spend

    def test_are_not_needed_where_a_day_says_which_lines_came_back(self, orders):
        del orders.table["status"]
        assert orders.returned("order_id, line_number, kind, returned_at") == [
            ("2", 3, "return", datetime(2021, 3, 20)),
            ("3", 5, "return", datetime(2021, 3, 7)),
        ]
        assert len(orders.rows()) == 7

    def test_that_nothing_lists_stop_with_their_words(self, orders):
        del orders.table["status"]["cancellation"]
        orders.refused("rule unknown_status", "status = voided (row 5)", "data.tables.transactions.status")
        orders.table["status"]["sale"] = ["paid", "voided"]
        assert len(orders.rows()) == 6

    def test_of_no_day_stop(self, orders):
        orders.write(
            *(line.replace(",2021-03-20", ",") for line in self.LINES), header="order,customer,date,total,status,back"
        )
        error = orders.refused("2 rows of transactions meet the rule undated_return", "order_id = 2", "map returned_at")
        assert "data.rules.undated_return=keep" in error.hint
        orders.set("data.rules.undated_return", "keep")
        assert [row[0] for row in orders.returned("order_id")] == ["3"]
        del orders.table["columns"]["returned_at"]
        assert "returns" not in orders.stage().rows

    def test_of_several_kinds_in_one_order_stop_unless_lines_go_by_their_own(self, orders):
        orders.write(
            "1,A,2021-03-05,10,paid,2021-03-20", "1,A,2021-03-05,20,refunded,2021-03-20", "2,B,2021-04-06,30,paid,",
            header=self.HEADER,
        )  # fmt: skip
        orders.refused(
            "2 rows of transactions meet the rule mixed_status", "order_id = 1", "data.rules.mixed_status=keep"
        )
        orders.config["rules"]["mixed_status"] = "keep"
        assert orders.returned("order_id, line_number") == [("1", 2)]

    @pytest.mark.parametrize(
        ("change", "words"),
        [
            ({"return": ["paid"]}, ["lists a status more than once", "paid"]),
            ({"sale": None}, ["data.tables.transactions.status.sale is not set"]),
            ({"refund": ["x"]}, ["unknown key data.tables.transactions.status.refund"]),
            ({"column": "state"}, ["there is no column 'state'"]),
            ({"sale": [True]}, ["is not a text", "quote it"]),
        ],
    )
    def test_that_are_not_declared_right_are_refused(self, orders, change, words):
        orders.table["status"] |= change
        orders.refused(*words)


class TestHalfOrders:
    def test_stop_unless_that_is_right(self, door):
        door.write("1,A,2021-03-05,100", "1,A,2021-03-05,-5", "2,B,2021-03-06,20", "3,B,2021-04-06,-2")
        door.config["rules"]["negative_amount"] = "drop"
        door.config["confirmed_drops"] = {"negative_amount": ALL}
        error = door.refused(
            "the rule negative_amount leaves 1 orders half",
            "1 lines left out of orders whose others are kept, -5 of money: 1",
        )
        door.follow(error)
        assert [row[3] for row in door.rows()] == [100, 20]

    def test_are_right_where_a_rule_is_about_lines(self, door):
        door.write("1,A,2021-03-05,100", "1,A,2021-03-05,0", "2,B,2021-04-06,20")
        door.config["rules"]["zero_price"] = "drop"
        door.config["confirmed_drops"] = {"zero_price": ALL}
        assert len(door.rows()) == 2

    def test_keep_their_money_where_the_other_lines_are_returns(self, door, engine):
        door.write("1,A,2021-03-05,100", "1,A,2021-03-05,-5", "2,B,2021-04-06,20")
        door.config["rules"]["negative_amount"] = "return"
        assert door.features("2021-03-06", engine)["total_spend"].to_dict() == {"A": 95.0}


class TestYaml:
    @pytest.mark.parametrize(
        ("setting", "value"),
        [
            ("tables.transactions.columns.order_id", False),
            ("tables.transactions.columns.order_id", 8),
            ("non_product_codes", [8, "NO"]),
            ("non_product_codes", [False]),
            ("cancelled_order_prefix", 0),
            ("missing", [0]),
            ("tables.transactions.date_format", 20210305),
        ],
    )
    def test_values_that_are_not_as_written_are_refused(self, door, setting, value):
        door.write("1,A,2021-01-05,10", "2,B,2021-02-05,20")
        door.set(setting, value)
        door.refused(f"data.{setting} is not a text", "quote it")

    def test_values_that_are_quoted_are_as_written(self, door):
        lines = ["1,A,05/03/2021,10,22423", "2,B,06/03/2021,20,22423", "3,A,07/04/2021,30,0010"]
        door.write(*lines, "4,B,08/05/2021,5,NO", "5,A,08/05/2021,7,0123", header="No,customer,date,total,sku")
        door.table["columns"] |= {"order_id": "No", "product_id": "sku"}
        door.table["date_format"] = "%d/%m/%Y"
        door.config["non_product_codes"] = ["0010", "NO", "0123"]
        door.follow(door.refused("non_product_code drops 60.0% of rows and 58.3% of money"))
        assert sum(row[3] for row in door.rows()) == 30


class TestHabits:
    def test_the_template_has_no_rule_of_one_shop(self):
        config = data_config("files")
        assert config["cancelled_order_prefix"] is None
        assert config["non_product_codes"] == []
        table = config["tables"]["transactions"]
        assert {value for key, value in table.items() if key != "columns"} == {None}
        assert set(table["columns"].values()) == {None}

    def test_a_share_is_measured_in_rows_and_in_money(self, door):
        door.write("1,A,2021-01-01,1000", *(f"{n},B,2021-02-02,1" for n in range(2, 30)), "30,,2021-03-03,90")
        door.refused("drops 3.3% of rows and 8.1% of money", "at most 5.0% of either")
        door.config["max_dropped"] = 0.1
        assert len(door.rows()) == 29

    @pytest.mark.parametrize("share", [1.1, -0.1, "half", True])
    def test_a_share_is_one(self, door, share):
        door.config["max_dropped"] = share
        door.refused("data.max_dropped", "0 to 1")


JOINED = {"campaign_id": "campaign", "customer_id": "customer", "contacted_at": "date"}


class TestTablesThatMeet:
    @pytest.fixture
    def contacts(self, door):
        """A shop with contacts of customers, who are written differently where a test says so."""

        def written(buyers, contacted):
            door.write(*(f"{n},{who},2021-01-{n + 1:02},5" for n, who in enumerate(buyers)))
            door.write(*(f"1,{who},2021-01-05" for who in contacted), header="campaign,customer,date", name="c.csv")
            door.config["tables"]["contacts"] = {"path": "c.csv", "columns": {**JOINED}}
            return door

        return written

    def test_count_keys_and_rows_of_both_sides(self, contacts, engine):
        shop = contacts(["A", "B", "B", "C"], ["B", "C", "X", "Y", "Z"])
        (join,) = shop.stage().joins
        assert (join.left.keys, join.left.matched_keys, join.left.rows, join.left.matched_rows) == (5, 2, 5, 2)
        assert (join.right.keys, join.right.matched_keys, join.right.rows, join.right.matched_rows) == (3, 2, 4, 3)
        staged = shop.stage()
        text = profile_text(profile(staged, staged.open(engine), engine, shop.config))
        assert "customer_id      contacts: 2 of 5 keys (40.0%), 2 of 5 rows (40.0%)" in text
        assert "                 transactions: 2 of 3 keys (66.7%), 3 of 4 rows (75.0%)" in text

    @pytest.mark.parametrize(
        ("buyers", "contacted", "spelling"),
        [
            (["ann", "bob"], ["ANN", "BOB"], "lower_case"),
            pytest.param(["00042", "00043"], ["42", "43"], "no_leading_zeros", marks=pytest.mark.slow),
            pytest.param(["42-7", "43-7"], ["42 7", "43 7"], "no_marks", marks=pytest.mark.slow),
            pytest.param(["C42", "C43"], ["42", "43"], "digits", marks=pytest.mark.slow),
            (["C0042", "C0043"], ["42", "43"], '["digits","no_leading_zeros"]'),
        ],
    )
    def test_of_which_no_key_matches_stop_with_a_spelling_under_which_they_do(
        self, contacts, buyers, contacted, spelling
    ):
        shop = contacts(buyers, contacted)
        error = shop.refused(
            "no customer_id of contacts occurs in transactions", buyers[0], contacted[0], "x.csv", "c.csv"
        )
        assert f"2 of 2 match: ++data.spelling.customer_id={spelling}" in error.hint.replace("'", "")
        shop.follow(error)
        staged = shop.stage()
        assert staged.joins[0].left.matched_keys == staged.joins[0].right.matched_keys == 2
        assert any("customer_id is read" in note for note in staged.notes)

    def test_of_which_no_key_matches_in_any_spelling_stop_without_a_guess(self, contacts):
        assert "data.spelling" not in contacts(["A", "B"], ["X", "Y"]).refused("no customer_id", "leave contacts").hint

    def test_of_which_a_spelling_would_join_two_customers_stop_without_it(self, contacts):
        assert "lower_case" not in contacts(["A", "a", "B"], ["b", "x"]).refused("no customer_id of contacts").hint

    def test_of_which_few_keys_match_say_under_which_spelling_more_would(self, contacts):
        notes = contacts(["ann", "bob", "cy", "7"], ["ANN", "BOB", "CY", "7"]).stage().notes
        assert any("in lower case, 4 of 4 match: ++data.spelling.customer_id=lower_case" in note for note in notes)

    def test_spellings_that_there_are_not_are_refused(self, contacts):
        shop = contacts(["A", "B"], ["A"])
        shop.config["spelling"] = {"customer_id": "lowercase"}
        shop.refused("no spelling 'lowercase'", "did you mean 'lower_case'")
        shop.config["spelling"] = {"custmer_id": "lower_case"}
        shop.refused("unknown key data.spelling.custmer_id", "did you mean 'customer_id'")


def test_columns_meet_columns_of_the_same_name_and_type():
    met = [
        (column, name, other) for name, spec in SPECS.items() for column, c in spec.columns.items() for other in c.meets
    ]
    assert len(met) > 20
    for column, name, other in met:
        assert SPECS[other].columns[column].type == SPECS[name].columns[column].type == "string"


def test_the_profile_says_how_it_was_read_and_what_money_was_left_out(door, engine):
    door.write("1,A,2021-01-05,10", "1,,2021-01-05,20", "2,B,2021-02-05,30", "3,,2021-02-06,2.5")
    door.config["confirmed_drops"] = {"missing_customer_id": 0.25}
    staged = door.stage()
    text = profile_text(profile(staged, staged.open(engine), engine, door.config))
    assert '4 records of 1 files; delimiter ,, quote ", UTF-8' in text
    assert "customer_id is that of the order's other lines: 1 rows" in text
    assert "missing_customer_id (2.50 EUR), all rows of 1 orders" in text


def test_the_account_of_the_files_adds_up_in_customers_orders_rows_and_money(door, engine):
    door.write(
        "1,A,2021-01-05,10",
        "2,B,2021-01-05,0",
        "3,A,2021-01-06,0",
        "4,C,2021-01-07,-5",
        "5,C,2021-01-07,0",
        "8,E,2021-01-07,1",
    )
    door.write("6,D,2021-01-08,-2", "7,,2021-01-09,3", "9,A,2021-01-09,-1", name="y.csv")
    door.set("data.tables.transactions.path", ["x.csv", "y.csv"])
    door.config["rules"] |= {"negative_amount": "return", "zero_price": "drop"}
    door.config["confirmed_drops"] = {"zero_price": ALL, "missing_customer_id": ALL}
    staged = door.stage()
    text = profile_text(profile(staged, staged.open(engine), engine, door.config))
    account = [line.split()[:4] for line in text[text.index("files ") :].splitlines()[1:5]]
    assert [" ".join(line) for line in account] == ["customers 5 4 1", "orders 9 5 4", "rows 9 5 4", "money 22 19 3"]
    drops = {drop.rule: (drop.customers, drop.orders) for drop in staged.drops if drop.rows}
    assert drops == {"missing_customer_id": (0, 1), "negative_amount": (2, 3), "zero_price": (1, 3)}


@pytest.mark.parametrize(
    "value",
    [
        "a b",
        "it's",
        'a "b"',
        'it\'s [a] "key"',
        "Beleg\\",
        "\\",
        '\\"',
        "a\\b",
        "\\\\",
        "$",
        ",",
        "",
        "8",
        "no",
        "#",
        True,
        ["Order No", '"', "'"],
    ],
)
def test_values_in_hints_reach_hydra_through_a_shell(value):
    assert read_by_hydra(f"data.x={shell_value(value)} reads all rows").value() == value


@pytest.mark.parametrize("confirmed", ["{}", "{missing_customer_id: 0.1}"])
def test_a_share_is_confirmed_whether_another_was_before_or_not(door, tmp_path, confirmed):
    door.write("1,A,2021-01-05,10", "2,B,2021-02-05,30", "3,,2021-02-06,2.5")
    hint = door.refused("missing_customer_id drops 33.3% of rows").hint
    (tmp_path / "config.yaml").write_text(f"data:\n  confirmed_drops: {confirmed}\n")
    with initialize_config_dir(str(tmp_path), version_base="1.3"):
        config = compose("config", [hint[hint.index("+") :]])
    assert config.data.confirmed_drops == {"missing_customer_id": 0.34}


def test_facts_with_a_date_are_staged_with_it_and_without_one_have_no_such_column(tmp_path):
    door = Door(tmp_path)
    door.write("1,a,2024-01-01,5", "2,b,2024-03-01,7")
    door.write("a,f,2024-02-01", "b,m,", header="who,sex,answered", name="people.csv")
    columns = {"customer_id": "who", "gender": "sex"}
    door.config["tables"]["customers"] = {"path": "people.csv", "columns": columns}
    undated = pd.read_parquet(door.stage().folder / "customers.parquet")
    door.config["tables"]["customers"]["columns"] = {**columns, "known_at": "answered"}
    dated = pd.read_parquet(door.stage().folder / "customers.parquet").set_index("customer_id")
    assert "known_at" not in undated
    assert list(dated.loc[["a", "b"], "known_at"].isna()) == [False, True]
