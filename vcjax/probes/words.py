"""The words of a text, for comparisons word by word.

Case, spacing, punctuation and the ways in which Unicode spells a letter do not matter. Of scripts
that do not put spaces between words, each character is a word.
"""

import functools
import re
import unicodedata

Phrase = tuple[str, ...]

# Characters that nobody sees, as soft hyphens and zero-width spaces: those that Unicode's
# DerivedCoreProperties.txt lists under Default_Ignorable_Code_Point.
IGNORABLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e"
    "\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3"
    "\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
# How the Unicode names of their characters begin. Korean has spaces between words, but none between
# a noun and its particle.
HAN = ("CJK ", "IDEOGRAPHIC ")
UNSPACED = ("HIRAGANA", "KATAKANA", "BOPOMOFO", "HANGUL", "YI ", "THAI ", "LAO ", "KHMER ",
            "MYANMAR ", "TAI ", "NEW TAI LUE", "JAVANESE", "BALINESE")  # fmt: skip


def words(text: str) -> Phrase:
    """The words of a folded text; of scripts without spaces between words, the characters."""
    return tuple(text.translate(_WORDS).split())


def signs(text: str) -> Phrase:
    """The words of a folded text and, each for itself, the signs between them: emoji, + or #."""
    return tuple(text.translate(_SIGNS).split())


def folded(text: str) -> str:
    """The text without differences of case, of ignorable characters and of how letters are coded.

    As Unicode's toNFKC_Casefold: https://www.unicode.org/reports/tr31/#NFKC_Modifications.
    """
    if not text.isascii():
        text = unicodedata.normalize("NFKC", IGNORABLE.sub("", text))
    return unicodedata.normalize("NFKC", text.casefold())


@functools.cache
def kind(character: str) -> str:
    """letter (marks and digits too), han, unspaced, sign or space."""
    if unicodedata.category(character)[0] in "LMN":
        name = unicodedata.name(character, "")
        return (
            "han" if name.startswith(HAN) else "unspaced" if name.startswith(UNSPACED) else "letter"
        )
    return "space" if unicodedata.category(character) in ("Cc", "Zs", "Zl", "Zp", "Cf") else "sign"


class _Table(dict):
    """For str.translate: letters stay, characters of the kinds `alone` get spaces around them, all
    others become a space."""

    def __init__(self, alone: tuple[str, ...]) -> None:
        self.alone = alone

    def __missing__(self, code: int) -> str:
        character = chr(code)
        of = kind(character)
        self[code] = character if of == "letter" else f" {character} " if of in self.alone else " "
        return self[code]


_WORDS = _Table(("han", "unspaced"))
_SIGNS = _Table(("han", "unspaced", "sign"))
