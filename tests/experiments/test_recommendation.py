"""The task recommendation: models of lists, what is shown and why, and the report section."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from baskets import sales_of_baskets
from experiments.evaluation.ranking_metrics import ranking_metrics
from experiments.evaluation.validation import Dataset
from experiments.models.base import dump, load
from experiments.models.recommenders import ByScore, Hybrid, Ranker
from experiments.reports.section import Table, Text
from experiments.tasks.recommendation import SCORE, Recommendation, recommendation_parts
from features.errors import InputError, UnsuitableDataError
from features.shop import Shop
from merchandise_store import Store

DAY = pd.Timestamp("2017-12-04")


def task(new_alone: bool = False) -> Recommendation:
    return Recommendation(28, "ndcg_5", min_effect=0.005, guards={}, minimum={}, new_alone=new_alone)


def simulated(customers: int = 80, cutoffs: int = 2, seed: int = 0) -> Dataset:
    """Return candidates of whom those with a high `ease` are bought if they are new, and frequent ones if not."""
    rng = np.random.default_rng(seed)
    days = [DAY - pd.Timedelta(days=28 * n) for n in range(cutoffs)]
    index = pd.MultiIndex.from_product(
        [[f"c{i:03d}" for i in range(customers)], [f"p{i:02d}" for i in range(20)], days],
        names=["customer_id", "product_id", "cutoff"],
    )
    is_own = rng.random(len(index)) < 0.3
    X = pd.DataFrame(
        {
            "own_orders": np.where(is_own, rng.integers(1, 9, len(index)), 0).astype(float),
            "own_frequency": 0.0,
            "ease": rng.random(len(index)),
            "product_recent_buyer_share": rng.random(len(index)),
        },
        index=index,
    )
    X["own_frequency"] = X["own_orders"] * 0.9
    taste = np.where(is_own, X["own_frequency"] / 4 - 1, 3 * X["ease"] - 3)
    bought = (rng.random(len(index)) < 1 / (1 + np.exp(-2 * taste))).astype(float)
    y = pd.DataFrame({"bought": bought, "again": bought * is_own}, index=index)
    of = y.groupby(level=["customer_id", "cutoff"]).transform("sum")
    y = y.assign(bought_products=of["bought"], bought_again=of["again"]).drop(columns="again")
    return Dataset(X, y)


def test_the_ranker_learns_two_rules_at_once_and_beats_each_score_alone() -> None:
    train, later = simulated(150), simulated(150, seed=1)
    ndcg = ranking_metrics((5,), "")["ndcg_5"]

    def judged(model: object) -> float:
        return ndcg(later.y, pd.Series(model.fit(train.X, train.y).predict(later.X), later.X.index))

    own, ease = judged(ByScore("own_frequency")), judged(ByScore("ease"))
    assert judged(Ranker(n_estimators=40, min_child_samples=20)) > max(own, ease) + 0.02
    assert judged(Hybrid(own=1, interaction=0.5)) > max(own, ease)


def test_order_of_rows_and_columns_changes_no_fit_and_a_stored_model_predicts_the_same() -> None:
    data = simulated(customers=40)
    model = Ranker(n_estimators=10).fit(data.X, data.y)
    rows = data.X.sample(frac=1.0, random_state=1).index
    again = Ranker(n_estimators=10).fit(data.X.loc[rows, list(data.X)[::-1]], data.y.loc[rows])
    np.testing.assert_array_equal(again.predict(data.X), model.predict(data.X))
    for each in (model, Hybrid().fit(data.X, data.y), ByScore().fit(data.X, data.y)):
        np.testing.assert_array_equal(load(dump(each)).predict(data.X[::-1]), each.predict(data.X)[::-1])


def test_the_ranker_learns_from_the_latest_cutoffs_and_for_new_products_from_those_alone() -> None:
    data = simulated(customers=40, cutoffs=3)
    late = data.where(data.X.index.get_level_values("cutoff") > DAY - pd.Timedelta(days=56))
    new = data.where((data.X["own_orders"] == 0).to_numpy())
    one, two = (Ranker(n_estimators=5, latest_cutoffs=2).fit(each.X, each.y) for each in (data, late))
    assert one.get_state() == two.get_state()
    one, two = (Ranker(n_estimators=5, new_alone=True).fit(each.X, each.y) for each in (data, new))
    assert one.get_state() == two.get_state()


def test_lists_that_teach_no_order_and_weights_without_meaning_are_refused() -> None:
    data = simulated(customers=5)
    for bought in (0.0, 1.0):
        with pytest.raises(UnsuitableDataError, match="no list can teach an order"):
            Ranker().fit(data.X, data.y.assign(bought=bought))
    for weights in ({"own": -1.0}, {"own": 0.0, "interaction": 0.0, "popularity": 0.0}):
        with pytest.raises(InputError, match="weights of a hybrid are out of range"):
            Hybrid(**weights).fit(data.X, data.y)


def test_new_and_repeat_products_are_judged_apart_and_misses_of_the_candidate_step_count() -> None:
    index = pd.MultiIndex.from_product([["a", "b"], ["milk", "rice", "tea"], [DAY]])
    index = index.set_names(["customer_id", "product_id", "cutoff"])
    X = pd.DataFrame({"own_orders": [3.0, 0, 0, 1, 0, 0], "product_buyer_share": 0.5, "rule_lift": 2.0}, index=index)
    X["own_frequency"] = [0.9, 0.2, 0.1, 0.1, 0.5, 0.4]
    X["product_recent_buyer_share"] = 0.0
    y = pd.DataFrame({"bought": [1.0, 0, 1, 0, 0, 0]}, index=index)
    y["bought_products"], y["bought_again"] = [4.0] * 3 + [1.0] * 3, [2.0] * 3 + [0.0] * 3
    found = task().evaluate(ByScore().fit(X, y), Dataset(X, y))
    assert found.metrics["hit_rate_5"] == 0.5  # b buys one product, which is no candidate
    assert found.metrics["recall_5"] == pytest.approx((2 / 4 + 0) / 2)
    assert found.metrics["repeat_recall_5"] == pytest.approx(1 / 2)  # of a alone
    assert found.metrics["new_recall_5"] == pytest.approx((1 / 2 + 0) / 2)
    assert found.metrics["new_mrr_5"] == pytest.approx((1 / 2 + 0) / 2)  # rice comes before tea
    assert (found.metrics["new_share_5"], found.metrics["novelty_5"], found.metrics["rule_lift_5"]) == (4 / 6, 1, 2)
    recalls = task().diagnose(ByScore().fit(X, y), Dataset(X, y)).metrics
    assert recalls == {
        "candidate_recall": 2 / 5,
        "new_candidate_recall": 1 / 3,
        "repeat_candidate_recall": 1 / 2,
    }
    alone = task(new_alone=True).evaluate(ByScore().fit(X, y), Dataset(X, y))
    assert alone.metrics["recall_5"] == found.metrics["new_recall_5"]
    assert len(alone.y) == 4


def test_options_that_change_the_question_change_its_name() -> None:
    defaults = {"horizon_days": 28, "new_alone": False}
    assert task().suffix(defaults) == ""
    assert replace(task(True), horizon_days=14).suffix(defaults) == "_new_14d"
    assert task().target != task(True).target


# What is shown


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    folder = tmp_path_factory.mktemp("store")
    store = Store(folder)
    store.sell(sales_of_baskets(customers=40))
    return store.open(folder)


def test_a_list_holds_each_product_once_with_place_name_and_reason(shop: Shop) -> None:
    day = date(2019, 12, 1)
    X = shop.features(
        ["own_frequency", "ease", "own_orders", "product_recent_buyer_share"], [day], Recommendation.grain
    )
    scores = pd.DataFrame({SCORE: Hybrid().fit(X, None).predict(X)}, index=X.index.droplevel("cutoff"))
    lists = Recommendation.lists("recommendation", scores, shop, day)
    assert lists.index.is_unique
    assert lists["product"].notna().all()
    assert (lists["reason"].str.len() > 10).all()
    of = lists.groupby(level="customer_id")
    assert (of["place"].apply(list) == of.size().map(lambda n: list(range(1, n + 1)))).all()
    assert of.size().max() == 10
    assert (of[SCORE].apply(lambda own: own.is_monotonic_decreasing)).all()
    bought = shop.engine.frame(shop.tables.as_of(day).transactions.select("customer_id", "product_id").distinct())
    bought = pd.MultiIndex.from_frame(bought)
    is_own = lists["reason"].str.startswith(("every ", "bought once"))
    assert lists["reason"].str.contains("times as often as chance", regex=False).any()
    assert set(lists.index[is_own]) == set(lists.index) & set(bought)
    new = Recommendation.lists("recommendation_new_14d", scores, shop, day)
    assert not set(new.index) & set(bought)

    view = Recommendation.customer_view(lists)
    first = lists[lists["place"] == 1].reset_index("product_id")
    assert view["product_1"].to_dict() == first["product_id"].to_dict()
    assert view["product_1_reason"].to_dict() == first["reason"].to_dict()
    assert view["product_1_name"].str.contains(" ").all()
    plain = Recommendation.customer_view(scores)
    pd.testing.assert_frame_equal(plain, view[list(plain)])
    assert view[[f"product_{n}_score" for n in range(1, 6)]].T.apply(lambda own: own.is_monotonic_decreasing).all()


def test_the_section_counts_products_and_shows_why() -> None:
    index = pd.Index(["a", "b", "c"], name="customer_id")
    view = pd.DataFrame(index=index)
    for n, (products, why) in enumerate(
        [(["p1", "p1", None], "every 7 days, last on 2017-12-03"), (["p2", None, None], "bought by customers")], 1
    ):
        view[f"product_{n}_new"] = pd.array(products, dtype="string")
        view[f"product_{n}_score_new"] = 1.0
        view[f"product_{n}_name_new"] = pd.array([p and f"name of {p}" for p in products], dtype="string")
        view[f"product_{n}_reason_new"] = pd.array([p and why for p in products], dtype="string")
    for n in (3, 4, 5):
        for ending in ("", "_name", "_reason"):
            view[f"product_{n}{ending}_new"] = pd.array([None] * 3, dtype="string")
    parts = recommendation_parts(view, "_new", "EASE (shop, version 1)", "")
    (lead,) = (part.text for part in parts if isinstance(part, Text) and part.kind == "lead")
    assert lead.startswith("2 of 3 customers have a list of products to offer next (EASE (shop, version 1)). 66.7% of")
    (table,) = (part.frame for part in parts if isinstance(part, Table))
    assert table["customers"].to_dict() == {"p1": 2, "p2": 1}
    assert table.loc["p1", ["name", "in first place", "a reason"]].tolist() == [
        "name of p1",
        2,
        "every 7 days, last on 2017-12-03",
    ]
    with pytest.raises(InputError, match="no customer has a recommendation"):
        recommendation_parts(view.assign(product_1_new=None, product_2_new=None), "_new", "m", "")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("asked", "score", "file", "length"),
    [
        ("task=recommendation", SCORE, "recommendations", 10),
        ("experiment=new_products", f"{SCORE}_new", "recommendations", 10),
        ("experiment=basket_completion", "completion_score", "basket_completions", 5),
    ],
)
def test_every_command_takes_a_task_of_lists(
    asked: str,
    score: str,
    file: str,
    length: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Tuned, judged, scored, served and audited on a simulated store; what is served is what is scored."""
    import mlflow
    from mlflow.pyfunc import scoring_server

    from experiments import open_session
    from experiments.commands import main
    from experiments.gate.circularity import audit_task
    from experiments.workflow.audit import cutoffs_of, limits_of
    from experiments.workflow.serve import serve
    from features.tampering import Tamperer

    monkeypatch.chdir(tmp_path)
    (tmp_path / "raw").mkdir()
    Store(tmp_path / "raw").sell(sales_of_baskets(customers=130))
    given = [
        "data.path=raw",
        asked,
        "tuning.n_trials=2",
        "evaluation.n_resamples=100",
        "evaluation.min_history_days=200",
        "task.minimum.positives=10",
    ]
    given += ["evaluation.part_cutoffs=2", "evaluation.training_step_days=28"] if "basket" in asked else []
    for command in (["tune"], ["promote"], ["score"], ["report", "report.sections=[recommendation]"]):
        assert main.run([*command, "data=merchandise_store", *given]) == 0, capfd.readouterr().err
    session = open_session(data="merchandise_store", overrides=given)
    lists = pd.read_parquet(session.outputs / f"{file}.parquet")
    key = list(session.task.grain.key)
    assert not lists.duplicated(key).any()
    assert lists.groupby(key[:-1]).size().max() == length
    assert lists["reason" if score == SCORE or "basket" in asked else "reason_new"].notna().all()

    customer = str(lists["customer_id"].iloc[0])
    capfd.readouterr()
    assert main.run(["request", "data=merchandise_store", *given, f"customer={customer}"]) == 0
    body = capfd.readouterr().out
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path}/mlflow.db")
    model = mlflow.pyfunc.load_model(f"models:/{session.registered_name}@champion")
    answer = scoring_server.invocations(body, "application/json", model, model.metadata.get_input_schema())
    assert answer.status == 200, answer.response
    rows = json.loads(body)["dataframe_split"]
    served = pd.DataFrame(rows["data"], columns=rows["columns"])[key]
    served["served"] = [each[score.removesuffix("_new")] for each in json.loads(answer.response)["predictions"]]
    both = lists[lists["customer_id"] == customer].merge(served, on=key)
    assert len(both) == (lists["customer_id"] == customer).sum()
    np.testing.assert_allclose(both["served"], both[score], rtol=1e-9)

    of_all = serve(session)
    assert of_all.checked == 130
    assert (session.question in of_all.manifest["components"]) == (file == "recommendations")
    assert (session.question in of_all.manifest["left_out"]) == (file == "basket_completions")

    shop, limits = session.judged_shop, limits_of(session.config.audit)
    tamperer = Tamperer(shop.tables, shop.engine, tmp_path)
    findings = list(audit_task(session.task, shop, session.features, tamperer, cutoffs_of(session)[-1:], limits))
    assert not [finding for finding in findings if finding.fails]
    assert "clean" in {finding.finding for finding in findings}
