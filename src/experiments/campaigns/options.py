"""Options of the lists of customers to contact."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class CampaignOptions:
    """Options of conf/campaign/.

    Attributes
    ----------
    lists : list of str, optional
        Names of the lists to write; all when None.
    control_share : float, optional
        Share of each list that is held back, in [0, 1); as each list declares it when None.
    """

    lists: list[str] | None
    control_share: float | None
