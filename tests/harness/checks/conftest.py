"""Histories of a worker that keeps the contract, recorded once a session; tests change copies of them."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from harness.history import Event
from harness.runner.run import run
from harness.scenario import find
from harness.stores.backends import Backends
from harness.stores.bucket import S3Endpoint
from harness.targets import REFERENCE
from harness.targets import find as find_target

JOBS = 4


@pytest.fixture(scope="session")
def histories(cryo_moto: S3Endpoint) -> dict[str, list[Event]]:
    """Histories by scenario: successes as one command, as a service and in fake mode, and failures."""
    around = Backends(cryo_moto, cryo_moto, "moto")
    successes = ("straight-run", "straight-service", "fake-mode")
    failures = ("cryo-exit-2", "bad-payload-service", "cancelled-at-completion", "not-json")
    preloaded = ("store-other-dataset", "store-ignores-conditions")
    workers = [(find_target(), [*successes, *failures]), (find_target(REFERENCE), [*preloaded])]
    with ThreadPoolExecutor(JOBS) as pool:
        running = {
            scenario.name: pool.submit(run, scenario, target, around)
            for target, names in workers
            for scenario in find(names)
        }
        return {name: future.result() for name, future in running.items()}
