"""Reads scenario files, and finds scenarios by name, file or clause."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from pathlib import Path

from pydantic import ValidationError

from harness.resources import fixtures
from harness.scenario.lines import message_with_line
from harness.scenario.messages import Problem, problem_of
from harness.scenario.model import Scenario
from harness.scenario.rules import problems

MAX_PROBLEMS = 10
"""The number of problems of a file that an error lists."""


class BadScenario(ValueError):
    """A scenario can't be used; the message has the file, the line and the problem."""


def folder() -> Path:
    """Return the folder of the scenarios that are part of the harness."""
    return fixtures() / "scenarios"


def read(path: Path) -> Scenario:
    """Read one scenario.

    Raises:
        BadScenario: it can't be read, is not TOML, is not a valid scenario, or breaks a rule.
    """
    try:
        text = path.read_text(encoding="utf-8")
        fields = tomllib.loads(text)
        scenario = Scenario.model_validate({"name": path.stem} | fields)
    except OSError as error:
        raise BadScenario(f"{path}: {error.strerror}") from None
    except ValidationError as error:
        raise BadScenario(_message(path, text, [problem_of(details) for details in error.errors()])) from None
    except RecursionError:
        raise BadScenario(f"{path.name}: it is nested too deeply") from None
    except ValueError as error:
        raise BadScenario(f"{path.name}: {error}") from None
    broken = problems(scenario)
    if scenario.name != path.stem:
        broken.append(Problem(("name",), f"is not the name of the file: remove it, or write {path.stem!r}"))
    if broken:
        raise BadScenario(_message(path, text, broken))
    return scenario


def _message(path: Path, text: str, broken: list[Problem]) -> str:
    more = [f"and {len(broken) - MAX_PROBLEMS} more"] if len(broken) > MAX_PROBLEMS else []
    return "; ".join(
        [*(message_with_line(path, text, place, message) for place, message in broken[:MAX_PROBLEMS]), *more]
    )


def find(names: Iterable[str] = ()) -> list[Scenario]:
    """Return the scenarios with some names, files or clauses, each once; all scenarios without names.

    Raises:
        BadScenario: a scenario can't be used, a name is unknown, or two files have the same name.
    """
    wanted = list(names)
    by_name = {path.stem: path for path in sorted(folder().glob("*.toml"))}
    if not wanted:
        return [read(path) for path in by_name.values()]
    taken: dict[str, tuple[Path, Scenario]] = {}

    def take(path: Path) -> None:
        known, _ = taken.setdefault(path.stem, (path, read(path)))
        if known.resolve() != path.resolve():
            raise BadScenario(
                f"{known} and {path} have the same name {path.stem}, and so would their histories: rename one"
            )

    everything: list[Scenario] = []
    for name in wanted:
        if name.endswith(".toml"):
            take(Path(name))
        elif name in by_name:
            take(by_name[name])
        else:
            everything = everything or [read(path) for path in by_name.values()]
            of_clause = [scenario.name for scenario in everything if name in scenario.clauses]
            if not of_clause:
                raise BadScenario(f"there is no scenario or clause {name!r}: `cryo-harness list` shows them")
            for scenario_name in of_clause:
                take(by_name[scenario_name])
    return [scenario for _, scenario in taken.values()]
