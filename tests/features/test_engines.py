"""Promises that every engine keeps, and mistakes that it refuses before work begins."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from simulated import CUTOFF, engine, open_shop, simulate

from features import engines, memory
from features.engines import Remembering, batches, open_engine
from features.errors import InputError
from features.snapshot import combinations, snapshot
from features.writing import replacing

SPARK = {"master": "local[2]", "driver_memory": "1g", "shuffle_partitions": 2}


def test_a_function_of_rows_sees_every_row_once_and_in_order(tmp_path, monkeypatch):
    monkeypatch.setattr(engines, "BATCH_ROWS", 700)
    rows = pa.table({"row": np.arange(10_000), "twice": 2.0 * np.arange(10_000)})
    pq.write_table(rows, tmp_path / "rows.parquet", row_group_size=1_000)
    sizes = []

    def half(batch: pa.RecordBatch) -> pa.RecordBatch:
        sizes.append(batch.num_rows)
        return pa.RecordBatch.from_pydict({"row": batch["row"], "half": pa.compute.divide(batch["twice"], 4.0)})

    made = pa.Table.from_batches(
        engine(tmp_path).map(half, tmp_path / "rows.parquet", half(rows.to_batches()[0]).schema)
    )
    assert max(sizes[1:]) <= 700
    pd.testing.assert_frame_equal(
        made.to_pandas(), pd.DataFrame({"row": np.arange(10_000), "half": np.arange(10_000) / 2})
    )


def test_a_name_that_is_read_again_has_its_new_rows_also_where_frames_are_remembered(tmp_path):
    asked = Remembering(engine(tmp_path))
    for value in (1.0, 2.0):
        path = tmp_path / f"{value}.parquet"
        pq.write_table(pa.table({"T": [value, value]}), path)
        found = combinations(path, ["T"], asked)
        assert found.to_dict("list") == {"T": [value], "customers": [2]}


def test_a_folder_takes_its_place_whole_and_is_read_in_the_order_of_its_files(tmp_path):
    def write(folder, *firsts):
        folder.mkdir()
        for first in firsts:
            pq.write_table(pa.table({"row": [first, first + 1]}), folder / f"part-{first}.parquet")

    path = tmp_path / "rows"
    write(path, 8)
    with pytest.raises(TypeError), replacing(path) as partial:
        write(partial, 0, "no number")
    assert [batch["row"].to_pylist() for batch in batches(path)] == [[8, 9]]
    with replacing(path) as partial:  # another process was first
        write(partial, 0)
    assert [batch["row"].to_pylist() for batch in batches(path)] == [[8, 9]]
    with replacing(tmp_path / "more") as partial:
        write(partial, 2, 0)
    assert [row for batch in batches(tmp_path / "more") for row in batch["row"].to_pylist()] == [0, 1, 2, 3]
    assert sorted(tmp_path.iterdir()) == [tmp_path / "more", path]


def test_memory_is_asked_before_rows_are_gathered(tmp_path, monkeypatch):
    on = engine(tmp_path)
    tables = open_shop(simulate(0), tmp_path, on)
    kept = {"cache": tmp_path / "cache", "digest": "1"}
    whole = snapshot(tables, ["frequency", "T"], [CUTOFF], on, **kept)
    monkeypatch.setattr(memory, "available_memory", lambda: len(whole) * (2 * 48 + 200) - 1)
    monkeypatch.setattr(pd, "read_parquet", lambda *_, **__: pytest.fail("rows were gathered"))
    with pytest.raises(InputError, match=f"{len(whole)} rows of 2 features do not fit into memory"):
        snapshot(tables, ["frequency", "T"], [CUTOFF], on, **kept)


def test_available_memory_is_that_of_the_container(tmp_path, monkeypatch):
    free = memory.available_memory()
    assert free > 0
    monkeypatch.setattr(memory, "GROUP", tmp_path)
    (tmp_path / "memory.max").write_text("max\n")
    (tmp_path / "memory.current").write_text("300000000\n")
    (tmp_path / "memory.stat").write_text("anon 200000000\ninactive_file 100000000\n")
    assert memory.available_memory() > 800_000_000
    (tmp_path / "memory.max").write_text("1000000000\n")
    assert memory.available_memory() == 800_000_000


def test_spark_says_what_is_missing(tmp_path, monkeypatch):
    monkeypatch.setattr(engines, "find_spec", lambda name: None)
    with pytest.raises(InputError, match="package that is not installed") as refused:
        open_engine("spark", **SPARK)
    assert "requirements-spark.lock" in refused.value.hint
    monkeypatch.setattr(engines, "find_spec", lambda name: object())
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    with pytest.raises(InputError, match="needs Java 17") as refused:
        open_engine("spark", **SPARK)
    assert "openjdk-17" in refused.value.hint
    with pytest.raises(InputError, match="did you mean 'master'"):
        open_engine("spark", **SPARK, maste="local[2]")


@pytest.mark.slow
def test_engines_with_one_folder_spill_beside_each_other_and_a_killed_ones_files_go(tmp_path):
    def spilling() -> engines.DuckDB:
        made = engines.DuckDB(threads=1, memory_limit="100MiB", temp_directory=str(tmp_path / "spill"))
        made.connection.raw_sql("CREATE TABLE drawn AS SELECT random() AS r FROM range(20000000)")
        return made

    left = tmp_path / "spill" / "0123"
    left.mkdir(parents=True)
    left.with_suffix(".lock").touch()  # which nobody holds
    both = [spilling(), spilling()]
    assert not left.exists()
    assert len([path for path in (tmp_path / "spill").iterdir() if path.is_dir()]) == 2
    for one in both:
        assert one.connection.raw_sql("SELECT count(*) FROM drawn WHERE r BETWEEN 0 AND 1").fetchone() == (20_000_000,)
        one.connection.disconnect()
    del one, both
    assert not list((tmp_path / "spill").iterdir())
