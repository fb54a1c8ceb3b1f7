"""Versions before they are judged or score: what their features meant when they were trained."""

from __future__ import annotations

import json
from dataclasses import replace
from unittest.mock import patch

import pytest

from experiments.gate.admission import changed_features, check_features
from experiments.tracking.registry import Version
from features.definitions import feature_hashes
from features.errors import InputError
from features.families import FAMILIES
from features.snapshot import definition_hash
from features.tables import GROSS, NET

NAMES = ["frequency", "T", "contacts"]


@pytest.fixture
def version() -> Version:
    tags = {
        "shop": "shop",
        "task": "clv",
        "features": json.dumps(NAMES),
        "feature_hash": definition_hash(NAMES),
        "feature_hashes": " ".join(feature_hashes(NAMES).values()),
    }
    return Version("shop-clv_180d", 3, "run", tags, "store")


def a_day_later(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let T count one day more."""
    family = FAMILIES["rfm"]
    longer = replace(family, build=lambda past: (table := family.build(past)).mutate(T=table["T"] + 1))
    monkeypatch.setitem(FAMILIES, "rfm", longer)


def test_a_version_knows_its_question(version: Version) -> None:
    assert (version.question, version.suffix) == ("clv_180d", "_180d")


def test_the_changed_feature_is_named(version: Version, monkeypatch: pytest.MonkeyPatch) -> None:
    assert changed_features(version, GROSS) == []
    a_day_later(monkeypatch)
    assert changed_features(version, GROSS) == ["T"]
    with pytest.raises(InputError, match=r"shop-clv_180d version 3 reads features(?s:.*)found: +T\n(?s:.*)tune first"):
        check_features(version, GROSS, "tune first")


def test_a_feature_that_is_no_longer_there_is_named(version: Version) -> None:
    with patch.dict(FAMILIES):  # which keeps their order, and the data dictionary has it
        del FAMILIES["campaigns"]
        assert changed_features(version, GROSS) == ["contacts"]


def test_a_version_of_older_stores_is_compared_as_a_whole(version: Version, monkeypatch: pytest.MonkeyPatch) -> None:
    older = replace(version, tags={name: tag for name, tag in version.tags.items() if name != "feature_hashes"})
    assert changed_features(older, GROSS) == []
    a_day_later(monkeypatch)
    assert changed_features(older, GROSS) == NAMES


def test_features_of_money_have_another_definition_where_returns_are_taken_off(version: Version) -> None:
    names = [*NAMES, "total_spend"]
    tags = {"features": json.dumps(names), "feature_hashes": " ".join(feature_hashes(names, spend=NET).values())}
    of_net = replace(version, tags=version.tags | tags)
    assert changed_features(of_net, NET) == []
    assert changed_features(of_net, GROSS) == ["total_spend"]
