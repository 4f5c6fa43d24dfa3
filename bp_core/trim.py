"""The output head cut down to the tokens that a prompt can be made of.

A multilingual vocabulary is a third of a 1.1 B model's bytes, all read for every token. What is
left out gets no probability, except that every row may write the tokens of its own prompt. Off
unless asked for: a model may want a token that is not there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from .decode.cpu.fbgemm import Rounded


class TrimmedHead(nn.Module):
    """Logits of all tokens from a head of some: -inf for the others.

    Args:
        weight: (vocab_size, hidden) the whole head.
        kept: ids that stay, ascending.
        linear: makes the layer of the weights that stay, from (weight, bias).
    """

    def __init__(
        self,
        weight: Tensor | Rounded,
        kept: Tensor,
        linear: Callable[[Tensor | Rounded, None], nn.Module],
    ) -> None:
        super().__init__()
        self.vocab_size = len(weight)
        self.linear = linear(weight[kept], None)
        self.kept = kept
        self._ids = frozenset(kept.tolist())

    def forward(self, hidden: Tensor) -> Tensor:
        logits = hidden.new_full((*hidden.shape[:-1], self.vocab_size), -torch.inf)
        return logits.index_copy_(-1, self.kept, self.linear(hidden))

    def own_tokens(self, prompts: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor] | None:
        """Ids (m,) that prompts hold and the head lacks, and what (n, m) to add to their logits:
        0 where the prompt has the token, -inf elsewhere. None when nothing is lacking."""
        lacking = sorted({i for prompt in prompts for i in prompt} - self._ids)
        if not lacking:
            return None
        held = [[i in prompt for i in lacking] for prompt in map(set, prompts)]
        mask = torch.zeros(len(prompts), len(lacking)).masked_fill(~torch.tensor(held), -torch.inf)
        return torch.tensor(lacking), mask


def prompt_tokens(tokenizer: Tokenizer) -> Tensor:
    """Ids whose text is of Latin letters, digits and signs, and all parts of characters."""
    kept = [
        i
        for i in range(tokenizer.get_vocab_size(with_added_tokens=True))
        if all(c < "\u0250" or c == "\ufffd" for c in tokenizer.decode([i], False))
    ]
    return torch.tensor(kept)
