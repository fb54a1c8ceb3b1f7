"""Any scikit-learn compatible estimator as a model of spend or of a probability, by its import path."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

import numpy as np
import pandas as pd
from sklearn.base import is_classifier, is_regressor
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.linear_model import Ridge
from sklearn.utils.validation import check_is_fitted

from experiments.models.base import Model, canonical, check_events, check_spend, finite_columns
from experiments.models.scaling import check_scaling, location_and_scale, unrolled
from experiments.models.stored import TRUSTED, restore, store
from features.errors import InputError, UnsuitableDataError, did_you_mean, first_line, listing
from features.seasons import CUTOFF_DAY

PREDICTS = ("amount", "probability")
LIBRARIES = ("catboost", "lightgbm", "sklearn", "xgboost")  # a stored text may name their classes
NO_PARAMS: Mapping[str, Any] = {}
BLOCK = 64  # rows


class Wrapped(Model):
    """Scikit-learn compatible estimator on all columns of `X`; subclasses say which.

    The estimator reads an array of doubles whose columns are the features, sorted by name, without the day of the
    cutoff. Of an amount, prediction = factor_ x max(p, 0), where p is what a regressor predicts and factor_ = total y /
    total prediction on the training rows. With `log_target` it learns log(1 + y) and prediction = factor_ x exp(p),
    which keeps the order of customers near 0. Of a probability, prediction is a classifier's `predict_proba` of 1.

    Attributes
    ----------
    estimator_ : object
        Fitted, and read from its stored form: a reloaded model predicts the same bits.
    stored_ : dict of str to str
        The estimator as it was stored when it was fitted, which is written as it was read: skops names objects by their
        addresses and dates its files, so that a model that was read and stored again would look like another one.
    feature_names_in_ : array of str
    location_, spread_ : array of shape (n_features,)
        The estimator reads (x - location_) / spread_, after the logarithm if the scaling has one.
    factor_ : float
        1 for a probability.
    """

    predicts: str
    scaling: str
    log_target: bool
    trusted: Sequence[str]
    seed: int

    @abstractmethod
    def untrained(self) -> Any:
        """Build the estimator."""

    def fit(self, X: pd.DataFrame, y: pd.Series) -> Self:
        """Scale the columns and fit the estimator.

        Raises
        ------
        InputError
            If the estimator does not exist, does not fit the task, or rejects its parameters.
        UnsuitableDataError
            If it rejects the data, or `y` cannot be learned.
        """
        self.check()
        X, y = canonical(X.drop(columns=CUTOFF_DAY, errors="ignore"), y)
        y = np.asarray(y, dtype=float)
        (check_events if self.predicts == "probability" else check_spend)(y)
        self.feature_names_in_ = np.array(X.columns, dtype=object)
        x = unrolled(self._values(X), self.scaling)
        self.location_, self.spread_ = location_and_scale(x, self.scaling)
        learned = np.log1p(y) if self.predicts == "amount" and self.log_target else y
        self.stored_ = self._fitted(x, learned)
        self.estimator_ = restore(self.stored_, self.untrained(), self.trusted)
        self.factor_ = 1.0
        if self.predicts == "amount":
            total = self.predict(X).sum()
            if not total > 0:
                raise UnsuitableDataError(f"{self._named} predicts zero for every customer", where="model.params")
            self.factor_ = float(y.sum() / total)
        return self

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        """Predict spend in currency (>= 0) or the probability of the event: array of shape (n_rows,).

        Raises
        ------
        InputError
            If the estimator predicts something else than one finite number for each row, in [0, 1] for a probability.
        """
        check_is_fitted(self)
        x = (unrolled(self._values(X), self.scaling) - self.location_) / self.spread_
        if self.predicts == "probability":
            return self._checked(_in_blocks(self.estimator_.predict_proba, x), (len(x), 2))[:, 1]
        p = self._checked(_in_blocks(self.estimator_.predict, x), (len(x),))
        with np.errstate(over="ignore"):
            amounts = np.exp(p) if self.log_target else np.maximum(p, 0.0)
        return self._checked(self.factor_ * amounts, (len(x),))

    def check(self) -> None:
        """Check the parameters, and that the estimator answers the task.

        Raises
        ------
        InputError
        """
        if self.predicts not in PREDICTS:
            raise InputError(
                f"unknown prediction {self.predicts!r}", where="predicts", hint=did_you_mean(self.predicts, PREDICTS)
            )
        check_scaling(self.scaling)
        estimator = self.untrained()
        if self.predicts == "amount":
            if not _is(estimator, is_regressor):
                raise InputError(
                    f"{self._named} is not a regressor",
                    where="model.path",
                    expected="a regressor, as the task predicts an amount",
                    found="a classifier" if _is(estimator, is_classifier) else "another kind of class",
                    hint=_counterpart(self._named, "Classifier", "Regressor"),
                )
            return
        if not _is(estimator, is_classifier):
            raise InputError(
                f"{self._named} is not a classifier",
                where="model.path",
                expected="a classifier with predict_proba, as the task predicts a probability",
                found="a regressor" if _is(estimator, is_regressor) else "another kind of class",
                hint=_counterpart(self._named, "Regressor", "Classifier"),
            )
        if not hasattr(estimator, "predict_proba"):
            raise InputError(
                f"{self._named} has no predict_proba",
                where="model.path",
                expected="a classifier that predicts probabilities with these parameters",
                found="a classifier of labels alone",
                hint="model.path=sklearn.linear_model.LogisticRegression is one that does",
            )

    @property
    def _named(self) -> str:
        return type(self).__name__

    def _values(self, X: pd.DataFrame) -> np.ndarray:
        return np.ascontiguousarray(finite_columns(X, self.feature_names_in_, below_zero=True))

    def _fitted(self, x: np.ndarray, y: np.ndarray) -> dict[str, str]:
        """Fit the estimator on columns before their scaling, and return it as it is stored."""
        estimator = self.untrained()
        try:
            estimator.fit((x - self.location_) / self.spread_, y)
        except ValueError as error:
            # scikit-learn's error of a wrong parameter is both
            refusal = InputError if isinstance(error, TypeError) else UnsuitableDataError
            raise refusal(
                f"{self._named} rejects its parameters or the data",
                where="model.params",
                found=first_line(error),
                hint="see the documentation of its library",
            ) from error
        return store(estimator, self.trusted)

    def _checked(self, prediction: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        if prediction.shape != shape:
            raise InputError(
                f"{self._named} predicts values of a wrong shape",
                where="model.path",
                expected=f"an array of shape {shape}",
                found=f"shape {prediction.shape}",
            )
        prediction = prediction.astype(float)
        wrong = ~np.isfinite(prediction)
        if self.predicts == "probability":
            wrong |= (prediction < 0) | (prediction > 1)
        if wrong.any():
            raise UnsuitableDataError(
                f"{self._named} predicts values that are not valid",
                where="model.path",
                expected="probabilities in [0, 1]" if self.predicts == "probability" else "finite numbers",
                found=listing(prediction[wrong]),
                hint="try model.scaling=log_standard, or other parameters",
            )
        return prediction

    def get_state(self) -> dict[str, Any]:
        return {
            "estimator": self.stored_,
            "feature_names": list(self.feature_names_in_),
            "location": self.location_.tolist(),
            "spread": self.spread_.tolist(),
            "factor": self.factor_,
        }

    def set_state(self, state: Mapping[str, Any]) -> Self:
        self.stored_ = state["estimator"]
        self.estimator_ = restore(self.stored_, self.untrained(), self.trusted)
        self.feature_names_in_ = np.array(state["feature_names"], dtype=object)
        self.location_, self.spread_ = np.array(state["location"]), np.array(state["spread"])
        self.factor_ = state["factor"]
        return self


class Estimator(Wrapped):
    """An estimator by its import path. See `Wrapped` for what it reads, and how its predictions are used.

    Parameters
    ----------
    path : str
        Module and class, such as "sklearn.linear_model.Ridge": a regressor for an amount, a classifier with
        `predict_proba` for a probability. The class must be importable when the model is trained and when it scores.
    params : mapping of parameter to value
        Parameters of that class which differ from its defaults.
    scaling : {"none", "standard", "minmax", "log_standard"}
        Scaling of each feature: unchanged; z-scores; to [0, 1]; z-scores of sign(x) log(1 + abs(x)), for skewed
        amounts.
    log_target : bool
        Learn log(1 + y) of an amount, not y.
    trusted : list of str
        Further types that the fitted estimator may hold, each as module.Class.
    seed : int
        Value of every `random_state` that `params` does not set.
    predicts : {"amount", "probability"}
        Set by the task.

    Examples
    --------
    >>> X = pd.DataFrame({"total_spend": [0.0, 10.0, 20.0]})
    >>> model = Estimator("sklearn.linear_model.Ridge", {"alpha": 1.0}, scaling="standard")
    >>> model.fit(X, pd.Series([0.0, 30.0, 60.0])).predict(X).round(6).tolist()
    [7.5, 30.0, 52.5]
    """

    def __init__(
        self,
        path: str = "",
        params: Mapping[str, Any] = NO_PARAMS,
        scaling: str = "none",
        log_target: bool = False,
        trusted: Sequence[str] = (),
        seed: int = 0,
        predicts: str = "amount",
    ) -> None:
        self.path = path
        self.params = params
        self.scaling = scaling
        self.log_target = log_target
        self.trusted = trusted
        self.seed = seed
        self.predicts = predicts

    @property
    def libraries(self) -> tuple[str, ...]:
        """Top-level names of the modules that the estimator needs beside the project's own."""
        return tuple(sorted({name.partition(".")[0] for name in (self.path, *self.trusted)}))

    @property
    def foreign(self) -> tuple[str, ...]:
        """The class, unless a library of `LIBRARIES` has it, and the trusted types."""
        is_of_library = self.path.partition(".")[0] in LIBRARIES
        return tuple(sorted({*self.trusted, *([] if is_of_library else [self.path])} - TRUSTED))

    def set_params(self, **params: Any) -> Self:
        """Set parameters; `params__alpha` sets one parameter of the estimator."""
        prefix = "params__"
        own = {name.removeprefix(prefix): value for name, value in params.items() if name.startswith(prefix)}
        super().set_params(**{name: value for name, value in params.items() if not name.startswith(prefix)})
        if own:
            self.params = {**self.params, **own}
        return self

    def untrained(self) -> Any:
        """Build the estimator.

        Raises
        ------
        InputError
            If there is no such class, or it has no such parameter.
        """
        kind = find_class(self.path)
        known = inspect.signature(kind).parameters
        if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in known.values()):
            for name in self.params:
                if name not in known:
                    raise InputError(
                        f"{self.path} has no parameter {name!r}", where="model.params", hint=did_you_mean(name, known)
                    )
        try:
            estimator = kind(**self.params)
        except (TypeError, ValueError) as error:
            raise InputError(
                f"{self.path} cannot be built from its parameters",
                where="model.params",
                expected=f"the values of {listing(known, limit=30)}",
                found=first_line(error),
            ) from error
        seeds = {name: self.seed for name, value in estimator.get_params().items() if _is_seed(name) and value is None}
        return estimator.set_params(**seeds) if seeds else estimator

    @property
    def _named(self) -> str:
        return self.path


class HistGradientBoosting(Wrapped):
    """Histogram-based gradient boosting of scikit-learn. See `Wrapped` for how its predictions are used.

    Parameters
    ----------
    loss : {"poisson", "squared_error", "absolute_error"}
        Of an amount; a probability has the log loss.
    max_iter : int
        Number of trees.
    learning_rate : float
        Shrinkage of each tree.
    max_leaf_nodes : int
        Maximum number of leaves of a tree.
    min_samples_leaf : int
        Minimum number of training rows in a leaf.
    l2_regularization : float
        L2 penalty of the leaves' values.
    max_features : float in (0, 1]
        Share of the features that each split may use.
    seed : int
        Seed of the draws of features.
    predicts : {"amount", "probability"}
        Set by the task.

    Examples
    --------
    >>> X = pd.DataFrame({"total_spend": np.arange(100.0)})
    >>> model = HistGradientBoosting(max_iter=20).fit(X, 2 * X["total_spend"])
    >>> float(round(model.predict(X).sum() / 9900, 6))  # total predicted / total actual
    1.0
    """

    scaling = "none"
    log_target = False
    trusted = ()

    def __init__(
        self,
        loss: str = "poisson",
        max_iter: int = 200,
        learning_rate: float = 0.03,
        max_leaf_nodes: int = 15,
        min_samples_leaf: int = 30,
        l2_regularization: float = 1.0,
        max_features: float = 0.5,
        seed: int = 0,
        predicts: str = "amount",
    ) -> None:
        self.loss = loss
        self.max_iter = max_iter
        self.learning_rate = learning_rate
        self.max_leaf_nodes = max_leaf_nodes
        self.min_samples_leaf = min_samples_leaf
        self.l2_regularization = l2_regularization
        self.max_features = max_features
        self.seed = seed
        self.predicts = predicts

    def untrained(self) -> Any:
        """Build the regressor or the classifier."""
        options = {
            "max_iter": self.max_iter,
            "learning_rate": self.learning_rate,
            "max_leaf_nodes": self.max_leaf_nodes,
            "min_samples_leaf": self.min_samples_leaf,
            "l2_regularization": self.l2_regularization,
            "max_features": self.max_features,
            "random_state": self.seed,
            "early_stopping": False,  # it would hold out rows at random, of customers who are in the others too
        }
        if self.predicts == "probability":
            return HistGradientBoostingClassifier(**options)
        return HistGradientBoostingRegressor(loss=self.loss, **options)


class RidgeOnLogs(Wrapped):
    """Ridge regression of scikit-learn on logarithms: log(1 + y) from z-scores of sign(x) log(1 + abs(x)).

    See `Wrapped` for how its predictions are used.

    Parameters
    ----------
    alpha : float
        L2 penalty of the coefficients, > 0.
    predicts : {"amount"}
        Set by the task.

    Examples
    --------
    >>> X = pd.DataFrame({"total_spend": np.arange(100.0)})
    >>> model = RidgeOnLogs(alpha=1.0).fit(X, 2 * X["total_spend"])
    >>> float(round(model.predict(X).sum() / 9900, 6))  # total predicted / total actual
    1.0
    """

    scaling = "log_standard"
    log_target = True
    trusted = ()

    def __init__(self, alpha: float = 100.0, predicts: str = "amount") -> None:
        self.alpha = alpha
        self.predicts = predicts

    def untrained(self) -> Any:
        """Build the regressor."""
        return Ridge(alpha=self.alpha)


def find_class(path: str) -> type:
    """Import a class by its path, `module.Class`.

    Raises
    ------
    InputError
        If there is no such module or class, or it is abstract.
    """
    module, _, name = path.rpartition(".")
    if not module:
        raise InputError(
            "the estimator has no import path",
            where="model.path",
            expected="module.Class, such as sklearn.linear_model.Ridge",
            found=repr(path),
        )
    top = module.partition(".")[0]
    if importlib.util.find_spec(top) is None:
        raise InputError(
            f"there is no module {top!r}",
            where="model.path",
            expected="an installed package, or a module in a folder that PYTHONPATH names",
            found=path,
            hint=f"pip install {top}, or PYTHONPATH=. before the command if {top}.py is in this folder",
        )
    try:
        found = importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise InputError(
            f"there is no module {error.name!r}", where="model.path", found=path, hint=_near_module(module, name)
        ) from error
    except Exception as error:  # an import runs the module, which may raise anything
        raise InputError(
            f"the module {module} cannot be imported", where="model.path", found=f"{type(error).__name__}: {error}"
        ) from error
    kind = getattr(found, name, None)
    if not inspect.isclass(kind):
        public = [each for each in getattr(found, "__all__", dir(found)) if hasattr(getattr(found, each, None), "fit")]
        raise InputError(
            f"{module} has no class {name!r}",
            where="model.path",
            found=path,
            hint=did_you_mean(name, public) if public else None,
        )
    missing = [method for method in ("fit", "predict", "get_params", "set_params") if not hasattr(kind, method)]
    if inspect.isabstract(kind) or missing:
        raise InputError(
            f"{path} is not an estimator that can be trained",
            where="model.path",
            expected="a class with fit, predict, get_params and set_params, as scikit-learn's estimators have",
            found="an abstract class" if inspect.isabstract(kind) else f"no {listing(missing)}",
        )
    return kind


def _in_blocks(predict: Callable[[np.ndarray], Any], x: np.ndarray) -> np.ndarray:
    """Predict a multiple of `BLOCK` rows, of which the last one is repeated.

    A matrix product adds in another order for a few rows than for many, so a linear model would give a customer who is
    sent alone other bits than among all. In whole blocks they are the same, but for networks on hundreds of features.
    """
    missing = -len(x) % BLOCK
    whole = np.pad(x, ((0, missing), (0, 0)), mode="edge") if missing else x
    return np.asarray(predict(whole))[: len(x)]


def _near_module(module: str, name: str) -> str:
    """Suggest where scikit-learn has a class of that name, or names like it; of other packages, where to look."""
    from sklearn.utils import all_estimators

    if not module.startswith("sklearn"):
        return "look up the path in the package's documentation"
    paths = {each: f"{kind.__module__.partition('._')[0]}.{each}" for each, kind in all_estimators()}
    return f"model.path={paths[name]}" if name in paths else did_you_mean(name, paths)


def _counterpart(path: str, ending: str, other: str) -> str | None:
    """Suggest the class of the other kind, where the library has it."""
    if not path.endswith(ending):
        return None
    module, _, name = path.removesuffix(ending).rpartition(".")
    known = importlib.import_module(module) if module else None
    return f"model.path={module}.{name}{other}" if hasattr(known, f"{name}{other}") else None


def _is(estimator: Any, kind: Any) -> bool:
    try:
        return bool(kind(estimator))
    except AttributeError:  # it has no tags of scikit-learn
        return False


def _is_seed(name: str) -> bool:
    return name == "random_state" or name.endswith("__random_state")
