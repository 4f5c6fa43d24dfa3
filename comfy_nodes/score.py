"""Score Prompt: numbers for a prompt, and for a rewrite of it, without rendering."""

from __future__ import annotations

from comfy_api.v0_0_2 import io

from ..bp_core.errors import InputError
from .load import REWRITER
from .memory import ManagedRewriter, starter


class ScorePrompt(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="BeautifulPromptScore",
            display_name="Score Prompt",
            category="Beautiful Prompt",
            description=(
                "Tells how good a picture a prompt will make, without rendering it, and how much "
                "a rewrite gains over it."
            ),
            search_aliases=["prompt score", "reward", "beautifulprompt"],
            is_output_node=True,
            inputs=[
                io.String.Input(
                    "text", multiline=True, default="", dynamic_prompts=False,
                    tooltip="Your prompt.",
                ),
                io.String.Input(
                    "rewrite", multiline=True, default="", dynamic_prompts=False,
                    tooltip="A rewrite of it. Empty: the prompt itself is scored.",
                ),
                REWRITER.Input(
                    "rewriter", optional=True,
                    tooltip="Scores with the reward model loaded beside it; the bundled one when "
                    "unconnected.",
                ),
            ],
            outputs=[
                io.Float.Output("score", tooltip="Relevance and beauty together, as z-score."),
                io.Float.Output("gain", tooltip="Score of the rewrite above that of the prompt."),
                io.Float.Output("aesthetic", tooltip="Beauty alone, as z-score."),
                io.Float.Output("kept", tooltip="Share of your content words in the rewrite."),
                io.String.Output("report", tooltip="All of it as text."),
            ],
        )  # fmt: skip

    @classmethod
    def execute(
        cls, text: str, rewrite: str, rewriter: ManagedRewriter | None = None
    ) -> io.NodeOutput:
        from ..bp_core.fidelity import fidelity
        from ..bp_core.prompt import parse

        reward = (rewriter or starter()).reward
        if reward is None:
            raise InputError("no reward model: choose one in Load Beautiful Prompt")
        prose = [parse(prompt).prose for prompt in (text, rewrite if rewrite.strip() else text)]
        own, new = reward.score(prose, raw=[prose[0]] * 2)
        found = fidelity(*prose)
        gain = new.total - own.total
        lines = [
            f"score {new.total:+.2f} (gain {gain:+.2f})",
            f"aesthetic {new.aesthetic:+.2f}",
            f"kept {found.kept:.0%}" + (f", lost: {', '.join(found.lost)}" if found.lost else ""),
        ]
        report = "\n".join(lines)
        return io.NodeOutput(
            new.total, gain, new.aesthetic, found.kept, report, ui={"text": [report]}
        )
