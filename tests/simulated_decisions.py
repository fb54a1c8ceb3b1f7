"""Decisions of the gate where the truth is known: on simulated seasonal shops, and on gains of a known size."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from types import SimpleNamespace

import numpy as np
import pandas as pd

from experiments import open_session
from experiments.evaluation.bootstrap import Draws, PooledDraws, paired_bootstrap
from experiments.evaluation.spend_metrics import gini
from experiments.evaluation.validation import validate
from experiments.gate.rule import Decision, alpha_of_look, decide
from experiments.gate.sealed import CANDIDATE, Evidence, gather, resample
from experiments.workflow.session import Session
from features.errors import UnsuitableDataError
from seasonal_shops import SeasonalShop, shop

HORIZON = 90  # days of the outcomes, and of the shop's later life that the data do not show
FUTURES = 100
YEAR = 366  # days of data of the shops of one year
BASELINES = ("rate", "lately", "total")
# With their default parameters: the best at validation is the candidate.
SEARCHED = ("bg_nbd", "lightgbm", "blend", "hist_gradient_boosting", "ridge")
LASTING = {"first": 1.0, "lifetime": 1e6}  # all customers were there before the data, and none drops out


@dataclass(frozen=True)
class Judged:
    """The model that is used in a simulated shop, and what came of it.

    Attributes
    ----------
    seed : int
    days : int
        Of the data.
    verdict : str
    searched : str
        Name of the candidate's model.
    used, before : str
        The model by the rule, and by the rule of before: see `by_the_rule_of_before`.
    measured : mapping of model to float
        Gini of each, over the windows in which all were measured.
    later : mapping of model to float
        Gini of each in the 90 days after the data, as they came.
    expected : mapping of model to float
        Its mean over many futures of the same customers, which differ by chance alone.
    """

    seed: int
    days: int
    verdict: str
    searched: str
    used: str
    before: str
    measured: Mapping[str, float]
    later: Mapping[str, float]
    expected: Mapping[str, float]

    @property
    def best(self) -> str:
        """The model that measured best."""
        return max(self.measured, key=lambda name: self.measured[name])

    def regret(self, model: str) -> float:
        """Return how much better another model is expected to be in the 90 days after the data, at most."""
        return max(self.expected.values()) - self.expected[model]

    def hindsight(self, model: str) -> float:
        """Return how much better another model was in the 90 days after the data, at most."""
        return max(self.later.values()) - self.later[model]


def judge(
    seed: int, folder: Path, n_resamples: int = 400, *, lasting: bool = False, models: Sequence[str] = SEARCHED
) -> Judged:
    """Let the gate choose what to use for customer value in a simulated shop, and look at its later life.

    Parameters
    ----------
    seed : int
        Even seeds give data of one year, odd ones of nearly two or three.
    folder : Path
        Where the shop's file and its staged tables go.
    n_resamples : int
    lasting : bool
        Customers neither come nor go: past spend is then as good as any model.
    models : sequence of str
        The best of them at validation is the candidate.
    """
    whole = shop(seed, years=2 + (seed % 4 == 3), **(LASTING if lasting else {}))
    orders = whole.orders()
    now = pd.Timestamp(whole.end) - pd.Timedelta(days=HORIZON)
    first = now - pd.Timedelta(days=YEAR) if seed % 2 == 0 else whole.days()[0]
    known = orders[(orders["timestamp"] >= first) & (orders["timestamp"] < now)]
    known.to_csv(folder / f"seasonal_{seed}.csv", index=False)
    session = open_session(folder=folder, overrides=[*whole.overrides(folder), "features=transactions"])
    task, options, validated = session.task, session.config.evaluation, validated_in(session, models)
    name = max((name for name in models if name in validated), key=lambda name: validated[name])
    candidate, evidence = evidence_of(session, name)
    draws = resample(task, evidence, n_resamples=n_resamples, seed=options.seed)
    decision = decided(session, evidence, draws, None, {**validated, CANDIDATE: validated[name]})
    assert decision.use is not None
    everyone = [CANDIDATE, *evidence.baselines]
    return Judged(
        seed=seed,
        days=(now - first).days,
        verdict=decision.verdict,
        searched=name,
        used=decision.use.model,
        before=by_the_rule_of_before(evidence, draws, task.min_effect),
        measured={name: draws.figure(name, *everyone).estimate for name in everyone},
        **_later(session, candidate, whole, orders),
    )


def validated_in(session: Session, models: Sequence[str]) -> dict[str, float]:
    """Return the primary metric of models and of all baselines at validation; without models that reject the data."""
    task, dataset, folds, found = session.task, session.training, session.splits.folds(), {}
    builds = {**{name: partial(task.build, name, {}) for name in models}, **task.baselines({})}
    for name, build in builds.items():
        with suppress(UnsuitableDataError):
            found[name] = validate(task.evaluate, build, dataset, folds).metrics[task.primary_metric]
    return found


def evidence_of(session: Session, name: str) -> tuple[SimpleNamespace, Evidence]:
    """Fit a model on all windows before the sealed one, and evaluate it beside all baselines."""
    task, splits, train = session.task, session.splits, session.training.at(*session.splits.refit())
    candidate = SimpleNamespace(
        number=1,
        features=session.features,
        params={},
        tags={
            "model": name,
            "trained_through": str(splits.sealed),
            "validated_from": str(splits.validation[0]),
        },
        estimator=task.build(name, {}).fit(train.X, train.target),
    )
    options = session.config.evaluation
    return candidate, gather(
        task, session.judged_shop, splits, candidate, None, n_origins=options.n_origins, n_controls=1, seed=options.seed
    )


def decided(
    session: Session, evidence: Evidence, draws: PooledDraws, in_use: str | None, validated: Mapping[str, float]
) -> Decision:
    """Apply the rule to a first look, without guards."""
    return decide(
        draws,
        candidate=CANDIDATE,
        baselines=evidence.baselines,
        in_use=in_use,
        metric=session.task.primary_metric,
        min_effect=session.task.min_effect,
        alpha=alpha_of_look(1),
        confidence=0.95,
        metrics={},
        guards={},
        labels={},
        validated=validated,
    )


def _later(
    session: Session, candidate: SimpleNamespace, whole: SeasonalShop, orders: pd.DataFrame
) -> dict[str, dict[str, float]]:
    """Compute the Gini of each model in the days after the data, as they came and expected."""
    end = session.shop.tables.end
    task, train = session.task, session.training.at(*session.splits.refit())
    models = {name: build().fit(train.X, train.target) for name, build in task.baselines({}).items()}
    X = session.shop.features(session.features, [end])
    customers = X.index.get_level_values("customer_id").astype(int)
    after = orders[orders["timestamp"] >= pd.Timestamp(end)]
    spent = (after["quantity"] * after["unit_price"]).groupby(after["customer_id"]).sum()
    y, futures = spent.reindex(customers, fill_value=0.0).to_numpy(), whole.futures(pd.Timestamp(end), FUTURES)
    drawn = futures.loc[customers].to_numpy().T
    everyone = {CANDIDATE: candidate.estimator, **models}
    predicted = {name: np.asarray(model.predict(X)) for name, model in everyone.items()}
    return {
        "later": {name: float(gini(y, values)) for name, values in predicted.items()},
        "expected": {name: float(np.mean([gini(one, values) for one in drawn])) for name, values in predicted.items()},
    }


def by_the_rule_of_before(evidence: Evidence, draws: PooledDraws, min_effect: float) -> str:
    """Return the model that the rule of before used, without its back-test, which could only refuse more.

    The candidate had to beat every baseline in the sealed window, with its total within [0.8, 1.25] there. Else the
    baseline was used whose mean total at validation was least outside, among equals the best by validated Gini.
    """
    sealed, alpha = list(evidence.windows)[-1], alpha_of_look(1)
    gains = [draws.windows[sealed].gain(CANDIDATE, name) for name in evidence.baselines]
    shown = all(gain.lower_bound(alpha) > 0 and gain.estimate >= min_effect for gain in gains)
    if shown and 0.8 <= evidence.candidate.metrics["total_ratio"] <= 1.25:
        return CANDIDATE
    validation = [models for models in evidence.windows.values() if CANDIDATE not in models]

    def merit(name: str) -> tuple[float, float]:
        total, figure = (
            float(np.mean([models[name].metrics[metric] for models in validation]))
            for metric in ("total_ratio", "gini")
        )
        return -max(0.8 - total, total - 1.25, 0.0), figure

    return max(evidence.baselines, key=merit)


# Gains of a known size


@dataclass(frozen=True)
class Rates:
    """Shares of samples in which a candidate replaces the model in use.

    Attributes
    ----------
    now, before : float
        Share of the samples in which it does, by the rule and by the rule of before.
    """

    now: float
    before: float


def replacements(
    *, better: float, customers: int, earlier: int, repeats: int, n_resamples: int, seed: int, tried: int = 20
) -> Rates:
    """Count how often a candidate of a known quality replaces the model in use, which is the best baseline.

    Customers have a lasting propensity to spend. Each model ranks them by it with an error of its own that lasts too.
    The candidate is the best of several trials at two validation windows, as a search would choose it.

    Parameters
    ----------
    better : float
        By how much the standard deviation of the candidate's error is below that of the model in use, 0.6; 0 is no
        true gain.
    customers : int
    earlier : int
        Windows before validation that the candidate was not chosen on.
    repeats, n_resamples, seed : int
    tried : int
        Trials of the search.
    """
    rng = np.random.default_rng(seed)
    replaced = np.array([_replaces(rng, better, customers, earlier, n_resamples, tried) for _ in range(repeats)])
    now, before = replaced.mean(axis=0)
    return Rates(float(now), float(before))


def _replaces(
    rng: np.random.Generator, better: float, customers: int, earlier: int, n_resamples: int, tried: int
) -> tuple[bool, bool]:
    propensity = rng.normal(0.0, 1.2, customers)
    errors = dict(zip(BASELINES, (0.6, 0.62, 0.8), strict=True))
    scores = {name: propensity + error * rng.normal(size=customers) for name, error in errors.items()}
    trials = propensity + (0.6 - better) * rng.normal(size=(tried, customers))
    days = [*(f"before {number}" for number in range(earlier)), "valid 1", "valid 2", "sealed"]
    spent = {day: _spend(rng, propensity) for day in days}
    validated = [np.mean([gini(spent[day], trial) for day in ("valid 1", "valid 2")]) for trial in trials]
    candidate = trials[int(np.argmax(validated))]
    windows = {}
    for day in days:
        is_clean = not day.startswith("valid")
        predictions = {**({CANDIDATE: candidate} if is_clean else {}), **scores}
        windows[day] = paired_bootstrap(
            gini, spent[day], predictions, np.arange(customers), n_resamples=n_resamples, seed=0
        )
    draws = PooledDraws(windows)
    decision = decide(
        draws,
        candidate=CANDIDATE,
        baselines=BASELINES,
        in_use=BASELINES[0],
        metric="gini",
        min_effect=0.005,
        alpha=alpha_of_look(1),
        confidence=0.95,
        metrics={},
        guards={},
        labels={},
        validated={},
    )
    in_sample = [
        float(gini(spent[day], candidate) - gini(spent[day], scores[_nearest(windows["sealed"])]))
        for day in ("valid 1", "valid 2", "sealed")
    ]
    total = math.exp(rng.normal(0.0, 0.15))  # of a season that the model did not see
    return decision.promote, _beats_all(windows["sealed"], total, median(in_sample))


def _spend(rng: np.random.Generator, propensity: np.ndarray) -> np.ndarray:
    """Draw what each customer spends in a window; about half of them nothing."""
    buys = rng.random(len(propensity)) < 1 / (1 + np.exp(-propensity))
    return buys * rng.lognormal(3.0 + 0.5 * propensity, 0.8)


def _nearest(sealed: Draws) -> str:
    return min(BASELINES, key=lambda name: sealed.gain(CANDIDATE, name).estimate)


def _beats_all(sealed: Draws, total: float, median_gain: float) -> bool:
    """Apply the rule of before: every baseline beaten, the total within its guard, the median of three origins."""
    gains = [sealed.gain(CANDIDATE, name) for name in BASELINES]
    shown = all(gain.lower_bound(alpha_of_look(1)) > 0 and gain.estimate >= 0.005 for gain in gains)
    return shown and 0.8 <= total <= 1.25 and median_gain > 0
