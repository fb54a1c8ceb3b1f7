"""`experiments score`: every customer, by the champions of the registry and by nothing else."""

from __future__ import annotations

import logging
from datetime import date
from pathlib import Path

import pandas as pd

from experiments.commands.config import Config
from experiments.commands.output import check_output, write
from experiments.commands.project import Project
from experiments.models import MODELS
from features.errors import InputError
from features.snapshot import definition_hash
from features.tables import parse_day

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

    Columns: customer_id, the main features, the champion's outputs, p_alive and expected_purchases over
    the task's horizon (MBG/NBD fitted on the same snapshot; null where its fit is refused), and what
    every row owes its figures to: model version, horizon, currency, as_of.
    """
    from experiments.tracking.gate import check_features

    champion = project.registry.champion()
    if champion is None:
        raise InputError(
            f"{project.registry.name} has no champion to score with",
            where="registry",
            hint="experiments tune, then experiments promote",
        )
    check_features(champion, definition_hash(champion.features))
    names = list(dict.fromkeys([*champion.features, *MAIN_FEATURES]))
    X = project.shop.features(names, [as_of])
    table = X[list(MAIN_FEATURES)].join(champion.scores(X[champion.features]))
    table = table.join(purchasing(X, int(champion.tags["horizon_days"])))
    return (
        table.droplevel("cutoff")
        .reset_index()
        .assign(
            horizon_days=int(champion.tags["horizon_days"]),
            currency=champion.tags["currency"],
            **{f"{project.task.name}_model": f"{champion.name}/{champion.number}"},
            as_of=str(as_of),
        )
    )


def purchasing(X: pd.DataFrame, horizon_days: int) -> pd.DataFrame:
    """p_alive and expected_purchases (purchase days in the horizon) by an MBG/NBD fitted on these rows."""
    try:
        model = MODELS[PURCHASING_MODEL](horizon_days=horizon_days).fit(X)
    except InputError as error:
        logger.warning("p_alive and expected_purchases stay empty: %s", error.problem)
        return pd.DataFrame({"p_alive": None, "expected_purchases": None}, index=X.index, dtype=float)
    return pd.DataFrame({"p_alive": model.p_alive(X), "expected_purchases": model.expected_purchases(X)}, index=X.index)
