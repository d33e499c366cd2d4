"""Four GPUs that are not there, as NVIDIA's toolkit describes them to engines (CDI).

With each GPU goes a hook, as the toolkit's updates the container's links to libraries. This one
only writes down with which variables it is run. The toolkit's runtime is there, too, under the name
`nvidia`.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

UUIDS = tuple(f"GPU-{letter * 8}-0000-0000-0000-000000000000" for letter in "abcd")
KIND = "nvidia.com/gpu"
HOOK = """\
#!/bin/sh
env >>{record}
echo "a hook ran" >>{record}
"""
RAN = "a hook ran"
# NVIDIA's runtime in its mode for CDI, as far as it obeys annotations. No Python: a newer engine's
# machine may have none where this one's is.
RUNTIME = r"""#!/usr/bin/perl
use strict;
my ($at) = grep { $ARGV[$_] eq '--bundle' } 0..$#ARGV;
if (defined $at && grep { $_ eq 'create' } @ARGV) {
    my $path = "$ARGV[$at + 1]/config.json";
    my $spec = do { local (@ARGV, $/) = $path; <> };
    if ($spec =~ m{"cdi\.k8s\.io/[^"]*":"nvidia\.com/gpu=(\d+)"}) {
        my $device = qq("type":"c","major":195,"minor":$1);
        my $node = qq({"path":"/dev/nvidia$1",$device,"fileMode":438});
        $spec =~ s/"linux":\{/"linux":{"devices":[$node],/ or die;
        my $rule = qq({"allow":true,$device,"access":"rw"});
        $spec =~ s/(\{"allow":false,"access":"rwm"\})/$1,$rule/g or die;
        open(my $file, '>', $path) or die;
        print $file $spec;
        close($file) or die;
    }
}
exec('runc', @ARGV);
"""


def describe(folder: Path) -> dict[str, object]:
    """Write the description into an empty folder; return the daemon.json of a machine with it.

    Like the toolkit's own, it names each device by number and by UUID, and all of them at once.
    """
    devices = [
        _device(name, [number]) for number, uuid in enumerate(UUIDS) for name in (str(number), uuid)
    ]
    everything = _device("all", range(len(UUIDS)))
    # As the toolkit's hooks were until 1.17.8, without variables of their own.
    path = _program(folder, "hook", HOOK.format(record=record(folder)))
    hook = {"hookName": "createContainer", "path": str(path), "args": ["hook"]}
    description = {
        "cdiVersion": "0.5.0",
        "kind": KIND,
        "devices": [*devices, everything],
        "containerEdits": {"hooks": [hook]},
    }
    (folder / "nvidia.json").write_text(json.dumps(description))
    runtime = _program(folder, "nvidia-container-runtime", RUNTIME)
    return {
        "features": {"cdi": True},
        "cdi-spec-dirs": [str(folder)],
        "runtimes": {"nvidia": {"path": str(runtime)}},
    }


@contextmanager
def without(folder: Path, name: str) -> Iterator[None]:
    """Leave one device out of the description for a while, as if it had fallen off the bus."""
    path = folder / "nvidia.json"
    before = path.read_text()
    description = json.loads(before)
    left = [each for each in description["devices"] if each["name"] != name]
    path.write_text(json.dumps({**description, "devices": left}))
    try:
        yield
    finally:
        path.write_text(before)


def record(folder: Path) -> Path:
    """Return where the hook writes its variables, and `RAN` after each run."""
    return folder / "hook-record"


def _program(folder: Path, name: str, code: str) -> Path:
    path = folder / name
    path.write_text(code)
    path.chmod(0o755)
    return path


def _device(name: str, numbers: "list[int] | range") -> dict[str, object]:
    """With type and major given, no engine looks for the node of this machine."""
    nodes = [
        {"path": f"/dev/nvidia{number}", "type": "c", "major": 195, "minor": number,
         "fileMode": 0o666, "permissions": "rw"}
        for number in numbers
    ]  # fmt: skip
    return {"name": name, "containerEdits": {"deviceNodes": nodes}}
