"""What build.sh makes: names that follow their inputs, images without anything of this host."""

import os
import re
import subprocess
import tarfile
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import docker
import pytest

from tests.lib.images import BUILD, build

REPOSITORY = BUILD.parents[2]
SUSPICIOUS = re.compile(r"^(host|recipe|source)/|^(etc|root)/.*(pip\.conf|npmrc)$")
SECRET_INDEX = "https://reader:open-sesame@packages.example.org/simple"
TWO_STAGES = """
ARG BASE
FROM ${BASE} AS build
ARG BUILD_ID
LABEL labhub.build=${BUILD_ID}
COPY host/ /host/
RUN test -s /host/ca.crt && wc -c < /host/ca.crt > /size
FROM scratch
COPY --from=build /size /size
"""
OFFICIAL_ENVIRONMENT = {
    "DEBIAN_FRONTEND": "noninteractive",
    "LANG": "C.UTF-8",
    "LD_LIBRARY_PATH": "/usr/local/cuda-11.0/targets/x86_64-linux/lib"
    ":/usr/local/cuda/extras/CUPTI/lib64:/usr/local/cuda/lib64:/usr/local/nvidia/lib:/usr/local/nvidia/lib64",
    "NVIDIA_DRIVER_CAPABILITIES": "compute,utility",
    "NVIDIA_REQUIRE_CUDA": "cuda>=11.2 brand=tesla,driver>=418,driver<419",
    "NVIDIA_VISIBLE_DEVICES": "all",
    "PATH": "/usr/local/nvidia/bin:/usr/local/cuda/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin"
    ":/usr/bin:/sbin:/bin",
}


def run(
    engine: docker.DockerClient,
    labels: dict[str, str],
    image: str,
    *command: str,
    **options: object,
) -> str:
    output = engine.containers.run(image, list(command), remove=True, labels=labels, **options)
    return output.decode()


def layers(
    engine: docker.DockerClient, image: str, folder: Path
) -> Iterator[tuple[tarfile.TarFile, tarfile.TarInfo]]:
    """Every file of every layer of an image, as `docker save` writes them."""
    saved = folder / "image.tar"
    with saved.open("wb") as file:
        file.writelines(engine.images.get(image).save(chunk_size=1 << 22))
    with tarfile.open(saved) as archive:
        for member in archive:
            if member.name.endswith("layer.tar") or member.name.startswith("blobs/"):
                yield from _files(archive.extractfile(member))
    saved.unlink()


def _files(layer: IO[bytes]) -> Iterator[tuple[tarfile.TarFile, tarfile.TarInfo]]:
    try:
        with tarfile.open(fileobj=layer) as opened:
            for file in opened:
                yield opened, file
    except tarfile.ReadError:  # blobs are configurations as well
        return


@pytest.fixture(scope="module", params=["base", "server", "hub", "tensorflow"])
def image(request: pytest.FixtureRequest, engine: docker.DockerClient) -> str:
    arguments = [request.param, "trixie"] if request.param == "base" else [request.param]
    return build(*arguments)


def test_nothing_of_this_host_is_in_any_layer(
    engine: docker.DockerClient, image: str, tmp_path: Path
) -> None:
    """Build stages get the CA bundle and pip's configuration; the image's layers do not."""
    bundle = Path(os.environ.get("PIP_CERT") or "/etc/ssl/certs/ca-certificates.crt").read_bytes()
    found = [
        file.name
        for layer, file in layers(engine, image, tmp_path)
        if SUSPICIOUS.search(file.name)
        or (file.isfile() and file.size == len(bundle) and layer.extractfile(file).read() == bundle)
    ]
    history = "".join(step["CreatedBy"] for step in engine.images.get(image).history())
    assert found == []
    assert "BEGIN CERTIFICATE" not in history


def test_a_build_stage_and_what_it_got_of_the_host_are_gone_afterwards(
    engine: docker.DockerClient, tmp_path: Path, run_id: str
) -> None:
    """A build like the real ones, only small: the stage reads the host's files, the image not."""
    stages = {"label": "labhub.build", "dangling": True}
    before = engine.images.list(all=True, filters=stages)
    tag = f"labhub/stages:{run_id}"
    (tmp_path / "Dockerfile").write_text(TWO_STAGES)
    script = '. ./common.sh; make_work_dir; host_files "$3/host"; build_image "$@"'
    base = f"BASE={build('base', 'trixie')}"
    command = ["sh", "-euc", script, "sh", tag, "test", tmp_path, "--build-arg", base]
    environment = os.environ | {"IMAGES": str(BUILD.parent)}
    try:
        subprocess.run(command, check=True, cwd=BUILD.parent, env=environment)
        names = [file.name for _, file in layers(engine, tag, tmp_path) if file.isfile()]
        assert names == ["size"]
        assert set(engine.images.list(all=True, filters=stages)) <= set(before)
    finally:
        engine.images.remove(tag, force=True)


def test_a_credential_of_pips_configuration_stays_in_the_build(tmp_path: Path) -> None:
    """The merged file is what a build stage sees: the host's indexes, none of its paths."""
    (tmp_path / "pip.conf").write_text(
        "[global]\ncert = /etc/private.pem\nextra-index-url =\n  file:///srv/wheels\n"
        f"  {SECRET_INDEX}\nfind-links = /srv/wheels\n[install]\nno-warn-script-location = yes\n"
    )
    (tmp_path / "later.conf").write_text("[global]\ntimeout = 30\ntimeout = 60\n")
    merged = subprocess.run(
        ["awk", "-f", BUILD.with_name("pip-conf.awk"), "pip.conf", "later.conf"],
        check=True,
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert merged.stdout == (
        f"[global]\nextra-index-url =\n  {SECRET_INDEX}\ntimeout = 60\n"
        "[install]\nno-warn-script-location = yes\n"
    )


def test_a_registry_that_drops_packets_costs_seconds(tmp_path: Path) -> None:
    """A docker whose pull never answers; the rest of the build goes on without it."""
    silent = tmp_path / "docker"
    silent.write_text("#!/bin/sh\nexec sleep 600\n")
    silent.chmod(0o755)
    script = '. ./common.sh; make_work_dir; pull debian:any || echo "goes on"'
    environment = os.environ | {"DOCKER": str(silent), "LABHUB_PULL_SECONDS": "2"}
    result = subprocess.run(
        ["sh", "-euc", script],
        check=True,
        capture_output=True,
        text=True,
        env=environment,
        cwd=BUILD.parent,
        timeout=20,
    )
    assert result.stdout == "goes on\n"
    assert result.stderr.splitlines()[-1] == "  not pulled: no answer within 2 s"


@pytest.mark.parametrize("command", ["hub", "server", "bundle"])
def test_a_second_build_does_nothing_and_gives_the_same_name(command: str) -> None:
    build(command)
    again = subprocess.run([BUILD, command], check=True, capture_output=True, text=True)
    named = subprocess.run([BUILD, "name", command], check=True, capture_output=True, text=True)
    assert (again.stdout, again.stderr) == (named.stdout, "")


@pytest.mark.parametrize("arguments", [[], ["unknown"], ["base"], ["base", "a", "b"]])
def test_a_wrong_command_is_answered_with_the_usage(arguments: list[str]) -> None:
    result = subprocess.run([BUILD, *arguments], check=False, capture_output=True, text=True)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith("Builds what labhub runs.")


def test_a_base_that_cannot_be_fetched_is_one_sentence_and_no_image(
    engine: docker.DockerClient,
) -> None:
    environment = os.environ | {"LABHUB_DEBIAN_MIRROR": "http://127.0.0.1:9/debian"}
    result = subprocess.run(
        [BUILD, "base", "sid"], check=False, capture_output=True, text=True, env=environment
    )
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.splitlines()[-1] == (
        "error: Debian sid could not be fetched from http://127.0.0.1:9/debian; check the network "
        "or set LABHUB_DEBIAN_MIRROR to a mirror you can reach"
    )
    assert engine.images.list("labhub/debian:sid-local") == []


def test_a_failed_build_leaves_no_image_and_says_which(tmp_path: Path) -> None:
    """A docker that has no room left while building; everything else is the real one."""
    docker_without_room = tmp_path / "docker"
    docker_without_room.write_text(
        "#!/bin/sh\n"
        '[ "$1" != build ] || { echo "write /x: no space left on device"; exit 1; }\n'
        '[ "$1 $2" != "image inspect" ] || [ "${3#*dependencies}" = "$3" ] || exit 1\n'
        '[ "${3#labhub/hub:}" = "$3" ] || exit 1\n'
        'exec docker "$@"\n'
    )
    docker_without_room.chmod(0o755)
    environment = os.environ | {"DOCKER": str(docker_without_room)}
    result = subprocess.run(
        [BUILD, "hub"], check=False, capture_output=True, text=True, env=environment
    )
    assert (result.returncode, result.stdout) == (1, "")
    assert "error: no disk space left while building labhub/hub-dependencies:" in result.stderr


def test_the_hub_image_carries_every_file_of_the_package(
    engine: docker.DockerClient, labels: dict[str, str]
) -> None:
    """Templates, styles and schemas travel inside the wheel."""
    tracked = subprocess.run(
        ["git", "ls-files", "hub_config", "spawner", "auth"],
        check=True,
        capture_output=True,
        text=True,
        cwd=REPOSITORY,
    )
    root = "/opt/labhub/lib/python3.13/site-packages"
    listing = run(engine, labels, build("hub"), "find", root, "-type", "f")
    installed = {line.removeprefix(f"{root}/") for line in listing.splitlines()}
    assert {line for line in tracked.stdout.splitlines() if line not in installed} == set()


def test_the_hub_image_has_its_commands_on_the_path(
    engine: docker.DockerClient, labels: dict[str, str]
) -> None:
    script = "jupyterhub --version; configurable-http-proxy --version; labhub --help | head -n 1"
    lines = run(engine, labels, build("hub"), "sh", "-c", script).splitlines()
    assert lines == ["6.1.1", "5.3.0", "Usage: labhub [OPTIONS] COMMAND [ARGS]..."]
    config = engine.images.get(build("hub")).attrs["Config"]
    assert (config["Entrypoint"], config["Cmd"]) == (None, ["labhub", "hub"])


def test_the_lock_has_what_the_package_asks_for() -> None:
    """After a change of pyproject's versions deploy/images/lock.sh must have run."""
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    lock = (BUILD.parent / "hub/requirements.lock").read_text().lower().splitlines()
    exact = [
        pin.lower().replace(".", "-", 1) if pin.startswith("ruamel.") else pin.lower()
        for pin in project["dependencies"]
        if "==" in pin
    ]
    assert [pin for pin in exact if pin not in lock] == []


def test_the_proxys_lock_names_no_registry() -> None:
    lock = (BUILD.parent / "hub/proxy/package-lock.json").read_text()
    assert '"resolved"' not in lock
    assert '"integrity"' in lock


def test_the_tensorflow_image_looks_like_the_official_one(engine: docker.DockerClient) -> None:
    config = engine.images.get("labhub/tensorflow:2.9.0-jupyter-local").attrs["Config"]
    start = "source /etc/bash.bashrc && jupyter notebook --notebook-dir=/tf --ip 0.0.0.0"
    assert dict(entry.split("=", 1) for entry in config["Env"]) == OFFICIAL_ENVIRONMENT
    assert config["Cmd"] == ["bash", "-c", f"{start} --no-browser --allow-root"]
    assert (config["WorkingDir"], config["User"], config["Entrypoint"]) == ("/tf", "", None)
    assert config["ExposedPorts"] == {"8888/tcp": {}}
    assert config["Shell"] == ["/bin/bash", "-c"]
    assert config["Labels"]["labhub.built"] == "local"


def test_the_tensorflow_image_says_that_it_is_not_official(
    engine: docker.DockerClient, labels: dict[str, str]
) -> None:
    image = "labhub/tensorflow:2.9.0-jupyter-local"
    banner = run(engine, labels, image, "bash", "-c", "source /etc/bash.bashrc")
    assert "This is not the official tensorflow/tensorflow image" in banner
    modes = run(engine, labels, image, "stat", "-c", "%A %n", "/tf", "/.local")
    assert modes == "drwxrwxrwx /tf\ndrwxrwxrwx /.local\n"
    kernels = run(engine, labels, image, "jupyter", "kernelspec", "list")
    assert "/usr/local/share/jupyter/kernels/python3" in kernels
