"""A target as the runner uses it: command lines and environment, in the worker's own words."""

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
    """A target that can't be started, and what to write instead."""


@dataclass(frozen=True, slots=True)
class Target:
    """A worker.

    `run_words` (one task) or `service_words` are put after the command; `{store}`, `{task_id}`, `{attempt}` and
    `{payload}` (a file) in them are filled in. `environment` is added to the worker's; `variables` has its names for
    ours. `claim` is the one form of the claim's answer that it takes, where it does not take both. `cannot` are clauses
    that it does not claim to keep, with reasons.
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
        """Whether it can be started for one task, without queue and dispatcher."""
        return self.delivery != {"sqs"}

    def named(self, environment: Mapping[str, str]) -> dict[str, str]:
        """Return an environment under the worker's own names."""
        return {self.variables.get(name, name): value for name, value in environment.items()}

    def name_of(self, variable: str) -> str:
        """Return what the worker calls a variable of ours."""
        return self.variables.get(variable, variable)

    def words(
        self, folder: Path, environment: Mapping[str, str], places: Mapping[str, str] | None, id_file: Path
    ) -> list[str]:
        """Return the whole command line.

        Args:
            folder: where the world's files are, which a container must see.
            id_file: where a container's id is to be written.
            environment: what the worker will be given, by its names.
            places: what is filled in for one task; None starts the service.
        """
        after = list(self.service_words)
        if places is not None:
            after = list(self.run_words)
            for name, value in places.items():
                after = [word.replace(f"{{{name}}}", value) for word in after]
        command = in_docker(self.command, folder, environment, id_file) if self.in_container else list(self.command)
        return [*command, *after]
