"""Lists of customers to contact, written beside customer_360."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from experiments.campaigns.lists import (
    AMOUNTS,
    CONTACT,
    OF_EVERY_LIST,
    ContactList,
    Stake,
    columns_of,
    is_unreliable,
    parse,
    spread,
)
from experiments.tasks import TASKS
from experiments.workflow.session import Session, chosen
from features.csv_files import write_csv
from features.errors import InputError, listing

logger = logging.getLogger(__name__)

FOLDER, CUSTOMERS = "lists", "customer_360"
MONEY_DECIMALS, SHARE_DECIMALS = 2, 3


class WrittenList(NamedTuple):
    """A list of customers as a file.

    Attributes
    ----------
    title : str
    path : Path
    stake : Stake
    currency : str
    """

    title: str
    path: Path
    stake: Stake
    currency: str


def read_lists(session: Session) -> list[ContactList]:
    """Return the lists that the configuration declares and names, in the order of their priority.

    Raises
    ------
    InputError
        If there is no list of a name, or one cannot be read.
    """
    options, declared = session.config.campaign, session.lists
    picked = chosen(declared, options.lists, "list", "campaign.lists")
    labels = {column: words for kind in TASKS.values() for column, words in kind.words.items()}
    found = [parse(name, content, options.control_share, labels) for name, content in picked.items()]
    titles = [each.title for each in found]
    for each in found:
        if titles.count(each.title) > 1:
            raise InputError(
                f"two lists are called {each.title!r}", where=f"conf/lists/{each.name}.yaml", hint="change one title"
            )
    return sorted(found, key=lambda each: (each.priority, each.name))


def find_members(
    lists: Sequence[ContactList], customers: pd.DataFrame, blind: Mapping[str, str]
) -> tuple[list[tuple[ContactList, pd.DataFrame]], list[str]]:
    """Return each list with its members; and why the others, which these customers' columns do not allow, have none.

    Parameters
    ----------
    lists : sequence of ContactList
        One on a pattern of columns has a list for each of them: see `campaigns.lists.spread`.
    customers : DataFrame indexed by customer_id
    blind : mapping of column to sentence
        See `ContactList.members`.
    """
    found, left_out = [], []
    for each in spread(lists, list(customers)):
        try:
            found.append((each, each.members(customers, blind)))
        except InputError as error:
            left_out.append(error.sentence)
    return found, left_out


def tell(found: Sequence[tuple[ContactList, pd.DataFrame]], left_out: Sequence[str], customers: pd.DataFrame) -> None:
    """Log which lists are left out or empty."""
    for sentence in left_out:
        logger.warning("a list is left out: %s", sentence)
    for each, members in found:
        if members.empty:
            logger.info("the list %s has no customers: %s", each.name, "; ".join(_values(each, customers)))


def _values(contact_list: ContactList, customers: pd.DataFrame) -> list[str]:
    """Return the conditions of a list, those on words with the values of the column: a word may be mistyped."""
    said = []
    for condition in contact_list.ordered:
        values = sorted(map(str, customers[condition.column].dropna().unique())) if condition.words else []
        said.append(f"{condition.text(contact_list.among)}{f', of {listing(values)}' if values else ''}")
    return said


def list_file(customer_360: Path, contact_list: ContactList) -> Path:
    """Return the file of a list: in lists/ beside customer_360, in autumn_lists/ beside autumn.parquet."""
    folder = FOLDER if customer_360.stem == CUSTOMERS else f"{customer_360.stem}_{FOLDER}"
    return customer_360.parent / folder / f"{contact_list.name}.csv"


def read_details(session: Session, lists: Sequence[ContactList]) -> pd.DataFrame | None:
    """Read the contact details that the data config declares, such as names and phone numbers, for the files of lists.

    Nothing else reads them, and nothing else is written with them.

    Returns
    -------
    DataFrame indexed by customer_id, or None
        None where none are declared, or there is no list.

    Raises
    ------
    InputError
        If they cannot be read, or are called as a column of a list is.
    """
    details = session.shop.contact_details(session.config.data) if lists else None
    taken = {*columns_of(lists), *OF_EVERY_LIST}
    twice = [name for name in ([] if details is None else details.columns) if name in taken]
    if twice:
        raise InputError(
            f"lists have a column {twice[0]} of their own",
            where="data.contact_details.columns",
            expected="names that no column of a list has",
            found=listing(twice),
            hint=f"call it otherwise: {{customer_{twice[0]}: …}}",
        )
    return details


def write_list(
    contact_list: ContactList,
    members: pd.DataFrame,
    path: Path,
    currency: str,
    as_of: date,
    details: pd.DataFrame | None = None,
) -> WrittenList:
    """Write a list: a row for each customer, the most valuable first, with numbers rounded for people.

    Amounts that are unreliable are not written, but the rank by them: 1 is the first to contact.

    Contact details stand behind the customer's id. Those who are held back have none: nobody is to contact them.
    """
    stake = contact_list.stake(members)
    about = {"action": contact_list.action, "currency": currency, "as_of": str(as_of)}
    rows = members.assign(**{**{name: _rounded(members[name]) for name in members}, **about})
    names = {stake.column: f"{stake.label} ({currency} at stake)"} if stake.column else {}
    ranked = [name for name in contact_list.value if is_unreliable(name, members)]
    rows = rows.assign(**{name: members[name].rank(ascending=False, method="min").astype("Int64") for name in ranked})
    names |= {name: f"rank by {contact_list.label(name)}" for name in ranked}
    trusted = [f"{name}{AMOUNTS}" for name in contact_list.value]  # the names say it
    rows = rows.drop(columns=trusted, errors="ignore").rename(columns=names)
    if details is not None:
        of_members = details.reindex(rows.index).where(rows["group"] == CONTACT)
        rows = pd.concat([of_members, rows], axis=1)
    write_csv(rows, path)
    return WrittenList(contact_list.title, path, stake, currency)


def _rounded(values: pd.Series) -> pd.Series:
    """Return whole numbers as such, probabilities and shares with three decimals, and other numbers with two."""
    if not pd.api.types.is_numeric_dtype(values):
        return values
    is_share = str(values.name).startswith("p_") or str(values.name).endswith(("_share", "_rate"))
    rounded = values.round(SHARE_DECIMALS if is_share else MONEY_DECIMALS)
    is_whole = not is_share and (rounded.dropna() % 1 == 0).all()
    return rounded.astype("Int64") if is_whole else rounded


def lists_text(lists: Sequence[WrittenList]) -> str:
    """Return a line for each list: its customers, what is at stake and its file."""
    lines = []
    for each in lists:
        customers, held_back, value, _, label = each.stake
        control = f", {held_back:,} held back" if held_back else ""
        worth = "amounts not known" if math.isnan(value) else f"{each.currency} {value:,.0f} of {label}"
        lines.append(f"  {each.title}: {customers:,} customers{control}, {worth}, in {each.path}\n")
    return "".join(lines)
