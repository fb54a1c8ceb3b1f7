"""Every customer scored, by the champions of the registry and by nothing else."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from experiments.campaigns.lists import ContactList, columns_of, first_actions, spread
from experiments.gate.rule import UNJUDGED
from experiments.models.buy_till_you_die import DAYS_PER_WEEK, BuyTillYouDie
from experiments.models.registry import CANDIDATES
from experiments.serving.scorer import CustomerScorer, Scorer, View, about, in_words, kind_of
from experiments.tasks import TASKS, questions
from experiments.tasks.base import Task
from experiments.workflow.consent import to_contact, to_score
from experiments.workflow.description import CustomerMaterial
from experiments.workflow.lists import (
    WrittenList,
    find_members,
    list_file,
    lists_text,
    read_details,
    read_lists,
    tell,
    write_list,
)
from experiments.workflow.output import check_output, schema_of, write, write_batches
from experiments.workflow.session import Session
from features.engines import Engine, batches, count_rows
from features.errors import InputError, UnsuitableDataError, listing
from features.grains import CUSTOMER, Grain
from features.snapshot import combinations
from features.tables import GROSS, NET, parse_day
from features.writing import partial_of, remove

if TYPE_CHECKING:
    from experiments.tracking.registry import Version

logger = logging.getLogger(__name__)

OfEach = Mapping[str, tuple[pd.DataFrame, pd.DataFrame | None]]  # scores and lists of each question
HISTORY = ("frequency", "recency", "T")
PURCHASING_MODEL = "mbg_nbd"
OF_A_TASK = ("task", "features", "experiment", "evaluation")  # overrides that another task need not suit
DEFAULT_OUTPUT = "customer_360.parquet"


class Scored(NamedTuple):
    """File of customer_360, its number of customers and their day, the lists beside it, and who is left out.

    Attributes
    ----------
    path : Path
    rows : int
    cutoff : date
    lists : list of WrittenList
    without_consent : list of str
        How many customers have not consented, by purpose.
    without_score : list of str
        How many customers a question has no score for: see `Task.eligible`.
    """

    path: Path
    rows: int
    cutoff: date
    lists: list[WrittenList]
    without_consent: list[str]
    without_score: list[str]


def scoring_day(session: Session, as_of: date | str | None = None) -> date:
    """Return the day whose midnight the customers are scored at."""
    return parse_day(as_of or session.config.as_of or session.shop.tables.end, "as_of")


def output_path(session: Session, output: str | Path | None = None) -> Path:
    """Return the file of customer_360: as given, else that of the shop."""
    return session.path(output) if output else session.outputs / DEFAULT_OUTPUT


def score(
    session: Session,
    as_of: date | str | None = None,
    output: str | Path | None = None,
    described: pd.DataFrame | None = None,
) -> Scored:
    """Write customer_360, what the champions predict of every customer; beside it other grains, and lists to contact.

    One row per customer who bought before `as_of`: customer_id, the features that tasks show, the outputs of every
    question about customers that has a champion in this shop, each with its horizon, model version, verdict and how far
    its amounts can be trusted (Parquet also keeps both in words, as the file's metadata), what tasks of other grains
    say of a customer (`Task.customer_view`), p_alive and expected_purchases over the horizon of the configured task
    (MBG/NBD fitted on the same snapshot; null where its fit is refused), tier, value tier and stage, the action that
    the lists of conf/lists/ suggest with its reason, currency and as_of. Columns of a question with other options than
    the task's default ones end as its name does: `clv_180d`. Rows are computed in batches, on the engine. The file of
    another grain is named by it: `customer_product.parquet`; it holds all scored rows, or what the task shows of them
    (`Task.lists`). Lists to contact are in the folder lists/ beside these files.

    Parameters
    ----------
    session : Session
    as_of : date or str, optional
        First day that is not included; as configured when left out, else the end of the data.
    output : path, optional
        File that ends in .parquet or .csv, in the session's folder; outputs/<shop>/customer_360.parquet when left out.
    described : DataFrame indexed by customer_id, optional
        Tier, stage and what else the report's sections say of each customer that day; computed when left out.

    Returns
    -------
    Scored
        The file, its number of customers, the day and the lists.
    """
    check_reach(session)
    path = output_path(session, output)
    check_output(path)
    lists = read_lists(session)
    details = read_details(session, lists)  # what is wrong with them is said before all work
    scorable, contactable = to_score(session), to_contact(session)
    day, champions = scoring_day(session, as_of), find_champions(session)
    if described is None:
        described = CustomerMaterial(session, day).described
    views: dict[str, View] = {}
    for grain, rows, scorer in prepare_other_grains(session, day, champions):
        beside = path.with_name(f"{grain.name}{path.suffix}")
        of_each = of_each_version(session, day, rows, scorer)
        views |= views_of(of_each, champions)
        shown = shown_rows(of_each, scorer)
        if shown is None:
            texts = verdict_texts(scorer.champions)
            write(scorer, rows, session.shop.engine, beside, texts, scorable.of_batch)
        else:
            shown = scorable.of_frame(shown)
            table = pa.Table.from_pandas(shown.reset_index(), preserve_index=False)
            schema = table.schema.with_metadata(verdict_texts(scorer.champions))
            write_batches(table.to_batches(), schema, len(shown), beside)
        logger.info("%s in %s", grain.name, beside)
    rows, customers = prepare(session, day, champions, described, views=views)
    with _scratch(session) as scored:
        schema = schema_of(customers, rows)
        lists = spread(lists, schema.names)
        made = map(scorable.of_batch, session.shop.engine.map(customers, rows, schema))
        written = write_batches(made, schema, count_rows(rows), scored, what=str(path))
        without_consent = [scorable.left_out(count_rows(rows), written)]
        without_score = [*_without_score(scored, champions, day)]
        found: list[tuple[ContactList, pd.DataFrame]] = []
        if lists:  # they read what is predicted of all customers
            columns = [name for name in schema.names if name in columns_of(lists)]
            known = pq.read_table(scored, columns=columns).to_pandas().set_index("customer_id")
            found, left_out = find_members(lists, known, blind_columns(session, day, champions))
            tell(found, left_out, known)
            found = [(each, contactable.of_frame(members)) for each, members in found]
            without_consent.append(contactable.left_out(written, len(contactable.of_frame(known))))
        act = partial(with_actions, actions=first_actions(found))
        schema = schema_of(act, scored).with_metadata(verdict_texts(champions))
        write_batches(map(act, batches(scored)), schema, written, path)
    currency = session.shop.staged.currency
    files = [write_list(*each, list_file(path, each[0]), currency, day, details) for each in found]
    return Scored(path, written, day, files, [text for text in without_consent if text], without_score)


def beside_text(written: Scored) -> str:
    """Return a line for each list, and for each reason why customers are left out."""
    left_out = [*written.without_consent, *written.without_score]
    return lists_text(written.lists) + "".join(f"  left out: {text}\n" for text in left_out)


def _without_score(scored: Path, champions: Mapping[str, Version], day: date) -> Iterator[str]:
    """Yield how many customers a question has no score for, where its event cannot happen to all of them."""
    for question, version in champions.items():
        kind = kind_of(version)
        if kind.grain != CUSTOMER or kind.eligible.__func__ is Task.eligible.__func__:
            continue
        scores = pq.read_table(scored, columns=filled_columns(version, day)[:1]).column(0)
        if scores.null_count:
            yield (
                f"{scores.null_count:,} of {len(scores):,} customers have no {question}, which is of "
                f"{version.tags['population']}"
            )


def blind_columns(session: Session, day: date, champions: Mapping[str, Version]) -> dict[str, str]:
    """Return the columns of customer_360 that are not shown to be better than chance, with the figures that say so."""
    from experiments.gate.chance import knowledge
    from experiments.tracking.registry import Registry

    found: dict[str, str] = {}
    for version in champions.values():
        known = knowledge(Registry(session.client, version.name), version)
        if known is not None and known.is_blind and kind_of(version).grain == CUSTOMER:
            found |= dict.fromkeys(filled_columns(version, day), known.figures)
    return found


def filled_columns(version: Version, day: date) -> list[str]:
    """Return the columns of customer_360 that a version of a task of customers fills."""
    nobody = pd.DataFrame(columns=list(version.outputs), dtype=float)
    columns = kind_of(version).customer_columns(nobody, day, int(version.tags["horizon_days"]))
    return [f"{column}{version.suffix}" for column in columns]


@contextmanager
def _scratch(session: Session) -> Iterator[Path]:
    """Yield the path of a Parquet file in the cache, which is removed in the end."""
    path = Path(f"{partial_of(session.cache / DEFAULT_OUTPUT)}.parquet")
    try:
        yield path
    finally:
        remove(path)


def with_actions(batch: pa.RecordBatch, actions: pd.DataFrame) -> pa.RecordBatch:
    """Put what to do with each customer, and why, before the last columns, currency and day."""
    own = actions.reindex(batch.column("customer_id").to_pandas())
    words = pd.DataFrame({name: in_words(values) for name, values in own.items()})
    added = pa.RecordBatch.from_pandas(words, preserve_index=False)
    for field, column in zip(added.schema, added.columns, strict=True):
        batch = batch.add_column(batch.schema.get_field_index("currency"), field, column)
    return batch


def scored(session: Session, champions: Mapping[str, Version]) -> pd.DataFrame:
    """Return the rows of customer_360 by some champions in memory, indexed customer_id."""
    check_reach(session)
    rows, scorer = prepare(session, scoring_day(session), champions)
    return gathered(session, rows, scorer).set_index("customer_id")


def gathered(session: Session, rows: Path, scorer: Scorer, columns: Collection[str] | None = None) -> pd.DataFrame:
    """Return the scored rows in memory, or those of their columns that are named here."""
    schema = scorer(next(batches(rows)).slice(0, 1)).schema
    kept = [name for name in schema.names if columns is None or name in columns]
    read = pa.schema([schema.field(name) for name in kept])
    found = (batch.select(kept).cast(read) for batch in session.shop.engine.map(scorer, rows, schema))
    return pa.Table.from_batches(found, read).to_pandas()  # an engine may name a type differently: string, large_string


def prepare_other_grains(
    session: Session, day: date, champions: Mapping[str, Version]
) -> Iterator[tuple[Grain, Path, Scorer]]:
    """Yield each grain of the champions but customers, with the snapshot of its rows and what scores them.

    A grain without a row on that day, such as contacts before the first campaign, is left out.
    """
    for grain in dict.fromkeys(kind_of(version).grain for version in champions.values()):
        if grain == CUSTOMER:
            continue
        own = {name: version for name, version in champions.items() if kind_of(version).grain == grain}
        features = list(dict.fromkeys(feature for version in own.values() for feature in version.features))
        rows = session.shop.snapshot(features, day, grain)
        if not count_rows(rows):
            logger.warning("no row of %s before %s: %s has nothing to score", grain.name, day, ", ".join(own))
            continue
        yield grain, rows, Scorer(grain.key, own, session.shop.staged.currency, str(day))


def prepare(
    session: Session,
    day: date,
    champions: Mapping[str, Version],
    described: pd.DataFrame | None = None,
    horizon_days: int | None = None,
    views: Mapping[str, View] | None = None,
) -> tuple[Path, CustomerScorer]:
    """Return the snapshot of the customers to score, and what scores them; with what is known of each otherwise.

    `views` are those of `customer_views`, computed when left out.
    """
    shop = session.shop
    horizon_days = session.task.horizon_days if horizon_days is None else horizon_days
    own = {name: version for name, version in champions.items() if kind_of(version).grain == CUSTOMER}
    shown = shown_features()
    features = dict.fromkeys([*shown, *(name for version in own.values() for name in version.features)])
    rows = shop.snapshot(list(features), day)
    scorer = CustomerScorer(
        key=CUSTOMER.key,
        champions=own,
        currency=shop.staged.currency,
        as_of=str(day),
        shown=shown,
        views=customer_views(session, day, champions) if views is None else views,
        described=described,
        purchasing=purchasing(rows, shop.engine, horizon_days),
        horizon_days=horizon_days,
    )
    return rows, scorer


def shown_features() -> list[str]:
    """Return the features that customer_360 shows."""
    return list(dict.fromkeys([*HISTORY, *(name for kind in TASKS.values() for name in kind.shown_features)]))


def customer_views(session: Session, day: date, champions: Mapping[str, Version]) -> dict[str, View]:
    """Return what tasks of other grains say of each customer, by question."""
    views: dict[str, View] = {}
    for _, rows, scorer in prepare_other_grains(session, day, champions):
        views |= views_of(of_each_version(session, day, rows, scorer), champions)
    return views


def views_of(found: OfEach, champions: Mapping[str, Version]) -> dict[str, View]:
    """Return what the questions of one grain say of each customer."""
    views = {
        name: View.of(name, champions[name], scores if lists is None else lists)
        for name, (scores, lists) in found.items()
    }
    return {name: view for name, view in views.items() if view is not None}


def shown_rows(found: OfEach, scorer: Scorer) -> pd.DataFrame | None:
    """Return the lists of the tasks of one grain beside each other; None if none of them makes lists."""
    parts = [
        lists.add_suffix(scorer.champions[name].suffix).assign(**about(name, scorer.champions[name]))
        for name, (_, lists) in found.items()
        if lists is not None
    ]
    if not parts:
        return None
    of_all = parts[0] if len(parts) == 1 else pd.concat(parts, axis=1).sort_index()
    return of_all.assign(currency=scorer.currency, as_of=scorer.as_of)


def of_each_version(session: Session, day: date, rows: Path, scorer: Scorer) -> OfEach:
    """Return the scores of each question of one grain, and its lists if the task makes any: see `Task.lists`."""
    scored_rows = gathered(session, rows, scorer).set_index(list(scorer.key))
    own = {name: own_columns(scored_rows, each)[each.outputs] for name, each in scorer.champions.items()}
    return {
        name: (scores, kind_of(scorer.champions[name]).lists(name, scores, session.shop, day))
        for name, scores in own.items()
    }


def own_columns(scores: pd.DataFrame, version: Version) -> pd.DataFrame:
    """Return scores in which the columns of one version are named as its task names them, without a suffix."""
    if not version.suffix:
        return scores
    own = {f"{output}{version.suffix}": output for output in version.outputs}
    return scores.drop(columns=[*own.values()], errors="ignore").rename(columns=own)


def verdict_texts(champions: Mapping[str, Version]) -> dict[str, str]:
    """Return the verdicts in words, and how far amounts can be trusted, as a file's metadata."""
    amounts = {
        f"{task}_amounts": version.tags["amounts_said"]
        for task, version in champions.items()
        if "amounts_said" in version.tags
    }
    return {**{f"{task}_verdict": said for task, said in verdicts(champions).items()}, **amounts}


def verdicts(champions: Mapping[str, Version]) -> dict[str, str]:
    """Return the verdict on each champion in words; of a baseline, the verdict on the candidate that it replaces."""
    said = {}
    for task, version in champions.items():
        statement = version.tags.get("statement", f"{UNJUDGED}: version {version.number} was never judged")
        instead = f"; in use instead: {version.label}" if version.is_baseline else ""
        by_hand = (
            f"; made champion by hand: {version.tags['override_reason']}" if "override_reason" in version.tags else ""
        )
        said[task] = f"{statement}{instead}{by_hand}"
    return said


def check_reach(session: Session) -> None:
    """Refuse a registry in a local file if Spark's executors run on other machines: each loads the champion itself.

    Raises
    ------
    InputError
    """
    master = str(session.config.engine.get("master", "local"))
    if not master.startswith("local") and session.client.tracking_uri.startswith("sqlite"):
        raise InputError(
            "Spark's executors do not reach the registry",
            where="tracking.uri",
            expected=f"a server that they reach, as engine.master={master} works on other machines",
            found=session.client.tracking_uri,
            hint="start mlflow server and give tracking.uri=http://…: see docs/operations.md",
        )


def find_champions(session: Session, check: bool = True) -> dict[str, Version]:
    """Return the champion of each question to this shop that has one, by the question's name.

    Questions of one task with other options, such as another horizon, are among them.

    Parameters
    ----------
    session : Session
    check : bool
        Whether they are to score: a champion that reads a feature whose definition changed is left out then, with a
        warning that names the command that trains another.

    Raises
    ------
    InputError
        If there is none.
    """
    from experiments.tracking.registry import champions_of

    shop = session.shop.staged.shop
    names = list(questions())
    champions = [version for version in champions_of(session.client, shop) if version.tags["task"] in names]
    champions.sort(key=lambda version: names.index(version.tags["task"]))
    if not champions:
        raise InputError(
            f"{shop} has no champion to score with",
            where="registry",
            hint=f"{session.again('tune')}, then {session.again('promote')}",
        )
    if check:
        champions = _able_to_score(session, champions)
        if session.question not in [version.question for version in champions]:
            logger.warning(
                "%s has no model in use; there is one of %s", session.question, listing(v.question for v in champions)
            )
    return {version.question: version for version in champions}


def _able_to_score(session: Session, champions: Sequence[Version]) -> list[Version]:
    """Return the champions whose features are computed as they were learnt; at least one."""
    from experiments.gate.admission import changed_features

    spend = session.shop.tables.spend
    changed = [(version, found) for version in champions if (found := changed_features(version, spend))]
    for version, features in changed:
        logger.warning(
            "%s version %d is skipped: %s changed since it was trained. Next: %s",
            version.name,
            version.number,
            listing(features),
            _train_again(session, version),
        )
    if len(changed) == len(champions):
        version, features = changed[0]
        raise InputError(
            "all champions read features that have another definition by now",
            where="registry",
            expected="the definitions that they were trained with, and the same data.spend",
            found=f"{listing(features)} of {version.name} version {version.number}",
            hint=_train_again(session, version),
        )
    return [version for version in champions if version.name not in {other.name for other, _ in changed}]


def _train_again(session: Session, version: Version) -> str:
    """Return the commands that train and judge another model for the question of a version.

    A version that fits the other kind of spend was trained with it: its own commands would train such a model again.
    """
    from experiments.gate.admission import changed_features

    file = next(name for name, kind in TASKS.items() if version.tags["task"] in kind.names())
    again = f"{session.again('tune', but=OF_A_TASK)} task={file}"
    spend = GROSS if session.shop.tables.nets_returns else NET
    is_of_other_spend = not changed_features(version, spend)
    tune = again if is_of_other_spend else version.tags.get("tune") or again
    commands = f"{tune} && {tune.replace(' tune', ' promote', 1)}"
    return f"data.spend={spend}, with which it was trained; or {commands}" if is_of_other_spend else commands


def purchasing(rows: Path, engine: Engine, horizon_days: int) -> BuyTillYouDie | None:
    """Fit an MBG/NBD on the histories in a snapshot; return None where it refuses them."""
    histories = combinations(rows, HISTORY, engine)
    x, t_x, T = (histories[name] for name in HISTORY)
    try:
        return (
            CANDIDATES[PURCHASING_MODEL]
            .build(horizon_days=horizon_days)
            .fit_purchases(x, t_x / DAYS_PER_WEEK, T / DAYS_PER_WEEK, weights=histories["customers"])
        )
    except UnsuitableDataError as error:
        logger.warning("p_alive and expected_purchases stay empty: %s", error.problem)
        return None
