"""The kit as pytest tests, one per scenario and clause; a scenario runs once, in the first process that needs it."""

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
from harness.report.result import ScenarioResult, error_result, run_result, scenario_result
from harness.resources import clauses
from harness.runner.run import run
from harness.scenario import BadScenario, Scenario, find
from harness.stores.backends import Backends
from harness.targets import BadTarget, Target


class ClauseFailed(Exception):
    """A clause is broken or can't be judged; the message is its report."""


@dataclass(frozen=True, slots=True)
class Kit:
    """What the tests of one session share."""

    target: Target
    planned: ProfilePlan

    def judged(self, scenario: Scenario, stores: Backends, folder: Path) -> ScenarioResult:
        """Return the judged scenario; run it unless a process of the session has run it already."""
        folder.mkdir(parents=True, exist_ok=True)
        saved = folder / f"{scenario.name}.jsonl"
        lock = folder / "staging.lock" if self.target.staging_root else saved.with_suffix(".lock")
        failed = saved.with_suffix(".error")
        with lock.open("w") as lock_file:
            fcntl.flock(lock_file, fcntl.LOCK_EX)
            if failed.exists():
                return error_result(scenario, json.loads(failed.read_text(encoding="utf-8")))
            if not saved.exists():
                try:
                    history.save(run(scenario, self.target, stores), saved)
                except Exception as error:  # noqa: BLE001 - an error of the harness is an error of each test
                    message = f"the harness failed: {type(error).__name__}: {error}"
                    failed.write_text(json.dumps(message), encoding="utf-8")
                    return error_result(scenario, message)
        return self.planned.without_excluded(scenario_result(history.load(saved), history=str(saved)))


class ScenarioTests(pytest.Collector):
    """The tests of one scenario."""

    def __init__(self, *, kit: Kit, scenario: Scenario, **options: Any) -> None:
        super().__init__(**options)
        self.kit, self.scenario = kit, scenario

    def collect(self) -> Iterator[pytest.Item]:
        """Yield one test per clause."""
        for clause in self.scenario.clauses:
            yield ClauseTest.from_parent(self, name=clause)


class ClauseTest(pytest.Item):
    """The test of one clause in one scenario."""

    parent: ScenarioTests

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        added = clauses()[self.name]["source"] == ADDED
        self.add_marker("cryo")
        self.add_marker("cryo_added" if added else "cryo_core")

    def runtest(self) -> None:
        """Judge the clause; skip the test if the scenario can't show the clause.

        Raises:
            ClauseFailed: the verdict is not PASS.
        """
        kit, scenario, config = self.parent.kit, self.parent.scenario, self.config
        result = kit.judged(scenario, backends_of(config), folder_of(config) / "cryo-kit")
        cell = result.by_clause()[self.name]
        if cell.verdict in {Verdict.INCONCLUSIVE, Verdict.NOT_EXERCISED} and not result.violations:
            pytest.skip(f"{cell.verdict}: {cell.reason}")
        others = [violation for violation in result.violations if violation.clause not in scenario.clauses]
        if cell.verdict is Verdict.PASS and not others:
            return
        raise ClauseFailed(self._report(result))

    def _report(self, result: ScenarioResult) -> str:
        option = self.config.getoption
        target, profile, store = (option(f"--cryo-{name}") for name in ("target", "profile", "store"))
        options = ("--target", target, "--profile", profile, "--store", store)
        return text.render(replace(run_result([result]), clauses=(self.name,), options=options))

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """Return only the report if the worker failed."""
        return str(excinfo.value) if isinstance(excinfo.value, ClauseFailed) else super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, None, str]:
        """Return the location and the name of the test."""
        return self.config.rootpath, None, f"{self.parent.name} {self.name}"


def tests_of(session: pytest.Session, target: str, profile: Profile) -> list[pytest.Item]:
    """Return the kit's tests, without scenarios that the target can't run.

    Raises:
        pytest.UsageError: there is no such target.
    """
    try:
        chosen = targets.find(target)
        planned = plan(chosen, profile, find())
    except (BadTarget, BadScenario, OSError) as error:
        raise pytest.UsageError(f"--cryo-target: {error}") from None
    kit = Kit(chosen, planned)
    items: list[pytest.Item] = []
    for scenario in planned.scenarios:
        collector = ScenarioTests.from_parent(
            session, name=scenario.name, nodeid=f"cryo/{scenario.name}", kit=kit, scenario=scenario
        )
        items += collector.collect()
    return items
