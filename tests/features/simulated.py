"""A small simulated shop with every canonical table, and what the feature tests do to it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from features.engines import DuckDB
from features.tables import SPECS, Tables

START, CUTOFF, END = date(2020, 1, 1), date(2020, 6, 1), date(2020, 9, 1)
BURN_IN_DAYS = 14


def engine(folder: Path) -> DuckDB:
    return DuckDB(threads=2, memory_limit="1GiB", temp_directory=str(folder / "spill"))


def open_shop(frames: Mapping[str, pd.DataFrame], folder: Path, on: DuckDB) -> Tables:
    """Write frames as canonical Parquet (columns not given are null) and open them."""
    tables = {}
    for name, frame in frames.items():
        schema = SPECS[name].schema
        columns = frame.reindex(columns=list(schema.names)).astype(object)
        path = folder / f"{name}.parquet"
        pq.write_table(pa.Table.from_pandas(columns.where(columns.notna(), None), schema=schema.to_pyarrow()), path)
        tables[name] = on.read(path, f"{folder.name}_{name}")
    return Tables(start=START, end=END, burn_in_days=BURN_IN_DAYS, **tables)


def simulate(seed: int, customers: int = 60, lines: int = 3_000) -> dict[str, pd.DataFrame]:
    """Frames of a shop where some buy once, some late, some products are unknown and some lines free."""
    rng = np.random.default_rng(seed)
    seconds = int((pd.Timestamp(END) - pd.Timestamp(START)).total_seconds())

    def moments(size: int) -> pd.Series:
        return pd.Series(pd.Timestamp(START) + pd.to_timedelta(rng.integers(0, seconds, size), unit="s"))

    def money(values: np.ndarray) -> list[Decimal]:
        return [Decimal(int(cents)) / 100 for cents in values]

    ids = np.array([f"c{i:04d}" for i in range(customers)])
    n_orders = max(lines // 4, customers)
    # The first orders give everyone one, the rest go to few: a third stays with a single order.
    buyer = np.concatenate([np.arange(customers), rng.integers(0, customers * 2 // 3, n_orders - customers)])
    when = moments(n_orders)
    order = np.concatenate([np.arange(n_orders), rng.integers(0, n_orders, lines - n_orders)])
    cents = rng.integers(0, 5_000, lines)
    discount = rng.integers(0, 300, lines)
    products = np.array([f"p{i}" for i in range(40)], dtype=object)
    transactions = pd.DataFrame(
        {
            "order_id": [f"o{i}" for i in order],
            "line_number": np.arange(lines),
            "customer_id": ids[buyer[order]],
            "timestamp": when.to_numpy()[order],
            "amount": money(cents),
            "product_id": np.where(rng.random(lines) < 0.1, None, products[rng.integers(0, 40, lines)]),
            "quantity": [None if u < 0.1 else Decimal(int(1 + 4 * u)) for u in rng.random(lines)],
            "list_amount": [
                None if u < 0.1 else m for u, m in zip(rng.random(lines), money(cents + discount), strict=True)
            ],
            "coupon_discount": money(np.where(rng.random(lines) < 0.1, discount, 0)),
            "store_id": np.where(rng.random(lines) < 0.1, None, rng.choice(["north", "south"], lines)),
        }
    )
    starts = moments(6)
    contacted = np.argwhere(rng.random((6, customers)) < 0.3)
    answers = np.argwhere(rng.random((6, customers)) < 0.1)
    answered_at = starts.to_numpy()[answers[:, 0]] + pd.to_timedelta(rng.integers(1, 20, len(answers)), unit="D")
    return {
        "transactions": transactions,
        "customers": pd.DataFrame(
            {
                "customer_id": ids[::2],
                "gender": rng.choice(["F", "M", None], len(ids[::2])),
                "age_band": rng.choice(["19-24", "65+", None], len(ids[::2])),
                "tenure_months": rng.integers(0, 60, len(ids[::2])),
            }
        ),
        "products": pd.DataFrame(
            {
                "product_id": products,
                "category": [None if i % 9 == 0 else f"category {i % 7}" for i in range(40)],
                "department": [f"department {i % 3}" for i in range(40)],
            }
        ),
        "campaigns": pd.DataFrame(
            {"campaign_id": [f"k{i}" for i in range(6)], "starts_at": starts, "ends_at": starts + pd.Timedelta(days=30)}
        ),
        "contacts": pd.DataFrame(
            {
                "campaign_id": [f"k{i}" for i in contacted[:, 0]],
                "customer_id": ids[contacted[:, 1]],
                "contacted_at": starts.to_numpy()[contacted[:, 0]],
            }
        ),
        "responses": pd.DataFrame(
            {
                "campaign_id": [f"k{i}" for i in answers[:, 0]],
                "customer_id": ids[answers[:, 1]],
                "responded_at": answered_at,
                "discount_id": "coupon",
                "kind": "redemption",
            }
        ),
    }


def with_another_future(frames: Mapping[str, pd.DataFrame], change: str) -> dict[str, pd.DataFrame]:
    """The frames with all that becomes known at or after CUTOFF changed: what no feature may notice.

    `drop` it, `append` strangers and all of the past once more, or `poison` its figures.
    """
    changed = {}
    for name, frame in frames.items():
        known_at = SPECS[name].known_at
        if known_at is None:
            changed[name] = frame.assign(tenure_months=999) if "tenure_months" in frame else frame
            continue
        late = frame[known_at] >= pd.Timestamp(CUTOFF)
        assert late.any()
        future = frame[late]
        if change == "append":  # strangers, and all of the past once more at the first moment not known
            future = pd.concat(
                [future, future.assign(customer_id="stranger"), frame[~late].assign(**{known_at: pd.Timestamp(CUTOFF)})]
            )
        if change == "poison":
            money = {c: Decimal(10**9) for c in ("amount", "list_amount", "quantity", "coupon_discount") if c in frame}
            future = future.assign(**money)
        changed[name] = frame[~late] if change == "drop" else pd.concat([frame[~late], future])
    return changed
