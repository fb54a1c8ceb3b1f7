"""One model with given parameters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from experiments.workflow.candidate import make_candidate
from experiments.workflow.session import Session

if TYPE_CHECKING:
    from experiments.tracking.registry import Version


def train(session: Session, model: str | None = None, params: Mapping[str, Any] | None = None) -> Version:
    """Validate a model, refit it on all windows before the sealed one and register it.

    Parameters
    ----------
    session : Session
    model : str, optional
        Candidate of the task; the configured one, with its parameters, when left out.
    params : mapping, optional
        Parameters that differ from the model's defaults.

    Returns
    -------
    Version
        The new version; or the existing one, if data, code, configuration and parameters are the same.
    """
    configured = session.config.model
    if model is None:
        model, params = configured.name, {**configured.params, **(params or {})}
    return make_candidate(session, model, params or {})
