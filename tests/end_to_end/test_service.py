"""The service over the real wire: a worker process, moto's SQS and S3, the fake dispatcher."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.service import Platform, platform, small, until

from harness.stores.bucket import S3Endpoint


@pytest.fixture
def world(tmp_path: Path, moto: S3Endpoint) -> Iterator[Platform]:
    with platform(tmp_path, moto) as made:
        yield made


@pytest.mark.parametrize("form", ["documented", "lite"])
def test_pub_5_a_task_is_claimed_published_registered_once_and_acknowledged(
    form: str, tmp_path: Path, moto: S3Endpoint
):
    """PUB-5, PUB-6, OUT-1, STG-8, LSE-1, LSE-4: the straight path in both forms, and a clean end."""
    with platform(tmp_path, moto, form=form) as world, world.service() as service:
        task_id = world.machine.add_task(small())
        reported = service.wait_for("attempt.reported")
        until(world.queue_is_empty)
        assert service.stop() == 0
        assert (reported["task_id"], reported["attempt"], reported["outcome"]) == (task_id, 1, "success")
        assert (reported["dataset"], reported["range"]) == ("blocks", "500:1500")
        assert [len(times) for times in world.machine.registered.values()] == [1]
        assert world.machine.violations == []
        assert [exchange.kind for exchange in world.server.journal] == ["claim", "complete"]
        assert world.holds_exactly(small())
        assert world.staged() == []
