"""Rules of the stages, and the periods."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from features.errors import InputError
from features.families import resolve

ARRIVALS = "arrivals"  # those who were no customers at the start of a period


@dataclass
class LifecycleOptions:
    """Rules of the stages, and the periods. Values and their meaning are in conf/lifecycle/.

    They are checked where stages are asked for, not when they are read: who tunes a model asks for none.

    Attributes
    ----------
    stages : dict of stage to {feature: [lowest, highest]}
        Both included, None for an open side. The first that fits is a customer's; the last takes the rest.
    period_days : int
    n_periods : int
        The last ones, over which transitions and spend are averaged.
    """

    stages: dict[str, dict[str, Any]]
    period_days: int
    n_periods: int

    def check(self) -> None:
        """Refuse rules that leave customers out, contradict each other or name what is no feature.

        Raises
        ------
        InputError
        """
        for key in ("period_days", "n_periods"):
            if getattr(self, key) < 1:
                raise InputError(
                    f"{key} is out of range",
                    where=f"lifecycle.{key}",
                    expected="at least 1",
                    found=str(getattr(self, key)),
                )
        if len(self.stages) < 2:
            raise InputError(
                "a lifecycle needs at least two stages",
                where="lifecycle.stages",
                found=", ".join(self.stages) or "none",
            )
        if ARRIVALS in self.stages:
            raise InputError(f"the name {ARRIVALS!r} is taken", where="lifecycle.stages", expected="another name")
        *ruled, rest = self.stages
        if self.stages[rest]:
            raise InputError(
                f"the last stage, {rest}, takes the remaining customers and must have no ranges",
                where=f"lifecycle.stages.{rest}",
                expected="{}",
                found=str(self.stages[rest]),
            )
        for stage in ruled:
            where = f"lifecycle.stages.{stage}"
            if not self.stages[stage]:
                raise InputError(
                    f"the stage {stage} has no ranges, so it takes every customer",
                    where=where,
                    expected="{feature: [lowest, highest]}",
                    found="{}",
                )
            resolve(self.stages[stage], where)
            for feature, ends in self.stages[stage].items():
                if not _is_range(ends):
                    raise InputError(
                        f"the range of {feature} is not valid",
                        where=f"{where}.{feature}",
                        expected="[lowest, highest], null for an open side",
                        found=str(ends),
                    )
        for feature in self.features:
            self._check_gaps(feature)

    @property
    def features(self) -> list[str]:
        """The features that the rules name."""
        return list(dict.fromkeys(feature for ranges in self.stages.values() for feature in ranges))

    def _check_gaps(self, feature: str) -> None:
        """Refuse ranges between which values fall to the last stage unseen; whole numbers may be one apart."""
        named = [(stage, ranges[feature]) for stage, ranges in self.stages.items() if feature in ranges]
        lowest = {stage: -np.inf if ends[0] is None else ends[0] for stage, ends in named}
        highest = {stage: np.inf if ends[1] is None else ends[1] for stage, ends in named}
        first, *others = sorted(lowest, key=lambda stage: lowest[stage])
        reached, owner = highest[first], first
        for stage in others:
            low = lowest[stage]
            if low > reached + (1 if float(low).is_integer() and float(reached).is_integer() else 0):
                raise InputError(
                    f"customers with {feature} between {reached:g} and {low:g} have no stage of their own",
                    where=f"lifecycle.stages.{stage}.{feature}",
                    expected=f"a range that begins where {owner} ends, at {reached:g}",
                    found=f"{low:g}",
                )
            if highest[stage] > reached:
                reached, owner = highest[stage], stage


def _is_range(ends: object) -> bool:
    """Check for a pair of numbers that do not fall, either of them None for an open side."""
    if not isinstance(ends, list) or len(ends) != 2:
        return False
    numbers = [end for end in ends if end is not None]
    return all(isinstance(end, int | float) for end in numbers) and numbers == sorted(numbers)
