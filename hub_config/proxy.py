"""The command line of the proxy: configurable-http-proxy, a process of its own. Pure."""

from hub_config.instance import Instance
from hub_config.schema import Config


def proxy_command(config: Config, instance: Instance) -> list[str]:
    """Return the proxy's argv; its token goes by the environment, which `ps` does not show."""
    return [
        "configurable-http-proxy",
        f"--ip={config.hub.bind}",
        f"--port={instance.port}",
        "--api-ip=127.0.0.1",
        f"--api-port={instance.api_port}",
        f"--default-target={instance.hub_url}",
        f"--error-target={instance.hub_url}/hub/error",
    ]
