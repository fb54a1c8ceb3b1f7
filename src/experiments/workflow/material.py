"""Material of one report: what its sections are made from, computed when first needed."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import date
from functools import cached_property
from typing import TYPE_CHECKING

import pandas as pd

from experiments.campaigns.lists import ContactList
from experiments.case_study.held_out import HeldOut
from experiments.description.changes.figures import Report, count, joined, of_list, read
from experiments.description.changes.section import CHANGES, FIGURES
from experiments.evaluation.importances import MOST_ROWS, drivers
from experiments.gate.decision_page import in_words
from experiments.gate.ledger import look_at
from experiments.gate.sealed import BASELINE, SEALED
from experiments.reports.material import Evaluated, InUse
from experiments.workflow.description import CustomerMaterial
from experiments.workflow.held_out import held_out
from experiments.workflow.lists import find_members, list_file, read_lists
from experiments.workflow.score import (
    blind_columns,
    find_champions,
    kind_of,
    output_path,
    own_columns,
    scored,
    scoring_day,
    verdicts,
)
from experiments.workflow.session import Session
from features.errors import InputError

if TYPE_CHECKING:
    from experiments.tracking.registry import Version
    from experiments.tracking.runs import Runs
    from experiments.tracking.store import MlflowClient

logger = logging.getLogger(__name__)

DRAWN = {
    "calibration": "quantile",
    "cumulative_gain": None,
    "perfect_gain": None,
    "profit": "customers_share",
    "reliability": "bin",
    "wait_calibration": "decile",
}  # tables that pictures are made from, with their index
OWN_PARAMS = ("as_of", "sections")  # of the run of a report; its others are the versions in use


def _without(hypothesis: object) -> object:
    """Return a declared hypothesis without what the case study reported of its own shop."""
    if not isinstance(hypothesis, Mapping):
        return hypothesis
    return {key: value for key, value in hypothesis.items() if key != "reported"}


def _drawn(runs: Runs, run_id: str, prefix: str) -> dict[str, pd.DataFrame]:
    """Return the tables of a run that pictures are made from, by their names without a prefix."""
    found = runs.tables(run_id, [f"{prefix}{name}" for name in DRAWN])
    named = {name.removeprefix(prefix): table for name, table in found.items()}
    return {name: table.set_index(index) if (index := DRAWN[name]) else table for name, table in named.items()}


def report_experiment(shop: str) -> str:
    """Return the name of the experiment of MLflow that keeps the reports of a shop."""
    return f"{shop}-report"


class ReportMaterial(CustomerMaterial):
    """Material of the sections of one report: see `reports.material.Material`, and what rooms add to it.

    Parameters
    ----------
    session : Session
    hypotheses : mapping of name to mapping
        As their files declare them.
    """

    def __init__(self, session: Session, hypotheses: Mapping[str, object]) -> None:
        super().__init__(session, scoring_day(session))
        self.hypotheses = hypotheses if session.shows_case_study else {n: _without(h) for n, h in hypotheses.items()}

    @cached_property
    def scores(self) -> pd.DataFrame:
        """customer_360 by today's champions, indexed customer_id; an InputError where there are none."""
        return scored(self.session, self.scoring)

    @cached_property
    def scoring(self) -> Mapping[str, Version]:
        """The versions in use that can score, by question; an InputError where there is none."""
        return find_champions(self.session)

    @cached_property
    def champions(self) -> Mapping[str, Version]:
        """The version in use of each question that has one; an InputError where there is none."""
        return find_champions(self.session, check=False)

    def question(self, names: Sequence[str]) -> str | None:
        own = [question for question, version in self.scoring.items() if version.tags["task"] in names]
        preferred = [self.session.question, *names, *own]
        return next((question for question in preferred if question in own), None)

    @cached_property
    def verdicts(self) -> Mapping[str, str]:
        return verdicts(self.champions)

    @property
    def client(self) -> MlflowClient:
        return self.session.client

    def in_use(self, question: str) -> InUse:
        from experiments.gate.results_section import in_use

        return in_use(self.champions[question], self.client)

    def evaluated(self, question: str) -> Evaluated | None:
        """Return tables of the look at the sealed window, with those of the best baseline; else those of validation."""
        from experiments.tracking.registry import Registry
        from experiments.tracking.runs import Runs

        version = self.champions[question]
        registry, runs = Registry(self.client, version.name), Runs(self.client, version.name)
        look = look_at(registry, version)
        if look is not None and (own := _drawn(runs, version.run_id, SEALED)):
            tables = {"in use": own}
            if not version.is_baseline and (rival := _drawn(runs, version.run_id, f"{SEALED}{BASELINE}")):
                tables[in_words(look.decision.nearest)] = rival
            return Evaluated(tables, f"sealed window from {look.entry['start']}")
        if own := _drawn(runs, version.run_id, ""):
            return Evaluated({"in use": own}, f"validation window from {version.tags.get('validated_from', 'then')}")
        return None

    def drivers(self, question: str) -> pd.DataFrame | None:
        version = self.champions[question]
        if not version.has_current_code:
            return None
        X = self.shop.features(version.features, [self.as_of])
        if len(X) > MOST_ROWS:
            X = X.sample(MOST_ROWS, random_state=self.session.config.evaluation.seed)
        contributions = version.estimator.contributions(X)
        return None if contributions is None else drivers(contributions, X)

    def held_out(self, question: str, rivals: Sequence[str] = ()) -> HeldOut | None:
        """Return a question's last validation window with predictions: see `workflow.held_out`."""
        try:
            version = self.scoring.get(question)
        except InputError:  # nothing is in use, as the sections of other tasks say
            return None
        return None if version is None else held_out(self.session, version, self.in_use(question), rivals)

    @cached_property
    def contact_lists(self) -> tuple[Sequence[tuple[ContactList, pd.DataFrame, str]], Sequence[str]]:
        """The lists of customers to contact with their members and files, and why others are left out."""
        blind = blind_columns(self.session, self.as_of, self.scoring)
        found, left_out = find_members(read_lists(self.session), self.scores.join(self.described), blind)
        customers = output_path(self.session)
        return [(each, members, str(list_file(customers, each))) for each, members in found], left_out

    @property
    def models(self) -> dict[str, str]:
        """The version in use of each question, by its name and number; none where nothing is in use yet."""
        try:
            return {task: f"{version.name} version {version.number}" for task, version in self.champions.items()}
        except InputError:
            return {}

    @cached_property
    def this_report(self) -> Report:
        """Lists, tiers and stages, as far as they are known, and the versions in use."""
        figures = []
        with suppress(InputError):  # nothing is in use yet
            for each, members, _ in self.contact_lists[0]:
                stake = each.stake(members)
                figures.append(of_list(each.title, stake.customers, stake.value, self.shop.staged.currency))
        figures += [count(kind, self.described[kind].dropna()) for kind in ("tier", "stage") if kind in self.described]
        return Report(self.as_of, joined(figures), self.models)

    @cached_property
    def last_report(self) -> Report | None:
        from experiments.tracking.runs import Runs

        runs = Runs(self.client, report_experiment(self.shop.staged.shop))
        found = runs.last_report(str(self.as_of), f"{CHANGES.name}/{FIGURES}")
        if found is None:
            return None
        params, table = found
        models = {name: value for name, value in params.items() if name not in OWN_PARAMS}
        return Report(date.fromisoformat(params["as_of"]), read(table), models)

    @cached_property
    def task_groups(self) -> Mapping[str, pd.Series]:
        """The groups that tasks make, by question; none, with a line that says why, where no customer can be scored."""
        try:
            found = {
                question: (kind_of(version).groups(own_columns(self.scores, version)), version.suffix)
                for question, version in self.scoring.items()
            }
        except InputError as error:
            logger.warning("personas of tasks' groups are left out: %s", error.problem)
            return {}
        return {
            question: groups.rename(f"{groups.name}{suffix}")
            for question, (groups, suffix) in found.items()
            if groups is not None
        }
