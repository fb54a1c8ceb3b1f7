"""`experiments ui`: open the MLflow UI on the store in use."""

from __future__ import annotations

import os
import sys

from experiments.commands.compose import session_of
from experiments.workflow.config import Config

PORT = 5000  # that of MLflow
TRAINING = "workflowType=machine_learning"  # MLflow opens its pages on generative AI otherwise, which have no runs


def main(config: Config) -> None:
    from experiments.tracking.store import address

    client = session_of(config).client  # made where there is none yet, so that the UI opens on it
    page = f"http://127.0.0.1:{config.port or PORT}/#/experiments?{TRAINING}"
    print(f"MLflow needs some seconds, and is then at {page}", flush=True)
    command = [sys.executable, "-m", "mlflow", "ui", "--backend-store-uri", address(client), "--workers", "1"]
    command += ["--port", str(config.port)] if config.port is not None else []
    # MLflow would start three more workers, each with its imports, and seven processes that evaluate language models.
    os.execve(sys.executable, command, {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", **os.environ})
