"""Marketing questions, one file each."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from experiments.tasks.base import Task
from experiments.tasks.clv import CustomerValue
from experiments.tasks.repurchase import Repurchase
from experiments.tasks.segmentation import CustomerSegments

TASKS: Mapping[str, Callable[..., Task]] = {
    "clv": CustomerValue,
    "segmentation": CustomerSegments,
    "repurchase": Repurchase,
}
