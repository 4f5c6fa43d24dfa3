"""The commands of `bp` that handle models: list, fetch, pack, export."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path

from .errors import InputError


def add(commands: argparse._SubParsersAction) -> None:
    """Add their parsers; each sets `run`, which takes the parsed arguments."""
    models = commands.add_parser("models", help="list the models that are here, fetch or pack one")
    models.set_defaults(run=_models)
    models.add_argument("--download", metavar="ID", help="owner/name on the Hugging Face hub")
    models.add_argument(
        "--pack", metavar="MODEL", help="keep 8-bit weights beside a model: it loads faster"
    )
    models.add_argument("--json", action="store_true", help="one JSON object a line on stdout")

    pack = commands.add_parser("pack", help="write a model as a new folder, in 4 or 8 bits")
    pack.set_defaults(run=_pack)
    pack.add_argument("model", help="a folder, a .gguf file or a downloaded hub id")
    pack.add_argument("out", help="the folder to write; must not be there, or be empty")
    pack.add_argument("--bits", type=int, choices=(4, 8), default=4, help="a weight (4)")
    pack.add_argument(
        "--group", type=int, default=64, help="weights that share a step, in 4 bits: 32 or 64 (64)"
    )
    pack.add_argument("--json", action="store_true", help="one JSON object on stdout")

    export = commands.add_parser("export", help="write a model as a GGUF file, for llama.cpp")
    export.set_defaults(run=_export)
    export.add_argument("model", help="a folder, a downloaded hub id or starter")
    export.add_argument("out", help="the file to write, FILE.gguf")
    export.add_argument(
        "--weights", choices=("f16", "q8_0"), default="f16", help="16 or 8 bits a weight (f16)"
    )
    export.add_argument("--json", action="store_true", help="one JSON object on stdout")


def _print_path(path: Path, args: argparse.Namespace) -> None:
    print(json.dumps({"path": str(path)}) if args.json else path)


def _pack(args: argparse.Namespace) -> None:
    out = Path(args.out)
    if out.is_file() or (out.is_dir() and any(out.iterdir())):
        raise InputError(f"{out} is there already: name a new folder")
    from .models.load import pack_folder

    there = out.is_dir()
    try:
        _print_path(pack_folder(args.model, out, args.bits, args.group), args)
    except OSError as error:
        raise InputError(
            f"cannot write {out} ({error.strerror}): give it room and leave"
        ) from error
    finally:
        if not there and out.is_dir() and not any(out.iterdir()):
            out.rmdir()  # what failed leaves nothing behind


def _models(args: argparse.Namespace) -> None:
    from .models import folder as models

    if args.download:
        from .models.hub import download

        def show(name: str, done: int, size: int) -> None:
            share = f"{done / size:.0%}" if size else f"{done / 2**20:.0f} MiB"
            print(f"\r{name} {share}", end="", file=sys.stderr, flush=True)

        folder = download(args.download, show)
        print(file=sys.stderr)
        return _print_path(folder, args)
    if args.pack:
        from .models.load import pack

        return _print_path(pack(args.pack), args)
    for info in models.available():
        if args.json:
            print(json.dumps({**asdict(info), "path": str(info.path)}))
        else:
            print(f"{info.name}\t{info.kind}\t{info.size / 2**20:.0f} MiB\t{info.path}")


def _export(args: argparse.Namespace) -> None:
    from .models.gguf_export import export

    path, notes = export(args.model, Path(args.out), args.weights)
    for note in notes:
        print(f"bp: {note}", file=sys.stderr)
    _print_path(path, args)
