"""Candidates: untrained models by the names that configuration uses, each with a label for people."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from features.errors import InputError, check_type, did_you_mean

if TYPE_CHECKING:
    from experiments.models.base import Model


@dataclass(frozen=True)
class Candidate:
    """A model that may be trained for a task.

    Attributes
    ----------
    build : callable
        Returns the untrained model; takes its parameters by name.
    label : str
        Text that people read in place of the name: "spend in the last 91 days".
    is_baseline : bool
        A rule without training, or a table of shares: every other candidate must beat it.
    terms : frozenset of str
        Parameters that the task has set; configuration cannot set them any more.
    """

    build: Callable[..., Model]
    label: str
    is_baseline: bool = False
    terms: frozenset[str] = frozenset()

    def with_terms(self, terms: Mapping[str, Any]) -> Candidate:
        """Return the candidate with the task's terms, such as the horizon, where its model has these parameters."""
        known = self.build().get_params()
        taken = {name: terms[name] for name in terms if name in known}
        return replace(self, build=partial(self.build, **taken), terms=self.terms | taken.keys())

    def parameters(self) -> dict[str, Any]:
        """Return the parameters that may be set, with defaults; `part__parameter` belongs to a part of a blend."""
        return {name: value for name, value in self.build().get_params().items() if name not in self.terms}


def _model(module: str, name: str, **defaults: Any) -> Callable[..., Model]:
    """Return a callable that builds a model; it imports the module then, because scikit-learn takes a second."""
    return partial(_build, module, name, **defaults)


def _build(module: str, name: str, /, **params: Any) -> Model:
    return getattr(importlib.import_module(f"experiments.models.{module}"), name)(**params)


def _basket(score: str) -> Callable[..., Model]:
    """Return a callable that builds the order of a basket's candidates by one score."""
    return _model("recommenders", "ByScore", score=score, ties="basket_product_recent_share")


CANDIDATES: Mapping[str, Candidate] = {
    # spend
    "naive_lifetime_rate": Candidate(
        _model("baselines", "NaiveSpend", rate="lifetime_spend_rate"),
        "spend per day since the first purchase",
        is_baseline=True,
    ),
    "naive_last_91_days_rate": Candidate(
        _model("baselines", "NaiveSpend", rate="last_91_days_spend_rate"), "spend in the last 91 days", is_baseline=True
    ),
    "naive_past_total": Candidate(_model("baselines", "PastTotal"), "total spend so far", is_baseline=True),
    "bg_nbd": Candidate(_model("buy_till_you_die", "BGNBD"), "BG/NBD"),
    "mbg_nbd": Candidate(_model("buy_till_you_die", "MBGNBD"), "MBG/NBD"),
    "pareto_nbd": Candidate(_model("buy_till_you_die", "ParetoNBD"), "Pareto/NBD"),
    "lightgbm": Candidate(_model("boosting", "LightGBMSpend"), "LightGBM"),
    "hist_gradient_boosting": Candidate(
        _model("estimator", "HistGradientBoosting"), "histogram gradient boosting of scikit-learn"
    ),
    "ridge": Candidate(_model("estimator", "RidgeOnLogs"), "ridge regression on logarithms"),
    "ensemble": Candidate(_model("ensemble", "Ensemble"), "ensemble of models"),
    "estimator": Candidate(_model("estimator", "Estimator"), "custom estimator"),
    "blend": Candidate(_model("blend", "blend"), "LightGBM blended with a buy-till-you-die model"),
    # probabilities
    "naive_recency": Candidate(
        _model("probabilities", "NaiveProbability", feature="days_since_last_purchase"),
        "days since the last purchase",
        is_baseline=True,
    ),
    "naive_frequency": Candidate(
        _model("probabilities", "NaiveProbability", feature="frequency"), "purchase days so far", is_baseline=True
    ),
    "naive_visits": Candidate(
        _model("probabilities", "NaiveProbability", feature="purchase_days_last_91_days"),
        "purchase days in the last 91 days",
        is_baseline=True,
    ),
    "naive_recency_of_it": Candidate(
        _model("probabilities", "NaiveProbability"), "days since the last purchase of it", is_baseline=True
    ),
    "naive_frequency_of_it": Candidate(
        _model("probabilities", "NaiveProbability"), "days with a purchase of it", is_baseline=True
    ),
    "naive_visits_of_it": Candidate(
        _model("probabilities", "NaiveProbability"), "days with a purchase of it in the last 91 days", is_baseline=True
    ),
    "naive_constant": Candidate(_model("baselines", "Constant"), "one probability for all", is_baseline=True),
    "purchase_probability": Candidate(
        _model("probabilities", "PurchaseProbability"), "P(at least one purchase) of a buy-till-you-die model"
    ),
    "logistic": Candidate(_model("probabilities", "LogisticRFM"), "logistic regression"),
    "lightgbm_probability": Candidate(_model("boosting", "LightGBMProbability"), "LightGBM"),
    "probability_blend": Candidate(
        _model("blend", "probability_blend"), "LightGBM blended with a buy-till-you-die model"
    ),
    # waits until the next purchase
    "naive_same_wait": Candidate(
        _model("waits", "SameWait"), "the same distribution for all customers", is_baseline=True
    ),
    "naive_recency_wait": Candidate(
        _model("waits", "WaitByFeature", feature="days_since_last_purchase"),
        "waits by days since the last purchase",
        is_baseline=True,
    ),
    "naive_visits_wait": Candidate(
        _model("waits", "WaitByFeature", feature="purchase_days_last_91_days"),
        "waits by purchase days in the last 91 days",
        is_baseline=True,
    ),
    "naive_own_gap": Candidate(_model("waits", "OwnGapWait"), "the customer's own median gap", is_baseline=True),
    "purchase_wait": Candidate(_model("waits", "PurchaseWait"), "waits of a buy-till-you-die model"),
    "cox": Candidate(_model("survival", "CoxWait"), "Cox regression"),
    "weibull_aft": Candidate(_model("survival", "WeibullWait"), "Weibull accelerated failure"),
    "lightgbm_hazard": Candidate(_model("hazards", "HazardTrees"), "LightGBM hazards"),
    "study_regressor": Candidate(_model("study_wait", "StudyWait"), "gradient boosting as in the case study"),
    "wait_blend": Candidate(_model("waits", "wait_blend"), "LightGBM hazards blended with a buy-till-you-die model"),
    # recommendations
    "naive_best_sellers": Candidate(
        _model("recommenders", "ByScore", score="product_buyer_share"), "best-sellers of all time", is_baseline=True
    ),
    "naive_recent_best_sellers": Candidate(
        _model("recommenders", "ByScore", score="product_recent_buyer_share"),
        "best-sellers of the last 28 days",
        is_baseline=True,
    ),
    "naive_own_purchases": Candidate(
        _model("recommenders", "ByScore", score="own_frequency"),
        "what the customer bought most often, lately above all",
        is_baseline=True,
    ),
    "rules_confidence": Candidate(
        _model("recommenders", "ByScore", score="rule_confidence"), "association rules by confidence"
    ),
    "rules_lift": Candidate(_model("recommenders", "ByScore", score="rule_lift"), "association rules by lift"),
    "item_neighbours": Candidate(_model("recommenders", "ByScore", score="item_neighbours"), "item neighbours"),
    "ease": Candidate(_model("recommenders", "ByScore", score="ease"), "EASE"),
    "autoencoder": Candidate(_model("recommenders", "ByScore", score="autoencoder"), "denoising autoencoder"),
    "factors": Candidate(_model("recommenders", "ByScore", score="factors"), "matrix factorisation"),
    "decayed_neighbours": Candidate(
        _model("recommenders", "ByScore", score="decayed_neighbours"), "decayed purchases of similar customers"
    ),
    "content": Candidate(_model("recommenders", "ByScore", score="content"), "similar products"),
    "hybrid": Candidate(_model("recommenders", "Hybrid"), "own purchases, neighbours and similarity together"),
    "lightgbm_ranker": Candidate(_model("recommenders", "Ranker"), "LightGBM ranker"),
    # completions of baskets
    "naive_basket_best_sellers": Candidate(
        _basket("basket_product_share"), "products on most orders of all time", is_baseline=True
    ),
    "naive_basket_recent_best_sellers": Candidate(
        _basket("basket_product_recent_share"), "products on most orders of the last 28 days", is_baseline=True
    ),
    "basket_rules_confidence": Candidate(_basket("basket_rule_confidence"), "association rules by confidence"),
    "basket_rules_lift": Candidate(_basket("basket_rule_lift"), "association rules by lift"),
    "basket_item_neighbours": Candidate(_basket("basket_item_neighbours"), "item neighbours"),
    "basket_ease": Candidate(_basket("basket_ease"), "EASE"),
    "basket_factors": Candidate(_basket("basket_factors"), "matrix factorisation"),
    "basket_ranker": Candidate(_model("recommenders", "Ranker", latest_cutoffs=8), "LightGBM ranker"),
    # segments
    "segmentation": Candidate(_model("segmentation", "Segmentation"), "clusters"),
    "quantile_bins": Candidate(
        _model("quantile_bins", "QuantileBins"), "equal-sized groups by total spend", is_baseline=True
    ),
    "quantile_bins_rate": Candidate(
        _model("quantile_bins", "QuantileBins", by="total_spend_rate"),
        "equal-sized groups by daily spend",
        is_baseline=True,
    ),
}


def label_of(name: str) -> str:
    """Return a candidate's label; for a candidate that the registry lacks, its name in plain words."""
    return CANDIDATES[name].label if name in CANDIDATES else name.removeprefix("naive_").replace("_", " ")


def choose(*names: str, terms: Mapping[str, Any]) -> dict[str, Candidate]:
    """Return the named candidates of the registry, each with the task's terms.

    Parameters
    ----------
    *names : str
        Keys of `CANDIDATES`.
    terms : mapping of parameter to value
        Parameters that the task sets on every model that has them: horizon_days, margin, ...
    """
    return {name: CANDIDATES[name].with_terms(terms) for name in names}


def build(candidates: Mapping[str, Candidate], name: str, params: Mapping[str, Any], task: str) -> Model:
    """Build one candidate, untrained, with these parameters.

    Parameters
    ----------
    candidates : mapping of name to Candidate
    name : str
    params : mapping of parameter to value
        `part__parameter` sets a parameter of a part of a blend; `members` of an ensemble is a mapping of each
        candidate's name to its parameters.
    task : str
        Name of the task, for the message.

    Raises
    ------
    InputError
        For an unknown candidate or parameter, or a parameter of the wrong type.
    """
    if name not in candidates:
        raise InputError(f"{task} has no candidate {name!r}", where="model.name", hint=did_you_mean(name, candidates))
    model = candidates[name].build()
    known = candidates[name].parameters()
    for param, value in params.items():
        is_of_mapping = isinstance(known.get(param.partition("__")[0]), Mapping)  # its owner knows what it takes
        if param not in known and not is_of_mapping:
            raise InputError(
                f"{name} has no parameter {param!r}", where="model.params", hint=did_you_mean(param, known)
            )
        if is_of_mapping and param not in known:
            continue
        if param == "members":
            check_type(value, "Mapping", f"model.params.{param}")
            continue
        part, _, own = param.rpartition("__")
        stated = inspect.signature(type(known[part] if part else model)).parameters[own].annotation
        check_type(value, stated, f"model.params.{param}")
    if isinstance(params.get("members"), Mapping):
        of = {member: build(candidates, member, own or {}, task) for member, own in params["members"].items()}
        params = {**params, "members": list(of.values())}
    return model.set_params(**params)


def baselines(candidates: Mapping[str, Candidate], params: Mapping[str, Any]) -> dict[str, Callable[[], Model]]:
    """Return the baselines among the candidates, for comparison with a model of these parameters.

    A baseline takes the parameters that it shares with the model, such as the number of segments.

    Returns
    -------
    dict of name to callable
        Each returns the untrained baseline.
    """

    def with_shared(candidate: Candidate) -> Model:
        model = candidate.build()
        known = model.get_params()
        return model.set_params(**{name: value for name, value in params.items() if name in known})

    return {name: partial(with_shared, candidate) for name, candidate in candidates.items() if candidate.is_baseline}
