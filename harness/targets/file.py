"""A target as a TOML file: what of a worker is not as `cmd:` expects it. A mistake is named with its file and line."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from harness.resources import clause_ids
from harness.scenario import located
from harness.targets.target import RUN, SERVICE, BadTarget, Delivery, Target

VERSION = 1


class TargetFile(BaseModel):
    """The file. `environment` has the worker's own names for variables of ours; `set` are variables that it is given.

    A worker told by `sqs` publishes through the dispatcher, one told by a payload on standard output; one that can do
    both has both deliveries. `run` and `service` are the words after the command; `{store}`, `{task_id}`, `{attempt}`
    and `{payload}` (the path of the payload, for `payload-file`) are filled in.
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
    def _one_or_several(cls, value: object) -> object:
        return [value] if isinstance(value, str) else value

    @field_validator("cannot")
    @classmethod
    def _clauses_with_reasons(cls, value: dict[str, str]) -> dict[str, str]:
        for clause, reason in value.items():
            if clause not in clause_ids():
                raise ValueError(f"the contract has no clause {clause}")
            if not reason.strip():
                raise ValueError(f"{clause} is left out without a reason")
        return value

    @field_validator("staging_root")
    @classmethod
    def _absolute(cls, value: Path | None) -> Path | None:
        if value is not None and not value.is_absolute():
            raise ValueError("must be an absolute path")
        return value

    @model_validator(mode="after")
    def _publication_fits(self) -> Self:
        fitting = {"dispatcher" if one == "sqs" else "stdout" for one in self.delivery}
        if self.publication and set(self.publication) != fitting:
            raise ValueError(
                f"publication: with delivery {', '.join(self.delivery)} it is {', '.join(sorted(fitting))}"
            )
        if {"payload-file", "payload-stdin"} <= set(self.delivery):
            raise ValueError("delivery: of payload-file and payload-stdin name one")
        if "payload-file" in self.delivery and not any("{payload}" in word for word in self.run or ()):
            raise ValueError("run: with payload-file a word holds {payload}, the path of the file")
        return self

    def target(self, command: tuple[str, ...]) -> Target:
        """Return the target, with the command's program as it was found."""
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
    """Return the JSON Schema; harness/schemas/target.json is it, as a file."""
    return {"$id": f"target-{VERSION}", **TargetFile.model_json_schema()}


def read(path: Path) -> TargetFile:
    """Read a target.

    Raises:
        BadTarget: it is no TOML, or does not hold what a target holds.
    """
    try:
        text = path.read_text(encoding="utf-8")
        return TargetFile.model_validate({"name": path.stem} | tomllib.loads(text))
    except OSError as error:
        raise BadTarget(f"{path}: {error.strerror}") from None
    except ValidationError as error:
        problems = [located(path, text, _place(text, one), one["msg"]) for one in error.errors()]
        raise BadTarget("; ".join(problems)) from None
    except RecursionError:
        raise BadTarget(f"{path.name}: it is nested too deeply") from None
    except ValueError as error:
        raise BadTarget(f"{path.name}: {error}") from None


def _place(text: str, problem: Any) -> tuple[int | str, ...]:
    """Return the key that a problem is about: of a rule on several keys, the one that its message begins with."""
    if problem["loc"] == ("cannot",):
        return ("cannot", next((clause for clause in problem["msg"].split() if f"{clause} " in text), ""))
    if problem["loc"]:
        found: tuple[int | str, ...] = problem["loc"]
        return found
    return (problem["msg"].removeprefix("Value error, ").partition(":")[0],)
