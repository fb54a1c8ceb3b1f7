"""Faults after SIGKILL and outages: what is left when the same command was typed again. Writes faults.md.

Twenty whole sweeps (journal and SQLite), of one worker and of two in turn, are killed with all their processes, half of
them while their trials run and half at any moment from the first trial to the end, and started again. Ten workers of
a fleet of two machines (PostgreSQL and an MLflow server) are killed, and nothing is started again. Then the fleet loses
PostgreSQL, the MLflow server, or one machine's network for some seconds. What is random is drawn from a fixed seed.
"""

from __future__ import annotations

import os
import platform
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from itertools import chain
from pathlib import Path
from typing import Any

import optuna
from mlflow import MlflowClient
from optuna.trial import TrialState

from experiments.tracking.hidden import plain
from experiments.tuning.storage import open_storage
from experiments.tuning.study import is_finished
from fleet import Machine, Servers, faults, machines, postgresql_binaries, servers
from workplace import experiments

RESULT = Path(__file__).with_suffix(".md")
SEED, SWEEPS, WORKERS, OUTAGES = 20170101, 20, 10, 4
NAME, N_TRIALS = "cdnow-clv", 10
SWEEP = [
    *("data=cdnow", "experiment=clv_quick", "evaluation.n_validation=1"),
    *("search.models=[mbg_nbd, lightgbm]", f"tuning.n_trials={N_TRIALS}"),
]


@dataclass(frozen=True)
class Kill:
    """One SIGKILL and what was found after the study had come to its end.

    Attributes
    ----------
    moment : float
        Seconds after the study's first trial began.
    finished : int
        Trials that had finished by then.
    running : int
        Trials that were running.
    lost : int
        Of the finished ones, those that were not there at the end, or not the same.
    faults : list of str
    """

    kind: str
    moment: float
    finished: int
    running: int
    lost: int
    faults: list[str]


def trials_of(study: optuna.Study) -> dict[int, tuple[Any, ...]]:
    return {t.number: (t.state, t.value, t.params) for t in study.get_trials(deepcopy=False) if is_finished(t)}


def running(study: optuna.Study) -> list[optuna.trial.FrozenTrial]:
    return study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))


def when_there(open_study, process: subprocess.Popen[str]) -> optuna.Study:
    """The study, as soon as it has a trial."""
    while process.poll() is None:
        try:
            study = open_study()
            if study.get_trials(deepcopy=False):
                return study
        except KeyError:
            pass
        time.sleep(0.02)
    raise SystemExit(f"a sweep ended with exit code {process.returncode} before its first trial")


def local_study(folder: Path, name: str) -> optuna.Study:
    storage = open_storage(str(folder / "optuna.journal"), heartbeat_interval=10, grace_period=60)
    return optuna.load_study(study_name=name, storage=storage)


def kill_sweeps(machine: Machine, draw: random.Random) -> Iterator[Kill]:
    """Kill a sweep, start it again, look; one of each number of workers is left alone first, to know how long it is."""
    client = MlflowClient(f"sqlite:///{machine.folder}/mlflow.db")
    lasts: dict[int, tuple[float, float]] = {}
    for number in range(-2, SWEEPS):
        workers, name = number % 2 + 1, f"sweep-{number}"
        command = [
            "tune",
            *SWEEP,
            f"tuning.workers={workers}",
            f"tuning.study_name={name}",
            f"tuning.seed={number + 2}",
        ]
        process = machine.start(*command)
        study = when_there(lambda name=name: local_study(machine.folder, name), process)
        begun = time.monotonic()
        if number < 0:
            checked(process, machine)
            trials = study.get_trials(deepcopy=False)
            last = max(trial.datetime_complete for trial in trials) - trials[0].datetime_start
            lasts[workers] = last.total_seconds(), time.monotonic() - begun
            continue
        time.sleep(draw.uniform(0, lasts[workers][number // 2 % 2]))
        os.killpg(process.pid, signal.SIGKILL)
        moment = time.monotonic() - begun
        process.wait()
        before, in_progress = trials_of(study), len(running(study))
        checked(machine.start(*command), machine)
        kind = f"sweep of {workers} worker{'s' if workers > 1 else ''}"
        found = faults(study, client, NAME, N_TRIALS) + twice(client)
        yield Kill(kind, moment, len(before), in_progress, lost(before, study), found)


def kill_workers(fleet: list[Machine], shared: Servers, draw: random.Random) -> Iterator[Kill]:
    """Kill the worker of a trial that runs; its machine and the other go on by themselves."""
    for number in range(WORKERS):
        name = f"fleet-{number}"
        command = [
            *("tune", *SWEEP, "tuning.workers=2", f"tuning.study_name={name}", f"tuning.seed={number}"),
            *("tuning.heartbeat_interval=2", "tuning.grace_period=10", *shared.overrides),
        ]
        processes = [machine.start(*command) for machine in fleet]
        study = when_there(lambda name=name: shared.study(name), processes[0])
        begun, enough = time.monotonic(), draw.randrange(N_TRIALS // 2)
        while len(trials_of(study)) < enough and processes[0].poll() is None:
            time.sleep(0.02)
        time.sleep(draw.uniform(0, 0.2))
        while not (candidates := running(study)) and processes[0].poll() is None:
            time.sleep(0.01)
        before, moment = trials_of(study), time.monotonic() - begun
        os.kill(draw.choice(candidates).user_attrs["owner"]["pid"], signal.SIGKILL)
        for process, machine in zip(processes, fleet, strict=True):
            checked(process, machine)
        found = faults(study, shared.client, NAME, N_TRIALS) + twice(shared.client)
        yield Kill("worker of a fleet", moment, len(before), len(candidates), lost(before, study), found)


def outages(fleet: list[Machine], shared: Servers, draw: random.Random) -> Iterator[Kill]:
    """Take a server, or the network of one machine, from a fleet for some seconds; a command that ended is repeated."""
    for number in range(3 * OUTAGES):
        kind = ("PostgreSQL restarted", "MLflow server killed", "network of a machine cut")[number % 3]
        name, links = f"outage-{number}", shared.links
        command = [
            *("tune", *SWEEP, "tuning.workers=2", f"tuning.study_name={name}", f"tuning.seed={number + 100}"),
            *("tuning.heartbeat_interval=2", "tuning.grace_period=10"),
        ]
        commands = [[*command, *shared.overrides], [*command, *shared.by(links)]]
        processes = [machine.start(*own) for machine, own in zip(fleet, commands, strict=True)]
        study = when_there(lambda name=name: shared.study(name), processes[0])
        begun, enough = time.monotonic(), draw.randrange(N_TRIALS)
        while len(trials_of(study)) < enough and processes[0].poll() is None:
            time.sleep(0.02)
        before, in_progress, moment = trials_of(study), len(running(study)), time.monotonic() - begun
        if number % 3 == 2:
            for link in links:
                link.cut()
            time.sleep(15)  # longer than the grace period: the other machine makes up for its trials
            for link in links:
                link.restore()
        else:
            server = (shared.postgresql, shared.mlflow)[number % 3]
            server.kill(signal.SIGQUIT if number % 3 == 0 else signal.SIGKILL)
            time.sleep(3)
            server.start()
        codes = [process.wait() for process in processes]
        for code, machine, own in zip(codes, fleet, commands, strict=True):
            if code:
                checked(machine.start(*own), machine)
        study = shared.study(name)
        found = faults(study, shared.client, NAME, N_TRIALS) + twice(shared.client)
        yield Kill(kind, moment, len(before), in_progress, lost(before, study), found)


def lost(before: dict[int, tuple[Any, ...]], study: optuna.Study) -> int:
    """Count the trials that are lost or changed."""
    after = trials_of(study)
    return sum(after.get(number) != outcome for number, outcome in before.items())


def checked(process: subprocess.Popen[str], machine: Machine) -> None:
    code = process.wait()
    if code:
        raise SystemExit(f"exit code {code} on {machine.name}:\n{machine.log[-5000:]}")


def twice(client: MlflowClient) -> list[str]:
    """Versions that were registered for a candidate that has one."""
    versions = client.search_model_versions(f"name = '{NAME}'", max_results=1000)
    counted = Counter(plain(version.tags)["candidate_digest"] for version in versions)
    return [f"candidate {digest} is registered {count} times" for digest, count in counted.items() if count > 1]


def report(kills: list[Kill], seconds: float) -> str:
    kinds = list(dict.fromkeys(kill.kind for kill in kills))
    rows = []
    for kind in kinds:
        of = [kill for kill in kills if kill.kind == kind]
        at_work = sum(kill.running > 0 for kill in of)
        cells = [
            f"{len(of)}",
            f"{min(kill.moment for kill in of):.1f} to {max(kill.moment for kill in of):.1f} s",
            f"{at_work}",
            f"{sum(kill.finished for kill in of)}",
            f"{sum(kill.lost for kill in of)}",
            f"{sum(bool(kill.faults) for kill in of)}",
        ]
        rows.append(f"| {kind} | " + " | ".join(cells) + " |")
    postgres = subprocess.run(
        [str(postgresql_binaries() / "postgres"), "--version"], capture_output=True, text=True, check=True
    ).stdout.split()[2]
    packages = ", ".join(f"{name} {version(name)}" for name in ("optuna", "mlflow", "lightgbm", "lifetimes", "psycopg"))
    found = [f"- {kill.kind}, at {kill.moment:.1f} s: {'; '.join(kill.faults)}\n" for kill in kills if kill.faults]
    cores = f"{os.cpu_count()} cores ({platform.system()} {platform.machine()})"
    python = f"Python {platform.python_version()}, {packages}, PostgreSQL {postgres}"
    return f"""# What SIGKILL leaves

Written by `make bench-faults` (benchmarks/faults.py) from one run, which took {seconds / 60:.0f} minutes on {cores}:
{python}.
Moments are drawn with seed {SEED}.

Each study is of {N_TRIALS} trials on CDNOW. A sweep is killed with all its processes and started again (a journal,
and MLflow on SQLite). Of a fleet of two machines with two workers each (PostgreSQL, MLflow server) one worker is
killed, and nothing is started again. Moments count from the study's first trial; half of those of the sweeps are drawn
from the time that the trials take, half from that of the whole sweep, with the refit and the registration.

In an outage, the fleet loses PostgreSQL (immediate shutdown) or the MLflow server (SIGKILL) for three seconds, or one
machine's network for fifteen: nothing passes, and no connection is refused. A command that ended with an error is typed
again, once.

| killed | times | at | with a trial running | trials finished by then | lost | studies with a fault |
|---|---|---|---|---|---|---|
{chr(10).join(rows)}

Lost: not there at the end, or with another value, state or parameter. Fault: other than exactly {N_TRIALS} finished
trials, a trial's run missing or twice, a second parent run, a candidate registered twice, or a trial or run RUNNING at
the end.
{"".join(found)}"""


def main() -> None:
    postgresql_binaries()
    draw, begun, kills = random.Random(SEED), time.monotonic(), []
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder)
        (base / "staged").mkdir()
        experiments(base / "staged", "features", *SWEEP, "output=features.parquet")
        with servers() as shared, machines(base, "abc", base / "staged" / ".cache") as (one, *fleet):
            parts = kill_sweeps(one, draw), kill_workers(fleet, shared, draw), outages(fleet, shared, draw)
            for kill in chain.from_iterable(parts):
                kills.append(kill)
                print(f"{len(kills):2} {kill}", flush=True)
    RESULT.write_text(report(kills, time.monotonic() - begun))
    print(f"{RESULT} is written")
    if any(kill.lost or kill.faults for kill in kills):
        sys.exit(1)


if __name__ == "__main__":
    main()
