"""Score Prompt: numbers for a prompt, and for a rewrite of it, without rendering."""

from __future__ import annotations

from comfy_api.v0_0_2 import io

from ..bp_core.errors import InputError
from . import folders
from .checks import verdict
from .load import REWRITER
from .memory import AUTO, ManagedReward, ManagedRewriter, load_reward, starter


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
            search_aliases=["prompt score", "rate prompt", "reward", "beautifulprompt"],
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
                io.Combo.Input(
                    # Not "reward" as in Load Beautiful Prompt: after Clear Workflow the page gives
                    # a new node the values of like-named widgets that its id had before.
                    "reward_model", optional=True, options=folders.judges(), default=AUTO,
                    tooltip="A reward model in models/beautifulprompt to score with; auto: the "
                    "rewriter's.",
                ),
            ],
            outputs=[
                io.Float.Output(
                    "quality", tooltip="Relevance and beauty of the text that is scored, together: "
                    "standard deviations above the average prompt.",
                ),
                io.Float.Output(
                    "score", tooltip="How much the rewrite gains over your prompt, in standard "
                    "deviations of the reward; 0 without a rewrite.",
                ),
                io.Float.Output("aesthetic", tooltip="Beauty alone, as z-score."),
                io.Float.Output("kept", tooltip="Share of your content words in the rewrite."),
                io.String.Output("report", tooltip="All of it as text."),
            ],
        )  # fmt: skip

    @classmethod
    def validate_inputs(cls, reward_model: str | None = None) -> bool | str:
        """Refuse a reward model that is not here; None is an input that another node feeds."""
        return reward_model in (None, AUTO) or verdict(lambda: folders.find_reward(reward_model))

    @classmethod
    def execute(
        cls,
        text: str,
        rewrite: str,
        rewriter: ManagedRewriter | None = None,
        reward_model: str = AUTO,
    ) -> io.NodeOutput:
        from ..bp_core.text.fidelity import fidelity
        from ..bp_core.text.prompt import parse

        prose = [parse(prompt).prose for prompt in (text, rewrite if rewrite.strip() else text)]
        before, after = _judge(rewriter, reward_model).ready(2).score(prose, raw=[prose[0]] * 2)
        loss = fidelity(*prose)
        gain = after.total - before.total
        lines = [
            *([f"score {gain:+.2f}"] if rewrite.strip() else []),
            f"quality {after.total:+.2f}, aesthetic {after.aesthetic:+.2f}",
            f"kept {loss.kept:.0%}" + (f", lost: {', '.join(loss.lost)}" if loss.lost else ""),
        ]
        report = "\n".join(lines)
        return io.NodeOutput(
            after.total, gain, after.aesthetic, loss.kept, report, ui={"text": [report]}
        )


def _judge(rewriter: ManagedRewriter | None, name: str) -> ManagedReward:
    """The reward model of that name, or the rewriter's."""
    if name != AUTO:
        return load_reward(folders.find_reward(name))
    reward = (rewriter or starter()).reward
    if reward is None:
        raise InputError("no reward model: choose one here, or in Load Beautiful Prompt")
    return reward
