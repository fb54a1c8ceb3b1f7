"""Registered models: `<shop>-<task>`, versions with what they were built from, one alias `champion`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import mlflow
import numpy as np
import pandas as pd
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from features.errors import InputError

CHAMPION = "champion"


@dataclass(frozen=True)
class Version:
    """One version of a registered model, loaded when it first predicts."""

    name: str
    number: int
    run_id: str
    tags: Mapping[str, str]

    @property
    def features(self) -> list[str]:
        """The features that it was trained on, in order."""
        return json.loads(self.tags["features"])

    @cached_property
    def _model(self) -> Any:
        return mlflow.pyfunc.load_model(f"models:/{self.name}/{self.number}")

    def scores(self, X: pd.DataFrame) -> pd.DataFrame:
        """All outputs, indexed as X."""
        return self._model.predict(X.reset_index(drop=True)).set_axis(X.index, axis=0)

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        """The first output: what the task's metrics judge."""
        return self.scores(X).iloc[:, 0].to_numpy()


class Registry:
    """The registered model of one shop and task.

    Parameters
    ----------
    client : MlflowClient
    name : str
        `<shop>-<task>`, so that two shops never meet.
    """

    def __init__(self, client: MlflowClient, name: str) -> None:
        self.client = client
        self.name = name

    def register(self, model_uri: str, run_id: str, tags: Mapping[str, str]) -> Version:
        """A new version, with what it was built from."""
        try:
            self.client.create_registered_model(self.name)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        return self._version(self.client.create_model_version(self.name, model_uri, run_id, tags=dict(tags)))

    def versions(self) -> list[Version]:
        """All versions, newest first."""
        found = self.client.search_model_versions(f"name = '{self.name}'", max_results=10_000)
        return sorted((self._version(v) for v in found), key=lambda v: -v.number)

    def get(self, number: int) -> Version:
        """One version.

        Raises
        ------
        InputError
            If there is none of that number; the message lists those there are.
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
        """The version built from exactly the same data, code, configuration and parameters, if there is one."""
        return next((v for v in self.versions() if v.tags.get("candidate_digest") == digest), None)

    def champion(self) -> Version | None:
        """What scores today, if anything does."""
        try:
            return self._version(self.client.get_model_version_by_alias(self.name, CHAMPION))
        except MlflowException as error:
            if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                return None
            raise

    def crown(self, number: int, reason: str) -> None:
        """Point the alias at a version and remember the one before."""
        history = self.history()
        before = self.champion()
        if before is not None and (not history or history[-1] != before.number):
            history.append(before.number)
        self.client.set_registered_model_alias(self.name, CHAMPION, str(number))
        self.tag(number, {"promoted": reason})
        self._remember([*history, number])

    def history(self) -> list[int]:
        """Champions in the order of their time, today's last."""
        try:
            tags = self.client.get_registered_model(self.name).tags
        except MlflowException:
            return []
        return json.loads(tags.get("champions", "[]"))

    def roll_back(self, reason: str) -> tuple[int, int]:
        """Make the champion before this one champion again; returns (from, to).

        Raises
        ------
        InputError
            If there was none before.
        """
        history = self.history()
        if len(history) < 2:
            raise InputError(
                f"{self.name} has no champion to go back to",
                where="rollback=true",
                expected="at least two promotions",
                found=f"champions so far: {history or 'none'}",
            )
        current, previous = history[-1], history[-2]
        self.get(previous)  # a deleted version is refused before anything changes
        self.client.set_registered_model_alias(self.name, CHAMPION, str(previous))
        self.tag(current, {"rolled_back": reason})
        self._remember(history[:-1])
        return current, previous

    def tag(self, number: int, tags: Mapping[str, str]) -> None:
        for key, value in tags.items():
            self.client.set_model_version_tag(self.name, str(number), key, value)

    def ledger(self, window: str) -> list[dict[str, Any]]:
        """The looks at one sealed window of one target, in the order of their time."""
        tags = self.client.get_registered_model(self.name).tags
        looks = [json.loads(value) for key, value in tags.items() if key.startswith(f"look.{window}.")]
        return sorted(looks, key=lambda look: look["look"])

    def record_look(self, window: str, look: Mapping[str, Any]) -> None:
        """Add a look to the ledger; nothing takes one out."""
        self.client.set_registered_model_tag(self.name, f"look.{window}.{look['look']:03d}", json.dumps(look))

    def _remember(self, history: list[int]) -> None:
        self.client.set_registered_model_tag(self.name, "champions", json.dumps(history))

    @staticmethod
    def _version(version: ModelVersion) -> Version:
        return Version(version.name, int(version.version), version.run_id, dict(version.tags))
