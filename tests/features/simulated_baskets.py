"""Simulated lines of orders: products of unlike popularity with planted complements, and degenerate shops."""

from __future__ import annotations

import numpy as np
import pandas as pd

COLUMNS = ["customer_id", "product_id", "order_id", "day"]
COMPLEMENTS = (("p000", "p090"), ("p010", "p091"), ("p020", "p092"))
ONE = [("a", 'tea, "green" 🍵', "1", 1)]
DEGENERATE = {
    "none": [],
    "one purchase": ONE,
    "one product": [("a", "tea", "1", 4), ("b", "tea", "2", 3)],
    "catalogue of three": [("a", "x", "1", 4), ("a", "y", "1", 4), ("b", "z", "2", 3)],
    "baskets of one": [(f"c{i % 4}", f"p{i % 5}", f"o{i}", i + 1) for i in range(20)],
    "2,000 lines in one order": [("a", f"p{i:04d}", "1", 2) for i in range(2_000)],
}


def frame_of(rows: list[tuple[str, str, str, int]]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=COLUMNS)


def simulate(seed: int, customers: int = 200, orders: int = 1_500, products: int = 100) -> pd.DataFrame:
    """Lines of orders of unlike popular products; with a product of COMPLEMENTS its partner is bought half the time."""
    rng = np.random.default_rng(seed)
    popularity = 1 / np.arange(3, products + 3)
    popularity[-10:] = 0.0005  # the partners sell seldom without
    popularity /= popularity.sum()
    rows = []
    for order in range(orders):
        customer, day = int(rng.integers(customers)), int(rng.integers(1, 200))
        held = {f"p{product:03d}" for product in rng.choice(products, rng.integers(1, 9), p=popularity)}
        held |= {partner for product, partner in COMPLEMENTS if product in held and rng.random() < 0.5}
        rows += [(f"c{customer:03d}", product, f"o{order:04d}", day) for product in sorted(held)]
    return frame_of(rows)
