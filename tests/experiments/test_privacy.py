"""Pseudonyms, consents and forgetting, on a shop from its file to its lists."""

from __future__ import annotations

import sqlite3
import subprocess
from collections.abc import Callable, Iterable
from contextlib import closing
from pathlib import Path

import pandas as pd
import pytest
import yaml

from experiments import open_session
from experiments.workflow.consent import allowed
from experiments.workflow.forget import forget
from experiments.workflow.session import Session
from features.sources.pseudonyms import KEY, Pseudonyms
from shop_database import database_config, script
from steady_shops import lines_of, steady_orders

SECRET = "a secret of the tests"
Run = Callable[..., subprocess.CompletedProcess[str]]


def holding(text: str, paths: Iterable[Path]) -> list[Path]:
    return [path for path in paths if path.is_file() and text.encode() in path.read_bytes()]


@pytest.mark.slow
def test_ids_are_in_no_file_those_without_consent_in_no_score_and_who_is_forgotten_nowhere(
    steady_shop: Callable[[pd.DataFrame], list[str]], run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(KEY, SECRET)
    lines = lines_of(steady_orders(seed=3, customers=300), 700)
    lines["customer"] = "quux-" + lines["customer"]
    people = pd.DataFrame({"customer": lines["customer"].unique(), "purpose": "marketing", "from": "2022-01-01"})
    people["until"] = ""
    people.loc[:9, "until"] = "2023-01-01"  # withdrew
    people.to_csv(tmp_path / "consents.csv", index=False)
    given = [*steady_shop(lines), "features=rfm", "privacy.pseudonymise=true"]
    columns = {"customer_id": "customer", "purpose": "purpose", "starts_at": "from", "ends_at": "until"}
    consents = [f"++data.tables.consents.columns.{column}={source}" for column, source in columns.items()]
    consents += [f"++data.tables.consents.path={tmp_path}/consents.csv", "++data.tables.consents.date_format=%Y-%m-%d"]
    given += consents
    run("train", "model=mbg_nbd", *given)
    run("promote", *given)
    told = run("score", "privacy.contact_purpose=marketing", *given).stdout
    assert f"10 of {len(people):,} without a consent to marketing" in told
    lists = pd.concat(map(pd.read_csv, (tmp_path / "outputs/s/lists").glob("*.csv")))
    own = Pseudonyms(SECRET)
    assert len(lists)
    assert not set(lists["customer_id"]) & set(own.of(people["customer"][:10]))
    made = [path for path in tmp_path.rglob("*") if path.suffix != ".csv" or "outputs" in path.parts]
    assert [path for path in made if path.name == "mlflow.db"]
    assert holding("quux-", made) == []

    customer = str(lines["customer"].iloc[0])
    (pseudonym,) = own.of([customer])
    by_id, by_pseudonym = (run("ask", f"customer={name}", *given).stdout for name in (customer, pseudonym))
    assert by_id == by_pseudonym
    told = run("ask", f"customer={people['customer'][3]}", "privacy.scoring_purpose=marketing", *given, code=2).stderr
    assert "has no consent to marketing" in told
    told = run("score", "privacy.scoring_purpose=marketing", *given).stdout
    assert f"{len(people) - 10:,} customers as of" in told
    assert "has a consent to 'post'" in run("score", "privacy.scoring_purpose=post", *given, code=2).stderr

    assert holding(pseudonym, tmp_path.rglob("*"))
    told = run("forget", f"customer={customer}", *given, code=1).stdout
    assert "s-clv version 1" in told
    assert "the shop's own tables still hold the customer (" in told
    steady_shop(lines[lines["customer"] != customer])
    remaining = pd.read_csv(tmp_path / "consents.csv")
    remaining[remaining["customer"] != customer].to_csv(tmp_path / "consents.csv", index=False)
    run("score", *given)
    assert holding(pseudonym, tmp_path.rglob("*")) == []
    assert f"there is nothing of customer {customer!r}" in run("forget", f"customer={customer}", *given).stdout


def test_who_is_forgotten_is_in_no_reading_of_a_database_under_any_id(tmp_path: Path) -> None:
    file = tmp_path / "shop.sqlite"
    config = database_config(f"sqlite:///{file}", rules={"undated_identity": "keep"})
    config["tables"]["identities"] = {"table": "links", "columns": {"id": "cookie", "customer_id": "account"}}
    (tmp_path / "conf/data").mkdir(parents=True)
    (tmp_path / "conf/data/s.yaml").write_text(yaml.safe_dump(config))

    def changed(*statements: str) -> Session:
        with closing(sqlite3.connect(file)) as connection, connection:
            for statement in statements:
                connection.execute(statement)
        return open_session(data="s", folder=tmp_path, config_dir=tmp_path / "conf")

    make = ["CREATE TABLE links (cookie TEXT, account TEXT)", "INSERT INTO links VALUES ('03', 'quux'), ('04', '05')"]
    session = changed(*script(), *make)
    assert session.shop.staged.customers == 16
    assert allowed(session, "03") == "quux"
    outputs = tmp_path / "outputs/s"
    outputs.mkdir(parents=True)
    pd.DataFrame({"customer_id": ["quux", "03", "05"], "clv": 1.0}).to_csv(outputs / "scores.csv", index=False)
    done = forget(session, "03")
    assert set(done.in_source) == {"identities", "transactions"}
    assert (outputs / "scores.csv").read_text() == "customer_id,clv\n05,1.0\n"
    assert not list((tmp_path / ".cache/s").rglob("*.parquet"))

    session = changed("DELETE FROM links WHERE cookie = '03'", "DELETE FROM lines WHERE customer = '03'")
    assert not forget(session, "quux").in_source  # the database is read again for this
    assert session.shop.staged.customers == 15
