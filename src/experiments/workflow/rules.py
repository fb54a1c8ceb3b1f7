"""Association rules as a file to browse, and a picture of them."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from experiments.description.purchasing.rule_network import network_figure
from experiments.description.purchasing.rules import browsable, find_rules, pairs_of_rules
from experiments.reports.figures import cut, png
from experiments.reports.fonts import use_in_pictures
from experiments.reports.text import aligned
from experiments.workflow.output import check_writable
from experiments.workflow.session import Session
from features.csv_files import write_csv
from features.errors import InputError
from features.tables import parse_day
from features.writing import replacing

DEFAULT_OUTPUT, SUFFIX, PICTURE = "rules.csv", ".csv", ".png"
N_SHOWN = 10


class WrittenRules(NamedTuple):
    """Rules as files.

    Attributes
    ----------
    table : DataFrame
        As `affinity.rule_table` gives it, with goods in place of products.
    level : str
        Of the goods.
    day : date
        First day that is not included.
    path : Path
    picture : Path or None
        None where no rule has a single antecedent.
    n_drawn : int
        Pairs of the picture.
    """

    table: pd.DataFrame
    level: str
    day: date
    path: Path
    picture: Path | None
    n_drawn: int


def rules(session: Session, as_of: date | str | None = None, output: str | Path | None = None) -> WrittenRules:
    """Write the association rules of the shop's goods, and beside them the picture of their pairs.

    Parameters
    ----------
    session : Session
        Configuration `rules` says which rules.
    as_of : date or str, optional
        First day that is not included; as configured when left out, else the end of the data.
    output : path, optional
        File that ends in .csv, in the session's folder; outputs/<shop>/rules.csv when left out. The picture ends in
        .png.

    Raises
    ------
    InputError
        If the file cannot be written, there is no such level, category or good, nothing was sold, or no rule meets the
        limits.
    """
    path = session.path(output) if output else session.outputs / DEFAULT_OUTPUT
    if path.suffix != SUFFIX:
        raise InputError(
            f"{path} has an unknown suffix", where="output", expected=f"a file that ends in {SUFFIX}", found=path.suffix
        )
    check_writable(path, "output")
    options = session.config.rules
    day = parse_day(as_of or session.config.as_of or session.shop.tables.end, "as_of")
    table, level = find_rules(session.shop, day, options)
    if table.empty:
        raise InputError(
            "no rule meets the limits",
            where="rules.min_count, rules.min_support, rules.min_confidence, rules.min_lift",
            found=f"none of {session.shop.staged.shop} at the level {level}, min_count {options.min_count}",
            hint="lower rules.min_count, or take a coarser rules.level",
        )
    write_csv(browsable(table, options.per), path, index=False)
    pairs = pairs_of_rules(table, options.n_drawn)
    picture = None if pairs.empty else _draw(pairs, options.per, path)
    return WrittenRules(table, level, day, path, picture, len(pairs))


def _draw(pairs: pd.DataFrame, per: str, path: Path) -> Path:
    picture = path.with_suffix(PICTURE)
    use_in_pictures()
    with replacing(picture) as partial:
        partial.write_bytes(png(network_figure(pairs, per=per)))
    return picture


def rules_text(written: WrittenRules, per: str) -> str:
    """Return the rules of the highest leverage as they are read, one for each set of goods, and where all are."""
    order = ["leverage", "confidence"]
    first = written.table.sort_values(order, ascending=False, kind="stable")
    goods = [frozenset((*items, last)) for items, last in zip(first["antecedent"], first["consequent"], strict=True)]
    first = first[~pd.Series(goods, index=first.index).duplicated()].head(N_SHOWN)
    shown = browsable(first, per)[["antecedent", "consequent", f"{per}s_with_both", "confidence", "lift"]]
    for name in ("antecedent", "consequent"):
        shown[name] = shown[name].map(cut)
    shown = shown.assign(confidence=shown["confidence"].map("{:.1%}".format), lift=shown["lift"].map("{:.2f}".format))
    drawn = "1 pair" if written.n_drawn == 1 else f"{written.n_drawn} pairs"
    picture = "" if written.picture is None else f"\na picture of {drawn} of them in {written.picture}"
    return (
        f"{aligned(shown)}\n"
        f"{len(written.table):,} rules of {written.level} as of {written.day} in {written.path}, by lift\n"
        f"above, those that share most {per}s beyond chance{picture}"
    )
