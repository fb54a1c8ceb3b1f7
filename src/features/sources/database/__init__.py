"""Tables of a database, by a mapping of columns: read into Parquet, and then as files are.

conf/data/database.yaml explains the keys. Each module here is one question: what the config says (`config`), what the
address is and hides (`address`), what is sent to the database (`statements`, `connections`), how rows come (`batches`)
and what was read before (`store`). Columns, rules and values are those of `files`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from features.engines import DuckDB
from features.errors import InputError
from features.sources.database.config import read_since, request
from features.sources.files import Files
from features.sources.files.config import TableConfig, table_config
from features.sources.raw import Raw
from features.sources.shop_config import ShopConfig, check_keys
from features.tables import SPECS
from features.writing import remove

if TYPE_CHECKING:
    from features.sources.database.store import Reading

READINGS = "database"  # folder of a shop


class Database(Files):
    """Tables of a database that SQLAlchemy, ADBC or DuckDB reads.

    Parameters
    ----------
    shop : ShopConfig
    options : mapping
        The keys of conf/data/database.yaml.

    Raises
    ------
    InputError
        If the config is wrong. The database is not opened yet.
    """

    required: ClassVar[tuple[str, ...]] = ("url", *Files.required)
    optional: ClassVar[tuple[str, ...]] = ("password", "read_since", *Files.optional)

    def __init__(self, shop: ShopConfig, options: Mapping[str, Any]) -> None:
        # SQLAlchemy takes half a second to import, which other sources need not wait for
        from features.sources.database.address import address

        if options["path"] is not None:
            raise InputError(
                "data.path is about files", where="data.path", found=str(options["path"]), hint="remove it"
            )
        self.address = address(options["url"], options["password"])
        self.since = read_since(options["read_since"])
        check_keys(options["tables"], SPECS, required=["transactions"], where="data.tables")
        declared = {name: entry for name, entry in options["tables"].items() if entry is not None}
        wanted = {name: request(name, entry, self.address) for name, entry in declared.items()}
        super().__init__(shop, {**options, "tables": {name: mapping for name, (_, mapping) in wanted.items()}})
        self.requests = {name: each for name, (each, _) in wanted.items()}
        self._reading: Reading | None = None
        self._keeps_rows = shop.pseudonyms is None  # rows as they are read have the ids

    def content(self, cache: Path) -> str:
        """Return the digest of the rows that were read last, after reading the database where that is due."""
        from features.sources.database.store import Store

        store = Store(cache / READINGS, self.address, keeps_rows=self._keeps_rows)
        self.release()
        self._reading = store.reading(list(self.requests.values()), self.since)
        return "\n".join(self._reading.tables[name].content for name in self.requests)

    @property
    def has_rows(self) -> bool:
        """True if `tables` can map what `content` read."""
        return self._reading is not None and self._reading.folder.is_dir()

    def read_anew(self) -> None:
        """Let `content` read the database even where nothing else is due."""
        self.since = datetime.now(UTC)

    def release(self) -> None:
        """Remove the rows that were read, where they are not kept."""
        if self._reading is not None and not self._keeps_rows:
            remove(self._reading.folder)

    def _contact_table(self, scratch: Path) -> TableConfig:
        """Read the table into a folder that goes: the store of readings keeps nothing of it."""
        from features.sources.database.store import Store

        assert self.contact is not None
        wanted, mapping = request("customers", self.contact.entry, self.address)
        reading = Store(scratch / READINGS, self.address).reading([wanted], None)
        config = table_config("customers", mapping, self.root)
        return replace(config, sql=None, format="parquet", paths=(reading.path("customers"),), origin=wanted.where)

    def tables(self, engine: DuckDB, scratch: Path) -> dict[str, Raw]:
        if self._reading is None:
            raise RuntimeError("content() reads the database before tables() maps it")
        self.configs = [
            replace(
                config,
                sql=None,
                format="parquet",
                paths=(self._reading.path(config.name),),
                origin=self.requests[config.name].where,
            )
            for config in self.configs
        ]
        queries = [name for name, each in self.requests.items() if each.sql is not None]
        self.whole += tuple(f"the query of {name}, which the database runs" for name in queries)
        return super().tables(engine, scratch)
