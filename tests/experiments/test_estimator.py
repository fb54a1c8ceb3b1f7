"""Estimators by their import path: what is refused, what is stored, and a class of the user's own end to end."""

from __future__ import annotations

import base64
import cProfile
import importlib
import json
import subprocess
import sys
import zipfile
from collections.abc import Callable
from functools import partial
from importlib.metadata import packages_distributions, version
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import skops.io
from mlflow import MlflowClient
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from experiments.models import Ensemble, Estimator, HistGradientBoosting, dump, load
from experiments.models.base import foreign_code
from experiments.models.calibrated import Calibrated
from experiments.tracking import packaging
from experiments.tracking.registry import Registry
from experiments.tracking.requirements import requirements_of
from experiments.tracking.served import ServedModel
from features.checksums import checksum
from features.errors import InputError, UnsuitableDataError
from workplace import QUICK, environment, outputs_apart

OWN = '''
"""Models of a user."""

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin


class Bins:
    def __init__(self, edges):
        self.edges = edges


class MeanOfBins(RegressorMixin, BaseEstimator):
    """Mean target by the bin of the first feature."""

    def __init__(self, n_bins=4, keeps=False, answer="means", random_state=None):
        self.n_bins = n_bins
        self.keeps = keeps
        self.answer = answer
        self.random_state = random_state

    def fit(self, X, y):
        self.edges_ = np.quantile(X[:, 0], np.linspace(0, 1, self.n_bins + 1)[1:-1])
        at = self._bin(X)
        self.means_ = np.array([y[at == bin].mean() if (at == bin).any() else 0.0 for bin in range(self.n_bins)])
        if self.keeps:
            self.bins_ = Bins(self.edges_)
        return self

    def _bin(self, X):
        return np.searchsorted(self.edges_, X[:, 0], side="right")

    def predict(self, X):
        means = self.means_[self._bin(X)]
        return {"means": means, "column": means[:, None], "nan": means * np.nan}[self.answer]
'''

rng = np.random.default_rng(0)
X = pd.DataFrame(rng.gamma(1, 10, (200, 3)), columns=["a", "b", "c"])
y = (X["a"] * 3 + X["b"]) * rng.integers(0, 2, 200)
EVENT = (y > 0).astype(float)


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A module of the user's own, in a folder on the path."""
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "shop_models.py").write_text(OWN)
    monkeypatch.syspath_prepend(str(tmp_path / "own"))
    monkeypatch.delitem(sys.modules, "shop_models", raising=False)
    return importlib.import_module("shop_models")


def spend(path: str, **given: Any) -> Estimator:
    return Estimator(path, **given)


def probability(path: str, **given: Any) -> Estimator:
    return Estimator(path, predicts="probability", **given)


def logs(X: np.ndarray) -> np.ndarray:
    return np.sign(X) * np.log1p(np.abs(X))


def test_predictions_of_an_amount_are_those_of_a_pipeline_by_hand_scaled_to_the_total() -> None:
    model = spend("sklearn.linear_model.Ridge", params={"alpha": 5.0}, scaling="log_standard", log_target=True)
    by_hand = make_pipeline(FunctionTransformer(logs), StandardScaler(), Ridge(alpha=5.0)).fit(
        X.to_numpy(), np.log1p(y)
    )
    expected = np.exp(by_hand.predict(X.to_numpy()))
    prediction = model.fit(X, y).predict(X)
    np.testing.assert_allclose(prediction, expected * y.sum() / expected.sum(), rtol=1e-9)
    plain = spend("sklearn.linear_model.Ridge", params={"alpha": 5.0}).fit(X, y).predict(X)
    p = np.maximum(Ridge(alpha=5.0).fit(X.to_numpy(), y).predict(X.to_numpy()), 0)
    np.testing.assert_allclose(plain, p * y.sum() / p.sum(), rtol=1e-9)


def test_predictions_of_a_probability_are_the_classifiers_own_with_the_seed_set() -> None:
    forest = probability("sklearn.ensemble.RandomForestClassifier", params={"n_estimators": 10}, seed=3).fit(X, EVENT)
    expected = RandomForestClassifier(n_estimators=10, random_state=3).fit(X.to_numpy(), EVENT)
    assert np.array_equal(forest.predict(X), expected.predict_proba(X.to_numpy())[:, 1])
    logistic = probability("sklearn.linear_model.LogisticRegression", scaling="standard").fit(X, EVENT)
    by_hand = make_pipeline(StandardScaler(), LogisticRegression()).fit(X.to_numpy(), EVENT)
    np.testing.assert_allclose(logistic.predict(X), by_hand.predict_proba(X.to_numpy())[:, 1], rtol=1e-6)


@pytest.mark.parametrize(
    ("model", "target", "message"),
    [
        (spend(""), y, "no import path"),
        (spend("no_such_package.Model"), y, "there is no module 'no_such_package'"),
        (spend("sklearn.linear.Ridge"), y, "model.path=sklearn.linear_model.Ridge"),
        (spend("sklearn.linear_model.Rige"), y, "did you mean 'Ridge'"),
        (spend("sklearn.linear_model.Ridge", params={"alfa": 1}), y, "did you mean 'alpha'"),
        (spend("sklearn.linear_model.Ridge", params={"alpha": -1.0}), y, "must be a float in the range"),
        (spend("sklearn.linear_model.Ridge", scaling="standart"), y, "did you mean 'standard'"),
        (spend("sklearn.ensemble.VotingRegressor"), y, "required positional argument: 'estimators'"),
        (spend("sklearn.ensemble.BaseEnsemble"), y, "an abstract class"),
        (spend("sklearn.base.BaseEstimator"), y, "no fit, predict"),
        (spend("sklearn.cluster.KMeans"), y, "is not a regressor"),
        (spend("sklearn.ensemble.RandomForestClassifier"), y, "model.path=sklearn.ensemble.RandomForestRegressor"),
        (spend("sklearn.linear_model.Ridge"), y - 100, "negative spend"),
        (probability("sklearn.linear_model.Ridge"), EVENT, "is not a classifier"),
        (probability("sklearn.svm.LinearSVC"), EVENT, "has no predict_proba"),
        (probability("sklearn.linear_model.LogisticRegression"), y, "does not distinguish customers"),
    ],
)
def test_mistakes_raise_and_say_what_to_type(model: Estimator, target: pd.Series, message: str) -> None:
    with pytest.raises(InputError) as error:
        model.fit(X, target)
    assert message in str(error.value)


def test_predictions_that_are_not_one_finite_number_a_row_raise(own: ModuleType) -> None:
    with pytest.raises(InputError, match=r"wrong shape[\s\S]*found: +shape \(200, 1\)"):
        spend("shop_models.MeanOfBins", params={"answer": "column"}).fit(X, y)
    with pytest.raises(UnsuitableDataError, match=r"not valid[\s\S]*nan"):
        spend("shop_models.MeanOfBins", params={"answer": "nan"}).fit(X, y)
    with pytest.raises(UnsuitableDataError, match="b has values that are not valid"):
        spend("sklearn.linear_model.Ridge").fit(X.assign(b=np.nan), y)


def test_a_type_that_nobody_trusts_is_named_and_model_trusted_admits_it(own: ModuleType) -> None:
    given = {"params": {"keeps": True}}
    with pytest.raises(InputError, match=r"model\.trusted=\[shop_models\.Bins\]"):
        spend("shop_models.MeanOfBins", **given).fit(X, y)
    model = spend("shop_models.MeanOfBins", **given, trusted=["shop_models.Bins"]).fit(X, y)
    assert np.array_equal(load(dump(model), foreign_code(model)).predict(X), model.predict(X))


def test_a_text_alone_imports_no_code_of_others_and_its_caller_can_allow_it(
    own: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = spend("shop_models.MeanOfBins").fit(X, y)
    calibrated = Calibrated(spend("shop_models.MeanOfBins"))
    both = Ensemble([spend("sklearn.linear_model.Ridge"), spend("shop_models.MeanOfBins")]).fit(X, y)
    texts, expected = {name: dump(each) for name, each in (("one", model), ("among", both))}, model.predict(X)
    assert foreign_code(calibrated) == foreign_code(both) == foreign_code(model) == ("shop_models.MeanOfBins",)
    monkeypatch.delitem(sys.modules, "shop_models")
    for text in texts.values():
        for allowed in ((), ("shop_models.Other",)):
            with pytest.raises(InputError, match=r"names shop_models\.MeanOfBins, which is not allowed"):
                load(text, allowed)
    assert "shop_models" not in sys.modules
    assert np.array_equal(load(texts["one"], foreign_code(model)).predict(X), expected)


def test_a_text_that_trusts_its_own_functions_runs_none(tmp_path: Path) -> None:
    content = json.loads(dump(spend("sklearn.linear_model.Ridge").fit(X, y)))
    script = f"open({str(tmp_path / 'ran')!r}, 'w').close()"
    runs_it = make_pipeline(FunctionTransformer(partial(cProfile.run, script)), Ridge())
    content["params"] |= {"path": "sklearn.pipeline.Pipeline", "params": {"steps": []}}
    content["params"]["trusted"] = ["cProfile.run", "functools.partial"]
    changed = base64.b64encode(skops.io.dumps(runs_it)).decode()
    content["state"]["estimator"] = {"format": "skops", "content": changed}
    with pytest.raises(InputError, match=r"names cProfile\.run, functools\.partial, which is not allowed"):
        load(json.dumps(content)).predict(X)
    assert not (tmp_path / "ran").exists()


def test_a_server_allows_what_the_configuration_beside_the_text_names(
    own: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "mlflow.pyfunc.scoring_server", raising=False)  # which other tests have imported
    model = spend("shop_models.MeanOfBins").fit(X, y)
    (tmp_path / "model.json").write_text(dump(model))
    artifacts = {name: str(tmp_path / f"{name}.json") for name in ("model", "config")}
    config = {"features": list(X), "outputs": ["clv"], "key": [], "limits": {"ranges": {}}}
    config["model_digest"] = checksum(tmp_path / "model.json")
    for allowed in ([], ["shop_models.MeanOfBins"]):
        (tmp_path / "config.json").write_text(json.dumps({**config, "allowed": allowed}))
        context, served = SimpleNamespace(artifacts=artifacts), ServedModel()
        if allowed:
            served.load_context(context)
            assert np.array_equal(served.predict(context, X)["clv"], model.predict(X))
        else:
            with pytest.raises(InputError, match="which is not allowed"):
                served.load_context(context)


def test_a_changed_file_cannot_bring_types_of_its_own(own: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    content = json.loads(dump(spend("sklearn.linear_model.Ridge").fit(X, y)))

    def holding(estimator: object) -> str:
        changed = base64.b64encode(skops.io.dumps(estimator, compression=zipfile.ZIP_DEFLATED)).decode()
        state = {**content["state"], "estimator": {"format": "skops", "content": changed}}
        return json.dumps({**content, "state": state})

    foreign, other = holding(own.MeanOfBins().fit(X.to_numpy(), y)), holding(LogisticRegression().fit(X, EVENT))
    monkeypatch.delitem(sys.modules, "shop_models")
    with pytest.raises(InputError, match=r"holds shop_models\.MeanOfBins, which is not trusted"):
        load(foreign)
    assert "shop_models" not in sys.modules
    with pytest.raises(InputError, match=r"an object of sklearn\.linear_model"):
        load(other)
    for damage in ("cbm", "skops"):
        content["state"]["estimator"] = {"format": damage, "content": base64.b64encode(b"PK").decode()}
        with pytest.raises(InputError, match="the stored estimator is damaged"):
            load(json.dumps(content))


@pytest.mark.slow
def test_every_common_estimator_is_stored_without_further_trust() -> None:
    spenders = ["linear_model.TweedieRegressor", "ensemble.GradientBoostingRegressor", "neural_network.MLPRegressor"]
    spenders += [
        "neighbors.KNeighborsRegressor",
        "svm.SVR",
        "ensemble.ExtraTreesRegressor",
        "linear_model.ElasticNetCV",
    ]
    for name in spenders:
        model = spend(f"sklearn.{name}", scaling="log_standard", log_target=True).fit(X, y)
        assert np.array_equal(load(dump(model)).predict(X), model.predict(X)), name
    for name in ("naive_bayes.GaussianNB", "calibration.CalibratedClassifierCV", "ensemble.AdaBoostClassifier"):
        model = probability(f"sklearn.{name}", scaling="standard").fit(X, EVENT)
        assert np.array_equal(load(dump(model)).predict(X), model.predict(X)), name


@pytest.mark.slow
@pytest.mark.parametrize(
    ("library", "kind", "params"),
    [
        ("lightgbm", "LGBM", {"n_estimators": 10, "verbosity": -1}),
        ("xgboost", "XGB", {"n_estimators": 10}),
        ("catboost", "CatBoost", {"iterations": 10, "verbose": False, "allow_writing_files": False}),
    ],
)
def test_estimators_of_other_libraries_reload_in_a_fresh_process(
    library: str, kind: str, params: dict[str, Any], tmp_path: Path
) -> None:
    pytest.importorskip(library, reason=f"{library} is not a dependency: pip install {library} to run this test")
    models = {
        "spend": spend(f"{library}.{kind}Regressor", params=params).fit(X, y),
        "probability": probability(f"{library}.{kind}Classifier", params=params).fit(X, EVENT),
    }
    for name, outputs in outputs_apart(models, X, tmp_path).items():
        assert np.array_equal(outputs, models[name].outputs(X))
    further = {*requirements_of("experiments.models", libraries=models["spend"].libraries)} - {
        *requirements_of("experiments.models")
    }
    distribution = packages_distributions()[library][0]
    assert further == ({f"{distribution}=={version(distribution)}"} if library != "lightgbm" else set())


def test_histogram_boosting_rejects_a_loss_that_its_library_does_not_know() -> None:
    with pytest.raises(InputError, match="loss"):
        HistGradientBoosting(loss="tweedie").fit(X, y)


def test_code_of_the_users_own_counts_for_the_digest_and_installed_libraries_do_not(own: ModuleType) -> None:
    before = packaging.own_code_digest(["shop_models"])
    assert packaging.own_code_digest(["sklearn", "json"]) == ""
    Path(str(own.__file__)).write_text(OWN + "\n")
    assert packaging.own_code_digest(["shop_models"]) != before


@pytest.mark.slow
def test_a_class_of_the_users_own_is_trained_scored_and_reloaded_where_its_folder_is_not_on_the_path(
    own: ModuleType, run: Callable[..., Any], workspace: Path, tmp_path: Path
) -> None:
    typed = ["model=estimator", "model.path=shop_models.MeanOfBins", "model.params.n_bins=8"]
    run("train", *QUICK, *typed)
    assert "already registered" in run("train", *QUICK, *typed).stderr
    registry = Registry(MlflowClient(f"sqlite:///{workspace}/mlflow.db"), "cdnow-clv")
    trained = registry.versions()[0]
    assert trained.params == {"path": "shop_models.MeanOfBins", "params": {"n_bins": 8}}
    assert trained.has_current_code
    run("promote", *QUICK, f"version={trained.number}", "reason=to try my own class")
    run("score", *QUICK, "output=scores.parquet")

    rows = packaging.synthetic_rows(trained.features)
    rows.to_parquet(workspace / "rows.parquet")
    script = (
        "import mlflow, pandas as pd\n"
        f"mlflow.set_tracking_uri('sqlite:///{workspace}/mlflow.db')\n"
        "model = mlflow.pyfunc.load_model('models:/cdnow-clv@champion')\n"
        "model.predict(pd.read_parquet('rows.parquet')).to_parquet('apart.parquet')\n"
    )
    subprocess.run([sys.executable, "-c", script], cwd=workspace, env=environment(), check=True, timeout=120)
    expected = trained.scores(rows)
    pd.testing.assert_frame_equal(pd.read_parquet(workspace / "apart.parquet"), expected, check_exact=True)

    Path(str(own.__file__)).write_text(OWN.replace("means = self.means_", "means = 2 * self.means_"))
    packaging.models_digest.cache_clear()
    changed = registry.versions()[0]
    assert not changed.has_current_code
    pd.testing.assert_frame_equal(changed.scores(rows), expected, check_exact=True)  # with the code that it carries
