"""What a machine computes in: bfloat16 only where it is not emulated."""

from __future__ import annotations

import torch


def machine_defaults() -> dict[str, bool | None]:
    """`bf16` and `use_cpu` of TRL's configs, where a user sets none.

    bfloat16 halves memory and, on a GPU from Ampere on or a CPU with AMX or AVX-512's instructions
    for it, time; elsewhere one product may take minutes. None is TRL's "unless fp16 is set".
    """
    if torch.cuda.is_available():
        return {"bf16": None if torch.cuda.is_bf16_supported() else False}
    if torch.backends.mps.is_available():
        return {}
    return {"use_cpu": True, "bf16": None if _cpu_has_bfloat16() else False}


def _cpu_has_bfloat16() -> bool:
    # Private, and not in every version: without them, float32 is right everywhere.
    checks = (
        getattr(torch.cpu, f"_is_{name}_supported", None) for name in ("amx_tile", "avx512_bf16")
    )
    return any(check is not None and check() for check in checks)
