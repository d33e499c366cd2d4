"""What one instance of labhub is on this machine: its name, places and ports.

deploy/up decides these facts and hands them over as environment variables; the admin's wishes are
in labhub.yaml instead (see load.py).
"""

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

PREFIX = "LABHUB_"
FACTOR_MIN, FACTOR_MAX = 0.01, 100.0

# Volumes and containers begin with the name; auth/identity.py keeps the whole below 63 characters.
_NAME = re.compile(r"[a-z]([a-z0-9-]{0,12}[a-z0-9])?")


class InstanceError(ValueError):
    """The environment does not describe an instance; the text is one sentence."""


@dataclass(frozen=True, slots=True)
class Instance:
    """One instance. Paths end in `_on_host` where the engine, not this process, must find them.

    `cgroup_dir` and `proc_dir` are the host's, as this process sees them; `engine_patience`
    multiplies the deadline of every call to the engine, for machines with slow disks.
    """

    name: str
    config_path: Path
    secrets_dir: Path
    state_dir: Path
    state_dir_on_host: Path
    volumes_dir: Path
    volumes_dir_on_host: Path
    port: int
    api_port: int
    hub_port: int
    accounts_port: int
    network: str
    gateway: str
    bundle: str
    cgroup_dir: Path = Path("/sys/fs/cgroup")
    engine_patience: float = 1.0
    proc_dir: Path = Path("/proc")

    @property
    def local_url(self) -> str:
        """The address a browser on this machine opens, without a final slash."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def hub_url(self) -> str:
        """The hub's own address, for servers and for the proxy, without a final slash."""
        return f"http://{in_url(self.gateway)}:{self.hub_port}"


def in_url(address: str) -> str:
    """Return an IP address as it stands in a URL."""
    return f"[{address}]" if ":" in address else address


def read_instance(environ: Mapping[str, str]) -> Instance:
    """Read the instance from the environment, or raise InstanceError naming what is missing."""
    return Instance(
        name=_name(environ, "INSTANCE"),
        config_path=_path(environ, "CONFIG"),
        secrets_dir=_path(environ, "SECRETS"),
        state_dir=_path(environ, "STATE"),
        state_dir_on_host=_path(environ, "STATE_ON_HOST"),
        volumes_dir=_path(environ, "VOLUMES"),
        volumes_dir_on_host=_path(environ, "VOLUMES_ON_HOST"),
        port=_port(environ, "PORT"),
        api_port=_port(environ, "API_PORT"),
        hub_port=_port(environ, "HUB_PORT"),
        accounts_port=_port(environ, "ACCOUNTS_PORT"),
        network=_text(environ, "NETWORK"),
        gateway=_address(environ, "GATEWAY"),
        bundle=_text(environ, "BUNDLE"),
        cgroup_dir=_path({f"{PREFIX}CGROUP": "/sys/fs/cgroup", **environ}, "CGROUP"),
        engine_patience=_factor({f"{PREFIX}ENGINE_PATIENCE": "1", **environ}, "ENGINE_PATIENCE"),
        proc_dir=_path({f"{PREFIX}PROC": "/proc", **environ}, "PROC"),
    )


def _text(environ: Mapping[str, str], name: str) -> str:
    """Return a variable that must not be empty."""
    value = environ.get(PREFIX + name, "")
    if not value:
        msg = (
            f"{PREFIX}{name} is not set: this command runs inside an instance; "
            "start it with deploy/labhub"
        )
        raise InstanceError(msg)
    return value


def _port(environ: Mapping[str, str], name: str) -> int:
    """Return a variable that must be a port."""
    text = _text(environ, name)
    if not (text.isascii() and text.isdigit() and 0 < int(text[:6]) < 2**16):
        msg = f"{PREFIX}{name}={text[:40]!r} is not a port: run deploy/up again"
        raise InstanceError(msg)
    return int(text)


def _factor(environ: Mapping[str, str], name: str) -> float:
    """Return a variable that must be a positive number: what every engine deadline is times."""
    text = _text(environ, name)
    try:
        factor = float(text)
    except ValueError:
        factor = 0.0
    if not FACTOR_MIN <= factor <= FACTOR_MAX:
        bounds = f"between {FACTOR_MIN:g} and {FACTOR_MAX:g}"
        msg = f"{PREFIX}{name}={text[:40]!r} is not a number {bounds}"
        raise InstanceError(msg)
    return factor


def _name(environ: Mapping[str, str], name: str) -> str:
    """Return a variable that object names may begin with."""
    text = _text(environ, name)
    if _NAME.fullmatch(text) is None:
        msg = (
            f"{PREFIX}{name}={text[:40]!r} is not a name of at most 14 small letters, digits and "
            "hyphens: run deploy/up again"
        )
        raise InstanceError(msg)
    return text


def _path(environ: Mapping[str, str], name: str) -> Path:
    """Return a variable that must be an absolute path."""
    text = _text(environ, name)
    if not text.startswith("/"):
        msg = f"{PREFIX}{name}={text[:40]!r} is not an absolute path: run deploy/up again"
        raise InstanceError(msg)
    return Path(text)


def _address(environ: Mapping[str, str], name: str) -> str:
    """Return a variable that must be an IP address."""
    text = _text(environ, name)
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        msg = f"{PREFIX}{name}={text[:60]!r} is not an IP address: run deploy/up again"
        raise InstanceError(msg) from None
