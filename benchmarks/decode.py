"""Time our decoding beside every peer that is installed: same weights, tokens and sampling.

    python benchmarks/decode.py                       # the bundled starter
    python benchmarks/decode.py --model 1b1           # the published models' shape, random weights
    python benchmarks/decode.py --model 1b1 --dtype bfloat16 --device cuda

Runs are interleaved, so that a busy moment of the machine falls on all alike; medians are shown.
On a machine that never rests, `--clock cpu --threads 1` counts processor time instead.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch

import benchmarks  # noqa: F401  # the root on sys.path
from bp_core.decode.bloom import Bloom, BloomConfig
from bp_core.decode.cpu import fbgemm as quant
from bp_core.decode.cuda import nvrtc
from bp_core.decode.cuda.decoder import GraphDecoder
from bp_core.decode.generate import generate
from bp_core.decode.sampling import SamplingParams
from bp_core.models.load import STARTER, load_bloom

SHAPES = {
    "1b1": BloomConfig(vocab_size=250880, hidden_size=1536, n_layer=24, n_head=16),
    # A twelfth of the same, layers and vocabulary, for machines on which the whole takes too long.
    "1b1-twelfth": BloomConfig(vocab_size=20907, hidden_size=1536, n_layer=2, n_head=16),
    "tiny": BloomConfig(vocab_size=512, hidden_size=64, n_layer=2, n_head=2),
}
CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}
NO_END = -1  # an end token that nobody writes: all runs are of one length


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--model", default="starter", help=f"starter, {', '.join(SHAPES)} or a folder"
    )
    parser.add_argument("--n", type=int, nargs="+", default=[1, 4, 8, 32], help="candidates")
    parser.add_argument("--new", type=int, default=40, help="new tokens")
    parser.add_argument("--prompt", type=int, default=16, help="prompt tokens")
    parser.add_argument("--runs", type=int, default=9, help="timed runs of each")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--dtype", default="float32", help="of the weights peers start from")
    parser.add_argument("--device", default="cpu")
    parser.add_argument(
        "--ours", nargs="+",
        help="our kinds: plain, float16, int8 by FBGEMM, float16-numba, int8-numba; "
        "float16-untraced shows what tracing brings, int8-trimmed what an output head of fewer "
        "tokens does. On a CUDA GPU: plain, graph-torch (captured), graph (by our kernels, too)",
    )  # fmt: skip
    parser.add_argument(
        "--no_static", action="store_true", help="leave out transformers with a static cache"
    )
    parser.add_argument("--kept", type=float, default=0.5, help="share of tokens in a trimmed head")
    parser.add_argument("--clock", choices=CLOCKS, default="wall")
    parser.add_argument("--only", default="", help="peers whose name holds this; 'none' for none")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    params = SamplingParams(max_new_tokens=args.new)
    if args.device == "cpu":
        kinds = ["plain", *quant.KINDS, *(f"{k}-numba" for k in quant.KINDS)]
    else:
        kinds = ["plain", "graph-torch", "graph"]

    weights, config = read_weights(args.model, getattr(torch, args.dtype), args.device)
    sizes = {}
    decoders: dict[str, Callable[[list[int], int, int], None]] = {}
    for kind in args.ours or kinds:
        network = Bloom.from_tensors(config, weights.items())
        weight, _, variant = kind.partition("-")
        if weight == "graph":
            network.decoder = GraphDecoder(alone=True, own_kernels=variant != "torch")
            name = f"ours {args.dtype}, {kind}"
            decoders[name] = our_decoder(network, params)
            sizes[name] = bytes_per_token(config, config.vocab_size, weight, args.dtype)
            continue
        head = config.vocab_size
        kept = None
        if "trimmed" in variant and weight != "plain":
            head = int(head * args.kept)
            kept = torch.linspace(0, config.vocab_size - 1, head, dtype=torch.float64).long()
        if weight != "plain":
            engine = "numba" if "numba" in variant else "fbgemm"
            network = quant.pack(network, weight, kept, engine=engine)
        if variant == "untraced":
            network.fast_advance = None
        name = f"ours {args.dtype if weight == 'plain' else kind}"
        decoders[name] = our_decoder(network, params)
        sizes[name] = bytes_per_token(config, head, weight, args.dtype)
    if args.only != "none":
        from benchmarks.peers import peers

        network = Bloom.from_tensors(config, weights.items())
        found = peers(weights, network, params, args.threads, not args.no_static)
        decoders |= {name: decode for name, decode in found if args.only in name}

    bandwidth = read_bandwidth(args.device)
    if args.device == "cpu":
        machine = f"{platform.processor() or platform.machine()}, {args.threads} threads"
        machine += f", {torch.backends.cpu.get_cpu_capability()}"
    else:
        machine = torch.cuda.get_device_name(args.device)
    print(f"{machine}, torch {torch.__version__}")
    print(f"{args.model}: {args.prompt} prompt tokens, {args.new} new; "
          f"read bandwidth {bandwidth / 1e9:.1f} GB/s; {args.clock} time")  # fmt: skip
    print("\n| n | decoder | ms a step | beside ours | share of bandwidth |\n|---|---|---|---|---|")
    prompt = [int(i) for i in torch.arange(args.prompt) % (config.vocab_size - 3) + 3]
    for n in args.n:
        times = interleaved(decoders, prompt, n, args.new, args.runs, CLOCKS[args.clock])
        ours = min(time for name, time in times.items() if name.startswith("ours"))
        for name, seconds in times.items():
            share = f"{sizes[name] / seconds / bandwidth:.0%}" if name in sizes else ""
            print(f"| {n} | {name} | {seconds * 1e3:.2f} | {seconds / ours:.2f} × | {share} |")
    if args.device != "cpu" and not args.ours:
        network = Bloom.from_tensors(config, weights.items())
        for name, decoder in (("plain", None), ("graph", GraphDecoder(alone=True))):
            network.decoder = decoder
            nvrtc.compiled.cache_clear()
            nvrtc.kernels.cache_clear()
            seconds, memory = first_call(our_decoder(network, params), prompt, args.n[0], args.new)
            print(f"first call, {name}: {seconds:.2f} s, {memory / 2**20:.0f} MiB beyond weights")


def first_call(decode, prompt: list[int], n: int, new: int) -> tuple[float, int]:
    """Seconds of one call, and the most bytes that it held on the GPU at once."""
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before, start = torch.cuda.memory_allocated(), time.perf_counter()
    decode(prompt, n, new)
    torch.cuda.synchronize()
    return time.perf_counter() - start, torch.cuda.max_memory_allocated() - before


def read_weights(
    model: str, dtype: torch.dtype, device: str = "cpu"
) -> tuple[dict[str, torch.Tensor], BloomConfig]:
    """A checkpoint as {name: tensor}: a folder's, or random ones of a shape."""
    if model not in SHAPES:
        folder = STARTER if model == "starter" else Path(model)
        network, _ = load_bloom(folder, device, dtype)
        return dict(network.state_dict()), network.config
    config = SHAPES[model]
    with torch.device("meta"):
        shapes = {name: p.shape for name, p in Bloom(config).named_parameters()}
    generator = torch.Generator(device).manual_seed(0)
    weights = {}
    for name, shape in shapes.items():
        tensor = torch.empty(shape, dtype=dtype, device=device)
        tensor.normal_(0, 0.02, generator=generator)
        weights[name] = tensor + 1 if len(shape) == 1 and name.endswith("weight") else tensor
    return weights, config


def our_decoder(network: Bloom, params: SamplingParams) -> Callable[[list[int], int, int], None]:
    if isinstance(network.fast_advance, quant.LateAdvance):
        network.fast_advance.traced_after = 1  # what a network that has run for a while does

    def decode(prompt: list[int], n: int, new: int) -> None:
        generate(network, [prompt], eos=NO_END, n=n, params=params)

    return decode


def bytes_per_token(config: BloomConfig, head: int, weight: str, dtype: str) -> float:
    """Weights read for one step: all layers, and a head of so many tokens."""
    size = {"int8": 1, "float16": 2}.get(weight, getattr(torch, dtype).itemsize)
    return (12 * config.n_layer * config.hidden_size + head) * config.hidden_size * size


def read_bandwidth(device: str = "cpu") -> float:
    """Bytes a second of the best of several sums over much memory."""
    size = 2**29 if device == "cpu" else 2**32
    data = torch.ones(size // 4, device=device)
    best = float("inf")
    for _ in range(7):
        start = time.perf_counter()
        data.sum().item()
        best = min(best, time.perf_counter() - start)
    return size / best


def interleaved(
    decoders: dict, prompt: list[int], n: int, new: int, runs: int, clock: Callable[[], float]
) -> dict[str, float]:
    """Median seconds a step of each decoder, prompt included."""
    times: dict[str, list[float]] = {name: [] for name in decoders}
    for run in range(runs + 1):  # the first one warms up
        for name, decode in decoders.items():
            start = clock()
            decode(prompt, n, new)
            if run:
                times[name].append((clock() - start) / new)
    return {name: statistics.median(each) for name, each in times.items()}


if __name__ == "__main__":
    main()
