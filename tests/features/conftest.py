"""The real shops, staged once per session."""

import pytest

from features.engines import open_engine
from features.sources import stage
from online_retail import data_config


@pytest.fixture(scope="session")
def session_cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def complete_journey(session_cache):
    """The Complete Journey, staged whole."""
    return stage(data_config("complete_journey"), session_cache)


@pytest.fixture(scope="session")
def cdnow(session_cache):
    """CDNOW's 1/10 sample, staged."""
    return stage(data_config("cdnow"), session_cache)


@pytest.fixture
def engine(tmp_path):
    return open_engine("duckdb", threads=2, memory_limit="2GiB", temp_directory=str(tmp_path / "spill"))
