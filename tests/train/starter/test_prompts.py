"""Prompts of reinforcement learning: nothing that is judged may be learned from."""

from train.starter import prompts


def rows(*found):
    return [{"raw_prompt": r, "prompt": p, "mode": m} for r, p, m in found]


def test_judged_captions_are_no_training_prompts():
    captions = [f"A dog number {i} on a road" for i in range(1500)]
    pairs = {
        "train": rows(
            *(("", c, "text") for c in captions),
            *((c.lower(), "soft light", "expand") for c in captions),
            *((c + ".", "soft light", "expand") for c in captions),
            ("a fox", "snow", "expand"),
            ("an owl", "an owl, snow", "rewrite"),
        ),
        "validation": rows(("a whale", "sea", "expand")),
    }
    found = prompts.split(pairs, seed=0)
    assert len(found["coco1000"]) == 1000
    assert "a fox" in found["train"] and "an owl" not in found["train"]
    assert "a whale" in found["validation"] and len(found["validation"]) == 129
    photos = [p for p in found["train"] if p.startswith("a photo of a")]
    assert 0 < len(photos) < 0.1 * len(found["train"])
    learned = {prompts._key(p.removeprefix("a photo of ")) for p in found["train"]}
    judged = {prompts._key(p) for p in found["coco1000"] + found["validation"]}
    assert not learned & judged
    assert found == prompts.split(pairs, seed=0)
