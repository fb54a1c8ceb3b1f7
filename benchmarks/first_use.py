"""Regret of the first use in simulated seasonal shops, by rules for when a baseline is used; into first_use.md.

    PYTHONPATH=tests python benchmarks/first_use.py                          # a minute; what is done is kept
    PYTHONPATH=tests python benchmarks/first_use.py "as drawn" 1000 1050     # these shops alone, added to those

`benchmarks/decisions.py` judges a LightGBM of default parameters by the gate itself, in 40 minutes. Here the same shops
have models that are fitted in milliseconds, so that rules can be compared: two models of unlike kind, their mean rank,
and the best of these three at validation, which stands for a search. Windows, baselines and futures are the same.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from features.sources.reading import hash_files
from features.writing import replacing
from seasonal_shops import shop

HORIZON, STEP, LEAST_HISTORY, YEAR = 90, 30, 60, 366  # days
WINDOWS, VALIDATION = 4, 3  # before the end, the sealed one counted; of validation, at most
RESAMPLES, FUTURES = 60, 60
SEEDS = {"as drawn": range(1_000, 1_200), "other shops": range(2_000, 2_100), "no season": range(1_000, 1_100)}
FLAT = {"peak": 1.0, "unlike_years": 0.0, "noise": 1e-6}
BASELINES = ("rate", "lately", "total")
POOLS = {
    "linear": ("linear",),
    "purchases": ("purchases",),
    "mean rank": ("mean rank",),
    "best at validation": ("linear", "purchases", "mean rank"),
}
LEADS = (0.0, 0.43, 0.967, 1.88, np.inf)  # standard errors; 0.967: 3 x p < 1/2
KEPT = Path(".cache") / "first_use" / hash_files([Path(__file__), Path(shop.__code__.co_filename)])[:16]
HEADING = f"""# When is a baseline used first?

Written by `benchmarks/first_use.py`. The shops are those of [decisions.md](decisions.md): 300 to 3,000 customers, one
to nearly three years, an autumn peak. *Other shops* are {len(SEEDS["other shops"])} further ones; *no season* has the
first shops without peak and without noise of the weeks. Models: a ridge regression on logs, a BG/NBD whose parameters
are set by moments and a grid, their mean rank, and the best of these at validation. A baseline is used if its Gini in
the sealed window is higher than the model's by more than *lead* standard errors of the difference; the gate asks for 0.
Regret is the expected Gini of the best of model and baselines in the 90 days after the data, minus that of the one in
use, with its standard error over shops. The goal is 0.0025, with the best measured in use in 95% of the shops.

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
    errors : mapping of "model over baseline" to float
        Standard error of the difference in the sealed window.
    expected : mapping of model to float
        Mean over many futures of the same customers.
    """

    days: int
    windows: Sequence[Mapping[str, float]]
    errors: Mapping[str, float]
    expected: Mapping[str, float]

    def searched(self, pool: Sequence[str]) -> str:
        """Return the model of the pool that is best at validation."""
        held_out = self.windows[-1 - min(VALIDATION, len(self.windows) - 1) : -1]
        return max(pool, key=lambda name: np.mean([window[name] for window in held_out]))

    def best_baseline(self) -> str:
        """Return the baseline that measured best in the sealed window."""
        return max(BASELINES, key=lambda name: self.windows[-1][name])

    def used(self, model: str, lead: float) -> str:
        """Return what is used: the model, unless a baseline measured better by so many standard errors."""
        baseline = self.best_baseline()
        gain = self.windows[-1][baseline] - self.windows[-1][model]
        return baseline if gain > lead * self.errors[f"{model} over {baseline}"] and gain > 0 else model

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

    def spend(self, cutoff: int, customers: np.ndarray) -> np.ndarray:
        """Return the spend of each customer in the window of a cutoff."""
        inside = (self.day >= cutoff) & (self.day < cutoff + HORIZON)
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
    rows: Sequence[tuple[np.ndarray, np.ndarray]], judged: np.ndarray, baselines: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """Predict by all models, trained on rows of features and outcomes."""
    X, y = np.vstack([features for features, _ in rows]), np.concatenate([spend for _, spend in rows])
    found = {"linear": linear(X, y, judged), "purchases": purchases(X, y, judged)}
    return {**baselines, **found, "mean rank": sum(rankdata(values) for values in found.values())}


def measured(group: str, seed: int) -> Shop | None:
    """Measure all models in a shop; None if it has too few customers."""
    whole = shop(seed, years=2 + (seed % 4 == 3), **(FLAT if group == "no season" else {}))
    drawn, begin, end = whole.orders(), whole.days()[0], whole.n_days - HORIZON
    day = (drawn["timestamp"].dt.normalize() - begin).dt.days.to_numpy()
    start = max(0, end - YEAR) if seed % 2 == 0 else 0
    kept = (day >= start) & (day < end)
    orders = Orders(
        day[kept], drawn["customer_id"].to_numpy()[kept], (drawn["quantity"] * drawn["unit_price"]).to_numpy()[kept]
    )
    earliest, sealed = start + LEAST_HISTORY, end - HORIZON
    of: dict[int, tuple] = {}

    def at(cutoff: int) -> tuple:
        if cutoff not in of:
            customers, X, baselines = orders.history(cutoff)
            of[cutoff] = X, orders.spend(cutoff, customers), baselines
        return of[cutoff]

    def trained(cutoff: int) -> list[tuple[np.ndarray, np.ndarray]]:
        return [at(day)[:2] for day in range(cutoff - HORIZON, earliest - 1, -STEP)]

    X, y, _ = at(sealed)
    if min(len(X) / 100, (X[:, 0] > 1).sum() / 30, (y > 0).sum() / 30) < 1:
        return None
    windows, errors = [], {}
    for cutoff in list(range(sealed, earliest + HORIZON - 1, -HORIZON))[:WINDOWS][::-1]:
        X, y, baselines = at(cutoff)
        predictions = predicted(trained(cutoff), X, baselines)
        windows.append({name: float(ginis(y[None], values)[0]) for name, values in predictions.items()})
        if cutoff == sealed:
            draws = resampled(y, predictions, np.random.default_rng(0))
            errors = {
                f"{name} over {rival}": float((draws[name] - draws[rival]).std())
                for name in predictions
                for rival in BASELINES
            }
    customers, X, baselines = orders.history(end)
    predictions = predicted(trained(sealed), X, baselines)
    futures = whole.futures(begin + pd.Timedelta(days=end), FUTURES).loc[customers].to_numpy().T
    expected = {name: float(ginis(futures, values).mean()) for name, values in predictions.items()}
    return Shop(end - start, windows, errors, expected)


def kept(group: str, seed: int, make: Callable[[str, int], Shop | None] = measured) -> Shop | None:
    """Return a shop that was measured before, else measure it and keep it as JSON."""
    path = KEPT / f"{group.replace(' ', '_')}_{seed}.json"
    if not path.exists():
        made = make(group, seed)
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as partial:
            partial.write_text(json.dumps(asdict(made) if made else None))
    found: dict[str, Any] | None = json.loads(path.read_text())
    return Shop(**found) if found else None


def table(shops: Sequence[Shop]) -> list[str]:
    """Write a line for each model and rule."""
    lines = [
        "| model | lead | regret | one year | more | best measured used | model used |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, pool in POOLS.items():
        for lead in LEADS:
            pairs = [(one, model, one.used(model, lead)) for one in shops for model in [one.searched(pool)]]
            regrets = np.array([one.regret(model, used) for one, model, used in pairs])
            short = np.array([one.days < 400 for one in shops])
            is_best = [one.is_best_measured(model, used) for one, model, used in pairs]
            lines.append(
                f"| {name} | {'never' if lead == np.inf else f'{lead:g}'} | {regrets.mean():.4f} "
                f"({regrets.std() / len(regrets) ** 0.5:.4f}) | {regrets[short].mean():.4f} | "
                f"{regrets[~short].mean():.4f} | {np.mean(is_best):.0%} | "
                f"{np.mean([used == model for _, model, used in pairs]):.0%} |"
            )
    return lines


def leading(shops: Sequence[Shop]) -> list[str]:
    """Write what becomes of a baseline's lead in the sealed window."""
    lines = ["| model | shops where a baseline leads | lead in the sealed window | later | still ahead |"]
    lines.append("|---|---|---|---|---|")
    for name, pool in POOLS.items():
        pairs = [(one, one.searched(pool), one.best_baseline()) for one in shops]
        pairs = [(one, model, rival) for one, model, rival in pairs if one.windows[-1][rival] > one.windows[-1][model]]
        now = np.array([one.windows[-1][rival] - one.windows[-1][model] for one, model, rival in pairs])
        later = np.array([one.expected[rival] - one.expected[model] for one, model, rival in pairs])
        figures = f"{now.mean():+.4f} | {later.mean():+.4f} | {np.mean(later > 0):.0%}" if pairs else "| |"
        lines.append(f"| {name} | {len(pairs)} | {figures} |")
    return lines


def searches(shops: Sequence[Shop]) -> list[str]:
    """Write how far each way to search is behind the best of the three models, in expectation."""
    names = POOLS["best at validation"]
    lines = ["| way | behind the best of three | one year | within 0.005 |", "|---|---|---|---|"]
    short = np.array([one.days < 400 for one in shops])
    for way, pool in POOLS.items():
        taken = [(one, one.searched(pool)) for one in shops]
        behind = np.array([max(one.expected[name] for name in names) - one.expected[own] for one, own in taken])
        near = np.mean(behind <= 0.005)
        lines.append(f"| {way} | {behind.mean():.4f} | {behind[short].mean():.4f} | {near:.0%} |")
    return lines


def main() -> None:
    if len(sys.argv) == 4:
        for seed in range(int(sys.argv[2]), int(sys.argv[3])):
            kept(sys.argv[1], seed)
        return
    page = HEADING
    for group, seeds in SEEDS.items():
        shops = [one for one in (kept(group, seed) for seed in seeds) if one]
        page += "\n".join(
            [f"## {group}: {len(shops)} shops\n", *table(shops), "", *leading(shops), "", *searches(shops), "", ""]
        )
    with replacing(Path(__file__).with_suffix(".md")) as partial:
        partial.write_text(page.rstrip() + "\n")
    print(page)


if __name__ == "__main__":
    main()
