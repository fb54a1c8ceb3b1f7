"""Staging: from raw files to canonical Parquet, the same for all shops.

A source renames and types its raw columns and declares which rows it leaves out. `stage_source` applies
the rules, counts what they drop, checks what is left and puts the Parquet files in place, whole or not at
all. Staging is not a feature, so it may use what only DuckDB offers.
"""

from __future__ import annotations

import errno
import hashlib
import inspect
import json
import logging
import shutil
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import ibis.expr.types as ir

from features import tables as canonical
from features.checks import check
from features.checksums import checksum, short_digest
from features.engines import staging_engine
from features.sources.extent import check_orders, extent, lonely_days
from features.sources.joins import count_joins
from features.sources.raw import Currency, Drop, Fetched, Source
from features.sources.reading import readable
from features.sources.rules import write_canonical
from features.sources.shop_config import ShopConfig
from features.sources.staged import Staged, open_staged, publish, write_manifest
from features.writing import partial_of

logger = logging.getLogger(__name__)

CODE = (
    "extent.py",
    "joins.py",
    "pseudonyms.py",
    "raw.py",
    "reading.py",
    "rules.py",
    "shop_config.py",
    "spelling.py",
    "staging.py",
)  # they decide what is staged
BELOW = ("checks.py", "csv_files.py")  # so do these, of the folder below


def stage_source(shop: ShopConfig, source: Source, config: Mapping[str, Any], cache: Path) -> Staged:
    """Stage a source's tables under the digest of all that they depend on, unless that was done before.

    Parameters
    ----------
    shop : ShopConfig
        The part of the config that all shops share.
    source : Source
        The raw files.
    config : mapping
        All of the config that changes the outcome: part of the digest.
    cache : pathlib.Path
        The tables go to <cache>/<shop>/<first 16 digits of the digest>/.

    Raises
    ------
    InputError
        If the data are not what the source says they are. Nothing is left on disk then.
    """
    digest, folder, known = _known(shop, source, config, cache)
    if known is None and isinstance(source, Fetched) and not source.has_rows:
        source.read_anew()
        digest, folder, known = _known(shop, source, config, cache)
    if known is not None:
        logger.debug("%s: already staged in %s", shop.name, folder)
        return known
    if folder.exists():
        logger.warning("%s: the files in %s are not as they were written; staged anew", shop.name, folder)
    partial = partial_of(folder)
    made = [parent for parent in partial.parents if not parent.exists()]  # deepest first
    partial.mkdir(parents=True)
    try:
        staged = _stage(shop, source, digest, partial)
        publish(partial, folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
        for parent in made:
            with suppress(OSError):  # not empty: staged
                parent.rmdir()
    logger.info(
        "%s: %s customers, %s to %s, in %s",
        shop.name,
        f"{staged.customers:,}",
        staged.start,
        staged.end - timedelta(days=1),
        folder,
    )
    opened = open_staged(folder)
    if opened is None:
        raise OSError(errno.EIO, "the files that were just staged are not as they were written", str(folder))
    return opened


def _known(shop: ShopConfig, source: Source, config: Mapping[str, Any], cache: Path) -> tuple[str, Path, Staged | None]:
    """Return the digest of a source, its folder, and what is staged there."""
    digest = _digest(source, config, cache / shop.name)
    folder = cache / shop.name / short_digest(digest)
    return digest, folder, open_staged(folder)


def stage_part(shop: ShopConfig, source: Source, folder: Path) -> Staged:
    """Stage into a new folder that is thrown away: no digest, no lock.

    Raises
    ------
    InputError
        As `stage_source`.
    """
    folder.mkdir(parents=True)
    return _stage(shop, source, "", folder)


def _digest(source: Source, config: Mapping[str, Any], cache: Path) -> str:
    digest = hashlib.blake2b(digest_size=32)
    digest.update(json.dumps(config, sort_keys=True, default=str).encode())
    digest.update(source.content(cache).encode())
    tables, own = Path(canonical.__file__).parent, Path(__file__)
    contract = [*sorted(tables.glob("*.py")), *map(tables.with_name, BELOW), *(own.with_name(name) for name in CODE)]
    for code in (*_own_code(type(source)), *contract):
        digest.update(code.read_bytes())
    return digest.hexdigest()


def _own_code(kind: type) -> Iterator[Path]:
    """Yield the modules of a source, and of the one that it is a kind of."""
    for each in kind.__mro__[:-1]:
        module = Path(inspect.getfile(each))
        yield from sorted(module.parent.glob("*.py")) if module.name == "__init__.py" else [module]


def _stage(shop: ShopConfig, source: Source, digest: str, folder: Path) -> Staged:
    """Write all that a staged folder holds, the manifest last."""
    scratch = folder / "scratch"
    scratch.mkdir()
    engine = staging_engine(scratch)
    rows: dict[str, int] = {}
    drops: list[Drop] = []
    notes: list[str] = []
    currencies: list[Currency] = []
    tables: dict[str, ir.Table] = {}
    try:
        with readable(f"the raw files of {shop.name}"):
            raw_tables = source.tables(engine, scratch)
        for name, raw in raw_tables.items():
            path = folder / f"{name}.parquet"
            with readable(raw.where):
                written = write_canonical(name, raw, engine, path, shop.pseudonyms)
            rows[name] = written.rows
            drops += written.drops
            notes += written.notes
            currencies += written.currencies
            tables[name] = engine.read(path, table=name)
            with engine.progress(f"checking {name}"):
                check(name, tables[name], raw.where)
        transactions = tables["transactions"]
        with engine.progress("checking orders"):
            of_transactions = raw_tables["transactions"]
            check_orders(transactions, of_transactions.where, of_transactions.order)
            start, end, customers = extent(transactions, of_transactions.where)
            notes += lonely_days(transactions)
        with engine.progress("counting keys that match"):
            found = list(count_joins(tables, raw_tables, engine))
            notes += [f"few keys match: {join}; {advice}" for join, advice in found if advice]
    finally:
        engine.connection.disconnect()
    shutil.rmtree(scratch)
    staged = Staged(
        shop=shop.name,
        currency=shop.currency,
        digest=digest,
        folder=folder,
        start=start,
        end=end,
        burn_in_days=shop.burn_in_days,
        spend=shop.spend,
        rows=rows,
        customers=customers,
        checksums={name: checksum(folder / f"{name}.parquet") for name in rows},
        drops=tuple(drops),
        notes=tuple(notes),
        joins=tuple(join for join, _ in found),
        currencies=tuple(currencies),
    )
    write_manifest(staged, folder)
    return staged
