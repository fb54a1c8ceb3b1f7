"""Segmentation: segments of customers, evaluated by how much of the next period's spend they explain."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any, ClassVar

import pandas as pd

from experiments.evaluation.metrics import Metric
from experiments.evaluation.validation import Dataset, Evaluation
from experiments.models.registry import Candidate, choose
from experiments.tasks.base import Expand, Task
from features import outcomes
from features.errors import InputError, did_you_mean
from features.grains import CUSTOMER, Grain
from features.outcomes import Outcome

if TYPE_CHECKING:
    from experiments.models.base import Model
    from experiments.models.segmentation import Segmentation

OBJECTIVES = ("explained_deviance", "silhouette")
ELBOW = range(2, 11)


@dataclass(frozen=True)
class CustomerSegments(Task):
    """Segments of customers, trained at one cutoff and evaluated at a later one.

    A segmentation predicts for each customer the mean spend of the segment in the `horizon_days` after the training
    cutoff. The metric is the share of the deviance of spend after a later cutoff that this explains. It is comparable
    across scalings, variables and algorithms. Silhouettes are not comparable, because they mostly reflect the skew of
    single variables.

    Attributes
    ----------
    objective : {"explained_deviance", "silhouette"}
        Metric that the search maximises. The gate decides on the primary metric in any case.
    variables : list of str or None
        Clustering variables; None leaves the choice to the model.
    n_resamples : int
        Number of bootstrap resamples of the adjusted Rand index.
    n_nulls : int
        Number of clusterings of permuted columns for the null of the silhouette.
    seed : int
        Seed of resamples, permutations and samples.
    """

    objective: str
    variables: Sequence[str] | None
    n_resamples: int
    n_nulls: int
    seed: int

    name: ClassVar[str] = "segmentation"
    grain: ClassVar[Grain] = CUSTOMER
    outputs: ClassVar[Mapping[str, str]] = {
        "segment": "number of the segment; 1 is the most valuable of a first version",
        "segment_spend": "mean spend of the segment's customers over the horizon, in currency",
    }
    judged: ClassVar[tuple[str, ...]] = ("segment_spend",)
    label: ClassVar[str] = "segments"
    words: ClassVar[Mapping[str, str]] = {"segment_spend": "mean spend of the segment"}
    keeps_labels: ClassVar[bool] = True
    further_metrics: ClassVar[Mapping[str, str]] = {
        "silhouette": "how much nearer customers are to their own cluster than to the next one",
        "silhouette_null": "the silhouette of clusters of independently permuted columns",
        "silhouette_over_null": "silhouette minus its null",
        "davies_bouldin": "mean similarity of each cluster with the one most like it; lower is better",
        "calinski_harabasz": "variance between clusters divided by the variance within them; higher is better",
        "ari_mean": "mean adjusted Rand index of clusters of resampled customers",
        "ari_p05": "5th percentile of that index",
        "smallest_share": "share of customers in the smallest cluster",
    }
    nulls: ClassVar[Mapping[str, str]] = {
        "silhouette_null": "permuted_columns/silhouette",
        "surrogate_null_accuracy": "permuted_columns/surrogate_accuracy",
    }

    def __post_init__(self) -> None:
        if self.objective not in OBJECTIVES:
            raise InputError(
                f"unknown objective {self.objective!r}",
                where="task.objective",
                hint=did_you_mean(self.objective, OBJECTIVES),
            )
        super().__post_init__()

    @classmethod
    def configure(cls, options: dict[str, Any], expand: Expand) -> dict[str, Any]:
        """Return the options with wildcards among the variables replaced."""
        return {**options, "variables": expand(options["variables"])} if options.get("variables") else options

    @property
    def objective_metric(self) -> str:
        return self.objective

    @property
    def population(self) -> str:
        return "customers who bought before the cutoff"

    def outcome(self) -> Outcome:
        """Return the spend of each customer in the window."""
        return Outcome(f"spend_{self.horizon_days}d_by_segment", ("y",), outcomes.spend)

    def expected(self, lines: pd.DataFrame, cutoff: date) -> pd.DataFrame:
        """Sum the lines of each customer in the window."""
        start, end = pd.Timestamp(cutoff), pd.Timestamp(cutoff + timedelta(days=self.horizon_days))
        inside = lines[(lines["timestamp"] >= start) & (lines["timestamp"] < end)]
        spent = inside.groupby("customer_id")["amount"].sum().astype(float)
        known = lines.loc[lines["timestamp"] < start, "customer_id"].unique()
        return spent.reindex(known, fill_value=0.0).rename("y").rename_axis("customer_id").to_frame()

    def candidates(self) -> Mapping[str, Candidate]:
        """Return clusters, and groups of equal size by past spend as baselines."""
        return choose(
            "segmentation",
            "quantile_bins",
            "quantile_bins_rate",
            terms={"horizon_days": self.horizon_days, "variables": self.variables},
        )

    def metrics(self) -> Mapping[str, Metric]:
        """Return the explained deviance of spend."""
        from experiments.evaluation.cluster_metrics import explained_deviance

        metric = Metric(
            "explained_deviance",
            "share of the deviance of later spend that segments explain: 1 is all of it, 0 what one mean explains",
            explained_deviance,
            gain="explains later spend",
            chance=0.0,
            undefined="all spent the same",
        )
        return {metric.name: metric}

    def evaluate(self, model: Any, dataset: Dataset) -> Evaluation:
        """Compute the explained deviance; for clusters also their geometry and their stability under resampling."""
        from experiments.models.segmentation import Segmentation

        evaluation = super().evaluate(model, dataset)
        if not isinstance(model, Segmentation):
            return evaluation
        return replace(evaluation, metrics={**evaluation.metrics, **self._geometry(model, dataset.X)})

    def _geometry(self, model: Segmentation, X: pd.DataFrame) -> dict[str, float]:
        from experiments.evaluation import cluster_metrics

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
        """Compute the accuracy of the surrogate and of its null, and tables for the charts of clusters."""
        from experiments.evaluation import cluster_metrics
        from experiments.models.segmentation import Segmentation

        assert isinstance(model, Segmentation)
        Z, labels = model.transform(dataset.X), model.segment(dataset.X)
        surrogate = cluster_metrics.surrogate(model.cluster, Z, labels, seed=self.seed)
        return Evaluation(
            y=dataset.target,
            prediction=self.predict(model, dataset.X),
            metrics={
                "surrogate_accuracy": surrogate.accuracy,
                "surrogate_null_accuracy": surrogate.null_accuracy,
                "outlier_share": float(model.is_outlier(dataset.X).mean()),
            },
            tables={
                "importances": surrogate.importances,
                "elbow": cluster_metrics.elbow(model.cluster, Z, ELBOW, seed=self.seed),
                "profile": cluster_metrics.profile(model.values(dataset.X), labels),
                "sizes": cluster_metrics.sizes(labels, dataset.target),
                "map": cluster_metrics.principal_components(Z, labels, seed=self.seed),
            },
        )

    def align(self, model: Model, X: pd.DataFrame, champion: Model, champion_X: pd.DataFrame) -> Model:
        """Give each new segment the number of the champion's segment that shares most of its customers."""
        from experiments.models.segmentation import Segmentation
        from experiments.models.segments import Segments, match_labels

        assert isinstance(model, Segmentation)
        assert isinstance(champion, Segments)
        return model.relabel(match_labels(model.segment(X), champion.segment(champion_X)))

    @classmethod
    def groups(cls, scores: pd.DataFrame) -> pd.Series:
        """Return each customer's segment."""
        numbers = scores["segment"].astype(int)
        names = [f"Segment {number}" for number in sorted(numbers.unique())]
        return pd.Series(
            pd.Categorical("Segment " + numbers.astype(str), names, ordered=True), numbers.index, name="segment"
        )
