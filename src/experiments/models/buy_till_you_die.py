"""Buy-till-you-die models of purchases x the gamma-gamma model of their value.

The likelihoods of BG/NBD, MBG/NBD and gamma-gamma come from `lifetimes` and are minimised here by L-BFGS-B. The BFGS
search of lifetimes stops on Complete Journey with "precision loss". Its Pareto/NBD likelihood and its BG/NBD
expectation give NaN for customers with a hundred purchases. Both are rewritten here without overflow or cancellation.
Fitted parameters are numbers in `params_`, in weeks.

References
----------
.. [1] Fader, Hardie & Lee (2005), "Counting Your Customers" the Easy Way, Marketing Science 24(2).
.. [2] Batislam, Denizel & Filiztekin (2007), Int. J. of Research in Marketing 24(3); Wagner & Hoppe (2008), 25(3).
.. [3] Fader & Hardie (2005), A Note on Deriving the Pareto/NBD Model, brucehardie.com/notes/009.
.. [4] Fader & Hardie (2013), The Gamma-Gamma Model of Monetary Value, brucehardie.com/notes/025.
.. [5] Fader & Hardie (2014), Deriving the Conditional PMF of the Pareto/NBD Model, brucehardie.com/notes/028.
"""

from __future__ import annotations

import warnings
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd
from autograd import value_and_grad
from lifetimes import BetaGeoFitter, GammaGammaFitter, ModifiedBetaGeoFitter
from numpy.typing import ArrayLike
from scipy.optimize import minimize
from scipy.special import expit, gammaln, hyp2f1
from sklearn.utils.validation import check_is_fitted

from experiments.models.base import (
    DISCOUNT_RATE,
    HORIZON_DAYS,
    MARGIN,
    Model,
    check_terms,
    discount_steps,
    finite_columns,
    latest_cutoff,
)
from experiments.models.memo import kept
from features.errors import InputError, UnsuitableDataError, did_you_mean

DAYS_PER_WEEK = 7
LONGEST_T = 10.0  # longest T in the optimiser's unit of time, as in lifetimes
FEWEST_REPEAT_BUYERS = 10
ALIKE = 0.01  # values whose standard deviation is at most this share of their mean are alike
ONE_VALUE = 1e9  # in place of an infinite q: the expected value is the mean to nine digits
# Range of valid estimates, with time in the optimiser's unit and v in units of the mean value.
BOUNDS = {
    "r": (1e-4, 1e4),
    "alpha": (1e-4, 1e4),
    "a": (1e-9, 1e4),
    "b": (1e-9, 1e4),
    "s": (1e-9, 1e4),
    "beta": (1e-9, 1e4),
    "p": (1e-4, 1e4),
    "q": (1.0, 1e4),  # the mean value p v / (q - 1) exists above 1
    "v": (1e-4, 1e4),
}
# At 0 customers never leave: a limit of the models in which predictions stay valid.
MAY_VANISH = {"a", "s"}
# Where customers do not differ in what they spend, q and v grow together without end, and everybody's expected value
# becomes the mean: another such limit, accepted from this q on, where mean values of customers differ by some 10%.
MAY_GROW = {"q", "v"}
EVEN = 100.0


class BuyTillYouDie(Model):
    """Expected spend = E[purchase days in the horizon] x E[value of a purchase day] x margin, discounted.

    Purchases are fitted on (frequency, recency, T); equal rows are merged and weighted by their number. Value is fitted
    on the customers with a repeat purchase. If `X` has several cutoffs, only the latest is fitted, because it holds the
    history of the earlier ones.

    Parameters
    ----------
    horizon_days : float
    penalizer_coef : float
        Weight of the sum of squared purchase parameters against the mean log-likelihood, with time scaled so that the
        longest T is 10. The default keeps b, s and beta from drifting where the likelihood is flat. It moves the
        published estimates for CDNOW by at most 1.2%; 0 gives the published estimates.
    gamma_gamma_penalizer_coef : float
        The same for (p, q, v) of the value model, with v in units of the mean value.
    margin : float
        Profit per unit of revenue.
    discount_rate : float
        Per year. Above 0, steps of 30 days are discounted at their middle.

    Attributes
    ----------
    params_ : dict
        Purchase parameters, with alpha and beta in weeks, and p, q, v of the value model.
    log_likelihood_ : float
        Log-likelihood of the purchases, without the penalty.
    """

    purchase_parameters: ClassVar[tuple[str, ...]]
    in_time_units: ClassVar[tuple[str, ...]]

    def __init__(
        self,
        horizon_days: float = HORIZON_DAYS,
        penalizer_coef: float = 1e-6,
        gamma_gamma_penalizer_coef: float = 0.0,
        margin: float = MARGIN,
        discount_rate: float = DISCOUNT_RATE,
    ) -> None:
        self.horizon_days = horizon_days
        self.penalizer_coef = penalizer_coef
        self.gamma_gamma_penalizer_coef = gamma_gamma_penalizer_coef
        self.margin = margin
        self.discount_rate = discount_rate

    def fit(self, X: pd.DataFrame, y: pd.Series | None = None) -> Self:
        """Fit purchases and value on the latest cutoff; `y` is ignored.

        Parameters
        ----------
        X : DataFrame with frequency, recency, T (days) and monetary_value (currency)

        Raises
        ------
        UnsuitableDataError
            If the data is degenerate or the fit is invalid: no convergence, parameters outside `BOUNDS`.
        """
        check_terms(self.horizon_days, self.margin, self.discount_rate)
        X = latest_cutoff(X)
        value = self._value(X)
        self.fit_history(X)
        self.fit_value(value["frequency"], value["monetary_value"])
        self.predict(X)
        return self

    def fit_history(self, X: pd.DataFrame) -> Self:
        """Fit the purchases alone, on the latest cutoff: frequency, recency and T, in days."""
        return self.fit_purchases(*self._weeks(latest_cutoff(X)))

    def fit_purchases(
        self, frequency: ArrayLike, recency: ArrayLike, T: ArrayLike, weights: ArrayLike | None = None
    ) -> Self:
        """Estimate the purchase parameters from histories in weeks; equal ones are merged.

        Parameters
        ----------
        frequency, recency, T : array of shape (n_histories,)
            Repeat purchases, first to last purchase, first purchase to now; 0 <= recency <= T.
        weights : array of shape (n_histories,), optional
            Number of customers with each history; 1 by default.
        """
        x, t_x, T = (np.asarray(values, dtype=float) for values in (frequency, recency, T))
        w = np.ones(len(x)) if weights is None else np.asarray(weights, dtype=float)
        _check_histories(x, t_x, T, w)
        merged = pd.DataFrame({"x": x, "t_x": t_x, "T": T, "w": w}).groupby(["x", "t_x", "T"], as_index=False).sum()
        x, t_x, T, w = (merged[name].to_numpy() for name in merged)
        scale = float(LONGEST_T / T.max())
        data = (x, t_x * scale, T * scale, w)
        scaled = _minimised(self._negative_log_likelihood, self.purchase_parameters, data, self.penalizer_coef)
        mean_loss = self._negative_log_likelihood(np.log([*scaled.values()]), *data, 0.0)
        self.log_likelihood_ = float(w @ x * np.log(scale) - w.sum() * mean_loss)  # a density in weeks again
        kept = {name: value for name, value in getattr(self, "params_", {}).items() if name in ("p", "q", "v")}
        unscaled = {name: value / (scale if name in self.in_time_units else 1) for name, value in scaled.items()}
        self.params_ = {**unscaled, **kept}
        return self

    def fit_value(self, frequency: ArrayLike, monetary_value: ArrayLike) -> Self:
        """Estimate the gamma-gamma parameters from customers with repeat purchases of a value above 0.

        Parameters
        ----------
        frequency, monetary_value : array of shape (n_customers,)
            Rows with a 0 in either hold no information about value and are left out.

        Notes
        -----
        Where all values are alike, as those of a subscription, the likelihood has no maximum: it grows with q and v.
        The limit is taken, in which everybody's expected value is the mean. Where values vary from purchase to purchase
        and not from customer to customer, q and v grow likewise: the search ends at their bounds, near the same limit.
        """
        x, m = np.asarray(frequency, dtype=float), np.asarray(monetary_value, dtype=float)
        used = (x > 0) & (m > 0)
        _check_enough(int(used.sum()), "repeat buyers with a value above 0")
        order = np.lexsort((m[used], x[used]))  # a sum of doubles depends on its order
        x, m = x[used][order], m[used][order]
        unit = float(m.mean())
        if m.std() <= ALIKE * unit:
            params: Mapping[str, float] = {"p": 1.0, "q": 1.0 + ONE_VALUE, "v": ONE_VALUE}
        else:
            params = _minimised(
                GammaGammaFitter._negative_log_likelihood,
                ("p", "q", "v"),
                (x, m / unit, np.ones(len(x))),
                self.gamma_gamma_penalizer_coef,
            )
        self.params_ = {**getattr(self, "params_", {}), **params, "v": params["v"] * unit}
        return self

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        """Predict the expected value in the horizon, in currency: array of shape (n_rows,), >= 0.

        Raises
        ------
        InputError
            If a column is missing.
        UnsuitableDataError
            If a value is not a valid amount, or a prediction is negative or not finite.
        """
        ends, factors = discount_steps(self.horizon_days, self.discount_rate)
        history = self._weeks(X)
        purchases = np.stack([self._purchases_within(end, history) for end in ends])
        value = self.margin * (factors @ np.diff(purchases, axis=0, prepend=0.0)) * self.expected_value(X)
        return self._sound(value, "predicted spend")

    def p_alive(self, X: pd.DataFrame) -> np.ndarray:
        """Return the probability that a customer is still active: array of shape (n_rows,), in [0, 1]."""
        check_is_fitted(self)
        return self._p_alive(*self._weeks(X))

    def p_purchase(self, X: pd.DataFrame, horizon_days: float | None = None) -> np.ndarray:
        """Return the probability of a purchase day in the next `horizon_days`: array of shape (n_rows,), in [0, 1].

        P(alive) x P(a purchase | alive). P(alive) alone does not predict who comes back: under BG/NBD it is 1 for every
        customer with one purchase day. Without `horizon_days` the model's own horizon is used.
        """
        return self.p_purchases(X, [self.horizon_days if horizon_days is None else horizon_days])[:, 0]

    def p_purchases(self, X: pd.DataFrame, days: Sequence[float]) -> np.ndarray:
        """Return the probabilities of `p_purchase` for several horizons: array of shape (n_rows, n_horizons)."""
        check_is_fitted(self)
        x, t_x, T = self._weeks(X)
        p_alive = self._p_alive(x, t_x, T)
        return np.column_stack([p_alive * self._p_purchase_of_living(each / DAYS_PER_WEEK, x, T) for each in days])

    def expected_purchases(self, X: pd.DataFrame, horizon_days: float | None = None) -> np.ndarray:
        """Return expected purchase days in the next `horizon_days`, by default the model's own: array, >= 0."""
        check_is_fitted(self)
        days = self.horizon_days if horizon_days is None else horizon_days
        return self._purchases_within(days, self._weeks(X))

    def expected_value(self, X: pd.DataFrame) -> np.ndarray:
        """Return the expected value of a purchase day, in currency: array of shape (n_rows,), > 0.

        (p v + p x m) / (p x + q - 1), equation (5) of [4]_. It lies between the population's mean p v / (q - 1) and the
        customer's own mean m. The more purchases x the customer made, the nearer it is to m.
        """
        check_is_fitted(self)
        p, q, v = (self.params_[name] for name in ("p", "q", "v"))
        rows = self._value(X)
        x, m = rows["frequency"].to_numpy(), rows["monetary_value"].to_numpy()
        return p * (v + x * m) / (p * x + q - 1)

    @staticmethod
    @abstractmethod
    def _negative_log_likelihood(
        log_params: np.ndarray,
        x: np.ndarray,
        t_x: np.ndarray,
        T: np.ndarray,
        weights: np.ndarray,
        penalizer_coef: float,
    ) -> float:
        """Return minus the weighted mean log-likelihood, plus penalizer_coef x sum of squared parameters."""

    @abstractmethod
    def _p_alive(self, x: np.ndarray, t_x: np.ndarray, T: np.ndarray) -> np.ndarray: ...

    @abstractmethod
    def _p_purchase_of_living(self, t: float, x: np.ndarray, T: np.ndarray) -> np.ndarray: ...

    @abstractmethod
    def _expected_purchases(self, t: float, x: np.ndarray, t_x: np.ndarray, T: np.ndarray) -> np.ndarray: ...

    def _purchase_params(self) -> list[float]:
        return [self.params_[name] for name in self.purchase_parameters]

    def _purchases_within(self, days: float, history: Sequence[np.ndarray]) -> np.ndarray:
        return self._sound(self._expected_purchases(days / DAYS_PER_WEEK, *history), "expected purchases")

    def _history(self, X: pd.DataFrame) -> pd.DataFrame:
        rows = finite_columns(X, ["frequency", "recency", "T"])
        return rows.assign(recency=rows["recency"] / DAYS_PER_WEEK, T=rows["T"] / DAYS_PER_WEEK)

    def _value(self, X: pd.DataFrame) -> pd.DataFrame:
        return finite_columns(X, ["frequency", "monetary_value"])

    def _weeks(self, X: pd.DataFrame) -> Sequence[np.ndarray]:
        return self._history(X).to_numpy().T

    def _sound(self, values: np.ndarray, what: str) -> np.ndarray:
        # Rounding may give -1e-17 where 0 is expected.
        wrong = ~(np.isfinite(values) & (values > -1e-9))
        if wrong.any():
            raise _absurd(f"{what} of {wrong.sum():,} rows is negative or not finite", self.params_)
        return np.maximum(values, 0.0)

    def get_state(self) -> dict[str, Any]:
        return {"params": self.params_, "log_likelihood": self.log_likelihood_}

    def set_state(self, state: Mapping[str, Any]) -> Self:
        self.params_ = dict(state["params"])
        self.log_likelihood_ = state["log_likelihood"]
        return self


class BGNBD(BuyTillYouDie):
    """BG/NBD x gamma-gamma: purchases at rate lambda ~ gamma(r, alpha); dropout after each with p ~ beta(a, b).

    A customer without a repeat purchase is certainly alive: dropout is only possible at a repeat purchase [1]_.

    Examples
    --------
    >>> x = np.tile([0, 1, 2, 5], 10)
    >>> t_x = np.tile([0.0, 10.0, 20.0, 30.0], 10)
    >>> model = BGNBD().fit_purchases(x, t_x, np.full(40, 39.0))
    >>> sorted(model.params_)
    ['a', 'alpha', 'b', 'r']
    >>> model.p_alive(pd.DataFrame({"frequency": [0.0], "recency": [0.0], "T": [90.0]})).tolist()
    [1.0]
    """

    purchase_parameters: ClassVar = ("r", "alpha", "a", "b")
    in_time_units: ClassVar = ("alpha",)
    # Chances to drop out: one at each repeat purchase. MBG/NBD has one more, at the first purchase.
    _chances_less: ClassVar[int] = 1
    _negative_log_likelihood = staticmethod(BetaGeoFitter._negative_log_likelihood)

    def _p_alive(self, x: np.ndarray, t_x: np.ndarray, T: np.ndarray) -> np.ndarray:
        r, alpha, a, b = self._purchase_params()
        survived = b + np.maximum(x - self._chances_less, 0)
        log_odds_of_death = np.log(a / survived) + (r + x) * np.log((alpha + T) / (alpha + t_x))
        return np.where(x < self._chances_less, 1.0, expit(-log_odds_of_death))

    def _p_purchase_of_living(self, t: float, x: np.ndarray, T: np.ndarray) -> np.ndarray:
        # Dropout happens at a purchase only. Until then a customer alive at T buys at rate
        # lambda ~ gamma(r + x, alpha + T), so P(none in t) = E[exp(-lambda t)].
        r, alpha, _, _ = self._purchase_params()
        return -np.expm1((r + x) * np.log1p(-t / (alpha + T + t)))

    def _expected_purchases(self, t: float, x: np.ndarray, t_x: np.ndarray, T: np.ndarray) -> np.ndarray:
        # [1] equation (10) after Euler's transformation of 2F1, whose huge factor
        # ((alpha + T + t) / (alpha + T))^(r + x) cancels the one in front of it.
        r, alpha, a, b = self._purchase_params()
        c = a + b + x - self._chances_less
        z = t / (alpha + T + t)
        remaining = np.exp((a - 1) * np.log1p(-z)) * hyp2f1(a + b - self._chances_less - r, a - 1, c, z)
        return c / (a - 1) * (1 - remaining) * self._p_alive(x, t_x, T)


class MBGNBD(BGNBD):
    """MBG/NBD x gamma-gamma: BG/NBD with one more chance to drop out, right after the first purchase [2]_.

    Examples
    --------
    >>> x = np.tile([0, 1, 2, 5], 10)
    >>> t_x = np.tile([0.0, 10.0, 20.0, 30.0], 10)
    >>> model = MBGNBD().fit_purchases(x, t_x, np.full(40, 39.0))
    >>> bool(model.p_alive(pd.DataFrame({"frequency": [0.0], "recency": [0.0], "T": [90.0]}))[0] < 1)
    True
    """

    _chances_less: ClassVar[int] = 0
    _negative_log_likelihood = staticmethod(ModifiedBetaGeoFitter._negative_log_likelihood)


class ParetoNBD(BuyTillYouDie):
    """Pareto/NBD x gamma-gamma: purchases at rate lambda ~ gamma(r, alpha), dropout at mu ~ gamma(s, beta) [3]_.

    Examples
    --------
    >>> x = np.tile([0, 1, 2, 5], 10)
    >>> t_x = np.tile([0.0, 10.0, 20.0, 30.0], 10)
    >>> sorted(ParetoNBD().fit_purchases(x, t_x, np.full(40, 39.0)).params_)
    ['alpha', 'beta', 'r', 's']
    """

    purchase_parameters: ClassVar = ("r", "alpha", "s", "beta")
    in_time_units: ClassVar = ("alpha", "beta")

    @staticmethod
    def _negative_log_likelihood(
        log_params: np.ndarray,
        x: np.ndarray,
        t_x: np.ndarray,
        T: np.ndarray,
        weights: np.ndarray,
        penalizer_coef: float,
    ) -> float:
        params = np.exp(log_params)
        r, alpha, _, _ = params
        alive, dead = _pareto_nbd_terms(params, x, t_x, T)
        log_likelihood = gammaln(r + x) - gammaln(r) + r * np.log(alpha) + np.logaddexp(alive, dead)
        return -(weights @ log_likelihood) / weights.sum() + penalizer_coef * (params @ params)

    def _p_alive(self, x: np.ndarray, t_x: np.ndarray, T: np.ndarray) -> np.ndarray:
        alive, dead = _pareto_nbd_terms(self._purchase_params(), x, t_x, T)
        return expit(alive - dead)

    def _p_purchase_of_living(self, t: float, x: np.ndarray, T: np.ndarray) -> np.ndarray:
        # [5]: a first purchase at u after T requires survival until u. With lambda ~ gamma(r + x, alpha + T) and
        # mu ~ gamma(s, beta + T), E[lambda exp(-(lambda + mu) u)] is integrated over u in [0, t].
        r, alpha, s, beta = self._purchase_params()
        shifted = (r + 1, alpha, s - 1, beta)
        from_T, from_end = _log_tail(shifted, x, T), _log_tail(shifted, x, T + t)
        scale = np.log((r + x) / (r + s + x)) + (r + x) * np.log(alpha + T) + s * np.log(beta + T)
        return np.minimum(np.exp(scale + from_T) * -np.expm1(from_end - from_T), 1.0)

    def _expected_purchases(self, t: float, x: np.ndarray, t_x: np.ndarray, T: np.ndarray) -> np.ndarray:
        # [3] equation (41); the integral of ((beta + T) / (beta + T + u))^s over u in [0, t] has a limit at s = 1.
        r, alpha, s, beta = self._purchase_params()
        log_ratio = np.log1p(t / (beta + T))
        lifetime = (beta + T) * (log_ratio if s == 1 else -np.expm1((1 - s) * log_ratio) / (s - 1))
        return (r + x) / (alpha + T) * lifetime * self._p_alive(x, t_x, T)


PROBABILISTIC: Mapping[str, type[BuyTillYouDie]] = {"bg_nbd": BGNBD, "mbg_nbd": MBGNBD, "pareto_nbd": ParetoNBD}


class OfPurchases:
    """Mixin of models whose state is one fitted model of purchases.

    Attributes
    ----------
    purchases_ : BuyTillYouDie
    """

    purchases_: BuyTillYouDie

    @abstractmethod
    def _untrained(self) -> BuyTillYouDie:
        """Return the model of purchases that the parameters give, not fitted."""

    def get_state(self) -> dict[str, Any]:
        return self.purchases_.get_state()

    def set_state(self, state: Mapping[str, Any]) -> Self:
        self.purchases_ = self._untrained().set_state(state)
        return self


def probabilistic(name: object, where: str) -> type[BuyTillYouDie]:
    """Return the class of a registered name.

    Raises
    ------
    InputError
        If there is none of that name.
    """
    if not isinstance(name, str) or name not in PROBABILISTIC:
        raise InputError(
            f"unknown probabilistic model {name!r}", where=where, hint=did_you_mean(str(name), PROBABILISTIC)
        )
    return PROBABILISTIC[name]


def _pareto_nbd_terms(
    params: Sequence[float], x: np.ndarray, t_x: np.ndarray, T: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Compute the logs of the two parts of the Pareto/NBD likelihood: alive at T, and dead between t_x and T.

    Both omit the factor gamma(r + x) alpha^r / gamma(r) and include beta^s. The dead part is
    s beta^s times the integral of (alpha + y)^-(r + x) (beta + y)^-(s + 1) over y in [t_x, T].
    """
    r, alpha, s, beta = params
    alive = -(r + x) * np.log(alpha + T) - s * np.log1p(T / beta)
    to_t_x, to_T = _log_tail(params, x, t_x), _log_tail(params, x, T)
    with np.errstate(divide="ignore"):  # log 0 where t_x = T: certainly alive
        dead = np.log(s / (r + s + x)) + s * np.log(beta) + to_t_x + np.log(-np.expm1(np.minimum(to_T - to_t_x, 0.0)))
    return alive, dead


def _log_tail(params: Sequence[float], x: np.ndarray, t: np.ndarray) -> np.ndarray:
    """Compute the log of (r + s + x) times the integral of (alpha + y)^-(r + x) (beta + y)^-(s + 1) over y >= t.

    [3] equations (19), (20) after Euler's transformation. In 2F1(1, ...; ...; z) all terms are positive and the sum is
    moderate; the original form overflows for frequent customers.
    """
    r, alpha, s, beta = params
    if alpha < beta:
        series = hyp2f1(1, s + 1, r + s + x + 1, (beta - alpha) / (beta + t))
        return np.log(series) - (r + x - 1) * np.log(alpha + t) - (s + 1) * np.log(beta + t)
    series = hyp2f1(1, r + x, r + s + x + 1, (alpha - beta) / (alpha + t))
    return np.log(series) - (r + x) * np.log(alpha + t) - s * np.log(beta + t)


@kept
def _minimised(
    negative_log_likelihood: Callable[..., float],
    names: tuple[str, ...],
    data: tuple[np.ndarray, ...],
    penalizer: float,
) -> Mapping[str, float]:
    """Find the parameters that minimise the penalised negative mean log-likelihood, by a search over their logs.

    Raises
    ------
    InputError
        If the penalty is negative.
    UnsuitableDataError
        If the search does not converge or ends at the bounds.
    """
    if penalizer < 0:
        raise InputError("the penalty is negative", where="penalizer_coef", expected=">= 0", found=str(penalizer))
    differentiable = negative_log_likelihood is not ParetoNBD._negative_log_likelihood  # autograd has no 2F1
    bounds = np.log([BOUNDS[name] for name in names])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # lifetimes sets its own filters at each call
        result = minimize(
            value_and_grad(negative_log_likelihood) if differentiable else negative_log_likelihood,
            x0=np.full(len(names), 0.1),
            jac=True if differentiable else "2-point",
            args=(*data, penalizer),
            method="L-BFGS-B",
            bounds=bounds,
            options={"maxiter": 1000, "maxfun": 10000, "ftol": 1e-12, "gtol": 1e-6},
        )
    params = dict(zip(names, map(float, np.exp(result.x)), strict=True))
    # Near the optimum, rounding can end the line search before the tolerance is met.
    if not np.isfinite(result.fun) or not (result.success or np.abs(result.jac).max() < 1e-3):
        raise _absurd("the fit did not converge", params)
    may_grow = MAY_GROW if params.get("q", 0.0) >= EVEN else frozenset()
    beyond = [
        name
        for name, value, (low, high) in zip(names, result.x, bounds, strict=True)
        if (value >= high and name not in may_grow) or (value <= low and name not in MAY_VANISH)
    ]
    if beyond:
        raise _absurd(f"the fit ends at the bounds of {', '.join(beyond)}", params)
    return params


def _absurd(problem: str, params: Mapping[str, float]) -> UnsuitableDataError:
    penalty = "gamma_gamma_penalizer_coef" if "q" in params else "penalizer_coef"
    return UnsuitableDataError(
        problem,
        where="probabilistic model",
        expected="parameters within models.buy_till_you_die.BOUNDS and predictions >= 0",
        found=", ".join(f"{name}={value:.4g}" for name, value in params.items()),
        hint=f"merge a day's purchases into one, raise {penalty}, or use another model for this shop",
    )


def _check_histories(x: np.ndarray, t_x: np.ndarray, T: np.ndarray, weights: np.ndarray) -> None:
    wrong = ~((x >= 0) & (t_x >= 0) & (t_x <= T) & ((x > 0) | (t_x == 0)))
    if wrong.any():
        row = int(np.argmax(wrong))
        raise UnsuitableDataError(
            "purchase histories contradict themselves",
            where="frequency, recency, T",
            expected="frequency >= 0, 0 <= recency <= T, and recency 0 without a repeat purchase",
            found=f"{wrong.sum():,} rows, such as frequency={x[row]:g}, recency={t_x[row]:g}, T={T[row]:g} weeks",
        )
    _check_enough(int(weights[x > 0].sum()), "repeat buyers")


def _check_enough(customers: int, what: str) -> None:
    if customers < FEWEST_REPEAT_BUYERS:
        raise UnsuitableDataError(
            f"too few {what} to estimate the model",
            where="probabilistic model",
            expected=f"at least {FEWEST_REPEAT_BUYERS}",
            found=f"{customers}",
            hint="use a later cutoff or a baseline",
        )
