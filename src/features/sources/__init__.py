"""Sources, one file per shop; `stage` turns any of them into canonical Parquet."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from features.errors import InputError, did_you_mean
from features.sources.cdnow import CDNow
from features.sources.complete_journey import CompleteJourney
from features.sources.database import Database
from features.sources.files import Files
from features.sources.files.sent import Reading
from features.sources.merchandise_store import MerchandiseStore
from features.sources.raw import Fetched, Source
from features.sources.shop_config import (
    ACCEPTED,
    CONTACT_DETAILS,
    NO_GOODS,
    PSEUDONYMISE,
    SHARED,
    ShopConfig,
    check_keys,
    shop_config,
)
from features.sources.staged import Staged
from features.sources.staging import stage_part, stage_source

if TYPE_CHECKING:
    import pandas as pd

SOURCES: Mapping[str, type[Source]] = {
    "complete_journey": CompleteJourney,
    "cdnow": CDNow,
    "merchandise_store": MerchandiseStore,
    "files": Files,
    "database": Database,
}
# where the data lie and when they are read changes nothing: their content is in the digest; nor does what was looked at
PASSING = ("path", "url", "password", "read_since", ACCEPTED, NO_GOODS, CONTACT_DETAILS)


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
    shop, source = _source(config)
    lasting = {key: value for key, value in config.items() if key not in (*PASSING, PSEUDONYMISE)}
    if shop.pseudonyms is not None:
        lasting[PSEUDONYMISE] = shop.pseudonyms.fingerprint
    try:
        return stage_source(shop, source, lasting, cache)
    finally:
        if isinstance(source, Fetched):
            source.release()


def reading_of(config: Mapping[str, Any]) -> Reading | None:
    """Return how lines of orders in the shop's own columns are read without its file; None where they cannot be.

    A source of tables that the user maps has such columns. Where ids lead to other customers, lines need the whole
    table of ids.
    """
    _, source = _source(config)
    return Reading.of(source) if isinstance(source, Files) else None


def contact_details(config: Mapping[str, Any]) -> pd.DataFrame | None:
    """Read the columns of the shop's customers that lists show: see `Files.contact_details`.

    Raises
    ------
    InputError
        If the config or the table is wrong. It does not show what the table holds.
    """
    if config.get(CONTACT_DETAILS) is None:
        return None
    shop, source = _source(config)
    if not isinstance(source, Files):
        raise InputError(
            f"{config['source']} has no contact details",
            where=f"data.{CONTACT_DETAILS}",
            expected="source: files or database",
            found=str(config["source"]),
        )
    try:
        found = source.contact_details()
    except InputError as error:
        raise InputError(error.problem, where=error.where, expected=error.expected, hint=error.hint) from None
    if found is not None and shop.pseudonyms is not None:
        found = found.assign(customer_id=shop.pseudonyms.of(found["customer_id"]))
    return found


def stage_before(config: Mapping[str, Any], cutoff: date, cache: Path, folder: Path) -> tuple[Staged, tuple[str, ...]]:
    """Stage what the raw files held before a cutoff, into a folder of its own; a database is not read anew.

    Parameters
    ----------
    config : mapping
        As of `stage`.
    cutoff : datetime.date
        Raw rows that became known at its midnight or later are left out.
    cache : pathlib.Path
        As of `stage`.
    folder : pathlib.Path
        Must not be there yet.

    Returns
    -------
    (Staged, tuple of str)
        The tables, and what could not be cut, with the reason.

    Raises
    ------
    InputError
        If what is left cannot be staged.
    """
    shop, source = _source(config)
    try:
        source.content(cache / shop.name)
        if isinstance(source, Fetched) and not source.has_rows:
            source.read_anew()
            source.content(cache / shop.name)
        part = source.before(cutoff)
        return stage_part(shop, part, folder), part.whole
    finally:
        if isinstance(source, Fetched):
            source.release()


def _source(config: Mapping[str, Any]) -> tuple[ShopConfig, Source]:
    check_keys(config, config, required=["source"], where="data")
    name = str(config["source"])
    if name not in SOURCES:
        raise InputError(f"there is no source {name!r}", where="data.source", hint=did_you_mean(name, SOURCES))
    kind = SOURCES[name]
    known = [*SHARED, ACCEPTED, NO_GOODS, CONTACT_DETAILS, PSEUDONYMISE, *kind.required, *kind.optional]
    check_keys(config, known, required=[*SHARED, *kind.required], where="data")
    shop = shop_config(config)
    return shop, kind(shop, {key: config.get(key) for key in (*kind.required, *kind.optional)})
