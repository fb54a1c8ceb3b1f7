"""Tags that people need not see: MLflow's pages leave out those whose key begins with `mlflow.`.

Code reads and writes tags by their plain keys. Older stores have them under plain keys.
"""

from __future__ import annotations

from collections.abc import Mapping

PREFIX = "mlflow.experiments."
OF_MODELS = ("look", "decision", "champions", "change")  # of a registered model; the part before the first point
OF_RUNS = ("owner", "page_digest")
OF_VERSIONS = (
    *("features", "feature_hash", "feature_hashes", "params", "judged", "objective", "module", "libraries"),
    *("amounts_record", "amounts_said", "statement"),
    *("candidate_digest", "data_digest", "files_digest", "models_digest"),
)
HIDDEN = {*OF_MODELS, *OF_RUNS, *OF_VERSIONS}


def stored_key(key: str) -> str:
    """Return the key under which a tag is stored.

    >>> stored_key("look.0001"), stored_key("verdict")
    ('mlflow.experiments.look.0001', 'verdict')
    """
    return f"{PREFIX}{key}" if key.partition(".")[0] in HIDDEN else key


def stored(tags: Mapping[str, str]) -> dict[str, str]:
    """Return tags under the keys by which they are stored."""
    return {stored_key(key): value for key, value in tags.items()}


def plain(tags: Mapping[str, str]) -> dict[str, str]:
    """Return stored tags under their plain keys; of two of one key, an older store's one gives way."""
    found = {key: value for key, value in tags.items() if not key.startswith(PREFIX)}
    return found | {key.removeprefix(PREFIX): value for key, value in tags.items() if key.startswith(PREFIX)}
