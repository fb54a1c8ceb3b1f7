"""Intervals of means whose rows are skewed and few of which make the variance: totals of money, profits."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike


def skewed_interval(estimate: float, influence: ArrayLike, confidence: float) -> tuple[float, float]:
    """Compute the interval of an estimate from the influence of each row on it.

    With the influences' standard deviation s and skewness g, T = sqrt(n) (estimate - truth) / s is skewed. Hall's cubic
    transformation takes that away:

        h(T) = T + g T^2 / (3 sqrt(n)) + g / (6 sqrt(n)) + g^2 T^3 / (27 n)

    Bounds are those T for which h(T) is a quantile of Student's t with (sum of v^2)^2 / (sum of v^4) - 1 degrees of
    freedom, v being the influences: the rows that s is made of. Normal intervals of sums of spend cover 64% to 90%
    where tails are heavy, percentiles of a bootstrap 70% to 91%, these 93% and more; where the variance is infinite,
    these too cover only 79% to 91% (benchmarks/coverage.md).

    Parameters
    ----------
    estimate : float
        A mean, or what is as good as one: its error is the mean of the influences.
    influence : array of shape (n,)
        By how much the estimate moves with the weight of a row, times n.
    confidence : float

    Returns
    -------
    (float, float)
        NaN for a single row, the estimate itself where no row differs.

    References
    ----------
    Hall (1992), On the removal of skewness by transformation, Journal of the Royal Statistical Society B 54.
    Hampel (1974), The influence curve and its role in robust estimation, JASA 69.
    """
    pulls = np.asarray(influence, dtype=float)
    pulls = pulls - pulls.mean()
    n, scale = len(pulls), float(pulls.std())
    if n < 2:
        return float("nan"), float("nan")
    if not scale > 1e-12 * max(abs(estimate), 1e-300):
        return estimate, estimate
    skewness = float(np.mean((pulls / scale) ** 3)) / np.sqrt(n)
    rows_behind = n / float(np.mean((pulls / scale) ** 4))
    from scipy.special import stdtrit  # most of a second to import, and most commands draw no interval

    reach = float(stdtrit(max(rows_behind - 1, 1.0), (1 + confidence) / 2))

    def back(h: float) -> float:
        """Return the T whose transformation is h."""
        if abs(skewness) < 1e-9:
            return h
        return 3 / skewness * (float(np.cbrt(1 + skewness * (h - skewness / 6))) - 1)

    step = scale / np.sqrt(n)
    return float(estimate - step * back(reach)), float(estimate - step * back(-reach))
