"""A small shop in the layout of UCI's Online Retail, which the template conf/data/files.yaml maps."""

from pathlib import Path

import yaml

CONF = Path(__file__).parents[1] / "conf" / "data"


def data_config(name, **changes):
    """The plain dictionary that Hydra makes of conf/data/<name>.yaml, with changes."""
    config = yaml.safe_load((CONF / f"{name}.yaml").read_text(encoding="utf-8"))
    config.pop("defaults", None)
    return config | changes


HEADER = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country"
LINES = [
    "536365,85123A,HEART HOLDER,6,12/1/2010 8:26,2.55,17850,United Kingdom",
    "536365,71053,LANTERN,6,12/1/2010 8:26,3.39,17850,United Kingdom",
    "536366,22633,HAND WARMER,4,12/1/2010 8:28,1.85,13047,United Kingdom",
    "536367,22633,HAND WARMER,2,12/3/2010 9:01,1.85,17850,United Kingdom",
]


class OnlineRetail:
    """One CSV file, and the config that stages it."""

    def __init__(self, folder):
        self.folder = folder
        self.file = folder / "online_retail.csv"
        self.write(LINES)
        self.config = data_config("files", shop="shop", currency="GBP", timezone="Europe/London", path=str(folder))
        self.lines = self.config["tables"]["transactions"]
        self.lines["path"] = self.file.name
        self.rules = self.config["rules"]

    def write(self, lines, header=HEADER, encoding="utf-8"):
        self.file.write_text("\n".join([header, *lines]) + "\n", encoding=encoding)
