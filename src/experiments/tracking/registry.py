"""Registered models `<shop>-<task>`: versions tagged with their inputs, and one alias `champion`."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, fields, replace
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
from experiments.tracking.change import Change
from experiments.tracking.hidden import PREFIX, plain, stored, stored_key
from experiments.tracking.packaging import FILES_DIGEST, files_digest, models_digest, predict_apart, synthetic_rows
from experiments.tracking.requirements import unmet
from experiments.tracking.store import exclusive
from features.errors import InputError, first_line, listing

logger = logging.getLogger(__name__)

CHAMPION = "champion"
ROLLED_BACK = "rolled_back"  # tag of a champion that was found worse: it is not judged again
RETIRED = "retired"  # tag of a champion that was taken out of use: it may be judged again
REGISTERING = "registering"  # tag of a version until it is known to be the first of its candidate
SINCE = "since"  # tag of a registered model: the day since which its champion is in use
CHANGE = "change"  # tag of a registered model while it changes; tags `change.00`, … hold the start of a long one
ABSENT = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")  # MLflow's codes for a model, version or alias
ROLL_BACK, RETIRE = "roll back", "retire"
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
    def title(self) -> str:
        """Number and model: `version 1, blend`."""
        return f"version {self.number}, {self.tags['model']}"

    @property
    def rolled_back(self) -> str | None:
        """Reason why it was rolled back, after which it is not judged again; None for other versions."""
        return self.tags.get(ROLLED_BACK)

    @property
    def retired(self) -> str | None:
        """Reason why it was taken out of use; None for other versions."""
        return self.tags.get(RETIRED)

    @property
    def has_current_code(self) -> bool:
        """True if the models' code that it carries is the code in use."""
        libraries = tuple(self.tags.get("libraries", "").split())
        return self.tags.get("models_digest") == models_digest(self.tags.get("module", ""), libraries)

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
            # MLflow's own check of libraries lists the files of all that are installed: a third of a second.
            model = mlflow.pyfunc.load_model(str(self._folder), suppress_warnings=True)
            needed = (self._folder / "requirements.txt").read_text().split()
        if found := unmet(needed):
            logger.warning("%s version %d was trained with other libraries: %s", self.name, self.number, listing(found))
        return model

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
        self._keeps_changes = False

    def register(self, model_uri: str, run_id: str, tags: Mapping[str, str]) -> Version:
        """Create a new version, tagged with its inputs, and with `REGISTERING` until it is confirmed."""
        try:
            self.client.create_registered_model(self.name)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        # A server also needs the id of a logged model.
        model_id = model_uri.removeprefix("models:/") if model_uri.startswith("models:/") else None
        return self._version(
            self.client.create_model_version(
                self.name, model_uri, run_id, tags={**stored(tags), REGISTERING: "true"}, model_id=model_id
            )
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

    def same(self, digest: str) -> list[Version]:
        """Return the versions with exactly the same data, code, configuration and parameters, oldest first.

        A version whose files are gone does not count.
        """
        same = (v for v in reversed(self.versions()) if v.tags.get("candidate_digest") == digest)
        return [version for version in same if version.has_files]

    def confirm(self, number: int) -> None:
        """Record that a version is the first of its candidate."""
        self.client.delete_model_version_tag(self.name, str(number), REGISTERING)

    def delete(self, number: int) -> None:
        """Delete a version, unless another process has deleted it."""
        try:
            self.client.delete_model_version(self.name, str(number))
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise

    def champion(self) -> Version | None:
        """Return the version that is in use, or None."""
        try:
            return self._version(self.client.get_model_version_by_alias(self.name, CHAMPION))
        except MlflowException as error:
            if error.error_code not in ABSENT:
                raise
            return None

    def crown(self, number: int, reason: str, tags: Mapping[str, str] | None = None) -> None:
        """Point the alias at a version, record the previous one, and tag the version; nothing else if it is champion.

        Parameters
        ----------
        number : int
        reason : str
            Kept as the tag `promoted`.
        tags : mapping, optional
            Further tags of the version, written in the same change.
        """
        self.finish()
        version, before = self.get(number), self.champion()
        if before is not None and before.number == number:
            self.tag(number, tags or {})
            return
        history = self.history()
        if before is not None and (not history or history[-1] != before.number):
            history.append(before.number)  # another tool moved the alias
        stale = dict.fromkeys({ROLLED_BACK, RETIRED, REGISTERING} & version.tags.keys())
        before_number = before.number if before is not None else None
        change = Change("crown", before_number, number, [*history, number], number)
        own = {"promoted": reason, "promoted_on": change.day, **stale, **(tags or {})}
        self._make(replace(change, tags=own))

    def history(self) -> list[int]:
        """Return the numbers of all champions in order, the present one last."""
        return json.loads(self._tags().get("champions", "[]"))

    def since(self) -> str:
        """Return the day since which the champion is in use; "" for one of an older store."""
        return self._tags().get(SINCE, "")

    def metrics(self, version: Version) -> dict[str, float]:
        """Return the latest value of each metric of a version's run."""
        return self.client.get_run(version.run_id).data.metrics

    def roll_back(self, reason: str) -> tuple[int, int]:
        """Make the previous champion the champion again, and return the numbers (from, to).

        After `retire` there is no champion: the last of `history` is restored, and both numbers are its own.

        Raises
        ------
        InputError
            If there is no previous champion.
        """
        finished = self.finish(ROLL_BACK)
        if finished is not None and finished.operation == ROLL_BACK:
            return finished.answer[0], finished.answer[1]
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
        if champion is None:
            self._make(Change(ROLL_BACK, None, previous, before, answer=(previous, previous)))
            return previous, previous
        number, tags = champion.number, {ROLLED_BACK: reason}
        self._make(Change(ROLL_BACK, number, previous, before, number, tags, answer=(number, previous)))
        return number, previous

    def retire(self, reason: str) -> int:
        """Take the champion out of use, without another in its place, and return its number.

        The gate may judge it again.

        Raises
        ------
        InputError
            If there is no champion.
        """
        finished = self.finish(RETIRE)
        if finished is not None and finished.operation == RETIRE:
            return finished.answer[0]
        champion = self.champion()
        if champion is None:
            raise InputError(f"{self.name} has no champion to retire", where="retire=true", expected="a champion")
        number, tags = champion.number, {RETIRED: reason}
        champions = [each for each in self.history() if each != number]
        self._make(Change(RETIRE, number, None, champions, number, tags, answer=[number]))
        return number

    def tag(self, number: int, tags: Mapping[str, str]) -> None:
        if len(tags) > 1:
            self.finish()
            self._make(Change("tag", version=number, tags=tags))
            return
        for key, value in tags.items():
            self.client.set_model_version_tag(self.name, str(number), stored_key(key), value)

    @contextmanager
    def one_change(self) -> Iterator[None]:
        """Keep a rollback or retirement written down until the block ends: the same command then does the rest.

        The caller holds the model's lock.
        """
        self._keeps_changes = True
        try:
            yield
            self._forget(self._stored_tags())
        finally:
            self._keeps_changes = False

    def finish(self, operation: str = "") -> Change | None:
        """Finish the change that a killed command began, and return it; None if there is none, or if it is given up.

        It is given up, with a warning, if the alias was moved meanwhile, if the version that it is to point at is gone,
        or if the description of the change cannot be read. The caller holds the model's lock. Another machine may not
        see that lock: it then writes the same beside the process that makes the change.

        Parameters
        ----------
        operation : str
            The operation that `one_change` keeps written down.
        """
        kept = self._stored_tags()
        tags = plain(kept)
        if CHANGE not in tags:
            return None
        try:
            change = _written_down(tags)
            obstacle = self._obstacle(change)
            if not obstacle:
                logger.info("%s: finishing a change that was begun: %s", self.name, change.operation)
                self._write(change)
        except ValueError:
            obstacle = f"its tag {CHANGE} cannot be read"
        except MlflowException as error:
            if error.error_code != "INVALID_PARAMETER_VALUE":
                raise
            obstacle = first_line(error)
        if not obstacle and self._keeps_changes and change.operation == operation:
            return change
        self._forget(kept)
        if not obstacle:
            return change
        hint = "see its versions, and promote, retire or roll back again"
        logger.warning("%s: a change that a killed command began is given up: %s. Next: %s", self.name, obstacle, hint)
        return None

    def finish_abandoned(self) -> None:
        """Finish a change of a killed process of this machine; one that is alive, or elsewhere, does that itself."""
        tags = self._tags()
        with suppress(ValueError):
            if CHANGE in tags and _written_down(tags).is_abandoned:
                with exclusive(self.client, self.name):
                    self.finish()

    def _obstacle(self, change: Change) -> str:
        """Return why a change cannot be finished any more; "" if it can."""
        if change.champions is None:
            return ""
        champion = self.champion()
        number = champion.number if champion is not None else None
        if number not in (change.before, change.champion):
            return f"version {number} was put in use meanwhile" if number else "the alias was removed meanwhile"
        if change.champion is not None and change.champion not in [version.number for version in self.versions()]:
            return f"version {change.champion} is gone"
        return ""

    def _tags(self) -> Mapping[str, str]:
        """Return the tags of the registered model under their plain keys."""
        return plain(self._stored_tags())

    def _stored_tags(self) -> Mapping[str, str]:
        """Return the tags of the registered model as they are stored; none before its first version."""
        try:
            return self.client.get_registered_model(self.name).tags
        except MlflowException as error:
            if error.error_code not in ABSENT:
                raise
            return {}

    def _make(self, change: Change) -> None:
        """Make a change whole: it is written down in full before its first write, and removed after its last."""
        *long, end = _pieces(change.to_json(), LONGEST_TAG - len("99 "))
        pieces = {f"{CHANGE}.{number:02d}": piece for number, piece in enumerate(long)}
        described = {**pieces, CHANGE: f"{len(pieces)} {end}"}
        for key, piece in described.items():
            self._set(key, piece)
        self._write(change)
        if not self._keeps_changes:
            self._forget(map(stored_key, described))

    def _write(self, change: Change) -> None:
        if change.champions is not None:
            if change.champion is not None:
                self.client.set_registered_model_alias(self.name, CHAMPION, str(change.champion))
            elif self.champion() is not None:
                self.client.delete_registered_model_alias(self.name, CHAMPION)
            self._set("champions", json.dumps(list(change.champions)))
            if change.champion is not None:
                self._set(SINCE, change.day)
            else:
                self.client.delete_registered_model_tag(self.name, SINCE)
        try:
            for key, value in change.tags.items():
                if value is None:
                    self.client.delete_model_version_tag(self.name, str(change.version), key)
                else:
                    self.client.set_model_version_tag(self.name, str(change.version), stored_key(key), value)
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            logger.warning("%s version %s is gone, and has no tags", self.name, change.version)

    def _forget(self, tags: Iterable[str]) -> None:
        """Remove what describes a change, first the tag without which there is none."""
        of_change = {key: key.removeprefix(PREFIX) for key in tags}
        of_change = {key: own for key, own in of_change.items() if own.partition(".")[0] == CHANGE}
        for key in sorted(of_change, key=of_change.__getitem__):
            self.client.delete_registered_model_tag(self.name, key)

    def _set(self, key: str, value: str) -> None:
        """Write a tag of the registered model."""
        self.client.set_registered_model_tag(self.name, stored_key(key), value)

    def describe(self, text: str, tags: Mapping[str, str], of_versions: Mapping[int, str]) -> None:
        """Write the description of the model, tags for people, and a line for each version, where they differ.

        Parameters
        ----------
        text : str
            Markdown.
        tags : mapping
            An empty text removes the tag.
        of_versions : mapping of number to str
        """
        try:
            model = self.client.get_registered_model(self.name)
        except MlflowException as error:
            if error.error_code not in ABSENT:
                raise
            return
        if model.description != text:
            self.client.update_registered_model(self.name, text)
        for key, value in tags.items():
            if value and model.tags.get(key) != value:
                self.client.set_registered_model_tag(self.name, key, value)
            elif not value and key in model.tags:
                self.client.delete_registered_model_tag(self.name, key)
        for version in self.client.search_model_versions(f"name = '{self.name}'", max_results=10_000):
            line = of_versions.get(int(version.version))
            if line is not None and version.description != line:
                self.client.update_model_version(self.name, version.version, line)

    def ledger(self) -> list[dict[str, Any]]:
        """Return all looks at sealed windows, in order of time."""
        tags = self._tags()
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
        pieces = _pieces(decision, LONGEST_TAG)
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
            self._set(_piece(look, number), piece)
        self._set(f"look.{look['index']:04d}", entry)

    def _version(self, version: ModelVersion) -> Version:
        tags = plain(version.tags)
        return Version(version.name, int(version.version), version.run_id, tags, self.client.tracking_uri)


def champions_of(client: MlflowClient, shop: str) -> list[Version]:
    """Return the champions of a shop's questions, whatever their options, in the order of their names."""
    champions = []
    for registry in registries_of(client, shop):
        registry.finish_abandoned()
        champions.append(registry.champion())
    # another shop's name may begin with this one's; a model without a task is made of champions, and is none
    known = [version for version in champions if version is not None and version.tags.get("shop") == shop]
    return [version for version in known if "task" in version.tags]


def registries_of(client: MlflowClient, shop: str) -> list[Registry]:
    """Return the registered models whose names begin as a shop's, in their order; another shop's may begin alike."""
    named, page = [], ""
    while page is not None:
        found = client.search_registered_models(f"name LIKE '{shop}-%'", max_results=1000, page_token=page or None)
        named += [model.name for model in found if model.name.startswith(f"{shop}-")]
        page = found.token or None
    return [Registry(client, name) for name in sorted(named)]


def _written_down(tags: Mapping[str, str]) -> Change:
    """Read the change that the tags of a registered model describe; a ValueError if it cannot be read."""
    n_pieces, _, end = tags[CHANGE].partition(" ")
    pieces = [tags.get(f"{CHANGE}.{number:02d}", "") for number in range(min(int(n_pieces), len(tags)))]
    return Change.from_json("".join(pieces) + end)


def _pieces(text: str, longest: int) -> list[str]:
    """Cut a text into pieces of so many characters at most."""
    return [text[start : start + longest] for start in range(0, len(text), longest)]


def _piece(look: Mapping[str, Any], number: int) -> str:
    """Return the key of the tag that holds a piece of a look's decision."""
    return f"decision.{look['index']:04d}.{number:02d}"
