"""Word tools: tokens, stems, stop words and clauses of a prompt."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from itertools import pairwise

from .word_lists import read_lines, read_words

# Scripts written without spaces: a run of them is cut into character bigrams to be compared.
CJK = "\u2e80-\u2fdf\u3005-\u30ff\u31f0-\u9fff\uf900-\ufaff\uff66-\uff9f\U00020000-\U0003ffff"
# Vowel signs of Indic, Thai and other scripts are no `\w`, yet stand inside words.
_MARKS = "\u0300-\u036f\u0483-\u0487\u0591-\u05c7\u064b-\u065f\u0900-\u109f"
_LETTER = rf"(?:[^\W_{CJK}]|[{_MARKS}])"
WORD = re.compile(
    rf"[{CJK}]+"
    rf"|\d+(?:\.\d+|,\d{{3}}(?!\d))+{_LETTER}*"  # 1,000  1.8  35.5mm; "100,35mm" is two
    rf"|{_LETTER}+(?:['’]{_LETTER}+)*"  # a word; don't, dog's
)


def words(text: str) -> list[str]:
    """The words of `text`, lower-cased, in order.

    A hyphen parts words ("red-haired" is two), an apostrophe does not; a run of CJK characters
    is one word.
    """
    return WORD.findall(normal(text))


def normal(text: str) -> str:
    """Text as its words are told: in NFKC, lower-cased, with plain apostrophes."""
    return unicodedata.normalize("NFKC", text).lower().replace("’", "'")


STOPWORDS = read_words("text/stop_words")
# Words that turn the next content word into its opposite.
NEGATIONS = frozenset("no not without never neither nor cannot n't".split())

# The n-th word is the number n.
_NUMBERS = """
zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen
sixteen seventeen eighteen nineteen twenty
"""
_ORDINALS = "first 1st second 2nd third 3rd fourth 4th fifth 5th sixth 6th seventh 7th"


def _inflect(adjective: str) -> tuple[str, ...]:
    """Comparative and superlative of a short adjective."""
    if adjective.endswith("e"):
        root = adjective[:-1]
    elif adjective.endswith("y"):
        root = adjective[:-1] + "i"
    elif re.search(r"[^aeiou][aeiou][gtn]$", adjective):
        root = adjective + adjective[-1]
    else:
        root = adjective
    return root + "er", root + "est"


def _exceptions() -> dict[str, str]:
    """Every form that the rules of `stem` would get wrong, with its stem."""
    table = {word: word for word in read_words("text/uninflected")}
    for line in read_lines("text/irregular"):
        base, _, forms = line.partition(":")
        table.update(dict.fromkeys(forms.split(), base.strip()))
    for adjective in read_words("text/compared"):
        table.update(dict.fromkeys(_inflect(adjective), adjective))
    table.update((word, str(value)) for value, word in enumerate(_NUMBERS.split()))
    ordinals = iter(_ORDINALS.split())
    table.update((word, next(ordinals)) for word in ordinals)
    return table


_EXCEPTIONS = _exceptions()
_VOWELS = re.compile(r"[aeiou]+|(?<=[^aeiou])y")
_CVC = re.compile(r"(?:^|[^aeiou]|qu)[aeiouy][^aeiouwxy]$")
# Endings left by -ing and -ed that had an e: danc(e), mov(e), sparkl(e), decorat(e), captur(e) …
_LOST_E = re.compile(
    r"(?:[cuv]|[^sn]s|ns|[^tz]z|[^n]g|[bcdfgkpstz]l|[^aeou]at|[^aeiou]ok|[tsgj]ur|[^aeiou]ir"
    r"|[^aeiou][iy]n|[^aeiou][aiou]d|[^aeiou]ut|[^aeiou]um|[^aeiou]ap)$"
)


def _base(root: str) -> str:
    """The verb whose -ing or -ed form begins with `root`: "runn" -> "run", "rid" -> "ride"."""
    if len(root) <= 2:
        return root + "e" if root[-1] not in "aeiou" else root
    if root[-1] == root[-2] and root[-1] not in "aeious":
        syllables = len(_VOWELS.findall(root))
        keeps = root[-1] in "fz" or (root[-1] == "l" and syllables < 2)
        return root if keeps else root[:-1]
    if _LOST_E.search(root) and not root.endswith("ss"):
        return root + "e"
    if len(_VOWELS.findall(root)) == 1 and _CVC.search(root.replace("qu", "q")):
        return root + "e"
    return root


def _singular(word: str) -> str:
    if word.endswith("ies"):
        return word[:-3] + "y" if len(word) > 4 else word[:-1]
    if re.search(r"(?:ss|sh|ch|x|zz)es$", word):
        return word[:-2]
    if word.endswith("uses") and len(word) > 5 and word[-5] not in "ao":
        return word[:-2]
    if word.endswith("oes") and len(word) > 5 and not word.endswith("shoes"):
        return word[:-2]
    if re.search(r"(?:ss|us|is)$", word):
        return word
    return word[:-1]


@lru_cache(maxsize=8192)
def stem(word: str) -> str:
    """`word` without plural, simple inflection, accents or case; numbers up to 20 as figures.

    Only forms of one word meet ("riding", "rides" and "rode" are "ride"; "universe" and
    "university" stay apart), because the fidelity of a rewrite hangs on it.
    """
    word = word.lower().replace("’", "'")
    if not word.isascii():
        bare = re.sub(r"[\u0300-\u036f]", "", unicodedata.normalize("NFKD", word))
        word = unicodedata.normalize("NFC", bare)
    if word.endswith("n't"):
        return "n't"
    if word.endswith("'s"):
        word = word[:-2]
    if word in _EXCEPTIONS:
        return _EXCEPTIONS[word]
    if word[:1].isdigit():
        return word.replace(",", "")
    if not word.isalpha() or not word.isascii() or len(word) < 4:
        return word
    if word.endswith("ied"):
        word = word[:-3] + "y" if len(word) > 4 else word[:-1]
    elif word.endswith("ing") and _VOWELS.search(word[:-3]):
        word = _base(word[:-3])
    elif word.endswith("ed") and not word.endswith("eed") and _VOWELS.search(word[:-2]):
        word = _base(word[:-2])
    elif word.endswith("s"):
        word = _singular(word)
    if word in _EXCEPTIONS:
        return _EXCEPTIONS[word]
    # One spelling for the singulars whose plural hides it: movie(s), ache(s).
    if len(word) > 3 and word.endswith("ie"):
        return word[:-2] + "y"
    return word[:-1] if word.endswith(("che", "xe")) and len(word) > 3 else word


def content_stems(text: str) -> list[str]:
    """Stems of the words of `text` that are no stop words, in order; CJK runs as bigrams."""
    stems: list[str] = []
    for word in words(text):
        if word in STOPWORDS:
            continue
        if re.match(f"[{CJK}]", word):
            stems += [word[i : i + 2] for i in range(max(1, len(word) - 1))]
        else:
            stems.append(stem(word))
    return stems


CLAUSE_END = re.compile(
    r"(?<!\d),|,(?!\d{3}(?!\d))|[;\r\n，、；。！？]"
    r"|(?<!\b[A-Z])(?<!\b(?:[MmDd]r|[SsJj]r|[Ss]t|[Mm]s|[Vv]s|[Nn]o))(?<!\bMrs)\.(?=\s|$)"
    r"|[!?](?=\s|$)"
)
_FULL_STOPS = frozenset(".!?。！？")


def sentences(text: str) -> list[str]:
    """`text` cut behind each sentence's full stop, question or exclamation mark; the marks stay."""
    ends = [match.end() for match in CLAUSE_END.finditer(text) if match[0] in _FULL_STOPS]
    cuts = [0, *ends, len(text)]
    parts = (text[start:end].strip() for start, end in pairwise(cuts))
    return [part for part in parts if part]


def clauses(text: str) -> list[str]:
    """`text` cut at commas, semicolons, line breaks and sentence ends, trimmed, none empty.

    Marks inside numbers ("1,000", "f/1.8", "35.5mm") and after initials and titles do not cut.
    """
    return [clause for part in CLAUSE_END.split(text) if (clause := part.strip(" \t.,;!?"))]
