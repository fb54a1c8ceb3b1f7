"""Regret of the first use in simulated shops, by rules for when a baseline is used; into first_use.md.

    PYTHONPATH=tests python benchmarks/first_use.py                          # five minutes; what is done is kept
    PYTHONPATH=tests python benchmarks/first_use.py "as drawn" 1000 1050     # these shops alone, added to those
    PYTHONPATH=tests python benchmarks/first_use.py real cdnow_master        # likewise, parts of a real shop

`benchmarks/decisions.py` judges models of the project by the gate itself, in an hour. Here the same shops have models
that are fitted in milliseconds, so that rules can be compared in many shops, those among them where a baseline is truly
better. Windows, baselines and futures are the same.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from experiments import open_session
from features.sources.reading import hash_files
from features.writing import replacing
from seasonal_shops import shop

HORIZON, STEP, LEAST_HISTORY, YEAR = 90, 30, 60, 366  # days
WINDOWS, VALIDATION = 4, 3  # before the end, the sealed one counted; of validation, at most
RESAMPLES, FUTURES = 200, 60
FLAT = {"peak": 1.0, "unlike_years": 0.0, "noise": 1e-6}
FOREVER = 1e6  # days until a customer drops out
GROUPS: Mapping[str, tuple[range, Mapping[str, float]]] = {
    "as drawn": (range(1_000, 1_200), {}),
    "other shops": (range(2_000, 2_100), {}),
    "unseen": (range(6_000, 6_200), {}),
    "no season": (range(1_000, 1_100), FLAT),
    "lasting": (range(3_000, 3_100), {"first": 1.0, "lifetime": FOREVER}),
    "lasting, no season": (range(3_000, 3_100), {"first": 1.0, "lifetime": FOREVER, **FLAT}),
    "newcomers who stay": (range(4_000, 4_100), {"lifetime": FOREVER}),
    "equal rates": (range(5_000, 5_100), {"lifetime": FOREVER, "rate_shape": 1e4, **FLAT}),
}
BASELINES = ("rate", "lately", "total")
HORIZONS, MOST_PARTS = (28, 60, 90), 8  # of real shops
REAL: Mapping[str, tuple[str, list[str], tuple[int, ...]]] = {  # data, overrides, numbers of parts
    "complete_journey": ("complete_journey", [], (1, 2, 4)),
    "cdnow_master": ("cdnow", ["data.variant=master"], (10, 40)),
    "merchandise_store": ("merchandise_store", [f"data.path={os.environ.get('MERCHANDISE_STORE_DATA', '')}"], (1, 2)),
}
TRIALS = 17  # beside the three models
TRIED = tuple(f"trial {number}" for number in range(TRIALS))
POOLS = {
    "linear": ("linear",),
    "best of 3": ("linear", "purchases", "mean rank"),
    "best of 20": ("linear", "purchases", "mean rank", *TRIED),
    "no BG/NBD": ("linear", *TRIED[::3]),
}
RULES = ("best measured", "not by chance", "weighed", "never")
KEPT = Path(".cache") / "first_use" / hash_files([Path(__file__), Path(shop.__code__.co_filename)])[:16]
HEADING = """# When is a baseline used first?

Written by `benchmarks/first_use.py`. With nothing in use, the candidate is beside three baselines in the sealed window.
The rules differ in when a baseline is used in its place:

- *best measured*: if it measured better (ADR 21);
- *not by chance*: if, besides, its lead is more likely than not real as that of the best of three, 3 x p < 1/2;
- *weighed*, the gate's rule: if its lead is real so, or not less than the candidate's gain over the best at validation;
- *never*.

Regret is the expected Gini of the best of candidate and baselines in the 90 days after the data, minus that of the one
in use. *Change* is to the regret of the best measured, with its standard error over shops. The goal is 0.0025.

Shops have 300 to 3,000 customers and one to nearly three years of data, as those of [decisions.md](decisions.md).

- *as drawn* and *other shops*: an autumn peak, customers who come and drop out;
- *unseen*: likewise, drawn after the rule was chosen;
- *no season*: without peak and without noise of the weeks;
- *lasting*: all customers were there before the data and none drops out, so past spend is truly better;
- *newcomers who stay*: customers come and none drops out, so spend a day is often truly better;
- *equal rates*: all customers buy as often, without season: who bought more did so by chance.

Real shops: parts of their customers (a half, a tenth, ...), at sealed days a window apart, with windows of 28, 60 and
90 days. What is learnt and chosen in a part is judged in the next window on all customers of the shop, as it came.
Cases share customers and windows, so their standard errors are too small. The store is judged on few customers.

Candidates are a ridge regression on logs; the best at validation of this, of a BG/NBD whose parameters are set by
moments and a grid, and of their mean rank; the best of 20, with 17 mixtures of the two on features drawn at random; and
the best of those that hold no BG/NBD, which is the simulation's own model.

"""


@dataclass(frozen=True)
class Shop:
    """Gini of each model in the windows of a shop, and later.

    Attributes
    ----------
    days : int
        Of the data.
    windows : sequence of mapping of model to float
        In order of time, the sealed one last.
    p_values : mapping of "model over baseline" to float
        Share of resamples of the sealed window in which the baseline does not lead.
    expected : mapping of model to float
        Mean over many futures of the same customers.
    """

    days: int
    windows: Sequence[Mapping[str, float]]
    p_values: Mapping[str, float]
    expected: Mapping[str, float]

    @property
    def validated(self) -> Mapping[str, float]:
        """Mean Gini of each model at validation."""
        held_out = self.windows[-1 - min(VALIDATION, len(self.windows) - 1) : -1]
        return {name: float(np.mean([window[name] for window in held_out])) for name in self.windows[-1]}

    def searched(self, pool: Sequence[str]) -> str:
        """Return the model of the pool that is best at validation."""
        return max(pool, key=self.validated.__getitem__)

    def used(self, model: str, rule: str) -> str:
        """Return what is used: the model, or the baseline that measured best, if the rule says so."""
        sealed = self.windows[-1]
        baseline = max(BASELINES, key=lambda name: sealed[name])
        is_real = len(BASELINES) * self.p_values[f"{model} over {baseline}"] < 1 / 2
        lead = sealed[baseline] - sealed[model]
        is_heavier = lead >= self.validated[model] - max(self.validated[name] for name in BASELINES)
        counts = {"best measured": True, "not by chance": is_real, "weighed": is_real or is_heavier, "never": False}
        return baseline if lead > 0 and counts[rule] else model

    def regret(self, model: str, used: str) -> float:
        return max(self.expected[name] for name in (model, *BASELINES)) - self.expected[used]

    def is_best_measured(self, model: str, used: str) -> bool:
        return self.windows[-1][used] >= max(self.windows[-1][name] for name in (model, *BASELINES))


@dataclass(frozen=True)
class Orders:
    """Day since the beginning, customer and amount of each order that is known."""

    day: np.ndarray
    customer: np.ndarray
    amount: np.ndarray

    def history(self, cutoff: int) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
        """Return customers, features and baselines as of a cutoff: purchase days, recency, T, …, spend rates."""
        past = self.day < cutoff
        customers, of = np.unique(self.customer[past], return_inverse=True)
        days, of_day = np.unique(of * 4096 + self.day[past], return_inverse=True)
        spent, who, day, n = np.bincount(of_day, self.amount[past]), days // 4096, days % 4096, len(customers)
        first, last = np.full(n, cutoff), np.full(n, -1)
        np.minimum.at(first, who, day)
        np.maximum.at(last, who, day)
        total, visits, known = np.bincount(who, spent, n), np.bincount(who, minlength=n), cutoff - first
        lately = np.bincount(who, spent * (day >= cutoff - 91), n)
        columns = [visits, last - first, known, cutoff - 1 - last, total, total / visits, lately, total / known]
        columns += [np.bincount(who, spent * (day >= cutoff - 28), n), lately / np.minimum(known, 91)]
        columns += [np.bincount(who, (day >= cutoff - 91) * 1.0, n)]
        baselines = {"rate": total / known, "lately": lately / np.minimum(known, 91), "total": total}
        return customers, np.column_stack(columns).astype(float), baselines

    def spend(self, cutoff: int, horizon: int, customers: np.ndarray) -> np.ndarray:
        """Return the spend of each customer in the window of a cutoff."""
        inside = (self.day >= cutoff) & (self.day < cutoff + horizon)
        at = np.minimum(np.searchsorted(customers, self.customer[inside]), len(customers) - 1)
        known = customers[at] == self.customer[inside]
        return np.bincount(at[known], self.amount[inside][known], len(customers))


def ginis(y: np.ndarray, prediction: np.ndarray) -> np.ndarray:
    """Compute the normalised Gini of one prediction for each row of outcomes; equal predictions share their mean rank.

    Parameters
    ----------
    y : array of shape (n_outcomes, n_customers)
    prediction : array of shape (n_customers,)
    """
    n, total = y.shape[1], y.sum(axis=1)
    perfect = -np.sort(-y, axis=1) @ (np.arange(n) + 0.5)
    return (n - 2 * (y @ (rankdata(-prediction) - 0.5)) / total) / (n - 2 * perfect / total)


def resampled(y: np.ndarray, predictions: Mapping[str, np.ndarray], rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Compute the Gini of each prediction in resamples of the customers, the same ones for all."""
    n = len(y)
    times = np.array([np.bincount(rng.integers(0, n, n), minlength=n) for _ in range(RESAMPLES)], float)

    def area(order: np.ndarray) -> np.ndarray:
        weights = times[:, order]
        spent = y[order] * weights
        return 1 - 2 * (spent * (weights.cumsum(axis=1) - weights / 2)).sum(axis=1) / n / spent.sum(axis=1)

    perfect = area(np.argsort(-y))
    return {name: area(np.lexsort((rng.random(n), -values))) / perfect for name, values in predictions.items()}


def linear(X: np.ndarray, y: np.ndarray, judged: np.ndarray) -> np.ndarray:
    """Predict the log of spend by a ridge regression on the logs of the features."""
    logs = np.log1p(X)
    location, spread = logs.mean(axis=0), logs.std(axis=0) + 1e-9
    scaled, target = (logs - location) / spread, np.log1p(y)
    weights = np.linalg.solve(scaled.T @ scaled + 100 * np.eye(X.shape[1]), scaled.T @ (target - target.mean()))
    return (np.log1p(judged) - location) / spread @ weights


def purchases(X: np.ndarray, y: np.ndarray, judged: np.ndarray) -> np.ndarray:
    """Predict spend by BG/NBD: r = 0.8, alpha by the mean rate, b = 2.5, and the a that ranks the training rows best.

    Values shrink to the mean order like gamma-gamma with a weight of three orders.
    """
    shape, b, mean_value = 0.8, 2.5, X[:, 4].sum() / X[:, 0].sum()
    scale = shape * X[:, 2].sum() / max((X[:, 0] - 1).sum(), 1.0)

    def score(rows: np.ndarray, a: float) -> np.ndarray:
        repeats, recency, known = rows[:, 0] - 1, rows[:, 1], rows[:, 2]
        odds = a / (b + repeats) * ((scale + known) / (scale + recency)) ** (shape + repeats)
        value = (3 * mean_value + rows[:, 0] * rows[:, 5]) / (3 + rows[:, 0])
        return (shape + repeats) / (scale + known) / (1 + odds) * value

    best = max((0.1, 0.3, 0.8, 2.0), key=lambda a: ginis(y[None], score(X, a))[0])
    return score(judged, best)


def predicted(
    rows: Sequence[tuple[np.ndarray, np.ndarray]], judged: np.ndarray, baselines: Mapping[str, np.ndarray], seed: int
) -> dict[str, np.ndarray]:
    """Predict by all models, trained on rows of features and outcomes."""
    X, y = np.vstack([features for features, _ in rows]), np.concatenate([spend for _, spend in rows])
    found = {"linear": linear(X, y, judged), "purchases": purchases(X, y, judged)}
    by_purchases, rng = rankdata(found["purchases"]), np.random.default_rng(seed)
    found["mean rank"] = rankdata(found["linear"]) + by_purchases
    for number, name in enumerate(TRIED):
        drawn = rng.choice(X.shape[1], rng.integers(3, 9), replace=False)
        weight = rng.uniform() if number % 3 else 0.0  # every third holds no BG/NBD
        by_logs = rankdata(linear(X[:, drawn], y, judged[:, drawn]))
        found[name] = (1 - weight) * by_logs + weight * by_purchases
    return {**baselines, **found}


def measured(group: str, seed: int) -> Shop | None:
    """Measure all models in a simulated shop; None if it has too few customers."""
    whole = shop(seed, years=2 + (seed % 4 == 3), **GROUPS[group][1])
    drawn, begin, end = whole.orders(), whole.days()[0], whole.n_days - HORIZON
    day = (drawn["timestamp"].dt.normalize() - begin).dt.days.to_numpy()
    start = max(0, end - YEAR) if seed % 2 == 0 else 0
    kept = (day >= start) & (day < end)
    orders = Orders(
        day[kept], drawn["customer_id"].to_numpy()[kept], (drawn["quantity"] * drawn["unit_price"]).to_numpy()[kept]
    )

    def later(customers: np.ndarray) -> np.ndarray:
        return whole.futures(begin + pd.Timedelta(days=end), FUTURES).loc[customers].to_numpy().T

    return judged(orders, orders, start, end - HORIZON, HORIZON, later, seed)


def judged(
    orders: Orders,
    everyone: Orders,
    start: int,
    sealed: int,
    horizon: int,
    later: Callable[[np.ndarray], np.ndarray],
    seed: int,
) -> Shop | None:
    """Measure all models in the windows of a shop, and later; None if it has too few customers or windows.

    Parameters
    ----------
    orders : Orders
        What models learn from and are measured on.
    everyone : Orders
        Of all customers for whom they predict later.
    start, sealed, horizon : int
        First day of the data, of the sealed window, and days of a window.
    later : callable
        Customers to their spend after the sealed window: a row for each future.
    seed : int
        Of the trials.
    """
    earliest, of = start + LEAST_HISTORY, {}

    def at(cutoff: int) -> tuple:
        if cutoff not in of:
            customers, X, baselines = orders.history(cutoff)
            of[cutoff] = X, orders.spend(cutoff, horizon, customers), baselines
        return of[cutoff]

    def trained(cutoff: int) -> list[tuple[np.ndarray, np.ndarray]]:
        return [at(day)[:2] for day in range(cutoff - horizon, earliest - 1, -STEP)]

    X, y, _ = at(sealed)
    cutoffs = list(range(sealed, earliest + horizon - 1, -horizon))[:WINDOWS][::-1]
    if min(len(X) / 100, (X[:, 0] > 1).sum() / 30, (y > 0).sum() / 30) < 1 or len(cutoffs) < 2:
        return None
    windows, p_values = [], {}
    for cutoff in cutoffs:
        X, y, baselines = at(cutoff)
        predictions = predicted(trained(cutoff), X, baselines, seed)
        windows.append({name: float(ginis(y[None], values)[0]) for name, values in predictions.items()})
        if cutoff == sealed:
            draws = resampled(y, predictions, np.random.default_rng(0))
            p_values = {
                f"{name} over {rival}": float(np.mean(draws[rival] <= draws[name]))
                for name in predictions
                for rival in BASELINES
            }
    customers, X, baselines = everyone.history(sealed + horizon)
    predictions, futures = predicted(trained(sealed), X, baselines, seed), later(customers)
    expected = {name: float(ginis(futures, values).mean()) for name, values in predictions.items()}
    return Shop(sealed + horizon - start, windows, p_values, expected)


def of_real_shop(name: str, folder: Path) -> list[Shop]:
    """Measure all models in parts of a real shop's customers, at several sealed days.

    What is chosen in a part is judged later on all customers of the shop.
    """
    data, overrides, parts = REAL[name]
    session = open_session(data=data, folder=folder, overrides=overrides)
    lines = session.shop.tables.transactions.select("customer_id", "timestamp", "amount").to_pandas()
    day = (pd.to_datetime(lines["timestamp"]).dt.normalize() - pd.Timestamp(session.shop.tables.start)).dt.days
    codes = pd.factorize(lines["customer_id"])[0]
    whole = Orders(day.to_numpy(), codes, lines["amount"].astype(float).to_numpy())
    n_customers, n_days, found = codes.max() + 1, (session.shop.tables.end - session.shop.tables.start).days, []
    for n_parts in parts:
        part_of = np.random.default_rng(n_parts).permutation(n_customers) % n_parts
        for part in range(min(n_parts, MOST_PARTS)):
            mine = (part_of == part)[codes]
            orders = Orders(whole.day[mine], codes[mine], whole.amount[mine])
            for horizon in HORIZONS:
                for sealed in range(n_days - 2 * horizon, LEAST_HISTORY + 2 * horizon - 1, -horizon):

                    def later(customers: np.ndarray, end: int = sealed + horizon, horizon: int = horizon) -> np.ndarray:
                        return whole.spend(end, horizon, customers)[None]

                    found.append(judged(orders, whole, 0, sealed, horizon, later, part))
    return [one for one in found if one]


def kept(name: str, make: Callable[[], Any]) -> Any:
    """Return what was measured before, else measure it and keep it as JSON."""
    path = KEPT / f"{name.replace(', ', '_').replace(' ', '_')}.json"
    if not path.exists():
        made = make()
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as partial:
            partial.write_text(json.dumps(made))
    return json.loads(path.read_text())


def simulated(group: str, seeds: Iterable[int]) -> list[Shop]:
    """Return the shops of a group that have enough customers."""

    def make(seed: int) -> dict[str, Any] | None:
        made = measured(group, seed)
        return asdict(made) if made else None

    found = [kept(f"{group}_{seed}", partial(make, seed)) for seed in seeds]
    return [Shop(**one) for one in found if one]


def real(name: str) -> list[Shop]:
    """Return the cases of a real shop; none if its files are not given."""
    if name == "merchandise_store" and "MERCHANDISE_STORE_DATA" not in os.environ:
        print("merchandise_store is left out: set MERCHANDISE_STORE_DATA to the folder of its files")
        return []
    with TemporaryDirectory() as folder:
        found = kept(name, lambda: [asdict(one) for one in of_real_shop(name, Path(folder))])
    return [Shop(**one) for one in found]


def table(shops: Sequence[Shop]) -> list[str]:
    """Write a line for each candidate and rule."""
    lines = [
        "| candidate | a baseline is truly better | rule | regret | change | best measured used | candidate used |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, pool in POOLS.items():
        pairs = [(one, one.searched(pool)) for one in shops]
        truly = np.mean([max(one.expected[rival] for rival in BASELINES) > one.expected[own] for one, own in pairs])
        best_measured = np.array([one.regret(own, one.used(own, "best measured")) for one, own in pairs])
        for rule in RULES:
            used = [one.used(own, rule) for one, own in pairs]
            regrets = np.array([one.regret(own, name) for (one, own), name in zip(pairs, used, strict=True)])
            change = regrets - best_measured
            is_best = [one.is_best_measured(own, name) for (one, own), name in zip(pairs, used, strict=True)]
            is_own = [own == name for (_, own), name in zip(pairs, used, strict=True)]
            lines.append(
                f"| {name} | {truly:.0%} | {rule} | {regrets.mean():.4f} | {change.mean():+.4f} "
                f"({change.std() / len(change) ** 0.5:.4f}) | {np.mean(is_best):.0%} | {np.mean(is_own):.0%} |"
            )
    return lines


def main() -> None:
    if sys.argv[1:2] == ["real"]:
        real(sys.argv[2])
        return
    if len(sys.argv) == 4:
        simulated(sys.argv[1], range(int(sys.argv[2]), int(sys.argv[3])))
        return
    page = HEADING
    for group, (seeds, _) in GROUPS.items():
        shops = simulated(group, seeds)
        page += "\n".join([f"## {group}: {len(shops)} shops\n", *table(shops), "", ""])
    for name in REAL:
        if cases := real(name):
            page += "\n".join([f"## {name}: {len(cases)} cases\n", *table(cases), "", ""])
    with replacing(Path(__file__).with_suffix(".md")) as partial:
        partial.write_text(page.rstrip() + "\n")
    print(page)


if __name__ == "__main__":
    main()
