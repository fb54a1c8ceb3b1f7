"""Models that the gate puts to use, on simulated seasonal shops and on gains of a known size; written to decisions.md.

PYTHONPATH=tests python benchmarks/decisions.py              # some forty minutes on one core; what is done is kept
PYTHONPATH=tests python benchmarks/decisions.py 1000 1020    # these shops alone, added to those that are there
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from tqdm import tqdm

from features.errors import InsufficientDataError
from features.sources.reading import hash_files
from features.writing import replacing
from simulated_decisions import Judged, Rates, judge, replacements

PROCESSES, SEEDS = 2, range(1_000, 1_200)
REPEATS, RESAMPLES = 400, 400
GAINS = {"no gain": 0.0, "a small gain": 0.05, "a gain": 0.1}
Case = tuple[str, int, int]  # a gain, customers, earlier windows
CASES: list[Case] = [(name, customers, earlier) for name in GAINS for customers in (500, 2_000) for earlier in (0, 2)]
ROOT = Path(__file__).resolve().parents[1]
# What is done is kept for as long as neither the rule nor the simulation changes.
KEPT = Path(".cache") / "decisions" / hash_files(sorted([*ROOT.glob("src/**/*.py"), *ROOT.glob("tests/*.py")]))[:16]
HEADING = f"""# What the gate puts to use

Written by `benchmarks/decisions.py`. *Before* is the rule that asked a candidate to beat every baseline in the sealed
window, within guards on totals, with a median gain above 0 over three origins. It chose baselines by those guards.

## Simulated seasonal shops

{len(SEEDS)} shops of 300 to 3,000 customers with an autumn peak of 1.5 to 2.5, growing and shrinking, with one to
nearly three years of data; those are counted that have customers enough for the task. Nothing is in use before.
The candidate is a LightGBM with default parameters. Regret is the Gini of the best model in the 90 days after the
data, minus that of the model in use: expected over 100 futures of the same customers, and in the one future that came.
In that one, the model that is best by expectation has a regret too.

| data | shops | best measured used | before | expected regret | before | regret as it came | before | model | before |
|---|---|---|---|---|---|---|---|---|---|
"""
POWER = f"""
## False replacements and power

A baseline is in use, and the candidate is the best of 20 trials at two validation windows. Share of {REPEATS} samples
in which it replaces the baseline; with no true gain, at most 0.05 may.

| true gain | customers | earlier windows | now | before |
|---|---|---|---|---|
"""


def kept(name: str, make: Callable[[], Any]) -> Any:
    """Return what was made under this name before, else make it and keep it as JSON."""
    path = KEPT / f"{name}.json"
    if path.exists():
        return json.loads(path.read_text())
    made = make()
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as partial:
        partial.write_text(json.dumps(made))
    return made


def judged(seed: int) -> Judged | None:
    """Judge a shop, if it has enough customers for the task."""

    def make() -> dict[str, Any] | None:
        logging.disable(logging.WARNING)
        with TemporaryDirectory() as folder, suppress(InsufficientDataError):
            return asdict(judge(seed, Path(folder)))
        return None

    made = kept(f"shop_{seed}", make)
    return Judged(**made) if made else None


def row(name: str, shops: list[Judged]) -> str:
    best, best_before, regret, regret_before, hindsight, hindsight_before, used, used_before = (
        np.mean(values)
        for values in zip(
            *(
                (
                    one.used == one.best,
                    one.before == one.best,
                    one.regret(one.used),
                    one.regret(one.before),
                    one.hindsight(one.used),
                    one.hindsight(one.before),
                    one.used == "candidate",
                    one.before == "candidate",
                )
                for one in shops
            ),
            strict=True,
        )
    )
    return (
        f"| {name} | {len(shops)} | {best:.1%} | {best_before:.1%} | {regret:.4f} | {regret_before:.4f} | "
        f"{hindsight:.4f} | {hindsight_before:.4f} | {used:.0%} | {used_before:.0%} |"
    )


def rates(case: Case) -> Rates:
    name, customers, earlier = case

    def make() -> dict[str, float]:
        options = {"customers": customers, "earlier": earlier, "repeats": REPEATS, "n_resamples": RESAMPLES, "seed": 0}
        return asdict(replacements(better=GAINS[name], **options))

    return Rates(**kept(f"{name.replace(' ', '_')}_{customers}_{earlier}", make))


def write(shops: list[Judged], found: Mapping[Case, Rates]) -> None:
    """Write the page of the shops and cases that were run."""
    groups = {
        "all": shops,
        "one year": [one for one in shops if one.days < 400],
        "more": [one for one in shops if one.days >= 400],
    }
    lines = [row(name, members) for name, members in groups.items()]
    power = [
        f"| {name} | {customers:,} | {earlier} | {rate.now:.3f} | {rate.before:.3f} |"
        for (name, customers, earlier), rate in found.items()
    ]
    with replacing(Path(__file__).with_suffix(".md")) as partial:
        partial.write_text(HEADING + "\n".join(lines) + "\n" + POWER + "\n".join(power) + "\n")
    print("\n".join([*lines, *power]))


def main() -> None:
    with ProcessPoolExecutor(PROCESSES) as pool:
        if len(sys.argv) > 2:
            seeds = range(*map(int, sys.argv[1:3]))
            list(tqdm(pool.map(judged, seeds), total=len(seeds), desc="shops"))
            return
        shops = [one for one in tqdm(pool.map(judged, SEEDS), total=len(SEEDS), desc="shops") if one]
        found = dict(zip(CASES, tqdm(pool.map(rates, CASES), total=len(CASES), desc="gains"), strict=True))
    write(shops, found)


if __name__ == "__main__":
    main()
