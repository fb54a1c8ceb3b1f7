"""Trees of stored estimators: damaged arrays are refused, and never end the process or loop."""

from __future__ import annotations

import base64
import io
import json
import subprocess
import sys
import zipfile
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from lightgbm import LGBMRegressor
from sklearn.base import clone
from sklearn.ensemble import GradientBoostingRegressor, HistGradientBoostingRegressor, RandomForestRegressor
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.tree import DecisionTreeRegressor

from experiments.models.booster_text import CheckedBooster
from experiments.models.fitted_trees import check_trees
from experiments.models.stored import restore, store
from features.errors import InputError

rng = np.random.default_rng(0)
X = rng.random((300, 3))
WIDER = rng.random((300, 5))
Y = X.sum(axis=1)


def nodes(field: str, value: int, at: int = 0) -> Callable[[Any], None]:
    """Change a field of one node of a decision tree."""

    def damage(estimator: Any) -> None:
        state = estimator.tree_.__getstate__()
        state["nodes"][field][at] = value
        estimator.tree_.__setstate__(state)

    return damage


def wider_tree(estimator: Any) -> None:
    estimator.tree_ = DecisionTreeRegressor().fit(WIDER, Y).tree_


def wider_member(estimator: Any) -> None:
    estimator.estimators_.flat[0] = DecisionTreeRegressor().fit(WIDER, Y)


def wider_tree_of_a_forest(estimator: Any) -> None:
    estimator.estimators_[1] = DecisionTreeRegressor().fit(WIDER, Y)


def twice_the_trees(estimator: Any) -> None:
    estimator.estimators_ = np.tile(estimator.estimators_, 2)


def predictor(field: str, value: int) -> Callable[[Any], None]:
    """Change a field of the first node of a histogram boosting."""

    def damage(estimator: Any) -> None:
        estimator._predictors[1][0].nodes[field][0] = value

    return damage


def rows_of_neighbours(estimator: Any) -> None:
    estimator._tree.__getstate__()[1][0] = 10**9


def ends_of_neighbours(estimator: Any) -> None:
    estimator._tree.__getstate__()[2]["idx_end"][-1] = 10**9


TREE, FOREST = DecisionTreeRegressor(random_state=0), RandomForestRegressor(5, random_state=0)
BOOSTING, HISTOGRAMS = GradientBoostingRegressor(n_estimators=5), HistGradientBoostingRegressor(max_iter=5)
NEIGHBOURS = KNeighborsRegressor(algorithm="kd_tree")


@pytest.mark.parametrize(
    ("estimator", "damage", "found"),
    [
        (TREE, nodes("feature", 2_000_000_000), "a feature that does not exist"),
        (TREE, nodes("feature", -5), "a feature that does not exist"),
        (TREE, nodes("left_child", 0), "do not form a tree"),
        (TREE, nodes("right_child", 10**9), "do not form a tree"),
        (TREE, nodes("left_child", -7), "do not form a tree"),
        (TREE, wider_tree, "3 features has trees of [5]"),
        (FOREST, wider_tree_of_a_forest, "3 features has trees of [3, 5]"),
        (BOOSTING, wider_member, "3 features has trees of [3, 5]"),
        (BOOSTING, twice_the_trees, "2 trees for each iteration, not 1"),
        (HISTOGRAMS, predictor("feature_idx", 3), "a feature that does not exist"),
        (HISTOGRAMS, predictor("left", 0), "do not form a tree"),
        (HISTOGRAMS, predictor("right", 2**31), "do not form a tree"),
        (HISTOGRAMS, predictor("is_categorical", 1), "categories that do not exist"),
        (NEIGHBOURS, rows_of_neighbours, "not that of its rows"),
        (NEIGHBOURS, ends_of_neighbours, "not that of its rows"),
    ],
)
def test_arrays_that_read_foreign_memory_or_loop_are_refused(
    estimator: Any, damage: Callable[[Any], None], found: str
) -> None:
    fitted = clone(estimator).fit(X, Y)
    assert np.array_equal(restore(store(fitted), estimator).predict(X), fitted.predict(X))
    damage(fitted)
    for whole in (fitted, make_pipeline(fitted)):
        with pytest.raises(InputError) as refused:
            restore(store(whole), whole)
        assert found in (refused.value.found or "")


def test_a_tree_of_more_nodes_than_it_has_is_refused() -> None:
    tree = clone(TREE).fit(X, Y)
    tree.tree_.__setstate__({**tree.tree_.__getstate__(), "node_count": 10**9})
    with pytest.raises(ValueError, match="1000000000 nodes"):
        check_trees(tree)


@pytest.mark.parametrize(
    ("damage", "found"),
    [
        (lambda text: text.replace("max_feature_idx=2", "max_feature_idx=1"), "splits a feature that does not exist"),
        (lambda text: text[: len(text) // 2], "does not stand where tree_sizes says"),
        (lambda text: text.replace("max_feature_idx=", "maximum="), "max_feature_idx=None"),
    ],
)
def test_the_text_of_a_booster_is_checked_before_lightgbm_reads_it(damage: Callable[[str], str], found: str) -> None:
    fitted = make_pipeline(LGBMRegressor(n_estimators=10, verbosity=-1)).fit(X, Y)
    stored = store(fitted)
    again = restore(stored, fitted)
    assert np.array_equal(again.predict(X), fitted.predict(X))
    assert np.array_equal(restore(store(again), fitted).predict(X), fitted.predict(X))

    with pytest.raises(ValueError, match="not restored from its state"):  # skops can also call a class
        CheckedBooster(None, None, "model.txt")

    def damaged(node: dict[str, Any]) -> dict[str, Any]:
        is_text = node.get("__loader__") == "JsonNode" and str(node["content"]).startswith('"tree\\n')
        return {**node, "content": json.dumps(damage(json.loads(node["content"])))} if is_text else node

    changed = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(base64.b64decode(stored["content"]))) as given,
        zipfile.ZipFile(changed, "w") as made,
    ):
        for name in given.namelist():
            part = given.read(name).decode("latin-1")
            if name == "schema.json":
                part = json.dumps(json.loads(part, object_hook=damaged))
            made.writestr(name, part.encode("latin-1"))
    with pytest.raises(InputError) as refused:
        restore({**stored, "content": base64.b64encode(changed.getvalue()).decode()}, fitted)
    assert found in (refused.value.found or "")


@pytest.mark.slow
def test_no_random_damage_ends_the_process_or_loops() -> None:
    """900 fits with bytes of their nodes changed: each predicts, or is refused in words."""
    script = (
        "import numpy as np\n"
        "from sklearn.ensemble import HistGradientBoostingRegressor\n"
        "from sklearn.neighbors import KNeighborsRegressor\n"
        "from sklearn.tree import DecisionTreeRegressor\n"
        "from experiments.models.fitted_trees import check_trees\n"
        "rng, read = np.random.default_rng(0), 0\n"
        "X = rng.random((100, 3))\n"
        "y = X.sum(axis=1)\n"
        "tree, boosting, near = DecisionTreeRegressor(max_depth=4), HistGradientBoostingRegressor(max_iter=1), "
        "KNeighborsRegressor(algorithm='ball_tree', leaf_size=5)\n"
        "for estimator in (tree, boosting, near):\n"
        "    estimator.fit(X, y)\n"
        "whole, predictor, found = tree.tree_.__getstate__(), boosting._predictors[0][0], near._tree.__getstate__()\n"
        "nodes = [whole['nodes'], predictor.nodes, found[2]]\n"
        "for turn in range(900):\n"
        "    kind = turn % 3\n"
        "    changed = nodes[kind].copy()\n"
        "    raw = changed.view(np.uint8).reshape(-1)\n"
        "    raw[rng.integers(0, len(raw), rng.integers(1, 3))] = rng.integers(0, 256)\n"
        "    if kind == 0:\n"
        "        tree.tree_.__setstate__({**whole, 'nodes': changed})\n"
        "    elif kind == 1:\n"
        "        predictor.nodes = changed\n"
        "    else:\n"
        "        near._tree.__setstate__((*found[:2], changed, *found[3:]))\n"
        "    estimator = (tree, boosting, near)[kind]\n"
        "    try:\n"
        "        check_trees(estimator)\n"
        "    except ValueError:\n"
        "        continue\n"
        "    estimator.predict(X)\n"
        "    read += 1\n"
        "print(read)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr[-2000:]
    assert 0 < int(done.stdout) < 900
