"""Rules equal mlxtend's, and reasons say what the lines of orders hold."""

from __future__ import annotations

import warnings
from datetime import date

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from simulated_baskets import COMPLEMENTS, DEGENERATE, frame_of, simulate

from features.affinity import Purchases, Reasons, rule_table
from features.affinity.rules import MEASURES, RULE, _lift
from features.errors import InputError

with warnings.catch_warnings():
    from mlxtend.frequent_patterns import association_rules, fpgrowth


def rules_of_mlxtend(past: Purchases, per: str, least: int, longest: int) -> pd.DataFrame:
    held = past.baskets(per).astype(bool)
    held = held[np.flatnonzero(np.diff(held.indptr))]
    frame = pd.DataFrame.sparse.from_spmatrix(held, columns=list(past.product_ids))
    sets = fpgrowth(frame, min_support=(least - 0.5) / held.shape[0], use_colnames=True, max_len=longest + 1)
    with np.errstate(all="ignore"):
        rules = association_rules(sets, metric="support", min_threshold=0.0)
    rules = rules[rules["consequents"].map(len) == 1]
    index = pd.MultiIndex.from_tuples(
        [(tuple(sorted(x)), *y) for x, y in zip(rules["antecedents"], rules["consequents"], strict=True)]
    )
    return rules.set_index(index)[list(MEASURES)].sort_index()


@pytest.mark.parametrize(("per", "longest"), [("order", 1), ("customer", 1), ("order", 2), ("order", 3)])
@pytest.mark.parametrize("seed", [21, 22])
def test_rules_equal_those_of_mlxtend(seed: int, per: str, longest: int) -> None:
    past = Purchases.of(simulate(seed, orders=500, products=30))
    least = 12 if per == "customer" else 6
    table = rule_table(past, per=per, min_count=least, longest=longest)
    found = table.set_index(pd.MultiIndex.from_frame(table[["antecedent", "consequent"]]))[list(MEASURES)].sort_index()
    expected = rules_of_mlxtend(past, per, least, longest)
    assert len(found) > 100
    assert found.index.tolist() == expected.index.tolist()
    np.testing.assert_allclose(found.to_numpy(), expected.to_numpy(), rtol=1e-12, atol=1e-12)


def test_longer_rules_hold_the_pairs_of_the_sparse_product() -> None:
    past = Purchases.of(simulate(23, orders=500, products=30))
    pairs, longer = (rule_table(past, min_count=5, longest=longest) for longest in (1, 2))
    alone = longer[longer["antecedent"].map(len) == 1].reset_index(drop=True)
    pd.testing.assert_frame_equal(alone, pairs, rtol=1e-14)


def test_planted_complements_lead_the_table_and_rows_do_not_matter() -> None:
    lines = simulate(24)
    table = rule_table(Purchases.of(lines), min_count=10)
    first = table.nlargest(6, "leverage")[["antecedent", "consequent"]].to_numpy()
    first = {(*antecedent, consequent) for antecedent, consequent in first}
    assert set(COMPLEMENTS) <= first
    shuffled = rule_table(Purchases.of(lines.sample(frac=1, random_state=1)), min_count=10)
    pd.testing.assert_frame_equal(shuffled, table)


def test_filters_keep_what_they_name() -> None:
    past = Purchases.of(simulate(25))
    every = rule_table(past)
    limits = {"min_support": "support", "min_confidence": "confidence", "min_lift": "lift", "min_count": "count"}
    for limit, column in limits.items():
        value = float(every[column].quantile(0.9))
        kept = rule_table(past, **{limit: value})
        pd.testing.assert_frame_equal(kept, every[every[column] >= value].reset_index(drop=True))
        assert 0 < len(kept) < len(every)
    named = rule_table(past, only=["p003"])
    assert len(named) == sum("p003" in (*x, y) for x, y in every[["antecedent", "consequent"]].values)
    assert rule_table(past.last(30))["baskets"].iloc[0] == past.last(30).n_orders < past.n_orders


def test_lift_of_a_large_shop_does_not_overflow() -> None:
    both, before, after = (np.array([count], dtype=np.int32) for count in (100_000, 200_000, 300_000))
    assert _lift(both, before, after, 1_000_000)[0] == pytest.approx(5 / 3)


def test_conviction_is_infinite_where_the_consequent_is_always_there() -> None:
    past = Purchases.of(
        frame_of([("x", item, order, 1) for order, items in {"1": "ab", "2": "ab", "3": "b"}.items() for item in items])
    )
    table = rule_table(past)
    assert table["conviction"].tolist() == [np.inf, pytest.approx(1.0)]
    assert table["lift"].tolist() == [1.0, 1.0]


@pytest.mark.parametrize("longest", [1, 2])
def test_rules_are_the_same_beside_a_rare_product_that_comes_first(longest: int) -> None:
    rows = simulate(21, orders=500, products=30)
    beside = pd.concat([rows, rows.head(1).assign(product_id="!")])
    with_it, without = (rule_table(Purchases.of(each), min_count=6, longest=longest) for each in (beside, rows))
    assert Purchases.of(beside).product_ids[0] == "!"
    assert len(with_it)
    pd.testing.assert_frame_equal(with_it, without)


@pytest.mark.parametrize("longest", [1, 2])
@pytest.mark.parametrize("case", ["none", "one purchase", "one product", "catalogue of three", "baskets of one"])
def test_degenerate_purchases_give_few_rules_or_none(case: str, longest: int) -> None:
    table = rule_table(Purchases.of(frame_of(DEGENERATE[case])), longest=longest)
    assert list(table.columns) == list(RULE)
    assert len(table) == (2 if case == "catalogue of three" else 0)


def test_an_order_of_2000_lines_is_too_much_for_a_table_and_says_so() -> None:
    with pytest.raises(InputError, match="raise min_count"):
        rule_table(Purchases.of(frame_of(DEGENERATE["2,000 lines in one order"])))


def test_reasons_tell_rhythm_rule_or_rank() -> None:
    names = {"cam": 'NEST "CAM", é 🍵', "bell": "BELL", "tea": "TEA", "pen": "PEN"}
    rows = [(f"x{i}", item, f"x{i}", 50) for i in range(3) for item in ("cam", "bell")]
    rows += [(f"y{i}", "tea", f"y{i}", 60) for i in range(5)] + [("y9", "bell", "y9", 60)]
    rows += [("ann", "tea", f"a{day}", day) for day in (39, 28, 15, 3)] + [("ann", "tea", "again", 15)]
    rows += [("ann", "cam", "a3", 3), ("ann", "pen", "b", 400)]
    past = Purchases.of(frame_of(rows))
    named = [names[product] for product in past.product_ids]  # bell, cam, pen, tea
    reasons = Reasons(past, date(2020, 12, 6), named)
    ann = int(np.flatnonzero(past.customer_ids == "ann")[0])
    everyone = np.array([ann, ann, ann, ann, int(np.flatnonzero(past.customer_ids == "y0")[0])])
    assert past.n_orders == 15  # bell on 4, cam on 4, both on 3: 3 x 15 / (4 x 4) = 2.8
    assert reasons.of_customers(everyone, np.array([3, 0, 1, 2, 0])).tolist() == [
        "every 12 days, last on 3 December",
        f"bought with {names['cam']} on 3 orders, 2.8 times as often as chance",
        "bought once, on 3 December",
        "bought once, on 2 November 2019",
        "on 4 orders, number 2 of best-sellers",
    ]
    baskets = sparse.csr_matrix([[0, 1, 0, 0], [0, 0, 0, 1]])
    assert reasons.of_baskets(baskets, np.array([0, 2])).tolist() == [
        f"bought with {names['cam']} on 3 orders, 2.8 times as often as chance",
        "on 1 order, number 4 of best-sellers",
    ]


def test_reasons_of_many_equal_those_told_one_by_one() -> None:
    past = Purchases.of(simulate(26, orders=400, products=40))
    reasons = Reasons(past, date(2020, 5, 1))
    rng = np.random.default_rng(0)
    customers, products = rng.integers(0, past.n_customers, 300), rng.integers(0, past.n_products, 300)
    alone = [reasons.of_customers(customers[[i]], products[[i]])[0] for i in range(300)]
    assert reasons.of_customers(customers, products).tolist() == alone
    for customer, product, reason in zip(customers, products, alone, strict=True):
        held = (past.customers == customer) & (past.products == product)
        days = np.unique(past.days[held])
        if len(days) > 1:
            assert reason.startswith(
                "every day," if round(np.median(np.diff(days))) == 1 else f"every {np.median(np.diff(days)):.0f} days,"
            )
        else:
            assert reason.startswith("bought once" if len(days) else ("bought with", "on "))
