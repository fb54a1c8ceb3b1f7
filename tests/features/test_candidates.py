"""Candidate pairs and learnt tables: hand-made shops, properties, and rules that look into the future."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import ibis
import ibis.expr.types as ir
import numpy as np
import pandas as pd
import pytest
from simulated import CUTOFF, END, engine, open_shop, simulate, with_another_future

from features import candidates as own
from features.candidates import (
    CANDIDATES,
    KEY,
    SCHEMA,
    candidates,
    product_names,
    products_bought,
    scored_by_network,
    scored_pairs,
)
from features.definitions import feature_hashes
from features.engines import DuckDB
from features.families import FAMILIES
from features.families.affinity import FEATURES
from features.families.registry import Family
from features.leakage import descriptive, moving_features, moving_rows
from features.learnt import Results, as_declared, code_hash, learnt
from features.snapshot import definition_hash, feature_rows
from features.tables import Tables
from features.tampering import Tamperer

ODD = ['tea, green "loose"', "élan 🍵", "'; drop table x", "milk"]


def lines(*bought: tuple[str, str, str, int]) -> pd.DataFrame:
    """Return lines of customer, product, order and days before the cutoff."""
    return pd.DataFrame(bought, columns=["customer_id", "product_id", "order_id", "day"])


GOODS = pd.DataFrame(
    {"product_id": ["tea", "milk", "rice"], "category": ["drinks", "drinks", "dry"], "price": [3.0, 1.0, 2.0]}
)


def everyone(of: pd.DataFrame, *strangers: str) -> pd.DataFrame:
    return pd.DataFrame({"customer_id": [*of["customer_id"].unique(), *strangers]})


def scored(of: pd.DataFrame, *strangers: str) -> pd.DataFrame:
    found = scored_pairs(of, everyone(of, *strangers), GOODS)
    assert set(found.columns) == set(SCHEMA)
    assert not found.duplicated(list(KEY)).any()
    return found.set_index(list(KEY))


def regulars(n: int = 12) -> pd.DataFrame:
    """Customers who buy tea and milk together every ten days, and customers who buy rice alone."""
    rows = []
    for i in range(n):
        for visit in range(5):
            rows += [(f"t{i}", product, f"t{i}-{visit}", 10 * visit + 1) for product in ("tea", "milk")]
            rows.append((f"r{i}", "rice", f"r{i}-{visit}", 10 * visit + 3))
    return lines(*rows)


def test_own_facts_and_rules_counted_by_hand() -> None:
    shop = pd.concat([regulars(), lines(("new", "milk", "n1", 2))])
    found = scored(shop)
    pair = found.loc[("t0", "tea")]
    assert pair[["own_orders", "own_since_days", "own_gap_days", "own_overdue_ratio"]].tolist() == [5, 0, 10, 0]
    assert pair["own_frequency"] == pytest.approx(sum(0.5 ** (10 * visit / 120) for visit in range(5)))
    assert pair["product_buyer_share"] == 12 / 25  # twelve and twelve regulars, and the new one
    offered = found.loc[("new", "tea")]
    assert offered[["own_orders", "own_since_days"]].tolist() == [0, own.NEVER_DAYS]
    assert offered["rule_confidence"] == pytest.approx(60 / 61)  # of 61 orders with milk, 60 have tea
    assert offered["rule_lift"] == pytest.approx((60 / 61) / (60 / 121))
    assert offered["rule_support"] == pytest.approx(60 / 121)
    assert found.loc[("new", "rice"), "rule_confidence"] == 0
    assert (offered["content"], found.loc[("new", "rice"), "content"]) == (1, 0)  # by category, in another price band
    assert offered["ease"] > found.loc[("new", "rice"), "ease"]


def test_the_order_of_rows_changes_nothing() -> None:
    shop = regulars()
    pd.testing.assert_frame_equal(scored(shop), scored(shop.sample(frac=1.0, random_state=0)), check_exact=True)


def test_what_is_not_sold_any_more_is_left_out_and_a_rare_product_in_a_quiet_month_is_not() -> None:
    gone = [(f"t{i}", "old tea", f"g{i}-{visit}", 60 + 5 * visit) for i in range(12) for visit in range(4)]
    rare = [("t1", "gift", "x1", 300), ("t2", "gift", "x2", 200), ("t3", "gift", "x3", 40)]
    found = scored(pd.concat([regulars(), lines(*gone, *rare)])).reset_index()
    assert "old tea" not in set(found["product_id"])
    assert "gift" in set(found["product_id"])


def test_a_product_that_nobody_buys_again_is_not_offered_to_who_just_bought_it() -> None:
    oven = [(f"t{i}", "oven", f"o{i}", 5 + 20 * i) for i in range(12)]
    found = scored(pd.concat([regulars(), lines(*oven)]))
    assert ("t0", "oven") not in found.index  # bought 4 days before the last day
    assert ("t3", "oven") in found.index
    assert ("t0", "tea") in found.index  # bought yesterday, and bought again by everybody


def test_a_customer_of_whom_no_product_is_known_gets_best_sellers() -> None:
    found = scored(regulars(), "stranger").loc["stranger"]
    assert set(found.index) == {"tea", "milk", "rice"}
    assert (found[["own_orders", "ease", "rule_confidence"]] == 0).all(axis=None)


@pytest.mark.parametrize(
    "shop",
    [
        lines(),
        lines(("a", "tea", "o1", 1)),
        lines(("a", "tea", "o1", 9), ("a", "tea", "o2", 3), ("b", "tea", "o3", 4)),
        lines(*((f"c{i}", product, f"o{i}", 1 + i) for i in range(9) for product in ODD)),
        lines(*(("a", f"p{i}", "huge", 4) for i in range(2_000))),
    ],
    ids=["nothing", "one purchase", "one product", "odd names", "2,000 lines in one order"],
)
def test_shops_with_next_to_nothing(shop: pd.DataFrame) -> None:
    found = scored(shop, "stranger")
    assert np.isfinite(found.to_numpy(dtype=float)).all()
    assert set(found.index.get_level_values("product_id")) <= set(shop["product_id"])
    if len(shop) and shop["product_id"].nunique() < 50:
        assert found.groupby("product_id").size().to_dict() == dict.fromkeys(
            shop["product_id"].unique(), shop["customer_id"].nunique() + 1
        )


def test_a_network_tells_what_goes_with_what_and_knows_nothing_of_strangers() -> None:
    shop = pd.concat([regulars(), lines(("new", "milk", "n1", 2))])
    rows = scored(shop, "stranger").reset_index()[list(KEY)]
    found = scored_by_network(shop, rows.sample(frac=1.0, random_state=0)).set_index(list(KEY))["autoencoder"]
    assert len(found) == len(rows)
    assert found["new", "tea"] > found["new", "rice"]
    assert (found["stranger"] == 0).all()


# On an engine


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> tuple[Tables, DuckDB, dict[str, pd.DataFrame]]:
    folder = tmp_path_factory.mktemp("shop")
    on, frames = engine(folder), simulate(0)
    return open_shop(frames, folder, on), on, frames


def test_rows_have_features_and_outcomes_and_no_row_twice(shop: tuple[Tables, DuckDB, object]) -> None:
    tables, on, _ = shop
    past = tables.as_of(CUTOFF)
    rows = on.frame(feature_rows(past, [*FEATURES, "frequency", "autoencoder"], CANDIDATES)).set_index(list(KEY))
    assert rows.index.is_unique
    assert rows["autoencoder"].std() > 0
    assert np.isfinite(rows.to_numpy()).all()
    y = on.frame(products_bought(tables.between(CUTOFF, END), CANDIDATES.rows(past), past)).set_index(list(KEY))
    assert set(y.index) == set(rows.index)
    of_customer = y.groupby("customer_id").agg({"bought": "sum", "bought_products": ["min", "max"]})
    assert (of_customer["bought_products", "min"] == of_customer["bought_products", "max"]).all()
    assert (of_customer["bought", "sum"] <= of_customer["bought_products", "max"]).all()
    assert 0 < y["bought"].mean() < 1


@pytest.mark.parametrize("change", ["drop", "append", "poison"])
def test_another_future_changes_no_candidate_and_no_score(
    shop: tuple[Tables, DuckDB, dict[str, pd.DataFrame]], tmp_path: Path, change: str
) -> None:
    tables, on, frames = shop
    other = open_shop(with_another_future(frames, change), tmp_path, on)
    before, after = (
        on.frame(candidates(each.as_of(CUTOFF))).sort_values(list(KEY), ignore_index=True) for each in (tables, other)
    )
    pd.testing.assert_frame_equal(before, after, check_exact=True)


def planted(build: Callable[[Tables], ir.Table]) -> Family:
    return Family("planted", ("transactions",), {"leak": "a planted leak"}, build, complete=True, grain=CANDIDATES)


@pytest.mark.slow
def test_rules_that_are_learnt_from_rows_after_the_cutoff_are_caught(
    shop: tuple[Tables, DuckDB, object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The planted family scores the honest candidates by rules of all days, as a script over the whole data would."""
    tables, on, _ = shop

    def of_all_days(past: Tables) -> ir.Table:
        later = candidates(tables.as_of(END)).select(*KEY, leak="rule_confidence")
        return candidates(past).select(*KEY).left_join(later, list(KEY)).select(*KEY, "leak")

    monkeypatch.setitem(FAMILIES, "planted", planted(of_all_days))
    assert "by another way than as_of" in descriptive(["leak"], CANDIDATES)["leak"]
    tamperer = Tamperer(tables, on, tmp_path)
    names = ["leak", "rule_confidence", "ease"]
    moved = [each for _, found in moving_features(tamperer, names, [CUTOFF], CANDIDATES) for each in found]
    assert {each.what for each in moved} == {"leak"}
    assert {each.table for each in moved} == {"transactions"}
    assert not [each for found in moving_rows(tamperer, [CUTOFF], CANDIDATES) for each in found]


def test_people_read_a_name_a_kind_or_the_id(tmp_path: Path) -> None:
    on, frames = engine(tmp_path), simulate(1)
    goods = frames["products"].assign(name=None, subcategory=None)
    goods.loc[:1, ["name", "subcategory"]] = [["Tea", "drinks"], [None, "dry"]]
    tables = open_shop({**frames, "products": goods.iloc[:30]}, tmp_path, on)
    names = on.frame(product_names(tables.as_of(CUTOFF))).set_index("product_id")["name"]
    assert names[["p0", "p1", "p2", "p39"]].tolist() == ["Tea", "dry", "p2", "p39"]


# Learnt tables


def doubled(lines: pd.DataFrame) -> pd.DataFrame:
    CALLS.append(len(lines))
    return lines.assign(n=2.0 * lines["n"])


CALLS: list[int] = []


def test_a_learnt_table_runs_when_it_is_read_and_once_for_several_expressions(tmp_path: Path) -> None:
    on = engine(tmp_path)
    table = ibis.memtable(pd.DataFrame({"customer_id": ["a", "b"], "n": [1.0, 2.0]}))
    twice = learnt(doubled, {"lines": table}, {"customer_id": "string", "n": "float64"})
    joined = twice.join(table.rename(m="n"), "customer_id").filter(ibis._.n > 2)
    CALLS.clear()
    assert on.frame(joined)[["customer_id", "n", "m"]].to_numpy().tolist() == [["b", 4.0, 2.0]]
    nested = learnt(doubled, {"lines": twice}, {"customer_id": "string", "n": "float64"})
    assert on.frame(nested)["n"].tolist() == [4.0, 8.0]
    beside = nested.join(twice.rename(m="n"), "customer_id")  # one that another reads too
    assert on.frame(beside)[["n", "m"]].to_numpy().tolist() == [[4.0, 2.0], [8.0, 4.0]]
    assert "learnt_" in ibis.to_sql(as_declared(beside), dialect="duckdb")
    assert CALLS == [2, 2]
    assert on.keep(twice).count().execute() == 2
    on.write(twice.order_by("customer_id"), tmp_path / "twice.parquet")
    assert pd.read_parquet(tmp_path / "twice.parquet")["n"].tolist() == [2.0, 4.0]
    assert CALLS == [2, 2]
    for calls in ([2, 2], [2, 2, 2]):
        on.read(tmp_path / "twice.parquet", "again")  # from the second time on the name may stand for other rows
        on.frame(twice)
        assert calls == CALLS


def test_a_function_is_called_with_the_same_rows_in_two_rounds_and_in_no_third() -> None:
    """Rows are the same in another order and in another table; a function that gives others is called on."""
    rows = pd.DataFrame({"customer_id": ["a", "b"], "n": [1.0, 2.0]})
    schema = {"customer_id": "string", "n": "float64"}
    same = [learnt(doubled, {"lines": ibis.memtable(each)}, schema) for each in (rows, rows[::-1], rows)]
    other = learnt(doubled, {"lines": ibis.memtable(rows.assign(n=[1.0, 3.0]))}, schema)
    results = Results(lambda expression: expression.execute())
    CALLS.clear()
    calls = []
    with results.reusing():
        for _ in range(3):
            for table in (*same, other):
                results.read("a table")
                results.within(table)
            calls.append(len(CALLS))
            results.next_round()
    assert calls == [2, 4, 4]
    results.within(same[1])
    assert len(CALLS) == 5

    counted = [learnt(calls_so_far, {"lines": ibis.memtable(rows)}, schema) for _ in range(3)]
    with results.reusing():
        for table in counted:
            results.within(table)
            results.next_round()
    assert len(CALLS) == 8


def calls_so_far(lines: pd.DataFrame) -> pd.DataFrame:
    CALLS.append(len(lines))
    return lines.assign(n=float(len(CALLS)))


def test_results_beyond_the_limit_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("features.learnt.KEPT_BYTES", 0)
    results = Results(lambda expression: expression.execute())
    tables = [
        learnt(doubled, {"lines": ibis.memtable(pd.DataFrame({"customer_id": ["a"], "n": [n]}))}, {"n": "float64"})
        for n in (1.0, 2.0)
    ]
    CALLS.clear()
    for table in (*tables, tables[0], tables[0]):
        results.within(table)
    assert CALLS == [1, 1, 1]


def test_the_fingerprint_follows_the_tables_and_the_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = ["ease", "own_orders"]
    before = feature_hashes(names, CANDIDATES), definition_hash(names, CANDIDATES)
    assert before == (feature_hashes(names, CANDIDATES), definition_hash(names, CANDIDATES))
    file = tmp_path / "module.py"
    file.write_text('"""Text."""\ndef f(x):\n    """Text."""\n    return x + 1  # comment\n')
    module = type("Module", (), {"__file__": str(file)})
    first = code_hash(module)
    file.write_text("def f( x ):\n    return x+1\n")
    code_hash.cache_clear()
    assert code_hash(module) == first
    file.write_text("def f(x):\n    return x + 2\n")
    code_hash.cache_clear()
    assert code_hash(module) != first
    past = ibis.table({"customer_id": "string", "n": "float64"}, name="past")
    one, other = (
        ibis.to_sql(as_declared(learnt(doubled, {"lines": of}, {"n": "float64"})), dialect="duckdb")
        for of in (past, past.filter(past.n > 0))
    )
    assert one != other


def test_a_function_that_cannot_be_found_again_is_refused() -> None:
    with pytest.raises(ValueError, match="is not a function of the module"):
        learnt(lambda lines: lines, {}, {"n": "float64"})
