"""Coverage of intervals, on simulated customers of heavy-tailed spend whose truth is known."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache, partial

import numpy as np

from experiments.evaluation.bootstrap import Distribution, paired_bootstrap
from experiments.evaluation.cluster_metrics import explained_deviance
from experiments.evaluation.profit import profit, profit_curve
from experiments.evaluation.spend_metrics import gini, mae, total_ratio, total_ratio_interval

POPULATION = 1_000_000  # customers that tell the truth of a figure
POPULATIONS = 4
TAILS: Mapping[str, tuple[Callable[[np.random.Generator, int], np.ndarray], float]] = {
    "light": (lambda rng, n: rng.lognormal(0, 0.6, n), np.exp(0.6**2 / 2)),
    "usual": (lambda rng, n: rng.lognormal(0, 1.0, n), np.exp(0.5)),
    "heavy": (lambda rng, n: rng.lognormal(0, 1.8, n), np.exp(1.8**2 / 2)),
    "infinite variance": (lambda rng, n: rng.pareto(1.3, n) + 1, 1.3 / 0.3),
}
"""What a customer's spend is multiplied by at random, and its mean."""
STAYING = 0.5  # share of customers who come back
SHARE = 0.2  # of the customers, whose profit is a figure
FIGURES = ("gini gain", "deviance gain", "gini", "total ratio", "profit of a fifth")
SUMS = ("total ratio", "profit of a fifth")

Sample = tuple[np.ndarray, dict[str, np.ndarray]]


def spend(rng: np.random.Generator, n: int) -> np.ndarray:
    """Lognormal, with a tail as that of a shop's best customers."""
    return rng.lognormal(3.0, 1.5, n)


def ranked(rng: np.random.Generator, n: int, tail: str = "usual") -> Sample:
    """Spend of customers half of whom do not come back, and two predictions of it, one better than the other."""
    draw, mean = TAILS[tail]
    value = rng.lognormal(3.0, 1.0, n)
    y = value * draw(rng, n) * (rng.random(n) < STAYING)
    expected = STAYING * mean * value
    return y, {"model": expected * rng.lognormal(-0.02, 0.2, n), "naive": expected * rng.lognormal(-0.32, 0.8, n)}


def coverage(
    figure: str, *, customers: int, repeats: int, n_resamples: int, seed: int, tail: str = "usual"
) -> dict[str, float]:
    """Share of samples whose 95% interval holds the truth, by way of making it.

    Parameters
    ----------
    figure : str
        "mean" of heavy-tailed spend, or one of `FIGURES`.
    customers : int
        In each sample.
    repeats : int
        Samples.
    n_resamples, seed : int
    tail : str
        One of `TAILS`; of means it does not matter.

    Returns
    -------
    dict
        BCa, percentile, and `used`: percentiles with widened upper bounds; of sums `skewed_interval`.
    """
    rng = np.random.default_rng(seed)
    truth = float(np.exp(3.0 + 1.5**2 / 2)) if figure == "mean" else _truth(figure, tail)
    if figure == "profit of a fifth":
        truth *= customers
    held = dict.fromkeys(("BCa", "percentile", "used"), 0)
    for repeat in range(repeats):
        nobody = {"model": np.zeros(customers)}
        sample = (spend(rng, customers), nobody) if figure == "mean" else ranked(rng, customers, tail)
        for name, (low, high) in _intervals(figure, *sample, n_resamples, repeat).items():
            held[name] += low <= truth <= high
    return {name: count / repeats for name, count in held.items()}


@cache
def _truth(figure: str, tail: str) -> float:
    if figure == "total ratio":
        return 1.0
    rng = np.random.default_rng(0)
    return float(np.mean([_measured(figure, *ranked(rng, POPULATION, tail)) for _ in range(POPULATIONS)]))


def _measured(figure: str, y: np.ndarray, predictions: dict[str, np.ndarray]) -> float:
    if figure == "profit of a fifth":
        return float(profit_curve(y, predictions["model"], contact_cost=0, shares=(SHARE,))["profit"].iloc[0]) / len(y)
    metric = explained_deviance if figure == "deviance gain" else gini
    naive = 0.0 if figure == "gini" else float(metric(y, predictions["naive"]))
    return float(metric(y, predictions["model"])) - naive


def _intervals(
    figure: str, y: np.ndarray, predictions: dict[str, np.ndarray], n_resamples: int, seed: int
) -> dict[str, tuple[float, float]]:
    metric = {
        "mean": mae,
        "deviance gain": explained_deviance,
        "total ratio": total_ratio,
        "profit of a fifth": partial(profit, share=SHARE, contact_cost=0.0),
    }.get(figure, gini)
    draws = paired_bootstrap(
        metric, y, predictions, np.arange(len(y)), n_resamples=n_resamples, seed=seed, widened=True
    )
    found = draws.gain("model", "naive") if figure.endswith("gain") else draws["model"]
    plain = Distribution(found.estimate, found.draws)
    used = _of_sum(figure, y, predictions["model"]) if figure in SUMS else found.interval(0.95)
    return {
        "BCa": replace(plain, jackknife=found.without).interval(0.95),
        "percentile": plain.interval(0.95),
        "used": used,
    }


def _of_sum(figure: str, y: np.ndarray, p: np.ndarray) -> tuple[float, float]:
    if figure == "total ratio":
        return total_ratio_interval(y, p)
    low, high = profit_curve(y, p, contact_cost=0, shares=(SHARE,))[["low", "high"]].iloc[0]
    return float(low), float(high)
