"""Purchases of the past as codes: what every scorer learns from."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from features.errors import InputError, listing

Per = Literal["order", "customer"]
Codes = NDArray[np.int64]
Floats = NDArray[np.float64]
COLUMNS = ("customer_id", "product_id", "order_id", "day")


@dataclass(frozen=True, eq=False)
class Purchases:
    """Lines of the past, one row per order and product, by order and then product.

    Two frames with the same rows in another order give equal purchases, so that all that is learnt from them is equal.
    An order id that two customers share counts as two orders.

    Attributes
    ----------
    customer_ids : array of str, shape (n_customers,)
        Sorted by code point.
    product_ids : array of str, shape (n_products,)
        Sorted by code point.
    customers, products, orders : int arrays, shape (n_rows,)
        Positions in `customer_ids`, in `product_ids`, and 0 to n_orders - 1.
    days : int array, shape (n_rows,)
        Days before the cutoff, 1 = the last day; the latest day of the order.

    Examples
    --------
    >>> rows = [("ann", "tea", "o1", 3), ("ann", "milk", "o1", 3), ("bob", "tea", "o2", 1), ("bob", "tea", "o2", 1)]
    >>> past = Purchases.of(pd.DataFrame(rows, columns=["customer_id", "product_id", "order_id", "day"]))
    >>> past.n_customers, past.n_products, past.n_orders, len(past)
    (2, 2, 2, 3)
    >>> past.popularity.tolist()  # orders with milk, with tea
    [1, 2]
    """

    customer_ids: NDArray[Any]
    product_ids: NDArray[Any]
    customers: Codes
    products: Codes
    orders: Codes
    days: Codes

    @classmethod
    def of(cls, frame: pd.DataFrame) -> Purchases:
        """Return the purchases of a frame of lines.

        Parameters
        ----------
        frame : DataFrame
            customer_id, product_id, order_id and day (days before the cutoff). Lines without a product are left out.

        Raises
        ------
        InputError
            If a column is missing, or a line has no customer, order or day, or a day on or after the cutoff.
        """
        if missing := [name for name in COLUMNS if name not in frame]:
            raise InputError(
                f"purchases lack {listing(missing)}", expected=listing(COLUMNS), found=listing(frame.columns)
            )
        lines = frame.loc[frame["product_id"].notna(), list(COLUMNS)]
        for name in COLUMNS:
            if count := int(lines[name].isna().sum()):
                raise InputError(f"purchases have rows without {name}", where=name, found=f"{count:,} rows")
        if len(late := lines.loc[lines["day"] < 1, "day"]):
            raise InputError(
                "purchases hold days on or after the cutoff",
                where="day",
                expected="at least 1, the last day before the cutoff",
                found=listing(late),
            )
        customers, customer_ids = _coded(lines["customer_id"])
        products, product_ids = _coded(lines["product_id"])
        order_codes, _ = _coded(lines["order_id"])
        orders = np.unique(order_codes * max(len(customer_ids), 1) + customers, return_inverse=True)[1]
        days = lines["day"].to_numpy(np.int64)
        latest = np.full(int(orders.max()) + 1 if len(orders) else 0, np.iinfo(np.int64).max)
        np.minimum.at(latest, orders, days)
        row = np.unique(orders * max(len(product_ids), 1) + products, return_index=True)[1]
        return cls(customer_ids, product_ids, customers[row], products[row], orders[row], latest[orders[row]])

    def __len__(self) -> int:
        return len(self.orders)

    @property
    def n_customers(self) -> int:
        return len(self.customer_ids)

    @property
    def n_products(self) -> int:
        return len(self.product_ids)

    @cached_property
    def n_orders(self) -> int:
        return int(self.orders.max()) + 1 if len(self.orders) else 0

    @cached_property
    def popularity(self) -> Codes:
        """Return the number of orders with each product."""
        return np.bincount(self.products, minlength=self.n_products)

    @cached_property
    def buyers(self) -> Codes:
        """Return the number of customers with each product."""
        return np.asarray(self.baskets("customer").sum(axis=0)).ravel()

    @cached_property
    def kept_counts(self) -> dict[Per, sparse.csr_matrix]:
        """Return where `pair_counts` keeps what it counted, by what holds two products."""
        return {}

    def of_customers(self, customers: Codes) -> Purchases:
        """Return the purchases of some customers, who get the codes 0, 1, ...; products keep theirs.

        Parameters
        ----------
        customers : int array
            Codes, each once.
        """
        position = np.full(self.n_customers, -1)
        position[customers] = np.arange(len(customers))
        own = self.where(position[self.customers] >= 0)
        return replace(own, customer_ids=self.customer_ids[customers], customers=position[own.customers])

    def among(self, product_ids: NDArray[Any]) -> Purchases:
        """Return the same purchases with the codes of more products.

        Parameters
        ----------
        product_ids : array of str
            Sorted by code point, the products that were bought among them.
        """
        return replace(
            self, product_ids=product_ids, products=np.searchsorted(product_ids, self.product_ids)[self.products]
        )

    def where(self, rows: NDArray[np.bool_]) -> Purchases:
        """Return some of the rows: ids of customers and products keep their codes, orders are counted anew.

        Parameters
        ----------
        rows : bool array, shape (n_rows,)
        """
        orders = self.orders[rows]
        orders = np.cumsum(np.diff(orders, prepend=orders[:1]) != 0)
        return replace(
            self, customers=self.customers[rows], products=self.products[rows], orders=orders, days=self.days[rows]
        )

    def last(self, days: int | None) -> Purchases:
        """Return the purchases of the last days before the cutoff; all of them where `days` is None."""
        return self if days is None else self.where(self.days <= days)

    def baskets(self, per: Per = "order", dtype: type = np.int64) -> sparse.csr_matrix:
        """Return who or which order holds which product: a matrix of 0 and 1.

        Parameters
        ----------
        per : "order" or "customer"
            Rows: one per order, or one per customer, of all that this customer ever bought.
        dtype : type
        """
        check_choice("per", per, get_args(Per))
        if per == "customer":
            return self._of_customers.astype(dtype)
        return self._held(self.orders, self.n_orders, dtype)

    @cached_property
    def _of_customers(self) -> sparse.csr_matrix:
        """Return who holds which product: scorers ask for it with each block of customers."""
        return self._held(self.customers, self.n_customers, np.int8)

    def _held(self, rows: Codes, n_rows: int, dtype: type) -> sparse.csr_matrix:
        held = sparse.csr_matrix((np.ones(len(self), dtype=dtype), (rows, self.products)), (n_rows, self.n_products))
        held.data[:] = 1  # several orders of a customer were added up
        return held

    def counts(self, weights: Floats | None = None) -> sparse.csr_matrix:
        """Return the sum of the rows' weights, 1 each by default, per customer and product: a matrix of doubles."""
        values = np.ones(len(self)) if weights is None else weights
        shape = (self.n_customers, self.n_products)
        return sparse.csr_matrix((values, (self.customers, self.products)), shape)


def check_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    """Raise an `InputError` for a value that is not one of the choices."""
    if value not in choices:
        raise InputError(f"{name} has an unknown value", where=name, expected=listing(choices), found=repr(value))


def check_at_least(name: str, value: float, least: float) -> None:
    """Raise an `InputError` for a number that is too small, or not a number."""
    if not value >= least:
        raise InputError(f"{name} is too small", where=name, expected=f"at least {least}", found=f"{value}")


def _coded(column: pd.Series[Any]) -> tuple[Codes, NDArray[Any]]:
    """Return each value's position in the sorted array of the distinct texts, and this array."""
    codes, found = pd.factorize(column)
    texts = pd.Index(found).astype(str)
    order = texts.argsort()
    position = np.empty(len(texts), dtype=np.int64)
    position[order] = np.arange(len(texts))
    return position[codes], texts[order].to_numpy(dtype=object)
