"""The real shops, staged once for all tests."""

import pytest

from features.engines import open_engine
from features.sources import stage
from online_retail import data_config


@pytest.fixture(scope="session")
def complete_journey(shared_cache):
    """The Complete Journey, staged whole."""
    return stage(data_config("complete_journey"), shared_cache)


@pytest.fixture(scope="session")
def cdnow(shared_cache):
    """CDNOW's 1/10 sample, staged."""
    return stage(data_config("cdnow"), shared_cache)


@pytest.fixture
def engine(tmp_path):
    return open_engine("duckdb", threads=2, memory_limit="2GiB", temp_directory=str(tmp_path / "spill"))
