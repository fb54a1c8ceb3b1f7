"""The contract of a check: facts of a staged shop in, findings out, each with the line that settles it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cached_property
from typing import Any

import ibis
import ibis.expr.types as ir
import pandas as pd

from features.engines import Engine
from features.errors import SHOWN_VALUES, InputError, did_you_mean
from features.sources.rules import confirmed_share, shares_of
from features.sources.shop_config import ACCEPTED
from features.sources.staged import Staged
from features.tables import Tables


@dataclass(frozen=True)
class Finding:
    """Rows that do not look like a shop's customers, goods and days.

    Attributes
    ----------
    check : str
        Name of the check.
    text : str
        What was found, with counts and money.
    lines : tuple of str
        YAML of the data config, each of which removes its cause or accepts it. A list stands in place of the config's
        own; the entries of a mapping are added to it.
    """

    check: str
    text: str
    lines: tuple[str, ...]


@dataclass(frozen=True)
class Facts:
    """A staged shop and the data config that it was staged by.

    Attributes
    ----------
    staged : Staged
    tables : Tables
    engine : Engine
    config : mapping
        One of conf/data/, as a plain dictionary.
    """

    staged: Staged
    tables: Tables
    engine: Engine
    config: Mapping[str, Any]
    _found: dict[Callable[[Facts], Any], Any] = field(default_factory=dict, init=False, repr=False, compare=False)

    def once(self, find: Callable[[Facts], pd.DataFrame]) -> pd.DataFrame:
        """Return what a function finds in these facts; it runs once, for all checks that ask."""
        if find not in self._found:
            self._found[find] = find(self)
        return self._found[find]

    @cached_property
    def customers(self) -> ir.Table:
        """Orders, purchase days, the first of them and money of each customer: counted once, for all that reads it."""
        lines = self.tables.transactions
        return self.engine.keep(
            lines.group_by("customer_id").aggregate(
                orders=lines.order_id.nunique(),  # an order is of one customer, so that these add up
                days=lines.timestamp.date().nunique(),
                first_day=lines.timestamp.min().date(),
                amount=lines.amount.sum(),
            )
        )

    @cached_property
    def orders(self) -> ir.Table:
        """Lines and money of each order: counted once."""
        lines = self.tables.transactions
        return self.engine.keep(lines.group_by("order_id").aggregate(lines=lines.count(), amount=lines.amount.sum()))

    @cached_property
    def totals(self) -> pd.Series:
        """Customers, those who came again, those seen in the first days already; orders and money of the shop."""
        people = self.customers
        settled = ibis.literal(self.staged.start + timedelta(days=self.staged.burn_in_days))
        return self.engine.frame(
            people.aggregate(
                customers=people.count(),
                repeat_customers=(people.days > 1).sum(),
                left_truncated_customers=(people.first_day < settled).sum(),
                orders=people.orders.sum(),
                amount=people.amount.sum().cast("float64"),
            )
        ).iloc[0]

    @property
    def lines(self) -> int:
        """Lines of the shop."""
        return self.staged.rows["transactions"]

    @cached_property
    def days(self) -> pd.DataFrame:
        """Orders and money of each day from the first to the last; 0 where nothing was sold."""
        lines = self.tables.transactions
        by_day = lines.group_by(day=lines.timestamp.date()).aggregate(
            orders=lines.order_id.nunique(), amount=lines.amount.sum().cast("float64")
        )
        frame = self.engine.frame(by_day).set_index("day").sort_index()
        frame.index = pd.to_datetime(frame.index)
        return frame.reindex(pd.date_range(frame.index[0], frame.index[-1]), fill_value=0)

    def can(self, key: str) -> bool:
        """Return True if the shop's source takes a key; of a source that is built in, only findings can be accepted."""
        return key in self.config

    def money(self, amount: float) -> str:
        """Write an amount with its share of all money."""
        total = float(self.totals.amount)
        share = f" ({amount / total:.1%})" if total else ""
        return f"{amount:,.2f} {self.staged.currency}{share}"

    def line(self, key: str, values: Iterable[str]) -> str:
        """Write a list of the config with further values."""
        known = [str(value) for value in self.config.get(key) or ()]
        return f"{key}: {_flow([*known, *(value for value in values if value not in known)])}"

    def drop(self, rule: str, key: str, values: Iterable[str], rows: float, amount: float) -> tuple[str, ...]:
        """Write a list of values that a rule leaves out, and the share that it may drop where that is a large one.

        It ends with the rule itself where the config has another action.
        """
        if not self.can(key):
            return ()
        return (self.line(key, values) + self.confirmation(rule, rows, amount) + self.action(rule),)

    def confirmation(self, rule: str, rows: float, amount: float) -> str:
        """Write the share that a rule may drop, where it is above that of the config."""
        totals = self.totals
        dropped = {drop.rule: drop for drop in self.staged.drops if drop.table == "transactions"}.get(rule)
        all_rows = self.lines + sum(drop.rows for drop in self.staged.drops if drop.table == "transactions")
        shares = shares_of(
            {
                "rows": rows + (dropped.rows if dropped else 0),
                "amount": amount + ((dropped.amount or 0) if dropped else 0),
            },
            {"rows": all_rows, "amount": totals.amount},
        )
        confirmed = self.config.get("confirmed_drops") or {}
        if max(shares.values()) <= max(confirmed.get(rule) or 0, self.config.get("max_dropped") or 1):
            return ""
        return f"\nconfirmed_drops: {_flow({rule: min(1.0, confirmed_share(shares))})}"

    def action(self, rule: str, action: str = "drop") -> str:
        """Write a rule's action where the config has another one."""
        rules = self.config.get("rules") or {}
        return "" if rules.get(rule) == action else f"\nrules: {_flow({rule: action})}"


Check = Callable[[Facts], Iterator[Finding]]
CHECKS: dict[str, Check] = {}


def check(find: Check) -> Check:
    """Register a check under its function's name."""
    CHECKS[find.__name__] = find
    return find


def run_checks(facts: Facts) -> tuple[Finding, ...]:
    """Run every check whose findings were not looked at.

    Raises
    ------
    InputError
        If the config accepts the findings of a check that there is not.
    """
    accepted = facts.config.get(ACCEPTED) or ()
    if isinstance(accepted, str) or not isinstance(accepted, Sequence):
        raise InputError(
            f"data.{ACCEPTED} is not a valid list",
            where=f"data.{ACCEPTED}",
            expected="such as [days_without_sales]",
            found=repr(accepted),
        )
    for name in accepted:
        if name not in CHECKS:
            raise InputError(
                f"there is no check {name!r}", where=f"data.{ACCEPTED}", hint=did_you_mean(str(name), CHECKS)
            )
    return tuple(found for name, find in CHECKS.items() if name not in accepted for found in find(facts))


def accepted(facts: Facts, name: str) -> str:
    """Write the line that accepts the findings of a check."""
    return facts.line(ACCEPTED, [name])


def examples(values: Sequence[str]) -> str:
    """Write at most five ids, and how many there are."""
    shown = ", ".join(values[:SHOWN_VALUES])
    return shown if len(values) <= SHOWN_VALUES else f"{shown}, ... ({len(values):,} in all)"


def _flow(value: object) -> str:
    """Write a list or mapping in one line of YAML, of which JSON is a part."""
    return json.dumps(value, ensure_ascii=False, default=str)
