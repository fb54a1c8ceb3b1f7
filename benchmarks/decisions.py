"""Models that the gate puts to use, on simulated seasonal shops and on gains of a known size; written to decisions.md.

PYTHONPATH=tests python benchmarks/decisions.py              # an hour and a half on one core; what is done is kept
PYTHONPATH=tests python benchmarks/decisions.py 1000 1020    # these shops alone, added to those that are there
PYTHONPATH=tests python benchmarks/decisions.py gains 0 3    # likewise, of the gains of a known size
PYTHONPATH=tests python benchmarks/decisions.py page         # the page of what is there
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from tqdm import tqdm

from experiments.gate.sealed import CANDIDATE
from features.errors import InsufficientDataError
from features.sources.reading import hash_files
from features.writing import replacing
from simulated_decisions import SEARCHED, Judged, Rates, judge, replacements

PROCESSES, SEEDS, LASTING = 2, range(1_000, 1_200), range(3_000, 3_040)
REPEATS, RESAMPLES = 400, 400
GOAL = 0.0025  # half of min_effect
GAINS = {"no gain": 0.0, "a small gain": 0.05, "a gain": 0.1}
Case = tuple[str, int, int]  # a gain, customers, earlier windows
Done = Callable[[Callable[[Any], Any], Sequence[Any], str], list[Any]]
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
The candidate is the best at validation of some models with default parameters, which stands for a search:
{", ".join(SEARCHED)}. *Best* is the rule of ADR 21: the best measured is used, whatever its lead.

In {len(LASTING)} *lasting* shops all customers were there before the data and none drops out: past spend is as good as
any model, and a rule that favours models would cost there.

Regret is the Gini of the best model in the 90 days after the data, minus that of the model in use: expected over 100
futures of the same customers, with its standard error over shops, and in the one future that came. In that one, the
model that is best by expectation has a regret too. The goal is {GOAL}.
{{incomplete}}
| data | shops | best measured used | regret | best | before | as it came | best | before | model used | best | before |
|---|---|---|---|---|---|---|---|---|---|---|---|
"""
POWER = f"""

## False replacements and power

A baseline is in use, and the candidate is the best of 20 trials at two validation windows. Share of {REPEATS} samples
in which it replaces the baseline; with no true gain, at most 0.05 may. Columns: the rule now, and that of before.
{{incomplete}}
| true gain | customers | earlier windows | now | before |
|---|---|---|---|---|
"""


def place(name: str) -> Path:
    return KEPT / f"{name}.json"


def kept(name: str, make: Callable[[], Any]) -> Any:
    """Return what was made under this name before, else make it and keep it as JSON."""
    path = place(name)
    if path.exists():
        return json.loads(path.read_text())
    made = make()
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as partial:
        partial.write_text(json.dumps(made))
    return made


def of_shop(seed: int) -> str:
    return f"shop_{seed}"


def of_case(case: Case) -> str:
    name, customers, earlier = case
    return f"{name.replace(' ', '_')}_{customers}_{earlier}"


def judged(seed: int) -> Judged | None:
    """Judge a shop, if it has enough customers for the task."""

    def make() -> dict[str, Any] | None:
        logging.disable(logging.WARNING)
        with TemporaryDirectory() as folder, suppress(InsufficientDataError):
            return asdict(judge(seed, Path(folder), lasting=seed in LASTING))
        return None

    made = kept(of_shop(seed), make)
    return Judged(**made) if made else None


def row(name: str, shops: list[Judged]) -> str:
    """Write a line of the table: by the rule now, by the best measured, and by the rule of before."""
    rules = [[getattr(one, rule) for one in shops] for rule in ("used", "best", "before")]
    expected, came = (
        [np.array([getattr(one, kind)(used) for one, used in zip(shops, rule, strict=True)]) for rule in rules]
        for kind in ("regret", "hindsight")
    )
    cells = [name, str(len(shops)), f"{np.mean([one.used == one.best for one in shops]):.1%}"]
    cells += [f"{regret.mean():.4f} ({regret.std() / len(regret) ** 0.5:.4f})" for regret in expected]
    cells += [f"{regret.mean():.4f}" for regret in came]
    cells += [f"{np.mean([used == CANDIDATE for used in rule]):.0%}" for rule in rules]
    return f"| {' | '.join(cells)} |"


def rates(case: Case) -> Rates:
    name, customers, earlier = case

    def make() -> dict[str, float]:
        options = {"customers": customers, "earlier": earlier, "repeats": REPEATS, "n_resamples": RESAMPLES, "seed": 0}
        return asdict(replacements(better=GAINS[name], **options))

    return Rates(**kept(of_case(case), make))


def incomplete(of: Mapping[str, tuple[int, int]]) -> str:
    """Say how many were run, where that is not all; nothing else."""
    missing = [f"{n_done} of {n} {name}" for name, (n_done, n) in of.items() if n_done < n]
    return f"\n**Incomplete.** Run were {' and '.join(missing)}.\n" if missing else ""


def write(seeds: Sequence[int], lasting_seeds: Sequence[int], cases: Sequence[Case], done: Done) -> None:
    """Run what is not there, and write the page."""
    shops, lasting = ([one for one in done(judged, some, "shops") if one] for some in (seeds, lasting_seeds))
    found = dict(zip(cases, done(rates, cases, "gains"), strict=True))
    n_shops = {"shops": (len(seeds), len(SEEDS)), "lasting shops": (len(lasting_seeds), len(LASTING))}
    groups = {
        "all": shops,
        "one year": [one for one in shops if one.days < 400],
        "more": [one for one in shops if one.days >= 400],
        "lasting": lasting,
    }
    lines = [row(name, members) for name, members in groups.items() if members]
    power = [
        f"| {name} | {customers:,} | {earlier} | {rate.now:.3f} | {rate.before:.3f} |"
        for (name, customers, earlier), rate in found.items()
    ]
    with replacing(Path(__file__).with_suffix(".md")) as partial:
        partial.write_text(
            HEADING.format(incomplete=incomplete(n_shops))
            + "\n".join(lines)
            + POWER.format(incomplete=incomplete({"cases": (len(cases), len(CASES))}))
            + "\n".join(power)
            + "\n"
        )
    print("\n".join([*lines, *power]))


def main() -> None:
    with ProcessPoolExecutor(PROCESSES) as pool:

        def done(make: Callable[[Any], Any], of: Sequence[Any], name: str) -> list[Any]:
            return list(tqdm(pool.map(make, of), total=len(of), desc=name))

        match sys.argv[1:]:
            case ["gains", first, end]:
                done(rates, CASES[int(first) : int(end)], "gains")
            case [first, end]:
                done(judged, range(int(first), int(end)), "shops")
            case ["page"]:
                seeds, lasting = ([seed for seed in of if place(of_shop(seed)).exists()] for of in (SEEDS, LASTING))
                write(seeds, lasting, [case for case in CASES if place(of_case(case)).exists()], done)
            case _:
                write(SEEDS, LASTING, CASES, done)


if __name__ == "__main__":
    main()
