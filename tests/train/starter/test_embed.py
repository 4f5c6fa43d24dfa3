"""script.py: vectors in the order of their prompts, whatever computes them, and never twice."""

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("transformers")

from bp_core.errors import InputError
from tests.conftest import random_bloom, write_folder
from train.models.sentences import embed
from train.starter import embed as script

PROMPTS = ["a cat", "a lighthouse at dusk, oil painting", "boats", "a dog in a garden", "moon"]


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    """A BERT of random weights with a tokenizer."""
    from bp_core.models.vision import define_operators

    define_operators()
    from transformers import BertConfig, BertModel

    # The BERT's own files go over the BLOOM's; its tokenizer stays.
    folder = tmp_path_factory.mktemp("encoders") / "tiny"
    write_folder(folder, random_bloom(vocab_size=330), PROMPTS)
    sizes = {"hidden_size": 32, "num_attention_heads": 2, "intermediate_size": 64}
    BertModel(BertConfig(vocab_size=330, num_hidden_layers=3, **sizes)).save_pretrained(folder)
    return folder


def test_vectors_follow_their_prompts(encoder):
    found = embed(PROMPTS, encoder, [2, 3], batch=2)
    assert {layer: v.shape for layer, v in found.items()} == {2: (5, 32), 3: (5, 32)}
    for i, prompt in enumerate(PROMPTS):
        alone = embed([prompt], encoder, [2, 3])
        for layer in (2, 3):
            assert found[layer][i] == pytest.approx(alone[layer][0], abs=1e-5)
    assert np.linalg.norm(found[3], axis=1) == pytest.approx(1, abs=1e-5)


def test_bfloat16_gives_nearly_the_same(encoder):
    exact, near = (embed(PROMPTS, encoder, [3], dtype=d)[3] for d in ("float32", "bfloat16"))
    assert ((exact * near).sum(1) > 0.999).all()


def test_workers_give_the_same(encoder):
    alone = script.spread(PROMPTS, 1, encoder=encoder, layers=[1, 3])
    shared = script.spread(PROMPTS, 2, encoder=encoder, layers=[1, 3])
    for layer in (1, 3):
        assert shared[layer] == pytest.approx(alone[layer], abs=1e-5)


def test_a_longer_pool_costs_what_it_adds(encoder, tmp_path, monkeypatch):
    frame = pd.DataFrame({"prompt": PROMPTS})
    frame[:1].to_parquet(tmp_path / "human.parquet")
    frame[1:2].to_parquet(tmp_path / "transfer.parquet")
    frame[2:3].to_parquet(tmp_path / "pool.parquet")
    argv = ["--out", str(tmp_path), "--encoder", str(encoder), "--layers", "2"]
    script.main(argv)
    frame[2:].to_parquet(tmp_path / "pool.parquet")
    asked, real = [], script.embed
    monkeypatch.setattr(script, "embed", lambda p, **how: asked.extend(p) or real(p, **how))
    script.main(argv)
    assert sorted(asked) == sorted(PROMPTS[3:])
    assert set(pd.read_parquet(tmp_path / "views/tiny-2.parquet").prompt) == set(PROMPTS)
    with pytest.raises(InputError, match="--workers 0"):
        script.main([*argv, "--workers", "0"])
    with pytest.raises(InputError, match="layers 1 to 3"):
        script.main([*argv[:-1], "4"])
