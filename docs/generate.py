"""Write docs/configuration.md and docs/data-dictionary.md from the code and conf/: `make docs`.

Keys, defaults and meanings come from the YAML files and their comments; types and ranges from the dataclasses that read
them; parameters of models from signatures and docstrings. `tests/test_references.py` fails if a file is out of date.
"""

from __future__ import annotations

import dataclasses
import inspect
import re
import typing
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import yaml
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from experiments.commands.compose import CONF, open_session
from experiments.models.base import Model
from experiments.models.registry import CANDIDATES
from experiments.tasks import TASKS
from experiments.tasks.base import Task
from experiments.workflow import config as schema
from features.engines import DuckDB, Spark
from features.families.registry import FAMILIES, PARAMETRISED
from features.grains import GRAINS
from features.tables import SPECS, Column

DOCS = Path(__file__).resolve().parent
WIDEST = 70  # characters of a default that are shown
WRITTEN_BY = "<!-- Written by `make docs` from the code and conf/. Edit those. -->"
HEAD = ("key", "type and range", "default", "meaning")
ENGINES = {"duckdb": DuckDB, "spark": Spark}


@dataclass(frozen=True)
class Key:
    """A key of a YAML file.

    Attributes
    ----------
    path : tuple of str
    content : object
        Its value; an empty tuple where the keys below it follow.
    comment : str
        The comment beside it, else above it.
    """

    path: tuple[str, ...]
    content: object
    comment: str

    @property
    def default(self) -> str:
        """The value in YAML's flow style, cut where it is long."""
        text = "" if self.content == () else flow(self.content)
        return text if len(text) <= WIDEST else f"{text[:WIDEST].rsplit(' ', 1)[0].rstrip(',')} …"

    @property
    def type(self) -> str:
        """The type of the value, where it says something."""
        return "" if self.content in ((), None, "???") else type(self.content).__name__


def flow(content: object) -> str:
    """Return a value as YAML on one line."""
    text = yaml.safe_dump(content, default_flow_style=True, width=10**6, allow_unicode=True, sort_keys=False)
    return text.removesuffix("\n").removesuffix("\n...")


# YAML files: keys and comments


WHOLE = "# @package _global_"  # a file with this line says what belongs to other groups, too


def keys(text: str, group: str = "") -> list[Key]:
    """Return the keys of a YAML text, of one group where it has several; a mapping without comments is one key."""
    root = yaml.compose(text)
    if group and text.lstrip().startswith(WHOLE) and isinstance(root, yaml.MappingNode):
        root = next((value for name, value in root.value if name.value == group), None)
    return list(_keys(root, (), text.splitlines())) if isinstance(root, yaml.MappingNode) else []


def _keys(node: yaml.MappingNode, above: tuple[str, ...], lines: Sequence[str]) -> Iterator[Key]:
    for name, value in node.value:
        path = (*above, str(name.value))
        if path in (("defaults",), ("hydra",)):
            continue
        comment = _comment(name, value, lines)
        inner = list(_keys(value, path, lines)) if isinstance(value, yaml.MappingNode) else []
        if any(key.comment for key in inner):
            yield from [Key(path, (), comment)] if comment else []
            yield from inner
        else:
            yield Key(path, yaml.safe_load(yaml.serialize(value)), comment)


def _comment(name: yaml.Node, value: yaml.Node, lines: Sequence[str]) -> str:
    line = name.start_mark.line
    beside = _beside(lines[line][name.end_mark.column :])
    if beside is not None:
        column = lines[line].rindex(f"# {beside}")
        said = [beside]
        for further in lines[line + 1 :]:
            if further[:column].strip() or not further[column:].startswith("#"):
                break
            said.append(further[column:].lstrip("# "))
        return " ".join(said)
    above: list[str] = []
    for before in reversed(lines[:line]):
        if not before.startswith(" " * name.start_mark.column + "#"):
            break
        above.insert(0, before.strip().removeprefix("#").strip())
    return "" if len(above) == line else " ".join(above)  # a file begins with its own header


def _beside(rest: str) -> str | None:
    """Return the comment of the rest of a line; a # within quotes starts none."""
    found = re.fullmatch(r"""(?:"[^"]*"|'[^']*'|[^"'#]|(?<=\S)#)*?(?<=\s)# (.*)""", rest)
    return found[1].strip() if found else None


def header(text: str) -> str:
    """Return the comment that a file begins with, up to its first empty line, as one paragraph."""
    said: list[str] = []
    for line in text.splitlines():
        if line.startswith("# @package"):
            continue
        if not line.startswith("#") or line.strip() == "#":
            break
        said.append(line.removeprefix("#").strip())
    return " ".join(said)


def files(group: str) -> list[Path]:
    """Return the files of a group of the configuration."""
    return sorted((CONF / group).rglob("*.yaml"))


# Classes: types, meanings, ranges


def documented(kind: Any) -> dict[str, tuple[str, str]]:
    """Return the type and meaning of each attribute or parameter in a numpydoc docstring."""
    found: dict[str, tuple[str, str]] = {}
    for base in reversed(getattr(kind, "__mro__", (kind,))):
        own = _entries(inspect.cleandoc(base.__doc__ or "").splitlines())
        found |= {name: entry for name, entry in own.items() if name not in found or not entry[1].startswith("As `")}
    return found


def _entries(lines: Sequence[str]) -> dict[str, tuple[str, str]]:
    found: dict[str, tuple[str, str]] = {}
    section, names = "", []
    for line, following in zip(lines, [*lines[1:], ""], strict=True):
        if following and set(following) == {"-"}:
            section, names = line, []
        elif section in ("Attributes", "Parameters") and (entry := re.fullmatch(r"(\w[\w, ]*)(?: : (.*))?", line)):
            names = entry[1].split(", ")
            found |= {name: (entry[2] or "", "") for name in names}
        elif line.startswith("    "):
            found |= {name: (found[name][0], f"{found[name][1]} {line.strip()}".strip()) for name in names}
    return found


def annotated(kind: Any) -> dict[str, str]:
    """Return the types of a dataclass's fields or of a signature's parameters, as they are written."""
    if dataclasses.is_dataclass(kind):
        return {field.name: str(field.type) for field in dataclasses.fields(kind)}
    return {name: str(parameter.annotation) for name, parameter in inspect.signature(kind).parameters.items()}


def declared(kind: Any, path: Sequence[str]) -> tuple[str, str]:
    """Return type and meaning of a key as its class declares them; nothing for a key of a mapping."""
    if kind is None:
        return "", ""
    if len(path) == 1:
        stated, meaning = documented(kind).get(path[0], ("", ""))
        return stated if " in " in stated or "{" in stated else annotated(kind).get(path[0], ""), meaning
    inner = typing.get_type_hints(kind).get(path[0])
    return declared(inner, path[1:]) if dataclasses.is_dataclass(inner) else ("", "")


def reader(group: str, option: str) -> Any:
    """Return the class that reads a file of a group."""
    kinds = {"task": TASKS, "engine": ENGINES}.get(group)
    return kinds[option] if kinds else schema_of(group)


def schema_of(group: str) -> Any:
    kind = typing.get_type_hints(schema.Config).get(group)
    return kind if dataclasses.is_dataclass(kind) else None


@cache
def ranges() -> Mapping[str, str]:
    """Return what each key is checked for, in the schema's words."""
    found: dict[str, str] = {}

    def record(key: str, value: object, expected: str, right: bool) -> None:
        found[key] = expected

    with patch.object(schema, "_in_range", record):
        top = yaml.safe_load((CONF / "config.yaml").read_text())
        schema.Config.__post_init__(SimpleNamespace(**top))
        for group in typing.get_type_hints(schema.Config):
            kind = schema_of(group)
            default = CONF / group / "default.yaml"
            if hasattr(kind, "__post_init__") and default.exists():
                content = yaml.safe_load(default.read_text())
                kind.__post_init__(SimpleNamespace(**{key: _number(value) for key, value in content.items()}))
    return found


def _number(value: object) -> object:
    """Return a value that can be compared in place of a reference to another."""
    return 1 if isinstance(value, str) and value.startswith("${") else value


# Markdown


def page(parts: Iterable[str]) -> str:
    return "\n\n".join(part for part in parts if part) + "\n"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    body = list(rows)
    lines = [head, ["---"] * len(head), *body]
    drawn = ["| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines]
    return "\n".join(drawn) if body else ""


def code(text: str) -> str:
    return f"`{text}`" if text else ""


def key_rows(prefix: str, found: Iterable[Key], kind: Any) -> Iterator[list[str]]:
    for key in found:
        if key.path == ("name",):  # what the group's option says already
            continue
        name = ".".join([*([prefix] if prefix else []), *key.path])
        stated, meaning = declared(kind, key.path)
        limits = ", ".join(filter(None, [stated or key.type, ranges().get(name)]))
        yield [code(name), limits, code(key.default), key.comment or meaning]


# docs/configuration.md


def configuration() -> str:
    """Return the text of docs/configuration.md."""
    top = (CONF / "config.yaml").read_text()
    groups = re.findall(r"^  - (\w+): (\w+)\s*# (.*)$", top, re.MULTILINE)
    written = {"model": models, "search": searches, "features": feature_sets, "experiment": saved_combinations}
    parts = [
        "# Configuration reference",
        WRITTEN_BY,
        "Give any key after a command, as in `experiments tune tuning.n_trials=40 task.horizon_days=60`. A group picks "
        "a file: `data=cdnow` reads `conf/data/cdnow.yaml`. `experiments tune --cfg job` prints the configuration as "
        "composed. `--config-dir` adds a folder of your own files.",
        "## Groups",
        table(
            ("group", "default", "what it configures"),
            ([f"[`{group}`](#{group})", code(option), said.strip()] for group, option, said in groups),
        ),
        "## Top level",
        table(HEAD, key_rows("", keys(top), schema.Config)),
    ]
    for group, _, _ in groups:
        parts += [f"## {group}", *(written[group]() if group in written else options(group))]
    return page([*parts, "## hypotheses", *hypotheses(), "## lists", *lists()])


def options(group: str) -> Iterator[str]:
    """Write each file of a group: its purpose and its keys; what a file leaves uncommented another one may explain."""
    said = {key.path: key.comment for path in files(group) for key in keys(path.read_text(), group) if key.comment}
    for path in files(group):
        text = path.read_text()
        if len(files(group)) > 1:
            yield f"### {group}={path.stem}"
        yield header(text)
        found = (dataclasses.replace(key, comment=key.comment or said.get(key.path, "")) for key in keys(text, group))
        yield table(HEAD, key_rows(group, found, reader(group, path.stem)))


def feature_sets() -> Iterator[str]:
    yield (
        "`features=` picks a set. `features.names` are its features, `features.variables` those that a segmentation "
        "clusters; `features.add` and `features.drop` change a set. [data-dictionary.md](data-dictionary.md) lists all "
        "features."
    )
    yield table(
        ("set", "features", "meaning"),
        (
            [
                code(path.stem),
                str(len(open_session(overrides=[f"features={path.stem}"]).config.features.names)),
                header(path.read_text()),
            ]
            for path in files("features")
        ),
    )


def models() -> Iterator[str]:
    """Write each candidate with its parameters."""
    yield (
        "`experiments train model=…` fits one candidate, and `model.params.<parameter>=…` sets a parameter. Of "
        "`model=estimator`, `model.path=…`, `model.scaling=…`, `model.log_target=…` and `model.trusted=…` are set so, "
        "and `model.params.<parameter>=…` sets a parameter of its class."
    )
    for path in files("model"):
        content = yaml.safe_load(path.read_text())
        candidate = CANDIDATES[content["name"]]
        model = candidate.build().set_params(**content.get("params", {}))
        yield f"### model={path.stem}"
        yield header(path.read_text()) or candidate.label
        yield table(HEAD, parameters(model, of_the_task(content["name"])))


def parameters(model: Model, terms: Iterable[str]) -> Iterator[list[str]]:
    """Rows of the parameters of a model, without those that its task sets; a part of a blend is one row."""
    types, said = annotated(type(model)), documented(type(model))
    for name, value in model.get_params(deep=False).items():
        if isinstance(value, Model):
            yield [code(f"{name}__…"), "", "", f"parameters of the part: {type(value).__name__}"]
        elif name not in terms:
            stated, meaning = said.get(name, ("", ""))
            limits = stated if " in " in stated or "{" in stated else types.get(name, "")
            yield [code(name), limits, code(flow(value)), meaning]


@cache
def of_the_task(name: str) -> set[str]:
    """Return the parameters of a candidate that tasks set: their terms."""
    own = getattr(CANDIDATES[name].build, "keywords", {})
    offered = [task.candidates() for task in map(configured, TASKS)]
    return {term for candidates in offered if name in candidates for term in candidates[name].build.keywords} - {*own}


@cache
def configured(task: str) -> Task:
    """Return a task as conf/ has it, without what it takes from other groups."""
    text = (CONF / "task" / f"{task}.yaml").read_text()
    content = yaml.safe_load(text)
    content = content["task"] if text.lstrip().startswith(WHOLE) else content
    fields = {field.name for field in dataclasses.fields(TASKS[task])}
    values = {name: value for name, value in content.items() if name in fields}
    if "category" in values:  # which has no default
        values["category"] = "TEA"
    return TASKS[task](**{name: None if str(value).startswith("${") else value for name, value in values.items()})


def searches() -> Iterator[str]:
    """Write what each search draws, as composed."""
    for path in files("search"):
        if path.parent.name == "ranges":
            continue
        with initialize_config_dir(str(CONF), version_base="1.3"):
            content = OmegaConf.to_container(compose(f"search/{path.stem}"))["search"]
        yield f"### search={path.stem}"
        yield header(path.read_text())
        yield f"`search.models`: {', '.join(map(code, content['models'])) or 'none'}"
        yield table(
            ("parameter", "range"),
            ([code(f"search.space.{name}"), code(flow(spec))] for name, spec in drawn(content["space"])),
        )


def drawn(space: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield each parameter of a search space with its range."""
    for name, spec in space.items():
        if "low" in spec or "choices" in spec:
            yield name, spec
        else:
            yield from ((f"{name}.{inner}", range_) for inner, range_ in drawn(spec))


def saved_combinations() -> Iterator[str]:
    yield "`experiment=` picks a saved combination of overrides."
    yield table(
        ("experiment", "meaning"),
        (
            [code(str(path.relative_to(CONF / "experiment").with_suffix(""))), header(path.read_text())]
            for path in files("experiment")
        ),
    )


def hypotheses() -> Iterator[str]:
    yield "Each file is one hypothesis of the report. [report.md](report.md) shows how to add one."
    yield table(
        ("file", "meaning", "statement"),
        (
            [code(path.stem), header(path.read_text()), yaml.safe_load(path.read_text())["statement"]["en"]]
            for path in files("hypotheses")
        ),
    )


def lists() -> Iterator[str]:
    yield "Each file is one list of customers to contact. [lists.md](lists.md) shows how to add one."
    yield table(
        ("file", "meaning", "title", "action"),
        (
            [code(path.stem), header(path.read_text()), content["title"], content["action"]]
            for path in files("lists")
            for content in [yaml.safe_load(path.read_text())]
        ),
    )


# docs/data-dictionary.md


def dictionary() -> str:
    """Return the text of docs/data-dictionary.md."""
    return page(
        [
            "# Data dictionary",
            WRITTEN_BY,
            "Sources stage raw files to canonical tables. Families of features read these up to a cutoff. Money is "
            "DECIMAL in the shop's currency, days are the shop's own, rates and shares lie in [0, 1].",
            "## Canonical tables",
            *canonical_tables(),
            "## Grains",
            "A grain says what a row is. Rows exist only as of the cutoff. A finer grain gets features of coarser ones "
            "by the key columns that they share.",
            grains(),
            "## Features",
            *features(),
        ]
    )


def canonical_tables() -> Iterator[str]:
    for name, spec in SPECS.items():
        dated = f"Rows are known from `{spec.known_at}` on." if spec.known_at else "Its facts have no date."
        yield f"### {name}"
        yield f"{spec.meaning[0].upper()}{spec.meaning[1:]}. Key: {', '.join(map(code, spec.key))}. {dated}"
        yield table(
            ("column", "type", "meaning"),
            ([code(name), column.type, _meaning(column)] for name, column in spec.columns.items()),
        )


def _meaning(column: Column) -> str:
    said = [column.meaning, "required" if column.required else ""]
    said += [f">= {column.minimum:g}" if column.minimum is not None else ""]
    said += [f"<= {column.maximum:g}" if column.maximum is not None else ""]
    said += [f"known from {column.known_at} on" if column.known_at else ""]
    said += ["measured at the end of the data, so no feature may read it" if column.after_the_fact else ""]
    return "; ".join(filter(None, said))


def grains() -> str:
    return table(
        ("grain", "key beside the cutoff", "rows", "needs", "resampled"),
        (
            [
                code(name),
                ", ".join(map(code, grain.key)),
                inspect.cleandoc(grain.rows.__doc__ or "").splitlines()[0].removeprefix("Return ").rstrip("."),
                ", ".join(
                    [
                        *map(code, grain.needs),
                        *([" or ".join(map(code, grain.needs_one_of))] if grain.needs_one_of else []),
                    ]
                ),
                code(grain.resampled)
                + (f", in blocks; one step is {grain.step_days} day(s)" if grain.step_days else ""),
            ]
            for name, grain in GRAINS.items()
        ),
    )


def features() -> Iterator[str]:
    for family in FAMILIES.values():
        undated = " These are facts of unknown date." if family.undated else ""
        yield f"### Family {family.name}"
        yield f"Grain `{family.grain.name}`. Needs {', '.join(map(code, family.needs))}.{undated}"
        yield table(("feature", "meaning"), ([code(name), meaning] for name, meaning in family.features.items()))
    yield "### Features named by a value"
    yield "`<name>.*` stands for the values with most spend, such as `category_share.*`."
    yield table(
        ("feature", "needs", "meaning"),
        (
            [
                code(f"{name}.{family.example}"),
                ", ".join(map(code, family.needs)),
                family.meaning.format(value=family.example),
            ]
            for name, family in PARAMETRISED.items()
        ),
    )


REFERENCES = {"configuration.md": configuration, "data-dictionary.md": dictionary}

if __name__ == "__main__":
    for file_name, text_of in REFERENCES.items():
        (DOCS / file_name).write_text(text_of(), encoding="utf-8")
