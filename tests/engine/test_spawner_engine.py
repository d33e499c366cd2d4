"""The engine boundary against a real engine: the same meanings as against the fake one."""

import asyncio
import secrets
from collections.abc import Coroutine, Iterator
from typing import Any

import docker
import pytest

from spawner.container import identity_labels
from spawner.engine_errors import (
    ConflictError,
    EngineError,
    ImageMissingError,
    NotFoundError,
    RefusedError,
    UnavailableError,
)
from spawner.entrance import NoAccountError, Request
from spawner.failure import NotAsDecidedError, explain
from spawner.storage import StorageError, ensure_volume
from tests.lib.images import build
from tests.lib.launches import launch
from tests.lib.rig import Rig, rig


@pytest.fixture(scope="module")
def image() -> str:
    """Any image will do."""
    return build("base", "trixie")


@pytest.fixture(scope="module")
def servers(engine: docker.DockerClient) -> Iterator[Rig]:
    """An instance where ada has an account."""
    with rig(engine) as made:
        made.sign_in("ada")
        yield made


def run(work: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(work)


def body(servers: Rig, image: str, *argv: str) -> dict[str, Any]:
    """Return the smallest create body that is found and removed by label."""
    labels = identity_labels(servers.lab.name, "ada", "")
    return {"Image": image, "Entrypoint": list(argv) or ["sleep", "60"], "Labels": labels}


async def everything_removed(servers: Rig) -> None:
    labels = identity_labels(servers.lab.name, "ada", "")
    for each in await servers.desk.engine.listed(labels):
        await servers.desk.engine.remove(each.id)
    assert await servers.desk.engine.listed(labels) == []


def test_the_life_of_a_container(servers: Rig, image: str) -> None:
    async def life() -> None:
        engine, name = servers.desk.engine, f"{servers.lab.name}-{secrets.token_hex(4)}"
        made = await engine.create(name, body(servers, image, "sh", "-c", "echo hello; exit 3"))
        assert (await engine.container(made)).status == "created"
        await engine.start(made)
        while not (state := await engine.container(made)).ended:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        assert (state.name, state.exit_code, state.out_of_memory) == (name, 3, False)
        assert await engine.log_tail(made, 10) == "hello\n"
        [listed] = await engine.listed(identity_labels(servers.lab.name, "ada", ""))
        assert (listed.id, listed.name, listed.ended, listed.image) == (made, name, True, image)
        assert await engine.listed(identity_labels(servers.lab.name, "ada", "x")) == []
        for _ in range(2):
            await engine.stop(made, 0)
            await engine.remove(made)
        with pytest.raises(NotFoundError):
            await engine.container(made)

    run(life())


@pytest.mark.parametrize(
    ("change", "meaning"),
    [
        ({"Image": "labtest/there-is-none:1"}, ImageMissingError),
        ({"HostConfig": {"NanoCpus": 1, "CpuPeriod": 1000}}, RefusedError),
        ({"HostConfig": {"Runtime": "no-such-runtime"}}, RefusedError),
    ],
)
def test_what_create_refuses(
    servers: Rig, image: str, change: dict[str, Any], meaning: type[EngineError]
) -> None:
    name = f"{servers.lab.name}-{secrets.token_hex(4)}"
    with pytest.raises(meaning):
        run(servers.desk.engine.create(name, {**body(servers, image), **change}))


def test_a_taken_name_is_a_conflict(servers: Rig, image: str) -> None:
    async def twice() -> None:
        name = f"{servers.lab.name}-{secrets.token_hex(4)}"
        await servers.desk.engine.create(name, body(servers, image))
        try:
            with pytest.raises(ConflictError):
                await servers.desk.engine.create(name, body(servers, image))
        finally:
            await everything_removed(servers)

    run(twice())


def test_a_program_that_is_not_there_is_refused_at_the_start(servers: Rig, image: str) -> None:
    async def start() -> None:
        name = f"{servers.lab.name}-{secrets.token_hex(4)}"
        made = await servers.desk.engine.create(name, body(servers, image, "/no/such/program"))
        try:
            with pytest.raises(RefusedError, match="no such file or directory"):
                await servers.desk.engine.start(made)
        finally:
            await everything_removed(servers)

    run(start())


def test_an_engine_that_is_not_there(
    servers: Rig, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    with pytest.raises(UnavailableError):
        run(type(servers.desk.engine)().container("x"))


def test_a_volume_shows_its_directory_and_no_other(servers: Rig) -> None:
    path = servers.lab.volumes_dir / f"{servers.lab.name}-volume"
    labels = {"labhub.instance": servers.lab.name}
    for _ in range(2):
        run(ensure_volume(servers.desk.engine, path, str(path), labels, 200123))
    assert (path.stat().st_uid, path.stat().st_gid) == (200123, 200123)
    assert path.stat().st_mode & 0o777 == 0o700
    with pytest.raises((StorageError, ConflictError)):
        run(ensure_volume(servers.desk.engine, path, "/elsewhere", labels, 200123))
    with pytest.raises(StorageError, match="belongs to user id 200123 instead of 200124"):
        run(ensure_volume(servers.desk.engine, path, str(path), labels, 200124))


def test_a_start_removes_leftovers_and_leaves_nothing_when_undone(servers: Rig, image: str) -> None:
    async def start() -> None:
        engine = servers.desk.engine
        left = await engine.create(f"{servers.lab.name}-left", body(servers, image))
        await engine.start(left)
        started = await launch(servers.desk, Request(servers.config(image, {}), "ada", "", {}))
        server = await started.prepare()
        with pytest.raises(NotFoundError):
            await engine.container(left)
        assert (server.root_dir, server.shell) == ("/tf/notebooks", "/bin/bash")
        made = await started.create(server, {}, ())
        assert [each.id for each in await engine.listed(started.labels)] == [made]
        await started.cancelled()
        assert await engine.listed(started.labels) == []

    run(start())
    text = next((servers.lab.state_dir / "passwd").glob("*.passwd")).read_text()
    assert text.startswith("root:x:0:0:root:/root:/bin/bash\n")
    assert text.endswith("\nada:x:200000:200000:ada:/tf/notebooks:/bin/bash\n")


@pytest.mark.parametrize(
    ("change", "keys"),
    [
        ({"mem_limit": "3g", "memswap_limit": "3g"}, ["Memory", "MemorySwap"]),
        ({"cpu_quota": 1_600_000}, ["CpuQuota"]),
        ({"restart_policy": {"Name": "always"}}, ["RestartPolicy"]),
    ],
)
def test_a_container_that_somebody_changed_is_never_started(
    servers: Rig, engine: docker.DockerClient, image: str, change: dict[str, Any], keys: list[str]
) -> None:
    async def start() -> None:
        request = Request(servers.config(image, {}), "ada", "", {})
        started = await launch(servers.desk, request)
        made = await started.create(await started.prepare(), {}, ())
        engine.containers.get(made).update(**change)
        with pytest.raises(NotAsDecidedError) as error:
            await started.start()
        assert error.value.keys == keys
        assert engine.containers.get(made).status == "created"
        failure = await started.failed(error.value, 1, "")
        assert failure.jupyterhub_message == (
            f"Docker made this server in another way than decided ({', '.join(keys)}), so it was "
            "removed before anybody could use it; tell your administrator."
        )
        assert await servers.desk.engine.listed(started.labels) == []

    run(start())


def test_without_an_account_nothing_is_made(servers: Rig, image: str) -> None:
    async def start() -> None:
        request = Request(servers.config(image, {}), "nobody", "", {})
        with pytest.raises(NoAccountError) as error:
            await launch(servers.desk, request)
        failure = explain(error.value, "", 1, ())
        assert failure.status_code == 403
        assert failure.jupyterhub_message == (
            "There is no account for this user yet: sign in once first."
        )
        assert (
            await servers.desk.engine.listed(identity_labels(servers.lab.name, "nobody", "")) == []
        )

    run(start())
