"""A simulated store whose customers have favourites, and whose products are bought together."""

from __future__ import annotations

import numpy as np
import pandas as pd

KINDS = ("Drinks", "Bakery", "Garden", "Office")
PER_KIND = 8


def sales_of_baskets(customers: int = 90, seed: int = 0) -> list[str]:
    """Draw lines of a year for `merchandise_store.Store`.

    Each customer has a favourite kind of goods and three favourite products of it. A basket holds some of them, often
    the product that belongs to one of them (the next one of its kind), and now and then anything.
    """
    rng = np.random.default_rng(seed)
    days = pd.date_range("2019-01-01", "2019-12-31").strftime("%Y%m%d")
    lines, order = [], 0
    for customer in range(customers):
        kind = customer % len(KINDS)
        favourites = rng.choice(PER_KIND, 3, replace=False)
        visits = rng.random(len(days)) < rng.choice([0.03, 0.08, 0.15])
        visits[rng.integers(60)] = True
        for day in days[visits]:
            order += 1
            held = {(kind, int(product)) for product in favourites[rng.random(3) < 0.5]}
            held |= {(which, (product + 1) % PER_KIND) for which, product in held if rng.random() < 0.5}
            if rng.random() < 0.3 or not held:
                held.add((int(rng.integers(len(KINDS))), int(rng.integers(PER_KIND) ** 2 / PER_KIND)))
            for which, product in sorted(held):
                name = f"{KINDS[which][0]}{product}"
                price = 5 + 3 * which + product
                lines.append(
                    f"{customer},{order},{day},{name},{KINDS[which]} {product},{KINDS[which]},1,{price}.00,0,Not Used"
                )
    return lines
