"""A hub as a user of DockerSpawner 14 sets it up: the documented minimum, defaults otherwise."""

import json
import os

c = get_config()  # noqa: F821
c.JupyterHub.authenticator_class = "dummy"
c.DummyAuthenticator.allow_all = True
c.JupyterHub.spawner_class = "docker"
c.DockerSpawner.image = os.environ["BENCH_IMAGE"]
if command := json.loads(os.environ.get("BENCH_COMMAND", "[]")):
    c.DockerSpawner.cmd = command
else:
    c.DockerSpawner.args = ["--allow-root"]
c.DockerSpawner.prefix = os.environ["BENCH_PREFIX"]
c.DockerSpawner.extra_create_kwargs = {"labels": {"labhub.test": os.environ["BENCH_RUN"]}}
c.DockerSpawner.extra_host_config = {}
# Addresses of the fake engine's containers can be reached, ports are not published there.
c.DockerSpawner.use_internal_ip = os.environ["BENCH_RUN"] == "fake"
c.JupyterHub.bind_url = os.environ["BENCH_URL"]
c.JupyterHub.hub_ip = os.environ["BENCH_HUB_ADDRESS"]
c.JupyterHub.hub_port = int(os.environ["BENCH_HUB_PORT"])
c.ConfigurableHTTPProxy.api_url = os.environ["BENCH_PROXY_API"]
c.JupyterHub.services = [
    {"name": "bench-stock", "admin": True, "api_token": os.environ["BENCH_TOKEN"]}
]
# Five stops of 10 s one after the other leave too little of the default, 60 s, on a busy machine.
c.Spawner.start_timeout = 120
