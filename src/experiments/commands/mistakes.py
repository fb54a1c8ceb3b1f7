"""Errors of a configuration, in the user's words."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

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

from experiments.commands.overrides import CONF
from features.errors import InputError, did_you_mean, first_line, listing


def explain(error: Exception, config: DictConfig | None) -> InputError:
    """Turn an error of Hydra or OmegaConf into an InputError.

    Parameters
    ----------
    error : exception
    config : DictConfig or None
        The configuration without the user's overrides: its keys are compared with a mistyped one.
    """
    said = first_line(error)
    if isinstance(error, MissingConfigException) and error.options is not None:
        group, _, option = str(error.missing_cfg_file).rpartition("/")
        return InputError(
            f"there is no {group}={option}",
            where=f"conf/{group}/",
            hint=f"{did_you_mean(option, error.options)} (--config-dir adds a folder of your own files)",
        )
    if isinstance(error, MissingMandatoryValue):
        key = getattr(error, "full_key", None) or said
        return _without_value(key)
    if isinstance(error, InterpolationKeyError) and "'features.variables'" in said:
        return InputError(
            "the chosen features name no `variables:` to cluster on",
            where="features.variables, which task.variables refers to",
            expected=f"one of the sets that do: {', '.join(_sets_with_variables())}",
            hint="give features=… one of these, or name some of the features yourself: 'task.variables=[…]'",
        )
    unset = re.search(r"Environment variable '(\w+)' not found", said)
    if unset:
        return InputError(
            f"the environment variable {unset[1]} is not set",
            where=getattr(error, "full_key", None) or "configuration",
            expected=f"a value for ${{oc.env:{unset[1]}}}",
            hint=f"type export {unset[1]}='...' in the shell that runs the command",
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
    unknown = unknown_key(error)
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


def _without_value(key: str) -> InputError:
    """Name the file in which a key has ??? in place of a value, and the other keys that have it there."""
    after = f"give it after the command: {key}=…"
    file = _file_of_group(key.partition(".")[0])
    missing = OmegaConf.missing_keys(OmegaConf.load(file)) if file is not None else set()
    if key.partition(".")[2] not in missing:
        return InputError(f"{key} has no value", where="configuration", hint=after)
    hint = f"fill in each ??? there ({listing(sorted(missing))}); or {after}"
    return InputError(f"{key} has no value", where=str(file), hint=hint)


def _file_of_group(group: str) -> Path | None:
    """Return the file that a group of the configuration is chosen from, such as conf/data/my_shop.yaml."""
    if not HydraConfig.initialized():
        return None
    runtime = HydraConfig.get().runtime
    chosen = runtime.choices.get(group)
    folders = [Path(source.path.removeprefix("file://")) for source in runtime.config_sources if source.path]
    return next((file for file in (each / group / f"{chosen}.yaml" for each in folders) if file.exists()), None)


def _sets_with_variables() -> list[str]:
    files = sorted((CONF / "features").glob("*.yaml"))
    return [file.stem for file in files if "variables" in OmegaConf.load(file)]


def unknown_key(error: Exception) -> str | None:
    """Return the key that does not exist, if that is the mistake."""
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
    return unknown_key(cause) if isinstance(cause, (HydraException, OmegaConfBaseException)) else None


def _nearest_key(unknown: str, known: Sequence[str]) -> str:
    """Return a hint with keys whose path or last part is similar."""
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
