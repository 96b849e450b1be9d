"""A target as a TOML file: how a worker differs from what `cmd:` expects. An error names the file and the line."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from harness.resources import clause_ids
from harness.scenario import message_with_line
from harness.targets.target import RUN, SERVICE, BadTarget, Delivery, Target

VERSION = 1


class TargetFile(BaseModel):
    """The file. `environment` maps the platform's variables to the worker's names; `set` adds variables.

    With delivery `sqs` a worker publishes through the dispatcher, with a payload on standard output; a worker that can
    do both lists both deliveries. `run` and `service` are the words after the command; `{store}`, `{task_id}`,
    `{attempt}` and `{payload}` (the path of the payload, for `payload-file`) are filled in.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: Literal[1]
    name: str = ""
    command: tuple[str, ...] = Field(min_length=1)
    delivery: tuple[Delivery, ...] = Field(default=("sqs", "payload-stdin"), min_length=1)
    publication: tuple[Literal["dispatcher", "stdout"], ...] = ()
    run: tuple[str, ...] | None = None
    service: tuple[str, ...] = SERVICE
    claim: Literal["documented", "lite", "both"] = "both"
    staging_root: Path | None = None
    environment: dict[str, str] = Field(default_factory=dict)
    set: dict[str, str] = Field(default_factory=dict)
    cannot: dict[str, str] = Field(default_factory=dict)

    @field_validator("delivery", "publication", mode="before")
    @classmethod
    def _as_list(cls, value: object) -> object:
        return [value] if isinstance(value, str) else value

    @field_validator("cannot")
    @classmethod
    def _check_clauses(cls, value: dict[str, str]) -> dict[str, str]:
        for clause, reason in value.items():
            if clause not in clause_ids():
                raise ValueError(f"the contract has no clause {clause}")
            if not reason.strip():
                raise ValueError(f"{clause} is excluded without a reason")
        return value

    @field_validator("staging_root")
    @classmethod
    def _check_absolute(cls, value: Path | None) -> Path | None:
        if value is not None and not value.is_absolute():
            raise ValueError("must be an absolute path")
        return value

    @model_validator(mode="after")
    def _check_publication(self) -> Self:
        expected = {"dispatcher" if delivery == "sqs" else "stdout" for delivery in self.delivery}
        if self.publication and set(self.publication) != expected:
            raise ValueError(
                f"publication: with delivery {', '.join(self.delivery)} it must be {', '.join(sorted(expected))}"
            )
        if {"payload-file", "payload-stdin"} <= set(self.delivery):
            raise ValueError("delivery: payload-file and payload-stdin exclude each other")
        if "payload-file" in self.delivery and not any("{payload}" in word for word in self.run or ()):
            raise ValueError("run: with payload-file a word must contain {payload}, the path of the file")
        return self

    def target(self, command: tuple[str, ...]) -> Target:
        """Return the target with a command whose program was found."""
        return Target(
            self.name,
            command,
            tuple(self.set.items()),
            delivery=frozenset(self.delivery),
            run_words=self.run if self.run is not None else RUN,
            service_words=self.service,
            variables=self.environment,
            claim=None if self.claim == "both" else self.claim,
            staging_root=self.staging_root,
            cannot=self.cannot,
        )


def schema() -> dict[str, Any]:
    """Return the JSON Schema, which harness/schemas/target.json contains."""
    return {"$id": f"target-{VERSION}", **TargetFile.model_json_schema()}


def read(path: Path) -> TargetFile:
    """Read a target.

    Raises:
        BadTarget: it can't be read, is not TOML, or is not a target.
    """
    try:
        text = path.read_text(encoding="utf-8")
        return TargetFile.model_validate({"name": path.stem} | tomllib.loads(text))
    except OSError as error:
        raise BadTarget(f"{path}: {error.strerror}") from None
    except ValidationError as error:
        problems = [
            message_with_line(path, text, _location(text, problem), problem["msg"]) for problem in error.errors()
        ]
        raise BadTarget("; ".join(problems)) from None
    except RecursionError:
        raise BadTarget(f"{path.name}: it is nested too deeply") from None
    except ValueError as error:
        raise BadTarget(f"{path.name}: {error}") from None


def _location(text: str, problem: Any) -> tuple[int | str, ...]:
    """Return the key of a problem; a rule on several keys names the key at the beginning of its message."""
    if problem["loc"] == ("cannot",):
        return ("cannot", next((clause for clause in problem["msg"].split() if f"{clause} " in text), ""))
    if problem["loc"]:
        location: tuple[int | str, ...] = problem["loc"]
        return location
    return (problem["msg"].removeprefix("Value error, ").partition(":")[0],)
