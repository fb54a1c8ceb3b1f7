"""Simulated shops with facts of unknown date: a survey of those who stayed, a region that was known from the start."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from pathlib import Path

import ibis
import numpy as np
import pandas as pd

from features.attrition import Attrition, attrition, contact_attrition
from features.engines import DuckDB
from features.tables import Tables

START = date(2020, 1, 1)
SCENARIOS = {
    "survey of those who stayed": "filled in on the last day by half of those who had not dropped out",
    "survey on the first day": "filled in by half of all customers who were there, whatever they do later",
    "region": "one of three from the start, for all customers",
    "region that matters": "likewise, and customers of one region drop out 1.5 times as often",
    "band of later orders": "one of four by the orders of the second half of the days",
    "state of the account": "closed for 70% of those who dropped out, open for all others",
}
LISTS = {
    "list of later": "half of those who were still there 60 days after the contact",
    "list by chance": "three in ten of all customers who had come by then",
    "list of the best": "the third of customers with most orders by then",
    "campaign that works": "three in ten by chance, a third of whom it keeps from dropping out in the next 60 days",
}
LEAKS = ("survey of those who stayed", "band of later orders", "state of the account")
LEAKING_LISTS = ("list of later",)


def customers(rng: np.random.Generator, days: int, hazard_of: np.ndarray | None = None) -> pd.DataFrame:
    """Draw customers of a shop at random: arrival, days until they drop out, orders a day."""
    n = round(float(np.exp(rng.uniform(np.log(600), np.log(4_000))))) if hazard_of is None else len(hazard_of)
    lifetime = float(np.exp(rng.uniform(np.log(0.6 * days), np.log(2.5 * days))))
    between = float(np.exp(rng.uniform(np.log(4), np.log(35))))
    arrived = np.where(rng.random(n) < 0.6, 0.0, rng.uniform(0, 0.9 * days, n))
    hazard = rng.gamma(2.0, 0.5 / lifetime, n) * (1.0 if hazard_of is None else hazard_of)
    return pd.DataFrame(
        {
            "arrived": arrived,
            "left": arrived + rng.exponential(1 / hazard),
            "rate": rng.gamma(1.2, 1 / (1.2 * between), n),
        }
    )


def lines_of(rng: np.random.Generator, drawn: pd.DataFrame, days: int) -> pd.DataFrame:
    """Draw the orders of customers, with a season."""
    peak = rng.uniform(1.0, 2.0)
    stay = (drawn["left"].clip(upper=days) - drawn["arrived"]).to_numpy()
    number = 1 + rng.poisson(drawn["rate"].to_numpy() * stay * (1 + peak) / 2)
    buyer = np.repeat(np.arange(len(drawn)), number)
    at = drawn["arrived"].to_numpy()[buyer] + stay[buyer] * rng.random(len(buyer))
    kept = rng.random(len(buyer)) < (1 + (peak - 1) * np.sin(np.pi * at / 365) ** 2) / peak
    first = np.r_[True, buyer[1:] != buyer[:-1]]
    buyer, at = buyer[kept | first], at[kept | first]
    moment = pd.Timestamp(START) + pd.to_timedelta((np.minimum(at, days - 1e-3) * 86_400).astype("int64"), unit="s")
    return pd.DataFrame({"customer_id": [f"c{n}" for n in buyer], "timestamp": moment})


def facts_of(
    scenario: str, rng: np.random.Generator, drawn: pd.DataFrame, days: int, region: np.ndarray
) -> pd.DataFrame:
    """Return the table of customers in a scenario."""
    stayed = (drawn["left"] >= days).to_numpy()
    ids = pd.Series([f"c{n}" for n in range(len(drawn))])
    if scenario == "survey of those who stayed":
        kept = stayed & (rng.random(len(drawn)) < 0.5)
        return pd.DataFrame({"customer_id": ids[kept], "age_band": "18-30"})
    if scenario == "survey on the first day":
        kept = (drawn["arrived"] == 0).to_numpy() & (rng.random(len(drawn)) < 0.5)
        return pd.DataFrame({"customer_id": ids[kept], "age_band": "18-30"})
    if scenario == "state of the account":
        closed = ~stayed & (rng.random(len(drawn)) < 0.7)
        return pd.DataFrame({"customer_id": ids, "marital_status": np.where(closed, "closed", "open")})
    return pd.DataFrame({"customer_id": ids, "region": np.array(["North", "South", "West"])[region]})


def bands(lines: pd.DataFrame, days: int, n: int) -> pd.DataFrame:
    """Return a band of each customer by the orders of the second half of the days."""
    later = lines["customer_id"][lines["timestamp"] >= pd.Timestamp(START) + pd.Timedelta(days=days / 2)].value_counts()
    orders = later.reindex([f"c{number}" for number in range(n)], fill_value=0)
    band = np.searchsorted([1, *later.quantile([1 / 3, 2 / 3])], orders, side="right")
    return pd.DataFrame({"customer_id": orders.index, "income_band": band.astype(str)})


def compared_in(scenario: str, seed: int, folder: Path) -> list[Attrition]:
    """Simulate a shop and compare attrition."""
    rng = np.random.default_rng([seed, list(SCENARIOS).index(scenario)])
    days = int(rng.choice([365, 365, 730]))
    drawn = customers(rng, days)
    region = rng.integers(0, 3, len(drawn))
    if scenario == "region that matters":
        drawn = customers(rng, days, np.where(region == 0, 1.5, 1.0))
    lines = lines_of(rng, drawn, days)
    facts = facts_of(scenario, rng, drawn, days, region)
    if scenario == "band of later orders":
        facts = bands(lines, days, len(drawn))
    frames = {"transactions": lines, "customers": facts}
    on = DuckDB(threads=1, memory_limit="1GiB", temp_directory=str(folder))
    compared = attrition(opened(frames, days, on), on)
    on.connection.disconnect()
    return compared


def lists_in(scenario: str, seed: int, folder: Path) -> list[Attrition]:
    """Simulate a shop with three campaigns, whose lists were made as the scenario says, and compare attrition."""
    rng = np.random.default_rng([seed, 50 + list(LISTS).index(scenario)])
    days = int(rng.choice([365, 365, 730]))
    drawn = customers(rng, days)
    lines = lines_of(rng, drawn, days) if scenario == "list of the best" else None
    parts = []
    for number, share in enumerate((0.35, 0.5, 0.65)):
        day = round(share * days)
        here = ((drawn["arrived"] < day) & (drawn["left"] > day)).to_numpy()
        known = (drawn["arrived"] < day).to_numpy()
        chosen = known & (rng.random(len(drawn)) < 0.3)
        if scenario == "list of later":
            chosen = known & (drawn["left"] > day + 60).to_numpy() & (rng.random(len(drawn)) < 0.5)
        elif scenario == "list of the best":
            before = lines["timestamp"] < pd.Timestamp(START) + pd.Timedelta(days=day)
            orders = lines["customer_id"][before].value_counts().reindex([f"c{n}" for n in drawn.index], fill_value=0)
            chosen = (orders > orders[orders > 0].quantile(2 / 3)).to_numpy()
        elif scenario == "campaign that works":
            kept = chosen & here & (drawn["left"] < day + 60).to_numpy() & (rng.random(len(drawn)) < 1 / 3)
            drawn.loc[kept, "left"] += 180
        moment = pd.Timestamp(START) + pd.Timedelta(days=day)
        parts.append(
            pd.DataFrame(
                {
                    "customer_id": [f"c{n}" for n in np.flatnonzero(chosen)],
                    "campaign_id": f"k{number}",
                    "contacted_at": moment,
                }
            )
        )
    frames = {"transactions": lines_of(rng, drawn, days) if lines is None else lines, "contacts": pd.concat(parts)}
    on = DuckDB(threads=1, memory_limit="1GiB", temp_directory=str(folder))
    compared = contact_attrition(opened(frames, days, on), on)
    on.connection.disconnect()
    return compared


def opened(frames: Mapping[str, pd.DataFrame], days: int, on: DuckDB) -> Tables:
    """Open frames as the tables of a shop."""
    tables = {
        name: on.connection.create_table(ibis.util.gen_name(name), ibis.memtable(frame), temp=True)
        for name, frame in frames.items()
    }
    return Tables(start=START, end=START + timedelta(days=days), **tables)
