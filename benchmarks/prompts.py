"""Prompts put together at random of the syntax of all hosts and of words."""

from __future__ import annotations

import random
from collections.abc import Iterator

_PARTS = """
( ) (( )) [ ] { } | : :1.2 :1.2) :0.5] , ; . ! ? \\( \\) \\ <lora:moody:0.8> <sks> embedding:bad
BREAK AND ADDCOMM __colour__ {a|b} {2$$a|b|c} (red:1.2) ((hat)) [day:night:0.5] [cat|dog] [fe|]male
#1 #FF5733 // /* */ 16:9 2.39:1 5:30 --ar --no :3 ^_^ >:( :) <3 score:9 rating:general ::1.5 dog++
(hat)1.3 a_tag "OPEN" red hat cat cat's well-lit 猫 8k
""".split()


def generated(count: int, seed: int = 0) -> Iterator[str]:
    """Prompts put together at random of syntax and words."""
    rng = random.Random(seed)
    for _ in range(count):
        yield "".join(
            rng.choice(_PARTS)
            + rng.choice(("", " ", " ", ", ", "\n" if rng.random() < 0.1 else " "))
            for _ in range(rng.randint(1, 14))
        )
