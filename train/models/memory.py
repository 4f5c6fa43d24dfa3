"""How a training on a CPU keeps its memory."""

from __future__ import annotations

import ctypes
import os
import sys

# Of glibc's <malloc.h>; values are C integers.
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _MOST = -1, -3, 2**31 - 1


def keep_freed_memory() -> bool:
    """Have the C library keep what is freed; whether it does.

    Every step frees and asks for the same large tensors. By default glibc gives each back to the
    system and gets pages anew, which the kernel fills with zeros: up to a third of a step's time.
    What the environment says (MALLOC_TRIM_THRESHOLD_, MALLOC_MMAP_THRESHOLD_) stays.
    """
    if sys.platform != "linux" or any(name.startswith("MALLOC_") for name in os.environ):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # other C libraries have none
    if mallopt is None:
        return False
    return all([mallopt(_TRIM_THRESHOLD, _MOST), mallopt(_MMAP_THRESHOLD, _MOST)])
