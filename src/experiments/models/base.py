"""The common parts of all models: checked input, money over a horizon, and storage as text."""

from __future__ import annotations

import importlib
import json
from collections.abc import Collection, Iterable, Mapping
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils.validation import check_is_fitted

from features.errors import InputError, UnsuitableDataError, did_you_mean, listing
from features.outcomes import DAYS_PER_YEAR, check_money_terms

# Terms that a task sets on its models (conf/task/), and the defaults of a model that is built by hand.
HORIZON_DAYS = 90.0
MARGIN = 1.0
DISCOUNT_RATE = 0.0

STEP_DAYS = 30


class Model(RegressorMixin, BaseEstimator):
    """A scikit-learn regressor that is stored as text, without pickle.

    `X` is a frame of float64 features indexed (customer_id, cutoff), `y` a series with the same index.
    `predict` needs the columns only, in any order, and returns an array with one value per row. Neither
    the order of rows nor that of columns changes a fit.
    """

    _classes: ClassVar[dict[str, type[Model]]] = {}

    @property
    def context(self) -> tuple[str, ...]:
        """Features that `predict` reads beside those that the model was trained on."""
        return ()

    @property
    def libraries(self) -> tuple[str, ...]:
        """Top-level names of modules that the parameters name, which the model needs beside the project's code."""
        return ()

    @property
    def foreign(self) -> tuple[str, ...]:
        """Full names of classes and functions, of neither the project nor its libraries, that the parameters name."""
        return ()

    def check(self) -> None:
        """Check the parameters as far as that is possible without data; `fit` checks the rest.

        Raises
        ------
        InputError
        """

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        Model._classes[cls.__name__] = cls

    def outputs(self, X: pd.DataFrame) -> np.ndarray:
        """Return all outputs of each row, in the order of the task's `outputs`: shape (n_rows, n_outputs)."""
        return np.asarray(self.predict(X)).reshape(len(X), -1)

    def contributions(self, X: pd.DataFrame) -> pd.DataFrame | None:
        """Return the contribution of each feature to each prediction, as SHAP values; None where a model has none.

        Rows are those of X, columns the features that the model's trees were grown on. A row adds up to what the trees
        predict for it above the mean, on their own scale (log of spend, log odds), which is not that of `predict`.
        """
        return None

    def get_state(self) -> dict[str, Any]:
        """Return the fitted attributes as values that JSON can hold."""
        raise NotImplementedError

    def set_state(self, state: Mapping[str, Any]) -> Self:
        """Restore the fitted attributes that `get_state` returned."""
        raise NotImplementedError


def dump(model: Model) -> str:
    """Write a fitted model as JSON text: its class, the module that defines it, its parameters and its state.

    Floats are written with all their digits: the model that `load` returns predicts the same bits.
    """
    check_is_fitted(model)
    return json.dumps({**_described(model), "state": model.get_state()}, allow_nan=False)


def load(text: str, allowed: Collection[str] = ()) -> Model:
    """Read a model that `dump` wrote.

    The text alone can name the project's models and the classes of scikit-learn, LightGBM, CatBoost and XGBoost.
    Whatever else it names is refused before it is imported, unless the caller allows it.

    Parameters
    ----------
    text : str
    allowed : collection of str
        Full names of further classes and functions that may be imported and run: `foreign_code` of the model that
        was written, kept apart from the text.

    Raises
    ------
    InputError
        If the text is not JSON of that form, its class is unknown, or it names code that is not allowed.
    """
    try:
        content = json.loads(text)
        model, state = _constructed(content), content["state"]
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise InputError(
            "the text is not a stored model",
            expected="JSON as written by dump(model)",
            found=f"{text[:60]!r} ({error})",
        ) from None
    if refused := sorted({*foreign_code(model)} - {*allowed}):
        raise InputError(
            f"the stored model names {listing(refused)}, which is not allowed",
            where="path and trusted of a stored model",
            expected="classes of scikit-learn, LightGBM, CatBoost and XGBoost, and what `allowed` names",
            found=listing(refused),
            hint=f"if you trust this code and the text: load(text, allowed={refused})",
        )
    return model.set_state(state)


def foreign_code(model: Model) -> tuple[str, ...]:
    """Return `Model.foreign` of a model and of the models among its parameters, sorted."""
    values = model.get_params(deep=False).values()
    parts = [part for value in values for part in (value if isinstance(value, list | tuple) else [value])]
    of_parts = (name for part in parts if isinstance(part, Model) for name in foreign_code(part))
    return tuple(sorted({*model.foreign, *of_parts}))


def _described(model: Model) -> dict[str, Any]:
    params = {name: _plain(value) for name, value in model.get_params(deep=False).items()}
    return {"class": type(model).__name__, "module": type(model).__module__, "params": params}


def _plain(value: Any) -> Any:
    """Return a parameter as JSON holds it; it may be a model, or a list of models."""
    if isinstance(value, Model):
        return _described(value)
    return [_plain(each) for each in value] if isinstance(value, list | tuple) else value


def _restored(value: Any) -> Any:
    """Return the parameter that `_plain` made plain."""
    if isinstance(value, list):
        return [_restored(each) for each in value]
    is_model = isinstance(value, dict) and value.keys() == {"class", "module", "params"}
    return _constructed(value) if is_model else value


def _constructed(content: Mapping[str, Any]) -> Model:
    name, module = content["class"], content.get("module", "")
    if name not in Model._classes and module.startswith(f"{__package__.partition('.')[0]}."):
        importlib.import_module(module)  # a task's file may define its own model
    if name not in Model._classes:
        raise InputError(f"unknown model class {name!r}", hint=did_you_mean(name, Model._classes))
    return Model._classes[name](**{key: _restored(value) for key, value in content["params"].items()})


def row_sums(values: np.ndarray) -> np.ndarray:
    """Add up each row of a matrix, with the same bits for a row alone as for a row among others.

    NumPy adds in another order where the values of a row lie apart in memory, and so does a product with a vector.
    """
    return np.ascontiguousarray(values).sum(axis=1)


def require_columns(X: object, names: Iterable[str]) -> pd.DataFrame:
    """Return the named columns of a frame, in that order.

    Raises
    ------
    InputError
        If `X` is not a DataFrame, or lacks a column.
    """
    names = list(names)
    if not isinstance(X, pd.DataFrame):
        raise InputError(
            "the model needs named columns", expected=f"a DataFrame with {listing(names)}", found=type(X).__name__
        )
    missing = [name for name in names if name not in X.columns]
    if missing:
        raise InputError(
            f"missing feature {listing(missing)}",
            where="columns of X",
            expected=listing(names),
            found=listing(X.columns),
            hint=f"{did_you_mean(missing[0], map(str, X.columns))} otherwise add it to features.names (conf/features/)",
        )
    return X[names]


def finite_columns(X: object, names: Iterable[str], *, below_zero: bool = False) -> pd.DataFrame:
    """Return the named columns as float64, after checking that every value is a finite number >= 0.

    Parameters
    ----------
    X : DataFrame
    names : iterable of str
    below_zero : bool
        Accept numbers below 0: a customer's net spend, where more came back than was sold.

    Raises
    ------
    InputError
        If `X` is not a DataFrame, or lacks a column.
    UnsuitableDataError
        If a column holds any other value; the message names the first such column.
    """
    values = require_columns(X, names).astype(float)
    amounts = values.to_numpy()
    wrong = ~(np.isfinite(amounts) & (below_zero | (amounts >= 0)))
    for name, column, of_column in zip(values, amounts.T, wrong.T, strict=True):
        if of_column.any():
            raise UnsuitableDataError(
                f"{name} has values that are not valid amounts",
                where=f"column {name}",
                expected="finite numbers" if below_zero else "finite numbers >= 0",
                found=listing(column[of_column]),
            )
    return values


def canonical(X: pd.DataFrame, y: pd.Series) -> tuple[pd.DataFrame, pd.Series]:
    """Sort rows by index and columns by name, because sums of doubles and draws of rows depend on the order."""
    if all(isinstance(name, str) for name in X.columns):
        X = X[sorted(X.columns)]
    if isinstance(y, pd.Series) and X.index.is_unique and X.index.equals(y.index):
        order = X.index.argsort()
        X, y = X.iloc[order], y.iloc[order]
    return X, y


def latest_cutoff(X: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of the latest cutoff, which hold the earlier history too; all rows if no level is "cutoff"."""
    if "cutoff" not in X.index.names:
        return X
    cutoffs = X.index.get_level_values("cutoff")
    return X[cutoffs == cutoffs.max()]


def check_events(y: object) -> None:
    """Check that a target holds 0 and 1, each at least once, and nothing else.

    Raises
    ------
    UnsuitableDataError
    """
    found = np.unique(np.asarray(y, dtype=float))
    if not np.array_equal(found, [0.0, 1.0]):
        raise UnsuitableDataError(
            "y does not distinguish customers",
            where="y",
            expected="0 and 1, each at least once",
            found=listing(found),
            hint="use another horizon_days, or more cutoffs",
        )


def check_spend(y: np.ndarray) -> None:
    """Check that a target holds amounts >= 0, and at least one above 0.

    Raises
    ------
    UnsuitableDataError
    """
    if y.min() < 0:
        raise UnsuitableDataError("y has negative spend", expected="y >= 0", found=listing(y[y < 0]))
    if not y.any():
        raise UnsuitableDataError(
            "nobody spent anything", where="y", expected="y > 0 in some rows", hint="use earlier cutoffs"
        )


def check_terms(horizon_days: float, margin: float, discount_rate: float) -> None:
    """Check the terms that a task sets on a model: horizon_days > 0, margin in (0, 1], discount_rate >= 0."""
    if not horizon_days > 0:
        raise InputError("horizon_days is out of range", where="horizon_days", expected="> 0", found=str(horizon_days))
    check_money_terms(margin, discount_rate)


def discount_steps(horizon_days: float, discount_rate: float) -> tuple[np.ndarray, np.ndarray]:
    """Cut a horizon into steps of 30 days and compute the discount factor at the middle of each.

    Parameters
    ----------
    horizon_days : float
    discount_rate : float
        Per year; 0 gives one step without discount.

    Returns
    -------
    ends : array of shape (n_steps,)
        Days from today to the end of each step; the last is `horizon_days`.
    factors : array of shape (n_steps,)
        (1 + discount_rate)^(-middle / 365), in (0, 1].
    """
    if discount_rate == 0:
        return np.array([float(horizon_days)]), np.ones(1)
    ends = np.append(np.arange(STEP_DAYS, horizon_days, STEP_DAYS, dtype=float), float(horizon_days))
    middles = ends - np.diff(ends, prepend=0.0) / 2
    return ends, (1 + discount_rate) ** (-middles / DAYS_PER_YEAR)
