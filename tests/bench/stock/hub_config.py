"""A hub as a user of DockerSpawner 14 sets it up: the documented minimum, defaults otherwise."""

import os

c = get_config()  # noqa: F821
c.JupyterHub.authenticator_class = "dummy"
c.DummyAuthenticator.allow_all = True
c.JupyterHub.spawner_class = "docker"
c.DockerSpawner.image = os.environ["BENCH_IMAGE"]
c.DockerSpawner.args = ["--allow-root"]
c.DockerSpawner.prefix = os.environ["BENCH_PREFIX"]
c.DockerSpawner.extra_create_kwargs = {"labels": {"labhub.test": os.environ["BENCH_RUN"]}}
c.DockerSpawner.extra_host_config = {}
c.JupyterHub.bind_url = os.environ["BENCH_URL"]
c.JupyterHub.hub_ip = os.environ["BENCH_GATEWAY"]
c.JupyterHub.hub_port = int(os.environ["BENCH_HUB_PORT"])
c.ConfigurableHTTPProxy.api_url = os.environ["BENCH_PROXY_API"]
