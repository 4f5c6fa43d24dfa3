"""What an evaluation's rewriters wrote, kept for those who draw it or vote on it later."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from train.compare.versions import Version
from train.report.evaluation import Run
from train.report.page import write_whole

_FILE = "rewrites.json"


def of_runs(runs: Sequence[Run]) -> dict[str, list[Version]]:
    """By rewriter and mode what was written, each prompt once; names say no more than they must."""
    models, modes = {run.model for run in runs}, {run.mode for run in runs}
    versions: dict[str, dict[str, Version]] = {}
    for run in runs:
        if len(modes) < 2:
            name = run.model
        else:
            name = run.mode if len(models) < 2 else f"{run.model}, {run.mode}"
        of_name = versions.setdefault(name, {})
        for result in run.results:
            version = Version(result.prompt, result.text, result.dialect)
            of_name.setdefault(result.prompt, version)
    return {name: list(of_name.values()) for name, of_name in versions.items()}


def about_rewrites(
    models: Mapping[str, Path], sets: Mapping[str, Sequence[str]], **settings: object
) -> dict:
    """What decides the rewrites; a model that was trained anew has files of another date."""
    files = {
        name: sorted(
            [file.name, file.stat().st_size, file.stat().st_mtime_ns]
            for file in folder.iterdir()
            if file.is_file()
        )
        for name, folder in models.items()
    }
    return {"models": files, "sets": {name: list(of) for name, of in sets.items()}} | settings


def write_rewrites(out: Path, versions: Mapping[str, Sequence[Version]], about: dict) -> None:
    rows = {name: [[v.prompt, v.text, v.dialect] for v in of] for name, of in versions.items()}
    text = json.dumps({"about": about, "versions": rows}, ensure_ascii=False)
    write_whole(out / _FILE, text + "\n")


def read_rewrites(out: Path, about: dict) -> dict[str, list[Version]] | None:
    """What was written under the same conditions before, or None."""
    path = out / _FILE
    if not path.is_file():
        return None
    said = json.loads(path.read_text(encoding="utf-8"))
    if said["about"] != json.loads(json.dumps(about)):
        return None
    return {name: [Version(*row) for row in of] for name, of in said["versions"].items()}
