"""Cleaning of public prompts: Discord spacing, host syntax, names, other languages, NSFW."""

from __future__ import annotations

import re
import unicodedata

from bp_core.text.words import clauses, words

_PARAMETERS = re.compile(r"(?:\s|^)--?\s?-?(?:ar|v|s|q|w|h|hd|test|stylize|seed|no)\b[^,]*", re.I)
_URL = re.compile(r"\bhttps?:\s*//\S+|\bwww\.\S+")
_NETWORK = re.compile(r"<[^<>]*>")
_WEIGHT = re.compile(r":+\s*-?\d+(?:\.\d+)?")
_BRACKETS = re.compile(r"[()\[\]{}<>|\\*_~^`#$@+=]+")
_QUOTES = str.maketrans({"“": '"', "”": '"', "‘": "'", "’": "'", "–": "-", "—": "-", "…": " "})
_SPELLED_NUMBER = re.compile(r"(?<![\d.])(\d(?: \d)+)(?![\d.])")
_LEAD_IN = re.compile(
    r"^(?:please\s+)?(?:generat\w*|creat\w*|draw|design|make)\s+(?:(?:me\s+)?(?:an?\s+|the\s+)?"
    r"(?:picture|image|painting|illustration|poster|photo|scene)s?(?:\s*[:,]\s*|\s+of\s+)|(?=an?\s))"
    r"|^photo generated\s*[:,]?\s*",
    re.I,
)
# Function words that mark a prompt as not English; none of them is an English word.
_FOREIGN = frozenset(
    "una uno con del los las que por para mujer hombre der das und mit einer eine ein auf dem "
    "von une des dans avec les est sur femme homme com uma mulher che della nel di och i na ke "
    "yang dengan untuk в и на с".split()
) - {"i"}
_NSFW = re.compile(
    r"\b(?:nsfw|nude\w*|naked\w*|naturist\w*|nudis\w*|sex\w*|porn\w*|erotic\w*|hentai|ecchi|boob\w*|"
    r"breast\w*|cleavage|nipple\w*|genital\w*|penis|vagina\w*|cock|dick|pussy|butt|buttocks|booty|"
    r"ass|asses|bikini\w*|lingerie|thong|panties|underwear|topless|bottomless|fetish\w*|bdsm|"
    r"bondage|latex|milf|slut\w*|whore\w*|orgasm\w*|cum|cumming|busty|curvy|voluptuous|seductive\w*|"
    r"sensual\w*|lewd|kinky|gore|gory|guts|intestines|corpse\w*|beheaded|decapitat\w*|suicid\w*|"
    r"rape\w*|loli\w*|shota|trump|biden|obama|putin|hitler|nazi\w*|stalin|politician\w*)\b",
    re.I,
)
_CREDIT = re.compile(
    r"\b(?:art(?:work)?\s+)?(?:by|in the styles? of|in style of|styled? (?:of|by|like)|"
    r"inspired by|inspiration from|from artists?|directed by|(?:photo|picture)s? by)\s+"
    # "standing by the river" credits nobody.
    r"(?!(?:an?|the|his|her|its|their|my|hand|night|day|side)\b).*$",
    re.I,
)


def clean(text: str) -> str:
    """One pool prompt as plain prose: no syntax or parameters, words spaced as people type them."""
    text = unicodedata.normalize("NFKC", text).translate(_QUOTES)
    text = _PARAMETERS.sub(" ", _URL.sub(" ", _NETWORK.sub(" ", text)))
    text = _BRACKETS.sub(" ", _WEIGHT.sub(" ", text))
    text = _LEAD_IN.sub("", re.sub(r"\s+", " ", text).strip())
    # DiffusionDB's Discord bot wrote every digit and hyphen as a word of its own: "1 9 5 0",
    # "8 k", "sci - fi", "artist ' s", "f / 1. 4".
    text = _SPELLED_NUMBER.sub(lambda m: m[1].replace(" ", ""), text)
    text = re.sub(r"\b(\d+) (k|mm|d|x|p|s|th|st|nd|rd)\b", r"\1\2", text)
    text = re.sub(r"(\d) ?([./]) ?(\d)", r"\1\2\3", text)
    text = re.sub(r"(\w) - (\w)", r"\1-\2", text)
    text = re.sub(r"(\w) ?' ?(s|t|re|ll|ve|d|m)\b", r"\1'\2", text)
    text = re.sub(r"\b(d) & (d)\b", r"\1&\2", text)
    text = re.sub(r"\s+([,.;:!?])", r"\1", text)
    text = re.sub(r"([,;])(?=\S)", r"\1 ", text)
    text = re.sub(r"(?:[,;]\s*)+", lambda m: m[0][0] + " ", text)
    text = re.sub(r"\.{2,}|\s-\s|[:!?]+(?=\s|$)", ", ", text)
    text = re.sub(r"\s+", " ", text)
    return re.sub(r"\s+,", ",", text).strip(" ,;-.")


def is_english(text: str) -> bool:
    """Latin letters throughout and none but a stray foreign function word."""
    if not text or sum(c.isascii() for c in text) < 0.97 * len(text):
        return False
    return sum(w in _FOREIGN for w in words(text.lower())) < 2


def is_safe(text: str) -> bool:
    """True when no NSFW or political term stands in `text`."""
    return _NSFW.search(text) is None


class Names:
    """Recognises the clauses that credit an artist.

    Args:
        artists: full names, one each (clip_interrogator's `artists.txt`).
        common: words of plain captions; a name made of such words alone ("rose", "young") is kept.
    """

    def __init__(self, artists: list[str], common: frozenset[str]) -> None:
        self.full: set[tuple[str, ...]] = set()
        self.parts: set[str] = set()
        for name in artists:
            parts = tuple(words(name.lower()))
            if not parts or (len(parts) == 1 and parts[0] in common):
                continue
            self.full.add(parts)
            self.parts.update(p for p in parts if p not in common and len(p) > 2)
        self.longest = max((len(n) for n in self.full), default=0)

    def credits(self, clause: str) -> bool:
        """True when the clause holds a full name, or a word that only names are made of."""
        run = words(clause.lower())
        if any(w in self.parts for w in run):
            return True
        return any(
            tuple(run[i : i + k]) in self.full
            for i in range(len(run))
            for k in range(2, min(self.longest, len(run) - i) + 1)
        )

    def without_credits(self, text: str) -> list[str]:
        """The clauses of `text` with credits cut off and clauses made of names dropped."""
        rest = []
        for clause in clauses(text):
            clause = _CREDIT.sub("", clause).strip(" -")
            if clause and not self.credits(clause):
                rest.append(clause)
        return rest
