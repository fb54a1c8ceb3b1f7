"""Frames of slow analyses, kept in the cache: computed once for the same data, settings, code and libraries."""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from time import perf_counter

import pandas as pd

from features.checksums import NAME as CHECKSUM
from features.checksums import checksum, is_whole, short_digest
from features.writing import replacing

logger = logging.getLogger(__name__)

ANALYSES = "analyses"  # folder of the cache: a folder for each digest of data in it
LIBRARIES = ("lightgbm", "numpy", "pandas", "scikit-learn", "scipy")


def kept(
    name: str,
    depends_on: Sequence[object],
    compute: Callable[[], pd.DataFrame],
    *,
    code: Path,
    cache: Path,
    digest: str,
) -> pd.DataFrame:
    """Compute a frame, or read it where it was computed before from the same.

    Parameters
    ----------
    name : str
        Of the analysis, for the log and the file.
    depends_on : sequence of object
        All that the frame depends on beside code and libraries: frames and series by their content, other values by
        their text in JSON.
    compute : callable
        The same frame each time; its columns are named by texts.
    code : Path
        Folder of the Python files that compute it.
    cache : Path
    digest : str
        Of the shop's data: `experiments clean` removes what is of data that are not staged any more.
    """
    parts = [name, *map(_content, depends_on), _code(code), *(f"{each} {version(each)}" for each in LIBRARIES)]
    key = hashlib.sha256("\n".join(parts).encode()).hexdigest()[:24]
    path = cache / ANALYSES / short_digest(digest) / key / f"{name}.parquet"
    if not is_whole(path):
        if path.parent.exists():
            logger.warning("%s: the files in %s are not as they were written; computed anew", name, path.parent)
            shutil.rmtree(path.parent)
        started = perf_counter()
        frame = compute()
        with replacing(path.parent) as partial:
            partial.mkdir(parents=True)
            frame.to_parquet(partial / path.name)
            (partial / CHECKSUM).write_text(checksum(partial / path.name), encoding="utf-8")
        logger.info("%s computed in %.1f s", name, perf_counter() - started)
    return pd.read_parquet(path)


def _content(value: object) -> str:
    """Return a text that stands for a value; of rows a digest of their index, names, types and values."""
    if isinstance(value, pd.Series):
        return _content(value.to_frame(str(value.name)))
    if isinstance(value, pd.DataFrame):
        digest = hashlib.sha256(pd.util.hash_pandas_object(value).to_numpy().tobytes())
        digest.update(repr([(str(column), str(kind)) for column, kind in value.dtypes.items()]).encode())
        return digest.hexdigest()
    return json.dumps(value, sort_keys=True, default=str)


def _code(folder: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*.py")):
        digest.update(path.relative_to(folder).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()
