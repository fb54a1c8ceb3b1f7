"""Runs of MLflow: a study and its trials, a candidate and its metrics.

Metrics are logged in one batch per run, because one call per value takes ten times as long. The run that `mlflow run`
opens is tagged, not adopted, because a study outlives the command that began it.
"""

from __future__ import annotations

import getpass
import json
import math
import os
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
from mlflow import MlflowClient
from mlflow.entities import (
    Dataset,
    DatasetInput,
    Experiment,
    InputTag,
    LifecycleStage,
    Metric,
    Param,
    Run,
    RunStatus,
    RunTag,
)
from mlflow.exceptions import MlflowException
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID, MLFLOW_RUN_NOTE, MLFLOW_SOURCE_NAME, MLFLOW_USER

from experiments.tracking.hidden import plain, stored, stored_key
from features.csv_files import write_csv
from features.owners import is_gone, is_here, mark, read_mark

MAX_PARAM_LENGTH = 6000
STUDY, TRIAL, REPORT, MONITOR = "study", "trial", "report", "monitor"
TABLES = "tables"  # folder of the artifacts
BY_CUTOFF = "_by_cutoff"  # after a part: `valid_by_cutoff/gini` stands apart from the means
OWNER, PAGE_DIGEST = stored_key("owner"), stored_key("page_digest")
MLFLOW_EXPERIMENT_KIND, UI_MODE = "mlflow.experimentKind", "custom_model_development"


@dataclass(frozen=True)
class TrialRecord:
    """Content of a trial's run, independent of the tuner.

    Attributes
    ----------
    number : int
    state : str
        complete, pruned or failed.
    params : mapping
    metrics : mapping of metric to its mean over the folds
    fold_metrics : sequence of mappings, one for each validation cutoff that was reached
    started, ended : datetime
    seed : int
    traceback : str or None
    """

    number: int
    state: str
    params: Mapping[str, Any]
    metrics: Mapping[str, float]
    fold_metrics: Sequence[Mapping[str, float]]
    started: datetime
    ended: datetime
    seed: int
    traceback: str | None = None

    @property
    def name(self) -> str:
        return f"{self.params.get('model', TRIAL)} #{self.number:03d}"


@dataclass(frozen=True)
class Validated:
    """Model of a run: its name, its params and the means of its metrics over the validation cutoffs."""

    run_id: str
    model: str
    params: Mapping[str, str]
    metrics: Mapping[str, float]
    trial: int | None = None

    @classmethod
    def of(cls, run: Run) -> Validated:
        """Read a finished run."""
        prefix, tags = "valid/", run.data.tags
        metrics = {name: value for name, value in run.data.metrics.items() if name.startswith(prefix)}
        return cls(
            run.info.run_id,
            run.data.params["model"],
            run.data.params,
            {name.removeprefix(prefix): value for name, value in metrics.items()},
            int(tags["trial"]) if "trial" in tags else None,
        )


@dataclass(frozen=True)
class DataInput:
    """Data of a run: name, digest, source, profile of the staged tables, and their columns with MLflow's types."""

    name: str
    digest: str
    source: str
    profile: Mapping[str, Any] = field(default_factory=dict)
    columns: Mapping[str, str] = field(default_factory=dict)


class Runs:
    """The runs of one experiment.

    Parameters
    ----------
    client : MlflowClient
    experiment : str
        Created if it does not exist, restored if it was deleted.
    about : str
        Description of the experiment where it is created.
    """

    def __init__(self, client: MlflowClient, experiment: str, about: str = "") -> None:
        self.client, self.experiment = client, experiment
        found = client.get_experiment_by_name(experiment) or _create_experiment(client, experiment, about)
        self.experiment_id = found.experiment_id
        if found.lifecycle_stage == "deleted":
            client.restore_experiment(found.experiment_id)

    def start(self, name: str, tags: Mapping[str, str], parent: str | None = None) -> str:
        """Create a run and return its id."""
        injected = os.environ.get("MLFLOW_RUN_ID")
        return self.client.create_run(
            self.experiment_id,
            run_name=name,
            tags={
                **stored(tags),
                **_origin(),
                **({MLFLOW_PARENT_RUN_ID: parent} if parent else {}),
                **({"mlflow_project_run": injected} if injected else {}),
            },
        ).info.run_id

    def end(self, run_id: str, status: str = "FINISHED") -> None:
        self.client.set_terminated(run_id, status)

    def resume_study(self, study: str, begun: str, tags: Mapping[str, str]) -> str:
        """Return the study's parent run: the run of an earlier command or of another machine, or a new one.

        A study of the same name that was started again after its storage was deleted gets its own run.
        """
        runs = self._search(f"tags.kind = '{STUDY}' and tags.study = {_quoted(study)} and tags.begun = '{begun}'")
        if runs:
            run_id = runs[0].info.run_id
            self.client.update_run(run_id, status=RunStatus.to_string(RunStatus.RUNNING))
            self.client.set_tag(run_id, OWNER, json.dumps(mark()))
            return run_id
        return self.start(study, {"kind": STUDY, "study": study, "begun": begun, **tags})

    def end_orphans(self) -> None:
        """End the runs of studies that killed processes left running, and clear the others: see `_clear`."""
        for run in self._search("attributes.status = 'RUNNING'"):
            owner = read_mark(plain(run.data.tags).get("owner"))
            if owner and is_gone(owner):
                if run.data.tags.get("kind") == STUDY:
                    self.end(run.info.run_id, "KILLED")
                else:
                    self._clear(run)

    def end_refits(self, parent: str) -> None:
        """End the running refits of a study, whose process is gone. Call it only as the process that may refit."""
        for run in self._search(f"{_children(parent)} and tags.kind = 'refit' and attributes.status = 'RUNNING'"):
            owner = read_mark(plain(run.data.tags).get("owner"))
            if owner is None or not is_here(owner):  # what it wrote may be needed: nothing of it is removed
                self.end(run.info.run_id, "KILLED")
            elif is_gone(owner):
                self._clear(run)

    def end_of_version(self, run_id: str, number: int, *, twin: bool = False) -> None:
        """Give the run of a registered version its name and end it, unless that is done, or the run is gone.

        A twin is the run of another version of the same candidate, which is removed.
        """
        try:
            run = self.client.get_run(run_id)
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            return
        if run.info.lifecycle_stage == LifecycleStage.DELETED:
            return
        model = run.data.tags["model"]
        if twin or run.info.run_name == f"{run.data.tags['kind']} {model}":  # nobody renamed it
            self.client.update_run(run_id, name=f"{model}, {'as ' if twin else ''}version {number}")
        if run.info.status != "FINISHED":
            self.end(run_id)

    @contextmanager
    def active(self, run_id: str) -> Iterator[None]:
        """Make a run the one that MLflow logs models to, and end it; as failed or killed if an error is raised."""
        try:
            with mlflow.start_run(run_id=run_id, nested=True):
                yield
        except BaseException as error:
            self.end(run_id, "KILLED" if isinstance(error, KeyboardInterrupt) else "FAILED")
            raise

    def _clear(self, run: Run) -> None:
        """End the run of a registered version; remove any other with all that it has, as it is written again."""
        run_id = run.info.run_id
        if self._is_of_version(run):
            return
        for child in self._search(_children(run_id)):
            self.client.delete_run(child.info.run_id)
        if not self._is_deleted(run_id):  # with its parent
            self.client.delete_run(run_id)
        if self.client.search_model_versions(f"run_id = '{run_id}'"):  # registered meanwhile
            self.client.restore_run(run_id)
            return
        for model in self.client.search_logged_models([self.experiment_id], f"source_run_id = '{run_id}'"):
            self.client.delete_logged_model(model.model_id)

    def _is_of_version(self, run: Run) -> bool:
        """Check whether a run's model is registered; a version of these runs' own model gets its run ended."""
        versions = self.client.search_model_versions(f"run_id = '{run.info.run_id}'")
        for version in versions:
            if version.name == self.experiment:
                self.end_of_version(run.info.run_id, int(version.version))
                return True
        if versions:  # somebody registered it under another name
            self.end(run.info.run_id, "KILLED")
        return bool(versions)

    def settle_trials(self, parent: str, unwritten: Sequence[TrialRecord]) -> set[int]:
        """Make sure that each trial has exactly one run.

        A trial has two runs if its process was taken for dead but was alive, and another process also wrote the run.
        The run with the first id stays, in every process.

        Parameters
        ----------
        parent : str
        unwritten : sequence of TrialRecord
            Trials whose writer is gone. A trial without a run gets one.

        Returns
        -------
        set of int
            Numbers of the trials that have a complete run.
        """
        self.end_orphans()
        written: dict[int, list[Run]] = defaultdict(list)
        for run in self._search(f"{_children(parent)} and tags.kind = '{TRIAL}'"):
            written[int(run.data.tags["trial"])].append(run)
        for runs in written.values():
            whole = sorted(run.info.run_id for run in runs if run.info.status != "RUNNING")
            for run_id in whole[1:]:
                self.client.delete_run(run_id)
        for trial in unwritten:
            runs = written[trial.number]
            if all(run.info.status == "RUNNING" for run in runs):
                for run in runs:  # incomplete
                    self.client.delete_run(run.info.run_id)
                self.log_trial(parent, trial)
        whole = {number for number, runs in written.items() if any(run.info.status != "RUNNING" for run in runs)}
        return whole | {trial.number for trial in unwritten}

    def log_trial(self, parent: str, trial: TrialRecord) -> None:
        """Write the complete run of a finished trial, unless another machine deletes it to write it itself."""
        stamp = round(trial.ended.timestamp() * 1000)
        tags = {
            "kind": TRIAL,
            "trial": str(trial.number),
            "state": trial.state,
            "seed": str(trial.seed),
            **_origin(),
            MLFLOW_PARENT_RUN_ID: parent,
        }
        if trial.traceback:
            tags[MLFLOW_RUN_NOTE] = f"```\n{trial.traceback}\n```"
        run_id = self.client.create_run(
            self.experiment_id, start_time=round(trial.started.timestamp() * 1000), tags=tags, run_name=trial.name
        ).info.run_id
        # A pruned trial saw fewer cutoffs: its means are not comparable with those of complete trials.
        part = "valid" if trial.state == "complete" else "partial"
        metrics = [Metric(f"{part}/{name}", value, stamp, 0) for name, value in trial.metrics.items()]
        if len(trial.fold_metrics) > 1:
            metrics += [
                Metric(f"{part}{BY_CUTOFF}/{name}", value, stamp, step)
                for step, fold in enumerate(trial.fold_metrics)
                for name, value in fold.items()
            ]
        try:
            self.client.log_batch(run_id, metrics=metrics, params=_params(trial.params))
            self.client.set_terminated(run_id, "FAILED" if trial.state == "failed" else "FINISHED", end_time=stamp)
        except BaseException as error:
            with suppress(MlflowException):  # the first error names the cause
                if isinstance(error, MlflowException) and self._is_deleted(run_id):
                    return
                self.client.delete_run(run_id)  # the next start writes it again
            raise

    def _is_deleted(self, run_id: str) -> bool:
        return self.client.get_run(run_id).info.lifecycle_stage == LifecycleStage.DELETED

    def log(
        self,
        run_id: str,
        *,
        params: Mapping[str, Any] | None = None,
        metrics: Mapping[str, float] | None = None,
        tags: Mapping[str, str] | None = None,
        note: str | None = None,
    ) -> None:
        """Log params, metrics and tags in one batch."""
        stamp = round(time.time() * 1000)
        labels = {**(tags or {}), **({MLFLOW_RUN_NOTE: note} if note else {})}
        self.client.log_batch(
            run_id,
            metrics=[Metric(name, float(value), stamp, 0) for name, value in (metrics or {}).items()],
            params=_params(params or {}),
            tags=[RunTag(name, str(value)) for name, value in labels.items()],
        )

    def head_note(self, run_id: str, line: str) -> None:
        """Put a line above a run's description, in place of a first line that begins with the same word."""
        note = self.client.get_run(run_id).data.tags.get(MLFLOW_RUN_NOTE, "")
        head, _, rest = note.partition("\n\n")
        note = rest if head.split(" ")[0] == line.split(" ")[0] else note
        self.client.set_tag(run_id, MLFLOW_RUN_NOTE, f"{line}\n\n{note}")

    def metrics(self, run_id: str) -> dict[str, float]:
        """Return the latest value of each metric of a run."""
        return self.client.get_run(run_id).data.metrics

    def params(self, run_id: str) -> dict[str, str]:
        """Return the params of a run."""
        return self.client.get_run(run_id).data.params

    def refits_beside(self, run_id: str) -> list[Validated]:
        """Return the refits that were validated at the same cutoffs of the same data as a run's model, itself too."""
        return [Validated.of(run) for run in self._search(f"tags.kind = 'refit' and {self._same_folds(run_id)}")]

    def trials_beside(self, run_id: str) -> dict[str, list[Validated]]:
        """Return the complete trials of each study at the same cutoffs of the same data as a run's model."""
        studies = self._search(f"tags.kind = '{STUDY}' and {self._same_folds(run_id)}")
        return {
            study.data.tags["study"]: [Validated.of(run) for run in self._trials(study.info.run_id)]
            for study in studies
        }

    def _same_folds(self, run_id: str) -> str:
        """Return the search for runs whose figures can be compared with those of a run."""
        run = self.client.get_run(run_id)
        digest, target = (_quoted(plain(run.data.tags)[key]) for key in ("data_digest", "target"))
        cutoffs = _quoted(run.data.params["validation_cutoffs"])
        data = f"tags.`{stored_key('data_digest')}` = {digest}"
        return f"{data} and tags.target = {target} and params.validation_cutoffs = {cutoffs}"

    def _trials(self, parent: str, only: str = " and tags.state = 'complete'") -> list[Run]:
        """Return the runs of a study's complete trials, in their order."""
        trials = self._search(f"{_children(parent)} and tags.kind = '{TRIAL}'{only}")
        return sorted(trials, key=lambda run: int(run.data.tags["trial"]))

    def trial_values(self, parent: str, metric: str) -> list[float]:
        """Return a metric of all trials of a study, in their order; NaN for a trial that was pruned or failed."""
        return [run.data.metrics.get(metric, math.nan) for run in self._trials(parent, only="")]

    def parent(self, run_id: str) -> str | None:
        """Return the id of a run's parent run, or None."""
        return self.client.get_run(run_id).data.tags.get(MLFLOW_PARENT_RUN_ID)

    def log_data(self, run_id: str, data: DataInput, context: str) -> None:
        """Log the data of a run."""
        dataset = Dataset(
            name=data.name,
            digest=data.digest[:36],
            source_type="staged",
            source=json.dumps({"source": data.source}),
            schema=json.dumps(
                {"mlflow_colspec": [{"name": n, "type": kind, "required": False} for n, kind in data.columns.items()]}
            ),
            profile=json.dumps(dict(data.profile), default=str),
        )
        self.client.log_inputs(run_id, [DatasetInput(dataset, [InputTag("mlflow.data.context", context)])])

    def log_artifacts(
        self,
        run_id: str,
        *,
        texts: Mapping[str, str] | None = None,
        tables: Mapping[str, pd.DataFrame] | None = None,
        figures: Mapping[str, bytes] | None = None,
    ) -> None:
        """Log texts under their file names, tables as CSV and figures, which are PNG, in one transfer."""
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder)
            for name, text in (texts or {}).items():
                _below(root, name).write_text(text)
            for name, table in (tables or {}).items():
                write_csv(table, root / f"{TABLES}/{name}.csv", index=table.index.name is not None)
            for name, figure in (figures or {}).items():
                _below(root, f"figures/{name}.png").write_bytes(figure)
            self.client.log_artifacts(run_id, folder)

    def tables(self, run_id: str, names: Sequence[str]) -> dict[str, pd.DataFrame]:
        """Return those of some tables of a run that it has, by name, with their rows numbered from 0."""
        with suppress(MlflowException, OSError), tempfile.TemporaryDirectory() as folder:
            listed = {Path(file.path).stem for file in self.client.list_artifacts(run_id, TABLES)}
            return {
                name: pd.read_csv(self.client.download_artifacts(run_id, f"{TABLES}/{name}.csv", folder))
                for name in names
                if name in listed
            }
        return {}

    def is_last_report(self, digest: str) -> bool:
        """Return True if the report that was written last has this digest of its page."""
        runs = self._search(f"tags.kind = '{REPORT}' and attributes.status = 'FINISHED'")
        return bool(runs) and runs[-1].data.tags.get(PAGE_DIGEST) == digest

    def last_report(self, before: str, table: str) -> tuple[dict[str, str], pd.DataFrame] | None:
        """Return params and a table of the report with the latest `as_of` before a day; None where none has it.

        Of several reports of one day the one that was written last counts.
        """
        runs = self._search(f"tags.kind = '{REPORT}' and attributes.status = 'FINISHED'")
        for run in sorted(reversed(runs), key=lambda run: run.data.params.get("as_of", before), reverse=True):
            if run.data.params.get("as_of", before) < before:
                with tempfile.TemporaryDirectory() as folder, suppress(MlflowException, OSError):
                    path = self.client.download_artifacts(run.info.run_id, f"{TABLES}/{table}.csv", folder)
                    return run.data.params, pd.read_csv(path)
        return None

    def keep_only(self, run_id: str, **tags: str) -> None:
        """Delete the other runs with these tags: those of the same day and question, which this one replaces."""
        query = " and ".join(f"tags.`{name}` = {_quoted(value)}" for name, value in tags.items())
        for run in self._search(query):
            if run.info.run_id != run_id:
                self.client.delete_run(run.info.run_id)

    def _search(self, query: str) -> list[Run]:
        found: list[Run] = []
        token = None
        while True:
            page = self.client.search_runs(
                [self.experiment_id], query, max_results=1000, page_token=token, order_by=["attributes.start_time"]
            )
            found.extend(page)
            token = page.token
            if not token:
                return found


def _create_experiment(client: MlflowClient, name: str, about: str) -> Experiment:
    try:
        client.create_experiment(name, tags={MLFLOW_EXPERIMENT_KIND: UI_MODE, MLFLOW_RUN_NOTE: about})
    except MlflowException as error:  # another process created it first
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    return client.get_experiment_by_name(name)


def _children(parent: str) -> str:
    return f"tags.`{MLFLOW_PARENT_RUN_ID}` = '{parent}'"


def _quoted(text: str) -> str:
    """Quote a value for a search of runs, whose language has no escapes."""
    quote = '"' if "'" in text else "'"
    return f"{quote}{text}{quote}"


def _origin() -> dict[str, str]:
    """Return the tags of every run: its user, its source and its process."""
    return {MLFLOW_USER: getpass.getuser(), MLFLOW_SOURCE_NAME: "experiments", OWNER: json.dumps(mark())}


def _below(root: Path, name: str) -> Path:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def _params(values: Mapping[str, Any]) -> list[Param]:
    """Convert params for MLflow, which would silently cut a longer one."""
    params = [Param(name, str(value)) for name, value in values.items()]
    for param in params:
        if len(param.value) > MAX_PARAM_LENGTH:
            raise ValueError(f"param {param.key} has {len(param.value)} characters, MLflow keeps {MAX_PARAM_LENGTH}")
    return params
