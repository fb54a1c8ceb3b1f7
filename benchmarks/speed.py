"""Speed of the project beside alternatives: ratios of medians from one run, in results.md.

    python benchmarks/speed.py                  # all sections
    python benchmarks/speed.py features fit     # some of them; the others keep their figures

Rivals are timed in turn, round after round, so that a busy machine slows all of them alike, and their results are
compared before their times are.
"""

from __future__ import annotations

import json
import os
import platform
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from datetime import date, timedelta
from functools import partial
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path
from statistics import median, quantiles

import duckdb
import mlflow
import numpy as np
import optuna
import pandas as pd
import psutil
import yaml
from lifetimes import BetaGeoFitter, ModifiedBetaGeoFitter
from lifetimes.utils import summary_data_from_transaction_data

from experiments.evaluation.bootstrap import paired_bootstrap
from experiments.evaluation.spend_metrics import gini
from experiments.gate.rule import alpha_of_look, decide
from experiments.models.buy_till_you_die import BGNBD, DAYS_PER_WEEK, MBGNBD
from experiments.tracking.packaging import synthetic_rows
from experiments.tracking.runs import Runs
from experiments.tracking.store import connect
from experiments.tuning.study import StudyOptions, open_study, optimize
from features.engines import DuckDB
from features.snapshot import feature_rows
from features.sources import stage
from features.sources.staged import Staged
from features.writing import replacing

ROOT = Path(__file__).parents[1]
BIN = Path(sys.executable).parent
CORES = os.cpu_count() or 1
RFM = ["frequency", "recency", "T", "monetary_value"]
MILLION = 1_000_000
CDNOW = ["data=cdnow", "experiment=clv_quick", "evaluation.n_origins=1"]


@dataclass(frozen=True)
class Result:
    """A line of the table: what was measured, here and elsewhere, and what the ratio was to be."""

    what: str
    ours: str
    other: str
    ratio: str
    target: str = ""


def timed(commands: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Median seconds of each command: one round to warm up, then `rounds` in turn."""
    seconds: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(rounds + 1):
        for name, command in commands.items():
            begun = time.perf_counter()
            command()
            seconds[name].append(time.perf_counter() - begun)
    return {name: median(measured[1:]) for name, measured in seconds.items()}


def faster(what: str, seconds: Mapping[str, float], rival: str, target: str = "") -> Result:
    """Return how many times as fast as a rival the project is."""
    ours, theirs = seconds["this project"], seconds[rival]
    return Result(what, f"{ours:.2f} s", f"{rival}: {theirs:.2f} s", f"{theirs / ours:.2f}x as fast", target)


def data_config(name: str, **changes: object) -> dict[str, object]:
    """A data config as conf/ has it."""
    options = yaml.safe_load((ROOT / "conf" / "data" / f"{name}.yaml").read_text())
    options.pop("defaults", None)
    return {**options, **changes}


def replicated(staged: Staged, lines: int, folder: Path) -> Staged:
    """The same shop with its customers and orders repeated under shifted ids until it has so many lines."""
    copies = -(-lines // staged.rows["transactions"])
    folder.mkdir()
    rows = {}
    with duckdb.connect() as connection:
        for table in staged.rows:
            source, target = f"'{staged.folder}/{table}.parquet'", f"'{folder}/{table}.parquet'"
            columns = [column[0] for column in connection.execute(f"DESCRIBE SELECT * FROM {source}").fetchall()]
            shifted = ", ".join(f"{id} || '-' || copy AS {id}" for id in ("customer_id", "order_id") if id in columns)
            query = f"SELECT * FROM {source}"
            if shifted:
                query = f"SELECT * EXCLUDE (copy) REPLACE ({shifted}) FROM {source}, range({copies}) AS copies(copy)"
            if table == "transactions":
                query += f" LIMIT {lines}"
            rows[table] = connection.execute(f"COPY ({query}) TO {target} (FORMAT parquet)").fetchone()[0]
    return replace(staged, folder=folder, rows=rows)


def engine(folder: Path) -> DuckDB:
    return DuckDB(threads=CORES, memory_limit="3GiB", temp_directory=str(folder / "spill"))


# Features

SQL = """
    WITH days AS (
        SELECT customer_id, timestamp::DATE AS day, sum(amount)::DECIMAL(18, 4) AS amount
        FROM '{path}' WHERE timestamp < DATE '{cutoff}' GROUP BY ALL
    )
    SELECT customer_id, (count(*) - 1)::DOUBLE AS frequency, (max(day) - min(day))::DOUBLE AS recency,
        (DATE '{cutoff}' - 1 - min(day))::DOUBLE AS T,
        coalesce((sum(amount) - arg_min(amount, day))::DOUBLE / nullif(count(*) - 1, 0), 0) AS monetary_value
    FROM days GROUP BY customer_id
"""


def by_hand_in_sql(path: Path, cutoff: date, on: DuckDB) -> pd.DataFrame:
    return on.connection.con.sql(SQL.format(path=path, cutoff=cutoff)).df().set_index("customer_id")


def by_hand_in_pandas(path: Path, cutoff: date) -> pd.DataFrame:
    lines = pd.read_parquet(path, columns=["customer_id", "timestamp", "amount"])
    lines = lines[lines["timestamp"] < pd.Timestamp(cutoff)]
    days = lines.assign(day=lines["timestamp"].dt.normalize(), amount=lines["amount"].astype(float))
    days = days.groupby(["customer_id", "day"], as_index=False)["amount"].sum()
    customers = days.groupby("customer_id")
    first, last, frequency = customers["day"].min(), customers["day"].max(), customers.size() - 1
    repeats = customers["amount"].sum() - customers["amount"].first()
    return pd.DataFrame(
        {
            "frequency": frequency,
            "recency": (last - first).dt.days,
            "T": (pd.Timestamp(cutoff) - timedelta(days=1) - first).dt.days,
            "monetary_value": (repeats / frequency.where(frequency > 0)).fillna(0.0),
        },
        dtype=float,
    )


def by_lifetimes(path: Path, cutoff: date) -> pd.DataFrame:
    lines = pd.read_parquet(path, columns=["customer_id", "timestamp", "amount"])
    lines = lines.assign(amount=lines["amount"].astype(float))
    return summary_data_from_transaction_data(
        lines, "customer_id", "timestamp", "amount", observation_period_end=pd.Timestamp(cutoff) - timedelta(days=1)
    )


def by_this_project(shop: Staged, names: list[str], on: DuckDB) -> pd.DataFrame:
    return on.frame(feature_rows(shop.open(on).as_of(shop.end), names)).set_index("customer_id")


def features(folder: Path) -> Iterator[Result]:
    """RFM and T from one Parquet file to a frame, on a shop of few lines a customer and one of many; all families."""
    for source, variant in (("cdnow", {"variant": "master"}), ("complete_journey", {})):
        staged, on = stage(data_config(source, **variant), folder / "cache"), engine(folder)
        for millions in (1, 10):
            shop = replicated(staged, millions * MILLION, folder / f"{source}_{millions}")
            path = shop.folder / "transactions.parquet"
            rivals = {
                "this project": partial(by_this_project, shop, RFM, on),
                "DuckDB SQL by hand": partial(by_hand_in_sql, path, shop.end, on),
                "pandas by hand": partial(by_hand_in_pandas, path, shop.end),
                "lifetimes": partial(by_lifetimes, path, shop.end),
            }
            frames = {name: command().sort_index()[RFM] for name, command in rivals.items()}
            for name, frame in frames.items():
                np.testing.assert_allclose(frame, frames["this project"], rtol=1e-9, atol=1e-6, err_msg=name)
            seconds = timed(rivals, rounds=3)
            targets = {"lifetimes": ">= 5" if millions == 10 else "", "DuckDB SQL by hand": ">= 0.67"}
            customers = len(frames["this project"])
            for name in list(rivals)[1:]:
                what = f"RFM + T of {source}, {millions}M lines, {customers:,} customers"
                yield faster(what, seconds, name, targets.get(name, ""))
    names = yaml.safe_load((ROOT / "conf" / "features" / "full.yaml").read_text())["names"]
    rivals = {"this project": partial(by_this_project, shop, names, on), "RFM + T alone": rivals["this project"]}
    yield faster(f"all {len(names)} features of complete_journey, 10M lines", timed(rivals, rounds=3), "RFM + T alone")


# Fits


def fit(folder: Path) -> Iterator[Result]:
    """BG/NBD and MBG/NBD on customers drawn from CDNOW's 23,570, known for some days longer."""
    staged = stage(data_config("cdnow", variant="master"), folder / "cache")
    base = by_this_project(replace(staged, end=date(1997, 10, 1)), RFM, engine(folder))
    rng = np.random.default_rng(0)
    for customers in (2_400, 24_000, 500_000):
        drawn = base.iloc[rng.integers(0, len(base), customers)]
        x, t_x = drawn["frequency"], drawn["recency"] / DAYS_PER_WEEK
        T = (drawn["T"] + rng.integers(0, 30, customers)) / DAYS_PER_WEEK
        for name, ours, theirs in (("BG/NBD", BGNBD, BetaGeoFitter), ("MBG/NBD", MBGNBD, ModifiedBetaGeoFitter)):
            rivals = {
                "this project": partial(ours(penalizer_coef=0.0).fit_purchases, x, t_x, T),
                "lifetimes": partial(theirs().fit, x, t_x, T),
            }
            model, rival = (command() for command in rivals.values())
            likelihood = np.log(rival._scale) * x.sum() - customers * rival._negative_log_likelihood_
            gap = abs(model.log_likelihood_ / likelihood - 1)
            target = ">= 4" if (name, customers) == ("BG/NBD", 500_000) else ""
            what = f"{name} of {customers:,} customers (likelihoods differ by {gap:.0e})"
            yield faster(what, timed(rivals, rounds=3), "lifetimes", target)


# Trials


def distance(trial: optuna.Trial) -> float:
    """An objective that costs nothing, with parameters as LightGBM's."""
    return -sum(trial.suggest_float(f"x{number}", 0, 1) ** 2 for number in range(8))


def trials(folder: Path) -> Iterator[Result]:
    """Measure the time that tracking adds to a trial, and that a second worker saves."""
    tuning = yaml.safe_load((ROOT / "conf" / "tuning" / "default.yaml").read_text())
    n_trials = 100
    options = {name: tuning[name] for name in ("sampler", "pruner", "seed", "heartbeat_interval", "grace_period")}
    runs = Runs(connect(f"sqlite:///{folder}/mlflow.db"), "benchmark")
    parent = runs.start("study", {})
    numbers = iter(range(100))

    def study() -> optuna.Study:
        name = f"study-{next(numbers)}"
        return open_study(name, StudyOptions(n_trials=n_trials, storage=f"{folder}/{name}.journal", **options), name)

    def tracked() -> None:
        from experiments.workflow.tune import record

        optimize(study(), distance, n_trials, lambda trial: runs.log_trial(parent, record(trial, 0)), quiet=True)

    seconds = timed({"tracked": tracked, "bare": lambda: study().optimize(distance, n_trials)}, rounds=3)
    ours, bare = (1000 * seconds[name] / n_trials for name in ("tracked", "bare"))
    added = f"{ours - bare:.0f} ms more"
    yield Result("a trial with its run in MLflow", f"{ours:.0f} ms", f"Optuna alone: {bare:.0f} ms", added, "<= 45 ms")

    sweep = ["tune", "search.models=[lightgbm]", "tuning.n_trials=60"]
    command(folder, *sweep, "tuning.n_trials=1", "tuning.study_name=warm", "tuning.storage=warm.journal")
    names = iter(range(100))

    def swept(workers: int, cores: int) -> float:
        name = f"{workers}-{next(names)}"
        own = [f"tuning.workers={workers}", f"tuning.study_name={name}", "tuning.storage=sweeps.journal"]
        command(folder, *sweep, *own, LOKY_MAX_CPU_COUNT=str(cores))
        done = optuna.load_study(
            study_name=name,
            storage=optuna.storages.JournalStorage(
                optuna.storages.journal.JournalFileBackend(f"{folder}/sweeps.journal")
            ),
        ).trials
        first = min(trial.datetime_start for trial in done)
        return (max(trial.datetime_complete for trial in done) - first).total_seconds()

    ways = {"1 worker, a core": (1, 1), "1 worker, two cores": (1, 2), "2 workers, a core each": (2, 1)}
    lasted: dict[str, list[float]] = {way: [] for way in ways}
    whole = timed({way: lambda way=way: lasted[way].append(swept(*ways[way])) for way in ways}, rounds=3)
    spans = {way: median(seconds[1:]) for way, seconds in lasted.items()}
    parts = {"first start to last end": spans, "the whole command with its start and its refit": whole}
    for part, seconds in parts.items():
        *alone, both = ways
        for way in alone:
            yield Result(
                f"60 trials of LightGBM on complete_journey, {part}",
                f"{both}: {seconds[both]:.1f} s",
                f"{way}: {seconds[way]:.1f} s",
                f"{seconds[way] / seconds[both]:.2f}x as fast",
                ">= 1.6" if (part, way) == ("first start to last end", "1 worker, a core") else "",
            )


# The main job


def run(folder: Path) -> Iterator[Result]:
    """Three tasks from raw files to the report, side by side and one after the other."""
    seconds = []
    for n_processes in (2, 1):  # once each: a run takes minutes
        own = folder / str(n_processes)
        own.mkdir()
        begun = time.perf_counter()
        command(own, "run", f"processes={n_processes}")
        seconds.append(time.perf_counter() - begun)
    two, one = seconds
    what = "experiments run on complete_journey, nothing staged"
    ours, other = f"side by side: {two:.0f} s", f"one after the other: {one:.0f} s"
    yield Result(what, ours, other, f"{one / two:.2f}x as fast", "<= 180 s")


# Serving and scoring


def command(folder: Path, *arguments: str, **changes: str) -> str:
    """Run `experiments` in a folder, with some variables of the environment changed; what it printed."""
    done = subprocess.run(
        [BIN / "experiments", *arguments], cwd=folder, env=environment() | changes, capture_output=True, text=True
    )
    if done.returncode:
        raise RuntimeError(f"{arguments}:\n{done.stderr}")
    return done.stdout


def environment() -> dict[str, str]:
    return {**os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}", "MLFLOW_DISABLE_TELEMETRY": "true"}


class Bare(mlflow.pyfunc.PythonModel):
    """The least that a model of the same columns can do."""

    def predict(self, context: object, model_input: pd.DataFrame, params: object = None) -> pd.DataFrame:
        return pd.DataFrame({"clv": model_input.sum(axis=1)})


@contextmanager
def served(folder: Path, uri: str) -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    serve = [BIN / "mlflow", "models", "serve", "-m", uri, "--env-manager", "local", "-p", port]
    server = subprocess.Popen(
        serve, cwd=folder, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        while True:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/ping", timeout=5)
                break
            except OSError:
                if server.poll() is not None:
                    raise
                time.sleep(0.2)
        yield f"http://127.0.0.1:{port}/invocations"
    finally:
        for process in [*psutil.Process(server.pid).children(recursive=True), server]:
            process.terminate()
        server.wait()


def serving(folder: Path) -> Iterator[Result]:
    """A row by HTTP, and 100,000 customers by `experiments score` for all tasks."""
    command(folder, "run", *CDNOW, "tuning.n_trials=4", "search.models=[lightgbm]")
    mlflow.set_tracking_uri(f"sqlite:///{folder}/mlflow.db")
    champion = "models:/cdnow-clv@champion"
    signature = mlflow.models.get_model_info(champion).signature
    rows = synthetic_rows(signature.inputs.input_names())
    with mlflow.start_run():
        bare = mlflow.pyfunc.log_model(
            name="bare", python_model=Bare(), signature=signature, pip_requirements=["mlflow"]
        )
    body = json.dumps({"dataframe_split": rows.iloc[:1].to_dict(orient="split", index=False)}).encode()

    def ask(address: str) -> None:
        request = urllib.request.Request(address, body, {"Content-Type": "application/json"})
        urllib.request.urlopen(request, timeout=30).read()

    with served(folder, champion) as ours, served(folder, bare.model_uri) as theirs:
        milliseconds: dict[str, list[float]] = {ours: [], theirs: []}
        for number in range(1_100):
            for address, measured in milliseconds.items():
                begun = time.perf_counter()
                ask(address)
                if number >= 100:
                    measured.append(1000 * (time.perf_counter() - begun))
    for percent in (50, 95):
        here, there = (quantiles(measured, n=100)[percent - 1] for measured in milliseconds.values())
        what = f"a served row of {rows.shape[1]} features, p{percent}"
        yield Result(what, f"{here:.1f} ms", f"bare pyfunc: {there:.1f} ms", f"{here / there:.2f}x as long", "<= 1.5")

    all_tasks = ["data=cdnow", "evaluation.n_origins=1"]
    command(folder, "run", *all_tasks, "tuning.n_trials=4", "report.sections=[verdicts]")
    shop = replicated(stage(data_config("cdnow"), folder / ".cache"), 290_000, folder / "lines")
    small = timed({"score": partial(command, folder, "score", *all_tasks)}, rounds=2)["score"]
    lines = [*stores_of(folder, shop), *all_tasks[1:], "output=outputs/customer_360.parquet"]
    command(folder, "features", *lines, "features=rfm")
    large = timed({"score": partial(command, folder, "score", *lines)}, rounds=2)["score"]
    tasks = sum(bool(model.aliases) for model in mlflow.MlflowClient().search_registered_models())
    customers = count(folder / "outputs" / "customer_360.parquet")
    what = f"customer_360 of {customers:,} customers by {tasks} tasks, the whole command"
    ratio = f"{large / small:.2f}x as long"
    yield Result(what, f"{large:.1f} s", f"of 2,357 customers: {small:.1f} s", ratio, "<= 60 s")


def stores_of(folder: Path, shop: Staged) -> list[str]:
    """The overrides that read a replicated CDNOW as a shop of one's own, under the name that has the champion."""
    config = {
        "defaults": ["files", "_self_"],
        "shop": "cdnow",
        "currency": "USD",
        "timezone": "UTC",
        "burn_in_days": 0,
        "tables": {
            "transactions": {
                "path": str(shop.folder / "transactions.parquet"),
                "date_format": None,
                "columns": dict.fromkeys(("stock", "unit_price", "product_id"))
                | {name: name for name in ("order_id", "customer_id", "timestamp", "amount", "quantity")},
            }
        },
        "rules": {"zero_price": "keep", "duplicate_rows": "keep"},
    }
    config["tables"]["transactions"]["columns"].pop("stock")
    (folder / "conf" / "data").mkdir(parents=True, exist_ok=True)
    (folder / "conf" / "data" / "lines.yaml").write_text(yaml.safe_dump(config))
    return ["--config-dir", "conf", "data=lines"]


def count(path: Path) -> int:
    return duckdb.sql(f"SELECT count(*) FROM '{path}'").fetchone()[0]


# Streams


def as_csv(path: Path, target: Path) -> None:
    duckdb.sql(f"COPY (FROM '{path}') TO '{target}'")


def alone(folder: Path, *command: object) -> tuple[float, float]:
    """Seconds of a command, and the GiB that it held at most."""
    begun = time.perf_counter()
    process = subprocess.Popen([str(part) for part in command], cwd=folder, env=environment())
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise RuntimeError(f"{command} failed")
    return time.perf_counter() - begun, usage.ru_maxrss / 2**20


def streams(folder: Path) -> Iterator[Result]:
    """Staging and a snapshot of 50 million lines of CSV and 100 million of Parquet, and the memory that takes."""
    staged = stage(data_config("cdnow", variant="master"), folder / "cache")
    for millions, suffix in ((50, "csv"), (100, "parquet")):
        # In a process of its own: the system counts what this one ever held as its children's.
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as apart:
            shop = apart.submit(replicated, staged, millions * MILLION, folder / f"{suffix}_{millions}").result()
        overrides = stores_of(folder, shop)
        if suffix == "csv":
            target = shop.folder / "transactions.csv"
            with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as apart:
                apart.submit(as_csv, shop.folder / "transactions.parquet", target).result()
            overrides.append(f"data.tables.transactions.path={target}")
        command = [BIN / "experiments", "features", *overrides, "features=rfm", "output=outputs/features.parquet"]
        seconds, memory = alone(folder, *command)
        customers = count(folder / "outputs" / "features.parquet")
        what = f"{millions}M lines of {suffix}: staged, RFM + T of {customers:,} customers"
        yield Result(what, f"{seconds:.0f} s", "", f"{memory:.2f} GiB at most", "<= 4 GiB" if millions == 50 else "")
        for path in shop.folder.iterdir():
            path.unlink()


# Databases


def as_sqlite(path: Path, target: Path) -> None:
    """Write lines into a database as a shop has them: times and amounts as texts, which SQLite has no types for."""
    columns = "order_id, customer_id, strftime(timestamp, '%Y-%m-%d %H:%M:%S'), amount::VARCHAR, quantity::DOUBLE"
    rows = duckdb.execute(f"SELECT {columns} FROM '{path}'")
    with closing(sqlite3.connect(target)) as connection:
        connection.execute(
            "CREATE TABLE lines (order_id TEXT, customer_id TEXT, timestamp TEXT, amount TEXT, quantity)"
        )
        while batch := rows.fetchmany(100_000):
            connection.executemany("INSERT INTO lines VALUES (?, ?, ?, ?, ?)", batch)
        connection.commit()


def database(folder: Path) -> Iterator[Result]:
    """Ten million lines of a database, read and staged, and the memory that takes."""
    staged = stage(data_config("cdnow", variant="master"), folder / "cache")
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as apart:  # see streams
        shop = apart.submit(replicated, staged, 10 * MILLION, folder / "lines").result()
        apart.submit(as_sqlite, shop.folder / "transactions.parquet", folder / "lines.db").result()
    columns = {name: name for name in ("order_id", "customer_id", "timestamp", "amount", "quantity")}
    options = (
        data_config("files")
        | data_config("database")
        | {
            **{"shop": "cdnow", "currency": "USD", "timezone": "UTC", "url": f"sqlite:///{folder}/lines.db"},
            "tables": {"transactions": {"table": "lines", "columns": columns}},
            "rules": {"zero_price": "keep", "duplicate_rows": "keep"},
        }
    )
    reading = f"from pathlib import Path; from features.sources import stage; stage({options!r}, Path('cache'))"
    seconds, memory = alone(folder, sys.executable, "-c", reading)
    what = f"{shop.rows['transactions'] // MILLION}M lines of SQLite: read and staged"
    yield Result(what, f"{seconds:.0f} s", "", f"{memory:.2f} GiB at most", "<= 2 GiB")


# Decisions


def decision(folder: Path) -> Iterator[Result]:
    """The gate's comparison of a candidate with three baselines and a champion, on simulated predictions."""
    options = yaml.safe_load((ROOT / "conf" / "evaluation" / "default.yaml").read_text())
    names = ("candidate", "naive_lifetime_rate", "naive_last_91_days_rate", "naive_past_total", "champion")
    rng = np.random.default_rng(0)
    seconds = {}
    for customers in (2_500, 100_000):
        value = rng.lognormal(3.0, 1.0, customers)
        y = value * rng.lognormal(0.0, 1.0, customers) * (rng.random(customers) < 0.5)
        noise = np.linspace(0.3, 0.8, len(names))
        predictions = {
            name: np.where(rng.random(customers) < 0.1, 0.0, value * rng.lognormal(0.0, sigma, customers))
            for name, sigma in zip(names, noise, strict=True)
        }
        resample = partial(
            paired_bootstrap,
            gini,
            y,
            predictions,
            [f"customer-{number}" for number in range(customers)],
            n_resamples=options["n_resamples"],
            seed=options["seed"],
        )
        judge = partial(
            decide,
            candidate="candidate",
            baselines=names[1:4],
            champion="champion",
            metric="gini",
            min_effect=0.005,
            alpha=alpha_of_look(1),
            confidence=options["confidence"],
            metrics={"total_ratio": 1.0},
            guards={"total_ratio": (0.8, 1.25)},
            backtest={},
        )
        seconds[customers] = timed({"ours": lambda resample=resample, judge=judge: judge(resample())}, rounds=3)["ours"]
    small, large = seconds.values()
    what = f"a decision at 100,000 customers, {options['n_resamples']:,} resamples of 5 models"
    yield Result(what, f"{large:.1f} s", f"at 2,500: {small:.2f} s", f"{large / small:.0f}x as long", "<= 10 s")


HEADING = """# How fast it is

Written by `make bench`. Times are medians of one run in which rivals take turns; only ratios carry over to another
machine."""
SECTIONS = {section.__name__: section for section in (features, fit, trials, run, serving, decision, streams, database)}


def table(section: Callable[[Path], Iterator[Result]]) -> str:
    """Run a section and write its part of results.md."""
    lines = [f"## {section.__name__.capitalize()}", "", section.__doc__.strip(), "", machine(), ""]
    lines += ["| what | this project | beside it | ratio | target |", "|---|---|---|---|---|"]
    with tempfile.TemporaryDirectory() as folder:
        for result in section(Path(folder)):
            lines.append("| " + " | ".join(vars(result).values()) + " |")
            print(lines[-1], flush=True)
    return "\n".join(lines)


def machine() -> str:
    packages = ("duckdb", "ibis-framework", "pandas", "lifetimes", "lightgbm", "optuna", "mlflow")
    return (
        f"{date.today()}, {CORES} cores, {psutil.virtual_memory().total / 2**30:.0f} GiB, {platform.machine()}, "
        f"Python {platform.python_version()}, {', '.join(f'{package} {version(package)}' for package in packages)}."
    )


def main(names: list[str]) -> None:
    file = ROOT / "benchmarks" / "results.md"
    _, *parts = (file.read_text() if file.exists() else HEADING).strip().split("\n\n## ")
    kept = {part.partition("\n")[0].lower(): "## " + part for part in parts}
    for name in names or SECTIONS:
        kept[name] = table(SECTIONS[name])
        with replacing(file) as partial_file:
            partial_file.write_text("\n\n".join([HEADING, *(kept[name] for name in SECTIONS if name in kept)]) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
