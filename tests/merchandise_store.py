"""A small merchandise store: its five files, in either language and format, and the config that stages them."""

import csv
import unicodedata
from datetime import datetime

import numpy as np
import pandas as pd

from features.engines import open_engine
from features.shop import Shop
from online_retail import data_config

NAMES = {
    "sales": ("Online_Sales", "Onlinesales_info"),
    "customers": ("CustomersData", "Customer_info"),
    "discounts": ("Discount_Coupon", "Discount_info"),
    "spend": ("Marketing_Spend", "Marketing_info"),
    "taxes": ("Tax_amount", "Tax_info"),
}
ENGLISH = {
    "sales": "CustomerID,Transaction_ID,Transaction_Date,Product_SKU,Product_Description,Product_Category,Quantity,"
    "Avg_Price,Delivery_Charges,Coupon_Status",
    "customers": "CustomerID,Gender,Location,Tenure_Months",
    "discounts": "Month,Product_Category ,Coupon_Code,Discount_pct",
    "spend": "Date,Offline_Spend,Online_Spend",
    "taxes": "Product_Category,GST",
}
KOREAN = {
    "sales": "고객ID,거래ID,거래날짜,제품ID,제품카테고리,수량,평균금액,배송료,쿠폰상태",
    "customers": "고객ID,성별,고객지역,가입기간",
    "discounts": "월,제품카테고리,쿠폰코드,할인율",
    "spend": "날짜,오프라인비용,온라인비용",
    "taxes": "제품카테고리,GST",
}
ROWS = {
    "sales": [
        "17850,16679,20190131,N1,Nest Cam,Nest-USA,2,100,6.5,Used",  # 10% off in January
        '17850,16679,20190131,P1,"Pen, 7&quot;",Office,3,2.05,6.5,Not Used',
        '13047,16679,20190131,P1,"Pen, 7&quot;",Office,1,2.05,6.5,Clicked',  # the same transaction's delivery
        "13047,16680,20190201,G1,25 oz Google Bottle,Google,1,10.55,0,Used",  # a category without a discount
        "12583,16681,20190215,N1,Nest Cam,Nest-USA,1,99.99,12.99,Used",  # 20% off in February
    ],
    "customers": ["17850,M,Chicago,12", "13047,F,New York,43", "12583,M,California,33"],
    "discounts": [
        "Jan,Nest-USA,ELEC10,10",
        "Feb,Nest-USA,ELEC20,20",
        "Feb,Office,OFF20,20",
        "Mar,Notebooks,NOTES30,30",
    ],
    "spend": ["1/31/2019,4500,2424.5", "2/1/2019,0,3480.36"],
    "taxes": ["Nest-USA,0.1", "Office,0.1", "Google,0.18"],
}


KINDS = ((0.10, 20), (0.05, 120), (0.02, 40), (0.01, 8))  # of customers: orders a day, price


def sales_of_a_year(customers=160, seed=0):
    """Lines of sales over 2019, of four kinds of customers in equal parts; the ids are 0, 1, ..."""
    rng = np.random.default_rng(seed)
    days = pd.date_range("2019-01-01", "2019-12-31").strftime("%Y%m%d")
    lines = []
    for customer in range(customers):
        rate, price = KINDS[customer % len(KINDS)]
        bought = rng.random(len(days)) < rate
        bought[rng.integers(40)] = True
        for day in days[bought]:
            paid = price * rng.lognormal(0, 0.2)
            lines.append(f"{customer},{len(lines)},{day},G1,Bottle,Google,1,{paid:.2f},0,Not Used")
    return lines


def shop_that_sold(folder, lines):
    """Stage a store with these sales in an empty folder, and open it as a shop."""
    (folder / "raw").mkdir()
    store = Store(folder / "raw")
    store.sell(lines)
    return store.open(folder)


class Store:
    """The five files in a folder, and the config that stages them."""

    def __init__(self, folder):
        self.folder = folder
        self.config = data_config("merchandise_store", path=str(folder))
        for role in NAMES:
            self.write(role)

    def write(self, role, rows=None, header=None, encoding="utf-8"):
        """An English CSV; of the rows given, or the usual ones."""
        text = "\n".join([header or ENGLISH[role], *(ROWS[role] if rows is None else rows)]) + "\n"
        (self.folder / f"{NAMES[role][0]}.csv").write_text(text, encoding=encoding)

    def sell(self, lines):
        """Write sales, and customers, taxes and discounts that are about them."""
        bought = list(csv.DictReader([ENGLISH["sales"], *lines]))
        categories = dict.fromkeys(line["Product_Category"] for line in bought)
        self.write("sales", lines)
        self.write("customers", [f"{who},F,Chicago,12" for who in dict.fromkeys(line["CustomerID"] for line in bought)])
        for role, usual in (("taxes", "{},0.1"), ("discounts", "Mar,{},CODE,10")):
            known = "\n".join(ROWS[role])
            self.write(role, [*ROWS[role], *(usual.format(each) for each in categories if each not in known)])

    def open(self, folder):
        """The shop, with its cache in a folder."""
        engine = open_engine("duckdb", threads=2, memory_limit="2GiB", temp_directory=str(folder / "spill"))
        return Shop.open(self.config, engine, folder / "cache")

    def add(self, role, line):
        self.write(role, [*ROWS[role], line])

    def translate(self, role, korean, suffix, encoding="utf-8", form="NFC"):
        """The same file in another language or format; in Excel days are dates and numbers are numbers."""
        file = self.folder / f"{NAMES[role][0]}.csv"
        rows = list(csv.DictReader(file.read_text().splitlines()))
        file.unlink()
        frame = pd.DataFrame(rows)
        if korean:
            frame = frame.drop(columns="Product_Description", errors="ignore")
            frame.columns = [unicodedata.normalize(form, header) for header in KOREAN[role].split(",")]
            frame = frame.replace({"M": "남", "F": "여"})
        target = self.folder / f"{NAMES[role][korean]}{suffix}"
        if suffix.lower() == ".xlsx":
            frame.map(excel_value).to_excel(target, index=False)
        else:
            frame.to_csv(target, index=False, encoding=encoding)


def excel_value(text):
    for read in (int, float, lambda day: datetime.strptime(day, "%m/%d/%Y")):
        try:
            value = read(text)
        except ValueError:
            continue
        return datetime.strptime(text, "%Y%m%d") if text.startswith("2019") and len(text) == 8 else value
    return text
