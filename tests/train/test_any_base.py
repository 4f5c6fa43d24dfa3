"""Every stage from every family's base: trained, written, read here and in transformers alike."""

import json

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file
from safetensors.torch import save_file as save

from bp_core.errors import InputError
from bp_core.models.load import load
from bp_core.models.template import TEMPLATES
from bp_core.rewriter import Rewriter
from bp_core.score.text_reward import TextReward
from tests.train.bases import ENDS, write_family
from train import grpo, ppo, reward, sft
from train.models.causal import load_base, write_folder

IDS = torch.tensor([[5, 6, 7, 8, 9]])
PAIRS = [
    ("a fox", "a fox, soft light, oil painting", 0.0),
    ("a ship", "a ship, heavy rain", 1.0),
    ("an owl", "an owl, misty morning", 3.0),
]
# A BLOOM's head is always tied.
CASES = [(kind, tied) for kind in ENDS for tied in (True, False) if tied or kind != "bloom"]
TRAINER = (
    "--report_to none --use_cpu true --bf16 false --max_steps 2 --save_strategy no "
    "--disable_tqdm true --per_device_train_batch_size 4 --weights float32 "
)


@pytest.fixture(params=CASES, ids=lambda case: f"{case[0]}-{'tied' if case[1] else 'untied'}")
def base(request, tmp_path):
    columns = ["raw_prompt", "prompt", "score"]
    pd.DataFrame(PAIRS * 3, columns=columns).to_parquet(tmp_path / "pairs.parquet")
    (tmp_path / "prompts.txt").write_text("a fox\na ship\nan owl\na cat\n")
    return write_family(tmp_path / "base", *request.param)


def teach(start, out):
    work = out.parent
    sft.main(
        f"--train_file {work}/pairs.parquet --validation_file {work}/pairs.parquet --base {start} "
        f"--output_dir {out} --max_length 96 --learning_rate 1e-2 {TRAINER}".split()
    )
    return out / "model"


def same_everywhere(folder):
    """The logits of bp_core, equal to transformers', of a folder that lacks and adds nothing."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    theirs, found = AutoModelForCausalLM.from_pretrained(
        folder, dtype="float32", output_loading_info=True
    )
    assert not any(found.values())
    ours, tokenizer = load(folder, dtype="float32"), AutoTokenizer.from_pretrained(folder)
    with torch.no_grad():
        logits = ours.network(IDS)
        torch.testing.assert_close(logits, theirs.eval()(IDS).logits, atol=1e-4, rtol=1e-4)
    text = "a fox, soft light"
    assert tokenizer(text)["input_ids"] == ours.tokenizer.encode(text).ids
    assert tokenizer.eos_token_id == ours.eos_id
    assert len(tokenizer) == ours.network.vocab_size
    return logits


def test_every_stage_trains_it_and_what_it_writes_is_read_alike(base):
    work = base.parent
    first = teach(base, work / "sft")
    before = same_everywhere(first)
    card = (first / "README.md").read_text()
    assert str(base) in card and "train/sft.py" in card and "None" not in card
    fields = json.loads((first / "config.json").read_text())
    assert fields["model_type"].title()[:4] in fields["architectures"][0].title()
    has_head = "lm_head.weight" in load_file(first / "model.safetensors")
    assert has_head != fields["tie_word_embeddings"]
    result = Rewriter(load(first))("a fox", n=2, max_new_tokens=6, mode="rewrite")
    assert "fox" in result.text

    reward.main(
        f"--train_file {work}/pairs.parquet --validation_file {work}/pairs.parquet --base {first} "
        f"--output_dir {work}/reward {TRAINER}".split()
    )
    mine = TextReward.load(work / "reward/model")
    assert mine.score(["a fox, red", "a ship"]).isfinite().all()

    common = f"--prompts {work}/prompts.txt --base {first} --aesthetic_reward {work}/reward/model"
    ppo.main(
        f"{common} --output_dir {work}/ppo --steps 2 --rollouts_per_step 4 --epochs 1 "
        "--samples_per_prompt 2 --minibatch_size 4 --micro_batch_size 2 --trained_layers 1 "
        "--max_new_tokens 6 --weights float32 --threads 1 --learning_rate 1e-2".split()
    )
    grpo.main(
        f"{common} --output_dir {work}/grpo --mode rewrite --num_generations 2 "
        f"--max_completion_length 6 --learning_rate 1e-2 {TRAINER}".split()
    )
    for stage in ("ppo", "grpo"):
        assert not torch.equal(same_everywhere(work / stage / "model"), before)
        again = teach(work / stage / "model", work / f"{stage}_on")
        assert not torch.equal(same_everywhere(again), before)


def test_a_reward_takes_over_what_its_base_says(base):
    work = base.parent
    common = f"--train_file {work}/pairs.parquet --validation_file {work}/pairs.parquet {TRAINER}"
    reward.main(
        f"{common} --base {base} --output_dir {work}/one --pooling mean --max_tokens 77".split()
        + ["--template", "Picture: {prompt}</s>"]
    )
    about = json.loads((work / "one/model/beautifulprompt.json").read_text())
    end = load_base(str(base))[1].eos_token
    assert about["template"] == f"Picture: {{prompt}}{end}"
    reward.main(f"{common} --base {work}/one/model --output_dir {work}/two".split())
    again = json.loads((work / "two/model/beautifulprompt.json").read_text())
    fields = "template", "pooling", "max_tokens"
    assert [again[k] for k in fields] == [about[k] for k in fields]


def test_transformers_scores_a_reward_s_folder_alike(tmp_path):
    from transformers import AutoModelForSequenceClassification

    base = write_family(tmp_path / "base", "gpt2", tied=False)
    pd.DataFrame(PAIRS * 3, columns=["raw_prompt", "prompt", "score"]).to_parquet(
        tmp_path / "pairs.parquet"
    )
    files = f"--train_file {tmp_path}/pairs.parquet --validation_file {tmp_path}/pairs.parquet"
    reward.main(f"{files} --base {base} --output_dir {tmp_path}/r {TRAINER}".split())
    ours = TextReward.load(tmp_path / "r/model")
    theirs = AutoModelForSequenceClassification.from_pretrained(tmp_path / "r/model").eval()
    ids = ours.template.encode(ours.tokenizer, "a fox, red", "", ours.control)
    found = ours.score(["a fox, red"]).item() * ours.scores.std + ours.scores.mean
    assert found == pytest.approx(theirs(torch.tensor([ids])).logits.item(), abs=1e-4)


def test_a_base_without_its_head_is_an_error_not_a_random_one(tmp_path):
    base = write_family(tmp_path / "base", "qwen2", tied=False)
    state = load_file(base / "model.safetensors")
    state.pop("lm_head.weight")
    save(state, base / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(InputError, match=r"lacks lm_head\.weight"):
        load_base(str(base))


def test_an_untied_bloom_is_refused_before_it_is_trained(tmp_path):
    base = write_family(tmp_path / "base", "bloom", tied=False)
    with pytest.raises(InputError, match="output head"):
        load_base(str(base))


def test_tokens_without_a_row_get_one(tmp_path):
    base = write_family(tmp_path / "base", "llama", tied=False)
    path = base / "tokenizer.json"
    fields = json.loads(path.read_text())
    token = dict(fields["added_tokens"][0], id=len(fields["model"]["vocab"]), content="<new>")
    fields["added_tokens"].append(token)
    path.write_text(json.dumps(fields))
    model, tokenizer = load_base(str(base))
    assert model.get_input_embeddings().weight.shape[0] == token["id"] + 1
    write_folder(model, tokenizer, TEMPLATES["v1"], tmp_path / "out", "float32")
    assert load(tmp_path / "out").network.vocab_size == token["id"] + 1


def test_a_base_that_is_not_there_is_one_line(tmp_path):
    with pytest.raises(InputError, match="cannot load the base"):
        load_base(str(tmp_path / "nothing"))
