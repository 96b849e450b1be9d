"""From files to scenarios, and from what a user names to the scenarios that are meant."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from pathlib import Path

from pydantic import ValidationError

from harness.resources import fixtures
from harness.scenario.lines import located
from harness.scenario.messages import Problem, problem_of
from harness.scenario.model import Scenario
from harness.scenario.rules import problems

MOST_TOLD = 10
"""So many mistakes of a file are told one by one."""


class BadScenario(ValueError):
    """A scenario can't be used: its file and line, and what is wrong there."""


def folder() -> Path:
    """Return where the scenarios are that come with the harness."""
    return fixtures() / "scenarios"


def read(path: Path) -> Scenario:
    """Read one scenario.

    Raises:
        BadScenario: it is no TOML, does not hold what a scenario holds, or could never go as it says.
    """
    try:
        text = path.read_text(encoding="utf-8")
        fields = tomllib.loads(text)
        scenario = Scenario.model_validate({"name": path.stem} | fields)
    except OSError as error:
        raise BadScenario(f"{path}: {error.strerror}") from None
    except ValidationError as error:
        raise BadScenario(_told(path, text, [problem_of(one) for one in error.errors()])) from None
    except RecursionError:
        raise BadScenario(f"{path.name}: it is nested too deeply") from None
    except ValueError as error:
        raise BadScenario(f"{path.name}: {error}") from None
    found = problems(scenario)
    if scenario.name != path.stem:
        found.append(Problem(("name",), f"is not the file's own name: leave it out, or write {path.stem!r}"))
    if found:
        raise BadScenario(_told(path, text, found))
    return scenario


def _told(path: Path, text: str, found: list[Problem]) -> str:
    more = [f"and {len(found) - MOST_TOLD} more"] if len(found) > MOST_TOLD else []
    return "; ".join([*(located(path, text, place, message) for place, message in found[:MOST_TOLD]), *more])


def find(names: Iterable[str] = ()) -> list[Scenario]:
    """Return the scenarios of some names, files or clauses, each once; all of them for none.

    Raises:
        BadScenario: one can't be used, there is none of that name, or two files have one name.
    """
    wanted = list(names)
    own = {path.stem: path for path in sorted(folder().glob("*.toml"))}
    if not wanted:
        return [read(path) for path in own.values()]
    found: dict[str, tuple[Path, Scenario]] = {}

    def take(path: Path) -> None:
        known, _ = found.setdefault(path.stem, (path, read(path)))
        if known.resolve() != path.resolve():
            raise BadScenario(
                f"{known} and {path} are both called {path.stem}, and so would be their histories: rename one"
            )

    everything: list[Scenario] = []
    for name in wanted:
        if name.endswith(".toml"):
            take(Path(name))
        elif name in own:
            take(own[name])
        else:
            everything = everything or [read(path) for path in own.values()]
            having = [one.name for one in everything if name in one.clauses]
            if not having:
                raise BadScenario(f"there is no scenario or clause {name!r}: `cryo-harness list` shows them")
            for one in having:
                take(own[one])
    return [scenario for _, scenario in found.values()]
