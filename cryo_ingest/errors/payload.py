"""Errors of the task payload, of a job file and of the environment."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryo_ingest.errors.base import FatalError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class BadPayload(FatalError):
    """The task payload breaks PAY-1, PAY-4 or PAY-5; `problems` maps each bad field to what is wrong with it."""

    exit_code = 65

    def __init__(self, problems: Mapping[str, str]) -> None:
        self.problems = dict(problems)
        listed = "; ".join(f"{field}: {problem}" for field, problem in self.problems.items())
        super().__init__(
            f"bad task payload: {listed}. Nothing was run or written; correct the payload and submit it again"
        )


class BadJob(FatalError):
    """A job file, or one with prices, can't be used; `problems` says what is wrong, each with its line and field."""

    exit_code = 65

    def __init__(self, name: str, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        listed = "".join(f"\n  {problem}" for problem in self.problems)
        super().__init__(f"bad file {name}: correct it and try again. Nothing was run or written{listed}")


class ConfigurationError(FatalError):
    """The environment can't be used; `problems` maps each bad variable to what is wrong with it."""

    exit_code = 78

    def __init__(self, problems: Mapping[str, str]) -> None:
        self.problems = dict(problems)
        listed = "; ".join(f"{variable}: {problem}" for variable, problem in self.problems.items())
        super().__init__(f"bad configuration: {listed}")
