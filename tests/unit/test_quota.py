"""The file's limits become one server's quota, number for number."""

import pytest

from hub_config.schema import Limits, Quotas
from spawner.quota import Quota, effective

GIB = 1024**3


@pytest.mark.parametrize(
    ("limits", "quota"),
    [
        ({}, Quota(cpus=2.0, memory_bytes=8 * GIB, shm_bytes=2 * GIB, pids=1024)),
        (
            {"cpus": 0.5, "memory": "1 GiB", "shm": "64 MiB", "pids": 64},
            Quota(cpus=0.5, memory_bytes=GIB, shm_bytes=GIB // 16, pids=64),
        ),
        (
            {"cpus": 128, "memory": "1.5 TiB", "shm": "1 TiB", "pids": 100_000},
            Quota(cpus=128.0, memory_bytes=1536 * GIB, shm_bytes=1024 * GIB, pids=100_000),
        ),
    ],
)
def test_effective(limits: dict[str, object], quota: Quota) -> None:
    assert effective(Quotas(default=Limits.model_validate(limits))) == quota
