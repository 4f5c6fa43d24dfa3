#!/usr/bin/env bash
# safetensors 0.8.0 gives every file that it writes the mode 0600, whatever the umask says, and puts a
# new file in the place of the old one.
#
# 0.7.0 opened the path as any program does: mode 0644 under a umask of 022, a file that was there
# kept its mode, and a symbolic link was written through. `save_file` of 0.8.0 writes a private
# temporary file beside it and renames that: a model that one user trains cannot be read by a server
# that runs as another, a file shared with a group loses its group's rights, and a link to a file on
# another disk becomes a file of its own.
#
# Seen with numpy 2.4.1:
#   0.7.0 new 644, there before 664, link True
#   0.8.0 new 600, there before 600, link False
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
umask 022
python3 -m venv env
cat > try.py <<'PY'
from pathlib import Path

import numpy
import safetensors
from safetensors.numpy import save_file

state = {"weight": numpy.zeros(4, dtype=numpy.float32)}
new, shared, link, target = map(Path, ("new", "shared", "link", "target"))
for path in (new, shared, link, target):
    path.unlink(missing_ok=True)
for path in (shared, target):
    path.touch()
shared.chmod(0o664)
link.symlink_to(target)
for path in (new, shared, link):
    save_file(state, path)
mode = {path: f"{path.stat().st_mode & 0o777:o}" for path in (new, shared)}
print(f"{safetensors.__version__} new {mode[new]}, there before {mode[shared]}, link {link.is_symlink()}")
PY
for version in 0.7.0 0.8.0; do
    env/bin/pip install -q safetensors==$version numpy==2.4.1
    env/bin/python try.py
done | tee seen
diff seen - <<'SEEN'
0.7.0 new 644, there before 664, link True
0.8.0 new 600, there before 600, link False
SEEN
