"""Counts of pairs, rules, EASE and lists beside alternatives, in recommendation.md: ratios from one run.

    python benchmarks/recommendation.py               # all sections
    python benchmarks/recommendation.py pairs lists   # some of them; the others keep their figures
    IMPLICIT_PYTHON=venv/bin/python python benchmarks/recommendation.py   # beside `implicit` too, which is not locked

Times are seconds of the process's CPU, so that a busy machine changes them little. Results are compared before times.
"""

from __future__ import annotations

import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path
from statistics import median

import numpy as np
import pandas as pd
import yaml

from features import assortment
from features.affinity import Ease, ItemNeighbours, Purchases, Reasons, pair_counts, rule_table
from features.affinity.ease import inverse, most_bought
from features.engines import open_engine
from features.shop import Shop
from features.writing import replacing

with warnings.catch_warnings():
    from mlxtend.frequent_patterns import apriori, association_rules, fpgrowth

ROOT = Path(__file__).parents[1]
GIB = 2**30
ORDERS, PRODUCTS, CUSTOMERS = 1_000_000, 20_000, 100_000
K, N_NEIGHBOURS = 10, 50
EASE_PRODUCTS = 4_000
RIVAL = """
import json, sys, time
import numpy as np
from scipy import sparse
from implicit.nearest_neighbours import CosineRecommender
held = sparse.load_npz(sys.argv[1])
model = CosineRecommender(K=int(sys.argv[2]), num_threads=1)
begun = time.process_time()
model.fit(held, show_progress=False)
fitted = time.process_time()
ids, scores = model.recommend(np.arange(held.shape[0]), held, N=int(sys.argv[3]), filter_already_liked_items=True)
done = time.process_time()
import implicit
np.savez(sys.argv[4], ids=ids, scores=scores)
print(json.dumps([fitted - begun, done - fitted, implicit.__version__]))
"""


def seconds(work: Callable[[], object]) -> float:
    """Return the CPU seconds of one run."""
    begun = time.process_time()
    work()
    return time.process_time() - begun


def simulated(n_orders: int, n_products: int, n_customers: int, seed: int = 0, mean: int = 8) -> Purchases:
    """Purchases of orders of `mean` lines on average, and of products whose popularity falls as rank^-0.9."""
    rng = np.random.default_rng(seed)
    popularity = np.cumsum((np.arange(n_products) + 20.0) ** -0.9)
    size = 1 + rng.poisson(mean - 1, n_orders)
    drawn = np.searchsorted(popularity / popularity[-1], rng.random(size.sum()))
    lines = np.unique(np.repeat(np.arange(n_orders), size) * n_products + np.minimum(drawn, n_products - 1))
    orders, products = np.divmod(lines, n_products)
    customers, days = rng.integers(0, n_customers, n_orders), rng.integers(1, 365, n_orders)
    ids = [
        np.array([f"{kind}{number:07d}" for number in range(n)], dtype=object)
        for kind, n in (("c", n_customers), ("p", n_products))
    ]
    return Purchases(*ids, customers[orders], products, orders, days[orders])


def in_own_process(work: Callable[[], tuple[float, ...]]) -> tuple[float, ...]:
    """Run a function in a fresh process, whose memory counts from nothing."""
    with get_context("spawn").Pool(1) as pool:
        return pool.apply(work)


def pairs_at_scale() -> tuple[float, ...]:
    """Return rows, counted pairs, seconds, and GiB at the most: of the process, and before the count."""
    past = simulated(ORDERS, PRODUCTS, CUSTOMERS)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    found: list[int] = []
    took = seconds(lambda: found.append(pair_counts(past).nnz))
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return len(past), found[0], took, after / GIB, before / GIB


def lists_at_scale() -> tuple[float, ...]:
    """Return the seconds of the fit, of the lists, of their reasons, and GiB at the most."""
    past = simulated(ORDERS, PRODUCTS, CUSTOMERS)
    scorer = ItemNeighbours(k=N_NEIGHBOURS)
    everyone = np.arange(past.n_customers)
    fit = seconds(lambda: scorer.fit(past))
    found: list[np.ndarray] = []
    owned = past.baskets("customer")
    lists = seconds(lambda: found.append(scorer.lists(everyone, K, without=owned)[0]))
    assert (found[0] >= 0).all()
    few = np.arange(2_000)
    told = Reasons(past, date(2020, 1, 1))
    reasons = seconds(lambda: told.of_customers(np.repeat(few, 5), found[0][few, :5].ravel()))
    return fit, lists, reasons, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / GIB


def complete_journey(level: str) -> Purchases:
    config = yaml.safe_load((ROOT / "conf" / "data" / "complete_journey.yaml").read_text())
    config.pop("defaults", None)
    with tempfile.TemporaryDirectory() as folder:
        engine = open_engine("duckdb", threads=1, memory_limit="3GiB", temp_directory=folder)
        shop = Shop.open(config, engine, Path(".cache"))
        return Purchases.of(engine.frame(assortment.sold(shop.tables.as_of(shop.tables.end), level)))


def rules_beside_mlxtend(what: str, past: Purchases, support: float, modes: dict[str, Callable]) -> list[str]:
    """Return a line for each mode of mlxtend: whole tables of rules, of which the measures are equal."""
    held = past.baskets("order").astype(bool)
    frame = pd.DataFrame.sparse.from_spmatrix(held)
    least = int(np.ceil(support * past.n_orders))
    ours = median(seconds(lambda: rule_table(past, min_count=least)) for _ in range(3))
    table = rule_table(past, min_count=least)
    lines = []
    for name, mine in modes.items():
        found: list[pd.DataFrame] = []

        def rules(mine: Callable = mine, found: list[pd.DataFrame] = found) -> None:
            with np.errstate(all="ignore"):
                sets = mine(frame, min_support=(least - 0.5) / past.n_orders, max_len=2)
                found.append(association_rules(sets, metric="support", min_threshold=0.0))

        theirs = seconds(rules)
        differ = largest_difference(past, table, found[0])
        lines.append(
            f"| {what}: {len(table):,} rules, equal to {differ:.0e} | {ours:.2f} s | mlxtend {name}: {theirs:.2f} s "
            f"| {theirs / ours:.1f}x as fast | >= 18 |"
        )
    return lines


def largest_difference(past: Purchases, table: pd.DataFrame, theirs: pd.DataFrame) -> float:
    """Return the largest relative difference of a measure; infinite where the rules are not the same."""
    measures = ["support", "confidence", "lift", "leverage", "conviction"]
    code = {product: at for at, product in enumerate(past.product_ids)}
    own = pd.MultiIndex.from_arrays([table["antecedent"].str[0].map(code), table["consequent"].map(code)])
    sides = ("antecedents", "consequents")
    other = pd.MultiIndex.from_arrays([[next(iter(items)) for items in theirs[side]] for side in sides])
    ours, found = table.set_index(own)[measures].sort_index(), theirs.set_index(other)[measures].sort_index()
    if not ours.index.equals(found.index):
        return np.inf
    a, b = ours.replace(np.inf, 0).to_numpy(), found.replace(np.inf, 0).to_numpy()
    return float(np.max(np.abs(a - b) / np.maximum(np.abs(b), 1e-3)))


def ease_beside_inverse() -> str:
    past = simulated(200_000, EASE_PRODUCTS, 20_000, seed=1)
    gram = pair_counts(past, "customer").toarray().astype(float)
    gram[np.diag_indices_from(gram)] += 500.0
    by_cholesky, plain = [], []
    for _ in range(3):
        copy = np.asfortranarray(gram)
        by_cholesky.append(seconds(lambda copy=copy: inverse(copy)))
        plain.append(seconds(lambda: np.linalg.inv(gram)))
    differ = np.abs(copy - np.linalg.inv(gram)).max() / np.abs(copy).max()
    ours, theirs = median(by_cholesky), median(plain)
    whole = seconds(lambda: Ease(l2=500.0).fit(past))
    return (
        f"| inverse for EASE, {EASE_PRODUCTS:,} products, equal to {differ:.0e} (the whole fit: {whole:.2f} s) "
        f"| {ours:.2f} s | numpy.linalg.inv: {theirs:.2f} s | {theirs / ours:.1f}x as fast | >= 2 |"
    )


def beside_implicit(python: str) -> list[str]:
    from scipy import sparse

    past = simulated(200_000, 5_000, 20_000, seed=2)
    everyone, owned = np.arange(past.n_customers), past.baskets("customer", np.float64)
    scorer, found = ItemNeighbours(k=N_NEIGHBOURS), []
    fit = seconds(lambda: scorer.fit(past))
    lists = seconds(lambda: found.append(scorer.lists(everyone, K, without=owned)))
    with tempfile.TemporaryDirectory() as folder:
        sparse.save_npz(f"{folder}/held.npz", owned)
        # it counts a product among its own neighbours
        given = [f"{folder}/held.npz", str(N_NEIGHBOURS + 1), str(K), f"{folder}/found.npz"]
        done = subprocess.run([python, "-c", RIVAL, *given], capture_output=True, text=True, check=True)
        their_fit, their_lists, of = json.loads(done.stdout.splitlines()[-1])
        theirs = np.load(f"{folder}/found.npz")["ids"]
    same = np.mean([len(set(a) & set(b)) / K for a, b in zip(found[0][0].tolist(), theirs.tolist(), strict=True)])
    shape = f"{past.n_customers:,} customers, {past.n_products:,} products, {same:.1%} of those listed alike"
    rival = f"implicit {of}, cosine"
    return [
        f"| fit of item neighbours, {shape} | {fit:.2f} s | {rival}: {their_fit:.2f} s "
        f"| {their_fit / fit:.2f}x as fast | |",
        f"| their lists of {K} | {lists:.2f} s | {rival}: {their_lists:.2f} s | {their_lists / lists:.2f}x as fast | |",
    ]


def pairs() -> list[str]:
    rows, entries, took, most, before = in_own_process(pairs_at_scale)
    return [
        f"| counts of pairs, {ORDERS:,} orders x {PRODUCTS:,} products ({rows:,.0f} lines, {entries:,.0f} entries) "
        f"| {took:.1f} s, {most:.2f} GiB at the most, {before:.2f} of them before | | | <= 4 GiB |"
    ]


def lists() -> list[str]:
    fit, took, reasons, most = in_own_process(lists_at_scale)
    return [
        f"| lists of {K} for {CUSTOMERS:,} customers by item neighbours, {ORDERS:,} orders x {PRODUCTS:,} products "
        f"| {took:.1f} s, after a fit of {fit:.1f} s; {most:.2f} GiB at the most | | | <= 60 s |",
        f"| 10,000 reasons in words, of the same orders | {reasons:.1f} s | | | |",
    ]


def rules() -> list[str]:
    categories = complete_journey("category")
    found = rules_beside_mlxtend(
        f"rules of {categories.n_products} categories, {categories.n_orders:,} orders, support 0.001",
        categories,
        0.001,
        {"apriori": apriori, "fpgrowth": fpgrowth},
    )
    products = of_most_bought(complete_journey("product"), 2_000)
    return found + rules_beside_mlxtend(
        f"rules of 2,000 products, {products.n_orders:,} orders, support 0.001", products, 0.001, {"fpgrowth": fpgrowth}
    )


def of_most_bought(past: Purchases, n: int) -> Purchases:
    """Return the purchases of the n products on most orders, with codes of their own."""
    chosen = most_bought(past, n)
    kept = past.where(np.isin(past.products, chosen))
    return replace(kept, product_ids=past.product_ids[chosen], products=np.searchsorted(chosen, kept.products))


def ease() -> list[str]:
    return [ease_beside_inverse()]


def implicit() -> list[str]:
    python = os.environ.get("IMPLICIT_PYTHON")
    return beside_implicit(python) if python else []


SECTIONS: dict[str, tuple[str, Callable[[], list[str]]]] = {
    "pairs": ("Counts of pairs", pairs),
    "lists": ("Lists", lists),
    "rules": ("Rules beside mlxtend", rules),
    "ease": ("EASE", ease),
    "implicit": ("Item neighbours beside implicit", implicit),
}


def main() -> None:
    path = Path(__file__).with_suffix(".md")
    libraries = ", ".join(f"{name} {version(name)}" for name in ("numpy", "scipy", "pandas", "mlxtend"))
    machine = f"{date.today()}, {platform.machine()}, one thread, Python {platform.python_version()}, {libraries}."
    for name in sys.argv[1:] or SECTIONS:
        title, measure = SECTIONS[name]
        lines = measure()
        print(*lines, sep="\n", flush=True)
        if not lines:
            continue
        # each section is written when it is done, beside what the others have
        blocks = path.read_text().split("\n## ")[1:] if path.exists() else []
        known = {block.partition("\n")[0]: block.partition("\n\n")[2].rstrip() for block in blocks}
        known[title] = "\n".join([machine, "", TABLE, *lines])
        text = "".join(f"\n## {each}\n\n{known[each]}\n" for each, _ in SECTIONS.values() if each in known)
        with replacing(path) as partial:
            partial.write_text(HEADING + text)


HEADING = """# Recommendation: how fast it is

Written by `make bench-recommendation`. Times are CPU seconds of one run; only ratios carry over to another machine.
Orders are simulated, with popularity that falls as rank^-0.9; rules are of Complete Journey. `implicit` is not locked:
it is measured where `IMPLICIT_PYTHON` names a Python that has it.
"""
TABLE = "| what | this project | beside it | ratio | target |\n|---|---|---|---|---|"


if __name__ == "__main__":
    main()
