"""Numbers about customers in; tuned, validated, gated and registered models out.

The library is imported from here: `from experiments import open_session, tune, promote` (docs/python-api.md).
"""

from __future__ import annotations

import importlib

_PLACES = {  # imported when first asked for: a served model imports this package, and needs none of them
    "open_session": "experiments.commands.compose",
    **{
        name: f"experiments.workflow.{module}"
        for name, module in {
            "profile": "data",
            "features": "features",
            "catalogue": "features",
            "audit": "audit",
            "train": "train",
            "tune": "tune",
            "promote": "promote",
            "show": "show",
            "overview": "in_use",
            "score": "score",
            "ask": "ask",
            "request": "request",
            "serve": "serve",
            "rules": "rules",
            "report": "report",
            "monitor": "monitor",
            "retrain": "retrain",
            "forget": "forget",
            "run": "run",
        }.items()
    },
}

__all__ = sorted(_PLACES)


def __getattr__(name: str) -> object:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_PLACES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_PLACES])
