"""Compile what is there and write the MANIFEST by which a half-filled copy is recognised."""

import compileall
import py_compile
import sys
from pathlib import Path

# Such compiled files stay valid whatever a copy does to modification times.
UNCHECKED = py_compile.PycInvalidationMode.UNCHECKED_HASH


def seal(root: Path) -> str:
    """Compile the bundle's own Python files, count everything, write and return the MANIFEST."""
    for folder in ("base/lib/python3.13", "lib/python3.13/site-packages"):
        compileall.compile_dir(root / folder, quiet=2, workers=0, invalidation_mode=UNCHECKED)
    entries = [path for path in root.rglob("*") if path.is_symlink() or path.is_file()]
    size_bytes = sum(path.stat().st_size for path in entries if not path.is_symlink())
    manifest = root / "MANIFEST"
    text = f"files {len(entries)}\nbytes {size_bytes}\n"
    manifest.write_text(text, encoding="ascii")
    return text


if __name__ == "__main__":
    sys.stdout.write(seal(Path(sys.argv[1])))
