"""The case study's method is reproduced, its formulas are named, and its models can never be promoted."""

from __future__ import annotations

import dataclasses
import math
import os
import shutil
from collections.abc import Sequence
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from types import SimpleNamespace

import mlflow
import numpy as np
import pandas as pd
import pytest
from hydra import compose, initialize_config_dir
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from experiments.case_study.held_out import MODEL, HeldOut
from experiments.case_study.in_use_section import list_parts, wait_parts
from experiments.case_study.options import PARTS, CaseStudyOptions
from experiments.case_study.products import mine, recommend
from experiments.case_study.result import NAN, Difference, Figure, Result, Skipped
from experiments.case_study.section import case_study_parts
from experiments.case_study.segments import VARIABLES
from experiments.case_study.study import run_parts
from experiments.commands.compose import typed
from experiments.evaluation.ranking_metrics import BOUGHT, TOTAL, ranking_metrics
from experiments.evaluation.splits import Splits, make_splits
from experiments.evaluation.validation import validate
from experiments.evaluation.wait_metrics import LATER, MEAN, MEDIAN, wait_metrics
from experiments.reports.material import InUse
from experiments.reports.section import Picture, Table, Text
from experiments.tasks.recommendation import Recommendation
from experiments.tracking.registry import Registry
from experiments.tracking.runs import Runs
from experiments.workflow.held_out import held_out
from features.engines import open_engine
from features.errors import InputError
from features.shop import Shop
from features.tables import midnight
from merchandise_store import Store, sales_of_a_year
from online_retail import data_config
from workplace import ROOT

BESIDE = Path(__file__).parents[3] / "shared" / "data" / "merchandise_store"
DATA = Path(os.environ.get("MERCHANDISE_STORE_DATA", BESIDE))
published = pytest.mark.skipif(
    "MERCHANDISE_STORE_DATA" not in os.environ and not BESIDE.is_dir(),
    reason="set MERCHANDISE_STORE_DATA to the folder of the five files, which are not part of the repository",
)


def options(*overrides: str) -> CaseStudyOptions:
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        return typed(compose("config", list(overrides))).as_reported


def opened(config: dict[str, object], cache: Path) -> Shop:
    return Shop.open(
        config, open_engine(name="duckdb", threads=1, memory_limit="1GiB", temp_directory=str(cache)), cache
    )


def splits_of(shop: Shop) -> Splits:
    span = shop.staged
    return make_splits(span.start, span.end, horizon_days=90, step_days=30, min_history_days=60, n_validation=1)


def by_part(results: Sequence[Result | Skipped]) -> dict[str, Result]:
    found = {result.part: result for result in results if isinstance(result, Result)}
    assert len(found) == len(results), [result for result in results if isinstance(result, Skipped)]
    return found


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """Four kinds of customers; each order holds one product of twelve, every second one its companion too."""
    folder = tmp_path_factory.mktemp("store")
    store = Store(folder)
    lines = []
    for i, line in enumerate(sales_of_a_year()):
        for product in [f"P{i % 12}", *([f"P{i % 12 + 12}"] if i % 2 else [])]:
            lines.append(line.replace("G1,Bottle", f"{product},Thing {product}"))
    store.sell(lines)
    people = [f"{i},{'MF'[i % 2]},{('Chicago', 'New York', 'California')[i % 3]},{i % 50}" for i in range(160)]
    store.write("customers", people)
    return opened(store.config, tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def quick() -> CaseStudyOptions:
    return options("as_reported.n_seeds=2", "as_reported.n_splits=2", "as_reported.most_clusters=5")


@pytest.fixture(scope="module")
def results(shop: Shop, quick: CaseStudyOptions) -> list[Result | Skipped]:
    return run_parts(shop, splits_of(shop), quick)


def test_the_interval_is_a_formula_and_cannot_be_predicted_without_it(results):
    interval = by_part(results)["interval"]
    assert "recency / frequency" in interval.tags["circular_reason"]
    assert interval.metrics["reproduced/r2"] > 0.9 > 0.5 > interval.metrics["honest/r2"]
    assert interval.tags["leaky"] == "true"
    assert "tenure" in interval.tags["leaky_reason"]
    assert interval.params["features"].endswith("tenure, gender, region")


def test_a_classifier_also_recovers_labels_of_permuted_columns(results):
    segments = by_part(results)["segments"]
    assert segments.metrics["reproduced/surrogate_accuracy"] > 0.85
    assert segments.metrics["honest/surrogate_accuracy"] > 0.85
    assert sum(segments.metrics[f"reproduced/weight_{name}"] for name in VARIABLES) == pytest.approx(1)
    assert segments.tags["circular"] == "true"


def test_tiers_cover_all_customers_left_and_the_first_spends_most(results):
    segments = by_part(results)["segments"]
    tiers = segments.tables["tiers"]
    assert list(tiers.index) == ["VIP", "Gold", "Silver", "Bronze", "At Risk"]
    assert tiers["customers"].sum() == segments.metrics["reproduced/customers_left"]
    assert tiers["spend_share"].sum() == pytest.approx(1)
    assert tiers["spend_share"].idxmax() in ("VIP", "Gold")


def test_products_bought_together_have_rules_and_lists_by_lift_repeat_products(quick):
    days = pd.DataFrame(
        [
            (f"c{i}", "2019-01-01", product)
            for i in range(40)
            for product in ("bread", *(["tea", "milk"] if i < 4 else []))
        ],
        columns=["customer_id", "day", "product_id"],
    )
    support = days["product_id"].value_counts() / 40
    rules, least = mine(days, support, quick)
    assert least == pytest.approx(0.1)
    assert rules["lift"].iloc[0] == pytest.approx(10)  # the rare pair, not what everybody buys
    lists = recommend({"new": frozenset({"tea", "bread"}), "other": frozenset({"jam"})}, rules, 5)
    assert lists["new"].count("milk") > 1
    assert sorted(recommend({"new": frozenset({"tea"})}, rules, 5, distinct=True)["new"]) == ["bread", "milk"]
    assert lists["other"] == []


def test_a_difference_has_an_interval_and_words_only_where_it_is_shown():
    gain = Difference.of([1, 1, 0, 1], [0, 1, 0, 0])  # 1, 0, 0, 1: mean 1/2, standard deviation 1/sqrt(3)
    assert (gain.mean, gain.high) == pytest.approx((0.5, 0.5 + 1.959964 / math.sqrt(12)))
    assert gain.say("more", "less", "neither") == "neither"
    assert Difference.of([3, 2, 3], [1, 1, 1]).say("more", "less", "neither") == "more"
    assert Difference.of([1, 1, 1], [3, 2, 3]).say("more", "less", "neither") == "less"
    assert Difference.of([1], [0]).say("more", "less", "neither") == "neither"  # of one customer nothing is shown


def held_of(y: pd.DataFrame, X: pd.DataFrame, predictions: dict[str, object], metrics: object, days: int) -> HeldOut:
    model = InUse("best-sellers", "store-recommendation, version 2", is_baseline=True, is_judged=True)
    return HeldOut(model, date(2019, 11, 6), days, metrics, X, y, predictions, n_resamples=400, seed=0, confidence=0.95)


def test_lists_by_lift_and_those_in_use_are_compared_on_the_same_buyers():
    """Of 40 buyers of the one product that is in use, 10 have it in their list by lift: 25% and 100%."""
    index = pd.MultiIndex.from_product(
        [range(44), range(8), [pd.Timestamp("2019-11-06")]], names=["customer_id", "product_id", "cutoff"]
    )
    customer, product = (index.get_level_values(name).to_numpy() for name in ("customer_id", "product_id"))
    bought = ((product == 7) & (customer < 40)).astype(float)
    y = pd.DataFrame({BOUGHT: bought, TOTAL: (customer < 40).astype(float)}, index=index)
    lift = np.where((product < 3) | ((product == 7) & (customer < 10)), 2.0 + product, 0.0)
    X = pd.DataFrame({"rule_lift": lift}, index=index)
    predictions = {MODEL: pd.Series(1.0 * product, index=index), "rules_lift": pd.Series(lift - 1e-3 * product, index)}
    held = held_of(y, X, predictions, ranking_metrics((5, 10), "recommends"), 28)
    _, lead, table, _, record = list_parts(held)
    assert lead.text.startswith(
        "Of 40 customers who buy within 28 days, 25.0% buy one of 5 products by lift, and 100.0%"
    )
    assert "+75.0 points (95% interval +6" in lead.text
    assert "Recommend by the model in use." in lead.text
    assert table.frame["hit rate"].tolist() == ["25.0%", "100.0%"]
    assert table.frame["places with a rule"].iloc[0] == f"{(44 * 3 + 10) / (44 * 5):.1%}"
    assert record.metrics["difference"] == pytest.approx(0.75)
    assert 0 < record.metrics["difference_low"] < 0.75 < record.metrics["difference_high"] < 1
    swapped = replace(held, predictions=dict(zip(predictions, reversed(predictions.values()), strict=True)))
    assert "Lists by lift are bought more often" in list_parts(swapped)[1].text


@pytest.mark.parametrize("is_blind", [False, True])
def test_the_average_interval_is_judged_by_the_wait_that_it_is_used_for(is_blind):
    """30 customers, each 10 days after the last of purchases 20 days apart, who buy on day 12; and one of one order."""
    index = pd.MultiIndex.from_product([range(31), [pd.Timestamp("2019-11-06")]], names=["customer_id", "cutoff"])
    y = pd.DataFrame({"days": 12.0, "observed": 1.0}, index=index)
    model = pd.DataFrame({MEDIAN: 13.0, MEAN: 13.0, LATER: 0.0}, index=index)
    rows = pd.DataFrame(
        {"recency": 60.0, "repeat_orders": [*[3.0] * 30, 0.0], "days_since_last_purchase": 10.0}, index=range(31)
    )
    past = [Figure("rmse", "", 2.25, NAN, "", reported=2.12), Figure("mae", "", 0.724, NAN, "", reported=0.72)]
    held = held_of(y, y, {MODEL: model}, wait_metrics((7, 14, 28, 56), (7, 14, 28), "predicts when"), 56)
    held = replace(held, model=replace(held.model, is_blind=is_blind))
    _, lead, table, _, record = wait_parts(held, rows, past)
    assert table.frame["MAE, days"].tolist() == ["0.720", "0.724", "8.00", "2.00", "1.00"]
    assert "30 customers" in table.caption
    assert "the average interval from the last purchase with 2.00: the difference is -1.00 days" in lead.text
    assert lead.text.endswith("one date for all." if is_blind else "Schedule messages by the model in use.")
    assert record.tags["promotable"] == "false"
    table = wait_parts(held, rows, [replace(figure, reported=NAN) for figure in past])[2]  # another shop
    assert table.frame["MAE, days"].tolist() == ["0.724", "8.00", "2.00", "1.00"]


def test_what_a_report_compares_was_fitted_on_windows_that_had_ended(shop):
    """The predictions are those of validation: as of the fold of the last cutoff, by the recipe of the version."""
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        config = typed(compose("config", ["task=recommendation", "data=cdnow"]))
    task = Recommendation(**{name: value for name, value in config.task.items() if name != "name"})
    splits = replace(splits_of(shop), horizon_days=28)
    last = date(2019, 11, 6)
    learnt = [last - timedelta(days=days) for days in (84, 56, 28, 0)]
    run = SimpleNamespace(data=SimpleNamespace(params={"training_cutoffs": ", ".join(map(str, learnt))}))
    session = SimpleNamespace(
        shop=shop,
        config=config,
        client=SimpleNamespace(get_run=lambda run_id: run),
        splits_over=lambda days: replace(splits, validation=(last,), horizon_days=days),
    )
    tags = {
        "task": "recommendation",
        "horizon_days": "28",
        "model": "hybrid",
        "candidate_digest": "",
        "feature_hash": "",
    }
    version = SimpleNamespace(
        name="store-recommendation",
        question="recommendation",
        run_id="",
        tags=tags,
        params={"interaction": 0.5},
        features=list(config.features.names),
        is_baseline=False,
    )
    model = InUse("hybrid", "store-recommendation, version 1", is_baseline=False, is_judged=True)
    held = held_out(session, version, model, ["rules_lift"])
    data = task.dataset(shop, version.features, [*learnt[:-1], last])
    for name, build in {
        MODEL: lambda: task.build("hybrid", {"interaction": 0.5}),
        "rules_lift": lambda: task.build("rules_lift", {}),
    }.items():
        expected = validate(task.evaluate, build, data, [(learnt[:-1], [last])]).last
        assert held.metrics["hit_rate_5"](held.y, held.predictions[name]) == expected.metrics["hit_rate_5"]
        assert np.array_equal(held.predictions[name], expected.prediction)
    with pytest.raises(InputError, match="too short"):
        held_out(replace_params(session, learnt[-1:]), version, model)
    with pytest.raises(InputError, match="other options"):
        held_out(session, SimpleNamespace(**{**vars(version), "question": "recommendation_new"}), model)


def replace_params(session: SimpleNamespace, learnt: list[date]) -> SimpleNamespace:
    run = SimpleNamespace(data=SimpleNamespace(params={"training_cutoffs": ", ".join(map(str, learnt))}))
    return SimpleNamespace(**{**vars(session), "client": SimpleNamespace(get_run=lambda run_id: run)})


@pytest.mark.slow
def test_honest_figures_do_not_move_with_the_sealed_window(shop, quick, results, tmp_path):
    splits = splits_of(shop)
    lines = shop.tables.transactions
    before = shop.tables.with_tables(transactions=lines.filter(lines.timestamp < midnight(splits.sealed)))
    blind = by_part(run_parts(dataclasses.replace(shop, tables=before, cache=tmp_path), splits, quick))
    judged = {
        "segments": ["clusters_explained_deviance", "tiers_explained_deviance", "top_tiers_spend_share"],
        "interval": ["wait_mae"],
        "products": ["hit_rate_at_5", "hit_rate_at_5_different"],
    }
    for part, names in judged.items():
        for name in names:
            assert blind[part].metrics[f"honest/{name}"] == by_part(results)[part].metrics[f"honest/{name}"], name


@pytest.mark.slow
def test_what_is_missing_is_left_out_with_a_line_and_the_rest_is_done(shop, quick, tmp_path):
    lines = shop.tables.transactions
    tables = shop.tables.with_tables(
        customers=None, transactions=lines.mutate(product_id=lines.product_id.nullif(lines.product_id))
    )
    bare = dataclasses.replace(shop, tables=tables, cache=tmp_path)
    segments, interval, products = run_parts(bare, splits_of(shop), quick)
    assert isinstance(segments, Result)
    assert isinstance(products, Skipped)
    assert "product" in products.reason
    assert "leaky" not in interval.tags
    assert any("tenure, gender, region" in note for note in interval.notes)
    texts = [part.text for part in case_study_parts([segments, interval, products]) if isinstance(part, Text)]
    assert any("left out" in text and products.reason in text for text in texts)


def test_the_section_shows_three_columns_where_something_is_reported_and_two_elsewhere(results):
    segments, interval, products = results
    parts = case_study_parts([segments, interval, products])
    frames = {part.name: part.frame for part in parts if isinstance(part, Table)}
    assert list(frames["segments"]) == ["figure", "reported", "reproduced", "honest", "why"]
    assert list(frames["products"]) == ["figure", "reproduced", "honest", "why"]
    names = [part.name for part in parts if isinstance(part, Picture | Table)]
    assert len(names) == len(set(names))
    for part in parts:
        if isinstance(part, Picture):
            part.figure.canvas.draw()


def test_no_model_of_the_case_study_is_registered_or_kept_in_a_run(results, new_store, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    uri = f"sqlite:///{shutil.copy(new_store, tmp_path)}"
    mlflow.set_tracking_uri(uri)
    client = MlflowClient(uri)
    runs = Runs(client, "merchandise_store-segmentation")
    for result in by_part(results).values():
        run_id = runs.start(result.part, result.tags)
        runs.log(run_id, params=result.params, metrics=result.metrics)
        runs.log_artifacts(run_id, tables=result.tables)
        runs.end(run_id)
        run = client.get_run(run_id)
        assert run.data.tags["promotable"] == "false"
        assert run.data.tags["case_study"] == result.part
        assert not run.outputs.model_outputs
        with pytest.raises(MlflowException):
            mlflow.register_model(f"runs:/{run_id}/model", "merchandise_store-segmentation")
    assert Registry(client, "merchandise_store-segmentation").versions() == []  # all that the gate can see


@pytest.mark.parametrize(
    ("name", "parts"), [*((part, [part]) for part in PARTS), ("as_reported", [*PARTS])], ids=[*PARTS, "as_reported"]
)
def test_saved_combinations_choose_parts_and_their_section(name, parts):
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        config = compose("config", [f"experiment=case_study/{name}"])
    assert config.as_reported.parts == parts
    assert config.report.sections == ["as_reported"]


@pytest.mark.parametrize(
    ("override", "problem"),
    [
        ("as_reported.parts=[segment]", "no part 'segment'"),
        ("as_reported.parts=[interval,interval]", "parts"),
        ("as_reported.outlier_quantile=1", "outlier_quantile"),
        ("as_reported.n_seeds=1", "n_seeds"),
        ("as_reported.most_clusters=3", "most_clusters"),
        ("as_reported.tiers=[VIP,VIP,Gold]", "tiers"),
        ("+as_reported.reported.shop={interval: {rmse: low}}", "rmse"),
    ],
)
@pytest.mark.quick(3)
def test_a_value_out_of_range_is_refused(override, problem):
    with pytest.raises(InputError, match=problem):
        options(override)


def test_an_unknown_reported_figure_is_refused(results):
    with pytest.raises(InputError, match="no figure 'rsme'") as refused:
        by_part(results)["interval"].compare_with({"rsme": 2.12})
    assert "rmse" in str(refused.value)


@pytest.mark.slow
@published
def test_the_published_figures_are_reproduced_on_the_store(tmp_path):
    shop = opened(data_config("merchandise_store", path=str(DATA)), tmp_path)
    found = by_part(run_parts(shop, splits_of(shop), options("as_reported.n_seeds=2")))
    segments, interval, products = (found[part].metrics for part in ("segments", "interval", "products"))
    for name in ("customers_set_aside", "customers_left"):  # 16 and 1,452
        assert segments[f"reproduced/{name}"] == segments[f"reported/{name}"]
    distance = sum(abs(segments[f"reproduced/weight_{v}"] - segments[f"reported/weight_{v}"]) for v in VARIABLES)
    assert distance < 0.13  # what another seed moves them by
    assert 0.95 < segments["reproduced/surrogate_accuracy"] < 0.997
    assert segments["honest/surrogate_accuracy"] > 0.95
    assert segments["reproduced/rank_correlation_with_equal_weights"] == pytest.approx(0.979, abs=0.01)
    assert segments["reproduced/top_tiers_spend_share"] > 0.5
    assert interval["reproduced/rmse"] == pytest.approx(2.12, abs=0.3)
    assert interval["reproduced/mae"] == pytest.approx(0.72, abs=0.05)
    assert interval["honest/r2"] == pytest.approx(-0.19, abs=0.02)
    assert 0.72 <= products["reproduced/lists_with_duplicates"] <= 0.82
    assert 0.28 <= products["reproduced/hit_rate_at_5"] <= 0.47
    assert products["honest/hit_rate_at_5"] == pytest.approx(0.72, abs=0.04)
    assert all(math.isfinite(value) for metrics in (segments, interval, products) for value in metrics.values())
