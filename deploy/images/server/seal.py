"""Compile what is there and write the MANIFEST by which a half-filled copy is recognised."""

import compileall
import py_compile
import sys
from pathlib import Path

root = Path(sys.argv[1])
UNCHECKED = py_compile.PycInvalidationMode.UNCHECKED_HASH  # stays valid whatever a copy does to times

compiled = [
    compileall.compile_dir(folder, quiet=2, workers=0, invalidation_mode=UNCHECKED)
    for folder in (root / "base/lib/python3.13", root / "lib/python3.13/site-packages")
]
# Every file and link below the root, and the bytes of all plain files.
entries = [path for path in root.rglob("*") if path.is_symlink() or path.is_file()]
size_bytes = sum(path.stat().st_size for path in entries if not path.is_symlink())
manifest = root / "MANIFEST"
manifest.write_text(f"files {len(entries)}\nbytes {size_bytes}\n", encoding="ascii")
print(manifest.read_text(encoding="ascii"))
