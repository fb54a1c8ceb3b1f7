"""A small shop in the layout of UCI's Online Retail, and the mapping that reads it."""

from copy import deepcopy
from functools import cache
from pathlib import Path

import yaml

CONF = Path(__file__).parents[1] / "conf" / "data"


def data_config(name, **changes):
    """The plain dictionary that Hydra makes of conf/data/<name>.yaml, with changes."""
    config = deepcopy(_parsed(name))
    config.pop("defaults", None)
    return config | changes


@cache
def _parsed(name):
    return yaml.safe_load((CONF / f"{name}.yaml").read_text(encoding="utf-8"))


HEADER = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country"
LINES = [
    "536365,85123A,HEART HOLDER,6,12/1/2010 8:26,2.55,17850,United Kingdom",
    "536365,71053,LANTERN,6,12/1/2010 8:26,3.39,17850,United Kingdom",
    "536366,22633,HAND WARMER,4,12/1/2010 8:28,1.85,13047,United Kingdom",
    "536367,22633,HAND WARMER,2,12/3/2010 9:01,1.85,17850,United Kingdom",
]


COLUMNS = {
    "order_id": "InvoiceNo",
    "customer_id": "CustomerID",
    "timestamp": "InvoiceDate",
    "product_id": "StockCode",
    "quantity": "Quantity",
    "unit_price": "UnitPrice",
}
DATE_FORMAT = "%m/%d/%Y %H:%M"
OF_THIS_SHOP = {
    "cancelled_order_prefix": "C",
    "non_product_codes": ["POST", "D", "M", "DOT", "CRUK", "C2", "BANK CHARGES", "AMAZONFEE", "PADS"],
}
DROPS = ("negative_quantity", "zero_price", "duplicate_rows")  # beside those that the template drops


class OnlineRetail:
    """One CSV file, and the config that stages it."""

    def __init__(self, folder):
        self.folder = folder
        self.file = folder / "online_retail.csv"
        self.write(LINES)
        self.config = data_config("files", shop="shop", currency="GBP", timezone="Europe/London", path=str(folder))
        self.config |= OF_THIS_SHOP
        self.lines = self.config["tables"]["transactions"]
        self.lines |= {"path": self.file.name, "date_format": DATE_FORMAT, "columns": {**COLUMNS}}
        self.rules = self.config["rules"]
        self.rules |= dict.fromkeys(DROPS, "drop")
        self.config["confirmed_drops"] = dict.fromkeys(self.rules, 1)  # a few rows are a large share of so small a shop

    def write(self, lines, header=HEADER, encoding="utf-8"):
        self.file.write_text("\n".join([header, *lines]) + "\n", encoding=encoding)
