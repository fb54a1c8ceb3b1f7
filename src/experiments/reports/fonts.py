"""A font that holds Hangul, for pictures and for pages that are read without a network."""

from __future__ import annotations

import base64
import io
import logging
from importlib.util import find_spec
from pathlib import Path

import matplotlib
from fontTools.subset import Options, Subsetter
from fontTools.ttLib import TTFont
from matplotlib import font_manager

FAMILY = "NanumGothic"
HANGUL = ("ᄀ", "\ud7af")  # first and last code point of the blocks from Hangul Jamo to Hangul syllables


def font_file(weight: str = "") -> Path:
    """Return the font's file, of a weight such as Bold, in the package that brings it."""
    spec = find_spec("koreanize_matplotlib")  # found, not imported: importing it changes matplotlib's settings
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "fonts" / f"{FAMILY}{weight}.ttf"


def use_in_pictures() -> None:
    """Make matplotlib use the font for glyphs that its own lacks, and show texts as they are, in this process."""
    for weight in ("", "Bold"):
        font_manager.fontManager.addfont(font_file(weight))
    matplotlib.rcParams["font.family"] = ["DejaVu Sans", FAMILY]
    matplotlib.rcParams["text.parse_math"] = False  # a category may be called "UNDER $10 & OVER $5"
    logging.getLogger("matplotlib.font_manager").setLevel(logging.ERROR)  # it warns that this bold is a little lighter


def embedded(text: str) -> str:
    """Return CSS with the font's glyphs for the Hangul of a text; empty where it has none."""
    wanted = sorted({character for character in text if HANGUL[0] <= character <= HANGUL[1]})
    if not wanted:
        return ""
    logging.getLogger("fontTools").setLevel(logging.ERROR)  # it warns of every table that it drops
    options = Options(flavor="woff", layout_features=[], name_IDs=[], hinting=False, notdef_outline=True)
    font = TTFont(font_file(), lazy=True, recalcTimestamp=False)  # the same text gives the same bytes
    subsetter = Subsetter(options)
    subsetter.populate(text="".join(wanted))
    subsetter.subset(font)
    font.flavor = "woff"
    file = io.BytesIO()
    font.save(file)
    data = base64.b64encode(file.getvalue()).decode()
    first, last = (f"U+{ord(end):X}" for end in HANGUL)
    return (
        f"@font-face {{ font-family: {FAMILY}; unicode-range: {first}-{last[2:]}; "
        f'src: url(data:font/woff;base64,{data}) format("woff") }}'
    )
