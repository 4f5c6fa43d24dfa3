"""The `bp` command as a person or a script meets it."""

import json
import subprocess
import sys

import pytest

from bp_core import cli


@pytest.fixture
def bp(capsys, monkeypatch, model_folder):
    """Runs `bp` in this process on a tiny model: (exit code, stdout, stderr)."""

    def run(*argv: str, stdin: bytes | None = None) -> tuple[int, str, str]:
        if argv[0] == "beautify":
            argv = (*argv, "--model", str(model_folder), "--reward", "none")
        if stdin is not None:
            monkeypatch.setattr("sys.stdin", type("In", (), {"buffer": _Bytes(stdin)}))
        try:
            cli.main(argv)
            code = 0
        except SystemExit as end:
            code = end.code or 0
        return code, *capsys.readouterr()

    return run


class _Bytes:
    def __init__(self, data: bytes) -> None:
        self.read = lambda: data


def test_a_prompt_in_a_prompt_out(bp):
    code, out, err = bp("beautify", "a fox in the snow")
    assert code == 0 and out.startswith("a fox in the snow, ") and out.count("\n") == 1
    assert err == ""


def test_all_candidates(bp):
    _, out, _ = bp("beautify", "a fox", "--n", "3", "--all")
    assert len(out.splitlines()) == 3


def test_a_file_gives_a_line_a_prompt(bp, tmp_path):
    path = tmp_path / "prompts.txt"
    path.write_text("a fox\n\nthe sea\r\n")
    code, out, _ = bp("beautify", "--file", str(path))
    lines = out.split("\n")
    assert code == 0 and len(lines) == 4
    assert lines[0].startswith("a fox, ") and lines[1] == "" and lines[2].startswith("the sea, ")


def test_json_lines_carry_every_candidate(bp, tmp_path):
    path = tmp_path / "prompts.txt"
    path.write_text("a fox\nthe sea\n")
    _, out, _ = bp("beautify", "--file", str(path), "--json", "--n", "2", "--seed", "7")
    rows = [json.loads(line) for line in out.splitlines()]
    assert [row["prompt"] for row in rows] == ["a fox", "the sea"]
    assert {"text", "kept", "lost", "added", "tokens", "score"} <= set(rows[0]["candidates"][0])
    assert rows[0]["dialect"] == "tags"


def test_a_dialect_reaches_a_model_that_was_taught_several(bp, model_folder):
    code, _, err = bp("beautify", "a fox", "--dialect", "booru")
    assert (code, err) == (0, "bp: this model adds tags only\n")
    (model_folder / "beautifulprompt.json").write_text(
        json.dumps({"kind": "rewriter", "template": {"name": "dialects"}})
    )
    for prompt, dialect, told in (
        ("a fox", "booru", "booru"),
        ("a fox", "auto", "tags"),
        ("The fox is asleep in the snow.", "auto", "prose"),
    ):
        _, out, err = bp("beautify", prompt, "--dialect", dialect, "--json")
        assert (json.loads(out)["dialect"], err.count("only")) == (told, 0)


def test_standard_input(bp):
    _, out, _ = bp("beautify", "-", stdin=b"a fox\n")
    assert out.startswith("a fox, ")


def test_only_syntax_comes_back_with_a_note(bp):
    code, out, err = bp("beautify", "<lora:x:1>")
    assert (code, out) == (0, "<lora:x:1>\n") and "no words" in err


@pytest.mark.parametrize(
    "argv",
    [
        ("beautify", ""),
        ("beautify", "  "),
        ("beautify",),
        ("beautify", "a fox", "--n", "0"),
        ("beautify", "a fox", "--temperature", "-2"),
        ("beautify", "--file", "/nowhere/prompts.txt"),
        ("beautify", "a fox", "--file", "x.txt"),
        ("beautify", "a fox", "--block", "/(/"),
        ("beautify", "a fox", "--all", "--json"),
        ("beautify", "a fox", "--dialect", "poems"),
        ("score", ""),
        ("score", "a fox", "--image", "x.png"),
        ("score", "a fox", "--image", __file__, "--aesthetic", "x.pth"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(bp, argv):
    code, out, err = bp(*argv)
    assert code == 2 and out == ""
    assert len(err.splitlines()) == 1 and "Traceback" not in err


def test_a_file_that_is_not_text(bp, tmp_path):
    path = tmp_path / "prompts.bin"
    path.write_bytes(b"\xff\xfe\x00a")
    code, _, err = bp("beautify", "--file", str(path))
    assert code == 2 and "UTF-8" in err


def test_a_missing_model_is_exit_code_1(capsys):
    with pytest.raises(SystemExit) as end:
        cli.main(["beautify", "a fox", "--model", "no/such-model"])
    assert end.value.code == 1
    assert "bp models --download" in capsys.readouterr().err


def test_models_lists_what_is_there(bp, model_folder, monkeypatch):
    monkeypatch.setenv("BEAUTIFULPROMPT_DIR", str(model_folder.parent))
    _, out, _ = bp("models", "--json")
    assert "tiny" in [json.loads(line)["name"] for line in out.splitlines()]


def test_help_and_errors_load_no_torch():
    script = (
        "import sys; from bp_core import cli\n"
        "try: cli.main(['beautify', ''])\n"
        "except SystemExit: pass\n"
        "print('torch' in sys.modules)"
    )
    out = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert out.stdout.strip() == "False"


def test_the_run_path_imports_nothing_heavy(model_folder):
    script = (
        "import sys; from bp_core import cli\n"
        f"cli.main(['beautify', 'a fox', '--model', {str(model_folder)!r}, '--reward', 'none'])\n"
        "heavy = {'transformers', 'gradio', 'trl', 'pandas', 'scipy', 'sklearn', 'diffusers'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    out = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert out.stdout.splitlines()[-1] == "[]"


def test_an_empty_rewrite_is_no_rewrite(bp):
    code, _, err = bp("score", "a cat", "--rewrite", " ")
    assert code == 2 and "a rewrite is empty" in err


def test_a_server_that_is_not_there_leaves_the_prompt_and_says_so(bp):
    code, out, err = bp("beautify", "a fox <lora:x:1>", "--writer", "http://127.0.0.1:9/v1")
    assert code == 0 and out == "a fox <lora:x:1>\n"
    assert "start it" in err and err.count("\n") == 1


@pytest.mark.parametrize(
    "flags",
    [
        ["--writer", "http://me:s3cret@127.0.0.1/v1"],
        ["--writer-model", "qwen3:8b"],
        ["--into-english"],
    ],
)
def test_a_writer_that_is_named_by_half_is_refused(bp, flags):
    code, out, err = bp("beautify", "a fox", *flags)
    assert code == 2 and not out and ("--writer" in err or "address" in err)
    assert "s3cret" not in err


def test_what_became_of_the_drafts_is_told_on_stderr(bp, monkeypatch):
    from bp_core.writers import endpoint
    from bp_core.writers.writer import Answer

    answers = [Answer("a fox in snow, soft moonlight"), Answer("I can't help with that.")]
    monkeypatch.setattr(
        endpoint.Endpoint, "write", lambda self, requests, check: answers[: len(requests)]
    )
    flags = ["--writer", "http://127.0.0.1:9/v1", "--into-english", "--n", "2"]
    code, out, err = bp("beautify", "雪中的狐狸", *flags)
    assert code == 0 and out == "a fox in snow, soft moonlight\n"
    assert "1 used" in err and "refused" in err


def test_pack_writes_a_folder_that_loads_and_overwrites_nothing(model_folder, tmp_path, capsys):
    from bp_core.models.load import load

    out = tmp_path / "packed"
    cli.main(["pack", str(model_folder), str(out), "--bits", "8", "--json"])
    assert json.loads(capsys.readouterr().out) == {"path": str(out)}
    assert load(out).template == load(model_folder).template
    before = (out / "packed.safetensors").read_bytes()
    with pytest.raises(SystemExit) as ended:
        cli.main(["pack", str(model_folder), str(out)])
    assert ended.value.code == 2 and "is there already" in capsys.readouterr().err
    assert (out / "packed.safetensors").read_bytes() == before


def test_a_pack_that_fails_leaves_nothing(model_folder, tmp_path, capsys):
    out = tmp_path / "packed"
    with pytest.raises(SystemExit) as ended:
        cli.main(["pack", str(model_folder), str(out), "--group", "5"])
    assert ended.value.code == 1 and not out.exists()
    assert "groups of 5" in capsys.readouterr().err
