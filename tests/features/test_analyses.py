"""Frames of slow analyses: computed once for the same content, settings and code, and anew where a file was damaged."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from features.analyses import ANALYSES, kept

ROWS = pd.DataFrame({"x": [0.1, 0.2], "word": ["a", "b"]}, index=pd.Index(["1", "2"], name="customer_id"))


@pytest.fixture
def analysis(tmp_path: Path):
    """`analysis(rows, seed)`: the kept frame and how often one was computed so far; its code is in `code`."""
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "method.py").write_text("one = 1\n")
    computed = []

    def ask(rows: pd.DataFrame, seed: int = 0, digest: str = "0" * 64) -> tuple[pd.DataFrame, int]:
        def compute() -> pd.DataFrame:
            computed.append(seed)
            return pd.DataFrame({"value": rows["x"] / 3 + seed}).rename_axis("customer_id")

        given = [rows, rows["x"], seed]
        frame = kept("thirds", given, compute, code=tmp_path / "code", cache=tmp_path / "cache", digest=digest)
        return frame, len(computed)

    return ask


def test_a_frame_is_computed_once_for_the_same_content_settings_data_and_code(analysis, tmp_path: Path) -> None:
    first, _ = analysis(ROWS)
    again, times = analysis(ROWS.copy())
    pd.testing.assert_frame_equal(again, first, check_exact=True)
    assert times == 1
    assert again["value"].tolist() == [0.1 / 3, 0.2 / 3]
    changed = [
        ROWS.assign(x=[0.1, 0.2000000001]),
        ROWS.assign(word=["a", "c"]),
        ROWS.set_axis(["1", "3"]),
        ROWS.rename(columns={"word": "text"}),
        ROWS.assign(x=ROWS["x"].astype("float32")),
    ]
    for number, rows in enumerate(changed, start=2):
        assert analysis(rows)[1] == number
    assert analysis(ROWS, seed=1)[1] == 7
    assert analysis(ROWS, digest="1" * 64)[1] == 8
    (tmp_path / "code" / "method.py").write_text("one = 2\n")
    assert analysis(ROWS)[1] == 9
    assert analysis(ROWS)[1] == 9


def test_a_damaged_frame_is_computed_anew(analysis, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    first, _ = analysis(ROWS)
    (file,) = (tmp_path / "cache" / ANALYSES).rglob("*.parquet")
    file.write_bytes(file.read_bytes()[:-10])
    again, times = analysis(ROWS)
    pd.testing.assert_frame_equal(again, first, check_exact=True)
    assert times == 2
    assert "not as they were written" in caplog.text
