"""Histories of a good worker, made once a session: what bad ones are made from."""

from typing import Any

import pytest

from harness.runner.run import run
from harness.scenario import find
from harness.stores.backends import Backends
from harness.stores.bucket import S3Endpoint
from harness.targets import REFERENCE
from harness.targets import find as find_target


@pytest.fixture(scope="session")
def histories(cryo_moto: S3Endpoint) -> dict[str, list[Any]]:
    """The straight path as one command, as a service and in fake mode, and attempts that fail."""
    around = Backends(cryo_moto, cryo_moto, "moto")
    straight = ("straight-run", "straight-service", "fake-mode")
    failing = ("cryo-exit-2", "bad-payload-service", "cancelled-at-completion", "not-json")
    stored = ("store-other-dataset", "store-ignores-conditions")
    found = {one.name: run(one, find_target(), around) for one in find([*straight, *failing])}
    return found | {one.name: run(one, find_target(REFERENCE), around) for one in find(stored)}
