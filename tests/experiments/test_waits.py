"""Laws of the next purchase: one conformance suite over every candidate, published figures, and recovery."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import approx_fprime, check_grad
from sklearn.base import clone
from sklearn.ensemble import GradientBoostingRegressor

from experiments.models.base import dump, load
from experiments.models.hazards import SHARES, HazardTrees
from experiments.models.registry import CANDIDATES
from experiments.models.study_wait import READS, StudyWait
from experiments.models.survival import TERMS, CoxWait, WeibullWait, _efron, _weibull_loss, efron_fit
from experiments.models.waits import PurchaseWait, WaitModel, kaplan_meier, summaries
from experiments.tasks.next_purchase import NextPurchase
from features.errors import InputError, UnsuitableDataError
from features.outcomes import thresholds_of
from workplace import outputs_apart

H = 30
TASK = NextPurchase(H, "ranked_probability_skill", min_effect=0.005, guards={}, minimum={}, after_visit=False)
EVERY = {name: candidate.build for name, candidate in TASK.candidates().items()}
# Freireich et al. (1963), weeks of remission of 42 patients: under 6-mercaptopurine, and under placebo.
TREATED = [(6, 1)] * 3 + [(w, 1) for w in (7, 10, 13, 16, 22, 23)]
TREATED += [(w, 0) for w in (6, 9, 10, 11, 17, 19, 20, 25, 32, 32, 34, 35)]
PLACEBO = [(w, 1) for w in (1, 1, 2, 2, 3, 4, 4, 5, 5, 8, 8, 8, 8, 11, 11, 12, 12, 15, 17, 22, 23)]


def customers(n: int = 500, seed: int = 0) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Simulate customers who buy at their own rates until they leave, some once, at two cutoffs: features and waits."""
    rng = np.random.default_rng(seed)
    rows, outcomes = {}, {}
    for customer, rate in enumerate(rng.gamma(0.8, 0.12, n)):
        days = np.unique(np.append(rng.integers(0, 60), np.flatnonzero(rng.random(360) < rate)))
        days = days[(days >= days[0]) & (days <= days[0] + rng.exponential(400))]
        for cutoff, now in (("2017-08-01", 200), ("2017-09-01", 231)):
            past, later = days[days < now], days[(days >= now) & (days < now + H)]
            if not len(past):
                continue
            gaps, T = np.diff(past), now - 1 - past[0]
            one = len(past) == 1
            since = now - 1 - past[-1]
            key = (f"c{customer:04d}", pd.Timestamp(cutoff))
            rows[key] = {
                "frequency": len(past) - 1,
                "recency": past[-1] - past[0],
                "T": T,
                "monetary_value": 0 if one else 20 + customer % 7,
                "days_since_last_purchase": since,
                "gap_median_days": T if one else np.median(gaps),
                "gap_latest_mean_days": T if one else gaps[-5:].mean(),
                "gap_mean_days": T if one else gaps.mean(),
                "gap_std_days": gaps.std(ddof=1) if len(gaps) > 1 else 0,
                "overdue_ratio": 1 if one else since / gaps.mean(),
                "purchase_day_rate": len(past) / (T + 1),
                "purchase_days_last_28_days": (past >= now - 28).sum(),
                "purchase_days_last_91_days": (past >= now - 91).sum(),
            }
            outcomes[key] = (later[0] - now + 1, 1) if len(later) else (H, 0)
    index = pd.MultiIndex.from_tuples(list(rows), names=["customer_id", "cutoff"])
    X = pd.DataFrame(list(rows.values()), index=index, dtype=float)
    return X, pd.DataFrame(list(outcomes.values()), index=index, columns=["days", "observed"], dtype=float)


X, Y = customers()


@pytest.fixture(scope="module")
def fitted() -> dict[str, WaitModel]:
    return {name: make().fit(X, Y) for name, make in EVERY.items()}


@pytest.mark.parametrize("name", EVERY)
class TestEveryLaw:
    def test_a_law_is_a_distribution_over_the_days_and_later(self, name: str, fitted) -> None:
        law = fitted[name].law(X)
        assert list(law.columns) == list(range(1, H + 2))
        assert law.index.equals(X.index)
        assert (law >= 0).all(axis=None)
        np.testing.assert_allclose(law.sum(axis=1), 1)
        outputs = pd.DataFrame(fitted[name].predict(X), columns=list(TASK.outputs))
        assert outputs["next_purchase_days"].between(1, H + 1).all()
        assert (outputs["next_purchase_days_low"] <= outputs["next_purchase_days"]).all()
        assert (outputs["next_purchase_days"] <= outputs["next_purchase_days_high"]).all()
        np.testing.assert_allclose(outputs["p_within_7"], law[range(1, 8)].sum(axis=1), atol=1e-12)
        np.testing.assert_allclose(outputs["p_not_within_horizon"], law[H + 1], atol=1e-12)
        capped = np.minimum(law.columns, H)
        np.testing.assert_allclose(outputs["next_purchase_days_mean"], law.to_numpy() @ capped)

    def test_laws_agree_with_the_share_who_buy_and_rank_who_is_first(self, name: str, fitted) -> None:
        evaluation = TASK.metrics()
        prediction = TASK.predict(fitted[name], X)
        assert prediction["p_not_within_horizon"].mean() == pytest.approx(1 - Y["observed"].mean(), abs=0.05)
        skill = evaluation["ranked_probability_skill"](Y, prediction)
        assert abs(skill) < 1e-9 if name == "naive_same_wait" else skill > 0.05
        assert evaluation["c_index"](Y, prediction) >= (0.5 if name == "naive_same_wait" else 0.65)

    def test_order_of_rows_and_columns_and_a_second_fit_give_the_same_bits(self, name: str, fitted) -> None:
        rng = np.random.default_rng(1)
        order = rng.permutation(len(X))
        shuffled = X.iloc[order, rng.permutation(X.shape[1])]
        before = X.copy(deep=True)
        again = EVERY[name]().fit(shuffled, Y.iloc[order])
        assert np.array_equal(again.predict(X), fitted[name].predict(X))
        assert np.array_equal(again.predict(shuffled), again.predict(X)[order])
        pd.testing.assert_frame_equal(X, before)

    def test_parameters_follow_scikit_learn_and_the_stored_text_is_json(self, name: str, fitted) -> None:
        params = EVERY[name]().get_params(deep=True)
        plain = {key: value for key, value in params.items() if not hasattr(value, "get_params")}
        copied = clone(EVERY[name]()).set_params(**plain).get_params(deep=True)
        assert {key: copied[key] for key in plain} == plain
        text = dump(fitted[name])
        assert set(json.loads(text)) == {"class", "module", "params", "state"}
        assert np.array_equal(load(text).predict(X[:50]), fitted[name].predict(X[:50]))

    def test_a_missing_feature_raises_and_is_named(self, name: str, fitted) -> None:
        reads = {"naive_recency_wait": "days_since_last_purchase", "naive_own_gap": "gap_median_days"}
        reads["naive_visits_wait"] = "purchase_days_last_91_days"
        if name == "naive_same_wait":
            pytest.skip("it reads nothing")
        with pytest.raises(InputError, match=f"missing feature {reads.get(name, 'frequency')}"):
            fitted[name].predict(X.drop(columns=reads.get(name, "frequency")))

    def test_waits_that_are_none_and_a_window_without_a_purchase_are_refused(self, name: str) -> None:
        for wrong in (Y.assign(days=Y["days"] + 1), Y.assign(days=Y["days"] - 0.5)):
            with pytest.raises(UnsuitableDataError, match="not waits"):
                EVERY[name]().fit(X, wrong)
        with pytest.raises(UnsuitableDataError, match="nobody bought"):
            EVERY[name]().fit(X, Y.assign(days=float(H), observed=0.0))

    def test_a_flag_that_is_none_and_too_few_rows_are_refused(self, name: str) -> None:
        for wrong in (0.5, 2.0, np.nan):
            with pytest.raises(UnsuitableDataError, match="not waits"):
                EVERY[name]().fit(X, Y.assign(observed=Y["observed"].where(Y.index != Y.index[0], wrong)))
        bought = Y[Y["observed"] == 1].index[:1]
        with pytest.raises(UnsuitableDataError, match="too few rows"):
            EVERY[name]().fit(X.loc[bought], Y.loc[bought])

    def test_no_rows_have_no_laws(self, name: str, fitted) -> None:
        assert fitted[name].predict(X[:0]).shape == (0, len(TASK.outputs))
        assert fitted[name].law(X[:0]).shape == (0, H + 1)

    def test_a_row_alone_gets_the_bits_that_it_gets_among_others(self, name: str, fitted) -> None:
        alone = np.concatenate([fitted[name].outputs(X[row : row + 1]) for row in range(20)])
        np.testing.assert_array_equal(fitted[name].outputs(X)[:20], alone)

    def test_contributions_are_a_row_for_each_row_or_none_at_all(self, name: str, fitted) -> None:
        contributions = fitted[name].contributions(X[:20])
        assert contributions is None or contributions.index.equals(X.index[:20])

    def test_customers_of_one_purchase_alone_or_all_alike_do_not_break_it(self, name: str) -> None:
        one = X["frequency"] == 0
        if name in ("purchase_wait", "wait_blend"):
            with pytest.raises(UnsuitableDataError, match="repeat buyers"):
                EVERY[name]().fit(X[one], Y[one])
            return
        assert np.isfinite(EVERY[name]().fit(X[one], Y[one]).predict(X)).all()
        alike = X.copy()
        alike[:] = X.iloc[0].to_numpy()
        law = EVERY[name]().fit(alike, Y).law(alike)
        assert np.ptp(law.to_numpy(), axis=0).max() < 1e-9
        np.testing.assert_allclose(law[H + 1].iloc[0], 1 - Y["observed"].mean(), atol=0.02)


@pytest.mark.slow
def test_models_load_in_a_fresh_process_and_predict_the_same_bits(fitted, tmp_path: Path) -> None:
    for name, outputs in outputs_apart(fitted, X, tmp_path).items():
        assert np.array_equal(outputs, fitted[name].outputs(X)), name


def test_baselines_are_marked_and_every_law_has_its_task_s_horizon() -> None:
    assert {name for name in EVERY if CANDIDATES[name].is_baseline} == {n for n in EVERY if n.startswith("naive_")}
    assert {make().horizon_days for make in EVERY.values()} == {H}


@pytest.mark.parametrize("horizon", [1, 7, 8, 28, 29, 56, 90, 365])
def test_thresholds_ascend_to_the_horizon(horizon: int) -> None:
    days = thresholds_of(horizon)
    assert days == sorted(set(days))
    assert (days[0], days[-1]) == (1, horizon)


def test_a_row_alone_gets_the_bits_that_it_gets_among_others() -> None:
    survival = np.cumprod(np.random.default_rng(0).uniform(0.9, 1, (200, 56)), axis=1)
    alone = np.concatenate([summaries(survival[[row]]) for row in range(len(survival))])
    for layout in ("C", "F"):
        np.testing.assert_array_equal(summaries(np.array(survival, order=layout)), alone)


def test_summaries_of_a_law_computed_by_hand() -> None:
    # P(day 1) = .2, P(day 2) = .3, P(day 3) = 0, later .5
    assert summaries(np.array([[0.8, 0.5, 0.5]])).tolist() == [[2, 1, 4, 1 + 0.8 + 0.5, pytest.approx(0.2), 0.5, 0.5]]
    never = summaries(np.ones((1, 3)))[0]
    assert never.tolist() == [4, 4, 4, 3, 0, 0, 1]


def test_kaplan_meier_gives_the_published_curve_of_freireichs_patients() -> None:
    weeks, relapsed = np.array(TREATED).T
    S = kaplan_meier(weeks, relapsed, 35)
    published = {6: 0.857, 7: 0.807, 10: 0.753, 13: 0.690, 16: 0.627, 22: 0.538, 23: 0.448, 35: 0.448}
    assert {week: round(S[week - 1], 3) for week in published} == published


def test_cox_regression_gives_the_published_coefficient_of_freireichs_patients() -> None:
    """R's coxph, with Efron's ties: 1.572 for placebo against treatment (Venables & Ripley 2002, section 13.3)."""
    weeks, relapsed = np.array(TREATED + PLACEBO).T
    placebo = np.repeat([0.0, 1.0], [len(TREATED), len(PLACEBO)])[:, None]
    assert efron_fit(placebo, weeks, relapsed == 1)[0] == pytest.approx(1.572, abs=5e-4)


def test_gradients_of_both_likelihoods_are_those_of_finite_differences() -> None:
    rng = np.random.default_rng(0)
    Z, days, observed = rng.normal(size=(150, 3)), rng.integers(1, 15, 150), rng.random(150) < 0.8
    b = np.array([0.3, -0.2, 0.1])

    def cox(part: int) -> Callable[[np.ndarray], Any]:
        return lambda b: _efron(Z, days, observed, b, 0.1)[part]

    def weibull(part: int) -> Callable[[np.ndarray], Any]:
        return lambda params: _weibull_loss(params, Z, days, observed, 0.1)[part]

    assert check_grad(cox(0), cox(1), b) < 1e-4
    np.testing.assert_allclose(approx_fprime(b, cox(1), 1e-6), -cox(2)(b), atol=1e-3)
    assert check_grad(weibull(0), weibull(1), np.array([1.5, 0.2, *b])) < 1e-5


def of_weibull(n: int, shape: float, effect: float) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Simulate waits whose scale is 12 days x exp(effect x z), where z is the standardised log of one term."""
    rng = np.random.default_rng(5)
    rows = pd.DataFrame(0.0, index=range(n), columns=list(TERMS))
    z = rng.normal(size=n)
    rows["T"] = np.expm1(5 + 0.5 * (z - z.mean()) / z.std())
    wait = np.ceil(12 * np.exp(effect * (z - z.mean()) / z.std()) * rng.weibull(shape, n))
    return rows, pd.DataFrame({"days": np.minimum(wait, H), "observed": wait <= H}, dtype=float)


def test_the_weibull_model_recovers_scale_shape_and_effect_from_censored_days() -> None:
    rows, waits = of_weibull(6000, 1.4, 0.5)
    model = WeibullWait(l2=0.0, horizon_days=H).fit(rows, waits)
    assert model.level_ == pytest.approx([np.log(12), np.log(1.4)], abs=0.03)
    assert dict(zip(TERMS, model.coefficients_, strict=True)) == pytest.approx(
        {**dict.fromkeys(TERMS, 0.0), "T": 0.5}, abs=0.03
    )


@pytest.mark.parametrize("model", [CoxWait, WeibullWait, StudyWait])
def test_a_term_that_is_the_same_in_all_training_rows_has_scale_1_and_little_effect_elsewhere(model) -> None:
    """All 1/7: the mean of their logs is off by a rounding, so that the standard deviation is not 0."""
    constant = X.assign(purchase_day_rate=1 / 7)
    assert np.log1p(constant["purchase_day_rate"]).std(ddof=0) > 0
    found = model(horizon_days=H).fit(constant, Y)
    reads = READS if model is StudyWait else TERMS
    assert found.scales_[reads.index("purchase_day_rate")] == 1
    for rate in (1 / 7 - 0.01, 1 / 7 + 0.01):
        moved = found.survival(constant.assign(purchase_day_rate=rate))
        np.testing.assert_allclose(moved, found.survival(constant), atol=1e-6)


def test_half_of_the_customers_must_have_two_rows_for_the_study_s_regressor() -> None:
    three = X.groupby(level="customer_id").head(1).index[:3]
    with pytest.raises(UnsuitableDataError, match="a half of the customers has too few rows"):
        StudyWait(horizon_days=H).fit(X.loc[three], Y.loc[three].assign(days=2.0, observed=1.0))


def test_cox_recovers_the_effect_and_the_curves_of_proportional_hazards() -> None:
    """Weibull hazards are proportional, with the coefficient -shape x effect."""
    rows, waits = of_weibull(6000, 1.4, 0.5)
    model = CoxWait(l2=0.0, horizon_days=H).fit(rows, waits)
    assert model.coefficients_[TERMS.index("T")] == pytest.approx(-1.4 * 0.5, abs=0.04)
    slow = (rows["T"] > rows["T"].quantile(0.9)).to_numpy()
    expected = kaplan_meier(waits["days"][slow], waits["observed"][slow], H)
    np.testing.assert_allclose(model.survival(rows)[slow].mean(axis=0), expected, atol=0.05)


@pytest.mark.parametrize("purchases", ["bg_nbd", "mbg_nbd", "pareto_nbd"])
def test_the_law_of_a_buy_till_you_die_model_is_its_probability_of_a_purchase_by_each_day(purchases: str) -> None:
    model = PurchaseWait(purchases, horizon_days=H).fit(X, Y)
    S = model.survival(X)
    for day in (1, 14, H):
        np.testing.assert_allclose(S[:, day - 1], 1 - model.purchases_.p_purchase(X, day))


def test_hazard_trees_recover_hazards_that_differ_by_customer_and_day() -> None:
    rng = np.random.default_rng(3)
    n = 4000
    rows = X.iloc[rng.integers(len(X), size=n)].reset_index(drop=True)
    often = rng.random(n) < 0.5
    rows["days_since_last_purchase"] = np.where(often, 2.0, 50.0)
    hazard = np.where(often, 0.2, 0.02)[:, None] * np.where(np.arange(1, H + 1) <= 7, 1.0, 0.3)
    came = rng.random((n, H)) < hazard
    days = np.where(came.any(axis=1), came.argmax(axis=1) + 1, H)
    waits = pd.DataFrame({"days": days, "observed": came.any(axis=1)}, dtype=float)
    S = HazardTrees(horizon_days=H).fit(rows, waits).survival(rows)
    true = np.cumprod(1 - hazard, axis=1)
    for group in (often, ~often):
        np.testing.assert_allclose(S[group].mean(axis=0), true[group][0], atol=0.04)
    assert S[often].std(axis=0).max() < 0.05  # other features tell nothing


def test_hazard_trees_are_the_same_bits_when_their_rows_are_held_in_small_blocks(fitted, monkeypatch) -> None:
    held: list[int] = []
    real = HazardTrees._entered

    def entered(self, X: pd.DataFrame, row: np.ndarray, span: np.ndarray) -> pd.DataFrame:
        held.append(len(row))
        return real(self, X, row, span)

    monkeypatch.setattr(HazardTrees, "_entered", entered)
    monkeypatch.setattr("experiments.models.hazards.MOST_CELLS", 5000)
    found = HazardTrees(horizon_days=H).fit(X, Y)
    assert max(held) * (X.shape[1] + 3) <= 5000
    assert sum(held) > 5 * len(X)
    assert np.array_equal(found.predict(X), fitted["lightgbm_hazard"].predict(X))


def test_hazard_trees_learn_the_weekdays_on_which_each_customer_buys() -> None:
    """Customers of Mondays and of Thursdays, at a cutoff that is a Friday: their days are 4 and 7, 11 and 14, ..."""
    friday, n = 17_291, 600  # 2017-05-05
    on_monday = np.arange(n) % 2 == 0
    rows = X.iloc[np.zeros(n, dtype=int)].reset_index(drop=True).assign(**dict.fromkeys(SHARES, 0.0))
    rows["monday_share"], rows["thursday_share"], rows["cutoff_day"] = on_monday * 1.0, ~on_monday * 1.0, friday
    assert pd.Timestamp(friday, unit="D").day_name() == "Friday"
    waits = pd.DataFrame({"days": np.where(on_monday, 4.0, 7.0), "observed": 1.0})
    model = HazardTrees(min_child_samples=20, horizon_days=H).fit(rows, waits)
    law = model.law(rows)
    assert (law.loc[on_monday, 4] > 0.7).all()
    assert (law.loc[~on_monday, 7] > 0.7).all()
    next_day = rows.assign(cutoff_day=friday + 1.0)
    assert (model.law(next_day).loc[on_monday, 3] > 0.4).all()
    assert np.array_equal(load(dump(model)).predict(next_day), model.predict(next_day))
    with pytest.raises(InputError, match="missing feature cutoff_day"):
        model.predict(rows.drop(columns="cutoff_day"))


def test_the_study_s_regressor_predicts_as_scikit_learns_gradient_boosting_does() -> None:
    model = StudyWait(horizon_days=H, seed=4).fit(X, Y)
    rows = X.sort_index()
    Z = (rows[[*READS]].to_numpy() - model.means_) / model.scales_
    theirs = GradientBoostingRegressor(
        n_estimators=model.n_estimators,
        learning_rate=model.learning_rate,
        max_depth=model.max_depth,
        min_samples_leaf=model.min_samples_leaf,
        subsample=model.subsample,
        random_state=4,
    ).fit(Z, Y.loc[rows.index, "days"])
    np.testing.assert_allclose(model._at(rows), theirs.predict(Z), rtol=1e-9)


def test_a_blend_is_the_mean_of_its_parts_and_passes_parameters_on(fitted) -> None:
    blend = EVERY["wait_blend"](weight=0.25, one__num_leaves=5, other__purchases="bg_nbd").fit(X, Y)
    assert (blend.one_.num_leaves, blend.other_.purchases) == (5, "bg_nbd")
    trees = HazardTrees(num_leaves=5, horizon_days=H).fit(X, Y)
    purchases = PurchaseWait("bg_nbd", horizon_days=H).fit(X, Y)
    expected = 0.25 * trees.law(X) + 0.75 * purchases.law(X)
    pd.testing.assert_frame_equal(blend.law(X), expected, rtol=1e-9, atol=1e-12)
    with pytest.raises(InputError, match="weight"):
        EVERY["wait_blend"](weight=1.5).fit(X, Y)
    with pytest.raises(InputError, match="did you mean 'pareto_nbd'"):
        EVERY["wait_blend"](other__purchases="pareto_ndb").fit(X, Y)
