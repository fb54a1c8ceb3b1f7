"""The gate's rule on gains of a known distribution."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from experiments.evaluation.bootstrap import Distribution, Draws, PooledDraws
from experiments.evaluation.spend_metrics import SPEND_METRICS
from experiments.evaluation.validation import Evaluation
from experiments.gate.clues import Clues, Part, parts_of, rise
from experiments.gate.decision_page import decision_page, figure, statement
from experiments.gate.next_steps import advise
from experiments.gate.rule import Decision, Measured, alpha_of_look, correct, decide, holm
from experiments.tasks.clv import CustomerValue
from experiments.workflow.promote import plain_lines

CLV = CustomerValue(
    90,
    "gini",
    min_effect=0.005,
    guards={},
    minimum={},
    amounts={"reliable": (0.8, 1.25), "rough": (0.5, 2.0)},
    discount_rate=0.0,
    margin=1.0,
    contact_cost=1.5,
)
RNG = np.random.default_rng(0)
NOISE = RNG.normal(size=4000)


SEALED = "2017-10-03"


def decision(gain: float, se: float, *, in_use_gain: float | None = None, **changes: object) -> Decision:
    """Decide on a candidate whose gain over the baseline is normal with this mean and standard error.

    `in_use_gain` is its gain over the model in use, with the same standard error.
    """
    draws = {
        "naive": Distribution(0.5, np.full(4000, 0.5)),
        "candidate": Distribution(0.5 + gain, 0.5 + gain + se * NOISE),
    }
    if in_use_gain is not None:
        draws["champion"] = Distribution(
            0.5 + gain - in_use_gain, draws["candidate"].draws - in_use_gain - se * NOISE[::-1]
        )
    arguments = {
        "candidate": "candidate",
        "baselines": ["naive"],
        "in_use": "champion" if in_use_gain is not None else None,
        "metric": "gini",
        "min_effect": 0.005,
        "alpha": alpha_of_look(1),
        "confidence": 0.95,
        "metrics": {"total_ratio": 1.0},
        "guards": {"total_ratio": (0.8, 1.25)},
        "labels": {"champion": "version 1, BG/NBD"},
        "validated": {},
    }
    windows = changes.pop("windows", {SEALED: changes.pop("draws", draws)})
    return decide(PooledDraws({day: Draws(models) for day, models in windows.items()}), **{**arguments, **changes})


def normal(mean: float, se: float, noise: np.ndarray = NOISE) -> Distribution:
    return Distribution(mean, mean + se * noise)


def test_a_gain_is_said_in_plain_words_and_in_money_as_far_as_it_was_measured() -> None:
    looked = decision(0.010, 0.002)
    metrics = {"captured_spend_20": 0.517, "naive/captured_spend_20": 0.512, "worth_of_gain": 300_000.0}
    metrics |= {"profit_20": 601_038.0, "naive/profit_20": 595_528.0, "contact_cost": 1.5}
    metrics |= {"total_ratio": 1.1, "total_ratio_low": 1.02, "total_ratio_high": 1.19}
    metrics |= {"total_ratio_lowest_tenth": 1.95, "total_ratio_highest_tenth": 1.0}
    words, money, profit, total = plain_lines(CLV, looked, {f"sealed/{k}": v for k, v in metrics.items()}, "USD")
    assert words.endswith("in the sealed window: 51.7%; naive: 51.2%")
    low, high = (f"{300_000 * bound:,.0f}" for bound in looked.nearest.interval)
    assert "a gain of 0.005, the smallest that matters, is 1,500 USD more" in money
    assert money.endswith(f"the gain found is 3,000 (95% interval {low} to {high})")
    assert profit.endswith("predicted highest, less 1.5 for each: 601,038 USD; naive: 595,528")
    assert total.endswith("1.10 (95% interval 1.02 to 1.19); of the tenth predicted lowest 1.95, highest 1.00")
    assert plain_lines(CLV, looked, {"sealed/total_ratio": 1.1}, "USD") == []


def test_levels_of_all_looks_add_up_to_five_percent() -> None:
    assert sum(alpha_of_look(k) for k in range(1, 200_000)) == pytest.approx(0.05, abs=1e-6)
    assert alpha_of_look(1) == pytest.approx(0.3 / math.pi**2)


@pytest.mark.parametrize(
    ("gain", "se", "verdict", "first", "replaces"),
    [
        (0.020, 0.003, "strong", True, True),
        (0.010, 0.004, "weak", True, True),
        (0.010, 0.010, "undecided", True, False),
        (-0.001, 0.0005, "none", False, False),
        (-0.004, 0.004, "undecided", False, False),  # a difference of .011 would be found, one of .005 would not
        (-0.030, 0.004, "none", False, False),  # a loss is shown
        (0.003, 0.0005, "weak", True, False),  # shown, and too small to be worth a change
    ],
)
def test_verdict_and_use_are_two_answers(gain: float, se: float, verdict: str, first: bool, replaces: bool) -> None:
    """The verdict needs an interval; a first use the better estimate; a replacement both."""
    for in_use, promoted in ((None, first), ("naive", replaces)):
        outcome = decision(gain, se, in_use=in_use)
        assert (outcome.verdict, outcome.promote) == (verdict, promoted)
        assert bool(outcome.reasons) != outcome.promote
        assert outcome.use.model == ("candidate" if promoted else "naive")
        assert (outcome.stay is not None) == (in_use is not None and promoted)


def test_none_is_said_at_its_level_where_several_baselines_are_as_good_as_the_candidate() -> None:
    """Windows in which a candidate and four baselines differ by chance alone, too small to show an absent gain."""
    rng = np.random.default_rng(0)
    names, se = ["a", "b", "c", "d", "candidate"], 0.01
    noise = dict(zip(names, se * rng.standard_normal((5, 1500)), strict=True))
    said, level = [], alpha_of_look(1)
    for _ in range(300):
        draws = {
            name: Distribution(at, at + noise[name]) for name in names for at in [0.6 + se * rng.standard_normal()]
        }
        pooled = PooledDraws({SEALED: Draws(draws)})
        found = Measured(pooled, "candidate", tuple(names[:4]), None, 0.005, level, 0.95, {}, {}).over_nearest()
        said.append(found.verdict(found.p_values, level, 0.005) == "none")
    assert 0 < np.mean(said) < level + 2 * np.sqrt(level / 300)  # 0.088 where it is not corrected


def test_smallest_detectable_gain_is_found_with_a_power_of_80_percent() -> None:
    comparison = decision(0.0, 0.004).comparisons[0]
    found = comparison.detectable + 0.004 * NOISE > 0.004 * 1.8745  # z of 1 - .0304
    assert comparison.detectable == pytest.approx((1.8745 + 0.8416) * 0.004, rel=0.03)
    assert found.mean() == pytest.approx(0.8, abs=0.02)


def test_only_what_is_in_use_must_be_beaten() -> None:
    assert decision(0.05, 0.003, in_use_gain=0.02).use.model == "candidate"
    kept = decision(0.05, 0.003, in_use_gain=0.0)
    assert (kept.use.model, kept.verdict) == ("champion", "strong")
    assert (
        "the gain over version 1, BG/NBD is +0.0000 in the window from 2017-10-03, and it is not shown"
        in kept.reasons[0]
    )

    # A worse baseline is in use. The candidate beats it, and is not shown to be better than another one.
    draws = {"poor": normal(0.5, 0), "good": normal(0.59, 0), "candidate": normal(0.60, 0.006)}
    outcome = decision(0, 0, draws=draws, baselines=["poor", "good"], in_use="poor")
    assert (outcome.baseline, outcome.verdict, outcome.use.model) == ("good", "undecided", "candidate")
    assert (outcome.use.other, outcome.use.other_estimate) == ("good", 0.59)


def test_with_nothing_in_use_the_best_measured_is_used_and_shown_beside_the_second() -> None:
    """The case of two unseen shops: of three baselines the worst was used, and the best figure printed beside it."""
    draws = {"lately": normal(0.685, 0.01), "total": normal(0.781, 0.01), "rate": normal(0.70, 0.01)}
    baselines = list(draws)
    outcome = decision(0, 0, draws={**draws, "candidate": normal(0.779, 0.01)}, baselines=baselines)
    assert (outcome.use.model, outcome.use.estimate) == ("total", 0.781)
    assert (outcome.use.other, outcome.use.other_estimate) == ("candidate", 0.779)
    assert outcome.reasons == ("total measured better in the window from 2017-10-03: the gain over it is -0.0020",)
    assert decision(0, 0, draws={**draws, "candidate": normal(0.783, 0.01)}, baselines=baselines).promote


@pytest.mark.parametrize(
    ("lead", "validated_gain", "used"),
    [
        (0.009, 0.010, "candidate"),  # of three baselines as good as the candidate, one leads by as much by chance
        (0.011, 0.020, "total"),  # 3 p < 1/2
        (0.009, 0.008, "total"),
        (0.009, -0.010, "total"),
        (0.009, None, "total"),  # it is not known
    ],
)
def test_a_baselines_lead_that_may_be_chance_is_weighed_against_validation(
    lead: float, validated_gain: float | None, used: str
) -> None:
    draws = {"rate": normal(0.70, 0), "lately": normal(0.69, 0), "total": normal(0.78, 0)}
    validated = {**dict.fromkeys(draws, 0.6), "rate": 0.7, "candidate": 0.7 + (validated_gain or 0)}
    changes = {
        "baselines": list(draws),
        "draws": {**draws, "candidate": normal(0.78 - lead, 0.01)},
        "validated": {} if validated_gain is None else validated,
    }
    outcome = decision(0, 0, **changes)
    assert (outcome.use.model, outcome.promote) == (used, used == "candidate")
    if used == "candidate":
        assert outcome.use.reason == (
            "total measured better by 0.0090, which may be chance; at validation this model led all baselines by 0.0100"
        )
        assert outcome.use.other == "total"
    else:
        is_said = "at validation that over the best baseline was" in outcome.reasons[0]
        assert is_said == (validated_gain is not None and lead < 0.01)
    broken = decision(0, 0, **changes, metrics={"total_ratio": 0.79})
    assert (broken.use.model, broken.use.reason) == ("total", "it measured best of the baselines")


def test_a_candidate_in_use_stays_unless_a_baseline_is_shown_to_be_better() -> None:
    kept = decision(-0.004, 0.004, in_use="candidate")
    assert (kept.use.model, kept.promote, kept.reasons) == ("candidate", True, ())
    assert [comparison.rival for comparison in kept.comparisons] == ["naive"]
    replaced = decision(-0.0107, 0.004, in_use="candidate")
    assert (replaced.use.model, replaced.stay.model) == ("naive", "candidate")
    (beside,) = correct([replaced], unseen=7)  # among eight tasks the baseline's gain is not shown
    assert (beside.promote, beside.use, beside.reasons) == (True, "candidate", ())


def test_a_shown_replacement_is_not_lost_to_a_model_that_is_not_shown_to_be_better_than_what_is_in_use() -> None:
    windows = {
        "2017-07-05": {"naive": normal(0.60, 0.001)},
        SEALED: {
            "naive": normal(0.595, 0.02),
            "candidate": normal(0.57, 0.001),
            "champion": normal(0.55, 0.001),
        },
    }
    outcome = decision(0, 0, windows=windows, in_use="champion")
    assert outcome.use.model == "candidate"


def test_baselines_are_ranked_over_all_windows_and_the_candidate_beside_the_best_of_them() -> None:
    earlier = {"a": normal(0.70, 0.001), "b": normal(0.60, 0.001)}
    sealed = {"a": normal(0.50, 0.001), "b": normal(0.55, 0.001), "candidate": normal(0.52, 0.001)}
    outcome = decision(0, 0, windows={"2017-07-05": earlier, SEALED: sealed}, baselines=["a", "b"])
    # a is better over both windows, 0.600 beside 0.575, and b in the sealed one, which the verdict is about.
    assert (outcome.baseline, outcome.verdict) == ("b", "none")
    assert outcome.backtest == {SEALED: pytest.approx(-0.03)}
    assert outcome.use.model != "candidate"  # b beats it, provably


def test_the_figure_beside_what_is_used_is_the_best_other_one_in_the_same_windows() -> None:
    """A new user's case: 0.516 was printed as the best of the others where another baseline had 0.573."""
    earlier = {"lately": normal(0.55, 0.01), "lifetime": normal(0.50, 0.01)}
    sealed = {"lately": normal(0.516, 0.01), "lifetime": normal(0.573, 0.01), "candidate": normal(0.652, 0.01)}
    outcome = decision(0, 0, windows={"2017-07-05": earlier, SEALED: sealed}, baselines=["lately", "lifetime"])
    assert (outcome.use.model, outcome.use.other, outcome.use.other_estimate) == ("candidate", "lifetime", 0.573)
    assert (outcome.baseline, outcome.nearest.gain) == ("lifetime", pytest.approx(0.079))


def test_gains_are_pooled_over_the_windows_that_both_models_share() -> None:
    """Noise of a customer that is the same in both windows does not average out; noise of a window does."""
    shared, own = NOISE, RNG.normal(size=4000)
    for noise, standard_error in ((shared, 0.004), (own, 0.004 / math.sqrt(2))):
        windows = {
            "2017-07-05": {"naive": normal(0.5, 0), "candidate": normal(0.52, 0.004, noise)},
            SEALED: {"naive": normal(0.5, 0), "candidate": normal(0.51, 0.004)},
        }
        nearest = decision(0, 0, windows=windows).nearest
        assert (nearest.gain, nearest.windows) == (pytest.approx(0.015), ("2017-07-05", SEALED))
        assert nearest.detectable == pytest.approx((1.8745 + 0.8416) * standard_error, rel=0.05)


@pytest.mark.parametrize("validated", [{}, {"a": 0.5, "b": 0.5, "c": 0.5, "candidate": 0.6}])
@pytest.mark.parametrize("in_use", [None, "candidate", "a", "b", "champion"])
def test_no_other_model_beats_provably_what_is_used(in_use: str | None, validated: dict[str, float]) -> None:
    rng = np.random.default_rng(1)
    names = ["a", "b", "c", "candidate", "champion"]
    for _ in range(60):
        true = dict(zip(names, 0.6 + 0.02 * rng.normal(size=5), strict=True))
        windows = {
            day: {name: normal(true[name] + 0.004 * rng.normal(), 0.004, rng.normal(size=400)) for name in models}
            for day, models in {"2017-04-06": names[:3], "2017-07-05": names[:3], SEALED: names}.items()
        }
        outcome = decision(0, 0, windows=windows, baselines=names[:3], in_use=in_use, validated=validated)
        draws = PooledDraws({day: Draws(models) for day, models in windows.items()})
        for name in {"a", "b", "c", "candidate", *([in_use] if in_use else [])} - {outcome.use.model}:
            gain = draws.gain(name, outcome.use.model)
            corrected = 0.8 * outcome.alpha if name == "candidate" else 0.2 * outcome.alpha / 4
            assert not (gain.p_at_most(0.0) < corrected and gain.estimate >= 0.005)


def test_a_guard_refuses_what_the_gain_allows() -> None:
    outside = decision(0.05, 0.003, metrics={"total_ratio": 0.79})
    assert outside.reasons == ("total_ratio is 0.790, outside its guard [0.8, 1.25]",)
    assert (outside.verdict, outside.use.model, outside.use.reason) == (
        "strong",
        "naive",
        "it measured best of the baselines",
    )


def test_a_decision_comes_back_from_a_ledger_with_the_keys_of_older_ones() -> None:
    outcome = decision(0.02, 0.003)
    record = json.loads(json.dumps(outcome.to_record()))
    assert {"naive", "n_naive"} <= record.keys()
    assert json.dumps(Decision.recorded(record).to_record()) == json.dumps(record)
    for newer in ("use", "stay", "p_replace"):
        del record[newer]
    for comparison in record["comparisons"]:
        del comparison["windows"]
    older = Decision.recorded(record)
    assert (older.use, older.nearest.windows) == (None, ())
    assert correct([older])[0].use == ""


def test_an_undefined_gain_promotes_nothing() -> None:
    nowhere = np.full(4000, np.nan)
    draws = {"naive": Distribution(np.nan, nowhere), "candidate": Distribution(0.5, 0.5 + 0.003 * NOISE)}
    outcome = decision(0, 0, draws=draws)
    assert outcome.verdict == "undecided"
    assert not decision(0, 0, draws=draws, in_use="naive").promote


def test_a_later_look_requires_a_larger_gain() -> None:
    assert decision(0.0075, 0.0037, in_use="naive", alpha=alpha_of_look(1)).promote
    assert not decision(0.0075, 0.0037, in_use="naive", alpha=alpha_of_look(4)).promote


def test_bounds_and_p_values_agree() -> None:
    for gain in (0.0, 0.004, 0.009, 0.02):
        for alpha in (0.01, alpha_of_look(1), 0.2):
            comparison = decision(gain, 0.004, alpha=alpha).nearest
            assert (comparison.p_values["gain"] < alpha) == (comparison.lower > 0)
            assert (comparison.p_values["effect"] < alpha) == (comparison.lower > 0.005)
            assert (comparison.p_values["loss"] < alpha) == (comparison.upper < 0)
            assert (comparison.p_values["absence"] < alpha) == (comparison.upper < 0.005)


# Several tasks at once


def test_holm_as_computed_by_hand() -> None:
    # statsmodels.stats.multitest.multipletests([.01, .04, .03, .005], method="holm")
    assert holm([0.01, 0.04, 0.03, 0.005], [0.05] * 4) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, math.nan], [0.05] * 2) == [1.0, 1.0]
    assert holm([0.01234567], [0.03]) == [0.01234567]
    # A later look, at a level of a quarter: its .01 weighs as .04.
    assert holm([0.01, 0.02], [0.01, 0.04]) == pytest.approx([0.01, 0.04])


def test_false_positives_among_several_tasks_stay_within_the_largest_level() -> None:
    p = np.random.default_rng(0).uniform(size=(4000, 3))
    levels = [0.05, 0.05, 0.0125]
    wrong = [any(c < level for c, level in zip(holm(row, levels), levels, strict=True)) for row in p.tolist()]
    assert np.mean(wrong) < 0.05


def test_a_gain_shown_by_one_task_alone_is_not_shown_together_with_a_task_without_gain() -> None:
    clear, narrow, nothing = (
        decision(gain, se, in_use="naive") for gain, se in ((0.02, 0.003), (0.010, 0.005), (0.0, 0.004))
    )
    assert (narrow.verdict, narrow.promote) == ("weak", True)
    assert correct([narrow])[0].promote
    alone, beside = correct([clear, nothing]), correct([narrow, nothing])
    assert (alone[0].verdict, alone[0].promote) == ("strong", True)
    assert (beside[0].verdict, beside[0].promote) == ("undecided", False)
    assert "after Holm's correction" in beside[0].reasons[0]
    # The clear one is tested first: the other is corrected for one test fewer.
    assert [outcome.promote for outcome in correct([clear, narrow])] == [True, True]
    assert (narrow.use.model, beside[0].use) == ("candidate", "naive")
    # A first use is no claim: something must be used.
    assert [outcome.use for outcome in correct([decision(0.010, 0.005), nothing])] == ["candidate", "naive"]
    assert "(weak if tested alone)" in statement("ranks customers", narrow, beside[0])


# What would help


def test_advice_follows_from_the_curve_of_the_study_the_interval_and_the_errors() -> None:
    flat, rising = [0.80, 0.81, *[0.805] * 6], [0.80, 0.81, 0.80, 0.81, *[0.82] * 4]
    parts = (Part("customers with one purchase day", 0.6, 0.1), Part("customers with several purchase days", 0.4, 0.5))

    def advice(
        given: Decision, values: list[float], parts: tuple[Part, ...] = (), verdict: str | None = None
    ) -> list[str]:
        clues = Clues(len(values), rise(values), parts)
        return advise(replace(given, clues=clues), verdict or given.verdict, 90)

    assert advice(decision(0.02, 0.003), rising, parts) == []
    undecided = decision(0.004, 0.004)
    trials, data, feature = advice(undecided, rising, parts)
    assert trials.startswith("more trials, such as tuning.n_trials=16: the second half of 8 trials raised")
    assert data.startswith("more data: 4.7 times as many rows to find")  # ((1.8745 + 0.8416) x .004 / .005)^2
    assert data.endswith("more windows of the same customers would not do")  # 61 more
    assert "2.0 times as many rows, or about 2 more windows" in advice(decision(0.004, 0.0026), rising)[1]
    assert feature.startswith("a feature that tells customers with one purchase day apart: among them (60% of the")
    assert advice(undecided, flat)[0].startswith("not more trials: the second half of 8 trials raised")
    assert advice(undecided, [0.8] * 5)[0].startswith("more data")
    pruned = [math.nan] * 8  # it ran them, so n_trials=16 would add none
    assert advice(undecided, [*rising[:4], *pruned, *rising[4:]])[0].startswith(
        "more trials, such as tuning.n_trials=32"
    )
    assert advice(undecided, [*pruned, *rising])[0].startswith("more data"), "no complete trial in the first half"
    (nothing,) = advice(decision(-0.001, 0.0005), [])
    assert nothing == "nothing: naive is as good as these data allow; a gain of 0.005 would have been found"
    assert advice(decision(0.004, 0.02), [])[0].startswith("not more data of this kind: these data find a gain of 0.05")
    assert advice(decision(-0.03, 0.004), [])[0].endswith("this one is shown to be worse than naive")
    assert advice(decision(0.02, 0.003), rising, verdict="undecided")[0].startswith("more trials")  # beside other tasks


def test_parts_are_measured_apart_and_only_where_the_metric_is_defined() -> None:
    frequency = pd.Series([0, 0, 0, 3, 4])
    y, prediction = pd.Series([0.0, 0.0, 0.0, 1.0, 5.0]), pd.Series([1.0, 2.0, 3.0, 1.0, 2.0])
    (several,) = parts_of(SPEND_METRICS["gini"], Evaluation(y, prediction, {}), frequency)
    assert several == Part("customers with several purchase days", 0.4, 1.0)


# In words


@pytest.mark.parametrize(
    ("gain", "se", "said"),
    [
        (0.020, 0.003, "strong: ranks customers better than spend in the last 91 days, by 0.020 (95% "),
        (0.010, 0.004, "weak: ranks customers better than spend in the last 91 days, by 0.010 (95% "),
        (
            0.0115,
            0.006,
            "weak: ranks customers better than spend in the last 91 days, by 0.011 (95% confidence interval -0.0001 to "
            "0.023; above 0.0002 in a one-sided test);",
        ),
        (0.000, 0.0005, "none: ranks customers no better than spend in the last 91 days: the gain is 0.000 (95% "),
        (
            -0.030,
            0.004,
            "none: ranks customers worse than spend in the last 91 days, by 0.030 (95% confidence interval 0.022 to "
            "0.038)",
        ),
        (
            0.004,
            0.010,
            "undecided: not enough data to say whether it ranks customers better than spend in the last 91 days",
        ),
    ],
)
def test_a_verdict_is_a_sentence_with_its_figure(gain: float, se: float, said: str) -> None:
    draws = {
        "naive_last_91_days_rate": Distribution(0.5, np.full(4000, 0.5)),
        "candidate": Distribution(0.5 + gain, 0.5 + gain + se * NOISE),
    }
    outcome = decision(gain, se, draws=draws, baselines=["naive_last_91_days_rate"])
    assert statement("ranks customers", outcome, correct([outcome])[0]).startswith(said)


def test_figures_have_three_decimals_and_small_ones_four() -> None:
    written = [figure(value) for value in (0.0134, -0.00421, 1.25, 0.005, 0.0, -0.00001, 0.00029, math.nan)]
    assert written == ["0.013", "-0.0042", "1.250", "0.005", "0.000", "0.000", "0.0003", "unknown"]


@pytest.mark.parametrize("undefined", [False, True])
def test_the_page_holds_every_part_and_needs_no_network(undefined: bool) -> None:
    looked = decision(math.nan if undefined else 0.004, 0.004, in_use_gain=0.0)
    (outcome,) = correct([looked])
    entry = {
        "look": 1,
        "start": "2017-10-03",
        "end": "2018-01-01",
        "version": 3,
        "alpha": 0.0304,
        "at": "2018-01-02T10:00:00+00:00",
        "together": ["clv", "segmentation"],
        "decision": {"verdict": looked.verdict},
        "outcome": {"promote": outcome.promote},
    }
    died = {**entry, "look": 2, "alpha": 0.0076, "decision": None, "outcome": None}
    other = {**entry, "start": "2016-10-03", "end": "2017-01-01"}
    page = decision_page(
        title="<shop>-clv version 3",
        model="lightgbm",
        ability="ranks customers",
        decision=looked,
        outcome=outcome,
        look=entry,
        looks=[other, entry, died],
        horizon_days=90,
        champion="version 2, bg_nbd",
    )
    for expected in (
        "version 1, BG/NBD",
        "total_ratio",
        "2017-10-03 (sealed)",
        "interrupted",
        "2 tasks were tested in this run",
    ):
        assert expected in page
    assert "&lt;shop&gt;-clv" in page
    assert "0.0380 of 0.05 is spent" in page
    assert page.count("<td>version 3</td>") == 2  # a window that does not overlap is another ledger
    assert not any(outside in page for outside in ("http:", "https:", "src=", "<script", "@import", "url("))


def test_tasks_of_unknown_decision_count_with_a_p_value_of_1() -> None:
    seen = holm([0.01, 0.02, 1.0], [0.05, 0.05, 0.05])
    assert seen[:2] == pytest.approx([0.03, 0.04])
    alone, two = (holm([0.02, *[1.0] * unseen], [0.05] * (1 + unseen))[0] for unseen in (0, 2))
    assert (alone, two) == pytest.approx((0.02, 0.06))
