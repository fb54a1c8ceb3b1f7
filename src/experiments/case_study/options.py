"""Options of the case study's parts. Values and their meaning are in conf/as_reported/."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

PARTS = ("segments", "interval", "products")


@dataclass
class CaseStudyOptions:
    parts: list[str]
    outlier_quantile: float
    clv_days: int
    n_clusters: int
    most_clusters: int
    tiers: list[str]
    test_share: float
    n_seeds: int
    n_splits: int
    n_folds: int
    most_products: int
    max_length: int
    n_recommended: int
    min_rows: int
    min_distinct: int
    seed: int
    reported: dict[str, Any]  # shop: {part: {figure: value}}
