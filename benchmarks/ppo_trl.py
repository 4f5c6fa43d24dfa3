"""TRL 1.12's PPOTrainer, the last that TRL shipped, as a peer: run for time, or for its numbers.

    pip install --no-deps --target TRL trl==1.12.0
    PYTHONPATH=TRL python benchmarks/ppo_trl.py record tests/train/rl/trl_batch.json

`record` runs it over one batch of a tiny random BLOOM and writes down what went into its
advantages and losses and what came out, for our own to be compared with. `benchmarks/ppo.py` calls
`train` in a process of its own.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path

import torch

os.environ.setdefault("TRL_EXPERIMENTAL_SILENCE", "1")

import benchmarks  # noqa: F401  # the root on sys.path
from bp_core.models.vision import define_operators

define_operators()

from datasets import Dataset  # noqa: E402
from transformers import (  # noqa: E402
    AutoModelForSequenceClassification,
    BloomConfig,
    BloomForCausalLM,
    BloomForSequenceClassification,
    PreTrainedConfig,
    PreTrainedTokenizerFast,
    TrainerCallback,
)
from trl.experimental.ppo import PPOConfig, PPOTrainer, ppo_trainer  # noqa: E402


class Collator:
    """Prompts padded on the left."""

    def __init__(self, pad: int) -> None:
        self.pad = pad

    def __call__(self, rows: list[dict]) -> dict[str, torch.Tensor]:
        longest = max(len(row["input_ids"]) for row in rows)
        ids = [[self.pad] * (longest - len(r["input_ids"])) + r["input_ids"] for r in rows]
        return {"input_ids": torch.tensor(ids)}


class TrainFrame(TrainerCallback):
    """At the end of each step, hands the local variables of `PPOTrainer.train` to a function."""

    def __init__(self, see) -> None:
        self.see = see

    def on_step_end(self, args, state, control, **kwargs):
        frame = sys._getframe()
        while frame.f_code.co_name != "train" or "query_responses" not in frame.f_locals:
            frame = frame.f_back
        self.see(frame.f_locals)
        return control


def without_positions(model):
    """BLOOM has no positions (ALiBi), and TRL passes some all the same."""
    backbone = getattr(model, model.base_model_prefix)
    forward = backbone.forward
    backbone.forward = lambda *args, position_ids=None, **kwargs: forward(*args, **kwargs)
    if hasattr(model, "lm_head"):
        own = model.forward
        model.forward = lambda *args, position_ids=None, **kwargs: own(*args, **kwargs)
    return model


def scalar(config: PreTrainedConfig) -> PreTrainedConfig:
    """The same network for a model that gives one number."""
    return type(config)(**config.to_dict() | {"num_labels": 1, "id2label": None, "label2id": None})


def trainer(policy, reward, tokenizer, prompts: list[list[int]], see, **settings) -> PPOTrainer:
    """A PPOTrainer over causal models; `settings` are PPOConfig's."""
    value = AutoModelForSequenceClassification.from_config(scalar(policy.config))
    prefix = policy.base_model_prefix
    getattr(value, prefix).load_state_dict(getattr(policy, prefix).state_dict())
    reference = type(policy)(policy.config)
    reference.load_state_dict(policy.state_dict())
    fixed = {
        "output_dir": tempfile.mkdtemp(),
        "report_to": "none",
        "use_cpu": not torch.cuda.is_available(),
        "bf16": False,
        "gradient_checkpointing": False,
        "num_sample_generations": 0,
        "save_strategy": "no",
        "disable_tqdm": True,
        "lr_scheduler_type": "constant",
        "temperature": 1.0,
        "stop_token": "eos",
    }
    models = policy, reference, value
    if policy.config.model_type == "bloom":
        models = tuple(map(without_positions, models))
    return PPOTrainer(
        PPOConfig(**fixed | settings),
        processing_class=tokenizer,
        model=models[0],
        ref_model=models[1],
        reward_model=reward,
        train_dataset=Dataset.from_dict({"input_ids": prompts}),
        value_model=models[2],
        data_collator=Collator(tokenizer.pad_token_id),
        callbacks=[TrainFrame(see)],
    )


def tokenizer_of(size: int) -> PreTrainedTokenizerFast:
    """A vocabulary of `size` words that mean nothing; 0 pads, 1 ends."""
    from tokenizers import Tokenizer, models

    words = {"<pad>": 0, "</s>": 1} | {f"w{i}": i for i in range(2, size)}
    return PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(models.WordLevel(words, unk_token="w2")),
        pad_token="<pad>",
        eos_token="</s>",
    )


def record(path: str) -> None:
    """Write one batch's tensors as JSON: three epochs, so that ratios leave the clip range."""
    torch.manual_seed(3)
    # Few words, so that the end token comes early in some rows and never in others.
    config = BloomConfig(
        vocab_size=12, hidden_size=16, n_layer=2, n_head=2, pad_token_id=0, eos_token_id=1
    )
    policy = BloomForCausalLM(config)
    reward = without_positions(BloomForSequenceClassification(scalar(config)))
    torch.nn.init.normal_(reward.score.weight)
    prompts = torch.randint(2, 12, (8, 5)).tolist()
    epochs: list[dict] = []
    found: dict = {}
    forward = ppo_trainer.forward
    softmax = ppo_trainer.selective_log_softmax

    def see_forward(model, query_responses, pad):
        output = forward(model, query_responses, pad)
        if isinstance(output, tuple) and torch.is_grad_enabled():
            epochs.append({"queries": query_responses, "values": output[1].detach()})
        return output

    def see_softmax(logits, ids):
        logprobs = softmax(logits, ids)
        if torch.is_grad_enabled():
            epochs[-1]["logprobs"] = logprobs.detach().clone()
        return logprobs

    def see(names: dict) -> None:
        order = [
            [names["query_responses"].tolist().index(row) for row in e["queries"].tolist()]
            for e in epochs
        ]
        start = names["context_length"]
        found.update(
            {
                name: names[name].tolist()
                for name in (
                    "logprobs ref_logprobs values scores rewards advantages returns "
                    "sequence_lengths pg_loss_stats vf_loss_stats pg_clipfrac_stats"
                ).split()
            }
        )
        found["new_logprobs"] = [e["logprobs"].tolist() for e in epochs]
        found["new_values"] = [e["values"][:, start - 1 : -1, 0].tolist() for e in epochs]
        found["order"] = order

    ppo_trainer.forward, ppo_trainer.selective_log_softmax = see_forward, see_softmax
    settings = {
        "per_device_train_batch_size": 8,
        "gradient_accumulation_steps": 1,
        "num_ppo_epochs": 3,
        "num_mini_batches": 1,
        "total_episodes": 8,
        "response_length": 9,
        "learning_rate": 3e-2,
        "kl_coef": 0.05,
        "gamma": 0.98,
        "seed": 3,
    }
    run = trainer(policy, reward, tokenizer_of(12), prompts, see, **settings)
    # Away from the reference, or the KL penalty is nothing.
    for parameter in run.ref_model.parameters():
        parameter.data += 0.05 * torch.randn_like(parameter)
    run.train()
    found |= {k: settings[k] for k in ("kl_coef", "gamma")}
    found |= {"lam": run.args.lam, "clip": run.args.cliprange}
    found |= {"clip_value": run.args.cliprange_value}
    Path(path).write_text(json.dumps(found), encoding="utf-8")
    print(f"wrote {path}", file=sys.stderr)


if __name__ == "__main__":
    if len(sys.argv) != 3 or sys.argv[1] != "record":
        sys.exit("usage: ppo_trl.py record FILE")
    record(sys.argv[2])
