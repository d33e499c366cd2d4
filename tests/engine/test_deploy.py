"""deploy/up, deploy/down and deploy/labhub on the real engine: two instances' lives.

An instance is expensive, so its tests follow each other in the order in which they stand here.
"""

import json
import re
import stat
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lib.deploy import Call, Deployment, call, docker, free_port

pytestmark = pytest.mark.engine

SECRETS = {
    "crypt_key", "cookie_secret", "proxy_token", "cli_token", "accounts_client_secret",
}  # fmt: skip


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """An instance that every test leaves as it was."""
    yield from deployed(tmp_path_factory.mktemp("first") / "lab")


@pytest.fixture(scope="module")
def second(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """A second instance, which lives through changes, a stop and its removal."""
    yield from deployed(tmp_path_factory.mktemp("second") / "lab")


def deployed(folder: Path) -> Iterator[Deployment]:
    deployment = Deployment(folder, free_port())
    try:
        done = deployment.up()
        assert done.status == 0, done
        yield deployment
    finally:
        deployment.purge()


def hub_version(deployment: Deployment) -> str:
    """What the hub says about itself, through the proxy."""
    with urllib.request.urlopen(f"http://127.0.0.1:{deployment.port}/hub/api", timeout=10) as page:
        return str(json.load(page)["version"])


def identity(deployment: Deployment) -> dict[str, object]:
    """Everything that a run which changes nothing must not change."""
    secrets = deployment.dir / "secrets"
    return {
        "containers": {role: deployment.container(role) for role in ("hub", "proxy")},
        "secrets": {path.name: path.read_bytes() for path in secrets.iterdir() if path.is_file()},
        "network": docker("network", "inspect", "-f", "{{.Id}}", f"{deployment.name}-users"),
        "configuration": (deployment.dir / "labhub.yaml").read_bytes(),
        "decisions": (deployment.dir / "instance.env").read_bytes(),
    }


def test_the_hub_answers_through_the_proxy(first: Deployment) -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+", hub_version(first))


def test_secrets_are_for_root_only(first: Deployment) -> None:
    folder = first.dir / "secrets"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    files = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}
    assert set(files) >= SECRETS
    assert set(files.values()) == {0o600}
    for name in SECRETS:
        assert re.fullmatch(r"[0-9a-f]{64}", (folder / name).read_text()), name


def test_everything_carries_the_instance_in_its_labels(first: Deployment) -> None:
    for role in ("hub", "proxy"):
        (found,) = json.loads(docker("inspect", first.container(role)))
        labels = found["Config"]["Labels"]
        assert (labels["labhub.instance"], labels["labhub.role"]) == (first.name, role)
    (network,) = json.loads(docker("network", "inspect", f"{first.name}-users"))
    assert network["Labels"] == {"labhub.instance": first.name, "labhub.role": "network"}
    assert network["Options"]["com.docker.network.bridge.enable_icc"] == "false"


def test_the_hub_sees_how_much_memory_containers_use(first: Deployment) -> None:
    proxy = docker("inspect", "-f", "{{.Id}}", first.container("proxy")).strip()
    code = (
        "import os, pathlib; from spawner.memory import CgroupMeter; "
        f"print(CgroupMeter(pathlib.Path(os.environ['LABHUB_CGROUP'])).read({proxy!r}).oom_kills)"
    )
    assert docker("exec", first.container("hub"), "python3", "-c", code).strip() == "0"


def test_the_hub_sees_which_gpus_containers_have(first: Deployment) -> None:
    found = docker("inspect", "-f", "{{.Id}} {{.State.Pid}}", first.container("proxy")).split()
    code = (
        "import os, pathlib; from spawner.nodes import Nodes; "
        "proc = pathlib.Path(os.environ['LABHUB_PROC']); "
        f"print(Nodes(pathlib.Path('/nowhere'), proc).read({found[0]!r}, {found[1]}, 0))"
    )
    seen = docker("exec", first.container("hub"), "python3", "-c", code).strip()
    assert seen == "frozenset()"


def test_receipts_are_read_with_the_labhub_command(first: Deployment) -> None:
    done = first.labhub("receipts", "nobody", "--json")
    assert (done.status, done.stdout) == (1, "")
    assert "Nobody called 'nobody' has signed in here" in done.stderr


def test_a_second_run_changes_nothing_and_logs_no_secret(first: Deployment) -> None:
    before = identity(first)
    done = first.up()
    assert done.status == 0, done
    assert identity(first) == before
    assert "run already and are up to date" in done.stdout
    (link,) = re.findall(r"http://\S+/services/accounts/\S+", done.stdout)
    assert f":{first.port}/" in link
    log = (first.dir / "up.log").read_text()
    assert "Starting" in log
    assert link not in log
    for name in SECRETS:
        assert (first.dir / "secrets" / name).read_text() not in log + done.stdout


def test_a_wrong_file_touches_nothing_that_runs(first: Deployment) -> None:
    before = identity(first)
    file = first.dir / "labhub.yaml"
    good = file.read_text()
    file.write_text(good + "\nquota: {}\n")
    try:
        done = first.up()
    finally:
        file.write_text(good)
    assert done.status == 1, done
    assert "quota" in done.complaints[0]
    assert identity(first) == before


def test_purge_asks_and_without_an_answer_removes_nothing(first: Deployment) -> None:
    before = identity(first)
    done = first.down("--purge")
    assert done.status == 1, done
    assert "add --yes" in done.complaints[0]
    assert identity(first) == before


def test_a_second_run_for_the_same_instance_is_refused_while_one_works(first: Deployment) -> None:
    lock = f"/run/lock/{first.name}.lock"
    up = f"deploy/up --dir {first.dir} --port {first.port}"
    done = call("flock", lock, "sh", "-c", up, seconds=120)
    assert done.status == 1, done
    assert "is at work" in done.complaints[0]


def test_labhub_on_an_instance_that_is_not_there(tmp_path: Path) -> None:
    place = Deployment(tmp_path / "nowhere", 20000)
    done = place.labhub("user", "list")
    assert done.status == 1
    assert done.complaints == [
        f"the hub of {place.dir} is not running: start it with deploy/up --dir {place.dir}"
    ]


def test_a_changed_file_replaces_the_hub_and_keeps_the_proxy(second: Deployment) -> None:
    before = identity(second)["containers"]
    file = second.dir / "labhub.yaml"
    file.write_text(re.sub(r"title: .*", "title: Another name", file.read_text(), count=1))
    done = second.up()
    after = identity(second)["containers"]
    assert done.status == 0, done
    assert after["hub"] != before["hub"]
    assert after["proxy"] == before["proxy"]
    assert hub_version(second)


def test_another_hub_image_with_the_same_proxy_keeps_the_proxy(second: Deployment) -> None:
    image = image_of(second, "hub")
    older = f"labhub/hub:older-{second.name}"
    docker("tag", image, older)
    try:
        decisions = second.dir / "instance.env"
        proxy = f"LABHUB_PROXY_IMAGE={image}"
        decisions.write_text(decisions.read_text().replace(proxy, f"LABHUB_PROXY_IMAGE={older}"))
        assert second.up().status == 0
        before = identity(second)
        assert image_of(second, "proxy") == older
        assert second.up().status == 0
        assert identity(second) == before
        decisions.write_text(decisions.read_text().replace(older, image))
        assert second.up().status == 0
    finally:
        docker("rmi", "--no-prune", older)


def test_no_link_once_an_admin_has_a_password(second: Deployment) -> None:
    done = second.labhub("user", "list", "--json")
    assert [(row["user"], row["admin"]) for row in json.loads(done.stdout)] == [("admin", True)]
    argv = ("docker", "exec", "-i", f"{second.name}-hub", "labhub", "user", "add", "ada", "--admin",
            "--password-stdin")  # fmt: skip
    assert pipe("a long enough passphrase\n", *argv).status == 0
    done = second.up()
    assert "/services/accounts/" not in done.stdout, done
    assert "an admin can sign in" in done.stdout


def test_down_stops_servers_keeps_everything_and_up_brings_it_back(second: Deployment) -> None:
    before = identity(second)
    start_server(second)
    done = second.down()
    assert done.status == 0, done
    assert "the users' servers: 1 stopped" in done.stdout, done
    assert set(second.traces()) == {"networks", "directory"}
    assert second.up().status == 0
    after = identity(second)
    assert after["containers"] != before["containers"]
    assert {**after, "containers": None} == {**before, "containers": None}


def test_purge_takes_one_instance_and_leaves_the_other_and_an_admins_own_files(
    first: Deployment, second: Deployment
) -> None:
    assert hub_version(first) == hub_version(second)
    before = identity(first)
    (second.dir / "notes.txt").write_text("mine")
    start_server(second)
    done = second.down("--purge", "--yes", "--keep-images")
    assert done.status == 0, done
    assert [path.name for path in second.dir.iterdir()] == ["notes.txt"]
    assert set(second.traces()) == {"directory"}
    assert identity(first) == before
    assert hub_version(first)


def image_of(deployment: Deployment, role: str) -> str:
    """The name of the image that a container was made from."""
    return docker("inspect", "-f", "{{.Config.Image}}", deployment.container(role)).strip()


def start_server(deployment: Deployment) -> None:
    """A container with the labels of a user's server, which runs until it is stopped."""
    docker(
        "run", "--detach", "--init", "--network", f"{deployment.name}-users",
        "--label", f"labhub.instance={deployment.name}", "--label", "labhub.role=server",
        image_of(deployment, "hub"), "sleep", "600",
    )  # fmt: skip


def pipe(text: str, *argv: str) -> Call:
    """Run a command that reads `text`."""
    return call("sh", "-c", 'printf %s "$0" | "$@"', text, *argv)
