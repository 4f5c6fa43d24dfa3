"""README.md of a trained model: what it is of, and how it is used."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from bp_core.models import STARTER

_USE = {
    "rewriter": 'bp beautify "a lighthouse at dusk" --model {folder}',
    "reward": 'bp score "a lighthouse at dusk" --reward {folder}',
}


def write_card(
    folder: Path, kind: str, command: str, base: str | None, figures: Mapping[str, float]
) -> None:
    """The card of a rewriter or a reward.

    Args:
        command: that trained it, as "train/sft.py".
        base: what it began with; None for random weights.
        figures: by name, as measured at the end.
    """
    begun = "the bundled rewriter" if base == STARTER else f"`{base}`" if base else "random weights"
    lines = [
        f"# {folder.resolve().parent.name}",
        "",
        f"A {kind} of Beautiful Prompt, trained by `{command}` from {begun}.",
        "",
        "```sh",
        _USE[kind].format(folder=folder),
        "```",
        "",
        *(f"- {name}: {value:.4g}" for name, value in figures.items()),
        "",
        "Its licence is that of its base and of the prompts that it has learned: name it here.",
    ]
    (folder / "README.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


def without_card(trainer: type) -> type:
    """A trainer class of TRL's that leaves no card beside its checkpoints.

    TRL's calls every model that was given as a network "a fine-tuned version of None".
    """

    class WithoutCard(trainer):
        def create_model_card(self, *args, **kwargs) -> None:
            pass

    return WithoutCard
