"""Share of simulated shops in which monitoring alarms, without a change and after one; into monitoring.md."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd
from joblib import Parallel, delayed

from experiments.evaluation.drift import shifts
from steady_shops import features_of, steady_orders

TRAINED, CHANGED, LENGTH = 500, 800, 91
ALPHA, LEAST = 0.01, 0.1  # as in conf/monitor/default.yaml
MONTH = range(CHANGED, CHANGED + 30, 2)
SHOPS = 60
SIZES = (300, 1_000, 3_000)  # customers who arrive in the 900 days
CHANGES = {
    "none": lambda late, rng: late,
    "values +25%": lambda late, rng: late.assign(value=late["value"] * 1.25),
    "values +50%": lambda late, rng: late.assign(value=late["value"] * 1.5),
    "half of the orders are gone": lambda late, rng: late[rng.random(len(late)) < 0.5],
}


def first_alarm(seed: int, customers: int, change: str) -> int | None:
    """Return the day of the month of the first alarm; None without one."""
    orders = steady_orders(seed, customers)
    rng = np.random.default_rng([seed, 1])
    is_late = orders["day"] >= (CHANGED if change == "none" else CHANGED - 60)
    changed = pd.concat([orders[~is_late], CHANGES[change](orders[is_late], rng)])
    before = features_of(orders, TRAINED, LENGTH)
    for day in MONTH:
        found = shifts(before, features_of(changed, day, LENGTH), n_resamples=400)
        if ((found["p"] < ALPHA) & (found["distance"] >= LEAST)).any():
            return day - CHANGED
    return None


def main() -> None:
    lines = []
    for customers in SIZES:
        for change in CHANGES:
            found = Parallel(n_jobs=2)(delayed(first_alarm)(seed, customers, change) for seed in range(SHOPS))
            share = np.mean([each is not None for each in found])
            lines.append(f"| {customers:,} | {change} | {share:.0%} |")
            print(lines[-1], file=sys.stderr)
    Path(__file__).with_suffix(".md").write_text(TEXT + "\n".join(lines) + "\n", encoding="utf-8")


TEXT = f"""# Alarms of monitoring

`make bench-monitoring`: {SHOPS} simulated shops in equilibrium for each row, 14 features, a look every other day of a
month, by the thresholds of `conf/monitor/default.yaml`. Without a change at most 5% may alarm. Shops have no calendar:
noise that all customers share, such as a campaign, is what the comparison with the months before is for.

| customers who arrive | change, 60 days before the month | shops with an alarm within the month |
|---|---|---|
"""


if __name__ == "__main__":
    main()
