"""starter/bundle.py: what lies in a bundle, and what no longer does."""

import pytest

from bp_core.errors import InputError
from bp_core.models.checkpoint import PACKED, PLAIN
from bp_core.models.load import load
from bp_core.score.preference import FILE as PREFERENCE
from tests.bp_core.score.test_text_reward import reward_folder
from train.starter import bundle


def test_a_bundle_holds_packed_weights_alone(dialect_writer, tmp_path):
    out, reward = tmp_path / "bundle", reward_folder(tmp_path / "reward")
    (out / "reward").mkdir(parents=True)
    for name in (PLAIN, PREFERENCE, "MODEL_CARD.md", f"reward/{PLAIN}", "reward/taste.safetensors"):
        (out / name).write_text("of another")
    told = ["--reward", str(reward), "--dialects", "tags", "booru", "--out", str(out)]
    bundle.main(["--writer", str(dialect_writer), *told])
    assert {str(path.relative_to(out)) for path in out.rglob("*") if path.is_file()} == {
        PACKED, "config.json", "tokenizer.json", "beautifulprompt.json", "concepts.txt",
        "words.txt", "MODEL_CARD.md", f"reward/{PACKED}", "reward/config.json",
        "reward/tokenizer.json",
        "reward/beautifulprompt.json", "reward/taste.safetensors",
    }  # fmt: skip
    model = load(out)
    assert model.concepts.named("a cat") and model.dialects == ("tags", "booru")
    with pytest.raises(InputError, match="another folder"):
        bundle.main(["--writer", str(dialect_writer), "--out", str(dialect_writer)])
