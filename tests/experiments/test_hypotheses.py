"""Hypotheses: planted effects are found, others are not, each mistake is reported; pairs by hand."""

from __future__ import annotations

import re
import warnings
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from hydra import initialize_config_dir

from canonical import write_canonical
from experiments.commands.compose import every
from experiments.description.hypotheses.claims import TOGETHER, Claim
from experiments.description.hypotheses.declaration import named_times
from experiments.description.hypotheses.rate_ratio import log_rate_ratio
from experiments.description.hypotheses.section import hypothesis_parts
from experiments.description.hypotheses.trend import log_rise
from experiments.description.hypotheses.verdict import assess
from experiments.description.hypotheses.weekday import Weekday
from experiments.description.purchasing.associations import pairs
from experiments.description.purchasing.behaviour import BehaviourOptions, daily_rates, observe
from experiments.description.purchasing.section import behaviour_parts
from experiments.description.purchasing.window import Window, open_days
from experiments.evaluation.bootstrap import Distribution
from experiments.evaluation.spend_metrics import spearman
from experiments.reports.fonts import use_in_pictures
from experiments.reports.section import Part, Picture, Table, Text
from features.assortment import PRODUCT
from features.engines import open_engine
from features.errors import InputError
from features.shop import Shop
from features.tables import Tables

CONF = Path(__file__).parents[2] / "conf" / "hypotheses"
NAMES = ["VIP", "Gold", "Silver"]
KIND = pd.CategoricalDtype(NAMES, ordered=True)
START, AS_OF, END = date(2019, 1, 1), date(2019, 4, 1), date(2020, 1, 1)
CATEGORIES = {f"category {i}": price for i, price in enumerate((2, 3, 5, 8, 60, 90))}
OPTIONS = {"n_resamples": 500, "seed": 0, "min_customers": 10}


def the_four() -> dict[str, dict]:
    return {file.stem: yaml.safe_load(file.read_text(encoding="utf-8")) for file in sorted(CONF.glob("*.yaml"))}


class Simulated:
    """A shop of 240 customers in three tiers with rates of orders a day; lines as they are told to be."""

    def __init__(self, folder: Path) -> None:
        self.engine = open_engine("duckdb", threads=2, memory_limit="1GiB", temp_directory=str(folder / "spill"))
        self.folder, self.n = folder, 0

    def shop(
        self, seed, *, weekend=1.0, summer=1.0, dear=(0.3, 0.3, 0.3), used=(0.3, 0.3, 0.3), coupons=True, without=()
    ):
        rng = np.random.default_rng(seed)
        days = pd.date_range(START, END, inclusive="left")
        factor = np.where(days.day_of_week >= 5, weekend, 1.0) * np.where(days.month.isin([6, 7, 8]), summer, 1.0)
        customer, day = np.nonzero(rng.random((240, len(days))) < np.repeat([0.12, 0.06, 0.03], 80)[:, None] * factor)
        tier, n = customer // 80, len(customer)
        names = np.array(list(CATEGORIES))
        category = np.where(rng.random(n) < np.array(dear)[tier], rng.integers(4, 6, n), rng.integers(0, 4, n))
        status = np.where(
            rng.random(n) < np.array(used)[tier], "Used", np.where(rng.random(n) < 0.5, "Clicked", "Not Used")
        )
        frames = {
            "transactions": pd.DataFrame(
                {
                    "order_id": [f"o{i}" for i in range(n)],
                    "line_number": 0,
                    "customer_id": [f"c{i:03}" for i in customer],
                    "timestamp": days.to_numpy()[day],
                    "amount": [Decimal(int(CATEGORIES[name])) for name in names[category]],
                    "product_id": names[category],
                    "quantity": Decimal(1),
                    "coupon_status": status if coupons else None,
                }
            ),
            "products": pd.DataFrame({"product_id": names, "category": names}),
        }
        self.n += 1
        tables = {}
        for table, frame in frames.items():
            if table not in without:
                path = self.folder / f"{table}{self.n}.parquet"
                write_canonical(table, frame, path)
                tables[table] = self.engine.read(path, path.stem)
        return Shop(Staging(), Tables(start=START, end=END, **tables), self.engine, self.folder)


class Staging:
    currency = "USD"


TIERS = pd.Series(np.repeat(NAMES, 80), index=[f"c{i:03}" for i in range(240)]).astype(KIND)


@pytest.fixture
def simulated(tmp_path):
    return Simulated(tmp_path)


def assessed(shop, hypotheses=None, tiers=TIERS, **options):
    found = assess(
        hypotheses or the_four(), Window(shop, tiers, AS_OF, END, **OPTIONS | options), AS_OF, confidence=0.95
    )
    return {finding.name: finding for finding in found}


def test_planted_effects_are_found_with_their_size(simulated):
    shop = simulated.shop(0, weekend=1.6, summer=1.5, dear=(0.45, 0.3, 0.15), used=(0.3, 0.3, 0.3))
    found = assessed(shop)
    verdicts = {name: finding.verdict for name, finding in found.items()}
    assert verdicts["weekends"] == verdicts["common_season"] == verdicts["dearer_categories"] == "holds"
    assert verdicts["coupon_use"] != "holds"
    for name, truth in (("weekends", 0.6), ("common_season", 0.5)):
        parts = found[name].parts
        assert list(parts.index) == [*NAMES, TOGETHER]
        assert parts.loc[TOGETHER, "low"] < truth < parts.loc[TOGETHER, "high"]
        parts = parts.loc[NAMES]
        assert ((parts["low"] < truth) & (truth < parts["high"])).sum() >= 2  # of three intervals of 95%
        assert found[name].effect == parts["effect"].min()
    dear = found["dearer_categories"]
    assert dear.low < 2.0 < dear.high  # .45 is three times .15
    assert dear.parts.loc["dear_share", "mean of VIP"] == pytest.approx(0.45, abs=0.04)
    assert "category 5, category 4" in dear.notes[0]
    # A lower rate than stated refutes, and holds where the statement says lower.
    reverse = the_four()["weekends"] | {"direction": "lower"}
    assert assessed(shop, {"reverse": reverse})["reverse"].verdict == "does not hold"


@pytest.mark.slow
def test_intervals_hold_no_effect_where_none_was_planted(simulated):
    """Of single parts: of the tier with the least effect p is large by itself."""
    missed = {name: 0 for name in the_four()}
    two = TIERS[TIERS != "Silver"].cat.remove_categories("Silver")
    for seed in range(20):
        window = Window(simulated.shop(seed), two, AS_OF, END, 200, 0, 10)
        for name, config in the_four().items():
            [finding] = assess({name: config}, window, AS_OF, confidence=0.95)
            first = finding.parts.iloc[0]
            assert first["low"] <= first["effect"] <= first["high"]
            missed[name] += bool(first["low"] > 0 or first["high"] < 0)
    assert max(missed.values()) <= 4, (
        missed
    )  # of 20 intervals of 95% at least; 5 or more have a probability below 1 in 390


def test_a_share_of_few_purchases_does_not_rise_by_ranks_alone():
    """Everybody's true share is .1, who is in a higher tier buys more: ranks rise, means do not."""
    rng = np.random.default_rng(0)
    rank = np.repeat([0, 1, 2], 800)
    bought = np.array([3, 10, 40])[rank]
    shares = [rng.binomial(bought, 0.1) / bought for _ in range(40)]
    assert min(spearman(share, rank) for share in shares) > 0.15
    rises = [log_rise(share, rank) for share in shares]
    assert abs(np.mean(rises)) < 3 * np.std(rises) / np.sqrt(len(rises))


def test_a_trend_is_not_a_season_and_a_season_beside_a_trend_is_found():
    days = pd.date_range(AS_OF, END, inclusive="left")
    inside, once = days.month.isin([5, 6]), np.ones((1, len(days)))
    decline = 50 * np.exp(-np.linspace(0, 2, len(days)))
    assert log_rate_ratio(decline, inside, once, against_trend=False)[0] > 0.5
    assert log_rate_ratio(decline, inside, once, against_trend=True)[0] == pytest.approx(0, abs=1e-6)
    higher = decline * np.where(inside, 1.3, 1.0)
    weights = np.random.default_rng(0).integers(0, 4, (20, len(days))).astype(float)
    np.testing.assert_allclose(log_rate_ratio(higher, inside, weights, against_trend=True), np.log(1.3), atol=1e-6)
    steady = np.where(inside, 6.0, 3.0)
    assert log_rate_ratio(steady, inside, once, against_trend=False)[0] == pytest.approx(np.log(2))


@pytest.mark.parametrize(
    ("start", "end", "months"),
    [
        (date(2018, 10, 20), date(2019, 3, 20), [11, 12, 1, 2, 3]),  # 12 days of October are too few
        (date(2018, 7, 1), date(2019, 7, 1), [*range(7, 13), *range(1, 7)]),
        (date(2018, 7, 1), date(2019, 8, 1), list(range(1, 13))),
    ],
)
def test_months_run_in_the_order_of_time_within_a_year(monkeypatch, start, end, months):
    window = Window(None, TIERS, start, end, 20, 0, 10)
    days = pd.date_range(start, end, inclusive="left")
    counts = pd.DataFrame(1.0, index=days, columns=pd.CategoricalIndex(NAMES, dtype=KIND)).mul(days.month, axis=0)
    monkeypatch.setattr(Window, "days", days)
    monkeypatch.setattr(Window, "counts", {"orders": counts})
    rates = daily_rates(window, "orders", "month", 0.95)
    assert rates["group"].unique().tolist() == NAMES
    for _, own in rates.groupby("group", observed=True):
        assert own["key"].tolist() == own["rate"].tolist() == months
    assert daily_rates(window, "orders", "day_of_week", 0.95)["key"].tolist() == 3 * list(range(7))


def test_each_mistake_is_reported_and_the_others_are_tested(simulated, caplog):
    four = the_four()
    parameters = four["dearer_categories"]["parameters"]
    mistaken = {
        "test": four["weekends"] | {"test": "weekdays"},
        "column": four["coupon_use"] | {"column": "coupon_use_rate"},
        "key": four["weekends"] | {"smalest_effect": 0.1},
        "kind": four["common_season"] | {"parameters": four["common_season"]["parameters"] | {"months": 6}},
        "months": four["common_season"] | {"parameters": four["common_season"]["parameters"] | {"months": [13]}},
        "lacking": {key: four["weekends"][key] for key in four["weekends"] if key != "direction"},
        "parameter": four["coupon_use"] | {"parameters": {"of": "lines"}},
        "number": four["dearer_categories"] | {"parameters": {k: v for k, v in parameters.items() if k != "dearest"}},
        "text": four["weekends"] | {"statement": {"ko": "?"}},
        "no mapping": "weekends",
        "seen once": four["dearer_categories"] | {"parameters": parameters | {"min_customers": 1_000}},
        "table": four["weekends"] | {"needs": ["campaigns"]},
        "feature": four["dearer_categories"]
        | {"column": "orders", "parameters": {"compare": "ranks"}, "absent": 0, "smallest_effect": 0.2},
    }
    found = assessed(simulated.shop(1, weekend=1.6), mistaken | {"weekends": four["weekends"]})
    for name, words in {
        "test": "did you mean 'weekday'",
        "column": "did you mean 'coupon_used_rate'|measures:",
        "key": "did you mean 'smallest_effect'",
        "kind": "expected:.*Sequence",
        "months": "not a valid season",
        "lacking": r"direction is missing \(where: .*; expected: direction: higher or lower\)\.$",
        "parameter": r"expected: compare: means or ranks\)",
        "number": r"expected: dearest: float\)",
        "text": "English text of the statement is missing",
        "no mapping": "is a mapping",
        "seen once": "too few values of category",
        "table": "campaigns is missing",
    }.items():
        assert found[name].verdict == "not tested"
        assert re.search(words, found[name].message), found[name].message
        if name not in ("seen once", "table"):
            assert f"where: hypotheses/{name}.yaml" in found[name].message
        assert f"hypothesis {name} is not tested: {found[name].message}" in caplog.messages
        stated = name if name in ("text", "no mapping") else mistaken[name]["statement"]["en"]
        assert found[name].statement["en"] == stated, "a mistake elsewhere leaves the statement as it is"
    assert not any("\n" in message for message in caplog.messages)
    assert found["weekends"].verdict == found["feature"].verdict == "holds"
    assert found["feature"].parts.loc["orders", "left out"] == 0

    early = Window(simulated.shop(1), TIERS, AS_OF - timedelta(days=1), END, **OPTIONS)
    with pytest.raises(InputError, match="begins before the tiers were known"):
        assess(four, early, AS_OF, confidence=0.95)
    without = assessed(simulated.shop(1, without=("products",)))
    assert [name for name, finding in without.items() if finding.verdict == "not tested"] == ["dearer_categories"]
    empty = assessed(simulated.shop(1), tiers=TIERS.cat.add_categories(["At Risk"]))
    for finding in empty.values():
        assert finding.verdict != "not tested"
        assert "Left out, because fewer than 10 customers bought: At Risk (0)." in finding.notes


def test_a_holiday_is_no_day_on_which_customers_stay_away() -> None:
    days = pd.date_range("2019-11-01", "2020-03-01", inclusive="left")
    closed = (days == "2019-12-25") | (days.day_of_week == 6)
    orders = pd.Series(np.where(closed, 0, 40), days)
    left_out = days.difference(open_days(orders))
    assert list(left_out.strftime("%Y-%m-%d")) == ["2019-12-25"], "Sundays are never open"
    few = pd.Series(np.random.default_rng(0).poisson(2.6, len(days)), days)
    assert open_days(few).equals(days), "a small shop has days without an order"


def test_sections_hold_what_is_known_and_say_what_is_missing(simulated):
    options = BehaviourOptions(min_support=0.0, min_baskets=1, n_pairs=4, confidence=0.95)
    marked = named_times(the_four() | {"mistaken": {"test": "?"}})
    assert marked == {"month": {6, 7, 8}, "day_of_week": {5, 6}}

    def parts_of(shop: Shop, tiers: pd.Series) -> list[Part]:
        return behaviour_parts(observe(Window(shop, tiers, AS_OF, END, 50, 0, 10), options), marked, seed=0)

    shop = simulated.shop(0, weekend=1.6)
    korean = TIERS.cat.rename_categories({"VIP": "최상위"}).cat.add_categories(["nobody"])
    parts = parts_of(shop, korean)
    pictures = [part for part in parts if isinstance(part, Picture)]
    assert [picture.name for picture in pictures] == ["categories", "associations", "coupons", "months", "weekdays"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a glyph that no font holds is a warning
        use_in_pictures()
        for picture in pictures:
            picture.figure.canvas.draw()
    narrow = parts_of(simulated.shop(0, without=("products",)), TIERS)
    assert [part.name for part in narrow if isinstance(part, Picture)] == ["coupons", "months", "weekdays"]
    assert any(isinstance(part, Text) and part.text.startswith("Categories are left out:") for part in narrow)
    options = replace(options, level=PRODUCT)  # which needs no table of products
    parts = parts_of(simulated.shop(0, without=("products",)), TIERS)
    assert [part.name for part in parts if isinstance(part, Picture)][:2] == ["categories", "associations"]
    assert "Choose goods by tier from the products and pairs" in parts[0].text

    found = list(assessed(shop, the_four() | {"mistaken": {"test": "?"}}).values())
    window = Window(shop, TIERS, AS_OF, END, **OPTIONS)
    verdicts = next(part for part in hypothesis_parts(found, [], window) if isinstance(part, Table)).frame
    assert list(verdicts["case study"]) == ["held", "rejected", "held", "rejected", "-"]
    assert verdicts.loc["mistaken", "verdict"] == "not tested"
    assert verdicts["verdict"].iloc[3] == "holds"
    assert all(re.fullmatch(r"-|< 0\.001|[01]\.\d{3}", p) for p in verdicts["p"]), verdicts["p"]
    lead = hypothesis_parts(found, [], window)[0].text
    assert re.fullmatch(
        r"Of 5 hypotheses \d .*(holds|hold).* and 1 is not tested\. Plan campaigns on those that hold only\.", lead
    ), lead
    assert [part.text for part in hypothesis_parts([], [], window)] == ["There are no hypotheses to test."]
    texts = [part for part in hypothesis_parts(found, ["en", "ko"], window) if isinstance(part, Text)]
    assert [part.text for part in texts if part.lang == "ko"] == [h["statement"]["ko"] for h in the_four().values()]


def test_the_rise_over_the_tiers_by_hand():
    assert np.exp(log_rise([1.0, 2.0, 4.0, 16.0], [0, 1, 2, 4])) == pytest.approx(16)  # nobody is at 3
    assert np.exp(log_rise([1.0, 3.0, 8.0, 8.0, 8.0], [0, 0, 1, 1, 1])) == pytest.approx(4)
    weights = np.array([[1, 1, 1, 1, 1], [2, 0, 1, 0, 0], [1, 1, 0, 0, 0], [0, 0, 3, 0, 1]])
    of_each = np.exp(log_rise([1.0, 3.0, 8.0, 0.0, 0.0], [0, 0, 1, 1, 1], weights=weights))
    assert of_each[:2].tolist() == pytest.approx([4 / 3, 8])
    assert np.exp(log_rise([0.0, 0.0, 5.0], [0, 1, 2])) == pytest.approx(100), "infinite: the low tiers have none"
    assert np.isnan(log_rise([-3.0, 1.0], [0, 1]))


def test_the_effect_of_two_tiers_is_the_ratio_of_the_means_beside_it(simulated):
    two = TIERS[TIERS != "Gold"]
    found = assessed(simulated.shop(2, dear=(0.45, 0.3, 0.15)), tiers=two, n_resamples=400)["dearer_categories"]
    means = found.parts.loc["dear_share"]
    assert found.effect == pytest.approx(means["mean of VIP"] / means["mean of Silver"] - 1)
    assert "mean of Gold" not in means
    assert "Gold (0)" in found.notes[0]


def test_a_tier_of_few_is_left_out_and_a_window_of_few_weeks_is_not_tested(simulated):
    shop = simulated.shop(3)
    few = pd.concat([TIERS[TIERS != "Silver"], TIERS[TIERS == "Silver"].head(9)])
    for name, finding in assessed(shop, tiers=few).items():
        assert finding.verdict != "not tested"
        assert re.search(r"fewer than 10 customers bought: Silver \(\d\)\.", finding.notes[0]), finding.notes
        assert not any("Silver" in str(label) for label in [*finding.parts.index, *finding.parts.columns]), name
    alone = assessed(shop, tiers=few[few != "Gold"])
    assert {finding.verdict for finding in alone.values()} == {"not tested"}
    assert "found: fewer in Gold (0), Silver (" in alone["coupon_use"].message

    for end, found in ((AS_OF + timedelta(days=7), "1, 1 of them"), (AS_OF + timedelta(days=49), "7, 7 of them")):
        [finding] = assess(
            {"w": the_four()["weekends"]}, Window(shop, TIERS, AS_OF, end, **OPTIONS), AS_OF, confidence=0.95
        )
        assert finding.verdict == "not tested"
        assert found in finding.message, finding.message
    cut = Window(shop, TIERS, AS_OF, date(2019, 6, 15), **OPTIONS)  # weeks of June: 27 May, 3, 10 June
    [finding] = assess({"s": the_four()["common_season"]}, cut, AS_OF, confidence=0.95)
    assert "found: 11, 3 of them with days of June" in finding.message


def test_no_verdict_contradicts_its_interval(monkeypatch, simulated):
    """Tiers whose effects are drawn at random: weak, strong, narrow and wide ones in each hypothesis."""
    window = Window(simulated.shop(4), TIERS, AS_OF, END, 2000, 0, 10)
    rng = np.random.default_rng(0)
    hypotheses = {str(i): the_four()["weekends"] for i in range(5)}
    hypotheses |= {f"{name} lower": config | {"direction": "lower"} for name, config in hypotheses.items()}
    seen = set()
    for _ in range(6):
        parts_of = []
        for centre in rng.uniform(-0.4, 0.4, len(hypotheses)):
            estimates = centre + rng.normal(0, 0.1, 3)
            spreads = rng.choice([0.01, 0.03, 0.1, 0.3], 3)
            drawn = [Distribution(e, e + s * rng.normal(size=2000)) for e, s in zip(estimates, spreads, strict=True)]
            parts_of.append(
                [Claim(name, effect, {}) for name, effect in zip([*NAMES[:2], TOGETHER], drawn, strict=True)]
            )
        monkeypatch.setattr(Weekday, "parts", lambda *_, left=parts_of: (left.pop(), ["-"]))
        findings = assess(hypotheses, window, AS_OF, confidence=0.95)
        for finding in findings:
            sign, matters = (1, 0.1) if finding.hypothesis.direction == "higher" else (-1, -0.1)
            claims = finding.parts.drop(TOGETHER)
            shown = (sign * claims[["low", "high"]] > 0).all(axis=1)
            far = sign * claims[["low", "high"]] < sign * matters
            assert ((claims["p_value"] < 0.025) == shown).all()
            own = claims.loc[finding.decisive]
            assert (finding.effect, finding.low, finding.high) == tuple(own[["effect", "low", "high"]])
            if finding.verdict == "holds":
                assert shown.all()
                assert (sign * claims["effect"] >= sign * matters).all()
            elif finding.verdict == "does not hold":
                assert far.loc[finding.decisive].all()
            else:
                assert not far.all(axis=1).any()
                assert not shown[finding.decisive] or sign * own["effect"] < sign * matters
            seen.add((finding.verdict, sign))
        texts = [part.text for part in hypothesis_parts(findings, [], window) if isinstance(part, Text)]
        assert sum("an effect is shown, but" in text for text in texts) == sum(
            finding.verdict == "undecided" and finding.p_value < 0.025 for finding in findings
        )
    assert len(seen) == 6, seen
    sure = [Claim(name, Distribution(0.2, np.full(2000, 0.2)), {}) for name in NAMES]  # alike in each resample
    monkeypatch.setattr(Weekday, "parts", lambda *_: (sure, []))
    findings = assess({"sure": hypotheses["0"]}, window, AS_OF, confidence=0.95)
    assert findings[0].verdict == "undecided"
    assert not any("nan" in str(cell) for cell in _tables(findings, window)[1].to_numpy().flat)


def _tables(findings, window) -> list[pd.DataFrame]:
    return [part.frame for part in hypothesis_parts(findings, [], window) if isinstance(part, Table)]


@pytest.mark.slow
def test_sections_state_whose_tiers_they_describe_and_what_they_leave_out(simulated):
    shop, two = simulated.shop(5), TIERS[TIERS != "Silver"]
    lines = shop.engine.frame(shop.tables.transactions.select("customer_id", "timestamp"))
    later = lines[lines["timestamp"] >= pd.Timestamp(AS_OF)]["customer_id"]
    window = Window(shop, two, AS_OF, END, **OPTIONS)
    counted = {"en": "?"}, {"column": "orders", "absent": 0, "parameters": {"compare": "ranks"}}
    own = the_four()["coupon_use"] | {"statement": counted[0], **counted[1]}
    sections = [
        hypothesis_parts(assess({"own": own}, window, AS_OF, confidence=0.95), [], window),
        behaviour_parts(observe(window, BehaviourOptions(0.0, 1, 4, 0.95)), named_times({}), seed=0),
    ]
    share = f"{later.isin(two.index).mean():.1%}"
    for parts in sections:
        texts = " ".join(part.text for part in parts if isinstance(part, Text))
        assert f"160 of {len(set(later) | set(two.index))} customers, who made {share} of the orders from" in texts
        assert "equal weights" in texts
    captions = [part.caption for part in sections[0] if isinstance(part, Table)]
    assert "counts as 0" in captions[1]
    assert "left out" not in captions[1]

    cut = Window(shop, TIERS, date(2019, 8, 19), date(2019, 9, 13), **OPTIONS)
    few = pd.concat([TIERS[TIERS == "VIP"], TIERS[TIERS == "Gold"].head(4)])
    for window, said, pictures in (
        (cut, "Orders per day by month are left out: no month has 14 days", ["coupons", "weekdays"]),
        (Window(shop, few, AS_OF, END, **OPTIONS), "", ["coupons", "months", "weekdays"]),
    ):
        parts = behaviour_parts(observe(window, BehaviourOptions(0.0, 1, 4, 0.95)), named_times({}), seed=0)
        names = [part.name for part in parts if isinstance(part, Picture)]
        assert names == ["categories", "associations", *pictures]
        assert any(said in part.text for part in parts if isinstance(part, Text))
    caption = next(part.caption for part in parts if isinstance(part, Picture))
    assert "VIP: category" in caption
    assert "Gold:" not in caption, "four customers are a hidden cell"

    nobody = TIERS.rename(lambda customer: f"gone {customer}")
    for look in (
        lambda window: observe(window, BehaviourOptions(0.0, 1, 4, 0.95)),
        lambda window: assess(the_four(), window, AS_OF, confidence=0.95),
    ):
        with pytest.raises(InputError, match="no customer with a tier on 2019-04-01 bought"):
            look(Window(shop, nobody, AS_OF, END, **OPTIONS))


def test_a_tier_without_any_purchase_shows_no_effect(simulated):
    """None in the lowest tier by chance: all resamples agree that the ratio is infinite."""
    config = the_four()["dearer_categories"]
    found = assessed(simulated.shop(7, dear=(0.3, 0, 0)), {"dear": config})["dear"]
    assert "dear_share has no ratio between tiers" in found.message
    assert "found: means from 0 to 0." in found.message
    ranked = config | {"parameters": config["parameters"] | {"compare": "ranks"}}
    assert assessed(simulated.shop(7, dear=(0.3, 0, 0)), {"dear": ranked})["dear"].verdict == "holds"


def test_a_shop_without_coupons_gets_a_reason(simulated):
    found = assessed(simulated.shop(6, coupons=False), {"coupon_use": the_four()["coupon_use"]})["coupon_use"]
    assert found.message.startswith("no coupons are recorded (where: transactions.coupon_status")


def test_an_unreadable_file_is_reported_with_its_line(simulated, tmp_path):
    (tmp_path / "hypotheses").mkdir()
    (tmp_path / "hypotheses" / "broken.yaml").write_text('statement: {en: "?"}\ntest: {a: b\ndirection: higher\n')
    (tmp_path / "hypotheses" / "list.yaml").write_text("- a\n")
    (tmp_path / "hypotheses" / "nowhere.yaml").write_text("statement: ${nothing.there}\n")
    (tmp_path / "hypotheses" / "weekends.yaml").write_text((CONF / "weekends.yaml").read_text(encoding="utf-8"))
    with initialize_config_dir(str(tmp_path), version_base="1.3"):
        there = every("hypotheses")
    assert named_times(there)["day_of_week"] == {5, 6}
    shop = simulated.shop(0, weekend=1.6)
    window = Window(shop, TIERS, AS_OF, END, **OPTIONS)
    findings = {finding.name: finding for finding in assess(there, window, AS_OF, confidence=0.95)}
    assert list(findings) == ["broken", "list", "nowhere", "weekends"]
    assert "hypotheses/broken.yaml, line 3" in findings["broken"].message
    assert "hypotheses/list.yaml" in findings["list"].message
    assert "nothing.there" in findings["nowhere"].message
    assert findings["weekends"].verdict == "holds"
    table = next(part for part in hypothesis_parts(list(findings.values()), [], window) if isinstance(part, Table))
    assert table.frame.loc["broken", "verdict"] == "not tested"


def test_lift_by_hand():
    """Four baskets: {x, y}, {x, y, z}, {x}, {z}; and one of another group."""
    held = [("VIP", 1, "x"), ("VIP", 1, "y"), ("VIP", 2, "x"), ("VIP", 2, "y"), ("VIP", 2, "z")]
    held += [("VIP", 3, "x"), ("VIP", 4, "z"), ("Gold", 5, "x"), ("Gold", 5, "z")]
    baskets = pd.DataFrame(held, columns=["group", "customer_id", "value"]).assign(day=pd.Timestamp("2019-05-01"))
    baskets["group"] = baskets["group"].astype(KIND)
    table = pairs(baskets, min_support=0.0, min_baskets=1)
    first = table.iloc[0]
    assert tuple(first[["group", "a", "b", "baskets", "group_baskets"]]) == ("VIP", "x", "y", 2, 4)
    assert tuple(first[["support", "confidence", "confidence_back", "lift"]]) == pytest.approx((1 / 2, 2 / 3, 1, 4 / 3))
    assert len(table) == 1, "y and z meet as often as by chance, x and z less often, and in Gold all have both"
    assert len(pairs(baskets, min_support=0.3, min_baskets=2)) == 1
    more = pd.concat([baskets, baskets.iloc[-1:].assign(customer_id=6, value="y")])  # Gold's second basket: {y}
    assert pairs(more, min_support=0.0, min_baskets=1, most=1)["group"].tolist() == ["VIP", "Gold"]
    by_two = pairs(baskets, min_support=0.0, min_baskets=1, min_customers=2, most=3)
    assert by_two[["group", "a", "b"]].to_numpy().tolist() == [["VIP", "x", "y"]]
    assert pairs(baskets.iloc[:0], min_support=0.1, min_baskets=1).empty
