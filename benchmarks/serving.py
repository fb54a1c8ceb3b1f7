"""Time of an answer of the served customer_360, for one customer with 500 lines. Writes serving.md.

`python benchmarks/serving.py FOLDER SHOP`: a folder in which `experiments serve data=SHOP` was typed.
"""

from __future__ import annotations

import http.client
import json
import os
import platform
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from experiments import open_session
from experiments.workflow.score import scoring_day
from experiments.workflow.serve import request_of, served_name

RESULT = Path(__file__).with_suffix(".md")
PORT, LINES, REQUESTS, WARM = 5057, 500, 200, 5
CLIENTS = (1, 8)
JSON = {"Content-Type": "application/json"}


def body_of(folder: Path, shop: str) -> str:
    """Return the request of the customer whose number of lines is nearest to 500, with 500 at most."""
    session = open_session(data=shop, folder=folder)
    lines = session.shop.tables.transactions
    counts = session.shop.engine.frame(lines.group_by("customer_id").agg(n=lines.count())).set_index("customer_id")["n"]
    customer = (counts - LINES).abs().sort_values(kind="stable").index[0]
    tables = [name for name, table in session.shop.tables.items() if name in ("transactions", "contacts", "responses")]
    body: dict[str, Any] = request_of(session, [customer], tables, str(scoring_day(session)))
    body["inputs"]["transactions"]["data"] = body["inputs"]["transactions"]["data"][:LINES]
    return json.dumps(body)


@contextmanager
def server(folder: Path, name: str) -> Iterator[None]:
    command = [str(Path(sys.executable).parent / "mlflow"), "models", "serve", "-m", f"models:/{name}@champion"]
    environment = {**os.environ, "MLFLOW_TRACKING_URI": f"sqlite:///{folder.absolute()}/mlflow.db"}
    process = subprocess.Popen(
        [*command, "--env-manager", "local", "-p", str(PORT)], cwd=folder, env=environment, start_new_session=True
    )
    try:
        while True:
            try:
                ask("GET", "/ping")
                break
            except OSError:
                if process.poll() is not None:
                    raise SystemExit("the server ended") from None
                time.sleep(0.2)
        yield
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait()


def ask(method: str, path: str, body: str | None = None) -> float:
    """Return the seconds of one request on a connection of its own."""
    begun = time.perf_counter()
    connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=60)
    connection.request(method, path, body, JSON)
    answer = connection.getresponse()
    text = answer.read()
    connection.close()
    if answer.status != 200:
        raise SystemExit(text.decode())
    return time.perf_counter() - begun


def measure(body: str, clients: int) -> np.ndarray:
    """Return the milliseconds of each request."""
    with ThreadPoolExecutor(clients) as threads:
        return 1000 * np.array(list(threads.map(lambda _: ask("POST", "/invocations", body), range(REQUESTS))))


def main() -> None:
    folder, shop = Path(sys.argv[1]), sys.argv[2]
    session = open_session(data=shop, folder=folder)
    body = body_of(folder, shop)
    n_lines = len(json.loads(body)["inputs"]["transactions"]["data"])
    rows = []
    with server(folder, served_name(session)):
        first = 1000 * ask("POST", "/invocations", body)
        for _ in range(WARM):
            ask("POST", "/invocations", body)
        for clients in CLIENTS:
            took = measure(body, clients)
            low, high = np.quantile(took, [0.5, 0.95])
            rows.append(f"| {clients} | {REQUESTS} | {low:.0f} | {high:.0f} | {took.max():.0f} |")
    load = ", ".join(f"{each:.1f}" for each in os.getloadavg())
    table = "\n".join(rows)
    RESULT.write_text(
        f"""# Time of an answer of customer_360

Written by `python benchmarks/serving.py` from one run on {os.cpu_count()} cores ({platform.system()}
{platform.machine()}), Python {platform.python_version()}; load averages at the end {load}.

`mlflow models serve` with its default of one worker, on the shop {shop}; each request sends one customer with {n_lines}
lines ({len(body):,} bytes) on a connection of its own and is answered with all components. Milliseconds from the
request to the last byte of the answer. The first request of a day takes {first:,.0f} ms, as its query is compiled.

| clients | requests | median | 95th percentile | longest |
|---|---|---|---|---|
{table}
"""
    )
    print(RESULT.read_text())


if __name__ == "__main__":
    main()
