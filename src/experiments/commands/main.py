"""`experiments <command> [overrides]`: takes the command's word off and hands the rest to Hydra."""

from __future__ import annotations

import importlib
import os
import re
import shlex
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from experiments.processes import exit_code, log_to_stderr, settle_environment
from features.errors import InputError, did_you_mean, listing

if TYPE_CHECKING:
    from omegaconf import DictConfig

COMMANDS = {
    "run": "the whole road: stage, tune, promote, score, report, and a table of what came out",
    "data": "stage and check the tables; print what is there and what each task could use",
    "features": "write one row of features per customer: cutoff=2017-10-03 output=x.parquet",
    "audit": "change the future and see that nothing moves; name targets that are formulas; exit code 1 when one leaks",
    "train": "fit one model with given parameters and register it: model=lightgbm model.params.num_leaves=31",
    "tune": "search models and parameters, refit the best and register it: tuning.n_trials=50",
    "promote": "gate the newest version on the sealed window, or version=3 reason='…', or rollback=true",
    "score": "score every customer with the champions: as_of=2018-01-01 output=x.parquet",
    "report": "one page for the marketer: verdicts, tiers, personas, hypotheses: output=x.html",
    "ui": "open the MLflow UI on the store in use",
}


def main() -> None:
    """Entry point of the console script."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Run one command and return its exit code: its own, 0 in general, 2 for a user's mistake, 130 when interrupted."""
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra raises instead of printing, and the message is ours
    settle_environment()
    log_to_stderr()
    return exit_code(lambda: _run(arguments))


def _run(arguments: Sequence[str]) -> int:
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(usage())
        return 0
    command, *rest = arguments
    if command not in COMMANDS:
        raise InputError(f"there is no command {command!r}", where="experiments", hint=did_you_mean(command, COMMANDS))
    return _run_with_hydra(command, one_task(expand(rest)))


def usage() -> str:
    """The commands, a line each."""
    lines = "\n".join(f"  {name:<9} {text}" for name, text in COMMANDS.items())
    return (
        f"usage: experiments <command> [key=value ...]\n\n{lines}\n\n"
        "Keys are those of conf/: `task=` picks the question, `data=` the shop, `experiment=` a saved combination.\n"
        "Hydra's own flags work after the command: --cfg job prints the configuration, --info what it is made of."
    )


def expand(arguments: Sequence[str]) -> list[str]:
    """Split `overrides="a=1 b=2"` and leave out keys without a value.

    An MLproject can pass several overrides in one parameter only, and an optional parameter only as
    an empty one; an empty value leaves the configured one.
    """
    expanded: list[str] = []
    for argument in arguments:
        if argument.startswith("overrides="):
            expanded += expand(shlex.split(argument.removeprefix("overrides=")))
        elif argument.startswith("reason="):
            expanded += [_quoted(argument)] if argument != "reason=" else []
        elif not re.fullmatch(r"[\w.@/]+=", argument):
            expanded.append(argument)
    # Hydra wants its flags before the overrides, people write them anywhere.
    overrides = [text for text in expanded if "=" in text and not text.startswith("-")]
    return [text for text in expanded if text not in overrides] + overrides


def one_task(arguments: Sequence[str]) -> list[str]:
    """`tasks=[x]` as `task=x`, to which overrides of that task belong."""
    named = [re.fullmatch(r"tasks=\[\s*([\w-]+)\s*\]", argument) for argument in arguments]
    return [f"task={one[1]}" if one else text for text, one in zip(arguments, named, strict=True)]


def _quoted(argument: str) -> str:
    """A reason is free text: in quotes, Hydra takes commas and apostrophes for what they are."""
    key, _, text = argument.partition("=")
    if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"":
        return argument
    return f"{key}=" + "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _run_with_hydra(command: str, arguments: list[str]) -> int:
    import hydra
    import yaml
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    from experiments.commands.compose import CONF, explain, typed

    raised: list[Exception] = []
    codes = [0]  # --cfg and the like run no job

    def job(config: DictConfig) -> None:
        try:
            codes.append(importlib.import_module(f"experiments.commands.{command}").main(typed(config)) or 0)
        except Exception as error:  # raised again below: Hydra would print its own words first
            raised.append(error)

    words, sys.argv = sys.argv, [f"experiments {command}", *arguments]
    try:
        _check_choices(arguments)
        hydra.main(version_base="1.3", config_path=str(CONF), config_name="config")(job)()
    except (HydraException, OmegaConfBaseException) as error:
        raise explain(error, _valid_config(arguments)) from error
    except yaml.YAMLError as error:
        raise InputError(
            "a configuration file is no YAML", where="configuration", found=" ".join(str(error).split())
        ) from error
    except UnicodeDecodeError as error:
        raise InputError(
            "a configuration file is not encoded in UTF-8",
            where=listing(_not_utf8(arguments)),
            expected="YAML in UTF-8",
            found=f"the bytes {error.object[error.start : error.end].hex(' ')}",
            hint="save it as UTF-8",
        ) from error
    finally:
        sys.argv = words
    if raised:
        raise raised[0]
    return max(codes)


def _check_choices(arguments: Sequence[str]) -> None:
    """Refuse what cannot name a file of a group, such as data=3: Hydra would end in a traceback."""
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.core.override_parser.types import ChoiceSweep, Glob, QuotedString

    from experiments.commands.compose import CONF

    texts = [text for text in arguments if "=" in text and not text.startswith("-")]
    for text, override in zip(texts, OverridesParser.create().parse_overrides(texts), strict=True):
        group, value = override.key_or_group, override.value()
        value = value.list if isinstance(value, ChoiceSweep) else value
        names = value if isinstance(value, list) else [value]
        if (CONF / group).is_dir() and not all(isinstance(name, str | QuotedString | Glob) for name in names):
            known = [path.stem for path in (CONF / group).glob("*.yaml")]
            raise InputError(
                f"{text} names no configuration",
                where=f"conf/{group}/",
                expected="the name of a file there",
                found=text.partition("=")[2],
                hint=did_you_mean(text.partition("=")[2], known),
            )


def _not_utf8(arguments: Sequence[str]) -> Iterator[Path]:
    """The configuration files that are not encoded in UTF-8; Hydra does not say which one it read."""
    import argparse

    from experiments.commands.compose import CONF

    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--config-dir", "-cd")
    folder = parser.parse_known_args(arguments)[0].config_dir
    for path in sorted(Path(folder or CONF).rglob("*.yaml")):
        try:
            path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            yield path


def _valid_config(arguments: Sequence[str]) -> DictConfig:
    """The configuration that the choices of groups alone give, for the keys that it has."""
    from hydra import compose, initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra
    from hydra.errors import HydraException

    from experiments.commands.compose import CONF

    choices = [
        argument
        for argument in arguments
        if (CONF / argument.partition("=")[0]).is_dir()
        and (CONF / argument.replace("=", "/")).with_suffix(".yaml").exists()
    ]
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        try:
            return compose("config", choices)
        except HydraException:
            return compose("config")
