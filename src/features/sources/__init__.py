"""One file per shop; `stage` turns any of them into canonical Parquet."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from features.errors import InputError, did_you_mean
from features.sources.cdnow import CDNow
from features.sources.complete_journey import CompleteJourney
from features.sources.files import Files
from features.sources.merchandise_store import MerchandiseStore
from features.sources.staging import ShopConfig, Source, Staged, check_keys, check_timezone, stage_source

SOURCES: Mapping[str, type[Source]] = {
    "complete_journey": CompleteJourney,
    "cdnow": CDNow,
    "merchandise_store": MerchandiseStore,
    "files": Files,
}

SHARED = ("source", "shop", "currency", "timezone", "burn_in_days")


def stage(config: Mapping[str, Any], cache: Path) -> Staged:
    """Stage a shop's tables: canonical, checked Parquet under `cache`.

    Staged before from the same files, config and code, it reads the manifest and does nothing.

    Parameters
    ----------
    config : mapping
        One of conf/data/, as a plain dictionary.
    cache : pathlib.Path
        Folder of all that can be computed again.

    Raises
    ------
    InputError
        If the config or the data are wrong; nothing is changed on disk then.
    """
    check_keys(config, config, required=["source"], where="data")
    name = str(config["source"])
    if name not in SOURCES:
        raise InputError(f"there is no source {name!r}", where="data.source", hint=did_you_mean(name, SOURCES))
    kind = SOURCES[name]
    check_keys(config, [*SHARED, *kind.required, *kind.optional], required=[*SHARED, *kind.required], where="data")
    shop = _shop(config)
    source = kind(shop, {key: config.get(key) for key in (*kind.required, *kind.optional)})
    # where the files lie changes nothing: their content is in the digest
    lasting = {key: value for key, value in config.items() if key != "path"}
    return stage_source(shop, source, lasting, cache)


def _shop(config: Mapping[str, Any]) -> ShopConfig:
    name, currency, timezone, burn_in = (config[key] for key in SHARED[1:])
    if not re.fullmatch(r"[a-z0-9_]+", str(name)):
        raise InputError(
            f"data.shop={name} cannot name a model",
            where="data.shop",
            expected="lower-case letters, digits and _",
            found=str(name),
        )
    if not re.fullmatch(r"[A-Z]{3}", str(currency)):
        raise InputError(
            f"data.currency={currency} is no currency code",
            where="data.currency",
            expected="three capital letters of ISO 4217, such as USD, EUR or KRW",
            found=str(currency),
        )
    check_timezone(timezone, "data.timezone")
    if not isinstance(burn_in, int) or isinstance(burn_in, bool) or burn_in < 0:
        raise InputError(
            f"data.burn_in_days={burn_in} is no number of days",
            where="data.burn_in_days",
            expected="a whole number, at least 0",
            found=repr(burn_in),
        )
    return ShopConfig(name=str(name), currency=str(currency), timezone=str(timezone), burn_in_days=burn_in)
