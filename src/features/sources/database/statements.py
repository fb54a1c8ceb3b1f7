"""Statements that are sent to a database: one query each, which only reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

import sqlglot
from sqlglot import Token, TokenType
from sqlglot.errors import SqlglotError

from features.errors import InputError, first_line
from features.sources.reading import check_query, sql_literal

DIALECTS = {"postgresql": "postgres", "mariadb": "mysql", "mssql": "tsql"}  # where sqlglot has another name
WRITING = (TokenType.INSERT, TokenType.UPDATE, TokenType.DELETE, TokenType.MERGE)
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
        If there are several statements, or one that is not a query: SELECT ... INTO and WITH ... DELETE write.
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
    writing = _writing(tokens)
    if several or first not in QUERIES or writing:
        does = f"with {writing}" if first in QUERIES else f"that begins with {first}"
        raise InputError(
            f"{where} is not a single query",
            where=where,
            expected="one SELECT: a database is only read",
            found="several statements" if several else f"a statement {does}",
            hint="write one SELECT; what prepares it, such as a view, is made in the database",
        )
    if backend == "duckdb":
        check_query(sql, where)
    return sql


def _writing(tokens: Sequence[Token]) -> str | None:
    """Return the word by which a query writes, or None: INTO, or INSERT and the like where a statement begins."""
    for before, token, after in zip(tokens, tokens[1:], tokens[2:], strict=False):
        begins = before.token_type in (TokenType.L_PAREN, TokenType.R_PAREN)
        names = after.text.upper() == "FROM" or after.token_type in (TokenType.VAR, TokenType.IDENTIFIER)
        if token.token_type == TokenType.INTO or (token.token_type in WRITING and begins and names):
            return token.text.upper()
    return None


def selected(sql: str, newer: Newer | None, value: str) -> str:
    """Return the statement that reads a query's rows, or its newer ones; `value` stands for the newest known."""
    return sql if newer is None else f"SELECT * FROM ({sql}\n) AS q WHERE {newer.column} >= {value}"


def counted(sql: str) -> str:
    """Return the statement that counts a query's rows."""
    return f"SELECT count(*) FROM ({sql}\n) AS q"
