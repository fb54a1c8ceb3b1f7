"""Arrays of fitted trees, checked before compiled code reads them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from lightgbm import Booster, LGBMModel
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.ensemble._forest import BaseForest
from sklearn.ensemble._gb import BaseGradientBoosting
from sklearn.neighbors import BallTree, KDTree
from sklearn.tree import BaseDecisionTree
from sklearn.tree._tree import Tree

STRUCTURE = slice(1, 7)  # of the state of a tree of neighbours: order of rows, nodes, bounds, leaf size, levels


def check_trees(estimator: object) -> None:
    """Check every tree that an estimator holds, at any depth.

    scikit-learn's compiled code trusts these arrays: a child that points back makes `predict` loop for ever, a feature,
    child or row out of range reads foreign memory. Trees that pass do none of these. That their numbers are those of
    the fit is not checked here.

    Parameters
    ----------
    estimator : object
        `Tree` of decision trees, forests and gradient boosting, the nodes of histogram gradient boosting,
        `KDTree` and `BallTree` of nearest neighbours, and the number of features of LightGBM's estimators.

    Raises
    ------
    ValueError
    """
    for part in _parts(estimator):
        match part:
            case Tree():
                _check_tree(part)
            case KDTree() | BallTree():
                _check_neighbours(part)
            case BaseDecisionTree(tree_=tree):
                _check_features(part, [tree.n_features])
            case BaseForest(estimators_=trees):
                _check_features(part, [tree.n_features_in_ for tree in trees])
            case BaseGradientBoosting(estimators_=trees):
                _check_features(part, [tree.n_features_in_ for tree in trees.flat])
                if trees.shape[1] != part.n_trees_per_iteration_:
                    raise ValueError(f"{trees.shape[1]} trees for each iteration, not {part.n_trees_per_iteration_}")
            case HistGradientBoostingClassifier(_predictors=_) | HistGradientBoostingRegressor(_predictors=_):
                _check_histogram_boosting(part)
            case LGBMModel(_Booster=Booster() as booster):
                _check_features(part, [booster.num_feature()])


def _parts(estimator: object) -> Iterator[object]:
    """Yield an object and all that it holds, each once."""
    waiting, seen = [estimator], {id(estimator): estimator}
    while waiting:
        part = waiting.pop()
        yield part
        for held in _held(part):
            if id(held) not in seen:
                seen[id(held)] = held
                waiting.append(held)


def _held(part: object) -> list[Any]:
    if isinstance(part, Mapping):
        return [*part.keys(), *part.values()]
    if isinstance(part, list | tuple | set | frozenset):
        return [*part]
    if isinstance(part, np.ndarray):
        return [*part.flat] if part.dtype == object else []
    return [*getattr(part, "__dict__", {}).values()]


def _check_features(owner: Any, counts: list[int]) -> None:
    """Check that an estimator's trees read as many features as `predict` admits."""
    if set(counts) != {owner.n_features_in_}:
        raise ValueError(
            f"{type(owner).__name__} of {owner.n_features_in_} features has trees of {sorted(set(counts))}"
        )


def _check_tree(tree: Any) -> None:
    if not 1 <= tree.node_count <= tree.capacity:  # its arrays end at the capacity
        raise ValueError(f"a tree of {tree.node_count} nodes, with room for {tree.capacity}")
    left, right = tree.children_left, tree.children_right
    _check_nodes(left, right, tree.feature, left == -1, tree.n_features)


def _check_histogram_boosting(boosting: Any) -> None:
    n_features = boosting.n_features_in_
    is_categorical = np.zeros(n_features, dtype=bool)
    if (mapper := getattr(boosting, "_bin_mapper", None)) is not None:
        is_categorical = np.asarray(mapper.is_categorical_, dtype=bool)
    if len(is_categorical) != n_features:
        raise ValueError(f"bins of {len(is_categorical)} features, not {n_features}")
    for predictor in (predictor for of_iteration in boosting._predictors for predictor in of_iteration):
        nodes = predictor.nodes
        if not len(nodes):
            raise ValueError("a tree without nodes")
        _check_nodes(
            nodes["left"].astype(int),
            nodes["right"].astype(int),
            nodes["feature_idx"].astype(int),
            nodes["is_leaf"].astype(bool),
            n_features,
        )
        splits = nodes[nodes["is_categorical"].astype(bool) & ~nodes["is_leaf"].astype(bool)]
        bitsets = predictor.raw_left_cat_bitsets
        if not (is_categorical[splits["feature_idx"]].all() and (splits["bitset_idx"] < len(bitsets)).all()):
            raise ValueError("a split by categories that do not exist")
        if len(splits) and bitsets.shape[1:] != (8,):
            raise ValueError(f"bits of categories of shape {bitsets.shape}")


def _check_nodes(
    left: np.ndarray, right: np.ndarray, feature: np.ndarray, is_leaf: np.ndarray, n_features: int
) -> None:
    """Check that splits read features that exist, and each node but the first has one parent, of a lower number."""
    splits = np.flatnonzero(~is_leaf)
    children = np.stack([left[splits], right[splits]])
    if not ((feature[splits] >= 0) & (feature[splits] < n_features)).all():
        raise ValueError(f"a tree splits a feature that does not exist, of {n_features}")
    if not np.array_equal(np.sort(children, axis=None), np.arange(1, len(left))) or (children <= splits).any():
        raise ValueError("the branches of a tree do not form a tree")


def _check_neighbours(tree: Any) -> None:
    """Check that a tree of neighbours is the one that its rows give: it is built without draws."""
    state = tree.__getstate__()
    rows, leaf_size, metric, weights = state[0], state[4], state[11], state[12]
    built = type(tree)(rows, leaf_size=leaf_size, metric=metric, sample_weight=weights).__getstate__()
    if not all(np.array_equal(a, b) for a, b in zip(state[STRUCTURE], built[STRUCTURE], strict=True)):
        raise ValueError("a tree of neighbours is not that of its rows")
