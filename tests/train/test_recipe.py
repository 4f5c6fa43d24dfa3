"""The commands of docs/training.md, rebuild.sh and the configs are commands of this repository."""

import importlib
import itertools
import re
from functools import cache
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
SOURCES = [
    ROOT / "docs/training.md",
    ROOT / "train/starter/rebuild.sh",
    ROOT / "train/paper.sh",
    *sorted((ROOT / "train/configs").glob("*.yaml")),
    *sorted((ROOT / "train").glob("*.py")),
    *sorted((ROOT / "train/starter").glob("*.py")),
]
COMMAND = re.compile(
    r"(?:python|processes 4|launch) (?:train/(\w+)\.py|-m train\.(starter\.\w+)) (.*)"
)


def commands() -> dict[str, tuple[str, str]]:
    """(module, arguments) of each command line."""
    lines = {}
    for source in SOURCES:
        text = re.sub(r"\\\n#?\s*", " ", source.read_text(encoding="utf-8"))
        for match in COMMAND.finditer(text):
            module = f"train.{match[1] or match[2]}"
            arguments = match[3].partition("#")[0].partition("`")[0].strip()
            lines[f"{module} {arguments}"] = (module, arguments)
    return lines


COMMANDS = commands()


@cache
def known_arguments(module: str) -> frozenset[str]:
    """The options that a command's --help lists."""
    import contextlib
    import io

    text = io.StringIO()
    with contextlib.redirect_stdout(text), pytest.raises(SystemExit):
        importlib.import_module(module).main(["--help"])
    # TRL's parser takes a config, and does not list it.
    listed = re.findall(r"--([A-Za-z_0-9-]+)", text.getvalue())
    # Either mark between words is read.
    return frozenset({"--config", *(f"--{name.replace('-', '_')}" for name in listed)})


def test_every_command_of_the_recipe_is_found():
    modules = {module for module, _ in COMMANDS.values()}
    tops = {f"train.{p.stem}" for p in (ROOT / "train").glob("*.py")}
    assert modules >= tops - {"train.__init__", "train.train"}
    assert modules >= {
        f"train.starter.{name}" for name in ("bundle", "pair_files", "suitability", "tune")
    }


@pytest.mark.parametrize("line", sorted(COMMANDS))
def test_a_command_has_its_arguments_and_files(line):
    module, arguments = COMMANDS[line]
    words = arguments.split()
    options = {word for word in words if re.fullmatch(r"--[A-Za-z_]\w*", word)}
    assert options <= known_arguments(module), options - known_arguments(module)
    for option, value in itertools.pairwise(words):
        if option == "--config" and value.startswith("train/") and "$" not in value:
            assert (ROOT / value).is_file()


@pytest.mark.parametrize(
    "path", sorted((ROOT / "train/configs").glob("*.yaml")), ids=lambda p: p.stem
)
def test_a_config_has_known_fields(path):
    module = "train." + COMMAND.search(path.read_text(encoding="utf-8"))[1]
    fields = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert {f"--{name}" for name in fields} <= known_arguments(module)
