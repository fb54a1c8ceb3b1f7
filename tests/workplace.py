"""The console script and the environment that a user has who activated .venv."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from experiments.models.base import Model, dump

QUICK = ["data=cdnow", "experiment=clv_quick", "tuning.n_trials=4"]
QUICK += ["evaluation.n_origins=1"]  # earlier on, no model ranks this cohort better than its spend a day
QUICK += ["evaluation.n_controls=1"]
ROOT = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent


def copy_work(folder: Path, target: Path) -> None:
    """Copy the studies, runs and cache of a folder; its models' files stay where they are, as paths are absolute."""
    for name in ("mlflow.db", "optuna.journal"):
        shutil.copy(folder / name, target)
    shutil.copytree(folder / ".cache", target / ".cache")


def environment(**changes: str) -> dict[str, str]:
    """The environment that a user who activated .venv has."""
    inherited = {name: value for name, value in os.environ.items() if name != "MLFLOW_TRACKING_URI"}
    return {**inherited, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}", **changes}


def experiments(folder: Path, *arguments: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    """Run the console script in a folder and check its exit code."""
    done = subprocess.run(
        [str(BIN / "experiments"), *arguments],
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == code, f"exit code {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done


def printed_by_processes(script: str) -> set[str]:
    """Return what two fresh processes print, under unlike hash seeds: one text if they agree."""
    return {
        subprocess.run(
            [sys.executable, "-c", script],
            env={**os.environ, "PYTHONHASHSEED": str(seed)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in (1, 2)
    }


def outputs_apart(models: Mapping[str, Model], X: pd.DataFrame, folder: Path) -> dict[str, np.ndarray]:
    """Return the outputs of stored models when a fresh process loads them."""
    np.save(folder / "X.npy", X.to_numpy())
    (folder / "columns.json").write_text(json.dumps(list(X.columns)))
    for name, model in models.items():
        (folder / f"{name}.model").write_text(dump(model))
    script = (
        "import json, pathlib, sys, numpy as np, pandas as pd\n"
        "from experiments.models.base import load\n"
        "folder = pathlib.Path(sys.argv[1])\n"
        "X = pd.DataFrame(np.load(folder / 'X.npy'), columns=json.loads((folder / 'columns.json').read_text()))\n"
        "for path in folder.glob('*.model'):\n"
        "    np.save(folder / f'{path.stem}.npy', load(path.read_text()).outputs(X))\n"
    )
    subprocess.run([sys.executable, "-c", script, str(folder)], check=True, timeout=120)
    return {name: np.load(folder / f"{name}.npy") for name in models}
