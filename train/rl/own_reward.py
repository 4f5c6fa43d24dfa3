"""A reward that is a Python function: `--reward module:function`, or `--reward file.py:function`.

The function takes prompts and rewrites, a list of texts each, and gives one number a rewrite. One
whose arguments are called `prompts` and `completions` is called by their names, as TRL calls it.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import math
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from bp_core.errors import InputError
from bp_core.score.text_reward import Score


class FunctionReward:
    """Scores as a reward model does; the function's numbers as they are.

    The terms of `train.rl.rewards` are weighed against them: numbers that spread by about 1 suit.
    """

    def __init__(self, where: str) -> None:
        self._where, self._function = where, load_function(where)
        named = inspect.signature(self._function).parameters
        self._by_name = {"prompts", "completions"} <= set(named)

    def score(self, prompts: Sequence[str], raw: Sequence[str]) -> list[Score]:
        """One Score a rewrite; raises InputError where the function gives anything else."""
        rewrites, given = list(prompts), list(raw)
        if self._by_name:
            values = self._function(prompts=given, completions=rewrites)
        else:
            values = self._function(given, rewrites)
        try:
            numbers = [float(value) for value in values]
        except (TypeError, ValueError) as error:
            raise InputError(f"{self._where} must give a list of numbers: {error}") from error
        if len(numbers) != len(rewrites):
            raise InputError(
                f"{self._where} gave {len(numbers)} scores for {len(rewrites)} rewrites: one each"
            )
        bad = next((i for i, n in enumerate(numbers) if not math.isfinite(n)), None)
        if bad is not None:
            raise InputError(f"{self._where} scored {rewrites[bad]!r} with {numbers[bad]}")
        return [Score(number, 0.0, 0.0) for number in numbers]


def load_function(where: str) -> Callable:
    """The function that "module:function" or "file.py:function" names; raises InputError."""
    home, _, name = where.rpartition(":")
    if not home or not name:
        raise InputError(f"--reward is '{where}': give module:function or file.py:function")
    try:
        if home.endswith(".py"):
            spec = importlib.util.spec_from_file_location(Path(home).stem, home)
            module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
        else:
            if "" not in sys.path and str(Path.cwd()) not in sys.path:
                sys.path.append(str(Path.cwd()))
            module = importlib.import_module(home)
    except (ImportError, OSError, SyntaxError) as error:
        raise InputError(f"--reward {where}: {error}") from error
    function = getattr(module, name, None)
    if not callable(function):
        raise InputError(f"--reward {where}: {home} has no function {name}")
    return function
