"""An answer as language models give it, read for the text that was asked for.

Thoughts, introductions, markdown, quotation marks, lists and farewells are taken off; a refusal is
told apart. What remains is still no draft: `rewriter` holds it to the rules.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable

from ..text.words import WORD, sentences

REFUSED, EMPTY, THOUGHTS = "refused", "empty", "only thoughts"

_THOUGHTS = re.compile(
    r"<(think(?:ing)?|reasoning|thought)>.*?(?:</\1>|$)|\[THINK\].*?(?:\[/THINK\]|$)"
    r"|<\|channel\|?>(?:analysis|commentary|thought).*?(?=<\|channel\|?>final|<channel\|>|$)",
    re.DOTALL | re.IGNORECASE,
)
# A template that begins the thought itself shows its end alone.
_END_OF_THOUGHT = re.compile(r"^.*</(?:think(?:ing)?|reasoning|thought)>", re.DOTALL | re.I)
_TURN_END = re.compile(r"<\|(?:im_end|eot_id|end|endoftext|return)\|>|<end_of_turn>|<turn\|>|</s>")
_CONTROL = re.compile(r"<\|[^<>|\n]{0,40}\|?>(?:final\b)?|<[a-z_]{1,20}\|>|</?s>|\[/?INST\]")
_FENCE = re.compile(r"```[\w-]*[ \t]*\n?(.*?)(?:```|$)", re.DOTALL)
_REFUSAL = re.compile(
    r"\b(?:I|we)(?: am|['’]m)?(?: \w+){0,2} (?:can(?:not|['’]t)|unable|not able|won['’]t|not"
    r" allowed|not comfortable)\b|\bI(?:['’]m| am) (?:so |very |really )?sorry\b|\bas an? (?:AI|"
    r"language model)\b|\bcan(?:not|['’]t) (?:help|assist|fulfil|comply|create|generate|provide)\b"
    r"|\bagainst my (?:guidelines|policy)\b",
    re.IGNORECASE,
)
_INTRODUCTION = re.compile(
    r"(?:sure|certainly|of course|okay|ok|absolutely|great|alright|here(?:['’]s| is| are)|below is"
    r"|this is|the following|i['’]?(?:ve|ll| have| will| would)?\b)[^\n:]{0,160}:\s*"
    r"|(?:sure|certainly|of course|okay|ok|absolutely|great|alright|understood|got it)"
    r"(?:[ ,]+(?:here|i|let|this|below)\b[^.!\n]{0,160})?[.!\n,]+\s*"
    r"|here(?:['’]s| is| are)\b[^.!\n]{0,160}(?:prompt|description|version|phrases|tags)"
    r"[^.!\n]{0,60}[.!\n]+\s*",
    re.IGNORECASE,
)
_LABEL = re.compile(
    r"(?:(?:the|my|your|final|new|enhanced|improved|revised|rewritten|expanded|positive|image|full"
    r"|short|english|continued|updated)\s+){0,3}(?:prompts?|descriptions?|answer|output|response"
    r"|phrases|tags|translation|continuation|version|text|result|title|option \d+)\s*\d*\s*:\s*",
    re.IGNORECASE,
)
_AFTERWARDS = re.compile(
    r"(?:^|\n|(?<=[.!?]) )\W*(?:negative prompt|explanation|note|notes|reasoning|why this works"
    r"|description|translation|let me know|i hope|feel free|would you like"
    r"|if you (?:want|would|need)|do you want|is there anything|please (?:let|note|tell)"
    r"|hope (?:this|that))\b.*$",
    re.DOTALL | re.IGNORECASE,
)
_CHATTER = re.compile(
    r"\b(?:I['’](?:m|ve|ll|d)|I (?:have|am|will|can|could|would|hope|chose|added|used|made)|you"
    r" (?:can|could|may|might|would|want|need|asked)|your|let me|let['’]s|feel free|image generator"
    r"|(?:this|the|your) (?:prompt|description|phrase)s?)\b",
    re.IGNORECASE,
)
_MARKER = re.compile(r"^\s*(?:[-*•·–—+>]+|\(?\d{1,2}[.):]|[a-z][.)])\s+")
_HEADING = re.compile(r"^\s*#{1,6}\s")
_BULLET = re.compile(r"^\s*(?:[-*•·–+]|\(?\d{1,2}[.):])\s+")
_QUOTES = {'"': '"', "“": "”", "'": "'", "‘": "’", "«": "»", "「": "」", "`": "`", "„": "“"}
_WHOLE = 10  # words of a list's entry that is a prompt by itself


def read(answer: str, sentences_wanted: bool = False) -> tuple[str, str]:
    """The text in an answer, on one line, and why there is none: REFUSED, EMPTY, THOUGHTS or "".

    Args:
        sentences_wanted: lines are put together to sentences, and not with commas.
    """
    thought = _END_OF_THOUGHT.sub("", _THOUGHTS.sub("", answer))
    text = _CONTROL.sub(" ", _TURN_END.split(thought.lstrip())[0] if thought.strip() else "")
    if not text.strip():
        return "", THOUGHTS if answer.strip() else EMPTY
    if _refuses(text):
        return "", REFUSED
    if (fenced := _FENCE.search(text)) and fenced[1].strip():
        text = fenced[1]
    text = _headless(_of_json(text))
    text = _AFTERWARDS.sub("", _introduced(text)) or text
    text = _one_line(text, sentences_wanted)
    text = _unquoted(_introduced(_unquoted(_introduced(text))))
    text = " ".join(part for part in sentences(text) if not _CHATTER.search(part))
    return (text, "") if WORD.search(text) else ("", EMPTY)


def without_echo(text: str, raw: str) -> str:
    """`text` without the artist's own words, if it begins with all of them."""
    said = [word.group().lower() for word in WORD.finditer(raw)]
    written = list(WORD.finditer(text))
    if not said or [word.group().lower() for word in written[: len(said)]] != said:
        return text
    return text[written[len(said) - 1].end() :].lstrip(" \"”'’")


def _refuses(text: str) -> bool:
    """Whether the answer begins by saying no; a man who cannot swim may stand further behind."""
    return bool(_REFUSAL.search(text.strip()[:120]))


def _introduced(text: str) -> str:
    """`text` without "Sure, here is your prompt:" and the like."""
    for _ in range(3):
        text = text.strip().lstrip("*_#>~ ")
        match = _INTRODUCTION.match(text) or _LABEL.match(text)
        if not match or match.end() == len(text):
            break
        text = text[match.end() :]
    return text.lstrip("*_ \n")


def _of_json(text: str) -> str:
    """The longest text of an answer in JSON; any other as it is."""
    if not text.lstrip().startswith(("{", "[")):
        return text
    try:
        value = json.loads(text)
    except ValueError:
        return text
    texts: list[str] = []
    values = [value]
    while values:
        match values.pop():
            case str(found):
                texts.append(found)
            case list(more):
                values += more
            case dict(fields):
                values += fields.values()
    return max(texts, key=len, default="")


def _headless(text: str) -> str:
    """`text` without headings, if anything else is in it."""
    body = "\n".join(line for line in text.splitlines() if not _HEADING.match(line))
    return body if body.strip() else text


def _one_line(text: str, sentences_wanted: bool) -> str:
    """Lines put together; of a list of whole prompts, the first."""
    lines = [line for line in text.splitlines() if line.strip()]
    bullets = [line for line in lines if _BULLET.match(line)]
    if len(bullets) > 1 and all(_words(line) >= _WHOLE for line in bullets):
        lines = bullets[:1]
    elif len(bullets) > 1:
        lines = bullets
    elif not bullets and len(lines) > 1 and _words(lines[0]) >= _WHOLE:
        lines = lines[:1] if not sentences_wanted else lines
    bare: Callable[[str], str] = lambda line: _plain(_MARKER.sub("", line)).strip()  # noqa: E731
    parts = [part for line in lines if (part := bare(line))]
    if not sentences_wanted:
        return ", ".join(part.rstrip(",;") for part in parts)
    return " ".join(part if part[-1] in ".!?,;" else f"{part}." for part in parts)


def _words(line: str) -> int:
    return len(WORD.findall(line))


def _plain(line: str) -> str:
    """A line without markdown: bold, italics, code, links."""
    line = re.sub(r"\[([^\]\n]+)\]\([^)\n]*\)", r"\1", line)
    line = re.sub(r"(\*{1,3}|_{2,3}|~~)(?=\S)(.+?)(?<=\S)\1", r"\2", line)
    return line.replace("`", "").replace("**", "")


def _unquoted(text: str) -> str:
    """`text` without quotation marks around the whole of it."""
    text = text.strip()
    closing = _QUOTES.get(text[:1])
    if closing is None or (text[:1] == "'" and text.count("'") % 2):
        return text
    body = text[1:].rstrip(" .,")
    if body.endswith(closing) and closing not in body[:-1]:
        return body[:-1].strip()
    return text if closing in text[1:] else text[1:]
