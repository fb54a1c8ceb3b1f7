"""CDNOW: everyone who first bought CDs there in the first quarter of 1997, to mid-1998 (inside lifetimes).

The data set that the buy-till-you-die models were published on: Fader and Hardie, Marketing Science 24 (2005).
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any, ClassVar

from features.engines import DuckDB
from features.errors import InputError, did_you_mean
from features.sources.raw import Raw
from features.sources.reading import hash_files, package_folder, query, sql_literal
from features.sources.shop_config import ShopConfig
from features.tables import MONEY, QUANTITY

# variant -> lines above the data; the sample has the master's customer id first, then its own
HEADER_LINES = {"sample": 0, "master": 1}

QUERY = f"""
    WITH lines AS (
        SELECT row_number() OVER () AS line_number, string_split_regex(trim(line), '\\s+') AS fields
        FROM read_csv(
            {{path}}, columns = {{{{'line': 'VARCHAR'}}}}, skip = {{skip}}, header = false, auto_detect = false,
            delim = '|', quote = '', escape = ''
        )
        WHERE {{known}}
    )
    SELECT
        line_number::VARCHAR AS order_id,
        line_number,
        fields[1] AS customer_id,
        strptime(fields[-3], '%Y%m%d') AS "timestamp",
        fields[-1]::{MONEY} AS amount,
        fields[-2]::{QUANTITY} AS quantity
    FROM lines
"""

DAY = "strptime(string_split_regex(trim(line), '\\s+')[-3], '%Y%m%d')"


class CDNow:
    """Transactions only; each line is one order.

    Orders of 0 dollars stay: lifetimes and the papers count them as purchases, and gamma-gamma leaves them out.

    Parameters
    ----------
    options : mapping
        `variant`: "sample" (every tenth customer, 2,357) or "master" (23,570).
    """

    required: ClassVar[tuple[str, ...]] = ("variant",)
    optional: ClassVar[tuple[str, ...]] = ()

    def __init__(self, shop: ShopConfig, options: Mapping[str, Any]) -> None:
        self.variant = options["variant"]
        if self.variant not in HEADER_LINES:
            raise InputError(
                f"CDNOW has no variant {self.variant!r}",
                where="data.variant",
                hint=did_you_mean(str(self.variant), HEADER_LINES),
            )
        self.path = package_folder("lifetimes") / "datasets" / f"CDNOW_{self.variant}.txt"
        self.cutoff: date | None = None
        self.whole: tuple[str, ...] = ()

    def content(self, cache: Path) -> str:
        return hash_files([self.path])

    def before(self, cutoff: date) -> CDNow:
        part = copy.copy(self)
        part.cutoff = cutoff
        return part

    def tables(self, engine: DuckDB, scratch: Path) -> dict[str, Raw]:
        known = "true" if self.cutoff is None else f"{DAY} < TIMESTAMP '{self.cutoff}'"
        sql = QUERY.format(path=sql_literal(self.path), skip=HEADER_LINES[self.variant], known=known)
        return {"transactions": Raw(query(engine, "transactions", sql), where=str(self.path))}
