"""Arguments of a command, as they are typed and as Hydra takes them."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Sequence

from experiments.addresses import has_secret, masked_lines
from experiments.workflow.shipped import CONF
from features.errors import InputError, did_you_mean


def hydra_arguments(arguments: Sequence[str]) -> list[str]:
    """Return what is typed after a command as arguments of Hydra."""
    return [_adding(text) for text in one_task(expand(arguments))]


def expand(arguments: Sequence[str]) -> list[str]:
    """Split `overrides="a=1 b=2"` and leave out keys without a value.

    An MLproject passes several overrides as one parameter, and an optional parameter that is not given as an empty one.
    A key with an empty value keeps its configured value.
    """
    expanded: list[str] = []
    for argument in arguments:
        if argument.startswith("overrides="):
            expanded += expand(shlex.split(argument.removeprefix("overrides=")))
        elif argument.startswith("reason="):
            expanded += [_quoted(argument)] if argument != "reason=" else []
        elif not re.fullmatch(r"[\w.@/]+=", argument):
            expanded.append(argument)
    # Hydra expects flags before overrides; people write them anywhere.
    overrides = [text for text in expanded if "=" in text and not text.startswith("-")]
    return [text for text in expanded if text not in overrides] + overrides


def check_kept(arguments: Sequence[str]) -> None:
    """Refuse a secret in a parameter of `mlflow run`, which MLflow has kept in the run by then.

    Raises
    ------
    InputError
    """
    run_id = os.environ.get("MLFLOW_RUN_ID")
    if run_id is None:
        return
    secrets = [text for text in expand(arguments) if has_secret(*text.partition("=")[::2])]
    if secrets:
        raise InputError(
            "a parameter of `mlflow run` has a secret, which MLflow keeps as a parameter of the run",
            where="overrides",
            found=masked_lines(secrets[0]),
            hint="change the secret, and let it come from the environment: ${oc.env:NAME}. To remove it, delete run "
            f"{run_id} and type mlflow gc",
        )


def one_task(arguments: Sequence[str]) -> list[str]:
    """Write `tasks=[x]` as `task=x`, so that overrides of that task go with it."""
    named = [re.fullmatch(r"tasks=\[\s*([\w-]+)\s*\]", argument) for argument in arguments]
    return [f"task={one[1]}" if one else text for text, one in zip(arguments, named, strict=True)]


def _quoted(argument: str) -> str:
    """Quote free text, so that Hydra reads commas and apostrophes as text."""
    key, _, text = argument.partition("=")
    if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"":
        return argument
    return f"{key}=" + "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _adding(argument: str) -> str:
    """Let `model.params.x=…`, `features.add=…` and the like add a key: defaults stand in signatures, not in conf/."""
    of_model = r"model\.(path|scaling|log_target|trusted|params(\.\w+)?)"
    return re.sub(rf"^(?=({of_model}|features\.(add|drop))=)", "++", argument)


def check_choices(arguments: Sequence[str]) -> None:
    """Refuse a value that cannot name a file of a group, such as data=3, for which Hydra has no message."""
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.core.override_parser.types import ChoiceSweep, Glob, QuotedString

    texts = [text for text in arguments if "=" in text and not text.startswith("-")]
    for text, override in zip(texts, OverridesParser.create().parse_overrides(texts), strict=True):
        group, value = override.key_or_group, override.value()
        value = value.list if isinstance(value, ChoiceSweep) else value
        names = value if isinstance(value, list) else [value]
        if (CONF / group).is_dir() and not all(isinstance(name, str | QuotedString | Glob) for name in names):
            known = [path.stem for path in (CONF / group).glob("*.yaml")]
            raise InputError(
                f"{text} does not name a configuration file",
                where=f"conf/{group}/",
                expected="the name of a file there",
                found=text.partition("=")[2],
                hint=did_you_mean(text.partition("=")[2], known),
            )
