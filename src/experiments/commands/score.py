"""`experiments score`: every customer, by the champions of the registry and by nothing else."""

from __future__ import annotations

import logging
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from experiments.commands.config import Config
from experiments.commands.output import check_output, write
from experiments.commands.project import Project
from experiments.models import MODELS
from experiments.tasks import TASKS
from features.errors import InputError
from features.snapshot import definition_hash
from features.tables import parse_day

if TYPE_CHECKING:
    from experiments.tracking.registry import Version

logger = logging.getLogger(__name__)

MAIN_FEATURES = (
    "frequency",
    "recency",
    "T",
    "monetary_value",
    "days_since_last_purchase",
    "left_truncated",
    "total_spend",
    "average_order_value",
    "orders",
    "spend_last_91_days",
)
PURCHASING_MODEL = "mbg_nbd"
DEFAULT_OUTPUT = "outputs/customer_360.parquet"


def main(config: Config) -> None:
    project = Project(config)
    path, table = score(project)
    print(f"{len(table):,} customers as of {table['as_of'].iloc[0]} in {path}")
    print(f"next: mlflow models serve -m models:/{project.registered_name}@champion --env-manager local -p 5001")


def score(project: Project) -> tuple[Path, pd.DataFrame]:
    """Write customer_360: features, the champion's predictions and how likely each customer is still alive."""
    path = Path(project.config.output or DEFAULT_OUTPUT)
    check_output(path)
    as_of = parse_day(project.config.as_of or project.shop.tables.end, "as_of")
    table = customer_360(project, as_of)
    write(table, path)
    return path, table


def customer_360(project: Project, as_of: date) -> pd.DataFrame:
    """One row per customer who bought before `as_of`.

    Columns: customer_id, the main features, the outputs of every task that has a champion in this shop, each
    with its horizon and model version, p_alive and expected_purchases over the horizon of the configured task
    (MBG/NBD fitted on the same snapshot; null where its fit is refused), currency and as_of.
    """
    champions = find_champions(project)
    names = list(
        dict.fromkeys([*MAIN_FEATURES, *(name for version in champions.values() for name in version.features)])
    )
    X = project.shop.features(names, [as_of])
    parts = [X[list(MAIN_FEATURES)]]
    for task, version in champions.items():
        parts.append(
            version.scores(X).assign(
                **{
                    f"{task}_horizon_days": int(version.tags["horizon_days"]),
                    f"{task}_model": f"{version.name}/{version.number}",
                }
            )
        )
    parts.append(purchasing(X, project.task.horizon_days).assign(purchases_horizon_days=project.task.horizon_days))
    table = pd.concat(parts, axis=1).droplevel("cutoff").reset_index()
    return table.assign(currency=project.shop.staged.currency, as_of=str(as_of))


def find_champions(project: Project) -> dict[str, Version]:
    """The champion of each task of this shop that has one.

    Raises
    ------
    InputError
        If none has one, or one reads features that the code in use computes in another way.
    """
    from experiments.tracking.gate import check_features
    from experiments.tracking.registry import Registry

    champions = {}
    for task in TASKS:
        version = Registry(project.client, f"{project.shop.staged.shop}-{task}").champion()
        if version is not None:
            check_features(version, definition_hash(version.features), f"{project.again('tune')}, then promote")
            champions[task] = version
    if not champions:
        raise InputError(
            f"{project.shop.staged.shop} has no champion to score with",
            where="registry",
            hint=f"{project.again('tune')}, then {project.again('promote')}",
        )
    return champions


def purchasing(X: pd.DataFrame, horizon_days: int) -> pd.DataFrame:
    """p_alive and expected_purchases (purchase days in the horizon) by an MBG/NBD fitted on these rows."""
    try:
        model = MODELS[PURCHASING_MODEL](horizon_days=horizon_days).fit(X)
    except InputError as error:
        logger.warning("p_alive and expected_purchases stay empty: %s", error.problem)
        return pd.DataFrame({"p_alive": None, "expected_purchases": None}, index=X.index, dtype=float)
    return pd.DataFrame({"p_alive": model.p_alive(X), "expected_purchases": model.expected_purchases(X)}, index=X.index)
