"""The values of the wire format: task payload, publication and manifest, all frozen.

Prefixes and names are in `layout.py`, datasets in `datasets.py`.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from cryo_ingest.errors import BadPayload

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

MAX_BLOCK_NUMBER = 4_294_967_295
"""The largest block number in Cryo's uint32 columns (PAY-5)."""

MAX_CHAIN_ID = 2**64 - 1
"""The largest chain id in Cryo's uint64 column."""

UUID_PATTERN = r"^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\Z"
NAME_PATTERN = r"^[a-z0-9_]{1,64}\Z"

MAX_KEY = 64
"""Characters of an unknown key that a message repeats."""

MAX_SHOWN = 10**20
PLAIN_WORD = re.compile(r"[A-Za-z0-9_. -]{0,24}")
"""A bad value that a message may repeat; a URL has other characters, and keys are longer."""

_STRICT = ConfigDict(strict=True, frozen=True, hide_input_in_errors=True, regex_engine="python-re")


def check_pool_name(value: str) -> str:
    """Return the name of a pool, or raise ValueError: a value that could be a URL might bring secrets into messages."""
    if not value or re.search(r"[\s/@\x00-\x1f\ud800-\udfff]", value):
        message = "must be the name of an RPC pool (no white space, '/' or '@'), never a URL"
        raise ValueError(message)
    return value


class Task(BaseModel):
    """One dataset of one chain over the blocks `[range_start, range_end)`: PAY-1 and PAY-5, unknown fields ignored."""

    model_config = _STRICT | ConfigDict(extra="ignore")

    dataset_uuid: Annotated[str, Field(pattern=UUID_PATTERN), AfterValidator(str.lower)]
    dataset_key: Annotated[str, Field(pattern=NAME_PATTERN)]
    chain_id: Annotated[int, Field(gt=0, le=MAX_CHAIN_ID)]
    cryo_dataset_name: Annotated[str, Field(pattern=NAME_PATTERN)]
    rpc_pool: Annotated[str, AfterValidator(check_pool_name)]
    range_start: Annotated[int, Field(ge=0, le=MAX_BLOCK_NUMBER)]
    range_end: Annotated[int, Field(ge=1, le=MAX_BLOCK_NUMBER)]
    config_hash: Annotated[str, Field(min_length=1)]

    @model_validator(mode="after")
    def _range_is_not_empty(self) -> Task:
        if self.range_end <= self.range_start:
            message = "range_end: must be greater than range_start (the range is end-exclusive)"
            raise ValueError(message)
        return self

    @property
    def block_range(self) -> str:
        """The range in the form of Cryo's `--blocks`, end-exclusive."""
        return f"{self.range_start}:{self.range_end}"


@dataclass(frozen=True, slots=True)
class Assignment:
    """One attempt at one task; `payload` has not been checked yet."""

    task_id: str
    attempt: int
    payload: object


@dataclass(frozen=True, slots=True)
class StorageRef:
    """The location of a dataset version (PUB-2); `bucket` is None for the `file` scheme."""

    scheme: Literal["s3", "file"]
    bucket: str | None
    prefix: str
    glob: str = "*.parquet"


@dataclass(frozen=True, slots=True)
class Publication:
    """The DatasetPublication of a successful attempt (PUB-1)."""

    dataset_uuid: str
    dataset_version: str
    storage_ref: StorageRef
    config_hash: str
    range_start: int
    range_end: int

    def to_wire(self) -> dict[str, Any]:
        """Return the publication as a JSON object, without `bucket` if there is none."""
        fields: dict[str, Any] = asdict(self)
        fields["storage_ref"] = {name: value for name, value in fields["storage_ref"].items() if value is not None}
        return fields

    def to_json(self) -> str:
        """Return the publication as one line of JSON."""
        return json.dumps(self.to_wire(), separators=(",", ":"), ensure_ascii=False)


class Manifest(BaseModel):
    """The list of a version's Parquet keys, relative to the bucket (LAY-3, LAY-4, LAY-7)."""

    model_config = _STRICT | ConfigDict(extra="forbid")

    version: Literal[1] = 1
    dataset_uuid: str
    dataset_version: str
    parquet_keys: tuple[str, ...] = Field(strict=False)

    @model_validator(mode="after")
    def _keys_are_sorted_without_repeats(self) -> Manifest:
        if list(self.parquet_keys) != sorted(set(self.parquet_keys)):
            message = "parquet_keys: must be sorted, without repeats"
            raise ValueError(message)
        return self

    def to_bytes(self) -> bytes:
        """Return the form of LAY-7: UTF-8, keys in the order of LAY-4, no white space, a final newline."""
        return (json.dumps(self.model_dump(), separators=(",", ":"), ensure_ascii=False) + "\n").encode()


def parse_task(payload: object) -> Task:
    """Check a payload (a parsed JSON value) and return the task.

    Raises:
        BadPayload: it breaks PAY-1 or PAY-5; the message names every bad field, and shows values that can't be secrets.
    """
    if not isinstance(payload, dict):
        raise BadPayload({"payload": "must be a JSON object"})
    if repeated := sorted(set(_repeated_keys(payload))):
        raise BadPayload(dict.fromkeys(repeated, "must appear once"))
    try:
        return Task.model_validate(payload)
    except ValidationError as error:
        raise BadPayload(_problems(error)) from None


def parse_task_text(text: str | bytes) -> object:
    """Parse a payload's JSON text.

    Raises:
        BadPayload: it is not JSON in UTF-8.
    """
    try:
        return json.loads(text, parse_constant=_reject_constant, object_pairs_hook=mark_repeated_keys)
    except UnicodeDecodeError:
        raise BadPayload({"payload": "is not UTF-8"}) from None
    except RecursionError:
        raise BadPayload({"payload": "is nested too deeply"}) from None
    except ValueError as error:
        where = f" (line {error.lineno}, column {error.colno})" if isinstance(error, json.JSONDecodeError) else ""
        raise BadPayload({"payload": f"is not JSON{where}"}) from None


def parse_manifest(content: bytes) -> Manifest | None:
    """Return the manifest in `content`, None if it is not valid (LAY-4: unknown fields make it invalid)."""
    try:
        manifest = Manifest.model_validate(json.loads(content))
        manifest.to_bytes()  # raises for a lone surrogate, which JSON can contain
    except (ValueError, RecursionError):
        return None
    return manifest


def make_manifest(*, dataset_uuid: str, dataset_version: str, parquet_keys: Iterable[str]) -> Manifest:
    """Build the manifest of one version; the order of `parquet_keys` does not matter."""
    return Manifest(
        dataset_uuid=dataset_uuid, dataset_version=dataset_version, parquet_keys=tuple(sorted(set(parquet_keys)))
    )


class RepeatedKeys(dict[str, Any]):
    """A JSON object with repeated keys, which are in `repeated`."""

    repeated: tuple[str, ...] = ()


def mark_repeated_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Build an object in `json.loads`, marked if keys are repeated: parsers differ on which value they use."""
    found = dict(pairs)
    if len(found) == len(pairs):
        return found
    marked = RepeatedKeys(found)
    counts = Counter(key for key, _ in pairs)
    marked.repeated = tuple(key for key, count in counts.items() if count > 1)
    return marked


def _repeated_keys(value: object) -> Iterator[str]:
    """Yield the repeated keys at any depth, shortened for a message."""
    if isinstance(value, RepeatedKeys):
        yield from (key[:MAX_KEY] for key in value.repeated)
    if isinstance(value, dict):
        for item in value.values():
            yield from _repeated_keys(item)
    elif isinstance(value, list):
        for item in value:
            yield from _repeated_keys(item)


def _reject_constant(name: str) -> object:
    message = f"{name} is not JSON"
    raise ValueError(message)


def _problems(error: ValidationError) -> dict[str, str]:
    """Return one problem for each bad field, with its value where `_seen` shows it."""
    problems: dict[str, str] = {}
    for detail in error.errors(include_url=False, include_context=False):
        message = detail["msg"].removeprefix("Value error, ")
        field, separator, problem = message.partition(": ")
        if not detail["loc"] and separator:
            problems[field] = problem
        else:
            field = str(detail["loc"][0]) if detail["loc"] else "payload"
            problems.setdefault(field, message + ("" if detail["type"] == "missing" else _seen(field, detail["input"])))
    return problems


def _seen(field: str, value: object) -> str:
    """Return a bad value for a message: a number, or a short plain word; other text, and a pool, might be a secret."""
    if value is None or (isinstance(value, bool | int | float) and -MAX_SHOWN < value < MAX_SHOWN):
        return f", but it is {json.dumps(value)}"
    if isinstance(value, list | dict):
        return f", but it is {'a list' if isinstance(value, list) else 'an object'}"
    if isinstance(value, str) and field != "rpc_pool" and PLAIN_WORD.fullmatch(value):
        return f', but it is "{value}"'
    return ""
