"""Axes for the host's X/Y/Z plot: each sets one argument of the script for one cell."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from bp_core.settings import DIALECTS

from .arguments import MODES, WHEN
from .hook import OVERRIDES

_PREFIX = "[Beautify] "


def add_axes(scripts_data: Sequence[Any], models: Callable[[], list[str]]) -> bool:
    """Add the axes where the host has the X/Y/Z script, once; tells whether it has it."""
    has_axes = False
    for data in scripts_data:
        module = getattr(data, "module", None)
        options = getattr(module, "axis_options", None)
        if options is None or not hasattr(module, "AxisOption"):
            continue
        has_axes = True
        if any(option.label.startswith(_PREFIX) for option in options):
            continue
        axis = module.AxisOption
        options += [
            axis(f"{_PREFIX}When", str, _apply("when"), choices=lambda: list(WHEN)),
            axis(f"{_PREFIX}Mode", str, _apply("mode"), choices=lambda: list(MODES)),
            axis(f"{_PREFIX}Model", str, _apply("model"), choices=models, cost=0.5),
            axis(f"{_PREFIX}Candidates", int, _apply("candidates")),
            axis(f"{_PREFIX}Seed", int, _apply("seed")),
            axis(f"{_PREFIX}Dialect", str, _apply("dialect"), choices=lambda: list(DIALECTS)),
        ]
    return has_axes


def _apply(name: str) -> Callable[[Any, Any, Any], None]:
    def apply(p: Any, value: Any, _: Any) -> None:
        # Copies of a job share its dictionaries: never change one in place.
        setattr(p, OVERRIDES, {**getattr(p, OVERRIDES, {}), name: value})

    return apply
