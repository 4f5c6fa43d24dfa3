"""Supervised fine-tuning from pairs to a folder that the rewriter runs."""

import json
import shutil

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

import train
from bp_core.drafter import Drafter
from bp_core.errors import InputError
from bp_core.models.load import load
from bp_core.models.suitability import Suitability
from bp_core.models.template import TEMPLATES
from bp_core.rewriter import Rewriter
from bp_core.settings import Settings
from bp_core.text.concepts import Concepts
from bp_core.text.notes import Note
from tests.train.tiny_llama import write_base
from train import sft
from train.data.pairs import read_pairs
from train.models import precision
from train.models.causal import load_base
from train.starter import cut

PAIRS = [
    ("a fox", "soft light, oil painting", "expand"),
    ("a ship", "heavy rain, deep shadow", "expand"),
    ("an owl", "an owl, misty morning", "rewrite"),
    ("", "a plain caption", "text"),
] * 8


@pytest.fixture
def pairs(tmp_path):
    frame = pd.DataFrame(PAIRS, columns=["raw_prompt", "prompt", "mode"])
    for name in ("train", "validation"):
        frame.to_parquet(tmp_path / f"{name}.parquet")
    return tmp_path


def run(folder, *more):
    sft.main(
        f"--train_file {folder}/train.parquet --validation_file {folder}/validation.parquet "
        f"--output_dir {folder}/run --report_to none --use_cpu true --bf16 false "
        "--max_length 64 --per_device_train_batch_size 8 --logging_steps 1000".split()
        + list(more)
    )
    return folder / "run" / "model"


@pytest.fixture
def starter(pairs):
    return run(
        pairs,
        *"--template starter --vocabulary_size 320 --hidden_size 16 --n_layer 1 --n_head 2".split(),
        *"--loss_on_prompt true --num_train_epochs 1 --seed 3".split(),
    )


def test_a_starter_from_nothing_runs_in_the_rewriter(starter):
    result = Rewriter(load(starter))("a fox", n=2, max_new_tokens=6)
    assert result.prompt == "a fox"
    assert not list(starter.glob("*.bin"))


def test_it_ends_with_a_sample_and_a_card_of_ours_alone(pairs, capsys):
    sizes = "--template starter --vocabulary_size 320 --hidden_size 16 --n_layer 1 --n_head 2"
    model = run(pairs, *sizes.split(), "--max_steps", "1")
    told = capsys.readouterr().err
    assert "  a fox\n    → " in told and "  a ship\n    → " in told
    cards = {p.relative_to(pairs / "run"): p.read_text() for p in pairs.glob("run/**/README.md")}
    assert list((pairs / "run").glob("checkpoint-*")) and [*map(str, cards)] == ["model/README.md"]
    assert "random weights" in (model / "README.md").read_text()
    assert not any("version of" in card or "None" in card for card in cards.values())


def test_merges_are_strings_that_old_tokenizers_read(starter):
    merges = json.loads((starter / "tokenizer.json").read_text())["model"]["merges"]
    assert merges and all(isinstance(merge, str) for merge in merges)


def test_the_papers_config_trains_a_base_model_on_rewrites(starter, pairs, tmp_path):
    # The same script and template as for bloom-1b1, started from a folder.
    from transformers import PreTrainedTokenizerFast

    tokenizer = PreTrainedTokenizerFast(
        tokenizer_file=str(starter / "tokenizer.json"), eos_token="</s>", pad_token="<pad>"
    )
    base = tmp_path / "base"
    shutil.copytree(starter, base)
    tokenizer.save_pretrained(base)
    folder = run(
        pairs,
        *f"--base {base} --template v1 --weights float32 --max_steps 2".split(),
        *"--learning_rate 1e-3".split(),
    )
    model = load(folder)
    assert model.template == TEMPLATES["v1"]
    before, after = (load(each, dtype="float32").network for each in (base, folder))
    assert any(
        not torch.equal(a.float(), b.float())
        for a, b in zip(before.parameters(), after.parameters(), strict=True)
    )


def test_the_loss_is_on_the_target_alone(starter):
    from transformers import PreTrainedTokenizerFast

    tokenizer = PreTrainedTokenizerFast(
        tokenizer_file=str(starter / "tokenizer.json"), eos_token="</s>"
    )
    row = {"raw_prompt": "a fox", "prompt": "soft light", "mode": "rewrite", "dialect": "tags"}
    row["notes"] = ""
    example = sft.encode_pair(tokenizer, TEMPLATES["v1"], row, 128)
    target = [label for label in example["labels"] if label != -100]
    assert tokenizer.decode(target[:-1]).strip() == "soft light"
    assert target[-1] == tokenizer.eos_token_id
    model = load(starter)
    model.template = TEMPLATES["v1"]
    assert example["input_ids"][: -len(target)] == model.encode("a fox", "rewrite")


WRITTEN = [
    ("a fox in a library", ", rust-red fur, tall oak shelves", "expand", "tags", "fur; shelves"),
    ("A lighthouse at dusk.", " Gulls wheel above it.", "expand", "prose", "gulls"),
    ("a lighthouse at dusk", " in a heavy swell.", "expand", "prose", ""),
    ("1girl, solo", ", silver hair, night sky", "expand", "booru", "night sky; stars"),
    ("a fox", "a rust-red fox, oak shelves", "rewrite", "tags", "rust-red fur"),
]


class Noted(Concepts):
    """Knows the same of every prompt."""

    def __init__(self, known):
        super().__init__([])
        self.known = known

    def notes(self, prompt, dialect, n, rng):
        return [Note(phrase, "look", "main", 5) for phrase in self.known]


@pytest.fixture
def llama(tmp_path):
    """A cut Llama, and pairs in three dialects beside it."""
    columns = ["raw_prompt", "prompt", "mode", "dialect", "notes"]
    for name in ("train", "validation"):
        pd.DataFrame(WRITTEN, columns=columns).to_parquet(tmp_path / f"{name}.parquet")
    base = write_base(tmp_path / "base", layers=2)
    cut.main(f"--base {base} --pairs {tmp_path} --vocabulary 380 --out {tmp_path / 'cut'}".split())
    return tmp_path / "cut"


def test_training_reads_what_the_rewriter_reads_and_then_the_target(llama):
    model, (_, tokenizer) = load(llama), load_base(str(llama))
    for row in read_pairs(llama.parent / "train.parquet"):
        settings = Settings(mode=row["mode"], dialect=row["dialect"])
        notes = row["notes"].split("; ") if row["notes"] else []
        model.concepts = Noted(notes)
        drafter = Drafter(model, row["raw_prompt"], settings)
        asked = model.encode(drafter.raw, row["mode"], dialect=row["dialect"], notes=notes)
        assert asked[0] == model.tokenizer.token_to_id("<|notes|>")
        assert model.tokenizer.token_to_id(f"<|{row['dialect']}|>") in asked
        target = [*model.tokenizer.encode(row["prompt"]).ids, model.eos_id]
        example = sft.encode_pair(tokenizer, model.template, row, 64)
        assert example["input_ids"] == asked + target
        assert example["labels"] == [-100] * len(asked) + target
        # An addition may be begun for the model, by the comma that it would write itself.
        assert example["input_ids"][: len(drafter.ids)] == drafter.ids
        # No space stands alone at the joint: it is the first word's own.
        assert model.tokenizer.id_to_token(target[0]) != "Ġ"
        assert model.decode(target) == row["prompt"]


def test_a_cut_llama_learns_dialects_and_runs_in_the_rewriter(llama):
    arguments = [
        *f"--base {llama} --template dialects --weights float32 --learning_rate 1e-2".split(),
        *"--train_sampling_strategy group_by_length --save_steps 2 --max_steps 4".split(),
    ]
    folder = run(llama.parent, *arguments, "--stop_at", "2")
    first = load(folder, dtype="float32")
    folder = run(llama.parent, *arguments, "--resume", "true")
    model = load(folder, dtype="float32")
    assert model.template == TEMPLATES["dialects"] and model.network.config.tied
    assert not torch.equal(*(m.network.embedding.weight for m in (first, model)))
    fields = json.loads((folder / "config.json").read_text())
    assert fields["architectures"] == ["LlamaForCausalLM"] and fields["dtype"] == "float32"
    assert "lm_head.weight" not in load_file(folder / "model.safetensors")
    for dialect in ("tags", "prose", "booru"):
        result = Rewriter(model)("a fox", n=1, max_new_tokens=4, dialect=dialect)
        assert result.text.startswith("a fox")


def judge(folder):
    """Notes of 40 prompts about ships: the sail suits, the hanger does not."""
    folder.mkdir()
    rows = [
        {
            "prompt": f"ship {number}", "dialect": "tags", "wrong": [1], "best": [0],
            "phrases": "torn sail; wooden hanger; low sun",
        }
        for number in range(40)
    ]  # fmt: skip
    text = "\n".join(json.dumps(row) for row in [*rows, {**rows[0], "best": None}])
    (folder / "ships.jsonl").write_text(text)
    return folder


def test_a_writer_learns_to_tell_which_phrases_suit(llama, tmp_path):
    arguments = [
        *f"--base {llama} --template dialects --weights float32 --learning_rate 1e-2".split(),
        *f"--judgements {judge(tmp_path / 'judged')} --judging_layers 1 --save_steps 6".split(),
        *"--max_steps 12 --rounded_from 0.8 --rounded_group 16".split(),
    ]
    run(llama.parent, *arguments, "--stop_at", "6")
    folder = run(llama.parent, *arguments, "--resume", "true")
    model = load(folder, dtype="float32")
    assert not any("suitability" in name for name in load_file(folder / "model.safetensors"))
    verdicts = model.suitability.of(model, "a ship", "tags", ["wooden hanger", "torn sail"])
    assert verdicts["wooden hanger"].doubt > 0.5 > verdicts["torn sail"].doubt
    assert verdicts["torn sail"].worth > verdicts["wooden hanger"].worth


def test_judgements_need_rows_and_a_template_that_reads_them(llama, starter, tmp_path):
    empty = tmp_path / "none"
    empty.mkdir()
    with pytest.raises(InputError, match=r"no \.jsonl with rows"):
        run(llama.parent, *f"--base {llama} --template dialects --judgements {empty}".split())
    judged = judge(tmp_path / "judged")
    with pytest.raises(InputError, match="'starter' cannot judge"):
        run(llama.parent, *f"--base {starter} --template starter --judgements {judged}".split())


def test_dialects_need_their_tokens_and_names(llama, starter):
    more = f"--base {starter} --template dialects".split()
    with pytest.raises(InputError, match=r"no token .*train\.starter\.cut"):
        run(llama.parent, *more)
    _, tokenizer = load_base(str(llama))
    with pytest.raises(InputError, match="dialect 'verse': choose from tags, prose, booru"):
        sft.check_dialects(tokenizer, [{"dialect": "verse"}])


def test_bfloat16_is_the_machine_s_choice_unless_it_is_set(monkeypatch, tmp_path):
    from trl import SFTConfig

    def bf16(*more):
        given = ["--output_dir", str(tmp_path), *more]
        return train.parse((SFTConfig,), given, precision.machine_defaults())[0].bf16

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    for has in (True, False):
        monkeypatch.setattr(precision, "_cpu_has_bfloat16", lambda has=has: has)
        assert bf16() == has
        assert bf16("--bf16", "true") and not bf16("--bf16", "false")


def test_an_addition_without_a_joint_gets_that_of_its_dialect():
    def written(template, **row):
        given = {"raw_prompt": "a fox", "prompt": "red fur", "mode": "expand", "dialect": "tags"}
        return sft.joined(TEMPLATES[template], given | row)

    assert written("dialects") == ", red fur"
    assert written("dialects", dialect="prose", prompt="It sleeps.") == " It sleeps."
    assert written("dialects", prompt=", red fur") == ", red fur"
    assert written("dialects", mode="rewrite", prompt="a red fox") == "a red fox"
    assert written("v1") == "red fur"


def test_without_a_validation_file_near_duplicates_are_held_out_together():
    rows = [{"raw_prompt": f"{n} in the garden at night", "prompt": "x"} for n in "abcdefgh"]
    rows = [{**r, "raw_prompt": f"{r['raw_prompt']} {w}"} for r in rows for w in ("old", "old")]
    learned, held = sft.hold_out(rows, seed=1)
    assert learned and held
    assert not {r["raw_prompt"] for r in learned} & {r["raw_prompt"] for r in held}
    with pytest.raises(InputError, match="one prompt alone"):
        sft.hold_out(rows[:2], seed=1)


def test_the_template_is_that_of_the_base(tmp_path, starter):
    assert sft.template_name(str(starter)) == "starter"
    assert sft.template_name("starter") == "dialects"
    assert sft.template_name(None) == sft.template_name(str(tmp_path / "none")) == "v1"


def test_training_on_takes_the_directions_of_a_base_that_judges(llama, tmp_path):
    from train.models.judging import NAME, add_directions

    model, _ = load_base(str(llama))
    width = model.config.hidden_size
    learned = Suitability(torch.randn(2, width), torch.randn(2), depth=1)
    learned.save(tmp_path)
    add_directions(model, tmp_path, depth=1)
    assert torch.equal(model.get_submodule(NAME).weight, learned.directions)
    assert torch.equal(model.get_submodule(NAME).bias, learned.bias)
    add_directions(model, tmp_path, depth=2)  # behind other layers they would say nothing
    assert not torch.equal(model.get_submodule(NAME).weight, learned.directions)
