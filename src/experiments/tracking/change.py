"""A change of a registered model in several writes: written down before the first, so that it can be finished."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

from features.owners import is_gone, is_mark, mark


@dataclass(frozen=True)
class Change:
    """State of a registered model after an operation. Each write can be repeated without effect.

    Attributes
    ----------
    operation : str
        Such as `roll back`: the same command, repeated after it was killed, finds that it is done.
    before, champion : int or None
        Versions that the alias points at before and after it; None where there is no alias.
    champions : sequence of int, optional
        Numbers of all champions in order; None if the alias stays.
    version : int, optional
        The one that is tagged.
    tags : mapping of tag to text or None
        None removes the tag.
    answer : sequence of int
        What the operation returns.
    day : str
        When it was begun, YYYY-MM-DD.
    owner : mapping
        The process that makes it: see `features.owners`.
    """

    operation: str
    before: int | None = None
    champion: int | None = None
    champions: Sequence[int] | None = None
    version: int | None = None
    tags: Mapping[str, str | None] = field(default_factory=dict)
    answer: Sequence[int] = ()
    day: str = field(default_factory=lambda: datetime.now(UTC).date().isoformat())
    owner: Mapping[str, Any] = field(default_factory=mark)

    @property
    def is_abandoned(self) -> bool:
        """True if the process that makes it is known to be gone."""
        return is_gone(self.owner)

    def to_json(self) -> str:
        return json.dumps(asdict(self), separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> Change:
        """Read a change; a ValueError if it is cut, or by another version of the code."""
        try:
            change = cls(**json.loads(text))
        except TypeError as error:
            raise ValueError(str(error)) from error
        if not is_mark(change.owner):
            raise ValueError("the owner of the change is not a mark of a process")
        return change
