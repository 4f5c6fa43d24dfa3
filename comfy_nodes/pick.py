"""Pick Best: of many pictures and their scores, the best few, each with its prompt."""

from __future__ import annotations

from comfy_api.v0_0_2 import io

from ..bp_core.errors import InputError
from .plain import ranked


class PickBest(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="BeautifulPromptPickBest",
            display_name="Pick Best",
            category="Beautiful Prompt",
            description="Keeps the pictures with the highest scores and their prompts, best first.",
            search_aliases=["best of n", "select image", "rank images", "beautifulprompt"],
            is_input_list=True,
            inputs=[
                io.Image.Input("images", tooltip="A batch, or a list as from several prompts."),
                io.Float.Input(
                    "scores", force_input=True,
                    tooltip="One a picture, or one a prompt for all of its pictures.",
                ),
                io.Int.Input("count", default=1, min=1, max=4096, tooltip="How many to keep."),
                io.String.Input(
                    "prompts", optional=True, force_input=True,
                    tooltip="The pictures' prompts, to have the best ones' along.",
                ),
            ],
            outputs=[
                io.Image.Output("images", is_output_list=True, tooltip="Best first."),
                io.String.Output("prompts", is_output_list=True, tooltip="In the same order."),
                io.Float.Output("scores", is_output_list=True, tooltip="In the same order."),
            ],
        )  # fmt: skip

    @classmethod
    def execute(
        cls, images: list, scores: list[float], count: list[int], prompts: list[str] | None = None
    ) -> io.NodeOutput:
        singles = [batch[i : i + 1] for batch in images for i in range(len(batch))]
        values = one_each(scores, len(singles), "scores")
        texts = one_each(prompts, len(singles), "prompts") if prompts else [""] * len(singles)
        best = ranked(values)[: count[0]]
        return io.NodeOutput(*([of[i] for i in best] for of in (singles, texts, values)))


def one_each(values: list, pictures: int, name: str) -> list:
    """`values` one a picture; one a prompt is repeated for the pictures of that prompt."""
    if not values or pictures % len(values):
        raise InputError(
            f"{len(values)} {name} for {pictures} images: give one for each image, or for each "
            "prompt's images"
        )
    return [value for value in values for _ in range(pictures // len(values))]
