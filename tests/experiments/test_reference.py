"""Published results reproduced by our fitting code, and parameters recovered from simulated customers."""

from __future__ import annotations

from pathlib import Path

import lifetimes
import numpy as np
import pandas as pd
import pytest
from lifetimes.utils import calibration_and_holdout_data

from experiments.models import BGNBD, MBGNBD, ParetoNBD
from experiments.models.buy_till_you_die import PROBABILISTIC

HOLDOUT_DAYS = 273  # 1997-10-01 to 1998-06-30, 39 weeks


@pytest.fixture(scope="module")
def cdnow() -> pd.DataFrame:
    """Return the 1/10 sample of CDNOW: calibration to 1997-09-30 in days, and later purchases per customer."""
    lines = pd.read_csv(
        Path(lifetimes.__file__).parent / "datasets" / "CDNOW_sample.txt",
        sep=r"\s+",
        names=["master_id", "customer_id", "date", "cds", "value"],
        dtype={"date": str},
    )
    lines["date"] = pd.to_datetime(lines["date"], format="%Y%m%d")
    daily = lines.groupby(["customer_id", "date"], as_index=False)["value"].sum()
    summary = calibration_and_holdout_data(
        daily, "customer_id", "date", "1997-09-30", "1998-06-30", freq="D", monetary_value_col="value"
    )
    return summary.rename(columns=lambda name: name.removesuffix("_cal")).astype(float)


class TestCDNOW:
    def test_sample_is_the_published_one(self, cdnow):
        assert len(cdnow) == 2357
        assert cdnow["frequency"].sum() == 2457
        assert (cdnow["frequency"] > 0).sum() == 946

    def test_bg_nbd_equals_fader_hardie_and_lee_2005(self, cdnow):
        model = BGNBD(penalizer_coef=0.0).fit(cdnow)
        _assert_params(model, r=0.243, alpha=4.414, a=0.793, b=2.426)
        assert model.log_likelihood_ == pytest.approx(-9582.43, abs=0.01)

    def test_mbg_nbd_equals_the_recorded_fit(self, cdnow):
        _assert_params(MBGNBD(penalizer_coef=0.0).fit(cdnow), r=0.525, alpha=6.183, a=0.891, b=1.614)

    def test_pareto_nbd_equals_fader_hardie_and_lee_2005(self, cdnow):
        model = ParetoNBD(penalizer_coef=0.0).fit(cdnow)
        _assert_params(model, r=0.553, alpha=10.58, s=0.606, beta=11.67)
        assert model.log_likelihood_ == pytest.approx(-9594.98, abs=0.01)

    def test_gamma_gamma_equals_fader_and_hardie_2013(self):
        published = pd.read_csv(
            Path(lifetimes.__file__).parent / "datasets" / "cdnow_customers_summary_with_transactions.csv",
            header=0,
            names=["customer_id", "frequency", "recency", "T", "monetary_value"],
        )
        model = BGNBD().fit_value(published["frequency"], published["monetary_value"])
        _assert_params(model, p=6.25, q=3.74, v=15.44)

    def test_gamma_gamma_mean_value_is_near_the_spend_of_repeat_buyers(self, cdnow):
        repeat = cdnow[cdnow["frequency"] > 0]
        model = BGNBD().fit(cdnow)
        assert model.expected_value(repeat).mean() == pytest.approx(repeat["monetary_value"].mean(), rel=0.05)

    @pytest.mark.parametrize(("name", "published"), [("bg_nbd", 1.608), ("mbg_nbd", 1.61), ("pareto_nbd", 1.603)])
    def test_transactions_rmse_in_the_holdout_is_at_most_1_61(self, cdnow, name, published):
        model = PROBABILISTIC[name]().fit(cdnow)
        error = model.expected_purchases(cdnow, HOLDOUT_DAYS) - cdnow["frequency_holdout"]
        rmse = float(np.sqrt(np.mean(error**2)))
        assert rmse <= 1.61
        assert rmse <= published + 0.002

    @pytest.mark.parametrize("name", PROBABILISTIC)
    def test_the_default_penalty_moves_estimates_by_at_most_the_documented_amount(self, cdnow, name):
        free = PROBABILISTIC[name](penalizer_coef=0.0).fit(cdnow)
        assert PROBABILISTIC[name]().fit(cdnow).params_ == pytest.approx(free.params_, rel=0.012)

    @pytest.mark.parametrize(
        ("name", "fitter"),
        [
            ("bg_nbd", lifetimes.BetaGeoFitter),
            ("mbg_nbd", lifetimes.ModifiedBetaGeoFitter),
            ("pareto_nbd", lifetimes.ParetoNBDFitter),
        ],
    )
    def test_predictions_equal_those_of_lifetimes(self, cdnow, name, fitter):
        model = PROBABILISTIC[name]().fit(cdnow)
        theirs = fitter()
        theirs.params_ = pd.Series(model.params_)
        history = cdnow["frequency"], cdnow["recency"] / 7, cdnow["T"] / 7
        expected = theirs.conditional_expected_number_of_purchases_up_to_time(39, *history)
        np.testing.assert_allclose(model.expected_purchases(cdnow, HOLDOUT_DAYS), expected, rtol=1e-7)
        alive = theirs.conditional_probability_alive(*history)
        np.testing.assert_allclose(model.p_alive(cdnow), alive, rtol=1e-7)


def _assert_params(model, **published):
    """Check equality to all printed digits, or to 2 in a thousand if the optimum is flat."""
    found = {name: model.params_[name] for name in published}
    assert found == pytest.approx(published, rel=2e-3)


def simulate(n: int, r: float, alpha: float, chance, *, first_chance: bool, seed: int, after: float = 0.0):
    """Simulate histories (x, t_x, T) as the models assume, and the buyers in the `after` weeks that follow.

    Gaps are exponential. After each purchase a customer leaves with the probability that `chance` gives, with
    `first_chance` also after the first one (MBG/NBD). Customers are observed for 20 to 52 weeks.
    """
    rng = np.random.default_rng(seed)
    rate, leave, T = rng.gamma(r, 1 / alpha, n), chance(rng, n), rng.uniform(20, 52, n)
    x, t_x = np.zeros(n), np.zeros(n)
    alive = rng.random(n) >= leave if first_chance else np.ones(n, dtype=bool)
    clock, bought = np.zeros(n), np.zeros(n, dtype=bool)
    while alive.any():
        clock[alive] += rng.exponential(1 / rate[alive])
        bought |= alive & (clock > T) & (clock <= T + after)
        alive &= clock <= T
        x[alive] += 1
        t_x[alive] = clock[alive]
        alive &= rng.random(n) >= leave
    return (x, t_x, T), bought


def simulate_pareto_nbd(n: int, r: float, alpha: float, s: float, beta: float, seed: int, after: float = 0.0):
    """Simulate histories (x, t_x, T) and buyers in the next `after` weeks, with exponential gaps and lifetimes."""
    rng = np.random.default_rng(seed)
    rate, T = rng.gamma(r, 1 / alpha, n), rng.uniform(20, 52, n)
    lifetime = rng.exponential(1 / rng.gamma(s, 1 / beta, n))
    until = np.minimum(T, lifetime)
    x = rng.poisson(rate * until).astype(float)
    # Last of x purchases that are uniform in [0, until].
    t_x = np.where(x > 0, until * rng.random(n) ** (1 / np.maximum(x, 1)), 0.0)
    return (x, t_x, T), rng.poisson(rate * np.clip(lifetime - T, 0.0, after)) > 0


@pytest.mark.parametrize(("model", "first_chance"), [(BGNBD, False), (MBGNBD, True)])
def test_parameters_are_recovered_from_simulated_customers(model, first_chance):
    true = {"r": 0.6, "alpha": 3.0, "a": 0.8, "b": 2.5}
    history, _ = simulate(
        60_000,
        true["r"],
        true["alpha"],
        lambda rng, n: rng.beta(true["a"], true["b"], n),
        first_chance=first_chance,
        seed=5,
    )
    _assert_recovered(model(penalizer_coef=0.0).fit_purchases(*history), history, true, rel=0.1)


def test_pareto_nbd_parameters_are_recovered_from_simulated_customers():
    true = {"r": 0.9, "alpha": 5.0, "s": 0.7, "beta": 8.0}
    history, _ = simulate_pareto_nbd(20_000, *true.values(), seed=5)
    _assert_recovered(ParetoNBD(penalizer_coef=0.0).fit_purchases(*history), history, true, rel=0.15)


BETA_GEOMETRIC = {"r": 0.6, "alpha": 3.0, "a": 0.8, "b": 2.5}


@pytest.mark.parametrize(
    ("make", "true"),
    [
        (BGNBD, BETA_GEOMETRIC),
        (MBGNBD, BETA_GEOMETRIC),
        (ParetoNBD, {"r": 0.9, "alpha": 5.0, "s": 0.7, "beta": 8.0}),
        (ParetoNBD, {"r": 0.9, "alpha": 8.0, "s": 1.7, "beta": 5.0}),
    ],
)
def test_p_purchase_equals_the_share_of_buyers_among_simulated_customers_with_that_history(make, true):
    n, weeks = 200_000, 4.0
    if make is ParetoNBD:
        (x, t_x, T), bought = simulate_pareto_nbd(n, *true.values(), seed=9, after=weeks)
    else:
        (x, t_x, T), bought = simulate(
            n,
            true["r"],
            true["alpha"],
            lambda rng, n: rng.beta(true["a"], true["b"], n),
            first_chance=make is MBGNBD,
            seed=9,
            after=weeks,
        )
    model = make().set_state({"params": true, "log_likelihood": 0.0})
    X = pd.DataFrame({"frequency": x, "recency": 7 * t_x, "T": 7 * T})
    groups = pd.DataFrame({"p": model.p_purchase(X, 7 * weeks), "bought": bought}).groupby(
        [np.minimum(x, 4), np.ceil(4 * t_x / T)]
    )
    predicted, observed = groups["p"].mean(), groups["bought"].mean()
    assert len(predicted) == 17
    far = (observed - predicted) / np.sqrt(predicted * (1 - predicted) / groups.size())
    assert np.abs(far).max() < 3.9  # 17 groups
    assert (far**2).sum() < 40.8  # chi2 of 17 at .999


def test_p_purchase_of_pareto_nbd_equals_lifetimes_conditional_probability(cdnow):
    model = ParetoNBD().fit(cdnow)
    theirs = lifetimes.ParetoNBDFitter()
    theirs.params_ = pd.Series(model.params_)
    none = theirs.conditional_probability_of_n_purchases_up_to_time(
        0, 39, cdnow["frequency"], cdnow["recency"] / 7, cdnow["T"] / 7
    )
    np.testing.assert_allclose(model.p_purchase(cdnow, HOLDOUT_DAYS), 1 - none, rtol=1e-6)


def test_one_time_buyers_are_alive_under_bg_nbd_but_buy_more_likely_if_others_buy_more(cdnow):
    model = BGNBD().fit(cdnow)
    once = cdnow["frequency"] == 0
    buys = cdnow["frequency_holdout"] > 0
    p = model.p_purchase(cdnow, HOLDOUT_DAYS)
    assert (model.p_alive(cdnow[once]) == 1).all()
    assert p[once].mean() < p[~once].mean()
    assert p.mean() == pytest.approx(buys.mean(), abs=0.05)


def _assert_recovered(model, history, true, rel):
    """Check that estimates are near the true values, by tolerance and by Wilks' likelihood ratio: chi2 at 0.999."""
    assert model.params_ == pytest.approx(true, rel=rel)
    customers = len(history[0])
    at_truth = -customers * model._negative_log_likelihood(
        np.log([*true.values()]), *history, weights=np.ones(customers), penalizer_coef=0.0
    )
    assert -0.01 < 2 * (model.log_likelihood_ - at_truth) < 18.5


def test_gamma_gamma_parameters_are_recovered_from_simulated_customers():
    true = {"p": 4.0, "q": 3.5, "v": 20.0}
    rng = np.random.default_rng(5)
    x = rng.integers(1, 12, 30_000).astype(float)
    mean = rng.gamma(true["p"] * x, 1 / x) / rng.gamma(true["q"], 1 / true["v"], len(x))
    model = BGNBD().fit_value(x, mean)
    assert model.params_ == pytest.approx(true, rel=0.04)
    rich = BGNBD().fit_value(x, mean * 1000)
    assert rich.params_ == pytest.approx({**model.params_, "v": model.params_["v"] * 1000}, rel=1e-4)


@pytest.mark.parametrize("factors", [1, 2])
def test_gamma_gamma_of_customers_who_do_not_differ_expects_the_mean(factors):
    """Values vary from purchase to purchase alone: q and v grow without end, and their bounds are accepted."""
    rng = np.random.default_rng(1)
    x = rng.integers(1, 5, 2000)
    mean = np.array([rng.uniform(0, 100, (n, factors)).prod(axis=1).mean() for n in x])
    model = BGNBD().fit_value(x, mean)
    assert model.params_["q"] > 1000
    customers = pd.DataFrame({"frequency": [0.0, 1.0, 4.0], "monetary_value": [0.0, mean.min(), mean.max()]})
    customers = customers.assign(recency=0.0, T=70.0)
    assert model.expected_value(customers) == pytest.approx(x @ mean / x.sum(), rel=0.01)


@pytest.mark.parametrize("spread", [0.0, 0.005])
def test_gamma_gamma_of_values_that_are_alike_expects_their_mean(spread):
    """A subscription of 9.99 a month: the likelihood grows with q and v, and the limit is the mean."""
    rng = np.random.default_rng(6)
    x = rng.integers(1, 12, 300).astype(float)
    mean = 9.99 * (1 + spread * rng.choice([-1, 1], 300))
    model = BGNBD().fit_value(x, mean)
    customers = pd.DataFrame({"frequency": [0.0, 1.0, 11.0], "monetary_value": [0.0, 9.99, 9.99]})
    customers = customers.assign(recency=0.0, T=70.0)
    assert model.expected_value(customers) == pytest.approx(mean.mean(), rel=1e-6)
