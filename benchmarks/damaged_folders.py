"""Damaged model folders, some 400 kinds: each must end in one line, soon and without much memory.

    python benchmarks/damaged_folders.py                    # copies of tests/data/small_writer
    python benchmarks/damaged_folders.py --folder bp_core/starter --every 4

Files are truncated, flipped, resized, retyped, emptied, replaced and taken away; fields of config
files get values that they cannot have; headers of weights lie. Each folder is loaded, and asked for
one rewrite, in a process of its own. It passes if it works all the same or ends in one line of our
own errors, in under 2 s of its CPU time and 200 MB above the folder's size. Linux only.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import shutil
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import torch

import benchmarks  # noqa: F401  # the root on sys.path
from bp_core import Rewriter
from bp_core.errors import BeautifulPromptError

SECONDS, MEGABYTES = 2.0, 200
ROOT = Path(__file__).parents[1]
Damage = tuple[str, Callable[[Path], None]]

_VALUES = [
    float("nan"), float("inf"), None, "x", "", True, -1, 0, 1.5, 7, 10**9, 2**63, 10**40, [], {},
    [1, 2], {"a": 1},
]  # fmt: skip


def _bytes(name: str, change: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        path = folder / name
        content = change(path.read_bytes())
        path.unlink()  # it may be a link to the whole one
        path.write_bytes(content)

    return damage


def _json(name: str, change: Callable[[dict], object]) -> Callable[[Path], None]:
    """A change of a JSON file; what it returns, if anything, is written instead."""

    def changed(content: bytes) -> bytes:
        value = json.loads(content)
        other = change(value)
        return json.dumps(value if other is None else other).encode()

    return _bytes(name, changed)


def _header(name: str, change: Callable[[dict], object]) -> Callable[[Path], None]:
    """A change of the header of a safetensors file, its tensors as they are."""

    def changed(content: bytes) -> bytes:
        size = int.from_bytes(content[:8], "little")
        header = json.loads(content[8 : 8 + size])
        other = change(header)
        text = json.dumps(header if other is None else other).encode()
        return len(text).to_bytes(8, "little") + text + content[8 + size :]

    return _bytes(name, changed)


def _set(key: str, value: object) -> Callable[[dict], None]:
    return lambda fields: fields.__setitem__(key, value)


def _flip(share: float, bit: int) -> Callable[[bytes], bytes]:
    def flip(content: bytes) -> bytes:
        i = int(share * (len(content) - 1))
        return content[:i] + bytes([content[i] ^ (1 << bit)]) + content[i + 1 :]

    return flip


def of_files(names: list[str]) -> Iterator[Damage]:
    """What can happen to any file."""
    rng = random.Random(0)
    for name in names:
        for share in (0, 0.001, 0.01, 0.1, 0.3, 0.5, 0.9, 0.999):
            yield f"{name} cut at {share}", _bytes(name, lambda c, s=share: c[: int(s * len(c))])
        for _ in range(8):
            share, bit = rng.random() ** 4, rng.randrange(8)
            yield f"{name} flipped at {share:.4f}", _bytes(name, _flip(share, bit))
        yield f"{name} zeros", _bytes(name, lambda c: bytes(len(c)))
        yield f"{name} noise", _bytes(name, lambda c: random.Random(1).randbytes(len(c)))
        yield f"{name} longer", _bytes(name, lambda c: c + b"\0" * 1000)
        yield f"{name} twice", _bytes(name, lambda c: c + c)
        yield f"{name} gone", lambda folder, name=name: (folder / name).unlink()

        def directory(folder: Path, name=name) -> None:
            (folder / name).unlink()
            (folder / name).mkdir()

        yield f"{name} a folder", directory

        def sparse(folder: Path, name=name) -> None:
            (folder / name).unlink()
            with (folder / name).open("wb") as file:
                file.write((2**40).to_bytes(8, "little"))
                file.truncate(8 * 10**9)

        yield f"{name} of 8 GB", sparse


def of_fields(folder: Path) -> Iterator[Damage]:
    """Fields of the JSON files, each with values of other kinds and sizes."""
    for name in ("config.json", "beautifulprompt.json"):
        fields = json.loads((folder / name).read_text())
        for key in fields:
            for value in _VALUES:
                yield f"{name} {key} {value!r}"[:60], _json(name, _set(key, value))
            yield f"{name} without {key}", _json(name, lambda f, k=key: f.pop(k) and None)
        for value in ([], "x", 3, [fields], None):
            yield f"{name} is {str(value)[:9]}", _json(name, lambda _, v=value: v or [[]])
        deep = b'{"a":' * 100_000 + b"1" + b"}" * 100_000
        yield f"{name} deep", _bytes(name, lambda _, d=deep: d)
    name = "tokenizer.json"
    whole = json.loads((folder / name).read_text())
    for key in whole:
        for value in (None, "x", 3, [], {}, [1], {"type": "Nothing"}):
            yield f"{name} {key} {value!r}", _json(name, _set(key, value))
    far = {"id": 10**8, "content": "<far>", "special": True, "single_word": False}
    far |= {"lstrip": False, "rstrip": False, "normalized": False}
    yield f"{name} a far id", _json(name, lambda t: t["added_tokens"].append(far))
    padding = {"strategy": {"Fixed": 4_000_000}, "direction": "Right", "pad_to_multiple_of": None}
    padding |= {"pad_id": 0, "pad_type_id": 0, "pad_token": "</s>"}
    yield f"{name} padded far", _json(name, _set("padding", padding))
    yield f"{name} no words", _json(name, lambda t: t["model"].__setitem__("vocab", {}))
    yield f"{name} merges", _json(name, lambda t: t["model"].__setitem__("merges", ["a b c"]))


def of_weights(name: str, path: Path) -> Iterator[Damage]:
    """Headers of weights that lie, and weights that are none."""
    content = path.read_bytes()
    size = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + size])
    tensors = [key for key in header if key != "__metadata__"]
    rng = random.Random(0)
    for key in rng.sample(tensors, min(6, len(tensors))):
        shape, (start, end) = header[key]["shape"], header[key]["data_offsets"]
        for other in ([], [0], [2**62], [*shape, 1], [n * 2 for n in shape], shape[::-1] + [3]):
            yield (
                f"{name} {key} shape {other}"[:60],
                _header(name, lambda h, k=key, o=other: h[k].__setitem__("shape", o)),
            )
        for kind in ("F64", "I64", "BOOL", "F8_E4M3", "I8", "C64", "X"):
            yield (
                f"{name} {key} {kind}",
                _header(name, lambda h, k=key, o=kind: h[k].__setitem__("dtype", o)),
            )
        for offsets in ([0, 10**12], [start, start], [-1, 1], [end, start]):
            yield (
                f"{name} {key} at {offsets}"[:60],
                _header(name, lambda h, k=key, o=offsets: h[k].__setitem__("data_offsets", o)),
            )
        yield f"{name} without {key}", _header(name, lambda h, k=key: h.pop(k) and None)
        yield (
            f"{name} {key} renamed",
            _header(name, lambda h, k=key: h.__setitem__(f"x.{k}", h.pop(k))),
        )
    for length in (0, 1, 2**31, 2**40, 2**63 - 1):
        yield (
            f"{name} header of {length}",
            _bytes(name, lambda c, n=length: n.to_bytes(8, "little") + c[8:]),
        )

    def full_of(value: float) -> Callable[[Path], None]:
        def damage(folder: Path) -> None:
            from safetensors.torch import load_file, save_file

            weights = load_file(folder / name)
            (folder / name).unlink()
            save_file(
                {k: torch.full_like(t, value) if t.is_floating_point() else t
                 for k, t in weights.items()},
                folder / name,
            )  # fmt: skip

        return damage

    for value in (float("nan"), float("inf"), 0.0, 6e4):
        yield f"{name} full of {value}", full_of(value)


def of_index(path: Path) -> Iterator[Damage]:
    """The index of weights in several files."""
    name = "model.safetensors.index.json"

    def written(content: object) -> Callable[[Path], None]:
        def damage(folder: Path) -> None:
            (folder / path.name).rename(folder / "model-00001-of-00002.safetensors")
            text = content if isinstance(content, str) else json.dumps(content)
            (folder / name).write_text(text)

        return damage

    shard = "model-00001-of-00002.safetensors"
    for content in (
        "", "x", [], 3, {}, {"weight_map": []}, {"weight_map": "x"}, {"weight_map": {}},
        {"weight_map": {"a": 3}}, {"weight_map": {"a": None}}, {"weight_map": {"a": "gone"}},
        {"weight_map": {"a": "../../etc/passwd"}}, {"weight_map": {"a": shard}},
        {"metadata": {"total_size": 10**15}, "weight_map": {"a": shard}},
        {"weight_map": {"a": [shard]}},
    ):  # fmt: skip
        yield f"index {str(content)[:40]}", written(content)


def damages(folder: Path) -> list[Damage]:
    """All damages of a folder with one file of weights."""
    weights = next(p for p in folder.glob("*.safetensors") if p.name != "suitability.safetensors")
    names = sorted(p.name for p in folder.iterdir() if p.is_file() and p.suffix != ".md")
    listed = [*of_files(names), *of_fields(folder), *of_weights(weights.name, weights)]
    if weights.name == "model.safetensors":
        listed += of_index(weights)
    return listed


def copy(folder: Path, to: Path) -> None:
    """The folder's own files, as links where that can be."""
    to.mkdir()
    for path in folder.iterdir():
        if path.is_file():
            try:
                os.link(path, to / path.name)
            except OSError:
                shutil.copyfile(path, to / path.name)


def _peak() -> int:
    """Bytes of the most memory that this process has held since it was last reset."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) * 1024
    return 0


def outcome(folder: Path) -> dict:
    """What becomes of a folder, from a process that ends with it."""
    reading, writing = os.pipe()
    child = os.fork()
    if child:
        os.close(writing)
        with os.fdopen(reading) as pipe:
            text = pipe.read()
        os.waitpid(child, 0)
        return json.loads(text) if text else {"died": True}
    os.close(reading)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    os.dup2(1, 2)
    resource.setrlimit(resource.RLIMIT_AS, (24 * 10**9,) * 2)
    Path("/proc/self/clear_refs").write_text("5")
    before = _peak()
    said, escaped = "", ""
    start = os.times()
    try:
        Rewriter.load(folder, reward=None, lasting=False)("a fox", n=1, max_new_tokens=8)
    except BeautifulPromptError as error:
        said = str(error)
    except BaseException:
        escaped = traceback.format_exc()[-300:]
    end = os.times()
    seconds = end.user - start.user + end.system - start.system
    told = {"said": said, "escaped": escaped, "seconds": seconds, "bytes": _peak() - before}
    os.write(writing, json.dumps(told).encode())
    os._exit(0)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=ROOT / "tests" / "data" / "small_writer")
    parser.add_argument("--every", type=int, default=1, help="only one damage in so many")
    args = parser.parse_args(argv)
    # Loaded before, so that a process pays for its own folder alone.
    Rewriter.load(args.folder, reward=None, lasting=False)
    torch.set_num_threads(1)
    listed = damages(args.folder)[:: args.every]
    size = sum(p.stat().st_size for p in args.folder.iterdir() if p.is_file())
    worked = refused = 0
    faults, slowest, largest = [], (0.0, ""), (0, "")
    for name, damage in listed:
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch) / "model"
            copy(args.folder, folder)
            damage(folder)
            told = outcome(folder)
        if told.get("died") or told["escaped"] or "\n" in told["said"]:
            faults.append(f"{name}: {told}")
            continue
        refused, worked = refused + bool(told["said"]), worked + (not told["said"])
        slowest = max(slowest, (told["seconds"], name))
        largest = max(largest, (told["bytes"] - size, name))
        if told["seconds"] > SECONDS or told["bytes"] - size > MEGABYTES * 1e6:
            faults.append(f"{name}: {told}")
    print(f"{len(listed)} damaged folders: {refused} refused in one line, {worked} worked")
    print(f"slowest {slowest[0]:.2f} s of CPU time ({slowest[1]})")
    print(f"most memory {largest[0] / 1e6:.0f} MB above the folder's size ({largest[1]})")
    print(f"{len(faults)} faults", *faults, sep="\n  ")
    return bool(faults)


if __name__ == "__main__":
    sys.exit(main())
