"""Personas in words, in the languages of which conf/personas/ has sentences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from experiments.description.personas import Persona, Personas
from experiments.reports.section import Heading, Part, Table, Text, between, fine_percent, number, percent
from features.errors import InputError, did_you_mean


@dataclass(frozen=True)
class Wording:
    """Sentences in one language; what stands in braces is filled in.

    Attributes
    ----------
    facts : str
        Takes customers, share, revenue_share, orders, value, currency.
    nothing : str
        Where nothing stands out.
    habits : mapping of aspect to sentence
        Takes values.
    other : str
        For an aspect without one: takes aspect and values.
    months, weekdays : sequence of str
        Names, from January and from Monday.
    values : mapping of value, or aspect, to its name
    """

    facts: str
    nothing: str
    habits: Mapping[str, str]
    other: str
    months: Sequence[str]
    weekdays: Sequence[str]
    values: Mapping[str, str]

    @classmethod
    def from_config(cls, language: str, content: Mapping[str, Any]) -> Wording:
        """The sentences of conf/personas/.

        Raises
        ------
        InputError
            If some are missing or unknown, or are no texts.
        """
        known, where = cls.__annotations__, f"personas.wording.{language}"
        for key in content.keys() - known.keys():
            raise InputError(f"{where} has no {key!r}", where=where, hint=did_you_mean(key, known))
        for key in known.keys() - content.keys():
            raise InputError(f"{where} lacks {key!r}", where=where, expected=", ".join(known))
        for key, value in content.items():
            kind = {"habits": dict, "values": dict, "months": list, "weekdays": list}.get(key, str)
            if not isinstance(value, kind) or not all(
                isinstance(text, str) for text in (value.values() if kind is dict else value)
            ):
                raise InputError(
                    f"{where}.{key} is not what sentences are made of",
                    where=f"{where}.{key}",
                    expected={str: "a text", list: "a list of texts", dict: "names with a text each"}[kind],
                    found=str(value),
                )
        for key, n in (("months", 12), ("weekdays", 7)):
            if len(content[key]) != n:
                raise InputError(f"{where}.{key} are not {n}", where=f"{where}.{key}", found=str(content[key]))
        return cls(**content)

    def name(self, aspect: str, value: str) -> str:
        """A value as it is called: months and days of the week are numbered."""
        if aspect == "month":
            return self.months[int(value) - 1]
        if aspect == "weekday":
            return self.weekdays[int(value)]
        return self.values.get(value, value)

    def describe(self, persona: Persona, currency: str) -> list[str]:
        """The sentences about a persona."""
        facts = persona.facts
        said = [
            _filled(
                self.facts,
                customers=persona.customers,
                share=percent(facts["share"]),
                revenue_share=percent(facts["revenue_share"]),
                orders=number(facts["orders_per_customer"]),
                value=number(facts["average_order_value"]),
                currency=currency,
            )
        ]
        for aspect in dict.fromkeys(persona.stands_out["aspect"]):
            values = ", ".join(self.name(aspect, value) for value in persona.values(aspect))
            called = self.values.get(aspect, aspect.replace("_", " ").capitalize())
            said.append(_filled(self.habits.get(aspect, self.other), aspect=called, values=values))
        if len(said) == 1:
            said.append(self.nothing)
        return said


def persona_parts(
    personas: Personas,
    wordings: Mapping[str, Wording],
    languages: Sequence[str],
    strategy: Mapping[str, Mapping[str, str]],
    currency: str,
    kind: str,
) -> list[Part]:
    """Headings, texts and tables of all groups.

    Parameters
    ----------
    personas : Personas
    wordings : mapping of language to its sentences
        English among them, which tables are in.
    languages : sequence of str
        Those of the texts.
    strategy : mapping of group to language to what to do
    currency : str
    kind : str
        What the groups are, for captions: "tier".
    """
    parts: list[Part] = []
    for persona in personas.personas:
        parts.append(Heading(persona.group))
        for language in languages:
            text = " ".join(wordings[language].describe(persona, currency))
            todo = strategy.get(persona.group, {}).get(language)
            lang = None if language == "en" else language
            parts.append(Text(text, lang=lang))
            if todo:
                parts.append(Text(f"→ {todo}", lang=lang))
        if len(persona.stands_out):
            parts.append(
                Table(
                    f"{kind}_{persona.group}",
                    _index_table(persona, wordings["en"]),
                    "Index against all customers, 100 is as usual.",
                )
            )
    small = {group: n for group, n in personas.too_small.items() if n}
    if small:
        named = ", ".join(small)
        parts.append(Text(f"Not shown, as too few customers to describe without telling of persons: {named}.", "note"))
    return parts


def _index_table(persona: Persona, wording: Wording) -> Any:
    table = persona.stands_out
    return table.assign(
        value=[wording.name(aspect, value) for aspect, value in zip(table["aspect"], table["value"], strict=True)],
        share=table["share"].map(fine_percent),
        share_of_all=table["share_of_all"].map(fine_percent),
        index=table["index"].map(number),
        interval=[between(low, high) for low, high in zip(table["low"], table["high"], strict=True)],
    )[["aspect", "value", "index", "interval", "share", "share_of_all", "customers"]].rename(
        columns={"share_of_all": "share of all"}
    )


def _filled(sentence: str, **values: object) -> str:
    try:
        return sentence.format(**values)
    except (KeyError, IndexError, ValueError) as error:
        raise InputError(
            "a sentence cannot be filled in",
            where="personas.wording",
            expected=f"braces around some of {', '.join(values)}",
            found=sentence,
        ) from error
