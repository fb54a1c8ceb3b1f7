"""Lists of customers to contact: who is on a list, why, and who is held back as its control group."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple
from urllib.parse import unquote

import pandas as pd

from experiments.evaluation.amounts import UNRELIABLE
from experiments.reports.section import percent
from experiments.reports.words import worded
from features.errors import InputError, check_type, did_you_mean

KEYS = ("title", "where", "value", "action", "priority", "control_share", "columns")
TOP, BOTTOM = "top", "bottom"
LOW, HIGH = "min", "max"
ANY = "*"  # in a column of a condition: see `spread`
CONTACT, CONTROL = "contact", "control"
ACTIONS = ["action_list", "action", "action_reason", "action_group"]
LAST_PURCHASE, REPEATS = "days_since_last_purchase", "frequency"
PROBABILITY = "p_"  # begins the names of probabilities
AMOUNTS = "_amounts"  # after a column of money: the one that says how far its sum can be trusted
SHOWN = (LAST_PURCHASE, "total_spend", "orders")
OF_EVERY_LIST = ("customer_id", "reason", "group", "action", "currency", "as_of")


@dataclass(frozen=True)
class Condition:
    """Condition on one column of customer_360.

    Attributes
    ----------
    column : str
    words : tuple of str
        The column is one of these, where there are any.
    low, high : float or None
        Range of the column, both included; None leaves a side open. It may stand beside a share.
    part : str
        "top" or "bottom" where the column is among a share of the values, else "".
    share : float
        That share, in (0, 1).
    label : str
        The column in words; its name when empty.
    """

    column: str
    words: tuple[str, ...] = ()
    low: float | None = None
    high: float | None = None
    part: str = ""
    share: float = 0.0
    label: str = ""

    def holds(self, values: pd.Series, peers: pd.Series) -> pd.Series:
        """Return True for each customer of whom it holds. It holds of no missing value.

        Parameters
        ----------
        values : Series
            The column.
        peers : Series of bool, same index
            The customers of whose values a share is one. Equal values are all in it or none.
        """
        if self.words:
            return values.astype(object).isin(self.words)
        fits = values.notna()
        fits &= True if self.low is None else values >= self.low
        fits &= True if self.high is None else values <= self.high
        if self.part:
            ranked = values.where(peers)
            place = ranked.rank(ascending=self.part == BOTTOM, method="average") - 0.5
            fits &= place / max(int(ranked.count()), 1) < self.share
        return fits

    def text(self, among: str) -> str:
        """Return the condition as it is read: `p alive: in the bottom 20% of these, at most 90%`."""
        if self.column == REPEATS and not self.words:
            name, shift = "purchase days", 1
        else:
            name, shift = self.label or self.column, 0
        if self.words:
            return f"{name}: {' or '.join(self.words)}"
        said = [f"in the {self.part_text} of {among}"] if self.part else []
        low, high = (None if end is None else self._bound(end + shift) for end in (self.low, self.high))
        if low is not None and high is not None:
            said.append(low if low == high else f"{low} to {high}")
        elif low is not None:
            said.append(f"at least {low}")
        elif high is not None:
            said.append(f"at most {high}")
        return f"{name}: {', '.join(said)}"

    def _bound(self, end: float) -> str:
        return f"{100 * end:g}%" if self.column.startswith(PROBABILITY) else f"{end:g}"

    @property
    def part_text(self) -> str:
        """The share as it is read: `bottom 20%`."""
        return f"{self.part} {100 * self.share:g}%"

    def reason(self, value: object) -> str:
        """Return a customer's value as it is read: `chance to be a customer still 31% (bottom 20%)`."""
        return f"{_said(self.column, value, self.label)}{f' ({self.part_text})' if self.part else ''}"


class Stake(NamedTuple):
    """Sums of a list.

    Attributes
    ----------
    customers, held_back : int
        On the list, and of these in its control group.
    value : float
        What is at stake, in currency; NaN where no amount can be trusted that far.
    column : str
        Column of customer_360 that it is the sum of; "" without a value.
    label : str
        The column in words.
    """

    customers: int
    held_back: int
    value: float
    column: str
    label: str


@dataclass(frozen=True)
class ContactList:
    """A list of customers to contact.

    Attributes
    ----------
    name : str
        Of its file.
    title : str
    conditions : tuple of Condition
        All hold of each customer on the list.
    value : tuple of str
        Columns that say what is at stake, in currency: the first that there is orders the list, and the first whose sum
        can be trusted is added up.
    action : str
        What to do with these customers.
    priority : int
        A customer of several lists has the action of the one with the lowest number.
    control_share : float
        Share of the list that is held back by chance, in [0, 1).
    columns : tuple of str
        Columns of customer_360 that the list shows beside those of every list.
    labels : mapping of column to words
        Of columns of models: see `reports.words.worded`.
    """

    name: str
    title: str
    conditions: tuple[Condition, ...]
    value: tuple[str, ...]
    action: str
    priority: int = 100
    control_share: float = 0.0
    columns: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def ordered(self) -> list[Condition]:
        """The conditions, those with a share last: it is one of the customers who meet the others."""
        return sorted(self.conditions, key=lambda condition: bool(condition.part))

    @property
    def among(self) -> str:
        """The customers of whom a share is one, in words."""
        return "all customers" if all(condition.part for condition in self.conditions) else "these"

    @property
    def rule(self) -> str:
        """The conditions in words."""
        return "; ".join(condition.text(self.among) for condition in self.ordered)

    def label(self, column: str) -> str:
        """Return a column in words."""
        return worded(column, self.labels)

    def value_column(self, columns: Sequence[str]) -> str:
        """Return the column that orders the list: the first that there is.

        Raises
        ------
        InputError
            If customer_360 lacks all of them.
        """
        return next((name for name in self.value if name in columns), "") or _missing(self, self.value[0], columns)

    def added_up(self, customers: pd.DataFrame) -> str:
        """Return the column whose sum is at stake: the first whose amounts are not unreliable; "" without one."""
        return next((name for name in self.value if name in customers and not is_unreliable(name, customers)), "")

    def members(self, customers: pd.DataFrame, blind: Mapping[str, str] | None = None) -> pd.DataFrame:
        """Return who is on the list, the most valuable first.

        Parameters
        ----------
        customers : DataFrame indexed by customer_id
            customer_360, or those of its columns that lists read.
        blind : mapping of column to sentence, optional
            Columns whose order of customers is no better than chance, and the figures that say so. They order no list
            and choose nobody.

        Returns
        -------
        DataFrame indexed by customer_id
            The value that orders the list, with how far its amounts can be trusted where that is known, the value at
            stake, the columns of the conditions, those of `SHOWN` that exist, the list's own, `reason` in words, and
            `group`: "contact" or "control".

        Raises
        ------
        InputError
            If customer_360 lacks a column, a condition does not suit what the column holds, or its order is that of
            chance.
        """
        blind = blind or {}
        value = self.value_column([column for column in customers if column not in blind])
        for column in (*(condition.column for condition in self.conditions), *self.columns):
            if column not in customers:
                _missing(self, column, list(customers.columns))
        for condition in self.conditions:
            _check_kind(self, condition, customers[condition.column])
            if condition.column in blind:
                _refuse_blind(self, condition, blind[condition.column])
        everyone = pd.Series(True, index=customers.index)
        peers = self._meet([each for each in self.conditions if not each.part], customers, everyone)
        is_member = self._meet([each for each in self.conditions if each.part], customers, peers)
        usual = [column for column in SHOWN if column in customers]
        conditions = [condition.column for condition in self.conditions]
        trusted = [name for name in (f"{value}{AMOUNTS}",) if name in customers]
        stake = [name for name in (self.added_up(customers),) if name and name not in blind]
        shown = list(dict.fromkeys([value, *trusted, *stake, *conditions, *usual, *self.columns]))
        members = customers.loc[is_member, shown].sort_values(value, ascending=False, kind="stable")
        return members.assign(reason=self.reasons(members), group=self.groups(members.index))

    @staticmethod
    def _meet(conditions: Sequence[Condition], customers: pd.DataFrame, peers: pd.Series) -> pd.Series:
        """Return those of the peers who meet all conditions."""
        fits = peers
        for condition in conditions:
            fits = fits & condition.holds(customers[condition.column], peers)
        return fits

    def stake(self, members: pd.DataFrame) -> Stake:
        """Add up what is at stake on a list with these members, by amounts that can be trusted so far."""
        column = self.added_up(members)
        held_back = int((members["group"] == CONTROL).sum())
        value = float(members[column].sum()) if column else math.nan
        return Stake(len(members), held_back, value, column, self.label(column))

    def reasons(self, members: pd.DataFrame) -> list[str]:
        """Return why each customer is on the list: `tier VIP; orders 12; last purchase 64 days ago`."""
        said = [list(map(condition.reason, members[condition.column])) for condition in self.ordered]
        if LAST_PURCHASE in members and LAST_PURCHASE not in [condition.column for condition in self.conditions]:
            said.append([_said(LAST_PURCHASE, days) for days in members[LAST_PURCHASE]])
        return ["; ".join(row) for row in zip(*said, strict=True)]

    def groups(self, customer_ids: pd.Index) -> list[str]:
        """Return the group of each customer. It is a function of list and customer: a later list gives the same."""
        return [CONTROL if _chance(self.name, str(each)) < self.control_share else CONTACT for each in customer_ids]


def parse(
    name: str, content: object, control_share: float | None = None, labels: Mapping[str, str] | None = None
) -> ContactList:
    """Read the declaration of a list.

    Parameters
    ----------
    name : str
        Of its file in conf/lists/.
    content : object
        As the file has it: `title`, `where`, `value`, `action`, and perhaps `priority`, `control_share` and `columns`.
        An InputError in its place is raised.
    control_share : float, optional
        In place of the list's own.
    labels : mapping of column to words, optional
        Of columns of models.

    Raises
    ------
    InputError
        If a key is missing, unknown or has a wrong value.
    """
    if isinstance(content, InputError):
        raise content
    where = f"lists/{name}.yaml"
    if not isinstance(content, Mapping):
        raise InputError(f"the list {name} is not a mapping", where=where, expected=f"keys {', '.join(KEYS)}")
    for key in content:
        if key not in KEYS:
            raise InputError(f"a list has no key {key!r}", where=where, hint=did_you_mean(str(key), KEYS))
    absent = [key for key in KEYS[:4] if not content.get(key)]
    if absent:
        raise InputError(f"the list {name} has no {absent[0]}", where=where, expected=f"keys {', '.join(KEYS[:4])}")
    conditions = content["where"]
    if not isinstance(conditions, Mapping):
        raise InputError(
            f"where of the list {name} is not a mapping", where=where, expected="column: condition", found=conditions
        )
    share = content.get("control_share", 0.0) if control_share is None else control_share
    check_type(share, "float", f"{where}: control_share")
    check_type(content.get("priority", 100), "int", f"{where}: priority")
    if not 0 <= share < 1:
        raise InputError(
            "control_share is out of range", where=where, expected="at least 0 and below 1", found=str(share)
        )
    columns = content.get("columns") or []
    if not (isinstance(columns, list) and all(isinstance(name, str) for name in columns)):
        raise InputError(
            "columns is not a list of names", where=where, expected="such as [segment, orders]", found=str(columns)
        )
    value, labels = content["value"], labels or {}
    _check_pattern(content, where)
    return ContactList(
        name=name,
        title=str(content["title"]),
        conditions=tuple(
            replace(_condition(where, str(column), given), label=worded(str(column), labels))
            for column, given in conditions.items()
        ),
        value=tuple(map(str, value if isinstance(value, list) else [value])),
        action=str(content["action"]),
        priority=int(content.get("priority", 100)),
        control_share=float(share),
        columns=tuple(name for name in columns if name not in OF_EVERY_LIST),
        labels=labels,
    )


def spread(lists: Sequence[ContactList], columns: Sequence[str]) -> list[ContactList]:
    """Return the lists, in place of one on a pattern a list for each column that fits it.

    A condition on `p_propensity_*` stands for all columns that begin so. What the asterisk stands for replaces it in
    the other columns too, is read in the title and the action, and ends the list's name. Where no column fits, there is
    no list.

    Parameters
    ----------
    lists : sequence of ContactList
    columns : sequence of str
        Of customer_360.
    """
    return [own for each in lists for own in _of_pattern(each, columns)]


def _of_pattern(contact_list: ContactList, columns: Sequence[str]) -> Iterator[ContactList]:
    pattern = next((each.column for each in contact_list.conditions if ANY in each.column), None)
    if pattern is None:
        yield contact_list
        return
    begin, end = pattern.split(ANY)
    labels = contact_list.labels
    for column in columns:
        if not (column.startswith(begin) and column.endswith(end) and len(column) > len(begin) + len(end)):
            continue
        found = column[len(begin) : len(column) - len(end)]
        conditions = tuple(
            replace(each, column=own, label=worded(own, labels))
            for each in contact_list.conditions
            for own in [each.column.replace(ANY, found)]
        )
        yield replace(
            contact_list,
            name=f"{contact_list.name}_{found}",
            title=contact_list.title.replace(ANY, _in_words(found)),
            conditions=conditions,
            value=tuple(each.replace(ANY, found) for each in contact_list.value),
            action=contact_list.action.replace(ANY, _in_words(found)),
            columns=tuple(each.replace(ANY, found) for each in contact_list.columns),
        )


def _in_words(end: str) -> str:
    """Return the end of a column as it is read.

    >>> _in_words("soft_drinks_28d"), _in_words("frzn_meat.2fmeat_56d")
    ('soft drinks (28 days)', 'frzn meat/meat (56 days)')
    """
    of, days = re.fullmatch(r"(.*?)(?:_(\d+)d)?", end).groups()  # type: ignore[union-attr]
    words = unquote(of.replace(".", "%")).replace("_", " ")
    return f"{words} ({days} days)" if days else words


def columns_of(lists: Sequence[ContactList]) -> set[str]:
    """Return the columns of customer_360 that lists read."""
    read = {condition.column for each in lists for condition in each.conditions}
    own = {name for each in lists for name in (*each.value, *each.columns)}
    return {"customer_id", *SHOWN, *read, *own, *(f"{name}{AMOUNTS}" for name in own)}


def is_unreliable(column: str, customers: pd.DataFrame) -> bool:
    """Return True if the sum of a column cannot be trusted, by the one beside it: only its order is of use."""
    beside = f"{column}{AMOUNTS}"
    return beside in customers and customers[beside].eq(UNRELIABLE).any()


def first_actions(found: Sequence[tuple[ContactList, pd.DataFrame]]) -> pd.DataFrame:
    """Return what to do with each customer of some list, by the list of the lowest priority that has them.

    Parameters
    ----------
    found : sequence of (ContactList, DataFrame)
        The lists with their members, as `ContactList.members` returns them.

    Returns
    -------
    DataFrame indexed by customer_id
        `action_list`, `action`, `action_reason` and `action_group`, which is "contact" or "control".
    """
    ordered = sorted(found, key=lambda one: (one[0].priority, one[0].name))
    parts = [pd.DataFrame(columns=ACTIONS, index=pd.Index([], name="customer_id"), dtype=object)]
    for each, members in ordered:
        parts.append(members[["reason", "group"]].set_axis(ACTIONS[2:], axis=1).astype(object))
        parts[-1].insert(0, ACTIONS[0], each.name)
        parts[-1].insert(1, ACTIONS[1], each.action)
    both = pd.concat(parts)
    return both[~both.index.duplicated()]


def _condition(where: str, column: str, given: Any) -> Condition:
    if isinstance(given, Mapping):
        parts, bounds = ([key for key in given if key in known] for known in ((TOP, BOTTOM), (LOW, HIGH)))
        is_share = len(parts) < 2 and all(isinstance(given[part], float) and 0 < given[part] < 1 for part in parts)
        is_bounded = all(given[bound] is not None and _is_bound(given[bound]) for bound in bounds)
        if given and len(given) == len(parts) + len(bounds) and is_share and is_bounded:
            part, share = (parts[0], given[parts[0]]) if parts else ("", 0.0)
            _check_order(column, given.get(LOW), given.get(HIGH), where)
            return Condition(column, low=given.get(LOW), high=given.get(HIGH), part=part, share=share)
    elif isinstance(given, list) and given and all(isinstance(word, str) for word in given):
        return Condition(column, words=tuple(given))
    elif isinstance(given, list) and len(given) == 2 and given != [None, None] and all(map(_is_bound, given)):
        low, high = given
        _check_order(column, low, high, where)
        return Condition(column, low=low, high=high)
    raise InputError(
        f"the condition on {column} cannot be read",
        where=where,
        expected="words such as [VIP, Gold], a range such as [60, null], {top: 0.2} or {bottom: 0.2, max: 0.9}",
        found=str(given),
    )


def _check_pattern(content: Mapping[str, Any], where: str) -> None:
    """Refuse a pattern whose lists would share a title, and more than one asterisk: each may stand for another text."""
    patterns = sorted({str(column) for column in content["where"] if ANY in str(column)})
    if not patterns:
        return
    if max(pattern.count(ANY) for pattern in patterns) > 1 or len(patterns) > 1:
        raise InputError(
            f"the conditions have more than one {ANY}",
            where=where,
            expected=f"one column with one {ANY}, such as p_propensity_{ANY}",
            found=", ".join(patterns),
        )
    if ANY not in str(content["title"]):
        raise InputError(
            f"the lists of {patterns[0]} would have one title",
            where=where,
            expected=f"a title with {ANY}, in whose place each list has its own",
            found=str(content["title"]),
        )


def _check_order(column: str, low: float | None, high: float | None, where: str) -> None:
    """Refuse a range that nothing is in."""
    if low is not None and high is not None and low > high:
        raise InputError(
            f"the range of {column} is empty",
            where=where,
            expected="the lower end first",
            found=f"{low:g} to {high:g}",
            hint=f"{column}: [{high:g}, {low:g}]",
        )


def _said(column: str, value: object, label: str = "") -> str:
    """Return a column of a customer with its value, as it is read.

    >>> _said("tier", "VIP"), _said("days_since_last_purchase", 64.0), _said("frequency", 0.0), _said("frequency", 4.0)
    ('tier VIP', 'last purchase 64 days ago', 'bought once', 'bought on 5 days')
    >>> _said("p_alive", 0.31234, "chance to be a customer still")
    'chance to be a customer still 31.2%'
    """
    name = label or column
    if isinstance(value, int | float) and column == LAST_PURCHASE:
        return f"last purchase {value:,.0f} {'day' if value == 1 else 'days'} ago"
    if isinstance(value, int | float) and column == REPEATS:
        return "bought once" if value == 0 else f"bought on {value + 1:,.0f} days"
    if isinstance(value, float) and column.startswith(PROBABILITY):
        return f"{name} {percent(value) if value >= 0.0005 else 'below 0.1%'}"
    return f"{name} {_shown(value)}"


def _shown(value: object) -> str:
    """Return a value as it is read.

    >>> _shown("VIP"), _shown(75.0), _shown(1234.5), _shown(0.12345), _shown(0.00003)
    ('VIP', '75', '1,234', '0.123', 'below 0.001')
    """
    if not isinstance(value, float):
        return str(value)
    if 0 < value < 0.0005:
        return "below 0.001"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{round(value, 3):.3g}"


def _is_bound(value: object) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))


def _check_kind(contact_list: ContactList, condition: Condition, values: pd.Series) -> None:
    """Refuse words for a column of numbers, and ranges of words."""
    is_number = pd.api.types.is_numeric_dtype(values)
    if is_number == bool(condition.words) and values.notna().any():
        raise InputError(
            f"the list {contact_list.name} does not suit {condition.column}",
            where=f"lists/{contact_list.name}.yaml",
            expected="a range or a share, as its values are numbers" if is_number else "words, as its values are words",
            found=condition.text(contact_list.among),
        )


def _refuse_blind(contact_list: ContactList, condition: Condition, figures: str) -> None:
    raise InputError(
        f"the list {contact_list.name} would choose by {condition.column}, whose order is no better than chance",
        where=f"lists/{contact_list.name}.yaml",
        found=figures,
        hint=f"choose by another column than {condition.column}",
    )


def _missing(contact_list: ContactList, column: str, columns: Sequence[str]) -> str:
    raise InputError(
        f"the list {contact_list.name} reads {column}, which customer_360 does not have",
        where=f"lists/{contact_list.name}.yaml",
        hint=did_you_mean(column, columns),
    )


def _chance(*names: str) -> float:
    """Return a number in [0, 1) that depends on the names alone."""
    return int.from_bytes(hashlib.sha256("\0".join(names).encode()).digest()[:8]) / 2**64
