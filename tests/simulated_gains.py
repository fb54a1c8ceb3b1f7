"""Coverage of intervals, on simulated customers of heavy-tailed spend whose truth is known."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from experiments.evaluation.bootstrap import Distribution, paired_bootstrap
from experiments.evaluation.spend_metrics import gini, mae

POPULATION = 1_000_000  # customers that tell the truth of a gain


def spend(rng: np.random.Generator, n: int) -> np.ndarray:
    """Lognormal, with a tail as that of a shop's best customers."""
    return rng.lognormal(3.0, 1.5, n)


def ranked(rng: np.random.Generator, n: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Spend of customers half of whom do not come back, and two predictions of it, one better than the other."""
    value = rng.lognormal(3.0, 1.0, n)
    y = value * rng.lognormal(0.0, 1.0, n) * (rng.random(n) < 0.5)
    return y, {"model": value * rng.lognormal(0.0, 0.2, n), "naive": value * rng.lognormal(0.0, 0.8, n)}


def coverage(figure: str, *, customers: int, repeats: int, n_resamples: int, seed: int) -> dict[str, float]:
    """Share of samples whose 95% interval holds the truth, by BCa and by percentiles.

    Parameters
    ----------
    figure : {"mean", "gini gain"}
        The mean of heavy-tailed spend, or the gain in Gini of one ranking over another.
    customers : int
        In each sample.
    repeats : int
        Samples.
    n_resamples, seed : int
    """
    rng = np.random.default_rng(seed)
    draw: Callable[[int], tuple[np.ndarray, dict[str, np.ndarray]]]
    if figure == "mean":
        metric, truth = mae, float(np.exp(3.0 + 1.5**2 / 2))  # the mean distance to 0

        def draw(n: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
            return spend(rng, n), {"model": np.zeros(n), "naive": np.zeros(n)}
    else:
        y, predictions = ranked(rng, POPULATION)
        metric, truth = gini, float(gini(y, predictions["model"])) - float(gini(y, predictions["naive"]))

        def draw(n: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
            return ranked(rng, n)

    held = dict.fromkeys(("BCa", "percentile"), 0)
    for repeat in range(repeats):
        y, predictions = draw(customers)
        draws = paired_bootstrap(
            metric, y, predictions, np.arange(customers), n_resamples=n_resamples, seed=repeat, bca=True
        )
        with_jackknife = draws["model"] if figure == "mean" else draws.gain("model", "naive")
        without = Distribution(with_jackknife.estimate, with_jackknife.draws)
        for name, distribution in {"BCa": with_jackknife, "percentile": without}.items():
            low, high = distribution.interval(0.95)
            held[name] += low <= truth <= high
    return {name: count / repeats for name, count in held.items()}
