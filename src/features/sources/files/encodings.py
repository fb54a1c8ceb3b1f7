"""The encoding of text files that are not UTF-8: the likeliest, and others whose words differ and may be right."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from charset_normalizer import from_bytes

from features.sources.files.records import Part, decodes

WINDOWS = ("cp1252", "cp1250", "cp1251", "koi8_r", "cp1253", "cp1254", "cp932", "cp949", "gb18030", "big5")
OTHERS = ("cp850", "cp852", "mac_roman")  # of DOS and old Macs: tried where those of Windows give few words
READ, KEPT = 1 << 22, 1 << 17  # bytes of a file, and of its lines with foreign letters
CHAOS, COHERENCE = 0.15, 0.1  # by which another may look worse and still be right
MIXED = r"[a-zA-Z][\u0370-\uffff]|[\u0370-\uffff][a-zA-Z]"
SHOWN = 3  # words
# letters beyond a to z of one language, or of those that are close
LATIN = (
    "àâæçéèêëîïôœùûüÿ",  # French
    "áéíóúüñºª",  # Spanish
    "áâãàçéêíóôõúüºª",  # Portuguese
    "àèéìíîòóùú",  # Italian
    "äöüßé",  # German
    "åäöæøéü",  # the languages of Scandinavia, Finnish
    "áéíóúýþæðö",  # Icelandic
    "äëïöüéèáó",  # Dutch
    "ąćęłńóśźż",  # Polish
    "áčďéěíňóřšťúůýž",  # Czech
    "áäčďéíĺľňóôŕšťúýž",  # Slovak
    "áéíóöőúüű",  # Hungarian
    "ăâîșşțţ",  # Romanian
    "čćđšž",  # Croatian, Slovenian
    "çğıi̇öşüâîû",  # Turkish
)
WESTERN = "".join(LATIN[:8])
OWN_SCRIPTS = (
    "абвгдеёжзийклмнопрстуфхцчшщъыьэюя",  # Russian, Bulgarian
    "абвгґдеєжзиіїйклмнопрстуфхцчшщьюя",  # Ukrainian
    "абвгдђежзијклљмнњопрстћуфхцчџш",  # Serbian
    "αάβγδεέζηήθιίϊΐκλμνξοόπρσςτυύϋΰφχψωώ",  # Greek
)
IDEOGRAPHS = 0.8  # any bytes of East Asian text give some; Hangul alone is given by Korean alone
SEVERAL = 0.85  # customers of several languages of Western Europe
ENOUGH = 0.8
FITTING = 0.1  # by which the share of an encoding's words may be below the best


@dataclass(frozen=True)
class Encoding:
    """An encoding that reads all files, and some words with foreign letters as it reads them."""

    name: str
    sample: str


def encodings_of(parts: Sequence[Part], by_scripts: str | None) -> list[Encoding]:
    """Return the encodings that may be right, the likeliest first; none for UTF-8, and UTF-16 with its mark.

    One that reads the same text as one before it is left out. `by_scripts` is what the scripts of letters speak for.
    """
    if all(decodes(part, part.encoding) for part in parts):
        return []
    raw = b"\n".join(map(_foreign_lines, parts))[:KEPT]
    found = _likely(raw, WINDOWS)
    if all(_share(raw, name) < ENOUGH for name in found):
        found += [name for name in _likely(raw, OTHERS) if name not in found]
    found += [by_scripts] if by_scripts else []
    if all(_share(raw, name) < ENOUGH for name in found):  # a few words again and again look like no language
        found += [name for name in WINDOWS if name not in found and _share(raw, name) >= ENOUGH]
    readings = {name: raw.decode(name, errors="replace") for name in found}
    shares = {name: share_of_words(text) for name, text in readings.items()}
    texts: dict[str, str] = {}
    for name, text in readings.items():
        if shares[name] < max(shares.values()) - FITTING:
            continue
        if text not in texts.values() and all(decodes(part, name) for part in parts):
            texts[name] = text
    return [Encoding(name, _sample(text)) for name, text in texts.items()]


def _share(raw: bytes, name: str) -> float:
    return share_of_words(raw.decode(name, errors="replace"))


def _foreign_lines(part: Part) -> bytes:
    """Return the lines of a file that have bytes beyond ASCII."""
    with part.open() as stream:
        lines = stream.read(READ).splitlines()
    return b"\n".join(line for line in lines if not line.isascii())[:KEPT]


def _likely(raw: bytes, names: Sequence[str]) -> list[str]:
    """Return the encodings whose text looks hardly worse than the best."""
    matches = list(from_bytes(raw, cp_isolation=list(names), enable_fallback=False))
    if not matches:
        return []
    best = min(matches, key=lambda each: (each.chaos - each.coherence, names.index(each.encoding)))
    near = [
        each for each in matches if each.chaos <= best.chaos + CHAOS and each.coherence >= best.coherence - COHERENCE
    ]
    both = {name for each in near for name in (each.encoding, *each.could_be_from_charset)}
    first = [best.encoding, *(name for name in names if name in both)]
    texts = {name: raw.decode(name, "replace") for name in first}
    same = [name for name in names if texts.get(name) == texts[best.encoding]]
    found = list(dict.fromkeys([*same[:1], *first]))
    return [name for name in found if not _mixes(texts[name])] or found


def share_of_words(text: str) -> float:
    """Return the share of words with foreign letters that one language may have.

    Such a word has letters of that language alone, and no capital after a small letter. "Peńa" may be Polish.

    >>> share_of_words("Núñez Peña"), share_of_words("Núńez Peńa"), share_of_words("иВАНОВ")
    (1.0, 0.5, 0.0)
    """
    words = [word for word in re.findall(r"[^\W\d_]+", text) if not word.isascii()]
    if not words:
        return 0.0
    plain = [word.lower() for word in words if not any(a.islower() and b.isupper() for a, b in pairwise(word))]
    beyond = [{letter for letter in word if not letter.isascii()} for word in plain]
    alphabets: list[float] = [sum(letters <= set(alphabet) for letters in beyond) for alphabet in LATIN]
    alphabets += [SEVERAL * sum(letters <= set(WESTERN) for letters in beyond)]
    alphabets += [sum(set(word) <= set(alphabet) for word in plain) for alphabet in OWN_SCRIPTS]
    alphabets += [sum(map(_is_hangul, beyond))]
    alphabets += [IDEOGRAPHS * sum(map(_is_ideographs, beyond))]
    return max(alphabets) / len(words)


def _is_hangul(letters: set[str]) -> bool:
    """Check for syllables in use: cp949 has thousands of others, by which Japanese can be read."""
    in_use = all(map(_is_syllable, letters))
    return in_use and all(len(letter.encode("euc_kr")) == 2 for letter in letters)  # it spells out the others


def _is_ideographs(letters: set[str]) -> bool:
    return all(letter >= "\u3000" and not _is_syllable(letter) for letter in letters)


def _is_syllable(letter: str) -> bool:
    return "\uac00" <= letter <= "\ud7a3"


def _mixes(text: str) -> bool:
    """Check whether letters of other scripts stand within Latin words, more often than not."""
    foreign = re.findall(r"[^\x00-\x7f]+", text)
    return len(re.findall(MIXED, text)) > len(foreign) / 2


def _sample(text: str) -> str:
    words = dict.fromkeys(re.findall(r"[^\s,;|\"\t]*[^\x00-\x7f][^\s,;|\"\t]*", text))
    return ", ".join(list(words)[:SHOWN])
