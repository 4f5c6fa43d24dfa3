"""Before sampling: gives a job's prompts their rewrites. Whatever fails, the job goes on as it was.

A job is the host's `StableDiffusionProcessing`: `all_prompts` and `all_seeds` have one entry an
image once wildcards and styles are filled in; before that there is only `prompt` and `seed`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from bp_core.errors import Cancelled

from .app import App, with_defaults
from .arguments import Arguments
from .records import JOB_RECORD, Recent, Record, infotext, told

if TYPE_CHECKING:
    from bp_core import Result

#: Where the X/Y/Z axes leave their wishes on their copy of a job.
OVERRIDES = "_beautify_overrides"
_OURS = set(infotext(Recent()))


def before_process(app: App, p: Any, values: Sequence, fixed_seed: Callable[[Any], Any]) -> None:
    """Rewrite `p.prompt`, when that is to happen before other extensions fill in wildcards.

    Args:
        fixed_seed: the host's, from -1 to a number.
    """
    with_guard(app, p, values, lambda arguments: _before(app, p, arguments, fixed_seed))


def process(app: App, p: Any, values: Sequence) -> None:
    """Rewrite `p.all_prompts`; hires prompts that equal them follow."""
    with_guard(app, p, values, lambda arguments: _process(app, p, arguments))


def with_guard(app: App, p: Any, values: Sequence, work: Callable[[Arguments], None]) -> None:
    """Run `work` with the job's arguments; say under the image why it failed."""
    try:
        work(with_defaults(values, app.options(), getattr(p, OVERRIDES, None)))
    except Cancelled:
        pass
    except Exception as error:
        reason = app.why(error)
        p.comment(f"Beautify: {reason} (the prompt was used as it is)")
        # The API shows no comments.
        _tell_infotext(p, {"Beautify failed": reason})


def _before(app: App, p: Any, arguments: Arguments, fixed_seed: Callable[[Any], Any]) -> None:
    if arguments.when == "Off" or not arguments.before:
        return
    prompts = p.prompt if isinstance(p.prompt, list) else [p.prompt]
    p.seed = fixed_seed(p.seed)
    first = p.seed[0] if isinstance(p.seed, list) else p.seed
    seed = int(first) if arguments.seed < 0 else arguments.seed
    texts = rewritten(app, p, prompts, [seed] * len(prompts), arguments)
    if texts == prompts:
        return
    if getattr(p, "hr_prompt", "") == prompts[0]:
        p.hr_prompt = texts[0]
    p.prompt = texts if isinstance(p.prompt, list) else texts[0]
    # Wildcards make other texts of it, which no record knows.
    setattr(p, JOB_RECORD, app.records.get(texts[0]))
    _tell_records(app, p, texts)


def _process(app: App, p: Any, arguments: Arguments) -> None:
    prompts = list(p.all_prompts)
    if arguments.when != "Off" and not arguments.before:
        seeds = rewrite_seeds(p.all_seeds, prompts, arguments)
        texts = rewritten(app, p, prompts, seeds, arguments)
        hires = getattr(p, "all_hr_prompts", None)
        if hires:
            p.all_hr_prompts = [
                new if text == old else text
                for text, old, new in zip(hires, prompts, texts, strict=True)
            ]
        if getattr(p, "main_prompt", None) == prompts[0]:
            p.main_prompt = texts[0]
        p.all_prompts = texts
    # A prompt that the button wrote is told of, too.
    if any(app.records.get(text) for text in p.all_prompts):
        _tell_records(app, p, p.all_prompts)


def process_batch(app: App, p: Any, prompts: Sequence[str]) -> None:
    """Tell of one batch's prompts, where the infotext cannot ask for them image by image."""
    if not app.host.infotext_takes_functions() and _OURS & set(p.extra_generation_params):
        _tell_records(app, p, prompts)


def rewrite_seeds(
    image_seeds: Sequence[int], prompts: Sequence[str], arguments: Arguments
) -> list[int]:
    """One rewriting seed a prompt: the image's own or the wished one, alike or each another."""
    if arguments.seed >= 0:
        return [arguments.seed + (i if arguments.each else 0) for i in range(len(prompts))]
    seeds = [int(image_seeds[min(i, len(image_seeds) - 1)]) for i in range(len(prompts))]
    return seeds if arguments.each else [seeds[0]] * len(seeds)


def rewritten(
    app: App, p: Any, prompts: Sequence[str], seeds: Sequence[int], arguments: Arguments
) -> list[str]:
    """The texts to use; one rewriting a distinct (prompt, seed), none of what we wrote ourselves.

    Raises:
        BeautifulPromptError: nothing was rewritten.
    """
    chosen = app.options()
    setup = (arguments, chosen, app.host.image_model())
    pairs = list(zip(prompts, seeds, strict=True))
    texts: dict[tuple[str, int], str] = {}
    for pair in dict.fromkeys(pairs):
        if not pair[0].strip() or app.records.get(pair[0]):
            texts[pair] = pair[0]
        elif (done := app.done.get((pair, setup))) is not None:
            texts[pair], note = done
            _tell(p, note)
    missing = [pair for pair in dict.fromkeys(pairs) if pair not in texts]
    if missing:
        results, model = app.rewrite(
            [prompt for prompt, _ in missing],
            [seed for _, seed in missing],
            arguments,
            exclusive=True,
            on_progress=app.stop_when_interrupted,
        )
        for pair, result in zip(missing, results, strict=True):
            texts[pair] = result.text
            if result.text != result.prompt:
                record = Record(pair[0], model, arguments.mode, pair[1], result.dialect)
                app.records.put(result.text, record)
            note = _note(result, arguments)
            app.done.put((pair, setup), (result.text, note))
            _tell(p, note)
    return [texts[pair] for pair in pairs]


def _note(result: Result, arguments: Arguments) -> str:
    # Under "Auto" it is what the artist asked for that a good prompt stays as it is.
    return result.note if result.text == result.prompt and arguments.when == "Always" else ""


def _tell_records(app: App, p: Any, prompts: Sequence[str]) -> None:
    if app.host.infotext_takes_functions():
        _tell_infotext(p, infotext(app.records))
    else:
        _tell_infotext(p, told(app.records, prompts, getattr(p, JOB_RECORD, None)))


def _tell_infotext(p: Any, entries: dict[str, Any]) -> None:
    # Copies of a job share the dictionary; what is told of one must not be told of the others.
    p.extra_generation_params = {**p.extra_generation_params, **entries}


def _tell(p: Any, note: str) -> None:
    if note:
        p.comment(f"Beautify: {note}")
