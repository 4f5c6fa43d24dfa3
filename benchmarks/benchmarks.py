"""`import benchmarks` in a script that was started as `python benchmarks/x.py`.

Python then looks for modules in its folder and finds this one. It puts the repository's
root there instead, and makes room for the package `benchmarks`.
"""

import importlib
import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[1])
del sys.modules[__name__]
importlib.import_module(__name__)
