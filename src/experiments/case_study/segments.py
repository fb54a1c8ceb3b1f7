"""Part "segments": clusters of customers, a classifier's importances as weights, and tiers of the weighted score."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from joblib import Parallel, delayed
from lightgbm import LGBMClassifier
from sklearn.model_selection import train_test_split

from experiments.case_study.customers import customers_at
from experiments.case_study.options import CaseStudyOptions
from experiments.case_study.result import NAN, Figure, Result
from experiments.evaluation import cluster_metrics
from experiments.evaluation.spend_metrics import spearman
from experiments.evaluation.splits import Splits
from experiments.models.segmentation import Segmentation
from features.outcomes import SPEND
from features.shop import Shop

CODE = Path(__file__).parents[1]
# The case study's names of what is clustered.
VARIABLES = {
    "recency": "days_since_last_purchase",
    "frequency": "repeat_orders",
    "monetary": "average_order_value",
    "T": "T",
    "clv": "clv",
}
REVERSED = ("recency",)  # few days are good
N_SCORES = 4
N_TOP = 2  # tiers that make over half of the spend, as reported


def segments(shop: Shop, splits: Splits, options: CaseStudyOptions) -> Result:
    """Reproduce segments, weights and tiers at the end of the data, and evaluate them on the period after a cutoff.

    Parameters
    ----------
    shop : Shop
    splits : Splits
    options : CaseStudyOptions
    """
    everybody = customers_at(shop, shop.staged.end, options.outlier_quantile)
    rows, outlier, kept = everybody.rows, everybody.outlier, everybody.usual(options.clv_days)
    values = variables(kept)
    model = _clusters(options, options.seed).fit(values, kept["total_spend"])
    Z = model.transform(values)[values.columns]
    elbow = cluster_metrics.elbow(
        model.cluster, Z, range(2, min(options.most_clusters, len(Z) - 1) + 1), seed=options.seed
    )
    given = [values, kept["total_spend"], options.n_clusters, options.test_share, options.n_seeds, options.seed]
    taught = shop.analysis(
        "segments_taught", given, lambda: taught_by_seed(values, kept["total_spend"], options), code=CODE
    )
    weights = taught.loc[options.seed, list(values)]
    score = final_score(values, weights)
    tiers = tier_table(kept, tier_of(score, options.tiers))
    later = _later(shop, splits, options)

    at_k = elbow.loc[options.n_clusters] if options.n_clusters in elbow.index else elbow.iloc[-1]
    gap = elbow["silhouette"] - elbow["silhouette_null"]
    moved = max(
        float((taught.iloc[i][list(values)] - taught.iloc[j][list(values)]).abs().sum())
        for i in range(len(taught))
        for j in range(i + 1)
    )
    spearman_equal = float(spearman(final_score(values, equal_weights(values)), score))
    top = " and ".join(options.tiers[:N_TOP])
    spend_of_outliers = float(rows.loc[outlier, "total_spend"].sum() / rows["total_spend"].sum())
    figures = [
        Figure(
            "customers_set_aside",
            f"customers above the {options.outlier_quantile:.1%} quantile of frequency or amount",
            int(outlier.sum()),
            NAN,
            f"They made {spend_of_outliers:.1%} of all spend: a shop cannot leave out its best customers.",
            "count",
        ),
        Figure("customers_left", "customers left", len(kept), NAN, "As above.", "count"),
        Figure(
            "n_clusters",
            "number of clusters by the silhouette",
            int(elbow["silhouette"].idxmax()),
            int(gap.idxmax()),
            "Honest: the number whose silhouette exceeds that of permuted columns most, which removes the effect of "
            "skewed variables.",
            "count",
        ),
        Figure(
            "silhouette",
            f"silhouette of {at_k.name} clusters; honest: above that of permuted columns",
            at_k["silhouette"],
            at_k["silhouette"] - at_k["silhouette_null"],
            f"Permuted columns, which hold no real customer, reach {at_k['silhouette_null']:.3f}.",
        ),
        Figure(
            "surrogate_accuracy",
            "accuracy of LightGBM on the cluster labels; honest: on labels of permuted columns",
            taught.loc[options.seed, "accuracy"],
            taught["null_accuracy"].mean(),
            "It recovers labels from the variables that made them, also where the labels mean nothing.",
            "share",
        ),
        *(
            Figure(
                f"weight_{name}",
                f"weight of {name}; honest: mean over {len(taught)} seeds",
                weights[name],
                taught[name].mean(),
                f"{taught[name].min():.3f} to {taught[name].max():.3f} with other seeds.",
            )
            for name in values
        ),
        Figure(
            "weights_moved",
            "largest difference between the weights of two seeds, in sum",
            NAN,
            moved,
            "0 means the same weights each time, 2 nothing in common. Weights count how often trees split on a "
            "variable to reproduce a cluster, not its value.",
        ),
        Figure(
            "rank_correlation_with_equal_weights",
            "rank correlation of the final score with that of equal weights",
            spearman_equal,
            NAN,
            "1 means the same order. Equal weights need no classifier.",
        ),
        Figure(
            "top_tiers_spend_share",
            f"share of spend of {top}; honest: of the next {splits.horizon_days} days",
            tiers["spend_share"].iloc[:N_TOP].sum(),
            later.top_share,
            f"The case study says over half, but past spend is part of the score. Baseline: as many customers with the "
            f"highest past spend make {later.top_share_baseline:.1%} of the next {splits.horizon_days} days.",
            "share",
        ),
        Figure(
            "top_tiers_mean_amount_share",
            f"{top}'s share of the tiers' mean order values, which the case study's figure may show",
            tiers["mean_amount_share"].iloc[:N_TOP].sum(),
            NAN,
            "Shares of means add up to 1 for tiers of any size; they are not shares of spend.",
            "share",
        ),
        *(
            Figure(
                f"{name}_explained_deviance",
                f"deviance of spend in the next {splits.horizon_days} days explained by {name}",
                NAN,
                explained,
                f"Baseline: as many equal-sized groups by past spend explain {baseline:.1%}.",
                "share",
            )
            for name, (explained, baseline) in later.explained.items()
        ),
    ]
    return Result(
        part="segments",
        title="Segments, weights and tiers",
        faults={
            "circular": "a classifier predicts cluster labels from the variables that made them, and its importances "
            "become weights of the same variables"
        },
        verdict=f"A classifier recovers {taught.loc[options.seed, 'accuracy']:.1%} of the cluster labels, and "
        f"{taught['null_accuracy'].mean():.1%} where columns are permuted. Do not take its importances as weights: "
        "they show how labels are made, not the value of clusters or variables.",
        figures=figures,
        params={
            "outlier_quantile": options.outlier_quantile,
            "clv_days": options.clv_days,
            "n_clusters": options.n_clusters,
            "scaling": model.scaling,
            "test_share": options.test_share,
            "seed": options.seed,
            "n_seeds": options.n_seeds,
            "as_of": str(shop.staged.end),
            "honest_cutoffs": later.cutoffs,
        },
        tables={"elbow": elbow, "surrogate": taught, "tiers": tiers},
        notes=(
            f"As of {shop.staged.end}, the end of the data: this part describes and chooses nothing. Honest figures "
            f"are learnt at the first and evaluated at the second of {later.cutoffs}, on all customers.",
            "frequency is orders - 1, monetary the mean order value, recency the days since the last purchase. BG/NBD "
            "gets purchase days, first to last purchase and T, because it has no estimate with "
            "several orders on a day.",
            "The case study gives no scaling and no cut points. Columns are scaled to [0, 1], which comes nearest to "
            "its weights. Scores are 1 to 4 by quartile, where few days since the last purchase score high. Tiers are "
            "equal parts of the final score.",
        ),
    )


def variables(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the clustered variables under the case study's names."""
    return pd.DataFrame({name: rows[feature] for name, feature in VARIABLES.items()})


def taught_by_seed(values: pd.DataFrame, spend: pd.Series, options: CaseStudyOptions) -> pd.DataFrame:
    """Train a classifier of cluster labels for each seed: of clusters, of the split and of its trees.

    Returns
    -------
    DataFrame indexed by `seed`, the configured one first
        accuracy on the rows of the random split, null_accuracy (the same for clusters of permuted columns), and each
        variable's share of the splits.
    """
    seeds = [options.seed, *(seed for seed in range(options.n_seeds) if seed != options.seed)][: options.n_seeds]
    lessons = []
    for seed in seeds:
        model = _clusters(options, seed).fit(values, spend)
        Z = model.transform(values)[values.columns]
        null = pd.DataFrame(np.random.default_rng(seed).permuted(Z, axis=0), columns=Z.columns)
        lessons += [(Z, model.segment(values), seed), (null, model.cluster(null), seed)]
    found = Parallel(n_jobs=-1, prefer="threads")(
        delayed(_taught)(Z, labels, options.test_share, seed) for Z, labels, seed in lessons
    )
    rows = {
        seed: {"accuracy": accuracy, "null_accuracy": null_accuracy, **dict(zip(values, shares, strict=True))}
        for seed, (accuracy, shares), (null_accuracy, _) in zip(seeds, found[::2], found[1::2], strict=True)
    }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("seed")


def _taught(Z: pd.DataFrame, labels: np.ndarray, test_share: float, seed: int) -> tuple[float, np.ndarray]:
    """Train LightGBM with its defaults; return accuracy on a random part, and each variable's share of the splits."""
    learnt, held, learnt_labels, held_labels = train_test_split(Z, labels, test_size=test_share, random_state=seed)
    if len(np.unique(learnt_labels)) < 2:
        return float((held_labels == learnt_labels[0]).mean()), np.full(Z.shape[1], 1 / Z.shape[1])
    classifier = LGBMClassifier(random_state=seed, n_jobs=1, deterministic=True, force_row_wise=True, verbosity=-1)
    classifier.fit(learnt, learnt_labels)
    splits = classifier.feature_importances_
    shares = splits / splits.sum() if splits.sum() else np.full(len(splits), 1 / len(splits))
    return float((classifier.predict(held) == held_labels).mean()), shares


def final_score(values: pd.DataFrame, weights: pd.Series) -> pd.Series:
    """Compute the sum of weight x quartile score, scores from 1 (worst) to 4 (best); equal values share a score."""
    scores = {}
    for name in values:
        x = -values[name] if name in REVERSED else values[name]
        cuts = x.quantile(np.arange(1, N_SCORES) / N_SCORES)
        scores[name] = 1 + np.searchsorted(cuts, x, side="left")
    return pd.DataFrame(scores, index=values.index).mul(weights, axis=1).sum(axis=1)


def equal_weights(values: pd.DataFrame) -> pd.Series:
    return pd.Series(1 / values.shape[1], index=values.columns)


def tier_of(score: pd.Series, tiers: list[str]) -> pd.Series:
    """Return the tier of each customer: equal parts of the score, the first the highest; equal scores share a tier."""
    cuts = score.quantile(np.arange(1, len(tiers)) / len(tiers))
    below = np.searchsorted(cuts, score, side="left")
    return pd.Series(pd.Categorical.from_codes(len(tiers) - 1 - below, tiers, ordered=True), index=score.index)


def tier_table(rows: pd.DataFrame, tier: pd.Series) -> pd.DataFrame:
    """Return customers, spend_share and mean_amount_share (of the sum of the tiers' mean amounts) by tier."""
    groups = rows.groupby(tier, observed=False)
    amounts = groups["average_order_value"].mean().fillna(0.0)
    return pd.DataFrame(
        {
            "customers": groups.size(),
            "spend_share": groups["total_spend"].sum() / rows["total_spend"].sum(),
            "mean_amount_share": amounts / amounts.sum(),
        }
    ).rename_axis("tier")


def _clusters(options: CaseStudyOptions, seed: int) -> Segmentation:
    return Segmentation(
        n_clusters=options.n_clusters, scaling="minmax", variables=list(VARIABLES), with_value=False, seed=seed
    )


@dataclass(frozen=True)
class Later:
    """Spend after a later cutoff as explained by groups that were learnt at an earlier one.

    Attributes
    ----------
    explained : mapping of groups to (explained deviance, that of as many equal parts by spend so far)
    top_share, top_share_baseline : float
        Of the spend, that of the highest tiers, and of as many customers with most spend so far.
    cutoffs : str
    """

    explained: Mapping[str, tuple[float, float]]
    top_share: float
    top_share_baseline: float
    cutoffs: str


def _later(shop: Shop, splits: Splits, options: CaseStudyOptions) -> Later:
    training, (now,) = splits.folds()[-1]
    then = max(training)
    customers_then, customers_now = (customers_at(shop, day, options.outlier_quantile) for day in (then, now))
    rows_then, rows_now = customers_then.rows, customers_now.rows
    spend = shop.outcome(SPEND, [then, now], splits.horizon_days)["y"].rename("spend")
    y_then, y_now = (
        spend.xs(pd.Timestamp(day), level="cutoff").reindex(rows.index)
        for day, rows in ((then, rows_then), (now, rows_now))
    )
    usual = ~customers_then.outlier
    clv = customers_then.value_model(options.clv_days)
    X_then, X_now = variables(customers_then.with_clv(clv)), variables(customers_now.with_clv(clv))
    model = _clusters(options, options.seed).fit(X_then[usual], y_then[usual])
    Z = model.transform(X_then[usual])[X_then.columns]
    _, shares = _taught(Z, model.segment(X_then[usual]), options.test_share, options.seed)
    weights = pd.Series(shares, index=X_then.columns)
    tier_then, tier_now = (tier_of(final_score(X, weights), options.tiers) for X in (X_then, X_now))
    top = tier_now.isin(options.tiers[:N_TOP])
    biggest = rows_now["total_spend"].rank(ascending=False, method="first") <= top.sum()

    def explained(then: pd.Series, now: pd.Series) -> float:
        mean_spend = y_then.groupby(then, observed=False).mean().fillna(y_then.mean())
        return float(cluster_metrics.explained_deviance(y_now, now.map(mean_spend).astype(float)))

    def parts(n: int) -> float:
        names = [str(part) for part in range(n)]
        return explained(*(tier_of(rows["total_spend"], names) for rows in (rows_then, rows_now)))

    total = y_now.sum() or NAN
    return Later(
        explained={
            "clusters": (
                float(cluster_metrics.explained_deviance(y_now, model.predict(X_now))),
                parts(options.n_clusters),
            ),
            "tiers": (explained(tier_then, tier_now), parts(len(options.tiers))),
        },
        top_share=float(y_now[top].sum() / total),
        top_share_baseline=float(y_now[biggest].sum() / total),
        cutoffs=f"{then}, {now}",
    )
