"""Share of simulated shops in which the audit flags facts of unknown date: a survey of those who stayed, a region.

PYTHONPATH=tests python benchmarks/attrition.py [SHOPS]: writes benchmarks/attrition.md
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np

from undated_facts import LEAKING_LISTS, LEAKS, LISTS, SCENARIOS, compared_in, lists_in


def main(shops: int) -> None:
    rows = []
    for scenario, meaning in {**SCENARIOS, **LISTS}.items():
        flagged, expected = 0, []
        compare = lists_in if scenario in LISTS else compared_in
        for seed in range(shops):
            with tempfile.TemporaryDirectory() as folder:
                compared = compare(scenario, seed, Path(folder))
            flagged += any(each.is_flagged for each in compared)
            expected.append(max((each.expected for each in compared), default=0.0))
        share = flagged / shops
        asked = "at least 90%" if scenario in (*LEAKS, *LEAKING_LISTS) else "at most 5%"
        rows.append(f"| {scenario} | {meaning} | {share:.0%} | {asked} | {np.median(expected):,.0f} |")
        print(rows[-1], flush=True)
    text = "\n".join(
        [
            "# Facts of unknown date in simulated shops",
            "",
            f"`PYTHONPATH=tests python benchmarks/attrition.py {shops}`: {shops} shops for each scenario, of one or "
            "two years and 600 to 4,000 customers, with a season. A shop is flagged if any comparison is, after Holm's "
            "correction. Three campaigns of each shop have lists.",
            "",
            "| fact or list | how it came about | flagged | asked | expected to leave (median of largest) |",
            "|---|---|---|---|---|",
            *rows,
            "",
        ]
    )
    Path(__file__).with_suffix(".md").write_text(text)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100)
