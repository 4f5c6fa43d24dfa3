"""Which phrases a model may add to a prompt: the same rule cleans training data and rewrites."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from itertools import pairwise

from ..text.words import content_stems, words
from .scene import (
    DEPTH_OF_FIELD,
    GOLDEN_HOUR,
    adds_people,
    adds_place,
    contradicts,
    lacks_ground,
)

# A phrase that ends so was never finished.
_DANGLING = frozenset(
    "a an the of on at in to with by for from and or as very award surrounded covered filled "
    "wearing holding featuring inspired".split()
)
# Nor one that ends so after an article: "a gorgeous" what?
_UNFINISHED = frozenset(
    "gorgeous beautiful stunning realistic fantastic fantasy dark detailed cinematic dramatic epic "
    "magical mystical elegant intricate vibrant colorful soft cute professional".split()
)
# Louder is not new: "ultra realistic" after "highly realistic" says nothing.
_LOUDER = frozenset(
    "very highly ultra super hyper extremely insanely incredibly amazingly really".split()
)

# "Very realism", "highly lens": an adverb wants an adjective, told by its ending or by this list.
_ADVERBS = _LOUDER - {"ultra", "super", "hyper"}
_ENDINGS = tuple("ic ed ful al ive ous ant ent ing less able ible ate ine ly like".split())
_ADJECTIVES = frozenset(
    "abstract adult angry bad big bizarre blurry bright busy calm clean clear clever close cloudy "
    "cold complex cool cozy creamy creepy crisp cute damp dark deep dense dim dirty dry dull "
    "dusty eerie fair familiar fancy fast fat few flat fluffy foggy fresh funny furry gloomy "
    "glossy good grainy grim gritty grungy hairy happy hard hazy heavy high hot huge icy intense "
    "known large light little long loud low lush mad minimalist misty modern moody mossy murky "
    "muscular neat new nice noisy old pale plain popular pretty proper pure quick quiet rainy "
    "rare raw regular rich rough rusty sad safe scary serene sexy shallow sharp shiny short "
    "similar simple skinny sleek slender slight slim slow small smart smoky smooth snowy sober "
    "soft solar spectacular spooky stark stormy straight strange strong sunny superior sweet tall "
    "thick thin tiny tough true unique vast vivid warm wavy weird wet wide wild windy wise worn "
    "young".split()
)
_BETWEEN = _LOUDER | {"and", "high", "well", "photo", "so"}
# Nobody wears them, nor has them twice.
_GROWN = frozenset("hair face eyes skin lips smile body".split())
# "Medium length" of what? Full length is a framing.
_LENGTHS = frozenset("short medium long shoulder waist".split())
_MEASURED = frozenset("hair haired beard dress skirt coat gown cape robe".split())
# Names of one thing, the first for all: who said "photorealistic" and "8k" has said "hyper real"
# and "uhd". Neither stands in a tail twice, however it is worded.
_SAME = """
photo photos photograph photographs photography photographic photographed photographer
nikon canon eos sony leica kodak fujifilm hasselblad
lens lense 24mm 28mm 35mm 50mm 70mm 80mm 85mm 100mm 105mm 135mm 200mm
realism realistic real photorealism photorealistic hyperrealism hyperrealistic hyperreal \
ultrarealism ultrarealistic lifelike
resolution res 2k 4k 8k 16k hd uhd
detail details detailed hyperdetailed ultradetailed intricate intricately intricacy elaborate
beautiful beautifully gorgeous stunning breathtaking pretty lovely amazing attractive magnificent
render renders rendered rendering octane unreal blender vray cinema4d redshift 3d cgi cg
artstation cgsociety deviantart pixiv behance
atmosphere atmospheric mood moody
bokeh
fantasy mystical magical magic
sunny sun sunlit
sunset sundown dusk
"""
_MEANT = {
    name: line.split()[0] for line in _SAME.strip().splitlines() for name in content_stems(line)
}
_ONCE = frozenset(_MEANT.values())
# Words that are one name together.
_JOINED = (
    (re.compile(r"\bcg society\b"), "cgsociety"),
    (DEPTH_OF_FIELD, "bokeh"),
    (re.compile(r"\bsunny (?:weather|day)\b"), "sunny"),
    (re.compile(r"\bunreal engine\b"), "unreal"),
    (GOLDEN_HOUR, "sunset"),
)


def unasked(clause: str, raw: str, said: Sequence[str] = ()) -> bool:
    """True when `clause` changes what `raw` is a picture of, or contradicts it.

    Args:
        said: phrases added before it, which it must not contradict either.
    """
    adds = adds_people(clause, raw) or adds_place(clause, raw) or lacks_ground(clause, raw)
    return adds or contradicts(clause, [raw, *said])


def admissible(
    phrases: Sequence[str], raw: str, blocked: Callable[[str], bool] | None = None
) -> list[str]:
    """Those of `phrases` that may follow `raw`, in order.

    Left out: phrases that `blocked` refuses, that repeat a content word of `raw` or one of their
    own, that name again, in whatever words, what is named once (realism, size, praise), that say
    only what the prompt or an earlier phrase said, if louder, all of it once more, or three words
    of it in a row, that say "very" (or another such word) a second time, that describe the same
    part of somebody a second time, that bring in a person, a place, plants or a temper where there
    is no ground for it, that contradict what was said, and those that are no phrases: without a
    content word, or malformed ("trending on").
    """
    taken = frozenset(content_stems(raw))
    said = set(_meant(raw))
    loud: set[str] = set()
    grown: set[str] = set()
    named: set[str] = set()
    whole: list[set[str]] = []
    runs: set[tuple[str, ...]] = set()
    kept = []
    for clause in phrases:
        own, run = content_stems(clause), words(clause)
        shouts, parts = _LOUDER.intersection(run), _GROWN.intersection(run)
        news = set(_meant(" ".join(w for w in run if w not in _LOUDER)) or own)
        if not own or taken.intersection(own) or said.issuperset(news):
            continue
        if loud & shouts or grown & parts or named & news:
            continue
        if (
            stammers(clause)
            or malformed(clause)
            or any(earlier.issubset(news) for earlier in whole)
        ):
            continue
        if unasked(clause, raw, kept):
            continue
        if blocked is not None and blocked(clause):
            continue
        own_runs = three_word_runs(clause)
        if runs.intersection(own_runs) or len(set(own_runs)) < len(own_runs):
            continue
        said |= news
        loud |= shouts
        grown |= parts
        named |= news & _ONCE
        whole.append(news)
        runs.update(own_runs)
        kept.append(clause)
    return kept


def _meant(text: str) -> list[str]:
    """Content stems of `text`, all names of one thing as one."""
    text = text.lower()
    for pattern, name in _JOINED:
        text = pattern.sub(name, text)
    return [_MEANT.get(stem, stem) for stem in content_stems(text)]


def stammers(phrase: str) -> bool:
    """True when `phrase` has a content word twice, or any word twice in a row."""
    stems, run = content_stems(phrase), words(phrase)
    return len(set(stems)) < len(stems) or any(a == b for a, b in pairwise(run))


def malformed(phrase: str) -> bool:
    """True when `phrase` (with a word in it) is not whole: "trending on", "very realism"."""
    run = words(phrase)
    *_, before, last = ["", *run]
    return (
        last in _DANGLING
        or not any(map(str.isalpha, phrase))  # "24"
        or (last in _UNFINISHED and before in ("a", "an", "the"))
        or any(a in _ADVERBS and not _adjectival(b) for a, b in pairwise(run))
        or (last in _GROWN and "wearing" in run)
        or any(
            a in _LENGTHS and b == "length" and c not in _MEASURED
            for a, b, c in zip(run, run[1:], [*run[2:], ""], strict=False)
        )
        or any(w.startswith("very") and w != "very" for w in run)
    )


def _adjectival(word: str) -> bool:
    """Whether `word` may follow "very": an adjective, or what leads to one."""
    return word in _ADJECTIVES or word in _BETWEEN or word.endswith(_ENDINGS)


def three_word_runs(text: str) -> list[tuple[str, ...]]:
    """Every three words in a row of `text`: two phrases that share one sound like an echo."""
    run = words(text)
    return [tuple(run[i : i + 3]) for i in range(len(run) - 2)]
