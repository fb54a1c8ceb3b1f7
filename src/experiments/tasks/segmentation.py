"""Which segment does this customer belong to: clusters judged by how far they tell the next period's spend apart."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import partial
from typing import ClassVar

import pandas as pd

from experiments.evaluation import cluster_metrics
from experiments.models import SEGMENTATIONS
from experiments.models.base import Model, check_terms
from experiments.models.segmentation import Segmentation, Segments, match_labels
from experiments.tasks.base import Build, Dataset, Evaluation, Task, check_guards, check_minimum
from features import outcomes
from features.errors import InputError, did_you_mean
from features.shop import Shop

METRICS = (
    "explained_deviance",
    "silhouette",
    "silhouette_null",
    "silhouette_over_null",
    "davies_bouldin",
    "calinski_harabasz",
    "ari_mean",
    "ari_p05",
    "smallest_share",
)
OBJECTIVES = ("explained_deviance", "silhouette")
ELBOW = range(2, 11)


@dataclass(frozen=True)
class CustomerSegments(Task):
    """Segments of customers, learnt at one cutoff and judged at a later one.

    A segmentation predicts, for each customer, the mean spend that its segment had in the `horizon_days`
    after the cutoff it was learnt at. How much of the deviance of spend after a later cutoff that explains
    can be compared across scalings, variables and algorithms, which silhouettes cannot: those are mostly
    the skew of single variables.

    Attributes
    ----------
    horizon_days : int
    objective : {"explained_deviance", "silhouette"}
        What the search maximises. The gate decides on explained deviance whatever was searched for.
    variables : list of str or None
        What is clustered on; None leaves it to the model.
    min_effect : float
    guards : mapping of metric to (lowest, highest)
    minimum : mapping of what is counted to the least that each window must hold
        See `sufficiency.COUNTS`.
    n_resamples : int
        Bootstrap resamples behind the adjusted Rand index.
    n_nulls : int
        Clusterings of permuted columns behind the null of the silhouette.
    seed : int
        Of resamples, permutations and samples.
    """

    horizon_days: int
    objective: str
    variables: Sequence[str] | None
    min_effect: float
    guards: Mapping[str, tuple[float, float]]
    minimum: Mapping[str, int]
    n_resamples: int
    n_nulls: int
    seed: int

    name: ClassVar[str] = "segmentation"
    needs: ClassVar[tuple[str, ...]] = ("transactions",)
    grain: ClassVar[str] = "customer x cutoff"
    outputs: ClassVar[tuple[str, ...]] = ("segment", "segment_spend")
    judged: ClassVar[str] = "segment_spend"
    keeps_labels: ClassVar[bool] = True
    nulls: ClassVar[Mapping[str, str]] = {
        "silhouette_null": "permuted_columns/silhouette",
        "surrogate_null_accuracy": "permuted_columns/surrogate_accuracy",
    }
    primary_metric: ClassVar[str] = "explained_deviance"
    ability: ClassVar[str] = "tells customers' later spend apart"

    def __post_init__(self) -> None:
        if self.objective not in OBJECTIVES:
            raise InputError(
                f"there is no objective {self.objective!r}",
                where="task.objective",
                hint=did_you_mean(self.objective, OBJECTIVES),
            )
        check_guards(self.guards, METRICS)
        check_minimum(self.minimum)
        check_terms(self.horizon_days, margin=1.0, discount_rate=0.0)

    @property
    def target(self) -> str:
        """The target in one string: models of different targets are never compared."""
        return f"spend_{self.horizon_days}d_by_segment"

    def dataset(self, shop: Shop, features: Sequence[str], cutoffs: Sequence[date]) -> Dataset:
        return Dataset(
            X=shop.features(features, cutoffs),
            y=shop.target(outcomes.spend, cutoffs, self.horizon_days, self.target),
        )

    def candidates(self) -> Mapping[str, Build]:
        terms = {"horizon_days": self.horizon_days, "variables": self.variables}
        return {
            name: partial(model, **{term: value for term, value in terms.items() if term in model().get_params()})
            for name, model in SEGMENTATIONS.items()
        }

    def metric(self) -> Callable[..., float]:
        return cluster_metrics.explained_deviance

    def evaluate(self, model: Model, dataset: Dataset) -> Evaluation:
        """Explained deviance; for clusters also their geometry, and how stable they are when learnt anew."""
        prediction = pd.Series(model.predict(dataset.X), index=dataset.y.index, name="prediction")
        metrics = {"explained_deviance": cluster_metrics.explained_deviance(dataset.y, prediction)}
        if isinstance(model, Segmentation):
            metrics |= self._geometry(model, dataset.X)
        return Evaluation(y=dataset.y, prediction=prediction, metrics=metrics)

    def _geometry(self, model: Segmentation, X: pd.DataFrame) -> dict[str, float]:
        Z, labels = model.transform(X), model.segment(X)
        silhouette = cluster_metrics.silhouette(Z, labels, seed=self.seed)
        null = float(cluster_metrics.silhouette_null(model.cluster, Z, n_repeats=self.n_nulls, seed=self.seed).mean())
        ari_mean, ari_p05 = cluster_metrics.bootstrap_ari(
            model.cluster, Z, n_resamples=self.n_resamples, seed=self.seed
        )
        return {
            "silhouette": silhouette,
            "silhouette_null": null,
            "silhouette_over_null": silhouette - null,
            "davies_bouldin": cluster_metrics.davies_bouldin(Z, labels),
            "calinski_harabasz": cluster_metrics.calinski_harabasz(Z, labels),
            "ari_mean": ari_mean,
            "ari_p05": ari_p05,
            "smallest_share": cluster_metrics.smallest_share(labels),
        }

    def diagnose(self, model: Model, dataset: Dataset) -> Evaluation:
        """What a person looks at once: the surrogate beside its null, importances, elbow, profiles, sizes, map."""
        assert isinstance(model, Segmentation)
        Z, labels = model.transform(dataset.X), model.segment(dataset.X)
        surrogate = cluster_metrics.surrogate(model.cluster, Z, labels, seed=self.seed)
        return Evaluation(
            y=dataset.y,
            prediction=pd.Series(model.predict(dataset.X), index=dataset.y.index),
            metrics={
                "surrogate_accuracy": surrogate.accuracy,
                "surrogate_null_accuracy": surrogate.null_accuracy,
                "outlier_share": float(model.is_outlier(dataset.X).mean()),
            },
            tables={
                "importances": surrogate.importances,
                "elbow": cluster_metrics.elbow(model.cluster, Z, ELBOW, seed=self.seed),
                "profile": cluster_metrics.profile(model.values(dataset.X), labels),
                "sizes": cluster_metrics.sizes(labels, dataset.y),
                "map": cluster_metrics.principal_components(Z, labels, seed=self.seed),
            },
        )

    def align(self, model: Model, X: pd.DataFrame, champion: Model, champion_X: pd.DataFrame) -> None:
        """Give the new segments the numbers of the champion's that hold most of the same customers."""
        assert isinstance(model, Segmentation)
        assert isinstance(champion, Segments)
        model.relabel(match_labels(model.segment(X), champion.segment(champion_X)))
