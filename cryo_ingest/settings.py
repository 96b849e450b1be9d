"""Reads the environment into a frozen `Settings`; an error names all invalid variables (exit 78).

Two parties set variables. The platform that hosts the worker sets names, URLs and secrets; if one of these is empty, it
counts as not set (`VariableType.empty_is_unset`). The operator sets modes and limits (most of `TRACE_*`, and `MAX_*`);
if one of these is empty, that is an error, so that a typo in a deployment can't silently remove a limit.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Generic, Literal, TypeVar
from urllib.parse import urlsplit

from cryo_ingest.errors import ConfigurationError, RpcPoolUnresolved
from cryo_ingest.levels import LEVELS, Level
from cryo_ingest.network import Proxies
from cryo_ingest.variables import unknown_variables

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

T = TypeVar("T")
V = TypeVar("V")
V_co = TypeVar("V_co", covariant=True)
C = TypeVar("C", bound=str)
N = TypeVar("N", int, float)

Mode = Literal["fake", "real"]
LogFormat = Literal["json", "console"]

DEFAULT_RPC_VARIABLE = "TRACE_CRYO_RPC_URL"
SINGLE_PUT_LIMIT_BYTES = 5 * 1024**3
"""S3's limit for a single PUT. The cap on the size of a file can't be higher."""

DEFAULT_LOG_RANGE = 100
"""Blocks that Cryo requests in one `eth_getLogs` call: the smallest limit that large providers document."""

LOOPBACK = "127.0.0.1"
MAX_PORT = 65535


@dataclass(frozen=True, slots=True)
class Caps:
    """The limits on one range's output (CAP-1, CAP-4); a value equal to the limit is allowed."""

    max_files: int = 256
    max_bytes_per_file: int = 512 * 1024**2
    max_total_bytes: int = 2 * 1024**3


@dataclass(frozen=True, slots=True)
class S3Settings:
    """The connection to the platform's bucket; without keys the AWS credential chain is used."""

    bucket: str | None = None
    endpoint: str | None = None
    region: str | None = None
    access_key_id: str | None = None
    secret_access_key: str | None = field(default=None, repr=False)
    session_token: str | None = field(default=None, repr=False)
    proxies: Proxies = field(default_factory=Proxies)


@dataclass(frozen=True, slots=True)
class RpcPools:
    """The endpoints by variable name. URLs may contain secrets: never put them in logs or messages."""

    urls_by_variable: Mapping[str, str] = field(default_factory=dict, repr=False)

    def resolve(self, pool: str) -> tuple[str, ...]:
        """Return the URLs of a pool in the order in which to try them (MOD-4, MOD-7).

        Raises:
            RpcPoolUnresolved: the pool's variable and the default one are not set.
        """
        variable = pool_variable(pool)
        for name in (variable, DEFAULT_RPC_VARIABLE):
            urls = self.urls_by_variable.get(name, "").split()
            if urls:
                return tuple(urls)
        raise RpcPoolUnresolved(pool_variable=variable, default_variable=DEFAULT_RPC_VARIABLE)


@dataclass(frozen=True, slots=True)
class Settings:
    """The checked settings of an attempt."""

    mode: Mode = "fake"
    cryo_bin: str = "cryo"
    deadline_seconds: float = 3600.0
    requests_per_second: int | None = None
    max_concurrent_requests: int | None = None
    confirmations: int | None = None
    configured_proof_level: Level | None = None
    gateway: bool = True
    rpc_timeout_seconds: float = 30.0
    log_range: int = DEFAULT_LOG_RANGE
    staging_root: Path = Path("/tmp/trace/cryo")  # noqa: S108 - the specification's own path (STG-1)
    staging_ttl_hours: float = 24.0
    caps: Caps = field(default_factory=Caps)
    rpc: RpcPools = field(default_factory=RpcPools)
    s3: S3Settings = field(default_factory=S3Settings)
    proxies: Proxies = field(default_factory=Proxies)
    log_format: LogFormat | None = None

    @property
    def uses_gateway(self) -> bool:
        """Whether Cryo reads through the gateway; in fake mode it reads from no node."""
        return self.gateway and self.mode == "real"

    @property
    def executable(self) -> str:
        """The name of the executable that the mode runs, for messages."""
        return self.cryo_bin if self.mode == "real" else "fake-cryo"

    @property
    def proof_level(self) -> Level:
        """The level of proof; `rows` in fake mode, which has no endpoint (MOD-1)."""
        return (self.configured_proof_level or "chain") if self.mode == "real" else "rows"

    def secrets(self) -> tuple[str, ...]:
        """Return all secrets in the environment, for redaction."""
        urls = [url for value in self.rpc.urls_by_variable.values() for url in value.split()]
        keys = [key for key in (self.s3.secret_access_key, self.s3.session_token) if key]
        return (*urls, *keys, *self.proxies.secrets())


def pool_variable(pool: str) -> str:
    """Return the variable that holds a pool's URL (MOD-6)."""
    return f"TRACE_RPC_POOL_{re.sub('[^A-Z0-9]', '_', pool.upper())}_URL"


def from_environment(environment: Mapping[str, str]) -> Settings:
    """Check the environment and return the settings.

    Raises:
        ConfigurationError: some variables are invalid; it names all of them.
    """
    reader = Reader(environment)
    settings = read_settings(reader)
    reader.raise_if_bad()
    return settings


def check_mode_is_chosen(environment: Mapping[str, str]) -> None:
    """Check that a command that extracts data does not fall back to fake mode although an RPC pool is configured.

    Raises:
        ConfigurationError: a pool has a URL, and `TRACE_CRYO_MODE` is not set.
    """
    pools = [name for name, value in sorted(environment.items()) if _is_rpc_variable(name) and value.strip()]
    if pools and "TRACE_CRYO_MODE" not in environment:
        raise ConfigurationError(
            {
                "TRACE_CRYO_MODE": f"must be set, because {pools[0]} is: `real` extracts data from that node, and the "
                "default `fake` makes data up"
            }
        )


def read_settings(reader: Reader) -> Settings:
    """Read an attempt's settings.

    Problems are collected in the reader, so that a caller can read more variables and report all problems together.
    """
    mode: VariableType[Mode] = one_of("fake", "real")
    log_format: VariableType[LogFormat] = one_of("json", "console")
    proxies = _read_proxies(reader)
    return Settings(
        mode=reader.read("TRACE_CRYO_MODE", mode, default="fake"),
        cryo_bin=reader.read("TRACE_CRYO_BIN", TEXT, default="cryo"),
        deadline_seconds=reader.read("TRACE_CRYO_DEADLINE_SECONDS", SECONDS, default=3600.0),
        requests_per_second=reader.read("TRACE_CRYO_REQUESTS_PER_SECOND", COUNT, default=None),
        max_concurrent_requests=reader.read("TRACE_CRYO_MAX_CONCURRENT_REQUESTS", COUNT, default=None),
        confirmations=reader.read("TRACE_CRYO_CONFIRMATIONS", BLOCKS, default=None),
        configured_proof_level=reader.read("TRACE_COVERAGE", one_of(*LEVELS), default=None),
        gateway=reader.read("TRACE_CRYO_GATEWAY", one_of("on", "off"), default="on") == "on",
        rpc_timeout_seconds=reader.read("TRACE_RPC_TIMEOUT_SECONDS", SECONDS, default=30.0),
        log_range=reader.read("TRACE_CRYO_LOG_RANGE", COUNT, default=DEFAULT_LOG_RANGE),
        staging_root=reader.read("TRACE_CRYO_STAGING_ROOT", ABSOLUTE_PATH, default=Settings().staging_root),
        staging_ttl_hours=reader.read("TRACE_CRYO_STAGING_TTL_HOURS", HOURS, default=24.0),
        caps=_read_caps(reader),
        rpc=RpcPools({name: value for name, value in reader.environment.items() if _is_rpc_variable(name)}),
        s3=_read_s3(reader, proxies),
        proxies=proxies,
        log_format=reader.read("TRACE_LOG_FORMAT", log_format, default=None),
    )


def _is_rpc_variable(name: str) -> bool:
    return name == DEFAULT_RPC_VARIABLE or (name.startswith("TRACE_RPC_POOL_") and name.endswith("_URL"))


def _read_caps(reader: Reader) -> Caps:
    default = Caps()
    caps = Caps(
        max_files=reader.read("MAX_PARQUET_FILES_PER_RANGE", COUNT, default=default.max_files),
        max_bytes_per_file=reader.read("MAX_PARQUET_BYTES_PER_FILE", COUNT, default=default.max_bytes_per_file),
        max_total_bytes=reader.read("MAX_TOTAL_PARQUET_BYTES_PER_RANGE", COUNT, default=default.max_total_bytes),
    )
    if caps.max_bytes_per_file > SINGLE_PUT_LIMIT_BYTES:
        reader.problems["MAX_PARQUET_BYTES_PER_FILE"] = (
            f"must be at most {SINGLE_PUT_LIMIT_BYTES} (5 GiB), the maximum of S3 for one PUT"
        )
    return caps


def _read_proxies(reader: Reader) -> Proxies:
    """Read the proxy variables, if `TRACE_PROXY` turns them on."""
    if reader.read("TRACE_PROXY", one_of("off", "environment"), default="off") == "off":
        return Proxies()
    proxies = Proxies.from_environment(reader.environment)
    for name in proxies.invalid_variables():
        reader.problems[name] = "must be an http:// or https:// URL with a host if TRACE_PROXY is environment"
    return proxies


def _read_s3(reader: Reader, proxies: Proxies) -> S3Settings:
    return S3Settings(
        bucket=reader.read("S3_BUCKET", ANY_TEXT, default=None),
        endpoint=reader.read("S3_ENDPOINT", PLAIN_URL, default=None),
        region=reader.read("AWS_REGION", ANY_TEXT, default=None),
        access_key_id=reader.read("AWS_ACCESS_KEY_ID", ANY_TEXT, default=None),
        secret_access_key=reader.read("AWS_SECRET_ACCESS_KEY", ANY_TEXT, default=None),
        session_token=reader.read("AWS_SESSION_TOKEN", ANY_TEXT, default=None),
        proxies=proxies,
    )


@dataclass(frozen=True, slots=True)
class VariableType(Generic[V_co]):
    """How to parse a variable's value; `error_message` is reported if `parse` raises ValueError or KeyError."""

    parse: Callable[[str], V_co]
    error_message: str
    empty_is_unset: bool = False


class Reader:
    """Reads variables one by one and collects problems, without the variables' values, which may be secret."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self.environment = environment
        self.problems: dict[str, str] = {}
        self._names = {DEFAULT_RPC_VARIABLE}

    def read(self, name: str, variable_type: VariableType[V], *, default: T) -> V | T:
        """Return the value of a variable, or the default if the variable is not set or invalid."""
        self._names.add(name)
        value = self.environment.get(name)
        if value is None or (variable_type.empty_is_unset and not value):
            return default
        try:
            return variable_type.parse(value)
        except (ValueError, KeyError):
            self.problems[name] = variable_type.error_message
            return default

    def read_required(self, name: str, variable_type: VariableType[str]) -> str:
        """Return the value of a required variable. If it has none, record a problem and return an empty string."""
        value = self.read(name, variable_type, default="")
        if not value:
            self.problems.setdefault(name, "must be set")
        return value

    def raise_if_bad(self) -> None:
        """Raise ConfigurationError if any variable that was read is invalid, or if one has a misspelt name."""
        problems = self.problems | unknown_variables(self.environment, self._names)
        if problems:
            raise ConfigurationError(problems)


def one_of(*choices: C) -> VariableType[C]:
    """Return a variable type that accepts one of these words."""
    by_name: dict[str, C] = {str(choice): choice for choice in choices}
    return VariableType(by_name.__getitem__, f"must be {' or '.join(choices)}")


def _non_empty(value: str) -> str:
    if not value.strip():
        raise ValueError
    return value


def _integer(value: str, *, max_digits: int = 18) -> int:
    if not re.fullmatch(f"[0-9]{{1,{max_digits}}}", value):
        raise ValueError
    return int(value)


def _number(value: str) -> float:
    number = float(value)
    if not math.isfinite(number) or number < 0:
        raise ValueError
    return number


def _positive(number: N) -> N:
    if number == 0:
        raise ValueError
    return number


def _absolute_path(value: str) -> Path:
    path = Path(value)
    if not path.is_absolute() or "\0" in value:
        raise ValueError
    return path


def _token(value: str) -> str:
    if not re.fullmatch("[!-~]+", value):
        raise ValueError
    return value


def _address(value: str) -> tuple[str, int]:
    match = re.fullmatch(r"(?:(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9.-]*):)?([0-9]{1,5})", value)
    if match is None or int(match[2]) > MAX_PORT:
        raise ValueError
    return (match[1] or LOOPBACK).strip("[]"), int(match[2])


def _http_url(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.port == 0:
        raise ValueError
    return value.rstrip("/")


def _plain_url(value: str) -> str:
    parts = urlsplit(value)
    if "@" in parts.netloc or set(value) & set("?#"):
        raise ValueError
    return _http_url(value)


TEXT = VariableType(_non_empty, "must not be empty; unset it for the default")
COUNT = VariableType(lambda value: _positive(_integer(value)), "must be a positive integer")
BLOCKS = VariableType(lambda value: _integer(value, max_digits=10), "must be a number of blocks, 0 or more")
SECONDS = VariableType(lambda value: _positive(_number(value)), "must be a number of seconds greater than 0")
HOURS = VariableType(_number, "must be a number of hours, 0 or more")
ABSOLUTE_PATH = VariableType(_absolute_path, "must be an absolute path")
ADDRESS = VariableType(_address, "must be a port, or host:port ([host]:port for IPv6)")
"""An address to listen on; a port alone means loopback, and port 0 chooses a free one."""

ANY_TEXT = VariableType(str, "", empty_is_unset=True)
"""Any text; an empty one counts as not set."""

HTTP_URL = VariableType(_http_url, "must be an http:// or https:// URL with a host", empty_is_unset=True)
PLAIN_URL = VariableType(
    _plain_url, "must be an http:// or https:// URL with a host and no user, query or fragment", empty_is_unset=True
)
TOKEN = VariableType(_token, "must be visible ASCII without white space", empty_is_unset=True)
