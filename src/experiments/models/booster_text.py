"""The text of LightGBM's trees, checked before LightGBM reads it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
from lightgbm import Booster

from features.errors import InputError

END = "end of trees\n"
SPLITS = ("split_feature", "split_gain", "threshold", "decision_type", "left_child", "right_child", "internal_value")
SPLITS += ("internal_weight", "internal_count")
LEAVES = ("leaf_value", "leaf_weight", "leaf_count")
COUNTS = ("num_leaves", "num_cat", "is_linear")


class CheckedBooster(Booster):
    """Booster whose text is checked before LightGBM reads it; it becomes a plain `Booster` then."""

    def __init__(self, *_: Any) -> None:
        raise ValueError("a booster that is not restored from its state")  # but from a file or a text of its own

    def __setstate__(self, state: dict[str, Any]) -> None:
        text = state.get("_handle", state.get("handle"))
        found = re.search(r"^max_feature_idx=([0-9]{1,9})$", str(text), re.MULTILINE)
        check_booster(text, int(found[1]) + 1 if found else 0)
        super().__setstate__(state)
        self.__class__ = Booster


def check_booster(text: object, n_features: int) -> None:
    """Check that a text is a whole ensemble of numeric trees, as `Booster.model_to_string` writes it.

    LightGBM trusts its text: a cut one ends the process, a child that points back makes `predict` loop for ever, a
    feature out of range reads foreign memory. A text that passes does none of these. That its numbers are those of the
    fit is not checked here.

    Parameters
    ----------
    text : str
    n_features : int
        Number of the features that the trees were grown on.

    Raises
    ------
    InputError
    """
    try:
        _check(text, n_features)
    except ValueError as error:
        raise InputError(
            "the text of LightGBM's trees is damaged, or of trees that cannot be stored",
            where="booster of a stored model",
            expected="the text that a fit wrote, of splits by numbers and one value for each leaf",
            found=str(error),
            hint="restore the model's files, or train it again; without linear_tree or categorical_feature",
        ) from None


def _check(text: object, n_features: int) -> None:
    if not isinstance(text, str) or not text.isascii() or "\0" in text:
        raise ValueError("characters that LightGBM does not write")
    head, end, _ = text.partition("\n\nTree=0\n")
    if not end or not head.startswith("tree\n"):
        raise ValueError("no head with trees below it")
    fields = _fields(head.removeprefix("tree\n"))
    known = {"num_class": "1", "num_tree_per_iteration": "1", "max_feature_idx": str(n_features - 1)}
    for name, value in known.items():
        if fields.get(name) != value:
            raise ValueError(f"{name}={fields.get(name)}, not {value}")
    start = len(head) + 2
    for number, size in enumerate(_numbers(fields, "tree_sizes").astype(int)):
        tree = text[start : start + max(size, 0)]
        title = f"Tree={number}\n"
        if len(tree) != size or not tree.startswith(title):
            raise ValueError(f"tree {number} does not stand where tree_sizes says")
        _check_tree(tree.removeprefix(title), n_features, f"tree {number}")
        start += size
    if not text.startswith(END, start):
        raise ValueError("no end of trees after the last one")


def _check_tree(text: str, n_features: int, where: str) -> None:
    fields = _fields(text.rstrip("\n"))
    if not {*COUNTS, *SPLITS, *LEAVES, "shrinkage"} == fields.keys():
        raise ValueError(f"{where} has other fields than a numeric tree")
    leaves, categories, linear = (_numbers(fields, name) for name in COUNTS)
    if len(leaves) != 1 or leaves[0] < 1 or categories.tolist() != [0] or linear.tolist() != [0]:
        raise ValueError(f"{where} is not a numeric tree")
    n = int(leaves[0])
    lengths = {**dict.fromkeys(SPLITS, n - 1), **dict.fromkeys(LEAVES, n), "shrinkage": 1}
    values = {name: _numbers(fields, name) for name in lengths}
    for name, length in lengths.items():
        # a tree of one leaf has no weights
        if len(values[name]) != length and not (n == 1 and name in LEAVES[1:] and not len(values[name])):
            raise ValueError(f"{name} of {where} has {len(values[name])} values, not {length}")
    if not np.isfinite(values["leaf_value"]).all():  # a threshold may be: it separates missing values from all others
        raise ValueError(f"leaf_value of {where} has a value that is not finite")
    features, decisions = values["split_feature"], values["decision_type"]
    if not (_are_whole(features) and ((features >= 0) & (features < n_features)).all()):
        raise ValueError(f"{where} splits a feature that does not exist")
    if not (_are_whole(decisions) and np.isin(decisions, range(0, 16, 2)).all()):  # odd ones split categories
        raise ValueError(f"{where} has another kind of split than numeric")
    _check_children(np.stack([values["left_child"], values["right_child"]]), n, where)


def _check_children(children: np.ndarray, n: int, where: str) -> None:
    """Check that every leaf and every split but the first has one parent, of a lower number."""
    expected = [*range(-n, 0), *range(1, n - 1)] if n > 1 else []
    if (
        not np.array_equal(np.sort(children, axis=None), expected)
        or ((children >= 0) & (children <= np.arange(n - 1))).any()
    ):
        raise ValueError(f"the branches of {where} do not form a tree")


def _fields(text: str) -> dict[str, str]:
    """Read lines `name=value`, each name once."""
    pairs = [line.partition("=") for line in text.split("\n")]
    fields = {name: value for name, _, value in pairs}
    if len(fields) < len(pairs):
        raise ValueError("a field twice")
    return fields


def _numbers(fields: Mapping[str, str], name: str) -> np.ndarray:
    try:
        values = np.array(fields.get(name, "").split(" ") if fields.get(name) else [], dtype=float)
    except ValueError:
        raise ValueError(f"{name} has a value that is not a number") from None
    if np.isnan(values).any():
        raise ValueError(f"{name} has a value that is not a number")
    return values


def _are_whole(values: np.ndarray) -> bool:
    return bool((values == np.floor(values)).all())
