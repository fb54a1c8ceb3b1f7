"""Forgetting: a customer is removed from cache and outputs, and the models that learnt from the customer are named."""

from __future__ import annotations

import csv
import itertools
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from experiments.workflow.output import write_batches
from experiments.workflow.session import Session
from features.cleaning import computed_from, readings, staged_folders
from features.csv_files import neutral
from features.engines import batches
from features.sources.pseudonyms import IDENTIFYING
from features.writing import remove, replacing

if TYPE_CHECKING:
    from experiments.tracking.registry import Version

KEY = "customer_id"
TABLES = "tables"  # folder of a run's artifacts


@dataclass(frozen=True)
class Forgotten:
    """Result of forgetting one customer.

    Attributes
    ----------
    customer : str
        As given.
    removed : tuple of Path
        Folders of the cache that held the customer. They are computed anew when they are needed.
    outputs : mapping of Path to int
        Rewritten files, those that MLflow keeps of a version included, and the rows of the customer that they held.
    models : tuple of str
        Versions whose training rows include the customer.
    in_source : mapping of str to int
        Rows of the customer that the shop's own tables still hold, by canonical name.
    """

    customer: str
    removed: tuple[Path, ...]
    outputs: dict[Path, int]
    models: tuple[str, ...]
    in_source: dict[str, int]


def forget(session: Session, customer: str) -> Forgotten:
    """Remove one customer from cache, outputs and MLflow's tables, and say where the customer remains.

    A customer is removed under all ids that the table identities merges. What was read of a database is removed whole,
    and read again: its columns are the shop's own. Models hold parameters and no rows of customers; those that were
    trained with rows of the customer are named. The shop's own tables are not changed: as long as they hold the
    customer, the next command reads the customer again.

    Parameters
    ----------
    session : Session
    customer : str
        The customer's id, as in the shop's tables; where these have pseudonyms, the id or the pseudonym.

    Returns
    -------
    Forgotten
        Empty where cache, outputs and the shop's own tables lack the customer: forgotten before, or never there.
        Nothing keeps who was forgotten.
    """
    shop_name = session.config.data["shop"]
    folders = staged_folders(session.cache, shop_name)
    ids = ids_of(folders, session.customer(customer))
    first_days = []
    removed: list[Path] = []
    for folder in folders:
        if rows_of(folder, ids):
            first_days += first_day(folder, ids)
            removed += [folder, *computed_from(session.cache, folder.name)]
    for path in [*removed, *readings(session.cache, shop_name)]:
        remove(path)
    for opened in ("shop", "judged_shop"):  # of tables that are gone
        session.__dict__.pop(opened, None)
    shop = session.shop  # staged anew: does the source still hold the customer?
    ids |= ids_of([shop.staged.folder], session.customer(customer))
    in_source = rows_of(shop.staged.folder, ids)
    if in_source:
        first_days += first_day(shop.staged.folder, ids)
    outputs = {path: n for path in _tables_of(session.outputs) if (n := _without(path, ids))}
    for version in _versions(session):
        outputs |= _artifacts_without(session, version, ids)
    models = tuple(_trained_with(session, min(first_days))) if first_days else ()
    if in_source:
        for path in [shop.staged.folder, *readings(session.cache, shop_name)]:
            remove(path)
    return Forgotten(customer, tuple(removed), outputs, models, in_source)


def ids_of(folders: Iterable[Path], own: str) -> set[str]:
    """Return all ids of a customer, of which one is given, by the links of staged identities."""
    links = [
        (row["id"], row[KEY])
        for folder in folders
        if (path := folder / "identities.parquet").exists()
        for row in ds.dataset(path, format="parquet").to_table(columns=["id", KEY]).to_pylist()
    ]
    ids: set[str] = {own}
    while more := {each for link in links if ids & {*link} for each in link} - ids:
        ids |= more
    return ids


def rows_of(folder: Path, ids: Collection[str]) -> dict[str, int]:
    """Count the rows of a customer in each staged table that has any."""
    counts = {}
    for path in sorted(folder.glob("*.parquet")):
        table = ds.dataset(path, format="parquet")
        columns = [name for name in IDENTIFYING.get(path.stem, (KEY,)) if name in table.schema.names]
        found = [table.count_rows(filter=ds.field(name).isin(ids)) for name in columns]
        if n_rows := max(found, default=0):
            counts[path.stem] = n_rows
    return counts


def first_day(folder: Path, ids: Collection[str]) -> list[date]:
    """Return the day of a customer's first line, in a list that is empty for a customer without lines."""
    lines = ds.dataset(folder / "transactions.parquet", format="parquet")
    times = lines.to_table(columns=["timestamp"], filter=ds.field(KEY).isin(ids))["timestamp"]
    return [pc.min(times).as_py().date()] if len(times) else []


def _tables_of(outputs: Path) -> Iterator[Path]:
    """Yield the tables below a folder that have a column customer_id."""
    for path in sorted(outputs.rglob("*")):
        if path.suffix in (".parquet", ".csv") and KEY in _schema(path).names:
            yield path


def _schema(path: Path) -> pa.Schema:
    return ds.dataset(path, format=path.suffix[1:]).schema


def _without(path: Path, ids: Collection[str]) -> int:
    """Rewrite a table without the rows of a customer; return how many it had."""
    return (_csv_without if path.suffix == ".csv" else _parquet_without)(path, ids)


def _parquet_without(path: Path, ids: Collection[str]) -> int:
    table = ds.dataset(path, format="parquet")
    n_rows = table.count_rows()
    n_own = table.count_rows(filter=ds.field(KEY).isin(ids))
    if n_own:
        own = pa.array(sorted(ids), pa.string())
        others = (batch.filter(pc.invert(pc.is_in(batch[KEY], value_set=own))) for batch in batches(path))
        write_batches(others, table.schema, n_rows, path)
    return n_own


def _csv_without(path: Path, ids: Collection[str]) -> int:
    """Leave out whole records, and all others as they are: reading and writing would change their quotes."""
    with path.open(encoding="utf-8", newline="") as file:
        lines = list(file)
    records, begin, kept, n_own = csv.reader(lines), 0, [], 0
    own = set(map(neutral, ids))
    place = next(records).index(KEY)
    for record in itertools.chain([None], records):
        if record is not None and record[place] in own:
            n_own += 1
        else:
            kept += lines[begin : records.line_num]
        begin = records.line_num
    if n_own:
        with replacing(path) as partial, partial.open("w", encoding="utf-8", newline="") as file:
            file.writelines(kept)
    return n_own


def _versions(session: Session) -> Iterator[Version]:
    """Yield all versions of the shop's models."""
    from experiments.tracking.registry import registries_of

    shop = session.shop.staged.shop
    for registry in registries_of(session.client, shop):
        yield from (version for version in registry.versions() if version.tags.get("shop") == shop)


def _artifacts_without(session: Session, version: Version, ids: Collection[str]) -> dict[Path, int]:
    """Take a customer out of the tables that MLflow keeps of a version: its predictions in the sealed window."""
    found = {}
    with TemporaryDirectory() as folder:
        for file in session.client.list_artifacts(version.run_id, TABLES):
            if file.path.endswith(".csv"):
                path = Path(session.client.download_artifacts(version.run_id, file.path, folder))
                if KEY in _schema(path).names and (rows := _csv_without(path, ids)):
                    session.client.log_artifact(version.run_id, str(path), TABLES)
                    found[Path(version.name, str(version.number), file.path)] = rows
    return found


def _trained_with(session: Session, first: date) -> Iterator[str]:
    """Yield the versions that were trained at a cutoff after a day, in words."""
    for version in _versions(session):
        if first < _last_cutoff(version):
            yield f"{version.name} version {version.number}"


def _last_cutoff(version: Version) -> date:
    """Return the last day whose customers a version has learnt from; of customer_360, the day that it compares with."""
    if "known_on" in version.tags:
        return date.fromisoformat(version.tags["known_on"])
    horizon = timedelta(days=int(version.tags["horizon_days"]))
    return date.fromisoformat(version.tags["trained_through"]) - horizon


def forgotten_text(done: Forgotten) -> str:
    """Return what was removed, what remains, and what to do about it."""
    if not (done.removed or done.outputs or done.in_source):
        return (
            f"there is nothing of customer {done.customer!r} in tables, cache and outputs: forgotten before, or never "
            "there under this id (0042 is not 42)"
        )
    lines = [f"removed from the cache: {len(done.removed)} folders"]
    lines += [f"removed from {path}: {rows:,} rows" for path, rows in done.outputs.items()]
    if done.models:
        lines.append(f"rows of the customer were among those that trained: {', '.join(done.models)}")
        lines.append("models hold parameters and no rows; experiments retrain replaces them as new windows come")
    if done.in_source:
        held = ", ".join(f"{name} {rows:,}" for name, rows in done.in_source.items())
        lines.append(f"the shop's own tables still hold the customer ({held} rows): remove them there, and repeat this")
    return "\n".join(lines)
