"""Fitted estimators of other libraries as text: by skops with trusted types, or by the library's own format."""

from __future__ import annotations

import base64
import binascii
import io
import json
import tempfile
import zipfile
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from experiments.models.booster_text import CheckedBooster
from experiments.models.fitted_trees import check_trees
from features.errors import InputError, listing


def type_name(kind: type) -> str:
    """Return the full name of a class, as skops writes it: module and name."""
    return f"{kind.__module__}.{kind.__qualname__}"


BOOSTER, CHECKED = "lightgbm.basic.Booster", type_name(CheckedBooster)
TRUSTED = frozenset(
    {
        # What fitted estimators of scikit-learn hold beside the types that skops itself trusts.
        "sklearn._loss.loss.HalfGammaLoss",
        "sklearn._loss.loss.HalfPoissonLoss",
        "sklearn._loss.loss.HalfTweedieLoss",
        "sklearn._loss.loss.HalfTweedieLossIdentity",
        "sklearn.calibration._CalibratedClassifier",
        "sklearn.calibration._SigmoidCalibration",
        "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
        "sklearn.metrics._dist_metrics.EuclideanDistance64",
        "sklearn.metrics._dist_metrics.ManhattanDistance64",
        "sklearn.metrics._dist_metrics.MinkowskiDistance64",
        "sklearn.neighbors._ball_tree.BallTree",
        "sklearn.neighbors._kd_tree.KDTree",
        "sklearn.neural_network._stochastic_optimizers.AdamOptimizer",
        "sklearn.neural_network._stochastic_optimizers.SGDOptimizer",
        "sklearn.tree._tree.Tree",
        # LightGBM's own classes
        "collections.OrderedDict",
        "collections.defaultdict",
        BOOSTER,
        "lightgbm.sklearn.LGBMClassifier",
        "lightgbm.sklearn.LGBMRegressor",
    }
)
OWN_FORMATS = {"catboost": ".cbm", "xgboost": ".ubj"}  # file ending of each library's own format


def store(estimator: Any, trusted: Collection[str] = ()) -> dict[str, str]:
    """Return a fitted estimator as values that JSON holds; `restore` reads them.

    CatBoost and XGBoost write their own format, all others are written by skops. Nothing is pickled.

    Parameters
    ----------
    estimator : object
    trusted : collection of str
        Types that may be stored beside `TRUSTED`, those that skops trusts and the estimator's own class.

    Raises
    ------
    InputError
        If the estimator holds a type that is not trusted, or cannot be stored.
    """
    ending = _own_format(type(estimator))
    if ending:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / f"model{ending}"
            estimator.save_model(str(file))
            return _as_text(ending.removeprefix("."), file.read_bytes())
    import skops.io  # takes a second to import, which commands that read no such model need not wait for

    try:
        content = skops.io.dumps(estimator, compression=zipfile.ZIP_DEFLATED)
    except Exception as error:  # skops raises what the estimator's own parts raise
        raise InputError(
            f"{type_name(type(estimator))} cannot be stored",
            where="model.path",
            expected="an estimator that skops can write: it never pickles",
            found=f"{type(error).__name__}: {error}",
        ) from error
    _check_types(content, {*trusted, type_name(type(estimator))})
    return _as_text("skops", content)


def restore(stored: Mapping[str, str], untrained: Any, trusted: Collection[str] = ()) -> Any:
    """Return the fitted estimator that `store` wrote.

    The caller says which class and which types may be read, not the stored content. `base.load` refuses those of a
    text that nobody else has allowed.

    Parameters
    ----------
    stored : mapping
    untrained : object
        Estimator of the class and the parameters that are expected.
    trusted : collection of str
        As for `store`.

    Raises
    ------
    InputError
        If the content is damaged, has another format or class, or holds a type that is not trusted. A tree that would
        read foreign memory or loop is damaged.
    """
    kind, ending = type(untrained), _own_format(type(untrained))
    expected = ending.removeprefix(".") or "skops"
    if stored["format"] != expected:
        raise _damaged(f"format {stored['format']!r}, not {expected!r}")
    try:
        content = base64.b64decode(stored["content"], validate=True)
    except (binascii.Error, ValueError) as error:
        raise _damaged(str(error)) from None
    if ending:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / f"model{ending}"
            file.write_bytes(content)
            try:
                untrained.load_model(str(file))
            except Exception as error:  # each library has exceptions of its own
                raise _damaged(str(error)) from error
        return untrained
    allowed = {*trusted, type_name(kind)}
    _check_types(content, allowed)
    import skops.io

    try:
        estimator = skops.io.loads(_with_checked_boosters(content), trusted=sorted(TRUSTED | allowed | {CHECKED}))
        check_trees(estimator)
    except InputError:
        raise
    except Exception as error:  # of whatever part is damaged
        raise _damaged(f"{type(error).__name__}: {error}") from error
    if type(estimator) is not kind:
        raise _damaged(f"an object of {type_name(type(estimator))}, not of {type_name(kind)}")
    return estimator


def _own_format(kind: type) -> str:
    return OWN_FORMATS.get(kind.__module__.partition(".")[0], "")


def _as_text(name: str, content: bytes) -> dict[str, str]:
    return {"format": name, "content": base64.b64encode(content).decode()}


def _check_types(content: bytes, allowed: Collection[str]) -> None:
    """Refuse types that nobody has said to trust; nothing of them is imported or run."""
    import skops.io

    try:
        asked = skops.io.get_untrusted_types(data=content)
    except Exception as error:  # zip, JSON and skops have exceptions of their own
        raise _damaged(f"{type(error).__name__}: {error}") from error
    foreign = sorted({*asked} - TRUSTED - {*allowed})
    if foreign:
        raise InputError(
            f"the model holds {listing(foreign)}, which is not trusted",
            where="stored estimator",
            expected="types of scikit-learn and NumPy, the class of model.path, and those that model.trusted names",
            found=listing(foreign),
            hint=f"if you trust its code, train with 'model.trusted=[{', '.join(foreign)}]'; if it was trained without "
            "this type, its file was changed: restore it",
        )


def _with_checked_boosters(content: bytes) -> bytes:
    """Replace the class of LightGBM's boosters, which trusts its text, by one that checks it."""
    module, _, name = CHECKED.rpartition(".")

    def checked(node: dict[str, Any]) -> dict[str, Any]:
        is_booster = f"{node.get('__module__')}.{node.get('__class__')}" == BOOSTER
        return {**node, "__module__": module, "__class__": name} if is_booster else node

    changed = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as given, zipfile.ZipFile(changed, "w") as made:
        for file in sorted({*given.namelist()}):
            part = given.read(file)
            made.writestr(file, json.dumps(json.loads(part, object_hook=checked)) if file == "schema.json" else part)
    return changed.getvalue()


def _damaged(found: str) -> InputError:
    return InputError(
        "the stored estimator is damaged",
        where="estimator of a stored model",
        expected="the content that a fit wrote",
        found=found,
        hint="restore the model's files, or train it again",
    )
