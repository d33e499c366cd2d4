"""What decides does not act: the pure modules import nothing that reads, waits or asks."""

import ast
from pathlib import Path

import pytest

import auth
import hub_config
import spawner

ROOT = Path(__file__).parents[2]
PURE = (
    "hub_config/json_schema.py",
    "hub_config/tables.py",
    "hub_config/usage_report.py",
    "hub_config/explain.py",
    "hub_config/plan.py",
    "hub_config/schema_base.py",
    "hub_config/schema_login.py",
    "hub_config/schema_quotas.py",
    "hub_config/schema_gpus.py",
    "hub_config/moments.py",
    "hub_config/consistency.py",
    "hub_config/schema.py",
    "hub_config/values.py",
    "hub_config/budget_values.py",
    "hub_config/sizes.py",
    "hub_config/keys.py",
    "hub_config/problems.py",
    "hub_config/document.py",
    "hub_config/instance.py",
    "hub_config/proxy.py",
    "hub_config/reference.py",
    "spawner/quota.py",
    "spawner/container.py",
    "spawner/devices.py",
    "spawner/messages/__init__.py",
    "spawner/messages/times.py",
    "spawner/times.py",
    "spawner/usage.py",
    "spawner/budget.py",
    "spawner/messages/budgets.py",
    "spawner/idleness.py",
    "spawner/messages/config.py",
    "spawner/resize.py",
    "spawner/runs.py",
    "spawner/lapse.py",
    "spawner/law.py",
    "spawner/lease.py",
    "spawner/memo.py",
    "spawner/order.py",
    "spawner/plan.py",
    "spawner/queue.py",
    "spawner/recent.py",
    "spawner/scene.py",
    "spawner/relief.py",
    "spawner/board.py",
    "spawner/place.py",
    "spawner/shortage.py",
    "spawner/waiting.py",
    "spawner/simulation.py",
    "spawner/simulation_figures.py",
    "spawner/trace.py",
    "spawner/messages/leases.py",
    "spawner/messages/devices.py",
    "spawner/gpu_health.py",
    "spawner/gpu_readings.py",
    "spawner/gpu_view.py",
    "spawner/engine_answers.py",
    "spawner/engine_calls.py",
    "spawner/engine_errors.py",
    "spawner/events.py",
    "spawner/admission.py",
    "spawner/capacity.py",
    "spawner/messages/quotas.py",
    "spawner/messages/text.py",
    "spawner/migrations.py",
    "spawner/offer.py",
    "spawner/options.py",
    "spawner/servers.py",
    "spawner/recall.py",
    "spawner/pulling.py",
    "spawner/verify.py",
    "spawner/why.py",
    "auth/identity.py",
    "auth/groups.py",
    "auth/requirements.py",
)
IMPURE = {
    "docker", "jupyterhub", "dockerspawner", "tornado", "traitlets", "sqlalchemy", "aiohttp",
    "requests", "os", "time", "sqlite3",
}  # fmt: skip
OURS = ("hub_config", "spawner", "auth")


def imported_by(path: Path) -> set[str]:
    """Return the modules that a file imports, wherever in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
    return names


@pytest.mark.parametrize("module", PURE)
def test_a_pure_module_imports_nothing_impure(module: str) -> None:
    assert {name.split(".")[0] for name in imported_by(ROOT / module)}.isdisjoint(IMPURE)


@pytest.mark.parametrize("module", PURE)
def test_a_pure_module_imports_only_pure_modules_of_ours(module: str) -> None:
    ours = {name for name in imported_by(ROOT / module) if name.split(".")[0] in OURS}
    pure = (path.removesuffix(".py").removesuffix("/__init__") for path in PURE)
    assert ours <= {path.replace("/", ".") for path in pure}


@pytest.mark.parametrize("package", [auth, hub_config, spawner], ids=lambda each: each.__name__)
def test_the_packages_are_those_of_this_checkout(package: object) -> None:
    assert Path(str(package.__file__)).parent == ROOT / package.__name__  # type: ignore[attr-defined]
