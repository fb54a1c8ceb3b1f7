"""Statements that are sent to a database: one query each, which only reads."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

import sqlglot
from sqlglot import TokenType
from sqlglot.errors import SqlglotError

from features.errors import InputError, first_line
from features.sources.reading import sql_literal

DIALECTS = {"postgresql": "postgres", "mariadb": "mysql", "mssql": "tsql"}  # where sqlglot has another name
QUERIES = ("SELECT", "WITH", "VALUES", "FROM", "TABLE", "(")
NEWEST = "newest"  # the parameter of a statement that reads newer rows

Newest = str | int | float | Decimal | date | datetime


@dataclass(frozen=True)
class Newer:
    """Rows from a value of a column on.

    Attributes
    ----------
    column : str
        As it is quoted in the database.
    value : str, number, date or datetime
    """

    column: str
    value: Newest

    def literal(self) -> str:
        """Return the value as it is written in SQL."""
        if isinstance(self.value, (int, float, Decimal)):
            return str(self.value)
        return sql_literal(self.value)


def one_query(sql: str, backend: str, where: str) -> str:
    """Return a query without its final semicolon.

    Raises
    ------
    InputError
        If there are several statements, or one that is not a query.
    """
    dialect = DIALECTS.get(backend, backend)
    known = dialect if dialect in sqlglot.Dialect.classes else None
    try:
        tokens = sqlglot.tokenize(sql, read=known)
    except SqlglotError as error:
        raise InputError("the query cannot be read", where=where, found=first_line(error)) from None
    while tokens and tokens[-1].token_type == TokenType.SEMICOLON:
        sql = sql[: tokens.pop().start]
    several = any(token.token_type == TokenType.SEMICOLON for token in tokens)
    first = tokens[0].text.upper() if tokens else "nothing"
    if several or first not in QUERIES:
        raise InputError(
            f"{where} is not a single query",
            where=where,
            expected="one SELECT: a database is only read",
            found="several statements" if several else f"a statement that begins with {first}",
            hint="write one SELECT; what prepares it, such as a view, is made in the database",
        )
    return sql


def selected(sql: str, newer: Newer | None, value: str) -> str:
    """Return the statement that reads a query's rows, or its newer ones; `value` stands for the newest known."""
    return sql if newer is None else f"SELECT * FROM ({sql}\n) AS q WHERE {newer.column} >= {value}"


def counted(sql: str) -> str:
    """Return the statement that counts a query's rows."""
    return f"SELECT count(*) FROM ({sql}\n) AS q"
