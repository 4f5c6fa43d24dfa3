"""numba_*.py: products and steps by numba against PyTorch's, row by row."""

import threading

import pytest
import torch

pytest.importorskip("numba")

from bp_core.decode.cpu import fbgemm
from bp_core.decode.cpu.engine import KINDS
from bp_core.decode.cpu.fbgemm import FbgemmNetwork
from bp_core.decode.cpu.numba_layers import TiledLinear
from bp_core.decode.cpu.numba_network import NumbaNetwork
from bp_core.decode.cpu.rounding import Nibbles, Rounded
from bp_core.decode.generate import generate
from bp_core.decode.sampling import SamplingParams

PROMPTS = [[5, 6, 7, 8, 9], [10, 11], [12, 13, 14]]


@pytest.fixture
def threads():
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


def layer(kind, outputs, inputs, with_bias=True):
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(outputs, inputs, generator=generator)
    bias = torch.randn(outputs, generator=generator) if with_bias else None
    if kind == "float16":
        weight = weight.half()
        return TiledLinear(weight, None, bias), weight.float(), bias
    rounded = Rounded.of(weight)
    tiled = TiledLinear(rounded.levels, rounded.scales, bias)
    return tiled, rounded.levels * rounded.scales[:, None], bias


def rows(count, inputs):
    x = torch.randn(count, inputs, generator=torch.Generator().manual_seed(1))
    return x * torch.logspace(-3, 3, count)[:, None]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("outputs", "inputs"), [(48, 96), (37, 45), (1, 1), (4, 4096 + 32), (8, 3 * 4096)]
)
@pytest.mark.parametrize("count", [1, 4, 7, 50])
def test_products_are_pytorchs(kind, outputs, inputs, count):
    tiled, weight, bias = layer(kind, outputs, inputs)
    x = rows(count, inputs)
    expected = torch.nn.functional.linear(x.double(), weight.double(), bias.double())
    # A row's error is to its own size, and what integers of 16 bits can lose.
    error = {"float16": 3e-6, "int8": 5e-5}[kind]
    scale = (x.norm(dim=1) * weight.norm(dim=1).max() + 1)[:, None]
    assert ((tiled(x) - expected).abs() / scale).max() < error


@pytest.mark.parametrize("sign", [1, -1])
def test_the_largest_integers_fit_their_sums(sign):
    levels = torch.full((4, 3 * 4096), 127, dtype=torch.int8)
    found = TiledLinear(levels, torch.ones(4), None)(torch.full((2, 3 * 4096), float(sign)))
    torch.testing.assert_close(found, torch.full((2, 4), sign * 127.0 * 3 * 4096))


@pytest.mark.parametrize("kind", KINDS)
def test_shapes_and_no_bias(kind):
    tiled, weight, _ = layer(kind, 20, 32, with_bias=False)
    x = rows(6, 32).view(2, 3, 32)
    assert tiled(x).shape == (2, 3, 20)
    torch.testing.assert_close(tiled(x), x @ weight.T, rtol=0.01, atol=0.01)
    assert not tiled(x * 0).any()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("inputs", [96, 2080])
def test_rows_do_not_know_each_other(kind, inputs, threads):
    """Nor how many there are, nor how many threads."""
    tiled, _, _ = layer(kind, 200, inputs)
    x = rows(17, inputs)
    threads(1)
    together = tiled(x)
    for count in range(1, 17):
        assert torch.equal(tiled(x[17 - count :]), together[17 - count :])
    threads(4)
    assert torch.equal(tiled(x), together)


@pytest.mark.parametrize("outputs", [48, 37])
def test_weights_in_4_bits_become_the_same_tiles(outputs):
    generator = torch.Generator().manual_seed(0)
    nibbles = torch.randint(0, 256, (outputs, 48), generator=generator, dtype=torch.uint8)
    steps, least = torch.rand(2, outputs, 3, generator=generator).unbind()
    weight = Nibbles.of(nibbles, steps + 0.1, -8 * least)
    tiled = TiledLinear(weight, weight.scales, None)
    assert torch.equal(tiled.tiles, TiledLinear(weight.levels, weight.scales, None).tiles)
    every = torch.arange(outputs)
    assert torch.equal(tiled.rows(every), weight.levels * weight.scales[:, None])


@pytest.mark.parametrize("kind", KINDS)
def test_weights_lie_in_one_piece_in_the_order_of_their_use(family, kind):
    network = NumbaNetwork(family(), kind).model
    tiles = [network.head.tiles]
    for block in network.blocks:
        parts = block.attention.qkv, block.attention.out
        tiles += [part.tiles for part in (*parts, block.feed_forward.up, block.feed_forward.down)]
    ends = [each.data_ptr() + each.nbytes for each in tiles]
    assert [each.data_ptr() for each in tiles[1:]] == ends[:-1]
    assert tiles[0].untyped_storage().nbytes() == sum(each.nbytes for each in tiles)


@pytest.mark.parametrize("kind", KINDS)
def test_a_compiled_network_is_near_the_plain_one(bloom, kind, threads):
    """Prompts of several lengths, so with padding; one thread and four."""
    plain, packed = bloom(6, 16), NumbaNetwork(bloom(6, 16), kind)
    assert packed.layers is not None
    for count in (1, 4):
        threads(count)
        with torch.inference_mode():
            found = []
            for network in (plain, packed):
                first, cache = network.prefill(PROMPTS, room=3)
                steps = [network.step(torch.tensor([i, 7, 8]), cache) for i in (4, 5, 6)]
                found.append(torch.stack([first, *steps]))
        off = (found[0] - found[1]).norm() / found[0].norm()
        assert off < {"float16": 1e-3, "int8": 0.05}[kind]


def test_greedy_text_of_half_precision_weights_is_unchanged(bloom):
    params = SamplingParams(temperature=0, max_new_tokens=40)
    plain = generate(bloom(6, 16).half().float(), PROMPTS, eos=3, n=1, params=params)
    packed = NumbaNetwork(bloom(6, 16).half(), "float16")
    found = generate(packed, PROMPTS, eos=3, n=1, params=params)
    assert [one.tokens for [one] in found] == [one.tokens for [one] in plain]


@pytest.mark.parametrize(
    ("options", "settings"),
    [
        ({}, {}),
        ({}, {"temperature": 0}),
        ({}, {"temperature": 0, "repetition_penalty": 1.0}),
        ({}, {"top_k": 3, "temperature": 0.7}),
        ({}, {"top_p": 0.3, "repetition_penalty": 1.5}),
        ({}, {"min_new_tokens": 12}),
        ({"blocked": [(7,), (8,), (9, 10), (11, 12, 13), (5, 14)]}, {"top_k": 12}),
        ({"blocked": [(7,)]}, {"penalise_prompt": False}),
        ({"wanted": [[[20, 21], [22]], [[30]], [[31, 32, 33], [34]]]}, {"recall": 4.0}),
        ({}, {"top_k": 0}),
        ({}, {"top_k": 300, "top_p": 1.0}),
        ({}, {"top_k": 2000}),
    ],
)
def test_tokens_are_chosen_as_by_the_sampler(bloom, threads, options, settings):
    """Rows end at different steps, which the compiled loop leaves out at once."""
    threads(2)
    network = NumbaNetwork(bloom(6, 16), "float16")
    params = SamplingParams(**{"max_new_tokens": 30, "top_k": 50, **settings})
    seen = [[], []]
    found = []
    for heard in seen:
        found.append(
            generate(network, PROMPTS, eos=3, n=8, seed=3, params=params, **options,
                     on_token=lambda step, ids, heard=heard: heard.append((step, ids.tolist())))
        )  # fmt: skip
        network.loop = None
    ends = {len(one.tokens) for each in found[1] for one in each}
    assert settings.get("temperature") == 0 or len(ends) > 1
    for one, other in zip(*([one for each in texts for one in each] for texts in found)):
        assert (one.tokens, one.finished) == (other.tokens, other.finished)
        assert one.logprobs == pytest.approx(other.logprobs, abs=1e-4)
    assert seen[0] == seen[1]


def test_the_kernels_look_ahead_as_far_as_recall():
    """A number of their own: what numba keeps is renewed when their file changes, and no other."""
    from bp_core.decode import recall
    from bp_core.decode.cpu import numba_kernels as kernels

    assert kernels._AHEAD == recall.AHEAD


def test_a_cancelled_decoding_leaves_the_next_as_it_is(bloom):
    network = NumbaNetwork(bloom(6, 16), "float16")
    expected = generate(network, PROMPTS, eos=3, seed=7)

    def stop(step, ids):
        if step == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        generate(network, PROMPTS, eos=3, seed=7, on_token=stop)
    assert generate(network, PROMPTS, eos=3, seed=7) == expected


@pytest.mark.parametrize("kind", KINDS)
def test_seeds_hold(bloom, kind):
    network = NumbaNetwork(bloom(6, 16), kind)
    many = generate(network, PROMPTS, eos=3, n=8, seed=7)
    few = generate(network, PROMPTS[1:2], eos=3, n=4, seed=7)
    assert [one.tokens for one in few[0]] == [one.tokens for one in many[1][:4]]


def test_a_network_of_another_shape_is_packed_and_not_compiled(bloom):
    network = NumbaNetwork(bloom(5, 16), "int8")
    assert network.layers is None
    ids = torch.tensor([[5, 6, 7]])
    assert (network.model(ids) - bloom(5, 16)(ids)).norm() < 0.05 * bloom(5, 16)(ids).norm()


def test_several_callers_at_once(bloom, threads):
    threads(3)
    network = NumbaNetwork(bloom(6, 16), "int8")
    expected = generate(network, PROMPTS, eos=3, n=4, seed=7)
    found = []
    callers = [
        threading.Thread(
            target=lambda: found.append(generate(network, PROMPTS, eos=3, n=4, seed=7))
        )
        for _ in range(4)
    ]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert found == [expected] * 4


FAMILIES = {
    "llama": ("llama", {}),
    "one key": ("llama", {"num_key_value_heads": 1, "attention_bias": True, "mlp_bias": True}),
    "qwen3": ("qwen3", {"head_dim": 32, "num_attention_heads": 4}),
    "smollm3": ("smollm3", {"num_hidden_layers": 4}),
    "gpt2": ("gpt2", {}),
}


@pytest.fixture(params=FAMILIES)
def family(request, networks):
    """Makes the same network again and again."""
    kind, changes = FAMILIES[request.param]
    return lambda: networks(kind, **changes)


@pytest.mark.parametrize("engine", [NumbaNetwork, FbgemmNetwork])
@pytest.mark.parametrize("kind", KINDS)
def test_every_network_is_near_the_plain_one(family, kind, engine, threads):
    """Prompts of several lengths: places are counted from behind the padding."""
    if engine is FbgemmNetwork and not fbgemm.has(kind):
        pytest.skip("FBGEMM is for x86")
    plain, packed = family(), engine(family(), kind)
    packed.traced_after = 2
    assert engine is FbgemmNetwork or packed.layers is not None
    for count in (1, 3):
        threads(count)
        logits = []
        with torch.inference_mode():
            for network in (plain, packed):
                first, cache = network.prefill(PROMPTS, room=3)
                steps = [network.step(torch.tensor([i, 7, 8]), cache) for i in (4, 5, 6)]
                logits.append(torch.stack([first, *steps]))
        off = (logits[0] - logits[1]).norm() / logits[0].norm()
        assert off < {"float16": 2e-3, "int8": 0.06}[kind]


def test_every_network_chooses_tokens_as_the_sampler_does(family):
    network = NumbaNetwork(family(), "int8")
    many = generate(network, PROMPTS, eos=3, n=6, seed=7)
    few = generate(network, PROMPTS[1:2], eos=3, n=2, seed=7)
    assert [one.tokens for one in few[0]] == [one.tokens for one in many[1][:2]]
    network.loop = None
    for some, others in zip(generate(network, PROMPTS, eos=3, n=6, seed=7), many):
        assert [one.tokens for one in some] == [one.tokens for one in others]


@pytest.mark.parametrize("engine", [NumbaNetwork, FbgemmNetwork])
@pytest.mark.parametrize("kind", KINDS)
def test_a_candidate_does_not_depend_on_how_many_there_are(family, kind, engine):
    if engine is FbgemmNetwork and not fbgemm.has(kind):
        pytest.skip("FBGEMM is for x86")
    network = engine(family(), kind)
    params = SamplingParams(max_new_tokens=16)
    [many] = generate(network, PROMPTS[1:2], eos=3, n=9, seed=7, params=params)
    for n in (1, 3, 5, 8):
        [few] = generate(network, PROMPTS[1:2], eos=3, n=n, seed=7, params=params)
        assert [one.tokens for one in few] == [one.tokens for one in many[:n]]


@pytest.mark.parametrize("kind", KINDS)
def test_a_row_does_not_know_its_padding(family, kind):
    """To the bit: 8-bit products would make a difference of the last place a large one."""
    network = NumbaNetwork(family(), kind)
    with torch.inference_mode():
        several, cache = network.prefill(PROMPTS, room=9)
        alone, own = network.prefill(PROMPTS[1:2], room=9)
        for token in range(9):
            assert torch.equal(several[1], alone[0])
            several = network.step(torch.tensor([token, token + 20, 5]), cache)
            alone = network.step(torch.tensor([token + 20]), own)


@pytest.mark.parametrize("kind", KINDS)
def test_embeddings_come_out_of_the_tied_head(bloom, kind):
    network = NumbaNetwork(bloom(6, 16), kind)
    ids = torch.tensor([[3, 96], [0, 5]])
    plain = bloom(6, 16).embedding(ids)
    found = network.model.embedding(ids)
    assert found.shape == plain.shape and found.dtype == torch.float32
    assert (found - plain).abs().max() < {"float16": 1e-3, "int8": 6e-3}[kind]
