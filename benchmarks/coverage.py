"""Coverage of 95% intervals on simulated customers, by way of making them; written to coverage.md.

PYTHONPATH=tests python benchmarks/coverage.py [REPEATS]      # some fifteen minutes
"""

from __future__ import annotations

import sys
from pathlib import Path

from features.writing import replacing
from simulated_gains import FIGURES, TAILS, coverage

REPEATS, RESAMPLES = 400, 500
SIZES = (200, 1000)
HEADING = """# How often intervals hold the truth

Written by `PYTHONPATH=tests python benchmarks/coverage.py {repeats}`: the share of {repeats:,} simulated samples whose
95% interval holds the truth; a share of 0.95 varies by {chance:.3f} by chance. Half of the customers do not come back;
what the others spend is their value times a random factor, whose tail is *light* (lognormal, sigma 0.6), *usual* (1.0),
*heavy* (1.8) or of *infinite variance* (Pareto, exponent 1.3). Gains are those of one ranking over a worse one.

*used* is what the gate and the decision print: percentiles of the bootstrap whose upper bounds have wider tails, by the
number of customers that the figure is made of; of sums an interval for skewed means, without resamples.

| figure | customers | tail | BCa | percentile | used |
|---|---|---|---|---|---|
"""


def main(repeats: int) -> None:
    lines = []
    for figure in ("mean", *FIGURES):
        for customers in SIZES:
            for tail in TAILS if figure != "mean" else ("lognormal, sigma 1.5",):
                held = coverage(figure, customers=customers, repeats=repeats, n_resamples=RESAMPLES, seed=0, tail=tail)
                shares = " | ".join(f"{held[name]:.3f}" for name in ("BCa", "percentile", "used"))
                lines.append(f"| {figure} | {customers:,} | {tail} | {shares} |")
                print(lines[-1], flush=True)
    text = HEADING.format(repeats=repeats, chance=(0.95 * 0.05 / repeats) ** 0.5)
    with replacing(Path(__file__).with_suffix(".md")) as partial:
        partial.write_text(text + "\n".join(lines) + "\n")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else REPEATS)
