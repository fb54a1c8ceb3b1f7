"""Coverage of 95% intervals on simulated customers, by way of making them; written to coverage.md.

PYTHONPATH=tests python benchmarks/coverage.py [--repeats 400] [--figure FIGURE] [--customers N]

All takes some fifteen minutes. One figure, or one size, replaces its lines on the page and leaves the others.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

from features.writing import replacing
from simulated_gains import FIGURES, TAILS, coverage

PAGE = Path(__file__).with_suffix(".md")
RESAMPLES = 500
SIZES = (200, 1000)
HELD = 0.93
OF_MEANS = "lognormal, sigma 1.5"
HEADING = """# How often intervals hold the truth

Written by `make bench-coverage`: the share of {repeats:,} simulated samples whose 95% interval holds the truth; a share
of 0.95 varies by {chance:.3f} by chance. Half of the customers do not come back; what the others spend is their value
times a random factor, whose tail is *light* (lognormal, sigma 0.6), *usual* (1.0), *heavy* (1.8) or of *infinite
variance* (Pareto, exponent 1.3). Gains are those of one ranking over a worse one.

*used* is what the gate and the decision print: percentiles of the bootstrap whose upper bounds have wider tails, by the
number of customers that the figure is made of; of sums an interval for skewed means, without resamples.

{finding}

| figure | customers | tail | BCa | percentile | used |
|---|---|---|---|---|---|
"""

Case = tuple[str, int, str]


def cases() -> Iterator[Case]:
    """Yield figure, customers and tail of each line, in the order of the page."""
    for figure in ("mean", *FIGURES):
        for customers in SIZES:
            for tail in TAILS if figure != "mean" else (OF_MEANS,):
                yield figure, customers, tail


def measured(case: Case, repeats: int) -> dict[str, float]:
    """Measure one line."""
    figure, customers, tail = case
    held = coverage(figure, customers=customers, repeats=repeats, n_resamples=RESAMPLES, seed=0, tail=tail)
    print(line(case, held), flush=True)
    return held


def line(case: Case, held: dict[str, float]) -> str:
    """Return a line of the table."""
    figure, customers, tail = case
    shares = " | ".join(f"{held[name]:.3f}" for name in ("BCa", "percentile", "used"))
    return f"| {figure} | {customers:,} | {tail} | {shares} |"


def on_page(repeats: int) -> dict[Case, dict[str, float]]:
    """Read the lines of a page that was made of as many samples."""
    text = PAGE.read_text() if PAGE.exists() else ""
    if f"the share of {repeats:,} simulated samples" not in text or "| BCa | percentile | used |" not in text:
        return {}
    rows = [row.strip("| ").split(" | ") for row in text.splitlines() if row.startswith("| ")][1:]
    return {
        (figure, int(customers.replace(",", "")), tail): dict(
            zip(("BCa", "percentile", "used"), map(float, shares), strict=True)
        )
        for figure, customers, tail, *shares in rows
    }


def finding(lines: dict[Case, dict[str, float]]) -> str:
    """Say which lines hold the truth less often than they should."""
    short = [case for case, held in lines.items() if held["used"] < HELD]
    if not short:
        return f"*used* holds the truth in {HELD:.0%} of samples and more on all {len(lines)} lines."
    named = "\n".join(
        f"- {figure}, {customers:,} customers, {tail}: {lines[figure, customers, tail]['used']:.1%}"
        for figure, customers, tail in short
    )
    return (
        f"*used* holds the truth in {HELD:.0%} of samples and more on {len(lines) - len(short)} of {len(lines)} lines. "
        f"It does not on:\n\n{named}"
    )


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--repeats", type=int, default=400, help="simulated samples of each line")
    asked.add_argument("--figure", choices=("mean", *FIGURES))
    asked.add_argument("--customers", type=int, choices=SIZES)
    options = asked.parse_args()
    lines = on_page(options.repeats)
    for case in cases():
        if options.figure in (None, case[0]) and options.customers in (None, case[1]):
            lines[case] = measured(case, options.repeats)
    lines = {case: lines[case] for case in cases() if case in lines}
    chance = (0.95 * 0.05 / options.repeats) ** 0.5
    heading = HEADING.format(repeats=options.repeats, chance=chance, finding=finding(lines))
    with replacing(PAGE) as partial:
        partial.write_text(heading + "\n".join(line(*each) for each in lines.items()) + "\n")


if __name__ == "__main__":
    main()
