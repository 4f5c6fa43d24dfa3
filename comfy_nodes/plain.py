"""What the nodes need that knows neither ComfyUI nor models: phrases, counts, reports, ranks."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence


def phrases(text: str) -> list[str]:
    """Phrases of a widget, separated by commas or line breaks; /…/ is one, commas and all."""
    found = re.findall(r"\s*(/.*?/(?=\s*(?:[,\n]|$))|[^,\n]+)", text)
    return [phrase.strip() for phrase in found if phrase.strip()]


def clip_tokens(clip, text: str) -> int:
    """Tokens of a prompt as the image model's text encoder counts them, without begin, end,
    padding and chat template; of the encoder that counts most, where there are several."""
    encoders, empty = _counts(clip, text), _counts(clip, "")
    return max((count - empty.get(name, 0) for name, count in encoders.items()), default=0)


def _counts(clip, text: str) -> dict[str, int]:
    found = clip.tokenize(text, return_word_ids=True)
    # A text encoder that no image model's class is around has its rows alone.
    encoders = found if isinstance(found, dict) else {"": found}
    # ComfyUI numbers words from 1; what belongs to no word has number 0.
    return {
        name: sum(token[2] != 0 for row in rows for token in row) for name, rows in encoders.items()
    }


def dialect_line(written: str, wanted: str, model=None) -> str:
    """The dialect that was written, and why, as "prose (clip_l, t5xxl)".

    Args:
        model: the `ImageModel` that it was chosen for, if for one.
    """
    if wanted not in ("auto", written):
        return f"{written} (this language model writes no {wanted})"
    why = model.reason if model and model.dialect == wanted else ""
    return f"{written} ({why})" if why else written


def report(result) -> str:
    """Every candidate of a `Result` with its scores, best first."""
    lines = [line for line in (result.note, result.account) if line]
    for place, candidate in enumerate(result.candidates, 1):
        facts = [] if candidate.score is None else [f"score {candidate.score:+.2f}"]
        if candidate.aesthetic is not None:
            facts.append(f"aesthetic {candidate.aesthetic:+.2f}")
        facts.append(f"kept {candidate.kept:.0%}")
        if candidate.mended:
            facts.append("mended")
        if candidate.lost:
            facts.append(f"lost: {', '.join(candidate.lost)}")
        facts.append(f"{candidate.tokens} tokens")
        lines.append(f"{place}. {candidate.text}\n   {', '.join(facts)}")
    return "\n".join(lines)


def ranked(scores: Sequence[float]) -> list[int]:
    """Indices from the highest score to the lowest; equals stay in order, NaN comes last."""
    values = [-math.inf if math.isnan(score) else score for score in scores]
    return sorted(range(len(values)), key=lambda i: values[i], reverse=True)
