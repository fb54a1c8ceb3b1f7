"""Registered models `<shop>-<task>`: versions tagged with their inputs, and one alias `champion`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from experiments.models.base import Model
from experiments.models.registry import label_of
from experiments.tracking.packaging import FILES_DIGEST, files_digest, models_digest, predict_apart, synthetic_rows
from features.errors import InputError, first_line

CHAMPION = "champion"
ROLLED_BACK = "rolled_back"  # tag of a champion that was found worse: it is not judged again
RETIRED = "retired"  # tag of a champion that was taken out of use: it may be judged again
LONGEST_TAG = 5000  # characters that MLflow's databases hold; some cut the rest off silently
OUTCOME_ROOM = 1000  # of these characters, for the outcome that is added to a look later


@dataclass(frozen=True)
class Version:
    """One version of a registered model, loaded at its first prediction in each process."""

    name: str
    number: int
    run_id: str
    tags: Mapping[str, str]
    store: str

    def __getstate__(self) -> dict[str, Any]:
        return {field.name: getattr(self, field.name) for field in fields(self)}  # another process loads it again

    @property
    def features(self) -> list[str]:
        """Features that it was trained on, in order."""
        return json.loads(self.tags["features"])

    @property
    def feature_hashes(self) -> dict[str, str]:
        """Fingerprint of each feature's definition; empty for a version with one of all features (`feature_hash`)."""
        hashes = self.tags.get("feature_hashes", "").split()
        return dict(zip(self.features, hashes, strict=True)) if hashes else {}

    @property
    def question(self) -> str:
        """Name of the question that it answers, without the shop: the task's name and its suffix, as in `clv_180d`."""
        return self.name.removeprefix(f"{self.tags['shop']}-")

    @property
    def suffix(self) -> str:
        """End of the question's name and of its columns in the scores: options that are not the default, as `_180d`."""
        return self.question.removeprefix(self.tags["task"])

    @property
    def outputs(self) -> list[str]:
        """Columns of its scores."""
        return self._loaded.metadata.signature.outputs.input_names()

    @property
    def params(self) -> dict[str, Any]:
        """Parameters that it was trained with."""
        return json.loads(self.tags.get("params", "{}"))

    @property
    def is_baseline(self) -> bool:
        """True for a baseline that is in use because no model was shown to be better."""
        return self.tags.get("kind") == "naive"

    @property
    def rolled_back(self) -> str | None:
        """Reason why it was rolled back, after which it is not judged again; None for other versions."""
        return self.tags.get(ROLLED_BACK)

    @property
    def has_current_code(self) -> bool:
        """True if the models' code that it carries is the code in use."""
        return self.tags.get("models_digest") == models_digest(self.tags.get("module", ""))

    @property
    def estimator(self) -> Model:
        """Fitted model inside the artifact, run by the code in use: check `has_current_code` first."""
        return self._loaded.unwrap_python_model().model

    @property
    def has_files(self) -> bool:
        """True if the store of artifacts still has the model: somebody may have removed `mlruns`."""
        mlflow.set_tracking_uri(self.store)
        try:
            found = mlflow.artifacts.list_artifacts(self.uri)
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            return False
        return any(file.path == "MLmodel" for file in found)

    @cached_property
    def _loaded(self) -> Any:
        with self._loads():
            return mlflow.pyfunc.load_model(str(self._folder))

    @cached_property
    def _folder(self) -> Path:
        """Folder of its files, which are those that were registered: none of them runs before that is checked."""
        with self._loads():
            folder = Path(mlflow.artifacts.download_artifacts(self.uri))
            found = files_digest(folder)
        expected = self.tags.get(FILES_DIGEST, found)  # older versions have none
        if found != expected:
            raise InputError(
                f"the files of {self.name} version {self.number} are not those that were registered",
                where=str(folder),
                expected=f"files of the digest {expected[:12]}, as its tag {FILES_DIGEST} says",
                found=f"{found[:12]}: a file was changed, added or removed",
                hint="restore the folder from a copy, or type experiments tune, and take this version out of use: "
                "promote retire=true reason='…'",
            )
        return folder

    @contextmanager
    def _loads(self) -> Iterator[None]:
        mlflow.set_tracking_uri(self.store)
        try:
            yield
        except (MlflowException, OSError) as error:
            raise InputError(
                f"the files of {self.name} version {self.number} cannot be loaded",
                where=self.uri,
                found=first_line(error),
                hint="if the folder was moved, move it back: paths of artifacts are absolute. If files are gone, type "
                "experiments tune, and take this version out of use: promote retire=true reason='…'",
            ) from error

    @property
    def uri(self) -> str:
        return f"models:/{self.name}/{self.number}"

    def check_loads(self) -> None:
        """Load the version and predict synthetic rows, to detect missing files before anything depends on them.

        Raises
        ------
        InputError
            If the version does not load, or does not predict with the code that it carries.
        """
        self.scores(synthetic_rows(self.features))

    def scores(self, X: pd.DataFrame) -> pd.DataFrame:
        """Compute all outputs with the code that the version carries, indexed as X.

        Project code that is already loaded would replace the version's own code. If the two differ, the version
        therefore runs in a separate process.
        """
        rows = X[self.features].reset_index(drop=True)
        if self.has_current_code:
            scores = self._loaded.predict(rows)
        else:
            scores = predict_apart(self.store, self.uri, self._folder, rows)
        return scores.set_axis(X.index, axis=0)

    @property
    def label(self) -> str:
        """Text that people read in place of the model's name."""
        return self.tags.get("label") or label_of(self.tags["model"])

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        """Return the outputs that the task's metrics evaluate, named by the tag `judged`: shape (n_rows,) for one."""
        judged = self.tags["judged"].split(",")
        scores = self.scores(X)[judged].to_numpy()
        return scores[:, 0] if len(judged) == 1 else scores


class Registry:
    """The registered model of one shop and task.

    Parameters
    ----------
    client : MlflowClient
    name : str
        `<shop>-<task>`, which keeps shops apart.
    """

    def __init__(self, client: MlflowClient, name: str) -> None:
        self.client = client
        self.name = name

    def register(self, model_uri: str, run_id: str, tags: Mapping[str, str]) -> Version:
        """Create a new version, tagged with its inputs."""
        try:
            self.client.create_registered_model(self.name)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        # A server also needs the id of a logged model.
        model_id = model_uri.removeprefix("models:/") if model_uri.startswith("models:/") else None
        return self._version(
            self.client.create_model_version(self.name, model_uri, run_id, tags=dict(tags), model_id=model_id)
        )

    def versions(self) -> list[Version]:
        """Return all versions, newest first."""
        found = self.client.search_model_versions(f"name = '{self.name}'", max_results=10_000)
        return sorted((self._version(v) for v in found), key=lambda v: -v.number)

    def get(self, number: int) -> Version:
        """Return one version.

        Raises
        ------
        InputError
            If no version has that number; the message lists the existing ones.
        """
        known = {v.number: v for v in self.versions()}
        if number not in known:
            raise InputError(
                f"{self.name} has no version {number}",
                where="version",
                expected=f"one of {sorted(known)}" if known else "a registered version; there is none yet",
                found=str(number),
                hint="experiments tune",
            )
        return known[number]

    def find(self, digest: str) -> Version | None:
        """Return the first version with exactly the same data, code, configuration and parameters, or None.

        A version whose files are gone does not count.
        """
        same = (v for v in reversed(self.versions()) if v.tags.get("candidate_digest") == digest)
        return next((version for version in same if version.has_files), None)

    def delete(self, number: int) -> None:
        self.client.delete_model_version(self.name, str(number))

    def champion(self) -> Version | None:
        """Return the version that is in use, or None."""
        try:
            return self._version(self.client.get_model_version_by_alias(self.name, CHAMPION))
        except MlflowException as error:
            if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                return None
            raise

    def crown(self, number: int, reason: str) -> None:
        """Point the alias at a version and record the previous one; the present champion stays unchanged."""
        version, before = self.get(number), self.champion()
        if before is not None and before.number == number:
            return
        history = self.history()
        if before is not None and (not history or history[-1] != before.number):
            history.append(before.number)  # another tool moved the alias
        self.client.set_registered_model_alias(self.name, CHAMPION, str(number))
        self._remember([*history, number])
        self.tag(number, {"promoted": reason})
        for tag in {ROLLED_BACK, RETIRED} & version.tags.keys():
            self.client.delete_model_version_tag(self.name, str(number), tag)

    def history(self) -> list[int]:
        """Return the numbers of all champions in order, the present one last."""
        try:
            tags = self.client.get_registered_model(self.name).tags
        except MlflowException:
            return []
        return json.loads(tags.get("champions", "[]"))

    def roll_back(self, reason: str) -> tuple[int, int]:
        """Make the previous champion the champion again, and return the numbers (from, to).

        After `retire` there is no champion: the last of `history` is restored, and both numbers are its own.

        Raises
        ------
        InputError
            If there is no previous champion.
        """
        champion = self.champion()
        before = [number for number in self.history() if champion is None or number != champion.number]
        if not before:
            raise InputError(
                f"{self.name} has no champion to go back to",
                where="rollback=true",
                expected="an earlier champion",
                found=f"champions so far: {self.history() or 'none'}",
            )
        previous = before[-1]
        self.get(previous)  # a deleted version raises before anything changes
        self.client.set_registered_model_alias(self.name, CHAMPION, str(previous))
        self._remember(before)
        if champion is None:
            return previous, previous
        self.tag(champion.number, {ROLLED_BACK: reason})
        return champion.number, previous

    def retire(self, reason: str) -> int:
        """Take the champion out of use, without another in its place, and return its number.

        The gate may judge it again.

        Raises
        ------
        InputError
            If there is no champion.
        """
        champion = self.champion()
        if champion is None:
            raise InputError(f"{self.name} has no champion to retire", where="retire=true", expected="a champion")
        self.client.delete_registered_model_alias(self.name, CHAMPION)
        self._remember([number for number in self.history() if number != champion.number])
        self.tag(champion.number, {RETIRED: reason})
        return champion.number

    def tag(self, number: int, tags: Mapping[str, str]) -> None:
        for key, value in tags.items():
            self.client.set_model_version_tag(self.name, str(number), key, value)

    def ledger(self) -> list[dict[str, Any]]:
        """Return all looks at sealed windows, in order of time."""
        tags = self.client.get_registered_model(self.name).tags
        looks = [json.loads(value) for key, value in tags.items() if key.startswith("look.")]
        for look in looks:
            if isinstance(look["decision"], int):
                pieces = [tags[_piece(look, number)] for number in range(look["decision"])]
                look["decision"] = json.loads("".join(pieces))
        return sorted(looks, key=lambda look: look["index"])

    def record_look(self, look: Mapping[str, Any]) -> None:
        """Write a look into the ledger, from which no look is ever removed.

        A decision grows with the number of rivals, so it is stored in pieces, one tag each. It never changes once it is
        made. The look states the number of pieces when all are stored, so a process may be killed at any time.

        Raises
        ------
        InputError
            If the look itself is too long for a tag.
        """
        decision = json.dumps(look["decision"], separators=(",", ":")) if look["decision"] else ""
        pieces = [decision[start : start + LONGEST_TAG] for start in range(0, len(decision), LONGEST_TAG)]
        entry = json.dumps({**look, "decision": len(pieces) or None}, separators=(",", ":"))
        room = LONGEST_TAG if look["outcome"] else LONGEST_TAG - OUTCOME_ROOM
        if len(entry) > room:
            raise InputError(
                "a look is too long for the ledger",
                where=f"ledger of {self.name}",
                expected=f"at most {room:,} characters",
                found=f"{len(entry):,}: {entry[:200]}…",
                hint="run fewer tasks at once, or give them shorter names",
            )
        for number, piece in enumerate(pieces):
            self.client.set_registered_model_tag(self.name, _piece(look, number), piece)
        self.client.set_registered_model_tag(self.name, f"look.{look['index']:04d}", entry)

    def _remember(self, history: list[int]) -> None:
        self.client.set_registered_model_tag(self.name, "champions", json.dumps(history))

    def _version(self, version: ModelVersion) -> Version:
        return Version(version.name, int(version.version), version.run_id, dict(version.tags), self.client.tracking_uri)


def champions_of(client: MlflowClient, shop: str) -> list[Version]:
    """Return the champions of a shop's questions, whatever their options, in the order of their names."""
    named, page = [], ""
    while page is not None:
        found = client.search_registered_models(f"name LIKE '{shop}-%'", max_results=1000, page_token=page or None)
        named += [model.name for model in found]
        page = found.token or None
    champions = (Registry(client, name).champion() for name in sorted(named) if name.startswith(f"{shop}-"))
    # another shop's name may begin with this one's
    return [version for version in champions if version is not None and version.tags.get("shop") == shop]


def _piece(look: Mapping[str, Any], number: int) -> str:
    """Return the key of the tag that holds a piece of a look's decision."""
    return f"decision.{look['index']:04d}.{number:02d}"
