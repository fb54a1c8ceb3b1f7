"""The gate's rule on gains whose distribution is known."""

from __future__ import annotations

import math

import numpy as np
import pytest

from experiments.evaluation.bootstrap import Distribution, Draws
from experiments.evaluation.decision import Decision, alpha_of_look, decide

RNG = np.random.default_rng(0)
NOISE = RNG.normal(size=4000)


def decision(gain: float, se: float, *, champion_gain: float | None = None, **changes: object) -> Decision:
    """Decide on a candidate whose gain over the naive model is normal with this mean and standard error."""
    models = {"naive": 0.5, "candidate": 0.5 + gain}
    draws = {
        "naive": Distribution(0.5, np.full(4000, 0.5)),
        "candidate": Distribution(0.5 + gain, 0.5 + gain + se * NOISE),
    }
    if champion_gain is not None:
        draws["champion"] = Distribution(
            models["candidate"] - champion_gain, draws["candidate"].draws - champion_gain - se * NOISE[::-1]
        )
    arguments = {
        "candidate": "candidate",
        "naive": ["naive"],
        "champion": "champion" if champion_gain is not None else None,
        "min_effect": 0.005,
        "alpha": alpha_of_look(1),
        "confidence": 0.95,
        "metrics": {"total_ratio": 1.0},
        "guards": {"total_ratio": (0.8, 1.25)},
        "ranking_only": False,
    }
    return decide(Draws(changes.pop("draws", draws)), **{**arguments, **changes})


def test_levels_of_all_looks_add_up_to_five_percent() -> None:
    assert sum(alpha_of_look(k) for k in range(1, 200_000)) == pytest.approx(0.05, abs=1e-6)
    assert alpha_of_look(1) == pytest.approx(0.3 / math.pi**2)


@pytest.mark.parametrize(
    ("gain", "se", "verdict", "promoted"),
    [
        (0.020, 0.003, "strong", True),
        (0.010, 0.004, "weak", True),
        (0.010, 0.010, "undecided", False),
        (0.000, 0.0005, "none", False),
        (-0.004, 0.004, "undecided", False),  # a difference of .011 would be found, one of .005 would not
        (-0.030, 0.004, "none", False),  # a loss is shown
        (0.003, 0.0005, "weak", False),  # shown, and too small to be worth a change
    ],
)
def test_verdict_follows_from_interval_and_detectable_gain(
    gain: float, se: float, verdict: str, promoted: bool
) -> None:
    outcome = decision(gain, se)
    assert (outcome.verdict, outcome.promote) == (verdict, promoted)
    assert bool(outcome.reasons) != outcome.promote


def test_smallest_detectable_gain_is_found_four_times_in_five() -> None:
    comparison = decision(0.0, 0.004).comparisons[0]
    found = comparison.detectable + 0.004 * NOISE > 0.004 * 1.8745  # z of 1 - .0304
    assert comparison.detectable == pytest.approx((1.8745 + 0.8416) * 0.004, rel=0.03)
    assert found.mean() == pytest.approx(0.8, abs=0.02)


def test_candidate_must_beat_the_champion_too() -> None:
    assert decision(0.05, 0.003, champion_gain=0.02).promote
    refused = decision(0.05, 0.003, champion_gain=0.0)
    assert not refused.promote
    assert "over champion is not shown" in refused.reasons[0]


def test_candidate_must_beat_every_naive_model_and_is_judged_by_the_nearest() -> None:
    draws = {
        "weak": Distribution(0.4, np.full(4000, 0.4)),
        "strong": Distribution(0.549, np.full(4000, 0.549)),
        "candidate": Distribution(0.55, 0.55 + 0.003 * NOISE),
    }
    outcome = decision(0, 0, draws=draws, naive=["weak", "strong"])
    assert (outcome.naive, outcome.naive_estimate, outcome.verdict) == ("strong", 0.549, "undecided")
    assert not outcome.promote
    assert len(outcome.reasons) == 1
    assert "over strong" in outcome.reasons[0]


def test_guard_and_ranking_only_refuse_what_the_gain_allows() -> None:
    outside = decision(0.05, 0.003, metrics={"total_ratio": 0.79})
    assert outside.reasons == ("total_ratio is 0.790, outside its guard [0.8, 1.25]",)
    assert not decision(0.05, 0.003, ranking_only=True).promote


def test_a_gain_that_is_no_number_promotes_nothing() -> None:
    nowhere = np.full(4000, np.nan)
    draws = {"naive": Distribution(np.nan, nowhere), "candidate": Distribution(0.5, 0.5 + 0.003 * NOISE)}
    outcome = decision(0, 0, draws=draws)
    assert not outcome.promote
    assert outcome.verdict == "undecided"


def test_a_later_look_asks_for_more() -> None:
    assert decision(0.0075, 0.0037, alpha=alpha_of_look(1)).promote
    assert not decision(0.0075, 0.0037, alpha=alpha_of_look(4)).promote
