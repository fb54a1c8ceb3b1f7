"""One task on one shop's data, with all that it needs opened lazily: tables, cutoffs, runs, registry."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shlex
import subprocess
from collections.abc import Callable, Mapping, Sequence
from datetime import date, timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import yaml

from experiments.addresses import masked_lines, without_secrets
from experiments.evaluation.splits import Splits, make_splits
from experiments.evaluation.validation import Dataset
from experiments.gate.sufficiency import check_sufficiency, check_tables
from experiments.tasks import TASKS
from experiments.tasks.base import Task
from experiments.workflow.config import Config, EvaluationConfig
from experiments.workflow.shipped import default_options
from features.definitions import feature_hashes
from features.engines import open_engine
from features.errors import InputError, check_type, did_you_mean
from features.grains import Grain
from features.shop import Shop
from features.snapshot import definition_hash, reads_spend
from features.sources.shop_config import CONTACT_DETAILS, pseudonyms

if TYPE_CHECKING:  # MLflow takes seconds to import, and not every command needs it
    from experiments.tracking.registry import Registry
    from experiments.tracking.runs import DataInput, Runs
    from experiments.tracking.store import MlflowClient


TYPES_OF_MLFLOW = {"int64": "long", "float64": "double", "decimal": "double", "boolean": "boolean", "date": "datetime"}
TYPES_OF_MLFLOW |= {"timestamp": "datetime"}
OUTPUTS = "outputs"  # folder with one for each shop
OWN_TABLES = ("files", "database")  # sources of tables that a user maps
ONCE = ("tasks=", "data.read_since=")  # what was read or run is there
LASTING = ("data", "task", "features", "experiment", "evaluation", "tracking", "engine", "cache")


def chosen(declared: Mapping[str, object], names: Sequence[str] | None, kind: str, where: str) -> Mapping[str, object]:
    """Return the declared files that the configuration names, or all.

    Parameters
    ----------
    declared : mapping
    names : sequence of str, optional
    kind : str
        Of the files, for the message: "hypothesis".
    where : str
        Configuration key of the names.

    Raises
    ------
    InputError
        If there is none of a name.
    """
    for name in names or ():
        if name not in declared:
            raise InputError(f"there is no {kind} {name!r}", where=where, hint=did_you_mean(name, declared))
    return declared if names is None else {name: declared[name] for name in names}


def declare_nothing(group: str) -> Mapping[str, object]:
    """Return no files of a group of the configuration."""
    return {}


class Session:
    """A configuration and what it opens.

    Parameters
    ----------
    config : Config
    overrides : sequence of str
        Overrides of conf/ that give this configuration.
    config_dirs : sequence of str
        Configuration folders beside conf/.
    folder : Path
        Where the cache, studies, MLflow's store and outputs are, unless their paths are absolute.
    declared : callable
        Gives the files of a group of the configuration by name, such as "lists"; an InputError in place of one that
        cannot be read.
    """

    def __init__(
        self,
        config: Config,
        overrides: Sequence[str] = (),
        config_dirs: Sequence[str] = (),
        folder: Path = Path(),
        declared: Callable[[str], Mapping[str, object]] = declare_nothing,
    ) -> None:
        self.config = config
        self.overrides = list(overrides)
        self.config_dirs = list(config_dirs)
        self.folder = folder
        self._declared = declared
        self.cache = self.path(config.cache)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the configuration alone: another process opens its own tables and stores."""
        given = (self.config, self.overrides, self.config_dirs, self.folder, self._declared)
        return type(self), given

    @cached_property
    def hypotheses(self) -> Mapping[str, object]:
        """The hypotheses that a report can test, by name; their files are read when it is first asked for."""
        return self._declared("hypotheses")

    @cached_property
    def lists(self) -> Mapping[str, object]:
        """The lists of customers to contact, by name, as their files declare them."""
        return self._declared("lists")

    @property
    def has_own_tables(self) -> bool:
        """True where the shop is not one of those that come with the project."""
        return self.config.data.get("source") in OWN_TABLES

    @property
    def shows_case_study(self) -> bool:
        """True where reports speak of the case study: in shops that come with the project, unless configured."""
        asked = self.config.report.case_study
        return asked if asked is not None else not self.has_own_tables

    @property
    def outputs(self) -> Path:
        """The folder of this shop's outputs."""
        return self.path(OUTPUTS) / self.shop.staged.shop

    def customer(self, typed: str) -> str:
        """Return a customer's id as the tables have it: the pseudonym, where they have pseudonyms."""
        own = pseudonyms(self.config.data)
        return typed if own is None else own.typed(typed)

    def path(self, given: str | Path) -> Path:
        """Return a path; a relative one starts from the session's folder."""
        return self.folder / given

    def with_tuning(self, **options: Any) -> Session:
        """Return a session with other options of the search, which shares what this one has opened.

        Parameters
        ----------
        **options
            Fields of `TuningConfig`; those that are None stay as configured.
        """
        given = {name: value for name, value in options.items() if value is not None}
        if not given:
            return self
        session = object.__new__(Session)
        session.__dict__.update(self.__dict__)
        session.config = dataclasses.replace(self.config, tuning=dataclasses.replace(self.config.tuning, **given))
        session.overrides = [*self.overrides, *(f"tuning.{name}={value}" for name, value in given.items())]
        session.__dict__.pop("texts", None)
        return session

    @cached_property
    def shop(self) -> Shop:
        return Shop.open(self.config.data, open_engine(**self.config.engine), self.cache)

    @cached_property
    def judged_shop(self) -> Shop:
        """The shop that the task's models are trained and judged on: see `Task.opened`."""
        return self.task.opened(self.shop)

    @cached_property
    def task(self) -> Task:
        options = dict(self.config.task)
        name = options.pop("name", None)
        if name not in TASKS:
            raise InputError(f"there is no task {name!r}", where="task.name", hint=did_you_mean(str(name), TASKS))
        known = {field.name: field.type for field in dataclasses.fields(TASKS[name])}
        for option, value in options.items():
            if option not in known:
                raise InputError(
                    f"{name} has no option {option!r}", where=f"task.{option}", hint=did_you_mean(option, known)
                )
            check_type(value, str(known[option]), f"task.{option}")
        return TASKS[name](**TASKS[name].configure(options, self._expand))

    @cached_property
    def features(self) -> list[str]:
        """Names of the features. Wildcards are expanded with values known at the first possible cutoff."""
        return self._expand(list(dict.fromkeys([*self.config.features.names, *self.task.own_features])))

    def _expand(self, names: Sequence[str]) -> list[str]:
        staged = self.shop.staged
        first = staged.start + timedelta(days=self.config.evaluation.min_history_days)
        return self.shop.expand(names, min(first, staged.end))  # `splits` says what is wrong with one beyond the end

    @property
    def question(self) -> str:
        """Name of the task with what its configuration asks otherwise than the default one: `clv_180d`."""
        return self.task.name + self.task.suffix(default_options(self.config.task["name"]))

    @property
    def registered_name(self) -> str:
        """Name of models, ledger and champion."""
        return f"{self.shop.staged.shop}-{self.question}"

    @cached_property
    def splits(self) -> Splits:
        """The cutoffs of training, validation and the sealed window.

        Raises
        ------
        InputError
            If the history is too short, or the cutoffs are not those of the task's series.
        """
        check_series(self.task.grain, self.config.evaluation)
        return self.splits_over(self.task.horizon_days)

    def splits_over(self, horizon_days: int) -> Splits:
        """Return the cutoffs of training, validation and the sealed window, for outcomes over so many days."""
        options = self.config.evaluation
        staged = self.shop.staged
        return make_splits(
            staged.start,
            staged.end,
            horizon_days=horizon_days,
            step_days=options.step_days,
            min_history_days=options.min_history_days,
            n_validation=options.n_validation,
            part_cutoffs=options.part_cutoffs,
            training_step_days=options.training_step_days,
        )

    def dataset(self, cutoffs: Sequence[date], features: Sequence[str] | None = None) -> Dataset:
        """Return features and outcome at some cutoffs; what was computed before comes from the cache."""
        return self.task.dataset(self.judged_shop, features or self.features, sorted(cutoffs))

    @cached_property
    def training(self) -> Dataset:
        """Features and outcome at all cutoffs before the sealed one.

        Raises
        ------
        InsufficientDataError
            If a window holds less than the task needs.
        """
        check_tables(self.task, self.shop)
        check_sufficiency(self.task, self.counts)
        return self.dataset(self.splits.cutoffs())

    @cached_property
    def counts(self) -> pd.DataFrame:
        """Counts of the windows of the folds: see `Task.counts`. Of training cutoffs, only the last counts."""
        folds = self.splits.folds()
        days = sorted({day for training, held_out in folds for day in (max(training), *held_out)})
        history = self.task.history
        known = self.features if {*history} <= {*self.features} else history  # training reads their files again
        counts = self.task.counts(self.dataset(days, known))
        return counts.reindex(pd.DatetimeIndex(days, name="cutoff"), fill_value=0)  # also where nobody is judged

    @property
    def client(self) -> MlflowClient:
        """The connected store. MLflow's own functions know one store at a time, and use this one from here on."""
        from experiments.tracking.store import use

        use(self._client)
        return self._client

    @cached_property
    def _client(self) -> MlflowClient:
        from experiments.tracking.store import connect

        return connect(self.config.tracking.uri, self.folder)

    @cached_property
    def runs(self) -> Runs:
        from experiments.tracking.runs import Runs

        about = f"Studies, trials and models of the task {self.question} on {self.shop.staged.shop}"
        runs = Runs(self.client, self.registered_name, about)
        runs.end_orphans()
        return runs

    @cached_property
    def registry(self) -> Registry:
        from experiments.tracking.registry import Registry

        return Registry(self.client, self.registered_name)

    @cached_property
    def data_input(self) -> DataInput:
        from experiments.tracking.runs import DataInput

        staged = self.shop.staged
        return DataInput(
            name=staged.shop,
            digest=staged.digest,
            source=self.config.data["source"],
            profile={
                "first_day": staged.start,
                "end": staged.end,
                "customers": staged.customers,
                **{f"{table}_rows": rows for table, rows in staged.rows.items()},
            },
            columns={
                f"{table}.{column}": TYPES_OF_MLFLOW.get(str(kind).partition("(")[0], "string")
                for table, content in self.shop.tables.present().items()
                for column, kind in content.schema().items()
            },
        )

    def feature_tags(self, features: Sequence[str]) -> dict[str, str]:
        """Return the tags that say which features a model reads, and how they are defined."""
        grain, spend = self.task.grain, self.shop.tables.spend
        return {
            "features": json.dumps(list(features)),
            "feature_hash": definition_hash(features, grain, spend),
            "feature_hashes": " ".join(feature_hashes(features, grain, spend).values()),
        }

    @cached_property
    def target(self) -> str:
        """Outcome and population in one string, and that returns are taken off where the outcome is of money."""
        is_net = self.shop.tables.nets_returns and reads_spend(self.task.outcome(), self.task.grain)
        return f"{self.task.target}_net" if is_net else self.task.target

    @cached_property
    def lineage(self) -> dict[str, str]:
        """Tags that say what a model was made for and from."""
        staged = self.shop.staged
        return {
            "shop": staged.shop,
            "task": self.task.name,
            "target": self.target,
            "horizon_days": str(self.task.horizon_days),
            "currency": staged.currency,
            "population": self.task.population,
            **self.feature_tags(self.features),
            "tune": self.again("tune"),
            "data_digest": staged.digest,
            "git_commit": git_commit(),
        }

    @cached_property
    def texts(self) -> dict[str, str]:
        """The resolved configuration, and the overrides that led to it, as artifacts; of contact details nothing."""
        resolved = dataclasses.asdict(self.config)
        resolved["data"] = {name: value for name, value in resolved["data"].items() if name != CONTACT_DETAILS}
        kept = [text for text in self.overrides if f"data.{CONTACT_DETAILS}" not in text]
        return {
            "config.yaml": yaml.safe_dump(without_secrets(resolved), sort_keys=False, allow_unicode=True),
            "overrides.txt": masked_lines("".join(f"{override}\n" for override in kept)),
        }

    @property
    def retire_command(self) -> str:
        """Return the command that takes the champion out of use."""
        return f"{self.again('promote')} retire=true reason='…'"

    def again(self, command: str, but: tuple[str, ...] = ()) -> str:
        """Return a command to type next, with the lasting choices of this session: data, task, folder, store.

        Parameters
        ----------
        command : str
        but : tuple of str
            Choices to leave out.
        """
        given = [
            text
            for text in self.overrides
            if (key := text.lstrip("+~")).startswith(LASTING) and not key.startswith((*ONCE, *but))
        ]
        folders = [f"--config-dir={folder}" for folder in self.config_dirs]
        return " ".join(["experiments", command, *map(shlex.quote, map(masked_lines, [*folders, *given]))])


def check_series(grain: Grain, options: EvaluationConfig) -> None:
    """Check that the cutoffs fit a grain whose rows are the steps of a series. Other grains take any cutoffs.

    The bootstrap draws cutoffs in blocks. Every resample of a held-out part within one block is the part itself, so
    any gain would look certain.

    Raises
    ------
    InputError
    """
    if grain.step_days is not None and options.step_days != grain.step_days:
        raise InputError(
            f"the cutoffs do not fit rows of {grain.name}",
            where="evaluation.step_days",
            expected=f"{grain.step_days}: a row is a step of the series",
            found=str(options.step_days),
            hint="evaluation=series is laid out for weeks",
        )
    if grain.resampled == "cutoff" and options.part_cutoffs <= grain.block:
        raise InputError(
            f"too few cutoffs are held out to judge rows of {grain.name}",
            where="evaluation.part_cutoffs",
            expected=f"more than {grain.block}: the bootstrap draws them in blocks of so many",
            found=str(options.part_cutoffs),
            hint="evaluation=series holds out 13 weeks together",
        )


def digest(content: Any) -> str:
    """Return a short hash of something that JSON can hold."""
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()[:16]


def git_commit() -> str:
    """Return the commit of the code, marked if the work tree differs from it; `unknown` outside a checkout."""
    folder = Path(__file__).parent

    def git(*arguments: str) -> str:
        return subprocess.run(
            ["git", *arguments], cwd=folder, capture_output=True, text=True, check=True, timeout=10
        ).stdout.strip()

    try:
        git("ls-files", "--error-unmatch", __file__)  # installed, it may lie in a repository of other code
        commit = git("rev-parse", "HEAD")
        return f"{commit}-modified" if git("status", "--porcelain", "--untracked-files=no") else commit
    except (OSError, subprocess.SubprocessError):
        return "unknown"
