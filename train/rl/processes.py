"""What the processes of a run tell each other: sums, means and lists over all rollouts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from bp_core.errors import InputError

if TYPE_CHECKING:
    from accelerate import Accelerator


class Processes:
    """Each process holds as many rollouts as any other, and knows of the others' through this."""

    def __init__(self, accelerator: Accelerator) -> None:
        self._accelerator = accelerator
        self.count, self.index = accelerator.num_processes, accelerator.process_index

    def share(self, prompts: int, minibatch: int) -> None:
        """Raise InputError unless a step's prompts and minibatches divide by the processes."""
        if prompts % self.count or minibatch % self.count:
            raise InputError(
                f"{self.count} processes cannot share {prompts} prompts a step and minibatches of "
                f"{minibatch}: give multiples of {self.count}"
            )

    def sum(self, x: Tensor | float) -> Tensor:
        """The sum of `x` over all processes."""
        x = torch.as_tensor(x, device=self._accelerator.device)
        return self._accelerator.reduce(x, "sum")

    def mean(self, values: Tensor | Sequence[float]) -> float:
        """Mean of (n,) values over all rollouts."""
        mean = torch.as_tensor(values, dtype=torch.float64).mean()
        return float(self.sum(mean) / self.count)

    def gather(self, x: Tensor) -> Tensor:
        """(n,) values of all processes, in their order, on the CPU."""
        return self._accelerator.gather(x.to(self._accelerator.device)).cpu()

    def gather_list(self, items: list) -> list:
        """Lists of all processes, joined in their order."""
        from accelerate.utils import gather_object

        return gather_object(items)

    def from_main(self, value: bool) -> bool:
        """What the main process says."""
        from accelerate.utils import broadcast_object_list

        return broadcast_object_list([value])[0]
