"""Ratio of the rates on some days to those on the others, per tier; weeks are resampled."""

from __future__ import annotations

import numpy as np
import pandas as pd

from experiments.description.hypotheses.claims import TOGETHER, Claim, large_enough
from experiments.description.purchasing.window import Window
from experiments.evaluation.bootstrap import Distribution
from experiments.evaluation.weighted import ratio
from features.errors import InputError, listing

NEWTON_STEPS = 20
LEAST_WEEKS = 8  # a bootstrap of fewer shows effects where there are none
LEAST_WEEKS_OF_A_SIDE = 4  # a month


def daily_counts(window: Window, measure: str) -> tuple[pd.DataFrame, list[str]]:
    """Return days by the tiers that are large enough, and notes on the others."""
    tiers, notes = large_enough(window.buyers, window)
    return window.counts[measure][tiers], notes


def rate_ratios(
    window: Window, counts: pd.DataFrame, inside: np.ndarray, against_trend: bool, when: str
) -> list[Claim]:
    """Return a claim for each tier and one for all: the log ratio of the rate inside to the rate outside."""
    weeks = counts.index.to_period("W-SUN")
    of_sides = [weeks[side].nunique() for side in (inside, ~inside)]
    if weeks.nunique() < LEAST_WEEKS or min(of_sides) < LEAST_WEEKS_OF_A_SIDE:
        raise InputError(
            f"the window from {window.start} until before {window.end} has too few weeks",
            expected=f"at least {LEAST_WEEKS}, {LEAST_WEEKS_OF_A_SIDE} of them with days of {when}, and with others",
            found=f"{weeks.nunique()}, {of_sides[0]} of them with days of {when}, {of_sides[1]} with others",
            hint="tiers as of an earlier day leave more days to test them on",
        )
    silent = [
        tier for tier in counts.columns if min(counts.loc[inside, tier].sum(), counts.loc[~inside, tier].sum()) <= 0
    ]
    if silent:
        raise InputError(
            f"tier {listing(silent)} bought on only some of the compared days",
            expected=f"customers in every tier who buy both in {when} and on other days",
            hint="a claim about all tiers needs purchases of each tier on both kinds of days",
        )
    ratios = [_ratio(str(tier), counts[tier].to_numpy(), inside, window, against_trend) for tier in counts.columns]
    return [*ratios, _ratio(TOGETHER, counts.sum(axis=1).to_numpy(), inside, window, against_trend)]


def _ratio(name: str, y: np.ndarray, inside: np.ndarray, window: Window, against_trend: bool) -> Claim:
    estimate, draws = (
        log_rate_ratio(y, inside, weights, against_trend=against_trend)
        for weights in (np.ones((1, len(y))), window.week_weights)
    )
    details = {"rate": y[inside].mean(), "rate of others": y[~inside].mean()}
    return Claim(name, Distribution(float(estimate[0]), draws), details)


def log_rate_ratio(y: np.ndarray, inside: np.ndarray, weights: np.ndarray, *, against_trend: bool) -> np.ndarray:
    """Compute the log of the mean of y inside over that outside, for each row of weights, with or without a trend.

    Parameters
    ----------
    y : array of shape (n_days,)
        Counts or amounts, >= 0.
    inside : array of bool, of shape (n_days,)
    weights : array of shape (n_resamples, n_days)
    against_trend : bool
        Fit log E y = a + b day + c inside by Poisson's quasi-likelihood, and give c.

    Returns
    -------
    array of shape (n_resamples,)
        NaN where a resample has no day, or nothing bought, on one side.
    """
    sums = [(weights[:, side] @ y[side], weights[:, side].sum(axis=1)) for side in (inside, ~inside)]
    usable = np.all([(total > 0) & (days > 0) for total, days in sums], axis=0)
    rates = [np.where(usable, ratio(total, days), 1.0) for total, days in sums]
    plain = np.log(rates[0] / rates[1])
    if not against_trend:
        return np.where(usable, plain, np.nan)
    days = np.linspace(-1.0, 1.0, len(y))
    X = np.column_stack([np.ones(len(y)), inside, days])
    products = np.einsum("ni,nj->nij", X, X).reshape(len(y), 9)
    beta = np.column_stack([np.log(rates[1]), plain, np.zeros(len(plain))])
    for _ in range(NEWTON_STEPS):
        mean = weights * np.exp(np.clip(beta @ X.T, -30.0, 30.0))
        slope = (weights * y - mean) @ X
        curvature = (mean @ products).reshape(-1, 3, 3) + 1e-9 * np.eye(3)
        step = np.clip(np.linalg.solve(curvature, slope[..., None])[..., 0], -1.0, 1.0)
        beta = beta + step
        if np.abs(step[usable]).max(initial=0.0) < 1e-8:
            break
    return np.where(usable, beta[:, 1], np.nan)
