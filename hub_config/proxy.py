"""The command line of the proxy: configurable-http-proxy, a process of its own. Pure."""

from pathlib import Path

from hub_config.instance import Instance
from hub_config.schema import Config

# The proxy shows these itself: the hub cannot serve a page that says that it does not answer.
ERROR_PAGES = Path(__file__).parent / "static" / "proxy"


def proxy_command(config: Config, instance: Instance) -> list[str]:
    """Return the proxy's argv; its token goes by the environment, which `ps` does not show."""
    return [
        "configurable-http-proxy",
        f"--ip={config.hub.bind}",
        f"--port={instance.port}",
        "--api-ip=127.0.0.1",
        f"--api-port={instance.api_port}",
        f"--default-target={instance.hub_url}",
        f"--error-path={ERROR_PAGES}",
    ]
