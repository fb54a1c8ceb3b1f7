"""Requests of a scoring server: any that is read is right, any other is refused in words."""

from __future__ import annotations

import json
import random
from typing import Any

import pandas as pd
import pytest

from experiments.tracking.packaging import limits_of, synthetic_rows
from experiments.tracking.requests import FORMS, Limits, RequestError, check_limits, read_rows
from features.families.registry import feature_families, feature_ranges

FEATURES = ["frequency", "recency", "T", "weekend_share"]
GOOD = {"frequency": 2.0, "recency": 30.0, "T": 60.0, "weekend_share": 0.5}
LIMITS = Limits(**limits_of(FEATURES))  # type: ignore[arg-type]
JSON, CSV = "application/json", "text/csv"
ODD: list[Any] = [
    None, "", "3", "abc", True, False, [], [1], {}, {"a": 1}, -1, 1.5, 1e308, 10**400, -0.0, 0, 61, "\u0000", "1e5",
]  # fmt: skip


def split(columns: list[str], *rows: list[Any], **more: Any) -> str:
    return json.dumps({"dataframe_split": {"columns": columns, "data": list(rows), **more}})


def refused(body: bytes | str, kind: str = JSON) -> str:
    with pytest.raises(RequestError) as caught:
        read_rows(body, kind, FEATURES, LIMITS)
    return str(caught.value)


def read_or_refused(body: str) -> tuple[pd.DataFrame | None, str]:
    try:
        return read_rows(body, JSON, FEATURES, LIMITS), ""
    except RequestError as error:
        return None, str(error)


ROW = list(GOOD.values())


@pytest.mark.parametrize(
    ("body", "kind", "words"),
    [
        (split(FEATURES, ROW, index=[0, 1]), JSON, "the index has 2 entries, and there are 1 rows"),
        (split([*FEATURES, "T"], [*ROW, 9]), JSON, "'T' is named twice"),
        (split(FEATURES, [*ROW, 9]), JSON, "row 0 has 5 values, and there are 4 columns"),
        (split(FEATURES), JSON, "no rows"),
        ('{"dataframe_records": []}', JSON, "no rows"),
        ('{"inputs": {"T": [1, 2], "recency": [1]}}', JSON, "different lengths: 1, 2"),
        ('{"inputs": [{"T": 1, "T": 2}]}', JSON, "'T' is named twice"),
        ('{"inputs": [{"T": NaN}]}', JSON, "NaN is not a number"),
        ('{"inputs": [[1, 2, 3, 4]]}', JSON, "list of objects"),
        ('{"inputs": [], "instances": []}', JSON, "one of the keys"),
        ("7", JSON, "one of the keys"),
        ("{", JSON, "not valid JSON"),
        ("[" * 10**6, JSON, "nested too deeply"),
        ('{"inputs": [{"T": ' + "9" * 10**6 + "}]}", JSON, "too many digits"),
        (b"\xff", JSON, "not encoded in UTF-8"),
        ("frequency,recency,T,weekend_share\n2,30,60,0.5,1", CSV, "row 0 has 5 values"),
        ("frequency,recency,T,weekend_share,T\n2,30,60,0.5,1", CSV, "'T' is named twice"),
        ("frequency,recency,T,weekend_share\n2,30,60,x", CSV, "weekend_share must be a finite number, but is 'x'"),
        ("frequency,recency,T,weekend_share\n2,30,60,true", CSV, "must be a finite number, but is 'true'"),
        ("frequency,recency,T,weekend_share\n2,30,60,", CSV, "weekend_share must be a finite number, but is null"),
        ("frequency,recency,T,weekend_share\n2,30,60,1e999", CSV, "weekend_share must be a finite number"),
        ("frequency,recency,T\n2,30,60", CSV, "missing: weekend_share"),
        ("frequency,recency,T,weekend_share\n", CSV, "no rows"),
        ("", CSV, "empty"),
        ('a,"b', CSV, "not valid CSV"),
        (split(FEATURES, ROW, [2, 30, 60, 1.2]), JSON, "weekend_share must be 0 to 1, but is 1.2 in row 1"),
        (split(FEATURES, [-1, 30, 60, 0]), JSON, "frequency must be at least 0, but is -1 in row 0"),
        (split(FEATURES, [2, 61, 60, 0]), JSON, "recency must be at most T, but is 61 where T is 60 in row 0"),
        (split(FEATURES, [0, 9, 60, 0]), JSON, "recency must be 0 where frequency is 0, but is 9 in row 0"),
        (split(FEATURES, [4, 3, 60, 0]), JSON, "frequency must be at most recency"),
    ],
)  # fmt: skip
def test_a_request_that_cannot_be_answered_is_refused_in_words(body: bytes | str, kind: str, words: str) -> None:
    assert words in refused(body, kind)


def test_every_form_gives_the_same_rows() -> None:
    rows = [GOOD, {**GOOD, "weekend_share": 1}]
    values = [list(row.values()) for row in rows]
    lines = "\n".join([",".join(FEATURES), *(",".join(map(str, each)) for each in values)])
    bodies = [json.dumps({form: rows}) for form in FORMS[1:]]
    bodies += [split(FEATURES, *values), split(FEATURES, *values, index=["a", "b"])]
    bodies += [json.dumps({"inputs": {name: [row[name] for row in rows] for name in FEATURES}})]
    read = [read_rows(body, JSON, FEATURES, LIMITS) for body in bodies]
    read += [read_rows(f"\ufeff{lines}\n\n".encode(), "text/csv; charset=utf-8", FEATURES, LIMITS)]
    expected = pd.DataFrame(rows, dtype=float)
    for each in read:
        pd.testing.assert_frame_equal(each, expected)


def test_the_key_of_a_row_is_read_as_it_was_written() -> None:
    line = ",".join(map(str, ROW))
    bodies = [(split(["customer_id", *FEATURES], ["0042", *ROW], [7, *ROW]), JSON, ["0042", 7])]
    bodies += [(f"\ufeffcustomer_id,{','.join(FEATURES)}\n0042,{line}\n7,{line}", CSV, ["0042", "7"])]
    for body, kind, names in bodies:
        read = read_rows(body, kind, FEATURES, LIMITS, ["customer_id", "product_id"])
        assert list(read.index.to_frame().columns) == ["customer_id"]
        assert list(read.index.get_level_values("customer_id")) == names
        assert (read == ROW).all(axis=None)
    with pytest.raises(RequestError, match="customer_id must be a text or a whole number, but is a list in row 0"):
        read_rows(split(["customer_id", *FEATURES], [[1], *ROW]), JSON, FEATURES, LIMITS, ["customer_id"])


@pytest.mark.parametrize("seed", range(20))
def test_what_is_read_of_random_requests_is_what_was_sent(seed: int) -> None:
    """50 requests with one or two odd parts each: the rows are those that were sent, or the refusal has words alone."""
    rng = random.Random(seed)
    for _ in range(50):
        columns, rows = list(FEATURES), [list(ROW) for _ in range(rng.randrange(4))]
        for _ in range(rng.randrange(3)):
            part = rng.choice(["value", "value", "longer", "shorter", "column", "order"])
            row = rng.choice(rows) if rows else []
            if part == "value" and row:
                row[rng.randrange(len(row))] = rng.choice(ODD)
            elif part == "longer":
                row.append(rng.choice(ODD))
            elif part == "shorter" and row:
                row.pop()
            elif part == "column":
                columns[rng.randrange(len(columns))] = rng.choice([*FEATURES, "customer_id", ""])
            else:
                rng.shuffle(columns)
        body = split(columns, *rows)
        read, message = read_or_refused(body)
        if read is None:
            assert 0 < len(message) < 200
            assert "/" not in message
            continue
        sent = [dict(zip(columns, row, strict=True)) for row in rows]
        assert read.to_dict("records") == [{name: row[name] for name in FEATURES} for row in sent]
        assert all(
            isinstance(row[name], int | float) and not isinstance(row[name], bool) for row in sent for name in FEATURES
        )
        assert ((read["recency"] <= read["T"]) & read["weekend_share"].between(0, 1)).all()


def test_the_example_of_every_feature_is_one_that_is_answered() -> None:
    names = list(feature_families())
    rows = synthetic_rows(names)
    check_limits(rows, Limits(**limits_of(names)))  # type: ignore[arg-type]
    assert feature_ranges(names).keys() == set(names)
