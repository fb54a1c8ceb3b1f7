"""`experiments request`: print the request that the served champion, or customer_360, answers for one customer."""

from __future__ import annotations

import json
import logging

from experiments.commands.compose import customer_of, session_of
from experiments.workflow.config import Config
from experiments.workflow.request import request
from experiments.workflow.serve import request_of_rows, served_name

logger = logging.getLogger(__name__)


def main(config: Config) -> None:
    customer = customer_of(config, "request")
    session = session_of(config)
    print(json.dumps((request_of_rows if config.rows else request)(session, customer)))
    logger.info(
        "next: mlflow models serve -m models:/%s@champion --env-manager local -p 5001, and add "
        "| curl -s http://127.0.0.1:5001/invocations -H 'Content-Type: application/json' -d @-",
        served_name(session) if config.rows else session.registered_name,
    )
