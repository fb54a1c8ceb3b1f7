"""Scorers against published formulas, other libraries, hand-computed values and planted complements."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from simulated_baskets import COMPLEMENTS, DEGENERATE, frame_of, simulate
from sklearn.metrics.pairwise import cosine_similarity

from features.affinity import (
    Autoencoder,
    BestSellers,
    Content,
    DecayedNeighbours,
    Ease,
    Factors,
    ItemNeighbours,
    OwnFrequency,
    Purchases,
    Rules,
    Scorer,
    best,
    pair_counts,
    similarity,
)
from features.affinity.ease import inverse
from features.errors import InputError

SCORERS: dict[str, Scorer] = {
    "best_sellers": BestSellers(),
    "recent_best_sellers": BestSellers(days=28, per="customer"),
    "own_frequency": OwnFrequency(half_life_days=30),
    "confidence": Rules(),
    "lift": Rules(by="lift", combined="sum", k=10, per="customer"),
    "item_neighbours": ItemNeighbours(k=20, shrinkage=2.0),
    "ease": Ease(l2=20.0),
    "factors": Factors(n=8),
    "decayed_neighbours": DecayedNeighbours(k=10, group_size=3),
    "content": Content(),
    "autoencoder": Autoencoder(units=4, epochs=2),
}


def attributes(past: Purchases, name: str) -> dict[str, list]:
    """Attributes of products for the scorer that needs them, some of them unknown."""
    if name != "content":
        return {}
    return {
        "category": [None if at % 7 == 0 else f"category {at % 4}" for at in range(past.n_products)],
        "price": [None if at % 5 == 0 else float(at) for at in range(past.n_products)],
    }


@pytest.fixture(scope="module")
def past() -> Purchases:
    return Purchases.of(simulate(1))


def test_purchases_merge_lines_of_one_order_and_product() -> None:
    rows = [
        ("b", "tea", "2", 5),
        ("a", "tea", "1", 9),
        ("a", "tea", "1", 9),
        ("a", "milk", "1", 8),
        ("b", None, "2", 5),
    ]
    past = Purchases.of(frame_of(rows))  # type: ignore[arg-type]
    assert past.customer_ids.tolist() == ["a", "b"]
    assert past.product_ids.tolist() == ["milk", "tea"]
    assert past.products.tolist() == [0, 1, 1]
    assert past.customers.tolist() == [0, 0, 1]
    assert past.orders.tolist() == [0, 0, 1]
    assert past.days.tolist() == [8, 8, 5]  # an order is of its latest day
    assert (past.popularity.tolist(), past.buyers.tolist(), past.n_orders) == ([1, 2], [1, 2], 2)
    recent = past.last(7)
    assert (recent.n_orders, recent.popularity.tolist()) == (1, [0, 1])


@pytest.mark.parametrize(
    ("rows", "named"),
    [([("a", "tea", "1", 0)], "cutoff"), ([(None, "tea", "1", 2)], "customer_id"), ([("a", "tea", "1", None)], "day")],
)
def test_purchases_refuse_lines_after_the_cutoff_or_of_nobody(rows: list, named: str) -> None:
    with pytest.raises(InputError, match=named):
        Purchases.of(frame_of(rows))


@pytest.mark.parametrize("scorer", [Rules(minimum_count=1, k=4), Rules(by="lift", k=4), ItemNeighbours(k=4)])
def test_weights_do_not_depend_on_the_block_that_is_in_memory(
    scorer: Rules | ItemNeighbours, past: Purchases, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = scorer.fit(past).weights_
    monkeypatch.setattr(similarity, "BLOCK", 7)
    parts = scorer.fit(past).weights_
    assert (parts != whole).nnz == 0
    assert parts.indices.tolist() == whole.indices.tolist()
    assert not parts.diagonal().any()


@pytest.mark.parametrize("per", ["order", "customer"])
@pytest.mark.parametrize("block", [7, 2_000])
def test_pair_counts_equal_the_dense_product(past: Purchases, per: str, block: int) -> None:
    held = np.zeros((past.n_orders if per == "order" else past.n_customers, past.n_products), dtype=int)
    held[past.orders if per == "order" else past.customers, past.products] = 1
    dense = held.T @ held
    assert (pair_counts(past, per, block=block).toarray() == dense).all()
    assert (pair_counts(past, per, minimum=3, block=block).toarray() == np.where(dense < 3, 0, dense)).all()


@pytest.mark.parametrize("name", SCORERS)
def test_order_of_rows_and_blocks_do_not_change_scores(name: str, past: Purchases) -> None:
    shuffled = Purchases.of(simulate(1).sample(frac=1, random_state=5).reset_index(drop=True))
    scorer, everyone = SCORERS[name], np.arange(past.n_customers)
    expected = scorer.fit(past, **attributes(past, name)).scores(everyone)
    lists = scorer.lists(everyone, 5)
    assert expected.shape == (past.n_customers, past.n_products)
    assert np.isfinite(expected).all()
    np.testing.assert_array_equal(scorer.fit(shuffled, **attributes(past, name)).scores(everyone), expected)
    for whole, blocks in zip(lists, scorer.lists(everyone, 5, most=past.n_products * 7), strict=True):
        np.testing.assert_allclose(blocks, whole, rtol=1e-12)


@pytest.mark.parametrize("name", [name for name in SCORERS if name != "autoencoder"])
def test_a_customer_alone_has_the_scores_that_it_has_among_others_bit_by_bit(name: str, past: Purchases) -> None:
    """Three customers bought the same: each has two neighbours at no distance, and is none of its own."""
    lines, twin = simulate(1), simulate(1).query("customer_id == 'c007'")
    twins = [twin.assign(customer_id=who, order_id=twin["order_id"] + who) for who in ("a", "z")]
    among = Purchases.of(pd.concat([lines, *twins]))
    known = attributes(among, name)
    scorer = SCORERS[name].fit(among, **known)
    everyone = scorer.scores(np.arange(among.n_customers))
    stored = type(scorer)(**vars_of(scorer)).of_learnt(scorer.learnt)
    for at in range(among.n_customers):
        np.testing.assert_array_equal(stored.scores_of(among.of_customers(np.array([at]))), everyone[[at]])


def vars_of(scorer: Scorer) -> dict[str, object]:
    """The parameters of a scorer."""
    return {name: value for name, value in vars(scorer).items() if not name.endswith("_")}


def test_ease_is_the_solution_of_steck_2019(past: Purchases) -> None:
    """Equation 8, by a plain dense inverse; and no other weights with an empty diagonal have a smaller loss."""
    x, l2 = past.baskets("customer").toarray().astype(float), 20.0
    p = np.linalg.inv(x.T @ x + l2 * np.eye(past.n_products))
    b = -p / np.diag(p)[None, :]
    np.fill_diagonal(b, 0.0)
    scorer = Ease(l2=l2).fit(past)
    np.testing.assert_allclose(scorer.weights_, b, atol=1e-12)
    np.testing.assert_allclose(scorer.scores(np.arange(past.n_customers)), x @ b, atol=1e-10)

    def loss(weights: np.ndarray) -> float:
        return float(((x - x @ weights) ** 2).sum() + l2 * (weights**2).sum())

    rng = np.random.default_rng(0)
    for _ in range(5):
        change = rng.normal(size=b.shape) * 1e-3
        np.fill_diagonal(change, 0.0)
        assert loss(b + change) > loss(b)


def test_ease_of_the_most_bought_is_ease_without_the_others(past: Purchases) -> None:
    scorer = Ease(l2=5.0, most_products=30).fit(past)
    fewer = Ease(l2=5.0).fit(past.where(np.isin(past.products, scorer.items_)))
    assert len(scorer.items_) == 30
    assert past.popularity[scorer.items_].min() >= np.delete(past.popularity, scorer.items_).max()
    everyone = np.arange(past.n_customers)
    np.testing.assert_allclose(scorer.scores(everyone), fewer.scores(everyone), atol=1e-12)


def test_inverse_by_cholesky_equals_a_plain_inverse_across_tiles() -> None:
    x = np.random.default_rng(3).normal(size=(900, 700))
    gram = x.T @ x
    np.testing.assert_allclose(inverse(np.asfortranarray(gram)), np.linalg.inv(gram), atol=1e-10)
    with pytest.raises(InputError, match="l2"):
        inverse(np.asfortranarray([[1.0, 2.0], [2.0, 1.0]]))


def test_item_neighbours_equal_cosine_similarity_of_scikit_learn(past: Purchases) -> None:
    x = past.baskets("customer").astype(float)
    cosine = cosine_similarity(x.T)
    np.fill_diagonal(cosine, 0.0)
    everyone = np.arange(past.n_customers)
    np.testing.assert_allclose(ItemNeighbours(k=None).fit(past).scores(everyone), x @ cosine, atol=1e-12)
    kept = ItemNeighbours(k=5).fit(past).weights_.toarray()
    assert ((kept > 0).sum(axis=1) <= 5).all()
    np.testing.assert_allclose(np.sort(kept, axis=1)[:, -5:], np.sort(cosine, axis=1)[:, -5:], atol=1e-12)


def test_rules_are_the_best_rule_of_the_basket_by_definition() -> None:
    orders = {"1": "ab", "2": "ab", "3": "abc", "4": "bc", "5": "c", "6": "cd"}
    past = Purchases.of(frame_of([("x", item, order, 1) for order, items in orders.items() for item in items]))
    basket = sparse.csr_matrix([[1, 0, 1, 0]])  # a and c
    # n = 6; a: 3, b: 4, c: 4, d: 1; ab 3, bc 2, ac 1, cd 1
    by_confidence = Rules(minimum_count=1).fit(past).basket_scores(basket)
    np.testing.assert_allclose(by_confidence, [[1 / 4, 3 / 3, 1 / 3, 1 / 4]])
    by_lift = Rules(by="lift", minimum_count=1).fit(past).basket_scores(basket)
    np.testing.assert_allclose(by_lift, [[6 / (3 * 4), 3 * 6 / (3 * 4), 6 / (3 * 4), 6 / 4]])
    summed = Rules(minimum_count=2, combined="sum").fit(past).basket_scores(basket)
    np.testing.assert_allclose(summed, [[0, 3 / 3 + 2 / 4, 0, 0]])
    strongest = Rules(minimum_count=1, k=1, combined="sum").fit(past).basket_scores(basket)
    np.testing.assert_allclose(strongest, [[0, 3 / 3 + 2 / 4, 0, 0]])


def test_factors_are_the_best_approximation_of_eckart_and_young(past: Purchases) -> None:
    x = past.baskets("customer").toarray().astype(float)
    left, size, right = np.linalg.svd(x, full_matrices=False)
    everyone = np.arange(past.n_customers)
    expected = (left[:, :8] * size[:8]) @ right[:8]
    np.testing.assert_allclose(Factors(n=8).fit(past).scores(everyone), expected, atol=1e-8)


def test_factors_of_a_large_shop_equal_the_whole_decomposition() -> None:
    past = Purchases.of(simulate(2, customers=300, orders=1_200, products=260))
    x = past.baskets("customer").toarray().astype(float)
    left, size, right = np.linalg.svd(x, full_matrices=False)
    assert min(x.shape) > 200
    expected = (left[:, :6] * size[:6]) @ right[:6]
    np.testing.assert_allclose(Factors(n=6).fit(past).scores(np.arange(past.n_customers)), expected, atol=1e-8)


def test_own_frequency_halves_with_age(past: Purchases) -> None:
    scores = OwnFrequency(half_life_days=10).fit(past).scores(np.array([3]))
    mine = past.customers == 3
    expected = np.zeros(past.n_products)
    np.add.at(expected, past.products[mine], 0.5 ** ((past.days[mine] - 1) / 10))
    np.testing.assert_allclose(scores, [expected])


def test_decayed_neighbours_by_hand_as_hu_et_al_2020() -> None:
    orders = [("ann", "1", 40, "ab"), ("ann", "2", 30, "a"), ("ann", "3", 20, "b"), ("ann", "4", 20, "ac")]
    orders += [("bob", "5", 9, "a"), ("bob", "6", 8, "d"), ("cem", "7", 3, "e")]
    past = Purchases.of(frame_of([(who, item, order, day) for who, order, day, items in orders for item in items]))
    scorer = DecayedNeighbours(k=1, group_size=3, order_decay=0.5, group_decay=0.2, own_share=0.6).fit(past)
    # ann: order 1 alone is the older group; 2, 3, 4 (of one day, by id) weigh 1/4, 1/2, 1, divided by 3
    ann = np.array([0.2 + (1 / 4 + 1) / 3, 0.2 + (1 / 2) / 3, 1 / 3, 0, 0]) / 2
    bob, cem = np.array([0.5 / 2, 0, 0, 1 / 2, 0]), np.array([0, 0, 0, 0, 1.0])
    np.testing.assert_allclose(scorer.vectors_of(past).toarray(), [ann, bob, cem])
    assert np.linalg.norm(cem - ann) < np.linalg.norm(cem - bob)
    expected = [0.6 * ann + 0.4 * bob, 0.6 * bob + 0.4 * ann, 0.6 * cem + 0.4 * ann]
    np.testing.assert_allclose(scorer.scores(np.arange(3)), expected)


def test_decayed_neighbours_equal_the_definition_with_dense_distances(past: Purchases) -> None:
    scorer = DecayedNeighbours(k=7, own_share=0.3).fit(past)
    vectors = scorer.vectors_of(past).toarray()
    distance = np.linalg.norm(vectors[:, None, :] - vectors[None, :, :], axis=2)
    np.fill_diagonal(distance, np.inf)
    near = np.argsort(distance, axis=1, kind="stable")[:, :7]
    expected = 0.3 * vectors + 0.7 * vectors[near].mean(axis=1)
    np.testing.assert_allclose(scorer.scores(np.arange(past.n_customers)), expected, atol=1e-12)


def test_content_is_the_share_of_purchases_with_the_same_attributes() -> None:
    lines = [
        ("ann", "a", "1", 5),
        ("ann", "b", "1", 5),
        ("ann", "a", "2", 3),
        ("bob", "d", "3", 2),
        ("bob", "c", "4", 2),
    ]
    past = Purchases.of(frame_of(lines))
    category, price = ["x", "x", "y", None], [1.0, 9.0, 5.0, 5.0]
    scorer = Content(category=2.0, price=1.0, bands=2).fit(past, category=category, price=price)
    # a is in the cheap half of x, b in the dear one; c is alone in y; of d nothing is known
    np.testing.assert_allclose(scorer.scores(np.array([0, 1])), [[2 + 2 / 3, 2 + 1 / 3, 0, 0], [0, 0, 3 / 2, 0]])
    with pytest.raises(InputError, match="one value per product"):
        Content().fit(past, brand=["x"])
    with pytest.raises(InputError, match="no attribute"):
        Content().fit(past)


def test_autoencoder_recovers_groups_of_customers() -> None:
    rng = np.random.default_rng(5)
    rows = [
        (f"c{customer:02d}", f"p{item:02d}", f"o{customer}", 1)
        for customer in range(80)
        for item in 10 * (customer % 3) + rng.choice(10, 6, replace=False)
    ]
    past = Purchases.of(frame_of(rows))
    scorer = Autoencoder(units=8, epochs=60, learning_rate=0.01).fit(past)
    positions, _ = scorer.lists(np.arange(80), 4, without=past.baskets("customer"))
    assert (positions // 10 == (np.arange(80) % 3)[:, None]).mean() > 0.95


@pytest.mark.parametrize("seed", [11, 12, 13])
@pytest.mark.parametrize(
    "scorer",
    [
        Rules(),
        Rules(by="lift", minimum_count=10),
        ItemNeighbours(per="order"),
        Ease(l2=20.0, per="order"),
    ],
    ids=lambda scorer: f"{type(scorer).__name__}-{vars(scorer).get('by', '')}",
)
def test_planted_complements_are_recovered(scorer: Scorer, seed: int) -> None:
    past = Purchases.of(simulate(seed))
    scorer.fit(past)
    for product, partner in COMPLEMENTS:
        basket = sparse.csr_matrix((past.product_ids == product).astype(int))
        positions, _ = best(scorer.basket_scores(basket), 3, without=basket)
        assert partner in past.product_ids[positions[0]]


def test_best_sorts_by_score_then_popularity_then_id() -> None:
    rng = np.random.default_rng(4)
    scores = rng.integers(0, 4, (50, 30)).astype(float)  # many equal ones
    scores[rng.random(scores.shape) < 0.1] = np.nan
    without, popularity = rng.random(scores.shape) < 0.3, rng.integers(0, 3, 30)
    for k in (1, 7, 30, 40):
        positions, values = best(scores, k, without=without, popularity=popularity)
        sparsely = best(scores, k, without=sparse.csr_matrix(without), popularity=popularity)
        np.testing.assert_array_equal(positions, sparsely[0])
        for row in range(len(scores)):
            allowed = [p for p in range(30) if not without[row, p] and not np.isnan(scores[row, p])]
            expected = sorted(allowed, key=lambda p: (-scores[row, p], -popularity[p], p))[:k]
            assert positions[row].tolist() == expected + [-1] * (k - len(expected))
            np.testing.assert_array_equal(values[row, : len(expected)], scores[row, expected])
            assert np.isnan(values[row, len(expected) :]).all()


@pytest.mark.parametrize("case", DEGENERATE)
@pytest.mark.parametrize("name", SCORERS)
def test_degenerate_purchases_give_finite_scores_and_lists(name: str, case: str) -> None:
    past = Purchases.of(frame_of(DEGENERATE[case]))
    scorer = SCORERS[name].fit(past, **attributes(past, name))
    everyone = np.arange(past.n_customers)
    scores = scorer.scores(everyone)
    assert scores.shape == (past.n_customers, past.n_products)
    assert np.isfinite(scores).all()
    positions, values = scorer.lists(everyone, 5, without=past.baskets("customer"))
    assert ((positions >= 0).sum(axis=1) == np.minimum(past.n_products - past.counts().getnnz(axis=1), 5)).all()
    assert (np.isnan(values) == (positions < 0)).all()


@pytest.mark.parametrize(
    ("scorer", "named"),
    [
        (Ease(l2=0), "l2"),
        (Rules(by="leverage"), "by"),  # type: ignore[arg-type]
        (Factors(n=0), "n "),
        (ItemNeighbours(per="basket"), "per"),  # type: ignore[arg-type]
        (OwnFrequency(half_life_days=0), "half_life_days"),
        (BestSellers(days=0), "days"),
        (DecayedNeighbours(group_decay=1.5), "group_decay"),
        (Autoencoder(hidden_share=1.0), "hidden_share"),
    ],
)
def test_parameters_out_of_range_are_refused_by_name(scorer: Scorer, named: str, past: Purchases) -> None:
    with pytest.raises(InputError, match=named):
        scorer.fit(past)
