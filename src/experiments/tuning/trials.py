"""A study as tables: its trials, and how much each parameter matters."""

from __future__ import annotations

import math

import optuna
import pandas as pd
from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances
from optuna.trial import TrialState

from experiments.tuning.study import feasible, finished

FEWEST_TRIALS = 8  # complete ones of a model, below which importances of parameters are noise


def trial_table(study: optuna.Study) -> pd.DataFrame:
    """Return a row for each finished trial.

    Returns
    -------
    DataFrame indexed by trial
        Columns: `model`, `state` (complete, outside the guards, pruned, failed), `value` (NaN unless complete), `best`
        (of the complete trials within the guards so far) and each parameter by its name in the study.
    """
    trials, within = finished(study), {trial.number for trial in feasible(finished(study))}
    rows = []
    for trial in trials:
        is_complete = trial.state is TrialState.COMPLETE
        state = {TrialState.COMPLETE: "complete", TrialState.PRUNED: "pruned"}.get(trial.state, "failed")
        rows.append(
            {
                "trial": trial.number,
                "model": trial.params.get("model", ""),
                "state": "outside the guards" if is_complete and trial.number not in within else state,
                "value": trial.value if is_complete else math.nan,
                **{name: value for name, value in trial.params.items() if name != "model"},
            }
        )
    table = pd.DataFrame(rows).set_index("trial").sort_index()
    table.insert(3, "best", table["value"].where(table["state"] == "complete").cummax().ffill())
    return table


def param_importances(study: optuna.Study, model: str) -> pd.Series:
    """Return the share of each parameter of a model in what tells its better trials apart; empty with too few trials.

    Computed by PED-ANOVA over the complete trials of that model.
    """
    own = [trial for trial in feasible(finished(study)) if trial.params.get("model") == model]
    if len(own) < FEWEST_TRIALS or len({trial.value for trial in own}) == 1:
        return pd.Series(dtype=float)
    apart = optuna.create_study(direction="maximize")
    apart.add_trials(own)
    shares = get_param_importances(apart, evaluator=PedAnovaImportanceEvaluator())
    return pd.Series({name: share for name, share in shares.items() if name != "model"}, dtype=float)
