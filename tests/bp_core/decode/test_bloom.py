"""bloom.py against transformers' BloomForCausalLM."""

import pytest
import torch

from bp_core.decode import families
from bp_core.decode.bloom import bloom as bloom_of
from bp_core.decode.config import alibi_slopes
from bp_core.decode.transformer import Transformer
from bp_core.errors import ModelError

# (n_head, head_dim): non-powers of two, and the 16 heads of 96 of the published 1.1 B models
SHAPES = [(1, 8), (2, 8), (3, 8), (5, 64), (6, 8), (7, 8), (12, 8), (16, 96)]


@pytest.fixture(scope="module")
def reference_class():
    return pytest.importorskip("transformers").BloomForCausalLM


def reference(cls, network: Transformer):
    """transformers' model of the same weights."""
    from transformers import BloomConfig as ReferenceConfig

    c = network.config
    model = cls(
        ReferenceConfig(
            vocab_size=c.vocab_size,
            hidden_size=c.hidden_size,
            n_layer=c.n_layer,
            n_head=c.n_head,
            apply_residual_connection_post_layernorm=c.post_norm_residual,
        )
    )
    model.load_state_dict(dict(network.tensors()), strict=False)
    return model.eval()


@pytest.mark.parametrize(("n_head", "head_dim"), SHAPES)
def test_logits_equal_transformers(bloom, reference_class, n_head, head_dim):
    network = bloom(n_head, head_dim)
    model = reference(reference_class, network)
    ids = torch.randint(0, 97, (3, 11), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        torch.testing.assert_close(network(ids), model(ids).logits, atol=1e-4, rtol=0)


def test_residual_after_the_norm(reference_class):
    config = bloom_of(97, 16, 2, 2, post_norm_residual=True)
    network = Transformer(config).eval()
    ids = torch.arange(9)[None]
    with torch.no_grad():
        expected = reference(reference_class, network)(ids).logits
        torch.testing.assert_close(network(ids), expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize(("n_head", "head_dim"), SHAPES)
def test_cache_and_left_padding_change_nothing(bloom, n_head, head_dim):
    # In float32 the order of sums, which differs between processors, shows at the wider shapes.
    network = bloom(n_head, head_dim).double()
    generator = torch.Generator().manual_seed(2)
    texts = [torch.randint(0, 97, (t,), generator=generator).tolist() for t in (12, 9, 5)]
    given = 4  # tokens of each that are stepped through the cache
    logits, cache = network.prefill([text[:-given] for text in texts], room=given)
    for step in range(given + 1):
        seen = len(texts[0]) - given + step
        for row, text in enumerate(texts):
            alone = network(torch.tensor([text[: seen - len(texts[0]) + len(text)]]))[0, -1]
            torch.testing.assert_close(logits[row], alone, atol=1e-9, rtol=0)
        if step < given:
            ids = torch.tensor([text[len(text) - given + step] for text in texts])
            logits = network.step(ids, cache)


def test_selected_rows_of_the_cache_go_on_alone(bloom):
    network = bloom()
    _, cache = network.prefill([[5, 6, 7], [8, 9]], room=3)
    chosen = cache.select(torch.tensor([1, 1, 0]))
    logits = network.step(torch.tensor([3, 4, 5]), chosen)
    for row, text in enumerate(([8, 9, 3], [8, 9, 4], [5, 6, 7, 5])):
        alone = network(torch.tensor([text]))[0, -1]
        torch.testing.assert_close(logits[row], alone, atol=1e-5, rtol=0)
    assert cache.length == 3, "the cache that was selected from is left as it was"


@pytest.mark.parametrize("side", ["left", "right"])
def test_hidden_of_a_padded_batch(bloom, side):
    network = bloom()
    long, short = [4, 5, 6, 7, 8], [9, 10]
    blank = [0] * 3
    padded = blank + short if side == "left" else short + blank
    mask = torch.tensor([[1] * 5, [0, 0, 0, 1, 1] if side == "left" else [1, 1, 0, 0, 0]])
    hidden = network.hidden(torch.tensor([long, padded]), mask)
    real = hidden[1, 3:] if side == "left" else hidden[1, :2]
    torch.testing.assert_close(real, network.hidden(torch.tensor([short]))[0], atol=1e-5, rtol=0)
    assert hidden.isfinite().all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_stays_finite_and_near(bloom, dtype):
    network = bloom()
    logits, _ = network.prefill([list(range(3, 40)), [1, 2]], room=1)
    half, _ = network.to(dtype).prefill([list(range(3, 40)), [1, 2]], room=1)
    assert half.dtype == dtype
    assert (half.float() - logits).abs().max() < 0.1 * logits.abs().max()


def test_gradients_equal_transformers(bloom, reference_class):
    network = bloom().requires_grad_(True)
    model = reference(reference_class, network)
    ids = torch.tensor([[3, 4, 5, 6]])
    network(ids).square().mean().backward()
    model(ids).logits.square().mean().backward()
    for name, parameter in model.named_parameters():
        mine = network.get_parameter(network.config.names.ours(name))
        torch.testing.assert_close(mine.grad, parameter.grad, msg=name)


def test_from_tensors_shares_storage_and_parameters(bloom):
    source = bloom().requires_grad_(True)
    shared = Transformer.from_tensors(source.config, source.tensors())
    assert all(shared.get_parameter(n) is p for n, p in source.named_parameters())
    bare = [(n.removeprefix("transformer."), p.data) for n, p in source.tensors()]
    plain = Transformer.from_tensors(source.config, bare)
    assert plain.norm.weight.data_ptr() == source.norm.weight.data_ptr()
    assert not plain.norm.weight.requires_grad


def test_tensors_that_do_not_fit_are_refused(bloom):
    network = bloom()
    tensors = {n.removeprefix("transformer."): t for n, t in network.tensors()}
    with pytest.raises(ModelError, match=r"'transformer\.ln_f\.bias' and 0 more are missing"):
        rest = [(n, t) for n, t in tensors.items() if n != "ln_f.bias"]
        Transformer.from_tensors(network.config, rest)
    with pytest.raises(ModelError, match=r"'h\.7\.odd' is not of"):
        Transformer.from_tensors(network.config, [*tensors.items(), ("h.7.odd", torch.zeros(1))])
    with pytest.raises(ModelError, match=r"'ln_f\.bias' has shape \(3,\)"):
        Transformer.from_tensors(network.config, {**tensors, "ln_f.bias": torch.zeros(3)}.items())


def test_slopes_of_the_published_head_counts():
    assert alibi_slopes(16)[0] == pytest.approx(2**-0.5)
    assert alibi_slopes(16)[-1] == pytest.approx(2**-8)
    assert alibi_slopes(3) == pytest.approx([2**-4, 2**-8, 2**-2])


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"model_type": "mamba"}, "model_type is 'mamba'"),
        ({"tie_word_embeddings": False}, "unties"),
        ({"n_head": 5}, "cannot be shared"),
        ({"n_layer": 0}, "n_layer as 0"),
        ({"vocab_size": "many"}, "vocab_size as 'many'"),
    ],
)
def test_config_errors_say_what_is_wrong(change, says):
    good = {"model_type": "bloom", "vocab_size": 97, "n_embed": 16, "n_layer": 2, "n_head": 2}
    assert families.from_hf(good) == bloom_of(97, 16, 2, 2)
    with pytest.raises(ModelError, match=says):
        families.from_hf({**good, **change})
