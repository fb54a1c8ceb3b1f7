"""Amounts of models on simulated seasonal shops, beside the actual totals of the window that follows."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from experiments import open_session
from experiments.workflow.calibration import calibrated
from experiments.workflow.session import Session
from features.seasons import CUTOFF_DAY
from seasonal_shops import SeasonalShop


def amounts_of(simulated: SeasonalShop, task: str, models: Sequence[str]) -> pd.DataFrame:
    """Fit models on all windows before the last one, calibrate their amounts, and compare them with the last one.

    Returns
    -------
    DataFrame indexed by model
        status; low, high: interval of actual / predicted total; before, after: that of the last window, uncalibrated
        and calibrated; season: whether it is known; same_order: whether calibration kept the order of customers.
    """
    with tempfile.TemporaryDirectory() as folder:
        simulated.write(Path(folder))
        overrides = [*simulated.overrides(Path(folder)), "features=rfm", "engine.threads=1"]
        session = open_session(task=task, folder=folder, overrides=overrides)
        return pd.DataFrame({model: _row(session, model) for model in models}).T


def _row(session: Session, model: str) -> dict[str, object]:
    task, splits = session.task, session.splits
    build = partial(task.build, model, {})
    train = session.training.at(*splits.refit())
    fitted = build().fit(train.X, train.target)
    final, amounts = calibrated(session, model, fitted, build)
    assert amounts is not None
    rows = task.judged_rows(session.dataset([splits.sealed], [*session.features, CUTOFF_DAY]))
    before, after = (task.predict(one, rows.X[[*session.features, *one.context]]) for one in (fitted, final))
    in_order = after.to_numpy()[np.argsort(before.to_numpy(), kind="stable")]
    low, high = amounts.interval()
    return {
        "status": amounts.status.partition(" ")[0],
        "low": low,
        "high": high,
        "before": rows.target.sum() / before.sum(),
        "after": rows.target.sum() / after.sum(),
        "season": amounts.knows_season,
        "same_order": bool((np.diff(in_order) >= 0).all()),
    }
