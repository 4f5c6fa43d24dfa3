"""Time our decoding beside every peer that is installed: same weights, tokens and sampling.

    python benchmarks/decode.py                       # the bundled starter
    python benchmarks/decode.py --model FOLDER        # or a .gguf file, or a folder of one
    python benchmarks/decode.py --model 1b1 --dtype bfloat16      # the published models' shape
    python benchmarks/decode.py --model 1b1 --dtype bfloat16 --device cuda
    python benchmarks/decode.py --model FOLDER --memory           # peak memory, a process each

Runs are interleaved, so that a busy moment of the machine falls on all alike; medians are shown.
"Prompt" is a call that writes one token, "a step" what each further token takes, and the last
column but one all of it by token. On a machine that never rests, `--clock cpu --threads 1` counts
processor time instead.
"""

from __future__ import annotations

import argparse
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import torch

from bp_core.decode import families
from bp_core.decode.bloom import bloom
from bp_core.decode.config import Config
from bp_core.decode.cpu.engine import KINDS
from bp_core.decode.generate import Network, generate
from bp_core.decode.sampling import SamplingParams
from bp_core.decode.transformer import Transformer
from bp_core.models import load as models
from bp_core.models.folder import find
from bp_core.models.gguf_file import file_of

SHAPES = {
    "1b1": bloom(vocab_size=250880, hidden_size=1536, n_layer=24, n_head=16),
    # A twelfth of the same, layers and vocabulary, for machines on which the whole takes too long.
    "1b1-twelfth": bloom(vocab_size=20907, hidden_size=1536, n_layer=2, n_head=16),
    "tiny": bloom(vocab_size=512, hidden_size=64, n_layer=2, n_head=2),
}
CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}
LOADED, WITH_TEXT = "loaded", "loaded, with tokenizer and template"
WRITE = "write "
NO_END = -1  # an end token that nobody writes: all runs are of one length

Decode = Callable[[list[int], int, int], None]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--model", default="starter", help=f"a folder, a .gguf file, starter or {', '.join(SHAPES)}"
    )
    parser.add_argument("--n", type=int, nargs="+", default=[1, 4, 8, 32], help="candidates")
    parser.add_argument("--new", type=int, default=40, help="new tokens")
    parser.add_argument("--prompt", type=int, default=16, help="prompt tokens")
    parser.add_argument("--runs", type=int, default=9, help="timed runs of each")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--dtype", default="float32", help="of the weights that all start from")
    parser.add_argument("--device", default="cpu")
    parser.add_argument(
        "--ours", nargs="+", default=[],
        help="our kinds: plain, float16 and int8 by FBGEMM, float16-numba, int8-numba; on a CUDA "
        "GPU plain, graph-torch (captured), graph (by our kernels, too)",
    )  # fmt: skip
    parser.add_argument(
        "--no_static", action="store_true", help="leave out transformers with a static cache"
    )
    parser.add_argument("--clock", choices=CLOCKS, default="wall")
    parser.add_argument("--only", default="", help="peers whose name holds this; 'none' for none")
    parser.add_argument("--memory", action="store_true", help="peak memory instead of time")
    for of_memory in ("--one", "--folder"):  # of its processes
        parser.add_argument(of_memory, help=argparse.SUPPRESS)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    if args.one and args.one.startswith(WRITE):
        return WRITTEN[args.one.removeprefix(WRITE)](args.folder, *read(args))
    if args.one:
        return measure(args)
    if args.memory:
        return memory(args)
    network, _ = read(args)
    decoders = dict(everything(args))
    prompt = prompt_of(network, args.prompt)
    bandwidth = read_bandwidth(args.device)
    if args.device == "cpu":
        machine = f"{platform.processor() or platform.machine()}, {args.threads} threads"
        machine += f", {torch.backends.cpu.get_cpu_capability()}"
    else:
        machine = torch.cuda.get_device_name(args.device)
    print(f"{machine}, torch {torch.__version__}")
    print(f"{args.model}: {args.prompt} prompt tokens, {args.new} new; "
          f"read bandwidth {bandwidth / 1e9:.1f} GB/s; {args.clock} time")  # fmt: skip
    print("\n| n | decoder | prompt, ms | a step, ms | all, ms a token | beside ours | bandwidth |")
    print("|---|---|---|---|---|---|---|")
    for n in args.n:
        times = interleaved(decoders, prompt, n, args.new, args.runs, CLOCKS[args.clock])
        ours = min(all_ for name, (_, _, all_) in times.items() if name.startswith("ours"))
        for name, (first, step, all_) in times.items():
            share = ""
            if name.startswith("ours"):
                size = bytes_a_step(network.config, name, args.dtype)
                share = f"{size / step / bandwidth:.0%}"
            print(f"| {n} | {name} | {first * 1e3:.1f} | {step * 1e3:.2f} | {all_ * 1e3:.2f} | "
                  f"{all_ / ours:.2f} × | {share} |", flush=True)  # fmt: skip


def everything(args: argparse.Namespace) -> Iterator[tuple[str, Decode]]:
    """All decoders that were asked for and are installed, by name."""
    params = SamplingParams(max_new_tokens=args.new)
    if args.device == "cpu":
        kinds = args.ours or ["plain", *KINDS, *(f"{k}-numba" for k in KINDS)]
    else:
        kinds = args.ours or ["plain", "graph-torch", "graph"]
    for kind in kinds:
        name = f"ours {args.dtype if kind == 'plain' else kind}"
        yield name, our_decoder(engine(kind, read(args)[0]), params)
    if args.only == "none":
        return
    from benchmarks.peers import peers

    network, fields = read(args)
    path = None if args.model in SHAPES else file_of(find(args.model))
    for name, decode in peers(network, fields, params, args.threads, not args.no_static, path):
        if args.only in name:
            yield name, decode


def engine(kind: str, network: Transformer) -> Network:
    """One of our ways to run a network, which is used up."""
    weight, _, variant = kind.partition("-")
    if kind == "plain":
        return network
    if weight == "graph":
        from bp_core.decode.cuda.decoder import CudaNetwork

        return CudaNetwork(network, alone=True, own_kernels=variant != "torch")
    if variant == "numba":
        from bp_core.decode.cpu.numba_network import NumbaNetwork

        return NumbaNetwork(network, weight)
    from bp_core.decode.cpu.fbgemm import FbgemmNetwork

    fbgemm = FbgemmNetwork(network, weight)
    fbgemm.traced_after = 1  # what a network that has run for a while does
    return fbgemm


def our_decoder(network: Network, params: SamplingParams) -> Decode:
    def decode(prompt: list[int], n: int, new: int) -> None:
        few = SamplingParams(max_new_tokens=new) if new != params.max_new_tokens else params
        generate(network, [prompt], eos=NO_END, n=n, params=few)

    return decode


def read(args: argparse.Namespace) -> tuple[Transformer, dict]:
    """A plain network, and its config.json: a model's, or of a shape with random weights."""
    dtype = getattr(torch, args.dtype)
    if args.model not in SHAPES:
        folder = find(args.model)
        network, _ = models.load_network(folder, args.device, dtype)
        fields, _ = models.opened(folder)
        return network, fields
    config = SHAPES[args.model]
    weights = random_weights(config, dtype, args.device)
    return Transformer.from_tensors(config, weights), fields_of(config)


def fields_of(config: Config) -> dict:
    """config.json of a BLOOM."""
    return {
        "model_type": "bloom", "vocab_size": config.vocab_size, "n_layer": config.n_layer,
        "hidden_size": config.hidden_size, "n_head": config.n_head,
    }  # fmt: skip


def random_weights(
    config: Config, dtype: torch.dtype, device: str
) -> Iterator[tuple[str, torch.Tensor]]:
    """Of a shape, by their names in a checkpoint."""
    with torch.device("meta"):
        shapes = [(name, p.shape) for name, p in Transformer(config).tensors()]
    generator = torch.Generator(device).manual_seed(0)
    for name, shape in shapes:
        tensor = torch.empty(shape, dtype=dtype, device=device)
        tensor.normal_(0, 0.02, generator=generator)
        one = len(shape) == 1 and name.endswith("weight")
        yield name, tensor + 1 if one else tensor


def prompt_of(network: Network | Config, length: int) -> list[int]:
    return [i % (network.vocab_size - 3) + 3 for i in range(length)]


def bytes_a_step(config: Config, name: str, dtype: str) -> int:
    """Weights read for one step: all products, the head's among them."""
    kinds = {"int8": 1, "float16": 2}
    size = next((b for kind, b in kinds.items() if kind in name), getattr(torch, dtype).itemsize)
    return config.parameters * size


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
    decoders: dict[str, Decode],
    prompt: list[int],
    n: int,
    new: int,
    runs: int,
    clock: Callable[[], float],
) -> dict[str, tuple[float, float, float]]:
    """Median seconds of each decoder: a call for one token, each further one, all by token."""
    firsts: dict[str, list[float]] = {name: [] for name in decoders}
    wholes: dict[str, list[float]] = {name: [] for name in decoders}
    for run in range(runs + 1):  # the first one warms up
        for name, decode in decoders.items():
            for at, (tokens, times) in enumerate(((1, firsts), (new, wholes))):
                # Another prompt each time: ours would not read the same one again.
                another = [3 + 2 * run + at, *prompt[1:]]
                start = clock()
                decode(another, n, tokens)
                if run:
                    times[name].append(clock() - start)
    medians = {}
    for name in decoders:
        first, whole = statistics.median(firsts[name]), statistics.median(wholes[name])
        medians[name] = first, (whole - first) / max(1, new - 1), whole / new
    return medians


def memory(args: argparse.Namespace) -> None:
    """A table of each decoder's peak memory, beyond that of a process that imports torch."""
    print("| decoder | peak beyond PyTorch's own, MiB | 8-bit weights, MiB | times | loading, s |")
    print("|---|---|---|---|---|")
    names = [f"ours {kind}" for kind in args.ours or (LOADED, WITH_TEXT)]
    names += [] if args.only == "none" else ["transformers float32", *WRITTEN]
    for name in names:
        with tempfile.TemporaryDirectory() as folder:
            command = [sys.executable, *sys.argv, "--folder", folder, "--one"]
            if name in WRITTEN:
                # By another process: what it takes to convert weights is not asked, and a process
                # begins with the peak of the one that started it.
                subprocess.run([*command, WRITE + name], capture_output=True, check=False)
            done = subprocess.run([*command, name], capture_output=True, text=True, check=False)
            found = done.stdout.strip()
        print(f"| {name} | {found or 'not installed | | | '} |", flush=True)


def _write_gguf(folder: str, network: Transformer, fields: dict) -> None:
    from benchmarks.peer_llama import write_gguf

    write_gguf(Path(folder) / "model.gguf", network)


def _write_ctranslate2(folder: str, network: Transformer, fields: dict) -> None:
    from benchmarks.peers import write_ctranslate2

    write_ctranslate2(folder, network, fields)


# Peers that read files of their own.
WRITTEN = {"llama.cpp Q8_0": _write_gguf, "CTranslate2 int8": _write_ctranslate2}


def measure(args: argparse.Namespace) -> None:
    """Load and decode n = 4 by one decoder; print its peak memory, its weights, and for ours how
    long loading took."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    params, name, start = SamplingParams(max_new_tokens=args.new), args.one, CLOCKS[args.clock]()
    kind, seconds, loaded = name.removeprefix("ours "), "", None
    if kind == WITH_TEXT:
        loaded = models.load(args.model).network
    elif kind == LOADED:
        loaded = models.load_fastest(find(args.model))
    if loaded is not None:
        seconds = f"{CLOCKS[args.clock]() - start:.2f}"
        decode = our_decoder(loaded, params)
    elif name.startswith("llama"):
        from benchmarks.peer_llama import llama_of

        vocab_size = models.opened(find(args.model))[0]["vocab_size"]
        path = Path(args.folder) / "model.gguf"
        decode = llama_of(path, vocab_size, params, args.threads, sequences=4)
    elif name in WRITTEN:
        from benchmarks.peers import ctranslate2_of

        decode = ctranslate2_of(args.folder, params, args.threads)
    else:
        args.ours, args.only = [kind] if name.startswith("ours") else ["plain"], name
        decode = next(decode for each, decode in everything(args) if each == name)
    config = read_config(args)
    decode(prompt_of(config, args.prompt), 4, args.new)
    peak = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    size = config.parameters / 2**20
    print(f"{peak:.0f} | {size:.0f} | {peak / size:.2f} | {seconds}")


def read_config(args: argparse.Namespace) -> Config:
    if args.model in SHAPES:
        return SHAPES[args.model]
    return families.from_hf(models.opened(find(args.model))[0])


if __name__ == "__main__":
    main()
