"""customer_360 as one served model: built from the champions, checked against the batch, and only then in use."""

from __future__ import annotations

import json
import logging
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from experiments.description.placement import Stages, TierPlaces
from experiments.models.base import foreign_code
from experiments.serving.answers import open_answers
from experiments.serving.component import TAGS, Component
from experiments.serving.customers import SOURCE, Parts
from experiments.serving.products import Goods
from experiments.serving.scorer import kind_of
from experiments.tasks import TASKS
from experiments.workflow.consent import allowed
from experiments.workflow.description import CustomerMaterial
from experiments.workflow.request import rows_of
from experiments.workflow.score import (
    HISTORY,
    CustomerScorer,
    find_champions,
    gathered,
    prepare,
    scoring_day,
    shown_features,
)
from experiments.workflow.session import Session
from features.candidates import (
    BY_NETWORK,
    CANDIDATES,
    LearntCatalogue,
    bought_lines,
    goods,
    product_names,
    purchases_of,
)
from features.engines import batches
from features.errors import InputError, listing
from features.grains import CUSTOMER, customers
from features.live import ShopFacts
from features.sources import reading_of
from features.tables import REQUIRED

if TYPE_CHECKING:
    from experiments.tracking.registry import Registry, Version

logger = logging.getLogger(__name__)

MODEL = "customer_360"
CHECKED = 200  # customers whose served values are compared with those of the batch
OPENED_BY = "experiments.serving.answers:open_answers"


@dataclass(frozen=True)
class Served:
    """The version of customer_360 in use.

    Attributes
    ----------
    name : str
    number : int
    is_new : bool
        False if the same parts were in use already.
    checked : int
        Customers whose values were compared with the batch's; 0 where nothing was built.
    manifest : mapping
        See `serving.customers.Parts.manifest`.
    """

    name: str
    number: int
    is_new: bool
    checked: int
    manifest: Mapping[str, Any]

    @property
    def command(self) -> str:
        """Command that serves it."""
        return _command(self.name)


def served_name(session: Session) -> str:
    """Return the name of the shop's registered model of customer_360."""
    return f"{session.shop.staged.shop}-{MODEL}"


def serve(session: Session) -> Served:
    """Build customer_360 as one model from the champions, check it, register it and put it in use.

    The model embeds its parts: champions, the places of the day's customers, and tables that are the same for all. It
    is in use once its answers for 200 customers are equal to the batch's, bit by bit. Nothing is built if these parts
    are in use already.

    Parameters
    ----------
    session : Session
        Of any task; its horizon is that of expected_purchases.

    Returns
    -------
    Served

    Raises
    ------
    InputError
        If served and batch values differ: the version in use stays.
    """
    return _built(session, session.task.horizon_days)


def rebuild(session: Session) -> Served | None:
    """Build customer_360 anew after a champion changed; None where the shop has no such model.

    What keeps it from being built is logged, and the version in use stays.
    """
    registry = _registry(session)
    before = registry.champion()
    if before is None:
        return None
    try:
        return _built(session, int(before.tags["horizon_days"]))
    except InputError as error:
        logger.warning(
            "%s stays at version %d: %s. Next: %s", registry.name, before.number, error.sentence, session.again("serve")
        )
        return None


def _built(session: Session, horizon_days: int) -> Served:
    from experiments.tracking.packaging import code_digest, files_digest
    from experiments.tracking.store import answering, exclusive

    day, registry = scoring_day(session), _registry(session)
    with answering(session.client), exclusive(session.client, registry.name), tempfile.TemporaryDirectory() as scratch:
        registry.finish()
        champions = _champions(session)
        described = CustomerMaterial(session, day, horizon_days).described
        rows, scorer = prepare(session, day, _embeddable(champions), described, horizon_days)
        parts = _parts(session, day, champions, scorer, horizon_days)
        folder = Path(scratch) / "parts"
        parts.write(folder)
        digest = f"{files_digest(folder)}-{code_digest()}"
        before = registry.champion()
        if before is not None and before.tags.get("candidate_digest") == digest and before.has_files:
            return Served(registry.name, before.number, False, 0, parts.manifest)
        checked = check_equal(session, folder, rows, scorer)
        number = _register(session, registry, folder, parts, digest)
        return Served(registry.name, number, True, checked, parts.manifest)


def _registry(session: Session) -> Registry:
    from experiments.tracking.registry import Registry

    return Registry(session.client, served_name(session))


def _champions(session: Session) -> dict[str, Version]:
    """Return the champions that can score, none where nothing is in use."""
    try:
        return find_champions(session)
    except InputError as error:
        logger.warning("%s has no model inside: %s", served_name(session), error.sentence)
        return {}


def _embeddable(champions: Mapping[str, Version]) -> dict[str, Version]:
    """Return those that can be embedded."""
    return {question: version for question, version in champions.items() if why_left_out(version) is None}


def why_left_out(version: Version) -> str | None:
    """Return why a champion cannot be embedded, or None."""
    if (grain := kind_of(version).grain) not in (CUSTOMER, CANDIDATES):
        return f"its rows are {grain.name}, not customers"
    if not version.has_current_code:
        return f"version {version.number} was trained with other code: train it again"
    if networks := sorted(BY_NETWORK.keys() & {*version.features}):
        return f"the network that makes its feature {listing(networks)} is not embedded"
    return None


def _parts(
    session: Session, day: date, champions: Mapping[str, Version], scorer: CustomerScorer, horizon_days: int
) -> Parts:
    shop, config = session.shop, session.config
    left_out = {question: "no champion" for question in TASKS if question not in champions}
    left_out |= {question: why for question, version in champions.items() if (why := why_left_out(version)) is not None}
    tiers, stages = None, Stages(config.lifecycle)
    material = CustomerMaterial(session, day, horizon_days)
    try:
        material.check_as_of()
        tiers = TierPlaces.of(material.tiers)
    except InputError as error:
        left_out["tier"] = error.sentence
    try:
        config.lifecycle.check()
    except InputError as error:
        left_out["stage"], stages = error.sentence, None
    embedded = _embeddable(champions)
    components = [_component(question, version) for question, version in embedded.items()]
    offers = any(kind_of(version).grain == CANDIDATES for version in embedded.values())
    read = [*shown_features(), *(name for each in components for name in each.features)]
    for places in (tiers, stages):
        read += places.features if places is not None else []
    facts = ShopFacts.of(shop.tables, list(dict.fromkeys(read)))
    return Parts(
        name=served_name(session),
        shop=shop.staged.shop,
        currency=shop.staged.currency,
        timezone=str(config.data["timezone"]),
        known_on=day,
        facts=facts,
        shown=shown_features(),
        horizon_days=horizon_days,
        components=components,
        left_out=left_out,
        tiers=tiers,
        stages=stages,
        purchasing=scorer.purchasing,
        scores=_scores(session),
        reading=reading_of(config.data),
        fixed={name: shop.staged.folder / f"{name}.parquet" for name in facts.fixed},
        goods=_goods(session, day) if offers else None,
    )


def _goods(session: Session, day: date) -> Goods:
    """Return the products of the shop, and what its purchases before a day teach about them."""
    past, frame = session.shop.tables.as_of(day), session.shop.engine.frame
    bought = purchases_of(frame(bought_lines(past)), frame(customers(past)))
    names = frame(product_names(past)).set_index("product_id")["name"]
    return Goods(LearntCatalogue.of(bought, frame(goods(past))), names)


def _component(question: str, version: Version) -> Component:
    """Return a copy of a champion."""
    return Component(
        question=question,
        name=version.name,
        number=version.number,
        tags={name: version.tags[name] for name in TAGS if name in version.tags},
        features=version.features,
        outputs=version.outputs,
        allowed=foreign_code(version.estimator),
        model=version.estimator,
    )


def _scores(session: Session) -> str | None:
    """Return the path of the scored file that answers for customers without rows.

    Raises
    ------
    InputError
        If it is not a Parquet file.
    """
    given = session.config.serve.scores
    if given is None:
        return None
    path = session.path(given).absolute()
    if path.suffix != ".parquet" or not path.is_file():
        raise InputError(
            "serve.scores is not a scored file",
            where="serve.scores",
            expected="the path of a Parquet file that experiments score wrote",
            found=str(path),
            hint=session.again("score"),
        )
    return str(path)


def check_equal(session: Session, folder: Path, rows: Path, scorer: CustomerScorer) -> int:
    """Compare what the parts in a folder answer for 200 customers with the batch, and return their number.

    Their rows go through the request that a server reads, as JSON.

    Raises
    ------
    InputError
        If a value differs by a bit, or is missing.
    """
    answers = open_answers(folder)
    ids = sorted(name for batch in batches(rows) for name in batch.column("customer_id").to_pylist())
    chosen = [ids[at * len(ids) // CHECKED] for at in range(CHECKED)] if len(ids) > CHECKED else ids
    body = request_of(session, chosen, answers.customers.tables, scorer.as_of)
    served = pd.DataFrame(answers.of_json(json.dumps(body))["customers"]).set_index("customer_id")
    batch = gathered(session, rows, scorer).set_index("customer_id").loc[chosen]
    served = served.drop(columns=SOURCE).loc[chosen]
    for column in served:
        pairs = zip(chosen, map(_exact, served[column]), map(_exact, batch[column]), strict=True)
        different = [(customer, own, other) for customer, own, other in pairs if own != other]
        if different:
            customer, own, other = different[0]
            raise InputError(
                f"customer_360 does not answer as the batch does in {len(different):,} of {len(chosen):,} customers",
                where=f"{column} of customer {customer}",
                expected=f"{other}, as experiments score writes it",
                found=f"{own} from the served model",
                hint="report it: the version in use stays",
            )
    return len(chosen)


def request_of_rows(session: Session, customer: str, as_of: date | str | None = None) -> dict[str, Any]:
    """Return the rows of one customer as the body of a request to the served customer_360.

    Parameters
    ----------
    session : Session
    customer : str
        The customer's id, as in the shop's tables.
    as_of : date or str, optional
        First day that is not included; as configured when left out, else the end of the data.

    Raises
    ------
    InputError
        If the customer had bought nothing before that day, or has no consent.
    """
    day, options = scoring_day(session, as_of), session.config
    customer = allowed(session, customer)
    rows_of(session, CUSTOMER, HISTORY, day, customer)
    read = [*shown_features(), *options.tiers.features, *options.lifecycle.features]
    read += [name for version in _embeddable(_champions(session)).values() for name in version.features]
    facts = ShopFacts.of(session.shop.tables, list(dict.fromkeys(read)))
    return request_of(session, [customer], facts.sent, str(day))


def request_of(session: Session, customers: Sequence[str], tables: Sequence[str], as_of: str) -> dict[str, Any]:
    """Return the request that brings all rows of some customers, as JSON holds them."""
    found = session.shop.rows_of(customers, tables)
    inputs = {
        name: {
            "columns": list(frame),
            "data": [[_as_sent(value) for value in row] for row in frame.to_numpy().tolist()],
        }
        for name, frame in ((name, frame.astype(object)) for name, frame in found.items())
    }
    return {"inputs": inputs, "params": {"as_of": as_of}}


def _as_sent(value: Any) -> Any:
    """Return a value as a request writes it: money and moments as texts, which lose no digit."""
    if value is None or value is pd.NA or value is pd.NaT or value != value:
        return None
    return value if isinstance(value, str | bool | int | float) else str(value)


def _exact(value: Any) -> str:
    """Return a value with all its digits; one text for all kinds of nothing."""
    return "null" if value is None or value is pd.NA or value != value else repr(value)


def _register(session: Session, registry: Registry, folder: Path, parts: Parts, digest: str) -> int:
    """Log and register the parts, put the version in use, and return its number."""
    from experiments.tracking.packaging import digest_tag, log_parts
    from experiments.tracking.runs import Runs

    tags = {
        "shop": parts.shop,
        "kind": MODEL,
        "model": MODEL,
        "known_on": str(parts.known_on),
        "horizon_days": str(parts.horizon_days),
        "components": json.dumps({each.question: each.number for each in parts.components}),
        "left_out": json.dumps(dict(parts.left_out)),
        "data_digest": session.shop.staged.digest,
        "candidate_digest": digest,
    }
    runs = Runs(session.client, registry.name, f"customer_360 of {parts.shop} as one model")
    runs.end_orphans()
    run_id = runs.start(MODEL, {"kind": MODEL, "model": MODEL})
    with runs.active(run_id):
        uri = log_parts(folder, OPENED_BY, _example(parts.known_on), [each.model for each in parts.components])
    version = registry.register(uri, run_id, {**tags, **digest_tag(uri)})
    registry.confirm(version.number)
    registry.crown(version.number, "answers as the batch does")
    registry.describe(_described(session, parts), {}, {version.number: f"Knows customers of {parts.known_on}."})
    return version.number


def _example(known_on: date) -> dict[str, Any]:
    """Return a synthetic line, so that the model contains no customer's row."""
    line = {"order_id": "o1", "customer_id": "ann", "timestamp": str(known_on - timedelta(days=1)), "amount": 12.5}
    return {REQUIRED: [line]}


def _described(session: Session, parts: Parts) -> str:
    """Return the description of the registered model."""
    components = ", ".join(f"{each.question} (version {each.number})" for each in parts.components) or "no champion"
    without = "; ".join(f"{name}: {why}" for name, why in parts.left_out.items())
    return "\n\n".join(
        [
            f"**Answers** rows of customers of {parts.shop}: features, tier, stage, and {components}.",
            f"**Without** {without}." if without else "",
            f"- Serve: `{_command(parts.name)}`\n- Build anew: `{session.again('serve')}`",
        ]
    )


def _command(name: str) -> str:
    """Return the command that serves a registered model."""
    return f"mlflow models serve -m models:/{name}@champion --env-manager local -p 5001"


def served_text(served: Served) -> str:
    """Write what is in use for the terminal."""
    state = f"its answers for {served.checked} customers are those of the batch" if served.is_new else "as before"
    lines = [f"{served.name}: version {served.number} is in use, {state}"]
    components: Mapping[str, Mapping[str, Any]] = served.manifest["components"]
    lines += [f"  {question}: {each['version']}, {each.get('model', '')}" for question, each in components.items()]
    lines += [f"  without {name}: {why}" for name, why in served.manifest["left_out"].items()]
    return "\n".join([*lines, f"next: {served.command}"])
