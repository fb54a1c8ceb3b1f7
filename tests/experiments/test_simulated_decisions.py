"""Models that the gate puts to use where the truth is known: a few of the samples of benchmarks/decisions.md."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from experiments import open_session
from experiments.gate.sealed import CANDIDATE, resample
from experiments.tasks import TASKS
from seasonal_shops import shop
from simulated_decisions import decided, evidence_of, judge, replacements


@pytest.mark.slow
def test_in_seasonal_shops_what_is_used_is_later_better_than_by_other_rules(tmp_path: Path) -> None:
    """Of one to three years, growing and shrinking."""
    shops = [judge(seed, tmp_path, n_resamples=200) for seed in range(1_000, 1_004)]
    assert np.mean([one.regret(one.used) - one.regret(one.before) for one in shops]) < 0
    assert np.mean([one.regret(one.used) - one.regret(one.best) for one in shops]) <= 0


@pytest.mark.slow
def test_a_baseline_is_used_where_no_model_can_be_better(tmp_path: Path) -> None:
    """All customers were there before the data, and none drops out: past spend says all."""
    one = judge(3_001, tmp_path, n_resamples=200, lasting=True)
    assert one.used == "naive_past_total"
    assert one.regret(one.used) < 0.0025


def with_products(path: Path) -> None:
    """Make three lines of each order, of three products of 18, of which some are bought more often."""
    orders = pd.read_csv(path)
    lines = orders.loc[orders.index.repeat(3)].reset_index(drop=True)
    first = np.random.default_rng(0).zipf(1.5, len(orders)) % 6
    lines["product"] = [f"p{3 * code + part}" for code in first for part in range(3)]
    lines.assign(unit_price=lines["unit_price"] / 3).to_csv(path, index=False)


def of_a_category(folder: Path) -> list[str]:
    """Write the category of each product, and return the overrides that ask of one of them."""
    products = pd.DataFrame({"product": [f"p{number}" for number in range(18)]})
    products.assign(kind=[f"k{number // 3}" for number in products.index]).to_csv(folder / "products.csv", index=False)
    columns = ["++data.tables.products.columns.product_id=product", "++data.tables.products.columns.category=kind"]
    return [f"++data.tables.products.path={folder / 'products.csv'}", *columns, "task.category=k1", "features=rfm"]


@pytest.mark.slow
@pytest.mark.parametrize("task", TASKS)
def test_nothing_is_used_that_another_model_provably_beats(task: str, tmp_path: Path) -> None:
    one = shop(1_001, years=2, customers=900 if task == "basket_completion" else 500)  # few orders a week are open
    with_products(one.write(tmp_path))
    product = "++data.tables.transactions.columns.product_id=product"
    asked = of_a_category(tmp_path) if task == "propensity" else []
    session = open_session(task=task, folder=tmp_path, overrides=[*one.overrides(tmp_path), product, *asked])
    _, evidence = evidence_of(session, session.config.model.name)
    ahead = {**dict.fromkeys(evidence.baselines, 0.0), CANDIDATE: 1.0}  # at validation: what favours it most
    rows = {
        str(cutoffs[0]): len(session.training.at(*training).X)
        for training, cutoffs in [*session.splits.origins(6), (session.splits.refit(), session.splits.sealed_cutoffs)]
    }
    enough = {day for day, n_rows in rows.items() if n_rows >= max(rows.values()) / 2}
    assert {day for day, models in evidence.windows.items() if CANDIDATE in models} <= enough
    draws = resample(session.task, evidence, n_resamples=300, seed=0)
    for in_use in (None, CANDIDATE, *evidence.baselines):
        decision = decided(session, evidence, draws, in_use, ahead)
        assert decision.use is not None
        for name in {CANDIDATE, *evidence.baselines} - {decision.use.model}:
            gain = draws.gain(name, decision.use.model)
            level = decision.alpha * (0.8 if name == CANDIDATE else 0.2 / len(evidence.baselines))
            assert not (gain.p_at_most(0.0) < level and gain.estimate >= session.task.min_effect)


@pytest.mark.slow
def test_a_candidate_without_gain_replaces_nothing_and_one_with_a_gain_often_does() -> None:
    options = {"customers": 800, "repeats": 60, "n_resamples": 200, "seed": 0}
    false, true = (replacements(better=better, earlier=2, **options) for better in (0.0, 0.15))
    assert false.now <= 0.1  # 0.05, and chance among 60
    assert true.now > max(0.5, true.before)
