"""Types and ranges of the configuration. Values and their meaning are in conf/."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from experiments.campaigns.options import CampaignOptions
from experiments.case_study.options import PARTS, CaseStudyOptions
from experiments.description.lifecycle.options import LifecycleOptions
from experiments.description.personas.options import PersonaOptions
from experiments.description.purchasing.rule_options import BASKETS, RuleOptions
from experiments.description.tiers.options import TierOptions
from features.errors import InputError, check_type, did_you_mean


def _in_range(key: str, value: object, expected: str, right: bool) -> None:
    if not right:
        raise InputError(f"{key} is out of range", where=key, expected=expected, found=str(value))


@dataclass
class FeaturesConfig:
    names: list[str]
    variables: list[str] | None = None  # only some sets have them
    add: list[str] = field(default_factory=list)  # of a set that extends another
    drop: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        for name in self.drop:
            if name not in self.names:
                raise InputError(
                    f"the set has no feature {name!r} to drop",
                    where="features.drop",
                    hint=did_you_mean(name, self.names),
                )
        kept = [name for name in self.names if name not in self.drop]
        for name in self.add:
            if name in kept:
                raise InputError(f"the set has {name!r} already", where="features.add", hint="leave it out of add")
        self.names, self.add, self.drop = [*kept, *self.add], [], []


@dataclass
class ModelConfig:
    name: str
    params: dict[str, Any] = field(default_factory=dict)  # those that differ from the model's defaults
    path: str | None = None  # of an estimator, as are the next: `params` are then parameters of its class
    scaling: str | None = None
    log_target: bool | None = None
    trusted: list[str] | None = None

    def __post_init__(self) -> None:
        if self.path is None:
            self.params = {**self.params, **self._given()}
        else:
            self.params = {**self._given(), "params": self.params}
        self.path = self.scaling = self.log_target = self.trusted = None

    def _given(self) -> dict[str, Any]:
        own = ("path", "scaling", "log_target", "trusted")
        return {name: value for name in own if (value := getattr(self, name)) is not None}


@dataclass
class SearchConfig:
    models: list[str]
    space: dict[str, Any]

    def __post_init__(self) -> None:
        self.space = {model: flat(ranges) for model, ranges in self.space.items()}


def flat(ranges: Any) -> Any:
    """Return ranges with those of a model's part, `part: {parameter: range}`, named `part__parameter`."""
    if not isinstance(ranges, dict):
        return ranges  # the search says what is wrong with it
    named: dict[str, Any] = {}
    for name, given in ranges.items():
        is_part = isinstance(given, dict) and given and all(isinstance(value, dict) for value in given.values())
        named |= {f"{name}__{parameter}": value for parameter, value in given.items()} if is_part else {name: given}
    return named


@dataclass
class EvaluationConfig:
    step_days: int
    training_step_days: int | None
    min_history_days: int
    n_validation: int
    part_cutoffs: int
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
    ensemble: bool
    study_name: str | None
    seed: int
    storage: str
    workers: int
    heartbeat_interval: int
    grace_period: int
    sampler: dict[str, Any]
    pruner: dict[str, Any]

    def __post_init__(self) -> None:
        for name in ("n_trials", "seed", "workers", "heartbeat_interval", "grace_period"):
            check_type(getattr(self, name), "int", f"tuning.{name}")
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
    target: str | None = None  # either this or labels
    labels: str | None = None
    above_zero: str | None = None
    features: list[str] | None = None

    def __post_init__(self) -> None:
        if (self.target is None) == (self.labels is None):
            raise InputError(
                "a suspect needs either a target, which is a feature, or labels, which a task gives",
                where="audit.suspects",
                expected="target: or labels:",
                found=f"target: {self.target}, labels: {self.labels}",
            )
        if self.target is not None and not self.features:
            raise InputError(
                f"no features are named to predict {self.target} from", where="audit.suspects", expected="features: […]"
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
    restage: bool
    suspects: dict[str, SuspectConfig]

    def __post_init__(self) -> None:
        _in_range("audit.max_r2", self.max_r2, "between 0 and 1", 0 < self.max_r2 < 1)
        _in_range("audit.max_labels_known", self.max_labels_known, "between 0 and 1", 0 < self.max_labels_known < 1)
        _in_range("audit.min_rows", self.min_rows, "at least 3", self.min_rows >= 3)
        _in_range("audit.min_distinct", self.min_distinct, "at least 2", self.min_distinct >= 2)
        _in_range("audit.n_folds", self.n_folds, "at least 2", self.n_folds >= 2)
        _in_range("audit.seed", self.seed, "at least 0", self.seed >= 0)


@dataclass
class MonitorConfig:
    history_days: int
    recent_days: int
    alpha: float
    min_distance: float
    max_new: float
    max_missing: float
    n_resamples: int

    def __post_init__(self) -> None:
        for name in ("alpha", "min_distance", "max_new", "max_missing"):
            _in_range(f"monitor.{name}", getattr(self, name), "between 0 and 1", 0 < getattr(self, name) < 1)
        _in_range("monitor.history_days", self.history_days, "at least 28", self.history_days >= 28)
        _in_range("monitor.recent_days", self.recent_days, "at least 1", self.recent_days >= 1)
        least = round(1 / self.alpha)
        _in_range("monitor.n_resamples", self.n_resamples, f"at least {least}: 1 / alpha", self.n_resamples >= least)


@dataclass
class RetrainConfig:
    search_days: int

    def __post_init__(self) -> None:
        _in_range("retrain.search_days", self.search_days, "at least 1", self.search_days >= 1)


@dataclass
class ServeConfig:
    scores: str | None


@dataclass
class PrivacyConfig:
    pseudonymise: bool
    scoring_purpose: str | None
    contact_purpose: str | None
    contact_channel: str | None


@dataclass
class ReportConfig:
    output: str | None
    sections: list[str] | None
    languages: list[str] | None
    case_study: bool | None
    hypotheses: list[str] | None
    min_support: float
    min_baskets: int
    n_pairs: int

    def __post_init__(self) -> None:
        _in_range(
            "report.sections", self.sections, "at least one, or null", self.sections is None or len(self.sections) >= 1
        )
        _in_range("report.min_support", self.min_support, "between 0 and 1", 0 <= self.min_support <= 1)
        _in_range("report.min_baskets", self.min_baskets, "at least 1", self.min_baskets >= 1)
        _in_range("report.n_pairs", self.n_pairs, "at least 1", self.n_pairs >= 1)


@dataclass
class CampaignConfig(CampaignOptions):
    def __post_init__(self) -> None:
        share = self.control_share
        _in_range("campaign.control_share", share, "at least 0 and below 1, or null", share is None or 0 <= share < 1)


@dataclass
class RulesConfig(RuleOptions):
    def __post_init__(self) -> None:
        _in_range("rules.per", self.per, "order or customer", self.per in BASKETS)
        _in_range("rules.days", self.days, "at least 1, or null", self.days is None or self.days >= 1)
        for name in ("min_support", "min_confidence"):
            _in_range(f"rules.{name}", value := getattr(self, name), "between 0 and 1", 0 <= value <= 1)
        _in_range("rules.min_lift", self.min_lift, "at least 0", self.min_lift >= 0)
        for name in ("min_count", "longest", "n_drawn"):
            _in_range(f"rules.{name}", value := getattr(self, name), "at least 1", value >= 1)


@dataclass
class PersonasConfig(PersonaOptions):
    def __post_init__(self) -> None:
        _in_range("personas.q", self.q, "between 0 and 1", 0 < self.q < 1)
        _in_range("personas.min_cell", self.min_cell, "at least 2", self.min_cell >= 2)
        _in_range("personas.min_index", self.min_index, "at least 100", self.min_index >= 100)
        _in_range("personas.most", self.most, "at least 1", self.most >= 1)
        _in_range("personas.largest", self.largest, "at least 2", self.largest >= 2)


@dataclass
class AsReportedConfig(CaseStudyOptions):
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
    """The whole configuration, resolved."""

    data: dict[str, Any]
    task: dict[str, Any]
    features: FeaturesConfig
    model: ModelConfig
    search: SearchConfig
    evaluation: EvaluationConfig
    audit: AuditConfig
    monitor: MonitorConfig
    serve: ServeConfig
    retrain: RetrainConfig
    privacy: PrivacyConfig
    report: ReportConfig
    rules: RulesConfig
    personas: PersonasConfig
    tiers: TierOptions
    campaign: CampaignConfig
    lifecycle: LifecycleOptions
    as_reported: AsReportedConfig
    tuning: TuningConfig
    tracking: TrackingConfig
    engine: dict[str, Any]
    tasks: list[str] | None
    processes: int | None
    cache: str
    cutoff: str | None
    as_of: str | None
    customer: str | None
    rows: bool
    catalogue: bool
    history: bool
    output: str | None
    version: int | None
    reason: str | None
    rollback: bool
    retire: bool
    dry: bool
    port: int | None

    def __post_init__(self) -> None:
        _in_range("processes", self.processes, "at least 1, or null", self.processes is None or self.processes >= 1)
        _in_range("port", self.port, "1 to 65535, or null", self.port is None or 1 <= self.port <= 65535)


def in_folder(config: Config, folder: Path) -> Config:
    """Return a configuration whose cache, studies and spilled data are in a folder, unless their paths are absolute."""
    engine = {name: str(folder / value) if name == "temp_directory" else value for name, value in config.engine.items()}
    storage = config.tuning.storage
    tuning = replace(config.tuning, storage=storage if "://" in storage else str(folder / storage))
    return replace(config, cache=str(folder / config.cache), engine=engine, tuning=tuning)
