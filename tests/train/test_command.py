"""What all commands share: started from any folder, wrong arguments in one line, exit codes."""

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import train
from bp_core.errors import InputError
from train.label import LabelArguments

ROOT = Path(__file__).resolve().parents[2]
COMMANDS = sorted(p for p in (ROOT / "train").glob("*.py") if "train.run(main)" in p.read_text())
STARTER = sorted(p for p in (ROOT / "train/starter").glob("*.py") if "train.run" in p.read_text())


def started(*command: str, folder: Path = ROOT) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, *command], cwd=folder, capture_output=True, text=True, timeout=120
    )


def test_a_command_runs_this_repository_s_code_from_any_folder(tmp_path):
    done = started(str(ROOT / "train/collect.py"), "--help", folder=tmp_path)
    assert done.returncode == 0 and "--data" in done.stdout


def test_every_file_at_the_top_is_a_command():
    shared = {"__init__", "train"}
    assert {p.stem for p in (ROOT / "train").glob("*.py")} - shared == {p.stem for p in COMMANDS}
    assert len(COMMANDS) >= 9 and len(STARTER) >= 8


def test_an_error_is_one_line_and_exit_code_1(capsys, monkeypatch):
    def main():
        raise InputError("no prompts: give some")

    monkeypatch.setattr(sys, "argv", ["train/ppo.py"])
    with pytest.raises(SystemExit) as leaving:
        train.run(main)
    assert leaving.value.code == "ppo.py: no prompts: give some"
    done = started("-m", "train.starter.suitability", "--model", "nowhere")
    assert done.returncode == 1 and done.stderr.count("\n") == 1
    assert done.stderr.startswith("suitability.py: ")


@pytest.mark.parametrize("text", ["pairs: x\nout: y\nsteps: many\n", "nonsense: 1\n", "steps: 0\n"])
def test_a_wrong_config_is_named_in_one_line(tmp_path, text):
    path = tmp_path / "config.yaml"
    path.write_text(text)
    with pytest.raises(InputError) as caught:
        train.parse(LabelArguments, ["--config", str(path), "--pairs", "x", "--out", "y"])
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 300


def test_what_is_missing_is_named_in_one_line():
    with pytest.raises(InputError, match=r"required: --out \(--help") as caught:
        train.parse(LabelArguments, ["--pairs", "x"])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("command", [*COMMANDS, *STARTER], ids=lambda path: path.stem)
def test_help_prints(command, capsys):
    folder = "train" if command in COMMANDS else "train.starter"
    main = importlib.import_module(f"{folder}.{command.stem}").main
    with pytest.raises(SystemExit) as leaving:
        main(["--help"])
    assert leaving.value.code == 0 and "usage:" in capsys.readouterr().out


def test_a_config_that_is_no_yaml_is_one_line(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text("steps: [1,\n  : :")
    with pytest.raises(InputError, match="--help lists the arguments"):
        train.parse(LabelArguments, ["--config", str(path), "--pairs", "x", "--out", "y"])
