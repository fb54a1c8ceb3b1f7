"""Facts of products, one row each: their names, categories and brands, from the lines of orders or another table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from features.sources.guess.facts import Facts, facts_of, share_met
from features.sources.guess.lines import Lines
from features.sources.guess.mapping import Guess
from features.sources.guess.opened import ROW, Opened
from features.sources.guess.words import OF_PRODUCTS, score, tokens
from features.sources.reading import sql_name

NAMED = 0.5
ALIKE = 0.9  # of the products have one value, from which it is theirs
SAME = 0.95  # of a product's lines have its most frequent value, from which others are slips of the pen
FEW = 0.5  # values per product, from which they say no more than the product: of all but its name
NAME = "name"
MET = 0.5  # share of the products on lines that another table has, from which it is theirs


def products_beside(lines: Lines, others: Sequence[Opened]) -> tuple[Opened | None, dict[str, Guess]]:
    """Return the table beside the lines with one row for each product, and the keys of data.tables.products.

    There is none where no table has a product's name or group.
    """
    product = lines.column("product_id")
    for table in others if product else ():
        facts = facts_of(table)
        keys = [name for name, each in facts.items() if 0 < each.distinct == each.filled == table.rows]
        keys = sorted((name for name in keys if _may_be_product(name, product)), key=lambda name: name != product)
        for key in keys:
            met = share_met(lines.opened.table[product], table.table[key])
            found = dict(_facts_of_products(facts, key)) if met >= MET else {}
            if found:
                evidence = f"{met:.0%} of the products on lines of orders are there"
                columns = {"product_id": Guess(key, evidence)} | {role: Guess(name) for role, name in found.items()}
                return table, {**table.reading, **{f"columns.{role}": each for role, each in columns.items()}}
    return None, {}


def _may_be_product(name: str, product: str | None) -> bool:
    return name == product or score(name, "product_id") >= NAMED or tokens(name)[-1:] == ("id",)


def _facts_of_products(facts: Mapping[str, Facts], key: str) -> Iterator[tuple[str, str]]:
    """Yield the column for each fact of a product that its name calls so."""
    taken = [key]
    for role in OF_PRODUCTS:
        named = {name: score(name, role) for name, each in facts.items() if _may_be(each, name, [*taken])}
        column = max(named, key=lambda name: named[name], default=None)
        if column is not None and named[column] >= NAMED:
            taken.append(column)
            yield role, column


def products_of(lines: Lines) -> dict[str, Guess]:
    """Return the keys of data.tables.products; none where lines say no more of a product than its id.

    Where a product has several values, the most frequent ones count.
    """
    product, source = lines.column("product_id"), _source(lines)
    if not product or not source:
        return {}
    found = dict(_columns(lines, product))
    if not found:
        return {}
    key = f"trim(CAST({sql_name(product)} AS VARCHAR))"
    if _has_decimals(lines, product):
        key = f"regexp_replace({key}, '[.]0+$', '')"
    facts = [sql_name(name) for name in dict.fromkeys(found.values())]
    known = [f"count({name})" for name in facts]  # of equal rows: 0 where there is no value, else their number
    most = f"least({', '.join(known)})" if len(known) > 1 else known[0]
    order = f"{most} DESC, count(*) DESC, {', '.join(facts)}"
    sql = "\n".join(
        [
            f"SELECT {key} AS {sql_name(product)}, {', '.join(facts)}",
            f"FROM {source}",
            f"WHERE {sql_name(product)} IS NOT NULL",
            f"GROUP BY {', '.join(str(place) for place in range(1, len(facts) + 2))}",
            f"QUALIFY row_number() OVER (PARTITION BY {key} ORDER BY {order}) = 1",
        ]
    )
    number = lines.facts[product].distinct
    keys = {"sql": Guess(sql, f"{', '.join(found)} of {number:,} products, from the lines of orders")}
    keys |= {"encoding": Guess(lines.opened.encoding, "that of the lines")} if lines.opened.encoding else {}
    return keys | {f"columns.{role}": Guess(name) for role, name in {"product_id": product, **found}.items()}


def _source(lines: Lines) -> str:
    """Return what the query reads from; nothing where DuckDB cannot read the file by itself."""
    joined = lines.opened.reading.get("sql")
    return f"({joined.value}) AS lines" if joined else lines.opened.source


def _has_decimals(lines: Lines, product: str) -> bool:
    """Check whether ids are written as 12345.0, too: staging reads them as 12345."""
    raw = lines.opened.table
    both = lines.typed.select(ROW, read=lines.typed["product"]).join(raw.select(ROW, written=raw[product]), ROW)
    return bool(both.filter(both.read != both.written).limit(1).count().execute())


def _columns(lines: Lines, product: str) -> Mapping[str, str]:
    """Return the column of the file for each fact of a product that its name calls so and whose values are its own."""
    taken = [each.value for key, each in lines.guesses.items() if key.startswith("columns.")]
    found: dict[str, str] = {}
    for role in OF_PRODUCTS:
        named = {
            name: score(name, role)
            for name, each in lines.facts.items()
            if _may_be(each, name, [*taken, *found.values()])
        }
        best = sorted((name for name in named if named[name] >= NAMED), key=lambda name: -named[name])
        column = next((name for name in best if _is_of_products(lines, product, name, role)), None)
        if column:
            found[role] = column
    return found


def _may_be(facts: Facts, name: str, taken: list[object]) -> bool:
    return name not in taken and not facts.is_number and facts.distinct > 1


def _is_of_products(lines: Lines, product: str, name: str, role: str) -> bool:
    """Check that products have one value each, and that a group holds several of them."""
    facts = lines.facts
    if role != NAME and facts[name].distinct > FEW * facts[product].distinct:
        return False
    rows = lines.typed.select(ROW, product=lines.typed["product"]).join(
        lines.opened.table.select(ROW, value=lines.opened.table[name]), ROW
    )
    known = rows.filter(rows["product"].notnull() & rows["value"].notnull())
    counted = known.group_by(["product", "value"]).aggregate(rows=lambda found: found.count())
    each = counted.group_by("product").aggregate(share=counted["rows"].max() / counted["rows"].sum())
    row = each.aggregate(products=each.count(), one=(each["share"] >= SAME).mean())
    told = row.to_pyarrow().to_pylist()[0]
    return bool(told["products"]) and told["one"] >= ALIKE
