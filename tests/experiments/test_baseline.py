"""The baseline that is used where the gate promoted no model."""

from __future__ import annotations

from contextlib import nullcontext
from types import SimpleNamespace

import pytest
from hydra import compose, initialize_config_dir

from experiments.commands.compose import typed
from experiments.workflow import baseline
from experiments.workflow.session import Session
from workplace import ROOT

LIFETIME, LATELY, TOTAL = "naive_lifetime_rate", "naive_last_91_days_rate", "naive_past_total"


@pytest.fixture
def chosen(monkeypatch: pytest.MonkeyPatch):
    """Return a function that chooses a baseline by validated figures; every version exists, so none is fitted."""
    monkeypatch.setattr(baseline, "made_from", lambda session, kind, name, params: name)
    monkeypatch.setattr("experiments.tracking.store.exclusive", lambda client, name: nullcontext())
    tagged = {}
    registry = SimpleNamespace(
        find=lambda digest: SimpleNamespace(name=digest, number=1),
        tag=lambda number, tags: tagged.update(tags),
    )

    def choose(task: str, validated: dict[str, dict[str, float]], *overrides: str) -> str:
        with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
            config = typed(compose("config", [f"task={task}", *overrides]))
        session = SimpleNamespace(
            task=Session(config).task, splits=None, client=None, registered_name="shop", registry=registry
        )
        version = baseline.make_baseline(session, {}, validated, {"reason": "none was shown"})
        assert tagged == {"reason": "none was shown"}
        return version.name

    return choose


def clv(**figures: tuple[float, float]) -> dict[str, dict[str, float]]:
    return {name: {"gini": gini, "total_ratio": ratio} for name, (gini, ratio) in figures.items()}


def test_the_baseline_that_ranks_best_is_used_whatever_its_total(chosen):
    assert chosen("clv", clv(**{LIFETIME: (0.4, 1.1), LATELY: (0.9, 3.0), TOTAL: (0.8, 0.2)})) == LATELY
    assert chosen("clv", clv(**{LIFETIME: (0.5, 0.9), LATELY: (0.6, 1.2), TOTAL: (0.55, 1.0)})) == LATELY


def test_outside_the_guards_the_baseline_that_is_least_outside_is_used(chosen):
    guard = "+task.guards.total_ratio=[0.8, 1.25]"
    assert chosen("clv", clv(**{LIFETIME: (0.4, 1.1), LATELY: (0.9, 3.0), TOTAL: (0.8, 0.2)}), guard) == LIFETIME
    assert chosen("clv", clv(**{LIFETIME: (0.9, 5.0), LATELY: (0.8, 3.0), TOTAL: (0.4, 1.3)}), guard) == TOTAL
