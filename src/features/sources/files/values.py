"""Texts, ids and numbers as people write them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import product as product_of

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.types as ir

from features.sources.files.config import NumberStyle
from features.tables import MONEY

OUTER = r"^[\s\p{Z}\p{Cf}]+|[\s\p{Z}\p{Cf}]+$"  # white space of every kind, and marks without a width
WHOLE = r"^([0-9]+)\.0+$"
NUMBER = r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?"
DIGITS = "٠١٢٣٤٥٦٧٨٩۰۱۲۳۴۵۶۷۸۹０１２３４５６７８９"  # Arabic-Indic, Persian, full-width
MARKS, AS_WESTERN = "٫٬،．，－＋−：／", ".,,.,-+-:/"  # marks beside them, and those of Western numbers
BEYOND_ASCII = r"[^\x00-\x7F]"
LONG = r"\.[0-9]{7}|[0-9]{12}|[eE]"  # more than the fast decimal of DuckDB holds
FAST, WIDE, FACTOR = "decimal(18, 6)", "decimal(38, 9)", "decimal(28, 9)"
CURRENCY_SIGNS = (
    *("$", "€", "£", "¥", "₩", "₹", "₽", "R$", "kr", "zł", "Kč", "원", "円", "元", "руб."),
    *("USD", "EUR", "GBP", "CHF", "JPY", "KRW", "BRL", "SEK", "PLN"),
)
EXACT_INTEGERS = 1e15  # of doubles


def trimmed(values: ir.Column) -> ir.StringColumn:
    """Return values as texts without outer white space; ids that were stored as doubles without their `.0`."""
    kind = values.type()
    if kind.is_floating():
        whole = (values == values.floor()) & (values.abs() < EXACT_INTEGERS)
        texts = ibis.ifelse(whole, values.try_cast("int64").cast("string"), values.cast("string"))
    else:
        texts = values if kind.is_string() else values.cast("string")
    return texts.re_replace(OUTER, "")


def western(texts: ir.StringColumn) -> ir.StringColumn:
    """Return numbers, dates and times of other digits in those of the West: ٣٫٥ and ３．５ are 3.5."""
    read = texts.translate(DIGITS + MARKS, "0123456789" * (len(DIGITS) // 10) + AS_WESTERN)
    return ibis.ifelse(texts.re_search(BEYOND_ASCII), read, texts)


def is_missing(texts: ir.StringColumn, words: Sequence[str]) -> ir.BooleanColumn:
    """Mark the trimmed texts that are words for nothing."""
    return texts.lower().isin(["", *words])


def is_whole_number(texts: ir.StringColumn) -> ir.BooleanColumn:
    """Mark the ids that are whole numbers with decimals of 0, as a column of doubles is written."""
    return texts.re_search(WHOLE)


def is_address_in_capitals(texts: ir.StringColumn) -> ir.BooleanColumn:
    """Mark the ids that are e-mail addresses with capital letters, which mean the same without."""
    return texts.contains("@") & (texts != texts.lower())


def normal_id(texts: ir.StringColumn) -> ir.StringColumn:
    """Return one spelling of an id."""
    whole = ibis.ifelse(is_whole_number(texts), texts.re_replace(WHOLE, r"\1"), texts)
    return ibis.ifelse(whole.contains("@"), whole.lower(), whole)


def number(values: ir.Column, wanted: dt.DataType, style: NumberStyle) -> ir.Column:
    """Read numbers; null where they cannot be read, or have more decimals than money or quantities keep.

    Decimals beyond the ninth are the noise of doubles. Floats of 32 bits are the shortest decimals that give them.
    """
    if values.type().is_string():
        values = western(values)
    if style.cents and wanted.is_decimal():
        texts = values if values.type().is_string() else values.try_cast(FAST).cast("string")
        wide = (_plain(texts, style) + "e-2").try_cast(WIDE)
    elif not values.type().is_string():
        if not wanted.is_decimal():
            return values.try_cast(wanted)
        exact = values.cast("string") if values.type().is_float32() else values
        wide = exact.try_cast(WIDE)
    else:
        plain = _plain(values, style)
        if not wanted.is_decimal():
            return plain.try_cast(wanted)
        wide = ibis.ifelse(plain.re_search(LONG), plain.try_cast(WIDE), plain.try_cast(FAST).cast(WIDE))
    kept = wide.try_cast(wanted)
    if style.rounded:
        return kept
    return ibis.ifelse(kept.cast(WIDE) == wide, kept, ibis.null(wanted))


def factor(values: ir.Column, style: NumberStyle) -> ir.Column:
    """Read a quantity or a price that another is multiplied with, with all of its decimals."""
    return number(values, ibis.dtype(FACTOR), style)


def product(quantity: ir.Column, price: ir.Column) -> ir.Column:
    """Return quantity x price as money; the product alone is rounded."""
    return (quantity * price).round(4).cast(MONEY)


def styles(declared: NumberStyle, texts: str) -> Iterator[tuple[dict[str, object], NumberStyle]]:
    """Yield other ways to write numbers, the simpler ones first, and what declares them.

    Parameters
    ----------
    declared : NumberStyle
        The one that does not read all numbers.
    texts : str
        All that is not a digit in the numbers: a way whose marks it lacks is not tried.
    """
    marks = {*re.sub(r"\s", " ", texts), *(sign for sign in CURRENCY_SIGNS if sign in texts)}
    separators: list[dict[str, object]] = [
        {"decimal": decimal, **({"thousands": thousands} if thousands else {})}
        for decimal in ".,"
        for thousands in ("", ",", ".", " ", "'")
        if thousands != decimal
    ]
    signs: list[dict[str, object]] = [{"currency_sign": sign} for sign in (None, *CURRENCY_SIGNS)]
    negatives: list[dict[str, object]] = [{}, {"accounting": True}]
    for ways in product_of(negatives, signs, separators):
        style = replace(declared, **{key: value for way in ways for key, value in way.items()})  # type: ignore[arg-type]
        changes = {key: value for key, value in vars(style).items() if value not in (None, getattr(declared, key))}
        if changes and all(value in marks for key, value in changes.items() if key != "accounting" and value != "."):
            yield changes, style


def _plain(texts: ir.StringColumn, style: NumberStyle) -> ir.StringColumn:
    """Return numbers with a decimal point and a leading minus; null for what is not a number in this style."""
    if style.currency_sign:
        texts = texts.replace(style.currency_sign, "").re_replace(OUTER, "").re_replace(r"^([(+-])[\s\p{Z}]+", r"\1")
    if style.accounting:
        texts = texts.re_replace(r"^\((.*)\)$", r"-\1").re_replace(r"^(.*[0-9])-$", r"-\1")
    if style.thousands:
        mark = {".": r"\.", " ": r"[\s\p{Z}]", "|": r"\|"}.get(style.thousands, style.thousands)
        decimal = r"\." if style.decimal == "." else ","
        grouped = rf"^[+-]?[0-9]{{1,3}}({mark}[0-9]{{3}})+({decimal}[0-9]*)?$"
        texts = ibis.ifelse(texts.re_search(grouped), texts.re_replace(mark, ""), texts)
    if style.decimal == ",":  # a point would group thousands: not guessed at, but reported
        texts = ibis.ifelse(texts.contains("."), ibis.null("string"), texts.replace(",", "."))
    return ibis.ifelse(texts.re_search(f"^{NUMBER}$"), texts, ibis.null("string"))
