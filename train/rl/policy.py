"""The policy of PPO: a network whose upper layers learn, its frozen reference, and a value head.

Below the trained layers policy and reference are the same network, so its output (the trunk's) is
computed once a step and serves both, and every epoch over the rollouts. The embeddings, tied to the
output head, are part of what stays frozen. With LoRA the reference is the policy without its
adapters; otherwise it is a copy of the trained layers alone.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bp_core.decode.layers import Packing, View
from bp_core.decode.transformer import Transformer
from bp_core.errors import InputError

# Logits of this many numbers are held at once: 16 MiB of float32.
_LOGITS = 1 << 22


class Sequences(NamedTuple):
    """Prompts with their responses, padded on the right, where the causal mask hides it.

    Attributes:
        ids: (n, T) tokens.
        predicts: (n, T), true where the next token is one of the response.
    """

    ids: Tensor
    predicts: Tensor

    @classmethod
    def of(
        cls, prompts: Sequence[list[int]], responses: Sequence[list[int]], device: torch.device
    ) -> Sequences:
        """From token lists; no response may be empty."""
        rows = [[*p, *r] for p, r in zip(prompts, responses, strict=True)]
        longest = max(map(len, rows))
        ids = torch.tensor([row + [0] * (longest - len(row)) for row in rows], device=device)
        starts = torch.tensor([[len(p) - 1] for p in prompts], device=device)
        ends = torch.tensor([[len(row) - 1] for row in rows], device=device)
        at = torch.arange(longest, device=device)
        return cls(ids, (at >= starts) & (at < ends))

    @property
    def targets(self) -> Tensor:
        """(tokens,) ids of the responses, row after row."""
        return self.ids.roll(-1, 1)[self.predicts]

    @property
    def sizes(self) -> list[int]:
        """Tokens that are read of each row: all but the last, behind which nothing is predicted."""
        return read(self.predicts).sum(1).tolist()

    def rows(self, chosen: Sequence[int]) -> Sequences:
        """Some of the rows, without the padding that none of them needs."""
        index = torch.tensor(chosen, device=self.ids.device)
        predicts = self.predicts[index]
        used = int(predicts.any(0).nonzero().max()) + 2
        return Sequences(self.ids[index, :used], predicts[:, :used])


def read(predicts: Tensor) -> Tensor:
    """(n, T), true at the tokens that a prediction depends on: up to each row's last."""
    return predicts.flip(1).cumsum(1).flip(1) > 0


class _Logprobs(torch.autograd.Function):
    """Log-probabilities (tokens,) of targets (tokens,) behind states (tokens, hidden), by a head
    (vocabulary, hidden) that does not learn.

    A few rows at a time: the logits of all of them, for a vocabulary of 250,880, would outweigh
    the network. With log p = wₜ·h - log Σ exp(wᵢ·h), its slope wₜ - Σ pᵢ wᵢ needs nothing but
    what the forward has at hand, so that no logits are kept or made again for going back.
    """

    @staticmethod
    def forward(ctx, hidden: Tensor, head: Tensor, targets: Tensor) -> Tensor:
        learns = ctx.needs_input_grad[0]
        step = max(1, _LOGITS // len(head))
        logprobs, slopes = [], []
        for rows, ids in zip(hidden.split(step), targets.split(step), strict=True):
            logits = F.linear(rows, head).float()
            chosen = logits.gather(1, ids[:, None])
            most = logits.amax(1, keepdim=True)
            odds = logits.sub_(most).exp_()  # each exponential once: they cost as much as a layer
            total = odds.sum(1, keepdim=True)
            logprobs.append((chosen - most - total.log())[:, 0])
            if learns:
                expected = (odds @ head) / total
                slopes.append((head[ids] - expected).to(hidden.dtype))
        if learns:
            ctx.save_for_backward(torch.cat(slopes))
        return torch.cat(logprobs)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None, None]:
        (slopes,) = ctx.saved_tensors
        return (gradient[:, None] * slopes).to(slopes.dtype), None, None


class ValueHead(nn.Module):
    """Hidden state to the return expected from it: two layers, as in the released code."""

    def __init__(self, hidden_size: int) -> None:
        super().__init__()
        self.inner = nn.Linear(hidden_size, 2 * hidden_size)
        self.outer = nn.Linear(2 * hidden_size, 1)
        # An untrained critic that says 0 disturbs the policy less than one that guesses.
        nn.init.zeros_(self.outer.weight)
        nn.init.zeros_(self.outer.bias)

    def forward(self, hidden: Tensor) -> Tensor:
        return self.outer(torch.relu(self.inner(hidden))).squeeze(-1)


class Policy(nn.Module):
    """Policy, reference and value head over one network.

    Args:
        network: the SFT model in float32, its parameters its own (no memory map).
        trained_layers: how many of the upper layers learn; 0 for all.
        lora_rank: of adapters on those layers' linear maps, which then stay frozen; 0 for none.
    """

    def __init__(self, network: Transformer, trained_layers: int, lora_rank: int = 0) -> None:
        super().__init__()
        depth = len(network.blocks)
        if not 0 <= trained_layers <= depth:
            raise InputError(f"trained_layers is {trained_layers}: the model has {depth} layers")
        self.network = network.requires_grad_(False)
        self.first = depth - (trained_layers or depth)
        self.lora = lora_rank > 0
        self.value = ValueHead(network.config.hidden_size)
        if self.lora:
            self._adapt(lora_rank)
        else:
            self.reference_layers = copy.deepcopy(network.blocks[self.first :])
            self.reference_norm = copy.deepcopy(network.norm)
            for part in (*network.blocks[self.first :], network.norm):
                part.requires_grad_(True)

    def _adapt(self, rank: int) -> None:
        from peft import LoraConfig, inject_adapter_in_model

        products = [
            f"blocks.{index}.{name}"
            for index in range(self.first, len(self.network.blocks))
            for name, module in self.network.blocks[index].named_modules()
            if isinstance(module, nn.Linear)
        ]
        config = LoraConfig(r=rank, lora_alpha=2 * rank, target_modules=products)
        inject_adapter_in_model(config, self.network)

    @torch.no_grad()
    def trunk(self, ids: Tensor, predicts: Tensor) -> Tensor:
        """The input of the trained layers, (read, hidden): a row for each token that is read.

        Args:
            ids, predicts: of the same `Sequences`.
        """
        view = self._view(predicts)
        x = view.packing.pack(self.network.embed(ids, view))
        for block in self.network.blocks[: self.first]:
            x = block(x, view)
        return x

    def forward(self, trunk: Tensor, predicts: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Log-probabilities of the responses' tokens, and values before each: (tokens,) both.

        Args:
            trunk: (read, hidden) from `trunk`.
            predicts, targets: of the same `Sequences`.
        """
        hidden = self._upper(trunk, predicts, self.network.blocks[self.first :], self.network.norm)
        return self._logprobs(hidden, targets), self.value(hidden).float()

    @torch.no_grad()
    def reference(self, trunk: Tensor, predicts: Tensor, targets: Tensor) -> Tensor:
        """Log-probabilities (tokens,) under the frozen reference."""
        if self.lora:
            with self.without_adapters():
                layers, norm = self.network.blocks[self.first :], self.network.norm
                return self._logprobs(self._upper(trunk, predicts, layers, norm), targets)
        hidden = self._upper(trunk, predicts, self.reference_layers, self.reference_norm)
        return self._logprobs(hidden, targets)

    def _upper(self, x: Tensor, predicts: Tensor, layers: nn.ModuleList, norm: nn.Module) -> Tensor:
        """(tokens, hidden) before each token of the responses."""
        view = self._view(predicts)
        *before, last = layers
        for block in before:
            x = block(x, view)
        chosen = predicts.flatten()[view.packing.places].nonzero()[:, 0]
        return norm(last(x, view, chosen=chosen))

    def _view(self, predicts: Tensor) -> View:
        """Of the tokens that are read, without padding between them."""
        view = self.network.view(predicts.shape[1])
        return view._replace(packing=Packing.of(read(predicts)))

    def _logprobs(self, hidden: Tensor, targets: Tensor) -> Tensor:
        head = self.network.embedding if self.network.head is None else self.network.head
        return _Logprobs.apply(hidden, head.weight, targets)

    @contextmanager
    def without_adapters(self) -> Iterator[None]:
        """The network as it was before LoRA."""
        from peft.tuners.tuners_utils import BaseTunerLayer

        adapted = [m for m in self.network.modules() if isinstance(m, BaseTunerLayer)]
        for module in adapted:
            module.enable_adapters(False)
        try:
            yield
        finally:
            for module in adapted:
                module.enable_adapters(True)

    def weights(self) -> Iterator[tuple[str, Tensor]]:
        """The rewriter's tensors by their names in a checkpoint, adapters merged in."""
        for name, parameter in self._merged():
            yield self.network.as_stored(name, parameter)

    def learned(self) -> Iterator[tuple[str, Tensor]]:
        """Of the network's parameters, adapters merged in, those that change while it learns."""
        changing = tuple(f"blocks.{i}." for i in range(self.first, len(self.network.blocks)))
        yield from self._merged((*changing, "norm."))

    def _merged(self, begins: tuple[str, ...] = ("",)) -> Iterator[tuple[str, Tensor]]:
        """The network's parameters whose names begin so, adapters merged in."""
        # Parameters, for a state dict of a sharded network has the shards alone.
        for name, parameter in self.network.named_parameters():
            owner, _, leaf = name.rpartition(".")
            if ".lora_" in name or not name.startswith(begins):
                continue
            if owner.endswith(".base_layer"):
                owner = owner.removesuffix(".base_layer")
                if leaf == "weight":
                    delta = self.network.get_submodule(owner).get_delta_weight("default")
                    parameter = parameter.detach() + delta
            yield f"{owner}.{leaf}", parameter.detach()
