"""Numbers that Python code holds: those written in a function, and in what it calls and names of its own project.

An expression shows its constants as literals. A function of frames does not, but its code object does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from inspect import getattr_static
from numbers import Real
from types import CodeType, FunctionType, ModuleType
from typing import Any

import numpy as np
import pandas as pd


def held_numbers(function: Callable[..., Any], modules: tuple[str, ...]) -> list[list[float]]:
    """Return the numbers that a function holds, and those of all functions, classes and values that it names.

    Parameters
    ----------
    function : callable
    modules : tuple of str
        Functions and classes of these modules, and of packages of these names, are looked into; others are libraries.

    Returns
    -------
    list of list of float
        One list for each function, and for each list, mapping, array or frame that stands outside of functions: the
        different numbers in it.
    """
    return [sorted(set(numbers)) for numbers in _held(function, modules, set()) if numbers]


def _held(value: Any, modules: tuple[str, ...], seen: set[int]) -> Iterator[list[float]]:
    if id(value) in seen:
        return
    seen.add(id(value))
    if isinstance(value, FunctionType):
        if not _is_of(value.__module__, modules):
            return
        codes = list(_codes(value.__code__))
        yield [number for code in codes for constant in code.co_consts for number in _numbers(constant)]
        yield list(_numbers([*(value.__defaults__ or ()), *(value.__kwdefaults__ or {}).values()]))
        cells = [cell.cell_contents for cell in value.__closure__ or ()]
        for named in (*cells, *_named({name for code in codes for name in code.co_names}, value.__globals__, modules)):
            yield from _held(named, modules, seen)
    elif isinstance(value, type):
        for base in value.__mro__:
            for part in vars(base).values() if _is_of(base.__module__, modules) else ():
                yield from _held(_plain(part), modules, seen)
    elif isinstance(cached := getattr_static(value, "__wrapped__", None), FunctionType):
        yield from _held(cached, modules, seen)
    elif not isinstance(value, ModuleType):
        yield list(_numbers(value))


def _plain(part: Any) -> Any:
    """Return the function of a method or property."""
    if isinstance(part, classmethod | staticmethod):
        return part.__func__
    return part.fget if isinstance(part, property) else part


def _is_of(module: str | None, modules: tuple[str, ...]) -> bool:
    return any(f"{module}.".startswith(f"{name}.") for name in modules)


def _codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _codes(constant)


def _named(names: set[str], known: Mapping[str, Any], modules: tuple[str, ...]) -> Iterator[Any]:
    """Yield what the names stand for in a module, and in the project's modules that are named among them."""
    for name in sorted(names & known.keys()):
        value = known[name]
        if isinstance(value, ModuleType):
            if _is_of(value.__name__, modules):
                yield from (vars(value)[other] for other in sorted(names & vars(value).keys()))
        else:
            yield value


def _numbers(value: Any) -> Iterator[float]:
    """Yield the numbers of a value: those within a list, a mapping, an array or a frame one by one."""
    if isinstance(value, bool | np.bool_ | str | bytes):
        return
    if isinstance(value, Real | Decimal):
        yield float(value)
    elif isinstance(value, Mapping):
        yield from (number for pair in value.items() for part in pair for number in _numbers(part))
    elif isinstance(value, list | tuple | set | frozenset):
        yield from (number for part in value for number in _numbers(part))
    elif isinstance(value, pd.DataFrame | pd.Series | pd.Index | np.ndarray):
        values = np.asarray(value, dtype=object).ravel()
        yield from (number for part in values for number in _numbers(part))
