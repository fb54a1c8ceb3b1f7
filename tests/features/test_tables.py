"""Canonical tables: what each declares, what is known when, and how files fill them."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import ibis
import pandas as pd
import pytest
from simulated import CUTOFF, END, START, engine, open_shop, simulate

from features import tables as canonical
from features.errors import InputError
from features.sources import stage
from features.tables import MOMENT, SPECS, Tables, blank_tables

DAY = pd.Timestamp(CUTOFF)
NEW = {
    "events": (
        "who,at,what,visit\n17850,2010-12-01 08:00:00,view,v1\nnobody,2010-12-02 09:00:00,cart,v2\n",
        {"customer_id": "who", "occurred_at": "at", "kind": "what", "session_id": "visit"},
    ),
    "messages": (
        "id,to,sent,opened\nm1,17850,2010-12-01 08:00:00,2010-12-01 09:30:00\nm2,13047,2010-12-02 08:00:00,\n",
        {"message_id": "id", "customer_id": "to", "sent_at": "sent", "opened_at": "opened"},
    ),
    "surveys": (
        "who,q,on,points\n17850,nps,2010-12-02,9\n13047,nps,2010-12-03,10\n",
        {"customer_id": "who", "question": "q", "answered_at": "on", "score": "points"},
    ),
    "consents": (
        "who,why,since,until\n17850,marketing,2010-12-01,\n13047,marketing,2010-12-01,2010-12-03\n",
        {"customer_id": "who", "purpose": "why", "starts_at": "since", "ends_at": "until"},
    ),
    "returns": (
        "who,on,back\n17850,2010-12-02,3.39\n13047,2010-12-03,1.85\n",
        {"customer_id": "who", "returned_at": "on", "amount": "back"},
    ),
    "identities": ("cookie,who\na1,17850\nb2,17850\n", {"id": "cookie", "customer_id": "who"}),
    "stock": (
        "product,day,left\n22633,2010-12-01,7\n22633,2010-12-02,3\n",
        {"product_id": "product", "counted_at": "day", "units": "left"},
    ),
}


@pytest.fixture(scope="module")
def on(tmp_path_factory):
    return engine(tmp_path_factory.mktemp("spill"))


@pytest.fixture(scope="module")
def shop(on, tmp_path_factory):
    return open_shop(simulate(seed=4), tmp_path_factory.mktemp("tables"), on)


@pytest.mark.parametrize("name", SPECS)
def test_a_table_declares_a_key_and_moments_among_its_columns(name):
    spec = SPECS[name]
    assert spec.meaning
    assert set(spec.key) <= spec.columns.keys()
    moments = {spec.known_at, spec.facts_known_at, *spec.known_later.values()} - {None}
    assert all(spec.columns[moment].type == MOMENT for moment in moments)
    assert spec.known_at is None or spec.columns[spec.known_at].required
    assert not any(spec.columns[column].required for column in spec.known_later)
    assert all(spec.columns[moment].known_at == moment for moment in spec.known_later.values())
    assert all(column.meaning for column in spec.columns.values())


def test_each_file_of_the_package_is_a_table_and_transactions_come_first():
    files = {path.stem for path in Path(canonical.__file__).parent.glob("*.py")}
    assert set(SPECS) == files - {"__init__", "base"}
    assert list(SPECS) == ["transactions", *sorted(SPECS.keys() - {"transactions"})]


def test_tables_map_the_names_that_the_shop_has(shop):
    assert list(shop) == [name for name in SPECS if name in shop]
    assert len(shop) == len(shop.present()) == len(dict(shop))
    assert shop["contacts"].equals(shop.contacts)
    assert "discounts" not in shop
    assert shop.discounts is None
    with pytest.raises(KeyError):
        shop["discounts"]
    with pytest.raises(AttributeError):
        shop.discount  # noqa: B018
    bare = shop.with_tables(contacts=None)
    assert "contacts" not in bare
    assert (bare.start, bare.end, bare.burn_in_days) == (shop.start, shop.end, shop.burn_in_days)
    with pytest.raises(TypeError, match="custmers"):
        shop.with_tables(custmers=shop.customers)
    with pytest.raises(TypeError, match="transactions is missing"):
        Tables(start=START, end=END, customers=shop.customers)
    assert set(blank_tables(START, END)) == set(SPECS)


def test_what_became_known_after_the_cutoff_is_null_while_its_row_stays(shop, on):
    whole = on.frame(shop["messages"])
    past = on.frame(shop.as_of(CUTOFF)["messages"])
    known = whole[whole["sent_at"] < DAY].set_index("message_id")
    assert set(past["message_id"]) == set(known.index)
    past = past.set_index("message_id").loc[known.index]
    for column in ("opened_at", "clicked_at"):
        expected = known[column].where(known[column] < DAY)
        assert (known[column] >= DAY).any()
        pd.testing.assert_series_equal(past[column], expected)
    assert (past["device"].notna() == (known["opened_at"] < DAY)).all()
    consents = on.frame(shop.as_of(CUTOFF)["consents"])
    assert len(consents) == (on.frame(shop["consents"])["starts_at"] < DAY).sum()
    assert (consents["ends_at"].dropna() < DAY).all()


def test_a_window_holds_what_was_sent_or_opened_in_it(shop, on):
    end = date(2020, 7, 1)
    inside = on.frame(shop.between(CUTOFF, end)["messages"]).set_index("message_id")
    whole = on.frame(shop["messages"]).set_index("message_id")
    within = {c: (whole[c] >= DAY) & (whole[c] < pd.Timestamp(end)) for c in ("sent_at", "opened_at", "clicked_at")}
    assert set(inside.index) == set(whole.index[within["sent_at"] | within["opened_at"] | within["clicked_at"]])
    assert (inside["sent_at"] < DAY).any()
    for column in ("opened_at", "clicked_at"):
        expected = whole.loc[inside.index, column].where(within[column].loc[inside.index])
        pd.testing.assert_series_equal(inside[column], expected)


@pytest.mark.parametrize(("name", "key"), [("customers", "customer_id"), ("products", "product_id")])
def test_facts_whose_date_is_known_appear_on_it_and_without_a_date_never(name, key, shop, on):
    """A survey that those who stayed fill in at the end would tell, by its mere presence, that they stayed."""
    facts = shop[name]
    number = ibis.row_number().over(order_by=key)
    moments = [DAY - pd.Timedelta(days=1), DAY, None]
    dated = facts.mutate(
        known_at=ibis.cases(*((number % 3 == n, ibis.literal(at, MOMENT)) for n, at in enumerate(moments)))
    )
    tables = shop.with_tables(**{name: dated})
    everyone = on.frame(dated)
    before = on.frame(tables.as_of(CUTOFF)[name])
    after = on.frame(tables.between(CUTOFF, END)[name])
    assert set(before[key]) == set(everyone.loc[everyone["known_at"] < DAY, key])
    assert set(after[key]) == set(everyone.loc[everyone["known_at"].notna(), key])
    assert 0 < len(before) < len(after) < len(everyone)


class TestFiles:
    @pytest.fixture
    def with_new_tables(self, online_retail):
        for name, (text, columns) in NEW.items():
            (online_retail.folder / f"{name}.csv").write_text(text)
            online_retail.config["tables"][name] = {"path": f"{name}.csv", "columns": dict(columns)}
        online_retail.config["rules"]["undated_identity"] = "keep"
        return online_retail

    @pytest.mark.slow
    def test_fill_every_new_table(self, with_new_tables, tmp_path, on):
        staged = stage(with_new_tables.config, tmp_path / "cache")
        assert staged.rows == {"transactions": 4, **dict.fromkeys(NEW, 2)}
        tables = staged.open(engine(tmp_path))
        assert set(tables) == {"transactions", *NEW}
        frames = {
            name: pd.read_parquet(staged.folder / f"{name}.parquet").sort_values(list(SPECS[name].key)) for name in NEW
        }
        assert list(frames["events"]["event_number"]) == [1, 2]
        assert frames["messages"].set_index("message_id")["opened_at"].notna().to_dict() == {"m1": True, "m2": False}
        assert frames["consents"].set_index("customer_id")["ends_at"].isna().to_dict() == {
            "17850": True,
            "13047": False,
        }
        assert frames["surveys"].set_index("customer_id")["score"].to_dict() == {"17850": 9.0, "13047": 10.0}
        assert [float(units) for units in frames["stock"]["units"]] == [7.0, 3.0]

    @pytest.mark.quick(2)
    @pytest.mark.parametrize(
        ("name", "line", "words"),
        [
            ("surveys", "1,nps,2010-12-05,11", "surveys.score is out of range"),
            ("stock", "22633,2010-12-05,-1", "stock.units is out of range"),
            ("events", ",2010-12-05 08:00:00,view,v3", "events.customer_id lacks values"),
            ("identities", "a1,13047", "identities give one id to several customers"),
            ("messages", "m1,17850,2010-12-05 08:00:00,", "messages has the same key on several rows"),
            ("consents", "1,marketing,soon,", "consents.starts_at has values that cannot be read"),
        ],
    )
    def test_with_a_wrong_value_are_refused_by_table_and_column(self, with_new_tables, tmp_path, name, line, words):
        config, file = with_new_tables.config, with_new_tables.folder / f"{name}.csv"
        config["tables"] = {table: config["tables"][table] for table in ("transactions", name)}
        file.write_text(f"{file.read_text()}{line}\n")
        with pytest.raises(InputError, match=words):
            stage(config, tmp_path / "cache")
