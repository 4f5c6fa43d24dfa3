"""Whether a prompt is English, told by its script and its small words.

No dictionary: a few foreign names, a title or a borrowed word leave a prompt English, and a heap
of Latin nouns without a small word among them passes for English, too.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from functools import cache, lru_cache

from .word_lists import read_lines
from .words import STOPWORDS

ENGLISH = ""
_UNKNOWN = "another language"
_WORD = re.compile(r"(?<![\w'’])[^\W\d_]+(?:['’][^\W\d_]+)*(?!\d)")
# Written without spaces: a letter of these is reckoned as half a word.
_NAMES = {"CJK": "Chinese", "HIRAGANA": "Japanese", "KATAKANA": "Japanese", "HANGUL": "Korean"}
_UNSPACED = frozenset(("CJK", "HIRAGANA", "KATAKANA", "THAI", "LAO", "KHMER", "MYANMAR"))
# Share of a prompt's words in another script, above which it is no English prompt with names.
_READ = 10_000  # characters that tell
_SHARE = 1 / 3
_WEAK = 0.4  # what a word counts that stands in names, too: Rio de Janeiro, Das Boot


def language_of(prose: str) -> str:
    """ENGLISH, or what the prose seems to be written in, as it reads behind "in"."""
    # Letters of other forms are the same letters: "ｆｏｘ", "𝕗𝕠𝕩".
    words = _WORD.findall(unicodedata.normalize("NFKC", prose[:_READ]))
    scripts: Counter[str] = Counter()
    for word in words:
        for script, letters in Counter(map(_script, word)).items():
            whole = letters / 2 if script in _UNSPACED else letters / len(word)
            scripts[script] += whole
    foreign = {script: n for script, n in scripts.items() if script != "LATIN"}
    if sum(foreign.values()) > _SHARE * sum(scripts.values()):
        main = max(foreign, key=foreign.__getitem__)
        if main == "CJK" and any(kana in foreign for kana in ("HIRAGANA", "KATAKANA")):
            main = "HIRAGANA"
        return _NAMES.get(main, f"{main.capitalize()} script")
    return _latin([word.lower().replace("’", "'") for word in words if _script(word[0]) == "LATIN"])


def foreign_words(prose: str) -> list[str]:
    """The words of a text that have letters of another script than the Latin one."""
    return [word for word in _WORD.findall(prose) if any(_script(x) != "LATIN" for x in word)]


@lru_cache(maxsize=4096)
def _script(letter: str) -> str:
    """First word of a letter's name: LATIN, CJK, CYRILLIC; signs of no script are Latin."""
    if letter in "'’" or letter.isascii() or not letter.isalpha():
        return "LATIN"
    script = unicodedata.name(unicodedata.normalize("NFKC", letter)[0], "LATIN").split(" ")[0]
    return script if script not in ("MODIFIER", "FEMININE", "MASCULINE", "MICRO") else "LATIN"


def _latin(words: list[str]) -> str:
    """The language of words in Latin letters."""
    borrowed, languages = _lists()
    counts = {
        name: sum(1 if word in strong else _WEAK * (word in weak) for word in words)
        for name, (strong, weak) in languages.items()
    }
    english = sum(word in STOPWORDS for word in words)
    best = max(counts, key=counts.__getitem__)
    score = counts[best]
    accented = sum(not word.isascii() and word not in borrowed for word in words)
    # One small word tells little in a long prompt, much in two words or beside accents.
    telling = score >= 1.4 or (score >= 1 and (accented or 3 * score >= len(words)))
    if telling and score + _WEAK * accented > english:
        return best
    if accented > 1 and 3 * accented >= len(words) and not english:
        return best if score else _UNKNOWN
    return ENGLISH


@cache
def _lists() -> tuple[frozenset[str], dict[str, tuple[frozenset[str], frozenset[str]]]]:
    """Borrowed words, and for each language its telling words and those of names and titles."""
    lines = [line.partition(": ") for line in read_lines("text/languages")]
    languages = {}
    for name, _, text in lines[1:]:
        strong, _, weak = (part for part in text.partition(" | "))
        # What English says as well tells nothing.
        languages[name] = tuple(frozenset(part.split()) - STOPWORDS for part in (strong, weak))
    return frozenset(lines[0][2].split()), languages
