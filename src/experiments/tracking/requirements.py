"""Requirements of a model: the libraries that the code it carries imports, at their installed versions."""

from __future__ import annotations

import ast
import importlib.util
import sys
from collections.abc import Collection, Iterable, Iterator
from functools import cache
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[2]
OWN = ("experiments", "features")
FINDER = "pkgutil"  # who imports it finds the modules of its package by itself
HOLDS_IMPORTS = (ast.stmt, ast.ExceptHandler, ast.match_case)  # expressions hold none
OPTIONAL = {"pyspark"}  # an engine of the data, which no model needs


def requirements_of(*modules: str, libraries: Collection[str] = ()) -> list[str]:
    """Return what `pip install` needs so that these modules import and run.

    Imports inside of functions count, those for the type checker do not. The modules' own imports within the project
    are followed.

    Parameters
    ----------
    *modules : str
        Modules or packages of the project. A package counts with all that it contains.
    libraries : collection of str
        Top-level names of further libraries (`Model.libraries`).

    Returns
    -------
    list of str
        `name==version`, sorted. A library that is not installed is left out: the model was fitted without it.
    """
    named = _distributions()
    needed = {named[library] for library in (libraries_of(*modules) - OPTIONAL) | {*libraries} if library in named}
    return sorted(f"{name}=={version(name)}" for name in needed)


def unmet(requirements: Iterable[str]) -> list[str]:
    """Return the requirements, as `requirements_of` gives them, that are not met here, each with what is installed."""
    found = []
    for requirement in requirements:
        name, _, wanted = requirement.partition("==")
        try:
            installed = version(name)
        except PackageNotFoundError:
            installed = "none"
        if installed != wanted:
            found.append(f"{requirement} (installed: {installed})")
    return found


def own_code(libraries: Collection[str]) -> list[Path]:
    """Return the files or folders of the libraries that no installed distribution has: modules of the user's own.

    Parameters
    ----------
    libraries : collection of str
        Top-level names. One that cannot be imported is left out.
    """
    found = []
    for name in sorted({*libraries} - _distributions().keys() - sys.stdlib_module_names):
        spec = importlib.util.find_spec(name)
        if spec is None:
            continue
        folders = list(spec.submodule_search_locations or ())
        found.append(Path(folders[0] if folders else str(spec.origin)))
    return found


def libraries_of(*modules: str) -> set[str]:
    """Return the top-level names of the libraries that these modules import, directly or through the project's code."""
    libraries: set[str] = set()
    waiting = [path for module in modules for path in _files(module, whole=True)]
    seen: set[Path] = set()
    while waiting:
        path = waiting.pop()
        if path in seen:
            continue
        seen.add(path)
        for name in _imported_by(path):
            top = name.partition(".")[0]
            if top in OWN:
                waiting += _files(name)
            elif top == FINDER:
                waiting += path.parent.glob("*.py")
            elif top not in sys.stdlib_module_names:
                libraries.add(top)
    return libraries


@cache  # models of several tasks carry the same code
def _imported_by(path: Path) -> tuple[str, ...]:
    return tuple(imports_of(path.read_text()))


def imports_of(source: str) -> Iterator[str]:
    """Yield the names that a module imports when it runs; of `from a import b`, both `a` and `a.b`."""
    waiting: list[ast.AST] = [ast.parse(source)]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            waiting += node.orelse
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        waiting += (child for child in ast.iter_child_nodes(node) if isinstance(child, HOLDS_IMPORTS))


def _files(module: str, whole: bool = False) -> list[Path]:
    """Return the files that an import of a module runs: its own and those of the packages above it."""
    path = SOURCE.joinpath(*module.split("."))
    inits = [folder / "__init__.py" for folder in (path, *path.parents) if SOURCE in folder.parents]
    found = [each for each in (*inits, path.with_suffix(".py")) if each.is_file()]
    return [*found, *path.rglob("*.py")] if whole else found


@cache
def _distributions() -> dict[str, str]:
    """Return the distribution of each importable name; of several, the one of the same name."""
    return {name: name if name in found else sorted(found)[0] for name, found in packages_distributions().items()}
