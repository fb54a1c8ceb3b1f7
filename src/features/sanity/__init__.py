"""Sanity of a staged shop: what does not look like customers, goods and days, with the line that settles it.

Each module is a subject, and each function under `@check` finds one kind of oddity. Thresholds stand above the rules
that they belong to; they were tried on shops that are sound (tests/features/test_sanity.py).
"""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules

from features.sanity.finding import CHECKS, Facts, Finding, run_checks

__all__ = ["CHECKS", "Facts", "Finding", "run_checks"]

for _module in iter_modules(__path__):
    import_module(f"{__name__}.{_module.name}")
