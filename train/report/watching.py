"""Progress of transformers' and TRL's trainers as of our own: a bar, or a line now and then in a
log file, with tokens a second and the memory held."""

from __future__ import annotations

import sys
import time

from train.data.progress import bar, pace

_LOGGED = ("loss", "grad_norm", "learning_rate", "reward", "kl", "eval_loss", "eval_spearman")


def watch(trainer, desc: str) -> None:
    """Let a Trainer tell its progress so, unless `disable_tqdm` says no; call before it trains.

    Tokens are counted where its `include_num_input_tokens_seen` says so, or it counts by itself.
    """
    from transformers import PrinterCallback, ProgressCallback, TrainerCallback

    if trainer.args.disable_tqdm:
        return

    class Watching(TrainerCallback):
        def on_train_begin(self, args, state, control, **kwargs):
            off = not state.is_world_process_zero
            self.bar = bar(state.max_steps, desc, state.global_step, off)
            self.start, self.first = time.perf_counter(), state.num_input_tokens_seen
            self.loss = {}

        def on_step_end(self, args, state, control, **kwargs):
            tokens = state.num_input_tokens_seen - self.first
            speed = tokens / (time.perf_counter() - self.start)
            self.bar.set_postfix(self.loss | pace(speed), refresh=False)
            self.bar.update()

        def on_log(self, args, state, control, logs=None, **kwargs):
            said = {name: logs[name] for name in _LOGGED if name in (logs or {})}
            self.loss |= {name: f"{said[name]:.3f}" for name in ("loss", "reward") if name in said}
            if said and not self.bar.disable:
                figures = ", ".join(f"{name} {float(value):.4g}" for name, value in said.items())
                self.bar.write(f"step {state.global_step}: {figures}", file=sys.stderr)

        def on_train_end(self, args, state, control, **kwargs):
            self.bar.close()

    for kind in (ProgressCallback, PrinterCallback):
        trainer.remove_callback(kind)
    trainer.add_callback(Watching())
