"""Personas in words, in the languages of which conf/personas/ has sentences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from experiments.description.personas.personas import Persona
from experiments.reports.section import number, percent
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
        """Read the sentences of conf/personas/.

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
                    f"{where}.{key} is not valid",
                    where=f"{where}.{key}",
                    expected={str: "a text", list: "a list of texts", dict: "names with a text each"}[kind],
                    found=str(value),
                )
        for key, n in (("months", 12), ("weekdays", 7)):
            if len(content[key]) != n:
                raise InputError(f"{where}.{key} are not {n}", where=f"{where}.{key}", found=str(content[key]))
        return cls(**content)

    def name(self, aspect: str, value: str) -> str:
        """Return the name of a value: months and days of the week are numbered."""
        if aspect == "month":
            return self.months[int(value) - 1]
        if aspect == "weekday":
            return self.weekdays[int(value)]
        return self.values.get(value, value)

    def sentences(self, persona: Persona, currency: str) -> list[str]:
        """Return the sentences about a persona."""
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


def _filled(sentence: str, **values: object) -> str:
    try:
        return sentence.format(**values)
    except (KeyError, IndexError, ValueError) as error:
        raise InputError(
            "a sentence has unknown placeholders",
            where="personas.wording",
            expected=f"braces around some of {', '.join(values)}",
            found=sentence,
        ) from error
