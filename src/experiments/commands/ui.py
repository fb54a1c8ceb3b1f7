"""`experiments ui`: open the MLflow UI on the store in use."""

from __future__ import annotations

import os
import sys

from experiments.commands.compose import session_of
from experiments.workflow.config import Config


def main(config: Config) -> None:
    from experiments.tracking.store import address

    client = session_of(config).client  # made where there is none yet, so that the UI opens on it
    command = [sys.executable, "-m", "mlflow", "ui", "--backend-store-uri", address(client)]
    os.execv(sys.executable, [*command, *(["--port", str(config.port)] if config.port is not None else [])])
