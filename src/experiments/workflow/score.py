"""Every customer scored, by the champions of the registry and by nothing else."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyarrow as pa

from experiments.models.buy_till_you_die import DAYS_PER_WEEK, BuyTillYouDie
from experiments.models.registry import CANDIDATES
from experiments.tasks import TASKS
from experiments.workflow.output import Written, check_output, write
from experiments.workflow.session import Session
from features.engines import Engine, batches
from features.errors import InputError, UnsuitableDataError
from features.snapshot import combinations
from features.tables import parse_day

if TYPE_CHECKING:
    from experiments.tracking.registry import Version

logger = logging.getLogger(__name__)

HISTORY = ("frequency", "recency", "T")
MAIN_FEATURES = (
    *HISTORY,
    "monetary_value",
    "days_since_last_purchase",
    "left_truncated",
    "total_spend",
    "average_order_value",
    "orders",
    "spend_last_91_days",
)
PURCHASING_MODEL = "mbg_nbd"
UNJUDGED = "not judged"
DEFAULT_OUTPUT = "outputs/customer_360.parquet"


def scoring_day(session: Session, as_of: date | str | None = None) -> date:
    """Return the day whose midnight the customers are scored at."""
    return parse_day(as_of or session.config.as_of or session.shop.tables.end, "as_of")


def score(session: Session, as_of: date | str | None = None, output: str | Path | None = None) -> Written:
    """Write customer_360: what the champions predict of every customer.

    One row per customer who bought before `as_of`: customer_id, the main features, the outputs of every task that
    has a champion in this shop, each with its horizon, model version and verdict (Parquet also keeps the verdict in
    words, as the file's metadata), p_alive and expected_purchases over the horizon of the configured task (MBG/NBD
    fitted on the same snapshot; null where its fit is refused), currency and as_of. Rows are computed in batches, on
    the engine.

    Parameters
    ----------
    session : Session
    as_of : date or str, optional
        First day that is not included; as configured when left out, else the end of the data.
    output : path, optional
        File that ends in .parquet or .csv, in the session's folder.

    Returns
    -------
    Written
        The file, its number of customers and the day.
    """
    path = session.path(output or DEFAULT_OUTPUT)
    check_output(path)
    check_reach(session)
    day = scoring_day(session, as_of)
    rows, scorer = prepare(session, day)
    metadata = {f"{task}_verdict": said for task, said in verdicts(scorer.champions).items()}
    return Written(path, write(scorer, rows, session.shop.engine, path, metadata), day)


def scored(session: Session) -> pd.DataFrame:
    """The rows of customer_360 in memory, indexed customer_id."""
    check_reach(session)
    rows, scorer = prepare(session, scoring_day(session))
    schema = scorer(next(batches(rows)).slice(0, 1)).schema
    table = pa.Table.from_batches(session.shop.engine.map(scorer, rows, schema), schema)
    return table.to_pandas().set_index("customer_id")


def prepare(session: Session, day: date) -> tuple[Path, Scorer]:
    """Return the snapshot of the customers to score, and what scores them."""
    champions = find_champions(session)
    names = dict.fromkeys([*MAIN_FEATURES, *(name for version in champions.values() for name in version.features)])
    rows = session.shop.snapshot(list(names), day)
    scorer = Scorer(
        champions=champions,
        purchasing=purchasing(rows, session.shop.engine, session.task.horizon_days),
        horizon_days=session.task.horizon_days,
        currency=session.shop.staged.currency,
        as_of=str(day),
    )
    return rows, scorer


def verdicts(champions: Mapping[str, Version]) -> dict[str, str]:
    """What was found when each champion, or the candidate in whose place a naive model is used, was judged."""
    said = {}
    for task, version in champions.items():
        statement = version.tags.get("statement", f"{UNJUDGED}: version {version.number} was never judged")
        instead = f"; {version.label} is used instead" if version.is_baseline else ""
        by_hand = (
            f"; made champion by hand: {version.tags['override_reason']}" if "override_reason" in version.tags else ""
        )
        said[task] = f"{statement}{instead}{by_hand}"
    return said


def check_reach(session: Session) -> None:
    """Refuse executors on other machines a registry in a file of this one: they load the champion by themselves.

    Raises
    ------
    InputError
    """
    master = str(session.config.engine.get("master", "local"))
    if not master.startswith("local") and session.client.tracking_uri.startswith("sqlite"):
        raise InputError(
            "Spark's executors do not reach the registry",
            where="tracking.uri",
            expected=f"a server that they reach, as engine.master={master} works on other machines",
            found=session.client.tracking_uri,
            hint="start mlflow server and give tracking.uri=http://…: see docs/operations.md",
        )


@dataclass(frozen=True)
class Scorer:
    """Rows of features in, the same customers' rows of customer_360 out.

    Attributes
    ----------
    champions : mapping of task to Version
    purchasing : BuyTillYouDie or None
        Tells p_alive and expected_purchases.
    horizon_days : int
        Of expected_purchases.
    currency, as_of : str
    """

    champions: Mapping[str, Version]
    purchasing: BuyTillYouDie | None
    horizon_days: int
    currency: str
    as_of: str

    def __call__(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        X = batch.to_pandas().set_index("customer_id")
        parts = [X[list(MAIN_FEATURES)]]
        for task, version in self.champions.items():
            horizon, model = int(version.tags["horizon_days"]), f"{version.name}/{version.number}"
            said = {"horizon_days": horizon, "model": model, "verdict": version.tags.get("verdict", UNJUDGED)}
            said["population"] = version.tags["population"]
            parts.append(version.scores(X).assign(**{f"{task}_{name}": value for name, value in said.items()}))
        known = self.purchasing is not None
        parts.append(
            pd.DataFrame(
                {
                    "p_alive": self.purchasing.p_alive(X) if known else np.nan,
                    "expected_purchases": self.purchasing.expected_purchases(X) if known else np.nan,
                    "purchases_horizon_days": self.horizon_days,
                    "currency": self.currency,
                    "as_of": self.as_of,
                },
                index=X.index,
            )
        )
        return pa.RecordBatch.from_pandas(pd.concat(parts, axis=1).reset_index(), preserve_index=False)


def find_champions(session: Session, check: bool = True) -> dict[str, Version]:
    """The champion of each question of this shop that has one, by the question's name.

    Parameters
    ----------
    session : Session
    check : bool
        Whether they are to score, so that the code in use must compute their features as they were learnt.

    Raises
    ------
    InputError
        If none has one, or one reads features that the code in use computes in another way.
    """
    from experiments.gate.admission import check_features
    from experiments.tracking.registry import Registry

    champions = {}
    for task in (name for kind in TASKS.values() for name in kind.names()):
        version = Registry(session.client, f"{session.shop.staged.shop}-{task}").champion()
        if version is not None:
            if check:
                check_features(version, f"{session.again('tune')}, then promote")
            champions[task] = version
    if not champions:
        raise InputError(
            f"{session.shop.staged.shop} has no champion to score with",
            where="registry",
            hint=f"{session.again('tune')}, then {session.again('promote')}",
        )
    return champions


def purchasing(rows: Path, engine: Engine, horizon_days: int) -> BuyTillYouDie | None:
    """An MBG/NBD fitted on the histories in a snapshot; None where it refuses them."""
    histories = combinations(rows, HISTORY, engine)
    x, t_x, T = (histories[name] for name in HISTORY)
    try:
        return (
            CANDIDATES[PURCHASING_MODEL]
            .build(horizon_days=horizon_days)
            .fit_purchases(x, t_x / DAYS_PER_WEEK, T / DAYS_PER_WEEK, weights=histories["customers"])
        )
    except UnsuitableDataError as error:
        logger.warning("p_alive and expected_purchases stay empty: %s", error.problem)
        return None
