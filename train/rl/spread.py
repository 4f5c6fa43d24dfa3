"""How the policy is spread over the processes of a run: a copy in each (DDP), or shards (FSDP)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from train.rl.policy import Policy

if TYPE_CHECKING:
    from accelerate import Accelerator


class Copies:
    """Every process holds all of the policy; gradients are averaged.

    Attributes:
        module: what learns: call it as the policy.
    """

    def __init__(self, policy: Policy, accelerator: Accelerator) -> None:
        self._accelerator = accelerator
        self.module = accelerator.prepare_model(policy)

    def whole(self) -> AbstractContextManager:
        """Where all weights are at hand, whatever part of the policy is called."""
        return nullcontext()

    def accumulate(self, last: bool) -> AbstractContextManager:
        """Around one of several backward passes: gradients are exchanged in the last."""
        return nullcontext() if last else self._accelerator.no_sync(self.module)

    def full(self, tensor: Tensor) -> Tensor:
        """All of a tensor of which this process may hold a part; every process must call."""
        return tensor

    def part(self, full: Tensor, like: Tensor) -> Tensor:
        """This process's part of a tensor that is spread like another."""
        return full


class Shards:
    """Every process holds a part of each weight, of its gradient and of its moments.

    While rollouts are written and judged all weights are gathered, for processes write texts of
    different lengths and could not gather layer by layer in step. While the policy learns, only
    the layer at work is whole.
    """

    def __init__(self, policy: Policy, accelerator: Accelerator) -> None:
        from torch.distributed.device_mesh import init_device_mesh
        from torch.distributed.fsdp import fully_shard

        device = accelerator.device
        mesh = init_device_mesh(device.type, (accelerator.num_processes,))
        layers = [*policy.network.blocks, *getattr(policy, "reference_layers", [])]
        for layer in layers:
            fully_shard(layer, mesh=mesh)
        self.module = fully_shard(policy, mesh=mesh)
        self._modules = [policy, *layers]
        # The outermost module's forward must be the first of all, or a layer takes itself for it.
        trunk = torch.zeros(1, policy.network.config.hidden_size, device=device)
        with torch.no_grad(), accelerator.autocast():
            one = torch.tensor([[True, False]], device=device)
            self.module(trunk, one, torch.zeros(1, dtype=torch.long, device=device))
        self._shard()

    @contextmanager
    def whole(self) -> Iterator[None]:
        for module in self._modules:
            module.unshard()
            module.set_reshard_after_forward(False, recurse=False)
        try:
            yield
        finally:
            self._shard()

    def _shard(self) -> None:
        for module in self._modules:
            module.set_reshard_after_forward(module is not self.module, recurse=False)
            module.reshard()

    def accumulate(self, last: bool) -> AbstractContextManager:
        self.module.set_requires_gradient_sync(last)
        return nullcontext()

    def full(self, tensor: Tensor) -> Tensor:
        whole = getattr(tensor, "full_tensor", None)
        return tensor if whole is None else whole()

    def part(self, full: Tensor, like: Tensor) -> Tensor:
        from torch.distributed.tensor import DTensor, distribute_tensor

        if not isinstance(like, DTensor) or full.shape != like.shape:
            return full
        return distribute_tensor(full.to(like.device), like.device_mesh, like.placements)


def spread(policy: Policy, accelerator: Accelerator, shards: bool) -> Copies | Shards:
    """The policy over all processes. Take its parameters afterwards: shards replace them."""
    return (Shards if shards and accelerator.num_processes > 1 else Copies)(policy, accelerator)


def whole_state(
    how: Copies | Shards,
    trained: dict[str, nn.Parameter],
    optimizer: torch.optim.Optimizer,
    main: bool,
) -> dict:
    """Weights and moments, gathered, as a run of any number of processes reads them back.

    Every process must call; only the main one keeps what comes together, and not on its GPU.
    """

    def gathered(tensor: Tensor) -> Tensor | None:
        whole = how.full(tensor.detach())
        return whole.cpu() if main else None

    state = optimizer.state_dict()
    moments = {
        i: {name: gathered(x) for name, x in of_one.items()} for i, of_one in state["state"].items()
    }
    return {
        "policy": {name: gathered(p) for name, p in trained.items()},
        "optimizer": state | {"state": moments},
    }


def restore_state(
    how: Copies | Shards,
    trained: dict[str, nn.Parameter],
    optimizer: torch.optim.Optimizer,
    state: dict,
) -> None:
    """Take over what `whole_state` gathered."""
    moments = state["optimizer"]["state"]
    for i, (name, parameter) in enumerate(trained.items()):
        parameter.data.copy_(how.part(state["policy"][name], parameter))
        if i in moments:
            moments[i] = {key: how.part(x, parameter) for key, x in moments[i].items()}
    optimizer.load_state_dict(state["optimizer"])
