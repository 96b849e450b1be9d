"""The kit as pytest tests, one for each scenario and clause; a scenario runs once, in whichever process comes first."""

from __future__ import annotations

import fcntl
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from harness import history, targets
from harness.checks.verdict import Verdict
from harness.kit.profile import ADDED, Profile, ProfilePlan, plan
from harness.kit.shared import backends_of, folder_of
from harness.report import text
from harness.report.result import Ran, broken, of_histories, ran
from harness.resources import clauses
from harness.runner.run import run
from harness.scenario import BadScenario, Scenario, find
from harness.stores.backends import Backends
from harness.targets import BadTarget, Target


class ClauseFailed(Exception):
    """A clause is not kept, or can't be judged; the message is the report of it."""


@dataclass(frozen=True, slots=True)
class Kit:
    """What the tests of one session have in common."""

    target: Target
    planned: ProfilePlan

    def judged(self, scenario: Scenario, around: Backends, folder: Path) -> Ran:
        """Return a scenario's judgement; it is run where no process of the session has run it yet."""
        folder.mkdir(parents=True, exist_ok=True)
        saved = folder / f"{scenario.name}.jsonl"
        lock = folder / "staging.lock" if self.target.staging_root else saved.with_suffix(".lock")
        failed = saved.with_suffix(".error")
        with lock.open("w") as held:
            fcntl.flock(held, fcntl.LOCK_EX)
            if failed.exists():
                return broken(scenario, json.loads(failed.read_text(encoding="utf-8")))
            if not saved.exists():
                try:
                    history.save(run(scenario, self.target, around), saved)
                except Exception as error:  # noqa: BLE001 - what the harness meets with is each test's error
                    said = f"the harness failed: {type(error).__name__}: {error}"
                    failed.write_text(json.dumps(said), encoding="utf-8")
                    return broken(scenario, said)
        return self.planned.counted(ran(history.load(saved), history=str(saved)))


class ScenarioTests(pytest.Collector):
    """The tests of one scenario."""

    def __init__(self, *, kit: Kit, scenario: Scenario, **told: Any) -> None:
        super().__init__(**told)
        self.kit, self.scenario = kit, scenario

    def collect(self) -> Iterator[pytest.Item]:
        """Yield a test for each clause."""
        for clause in self.scenario.clauses:
            yield ClauseTest.from_parent(self, name=clause)


class ClauseTest(pytest.Item):
    """A clause in a scenario."""

    parent: ScenarioTests

    def __init__(self, **told: Any) -> None:
        super().__init__(**told)
        added = clauses()[self.name]["source"] == ADDED
        self.add_marker("cryo")
        self.add_marker("cryo_added" if added else "cryo_core")

    def runtest(self) -> None:
        """Judge it.

        Raises:
            ClauseFailed: it is not PASS; what can't be shown is skipped instead, with the reason.
        """
        kit, scenario, config = self.parent.kit, self.parent.scenario, self.config
        found = kit.judged(scenario, backends_of(config), folder_of(config) / "cryo-kit")
        cell = found.cells()[self.name]
        if cell.verdict in {Verdict.INCONCLUSIVE, Verdict.NOT_EXERCISED} and not found.judged.violations:
            pytest.skip(f"{cell.verdict}: {cell.reason}")
        others = [one for one in found.judged.violations if one.clause not in scenario.clauses]
        if cell.verdict is Verdict.PASS and not others:
            return
        raise ClauseFailed(self._report(found))

    def _report(self, found: Ran) -> str:
        told = self.config.getoption
        options = ("--target", told("--cryo-target"), "--store", told("--cryo-store"))
        return text.render(replace(of_histories([found]), asked=(self.name,), options=options))

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """Return the report alone where it is the worker that failed."""
        return str(excinfo.value) if isinstance(excinfo.value, ClauseFailed) else super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, None, str]:
        """Name the test."""
        return self.config.rootpath, None, f"{self.parent.name} {self.name}"


def tests_of(session: pytest.Session, target: str, profile: Profile) -> list[pytest.Item]:
    """Return the kit's tests; scenarios that the target can't be put into are left out.

    Raises:
        pytest.UsageError: there is no such target.
    """
    try:
        chosen = targets.find(target)
        planned = plan(chosen, profile, find())
    except (BadTarget, BadScenario, OSError) as error:
        raise pytest.UsageError(f"--cryo-target: {error}") from None
    kit = Kit(chosen, planned)
    found: list[pytest.Item] = []
    for scenario in planned.scenarios:
        collector = ScenarioTests.from_parent(
            session, name=scenario.name, nodeid=f"cryo/{scenario.name}", kit=kit, scenario=scenario
        )
        found += collector.collect()
    return found
