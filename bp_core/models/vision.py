"""Lets torchvision be imported beside a CPU-only torch.

torchvision's registry wheels are built against CUDA torch; without it their own operators stay
undefined, importing torchvision fails, and with it transformers' model classes and open_clip. Two
schemas are all that the import asks for.
"""

from __future__ import annotations

import torch

_SCHEMAS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)
# A Library's definitions live as long as it does.
_library: torch.library.Library | None = None


def define_operators() -> None:
    """Define the schemas where torch is a CPU build; call before importing transformers."""
    global _library
    if _library is not None or torch.version.cuda or torch.version.hip:
        return
    _library = torch.library.Library("torchvision", "FRAGMENT")
    for schema in _SCHEMAS:
        if not hasattr(torch.ops.torchvision, schema.partition("(")[0]):
            _library.define(schema)
