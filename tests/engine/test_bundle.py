"""The server bundle in images it has never seen: with TensorFlow, with a bare Python, with nothing.

Every server is started as the spawner starts it: the bundle read-only, a numeric user without a
name, no capabilities, `-I -m jupyterhub.singleuser`.
"""

import json
from collections.abc import Iterator

import docker
import pytest
import requests

from tests.lib.bundle import (
    CPUS,
    MEMORY_BYTES,
    NOT_NOW,
    PREFIX,
    TIME,
    TOKEN,
    Server,
    running_server,
)
from tests.lib.images import build, built_image

DEBIAN_WITH_PYTHON = """
FROM {base}
RUN apt-get update && apt-get install -y --no-install-recommends python3
"""
NO_LIBC = """
FROM {base} AS tools
RUN apt-get update && apt-get install -y --no-install-recommends busybox-static
FROM scratch
COPY --from=tools /bin/busybox /bin/busybox
COPY --from=tools /bin/busybox /bin/sh
"""
TEXT = {"type": "file", "format": "text", "content": "mine"}
# What a kernel tells about where it runs, as one JSON object.
WHERE = """
import json, os, sys
print(json.dumps({
    "executable": sys.executable,
    "version": "%d.%d" % sys.version_info[:2],
    "bundle in sys.path": [entry for entry in sys.path if "labserver" in entry],
    "bundle in environment": {k: v for k, v in os.environ.items() if "labserver" in v},
    "PATH": os.environ["PATH"],
}))
"""


@pytest.fixture(scope="module")
def bundle(engine: docker.DockerClient) -> str:
    """The bundle's volume, made and verified by build.sh."""
    return build("bundle")


@pytest.fixture(scope="module")
def tensorflow(
    engine: docker.DockerClient, bundle: str, labels: dict[str, str]
) -> Iterator[Server]:
    with running_server(engine, build("tensorflow"), bundle, labels) as server:
        yield server


@pytest.fixture(scope="module")
def debian(engine: docker.DockerClient, bundle: str, labels: dict[str, str]) -> Iterator[Server]:
    recipe = DEBIAN_WITH_PYTHON.format(base=build("base", "bookworm"))
    with (
        built_image(engine, recipe, labels) as image,
        running_server(engine, image, bundle, labels) as server,
    ):
        yield server


@pytest.fixture(scope="module")
def no_libc(engine: docker.DockerClient, bundle: str, labels: dict[str, str]) -> Iterator[Server]:
    recipe = NO_LIBC.format(base=build("base", "bookworm"))
    with (
        built_image(engine, recipe, labels) as image,
        running_server(engine, image, bundle, labels) as server,
    ):
        yield server


@pytest.fixture(params=["tensorflow", "debian", "no_libc"])
def any_server(request: pytest.FixtureRequest) -> Server:
    return request.getfixturevalue(request.param)


def image_environment(server: Server) -> dict[str, str]:
    image = server.container.image.attrs["Config"]["Env"]
    return dict(entry.split("=", 1) for entry in image)


def where(server: Server) -> dict[str, object]:
    output = server.execute(WHERE)
    assert output.status == "ok", output.errors
    return json.loads(output.text)


def test_the_server_answers_in_every_image(any_server: Server) -> None:
    assert "version" in any_server.get("api").json()
    assert any_server.get("lab").status_code == 200
    assert any_server.get("nbclassic/tree").status_code == 200
    assert any_server.get("tree").status_code == 200


def test_the_kernel_is_the_images_python(tensorflow: Server) -> None:
    path = image_environment(tensorflow)["PATH"]
    facts = where(tensorflow)
    assert facts == {
        "executable": "/usr/bin/python3",
        "version": facts["version"],
        "bundle in sys.path": [],
        "bundle in environment": {},
        "PATH": path,
    }


def test_the_kernel_has_the_images_tensorflow(tensorflow: Server) -> None:
    output = tensorflow.execute("import tensorflow as tf; print(tf.__version__)")
    assert (output.status, output.text) == ("ok", "2.9.0\n")


def test_a_python_without_ipykernel_borrows_the_bundles(debian: Server) -> None:
    assert where(debian) == {
        "executable": "/usr/bin/python3",
        "version": "3.11",
        "bundle in sys.path": ["/opt/labserver/share/ipykernel/py311"],
        "bundle in environment": {},
        "PATH": image_environment(debian)["PATH"],
    }


def test_a_process_the_borrowed_kernel_starts_sees_nothing_of_the_bundle(debian: Server) -> None:
    child = "import subprocess, sys; print(subprocess.check_output([sys.executable, '-c', "
    output = debian.execute(child + "'import sys; print(sys.path)'], text=True))")
    assert output.status == "ok", output.errors
    assert "labserver" not in output.text


def test_an_image_without_python_has_no_kernel_and_says_so(no_libc: Server) -> None:
    assert no_libc.get("api/kernelspecs").json()["kernelspecs"] == {}
    notebook = {"path": "a.ipynb", "name": "", "type": "notebook", "kernel": {"name": "python3"}}
    answer = no_libc.post("api/sessions", json=notebook)
    assert answer.status_code == 501
    assert "'python3' kernel is not available" in answer.json()["message"]


def test_a_terminal_is_a_shell_of_the_image(tensorflow: Server) -> None:
    assert tensorflow.post("api/terminals").ok
    found = tensorflow.container.exec_run(["sh", "-c", "cat /proc/[0-9]*/cmdline | tr '\\0' ' '"])
    assert "/bin/bash" in found.output.decode()
    assert "bash -l" not in found.output.decode()


def test_tensorboard_answers_behind_the_hubs_prefix(tensorflow: Server) -> None:
    page = tensorflow.get("tensorboard/")
    assert page.status_code == 200
    assert "TensorBoard" in page.text
    where_it_looks = tensorflow.get("tensorboard/data/environment").json()
    assert where_it_looks["data_location"] == "/tf/notebooks/logs"
    command = tensorflow.container.exec_run(["sh", "-c", "cat /proc/[0-9]*/cmdline | tr '\\0' ' '"])
    assert "/usr/bin/python3 -m tensorboard.main" in command.output.decode()


def tile(server: Server) -> dict[str, object]:
    (entry,) = server.get("server-proxy/servers-info").json()["server_processes"]
    return entry["launcher_entry"]


def test_the_launcher_offers_tensorboard_where_the_image_has_it(
    tensorflow: Server, debian: Server
) -> None:
    assert tile(tensorflow) == {
        "enabled": True,
        "title": "TensorBoard",
        "path_info": "tensorboard/",
        "category": "Notebook",
        "icon_url": f"{PREFIX}server-proxy/icon/tensorboard",
    }
    assert (
        tensorflow.get("server-proxy/icon/tensorboard")
        .headers["Content-Type"]
        .startswith("image/svg")
    )
    assert tile(debian)["enabled"] is False


def test_what_is_begun_beside_the_volume_is_made_in_it(tensorflow: Server) -> None:
    made = tensorflow.post("api/contents/tf", json={"type": "notebook"}).json()
    assert made["path"] == "tf/notebooks/Untitled.ipynb"
    assert tensorflow.get(f"api/contents/{made['path']}").json()["writable"] is True


def test_files_of_the_image_are_read_only_and_copied_into_the_volume(tensorflow: Server) -> None:
    bashrc = tensorflow.get("api/contents/etc/bash.bashrc").json()
    assert bashrc["writable"] is False
    refused = tensorflow.put("api/contents/tf/lost.txt", json=TEXT)
    assert refused.status_code == 403
    assert refused.json()["message"] == (
        "Files outside the folder tf/notebooks belong to the image and do not last: "
        "save yours in tf/notebooks."
    )
    kept = tensorflow.put("api/contents/tf/notebooks/kept.txt", json=TEXT)
    assert kept.status_code == 201
    moved = tensorflow.patch("api/contents/tf/notebooks/kept.txt", json={"path": "tf/kept.txt"})
    assert moved.status_code == 403
    copy = tensorflow.post("api/contents/tf", json={"copy_from": "etc/bash.bashrc"}).json()
    assert copy["path"] == "tf/notebooks/bash.bashrc"


def test_usage_is_shown_with_its_limits(any_server: Server) -> None:
    usage = any_server.get("api/metrics/v1").json()
    assert usage["limits"] == {
        "memory": {"rss": MEMORY_BYTES, "pss": MEMORY_BYTES, "warn": False},
        "cpu": {"cpu": CPUS},
    }
    assert 0 < usage["rss"] < MEMORY_BYTES
    assert usage["cpu_percent"] >= 0


def test_lab_shows_usage_and_asks_no_one_for_news(tensorflow: Server) -> None:
    def setting(plugin: str) -> dict[str, object]:
        schema = tensorflow.get(f"lab/api/settings/{plugin}").json()["schema"]["properties"]
        return {key: value.get("default") for key, value in schema.items()}

    notification = setting("@jupyterlab/apputils-extension:notification")
    assert (notification["fetchNews"], notification["checkForUpdates"]) == ("false", False)
    assert setting("@jupyterlab/apputils-extension:sanitizer")["allowCommandLinker"] is False
    bars = setting("@jupyter-server/resource-usage:topbar-item")
    assert bars["enable"] is True
    assert bars["cpu"] == {"label": f"CPU (limit {CPUS * 100:g}%): "}


def test_the_time_of_a_server_is_the_hubs(no_libc: Server) -> None:
    """Asked with the server's own token, and with the hub's own sentence when it says no."""
    assert no_libc.get("labhub/time").json() == {**TIME, "token": f"token {TOKEN}"}
    assert no_libc.post("labhub/time", json={"do": "keep"}).json() == {}
    refused = no_libc.post("labhub/time", json={"do": "extend"})
    assert (refused.status_code, refused.json()["message"]) == (409, NOT_NOW)
    for nonsense in ({"do": "stop"}, [], "extend", None):
        assert no_libc.post("labhub/time", json=nonsense).status_code == 400
    assert no_libc.post("labhub/time", data=b"{").status_code == 400


def test_the_time_is_for_nobody_else(no_libc: Server) -> None:
    url = f"http://{no_libc.address}{PREFIX}labhub/time"
    for method in ("GET", "POST"):
        assert requests.request(method, url, json={"do": "keep"}, timeout=30).status_code == 403


def test_lab_has_the_extension_that_shows_the_time(no_libc: Server) -> None:
    assert '"labhub-time"' in no_libc.get("lab").text
    script = no_libc.get("lab/extensions/labhub-time/static/remoteEntry.js")
    assert script.status_code == 200
    assert "javascript" in script.headers["Content-Type"]


def test_what_only_asks_is_no_activity(no_libc: Server) -> None:
    def last() -> str:
        return str(no_libc.get("api/status").json()["last_activity"])

    before = last()
    for path in ("api/kernels", "api/sessions", "api/contents", "api/metrics/v1", "labhub/time"):
        assert no_libc.get(path).ok
    assert last() == before
    assert no_libc.post("labhub/time", json={"do": "keep"}).ok
    assert last() > before


def test_a_half_filled_bundle_is_recognised_and_filled_again(
    engine: docker.DockerClient, labels: dict[str, str]
) -> None:
    """On a volume of this test's own: the shared one may be in use by servers."""
    name = f"labhub-half-bundle-{labels['labhub.test']}"
    volume = engine.volumes.create(name, labels=labels)
    options = {"volumes": {name: {"bind": "/opt/labserver"}}, "labels": labels, "remove": True}
    try:
        engine.containers.run(
            build("base", "trixie"), ["cp", "/bin/true", "/opt/labserver/"], **options
        )
        assert build("bundle", name) == name
        verify = ["/opt/labserver/bin/labserver-verify"]
        engine.containers.run(build("server"), verify, **options)
        spoil = "import os; os.remove('/opt/labserver/pyvenv.cfg')"
        engine.containers.run(
            build("server"), ["/opt/labserver/bin/python3", "-c", spoil], **options
        )
        with pytest.raises(docker.errors.ContainerError, match="is incomplete"):
            engine.containers.run(build("server"), verify, **options)
    finally:
        volume.remove(force=True)
