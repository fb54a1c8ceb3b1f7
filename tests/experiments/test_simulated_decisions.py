"""What the gate puts to use where the truth is known: a few of the samples of benchmarks/decisions.md."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from simulated_decisions import judge, replacements


@pytest.mark.slow
def test_in_seasonal_shops_the_best_measured_is_used(tmp_path: Path) -> None:
    """Of one to three years, growing and shrinking; never is the regret larger than by the rule of before."""
    shops = [judge(seed, tmp_path, n_resamples=200) for seed in range(8)]
    assert np.mean([one.used == one.best for one in shops]) >= 0.95
    assert np.mean([one.regret(one.used) - one.regret(one.before) for one in shops]) <= 0


@pytest.mark.slow
def test_a_candidate_without_gain_replaces_nothing_and_one_with_a_gain_often_does() -> None:
    options = {"customers": 800, "repeats": 60, "n_resamples": 200, "seed": 0}
    false, true = (replacements(better=better, earlier=2, **options) for better in (0.0, 0.15))
    assert false.now <= 0.1  # 0.05, and chance among 60
    assert true.now > max(0.5, true.before)
