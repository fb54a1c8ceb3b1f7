"""Pseudonyms in place of customers' ids, and consents as of a day."""

from datetime import date, datetime
from pathlib import Path

import ibis
import pandas as pd
import pytest

from features.consents import consenting
from features.errors import InputError
from features.sources import contact_details, stage
from features.sources.pseudonyms import KEY, Pseudonyms
from features.tables import Tables
from online_retail import OnlineRetail

SECRET = "a secret of the tests"


@pytest.fixture
def shop(tmp_path: Path) -> OnlineRetail:
    own = OnlineRetail(tmp_path)
    (tmp_path / "people.csv").write_text("No,tel\n17850,0171\n", encoding="utf-8")
    (tmp_path / "links.csv").write_text("cookie,account\nxyzzy,17850\n", encoding="utf-8")
    own.config["tables"]["identities"] = {"path": "links.csv", "columns": {"id": "cookie", "customer_id": "account"}}
    own.config["rules"]["undated_identity"] = "keep"
    own.config["contact_details"] = {"path": "people.csv", "customer_id": "No", "columns": {"phone": "tel"}}
    return own


def test_tables_are_the_same_but_for_the_names_of_customers_which_no_file_holds(shop, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv(KEY, SECRET)
    plain, hidden = stage(shop.config, tmp_path / "a"), stage(shop.config | {"pseudonymise": True}, tmp_path / "b")
    own = Pseudonyms(SECRET)
    for name in plain.rows:
        before, after = (pd.read_parquet(staged.folder / f"{name}.parquet") for staged in (plain, hidden))
        for column in {"customer_id", "id"} & set(before.columns):
            before[column] = before[column].map(lambda each: each if pd.isna(each) else own.of([each])[0])
        order = list(before.columns)
        pd.testing.assert_frame_equal(
            before.sort_values(order, ignore_index=True), after.sort_values(order, ignore_index=True)
        )
    kept = b"".join(path.read_bytes() for path in (tmp_path / "b").rglob("*") if path.is_file())
    assert not any(told in kept for told in (b"17850", b"13047", b"xyzzy", SECRET.encode()))
    details = contact_details(shop.config | {"pseudonymise": True})
    assert details.set_index("customer_id")["phone"].to_dict() == {own.of(["17850"])[0]: "0171"}
    assert own.typed("17850") == own.typed(own.of(["17850"])[0])


def test_another_key_is_another_shop_and_none_is_refused(shop, tmp_path, monkeypatch) -> None:
    config, digests = shop.config | {"pseudonymise": True}, set()
    for key in (SECRET, SECRET, f"{SECRET}!"):
        monkeypatch.setenv(KEY, key)
        digests.add(stage(config, tmp_path / "cache").digest)
    assert len(digests) == 2
    for key in ("", "short"):
        monkeypatch.setenv(KEY, key)
        with pytest.raises(InputError, match="pseudonyms need a key"):
            stage(config, tmp_path / "cache")


def test_a_consent_holds_from_its_start_until_its_withdrawal_for_its_purpose_and_channel() -> None:
    rows = [
        ("holds", "marketing", "e-mail", datetime(2024, 1, 1), None),
        ("withdrawn", "marketing", None, datetime(2024, 1, 1), datetime(2024, 5, 1, 12)),
        ("begins later", "marketing", None, datetime(2024, 5, 2), None),
        ("ends later", "marketing", None, datetime(2024, 1, 1), datetime(2024, 5, 2)),
        ("other purpose", "profiling", None, datetime(2024, 1, 1), None),
        ("any purpose", None, "post", datetime(2024, 1, 1), None),
        ("came back", "marketing", None, datetime(2024, 1, 1), datetime(2024, 2, 1)),
        ("came back", "marketing", None, datetime(2024, 3, 1), None),
    ]
    names = ["customer_id", "purpose", "channel", "starts_at", "ends_at"]
    consents = pd.DataFrame(rows, columns=names).astype({"starts_at": "datetime64[us]", "ends_at": "datetime64[us]"})
    lines = ibis.memtable(pd.DataFrame({"customer_id": ["holds"]}))
    tables = Tables(start=date(2024, 1, 1), end=date(2024, 4, 1), transactions=lines, consents=ibis.memtable(consents))

    def who(purpose: str, channel: str | None = None) -> set[str]:
        return set(consenting(tables, date(2024, 5, 1), purpose, channel).execute()["customer_id"])

    assert who("marketing") == {"holds", "ends later", "any purpose", "came back"}
    assert who("marketing", "e-mail") == {"holds", "ends later", "came back"}
    assert who("profiling") == {"other purpose", "any purpose"}
    with pytest.raises(InputError, match="no table of them"):
        consenting(tables.with_tables(consents=None), date(2024, 5, 1), "marketing")
