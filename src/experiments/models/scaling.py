"""Scaling of columns: logarithm, location and scale."""

from __future__ import annotations

import numpy as np

from features.errors import InputError, did_you_mean

SCALINGS = ("none", "standard", "minmax", "log_standard")


def check_scaling(scaling: str) -> None:
    """Check that a scaling is one of `SCALINGS`."""
    if scaling not in SCALINGS:
        raise InputError(f"unknown scaling {scaling!r}", where="scaling", hint=did_you_mean(str(scaling), SCALINGS))


def unrolled(x: np.ndarray, scaling: str) -> np.ndarray:
    """Return sign(x) log(1 + abs(x)) if the scaling has a logarithm, else x."""
    return np.sign(x) * np.log1p(np.abs(x)) if scaling == "log_standard" else x


def location_and_scale(x: np.ndarray, scaling: str) -> tuple[np.ndarray, np.ndarray]:
    """Compute what turns each column into its scaled values, (x - location) / scale; constants have scale 1.

    Parameters
    ----------
    x : array of shape (n_rows, n_columns)
        As `unrolled` returns it. The order of the rows does not matter.
    scaling : str
        One of `SCALINGS`.

    Returns
    -------
    location, scale : array of shape (n_columns,)
    """
    x = np.sort(x, axis=0)  # a sum of doubles depends on its order
    low, high = x[0], x[-1]
    if scaling == "none":
        return np.zeros_like(low), np.ones_like(low)
    offset, scale = (low, high - low) if scaling == "minmax" else (x.mean(axis=0), x.std(axis=0))
    return offset, np.where(high > low, scale, 1.0)
