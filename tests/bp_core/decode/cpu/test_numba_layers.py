"""compiled.py and kernels.py: products and steps by numba against PyTorch's, row by row."""

import gc
import subprocess
import sys
import threading
import weakref
from pathlib import Path

import pytest
import torch

pytest.importorskip("numba")

from bp_core.decode.cpu import fbgemm as quant
from bp_core.decode.cpu import numba_layers as compiled
from bp_core.decode.cpu import self_check as trial
from bp_core.decode.cpu.numba_layers import CompiledAdvance, CompiledDecoder, TiledLinear
from bp_core.decode.generate import generate
from bp_core.decode.sampling import SamplingParams
from bp_core.errors import ModelError

PROMPTS = [[5, 6, 7, 8, 9], [10, 11], [12, 13, 14]]


@pytest.fixture
def threads():
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


@pytest.fixture
def fresh(tmp_path, monkeypatch):
    """Nothing is known of this machine's numba: `trial.compiles` finds out again."""
    from bp_core.decode.cpu import numba_kernels as kernels

    monkeypatch.setattr(kernels, "note", lambda kind: tmp_path / kind)
    trial.compiles.cache_clear()
    yield tmp_path
    trial.compiles.cache_clear()


@pytest.fixture
def broken(fresh, monkeypatch):
    """A numba that is installed and cannot be used, as where numpy is too new for it."""

    def fail(kind):
        raise ImportError("Numba needs NumPy 2.2 or less. Got 2.9")

    monkeypatch.setattr(trial, "_check_elsewhere", fail)


def layer(kind, outputs, inputs, with_bias=True):
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(outputs, inputs, generator=generator)
    bias = torch.randn(outputs, generator=generator) if with_bias else None
    if kind == "float16":
        weight = weight.half()
        return TiledLinear(weight, None, bias), weight.float(), bias
    rounded = quant.Rounded.of(weight)
    tiled = TiledLinear(rounded.levels, rounded.scales, bias)
    return tiled, rounded.levels * rounded.scales[:, None], bias


def rows(count, inputs):
    x = torch.randn(count, inputs, generator=torch.Generator().manual_seed(1))
    return x * torch.logspace(-3, 3, count)[:, None]


@pytest.mark.parametrize("kind", quant.KINDS)
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


@pytest.mark.parametrize("kind", quant.KINDS)
def test_shapes_and_no_bias(kind):
    tiled, weight, _ = layer(kind, 20, 32, with_bias=False)
    x = rows(6, 32).view(2, 3, 32)
    assert tiled(x).shape == (2, 3, 20)
    torch.testing.assert_close(tiled(x), x @ weight.T, rtol=0.01, atol=0.01)
    assert not tiled(x * 0).any()


@pytest.mark.parametrize("kind", quant.KINDS)
def test_rows_do_not_know_each_other(kind, threads):
    """Nor how many threads there are."""
    tiled, _, _ = layer(kind, 200, 96)
    x = rows(11, 96)
    threads(1)
    together = tiled(x)
    assert all(torch.equal(tiled(x[i : i + 1])[0], together[i]) for i in range(11))
    threads(4)
    assert torch.equal(tiled(x), together)


@pytest.mark.parametrize("kind", quant.KINDS)
def test_a_compiled_network_is_near_the_plain_one(bloom, kind, threads):
    """Prompts of several lengths, so with padding; one thread and four."""
    plain, packed = bloom(6, 16), quant.pack(bloom(6, 16), kind, engine="numba")
    assert isinstance(packed.fast_advance, CompiledAdvance)
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
    packed = quant.pack(bloom(6, 16).half(), "float16", engine="numba")
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
    network = quant.pack(bloom(6, 16), "float16", engine="numba")
    params = SamplingParams(**{"max_new_tokens": 30, "top_k": 50, **settings})
    seen = [[], []]
    found = []
    for heard in seen:
        found.append(
            generate(network, PROMPTS, eos=3, n=8, seed=3, params=params, **options,
                     on_token=lambda step, ids, heard=heard: heard.append((step, ids.tolist())))
        )  # fmt: skip
        network.decoder = None
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
    network = quant.pack(bloom(6, 16), "float16", engine="numba")
    expected = generate(network, PROMPTS, eos=3, seed=7)

    def stop(step, ids):
        if step == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        generate(network, PROMPTS, eos=3, seed=7, on_token=stop)
    assert generate(network, PROMPTS, eos=3, seed=7) == expected


@pytest.mark.parametrize("kind", quant.KINDS)
def test_seeds_hold(bloom, kind):
    network = quant.pack(bloom(6, 16), kind, engine="numba")
    many = generate(network, PROMPTS, eos=3, n=8, seed=7)
    few = generate(network, PROMPTS[1:2], eos=3, n=4, seed=7)
    assert [one.tokens for one in few[0]] == [one.tokens for one in many[1][:4]]


def test_a_network_of_another_shape_is_packed_and_not_compiled(bloom):
    network = quant.pack(bloom(5, 16), "int8", engine="numba")
    assert network.fast_advance is None
    ids = torch.tensor([[5, 6, 7]])
    assert (network(ids) - bloom(5, 16)(ids)).norm() < 0.05 * bloom(5, 16)(ids).norm()


def test_several_callers_at_once(bloom, threads):
    threads(3)
    network = quant.pack(bloom(6, 16), "int8", engine="numba")
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


def test_a_network_in_steady_use_is_compiled_and_writes_the_same(bloom):
    network = quant.pack(bloom(6, 16), "float16")
    late = network.fast_advance
    late.traced_after, late.compiled_after = 10, 20
    params = SamplingParams(temperature=0, max_new_tokens=40)
    first = generate(network, PROMPTS, eos=3, n=1, params=params)
    late.compiling.join(timeout=120)
    assert isinstance(network.decoder, CompiledDecoder)
    second = generate(network, PROMPTS, eos=3, n=1, params=params)
    assert [one.tokens for [one] in first] == [one.tokens for [one] in second]


def test_a_compiled_network_ends_with_its_last_user(bloom):
    """Without waiting for a collection of cycles: it may hold a gigabyte."""
    network = quant.pack(bloom(6, 16), "int8", engine="numba")
    gc.disable()
    try:
        generate(network, PROMPTS, eos=3)
        ended = weakref.ref(network.head)
        del network
        assert ended() is None
    finally:
        gc.enable()


def test_the_best_engine(bloom, monkeypatch):
    """Small networks begin with what needs no compiling; large ones are compiled at once."""
    assert isinstance(quant.pack(bloom(6, 16), "float16").head, quant.HalfLinear)
    monkeypatch.setattr(quant, "_WORTH_8_BITS", 1)
    assert isinstance(quant.pack(bloom(6, 16), "int8").head, TiledLinear)
    monkeypatch.setattr(quant, "_can", lambda operation: False)
    assert quant.best_kind(6_000_000) == "int8"
    monkeypatch.setattr(quant, "_WORTH_8_BITS", 10**9)
    assert isinstance(quant.pack(bloom(6, 16), "float16").head, TiledLinear)
    with pytest.raises(ModelError, match="no FBGEMM"):
        quant.pack(bloom(6, 16), "float16", engine="fbgemm")


def test_a_numba_that_does_not_work_is_passed_over(bloom, broken, monkeypatch, caplog):
    monkeypatch.setattr(quant, "_WORTH_8_BITS", 1)
    assert isinstance(quant.pack(bloom(6, 16), "int8").head, quant.Int8Linear)
    assert caplog.messages == [
        "numba is not used for decoding: Numba needs NumPy 2.2 or less. Got 2.9"
    ]
    with pytest.raises(ModelError, match="use dtype float32, or install numba"):
        quant.pack(bloom(6, 16), "int8", engine="numba")


def test_a_network_in_steady_use_survives_such_a_numba(bloom, broken):
    network = quant.pack(bloom(6, 16), "float16")
    late = network.fast_advance
    late.compiled_after = 5
    before = generate(network, PROMPTS, eos=3, seed=7)
    late.compiling.join(timeout=120)
    assert generate(network, PROMPTS, eos=3, seed=7) == before


def test_what_compiles_is_found_out_in_another_process(fresh):
    assert trial.compiles("int8")
    assert (fresh / "int8").read_text() == ""


def test_a_host_that_calls_the_package_otherwise_reads_what_was_compiled():
    """As ComfyUI does, after the pack's folder. numba notes the module's name."""
    assert trial.compiles("float16")
    code = """
import importlib.util, sys, types
sys.modules["bp_core"] = None
name, folder = "/custom_nodes/pack.bp_core", sys.argv[1]
sys.modules["/custom_nodes/pack"] = types.ModuleType("pack")
spec = importlib.util.spec_from_file_location(
    name, folder + "/__init__.py", submodule_search_locations=[folder]
)
sys.modules[name] = package = importlib.util.module_from_spec(spec)
spec.loader.exec_module(package)
importlib.import_module(name + ".decode.cpu.self_check").check("float16")
"""
    folder = str(Path(trial.__file__).parents[2])
    subprocess.run([sys.executable, "-c", code, folder], check=True)


def test_a_compiler_that_ends_its_process_does_not_end_ours(fresh, monkeypatch, caplog):
    """LLVM does so; no other attempt is made until something changes."""
    monkeypatch.setattr(trial.sys, "executable", "false")
    assert not trial.compiles("int8")
    monkeypatch.undo()
    trial.compiles.cache_clear()
    monkeypatch.setattr("bp_core.decode.cpu.numba_kernels.note", lambda kind: fresh / kind)
    monkeypatch.setattr(trial, "_check_elsewhere", lambda kind: 1 / 0)
    assert not trial.compiles("int8")
    assert caplog.text.count("compiling ended with status 1") == 2


def test_results_that_are_wrong_are_found(monkeypatch):
    monkeypatch.setattr(CompiledAdvance, "__call__", lambda self, *args: torch.ones(2, 96))
    with pytest.raises(ArithmeticError, match="off by"):
        trial.check("int8")


def test_without_numba(bloom, monkeypatch):
    monkeypatch.setattr(compiled, "installed", lambda: False)
    trial.compiles.cache_clear()
    monkeypatch.setattr(quant, "_WORTH_8_BITS", 1)
    assert isinstance(quant.pack(bloom(6, 16), "int8").head, quant.Int8Linear)
    with pytest.raises(ModelError, match=r"beautifulprompt\[fast\]"):
        quant.pack(bloom(6, 16), "int8", engine="numba")
    trial.compiles.cache_clear()
