"""Words of a report that not every reader knows, each with its meaning."""

from __future__ import annotations

import re
from collections.abc import Mapping

GLOSSARY: Mapping[str, str] = {
    "baseline": "a simple rule, such as spend in the last 91 days, that a model has to beat to be worth its trouble",
    "sealed window": "the latest days with known outcomes, which no model was trained or chosen on: the exam",
    "confidence interval": "the range that holds the true figure in 95 of 100 such samples of customers",
    "Gini": "how well customers are ranked by what they then spend: 1 is the perfect order, 0 a random one",
    "ROC AUC": "how often a customer who came back is ranked above one who did not: 1 is always, 0.5 is chance",
    "ranked probability skill": "share of the uncertainty about the next purchase that is explained: 1 is all, 0 none",
    "explained deviance": "share of the differences in later spend that the groups explain: 1 is all, 0 none",
    "tier": "a group of customers by a score of what they bought so far, such as VIP or At Risk",
    "stage": "where a customer stands by the days since the last purchase: new, repeat, lapsing or dormant",
    "median": "the middle value: half of the customers are below it, half above",
    "index": "100 is as often as among all customers, 150 half as often again",
    "p-value": "how often chance alone would show such an effect or a larger one",
}


def explained(text: str) -> dict[str, str]:
    """Return the words of the glossary that a text has, with their meanings.

    >>> list(explained("Two baselines, and a gini of 0.3. Tiers move."))
    ['baseline', 'Gini', 'tier']
    """
    return {
        word: meaning for word, meaning in GLOSSARY.items() if re.search(rf"\b{re.escape(word)}(e?s)?\b", text, re.I)
    }
