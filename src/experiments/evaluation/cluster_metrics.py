"""Metrics of segmentations: explained later spend, stability, and evidence that clusters exist.

`Z` is an array or DataFrame of shape (n_rows, n_variables), scaled as for clustering. `labels` is an array of shape
(n_rows,). `fit_predict` is a callable that clusters rows and returns their labels. A null permutes the columns of Z
independently: each variable keeps its distribution, but the variables become independent. A metric of clusters of the
null is therefore due to the skew of single variables.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import lightgbm as lgb
import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from sklearn.decomposition import PCA
from sklearn.metrics import adjusted_rand_score, calinski_harabasz_score, davies_bouldin_score, silhouette_score
from sklearn.model_selection import StratifiedKFold

from experiments.evaluation.weighted import Values, checked, ratio, value
from features.errors import InputError

FitPredict = Callable[..., np.ndarray]

FLOOR = 1e-3  # of mean y: lower predictions count as this
MOST_ROWS = 10_000
SURROGATE = {
    "objective": "multiclass",
    "learning_rate": 0.1,
    "num_leaves": 15,
    "min_data_in_leaf": 20,
    "num_threads": 1,
    "deterministic": True,
    "force_row_wise": True,
    "verbosity": -1,
}
SURROGATE_TREES = 60


def explained_deviance(y_true: ArrayLike, y_pred: ArrayLike, *, weights: ArrayLike | None = None) -> Values:
    """Compute the share of the deviance of spend that predictions explain: D2 = 1 - D(y, p) / D(y, mean y).

    D is the mean Tweedie deviance of power 1.5, which suits amounts with many zeros and a long tail:
    4 (sqrt(y) - sqrt(p))^2 / sqrt(p). It is infinite for spend with a prediction of 0. A prediction below a thousandth
    of mean y therefore counts as a thousandth of mean y.

    Parameters
    ----------
    y_true : array of shape (n,), >= 0
    y_pred : array of shape (n,)
    weights : array of shape (n,) or (n_resamples, n), optional
        As in `evaluation.weighted`.

    Returns
    -------
    float in (-inf, 1]
        1 for perfect predictions, 0 for the mean of y, below 0 for worse. NaN if all spent the same.

    References
    ----------
    Hastie, Tibshirani & Wainwright (2015), Statistical Learning with Sparsity, section 3.5. Equals
    `sklearn.metrics.d2_tweedie_score(y, p, power=1.5)` for predictions above the floor.
    """
    y, p, w = checked(y_true, y_pred, weights)
    if y.min() < 0:
        raise InputError("y_true has negative spend", expected="y >= 0", found=f"{(y < 0).sum():,} rows below 0")
    total = w.sum(axis=1)
    mean = np.nan_to_num(ratio(w @ y, total))
    floor = FLOOR * mean
    low = p < floor.max()
    with np.errstate(
        divide="ignore", invalid="ignore"
    ):  # division by 0 if nobody in a resample spent anything: D2 is NaN there
        unexplained = w[:, ~low] @ _deviance(y[~low], p[~low])
        unexplained += (w[:, low] * _deviance(y[low], np.maximum(p[low], floor[:, None]))).sum(axis=1)
    largest = 8 * total * np.sqrt(mean)
    explainable = largest - 8 * (w @ np.sqrt(y))  # the deviance of the mean, multiplied out
    explainable = np.where(explainable > 1e-12 * largest, explainable, 0.0)  # a remainder of rounding counts as 0
    return value(1 - ratio(unexplained, explainable))


def silhouette(Z: ArrayLike, labels: ArrayLike, *, seed: int, max_rows: int = MOST_ROWS) -> float:
    """Compute the mean silhouette (b - a) / max(a, b).

    a is the mean distance to the own cluster, b the mean distance to the nearest other one. Do not compare silhouettes
    of different scalings or sets of variables; see `silhouette_null`.

    Parameters
    ----------
    Z, labels
    seed : int
        Seed of the sample that is drawn from more than `max_rows` rows: time and memory grow with their square.
    max_rows : int

    Returns
    -------
    float in [-1, 1]
        0 for a single cluster.

    References
    ----------
    Rousseeuw (1987), Silhouettes, J. of Computational and Applied Mathematics 20.
    """
    Z, labels = _sample(np.asarray(Z, dtype=float), np.asarray(labels), seed=seed, max_rows=max_rows)
    return float(silhouette_score(Z, labels)) if _are_told_apart(labels) else 0.0


def silhouette_null(
    fit_predict: FitPredict, Z: ArrayLike, *, n_repeats: int = 5, seed: int, max_rows: int = MOST_ROWS
) -> np.ndarray:
    """Compute silhouettes of clusters that are fitted to permuted columns: array of shape (n_repeats,).

    Only a silhouette above their mean is evidence of clusters. At most `max_rows` rows are used, sampled by seed.
    """
    (Z,) = _sample(np.asarray(Z), seed=seed, max_rows=max_rows)
    rng = np.random.default_rng(seed)
    nulls = (rng.permuted(Z, axis=0) for _ in range(n_repeats))
    return np.array([silhouette(null, fit_predict(null), seed=seed) for null in nulls])


def davies_bouldin(Z: ArrayLike, labels: ArrayLike) -> float:
    """Compute the Davies-Bouldin index, the mean similarity of clusters to their nearest one: >= 0, lower is better.

    NaN for a single cluster. Davies & Bouldin (1979), IEEE Trans. Pattern Analysis and Machine Intelligence 1(2).
    """
    return float(davies_bouldin_score(Z, labels)) if _are_told_apart(labels) else float("nan")


def calinski_harabasz(Z: ArrayLike, labels: ArrayLike) -> float:
    """Compute the Calinski-Harabasz index, variance between over variance within clusters: >= 0, higher is better.

    NaN for a single cluster. Calinski & Harabasz (1974), Communications in Statistics 3(1).
    """
    return float(calinski_harabasz_score(Z, labels)) if _are_told_apart(labels) else float("nan")


def bootstrap_ari(
    fit_predict: FitPredict, Z: ArrayLike, *, n_resamples: int = 50, seed: int, max_rows: int = MOST_ROWS
) -> tuple[float, float]:
    """Measure the stability of clusters under resampling, by the adjusted Rand index.

    Rows are drawn with replacement and clustered again. The index compares both labels of the drawn rows, each counted
    once. At most `max_rows` rows are used, sampled by seed.

    Returns
    -------
    (mean, 5th percentile) : floats in [-0.5, 1]
        1: the same clusters each time; 0: agreement by chance.

    References
    ----------
    Hubert & Arabie (1985), J. of Classification 2; Hennig (2007), Computational Statistics & Data Analysis 52(1).
    """
    (Z,) = _sample(np.asarray(Z), seed=seed, max_rows=max_rows)
    labels = fit_predict(Z)
    rng = np.random.default_rng(seed)
    indices = []
    for _ in range(n_resamples):
        drawn = rng.integers(len(Z), size=len(Z))
        rows, first = np.unique(drawn, return_index=True)
        indices.append(adjusted_rand_score(labels[rows], fit_predict(Z[drawn])[first]))
    return float(np.mean(indices)), float(np.quantile(indices, 0.05))


def smallest_share(labels: ArrayLike) -> float:
    """Compute the share of the rows that are in the smallest cluster, in (0, 1]."""
    counts = np.unique(np.asarray(labels), return_counts=True)[1]
    return float(counts.min() / counts.sum())


@dataclass(frozen=True)
class Surrogate:
    """Result of a classifier that is trained on cluster labels.

    Attributes
    ----------
    accuracy : float in [0, 1]
        Out-of-fold accuracy. It is high even for useless labels, because the features are the variables that made them.
    null_accuracy : float in [0, 1]
        The same for clusters fitted to permuted columns: the value to compare `accuracy` with.
    importances : DataFrame indexed by `variable`
        gain, split and shap (mean absolute contribution to the scores of all classes). Each is a share that adds up to
        1; highest shap first.
    """

    accuracy: float
    null_accuracy: float
    importances: pd.DataFrame


def surrogate(
    fit_predict: FitPredict,
    Z: pd.DataFrame,
    labels: ArrayLike,
    *,
    n_folds: int = 5,
    seed: int,
    max_rows: int = MOST_ROWS,
) -> Surrogate:
    """Train LightGBM on the labels, and on the labels of clusters of permuted columns.

    Parameters
    ----------
    fit_predict : callable
    Z : DataFrame
        Its columns name the variables.
    labels
    n_folds : int
        Folds of the stratified cross-validation.
    seed : int
    max_rows : int
        Maximum number of rows, sampled by seed.

    References
    ----------
    Lundberg, Erion & Lee (2018), Consistent individualized feature attribution for tree ensembles, arXiv:1802.03888.
    """
    values, labels = _sample(Z.to_numpy(), np.asarray(labels), seed=seed, max_rows=max_rows)
    null = np.random.default_rng(seed).permuted(values, axis=0)
    return Surrogate(
        accuracy=_accuracy(values, labels, n_folds, seed),
        null_accuracy=_accuracy(null, fit_predict(null), n_folds, seed),
        importances=_importances(values, labels, Z.columns, seed),
    )


def elbow(
    fit_predict: FitPredict, Z: ArrayLike, ks: Sequence[int], *, seed: int, max_rows: int = MOST_ROWS
) -> pd.DataFrame:
    """Compute metrics of clusterings of at most `max_rows` rows, sampled by seed, for several numbers of clusters.

    Parameters
    ----------
    fit_predict : callable
        Takes (Z, k).
    Z
    ks : sequence of int
    seed, max_rows : int

    Returns
    -------
    DataFrame indexed by `n_clusters`
        inertia (sum of squared distances to the cluster means), silhouette, silhouette_null (of one permutation of the
        columns).
    """
    (Z,) = _sample(np.asarray(Z), seed=seed, max_rows=max_rows)
    null = np.random.default_rng(seed).permuted(Z, axis=0)
    rows = []
    for k in ks:
        labels, null_labels = fit_predict(Z, k), fit_predict(null, k)
        rows.append(
            {
                "inertia": sum(float(((Z[own] - Z[own].mean(axis=0)) ** 2).sum()) for own in _members(labels)),
                "silhouette": silhouette(Z, labels, seed=seed),
                "silhouette_null": silhouette(null, null_labels, seed=seed),
            }
        )
    return pd.DataFrame(rows, index=pd.Index(ks, name="n_clusters"))


def profile(values: pd.DataFrame, labels: ArrayLike) -> pd.DataFrame:
    """Compute the mean of each variable in each segment, and its distance from the mean of all customers.

    Parameters
    ----------
    values : DataFrame
        Variables in their own units.
    labels

    Returns
    -------
    DataFrame
        segment, variable, mean, z = (mean - mean of all) / standard deviation of all (0 for a constant).
    """
    means = values.groupby(np.asarray(labels)).mean().rename_axis(index="segment", columns="variable")
    spread = values.std(ddof=0)
    z = (means - values.mean()) / spread.where(values.max() > values.min(), np.inf)
    return means.stack().rename("mean").to_frame().assign(z=z.stack()).reset_index()


def sizes(labels: ArrayLike, y: ArrayLike) -> pd.DataFrame:
    """Count the customers of each segment, and compute its mean and its share of spend.

    Returns
    -------
    DataFrame indexed by `segment`
        customers, customers_share, mean_spend (currency), spend_share (NaN if nobody spent anything).
    """
    groups = pd.Series(np.asarray(y, dtype=float)).groupby(np.asarray(labels))
    table = groups.agg(customers="size", mean_spend="mean", spend="sum").rename_axis("segment")
    return pd.DataFrame(
        {
            "customers": table["customers"],
            "customers_share": table["customers"] / table["customers"].sum(),
            "mean_spend": table["mean_spend"],
            "spend_share": ratio(table["spend"].to_numpy(), np.full(len(table), table["spend"].sum())),
        }
    )


def principal_components(Z: ArrayLike, labels: ArrayLike, *, seed: int, max_rows: int = 5_000) -> pd.DataFrame:
    """Compute the first two principal components of customers, fitted on all rows.

    Returns
    -------
    DataFrame of at most `max_rows` rows, sampled by seed
        pc1, pc2, segment; pc1_variance_share and pc2_variance_share, the same in every row. pc2 is 0 for a single
        variable.
    """
    Z = np.asarray(Z, dtype=float)
    Z = Z if Z.shape[1] > 1 else np.column_stack([Z, np.zeros(len(Z))])
    pca = PCA(n_components=2, svd_solver="full")
    points, labels = _sample(pca.fit_transform(Z), np.asarray(labels), seed=seed, max_rows=max_rows)
    first, second = np.nan_to_num(pca.explained_variance_ratio_)
    return pd.DataFrame(
        {
            "pc1": points[:, 0],
            "pc2": points[:, 1],
            "segment": labels,
            "pc1_variance_share": first,
            "pc2_variance_share": second,
        }
    )


def _deviance(y: np.ndarray, p: np.ndarray) -> np.ndarray:
    return 4 * (np.sqrt(y) - np.sqrt(p)) ** 2 / np.sqrt(p)


def _sample(*arrays: np.ndarray, seed: int, max_rows: int) -> list[np.ndarray]:
    """Return the same rows of each array, in their order: all, or `max_rows` drawn without replacement."""
    n = len(arrays[0])
    if n <= max_rows:
        return list(arrays)
    rows = np.sort(np.random.default_rng(seed).choice(n, max_rows, replace=False))
    return [array[rows] for array in arrays]


def _members(labels: np.ndarray) -> list[np.ndarray]:
    return [labels == label for label in np.unique(labels)]


def _are_told_apart(labels: ArrayLike) -> bool:
    """Return True if there are several clusters, but fewer than rows."""
    labels = np.asarray(labels)
    return 1 < len(np.unique(labels)) < len(labels)


def _accuracy(Z: np.ndarray, labels: np.ndarray, n_folds: int, seed: int) -> float:
    """Compute the out-of-fold accuracy of a classifier of the labels."""
    classes, codes = np.unique(labels, return_inverse=True)
    if len(classes) < 2:
        return 1.0
    folds = StratifiedKFold(n_folds, shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The least populated class")  # for example in a null
        found = [
            _classifier(Z[train], codes[train], len(classes), seed).predict(Z[test]).argmax(axis=1) == codes[test]
            for train, test in folds.split(Z, codes)
        ]
    return float(np.concatenate(found).mean())


def _importances(Z: np.ndarray, labels: np.ndarray, names: pd.Index, seed: int) -> pd.DataFrame:
    classes, codes = np.unique(labels, return_inverse=True)
    booster = _classifier(Z, codes, len(classes), seed)
    contributions = booster.predict(Z, pred_contrib=True).reshape(len(Z), len(classes), Z.shape[1] + 1)
    importances = {
        "gain": booster.feature_importance("gain"),
        "split": booster.feature_importance("split").astype(float),
        "shap": np.abs(contributions[:, :, :-1]).mean(axis=(0, 1)),  # the last column is the expected score
    }
    shares = {name: ratio(values, np.full(len(values), values.sum())) for name, values in importances.items()}
    table = pd.DataFrame(shares, index=pd.Index(names, name="variable"))
    return table.sort_values("shap", ascending=False, kind="stable")


def _classifier(Z: np.ndarray, codes: np.ndarray, n_classes: int, seed: int) -> lgb.Booster:
    options = {**SURROGATE, "num_class": n_classes, "seed": seed}
    return lgb.train(options, lgb.Dataset(Z, codes), SURROGATE_TREES)
