"""Dates and times as people write them: year first, by a declared format, or as a number."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from functools import cache
from itertools import product

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.types as ir

from features.sources.files.values import western
from features.sources.languages import english_months, with_english_months
from features.tables import MOMENT, midnight

# What is read without a declared format: the year stands first, with four digits, and a zone is a distance from UTC
ISO = (
    r"^[0-9]{4}[-/][0-9]{1,2}[-/][0-9]{1,2}([ T][0-9]{1,2}:[0-9]{2}(:[0-9]{2}(\.[0-9]+)?)?)?"
    r"(\s*([zZ]|UTC|GMT|[+-][0-9]{2}(:?[0-9]{2})?))?$"
)
# Groups: what stands before the zone, its sign, its hours, its minutes; a zone without a sign is UTC
ZONE = r"(:[0-9]{2}(?:\.[0-9]+)?)\s*(?:[zZ]|UTC|GMT|([+-])([0-9]{2})(?::?([0-9]{2}))?)$"

# name of a date_format -> seconds of its unit, and the number that stands for 1970-01-01
NUMBERED = {
    "epoch_seconds": (1.0, 0),
    "epoch_milliseconds": (0.001, 0),
    "excel_days": (86_400.0, 25_569),
}
DATES = ("%d{0}%m{0}%Y", "%m{0}%d{0}%Y", "%d{0}%m{0}%y", "%m{0}%d{0}%y", "%Y{0}%m{0}%d", "%y{0}%m{0}%d", "%Y{0}%d{0}%m")
WORDED = (
    *("%d %b %Y", "%d %B %Y", "%b %d, %Y", "%B %d, %Y", "%b %d %Y", "%d-%b-%Y", "%d-%b-%y", "%b-%d-%y", "%b-%d-%Y"),
    *("%d/%b/%Y", "%d.%b.%Y", "%a, %d %b %Y", "%a, %b %d, %Y", "%a %b %d %Y"),
    *("%d. %b %Y", "%d %b, %Y", "%Y-%b-%d", "%Y年%m月%d日", "%Y년 %m월 %d일", "%Y년%m월%d일", "%Y. %m. %d."),
)
TIMES = (
    *("", " %H:%M", " %H:%M:%S", " %I:%M %p", " %I:%M:%S %p", ", %H:%M", ", %H:%M:%S", ", %I:%M %p", ", %I:%M:%S %p"),
    *("T%H:%M:%S", " %I:%M%p", " %I:%M:%S%p", " at %I:%M %p", " at %H:%M", " - %H:%M"),
)
ZONES = ("", " %z", "%z")
DISTANCES = ("Z", *(sign + each for sign in "+-" for each in ("0", "0:0", "0:0:0", "0.0", "0:0:0.0")))  # that %z reads


@ibis.udf.scalar.builtin(name="timezone")  # type: ignore[untyped-decorator]
def _to_local(zone: str, instant: dt.Timestamp("UTC")) -> dt.Timestamp(scale=6):  # type: ignore[valid-type]
    """Convert an instant to what the clock of a zone shows."""


@ibis.udf.scalar.builtin(name="timezone")  # type: ignore[untyped-decorator]
def _to_instant(zone: str, local: dt.Timestamp(scale=6)) -> dt.Timestamp("UTC"):  # type: ignore[valid-type]
    """Convert what the clock of a zone shows to an instant."""


@ibis.udf.scalar.builtin(name="try_strptime")  # type: ignore[untyped-decorator]
def _try_strptime(text: str, date_format: str) -> dt.Timestamp(scale=6):  # type: ignore[valid-type]
    """Read a text by a strptime format; null where it does not fit."""


@ibis.udf.scalar.builtin(name="try_strptime")  # type: ignore[untyped-decorator]
def _try_strptime_with_zone(text: str, date_format: str) -> dt.Timestamp("UTC"):  # type: ignore[valid-type]
    """Read a text by a strptime format with %z; null where it does not fit."""


@ibis.udf.scalar.builtin(name="make_timestamp")  # type: ignore[untyped-decorator]
def _at_microsecond(microseconds: int) -> dt.Timestamp(scale=6):  # type: ignore[valid-type]
    """Return the time so many microseconds after the start of 1970."""


def moments(values: ir.Column, date_format: str | None, raw_zone: str, shop_zone: str) -> ir.Column:
    """Read a raw column as naive timestamps of the shop's time zone; null where it cannot be read.

    A text's own distance from UTC wins over `raw_zone`.
    """
    kind = values.type()
    if kind.is_timestamp() and kind.timezone:
        return _to_local(shop_zone, values.cast(dt.Timestamp("UTC")))
    if kind.is_temporal():
        return _between(raw_zone, shop_zone, values.try_cast(MOMENT))
    texts = western(values.cast("string"))
    if date_format is None:
        return _iso(texts, raw_zone, shop_zone)
    if date_format in NUMBERED:
        local = _numbered(texts, date_format)
        zone = raw_zone if date_format == "excel_days" else "UTC"
        return _between(zone, shop_zone, local)
    if "%z" in date_format:
        return _to_local(shop_zone, _try_strptime_with_zone(texts, date_format))
    read = _try_strptime(texts, date_format)
    if "%b" in date_format:
        read = ibis.coalesce(read, _try_strptime(english_months(texts), date_format))
    return _between(raw_zone, shop_zone, read)


def outside(moments: ir.TimestampColumn, first: date | None, last: date | None) -> ir.BooleanColumn:
    """Mark the moments before the first day and after the last."""
    early = [moments < midnight(first)] if first else []
    late = [moments >= midnight(last + timedelta(days=1))] if last else []
    return ibis.or_(ibis.literal(False), *early, *late)


def formats() -> Iterator[str]:
    """Yield date formats that people use, to try on values that are not ISO 8601."""
    yield from NUMBERED
    yield "%Y%m%d"
    yield "%Y%m%d%H%M%S"
    days = [day.format(mark) for mark, day in product("-/.", DATES)]
    yield from (day + time + zone for zone, time, day in product(ZONES, TIMES, (*days, *WORDED)) if time or not zone)


def may_fit(text: str, date_format: str) -> bool:
    """Check whether a format is worth trying on a whole column, by one of its values."""
    if date_format in NUMBERED:
        return text.replace(".", "", 1).isdecimal()
    if "%b" in date_format:
        text = with_english_months(text)
    if _shape(text) not in _shapes(date_format):
        return False
    try:
        datetime.strptime(text, date_format)
    except ValueError:
        return False
    return True


def _shape(text: str) -> str:
    """Return 0 for each run of digits, A for each run of letters, and the marks between; without blanks.

    >>> _shape("5 Mar 2021, 08:30 AM")
    '0A0,0:0A'
    """
    return re.sub(r"[^\W\d_]+", "A", re.sub(r"\d+", "0", re.sub(r"\s+", "", text)))


@cache
def _shapes(date_format: str) -> frozenset[str]:
    """Return the shapes of the texts that a format may read: strptime takes a millisecond to find out.

    >>> sorted(_shapes("%b %d, %Y"))
    ['A0,0']
    """
    example = re.sub("%[bBap]", "A", re.sub("%[dmyYHIMS]", "0", date_format))
    return frozenset(_shape(example.replace("%z", distance)) for distance in DISTANCES)


def has_zone(texts: ir.StringColumn) -> ir.BooleanColumn:
    """Mark the texts that say how far their time is from UTC."""
    return texts.re_search(ZONE)


def _between(raw_zone: str, shop_zone: str, naive: ir.Column) -> ir.Column:
    return naive if raw_zone == shop_zone else _to_local(shop_zone, _to_instant(raw_zone, naive))


def _iso(texts: ir.StringColumn, raw_zone: str, shop_zone: str) -> ir.Column:
    """Read ISO 8601, with a blank in place of the T, and UTC and GMT as zones."""
    naive = ibis.ifelse(texts.re_search(ISO), texts.re_replace(ZONE, r"\1").try_cast(MOMENT), ibis.null(MOMENT))
    sign, hours, minutes = (texts.re_extract(ZONE, group) for group in (2, 3, 4))
    east = ibis.ifelse(sign == "-", -1, 1) * (_whole(hours) * 60 + _whole(minutes))
    instant = (naive - east.as_interval("m")).cast(dt.Timestamp("UTC"))
    return ibis.ifelse(has_zone(texts), _to_local(shop_zone, instant), _between(raw_zone, shop_zone, naive))


def _whole(digits: ir.StringColumn) -> ir.IntegerColumn:
    """Read digits as a number; 0 where there are none."""
    return digits.try_cast("int64").fill_null(0)


def _numbered(texts: ir.StringColumn, unit: str) -> ir.Column:
    """Read seconds since 1970, or days as spreadsheets count them; null where that gives no year of our time."""
    seconds, start = NUMBERED[unit]
    since = (texts.try_cast("float64") - start) * seconds
    right = since.between(0, 4_102_444_800)  # 1970 to 2100
    return ibis.ifelse(right, _at_microsecond((since * 1e6).round().try_cast("int64")), ibis.null(MOMENT))
