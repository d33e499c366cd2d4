"""The life of a fake container: created, running, exited, gone."""

import asyncio
import contextlib
import uuid
from collections.abc import Coroutine
from pathlib import Path

from tests.lib.fake_rules import (
    Body,
    EngineError,
    check_body,
    check_limits,
    volume_sources,
)
from tests.lib.fake_server import FakeServer
from tests.lib.fake_state import NEVER, Container, Plan, State, now

LIMITS = ("Memory", "MemorySwap", "CpuPeriod", "CpuQuota", "NanoCpus", "PidsLimit")


class Life(State):
    """The state machine; every method answers or raises what the real engine would."""

    def create(self, name: str, body: Body) -> tuple[Container, list[str]]:
        """Create a container, or refuse as the engine does; second item: its warnings."""
        check_body(name, body, self.runtimes)
        image = self.image(body.get("Image") or "")
        for other in self.containers.values():
            if other.name == name:
                message = (
                    f'Conflict. The container name "/{name}" is already in use by container '
                    f'"{other.id}". You have to remove (or rename) that container to be able '
                    "to reuse that name."
                )
                raise EngineError(409, message)
        host_config, warnings = self._host_config(body)
        for source in volume_sources(host_config):
            self.add_volume({"Name": source})
        identity = uuid.uuid4().hex * 2
        made = Container(identity, name, image["RepoTags"][0], body, host_config, now())
        self.containers[identity] = made
        self.tell("create", made)
        return made, warnings

    def _host_config(self, body: Body) -> tuple[Body, list[str]]:
        wanted = {k: v for k, v in (body.get("HostConfig") or {}).items() if v is not None}
        memory = wanted.get("Memory") or 0
        filled = {
            "NetworkMode": "default",
            "ShmSize": 67108864,
            "Runtime": "runc",
            **wanted,
        }
        if memory and not filled.get("MemorySwap"):
            filled["MemorySwap"] = 2 * memory
        if not self.drops_limits:
            return filled, []
        dropped = [limit for limit in LIMITS if filled.get(limit)]
        warnings = [f"Your kernel does not support {name} limits. Discarded." for name in dropped]
        return {**filled, **dict.fromkeys(dropped, 0)}, warnings

    async def start(self, container: Container) -> bool:
        """Start it; False when it ran already."""
        if container.running:
            return False
        container.plan = self._next_plan(container.labels.get("labhub.user", ""))
        if container.plan.start_error:
            raise EngineError(500, container.plan.start_error)
        for network in container.networks:
            self.network("bridge" if network == "default" else network)
        self._check_mounts(container)
        container.server = FakeServer(container.environment, container.plan.api_status)
        await container.server.claim()
        container.status, container.exit_code, container.oom_killed = (
            "running",
            0,
            False,
        )
        container.started_at, container.finished_at = now(), NEVER
        self.tell("start", container)
        self._spawn(container, self._live(container, container.plan))
        return True

    def _next_plan(self, user: str) -> Plan:
        """Take the first plan that is for this user or for anybody."""
        for plan in self.plans:
            if plan.user in {"", user}:
                self.plans.remove(plan)
                return plan
        return Plan()

    def _check_mounts(self, container: Container) -> None:
        for source in volume_sources(container.host_config):
            device = self.volume(source)["Options"].get("device")
            if device and not Path(device).is_dir():
                message = (
                    f"error while mounting volume '{self.volumes[source]['Mountpoint']}': failed "
                    f"to mount local volume: mount {device}: no such file or directory"
                )
                raise EngineError(500, message)

    def _spawn(self, container: Container, coroutine: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(coroutine)
        container.tasks.add(task)
        task.add_done_callback(container.tasks.discard)

    async def _live(self, container: Container, plan: Plan) -> None:
        await asyncio.sleep(plan.boot_seconds)
        container.say(*plan.log)
        if plan.exit_code is None and container.server is not None:
            await container.server.listen()
            return
        await asyncio.sleep(plan.exit_seconds)
        await self.end(container, plan.exit_code or 0, oom=plan.oom)

    async def end(self, container: Container, exit_code: int, *, oom: bool = False) -> None:
        """Let its process die."""
        if not container.running:
            return
        container.status, container.exit_code, container.oom_killed = (
            "exited",
            exit_code,
            oom,
        )
        container.finished_at = now()
        server, container.server = container.server, None
        container.wake()
        if oom:
            self.tell("oom", container)
        self.tell("die", container, exitCode=str(exit_code))
        if server is not None:
            await server.close()
        if container.host_config.get("AutoRemove"):
            self._forget(container)

    async def stop(self, container: Container, grace_seconds: float) -> bool:
        """Ask it to end, kill it after the grace; False when it was not running."""
        if not container.running:
            return False
        self.tell("kill", container, signal="15")
        patience = min(container.plan.stop_seconds, grace_seconds)
        await asyncio.sleep(patience)
        if container.plan.stop_seconds > grace_seconds:
            await self.kill(container)
        else:
            await self.end(container, 0)
        return True

    async def kill(self, container: Container) -> None:
        """End it without asking."""
        if container.running:
            self.tell("kill", container, signal="9")
        await self.end(container, 137)

    async def remove(self, container: Container, *, force: bool) -> None:
        """Remove it; a running one only by force."""
        if container.running and not force:
            message = (
                f"You cannot remove a running container {container.id}. Stop the container "
                "before attempting removal or force remove"
            )
            raise EngineError(409, message)
        await self.kill(container)
        self._forget(container)

    def _forget(self, container: Container) -> None:
        if self.containers.pop(container.id, None):
            for task in container.tasks:
                task.cancel()
            container.status = "removed"
            container.wake()
            self.tell("destroy", container)

    def update(self, container: Container, body: Body) -> None:
        """Change limits; refuses what the engine refuses."""
        merged = {**container.host_config, **{k: v for k, v in body.items() if v}}
        check_limits(merged, self.runtimes)
        container.host_config.update(merged)
        self.tell("update", container)

    async def close(self) -> None:
        """End everything that runs."""
        for container in list(self.containers.values()):
            with contextlib.suppress(EngineError):
                await self.remove(container, force=True)
