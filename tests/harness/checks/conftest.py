"""Histories of a worker that keeps the contract, recorded once a session; tests change copies of them."""

import fcntl
from concurrent.futures import ThreadPoolExecutor

import pytest

from harness import history
from harness.history import Event
from harness.kit.shared import folder_of
from harness.runner.run import run
from harness.scenario import find
from harness.stores.backends import Backends
from harness.stores.bucket import S3Endpoint
from harness.targets import REFERENCE, Target
from harness.targets import find as find_target

JOBS = 4
SUCCESSES = ("straight-run", "straight-service", "fake-mode")
FAILURES = ("cryo-exit-2", "bad-payload-service", "cancelled-at-completion", "not-json")
PRELOADED = ("store-other-dataset", "store-ignores-conditions")


@pytest.fixture(scope="session")
def histories(request: pytest.FixtureRequest, cryo_moto: S3Endpoint) -> dict[str, list[Event]]:
    """Histories by scenario: successes as one command, as a service and in fake mode, and failures.

    The first test process that needs them records them for all.
    """
    around = Backends(cryo_moto, cryo_moto, "moto")
    targets: dict[str, Target] = dict.fromkeys([*SUCCESSES, *FAILURES], find_target())
    targets |= dict.fromkeys(PRELOADED, find_target(REFERENCE))
    folder = folder_of(request.config) / "histories-of-checks"
    folder.mkdir(exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        names = [name for name in targets if not (folder / f"{name}.jsonl").exists()]
        missing = find(names) if names else []
        with ThreadPoolExecutor(JOBS) as pool:
            recorded = pool.map(lambda scenario: run(scenario, targets[scenario.name], around), missing)
            for scenario, events in zip(missing, recorded, strict=True):
                history.save(events, folder / f"{scenario.name}.jsonl")
    return {name: history.load(folder / f"{name}.jsonl") for name in targets}
