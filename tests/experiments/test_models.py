"""One conformance suite over every candidate model, and tests of single models."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from functools import partial
from pathlib import Path

import numpy as np
import optuna
import pandas as pd
import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
from optuna.distributions import CategoricalDistribution, FloatDistribution
from scipy.integrate import quad
from sklearn.base import clone
from sklearn.utils.estimator_checks import parametrize_with_checks

from experiments.evaluation.probability_metrics import log_loss, roc_auc
from experiments.evaluation.validation import Dataset, validate
from experiments.models import (
    CANDIDATES,
    Calibrated,
    LightGBMSpend,
    NaiveProbability,
    ParetoNBD,
    dump,
    load,
)
from experiments.models.base import Model
from experiments.models.buy_till_you_die import PROBABILISTIC
from experiments.models.probabilities import lasting_slope
from experiments.tasks.base import Task
from experiments.tasks.clv import CustomerValue
from experiments.tasks.repurchase import Repurchase
from experiments.tuning.ensemble import best_ensemble
from experiments.tuning.space import Space, tuned
from experiments.workflow.config import SearchConfig
from features.errors import InputError
from workplace import outputs_apart

CONF = Path(__file__).parents[2] / "conf"
CUTOFFS = (date(2017, 3, 7), date(2017, 4, 6))
DAYS = 90
COMMON = {
    "min_effect": 0.005,
    "guards": {},
    "minimum": {},
    "amounts": {"reliable": (0.8, 1.25), "rough": (0.5, 2.0)},
}
CLV = CustomerValue(90, "gini", **COMMON, discount_rate=0.0, margin=1.0, contact_cost=1.0)
REPURCHASE = Repurchase(28, "roc_auc", **COMMON, event="purchase", active_within_days=None, threshold=0.5)
EXAMPLES = {  # of candidates that have no defaults
    ("clv", "estimator"): {"path": "sklearn.linear_model.Ridge", "scaling": "log_standard", "log_target": True},
    ("clv", "ensemble"): {"members": {"hist_gradient_boosting": {"max_iter": 50}, "mbg_nbd": {}}},
    ("repurchase", "estimator"): {"path": "sklearn.ensemble.RandomForestClassifier", "params": {"n_estimators": 20}},
    ("repurchase", "ensemble"): {"members": {"logistic": {}, "lightgbm_probability": {"n_estimators": 50}}},
}


def build_of(task: Task, name: str) -> Callable[..., Model]:
    """Return a callable that builds a candidate of a task, with parameters that differ from its example."""
    example = EXAMPLES.get((task.name, name))
    if example is None:
        return CANDIDATES[name].build
    return lambda **params: task.build(name, example).set_params(**params)


OF_PROBABILITY = " of a probability"  # ends the name of a candidate that amounts have too
EVERY = {name: build_of(CLV, name) for name in CLV.candidates()}
EVERY |= {
    name + OF_PROBABILITY * (name in CLV.candidates()): build_of(REPURCHASE, name) for name in REPURCHASE.candidates()
}
EVERY["hist_gradient_boosting of a probability"] = partial(
    CANDIDATES["hist_gradient_boosting"].build, predicts="probability"
)
SPEND = list(CLV.candidates())
PROBABILITIES = [name for name in EVERY if name not in SPEND]


def required_by(name: str) -> str:
    """Return one column that the model requires: the feature that a baseline names, "frequency" for the others."""
    parameters = EVERY[name]().get_params()
    return (
        "total_spend" if name == "naive_past_total" else parameters.get("rate", parameters.get("feature", "frequency"))
    )


def customers_of_a_shop(n: int = 400, seed: int = 3) -> tuple[pd.DataFrame, pd.Series]:
    """Simulate customers who buy at their own rate until they leave, at two cutoffs, with up to about 150 purchases."""
    rng = np.random.default_rng(seed)
    first_day = rng.integers(0, 60, n)
    rate = rng.gamma(0.8, 0.15, n)
    leaves = first_day + rng.exponential(250, n)
    value = rng.gamma(4, 10, n)
    days = [start + np.flatnonzero(rng.random(300) < r) + 1 for start, r in zip(first_day, rate, strict=True)]
    days = [np.append(start, d[d < end]) for start, d, end in zip(first_day, days, leaves, strict=True)]
    spend = [mean * rng.lognormal(0, 0.4, len(d)) for d, mean in zip(days, value, strict=True)]
    rows, target = {}, {}
    for cutoff in CUTOFFS:
        now = (cutoff - date(2017, 1, 1)).days + 30
        for customer, (d, s) in enumerate(zip(days, spend, strict=True)):
            past = d < now
            if past.any():
                known, amounts = d[past], s[past]
                key = (f"c{customer:04d}", cutoff)
                rows[key] = {
                    "frequency": len(known) - 1,
                    "recency": known[-1] - known[0],
                    "T": now - 1 - known[0],
                    "monetary_value": amounts[1:].mean() if len(known) > 1 else 0.0,
                    "total_spend": amounts.sum(),
                    "lifetime_spend_rate": amounts.sum() / (now - known[0]),
                    "last_91_days_spend_rate": amounts[known >= now - 91].sum() / 91,
                    "days_since_last_purchase": now - 1 - known[-1],
                    "purchase_days_last_28_days": (known >= now - 28).sum(),
                    "purchase_days_last_91_days": (known >= now - 91).sum(),
                }
                target[key] = s[(d >= now) & (d < now + DAYS)].sum()
    X = pd.DataFrame.from_dict(rows, orient="index").astype(float)
    X.index = pd.MultiIndex.from_tuples(rows, names=["customer_id", "cutoff"])
    return X, pd.Series(target.values(), index=X.index, name="spend", dtype=float)


X, y = customers_of_a_shop()
BOUGHT = (y > 0).astype(float)


def target_of(name: str) -> pd.Series:
    return BOUGHT if name in PROBABILITIES else y


@pytest.fixture(scope="module")
def fitted():
    return {name: make().fit(X, target_of(name)) for name, make in EVERY.items()}


@pytest.mark.parametrize("name", EVERY)
class TestEveryModel:
    def test_predicts_one_finite_amount_per_row(self, name, fitted):
        prediction = fitted[name].predict(X)
        assert prediction.shape == (len(X),)
        assert prediction.dtype == np.float64
        assert np.isfinite(prediction).all()
        assert (prediction >= 0).all()
        assert (np.ptp(prediction) > 0) == (name != "naive_constant")
        assert name not in PROBABILITIES or (prediction <= 1).all()

    def test_clone_and_parameters_follow_scikit_learn(self, name):
        model = EVERY[name]()
        params = model.get_params(deep=True)
        plain = {key: value for key, value in params.items() if not hasattr(value, "get_params")}
        copy = clone(model).set_params(**plain)
        copied = copy.get_params(deep=True)
        assert {key: copied[key] for key in plain} == plain
        assert not [key for key in vars(model) if key.endswith("_")]
        with pytest.raises(ValueError, match="no_such_parameter"):
            model.set_params(no_such_parameter=1)

    def test_the_same_fit_twice_gives_the_same_bits_and_changes_no_input(self, name, fitted):
        before_X, before_y = X.copy(deep=True), y.copy(deep=True)
        assert np.array_equal(EVERY[name]().fit(X, target_of(name)).predict(X), fitted[name].predict(X))
        pd.testing.assert_frame_equal(X, before_X)
        pd.testing.assert_series_equal(y, before_y)

    def test_order_of_rows_and_columns_does_not_matter(self, name, fitted):
        rng = np.random.default_rng(1)
        order = rng.permutation(len(X))
        shuffled = X.iloc[order, rng.permutation(X.shape[1])]
        expected = fitted[name].predict(X)
        assert np.array_equal(fitted[name].predict(shuffled), expected[order])
        assert np.array_equal(EVERY[name]().fit(shuffled, target_of(name).iloc[order]).predict(X), expected)

    def test_a_row_alone_gets_the_bits_that_it_gets_among_others(self, name, fitted):
        alone = np.concatenate([fitted[name].predict(X[row : row + 1]) for row in range(20)])
        np.testing.assert_array_equal(fitted[name].predict(X)[:20], alone)

    def test_predicts_rows_without_an_index(self, name, fitted):
        assert np.array_equal(fitted[name].predict(X.reset_index(drop=True)), fitted[name].predict(X))

    def test_a_missing_column_raises_and_is_named(self, name, fitted):
        used = required_by(name)
        if name == "naive_constant":
            pytest.skip("it reads nothing")
        with pytest.raises(InputError, match=f"missing feature {used}"):
            fitted[name].predict(X.drop(columns=used))

    def test_contributions_are_a_row_for_each_row_or_none_at_all(self, name, fitted):
        contributions = fitted[name].contributions(X[:20])
        assert contributions is None or contributions.index.equals(X.index[:20])

    def test_stored_text_is_json_and_unknown_classes_raise(self, name, fitted):
        text = dump(fitted[name])
        assert dump(load(text)) == text
        content = json.loads(text)
        assert set(content) == {"class", "module", "params", "state"}
        content["class"] = "Nothing"
        with pytest.raises(InputError, match="Nothing"):
            load(json.dumps(content))


@pytest.mark.slow
def test_models_load_in_a_fresh_process_and_predict_the_same_bits(fitted, tmp_path):
    for name, outputs in outputs_apart(fitted, X, tmp_path).items():
        assert np.array_equal(outputs, fitted[name].outputs(X)), name


@pytest.mark.parametrize(
    ("file", "task"),
    [
        ("clv", CLV),
        ("repurchase", REPURCHASE),
        pytest.param("repurchase_wide", REPURCHASE, marks=pytest.mark.slow),
    ],
)
def test_search_space_names_models_and_parameters_that_exist(file, task):
    with initialize_config_dir(str(CONF), version_base="1.3"):
        search = SearchConfig(**OmegaConf.to_container(compose(f"search/{file}").search))
    assert set(search.models) == set(search.space)
    Space(search.models, search.space).check({name: c.parameters() for name, c in task.candidates().items()})
    for name, space in search.space.items():
        for draw in (0, -1):
            params = {
                key: bounds["choices"][draw] if "choices" in bounds else bounds[("low", "high")[draw]]
                for key, bounds in space.items()
            }
            target = y if task is CLV else BOUGHT
            assert np.isfinite(task.build(name, params).fit(X, target).predict(X)).all()


@pytest.mark.parametrize("name", ["naive_lifetime_rate", "naive_last_91_days_rate", *PROBABILISTIC])
def test_money_terms_scale_and_discount_closed_form_predictions(name):
    plain = EVERY[name](horizon_days=90).fit(X, y).predict(X)
    margin = EVERY[name](horizon_days=90, margin=0.25).fit(X, y).predict(X)
    np.testing.assert_allclose(margin, plain / 4, rtol=1e-12)
    discounted = EVERY[name](horizon_days=90, discount_rate=0.1).fit(X, y).predict(X)
    assert (discounted[plain > 0] < plain[plain > 0]).all()
    assert discounted.sum() / plain.sum() == pytest.approx(1.1 ** (-45 / 365), rel=2e-3)


def test_baselines_are_marked_and_carry_the_past_forward(fitted):
    for task in (CLV, REPURCHASE):
        candidates = task.candidates()
        assert {n for n in candidates if candidates[n].is_baseline} == {n for n in candidates if n.startswith("naive_")}
        assert len({candidate.label for candidate in candidates.values()}) == len(candidates)
    np.testing.assert_allclose(fitted["naive_last_91_days_rate"].predict(X), 90 * X["last_91_days_spend_rate"])
    past_total = fitted["naive_past_total"].predict(X)
    np.testing.assert_allclose(past_total / X["total_spend"], y.sum() / X["total_spend"].sum())
    assert past_total.sum() == pytest.approx(y.sum())
    nobody_spent = EVERY["naive_past_total"]().fit(X.assign(total_spend=0.0), y)
    assert (nobody_spent.predict(X) == 0).all()


class TestBuyTillYouDie:
    def test_only_the_latest_cutoff_is_fitted(self):
        latest = X.index.get_level_values("cutoff") == CUTOFFS[-1]
        for name in PROBABILISTIC:
            assert EVERY[name]().fit(X).params_ == EVERY[name]().fit(X[latest]).params_

    def test_merged_rows_with_weights_fit_as_single_rows(self):
        rows = X.groupby(["frequency", "recency", "T"]).size().reset_index(name="weight")
        for make in PROBABILISTIC.values():
            merged = make().fit_purchases(rows["frequency"], rows["recency"], rows["T"], rows["weight"])
            single = make().fit_purchases(X["frequency"], X["recency"], X["T"])
            assert merged.params_ == pytest.approx(single.params_, rel=2e-3)
            assert merged.log_likelihood_ == pytest.approx(single.log_likelihood_, rel=1e-7)

    def test_p_alive_is_a_probability_that_falls_with_absence(self, fitted):
        for name in PROBABILISTIC:
            p_alive = fitted[name].p_alive(X)
            assert ((p_alive >= 0) & (p_alive <= 1)).all()
            absent = X.assign(T=X["T"] + 100)
            assert (fitted[name].p_alive(absent) <= p_alive + 1e-12).all()

    def test_bg_nbd_counts_one_time_buyers_as_alive_and_mbg_nbd_does_not(self, fitted):
        once = X[X["frequency"] == 0]
        assert (fitted["bg_nbd"].p_alive(once) == 1).all()
        assert (fitted["mbg_nbd"].p_alive(once) < 1).all()

    def test_expected_purchases_grow_with_the_horizon_and_stay_below_the_rate_of_a_living_customer(self, fitted):
        for name in PROBABILISTIC:
            model = fitted[name]
            near, far = model.expected_purchases(X, 30), model.expected_purchases(X, 120)
            rate = (model.params_["r"] + X["frequency"]) / (model.params_["alpha"] + X["T"] / 7)
            assert (near <= far).all()
            assert (far <= 120 / 7 * rate * model.p_alive(X) * (1 + 1e-9)).all()

    @pytest.mark.parametrize(
        ("r", "alpha", "s", "beta"),
        [(0.55, 10.6, 0.6, 11.7), (1.4, 0.35, 0.05, 60.0), (1.5, 60.0, 0.3, 0.5), (2.0, 5.0, 1.0, 5.0)],
    )
    def test_pareto_nbd_p_alive_equals_numerical_integration_up_to_400_purchases(self, r, alpha, s, beta):
        model = ParetoNBD().set_state(
            {"params": {"r": r, "alpha": alpha, "s": s, "beta": beta, "p": 1, "q": 2, "v": 1}, "log_likelihood": 0}
        )
        for x in (0, 1, 20, 400):
            for t_x, T in ((0.0, 0.5), (30.0, 31.0), (30.0, 40.0), (40.0, 40.0)):
                scale = -(r + x) * np.log(alpha + t_x)
                dead, _ = quad(
                    lambda t, x=x, scale=scale: (
                        s * np.exp(-(r + x) * np.log(alpha + t) - (s + 1) * np.log(beta + t) - scale)
                    ),
                    t_x,
                    T,
                    epsabs=0,
                    epsrel=1e-11,
                    limit=500,
                )
                alive = np.exp(-(r + x) * np.log(alpha + T) - s * np.log(beta + T) - scale)
                expected = alive / (alive + dead)
                got = model._p_alive(np.array([float(x)]), np.array([t_x]), np.array([T]))[0]
                assert got == pytest.approx(expected, rel=1e-8, abs=1e-12), (x, t_x, T)

    def test_data_without_repeat_buyers_raise(self):
        with pytest.raises(InputError, match="repeat buyers"):
            EVERY["bg_nbd"]().fit(X.assign(frequency=0.0, recency=0.0))

    def test_contradicting_histories_raise(self):
        with pytest.raises(InputError, match="recency"):
            EVERY["mbg_nbd"]().fit(X.assign(recency=X["T"] + 1))

    def test_invalid_values_raise_and_name_the_column(self):
        with pytest.raises(InputError, match="monetary_value"):
            EVERY["mbg_nbd"]().fit(X.assign(monetary_value=np.nan))

    @pytest.mark.parametrize("name", PROBABILISTIC)
    def test_invalid_fits_raise_and_quote_their_parameters(self, name):
        # All purchases fall on the first day: the likelihood is highest for alpha -> 0.
        same_day = X.assign(frequency=X["frequency"] + 1, recency=0.0)
        with pytest.raises(InputError, match=r"alpha=") as error:
            EVERY[name]().fit(same_day)
        assert "merge a day's purchases" in str(error.value)


@parametrize_with_checks([LightGBMSpend(min_child_samples=5)])
def test_lightgbm_passes_scikit_learns_estimator_checks(estimator, check):
    check(estimator)


class TestLightGBM:
    @pytest.mark.parametrize("objective", ["l1", "tweedie"])
    def test_total_prediction_equals_total_spend_on_training_rows(self, objective):
        model = LightGBMSpend(objective=objective).fit(X, y)
        assert model.predict(X).sum() == pytest.approx(y.sum(), rel=1e-9)
        assert model.scale_ != 1

    def test_an_unknown_column_raises_and_is_named(self, fitted):
        with pytest.raises(InputError, match="unknown feature tenure"):
            fitted["lightgbm"].predict(X.assign(tenure=1.0))

    def test_targets_that_cannot_be_learned_raise(self):
        with pytest.raises(InputError, match="nobody spent"):
            LightGBMSpend().fit(X, y * 0)
        with pytest.raises(InputError, match="negative"):
            LightGBMSpend().fit(X, y - 1000)
        with pytest.raises(InputError, match="zero for every customer"):
            LightGBMSpend(objective="l1").fit(X * 0, y * (np.arange(len(y)) % 5 == 0))

    def test_parameters_that_lightgbm_rejects_raise_an_input_error(self):
        with pytest.raises(InputError, match="tweedie_variance_power"):
            LightGBMSpend(tweedie_variance_power=5.0).fit(X, y)
        with pytest.raises(InputError, match="did you mean 'tweedie'"):
            LightGBMSpend(objective="tweedy").fit(X, y)


class TestBlend:
    def test_is_the_weighted_mean_of_its_parts(self, fitted):
        for weight, expected in ((0.0, "pareto_nbd"), (1.0, "lightgbm")):
            blend = EVERY["blend"](probabilistic="pareto_nbd", weight=weight).fit(X, y)
            assert np.array_equal(blend.predict(X), fitted[expected].predict(X))
        middle = EVERY["blend"](probabilistic="pareto_nbd", weight=0.25).fit(X, y).predict(X)
        parts = 0.25 * fitted["lightgbm"].predict(X) + 0.75 * fitted["pareto_nbd"].predict(X)
        np.testing.assert_allclose(middle, parts)

    def test_parameters_reach_the_parts_and_the_horizon_comes_from_the_blend(self):
        blend = EVERY["blend"](
            boosting__num_leaves=5, probabilistic__penalizer_coef=0.01, probabilistic="bg_nbd", horizon_days=28
        ).fit(X, y)
        assert blend.boosting_.num_leaves == 5
        assert type(blend.probabilistic_) is PROBABILISTIC["bg_nbd"]
        assert blend.probabilistic_.penalizer_coef == 0.01
        assert blend.probabilistic_.horizon_days == 28

    def test_mistakes_raise(self):
        with pytest.raises(InputError, match="did you mean 'pareto_nbd'"):
            EVERY["blend"](probabilistic="pareto_ndb")
        with pytest.raises(InputError, match="weight"):
            EVERY["blend"](weight=1.5).fit(X, y)


class TestEnsemble:
    FOLDS = (((CUTOFFS[0],), (CUTOFFS[1],)),)
    DATED = X.index.set_levels(pd.DatetimeIndex(X.index.levels[1]), level=1)
    DATA = Dataset(X.set_axis(DATED), y.set_axis(DATED).to_frame())

    def study(self, *trials: tuple[str, dict[str, float], float]) -> optuna.Study:
        """Return a finished study of models with parameters and a value each."""
        study = optuna.create_study(direction="maximize")
        for model, params, value in trials:
            own = {f"{model}.{name}": given for name, given in params.items()}
            ranges = {name: FloatDistribution(0, 1) for name in own}
            study.add_trial(
                optuna.trial.create_trial(
                    params={"model": model, **own},
                    distributions={"model": CategoricalDistribution(["bg_nbd", "mbg_nbd", "lightgbm"]), **ranges},
                    value=value,
                )
            )
        return study

    def test_is_the_mean_of_its_members(self, fitted):
        model = CLV.build("ensemble", {"members": {"lightgbm": {}, "mbg_nbd": {}}}).fit(X, y)
        np.testing.assert_allclose(
            model.predict(X), (fitted["lightgbm"].predict(X) + fitted["mbg_nbd"].predict(X)) / 2, rtol=1e-12
        )

    def test_members_take_the_tasks_terms_and_their_own_parameters(self):
        members = {"lightgbm_probability": {"num_leaves": 5}, "purchase_probability": {}}
        trees, purchases = REPURCHASE.build("ensemble", {"members": members}).members
        assert (trees.num_leaves, purchases.horizon_days) == (5, 28)

    @pytest.mark.parametrize(
        ("members", "message"),
        [
            ({"lightgbm": {}}, "too few members"),
            ({"lightgbm": {}, "mbg_nbt": {}}, "did you mean 'mbg_nbd'"),
            ({"lightgbm": {"num_leafs": 3}, "mbg_nbd": {}}, "did you mean 'num_leaves'"),
            (["lightgbm", "mbg_nbd"], "wrong type"),
        ],
    )
    def test_mistakes_raise(self, members, message):
        with pytest.raises(InputError, match=message):
            CLV.build("ensemble", {"members": members})

    def test_best_trial_of_each_model_joins_and_the_value_is_that_of_the_candidate(self):
        worse, better = {"penalizer_coef": 0.5}, {"penalizer_coef": 0.01}
        study = self.study(
            ("bg_nbd", worse, 0.1), ("bg_nbd", better, 0.3), ("mbg_nbd", better, 0.2), ("lightgbm", {}, 0.1)
        )
        joined = best_ensemble(study, CLV, self.DATA, self.FOLDS)
        assert [trial.number for trial in joined.trials] == [1, 2, 3][: len(joined.trials)]
        assert list(joined.params["members"].values())[:2] == [better, better]
        found = {}
        for size in (2, 3):
            members = {trial.params["model"]: tuned(trial.params)[1] for trial in (study.trials[n] for n in (1, 2, 3))}
            build = partial(CLV.build, "ensemble", {"members": dict(list(members.items())[:size])})
            found[size] = validate(CLV.evaluate, build, self.DATA, self.FOLDS).metrics["gini"]
        assert joined.value == max(found.values()) == found[len(joined.trials)]

    def test_one_model_alone_and_members_outside_the_guards_give_none(self):
        assert best_ensemble(self.study(("bg_nbd", {}, 0.1)), CLV, self.DATA, self.FOLDS) is None
        guarded = replace(CLV, guards={"total_ratio": (100.0, 200.0)})
        study = self.study(("bg_nbd", {}, 0.1), ("mbg_nbd", {}, 0.2))
        assert best_ensemble(study, guarded, self.DATA, self.FOLDS) is None


class TestNaiveProbability:
    def test_prediction_is_the_share_at_each_value_pooled_until_monotone(self):
        rows = pd.DataFrame({"days_since_last_purchase": [0.0, 0, 10, 10, 20, 20, 40, 40]})
        came = pd.Series([1.0, 1, 0, 1, 1, 1, 0, 0])
        model = NaiveProbability().fit(rows, came)
        # 10 and 20 are out of order (1/2, 1): pooled at their mean value, 15, with share 3/4
        assert model.values_.tolist() == [0, 15, 40]
        np.testing.assert_allclose(model.shares_, [1, 0.75, 0])
        at = pd.DataFrame({"days_since_last_purchase": [7.5, 99.0]})
        np.testing.assert_allclose(model.predict(at), [0.875, 0])

    def test_baseline_ranks_as_its_feature(self, fitted):
        recency = roc_auc(BOUGHT, -X["days_since_last_purchase"])
        assert roc_auc(BOUGHT, fitted["naive_recency"].predict(X)) == pytest.approx(recency, abs=0.005)

    def test_the_constant_is_the_share_of_training_rows(self, fitted):
        assert fitted["naive_constant"].predict(X) == pytest.approx(BOUGHT.mean())


class TestProbabilities:
    @pytest.mark.parametrize("name", PROBABILITIES)
    def test_inactivity_is_the_complement(self, name, fitted):
        if name.startswith("estimator"):
            pytest.skip("a forest draws other rows and splits, and its leaves are no complements")
        terms = {"event": "inactivity"} if "event" in EVERY[name]().get_params() else {}
        absent = EVERY[name](**terms).fit(X, 1 - BOUGHT).predict(X)
        # Trees add up rounded leaves, and the last bit may decide between bins of equal gain.
        np.testing.assert_allclose(absent, 1 - fitted[name].predict(X), atol=1e-6)

    @pytest.mark.parametrize("name", sorted({*PROBABILITIES} - {"purchase_probability", "naive_constant"}))
    def test_a_target_other_than_0_and_1_raises(self, name):
        for wrong in (y, BOUGHT * 0):
            with pytest.raises(InputError, match="distinguish customers"):
                EVERY[name]().fit(X, wrong)

    def test_mistakes_raise(self):
        with pytest.raises(InputError, match="did you mean 'purchase'"):
            EVERY["purchase_probability"](event="purchases").fit(X)
        with pytest.raises(InputError, match="did you mean 'pareto_nbd'"):
            EVERY["probability_blend"](probabilistic__purchases="pareto_ndb").fit(X, BOUGHT)
        with pytest.raises(InputError, match="C is out of range"):
            EVERY["logistic"](C=0.0).fit(X, BOUGHT)

    def test_a_blend_is_the_weighted_mean_and_takes_the_tasks_terms(self):
        terms = {"horizon_days": 28, "event": "inactivity"}
        blend = EVERY["probability_blend"](weight=0.25, probabilistic__purchases="bg_nbd", **terms)
        blend.fit(X, 1 - BOUGHT)
        purchases = EVERY["purchase_probability"](purchases="bg_nbd", **terms).fit(X)
        trees = EVERY["lightgbm_probability"]().fit(X, 1 - BOUGHT)
        np.testing.assert_allclose(blend.predict(X), 0.25 * trees.predict(X) + 0.75 * purchases.predict(X))


class TestLastingSlope:
    def window(self, seed: int, slope: float = 1.6, n: int = 4000) -> tuple[np.ndarray, np.ndarray]:
        """Simulate outcomes and probabilities that are overconfident by a slope, in a season with fewer customers."""
        rng = np.random.default_rng(seed)
        z = rng.normal(0.5, 1.5, n)
        return (rng.random(n) < 1 / (1 + np.exp(-z))).astype(float), 1 / (1 + np.exp(-(seed + slope * z)))

    def test_recovery_and_a_lower_log_loss_in_later_windows(self):
        slope = lasting_slope([self.window(0), self.window(1), self.window(2)])
        assert slope == pytest.approx(1 / 1.6, abs=0.05)
        happened, p = self.window(0)
        assert log_loss(happened, 1 / (1 + (1 / p - 1) ** slope)) < log_loss(happened, p) - 0.02

    def test_one_window_another_slope_later_and_reversed_or_equal_predictions_change_nothing(self):
        assert lasting_slope([self.window(0)]) == 1
        assert lasting_slope([self.window(0, 1.6), self.window(1, 0.6)]) == 1
        for made in (lambda p: 1 - p, lambda p: np.full(len(p), 0.9)):
            assert lasting_slope([(y, made(p)) for y, p in (self.window(0), self.window(1))]) == 1


class TestCalibratedProbabilities:
    def test_order_stays_and_the_model_is_stored_with_its_calibration(self, fitted):
        inner = fitted["lightgbm_probability"]
        model = Calibrated(inner, link="logit", constant=-0.35, slope=0.4, stretch=2.0)
        model.set_state({"model": inner.get_state()})
        before, after = inner.predict(X), model.predict(X)
        assert roc_auc(BOUGHT, after) == roc_auc(BOUGHT, before)
        assert (np.diff(after[np.argsort(before, kind="stable")]) >= 0).all()
        np.testing.assert_allclose(np.log(after / (1 - after)), -0.7 + 0.4 * np.log(before / (1 - before)))
        assert np.array_equal(load(dump(model)).predict(X), after)
        assert np.array_equal(clone(model).fit(X, BOUGHT).predict(X), after)


@pytest.mark.parametrize("name", ["lightgbm", "lightgbm_probability", "blend", "probability_blend"])
def test_trees_do_not_learn_the_day_of_the_cutoff(name: str, fitted) -> None:
    dated = X.assign(cutoff_day=pd.DatetimeIndex(X.index.get_level_values("cutoff")).dayofyear.astype(float))
    model = EVERY[name]().fit(dated, target_of(name))
    assert np.array_equal(model.predict(dated), fitted[name].predict(X))


@pytest.mark.parametrize("name", ["lightgbm", "lightgbm_probability"])
def test_trees_give_the_same_bits_with_any_number_of_threads(name: str) -> None:
    X, y = customers_of_a_shop(3_000)
    y = (y > y.median()).astype(float) if name == "lightgbm_probability" else y
    grown = {n: EVERY[name]().set_params(n_estimators=10, n_jobs=n).fit(X, y).predict(X) for n in (1, 2)}
    assert np.array_equal(grown[1], grown[2])
