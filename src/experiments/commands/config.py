"""The configuration's types. Values and their meaning are in conf/."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import yaml
from hydra import compose
from hydra.core.global_hydra import GlobalHydra
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

from experiments.analysis.as_reported.options import PARTS, Options
from experiments.analysis.lifecycle import LifecycleOptions
from experiments.analysis.tiers import TierOptions
from features.errors import InputError, check_type, did_you_mean, first_line, listing

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
class ReportConfig:
    output: str
    customers: str | None
    sections: list[str]
    languages: list[str]
    hypotheses: list[str] | None
    min_support: float
    min_baskets: int
    n_pairs: int

    def __post_init__(self) -> None:
        _in_range("report.sections", self.sections, "at least one", len(self.sections) >= 1)
        _in_range("report.min_support", self.min_support, "between 0 and 1", 0 <= self.min_support <= 1)
        _in_range("report.min_baskets", self.min_baskets, "at least 1", self.min_baskets >= 1)
        _in_range("report.n_pairs", self.n_pairs, "at least 1", self.n_pairs >= 1)


@dataclass
class PersonasConfig:
    q: float
    min_cell: int
    min_index: float
    most: int
    largest: int
    strategy: dict[str, dict[str, str]]
    wording: dict[str, dict[str, Any]]

    def __post_init__(self) -> None:
        _in_range("personas.q", self.q, "between 0 and 1", 0 < self.q < 1)
        _in_range("personas.min_cell", self.min_cell, "at least 2", self.min_cell >= 2)
        _in_range("personas.min_index", self.min_index, "at least 100", self.min_index >= 100)
        _in_range("personas.most", self.most, "at least 1", self.most >= 1)
        _in_range("personas.largest", self.largest, "at least 2", self.largest >= 2)


@dataclass
class AsReportedConfig(Options):
    def __post_init__(self) -> None:
        for part in self.parts:
            if part not in PARTS:
                raise InputError(
                    f"the case study has no part {part!r}",
                    where="as_reported.parts",
                    hint=did_you_mean(part, PARTS),
                )
        _in_range("as_reported.parts", self.parts, "each part once", len(set(self.parts)) == len(self.parts))
        for key in ("outlier_quantile", "test_share"):
            value = getattr(self, key)
            _in_range(f"as_reported.{key}", value, "between 0 and 1", 0 < value < 1)
        least = {"clv_days": 1, "n_clusters": 2, "n_seeds": 2, "n_splits": 1, "n_folds": 2}
        least |= {"most_products": 2, "max_length": 2, "n_recommended": 1, "min_rows": 3, "min_distinct": 2, "seed": 0}
        for key, lowest in least.items():
            _in_range(f"as_reported.{key}", getattr(self, key), f"at least {lowest}", getattr(self, key) >= lowest)
        most = self.most_clusters
        _in_range("as_reported.most_clusters", most, f"at least n_clusters={self.n_clusters}", most >= self.n_clusters)
        names = self.tiers
        _in_range("as_reported.tiers", names, "at least 3, each once", len(set(names)) == len(names) >= 3)
        for shop, parts in self.reported.items():
            for part in PARTS:
                for name, value in (parts.get(part) or {}).items():
                    check_type(value, "float", f"as_reported.reported.{shop}.{part}.{name}")


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
    report: ReportConfig
    personas: PersonasConfig
    tiers: TierOptions
    lifecycle: LifecycleOptions
    as_reported: AsReportedConfig
    tuning: TuningConfig
    tracking: TrackingConfig
    engine: dict[str, Any]
    tasks: list[str]
    processes: int | None
    cache: str
    cutoff: str | None
    as_of: str | None
    output: str | None
    version: int | None
    reason: str | None
    rollback: bool

    def __post_init__(self) -> None:
        _in_range("processes", self.processes, "at least 1, or null", self.processes is None or self.processes >= 1)


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
    given = typed_overrides()
    if not config.tasks:  # the report alone
        return []
    if any(text.startswith(("task=", "experiment=")) for text in given):
        return [(config, given)]
    own = [text for text in given if text.lstrip("+~").startswith(OF_ONE_TASK)]
    if own and len(config.tasks) > 1:
        raise InputError(
            f"{listing(own)} belongs to one task, and {len(config.tasks)} are run",
            where="command",
            expected=f"task=… beside it, or tasks that are one; they are {', '.join(config.tasks)}",
            hint=f"add task={config.task.get('name')}, or another of them",
        )
    return [of_task(task, given) for task in config.tasks]


def typed_overrides() -> list[str]:
    """The command's overrides as they were typed: `${oc.env:PASSWORD}` is no password yet."""
    if not HydraConfig.initialized():
        return []
    raw = OmegaConf.to_container(HydraConfig.instance().cfg.hydra.overrides.task, resolve=False)
    return cast(list[str], raw)


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


def every(group: str) -> dict[str, object]:
    """All files of a group of configuration, by name: those of conf/, and of the command's own `--config-dir`.

    In place of one that cannot be read stands an InputError that says why.
    """
    names = sorted(GlobalHydra.instance().config_loader().get_group_options(group))
    found: dict[str, object] = {}
    for name in names:
        where = f"{group}/{name}.yaml"
        try:
            content = OmegaConf.to_object(compose(f"{group}/{name}"))
            found[name] = cast(dict[str, object], content).get(group)
        except yaml.MarkedYAMLError as error:
            line = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
            found[name] = InputError(f"it is no YAML: {error.problem}", where=f"{where}{line}")
        except (HydraException, OmegaConfBaseException, yaml.YAMLError) as error:
            found[name] = InputError(f"it cannot be read: {first_line(error)}", where=where)
    return found


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
            f"there is no {group}={option}",
            where=f"conf/{group}/",
            hint=f"{did_you_mean(option, error.options)} (a file of your own is found by --config-dir)",
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
        expected = "a list, such as '[a, b]'" if "ListConfig" in said else None
        found = None if expected else said
        return InputError(f"{key} has a value of the wrong type", where=key, expected=expected, found=found)
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
