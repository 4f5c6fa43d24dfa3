"""What writes the rollouts: the policy's own network, or its present weights in half precision.

Under autocast every weight would be cast again for every token. A copy in bfloat16 is cast once a
step instead: of the trained layers alone, for nothing else ever changes. Log-probabilities that PPO
learns from are those of the learning network all the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from bp_core.decode.transformer import Transformer

if TYPE_CHECKING:
    from bp_core.decode.generate import Network
    from train.rl.policy import Policy


class Writer:
    """Decodes by the policy's present weights.

    Args:
        policy: in float32, whole (not yet cut into shards).
        half: decode a copy in bfloat16.

    Attributes:
        network: what `generate` takes.
    """

    def __init__(self, policy: Policy, half: bool) -> None:
        self._policy, self._copy = policy, None
        plain = policy.network
        if half:
            tensors = ((name, t.to(torch.bfloat16)) for name, t in policy.weights())
            plain = self._copy = Transformer.from_tensors(plain.config, tensors)
            self._copied = dict(plain.named_parameters())
        self.network: Network = plain
        if plain.device.type == "cuda":
            from bp_core.decode.cuda.decoder import CudaNetwork

            self.network = CudaNetwork(plain, alone=True)

    @torch.no_grad()
    def refresh(self) -> None:
        """Take over what the policy has learned; its weights must be whole (`spread.whole`)."""
        if self._copy is None:
            return
        # Into the same storage: captured graphs read from there.
        for name, tensor in self._policy.learned():
            self._copied[name].copy_(tensor)
