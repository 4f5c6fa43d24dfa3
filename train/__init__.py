"""Builds the models that `bp_core` runs, by the BeautifulPrompt recipe and beyond.

Commands stand here, each `python train/x.py` from the repository's root; what they share stands in
the folders, which import no command:

    data      pairs, prompt pools, cleaning, near-duplicates, judgements
    models    networks and tokenizers: from a base, from random weights, written as folders
    rewards   what learns people's scores: reward networks, phrase fit, pictures and their labels
    rl        PPO, GRPO and best of n: rollouts, their rewards, what is learned from them
    report    figures, plots and pages
    compare   versions of the same prompts side by side: pictures, and votes without names
    starter   what only rebuilds the bundled models: `python -m train.starter.x`
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NoReturn

from bp_core.errors import BeautifulPromptError, InputError


def run(main: Callable[[], None]) -> None:
    """Run a command's `main`; what it cannot do becomes one line on stderr and exit code 1."""
    try:
        main()
    except BeautifulPromptError as error:
        sys.exit(f"{Path(sys.argv[0]).name}: {error}")


def make_folder(path: Path) -> None:
    """Make a folder to write to; raises InputError where that cannot be done."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot write to {path} ({error.strerror}): give another") from error


def parse(
    kinds: type | tuple[type, ...],
    argv: list[str] | None,
    defaults: Mapping[str, object] = MappingProxyType({}),
):
    """Dataclasses filled from `--config file.yaml` and the command line.

    Args:
        defaults: in place of the dataclasses' own.

    Raises:
        InputError: an unknown or missing argument, or a value that does not fit.
    """
    from trl import TrlParser
    from yaml import YAMLError

    def wrong(message: str) -> NoReturn:
        # argparse would print the hundreds of arguments that there are.
        raise InputError(f"{message} (--help lists the arguments)")

    try:
        parser = TrlParser(kinds)
        parser.error = wrong
        for action in parser._actions:
            # argparse fills in "%(default)s"; a "30 % fewer" of a library's would end --help.
            action.help = re.sub(r"%%|%(?!\(\w+\)s)", "%%", action.help or "")
        parser.set_defaults(**defaults)
        return parser.parse_args_and_config(argv)
    except (OSError, ValueError, TypeError, YAMLError) as error:
        message = " ".join(str(error).split())
        raise InputError(f"{message} (--help lists the arguments)") from error
