"""train/collect.py with a real language model, killed again and again: what is lost, what is paid
for twice.

    python benchmarks/collect.py --llm http://127.0.0.1:18081/v1 --llm-model NAME

Prompts come from `train/starter/pairs`, good ones to summarise and short ones to upgrade. A proxy
between collect.py and the server counts the calls. The run is killed with -9 at `--kills` points
spread over it, goes on each time, and is then compared with one run over the same answers that
nobody killed.
"""

from __future__ import annotations

import argparse
import hashlib
import http.client
import json
import random
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import pandas as pd

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from train.data.own_pairs import is_high  # noqa: E402
from train.data.written import read_written  # noqa: E402


class Calls:
    """What passed through the proxy: of each question, when it was asked and answered."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.asked: dict[str, list[float]] = defaultdict(list)
        self.answered: dict[str, list[float]] = defaultdict(list)

    def note(self, where: dict[str, list[float]], question: str) -> None:
        with self.lock:
            where[question].append(time.monotonic())

    def count(self, where: dict[str, list[float]]) -> int:
        with self.lock:
            return sum(map(len, where.values()))


def proxy(target: str, calls: Calls) -> ThreadingHTTPServer:
    """A server that passes questions on to `target`, and answers back; its port is any."""
    host = urlsplit(target)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            said = json.loads(body)["messages"]
            question = hashlib.sha256(json.dumps(said).encode()).hexdigest()
            calls.note(calls.asked, question)
            connection = http.client.HTTPConnection(host.hostname, host.port, timeout=600)
            connection.request("POST", self.path, body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            content = answer.read()
            connection.close()
            try:
                self.send_response(answer.status)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)
            except OSError:
                return  # nobody listens any more
            if answer.status == 200:
                calls.note(calls.answered, question)

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def write_prompts(path: Path, high: int, low: int, seed: int) -> None:
    """Good prompts and short ones, a line each."""
    rows = [row for rows in read_written().values() for row in rows]
    good = sorted({r.text for r in rows if r.mode == "rewrite" and is_high(r.text)})
    short = sorted({r.prompt for r in rows if r.dialect == "tags" and not is_high(r.prompt)})
    rng = random.Random(seed)
    lines = rng.sample(good, high) + rng.sample(short, low)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def kept(path: Path) -> int:
    """How many answers are in the file."""
    if not path.is_file():
        return 0
    base = sqlite3.connect(path)
    try:
        return base.execute("SELECT count(*) FROM answers").fetchone()[0]
    except sqlite3.OperationalError:
        return 0
    finally:
        base.close()


def pairs(folder: Path) -> pd.DataFrame:
    return pd.concat([pd.read_parquet(folder / f"{n}.parquet") for n in ("train", "validation")])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--llm", required=True, help="an OpenAI-compatible server, as http://127.0.0.1:11434/v1")
    add("--llm-model", required=True)
    add("--high", type=int, default=350, help="good prompts, to summarise")
    add("--low", type=int, default=250, help="short prompts, to upgrade")
    add("--kills", type=int, default=10)
    add("--seed", type=int, default=0)
    args = parser.parse_args()
    calls = Calls()
    server = proxy(args.llm, calls)
    address = f"http://127.0.0.1:{server.server_port}{urlsplit(args.llm).path}"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_prompts(folder / "prompts.txt", args.high, args.low, args.seed)
        command = [sys.executable, str(ROOT / "train/collect.py"), "--llm-model", args.llm_model]
        command += ["--data", str(folder / "prompts.txt"), "--llm"]
        killed = [*command, address, "--out", str(folder / "killed")]
        answers, total = folder / "killed/answers.sqlite", args.high + args.low
        rng, ends, start = random.Random(args.seed), [], time.monotonic()
        for kill in range(args.kills):
            least = total * (kill + 1) // (args.kills + 2)
            process = subprocess.Popen(killed, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            while kept(answers) < least and process.poll() is None:
                time.sleep(0.02)
            time.sleep(rng.uniform(0, 0.5))
            process.kill()
            ends.append(time.monotonic())
            process.wait()
            print(f"killed with {kept(answers)} answers kept", file=sys.stderr, flush=True)
        subprocess.run(killed, check=True, stdout=subprocess.DEVNULL)
        seconds = time.monotonic() - start
        asked = calls.count(calls.asked)
        # Over the same answers, at an address where nobody is.
        (folder / "whole").mkdir()
        shutil.copy(answers, folder / "whole")
        whole = [*command, "http://127.0.0.1:9/v1", "--out", str(folder / "whole")]
        subprocess.run(whole, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        found, expected = pairs(folder / "killed"), pairs(folder / "whole")
        report = json.loads((folder / "killed/report.json").read_text())
    again = {q for q, times in calls.asked.items() if len(times) > 1}
    # Asked again after a kill before which it had been answered; seconds between answer and kill:
    # what is still on its way to the disk then, within milliseconds, nobody can keep.
    waits = {
        q: [end - a for a in calls.answered[q] for end in ends if a < end < max(calls.asked[q])]
        for q in again
    }
    twice = {q: min(between) for q, between in waits.items() if between}
    sides = ["raw_prompt", "prompt", "mode"]
    print(
        json.dumps(
            {
                "questions": len(calls.asked),
                "calls": asked,
                "kills": len(ends),
                "open at a kill, asked again": len(again) - len(twice),
                "answered before a kill, asked again": len(twice),
                "seconds before it": sorted(round(s, 3) for s in twice.values()),
                "pairs": len(found),
                "rewrites": int((found["mode"] == "rewrite").sum()),
                "doubled": int(found.duplicated(sides).sum()),
                "as without a kill": found.equals(expected),
                "seconds": round(seconds),
                "report": report,
            },
            indent=1,
        )
    )


if __name__ == "__main__":
    main()
