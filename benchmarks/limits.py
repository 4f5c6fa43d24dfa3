"""Bounds of time and memory on input of any size: long prompts, a long style, a long file.

    python benchmarks/limits.py prompts                # the longest that is read, and 1 MB
    python benchmarks/limits.py style                  # needs gradio 6
    python benchmarks/limits.py file --lines 100000 --minutes 5

`prompts` gives CPU seconds of both modes beyond those that the model takes for a short prompt.
`style` serves the web page and has one caller send a style of 8,000 characters while another one
waits for a rewrite. `file` runs `bp beautify --file` for so many minutes at most.
"""

from __future__ import annotations

import argparse
import json
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from pathlib import Path

import benchmarks  # noqa: F401  # the root on sys.path
from bp_core import Rewriter
from bp_core.text.prompt import LONGEST

SIZE = 10**6
UNITS = {
    "words": "a red cat, ",
    "one word": "a",
    "sentences": "A red cat sits by the window. ",
    "tags": "1girl, silver_hair, ",
    "open brackets": "(",
    "mixed brackets": "[{(",
    "weights": "(red hat:1.2), ",
    "network tags": "<lora:a:0.8> ",
    "wildcards": "__a/b__ ",
    "half wildcards": "__a ",
    "choices": "{a|{b|c}} ",
    "schedules": "[a:b:0.5] ",
    "comments": "# a\n",
    "slashes": "/*//",
    "backslashes": "\\",
    "escapes": "\\(",
    "numbers": "1:",
    "emoticons": ":3 ",
    "flags": "--ar ",
    "BREAK": "a cat BREAK ",
    "AND": "a cat :1.2 AND ",
    "quotations": '"a sign" ',
    "quotation marks": '"',
    "signs": "$3 & ",
    "CJK": "猫",
    "spaces": " ",
    "line breaks": "\n ",
    "commas": ",",
    "SwarmUI": "<segment:face> a cat ",
    "compel": "(cat)1.3 dog++ ",
    "Midjourney": "street::1.5 ",
}


def prompts() -> None:
    """Print the CPU seconds of each long prompt, in both modes."""
    rewriter = Rewriter.load()
    worst = (0.0, "")
    for mode in ("expand", "rewrite"):
        settings = {"mode": mode, "n": 1, "seed": 3}
        rewriter("a red cat by the window", **settings)
        usual = min(_seconds(rewriter, "a red cat by the window, rain", settings) for _ in range(3))
        for name, unit in UNITS.items():
            long = ["a cat, " * start + unit * SIZE for start in (False, True)]
            for prompt in (text[:size] for text in long for size in (LONGEST, SIZE)):
                seconds = _seconds(rewriter, prompt, settings) - usual
                worst = max(worst, (seconds, f"{mode}, {name}"))
                if seconds > 1:
                    print(f"{mode}, {name}: {seconds:.2f} s", flush=True)
    print(f"slowest of {8 * len(UNITS)} prompts: {worst[0]:.2f} s of CPU time ({worst[1]})")


def _seconds(rewriter: Rewriter, prompt: str, settings: dict) -> float:
    start = time.process_time()
    rewriter(prompt, **settings)
    return time.process_time() - start


def style() -> None:
    """Print how long a caller waits alone, and beside one with a style of 8,000 characters."""
    from bp_core.web import serve

    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    blocks = serve(Rewriter.load(), "127.0.0.1", port, wait=False)
    url = f"http://127.0.0.1:{port}/gradio_api/call/beautify"

    def call(text: str) -> float:
        start = time.monotonic()
        data = ["a lighthouse at dusk", "expand", "tags", 4, 0, text, "", ""]
        body = json.dumps({"data": data}).encode()
        request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request) as answer:
            event = json.load(answer)["event_id"]
        with urllib.request.urlopen(f"{url}/{event}") as answer:
            answer.read()
        return time.monotonic() - start

    call("")
    alone = statistics.median(call("") for _ in range(5))
    beside = []
    for _ in range(5):
        other = threading.Thread(target=call, args=("soft light " * 727,))
        other.start()
        beside.append(call(""))
        other.join()
    print(
        f"alone {alone:.2f} s, beside a style of 8,000 characters "
        f"{statistics.median(beside):.2f} s in the median of 5, {max(beside):.2f} s at most"
    )
    blocks.close()


def file(lines: int, minutes: float) -> None:
    """Print when the first line of output came, and the most memory beside that of one line."""
    alone = _run(1, minutes)
    many = _run(lines, minutes)
    print(
        f"{lines} lines: the first after {many[0]:.1f} s (of a file of one line {alone[0]:.1f} s), "
        f"{many[2]} lines in {many[3]:.0f} s; most memory {many[1]:.0f} MB, of one line "
        f"{alone[1]:.0f} MB"
    )


def _run(lines: int, minutes: float) -> tuple[float, float, int, float]:
    """Seconds to the first line, most MB, lines written, seconds in all."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "prompts.txt")
        path.write_text("".join(f"a red fox number {i} in the snow\n" for i in range(lines)))
        command = [sys.executable, "-m", "bp_core.cli", "beautify", "--file", str(path)]
        start = time.monotonic()
        process = subprocess.Popen(
            [*command, "--n", "1"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        first, peak, count = 0.0, 0.0, 0
        for _ in process.stdout:
            count += 1
            first = first or time.monotonic() - start
            status = Path(f"/proc/{process.pid}/status").read_text()
            peaks = [line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")]
            peak = max([peak, *(int(kilobytes) / 1024 for kilobytes in peaks)])
            if time.monotonic() - start > 60 * minutes:
                break
        process.kill()
        process.wait()
        return first, peak, count, time.monotonic() - start


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["prompts", "style", "file"])
    parser.add_argument("--lines", type=int, default=100_000)
    parser.add_argument("--minutes", type=float, default=5)
    args = parser.parse_args(argv)
    if args.what == "file":
        file(args.lines, args.minutes)
    else:
        {"prompts": prompts, "style": style}[args.what]()


if __name__ == "__main__":
    main()
