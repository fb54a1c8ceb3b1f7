"""The values that families declare: those of simulated customers lie within, whether returns reduce spend or not."""

from __future__ import annotations

import pytest
from simulated import CUTOFF, engine, open_shop, simulate

from features.families import FAMILIES
from features.families.registry import feature_families, feature_ranges
from features.grains import CUSTOMER
from features.snapshot import feature_rows
from features.tables import GROSS, NET


@pytest.mark.parametrize("spend", [pytest.param(GROSS, marks=pytest.mark.slow), NET])
def test_features_lie_in_their_ranges(tmp_path, spend):
    on = engine(tmp_path)
    past = open_shop(simulate(seed=4), tmp_path, on, spend).as_of(CUTOFF)
    names = [name for name, family in feature_families().items() if family.grain == CUSTOMER]
    rows = on.frame(feature_rows(past, names))
    assert len(rows) > 30
    for name, (low, high) in feature_ranges(names).items():
        assert low is None or rows[name].min() >= low, name
        assert high is None or rows[name].max() <= high, name
    for family in FAMILIES.values():
        for smaller, larger in family.at_most:
            assert (rows[smaller] <= rows[larger]).all(), (smaller, larger)
        for first, second in family.zero_with:
            assert (rows[second][rows[first] == 0] == 0).all(), (first, second)
            assert (rows[first] == 0).any()


def test_ranges_are_of_features_that_there_are():
    for family in FAMILIES.values():
        assert family.ranges.keys() <= family.features.keys()
        assert {name for pair in (*family.at_most, *family.zero_with) for name in pair} <= family.features.keys()
