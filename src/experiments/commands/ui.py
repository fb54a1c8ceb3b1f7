"""`experiments ui`: the MLflow UI on the store in use."""

from __future__ import annotations

import os
import sys

from experiments.commands.config import Config
from experiments.commands.project import Project


def main(config: Config) -> None:
    from experiments.tracking.store import address

    client = Project(config).client  # made where there is none yet, so that the UI opens on it
    os.execv(sys.executable, [sys.executable, "-m", "mlflow", "ui", "--backend-store-uri", address(client)])
