"""Open baskets: which half of an order is known, candidates that complete it, and a future that changes nothing."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from hashlib import md5
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from simulated import CUTOFF, engine, open_shop, simulate, with_another_future

from features.engines import DuckDB
from features.families.open_baskets import FEATURES
from features.open_baskets import (
    BASKETS,
    KEY,
    OPEN_DAYS,
    SCHEMA,
    completions,
    half_known,
    products_added,
    scored_baskets,
)
from features.snapshot import feature_rows
from features.tables import Tables

GOODS = pd.DataFrame({"product_id": ["tea", "milk", "rice"], "category": ["drinks", "drinks", "dry"]})


def bought(*rows: tuple[str, str, int, str | None]) -> dict[str, pd.DataFrame]:
    """Return transactions of order, customer, day of May and product, in this order."""
    frame = pd.DataFrame(rows, columns=["order_id", "customer_id", "day", "product_id"])
    frame["timestamp"] = pd.Timestamp("2020-05-01 10:00") + pd.to_timedelta(frame.pop("day") - 1, unit="D")
    return {"transactions": frame.assign(line_number=range(len(frame)), amount=Decimal(1))}


def test_half_of_the_products_of_an_order_is_known_a_week_later(tmp_path: Path) -> None:
    on = engine(tmp_path)
    tables = open_shop(
        bought(
            ("o1", "a", 3, "tea"),
            ("o1", "a", 3, "milk"),
            ("o1", "a", 3, "tea"),
            ("o1", "a", 3, "rice"),
            ("o1", "a", 3, None),
            ("o2", "a", 4, "tea"),
            ("o3", "b", 5, "rice"),
            ("o3", "b", 5, "tea"),
        ),
        tmp_path,
        on,
    )
    found = on.frame(half_known(tables)).sort_values("line_number")
    late = (found["timestamp"] - pd.to_datetime("2020-05-01 10:00")).dt.days
    late_of = dict(zip(found["line_number"], late, strict=True))
    drawn = sorted(["tea", "milk", "rice"], key=lambda product: md5(f"o1 {product}".encode()).hexdigest())
    of_o1 = {"tea": late_of[0], "milk": late_of[1], "rice": late_of[3]}
    assert [of_o1[product] for product in drawn] == [2, 2, 2 + OPEN_DAYS]
    assert late_of[2] == late_of[0]  # a line of the same product
    assert (late_of[4], late_of[5]) == (2, 3)  # of no product, and of one
    assert sorted([late_of[6], late_of[7]]) == [4, 4 + OPEN_DAYS]
    assert list(found) == list(on.frame(tables.transactions))


def weeks(n: int = 20) -> pd.DataFrame:
    """Return lines of orders that hold tea and milk, and of orders that hold rice; one of tea alone is open."""
    rows = [(f"c{i}", product, f"old{i}", 20 + i) for i in range(n) for product in ("tea", "milk")]
    rows += [(f"c{i}", "rice", f"rice{i}", 10 + i) for i in range(n)]
    rows += [("c0", "tea", "open", 3), ("c1", "rice", "open", 2)]  # two customers' orders of one id
    return pd.DataFrame(rows, columns=["customer_id", "product_id", "order_id", "day"])


def test_candidates_of_a_basket_counted_by_hand() -> None:
    lines = weeks()
    found = scored_baskets(lines, GOODS).set_index(list(KEY))
    assert set(found.columns) == set(SCHEMA) - set(KEY)
    assert found.index.tolist() == [
        ("c0", "open", "milk"),
        ("c0", "open", "rice"),
        ("c1", "open", "milk"),
        ("c1", "open", "tea"),
    ]
    milk = found.loc[("c0", "open", "milk")]
    assert milk["basket_rule_confidence"] == pytest.approx(20 / 21)
    assert milk["basket_rule_lift"] == pytest.approx((20 / 21) / (20 / 42))
    assert milk["basket_product_share"] == pytest.approx(20 / 42)
    assert milk[["basket_size", "basket_own_orders", "basket_content"]].tolist() == [1, 1, 1]
    assert found.loc[("c0", "open", "rice"), "basket_rule_confidence"] == 0
    recent = [day for customer, product, order, day in lines.itertuples(index=False) if day <= 28 and product == "milk"]
    orders = lines.loc[lines["day"] <= 28, ["order_id", "customer_id"]].drop_duplicates()
    assert milk["basket_product_recent_share"] == pytest.approx(len(recent) / len(orders))
    shuffled = scored_baskets(lines.sample(frac=1.0, random_state=0), GOODS).set_index(list(KEY))
    pd.testing.assert_frame_equal(shuffled, found, check_exact=True)


@pytest.mark.parametrize(
    "lines",
    [weeks().iloc[:0], weeks().assign(day=99), pd.DataFrame([("a", "tea", "o", 1)], columns=list(weeks()))],
    ids=["nothing", "no open order", "one product"],
)
def test_shops_without_a_basket_to_complete_have_no_rows(lines: pd.DataFrame) -> None:
    found = scored_baskets(lines, GOODS)
    assert len(found) == 0
    assert set(found.columns) == set(SCHEMA)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> tuple[Tables, DuckDB, dict[str, pd.DataFrame]]:
    folder = tmp_path_factory.mktemp("shop")
    on, frames = engine(folder), simulate(2)
    whole = open_shop(frames, folder, on)
    return whole.with_tables(transactions=on.keep(half_known(whole))), on, frames


def test_an_order_gets_what_is_known_later_and_no_product_that_it_has(
    shop: tuple[Tables, DuckDB, dict[str, pd.DataFrame]],
) -> None:
    tables, on, frames = shop
    past, end = tables.as_of(CUTOFF), CUTOFF + timedelta(days=OPEN_DAYS)
    X = on.frame(feature_rows(past, list(FEATURES), BASKETS)).set_index(list(KEY))
    y = on.frame(products_added(tables.between(CUTOFF, end), BASKETS.rows(past), past)).set_index(list(KEY))
    assert X.index.is_unique
    assert set(X.index) == set(y.index)
    assert np.isfinite(X.to_numpy()).all()
    assert y["added"].sum() > 0
    lines = frames["transactions"].dropna(subset="product_id")
    whole = {*lines[list(KEY)].itertuples(index=False, name=None)}
    known = on.frame(past.transactions.select(*KEY))
    known = {*known.itertuples(index=False, name=None)}
    assert not set(X.index) & known
    assert set(y.index[y["added"] > 0]) == {key for key in X.index if key in whole}
    for (customer, order), total in y["added_products"].groupby(level=["customer_id", "order_id"]).max().items():
        assert total == len({key for key in whole - known if key[:2] == (customer, order)})
    days = lines.set_index("order_id")["timestamp"].loc[list(X.index.get_level_values("order_id"))]
    assert days.between(pd.Timestamp(CUTOFF - timedelta(days=OPEN_DAYS)), pd.Timestamp(CUTOFF)).all()


def test_another_future_changes_no_completion(
    shop: tuple[Tables, DuckDB, dict[str, pd.DataFrame]], tmp_path: Path
) -> None:
    _, on, frames = shop
    found = []
    for name, each in (("whole", frames), ("poisoned", with_another_future(frames, "poison"))):
        folder = tmp_path / name
        folder.mkdir()
        found.append(on.frame(completions(open_shop(each, folder, on).as_of(CUTOFF))))
    key = list(KEY)
    pd.testing.assert_frame_equal(*(each.sort_values(key, ignore_index=True) for each in found), check_exact=True)
