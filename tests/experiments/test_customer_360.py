"""customer_360 as one served model: requests read strictly, places among the day's customers, equal to the batch."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import hypothesis.strategies as st
import mlflow
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from mlflow.exceptions import MlflowException
from mlflow.pyfunc import scoring_server
from test_serving import post, server

from baskets import sales_of_baskets
from experiments import open_session
from experiments.description.groups import cut
from experiments.description.tiers.scores import levels
from experiments.models.recommenders import POPULARITY, ByScore, Hybrid
from experiments.serving import component
from experiments.serving.answers import Answers, open_answers
from experiments.serving.component import Component
from experiments.serving.customers import Customers
from experiments.serving.request import Request
from experiments.tracking.registry import Registry
from experiments.tracking.requests import RequestError
from experiments.workflow import serve as workflow
from experiments.workflow.description import CustomerMaterial
from experiments.workflow.promote import promote_by_hand, retire
from experiments.workflow.score import prepare, score, scoring_day
from experiments.workflow.serve import check_equal, request_of, serve
from experiments.workflow.session import Session
from features import affinity
from features.candidates import CANDIDATES
from features.errors import InputError
from features.live import ShopFacts
from merchandise_store import Store, sales_of_a_year

SCHEMA = pa.schema(
    {
        "order_id": pa.string(),
        "line_number": pa.int64(),
        "customer_id": pa.string(),
        "timestamp": pa.timestamp("us"),
        "amount": pa.decimal128(18, 4),
        "quantity": pa.decimal128(18, 6),
    }
)
GOOD = {"order_id": "o1", "customer_id": "c1", "timestamp": "2020-02-03 10:00:00", "amount": 12.5}
TABLES = ["transactions", "returns"]


def read(*rows: dict[str, Any]) -> pa.Table:
    body = json.dumps({"inputs": {"transactions": list(rows)}})
    return Request.of_json(body, TABLES).tables["transactions"].read(SCHEMA, "America/New_York")


# Requests


def test_lines_become_canonical_rows_whose_missing_columns_are_null() -> None:
    found = read(GOOD, {**GOOD, "customer_id": "c1", "timestamp": "2020-02-03", "amount": "0.1"}).to_pylist()
    assert [row["line_number"] for row in found] == [1, 2]
    assert [str(row["amount"]) for row in found] == ["12.5000", "0.1000"]
    assert found[0]["quantity"] is None
    assert str(found[1]["timestamp"]) == "2020-02-03 00:00:00"


def test_a_moment_with_its_distance_from_utc_becomes_the_shops_own() -> None:
    (found,) = read({**GOOD, "timestamp": "2020-02-03T03:00:00+00:00"}).to_pylist()
    assert str(found["timestamp"]) == "2020-02-02 22:00:00"


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        ("amount", "12,50", "'12,50'; expected a number of at most 14 digits before the point and 4 after it"),
        ("amount", 0.00001, "1e-05; expected a number"),
        ("amount", -1, "-1; expected at least 0: money"),
        ("amount", None, "null or missing; expected a value: money"),
        ("amount", True, "True; expected a number"),
        ("amount", [1], "a list; expected a number"),
        ("amount", "1" * 400, "expected a number"),
        ("timestamp", "03.02.2020", "'03.02.2020'; expected a moment in the shop's time zone"),
        ("timestamp", "2020-02-30", "expected a moment"),
        ("timestamp", "0001-01-01", "of the years 1900 to 2999"),
        ("timestamp", 1580724000, "1580724000; expected a moment"),
        ("customer_id", "", "null or missing; expected a value: customer who bought"),
        ("customer_id", 1.5, "1.5; expected a text, or a whole number"),
        ("quantity", "two", "'two'; expected a number"),
    ],
)
def test_a_bad_value_is_named_with_line_column_and_what_was_expected(column: str, value: Any, said: str) -> None:
    with pytest.raises(RequestError) as refused:
        read(GOOD, {**GOOD, "order_id": "o2", column: value})
    assert f"transactions, line 2: {column} is " in str(refused.value)
    assert said in str(refused.value)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("[", "not valid JSON"),
        ("{}", "one of the keys inputs, dataframe_records, dataframe_split"),
        ('{"inputs": {"sales": []}}', "'sales' is not a table that can be sent"),
        ('{"inputs": {"transactions": 3}}', "transactions must be a list of objects"),
        ('{"inputs": {"transactions": [{"amuont": 3}]}}', "no column 'amuont'. did you mean 'amount'?"),
        ('{"inputs": {"transactions": [{"amount": 3}]}}', "lacks the column order_id"),
        (
            '{"inputs": {"transactions": {"columns": ["amount"], "data": [[1, 2]]}}}',
            "transactions, line 1: it has 2 values; expected 1",
        ),
        ('{"inputs": {"transactions": []}, "params": {"as_of": "yesterday"}}', "as_of is 'yesterday'; expected a day"),
        ('{"inputs": {"customer_ids": [null]}}', "customer_ids, entry 1 is None"),
    ],
)
def test_a_bad_request_says_what_it_should_be(body: str, said: str) -> None:
    with pytest.raises(RequestError) as refused:
        Request.of_json(body, TABLES).tables["transactions"].read(SCHEMA, "UTC")
    assert said in str(refused.value)


def test_a_key_on_two_lines_and_an_order_of_two_customers_are_refused() -> None:
    with pytest.raises(RequestError, match="line 2: order_id 'o1', line_number 7 is on line 1 too"):
        read({**GOOD, "line_number": 7}, {**GOOD, "line_number": 7})
    with pytest.raises(RequestError, match="line 2: customer_id is 'c2'; expected 'c1', whose order 'o1' is on line 1"):
        read(GOOD, {**GOOD, "customer_id": "c2"})


def test_csv_and_records_are_read_as_inputs_are() -> None:
    text = ",".join(GOOD) + "\n" + ",".join(map(str, GOOD.values()))
    records = Request.of_json(json.dumps({"dataframe_records": [GOOD]}), TABLES)
    for request in (Request.of_csv(text), records):
        assert request.tables["transactions"].read(SCHEMA, "UTC").equals(read(GOOD))
    with pytest.raises(RequestError, match="line 1: it has 5 values; expected 4"):
        Request.of_csv(text + ",1")


# Places among the customers of a day


def test_part_of_the_customers_is_placed_among_all_as_all_are_together() -> None:
    rng = np.random.default_rng(0)
    values = pd.DataFrame({"days": rng.integers(0, 50, 400), "value": rng.lognormal(0, 1, 400)}).astype(float)
    whole, part = levels(values, ["days"], 4), values.iloc[::9]
    known = pd.DataFrame({name: np.sort(values[name]) for name in values})
    pd.testing.assert_frame_equal(levels(part, ["days"], 4, known), whole.loc[part.index])
    score = whole.mean(axis=1)
    tier = cut(score, ["a", "b", "c"], [0.2, 0.5])
    pd.testing.assert_series_equal(
        cut(score.loc[part.index], ["a", "b", "c"], [0.2, 0.5], among=score.to_numpy()), tier.loc[part.index]
    )


def test_a_stranger_beyond_all_known_values_has_the_best_or_the_worst_place() -> None:
    known = pd.DataFrame({"value": [1.0, 2.0, 3.0, 4.0]})
    strangers = pd.DataFrame({"value": [0.5, 2.5, 9.0]})
    assert levels(strangers, [], 4, known)["value"].tolist() == [1, 2, 4]
    assert cut(strangers["value"], ["a", "b"], [0.5], among=known["value"].to_numpy()).tolist() == ["b", "a", "a"]


# A shop without champions: features, tiers and stages


def answers_of(session: Session, folder: Path) -> tuple[Answers, Any, Any]:
    """Write the parts of a shop without champions; return what answers, and the batch."""
    day = scoring_day(session)
    rows, scorer = prepare(session, day, {}, CustomerMaterial(session, day).described)
    workflow._parts(session, day, {}, scorer, session.task.horizon_days).write(folder)
    return open_answers(folder), rows, scorer


@pytest.fixture(scope="module")
def store_answers(tmp_path_factory: pytest.TempPathFactory) -> tuple[Session, Path, Any, Any]:
    folder = tmp_path_factory.mktemp("store")
    (folder / "raw").mkdir()
    Store(folder / "raw").sell(sales_of_a_year(240))
    session = open_session(data="merchandise_store", folder=folder, overrides=[f"data.path={folder / 'raw'}"])
    _, rows, scorer = answers_of(session, folder / "parts")
    return session, folder / "parts", rows, scorer


@pytest.mark.slow
def test_a_merchandise_store_is_answered_as_the_batch_is_bit_by_bit(
    store_answers: tuple[Session, Path, Any, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    session, parts, rows, scorer = store_answers
    assert check_equal(session, parts, rows, scorer) == 200
    columns = workflow.TierPlaces.columns

    def nearly(self: workflow.TierPlaces, X: pd.DataFrame) -> pd.DataFrame:
        return columns(self, X).assign(tier_score=lambda placed: np.nextafter(placed["tier_score"], 9))

    monkeypatch.setattr(workflow.TierPlaces, "columns", nearly)
    with pytest.raises(InputError, match="does not answer as the batch does"):
        check_equal(session, parts, rows, scorer)


@pytest.mark.slow
def test_a_customer_is_answered_alone_as_among_others_and_later_days_are_asked_for(
    store_answers: tuple[Session, Path, Any, Any],
) -> None:
    session, parts, _, scorer = store_answers
    answers = open_answers(parts)
    tables = answers.customers.tables
    body = request_of(session, ["3", "5"], tables, scorer.as_of)
    both = {row["customer_id"]: row for row in answers.of_json(json.dumps(body))["customers"]}
    alone = answers.of_json(json.dumps(request_of(session, ["5"], tables, scorer.as_of)))
    assert alone["customers"] == [both["5"]]
    assert {"tier", "tier_score", "value_tier", "stage", "p_alive", "total_spend"} <= both["5"].keys()
    assert "clv" not in both["5"]
    assert alone["manifest"]["left_out"]["clv"] == "no champion"
    later = answers.of_json(json.dumps({**body, "params": {"as_of": "2020-02-01"}}))["customers"][0]
    assert later["days_since_last_purchase"] == both["3"]["days_since_last_purchase"] + 31
    with pytest.raises(RequestError, match="as_of is 2019-06-01; expected 2020-01-01 or later"):
        answers.of_json(json.dumps({**body, "params": {"as_of": "2019-06-01"}}))


@pytest.mark.slow
def test_customers_without_rows_are_answered_from_the_scored_file(
    store_answers: tuple[Session, Path, Any, Any], tmp_path: Path
) -> None:
    _, parts, _, _ = store_answers
    answers = open_answers(parts)
    with pytest.raises(RequestError, match="the model names no scored file"):
        answers.of_objects({"customer_ids": ["3"]}, None)
    file = tmp_path / "customer_360.parquet"
    pd.DataFrame({"customer_id": ["3", "4"], "clv": [1.5, None]}).to_parquet(file)
    answers.customers.parts = dataclasses.replace(answers.customers.parts, scores=str(file))
    found = answers.of_objects({"customer_ids": ["4"]}, None)["customers"]
    assert found == [{"customer_id": "4", "clv": None, "answered_from": "scores"}]
    with pytest.raises(RequestError, match="entry 1: '9' is not in the scored file"):
        answers.of_objects({"customer_ids": ["9"]}, None)


# Lines in the shop's own columns


@pytest.fixture(scope="module")
def own_shop(tmp_path_factory: pytest.TempPathFactory) -> tuple[Answers, pd.DataFrame]:
    """A shop of one German file, without products, and its lines."""
    folder = tmp_path_factory.mktemp("own")
    lines = [line.split(",") for line in sales_of_a_year(60)]
    frame = pd.DataFrame(
        {
            "Bestellung": [line[1] for line in lines],
            "Kunde": [f"K{line[0]}" for line in lines],
            "Datum": [f"{line[2][6:]}.{line[2][4:6]}.{line[2][:4]}" for line in lines],
            "Betrag": [line[7].replace(".", ",") for line in lines],
        }
    )
    frame.to_csv(folder / "umsatz.csv", sep=";", index=False)
    lines = "data.tables.transactions"
    chosen = [
        "evaluation.n_resamples=50",
        "data.shop=laden",
        "data.currency=EUR",
        "data.timezone=Europe/Berlin",
        f"data.path={folder}",
    ]
    chosen += [f"{lines}.path=umsatz.csv", f"++{lines}.delimiter=';'", f"++{lines}.decimal=','"]
    chosen += [f"{lines}.date_format='%d.%m.%Y'", f"~{lines}.columns"]
    chosen += [f"+{lines}.columns={{order_id: Bestellung, customer_id: Kunde, timestamp: Datum, amount: Betrag}}"]
    session = open_session(data="files", folder=folder, overrides=chosen)
    answers, rows, scorer = answers_of(session, folder / "parts")
    assert check_equal(session, folder / "parts", rows, scorer) == 60
    return answers, frame


def test_lines_in_the_shops_own_columns_give_the_answer_of_canonical_ones(
    own_shop: tuple[Answers, pd.DataFrame],
) -> None:
    answers, frame = own_shop
    own = frame[frame["Kunde"] == "K8"]
    canonical = pd.DataFrame(
        {
            "order_id": own["Bestellung"],
            "customer_id": own["Kunde"],
            "timestamp": pd.to_datetime(own["Datum"], format="%d.%m.%Y").dt.strftime("%Y-%m-%d"),
            "amount": own["Betrag"].str.replace(",", "."),
        }
    )
    found = answers.of_objects(own.assign(Filiale="Nord"), None)
    assert found["customers"] == answers.of_objects(canonical, None)["customers"]
    nobody = pd.concat([own, own.iloc[:1].assign(Kunde=None, Bestellung="X1")])
    assert answers.of_objects(nobody, None)["lines_left_out_by_rules"] == {"missing_customer_id": 1}


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        ("Betrag", "12.50 EUR", "line 2: Betrag is '12.50 EUR'; expected numbers with the decimal mark ','"),
        ("Betrag", 12.5, "line 2: Betrag is 12.5; expected a text, as in the shop's file"),
        ("Betrag", "-3,00", "line 2: the amount is below 0; expected no such line"),
        ("Datum", "2019-02-30", "line 2: Datum is '2019-02-30'; expected times written as date_format"),
    ],
)
def test_a_bad_value_of_an_own_column_is_named_as_the_file_names_it(
    own_shop: tuple[Answers, pd.DataFrame], column: str, value: Any, said: str
) -> None:
    answers, frame = own_shop
    rows = frame[frame["Kunde"] == "K8"].head(3).to_dict("records")
    rows[1][column] = value
    with pytest.raises(RequestError) as refused:
        answers.of_json(json.dumps({"dataframe_records": rows}))
    assert said in str(refused.value)


def test_a_column_of_the_file_that_is_missing_is_named_with_its_meaning(
    own_shop: tuple[Answers, pd.DataFrame],
) -> None:
    answers, frame = own_shop
    with pytest.raises(RequestError, match="lacks the column 'Datum', which is timestamp"):
        answers.of_objects(frame.drop(columns="Datum").head(3), None)


def test_the_text_that_reads_own_columns_lists_none_in_an_order_that_processes_draw(
    own_shop: tuple[Answers, pd.DataFrame],
) -> None:
    reading = own_shop[0].customers.parts.reading
    assert reading is not None
    assert "EXCLUDE" not in reading.query  # of Table.drop, from a set


def test_a_shop_that_reads_no_own_columns_says_why(own_shop: tuple[Answers, pd.DataFrame]) -> None:
    answers, frame = own_shop
    parts = dataclasses.replace(answers.customers.parts, reading=None)
    with pytest.raises(RequestError, match=r"no column 'Bestellung': .* canonical columns, as it merges ids"):
        Answers(Customers(parts)).of_objects(frame.head(3), None)


# Products


@pytest.fixture(scope="module")
def offering(tmp_path_factory: pytest.TempPathFactory) -> tuple[Session, Path, Any, Any]:
    """A shop whose products have odd names, with a recommender that nobody registered; its parts, and the batch."""
    folder = tmp_path_factory.mktemp("offering")
    (folder / "raw").mkdir()
    lines = [line.replace("Drinks 0", '"Tea, ""loose"" 🍵"') for line in sales_of_baskets(customers=36)]
    Store(folder / "raw").sell(lines)
    session = open_session(data="merchandise_store", folder=folder, overrides=[f"data.path={folder / 'raw'}"])
    day = scoring_day(session)
    names = ["own_frequency", "ease", "factors", "decayed_neighbours", "frequency", POPULARITY]
    X = session.shop.features(names, [day], CANDIDATES)
    model = {
        "": Hybrid().fit(X, None),
        "_new": ByScore("decayed_neighbours").fit(X, None),
    }
    champions = {
        f"recommendation{suffix}": Component(
            question=f"recommendation{suffix}",
            name=f"shop-recommendation{suffix}",
            number=1,
            tags={"task": "recommendation", "horizon_days": "28", "population": "buyers", "verdict": "weak"},
            features=names,
            outputs=["recommendation_score"],
            allowed=[],
            model=own,
        )
        for suffix, own in model.items()
    }
    rows, scorer = prepare(session, day, champions)  # type: ignore[arg-type]  # of a component it reads what a version has
    parts = workflow._parts(session, day, {}, scorer, session.task.horizon_days)
    parts = dataclasses.replace(parts, components=[*champions.values()], goods=workflow._goods(session, day))
    facts = ShopFacts.of(session.shop.tables, list(dict.fromkeys([*parts.features, *names])))
    dataclasses.replace(parts, tiers=None, stages=None, facts=facts).write(folder / "parts")
    return session, folder / "parts", rows, scorer


def test_products_with_score_name_and_reason_are_those_of_the_batch_bit_by_bit(
    offering: tuple[Session, Path, Any, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    session, parts, rows, scorer = offering
    assert check_equal(session, parts, rows, scorer) == 36
    answers = open_answers(parts)
    ids = [str(n) for n in range(36)]
    body = request_of(session, ids, answers.customers.tables, scorer.as_of)
    found = pd.DataFrame(answers.of_json(json.dumps(body))["customers"]).set_index("customer_id")
    assert {
        f"product_{n}{end}{of}"
        for n in range(1, 6)
        for end in ("", "_score", "_name", "_reason")
        for of in ("", "_new")
    } <= {*found}
    said = pd.concat([found[f"product_{n}_reason"] for n in range(1, 6)])
    assert said.str.startswith("every ").any()
    assert said.str.contains("times as often as chance").any()
    assert any('Tea, "loose" 🍵' in str(value) for value in found.to_numpy().ravel())
    assert (found["recommendation_new_model"] == "shop-recommendation_new/1").all()
    alone = answers.of_json(json.dumps(request_of(session, ["7"], answers.customers.tables, scorer.as_of)))
    assert pd.Series(alone["customers"][0]).drop("customer_id").equals(found.loc["7"])
    reasons = affinity.Reasons.of_customers
    monkeypatch.setattr(affinity.Reasons, "of_customers", lambda *given: reasons(*given) + ".")
    with pytest.raises(InputError, match="product_1_reason of customer 0"):
        check_equal(session, parts, rows, scorer)


def test_a_model_that_reads_a_network_is_left_out() -> None:
    def reads(*features: str) -> Any:
        return SimpleNamespace(tags={"task": "recommendation"}, has_current_code=True, features=features)

    assert workflow.why_left_out(reads("ease", "factors")) is None
    assert "network that makes its feature autoencoder" in str(workflow.why_left_out(reads("ease", "autoencoder")))


def test_unknown_products_are_counted_and_few_purchases_get_best_sellers(
    offering: tuple[Session, Path, Any, Any],
) -> None:
    _, parts, _, _ = offering
    answers = open_answers(parts)
    line = {"order_id": "o1", "customer_id": "new", "timestamp": "2019-12-30 10:00", "amount": 5}

    def asked(*products: str | None) -> dict[str, Any]:
        lines = [{**line, "line_number": n, "product_id": product} for n, product in enumerate(products, 1)]
        return answers.of_json(json.dumps({"inputs": {"transactions": lines}}))

    nothing, odd = asked(None), asked("D0", 'x, "y" 🍵', "'; drop table x")
    assert (nothing["lines_of_unknown_products"], odd["lines_of_unknown_products"]) == (0, 2)
    assert "best-sellers" in nothing["customers"][0]["product_1_reason"]
    assert odd["customers"][0] != nothing["customers"][0]
    assert asked("D0")["customers"][0]["product_1"] == odd["customers"][0]["product_1"]
    with pytest.raises(RequestError, match="who has no line before"):
        answers.of_json(json.dumps({"inputs": {"transactions": [{**line, "timestamp": "2020-03-01"}]}}))


# Served by MLflow


@pytest.fixture
def session(workspace: Path) -> Session:
    return open_session(data="cdnow", task="clv", folder=workspace, overrides=["experiment=clv_quick"])


@pytest.mark.slow
def test_customer_360_follows_its_champions_and_moves_only_when_its_values_are_the_batchs(
    session: Session, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    registry = Registry(session.client, "cdnow-customer_360")
    retire(session, "no such model is served yet")
    promote_by_hand(session, 1, "back again")
    assert registry.champion() is None
    first = serve(session)
    assert (first.number, first.is_new, first.checked) == (1, True, 200)
    assert first.manifest["components"]["clv"]["version"] == "cdnow-clv/1"
    assert first.manifest["left_out"].keys() >= {"repurchase", "segmentation"}
    assert not serve(session).is_new
    retire(session, "found worse")
    champion = registry.champion()
    assert champion is not None
    assert (champion.number, json.loads(champion.tags["components"])) == (2, {})
    scores = component.Component.scores
    with monkeypatch.context() as patch:
        patch.setattr(component.Component, "scores", lambda self, X: np.nextafter(scores(self, X), np.inf))
        promote_by_hand(session, 1, "back again")
    champion = registry.champion()
    assert champion is not None
    assert champion.number == 2
    assert "cdnow-customer_360 stays at version 2: customer_360 does not answer as the batch does" in caplog.text
    assert serve(session).number == 3
    assert [version.question for version in workflow._champions(session).values()] == ["clv"]


@pytest.fixture
def served_body(session: Session) -> tuple[Session, dict[str, Any]]:
    """The session of a shop whose customer_360 is served, and a request for three customers."""
    serve(session)
    some = list(pd.read_parquet(score(session).path)["customer_id"][100:103])
    return session, request_of(session, some, ["transactions"], str(scoring_day(session)))


@pytest.mark.slow
def test_a_server_answers_rows_with_the_batchs_values(served_body: tuple[Session, dict[str, Any]]) -> None:
    session, body = served_body
    batch = pd.read_parquet(score(session).path).set_index("customer_id")
    command = ("models", "serve", "-m", "models:/cdnow-customer_360@champion", "--env-manager", "local")
    mlflow.set_tracking_uri(f"sqlite:///{session.folder}/mlflow.db")
    with server(session.folder, *command, answers="/ping") as address:
        status, answer = post(address, body)
        assert status == 200, answer
        for row in answer["predictions"]["customers"]:
            expected = batch.loc[row["customer_id"]]
            assert {name: row[name] for name in ("clv", "tier", "stage", "total_spend", "p_alive")} == {
                name: expected[name] for name in ("clv", "tier", "stage", "total_spend", "p_alive")
            }
        body["inputs"]["transactions"]["data"][1][3] = "soon"
        status, answer = post(address, body)
        assert status == 400
        assert "transactions, line 2: timestamp is 'soon'; expected a moment" in answer["message"]


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
TIMES = st.datetimes().map(str) | st.dates().map(str) | st.sampled_from(["2019-02-30", "NaT", "1998-06-31", "now"])
NUMBERS = st.sampled_from(["1e999", "-0", "Infinity", "nan", "１２", "1_000", "0x1", "1e-30", " 5 ", "9" * 30])


@st.composite
def spoiled(draw: st.DrawFn, good: str) -> bytes:
    """A request in which something is another thing: a value, a row, a column, a table, a part or a byte."""
    body = json.loads(good)
    table = body["inputs"]["transactions"]
    kind = draw(st.sampled_from(["value", "row", "column", "table", "part", "day", "byte", "body"]))
    value = draw(JSON_VALUES | TIMES | NUMBERS)
    row = draw(st.integers(0, len(table["data"]) - 1))
    if kind == "value":
        table["data"][row][draw(st.integers(0, len(table["columns"]) - 1))] = value
    elif kind == "row":
        table["data"][row] = value
    elif kind == "column":
        table["columns"][draw(st.integers(0, len(table["columns"]) - 1))] = value
    elif kind == "table":
        body["inputs"][draw(st.sampled_from(["transactions", "customer_ids", "returns", "x"]))] = value
    elif kind == "part":
        body[draw(st.sampled_from(["inputs", "params", "dataframe_split", "instances"]))] = value
    elif kind == "day":
        body["params"] = {"as_of": value}
    text = json.dumps(body).encode()
    if kind == "byte":
        at = draw(st.integers(0, len(text) - 1))
        text = text[:at] + draw(st.binary(max_size=3)) + text[at + 1 :]
    return draw(st.binary(max_size=200)) if kind == "body" else text


def status_of(text: bytes, kind: str, model: Any) -> tuple[int, str]:
    """Return the status and the words of the scoring server's answer."""
    try:
        answer = scoring_server.invocations(text, kind, model, None)
    except MlflowException as refused:
        return refused.get_http_status_code(), refused.message
    json.loads(answer.response)
    return answer.status, ""


@pytest.mark.slow
def test_a_thousand_spoiled_requests_are_answered_or_refused_in_words_and_never_fail(
    served_body: tuple[Session, dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    session, body = served_body
    body["inputs"]["transactions"]["data"] = body["inputs"]["transactions"]["data"][:3]
    monkeypatch.setattr(scoring_server, "invocations", scoring_server.invocations)  # put back afterwards
    mlflow.set_tracking_uri(f"sqlite:///{session.folder}/mlflow.db")
    model = mlflow.pyfunc.load_model("models:/cdnow-customer_360@champion")
    seen: list[int] = []

    @settings(max_examples=1200, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
    @given(spoiled(json.dumps(body)), st.sampled_from(["application/json", "application/json", "text/csv"]))
    def asked(text: bytes, kind: str) -> None:
        status, message = status_of(text, kind, model)
        assert "the server's log says why" not in message, (text, message)
        seen.append(status)

    asked()
    assert len(seen) >= 1000
    assert set(seen) == {200, 400}


@pytest.mark.slow
def test_spoiled_lines_of_products_are_answered_or_refused_in_words(offering: tuple[Session, Path, Any, Any]) -> None:
    session, parts, _, scorer = offering
    answers = open_answers(parts)
    body = request_of(session, ["7"], answers.customers.tables, scorer.as_of)
    body["inputs"]["transactions"]["data"] = body["inputs"]["transactions"]["data"][:3]
    seen: list[bool] = []

    @settings(max_examples=500, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
    @given(spoiled(json.dumps(body)))
    def asked(text: bytes) -> None:
        try:
            json.dumps(answers.of_json(text.decode("utf-8")), allow_nan=False)
            seen.append(True)
        except (RequestError, UnicodeDecodeError):
            seen.append(False)

    asked()
    assert min(sum(seen), len(seen) - sum(seen)) > 20
