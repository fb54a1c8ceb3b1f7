"""`experiments <command> [overrides]`: run one command, which Hydra configures."""

from __future__ import annotations

import importlib
import os
import select
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from io import StringIO
from itertools import takewhile
from typing import TYPE_CHECKING

from experiments.addresses import masked_lines, without_secrets
from experiments.processes import collect_rarely, exit_code, log_to_stderr, settle_environment
from features.errors import InputError, did_you_mean

if TYPE_CHECKING:
    from omegaconf import DictConfig

COMMANDS = {
    "init": "guess how your own tables are mapped, and write it to conf/data/my_shop.yaml: my_shop path=sales.csv",
    "run": "do everything for each task: stage, tune, promote, score, report; print a table of the results",
    "data": "stage and check the tables; print what they hold and what each task can use",
    "features": "write one row of features per customer: cutoff=2017-10-03 output=x.parquet",
    "audit": "check that no feature reads the future and no target is a formula of features; exit code 1 if one does",
    "train": "fit one model with given parameters and register it: model=lightgbm model.params.num_leaves=31",
    "tune": "search models and parameters, refit the best and register it: tuning.n_trials=50",
    "promote": "gate the newest version, or version=3; dry=true does not look; reason='…' is by hand; or rollback=true",
    "show": "print what is in use for each task; task=clv: its leaderboard, importances, decision, looks and champions",
    "score": "score every customer with the champions: as_of=2018-01-01 output=x.parquet",
    "ask": "print what is known and predicted of one customer, and why: customer=12347",
    "serve": "build customer_360 as one model that MLflow serves, from the champions",
    "request": "print the request that the served champion answers: customer=12347 task=clv",
    "rules": "write what is bought together, as a table and a picture: rules.min_count=50 rules.level=category",
    "report": "write one page for the marketer: verdicts, tiers, personas, hypotheses: output=x.html",
    "monitor": "compare customers with training's, and models with what was promised; exit code 1 on an alarm",
    "retrain": "the nightly job: stage, refit or search what is due, gate, score, report; exit code 1 if a task failed",
    "forget": "remove a customer from cache and outputs, and name the models trained with the customer: customer=12347",
    "clean": "remove what nothing needs any more from the cache; dry=true only shows it, with sizes",
    "ui": "open the MLflow UI on the store in use: port=5001",
}

READER_GONE = 141  # as of a program that SIGPIPE ends


def main() -> None:
    """Run the console script."""
    collect_rarely()
    try:
        code = run(sys.argv[1:])
        sys.stdout.flush()
    except BrokenPipeError:  # as in `experiments data | head -1`, whose reader has left
        if not _reader_is_gone():
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python flushes once more at its end
        code = READER_GONE
    sys.exit(code)


def _reader_is_gone() -> bool:
    """Return True if nobody reads standard output any more."""
    output = select.poll()
    output.register(sys.stdout.fileno(), 0)
    return any(event & select.POLLERR for _, event in output.poll(0))


def run(arguments: Sequence[str]) -> int:
    """Run one command and return its exit code: its own, usually 0; 2 for a user's mistake; 130 when interrupted."""
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra raises, and this project words the message
    settle_environment()
    log_to_stderr()
    return exit_code(lambda: _run(arguments))


def _run(arguments: Sequence[str]) -> int:
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(usage())
        return 0
    from experiments.commands.overrides import check_kept

    command, *rest = arguments
    check_kept(rest)
    if command not in COMMANDS:
        raise InputError(f"there is no command {command!r}", where="experiments", hint=did_you_mean(command, COMMANDS))
    if command == "init":
        from experiments.commands.init import main as write_mapping  # there is no configuration yet

        write_mapping(rest)
        return 0
    return _run_with_hydra(command, rest)


def usage() -> str:
    """Return a line for each command."""
    lines = "\n".join(f"  {name:<9} {text}" for name, text in COMMANDS.items())
    return (
        f"usage: experiments <command> [key=value ...]\n\n{lines}\n\n"
        "Keys are those of conf/: `task=` picks the task, `data=` the shop, `experiment=` a saved combination.\n"
        "Hydra's flags work after the command: --cfg job prints the configuration, --info its sources."
    )


@contextmanager
def _masked_dump(arguments: Sequence[str]) -> Iterator[None]:
    """Print what Hydra's own flags show, such as `--cfg job --resolve`, without passwords."""
    from hydra._internal.utils import get_args_parser  # it knows -cjob and --inf, and that -cd is another flag

    flags = get_args_parser().parse_args(list(arguments))
    if not (flags.cfg or flags.info or flags.help):
        yield
        return
    with redirect_stdout(StringIO()) as printed:
        yield
    print(_masked(printed.getvalue()), end="")


def _masked(dump: str) -> str:
    """Return a dump masked: a configuration value by value, as YAML folds long ones over several lines."""
    from omegaconf import OmegaConf

    lines = dump.splitlines(keepends=True)
    title = "".join(takewhile(lambda line: line.startswith("#"), lines))
    try:
        config = OmegaConf.create(dump.rstrip("\n") + "\n")
        is_config = title + OmegaConf.to_yaml(config) == dump.rstrip("\n") + "\n"
    except Exception:  # --info prints other texts
        is_config = False
    if not is_config:
        return masked_lines(dump)
    return title + OmegaConf.to_yaml(OmegaConf.create(without_secrets(OmegaConf.to_container(config))))


@contextmanager
def _composed_once(arguments: Sequence[str]) -> Iterator[None]:
    """Keep Hydra from composing all twice: it would look for `hydra.mode`, which no file of conf/ gives."""
    from hydra._internal.hydra import Hydra

    get_mode = Hydra.get_mode
    if not any("hydra" in text for text in arguments):
        Hydra.get_mode = lambda *_, **__: None  # the flags say whether it is a sweep
    try:
        yield
    finally:
        Hydra.get_mode = get_mode


def _run_with_hydra(command: str, given: Sequence[str]) -> int:
    import hydra

    from experiments.commands.compose import explained, typed
    from experiments.commands.overrides import CONF, hydra_arguments

    arguments = hydra_arguments(given)
    raised: list[Exception] = []
    codes = [0]  # --cfg and the like run no job

    def job(config: DictConfig) -> None:
        try:
            codes.append(importlib.import_module(f"experiments.commands.{command}").main(typed(config)) or 0)
        except Exception as error:  # raised again below: Hydra would print its own message first
            raised.append(error)

    words, sys.argv = sys.argv, [f"experiments {command}", *arguments]
    try:
        with explained(arguments), _masked_dump(arguments), _composed_once(arguments):
            hydra.main(version_base="1.3", config_path=str(CONF), config_name="config")(job)()
    finally:
        sys.argv = words
    if raised:
        raise raised[0]
    return max(codes)
