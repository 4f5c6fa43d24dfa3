"""What a folder's work was begun with, so that nothing goes on with other arguments."""

from __future__ import annotations

import json
from pathlib import Path

from bp_core.errors import InputError


def keep_plan(path: Path, about: dict, what: str) -> bool:
    """Write down what decides the results, or check that it is what they were begun with.

    Args:
        what: is made there, for the message.

    Returns:
        Whether there was such a plan before.

    Raises:
        InputError: there was another one.
    """
    about = json.loads(json.dumps(about))
    if path.is_file():
        before = json.loads(path.read_text(encoding="utf-8"))
        changed = sorted(k for k in about.keys() | before.keys() if about.get(k) != before.get(k))
        if changed:
            raise InputError(
                f"{path.parent} holds {what} made with another {', '.join(changed)}: "
                "give another --out"
            )
        return True
    draft = path.with_suffix(".draft")
    draft.write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")
    draft.replace(path)
    return False
