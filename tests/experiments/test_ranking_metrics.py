"""Metrics of ranked lists against hand-computed values and scikit-learn."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import label_ranking_average_precision_score, ndcg_score

from experiments.evaluation.bootstrap import paired_bootstrap
from experiments.evaluation.controls import permuted_within_cutoff
from experiments.evaluation.ranking_metrics import coverage, diversity, novelty, ranking_metrics

DAY = pd.Timestamp("2020-06-01")
METRICS = ranking_metrics((2, 5, 10), "recommends")


def pairs(rows: list[tuple[str, str, float, float]], total: dict[str, int]) -> tuple[pd.DataFrame, pd.Series]:
    """Return outcome and scores of rows of customer, product, score and bought."""
    frame = pd.DataFrame(rows, columns=["customer_id", "product_id", "score", "bought"]).assign(cutoff=DAY)
    frame["bought_products"] = frame["customer_id"].map(total).astype(float)
    frame = frame.set_index(["customer_id", "product_id", "cutoff"]).sort_index()
    return frame[["bought", "bought_products"]], frame["score"]


def test_hand_computed_figures_of_three_customers() -> None:
    """Ann buys two candidates and a product that is none; Bob buys nothing; Cy buys what is on place 3."""
    y, score = pairs(
        [
            ("ann", "milk", 0.9, 0.0),
            ("ann", "tea", 0.8, 1.0),
            ("ann", "rice", 0.7, 1.0),
            ("bob", "tea", 0.5, 0.0),
            ("cy", "milk", 0.3, 0.0),
            ("cy", "tea", 0.2, 0.0),
            ("cy", "rice", 0.1, 1.0),
        ],
        {"ann": 3, "bob": 0, "cy": 1},
    )
    second, third = 1 / np.log2(3), 1 / np.log2(4)
    expected = {
        "ndcg_5": {"ann": (second + third) / (1 + second + third), "cy": third},
        "ndcg_2": {"ann": second / (1 + second), "cy": 0},
        "hit_rate_2": {"ann": 1, "cy": 0},
        "precision_2": {"ann": 1 / 2, "cy": 0},
        "precision_5": {"ann": 2 / 5, "cy": 1 / 5},  # places that stay empty
        "recall_5": {"ann": 2 / 3, "cy": 1},
        "map_5": {"ann": (1 / 2 + 2 / 3) / 3, "cy": 1 / 3},
        "mrr_5": {"ann": 1 / 2, "cy": 1 / 3},
        "mrr_2": {"ann": 1 / 2, "cy": 0},
    }
    for name, values in expected.items():
        assert METRICS[name].values(y, score).to_dict() == pytest.approx(values), name
        assert METRICS[name](y, score) == pytest.approx(np.mean(list(values.values())))


def test_ndcg_and_precision_equal_scikit_learn_where_all_that_is_bought_is_a_candidate() -> None:
    rng = np.random.default_rng(0)
    bought, scores = rng.random((40, 12)) < 0.2, rng.random((40, 12))
    names = [f"c{i:02d}" for i in range(40)]
    rows = [(names[i], f"p{j:02d}", scores[i, j], float(bought[i, j])) for i in range(40) for j in range(12)]
    y, score = pairs(rows, dict(zip(names, bought.sum(axis=1), strict=True)))
    buys = bought.any(axis=1)
    for k in (2, 5, 10):
        assert METRICS[f"ndcg_{k}"](y, score) == pytest.approx(ndcg_score(bought[buys], scores[buys], k=k))
    own = ranking_metrics((12,), "")["map_12"]
    assert own(y, score) == pytest.approx(label_ranking_average_precision_score(bought[buys], scores[buys]))


def test_order_of_rows_changes_nothing_and_equal_scores_go_by_product() -> None:
    y, score = pairs([("a", p, 1.0, float(p == "p1")) for p in ("p0", "p1", "p2")], {"a": 1})
    assert METRICS["mrr_5"](y, score) == 1 / 2
    shuffled = y.sample(frac=1.0, random_state=3).index
    y, score = pairs([("a", p, s, b) for p, s, b in (("p0", 1, 0.0), ("p1", 3, 1.0), ("p2", 2, 1.0))], {"a": 2})
    for metric in METRICS.values():
        assert metric(y.loc[shuffled], score.loc[shuffled]) == metric(y, score)


def test_each_cutoff_has_a_list_of_its_own_and_a_customer_is_the_mean_of_them() -> None:
    y, score = pairs([("a", "p0", 1.0, 1.0), ("a", "p1", 0.5, 0.0)], {"a": 1})
    later = y.assign(bought=1 - y["bought"]).rename(index={DAY: DAY + pd.Timedelta(days=28)}, level="cutoff")
    both = pd.concat([y, later]).sort_index()
    scores = pd.concat([score, score.set_axis(later.index)]).sort_index()
    assert METRICS["mrr_5"].values(both, scores).to_dict() == {"a": (1 + 1 / 2) / 2}


def test_nobody_who_buys_has_no_figure_and_permuted_outcomes_have_one() -> None:
    y, score = pairs([("a", "p0", 1.0, 0.0), ("b", "p0", 0.5, 0.0)], {"a": 0, "b": 0})
    assert np.isnan(METRICS["ndcg_5"](y, score))
    rng = np.random.default_rng(1)
    rows = [(f"c{i}", f"p{j}", rng.random(), float(rng.random() < 0.2)) for i in range(60) for j in range(8)]
    total = pd.DataFrame(rows).groupby(0)[3].sum().astype(int).to_dict()
    y, score = pairs(rows, total)
    dealt = permuted_within_cutoff(y, 0)
    assert 0 < METRICS["ndcg_5"](dealt, score) < 1
    assert METRICS["recall_10"](dealt, score) <= 1
    perfect = y["bought"].rename("score")
    draws = paired_bootstrap(
        METRICS["ndcg_5"],
        y,
        {"perfect": perfect, "random": score},
        y.index.get_level_values("customer_id"),
        n_resamples=50,
        seed=0,
    )
    assert draws["perfect"].estimate == 1
    assert draws.gain("perfect", "random").lower_bound(0.05) > 0.2


def test_looks_of_lists() -> None:
    shown = pd.Series(["tea", "milk", "tea", "rice", "tea", "milk"])
    assert coverage(shown, 6) == 0.5
    assert novelty(np.array([0.5, 0.25])) == 1.5
    # Of three pairs of lists, one has both places in common and two have tea.
    assert diversity(shown, n_lists=3, k=2) == pytest.approx(1 - (1 / 2 + 1 / 2 + 1) / 3)
    assert diversity(pd.Series(["tea"] * 3), n_lists=3, k=1) == 0
    assert np.isnan(diversity(shown[:2], n_lists=1, k=2))
