"""All parts of the case study on one shop."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from time import perf_counter

from experiments.case_study.interval import interval
from experiments.case_study.options import PARTS, CaseStudyOptions
from experiments.case_study.products import products
from experiments.case_study.result import Result, Skipped
from experiments.case_study.segments import segments
from experiments.evaluation.splits import Splits
from features.errors import InputError
from features.shop import Shop

logger = logging.getLogger(__name__)

ANALYSES: Mapping[str, Callable[[Shop, Splits, CaseStudyOptions], Result]] = dict(
    zip(PARTS, (segments, interval, products), strict=True)
)


def run_parts(shop: Shop, splits: Splits, options: CaseStudyOptions) -> list[Result | Skipped]:
    """Reproduce the chosen parts, in their order; one that the data do not allow is skipped with its reason.

    Parameters
    ----------
    shop : Shop
    splits : Splits
        Honest figures of what customers do next come from the last fold, and the sealed window is not opened. Those of
        the study's own descriptions (clusters, surrogate, past interval) are of all data, as the descriptions are.
    options : CaseStudyOptions
    """
    reported = options.reported.get(shop.staged.shop, {})
    results: list[Result | Skipped] = []
    for part in options.parts:
        started = perf_counter()
        try:
            result = ANALYSES[part](shop, splits, options)
        except InputError as error:
            logger.warning("case study: %s is left out: %s", part, error.problem)
            results.append(Skipped(part, error.problem))
            continue
        results.append(result.compare_with(reported.get(part, {})))
        logger.info("case study: %s in %.1f s", part, perf_counter() - started)
    return results
