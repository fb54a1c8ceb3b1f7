"""The search space: the choice of a model, and the parameters of each model (conf/search/)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import optuna

from features.errors import InputError, check_type, did_you_mean

RANGE_KEYS = {"low", "high", "step", "log", "type"}


@dataclass(frozen=True)
class Space:
    """Search space: models and the ranges of their parameters.

    Attributes
    ----------
    models : sequence of str
    space : mapping of model to mapping of parameter to a range
        A range is `{choices: [...]}` or `{low, high}` with `step`, `log: true` or `type: int`.
    """

    models: Sequence[str]
    space: Mapping[str, Mapping[str, Mapping[str, Any]]]

    def check(self, parameters: Mapping[str, Mapping[str, Any]]) -> None:
        """Check the space against the parameters of the models.

        Parameters
        ----------
        parameters : mapping of model to its parameters
            As `get_params()` returns them.

        Raises
        ------
        InputError
            If a model or a parameter is unknown, or a range is malformed.
        """
        if not self.models:
            raise InputError("the search names no model", where="search.models", hint=did_you_mean("", parameters))
        for model in [*self.models, *self.space]:
            if model not in parameters:
                raise InputError(f"unknown model {model!r}", where="search", hint=did_you_mean(model, parameters))
        for model, ranges in self.space.items():
            check_type(ranges, "Mapping", f"search.space.{model}")
            for name, bounds in ranges.items():
                where = f"search.space.{model}.{name}"
                known = parameters[model]
                is_of_mapping = isinstance(known.get(name.partition("__")[0]), Mapping)  # its owner knows what it takes
                if name not in known and not is_of_mapping:
                    raise InputError(f"{model} has no parameter {name!r}", where=where, hint=did_you_mean(name, known))
                _check_range(bounds, where)

    def suggest(self, trial: optuna.Trial) -> tuple[str, dict[str, Any]]:
        """Draw a model and its parameters; the trial names them `model` and `<model>.<parameter>`."""
        model = trial.suggest_categorical("model", list(self.models))
        ranges = self.space.get(model, {})
        return model, {name: _draw(trial, f"{model}.{name}", bounds) for name, bounds in ranges.items()}


def tuned(params: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return the model and its parameters from the `params` of a finished trial."""
    model = params["model"]
    prefix = f"{model}."
    return model, {name.removeprefix(prefix): value for name, value in params.items() if name.startswith(prefix)}


def _draw(trial: optuna.Trial, name: str, bounds: Mapping[str, Any]) -> Any:
    if "choices" in bounds:
        return trial.suggest_categorical(name, list(bounds["choices"]))
    options = {key: bounds[key] for key in ("step", "log") if key in bounds}
    suggest = trial.suggest_int if bounds.get("type") == "int" else trial.suggest_float
    return suggest(name, bounds["low"], bounds["high"], **options)


def _check_range(bounds: Mapping[str, Any], where: str) -> None:
    if not isinstance(bounds, Mapping):
        raise InputError("the search has a malformed range", where=where, expected="a mapping", found=repr(bounds))
    numbers = [bounds[key] for key in ("low", "high", "step") if key in bounds]
    if not all(isinstance(number, int | float) for number in numbers):
        raise InputError("the search has a malformed range", where=where, expected="numbers", found=str(dict(bounds)))
    expected = "{choices: [...]} or {low: …, high: …} with step, log: true (above 0, without step) or type: int"
    if "choices" in bounds:
        malformed = set(bounds) != {"choices"} or not bounds["choices"]
    else:
        malformed = not {"low", "high"} <= set(bounds) <= RANGE_KEYS or not bounds["low"] <= bounds["high"]
        malformed = malformed or bounds.get("type", "float") not in ("int", "float")
        malformed = malformed or (bool(bounds.get("log")) and (bounds["low"] <= 0 or "step" in bounds))
    if malformed:
        raise InputError("the search has a malformed range", where=where, expected=expected, found=str(dict(bounds)))
