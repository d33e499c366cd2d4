"""What a process can open of GPUs that are not there: the kernel's own answer to who may.

A device of major 195 without a driver behind it has two ends: ENXIO says that the container may
use it, EPERM that the kernel forbids it to this container. Where there is no node, the probe tries
to make one, as somebody would who wants another's GPU. The probe is Perl: every Debian has it.
"""

import errno
from collections.abc import Mapping

import docker

COUNT = 4
GRANTED = "ENXIO"
FORBIDDEN = "EPERM"
ABSENT = "absent"  # no node, and none can be made
NODE_ALONE = "EPERM at a node that is there"  # somebody gave the node, and not the permission

_MKNOD = 133  # Linux on x86_64
_PROBE = f"""
use Fcntl;
for my $n (0..{COUNT - 1}) {{
    my ($at, $whose) = ("/dev/nvidia$n", "there");
    if (!-e $at) {{
        $whose = "made";
        $at = "/tmp/made-$n-$$";
        if (syscall({_MKNOD}, $at, 020666, (195 << 8) | $n) != 0) {{ print "$n none 0\\n"; next }}
    }}
    print "$n $whose ", (sysopen(my $file, $at, O_RDWR) ? 0 : $!+0), "\\n";
}}
"""
COMMAND = ("perl", "-e", _PROBE)

Reach = Mapping[int, str]


def read(output: str) -> Reach:
    """Return by number what the probe met."""
    parts = (line.split() for line in output.splitlines())
    return {int(number): _met(whose, int(code)) for number, whose, code in parts}


def _met(whose: str, code: int) -> str:
    if whose == "none":
        return ABSENT
    met = errno.errorcode.get(code, "opened")
    return NODE_ALONE if (whose, met) == ("there", FORBIDDEN) else met


def only(*granted: int, others: str = ABSENT, by: str = GRANTED) -> Reach:
    """Return what is met by who may use these, and nothing else."""
    return {number: by if number in granted else others for number in range(COUNT)}


def probe_inside(client: docker.DockerClient, container: str, user: str = "") -> Reach:
    """Probe from within a container that runs, as its own user or another."""
    made = client.api.exec_create(container, list(COMMAND), user=user)["Id"]
    output = client.api.exec_start(made).decode()
    assert client.api.exec_inspect(made)["ExitCode"] == 0, output
    return read(output)


def probe_once(client: docker.DockerClient, body: Mapping[str, object]) -> Reach:
    """Create a container that probes instead of what it is for, run it, and remove it."""
    probing = {**body, "Entrypoint": list(COMMAND), "Cmd": []}
    container = client.api.create_container_from_config(probing)["Id"]
    try:
        client.api.start(container)
        status = client.api.wait(container, timeout=30)["StatusCode"]
        output = client.api.logs(container).decode()
        assert status == 0, output
        return read(output)
    finally:
        client.api.remove_container(container, force=True, v=True)
