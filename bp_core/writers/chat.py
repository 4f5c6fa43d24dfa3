"""A chat as the text that a language model was taught, told by the control tokens that it knows."""

from __future__ import annotations

import re
from collections.abc import Container, Sequence
from dataclasses import dataclass

_CONTROL = re.compile(r"<\|?[A-Za-z_ ]{1,24}\|?>|\[/?[A-Z_]{2,16}\]|</?s>")


@dataclass(frozen=True)
class _Form:
    """A family's turns: a user's, a finished answer, and what begins the next answer."""

    token: str
    user: str
    answer: str
    begin: str


# The first whose token a vocabulary has: newer families know the tokens of older ones, too.
_FORMS = (
    _Form("<|turn>", "<|turn>user\n{}<turn|>\n", "<|turn>model\n{}<turn|>\n", "<|turn>model\n"),
    _Form(
        "<|im_start|>",
        "<|im_start|>user\n{}<|im_end|>\n",
        "<|im_start|>assistant\n{}<|im_end|>\n",
        "<|im_start|>assistant\n",
    ),
    _Form(
        "<start_of_turn>",
        "<start_of_turn>user\n{}<end_of_turn>\n",
        "<start_of_turn>model\n{}<end_of_turn>\n",
        "<start_of_turn>model\n",
    ),
    _Form(
        "<|start_header_id|>",
        "<|start_header_id|>user<|end_header_id|>\n\n{}<|eot_id|>",
        "<|start_header_id|>assistant<|end_header_id|>\n\n{}<|eot_id|>",
        "<|start_header_id|>assistant<|end_header_id|>\n\n",
    ),
    _Form("[INST]", "[INST]{}[/INST]", "{}</s>", ""),
)
_NO_THOUGHT = "<think>\n\n</think>\n\n"


def chat(
    messages: Sequence[tuple[str, str]], vocabulary: Container[str], thinks: bool = False
) -> str:
    """The text of a chat, up to where the answer begins.

    Args:
        messages: as of `Request`; control tokens in them are taken out.
        vocabulary: the tokens that the model's tokenizer knows as one.
        thinks: the model begins with a thought, which is to be empty.
    """
    form = next((form for form in _FORMS if form.token in vocabulary), None)
    turns = [(role, _CONTROL.sub(" ", text).strip()) for role, text in messages]
    if form is None:  # a model without a chat: text to be continued
        labels = {"user": "", "assistant": "Text: "}
        return "\n\n".join(labels[role] + text for role, text in turns) + "\n\nText:"
    text = "".join((form.user if role == "user" else form.answer).format(t) for role, t in turns)
    return text + form.begin + (_NO_THOUGHT if thinks else "")
