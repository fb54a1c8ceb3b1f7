"""Texts of LightGBM's trees: a damaged one is refused, and never ends the process or loops."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from experiments.models import LightGBMSpend
from experiments.models.booster_text import check_booster
from features.errors import InputError

FEATURES = ["frequency", "recency", "T"]


@pytest.fixture(scope="module")
def fitted() -> LightGBMSpend:
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.random((200, 3)), columns=FEATURES)
    X = X.mask(rng.random(X.shape) < 0.2)  # a threshold that separates missing values is infinite
    return LightGBMSpend(n_estimators=5, num_leaves=4, min_child_samples=5).fit(X, X.sum(axis=1))


@pytest.fixture(scope="module")
def text(fitted: LightGBMSpend) -> str:
    return fitted.get_state()["booster"]


def resized(text: str, old: str, new: str) -> str:
    """Replace a part of the first tree, and the first size with it."""
    size = int(text.partition("tree_sizes=")[2].split(" ")[0])
    changed = text.replace(old, new, 1)
    assert changed != text
    return changed.replace(f"tree_sizes={size} ", f"tree_sizes={size + len(new) - len(old)} ", 1)


def line(text: str, name: str) -> str:
    return next(each for each in text.split("\n") if each.startswith(f"{name}="))


@pytest.mark.parametrize(
    ("damage", "found"),
    [
        (lambda text: text[: text.index("Tree=2") + 100], "tree 2 does not stand where tree_sizes says"),
        (lambda text: text[: text.index("Tree=0")], "no head"),
        (lambda text: text.replace("end of trees", "Tree=5"), "no end of trees"),
        (lambda text: text.replace("num_tree_per_iteration=1", "num_tree_per_iteration=0"), "not 1"),
        (lambda text: text.replace("leaf_value", "leaf\0value"), "characters"),
        (lambda text: resized(text, line(text, "left_child"), "left_child=0 -2 -1"), "do not form a tree"),
        (lambda text: resized(text, line(text, "right_child"), "right_child=1 -3 -999"), "do not form a tree"),
        (lambda text: resized(text, line(text, "split_feature"), "split_feature=0 1 3"), "does not exist"),
        (lambda text: resized(text, line(text, "split_feature"), "split_feature=0 1"), "2 values, not 3"),
        (lambda text: resized(text, line(text, "decision_type"), "decision_type=1 2 2"), "than numeric"),
        (lambda text: resized(text, "num_cat=0", "num_cat=1"), "not a numeric tree"),
        (lambda text: resized(text, "leaf_value=", "leaf_value=x"), "not a number"),
        (lambda text: resized(text, line(text, "leaf_value"), "leaf_value=1e999 1 1 1"), "not finite"),
        (lambda text: resized(text, "is_linear=0", "is_linear=0\nis_linear=0"), "a field twice"),
        (lambda text: resized(text, "shrinkage=1", "shrink=1"), "other fields"),
    ],
)
def test_a_damaged_text_is_refused_before_lightgbm_reads_it(
    text: str, damage: Callable[[str], str], found: str
) -> None:
    check_booster(text, 3)
    with pytest.raises(InputError) as refused:
        check_booster(damage(text), 3)
    assert found in (refused.value.found or "")


@pytest.mark.slow
def test_no_random_damage_ends_the_process_or_loops(fitted: LightGBMSpend) -> None:
    """1,500 texts with characters changed, cut out or repeated: each predicts, or is refused in words."""
    script = (
        "import json, random, sys\n"
        "import numpy as np\n"
        "from experiments.models import LightGBMSpend\n"
        "from features.errors import InputError\n"
        "state, rng, read = json.load(sys.stdin), random.Random(0), 0\n"
        "text, X = state['booster'], np.random.default_rng(0).random((20, 3))\n"
        "state['feature_names'] = []\n"
        "for _ in range(1500):\n"
        "    at = rng.randrange(text.index('feature_importances'))\n"
        "    end = at + rng.choice([1, 1, 1, 2, 30])\n"
        "    new = rng.choice([text[at:end] * 2, '', str(rng.randrange(10)), '-', ' ', '\\n', '=', 'e', '\\0', 'é'])\n"
        "    try:\n"
        "        LightGBMSpend().set_state({**state, 'booster': text[:at] + new + text[end:]}).predict(X)\n"
        "        read += 1\n"
        "    except InputError:\n"
        "        pass\n"
        "print(read)\n"
    )
    state = pd.Series(fitted.get_state()).to_json()
    done = subprocess.run(
        [sys.executable, "-c", script], input=state, capture_output=True, text=True, errors="replace", timeout=60
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert 0 < int(done.stdout.splitlines()[-1]) < 1500  # LightGBM prints too
