"""A target as the runner uses it: command lines and environment with the worker's own names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from harness.targets.image import in_docker

Delivery = Literal["sqs", "payload-file", "payload-stdin"]
RUN = ("run", "-", "--store", "{store}", "--task-id", "{task_id}", "--attempt", "{attempt}")
SERVICE = ("worker",)


class BadTarget(ValueError):
    """A target can't be started; the message says what to write instead."""


@dataclass(frozen=True, slots=True)
class Target:
    """A worker.

    `run_words` (one task) or `service_words` follow the command; `{store}`, `{task_id}`, `{attempt}` and `{payload}` (a
    file) in them are filled in. `environment` is added to the worker's environment; `variables` maps the platform's
    variables to its names. `claim` is the only form of the claim answer that it accepts, None if it accepts both.
    `cannot` are the clauses that it does not claim to keep, with reasons.
    """

    name: str
    command: tuple[str, ...]
    environment: tuple[tuple[str, str], ...] = ()
    delivery: frozenset[Delivery] = frozenset({"sqs", "payload-stdin"})
    run_words: tuple[str, ...] = RUN
    service_words: tuple[str, ...] = SERVICE
    variables: Mapping[str, str] = field(default_factory=dict)
    claim: Literal["documented", "lite"] | None = None
    staging_root: Path | None = None
    cannot: Mapping[str, str] = field(default_factory=dict)
    in_container: bool = False

    @property
    def runs_one_task(self) -> bool:
        """Whether it can run one task without queue and dispatcher."""
        return self.delivery != {"sqs"}

    def named(self, environment: Mapping[str, str]) -> dict[str, str]:
        """Return an environment with the worker's names."""
        return {self.variables.get(name, name): value for name, value in environment.items()}

    def name_of(self, variable: str) -> str:
        """Return the worker's name of a platform variable."""
        return self.variables.get(variable, variable)

    def command_line(
        self, folder: Path, environment: Mapping[str, str], values: Mapping[str, str] | None, id_file: Path
    ) -> list[str]:
        """Return the whole command line.

        Args:
            folder: the folder of the scenario, which is mounted into a container.
            id_file: the file that gets the id of a container.
            environment: the worker's environment, with its names.
            values: the values to fill in for one task; None starts the service.
        """
        words = list(self.service_words)
        if values is not None:
            words = list(self.run_words)
            for name, value in values.items():
                words = [word.replace(f"{{{name}}}", value) for word in words]
        command = in_docker(self.command, folder, environment, id_file) if self.in_container else list(self.command)
        return [*command, *words]
