"""The console script and the environment that a user has who activated .venv."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

QUICK = ["data=cdnow", "experiment=clv_quick", "tuning.n_trials=4", "task.guards.total_ratio=[0.7, 1.4]"]
QUICK += ["evaluation.n_origins=1"]  # earlier on, no model ranks this cohort better than its spend a day
ROOT = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent


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
