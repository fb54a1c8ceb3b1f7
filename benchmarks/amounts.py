"""Status of amounts on simulated seasonal shops, and how often it holds; written to amounts.md.

PYTHONPATH=tests python benchmarks/amounts.py             # some twenty minutes
PYTHONPATH=tests python benchmarks/amounts.py 9000 9020   # these seeds alone, added to those that are there
"""

from __future__ import annotations

import logging
import sys
from pathlib import Path

import pandas as pd

from features.errors import InputError
from features.writing import replacing
from seasonal_amounts import amounts_of
from seasonal_shops import shop

logger = logging.getLogger(__name__)

FIRST, LAST = 9000, 9050  # the prior was fitted on shops 5000 to 5047
MODELS = {
    "clv": ("naive_last_91_days_rate", "mbg_nbd", "lightgbm"),
    "repurchase": ("naive_recency", "lightgbm_probability"),
}
LIMITS = (0.8, 1.25)
CACHE = Path(".cache") / "amounts"
STATUSES = ("reliable", "rough", "unreliable")


def measured(seed: int) -> pd.DataFrame:
    """Return the amounts of every model on one shop; from the cache where they were measured before."""
    path = CACHE / f"{seed}.parquet"
    if not path.exists():
        simulated, found = shop(seed), []
        for task, models in MODELS.items():
            try:
                amounts = amounts_of(simulated, task, models)
            except InputError as error:
                logger.warning("shop %d, %s: %s", seed, task, error.problem)
                continue
            found.append(amounts.assign(task=task, years=simulated.years, seed=seed))
        frame = pd.concat(found).rename_axis("model").reset_index() if found else pd.DataFrame()
        path.parent.mkdir(parents=True, exist_ok=True)
        frame.infer_objects().to_parquet(path)
    return pd.read_parquet(path)


def table(found: pd.DataFrame) -> list[str]:
    """Return the lines of the table: a line for each task, model and status."""
    inside = found["after"].between(*LIMITS)
    before = found["before"].between(*LIMITS)
    held = (found["low"] <= found["after"]) & (found["after"] <= found["high"])
    found = found.assign(inside=inside, uncalibrated=before, held=held)
    lines = []
    for (task, model), of_model in found.groupby(["task", "model"], sort=False):
        for status in STATUSES:
            rows = of_model[of_model["status"] == status]
            shares = [f"{rows[name].mean():.0%}" if len(rows) else "-" for name in ("uncalibrated", "inside", "held")]
            lines.append(f"| {task} | {model} | {status} | {len(rows) / len(of_model):.0%} | {' | '.join(shares)} |")
    return lines


def main() -> None:
    first, last = map(int, sys.argv[1:3]) if len(sys.argv) > 2 else (FIRST, LAST)
    for seed in range(first, last):
        print(seed, len(measured(seed)), flush=True)
    paths = [path for path in sorted(CACHE.glob("*.parquet")) if FIRST <= int(path.stem) < LAST]
    found = pd.concat([pd.read_parquet(path) for path in paths])
    n_years = found.groupby("seed")["years"].first().value_counts().sort_index()
    shops = ", ".join(f"{n} of {years} year{'s' if years > 1 else ''}" for years, n in n_years.items())
    with replacing(Path(__file__).with_suffix(".md")) as partial:
        partial.write_text(HEADING.format(n=len(paths), shops=shops) + "\n".join(table(found)) + "\n")


HEADING = """# How far amounts can be trusted

Written by `benchmarks/amounts.py` on {n} simulated seasonal shops ({shops}): 300 to 3,000 customers of unlike rates who
arrive and drop out, an autumn peak of 1.5 to 2.5, growth and shrinkage, noise of weeks and of years. Nothing was tuned
on their seeds. Each model is fitted on all windows before the last one, its amounts are calibrated, and the last window
tells the actual total. "Within" is the share of shops whose actual total lies within 0.8 and 1.25 of the predicted one,
before and after calibration; "held" the share within the stated 90% interval.

| task | model | status | share of shops | within, before | within, after | held |
|---|---|---|---|---|---|---|
"""


if __name__ == "__main__":
    main()
