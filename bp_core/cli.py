"""The `bp` command: text on stdout, everything else on stderr; exit codes 0, 1 (failed), 2 (input).

bp beautify "a lighthouse at dusk"
bp beautify --file prompts.txt --n 4 --seed 7 --json
bp beautify "a cat" --writer http://127.0.0.1:11434/v1 --writer-model qwen3:8b
bp score "a cat" --rewrite "a cat, soft morning light"
bp models
bp pack FOLDER OUT --bits 4
bp export FOLDER FILE.gguf
bp web
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import asdict
from itertools import chain, islice, repeat
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from . import model_commands
from .errors import BeautifulPromptError, InputError
from .models import STARTER
from .settings import ACCEPT, DIALECTS, MODES, SYNTAXES, Settings

if TYPE_CHECKING:
    from .rewriter import Result

_AT_ONCE = 64  # prompts rewritten together
_FEW = 4  # prompts, for which a process does not load what only pays later

_NUMBERS = {
    "n": (int, "candidates to draw and rank"),
    "seed": (int, "same seed, same text"),
    "temperature": (float, "0 is greedy, higher is bolder"),
    "top-k": (int, "draw from the k most likely tokens; 0 for all"),
    "top-p": (float, "draw from the likeliest tokens that reach this probability"),
    "repetition-penalty": (float, "above 1 discourages repeated words"),
    "max-new-tokens": (int, "longest addition, in the model's tokens"),
    "min-new-tokens": (int, "shortest addition, before it is tidied"),
    "token-budget": (int, "longest whole prompt, in tokens; the artist's words are never cut"),
    "min-kept": (float, "share of your words a rewrite must keep, 0 to 1"),
    "min-taste": (float, "least probability that an added phrase suits the prompt; 0: any"),
    "margin": (float, "with --accept auto: least score of a rewrite that is taken"),
}


def main(argv: Sequence[str] | None = None) -> None:
    """Entry point of the console script; ends the process with its exit code."""
    args = _parser().parse_args(argv)
    if sys.stdout is None:
        _end(1, "standard output is closed: nothing can be written to it")
    # torch asks for NumPy when it is there; nothing here uses it.
    warnings.filterwarnings("ignore", message="Failed to initialize NumPy")
    try:
        args.run(args)
        sys.stdout.flush()
    except InputError as error:
        _end(2, str(error))
    except BeautifulPromptError as error:
        _end(1, str(error))
    except UnicodeEncodeError as error:
        _end(
            1,
            f"standard output is {error.encoding} and cannot show the text: set "
            "PYTHONIOENCODING=utf-8",
        )
    except BrokenPipeError:
        # The reader left (`bp … | head`): nothing to report, and nothing left to flush.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        with suppress(OSError):  # what is left in its buffer would fail again when Python ends
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        _end(1, f"cannot write the output ({error.strerror}): free some room, or write elsewhere")
    except KeyboardInterrupt:
        _end(1, "cancelled")


def _end(code: int, message: str) -> None:
    if sys.stderr is not None:
        print(f"bp: {message}".encode("utf-8", "replace").decode(), file=sys.stderr)
    sys.exit(code)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> None:
        _end(2, f"{message}; {self.prog} --help tells what there is")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="bp", description="Turns a short prompt into one that makes a beautiful image."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    beautify = commands.add_parser("beautify", help="write a richer prompt")
    beautify.set_defaults(run=_beautify)
    beautify.add_argument("prompt", nargs="?", help="the prompt; - reads it from standard input")
    beautify.add_argument("--file", help="a prompt a line; - is standard input")
    beautify.add_argument("--mode", choices=MODES, help="keep your text and write on, or reword it")
    beautify.add_argument(
        "--dialect",
        choices=DIALECTS,
        help="add phrases (for SD, SDXL), sentences (Flux and its kin) or Danbooru tags (anime); "
        "auto: what your prompt is (auto)",
    )
    beautify.add_argument(
        "--syntax", choices=SYNTAXES, help="the host that will read it; auto: a careful mix (auto)"
    )
    for name, (kind, text) in _NUMBERS.items():
        usual = getattr(Settings, name.replace("-", "_"))
        text = text if usual is None else f"{text} ({usual})"
        beautify.add_argument(f"--{name}", type=kind, help=text)
    beautify.add_argument("--keep", action="append", metavar="PHRASE", help="must survive; repeat")
    beautify.add_argument(
        "--block", action="append", metavar="PHRASE", help="word, phrase or /regex/ not to add"
    )
    beautify.add_argument("--style", help="text that leads the addition")
    beautify.add_argument(
        "--into-english",
        action="store_true",
        help="with --writer: turn a prompt in another language into English (mode rewrite)",
    )
    beautify.add_argument(
        "--accept", choices=ACCEPT, help="auto leaves a prompt alone when no rewrite scores well"
    )
    beautify.add_argument("--json", action="store_true", help="one JSON object a line on stdout")
    beautify.add_argument("--all", action="store_true", help="print every candidate, best first")
    _add_model(beautify)

    score = commands.add_parser("score", help="score a prompt, or an image")
    score.set_defaults(run=_score)
    score.add_argument("prompt", nargs="?", help="the artist's prompt")
    score.add_argument("--rewrite", action="append", help="a rewrite of it to score; repeat")
    score.add_argument("--image", help="score this picture against the prompt (extra: score)")
    score.add_argument("--pickscore", help="with --image: folder or hub id of PickScore")
    score.add_argument("--aesthetic", help="with --image: file of LAION's aesthetic predictor")
    score.add_argument("--hps", help="with --image: file of HPS v2")
    score.add_argument("--reward", help="folder of a reward model (the bundled one)")
    score.add_argument("--json", action="store_true", help="one JSON object on stdout")

    model_commands.add(commands)

    web = commands.add_parser("web", help="the same on a local web page (extra: web)")
    web.set_defaults(run=_web)
    web.add_argument("--host", default="127.0.0.1", help="address to listen on (127.0.0.1)")
    web.add_argument("--port", type=int, default=7865, help="port to listen on (7865)")
    _add_model(web)
    return parser


def _add_model(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--model", default=STARTER, help="a folder or a downloaded hub id (the bundled starter)"
    )
    parser.add_argument("--device", default="cpu", help="cpu, cuda, mps … (cpu)")
    parser.add_argument(
        "--dtype", help="float32, bfloat16, float16 or int8 (what suits the device)"
    )
    parser.add_argument(
        "--reward", default="starter", help="folder of a reward model, or none (the bundled one)"
    )
    parser.add_argument(
        "--writer",
        metavar="URL",
        help="an OpenAI-compatible server that writes in place of --model, such as Ollama's "
        "http://127.0.0.1:11434/v1; a key only from the environment (see docs/writers.md)",
    )
    parser.add_argument("--writer-model", metavar="NAME", help="model there (its only one)")


def _load(args: argparse.Namespace, lasting: bool = True):
    from .rewriter import Rewriter

    reward = None if args.reward == "none" else args.reward
    if args.writer is not None:
        from .writers.endpoint import Endpoint
        from .writers.rewriter import WriterRewriter

        return WriterRewriter.ranked(Endpoint(args.writer, args.writer_model or ""), reward)
    if args.writer_model is not None:
        raise InputError("--writer-model without --writer: give the server's address, too")
    return Rewriter.load(
        args.model, device=args.device, dtype=args.dtype, reward=reward, lasting=lasting
    )


def _beautify(args: argparse.Namespace) -> None:
    from .text.inert import whole

    for value in (args.prompt, args.style, *(args.keep or ()), *(args.block or ())):
        if value is not None and value != whole(value):
            raise InputError("the command line has bytes that are no text: write it in UTF-8")
    prompts = _prompts(args)
    words = ["mode", "dialect", "syntax", "keep", "block", "style", "accept"]
    names = [*(n.replace("-", "_") for n in _NUMBERS), *words]
    settings = {n: value for n in names if (value := getattr(args, n)) is not None}
    if args.into_english:
        if args.writer is None:
            raise InputError("our own models read English only: --into-english needs --writer URL")
        settings |= {"mode": "rewrite", "into_english": True}
    if args.all and args.json:
        raise InputError("--all and --json: choose one, JSON has every candidate")
    first = list(islice(prompts, _FEW + 1))
    rewriter = _load(args, lasting=len(first) > _FEW)
    told = args.dialect in (None, "auto")
    # The first line soon, then as many at once as are decoded together.
    for batch in _batches(chain(first, prompts)):
        results = rewriter.many(batch, **settings)
        if not told and args.dialect != results[0].dialect:
            print(f"bp: this model adds {results[0].dialect} only", file=sys.stderr)
        told = True
        _show(args, results)
        sys.stdout.flush()


def _batches(prompts: Iterator[str]) -> Iterator[list[str]]:
    size = 1
    while batch := list(islice(prompts, size)):
        yield batch
        size = min(_AT_ONCE, 4 * size)


def _show(args: argparse.Namespace, results: Sequence[Result]) -> None:
    for result in results:
        if result.note and result.prompt.strip():
            print(f"bp: {result.note}: {_shortened(result.prompt)}", file=sys.stderr)
        if result.account:
            print(f"bp: {result.account}", file=sys.stderr)
        if args.json:
            print(json.dumps(asdict(result), ensure_ascii=False))
        elif args.all:
            print(*[candidate.text for candidate in result.candidates] or [result.text], sep="\n")
        else:
            print(result.text)


def _shortened(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= 60 else text[:59] + "…"


def _prompts(args: argparse.Namespace) -> Iterator[str]:
    """The prompts asked for, as they are read; raises InputError when there is none."""
    if (args.prompt is None) == (args.file is None):
        raise InputError('give one prompt, as in bp beautify "a cat", or --file')
    if args.file is not None:
        prompts = _lines(args.file)
    else:
        prompts = iter([_read("-").rstrip("\n") if args.prompt == "-" else args.prompt])
    for empty, prompt in enumerate(prompts):
        if prompt.strip():
            return chain(repeat("", empty), [prompt], prompts)
    raise InputError("there is no prompt: it is empty")


def _lines(name: str) -> Iterator[str]:
    """The lines of a file, or of standard input for "-", one at a time."""
    opened = nullcontext if name == "-" else Path(name).open
    with _reading(name), opened(_input() if name == "-" else "rb") as file:
        for number, line in enumerate(file):
            line = line.decode("utf-8" if number else "utf-8-sig")
            yield line.removesuffix("\n").removesuffix("\r")


def _input() -> BinaryIO:
    if sys.stdin is None:
        raise InputError("standard input is closed: give the prompt or a file")
    return sys.stdin.buffer


def _read(name: str) -> str:
    """Text of a file, or of standard input for "-"."""
    with _reading(name):
        data = _input().read() if name == "-" else Path(name).read_bytes()
        return data.decode("utf-8-sig")


@contextmanager
def _reading(name: str) -> Iterator[None]:
    """What goes wrong while a file is read, as InputError."""
    try:
        yield
    except OSError as error:
        raise InputError(f"cannot read {name}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{name} is not UTF-8 text: save it as UTF-8") from error


def _score(args: argparse.Namespace) -> None:
    if not (args.prompt or "").strip():
        raise InputError('there is no prompt: bp score "a cat" --rewrite "a cat, soft light"')
    if args.image:
        return _score_image(args)
    from .score.text_reward import load_reward
    from .text.prompt import parse

    texts = [args.prompt, *(args.rewrite or [])]
    if not all(text.strip() for text in texts):
        raise InputError("a rewrite is empty: give --rewrite a text, or leave it out")
    prose = [parse(text).prose for text in texts]
    scores = load_reward(args.reward).score(prose, raw=[prose[0]] * len(prose))
    rows = [{"text": text, **asdict(score)} for text, score in zip(texts, scores, strict=True)]
    for row in rows:
        row["gain"] = row["total"] - rows[0]["total"]
        if args.json:
            print(json.dumps(row, ensure_ascii=False))
        else:
            print(f"{row['total']:+.2f}\t{row['gain']:+.2f}\t{row['text']}")


def _score_image(args: argparse.Namespace) -> None:
    from .score import image as image_score

    scorers = {
        "pickscore": image_score.PickScore,
        "aesthetic": image_score.AestheticScore,
        "hps": image_score.HpsScore,
    }
    chosen = {name: weights for name in scorers if (weights := getattr(args, name))}
    if not chosen:
        raise InputError(
            "say what to score the image with: --pickscore yuvalkirstain/PickScore_v1, "
            "--aesthetic FILE or --hps FILE"
        )
    image = image_score.open_image(args.image)
    scores = {
        name: float(scorers[name].load(weights).score([image], [args.prompt])[0])
        for name, weights in chosen.items()
    }
    lines = [json.dumps(scores)] if args.json else [f"{k}\t{v:.3f}" for k, v in scores.items()]
    print(*lines, sep="\n")


def _web(args: argparse.Namespace) -> None:
    from .web import ready, serve

    ready(args.host, args.port)
    serve(_load(args), args.host, args.port)


if __name__ == "__main__":
    main()
