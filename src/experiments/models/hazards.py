"""Discrete-time hazards by gradient-boosted trees: P(a purchase in a span of days | none before)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Self

import lightgbm as lgb
import numpy as np
import pandas as pd
from sklearn.utils.validation import validate_data

from experiments.models.base import require_columns
from experiments.models.boosting import LightGBMProbability, read_booster
from experiments.models.waits import HORIZON_DAYS, WaitModel, kaplan_meier
from features.outcomes import SINCE, thresholds_of
from features.seasons import CUTOFF_DAY

GAP = "gap_mean_days"
FURTHER = ("wait_day", "wait_since_last_purchase", "wait_overdue_ratio")
WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
SHARES = [f"{day}_share" for day in WEEKDAYS]
OWN_WEEKDAYS = "wait_weekday_share"
FIRST_WEEKDAY = 3  # of 1970-01-01, from which cutoff_day counts: Thursday, where Monday is 0
MOST_CELLS = 20_000_000  # rows x spans x columns of features held in memory at once, in fit and predict


class HazardTrees(LightGBMProbability, WaitModel):
    """LightGBM of discrete-time hazards, on customers x spans of days.

    The horizon is cut into spans of growing width: of a day in the first week, of a fortnight in the end. A training
    row stands once for each span that it enters, with y = 1 in the span of the purchase. Beside the features of its
    customer it has the first day of the span, and the days since the last purchase and the overdue ratio as they are
    then without a purchase; where `X` has the day of the cutoff and the shares of weekdays, also the mean share of
    orders that the customer placed on the weekdays of the span. S at the end of a span is the product of 1 - hazard so
    far. Within a span it falls as the Kaplan-Meier curve of the training rows does, to a power that meets both ends.

    Parameters
    ----------
    n_estimators, learning_rate, num_leaves, min_child_samples, reg_lambda, colsample_bytree, subsample, seed, n_jobs
        As in `LightGBM`.
    horizon_days : int

    Attributes
    ----------
    booster_, feature_names_in_
        As in `LightGBM`.
    curve_ : array of shape (horizon_days,)
        The Kaplan-Meier curve of the training rows.
    by_weekday_ : bool
        True if the training rows had the day of the cutoff and the shares of weekdays.

    References
    ----------
    Singer & Willett (1993), It's about time: using discrete-time survival analysis to study duration and the timing of
    events, J. of Educational Statistics 18.

    Examples
    --------
    >>> X = pd.DataFrame({"days_since_last_purchase": np.tile([1.0, 40.0], 100), "gap_mean_days": 10.0})
    >>> y = pd.DataFrame({"days": np.tile([1.0, 4.0], 100), "observed": np.tile([1.0, 0.0], 100)})
    >>> S = HazardTrees(min_child_samples=20, horizon_days=4).fit(X, y).survival(X)
    >>> bool(S[0, 0] < S[1, 0])
    True
    """

    def __init__(
        self,
        n_estimators: int = 120,
        learning_rate: float = 0.05,
        num_leaves: int = 6,
        min_child_samples: int = 200,
        reg_lambda: float = 1.0,
        colsample_bytree: float = 0.5,
        subsample: float = 0.8,
        seed: int = 0,
        n_jobs: int = -1,
        horizon_days: int = HORIZON_DAYS,
    ) -> None:
        super().__init__(
            n_estimators,
            learning_rate,
            num_leaves,
            min_child_samples,
            reg_lambda,
            colsample_bytree,
            subsample,
            seed,
            n_jobs,
        )
        self.horizon_days = horizon_days

    def fit(self, X: pd.DataFrame, y: pd.DataFrame) -> Self:
        """Grow the trees on the spans that each row enters."""
        return WaitModel.fit(self, X, y)

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        """Return the outputs of each row: array of shape (n_rows, n_outputs)."""
        return WaitModel.predict(self, X)

    def contributions(self, X: pd.DataFrame) -> None:
        """Return None: the trees predict spans, and contributions to them do not add up to those to a wait."""
        return

    def _fit(self, X: pd.DataFrame, days: np.ndarray, observed: np.ndarray) -> None:
        self.curve_ = kaplan_meier(days, observed, self.horizon_days)
        self.by_weekday_ = {CUTOFF_DAY, *SHARES} <= {*X.columns}
        starts, ends = self._spans()
        row, span = np.nonzero(days[:, None] >= starts)
        # A row that is censored within a span is left out of it: it may have bought there.
        known = observed[row] | (days[row] >= ends[span])
        row, span = row[known], span[known]
        happened = observed[row] & (days[row] <= ends[span])
        self._check_target(happened)
        first = self._entered(X, row[:1], span[:1]).drop(columns=CUTOFF_DAY, errors="ignore")
        validate_data(self, first[sorted(first)], dtype=np.float64, ensure_all_finite="allow-nan")  # keeps the names

        def rows(begin: int, end: int) -> np.ndarray:
            low, high = row[begin], row[end - 1] + 1
            return self._rows(self._entered(X.iloc[low:high], row[begin:end] - low, span[begin:end]))

        blocks = _Blocks(rows, len(row), max(1, MOST_CELLS // first.shape[1]))
        self.booster_ = read_booster(self._trained(blocks, happened.astype(float)).model_to_string())

    def _options(self) -> dict[str, Any]:
        # LightGBM derives it from `seed` for a matrix, but not for a sequence: see Config::Set and Random::NextShort.
        drawn = (214013 * self.seed + 2531011) >> 16 & 0x7FFF
        return {**super()._options(), "data_random_seed": drawn % 0x7FFF}

    def _survival(self, X: pd.DataFrame) -> np.ndarray:
        starts, ends = self._spans()
        at_once = max(1, MOST_CELLS // (len(starts) * (X.shape[1] + len(FURTHER))))
        parts = [X.iloc[begin : begin + at_once] for begin in range(0, len(X), at_once)]
        hazards = np.concatenate([np.empty((0, len(starts))), *(self._hazards(part, len(starts)) for part in parts)])
        at_ends = np.log1p(-np.clip(hazards, 0.0, 1 - 1e-12)).cumsum(axis=1)
        return np.exp(self._between(at_ends, ends))

    def _between(self, at_ends: np.ndarray, ends: np.ndarray) -> np.ndarray:
        """Return log S of each day, given that of the spans' last days: (n, n_spans) to (n, H)."""
        days = np.arange(1, self.horizon_days + 1)
        span = np.searchsorted(ends, days)
        fall = -np.log(np.maximum(np.append(1.0, self.curve_), 1e-12)) + 1e-9 * np.arange(self.horizon_days + 1)
        begin = np.append(0, ends)[span]
        share = (fall[days] - fall[begin]) / (fall[ends[span]] - fall[begin])
        before = np.column_stack([np.zeros(len(at_ends)), at_ends])
        return before[:, span] + share * (at_ends[:, span] - before[:, span])

    def _spans(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the first and the last day of each span, which ends where a wait is stated."""
        ends = np.array(thresholds_of(self.horizon_days))
        return np.append(0, ends[:-1]) + 1, ends

    def _hazards(self, X: pd.DataFrame, n_spans: int) -> np.ndarray:
        row, span = np.divmod(np.arange(len(X) * n_spans), n_spans)
        return self._raw(self._rows(self._entered(X, row, span))).reshape(len(X), n_spans)

    def _entered(self, X: pd.DataFrame, row: np.ndarray, span: np.ndarray) -> pd.DataFrame:
        """Return the features of rows as a span begins in which nothing was bought before."""
        history, start = require_columns(X, [SINCE, GAP]), self._spans()[0][span]
        since = history[SINCE].to_numpy()[row] + start - 1
        usual = np.maximum(history[GAP].to_numpy()[row], 1.0)
        further = dict(zip(FURTHER, (start.astype(float), since, since / usual), strict=True))
        if self.by_weekday_:
            further[OWN_WEEKDAYS] = self._own_weekdays(X)[row, span]
        return X.iloc[row].assign(**further)

    def _own_weekdays(self, X: pd.DataFrame) -> np.ndarray:
        """Return the mean share of orders that each row's customer placed on the weekdays of each span."""
        read = require_columns(X, [CUTOFF_DAY, *SHARES])
        first, shares = read[CUTOFF_DAY].to_numpy(dtype=int), read[SHARES].to_numpy()
        weekday = (first[:, None] + FIRST_WEEKDAY + np.arange(self.horizon_days)) % len(WEEKDAYS)
        by_day = np.take_along_axis(shares, weekday, axis=1)
        starts, ends = self._spans()
        return np.add.reduceat(by_day, starts - 1, axis=1) / (ends - starts + 1)

    def get_state(self) -> dict[str, Any]:
        return {**super().get_state(), "curve": self.curve_.tolist(), "by_weekday": self.by_weekday_}

    def set_state(self, state: Mapping[str, Any]) -> Self:
        self.curve_, self.by_weekday_ = np.array(state["curve"]), state["by_weekday"]
        return super().set_state(state)


class _Blocks(lgb.Sequence):
    """Training rows that LightGBM reads block by block, of which one is held in memory.

    Parameters
    ----------
    rows : callable
        Returns rows `begin` to `end` - 1: array of shape (end - begin, n_features).
    n : int
    batch_size : int
        Rows of a block.
    """

    def __init__(self, rows: Callable[[int, int], np.ndarray], n: int, batch_size: int) -> None:
        self.rows, self.n, self.batch_size = rows, n, batch_size
        self.held, self.begin = np.empty((0, 0)), -1

    def __len__(self) -> int:
        return self.n

    def __getitem__(self, at: int | slice) -> np.ndarray:
        """Return a row, or the rows of a slice that lies within a block, as LightGBM's slices do."""
        first = at.start if isinstance(at, slice) else at
        begin = first - first % self.batch_size
        if begin != self.begin:
            self.held = self.rows(begin, min(begin + self.batch_size, self.n))
            self.begin = begin
        return self.held[first - begin : at.stop - begin] if isinstance(at, slice) else self.held[first - begin]
