"""Gradient-boosted trees on all features."""

from __future__ import annotations

import os
from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, Self

import lightgbm as lgb
import numpy as np
import pandas as pd
from joblib import cpu_count
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted, validate_data

from experiments.models.base import Model, canonical, check_events, check_spend, require_columns
from experiments.models.booster_text import check_booster
from features.errors import InputError, UnsuitableDataError, did_you_mean, listing
from features.seasons import CUTOFF_DAY

OBJECTIVES = {"l1": "regression_l1", "tweedie": "tweedie"}


class LightGBM(Model):
    """LightGBM on all columns of `X`; subclasses define the meaning of `y`.

    Rows of several cutoffs are stacked. LightGBM treats NaN in `X` as a missing value. The day of the cutoff is left
    out: later cutoffs have days that no tree has seen.

    Parameters
    ----------
    n_estimators : int
        Number of trees.
    learning_rate : float
        Shrinkage of each tree.
    num_leaves : int
        Maximum number of leaves of a tree.
    min_child_samples : int
        Minimum number of training rows in a leaf.
    reg_lambda : float
        L2 penalty of the leaves' values.
    colsample_bytree : float in (0, 1]
        Share of the features that each tree may use.
    subsample : float in (0, 1]
        Share of the rows that each tree learns from. Below 1, new rows are drawn for each tree.
    seed : int
        Seed of the draws of rows and columns. The same data, parameters and seed give the same bits, with any number
        of threads.
    n_jobs : int
        Threads of `fit`. -1 uses the cores of this process, as joblib counts them, or OMP_NUM_THREADS if that is
        lower. `predict` uses one thread, which answers a single row sooner.

    Attributes
    ----------
    booster_ : lightgbm.Booster
    feature_names_in_ : array of str
        Column names in training order (sorted), if `X` was a DataFrame.
    """

    def __init__(
        self,
        n_estimators: int = 200,
        learning_rate: float = 0.03,
        num_leaves: int = 15,
        min_child_samples: int = 30,
        reg_lambda: float = 1.0,
        colsample_bytree: float = 0.5,
        subsample: float = 0.8,
        seed: int = 0,
        n_jobs: int = -1,
    ) -> None:
        self.n_estimators = n_estimators
        self.learning_rate = learning_rate
        self.num_leaves = num_leaves
        self.min_child_samples = min_child_samples
        self.reg_lambda = reg_lambda
        self.colsample_bytree = colsample_bytree
        self.subsample = subsample
        self.seed = seed
        self.n_jobs = n_jobs

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.target_tags.positive_only = True
        return tags

    def _grow(self, X: pd.DataFrame, y: pd.Series) -> tuple[np.ndarray, np.ndarray]:
        """Check and sort the rows, grow the trees on them, and return the rows."""
        if isinstance(X, pd.DataFrame):
            X, y = canonical(X.drop(columns=CUTOFF_DAY, errors="ignore"), y)
        X, y = validate_data(
            self, X, y, dtype=np.float64, ensure_all_finite="allow-nan", y_numeric=True, ensure_min_samples=2
        )
        y = y.astype(float)
        self._check_target(y)
        # The text is stored. Predicting from it makes a reloaded model identical to this one.
        self.booster_ = read_booster(self._trained(X, y).model_to_string())
        return X, y

    @abstractmethod
    def _check_target(self, y: np.ndarray) -> None: ...

    @abstractmethod
    def _objective_options(self) -> dict[str, Any]: ...

    def _rows(self, X: pd.DataFrame) -> np.ndarray:
        """Return the columns that the trees were grown on, in training order."""
        check_is_fitted(self)
        if isinstance(X, pd.DataFrame) and hasattr(self, "feature_names_in_"):
            names = list(self.feature_names_in_)
            unknown = [name for name in X.columns if name not in {*names, CUTOFF_DAY}]
            X = require_columns(X, names)
            if unknown:
                raise InputError(
                    f"unknown feature {listing(unknown)}",
                    where="columns of X",
                    expected=listing(names),
                    hint="pass the columns that the model was trained on",
                )
        return validate_data(self, X, dtype=np.float64, ensure_all_finite="allow-nan", reset=False)

    def contributions(self, X: pd.DataFrame) -> pd.DataFrame:
        """Return the SHAP values of LightGBM itself: see `Model.contributions`.

        References
        ----------
        Lundberg, Erion & Lee (2018), Consistent individualized feature attribution for tree ensembles.
        """
        rows = self._rows(X)
        values = np.asarray(self.booster_.predict(rows, pred_contrib=True, num_threads=1))[:, :-1]  # without the mean
        names = list(getattr(self, "feature_names_in_", range(values.shape[1])))
        return pd.DataFrame(values, index=X.index if isinstance(X, pd.DataFrame) else None, columns=names)

    def _raw(self, X: np.ndarray) -> np.ndarray:
        return self.booster_.predict(X, num_threads=1)

    def _threads(self) -> int:
        if self.n_jobs != -1:
            return self.n_jobs
        told = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0]
        return min(cpu_count(), int(told)) if told.isdecimal() and int(told) else cpu_count()

    def _trained(self, X: np.ndarray | lgb.Sequence, y: np.ndarray, groups: np.ndarray | None = None) -> lgb.Booster:
        """Grow trees; `groups` holds the sizes of the lists that the rows are of, one after another."""
        rows = lgb.Dataset(X, y, group=groups)
        try:
            return lgb.train({**self._objective_options(), **self._options()}, rows, self.n_estimators)
        except lgb.basic.LightGBMError as error:
            raise InputError(
                "LightGBM rejects the parameters",
                where="lightgbm",
                expected="values that its documentation allows",
                found=str(error).strip(),
                hint="see conf/model/lightgbm.yaml",
            ) from error

    def _options(self) -> dict[str, Any]:
        return {
            "learning_rate": self.learning_rate,
            "num_leaves": self.num_leaves,
            "min_child_samples": self.min_child_samples,
            "reg_lambda": self.reg_lambda,
            "colsample_bytree": self.colsample_bytree,
            "subsample": self.subsample,
            "subsample_freq": int(self.subsample < 1),
            "seed": self.seed,
            "num_threads": self._threads(),
            "deterministic": True,
            "force_row_wise": True,
            "verbosity": -1,
        }

    def get_state(self) -> dict[str, Any]:
        return {
            "booster": self.booster_.model_to_string(),
            "n_features": self.n_features_in_,
            "feature_names": list(getattr(self, "feature_names_in_", [])),
        }

    def set_state(self, state: Mapping[str, Any]) -> Self:
        check_booster(state["booster"], state["n_features"])
        self.booster_ = read_booster(state["booster"])
        self.n_features_in_ = state["n_features"]
        if state["feature_names"]:
            self.feature_names_in_ = np.array(state["feature_names"], dtype=object)
        return self


class LightGBMSpend(LightGBM):
    """LightGBM regression of spend on all columns of `X`, calibrated in total.

    prediction = scale_ x max(trees(x), 0), where scale_ = total y / total prediction on the training rows. The scale
    is needed because an L1 fit predicts medians, and their sum is below the total. Horizon, margin and discount are
    learned from `y`. See `LightGBM` for the other parameters.

    Parameters
    ----------
    objective : {"tweedie", "l1"}
        Tweedie deviance suits amounts with many zeros and a long tail; L1 resists outliers.
    tweedie_variance_power : float in [1, 2)
        Poisson-like near 1, gamma-like near 2. No effect with "l1".

    Attributes
    ----------
    booster_, feature_names_in_
        As in `LightGBM`.
    scale_ : float

    Examples
    --------
    >>> X = pd.DataFrame({"total_spend": np.arange(100.0)})
    >>> model = LightGBMSpend(n_estimators=20).fit(X, 2 * X["total_spend"])
    >>> float(round(model.predict(X).sum() / 9900, 6))  # total predicted / total actual
    1.0
    """

    def __init__(
        self,
        objective: str = "tweedie",
        tweedie_variance_power: float = 1.3,
        n_estimators: int = 200,
        learning_rate: float = 0.03,
        num_leaves: int = 15,
        min_child_samples: int = 30,
        reg_lambda: float = 1.0,
        colsample_bytree: float = 0.5,
        subsample: float = 0.8,
        seed: int = 0,
        n_jobs: int = -1,
    ) -> None:
        self.objective = objective
        self.tweedie_variance_power = tweedie_variance_power
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

    def fit(self, X: pd.DataFrame, y: pd.Series) -> Self:
        """Grow the trees, then compute `scale_`.

        Raises
        ------
        InputError
            If the objective is unknown.
        UnsuitableDataError
            If y < 0 somewhere, if y is 0 everywhere, or if an L1 fit predicts zero for every customer.
        """
        if self.objective not in OBJECTIVES:
            raise InputError(
                f"unknown objective {self.objective!r}",
                where="objective",
                hint=did_you_mean(str(self.objective), OBJECTIVES),
            )
        X, y = self._grow(X, y)
        total = self._amounts(X).sum()
        if total == 0:
            raise UnsuitableDataError(
                f"the {self.objective} fit predicts zero for every customer",
                found=f"spend in {(y > 0).mean():.1%} of {len(y):,} rows",
                hint="use objective=tweedie, or a longer horizon_days",
            )
        self.scale_ = float(y.sum() / total)
        return self

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        """Predict spend in the horizon of `y`, in currency: array of shape (n_rows,), >= 0.

        Raises
        ------
        InputError
            If a training column is missing or a column is unknown.
        """
        return self._amounts(self._rows(X)) * self.scale_

    def _amounts(self, X: np.ndarray) -> np.ndarray:
        return np.maximum(self._raw(X), 0.0)

    def _check_target(self, y: np.ndarray) -> None:
        check_spend(y)

    def _objective_options(self) -> dict[str, Any]:
        return {"objective": OBJECTIVES[self.objective], "tweedie_variance_power": self.tweedie_variance_power}

    def get_state(self) -> dict[str, Any]:
        return {**super().get_state(), "scale": self.scale_}

    def set_state(self, state: Mapping[str, Any]) -> Self:
        self.scale_ = state["scale"]
        return super().set_state(state)


class LightGBMProbability(LightGBM):
    """LightGBM of the probability that `y` is 1, on all columns of `X`, trained with the log loss.

    See `LightGBM` for the parameters.

    Examples
    --------
    >>> X = pd.DataFrame({"frequency": np.arange(100.0)})
    >>> model = LightGBMProbability(n_estimators=20).fit(X, (X["frequency"] >= 50).astype(float))
    >>> bool((model.predict(X[90:]) > model.predict(X[:10])).all())
    True
    """

    def fit(self, X: pd.DataFrame, y: pd.Series) -> Self:
        """Grow the trees. `y` holds 0 and 1, each at least once."""
        self._grow(X, y)
        return self

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        """Predict the probability of the event: array of shape (n_rows,)."""
        return self._raw(self._rows(X))

    def _check_target(self, y: np.ndarray) -> None:
        check_events(y)

    def _objective_options(self) -> dict[str, Any]:
        return {"objective": "binary"}


def read_booster(text: str) -> lgb.Booster:
    """Read trees.

    Raises
    ------
    InputError
        If LightGBM refuses the text.
    """
    try:
        return lgb.Booster(model_str=text)
    except (lgb.basic.LightGBMError, ValueError) as error:  # ValueError: of its last line, which is JSON
        raise InputError("LightGBM does not read its trees", found=str(error).strip()) from error
