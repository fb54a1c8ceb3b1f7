"""Compose the configuration with Hydra, check it, and explain mistakes in it."""

from __future__ import annotations

import argparse
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, cast

import yaml
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.initialize import get_gh_backup, restore_gh_from_backup
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from experiments.commands.mistakes import explain, unknown_key
from experiments.commands.overrides import CONF, check_choices, hydra_arguments
from experiments.processes import settle_environment
from experiments.tasks import TASKS
from experiments.workflow.config import Config, in_folder
from experiments.workflow.session import Session
from features.errors import InputError, first_line, listing
from features.sources.shop_config import PSEUDONYMISE


def typed(config: DictConfig) -> Config:
    """Resolve the composed configuration and check its types.

    Raises
    ------
    InputError
        For a value of the wrong type or one that is still missing, or a model's parameter that does not exist.
    """
    if HydraConfig.initialized():
        _check_mappings(config, HydraConfig.get().runtime)
    try:
        OmegaConf.resolve(config)
        # not `merge`, which copies both first: the schema is new, and nobody uses the configuration afterwards
        checked = cast(Config, OmegaConf.to_object(OmegaConf.unsafe_merge(OmegaConf.structured(Config), config)))
    except OmegaConfBaseException as error:
        raise explain(error, config) from error
    if checked.model.params:
        from experiments.models.registry import CANDIDATES, build  # seconds to import, and mostly not needed

        if checked.model.name in CANDIDATES:  # a task may have candidates of its own, which it checks itself
            build(CANDIDATES, checked.model.name, checked.model.params, checked.task["name"])
    if checked.privacy.pseudonymise:  # of all the configuration, a source knows its own part alone
        checked.data = {**checked.data, PSEUDONYMISE: True}
    return checked


OF_THE_TASK = ("task", "features", "search", "model")  # groups that each task picks by itself
OF_ONE_TASK = ("task.", *OF_THE_TASK[1:])


def of_each_task(config: Config) -> list[tuple[Config, list[str]]]:
    """Return the configuration of each task that `run` goes through, with the overrides that give it.

    With `task=` or a saved combination (`experiment=`) that is the configuration as composed. Otherwise one is composed
    for each of `tasks`, from the same overrides; where `tasks` names none, for each with `Task.in_plain_run`.

    Raises
    ------
    InputError
        If an override belongs to one of several tasks, or a task does not exist.
    """
    given = typed_overrides()
    plain = [name for name, task in TASKS.items() if task.in_plain_run]
    tasks = plain if config.tasks is None else config.tasks
    if not tasks:  # the report alone
        return []
    if names_a_task():
        return [(config, given)]
    own = [text for text in given if text.lstrip("+~").startswith(OF_ONE_TASK)]
    if own and len(tasks) > 1:
        raise InputError(
            f"{listing(own)} belongs to one task, and {len(tasks)} are run",
            where="command",
            expected=f"task=… beside it, or a single task in tasks=[…]; tasks are {', '.join(tasks)}",
            hint=f"add task={config.task.get('name')}, or another of them",
        )
    return [of_task(task, given) for task in tasks]


def tasks_left_out(config: Config, tables: Collection[str]) -> list[str]:
    """Return the tasks that a run without a named task leaves out, although the shop has the tables that they need."""
    if config.tasks is not None or names_a_task():
        return []
    return [
        name
        for name, task in TASKS.items()
        if not task.in_plain_run and not task.grain.lacks(tables) and {*task.needs} <= {*tables}
    ]


def typed_overrides() -> list[str]:
    """Return the command's overrides as they were typed, with `${oc.env:PASSWORD}` not resolved."""
    if not HydraConfig.initialized():
        return []
    raw = OmegaConf.to_container(HydraConfig.instance().cfg.hydra.overrides.task, resolve=False)
    return cast(list[str], raw)


def names_a_task() -> bool:
    """Return True if the command's overrides pick a task, or a saved combination, which is of one task."""
    return any(text.startswith(("task=", "experiment=")) for text in typed_overrides())


def config_folders() -> list[str]:
    """Return the configuration folders given by `--config-dir`."""
    if not HydraConfig.initialized():
        return []
    folders = [s.path for s in HydraConfig.get().runtime.config_sources if s.provider == "command-line"]
    return [folder.removeprefix("file://") for folder in folders]


def customer_of(config: Config, command: str) -> str:
    """Return the customer that a command is asked about.

    Raises
    ------
    InputError
        If none is named.
    """
    if config.customer is None:
        raise InputError("no customer is named", where="customer", hint=f"experiments {command} customer=12347")
    return config.customer


def session_of(config: Config, overrides: Sequence[str] | None = None) -> Session:
    """Return the session of a configuration, with the overrides that give it where they are not the command's own."""
    given = typed_overrides() if overrides is None else overrides
    return Session(config, given, config_folders(), declared=every)


def open_session(
    data: str | None = None,
    task: str | None = None,
    folder: str | Path = ".",
    overrides: Sequence[str] = (),
    config_dir: str | Path | None = None,
) -> Session:
    """Open a session: one task on one shop's data, configured by conf/ and what is given here.

    Parameters
    ----------
    data : str, optional
        A file of conf/data/; the default of conf/config.yaml when left out, as for the task.
    task : str, optional
        A file of conf/task/.
    folder : path
        Where cache, studies, MLflow's store and outputs are; made when it is absent.
    overrides : sequence of str
        Further choices, as they are typed after a command: "features=rfm", "tuning.n_trials=50".
    config_dir : path, optional
        A folder with configuration files of your own, which is searched beside conf/.

    Returns
    -------
    Session
        Nothing is read or computed yet.

    Raises
    ------
    InputError
        For a choice or key that does not exist, or a value of the wrong type.
    """
    settle_environment()
    if isinstance(overrides, str):  # a sequence of characters, else
        raise InputError("overrides must be a list", where="overrides", found=overrides, hint=f"[{overrides!r}]")
    given = hydra_arguments([*(f"{key}={name}" for key, name in (("data", data), ("task", task)) if name), *overrides])
    folders = [str(Path(config_dir).resolve())] if config_dir else []
    search = _search(folders)
    there = Path(folder).resolve()
    there.mkdir(parents=True, exist_ok=True)
    with _composing():
        with explained([*given, *(f"--config-dir={path}" for path in folders)]):
            config = compose("config", [*search, *given])
        config = typed(config)
    declared = partial(_every_beside, folders)
    if there == Path().resolve():
        return Session(config, given, folders, declared=declared)
    return Session(in_folder(config, there), given, folders, there, declared)


def _search(folders: Sequence[str]) -> list[str]:
    """Return the override that lets Hydra search further folders."""
    return [f"hydra.searchpath=[{', '.join(f'file://{path}' for path in folders)}]"] if folders else []


def _every_beside(folders: Sequence[str], group: str) -> dict[str, object]:
    """Return all files of a group of conf/ and of the folders, where no command has composed them."""
    with _composing():
        compose("config", _search(folders))  # from here on Hydra searches them
        return every(group)


def sessions_of_each_task(config: Config) -> list[Session]:
    """Return the sessions of the tasks that `run` goes through: see `of_each_task`."""
    return [session_of(own, overrides) for own, overrides in of_each_task(config)]


def each_task_beside(session: Session) -> dict[str, Session | InputError]:
    """Return a session of each task on the same shop: its own features, model and options, all else as given.

    An InputError stands in place of a task that the session's overrides do not suit, and says why.
    """
    asked: dict[str, Session | InputError] = {}
    kept = [
        text for text in session.overrides if text.lstrip("+~").partition("=")[0].partition(".")[0] not in OF_THE_TASK
    ]
    for name in TASKS:
        try:
            own = name == session.config.task["name"]
            asked[name] = session if own else session_of(*of_task(name, kept))
        except InputError as error:
            asked[name] = error
    return asked


def of_task(task: str, given: Sequence[str]) -> tuple[Config, list[str]]:
    """Return the configuration that some overrides give for another task, and the overrides with that task.

    A saved combination (`experiment=`) is of one task. Another task takes all of it but what belongs to that task.

    Raises
    ------
    InputError
        If the task does not exist, or the overrides do not suit it.
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
    """Return all files of a group of the configuration, by name: those of conf/ and of `--config-dir`.

    An InputError stands in place of a file that cannot be read, and says why.
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
            found[name] = InputError(f"it is not valid YAML: {error.problem}", where=f"{where}{line}")
        except (HydraException, OmegaConfBaseException, yaml.YAMLError) as error:
            found[name] = InputError(f"it cannot be read: {first_line(error)}", where=where)
    return found


@contextmanager
def _composing() -> Iterator[None]:
    """Let Hydra compose from conf/, and restore its state afterwards: other code in this process may use Hydra."""
    before = get_gh_backup()
    GlobalHydra.instance().clear()
    try:
        with initialize_config_dir(str(CONF), version_base="1.3"):
            yield
    finally:
        restore_gh_from_backup(before)


def valid_config(arguments: Sequence[str]) -> DictConfig:
    """Return the configuration that the choices of groups give without other overrides, for its keys."""
    choices = [
        argument
        for argument in arguments
        if (CONF / argument.partition("=")[0]).is_dir()
        and (CONF / argument.replace("=", "/")).with_suffix(".yaml").exists()
    ]
    with _composing():
        try:
            return compose("config", choices)
        except HydraException:
            return compose("config")


@contextmanager
def explained(arguments: Sequence[str]) -> Iterator[None]:
    """Explain what is wrong with a configuration while it is composed.

    Parameters
    ----------
    arguments : sequence of str
        Overrides and flags that it is composed from.

    Raises
    ------
    InputError
        In place of an error of Hydra, of OmegaConf or of a file that cannot be read.
    """
    try:
        check_choices(arguments)
        yield
    except (HydraException, OmegaConfBaseException) as error:
        valid = valid_config(arguments) if unknown_key(error) else None  # composed for its keys
        raise explain(error, valid) from error
    except yaml.YAMLError as error:
        raise InputError(
            "a configuration file is not valid YAML", where="configuration", found=" ".join(str(error).split())
        ) from error
    except UnicodeDecodeError as error:
        raise InputError(
            "a configuration file is not encoded in UTF-8",
            where=listing(_not_utf8(arguments)),
            expected="YAML in UTF-8",
            found=f"the bytes {error.object[error.start : error.end].hex(' ')}",
            hint="save it as UTF-8",
        ) from error


def _not_utf8(arguments: Sequence[str]) -> Iterator[Path]:
    """Find the configuration files that are not encoded in UTF-8: Hydra does not name the one it read."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--config-dir", "-cd")
    folder = parser.parse_known_args(arguments)[0].config_dir
    for path in sorted(Path(folder or CONF).rglob("*.yaml")):
        try:
            path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            yield path


def _check_mappings(config: DictConfig, composed: Any) -> None:
    """Refuse a file that holds a list or a value where a group's keys belong."""
    folders = [Path(source.path) for source in composed.config_sources if source.schema == "file"]
    for group, option in composed.choices.items():
        content = config._get_node(group) if group in config else None
        if content is not None and not isinstance(content, DictConfig):
            files = (folder / group / f"{option}.yaml" for folder in folders)
            raise InputError(
                f"{group}={option} is not a mapping",
                where=next((str(file) for file in files if file.exists()), "configuration"),
                expected="lines of `key: value`",
                found=str(content),
            )
