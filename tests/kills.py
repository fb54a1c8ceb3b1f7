"""A command that ends by SIGKILL at its n-th write, and the state of a folder after it: for all n, to be compared.

A write is what makes a file, folder or row last: opening a file to write, renaming, removing or making one, and a
transaction of SQLAlchemy that changed something. The process is killed just before it.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from mlflow import MlflowClient
from mlflow.entities import ViewType
from sqlalchemy import Engine, event

from experiments.tracking.hidden import PREFIX
from workplace import environment

KILL_AT, WRITES = "KILL_AT", "WRITES"
CHANGES_FILES = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.symlink", "os.truncate"}
CHANGES_ROWS = ("INSERT", "UPDATE", "DELETE", "CREATE", "ALTER", "DROP")
SMALL = ["data=cdnow", "task=clv", "features=transactions", "evaluation.step_days=400"]
SMALL += ["evaluation.n_controls=1", "evaluation.n_resamples=50", "evaluation.n_origins=1"]
COMMANDS = {
    "promote by hand": ["promote", *SMALL, "version=1", "reason=better known"],
    "roll back": ["promote", *SMALL, "rollback=true", "reason=worse"],
    "retire": ["promote", *SMALL, "retire=true", "reason=old"],
    "promote by the gate": ["promote", *SMALL, "version=1"],
    "train": ["train", *SMALL, "model=bg_nbd", "model.params.penalizer_coef=0.01"],
    "report": ["report", *SMALL, "report.sections=[verdicts]"],
    "score": ["score", *SMALL],
}
OF_ONE_RUN = ("owner", "files_digest", "mlflow.loggedModels", "mlflow.log-model.history")  # tags that differ each time


def arm() -> None:
    """Count the writes of this process into the working folder, and end it at the one that the environment names."""
    folder, at = os.getcwd(), int(os.environ[KILL_AT])
    seen: list[str] = []

    def write(what: str) -> None:
        seen.append(what)
        if len(seen) == at:
            os.kill(os.getpid(), signal.SIGKILL)
        if at == 0:  # an undisturbed run lists them
            descriptor = os.open(os.environ[WRITES], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
            os.write(descriptor, f"{what}\n".encode())
            os.close(descriptor)

    def audit(name: str, arguments: tuple[Any, ...]) -> None:
        if name == "open":
            path, _, flags = arguments
            changes = bool(flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))
        else:
            changes = name in CHANGES_FILES and arguments[-1] in (None, -1)  # not below an open folder: those are many
            path = arguments[0] if changes else None
        if changes and isinstance(path, (str, Path)) and not str(path).endswith(".lock"):
            whole = os.path.abspath(path)
            if (name == "os.mkdir") == os.path.exists(whole) and name in ("os.mkdir", "os.remove", "os.rmdir"):
                return  # it is there, or gone, already
            if whole.startswith(f"{folder}{os.sep}"):
                write(f"{name} {os.path.relpath(whole, folder)}")

    def executed(connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
        if statement.lstrip().upper().startswith(CHANGES_ROWS):
            connection.info["changed"] = f"{statement.split()[0]} {' '.join(statement.split()[1:3])}"

    def committed(connection: Any) -> None:
        changed = connection.info.pop("changed", None)
        if changed is not None:
            write(f"commit {changed}")

    event.listen(Engine, "before_cursor_execute", executed)
    event.listen(Engine, "commit", committed)
    sys.addaudithook(audit)


@dataclass(frozen=True)
class Place:
    """A folder, put back to how it was before each command: paths in a store are absolute.

    Attributes
    ----------
    folder : Path
    pristine : Path
        Copy of the folder.
    commands : Path
        Folder of the `experiments` of `preloaded`.
    """

    folder: Path
    pristine: Path
    commands: Path

    def restore(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
        shutil.copytree(self.pristine, self.folder, symlinks=True)

    def run(self, command: Sequence[str], at: int | None = None) -> subprocess.CompletedProcess[str]:
        """Run a command, which is killed at a write; 0 lists the writes instead."""
        changes = {} if at is None else {KILL_AT: str(at), WRITES: str(self.pristine.with_suffix(".writes"))}
        return subprocess.run(
            [str(self.commands / "experiments"), *command],
            cwd=self.folder,
            env=environment(**changes),
            capture_output=True,
            text=True,
            timeout=300,
        )

    def writes(self, command: Sequence[str]) -> list[str]:
        """Return the writes of a command that nothing disturbs, which leaves the folder as it shall be."""
        self.restore()
        listing = self.pristine.with_suffix(".writes")
        listing.unlink(missing_ok=True)
        done = self.run(command, at=0)
        assert done.returncode == 0, done.stderr
        return listing.read_text().splitlines()

    def after_kill(self, command: Sequence[str], at: int) -> dict[str, Any]:
        """Return the state after a command was killed at a write, and run again."""
        self.restore()
        killed = self.run(command, at)
        assert killed.returncode == -signal.SIGKILL, (at, killed.stderr)
        again = self.run(command)
        assert again.returncode == 0, (at, again.stderr)
        return state(self.folder)


def place_to_kill(base: Path, commands: Path, store: Path | None = None) -> Place:
    """Make a folder with two versions, both of which were champion in turn, for the commands of `COMMANDS`.

    It begins with a copy of an empty store, where one is given.
    """
    place = Place(base / "work", base / "pristine", commands)
    place.folder.mkdir()
    if store is not None:
        shutil.copy(store, place.folder / "mlflow.db")
    for version, model in enumerate(("mbg_nbd", "bg_nbd"), start=1):
        for command in (["train", *SMALL, f"model={model}"], ["promote", *SMALL, f"version={version}", "reason=first"]):
            done = place.run(command)
            assert done.returncode == 0, done.stderr
    shutil.copytree(place.folder, place.pristine)
    return place


def state(folder: Path) -> dict[str, Any]:
    """Return all that lasts of a working folder, without what differs between two runs: ids, moments, owners."""
    with tempfile.TemporaryDirectory() as apart:  # MLflow keeps a connection to a file that is replaced here
        shutil.copy(folder / "mlflow.db", apart)
        return _state(folder, MlflowClient(f"sqlite:///{apart}/mlflow.db"))


def _state(folder: Path, client: MlflowClient) -> dict[str, Any]:
    experiments = client.search_experiments()
    runs = [
        run
        for experiment in experiments
        for run in client.search_runs([experiment.experiment_id], run_view_type=ViewType.ACTIVE_ONLY, max_results=5000)
    ]
    names = {run.info.run_id: f"<{run.info.run_name}>" for run in runs}
    models = [m for e in experiments for m in client.search_logged_models([e.experiment_id], max_results=500)]
    names |= {model.model_id: f"<model of {names.get(model.source_run_id)}>" for model in models}

    def said(text: object) -> str:
        plain = re.sub(r"\b(m-)?[0-9a-f]{32}\b", lambda found: names.get(found[0], "<unknown>"), str(text))
        return re.sub(r"\d{4}-\d\d-\d\dT[\d:.]+(\+00:00|Z)?", "<moment>", plain)

    def tags(of: dict[str, str]) -> dict[str, str]:
        return {key: said(value) for key, value in sorted(of.items()) if key.removeprefix(PREFIX) not in OF_ONE_RUN}

    return {
        "models": {
            model.name: {"aliases": dict(model.aliases), "tags": tags(model.tags), "says": model.description}
            for model in client.search_registered_models()
        },
        "versions": {
            f"{version.name} {version.version}": {
                "run": names[version.run_id],
                "says": version.description,
                **tags(version.tags),
            }
            for version in client.search_model_versions(max_results=500)
        },
        "runs": sorted(
            json.dumps([run.info.run_name, run.info.status, run.data.params, run.data.metrics, tags(run.data.tags)])
            for run in runs
        ),
        "logged models": Counter(f"{names[model.model_id]} {model.status}" for model in models),
        "files": files(folder, set(names)),
        "contents": {
            str(path.relative_to(folder)): pd.read_parquet(path).to_csv()
            for path in sorted((folder / "outputs").rglob("*.parquet"))
        },
    }


def differences(found: dict[str, Any], expected: dict[str, Any]) -> list[str]:
    """Return a line for each thing that two states do not share."""
    one, other = (
        {f"{part}: {item}" for part, items in state.items() for item in _items(items)} for state in (found, expected)
    )
    return sorted([*(f"+ {line}" for line in one - other), *(f"- {line}" for line in other - one)])


def _items(of: Any) -> list[str]:
    return [f"{key} {value}" for key, value in of.items()] if isinstance(of, dict) else [str(item) for item in of]


def files(folder: Path, known: set[str]) -> Counter[str]:
    """Count the files by path, ids replaced; artifacts of removed runs stay until `mlflow gc`."""
    found: Counter[str] = Counter()
    for path in folder.rglob("*"):
        relative = str(path.relative_to(folder))
        ids = re.findall(r"(?:m-)?[0-9a-f]{32}", relative)
        if path.is_file() and all(each in known for each in ids):
            found[re.sub(r"(m-)?[0-9a-f]{32}", "<id>", relative)] += 1
    return found
