"""Segments: recovered if they exist, numbered by value, stored as text, compared with their nulls."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.figure import Figure
from sklearn.base import clone
from sklearn.cluster import AgglomerativeClustering, ward_tree
from sklearn.metrics import adjusted_rand_score, d2_tweedie_score, silhouette_score

from experiments.evaluation.bootstrap import paired_bootstrap
from experiments.evaluation.cluster_metrics import (
    bootstrap_ari,
    calinski_harabasz,
    davies_bouldin,
    elbow,
    explained_deviance,
    principal_components,
    profile,
    silhouette,
    silhouette_null,
    sizes,
    smallest_share,
    surrogate,
)
from experiments.models import CANDIDATES, QuantileBins, Segmentation, dump, load, segmentation
from experiments.models.memo import kept
from experiments.models.scaling import SCALINGS
from experiments.models.segmentation import ALGORITHMS
from experiments.models.segments import match_labels
from experiments.reports.cluster_charts import elbow_figure, pca_figure, profile_figure, sizes_figure
from features.errors import InputError
from workplace import outputs_apart

GROUPS = 4
CUTOFFS = pd.DatetimeIndex(["2017-03-07", "2017-04-06"])


def groups_of_customers(n: int = 480, seed: int = 0) -> tuple[pd.DataFrame, pd.Series, np.ndarray]:
    """Simulate four groups that differ in frequency, value and recency, at two cutoffs, and return the group too."""
    rng = np.random.default_rng(seed)
    group = np.arange(n) % GROUPS
    frequency = np.maximum(rng.poisson(np.array([40.0, 20.0, 10.0, 6.0])[group]), 1)
    away = rng.gamma(60, np.array([3.0, 25.0, 60.0, 100.0])[group] / 60)
    T = away + rng.uniform(40, 60, n)
    X = pd.DataFrame(
        {
            "frequency": frequency,
            "recency": T - away,
            "T": T,
            "monetary_value": rng.lognormal(np.log([20.0, 120.0, 40.0, 10.0])[group], 0.1),
            "days_since_last_purchase": away,
        },
        dtype=float,
    )
    X["total_spend"] = X["monetary_value"] * (frequency + 1) + 5
    X["total_spend_rate"] = X["total_spend"] / 100
    y = pd.Series(rng.gamma(2, np.array([400.0, 900.0, 100.0, 5.0])[group] / 2), name="spend")
    index = pd.MultiIndex.from_product([CUTOFFS[1:], [f"c{i:04d}" for i in range(n)]], names=["cutoff", "customer_id"])
    index = index.swaplevel()
    earlier = index.set_levels(CUTOFFS[:1], level="cutoff")
    X, y = X.set_axis(index), y.set_axis(index)
    # The earlier cutoff is a different shop: a model that learns from it finds other clusters.
    past = X.iloc[::-1].reset_index(drop=True).mul(rng.uniform(0.1, 3, len(X)), axis=0)
    return pd.concat([past.set_axis(earlier), X]), pd.concat([y.set_axis(earlier) * 7, y]), group


X, y, group = groups_of_customers()
latest = np.asarray(X.index.get_level_values("cutoff") == CUTOFFS[-1])
now, then = X[latest], y[latest]
# Groups 1, 0, 2, 3 spend most to least.
by_value = np.array([2, 1, 3, 4])[group]
VARIABLES = ["days_since_last_purchase", "frequency", "monetary_value"]
MADE = {
    **{algorithm: lambda algorithm=algorithm: Segmentation(algorithm=algorithm) for algorithm in ALGORITHMS},
    "outliers": lambda: Segmentation(outlier_quantile=0.97, variables=[*VARIABLES, "T", "clv"]),
    "quantile_bins": QuantileBins,
    "quantile_bins_rate": lambda: QuantileBins(by="total_spend_rate"),
}
CUT_BY = {"quantile_bins": "total_spend", "quantile_bins_rate": "total_spend_rate"}


@pytest.fixture(scope="module")
def fitted():
    return {name: make().fit(X, y) for name, make in MADE.items()}


@pytest.mark.parametrize("scaling", SCALINGS)
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_groups_are_recovered_and_numbered_by_value_by_every_algorithm_and_scaling(algorithm, scaling):
    # Without scaling, money and days must have similar ranges.
    rows = now.assign(monetary_value=now["monetary_value"] / (2 if scaling == "none" else 1))
    model = Segmentation(
        algorithm=algorithm, scaling=scaling, variables=VARIABLES, with_value=False, min_cluster_size=20
    )
    segments = model.fit(rows, then).segment(rows)
    assert adjusted_rand_score(group, segments) > 0.97
    assert (segments == by_value).mean() > 0.98
    by_number = dict(zip(model.segments_, model.segment_spend_, strict=True))
    for number in range(1, GROUPS + 1):
        assert by_number[number] == pytest.approx(then[segments == number].mean(), rel=1e-12)


@pytest.mark.parametrize("algorithm", ["agglomerative", "hdbscan"])
def test_algorithms_that_compare_all_pairs_learn_from_a_sample(algorithm, monkeypatch):
    monkeypatch.setattr("experiments.models.segmentation.MOST_ROWS", 200)
    model = Segmentation(algorithm=algorithm, variables=VARIABLES, min_cluster_size=15).fit(now, then)
    assert adjusted_rand_score(group, model.segment(now)) > 0.97


def test_one_tree_of_merges_serves_every_number_of_clusters(monkeypatch):
    grown = []

    def grow(Z, **options):
        grown.append(Z)
        return ward_tree(Z, **options)

    monkeypatch.setattr(segmentation, "_ward_tree", kept(grow))
    Z = np.random.default_rng(0).normal(size=(300, 3))
    Z = Z[np.lexsort(Z.T)]
    for k in (3, 5, 8):
        apart = AgglomerativeClustering(k).fit_predict(Z)
        centers = np.stack([Z[apart == label].mean(axis=0) for label in range(k)])
        nearest = ((Z[:, None] - centers) ** 2).sum(axis=2).argmin(axis=1)
        assert adjusted_rand_score(nearest, Segmentation(algorithm="agglomerative").cluster(Z, k)) == 1
    assert len(grown) == 1
    Segmentation(algorithm="agglomerative").cluster(Z[1:], 3)
    assert len(grown) == 2


@pytest.mark.parametrize("name", MADE)
class TestEverySegmentation:
    def test_outputs_are_segment_and_its_mean_spend_numbered_from_the_most_valuable(self, name, fitted):
        outputs = fitted[name].outputs(now)
        assert outputs.shape == (len(now), 2)
        assert outputs.dtype == np.float64
        assert np.array_equal(outputs[:, 0], fitted[name].segment(now))
        assert np.array_equal(outputs[:, 1], fitted[name].predict(now))
        spend = pd.Series(outputs[:, 1]).groupby(outputs[:, 0]).first()
        assert spend.index.tolist() == list(range(1, len(spend) + 1))
        assert spend.is_monotonic_decreasing
        assert outputs[:, 1].sum() == pytest.approx(then.sum())

    def test_clone_and_the_same_fit_twice_and_only_the_latest_cutoff_matters(self, name, fitted):
        model = clone(MADE[name]())
        assert not [key for key in vars(model) if key.endswith("_")]
        assert dump(model.fit(X, y)) == dump(fitted[name])
        assert dump(MADE[name]().fit(now, then)) == dump(fitted[name])

    def test_order_of_rows_and_columns_does_not_change_a_bit(self, name, fitted):
        rng = np.random.default_rng(1)
        order = rng.permutation(len(X))
        shuffled = X.iloc[order, rng.permutation(X.shape[1])]
        assert dump(MADE[name]().fit(shuffled, y.iloc[order])) == dump(fitted[name])
        assert np.array_equal(fitted[name].outputs(shuffled), fitted[name].outputs(X)[order])
        assert np.array_equal(fitted[name].outputs(X.reset_index(drop=True)), fitted[name].outputs(X))

    def test_input_is_not_changed_and_a_missing_column_is_named(self, name, fitted):
        before = X.copy(deep=True)
        MADE[name]().fit(X, y).predict(X)
        pd.testing.assert_frame_equal(X, before)
        missing = CUT_BY.get(name, "monetary_value")
        with pytest.raises(InputError, match=f"missing feature {missing}"):
            fitted[name].outputs(X.drop(columns=missing))

    def test_rows_without_a_number_raise_and_name_the_column(self, name, fitted):
        broken = X.assign(total_spend=np.nan, total_spend_rate=np.nan, T=np.inf)
        with pytest.raises(InputError, match=CUT_BY.get(name, "T has values")):
            fitted[name].outputs(broken)


@pytest.mark.slow
def test_models_load_in_a_fresh_process_with_the_same_bits_also_after_renumbering(fitted, tmp_path):
    models = {name: load(dump(model)) for name, model in fitted.items()}
    models["kmeans"].relabel({1: 3, 2: 9, 3: 1, 4: 2})
    for name, outputs in outputs_apart(models, X, tmp_path).items():
        assert np.array_equal(outputs, models[name].outputs(X)), name
    assert set(models["kmeans"].segment(X)) == {1, 2, 3, 9}


class TestVariables:
    def test_default_variables_are_all_but_recency_plus_those_of_the_value_model(self, fitted):
        assert fitted["kmeans"].variables_ == sorted({*X.columns, "clv", "p_alive"} - {"recency"})
        assert fitted["outliers"].variables_ == sorted([*VARIABLES, "T", "clv"])
        plain = Segmentation(with_value=False).fit(X, y)
        assert plain.variables_ == sorted(X.columns)
        assert plain.value_model_ is None
        values = fitted["kmeans"].values(now)
        assert np.array_equal(values["clv"], fitted["kmeans"].value_model_.predict(now))
        assert values["p_alive"].between(0, 1).all()
        longer = Segmentation(horizon_days=180).fit(X, y).values(now)
        assert (longer["clv"] >= values["clv"]).all()

    def test_scaled_variables_have_the_documented_range(self):
        rows = now.assign(constant=0.1, signed=now["T"] - 50)
        names = ["constant", "frequency", "signed"]
        for scaling in SCALINGS:
            model = Segmentation(scaling=scaling, variables=names).fit(rows, then)
            Z = model.transform(rows)
            assert list(Z) == names
            if scaling == "none":
                pd.testing.assert_frame_equal(Z, rows[names])
            elif scaling == "minmax":
                assert Z[names[1:]].agg(["min", "max"]).to_numpy().tolist() == [[0, 0], [1, 1]]
            else:
                np.testing.assert_allclose(Z[names[1:]].mean(), 0, atol=1e-12)
                np.testing.assert_allclose(Z[names[1:]].std(ddof=0), 1)
            assert Z["constant"].nunique() == 1

    def test_outliers_do_not_affect_scaling_or_clusters_but_are_labelled(self):
        extreme = now.copy()
        extreme.iloc[:4, extreme.columns.get_indexer(["frequency", "monetary_value"])] = [3_000, 50_000]
        model = Segmentation(outlier_quantile=0.99, scaling="standard", variables=VARIABLES).fit(extreme, then)
        outliers = model.is_outlier(extreme)
        assert outliers[:4].all()
        assert outliers.mean() <= 0.02
        without = Segmentation(scaling="standard", variables=VARIABLES).fit(extreme[~outliers], then[~outliers])
        assert np.array_equal(model.partition_.centers, without.partition_.centers)
        assert np.array_equal(model.transform(extreme), without.transform(extreme))
        assert set(model.segment(extreme[outliers])) <= {1, 2, 3, 4}
        assert model.predict(extreme).sum() == pytest.approx(then.sum())
        swamped = Segmentation(scaling="standard", variables=VARIABLES).fit(extreme, then)
        assert adjusted_rand_score(group, swamped.segment(extreme)) < adjusted_rand_score(group, model.segment(extreme))

    def test_hdbscan_noise_and_new_rows_get_the_nearest_centre(self):
        noisy = now.copy()
        noisy.iloc[0, noisy.columns.get_indexer(["days_since_last_purchase"])] = 400
        model = Segmentation(algorithm="hdbscan", variables=VARIABLES, min_cluster_size=20).fit(noisy, then)
        Z = model.transform(noisy).to_numpy()
        nearest = ((Z[:, None] - model.partition_.centers) ** 2).sum(axis=2).argmin(axis=1)
        assert np.array_equal(model.segment(noisy), model.segments_[nearest])
        assert np.array_equal(model.segment(noisy.iloc[:1]), model.segment(noisy)[:1])


def test_quantile_bins_have_equal_size_and_ties_share_a_bin():
    totals = pd.DataFrame({"total_spend": np.arange(100.0), "total_spend_rate": np.arange(100.0) / 90})
    spend = np.arange(100.0)[::-1]
    by_total, by_rate = (QuantileBins(by, 5).fit(totals, spend) for by in ("total_spend", "total_spend_rate"))
    for model in (by_total, by_rate):
        assert np.array_equal(model.segment(totals), np.repeat([1, 2, 3, 4, 5], 20))
        np.testing.assert_allclose(np.unique(model.predict(totals)), [9.5, 29.5, 49.5, 69.5, 89.5])
        assert CANDIDATES["quantile_bins"].is_baseline
    # In a stable shop that is observed twice as long, totals outgrow their edges.
    later = totals.assign(total_spend=2 * totals["total_spend"])
    assert np.array_equal(by_rate.segment(later), by_rate.segment(totals))
    assert (by_total.segment(later) == 5).sum() == 60
    # 70 of 100 customers spent the same: quantiles at .2, .4, .6 coincide.
    tied = pd.DataFrame({"total_spend": [*[1.0] * 70, *range(2, 32)]})
    model = QuantileBins(n_clusters=5).fit(tied, tied["total_spend"])
    assert pd.Series(model.segment(tied)).value_counts().sort_index().tolist() == [20, 10, 70]
    assert QuantileBins().fit(tied.clip(upper=2), tied["total_spend"]).segments_.tolist() == [2, 1]
    with pytest.raises(InputError, match="does not distinguish customers"):
        QuantileBins().fit(tied * 0, tied["total_spend"])
    with pytest.raises(InputError, match="n_clusters"):
        QuantileBins(n_clusters=1).fit(tied, tied["total_spend"])
    with pytest.raises(InputError, match="did you mean 'total_spend'"):
        QuantileBins("total_spent").fit(tied, tied["total_spend"])


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"n_clusters": 1}, "n_clusters is out of range"),
        ({"n_clusters": 481}, "more clusters than distinct customers"),
        ({"algorithm": "k-means"}, "did you mean 'kmeans'"),
        ({"scaling": "min_max"}, "did you mean 'minmax'"),
        ({"outlier_quantile": 99.5}, "outlier_quantile is out of range"),
        ({"outlier_quantile": 0.9, "variables": ["T"]}, "no column to apply to"),
        ({"variables": ["frequncy"]}, "did you mean 'frequency'"),
        ({"variables": ["clv"], "with_value": False}, "missing feature clv"),
        ({"variables": []}, "no variable to cluster on"),
        ({"algorithm": "hdbscan", "min_cluster_size": 400}, "fewer than two clusters"),
        ({"algorithm": "hdbscan", "min_cluster_size": 1}, "min_cluster_size is out of range"),
        ({"n_init": 0}, "n_init is out of range"),
    ],
)
def test_mistakes_raise_with_a_hint(params, message):
    with pytest.raises(InputError, match=message):
        Segmentation(**{"variables": VARIABLES, **params}).fit(X, y)


def test_rows_and_outcomes_that_do_not_pair_up_raise():
    for wrong in (y.iloc[1:], y * np.nan, None):
        with pytest.raises(InputError, match="spend of each customer in the next period"):
            Segmentation().fit(X, wrong)


class TestMatching:
    @settings(max_examples=50, deadline=None)
    @given(permutation=st.permutations([1, 2, 3, 4, 5]), moved=st.integers(0, 40), seed=st.integers(0, 99))
    def test_any_permutation_is_undone_even_if_some_customers_moved(self, permutation, moved, seed):
        rng = np.random.default_rng(seed)
        old = np.repeat([1, 2, 3, 4, 5], 60)
        new = np.array(permutation)[old - 1]
        new[rng.integers(len(new), size=moved)] = permutation[0]
        mapping = match_labels(new, old)
        assert all(mapping[number] == label for label, number in enumerate(permutation, start=1))

    def test_matching_maximises_the_total_overlap(self):
        # A greedy match would pair 1 with 1 (50) and 2 with 2 (0); the best total is 40 + 40.
        new = np.repeat([1, 1, 2], [50, 40, 40])
        old = np.repeat([1, 2, 1], [50, 40, 40])
        assert match_labels(new, old) == {1: 2, 2: 1}

    def test_more_segments_get_unused_numbers_and_fewer_leave_numbers_free(self):
        old = np.repeat([1, 2, 3], 20)
        assert match_labels(np.repeat([4, 5, 1, 2, 3], 12), old) == {1: 2, 2: 4, 3: 3, 4: 1, 5: 5}
        assert match_labels(np.repeat([2, 1], 30), np.repeat([1, 2, 7], [20, 10, 30])) == {1: 7, 2: 1}
        with pytest.raises(InputError, match="pair up"):
            match_labels([1, 2], [1])

    def test_a_new_version_takes_over_the_numbers_of_the_champion(self, fitted):
        champion = load(dump(fitted["kmeans"])).relabel({1: 2, 2: 1, 3: 4, 4: 3})
        version = Segmentation(n_clusters=5, seed=3).fit(X, y)
        spend = version.predict(now)
        version.relabel(match_labels(version.segment(now), champion.segment(now)))
        assert np.array_equal(version.predict(now), spend)
        assert (version.segment(now) == champion.segment(now)).mean() > 0.8
        assert set(version.segments_) == {1, 2, 3, 4, 5}
        with pytest.raises(InputError, match="one to one"):
            version.relabel({1: 2, 2: 2})
        with pytest.raises(InputError, match="one to one"):
            version.relabel({8: 1})
        # A segment without a shared customer gets its own number.
        assert set(version.relabel({1: 1, 2: 2, 3: 3}).segments_) == {1, 2, 3, 4, 5}


class TestExplainedDeviance:
    def test_equals_scikit_learns_d2_tweedie_score(self):
        rng = np.random.default_rng(0)
        p = rng.lognormal(4, 1, 500)
        spend = np.where(rng.random(500) < 0.4, 0, p * rng.gamma(2, 0.5, 500))
        assert explained_deviance(spend, p) == pytest.approx(d2_tweedie_score(spend, p, power=1.5), rel=1e-12)
        assert explained_deviance(spend, np.full(500, spend.mean())) == pytest.approx(0, abs=1e-12)
        positive = spend + 1
        assert explained_deviance(positive, positive) == 1

    def test_a_prediction_of_0_counts_as_a_thousandth_of_the_mean(self):
        spend = np.array([0.0, 0.0, 3.0, 9.0])
        floor = 3.0 / 1000
        assert explained_deviance(spend, [0, -1, 3, 9]) == pytest.approx(
            explained_deviance(spend, [floor, floor, 3, 9])
        )
        assert np.isfinite(explained_deviance(spend, [0, 0, 0, 0]))
        assert np.isnan(explained_deviance([0, 0], [1, 2]))
        assert np.isnan(explained_deviance([4, 4], [1, 2]))
        with pytest.raises(InputError, match="negative spend"):
            explained_deviance([-1, 2], [1, 2])

    def test_value_segments_explain_more_than_bins_of_past_spend_in_the_bootstrap(self, fitted):
        predictions = {name: fitted[name].predict(now) for name in ("kmeans", "quantile_bins")}
        draws = paired_bootstrap(explained_deviance, then, predictions, np.arange(len(now)), n_resamples=200, seed=0)
        assert draws.gain("kmeans", "quantile_bins").lower_bound(0.05) > 0


def blobs(n: int = 400, distance: float = 8.0, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % 4
    centers = np.array([[0, 0, 0], [1, 1, 0], [1, 0, 1], [0, 1, 1]]) * distance
    return centers[labels] + rng.normal(size=(n, 3)), labels


kmeans = Segmentation().cluster


class TestClusterMetrics:
    def test_silhouette_equals_scikit_learn_and_samples_by_seed(self):
        Z, labels = blobs(1203, distance=2)
        assert silhouette(Z, labels, seed=0) == pytest.approx(silhouette_score(Z, labels), rel=1e-9)
        with_a_cluster_of_one = np.append(9, labels[1:])
        assert silhouette(Z, with_a_cluster_of_one, seed=0) == pytest.approx(silhouette_score(Z, with_a_cluster_of_one))
        sampled = silhouette(Z, labels, seed=1, max_rows=600)
        assert sampled == silhouette(Z, labels, seed=1, max_rows=600) != silhouette(Z, labels, seed=2, max_rows=600)
        assert sampled == pytest.approx(silhouette(Z, labels, seed=0), abs=0.05)

    def test_a_single_cluster_has_the_documented_metrics(self):
        Z, labels = blobs(40)
        assert silhouette(Z, labels * 0, seed=0) == 0
        assert np.isnan(davies_bouldin(Z, labels * 0))
        assert np.isnan(calinski_harabasz(Z, labels * 0))
        assert smallest_share(labels * 0) == 1
        assert smallest_share([1, 1, 1, 2]) == 0.25

    def test_permuted_null_equals_the_silhouette_of_noise_and_is_below_that_of_clusters(self):
        noise = np.random.default_rng(0).lognormal(0, 1, (500, 3))
        null = silhouette_null(kmeans, noise, n_repeats=6, seed=0)
        assert silhouette(noise, kmeans(noise), seed=0) == pytest.approx(null.mean(), abs=0.04)
        assert np.array_equal(null, silhouette_null(kmeans, noise, n_repeats=6, seed=0))
        Z, _ = blobs()
        assert silhouette(Z, kmeans(Z), seed=0) > 0.15 + silhouette_null(kmeans, Z, seed=0).max()

    def test_bootstrap_ari_is_1_for_separated_clusters_and_low_for_noise(self):
        Z, _ = blobs()
        assert bootstrap_ari(kmeans, Z, n_resamples=20, seed=0) == (1, 1)
        noise = np.random.default_rng(0).normal(size=(400, 3))
        mean, low = bootstrap_ari(kmeans, noise, n_resamples=20, seed=0)
        assert low < mean < 0.75
        assert (mean, low) == bootstrap_ari(kmeans, noise, n_resamples=20, seed=0)
        assert bootstrap_ari(kmeans, noise, n_resamples=5, seed=0, max_rows=100) != (mean, low)

    def test_surrogate_accuracy_is_as_high_on_permuted_columns(self):
        noise = pd.DataFrame(np.random.default_rng(0).lognormal(0, 1, (600, 3)), columns=["a", "b", "c"])
        noise["unused"] = 1.0
        labels = kmeans(noise)
        found = surrogate(kmeans, noise, labels, seed=0)
        assert found.accuracy > 0.9
        assert found.null_accuracy == pytest.approx(found.accuracy, abs=0.05)
        assert set(found.importances.index) == {"a", "b", "c", "unused"}
        assert found.importances["shap"].is_monotonic_decreasing
        np.testing.assert_allclose(found.importances.sum(), 1)
        assert (found.importances.loc["unused"] == 0).all()
        again = surrogate(kmeans, noise, labels, seed=0)
        pd.testing.assert_frame_equal(again.importances, found.importances, check_exact=True)

    def test_elbow_bends_and_silhouette_peaks_at_the_number_of_groups(self):
        Z, _ = blobs()
        table = elbow(kmeans, Z, range(2, 8), seed=0)
        assert table["inertia"].is_monotonic_decreasing
        assert table["inertia"].diff().diff().idxmax() == 5  # the second difference is centred one before
        assert table["silhouette"].idxmax() == 4
        assert table.loc[4, "silhouette"] > table.loc[4, "silhouette_null"] + 0.15
        assert table.loc[4, "inertia"] == pytest.approx(3 * len(Z), rel=0.1)

    def test_profile_and_sizes_add_up(self):
        values = now[["frequency", "T"]].assign(constant=3.0)
        table = profile(values, by_value)
        means = table.pivot(index="segment", columns="variable", values="mean")
        assert means.loc[2, "frequency"] == now["frequency"][by_value == 2].mean()
        z = table.pivot(index="segment", columns="variable", values="z")
        assert (z["constant"] == 0).all()
        counts = sizes(by_value, then)
        np.testing.assert_allclose(counts["customers"] @ z[["frequency", "T"]], 0, atol=1e-9)
        np.testing.assert_allclose(counts[["customers_share", "spend_share"]].sum(), 1)
        assert counts["customers"] @ counts["mean_spend"] == pytest.approx(then.sum())
        assert sizes([1, 2], [0, 0])["spend_share"].isna().all()

    def test_principal_components_are_those_of_all_rows_sampled_by_seed(self):
        Z, labels = blobs()
        points = principal_components(Z, labels, seed=0)
        shares = points[["pc1_variance_share", "pc2_variance_share"]].iloc[0]
        np.testing.assert_allclose(points[["pc1", "pc2"]].var(ddof=0) / Z.var(axis=0).sum(), shares)
        fewer = principal_components(Z, labels, seed=0, max_rows=50)
        assert len(fewer.merge(points, how="inner")) == 50
        assert (principal_components(Z[:, :1], labels, seed=0)["pc2"] == 0).all()


@pytest.mark.slow
def test_figures_draw_the_values_of_the_tables(fitted, tmp_path):
    model = fitted["outliers"]
    Z, segments = model.transform(now), model.segment(now)
    table, points = elbow(model.cluster, Z, [2, 3, 4], seed=0), principal_components(Z, segments, seed=0)
    shape, counts = profile(model.values(now), segments), sizes(segments, then)
    figures = {
        "elbow": elbow_figure(table, chosen=4),
        "pca": pca_figure(points),
        "profile": profile_figure(shape),
        "sizes": sizes_figure(counts, currency="USD", horizon_days=90),
        "sizes_without_spend": sizes_figure(sizes([1, 2], [0, 0]), currency="USD", horizon_days=90),
    }
    for name, figure in figures.items():
        assert isinstance(figure, Figure)
        figure.savefig(tmp_path / f"{name}.png")
    np.testing.assert_allclose(figures["elbow"].axes[1].get_lines()[0].get_ydata(), table["silhouette"])
    np.testing.assert_allclose(figures["pca"].axes[0].collections[0].get_offsets(), points[["pc1", "pc2"]])
    heat = shape.pivot(index="variable", columns="segment", values="z")
    np.testing.assert_allclose(figures["profile"].axes[0].images[0].get_array(), heat)
    assert len(figures["profile"].axes[0].texts) == heat.size + 1
    heights = [bar.get_height() for bar in figures["sizes"].axes[0].patches]
    np.testing.assert_allclose(heights, [*counts["customers_share"], *counts["spend_share"]])
    with pytest.raises(InputError, match="silhouette_null"):
        elbow_figure(table.drop(columns="silhouette_null"))
    many = pd.DataFrame(np.random.default_rng(0).normal(size=(90, 40))).rename(columns=str)
    assert profile_figure(profile(many, np.arange(90) % 3)).axes[0].images[0].get_array().shape == (20, 3)
