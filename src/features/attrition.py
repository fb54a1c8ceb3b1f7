"""Attrition beside facts of unknown date: who has a fact may be who stayed long enough to be asked.

At an early, a middle and a late cutoff, the customers with a fact are compared with those without it who bought as
often and as recently. If far fewer of them leave, or far more, the fact was written down with knowledge of who left.
Products are compared likewise, but there seasons and brands that were given up look the same. So are the lists of
whom campaigns addressed, each at its own day: a list that was put together later knows who was still there, but a
campaign that keeps customers looks the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta

import ibis
import ibis.expr.types as ir
import numpy as np
import pandas as pd
from scipy.special import gammaln
from scipy.stats import rankdata

from features.engines import Engine
from features.errors import listing
from features.families import resolve
from features.leakage import Finding
from features.tables import SPECS, Tables

SUBJECTS = ("customer_id", "product_id")  # keys of tables of facts: of those who buy, and of what is bought
POSITIONS = {"early": 0.3, "middle": 0.5, "late": 0.7}  # of the days before which leaving can be observed
RECENT_DAYS = 91  # before a cutoff, in which activity is counted
GAP = 0.95  # quantile of the days between two purchases, after which silence counts as having left
SHORTEST_SILENCE = 28  # days
MOST_SILENCE = 0.4  # share of the days: a longer silence leaves too few days to compare
BINS = 5  # of each measure of activity
MOST_VALUES = 20  # of a column of facts whose values are compared
FEWEST = 20  # customers with a value
RATIO = 2.0  # odds of leaving that differ by no more than this factor may be those of unlike customers
LEVEL = 0.05
KNOWN = "known"
LISTS = "contacts"
LISTED = "its day"  # position of a list of contacts
MOST_LISTS = 20  # of contacts, the largest ones
NO_CHANCE = 1e-20


@dataclass(frozen=True)
class Attrition:
    """Comparison of the subjects with a fact and those without it, alike in activity as of a cutoff.

    Attributes
    ----------
    table, fact : str
        The fact is "known" (there is a row), or a column and its value: "region = North".
    position : {"early", "middle", "late", "its day"}
    cutoff : datetime.date
    subjects : int
        Customers, or products, with the fact, in strata that hold some without it.
    left : int
        Those of them that were not seen in the last `silence` days.
    expected : float
        The same number if they left as often as those without the fact in their stratum.
    p_value : float
        Of the hypothesis that the odds of leaving differ by a factor of at most `RATIO`; corrected by Holm's method for
        all comparisons of the shop.
    gain : float
        AUC of who left, by strata and the fact, above that by strata alone; half of the subjects give the shares by
        which the other half is ranked.
    """

    table: str
    fact: str
    position: str
    cutoff: date
    subjects: int
    left: int
    expected: float
    p_value: float
    gain: float

    @property
    def is_flagged(self) -> bool:
        return self.p_value < LEVEL

    def __str__(self) -> str:
        return (
            f"{self.position} ({self.cutoff}): {self.left:,} of {self.subjects:,} left, {self.expected:,.1f} expected, "
            f"p {self.p_value:.2g}, AUC {self.gain:+.3f}"
        )


def attrition(tables: Tables, engine: Engine, end: date | None = None) -> list[Attrition]:
    """Compare attrition with and without each fact of unknown date, at three cutoffs.

    Customers who bought before a cutoff left if they were silent in the last days before `end`. The silence is the 95%
    quantile of the gaps between two purchase days, at least 28 days and at most two fifths of the data. Strata are
    quintiles of the purchase days in the 91 days before the cutoff, crossed with quintiles of the days since the last
    purchase. The number of those with the fact among all who left a stratum follows Fisher's noncentral hypergeometric
    distribution. The p-value is that of the sum over strata, at odds of `RATIO` and of 1 / `RATIO`; the smaller one is
    doubled.

    Parameters
    ----------
    tables : Tables
    engine : Engine
    end : datetime.date, optional
        First day that is not looked at; the end of the data when left out.

    Returns
    -------
    list of Attrition
        Empty where the shop has no such table, or too few days.
    """
    known, end = _until(tables, end)
    found: list[Attrition] = []
    for name, table in known.items():
        spec = SPECS[name]
        if spec.moment(tables[name].columns) or len(spec.key) != 1 or spec.key[0] not in SUBJECTS:
            continue
        silence = _silence_before(known, engine, spec.key[0], end)
        if silence is not None:
            open_days = (end - known.start).days - silence
            cutoffs = {
                name: known.start + timedelta(days=round(share * open_days)) for name, share in POSITIONS.items()
            }
            gone = dict.fromkeys(cutoffs, end - timedelta(days=silence))
            activity = _activity(known, engine, spec.key[0], cutoffs, gone)
            facts = engine.frame(_texts(table, name)).set_index(spec.key[0])
            found += _compared(name, facts, activity)
    return holm(found)


def contact_attrition(tables: Tables, engine: Engine, end: date | None = None) -> list[Attrition]:
    """Compare attrition of the customers whom a campaign addressed and of others, as of the day of its first contact.

    Those left who bought nothing from that day on. The test is that of `attrition`; as lists are often of those who
    bought most so far, strata are crossed with quintiles of all purchase days before. Campaigns that begin fewer days
    before the end than the silence lasts are passed over, and so are all but the 20 with most contacts.

    Parameters
    ----------
    tables, engine, end
        As of `attrition`.

    Returns
    -------
    list of Attrition
        By day; empty where the shop has no contacts, or too few days.
    """
    known, end = _until(tables, end)
    contacts = known.contacts
    silence = None if contacts is None else _silence_before(known, engine, "customer_id", end)
    if contacts is None or silence is None:
        return []
    lists = contacts.group_by("campaign_id").agg(
        day=contacts.contacted_at.min().date(), customers=contacts.customer_id.nunique()
    )
    latest = end - timedelta(days=silence)
    usable = lists.filter(lists.day > ibis.literal(known.start), lists.day <= ibis.literal(latest))
    largest = usable.order_by(ibis.desc("customers"), "campaign_id").limit(MOST_LISTS)
    rows = engine.frame(largest).sort_values(["day", "campaign_id"])
    days = {
        str(campaign): pd.Timestamp(day).date() for campaign, day in zip(rows["campaign_id"], rows["day"], strict=True)
    }
    activity = _activity(known, engine, "customer_id", days, days, crossed=True)
    found: list[Attrition] = []
    for campaign, frame in activity.frames.items():
        those = engine.frame(contacts.filter(contacts.campaign_id == campaign).select("customer_id").distinct())
        is_listed = pd.Series(frame.index.isin(those["customer_id"]), frame.index)
        found += _test(LISTS, campaign, LISTED, days[campaign], frame, is_listed)
    return holm(found)


def _until(tables: Tables, end: date | None) -> tuple[Tables, date]:
    """Return what was known by the end, and the end."""
    end = end or tables.end
    return (tables if end == tables.end else tables.as_of(end)), end


def holm(found: Sequence[Attrition]) -> list[Attrition]:
    """Correct p-values for the number of comparisons.

    References
    ----------
    Holm (1979), A simple sequentially rejective multiple test procedure, Scandinavian Journal of Statistics 6.
    """
    order = sorted(range(len(found)), key=lambda number: found[number].p_value)
    corrected, largest = {}, 0.0
    for place, number in enumerate(order):
        largest = max(largest, min(1.0, (len(found) - place) * found[number].p_value))
        corrected[number] = largest
    return [replace(each, p_value=corrected[number]) for number, each in enumerate(found)]


def _texts(table: ir.Table, name: str) -> ir.Table:
    """Return the key and the columns of texts whose values may be compared."""
    spec = SPECS[name]
    texts = [c for c in table.columns if table[c].type().is_string() and c in spec.columns and c not in spec.key]
    return table.select(*spec.key, *texts)


@dataclass(frozen=True)
class _Activity:
    """Strata and attrition of subjects as of a cutoff: frames indexed by subject, by position."""

    cutoffs: dict[str, date]
    frames: dict[str, pd.DataFrame]  # stratum, left


def _days(tables: Tables, subject: str) -> ir.Table:
    """Return the days on which each subject was seen."""
    lines = tables.transactions
    return lines.filter(lines[subject].notnull()).select(subject, day=lines.timestamp.date()).distinct()


def _silence_before(tables: Tables, engine: Engine, subject: str, end: date) -> int | None:
    """Return the days of silence that count as having left, at most `MOST_SILENCE` of all days."""
    silence = _silence(_days(tables, subject), engine, subject)
    return None if silence is None else min(silence, round(MOST_SILENCE * (end - tables.start).days))


def _activity(
    tables: Tables,
    engine: Engine,
    subject: str,
    cutoffs: dict[str, date],
    gone: dict[str, date],
    *,
    crossed: bool = False,
) -> _Activity:
    """Return strata as of each cutoff, and who was not seen from a later day, or the same, on.

    `crossed` crosses them with quintiles of all days before.
    """
    days = engine.keep(_days(tables, subject))
    frames = {}
    for position, cutoff in cutoffs.items():
        before = days.filter(days.day < ibis.literal(cutoff))
        recent = before.day >= ibis.literal(cutoff - timedelta(days=RECENT_DAYS))
        measured = before.group_by(subject).aggregate(
            recent=recent.cast("int64").sum(), days=before.count(), last=before.day.max()
        )
        ever = days.group_by(subject).aggregate(last_ever=days.day.max())
        frame = engine.frame(measured.inner_join(ever, subject)).set_index(subject).sort_index()
        since = (pd.Timestamp(cutoff) - pd.to_datetime(frame["last"])).dt.days
        if frame.empty:
            continue
        stratum = _bins(frame["recent"]) * BINS + _bins(since)
        if crossed:
            stratum = stratum * BINS + _bins(frame["days"])
        frames[position] = pd.DataFrame(
            {"stratum": stratum, "left": pd.to_datetime(frame["last_ever"]) < pd.Timestamp(gone[position])}
        )
    return _Activity(cutoffs, frames)


def _silence(days: ir.Table, engine: Engine, subject: str) -> int | None:
    """Return the days of silence after which a subject counts as having left; None where nothing comes back."""
    window = ibis.window(group_by=subject, order_by="day")
    gaps = days.mutate(gap=days.day.delta(days.day.lag().over(window), unit="day"))
    long = engine.frame(gaps.filter(gaps.gap.notnull()).aggregate(gap=lambda t: t.gap.cast("float64").quantile(GAP)))
    gap = long["gap"].iloc[0]
    return None if pd.isna(gap) else max(SHORTEST_SILENCE, round(float(gap)))


def _bins(values: pd.Series) -> np.ndarray:
    """Return the quintile of each value, equal values in one."""
    edges = np.unique(np.quantile(values, np.linspace(0, 1, BINS + 1)[1:-1]))
    return np.searchsorted(edges, values.to_numpy(), side="left")


def _compared(table: str, facts: pd.DataFrame, activity: _Activity) -> Iterator[Attrition]:
    for position, frame in activity.frames.items():
        cutoff = activity.cutoffs[position]
        has_row = pd.Series(frame.index.isin(facts.index), frame.index)
        yield from _test(table, KNOWN, position, cutoff, frame, has_row)
        for column in facts:
            values = facts[column].reindex(frame.index)
            is_known = values.notna()
            if not is_known.equals(has_row):
                yield from _test(table, f"{column} {KNOWN}", position, cutoff, frame, is_known)
            sizes = values.value_counts()
            if not 2 <= len(sizes) <= MOST_VALUES:
                continue
            for value in sizes.index[sizes >= FEWEST]:
                is_value = (values == value)[is_known]
                yield from _test(table, f"{column} = {value}", position, cutoff, frame[is_known], is_value)


def _test(
    table: str, fact: str, position: str, cutoff: date, frame: pd.DataFrame, has_fact: pd.Series
) -> Iterator[Attrition]:
    counts = pd.DataFrame({"stratum": frame["stratum"], "left": frame["left"], "fact": has_fact})
    of = counts.groupby(["stratum", "fact"])["left"].agg(["size", "sum"]).unstack("fact", fill_value=0)
    if {True, False} - set(of["size"].columns):
        return
    size, left = of["size"], of["sum"]
    both = (size[True] > 0) & (size[False] > 0)
    size, left = size[both], left[both]
    if size[True].sum() < FEWEST or size[False].sum() < FEWEST:
        return
    expected = float((size[True] * left[False] / size[False]).sum())
    p = p_value(size[True].to_numpy(), size[False].to_numpy(), left[True].to_numpy(), left[False].to_numpy())
    figures = (int(size[True].sum()), int(left[True].sum()), expected, p, _gain(counts))
    yield Attrition(table, fact, position, cutoff, *figures)


def _gain(counts: pd.DataFrame) -> float:
    """Return how much better strata and the fact rank who left than strata alone; NaN where all or none left."""
    half = np.arange(len(counts)) % 2 == 0
    gains = []
    for learnt, ranked in ((counts[half], counts[~half]), (counts[~half], counts[half])):
        areas = [_area(ranked, _shares(learnt, ranked, by)) for by in (["stratum", "fact"], ["stratum"])]
        gains.append(areas[0] - areas[1])
    return float(np.mean(gains))


def _shares(learnt: pd.DataFrame, ranked: pd.DataFrame, by: list[str]) -> np.ndarray:
    """Return the share of each group that left, drawn to that of all by as much as two subjects weigh."""
    overall = learnt["left"].mean()
    of = learnt.groupby(by)["left"].agg(["size", "sum"])
    shares = (of["sum"] + 2 * overall) / (of["size"] + 2)
    return (
        ranked[by]
        .merge(shares.rename("share"), left_on=by, right_index=True, how="left")["share"]
        .fillna(overall)
        .to_numpy()
    )


def _area(ranked: pd.DataFrame, shares: np.ndarray) -> float:
    """Return the area under the ROC curve, by ranks."""
    left = ranked["left"].to_numpy()
    n = int(left.sum())
    if not 0 < n < len(left):
        return np.nan
    return float((rankdata(shares)[left].sum() - n * (n + 1) / 2) / (n * (len(left) - n)))


def audit_attrition(
    tables: Tables, engine: Engine, features: Sequence[str], end: date | None = None
) -> Iterator[Finding]:
    """Audit facts of unknown date.

    A fact of customers that knows who stayed leaks, and fails if one of the features reads its table. A fact of
    products differs: it may have been written down later, or be that of a season.

    Lists of contacts that differ do not fail either: what a campaign does looks like what its list knows.

    Parameters
    ----------
    tables, engine, end
        As of `attrition`.
    features : sequence of str
        Those that models are trained on.
    """
    found: dict[str, dict[str, list[Attrition]]] = {}
    for each in attrition(tables, engine, end):
        found.setdefault(each.table, {}).setdefault(each.fact, []).append(each)
    families = resolve(features)
    for table, of_facts in found.items():
        readers = [name for family, own in families.items() if table in family.needs for name in own]
        is_of_customers = SPECS[table].is_about_customers
        flagged = {fact: compared for fact, compared in of_facts.items() if any(each.is_flagged for each in compared)}
        for fact, compared in flagged.items():
            used = f"; {listing(readers)} read the table" if readers else "; no feature in use reads the table"
            figures = "; ".join(map(str, compared)) + used
            word, fails = ("leaks", bool(readers)) if is_of_customers else ("differs", False)
            yield Finding("attrition", f"{table}: {fact}", word, figures, len(compared), fails)
        checks = sum(map(len, of_facts.values()))
        clean = len(of_facts) - len(flagged)
        said = f"{checks:,} comparisons of attrition with and without each fact, among {table} of equal activity"
        yield Finding("attrition", f"{table}: {clean} facts", "clean", said, checks)
    yield from _audit_contacts(tables, engine, end)


def _audit_contacts(tables: Tables, engine: Engine, end: date | None) -> Iterator[Finding]:
    compared = contact_attrition(tables, engine, end)
    flagged = [each for each in compared if each.is_flagged]
    for each in flagged:
        figures = f"{each}; a list that was put together later, or a campaign that works"
        yield Finding("attrition", f"{LISTS}: {each.fact}", "differs", figures)
    if compared:
        furthest = min(compared, key=lambda each: each.left / each.expected if each.expected else 1.0)
        said = (
            f"{len(compared):,} lists compared with other customers of equal activity; fewest left of {furthest.fact}: "
        )
        yield Finding(
            "attrition", f"{LISTS}: {len(compared) - len(flagged)} lists", "clean", said + str(furthest), len(compared)
        )


def p_value(with_fact: np.ndarray, without: np.ndarray, left_with: np.ndarray, left_without: np.ndarray) -> float:
    """Compute the p-value of the hypothesis that odds of leaving differ by a factor of at most `RATIO` in each stratum.

    Parameters
    ----------
    with_fact, without : array of int of shape (n_strata,)
        Customers with and without the fact.
    left_with, left_without : array of int of shape (n_strata,)
        Those of them who left.

    References
    ----------
    McCullagh & Nelder (1989), Generalized linear models, section 7.3: the noncentral hypergeometric distribution of a
    number given the margins of its table.
    """
    seen = int(left_with.sum())
    total = left_with + left_without
    (low, least), (high, most) = (_sum_law(with_fact, without, total, odds) for odds in (1 / RATIO, RATIO))
    fewer = float(least[: max(seen - low + 1, 0)].sum())
    more = float(most[max(seen - high, 0) :].sum())
    return min(1.0, 2 * min(fewer, more))


def _sum_law(with_fact: np.ndarray, without: np.ndarray, total: np.ndarray, odds: float) -> tuple[int, np.ndarray]:
    """Return the least sum over strata of those with the fact among the ones who left, and the law from it on."""
    least, law = 0, np.ones(1)
    for have, lack, gone in zip(with_fact.tolist(), without.tolist(), total.tolist(), strict=True):
        first, part = _law(have, lack, gone, odds)
        least, law = least + first, np.convolve(law, part)
    return least, law


def _law(have: int, lack: int, gone: int, odds: float) -> tuple[int, np.ndarray]:
    """Return the least number with the fact among those who left a stratum, and the law of the number from it on.

    P(x) is proportional to C(have, x) C(lack, gone - x) odds^x. Its tails below 1e-20 are cut off.
    """
    x = np.arange(max(0, gone - lack), min(have, gone) + 1)
    ways = gammaln(x + 1) + gammaln(have - x + 1) + gammaln(gone - x + 1) + gammaln(lack - gone + x + 1)
    weight = x * np.log(odds) - ways
    law = np.exp(weight - weight.max())
    kept = np.flatnonzero(law > NO_CHANCE * law.sum())
    part = law[kept[0] : kept[-1] + 1]
    return int(x[kept[0]]), part / part.sum()
