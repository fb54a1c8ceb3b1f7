"""The configuration's types. Values and their meaning are in conf/."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from hydra import compose
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException, MissingConfigException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import (
    ConfigKeyError,
    InterpolationKeyError,
    MissingMandatoryValue,
    OmegaConfBaseException,
    ValidationError,
)

from features.errors import InputError, did_you_mean, first_line, listing

CONF = Path(__file__).resolve().parents[3] / "conf"


def _in_range(key: str, value: object, expected: str, right: bool) -> None:
    if not right:
        raise InputError(f"{key} is out of range", where=key, expected=expected, found=str(value))


@dataclass
class FeaturesConfig:
    names: list[str]
    variables: list[str] | None = None  # few sets name any


@dataclass
class ModelConfig:
    name: str
    params: dict[str, Any]


@dataclass
class SearchConfig:
    models: list[str]
    space: dict[str, Any]


@dataclass
class EvaluationConfig:
    step_days: int
    min_history_days: int
    n_validation: int
    n_origins: int
    n_resamples: int
    n_controls: int
    confidence: float
    seed: int

    def __post_init__(self) -> None:
        _in_range("evaluation.n_origins", self.n_origins, "at least 1", self.n_origins >= 1)
        _in_range("evaluation.n_resamples", self.n_resamples, "at least 1", self.n_resamples >= 1)
        _in_range("evaluation.n_controls", self.n_controls, "at least 1", self.n_controls >= 1)
        _in_range("evaluation.confidence", self.confidence, "between 0 and 1", 0 < self.confidence < 1)
        _in_range("evaluation.seed", self.seed, "at least 0", self.seed >= 0)


@dataclass
class TuningConfig:
    n_trials: int
    study_name: str | None
    seed: int
    storage: str
    workers: int
    heartbeat_interval: int
    grace_period: int
    sampler: dict[str, Any]
    pruner: dict[str, Any]

    def __post_init__(self) -> None:
        _in_range("tuning.workers", self.workers, "at least 1", self.workers >= 1)
        _in_range("tuning.heartbeat_interval", self.heartbeat_interval, "at least 1", self.heartbeat_interval >= 1)
        _in_range(
            "tuning.grace_period",
            self.grace_period,
            f"more than heartbeat_interval={self.heartbeat_interval}",
            self.grace_period > self.heartbeat_interval,
        )
        _in_range("tuning.n_trials", self.n_trials, "at least 1", self.n_trials >= 1)
        _in_range("tuning.seed", self.seed, "at least 0", self.seed >= 0)


@dataclass
class TrackingConfig:
    uri: str | None


@dataclass
class SuspectConfig:
    meaning: str
    target: str | None = None  # this, or labels
    labels: str | None = None
    above_zero: str | None = None
    features: list[str] | None = None

    def __post_init__(self) -> None:
        if (self.target is None) == (self.labels is None):
            raise InputError(
                "a suspect has a target, which is a feature, or labels, which a task gives",
                where="audit.suspects",
                expected="target: or labels:",
                found=f"target: {self.target}, labels: {self.labels}",
            )
        if self.target is not None and not self.features:
            raise InputError(
                f"nothing is named that could give {self.target} away", where="audit.suspects", expected="features: […]"
            )


@dataclass
class AuditConfig:
    cutoffs: list[str] | None
    max_r2: float
    max_labels_known: float
    min_rows: int
    min_distinct: int
    n_folds: int
    seed: int
    suspects: dict[str, SuspectConfig]

    def __post_init__(self) -> None:
        _in_range("audit.max_r2", self.max_r2, "between 0 and 1", 0 < self.max_r2 < 1)
        _in_range("audit.max_labels_known", self.max_labels_known, "between 0 and 1", 0 < self.max_labels_known < 1)
        _in_range("audit.min_rows", self.min_rows, "at least 3", self.min_rows >= 3)
        _in_range("audit.min_distinct", self.min_distinct, "at least 2", self.min_distinct >= 2)
        _in_range("audit.n_folds", self.n_folds, "at least 2", self.n_folds >= 2)
        _in_range("audit.seed", self.seed, "at least 0", self.seed >= 0)


@dataclass
class Config:
    """One command's configuration, resolved."""

    data: dict[str, Any]
    task: dict[str, Any]
    features: FeaturesConfig
    model: ModelConfig
    search: SearchConfig
    evaluation: EvaluationConfig
    audit: AuditConfig
    tuning: TuningConfig
    tracking: TrackingConfig
    engine: dict[str, Any]
    tasks: list[str]
    cache: str
    cutoff: str | None
    as_of: str | None
    output: str | None
    version: int | None
    reason: str | None
    rollback: bool


def typed(config: DictConfig) -> Config:
    """Resolve the composed configuration and check its types.

    Raises
    ------
    InputError
        For a value of the wrong type or one that is still missing.
    """
    if HydraConfig.initialized():
        _check_mappings(config, HydraConfig.get().runtime)
    try:
        OmegaConf.resolve(config)
        return cast(Config, OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(Config), config)))
    except OmegaConfBaseException as error:
        raise explain(error, config) from error


OF_THE_TASK = ("task", "features", "search", "model")  # groups that each task picks by itself
OF_ONE_TASK = ("task.", *OF_THE_TASK[1:])


def of_each_task(config: Config) -> list[tuple[Config, list[str]]]:
    """The configurations of the tasks that `run` goes through, each with the overrides that give it.

    With `task=` or a saved combination (`experiment=`) that is the configuration as it was composed; else one is
    composed anew for each of `tasks`, from the same overrides.

    Raises
    ------
    InputError
        If several tasks are named and an override belongs to one, or one of them is not there.
    """
    given = list(HydraConfig.get().overrides.task) if HydraConfig.initialized() else []
    if any(text.startswith(("task=", "experiment=")) for text in given):
        return [(config, given)]
    if not config.tasks:
        raise InputError("there is nothing to run", where="tasks", expected="names of tasks", found="[]")
    own = [text for text in given if text.lstrip("+~").startswith(OF_ONE_TASK)]
    if own and len(config.tasks) > 1:
        raise InputError(
            f"{listing(own)} belongs to one task, and {len(config.tasks)} are run",
            where="command",
            expected=f"task=… beside it, or tasks that are one; they are {', '.join(config.tasks)}",
            hint=f"add task={config.task.get('name')}, or another of them",
        )
    return [of_task(task, given) for task in config.tasks]


def of_task(task: str, given: Sequence[str]) -> tuple[Config, list[str]]:
    """The configuration that some overrides give for another task, and the overrides with that task.

    Of a saved combination (`experiment=`), which is of one task, another takes all but what belongs to that task.

    Raises
    ------
    InputError
        If there is no such task, or the overrides do not go with it.
    """
    overrides = [*given, f"task={task}"]
    own = [text for text in overrides if not text.startswith("experiment=")]
    try:
        config = compose("config", overrides)
        if own != overrides:
            alone = compose("config", own)
            for group in OF_THE_TASK:
                config[group] = alone[group]
        return typed(config), overrides
    except (HydraException, OmegaConfBaseException) as error:
        raise explain(error, None) from error


def _check_mappings(config: DictConfig, composed: Any) -> None:
    """Refuse a file that holds a list or a value where a group's keys belong."""
    folders = [Path(source.path) for source in composed.config_sources if source.schema == "file"]
    for group, option in composed.choices.items():
        content = config._get_node(group) if group in config else None
        if content is not None and not isinstance(content, DictConfig):
            files = (folder / group / f"{option}.yaml" for folder in folders)
            raise InputError(
                f"{group}={option} is no mapping",
                where=next((str(file) for file in files if file.exists()), "configuration"),
                expected="lines of `key: value`",
                found=str(content),
            )


def explain(error: Exception, config: DictConfig | None) -> InputError:
    """Turn an error of Hydra or OmegaConf into one that says what to do.

    Parameters
    ----------
    error : exception
    config : DictConfig or None
        The configuration without the user's overrides, whose keys may be near the one mistyped.
    """
    said = first_line(error)
    if isinstance(error, MissingConfigException) and error.options is not None:
        group, _, option = str(error.missing_cfg_file).rpartition("/")
        return InputError(
            f"there is no {group}={option}", where=f"conf/{group}/", hint=did_you_mean(option, error.options)
        )
    if isinstance(error, MissingMandatoryValue):
        key = getattr(error, "full_key", None) or said
        return InputError(f"{key} has no value", where="configuration", hint=f"give it after the command: {key}=…")
    if isinstance(error, InterpolationKeyError) and "'features.variables'" in said:
        return InputError(
            "the chosen features name no `variables:` to cluster on",
            where="features.variables, which task.variables refers to",
            expected=f"one of the sets that do: {', '.join(_sets_with_variables())}",
            hint="give features=… one of these, or name some of the features yourself: 'task.variables=[…]'",
        )
    if isinstance(error, ValidationError):
        key = getattr(error, "full_key", None) or "configuration"
        return InputError(f"{key} has a value of the wrong type", where=key, found=said)
    absent = re.search(r"In '([^']+)': Could not (?:load|find) '([^']+)'", str(error))
    if absent:
        group, _, option = absent.group(2).partition("/")
        known = [path.stem for path in (CONF / group).glob("*.yaml")]
        return InputError(
            f"there is no {group}={option}", where=f"defaults of {absent.group(1)}", hint=did_you_mean(option, known)
        )
    unknown = _unknown_key(error)
    if unknown is not None:
        known = sorted(_keys(config)) if config is not None else []
        return InputError(f"there is no key {unknown!r}", where="configuration", hint=_nearest_key(unknown, known))
    override = getattr(error, "override", None)
    return InputError(
        f"the override {override} cannot be read" if override else "the configuration cannot be read",
        where="configuration",
        found=" ".join(str(error).split())[:300],
        hint="`experiments <command> --cfg job` shows what is composed; quote values with commas, brackets or blanks",
    )


def _sets_with_variables() -> list[str]:
    files = sorted((CONF / "features").glob("*.yaml"))
    return [file.stem for file in files if "variables" in OmegaConf.load(file)]


def _unknown_key(error: Exception) -> str | None:
    override = re.search(r"Could not override '([^']+)'", str(error))
    if override:
        return override.group(1)
    group = re.search(
        r"Could not (?:override|append) '?([\w./@-]+)'?\.?\s*\n?No match in the defaults list", str(error)
    )
    if group:
        return group.group(1)
    if isinstance(error, ConfigKeyError):
        return str(getattr(error, "full_key", None) or getattr(error, "key", ""))
    cause = error.__cause__
    return _unknown_key(cause) if isinstance(cause, (HydraException, OmegaConfBaseException)) else None


def _nearest_key(unknown: str, known: Sequence[str]) -> str:
    """Near keys by whole path, else by last part, else what stands beside it."""
    near = difflib.get_close_matches(unknown, known, n=3, cutoff=0.6)
    last = unknown.rpartition(".")[2]
    near += [key for key in known if difflib.SequenceMatcher(None, key.rpartition(".")[2], last).ratio() > 0.8]
    if near:
        return f"did you mean {' or '.join(dict.fromkeys(near[:3]))}?"
    return "`experiments <command> --cfg job` prints all keys"


def _keys(config: Any, prefix: str = "") -> Iterator[str]:
    for key in config:
        name = f"{prefix}{key}"
        yield name
        value = config._get_node(key)
        if isinstance(value, DictConfig) and not value._is_none():
            yield from _keys(value, f"{name}.")
