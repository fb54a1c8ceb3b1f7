"""`experiments report`: the whole page on a shop of transactions alone; a section that fails costs no other."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from dataclasses import replace
from html import unescape
from pathlib import Path

import pandas as pd
import pytest
from mlflow import MlflowClient

from experiments import open_session
from experiments.description.purchasing import section as behaviour
from experiments.reports.section import Section, Table, Text
from experiments.workflow import material
from experiments.workflow.report import Draft
from experiments.workflow.sections import choose, find_writers, joined, written
from features.errors import InputError
from small_task import SmallTask
from workplace import QUICK

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.mark.slow
def test_a_report_has_every_section_and_is_kept_in_mlflow(run: Run, workspace: Path) -> None:
    quick = ["as_reported.n_seeds=2", "as_reported.n_splits=2", "as_reported.most_clusters=5"]
    done = run("report", *QUICK, *quick, "output=pages/it.html")
    html = (workspace / "pages" / "it.html").read_text()
    assert "pages/it.html" in done.stdout
    titles = re.findall(r'<section id="(\w+)"><h2>(.*?)</h2>', html)
    found = [(name, unescape(title)) for name, title in titles]
    assert found == [
        ("lists", "What to do now"),
        ("changes", "What changed"),
        ("verdicts", "Model results"),
        ("tiers", "Customer tiers"),
        ("personas", "Personas"),
        ("behaviour", "Purchasing behaviour"),
        ("hypotheses", "Hypotheses"),
        ("value", "Expected value"),
        ("return", "Return probability"),
        ("next_purchase", "Next purchase"),
        ("lifecycle", "Lifecycle"),
        ("as_reported", "Case study, reproduced"),
    ]
    without_products = {"recommendation", "propensity"}  # CDNOW's lines name none
    assert {name for name, _ in found} == {writer.name for writer in find_writers()} - without_products
    assert "Left out: category needs" not in html, "a habit that needs a table costs the persona a sentence, no more"
    for said in (
        "VIP",
        "At Risk",
        "Expected spend, strong",
        "of the revenue before",
        "in the sealed window its total was",
    ):
        assert said.lower() in html.lower()
    for said in (
        "How right it was in the sealed window",
        "the share that the customers ranked first bring",
        "<dt>baseline",
    ):
        assert said in html
    client = MlflowClient(f"sqlite:///{workspace}/mlflow.db")
    runs = client.search_runs([client.get_experiment_by_name("cdnow-report").experiment_id])
    studies = {run.data.tags["case_study"]: run for run in runs if "case_study" in run.data.tags}
    assert {name: run.data.tags["circular"] for name, run in studies.items()} == {
        "segments": "true",
        "interval": "true",
    }
    assert {run.data.tags["promotable"] for run in studies.values()} == {"false"}
    assert studies["segments"].data.metrics["reproduced/surrogate_accuracy"] > 0.9
    assert not any("mlflow.log-model.history" in run.data.tags or run.outputs.model_outputs for run in runs)
    kept = next(run for run in runs if run.data.tags.get("kind") == "report")
    assert kept.info.status == "FINISHED"
    assert kept.data.params["clv"] == "cdnow-clv version 1"
    names = {
        file.path
        for folder in ("", "figures/tiers", "tables/tiers")
        for file in client.list_artifacts(kept.info.run_id, folder)
    }
    assert "it.html" in names
    assert any(name.startswith("figures/tiers/") for name in names)
    assert any(name.startswith("tables/tiers/") for name in names)


@pytest.mark.slow
def test_sections_that_read_no_model_are_written_before_there_is_one(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none_yet(*_: object, **__: object) -> None:
        pytest.fail("a model was asked for")

    monkeypatch.setattr(material, "find_champions", none_yet)
    overrides = ["experiment=clv_quick", "as_reported.parts=[products]"]
    draft = Draft(open_session(data="cdnow", folder=workspace, overrides=overrides))
    draft.write_ahead()
    early = {writer.name for writer in find_writers() if not writer.reads_models}
    assert {writer.name for writer in draft.written} == early
    assert early == {"tiers", "behaviour", "hypotheses", "value", "lifecycle", "as_reported"}


@pytest.mark.slow
def test_a_report_says_what_changed_since_the_last_one_of_an_earlier_day(workspace: Path) -> None:
    def written_on(day: str) -> tuple[str, pd.DataFrame]:
        overrides = ["experiment=clv_quick", "report.sections=[changes]", f"as_of={day}"]
        draft = Draft(open_session(data="cdnow", folder=workspace, overrides=overrides))
        html = draft.finish().read_text()
        (section,) = draft.written.values()
        return html, section.files(Table)["changes/figures"].frame.set_index(["kind", "name"])

    assert "This is the first report" in written_on("1998-06-01")[0]
    assert "This is the first report" in written_on("1998-06-01")[0], "one of the same day is not an earlier one"
    html, table = written_on("1998-07-01")
    assert "Today and on 1998-06-01" in html
    assert (table["change"] == table["now"] - table["1998-06-01"]).all()
    stages = table.loc["stage", "change"]
    assert stages.sum() == 0, "all customers of CDNOW bought long before"
    assert stages.any()


def test_two_tasks_write_one_section_together(monkeypatch: pytest.MonkeyPatch) -> None:
    def task(said: str) -> type[SmallTask]:
        write = classmethod(lambda kind, material: Section("shared", [Text(said)], "Shared"))
        return type(said, (SmallTask,), {"section_name": "shared", "section": write})

    monkeypatch.setattr(
        "experiments.workflow.sections.TASKS", {"a": task("first"), "b": task("second"), "c": SmallTask}
    )
    (section,) = joined(written(writer, None) for writer in choose(find_writers(), ["shared"]))
    assert [part.text for part in section.parts] == ["first", "second"]


def test_a_section_that_fails_costs_no_other(run: Run, workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(material: object) -> None:
        raise InputError("a category was seen once", where="behaviour", hint="look again")

    monkeypatch.setattr(behaviour, "BEHAVIOUR", replace(behaviour.BEHAVIOUR, write=refuse))
    done = run("report", *QUICK, "report.sections=[verdicts,behaviour,tiers]")
    html = (workspace / "outputs" / "cdnow" / "report.html").read_text()
    assert "behaviour is left out: a category was seen once" in done.stderr
    assert "Left out: a category was seen once" in html
    assert '<section id="behaviour"><h2>Purchasing behaviour</h2>' in html
    assert 'id="tiers"' in html


@pytest.mark.slow
def test_wrong_rules_of_groups_cost_only_the_sections_that_need_them(run: Run, workspace: Path) -> None:
    wrong_stage = "lifecycle.stages.lapsing.days_since_last_purchase=[70,119]"
    run("report", *QUICK, "report.sections=[tiers,value,lifecycle]", "tiers.value.cut_points=[0.5,0.2]", wrong_stage)
    html = (workspace / "outputs" / "cdnow" / "report.html").read_text()
    told = dict(re.findall(r'<section id="(\w+)">(.*?)</section>', html, re.DOTALL))
    assert "Left out" not in told["tiers"]
    assert "Left out: cut points do not rise" in told["value"]
    assert "Left out: customers with days_since_last_purchase between 59 and 70" in told["lifecycle"]
    run("report", *QUICK, "report.sections=[tiers,lifecycle]", "tiers.cut_points=[0.4,0.2,0.6,0.8]")
    html = (workspace / "outputs" / "cdnow" / "report.html").read_text()
    told = dict(re.findall(r'<section id="(\w+)">(.*?)</section>', html, re.DOTALL))
    assert "Left out: cut points do not rise" in told["tiers"]
    assert "Left out" not in told["lifecycle"]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("report.sections=[tires]", "did you mean 'tiers'"),
        ("output=report.pdf", "must end in .html"),
        ("output=mlflow.db/report.html", "cannot be written"),
        ("personas.min_cell=1", "at least 2"),
        ("report.languages=[kor]", "did you mean 'ko'"),
        ("report.hypotheses=[weekend]", "did you mean"),
    ],
)
def test_what_cannot_be_written_is_refused_before_any_work(run: Run, workspace: Path, wrong: str, said: str) -> None:
    assert said in run("report", *QUICK, wrong, code=2).stderr
    assert not (workspace / "outputs" / "cdnow" / "report.html").exists()
