"""Arrays and sparse matrices by name, in one compressed file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse

PARTS = ("data", "indices", "indptr", "shape")  # of a sparse matrix


def write_arrays(path: Path, arrays: Mapping[str, Any]) -> None:
    """Write arrays of numbers and matrices in CSR form; the same ones give the same bytes.

    Parameters
    ----------
    path : Path
        Ends in .npz.
    arrays : mapping of str to array or csr_matrix
    """
    flat: dict[str, np.ndarray[Any, Any]] = {}
    for name, value in arrays.items():
        parts = {f"{name}/{part}": getattr(value, part) for part in PARTS} if sparse.issparse(value) else {name: value}
        flat |= {key: np.asarray(part) for key, part in parts.items()}
    np.savez_compressed(path, allow_pickle=False, **flat)


def read_arrays(path: Path) -> dict[str, Any]:
    """Read what `write_arrays` wrote."""
    with np.load(path, allow_pickle=False) as file:
        flat = {name: file[name] for name in file.files}
    found: dict[str, Any] = {}
    for name in flat:
        of, _, part = name.partition("/")
        if not part:
            found[of] = flat[of]
        elif part == PARTS[0]:
            data, indices, indptr, shape = (flat[f"{of}/{each}"] for each in PARTS)
            found[of] = sparse.csr_matrix((data, indices, indptr), tuple(shape))
    return found
