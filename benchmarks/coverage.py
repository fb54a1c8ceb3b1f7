"""Coverage of 95% intervals, by BCa and by percentiles, on simulated customers; written to coverage.md.

PYTHONPATH=tests python benchmarks/coverage.py      # some ten minutes
"""

from __future__ import annotations

from pathlib import Path

from features.writing import replacing
from simulated_gains import coverage

REPEATS, RESAMPLES = 1000, 1000
HEADING = f"""# How often intervals hold the truth

Written by `benchmarks/coverage.py`: the share of {REPEATS:,} simulated samples whose 95% interval of {RESAMPLES:,}
resamples holds the truth; these shares vary by 0.007 by chance. Spend is lognormal (sigma 1.5); gains are those of one
ranking over a worse one, with half of the customers not coming back.

| figure | customers | BCa | percentile |
|---|---|---|---|
"""


def main() -> None:
    lines = []
    for figure in ("mean", "gini gain"):
        for customers in (50, 200, 1000):
            held = coverage(figure, customers=customers, repeats=REPEATS, n_resamples=RESAMPLES, seed=0)
            lines.append(f"| {figure} | {customers:,} | {held['BCa']:.3f} | {held['percentile']:.3f} |")
            print(lines[-1], flush=True)
    with replacing(Path(__file__).with_suffix(".md")) as partial:
        partial.write_text(HEADING + "\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
