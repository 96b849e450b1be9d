"""The report as JSON, for programs. Every report is validated against harness/schemas/report.json."""

from __future__ import annotations

from datetime import datetime
from importlib.metadata import version
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from harness import schemas
from harness.checks.verdict import Verdict
from harness.report.result import ClauseResult, RunResult, ScenarioResult
from harness.resources import clauses

VERSION = 1


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class StoreReport(_Part):
    """The store that the worker used, and its limitations."""

    name: str
    limitations: tuple[str, ...]


class ClauseReport(_Part):
    """One clause over all scenarios; `source` is S, W or +; `reason` says why it is neither PASS nor FAIL."""

    id: str
    source: Literal["S", "W", "+"]
    text: str
    verdict: Verdict
    reason: str
    scenarios: dict[str, Verdict] = Field(description="the verdict of each scenario")


class ViolationReport(_Part):
    """A violation: what was expected, what was seen, and the numbers of the events that show it."""

    clause: str
    expected: str
    seen: str
    events: tuple[int, ...]
    known: str | None = Field(description="the message from the list of known failures, if it is listed")


class ScenarioReport(_Part):
    """One scenario; `history` is the path of the saved history, `replay` the command that runs it again."""

    name: str
    title: str
    verdict: Verdict
    seconds: float
    events: int
    history: str | None
    replay: str
    clauses: dict[str, Verdict]
    violations: tuple[ViolationReport, ...]
    errors: tuple[str, ...]


class RunReport(_Part):
    """The whole report."""

    format: Literal["cryo-harness report"] = "cryo-harness report"
    version: Literal[1] = 1
    harness: str = Field(description="the version of the harness")
    target: str
    profile: str
    store: StoreReport
    began_at: datetime | None
    seconds: float
    verdict: Verdict
    headline: str
    counts: dict[Verdict, int]
    complaints: tuple[str, ...]
    excluded: dict[str, str] = Field(description="excluded clauses, with the reason")
    skipped: dict[str, str] = Field(description="skipped scenarios, with the reason")
    clauses: tuple[ClauseReport, ...]
    scenarios: tuple[ScenarioReport, ...]


def schema() -> dict[str, Any]:
    """Return the JSON Schema."""
    return {"$id": f"report-{VERSION}", **RunReport.model_json_schema(mode="serialization")}


def run_report(result: RunResult) -> RunReport:
    """Return the report as a model."""
    by_scenario = {scenario.name: scenario.by_clause() for scenario in result.scenarios}
    return RunReport(
        harness=version("cryo-ingest"),
        target=result.target,
        profile=result.profile,
        store=StoreReport(name=result.store, limitations=result.limitations),
        began_at=result.began_at,
        seconds=round(result.seconds, 3),
        verdict=result.verdict,
        headline=result.headline,
        counts=result.counts(),
        complaints=result.complaints,
        excluded=dict(result.excluded),
        skipped=dict(result.skipped),
        clauses=tuple(_clause_report(result, clause, by_scenario) for clause in result.clauses),
        scenarios=tuple(
            _scenario_report(result, scenario, by_scenario[scenario.name]) for scenario in result.scenarios
        ),
    )


def _clause_report(result: RunResult, clause: str, by_scenario: dict[str, dict[str, ClauseResult]]) -> ClauseReport:
    contract = clauses()[clause]
    return ClauseReport.model_validate(
        {
            "id": clause,
            "source": contract["source"],
            "text": contract["text"],
            "verdict": result.verdicts()[clause],
            "reason": result.reason(clause),
            "scenarios": {name: found[clause].verdict for name, found in by_scenario.items() if clause in found},
        }
    )


def _scenario_report(result: RunResult, scenario: ScenarioResult, by_clause: dict[str, ClauseResult]) -> ScenarioReport:
    return ScenarioReport(
        name=scenario.name,
        title=scenario.title,
        verdict=scenario.verdict,
        seconds=round(scenario.seconds, 3),
        events=len(scenario.events),
        history=scenario.history or None,
        replay=result.replay(scenario),
        clauses={clause: found.verdict for clause, found in by_clause.items()},
        violations=tuple(
            ViolationReport(
                clause=violation.clause,
                expected=violation.expected,
                seen=violation.seen,
                events=violation.events,
                known=result.known.get(f"{violation.clause}/{scenario.name}"),
            )
            for violation in scenario.violations
        ),
        errors=scenario.errors,
    )


def render(result: RunResult) -> str:
    """Return the JSON text.

    Raises:
        harness.schemas.SchemaMismatch: the report does not match its schema.
    """
    report = run_report(result)
    schemas.check("report", report.model_dump(mode="json"))
    return report.model_dump_json(indent=2) + "\n"
