"""The search beside recipes that twenty minutes by hand give, on the same splits of several shops; into recipes.md.

    PYTHONPATH=tests python benchmarks/recipes.py                       # the shops of SHOPS
    PYTHONPATH=tests python benchmarks/recipes.py cdnow                 # some of them; the others keep their figures
    PYTHONPATH=tests python benchmarks/recipes.py my_shop --config-dir my_conf

Recipes are fixed here, and nothing of them was chosen in a sealed window. Each learns from windows that end by the
sealed cutoff, as the candidate does.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import lightgbm as lgb
import numpy as np
import pandas as pd
from scipy.stats import norm, rankdata
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from experiments import open_session, tune
from experiments.evaluation.bootstrap import paired_bootstrap
from experiments.evaluation.splits import Splits
from experiments.evaluation.validation import Dataset
from experiments.tasks.base import Task
from experiments.workflow.session import Session
from features.writing import replacing
from seasonal_shops import SeasonalShop, shop

TASKS = ("clv", "repurchase")
SEASONAL = (101, 102, 103)  # seeds on which no default was chosen
SIMULATED = "seasonal_"
SHOPS = ("complete_journey", "cdnow", "merchandise_store", *(f"{SIMULATED}{seed}" for seed in SEASONAL))
MONTHLY, WEEKLY = 30, 7
CANDIDATE = "the search"
FUTURES = 100
NEAR = 0.005  # the goal: so close to the best recipe
PAGE, FIGURES = (Path(__file__).with_suffix(suffix) for suffix in (".md", ".json"))
HEADING = """# The search beside recipes by hand

Written by `make bench-recipes`. Each recipe is what an engineer types in twenty minutes: fixed parameters, features
of the project, cutoffs 30 or 7 days apart whose windows end by the sealed cutoff. The difference is the search's
figure minus the recipe's, with its 95% interval of a paired bootstrap over customers: below 0 the recipe ranks
better. A recipe in bold is the best of its shop, which of several looks the best by chance too; the one that is
marked * was best at the validation cutoffs, and is what would be used by hand. The goal is to be within 0.005 of the
best one. Seasonal shops are simulated: one year, with an autumn peak. There the truth is known: *in truth* is the
difference of the mean figures over 100 futures of the same customers, from the sealed day on.

39 other simulated shops and ten earlier windows of two real ones say whether the search is behind on average, and why
where it is: [ADR 49](../docs/adr/0049-the-best-validated-trial-is-the-candidate.md).
"""

Rows = pd.DataFrame
Recipe = Callable[[Rows, pd.Series, Rows], np.ndarray]


@dataclass(frozen=True)
class Kitchen:
    """Recipes of one task.

    Attributes
    ----------
    objective : str
        LightGBM's.
    linear : callable
        `(X, y, judged) -> scores` of a linear model on logs.
    probabilistic : str
        Candidate of the task: BG/NBD.
    params : mapping
        Its parameters.
    """

    task: Task
    objective: str
    linear: Recipe
    probabilistic: str
    params: Mapping[str, str]

    def trees(self, X: Rows, y: pd.Series, judged: Rows) -> np.ndarray:
        """Grow 300 trees with a slow rate and LightGBM's leaves."""
        options = {"objective": self.objective, "learning_rate": 0.03, "num_leaves": 15, "min_child_samples": 30}
        options |= {"seed": 0, "verbosity": -1, "deterministic": True, "force_row_wise": True}
        return lgb.train(options, lgb.Dataset(X, y), 300).predict(judged)

    def purchases(self, X: Rows, y: pd.Series, judged: Rows) -> np.ndarray:
        """Fit BG/NBD."""
        return self.task.build(self.probabilistic, self.params).fit(X, y).predict(judged)

    def ranks(self, X: Rows, y: pd.Series, judged: Rows) -> np.ndarray:
        """Average the ranks by three unlike models."""
        models = (self.trees, self.linear, self.purchases)
        return np.mean([rankdata(model(X, y, judged)) / len(judged) for model in models], axis=0)

    def recipes(self) -> dict[str, tuple[int, Recipe]]:
        """Return the recipes by name: days between training cutoffs, and what is trained."""
        return {
            "LightGBM, monthly cutoffs": (MONTHLY, self.trees),
            "LightGBM, weekly cutoffs": (WEEKLY, self.trees),
            "linear on logs, weekly cutoffs": (WEEKLY, self.linear),
            "BG/NBD": (MONTHLY, self.purchases),
            "mean rank of these three, weekly cutoffs": (WEEKLY, self.ranks),
        }


def kitchen(task: Task) -> Kitchen:
    """Return the recipes of a task."""
    if task.name == "clv":
        return Kitchen(task, "tweedie", ridge, "bg_nbd", {})
    return Kitchen(task, "binary", logistic, "purchase_probability", {"purchases": "bg_nbd"})


def ridge(X: Rows, y: pd.Series, judged: Rows) -> np.ndarray:
    """Predict the log of spend from the logs of all features."""
    return on_logs(Ridge(alpha=100.0)).fit(X, np.log1p(y)).predict(judged)


def logistic(X: Rows, y: pd.Series, judged: Rows) -> np.ndarray:
    """Predict the event from the logs of all features."""
    return on_logs(LogisticRegression(C=0.1, max_iter=1000)).fit(X, y).predict_proba(judged)[:, 1]


def on_logs(model: object) -> object:
    """Return a model that reads sign(x) log(1 + |x|), standardised."""
    return make_pipeline(FunctionTransformer(logs), StandardScaler(), model)


def logs(X: Rows) -> Rows:
    return np.sign(X) * np.log1p(np.abs(X))


def ending_by(splits: Splits, day: date, step_days: int) -> tuple[date, ...]:
    """Return the cutoffs whose windows end by a day, a step apart."""
    last = day - timedelta(days=splits.horizon_days)
    steps = range((last - splits.earliest).days // step_days + 1)
    return tuple(last - timedelta(days=step_days * step) for step in reversed(steps))


def cooked(session: Session, rows: Dataset, day: date) -> dict[str, np.ndarray]:
    """Return what each recipe predicts for the customers of a day."""
    task, judged, found = session.task, session.task.judged_rows(rows.at(day)), {}
    for name, (step, recipe) in kitchen(task).recipes().items():
        train = rows.at(*ending_by(session.splits, day, step))
        found[name] = recipe(train.X, train.target, judged.X)
    return found


def compared(session: Session, simulated: SeasonalShop | None) -> dict[str, Any]:
    """Tune, and compare the candidate with each recipe in the sealed window; in a simulated shop, in truth too."""
    task, splits, options = session.task, session.splits, session.config.evaluation
    version = tune(session)
    held_out = (*splits.validation, splits.sealed)
    needed = {day for end in held_out for step in (MONTHLY, WEEKLY) for day in ending_by(splits, end, step)}
    rows = session.dataset([*needed, *held_out])
    earlier = [(rows.at(day), cooked(session, rows, day)) for day in splits.validation]
    judged = task.judged_rows(rows.at(splits.sealed))
    of_version = session.dataset([splits.sealed], version.features)  # with the day that its amounts are calibrated by
    own = task.predict(version.estimator, task.judged_rows(of_version).X)
    predictions = {CANDIDATE: np.asarray(own), **cooked(session, rows, splits.sealed)}
    draws = paired_bootstrap(
        task.metric,
        judged.target,
        predictions,
        judged.X.index.get_level_values(task.grain.resampled).to_numpy(),
        n_resamples=options.n_resamples,
        seed=options.seed,
    )
    recipes = {}
    for name in predictions.keys() - {CANDIDATE}:
        gain = draws.gain(CANDIDATE, name)
        valid = np.mean([task.metric(task.judged_rows(day).target, found[name]) for day, found in earlier])
        recipes[name] = [draws[name].estimate, float(valid), gain.estimate, *gain.interval(options.confidence)]
    return {
        "metric": task.primary_metric,
        "customers": len(judged.X),
        "winner": version.tags["model"],
        "figure": draws[CANDIDATE].estimate,
        "recipes": dict(sorted(recipes.items())),
        **({"in truth": expected(session, simulated, judged, predictions)} if simulated else {}),
    }


def expected(
    session: Session, simulated: SeasonalShop, judged: Dataset, predictions: Mapping[str, np.ndarray]
) -> dict[str, float]:
    """Return the mean figure of each model over futures of the customers from the sealed day on."""
    task, customers = session.task, judged.X.index.get_level_values("customer_id").astype(int)
    futures = simulated.futures(pd.Timestamp(session.splits.sealed), FUTURES).loc[customers].to_numpy().T
    outcomes = futures if task.name == "clv" else futures > 0
    return {
        name: float(np.mean([task.metric(y.astype(float), prediction) for y in outcomes]))
        for name, prediction in predictions.items()
    }


def opened(name: str, task: str, folder: Path, config_dir: str | None) -> Session:
    """Open a shop: a simulated one by its seed, else a file of conf/data/."""
    if name.startswith(SIMULATED):
        simulated = seasonal(seed_of(name))
        simulated.write(folder)
        return open_session(task=task, folder=folder, overrides=simulated.overrides(folder))
    own = {"merchandise_store": [f"data.path={os.environ.get('MERCHANDISE_STORE_DATA', '')}"]}
    return open_session(data=name, task=task, folder=folder, overrides=own.get(name, []), config_dir=config_dir)


def seed_of(name: str) -> int:
    return int(name.removeprefix(SIMULATED))


def seasonal(seed: int) -> SeasonalShop:
    """Draw a shop of one year that ends in the first days of December."""
    return shop(seed, years=1, end=date(2011, 12, 10))


def best_of(recipes: Mapping[str, Sequence[float]], at: int) -> str:
    """Return the recipe that is best in the sealed window (0) or at validation (1)."""
    return max(recipes, key=lambda recipe: recipes[recipe][at])


def interval(low: float, high: float) -> str:
    return f"{low:+.3f} to {high:+.3f}"


def lines(figures: Mapping[str, Mapping[str, dict]]) -> Iterable[str]:
    """Write the summary, and a table for each shop and task."""
    yield "| shop | task | the search chose | figure | best recipe | difference | 95% | in truth | * | difference |"
    yield "|---|---|---|---|---|---|---|---|---|---|"
    for name, tasks in figures.items():
        for task, found in tasks.items():
            recipes = found["recipes"]
            best, chosen = best_of(recipes, 0), best_of(recipes, 1)
            _, _, gain, *bounds = recipes[best]
            yield (
                f"| {name} | {task} | {found['winner']} | {found['metric']} {found['figure']:.3f} | {best} | "
                f"{gain:+.3f} | {interval(*bounds)} | {in_truth(found, best)} | {chosen} | {recipes[chosen][2]:+.3f} |"
            )
    everywhere = [found["recipes"] for tasks in figures.values() for found in tasks.values()]
    yield from ("", by_chance(everywhere), "", on_average(everywhere))
    for name, tasks in figures.items():
        for task, found in tasks.items():
            yield from table(name, task, found)


def by_chance(shops: Sequence[Mapping[str, Sequence[float]]]) -> str:
    """Say in how many shops a search as good as the best recipe, in truth, would be measured near it.

    The measured difference is taken as normal around 0, with the standard error of its interval.
    """
    intervals = [recipes[best_of(recipes, 0)][3:] for recipes in shops]
    near = [norm.cdf(NEAR / ((high - low) / (2 * norm.ppf(0.975)))) for low, high in intervals]
    return (
        f"Windows are noisy. A search that is in truth as good as the best recipe of each shop is measured within\n"
        f"{NEAR} of it in {sum(near):.1f} of these {len(near)} on average, and in all with a probability of "
        f"{np.prod(near):.0%}."
    )


def on_average(shops: Sequence[Mapping[str, Sequence[float]]]) -> str:
    """Say by how much the search differs from the recipes over all shops, and in how many it is surely behind."""
    said = []
    for at, which in (
        (1, "the recipe that was best at validation"),
        (0, "the best in the sealed window, with hindsight"),
    ):
        taken = [recipes[best_of(recipes, at)] for recipes in shops]
        errors = [(high - low) / (2 * norm.ppf(0.975)) for *_, low, high in taken]
        mean, error = np.mean([gain for _, _, gain, *_ in taken]), np.linalg.norm(errors) / len(errors)
        said.append(f"{mean:+.4f} (standard error {error:.4f}) beside {which}")
    behind = sum(recipes[best_of(recipes, 0)][4] < -NEAR for recipes in shops)
    return (
        f"On average the difference is {said[0]},\nand {said[1]}.\n"
        f"In {behind} of {len(shops)} shops and tasks the whole interval lies below -{NEAR}."
    )


def in_truth(found: Mapping[str, Any], recipe: str) -> str:
    """Write the search's difference to a recipe in truth; nothing where it is not known."""
    figures = found.get("in truth")
    return f"{figures[CANDIDATE] - figures[recipe]:+.3f}" if figures else ""


def table(name: str, task: str, found: Mapping[str, Any]) -> Iterable[str]:
    """Write all recipes of one shop and task, the best first."""
    recipes, metric = found["recipes"], found["metric"]
    best, chosen = best_of(recipes, 0), best_of(recipes, 1)
    yield f"\n## {name}, {task}\n"
    yield f"{found['customers']:,} customers. The search chose {found['winner']}: {metric} {found['figure']:.3f}."
    yield f"\n| recipe | {metric} | at validation | difference | 95% interval | in truth |\n|---|---|---|---|---|---|"
    for recipe, (figure, valid, gain, *bounds) in sorted(recipes.items(), key=lambda item: -item[1][0]):
        shown = f"**{recipe}**" if recipe == best else recipe
        mark = " *" if recipe == chosen else ""
        true = in_truth(found, recipe)
        yield f"| {shown}{mark} | {figure:.3f} | {valid:.3f} | {gain:+.3f} | {interval(*bounds)} | {true} |"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("shops", nargs="*", help="files of conf/data/, or seasonal_<seed>")
    parser.add_argument("--config-dir", help="a folder with configuration files of your own")
    given = parser.parse_args()
    figures = json.loads(FIGURES.read_text()) if FIGURES.exists() else {}
    with tempfile.TemporaryDirectory() as temporary:
        for name in given.shops or SHOPS:
            if name == "merchandise_store" and "MERCHANDISE_STORE_DATA" not in os.environ:
                print("merchandise_store keeps its figures: set MERCHANDISE_STORE_DATA to the folder of its files")
                continue
            folder = Path(temporary) / name
            folder.mkdir()
            simulated = seasonal(seed_of(name)) if name.startswith(SIMULATED) else None
            figures[name] = {task: compared(opened(name, task, folder, given.config_dir), simulated) for task in TASKS}
            for path, text in ((FIGURES, json.dumps(figures, indent=1)), (PAGE, "\n".join([HEADING, *lines(figures)]))):
                with replacing(path) as partial:
                    partial.write_text(text + "\n")


if __name__ == "__main__":
    main()
