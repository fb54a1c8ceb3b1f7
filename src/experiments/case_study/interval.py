"""Part "interval": the average purchase interval by gradient boosting, and the wait for the next purchase."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
from joblib import Parallel, delayed, parallel_config
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import GradientBoostingRegressor
from sklearn.model_selection import KFold, cross_val_predict, train_test_split
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from experiments.case_study.customers import customers_at
from experiments.case_study.options import CaseStudyOptions
from experiments.case_study.result import NAN, Difference, Figure, Result
from experiments.evaluation.identities import identities
from experiments.evaluation.spend_metrics import mae, rmse
from experiments.evaluation.splits import Splits
from features.errors import InputError, listing
from features.families import purchases
from features.shop import Shop

CODE = Path(__file__).parents[1]
DAYS_PER_MONTH = 30
WORDS = ("gender", "region")
AFTER_THE_FACT = "tenure"
FORMULA = (
    "recency",
    "frequency",
    "T",
    "clv",
    "purchases_per_month",
)  # variables of the formula, and variables made of them


def interval(shop: Shop, splits: Splits, options: CaseStudyOptions) -> Result:
    """Reproduce the average interval at the end of the data, and predict days to the next purchase at a cutoff.

    Parameters
    ----------
    shop : Shop
    splits : Splits
    options : CaseStudyOptions
    """
    rows = customers_at(shop, shop.staged.end, options.outlier_quantile).usual(options.clv_days)
    X, y = inputs(shop, rows), average_interval(rows)
    left_out = [name for name in X if X[name].nunique() < 2]
    X = X.drop(columns=left_out)
    if y.nunique() < 2:
        raise InputError("all customers have the same average interval", where="transactions")
    given = [X, y, options.test_share, options.n_splits, options.n_folds, options.seed]
    by_split = shop.analysis("interval_by_split", given, lambda: _by_split(X, y, options), code=CODE)
    out_of_fold = shop.analysis("interval_out_of_fold", given, lambda: _out_of_fold(X, y, options), code=CODE)
    informed, uninformed = (out_of_fold[name].to_numpy() for name in ("informed", "uninformed"))
    constant = float(mae(y, np.full(len(y), y.median())))
    found = identities(
        X.select_dtypes("number"), y, min_rows=options.min_rows, min_distinct=options.min_distinct, seed=options.seed
    )
    arithmetic = " and = ".join(identity.arithmetic for identity in found)
    wait = _wait(shop, splits, options)

    middle = by_split.median()
    spread = {name: f"from {by_split[name].min():.2f} to {by_split[name].max():.2f}" for name in by_split}
    many = f"over {len(by_split)} random splits"
    figures = [
        Figure("customers", "rows", len(y), NAN, "Customers without a second order count with 0 days.", "count"),
        Figure(
            "rmse",
            f"RMSE in days, median {many}; honest: without the variables of the formula",
            middle["rmse"],
            float(rmse(y, uninformed)),
            f"Splits range {spread['rmse']}: a few customers with long intervals decide.",
        ),
        Figure(
            "mae",
            f"MAE in days, median {many}; honest: without the variables of the formula",
            middle["mae"],
            float(mae(y, uninformed)),
            f"Splits range {spread['mae']}. Baseline, the median for all customers: {constant:.2f}.",
        ),
        Figure(
            "r2",
            "R2; honest: without the variables of the formula",
            _r2(y, informed),
            _r2(y, uninformed),
            f"average interval = {arithmetic}, exactly: the model learns a division."
            if found
            else "No arithmetic of two variables gives the interval on these data.",
        ),
        Figure(
            "wait_mae",
            "MAE in days of the wait for the next purchase, by the average interval; honest: by a model of the wait",
            wait.interval,
            wait.model,
            f"Messages are timed by the wait of the {wait.customers:,} customers who come back within "
            f"{splits.horizon_days} days. Baseline, the median wait for all customers: {wait.median:.1f}.",
        ),
    ]
    leaky = AFTER_THE_FACT in X
    faults = {}
    if found:
        faults["circular"] = f"average interval = {arithmetic}, a formula of its features"
    if leaky:
        faults["leaky"] = "tenure is measured at the end of the data"
    notes = [
        f"As of {shop.staged.end}, the end of the data; random splits of customers, {options.test_share:.0%} held out. "
        f"The wait is learnt at the first and evaluated at the second of {wait.cutoffs}, for customers who come back "
        f"within {splits.horizon_days} days: for the others it is unknown.",
        "recency is first to last purchase, as in lifetimes: on the case study's shop its errors are nearer with this "
        "definition than with days since the last purchase. StandardScaler changes nothing for trees.",
    ]
    if left_out:
        notes.append(f"Left out, because they are unknown or the same for all customers: {listing(left_out, limit=9)}.")
    return Result(
        part="interval",
        title="Average purchase interval",
        faults=faults,
        verdict=f"Without the variables of its formula, R2 of the interval is {_r2(y, uninformed):.2f}. "
        + (f"Do not predict it: it is {arithmetic}, plain arithmetic. " if found else "")
        + "A model predicts the wait for the next purchase "
        + wait.excess.say("worse than", "better than", "not measurably better than")
        + f" one number for all customers: the difference in error is {wait.excess.mean:+.2f} days "
        f"({wait.excess.low:+.2f} to {wait.excess.high:+.2f}).",
        figures=figures,
        params={
            "features": ", ".join(X),
            "test_share": options.test_share,
            "n_splits": options.n_splits,
            "n_folds": options.n_folds,
            "clv_days": options.clv_days,
            "seed": options.seed,
            "as_of": str(shop.staged.end),
            "honest_cutoffs": wait.cutoffs,
        },
        tables={
            "splits": by_split,
            "predictions": pd.DataFrame({"actual": y, "predicted": informed, "predicted_without_formula": uninformed}),
        },
        notes=notes,
    )


def inputs(shop: Shop, rows: pd.DataFrame) -> pd.DataFrame:
    """Return the inputs of the interval's model, under the case study's names; unknown facts are 0 or "unknown"."""
    months = (rows["T"] + 1) / DAYS_PER_MONTH
    X = pd.DataFrame(
        {
            "recency": rows["recency"],
            "frequency": rows["repeat_orders"],
            "monetary": rows["average_order_value"],
            "T": rows["T"],
            "clv": rows["clv"],
            "coupon_used_share": rows["coupon_used_share"],
            "purchases_per_month": rows["orders"] / months,
        }
    )
    facts = _facts(shop).reindex(rows.index)
    X[AFTER_THE_FACT] = facts["tenure_months"].astype(float).fillna(0.0)
    for name in WORDS:
        X[name] = facts[name].fillna("unknown").astype(str)
    return X


def average_interval(rows: pd.DataFrame) -> pd.Series:
    """Compute (last - first) / (orders - 1), in days; 0 for one order."""
    return (rows["recency"] / rows["repeat_orders"].where(rows["repeat_orders"] > 0)).fillna(0.0)


def _facts(shop: Shop) -> pd.DataFrame:
    """Return facts of unknown date by customer_id, also tenure, which is measured after the fact and so no feature."""
    names = [*WORDS, "tenure_months"]
    people = shop.tables.present().get("customers")
    if people is None:
        return pd.DataFrame(columns=names, dtype=object)
    return shop.engine.frame(people.select("customer_id", *names)).set_index("customer_id")


def _model(X: pd.DataFrame, seed: int) -> Pipeline:
    words = [name for name in WORDS if name in X]
    numbers = [name for name in X if name not in words]
    columns = ColumnTransformer(
        [("numbers", StandardScaler(), numbers), ("words", OneHotEncoder(handle_unknown="ignore"), words)],
        sparse_threshold=0.0,
    )
    return make_pipeline(columns, GradientBoostingRegressor(random_state=seed))


def _by_split(X: pd.DataFrame, y: pd.Series, options: CaseStudyOptions) -> pd.DataFrame:
    """Compute errors on the rows of several random splits: rmse and mae by `split`."""

    def errors(split: int) -> dict[str, float]:
        learnt, held, y_learnt, y_held = train_test_split(
            X, y, test_size=options.test_share, random_state=options.seed + split
        )
        predicted = _model(X, options.seed).fit(learnt, y_learnt).predict(held)
        return {"rmse": float(rmse(y_held, predicted)), "mae": float(mae(y_held, predicted))}

    rows = Parallel(n_jobs=-1, prefer="threads")(delayed(errors)(split) for split in range(options.n_splits))
    return pd.DataFrame(rows).rename_axis("split")


def _out_of_fold(X: pd.DataFrame, y: pd.Series, options: CaseStudyOptions) -> pd.DataFrame:
    """Predict each row by a model of the other folds: with all variables, and without those of the formula."""
    folds = KFold(options.n_folds, shuffle=True, random_state=options.seed)
    variables = {"informed": X, "uninformed": X.drop(columns=list(FORMULA), errors="ignore")}
    with parallel_config("threading", n_jobs=-1):  # trees grow without Python's lock
        predicted = {
            name: cross_val_predict(_model(part, options.seed), part, y, cv=folds) for name, part in variables.items()
        }
    return pd.DataFrame(predicted)


def _r2(y: pd.Series, predicted: np.ndarray) -> float:
    return float(1 - ((y - predicted) ** 2).sum() / ((y - y.mean()) ** 2).sum())


@dataclass(frozen=True)
class Wait:
    """Mean absolute errors, in days, of the wait for the next purchase, learnt at one cutoff, judged at a later one.

    Attributes
    ----------
    customers : int
        Who come back.
    interval, model, median : float
        By the average interval, by a model of the wait, by the median wait for all.
    excess : Difference
        Of the errors by the model over those by the median.
    cutoffs : str
    """

    customers: int
    interval: float
    model: float
    median: float
    excess: Difference
    cutoffs: str


def _wait(shop: Shop, splits: Splits, options: CaseStudyOptions) -> Wait:
    training, (now,) = splits.folds()[-1]
    then = max(training)
    customers_then, customers_now = (customers_at(shop, day, options.outlier_quantile) for day in (then, now))
    clv = customers_then.value_model(options.clv_days)
    y_then, y_now = (
        days_to_next_purchase(shop, day, splits.horizon_days).reindex(customers.rows.index).dropna()
        for day, customers in ((then, customers_then), (now, customers_now))
    )
    if y_then.nunique() < 2 or not len(y_now):
        raise InputError(f"too few customers come back within {splits.horizon_days} days", where="transactions")
    X_then, X_now = (
        inputs(shop, customers.with_clv(clv).loc[y.index]).drop(columns=AFTER_THE_FACT)
        for customers, y in ((customers_then, y_then), (customers_now, y_now))
    )
    predicted = _model(X_then, options.seed).fit(X_then, y_then).predict(X_now)
    return Wait(
        customers=len(y_now),
        interval=float(mae(y_now, average_interval(customers_now.rows.loc[y_now.index]))),
        model=float(mae(y_now, predicted)),
        median=float(mae(y_now, np.full(len(y_now), y_then.median()))),
        excess=Difference.of((y_now - predicted).abs(), (y_now - y_then.median()).abs()),
        cutoffs=f"{then}, {now}",
    )


def days_to_next_purchase(shop: Shop, cutoff: date, horizon_days: int) -> pd.Series:
    """Count days to the first purchase within the horizon, of customers who make one; 1 is the cutoff's day."""
    window = shop.tables.between(cutoff, cutoff + timedelta(days=horizon_days))
    days = shop.engine.frame(purchases.by_day(window))
    first = pd.to_datetime(days["day"]).groupby(days["customer_id"]).min()
    return (first - pd.Timestamp(cutoff)).dt.days + 1.0
