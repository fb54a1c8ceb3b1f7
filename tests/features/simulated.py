"""A small simulated shop with every canonical table, and what the feature tests do to it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd

from canonical import write_canonical
from features.engines import DuckDB
from features.tables import GROSS, SPECS, Tables

START, CUTOFF, END = date(2020, 1, 1), date(2020, 6, 1), date(2020, 9, 1)
BURN_IN_DAYS = 14


def engine(folder: Path) -> DuckDB:
    return DuckDB(threads=2, memory_limit="1GiB", temp_directory=str(folder / "spill"))


def open_shop(frames: Mapping[str, pd.DataFrame], folder: Path, on: DuckDB, spend: str = GROSS) -> Tables:
    """Write frames as canonical Parquet (columns not given are null) and open them."""
    tables = {}
    for name, frame in frames.items():
        path = folder / f"{name}.parquet"
        write_canonical(name, frame, path)
        tables[name] = on.read(path, f"{folder.name}_{name}")
    return Tables(start=START, end=END, burn_in_days=BURN_IN_DAYS, spend=spend, **tables)


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
    frames = {
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

    return frames | _beyond_the_till(rng, frames, moments) | {"returns": _returned(transactions, seed)}


def _returned(transactions: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Draw returns of some lines within 60 days, some of them without a known sale."""
    rng = np.random.default_rng([seed, 1])
    lines = transactions.sample(frac=0.2, random_state=seed).reset_index(drop=True)
    moment = lines["timestamp"] + pd.to_timedelta(rng.integers(0, 60 * 24, len(lines)), unit="h")
    part = zip(lines["amount"], rng.choice([1, 2], len(lines)), strict=True)
    is_found = rng.random(len(lines)) < 0.8
    returned = pd.DataFrame(
        {
            "return_number": np.arange(len(lines)),
            "customer_id": lines["customer_id"],
            "returned_at": moment,
            "amount": [(amount / int(n)).quantize(Decimal("0.01")) for amount, n in part],
            "kind": rng.choice(["return", "cancellation"], len(lines)),
            "product_id": lines["product_id"],
            "order_id": lines["order_id"].where(is_found),
            "line_number": lines["line_number"].where(is_found),
            "sold_at": lines["timestamp"].where(is_found),
        }
    )
    return returned[moment < pd.Timestamp(END)].reset_index(drop=True)


def _beyond_the_till(
    rng: np.random.Generator, frames: Mapping[str, pd.DataFrame], moments: Callable[[int], pd.Series]
) -> dict[str, pd.DataFrame]:
    """Frames of what happens outside of purchases: visits, messages, answers, consents, stock, spend."""
    ids = frames["transactions"]["customer_id"].unique()
    visitors = np.concatenate([ids, [f"visitor {i}" for i in range(20)]])
    known = np.append(frames["products"]["product_id"], [None])

    def later(than: pd.Series, share: float) -> pd.Series:
        """Moments up to 60 days after, for a share of the rows; nothing for the others."""
        moved = than + pd.to_timedelta(rng.integers(1, 60 * 24, len(than)), unit="h")
        return moved.where((rng.random(len(than)) < share) & (moved < pd.Timestamp(END)))

    session = rng.integers(0, 120, 600)
    started = moments(120)
    sent = moments(400)
    opened = later(sent, 0.5)
    consented = moments(80)
    days = pd.date_range(START, END, inclusive="left")
    return {
        "events": pd.DataFrame(
            {
                "event_number": np.arange(600),
                "customer_id": visitors[session % len(visitors)],
                "occurred_at": started.to_numpy()[session] + pd.to_timedelta(rng.integers(0, 1_800, 600), unit="s"),
                "kind": rng.choice(["view", "cart", "purchase"], 600),
                "session_id": [None if i % 17 == 0 else f"s{i}" for i in session],
                "product_id": rng.choice(known, 600),
            }
        ).loc[lambda events: events["occurred_at"] < pd.Timestamp(END)],
        "messages": pd.DataFrame(
            {
                "message_id": [f"m{i}" for i in range(400)],
                "customer_id": rng.choice(visitors, 400),
                "sent_at": sent,
                "channel": rng.choice(["e-mail", "push"], 400),
                "opened_at": opened,
                "clicked_at": later(opened.fillna(pd.Timestamp(END)), 0.5).where(opened.notna()),
                "device": np.where(opened.notna(), "phone", None),
            }
        ),
        "surveys": pd.DataFrame(
            {
                "customer_id": rng.choice(ids, 100),
                "question": "nps",
                "answered_at": moments(100),
                "score": rng.integers(0, 11, 100),
            }
        ),
        "consents": pd.DataFrame(
            {
                "customer_id": rng.choice(ids, 80),
                "purpose": "marketing",
                "channel": rng.choice(["e-mail", None], 80),
                "starts_at": consented,
                "ends_at": later(consented, 0.4),
            }
        ),
        "identities": pd.DataFrame({"id": [f"cookie {i}" for i in range(len(ids))], "customer_id": ids}),
        "stock": pd.DataFrame(
            [(product, day) for product in known[:5] for day in days[::30]], columns=["product_id", "counted_at"]
        ).assign(units=lambda stock: [Decimal(int(units)) for units in rng.integers(0, 50, len(stock))]),
        "marketing_spend": pd.DataFrame(
            [(day, channel) for day in days for channel in ("search", "social")], columns=["spent_at", "channel"]
        ).assign(amount=lambda spend: [Decimal(int(cents)) / 100 for cents in rng.integers(0, 9_000, len(spend))]),
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
        frame = _with_other_later_values(name, frame, change)
        future = frame[late]
        if change == "append":  # strangers, and all of the past once more at the first moment not known
            future = pd.concat(
                [future, _by_a_stranger(future), frame[~late].assign(**{known_at: pd.Timestamp(CUTOFF)})]
            )
        if change == "poison":
            money = {c: Decimal(10**9) for c in ("amount", "list_amount", "quantity", "coupon_discount") if c in frame}
            future = future.assign(**money)
        changed[name] = frame[~late] if change == "drop" else pd.concat([frame[~late], future])
    return changed


def _by_a_stranger(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.assign(**{name: "stranger" for name in ("customer_id", "channel") if name in rows})


def _with_other_later_values(name: str, frame: pd.DataFrame, change: str) -> pd.DataFrame:
    """Change values that became known later than their row, at or after CUTOFF: gone, or a day later."""
    for column, moment in SPECS[name].known_later.items():
        if column == moment and column in frame:
            late = frame[column] >= pd.Timestamp(CUTOFF)
            assert late.any()
            other = pd.NaT if change == "drop" else frame.loc[late, column] + pd.Timedelta(days=1)
            frame = frame.assign(**{column: frame[column].mask(late, other)})
    return frame
