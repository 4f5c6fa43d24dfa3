"""`import train` in a command that was started as `python train/x.py`.

Python then looks for modules in the command's folder and finds this one. It puts the repository's
root there instead, and makes room for the package `train`.
"""

import importlib
import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[1])
del sys.modules[__name__]
importlib.import_module(__name__)
