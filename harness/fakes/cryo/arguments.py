"""Cryo 0.3.2's command line as clap parses it: flags, arities, messages, exit code 2. `plan.py` interprets it.

`argparse` is not used because it differs from clap in visible ways: greedy lists, repeated flags, messages.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

Arity = Literal["flag", "one", "integer", "many"]


class Flag(NamedTuple):
    """One option; the fake rejects an option whose `modelled` is False, and names it."""

    name: str
    arity: Arity
    short: str = ""
    default: Any = None
    modelled: bool = True


FLAGS = (
    Flag("blocks", "many", "b"),
    Flag("timestamps", "many", modelled=False),
    Flag("txs", "many", "t", modelled=False),
    Flag("align", "flag", "a", default=False, modelled=False),
    Flag("reorg-buffer", "integer", default=0, modelled=False),
    Flag("include-columns", "many", "i", modelled=False),
    Flag("exclude-columns", "many", "e", modelled=False),
    Flag("columns", "many", modelled=False),
    Flag("u256-types", "many", modelled=False),
    Flag("hex", "flag", default=False, modelled=False),
    Flag("sort", "many", "s", modelled=False),
    Flag("exclude-failed", "flag", default=False, modelled=False),
    Flag("rpc", "one", "r"),
    Flag("network-name", "one"),
    Flag("requests-per-second", "integer", "l"),
    Flag("max-retries", "integer", default=5),
    Flag("initial-backoff", "integer", default=500),
    Flag("max-concurrent-requests", "integer"),
    Flag("max-concurrent-chunks", "integer"),
    Flag("chunk-order", "one"),
    Flag("dry", "flag", "d", default=False),
    Flag("remember", "flag", default=False, modelled=False),
    Flag("verbose", "flag", "v", default=False),
    Flag("no-verbose", "flag", default=False),
    Flag("chunk-size", "integer", "c", default=1000),
    Flag("n-chunks", "integer"),
    Flag("partition-by", "many", modelled=False),
    Flag("output-dir", "one", "o", default="."),
    Flag("subdirs", "many", default=[]),
    Flag("label", "one"),
    Flag("overwrite", "flag", default=False),
    Flag("csv", "flag", default=False, modelled=False),
    Flag("json", "flag", default=False, modelled=False),
    Flag("row-group-size", "integer"),
    Flag("n-row-groups", "integer"),
    Flag("no-stats", "flag", default=False),
    Flag("compression", "many", default=["lz4"]),
    Flag("report-dir", "one"),
    Flag("no-report", "flag", default=False),
    Flag("address", "many", modelled=False),
    Flag("to-address", "many", modelled=False),
    Flag("from-address", "many", modelled=False),
    Flag("call-data", "many", modelled=False),
    Flag("function", "many", modelled=False),
    Flag("inputs", "many", modelled=False),
    Flag("slot", "many", modelled=False),
    Flag("contract", "many", modelled=False),
    Flag("topic0", "many", modelled=False),
    Flag("topic1", "many", modelled=False),
    Flag("topic2", "many", modelled=False),
    Flag("topic3", "many", modelled=False),
    Flag("event-signature", "one", modelled=False),
    Flag("inner-request-size", "integer", default=1),
    Flag("js-tracer", "one", modelled=False),
)
"""In the order of Cryo's reports (`args.rs`)."""

_LONG = {flag.name: flag for flag in FLAGS} | {"event": next(flag for flag in FLAGS if flag.name == "topic0")}
_SHORT = {flag.short: flag for flag in FLAGS if flag.short}
_NUMBER = re.compile(r"-\d+(\.\d*)?\Z")
_HELP_HINT = "\n\nFor more information, try '--help'."


class EarlyExit(Exception):
    """The process ends before any work: `code` 2 with the message on stderr, or 0 with it on stdout (help, version)."""

    def __init__(self, message: str, code: int = 2) -> None:
        self.code = code
        super().__init__(message)


@dataclass(frozen=True, slots=True)
class Arguments:
    """A parsed command line: the datatypes, and every option by its name with underscores."""

    datatype: tuple[str, ...]
    options: dict[str, Any]

    def __getattr__(self, name: str) -> Any:
        try:
            return self.options[name]
        except KeyError:
            raise AttributeError(name) from None

    def as_reported(self) -> dict[str, Any]:
        """Return the value of `args` in a report."""
        reported: dict[str, Any] = {"datatype": list(self.datatype)}
        for flag in FLAGS:
            name = flag.name.replace("-", "_")
            reported[name] = self.options[name]
        return reported


def parse(argv: list[str]) -> Arguments:
    """Parse a command line without the program's name.

    Raises:
        EarlyExit: clap would reject it, it asks for help or version, or the fake does not model one of its flags.
    """
    options: dict[str, Any] = {flag.name.replace("-", "_"): flag.default for flag in FLAGS}
    datatypes: list[str] = []
    given: set[str] = set()
    rest = list(argv)
    while rest:
        word = rest.pop(0)
        if word == "--":
            datatypes += rest
            break
        if not _is_flag(word):
            datatypes.append(word)
            continue
        flag, attached = _lookup(word, rest)
        if flag.name in given and flag.arity != "many":
            raise EarlyExit(f"error: the argument '{_usage(flag)}' cannot be used multiple times{_HELP_HINT}")
        if not flag.modelled:
            raise EarlyExit(f"error: fake-cryo does not model --{flag.name}")
        _store(options, flag, _values(flag, attached, rest), append=flag.name in given)
        given.add(flag.name)
    return Arguments(datatype=tuple(datatypes), options=options)


def _is_flag(word: str) -> bool:
    return word.startswith("-") and word != "-" and not _NUMBER.match(word)


def _lookup(word: str, rest: list[str]) -> tuple[Flag, str | None]:
    """Return the flag of a word, and the value attached to it with `=` or, for a short flag, directly."""
    if word in {"-h", "--help"}:
        raise EarlyExit(
            "cryo extracts blockchain data to parquet, csv, or json\n\nUsage: cryo [OPTIONS] [DATATYPE]...", 0
        )
    if word in {"-V", "--version"}:
        raise EarlyExit("cryo 0.3.2", 0)
    if word.startswith("--"):
        name, separator, value = word[2:].partition("=")
        flag, attached = _LONG.get(name), value if separator else None
    else:
        name, tail = word[1], word[2:]
        flag, attached = _SHORT.get(name), tail.removeprefix("=") or None
        if flag and flag.arity == "flag" and tail:
            rest.insert(0, "-" + tail)
            attached = None
    if flag is None:
        shown = f"--{name}" if word.startswith("--") else f"-{name}"
        raise EarlyExit(
            f"error: unexpected argument '{shown}' found\n\nUsage: cryo [OPTIONS] [DATATYPE]...{_HELP_HINT}"
        )
    return flag, attached


def _values(flag: Flag, attached: str | None, rest: list[str]) -> list[str]:
    if flag.arity == "flag":
        if attached is not None:
            raise EarlyExit(
                f"error: unexpected value '{attached}' for '{_usage(flag)}' found; no more were expected{_HELP_HINT}"
            )
        return []
    values = [] if attached is None else [attached]
    if not values and rest and not _is_flag(rest[0]):
        values.append(rest.pop(0))
    limit = 2 if flag.name == "compression" else None
    while flag.arity == "many" and attached is None and rest and not _is_flag(rest[0]) and len(values) != limit:
        values.append(rest.pop(0))
    if not values:
        raise EarlyExit(f"error: a value is required for '{_usage(flag)}' but none was supplied{_HELP_HINT}")
    return values


def _store(options: dict[str, Any], flag: Flag, values: list[str], *, append: bool) -> None:
    name = flag.name.replace("-", "_")
    if flag.arity == "flag":
        options[name] = True
    elif flag.arity == "many":
        options[name] = [*options[name], *values] if append else values
    elif flag.arity == "one":
        options[name] = values[0]
    elif values[0].isascii() and values[0].removeprefix("+").isdigit():
        options[name] = int(values[0])
    else:
        raise EarlyExit(
            f"error: invalid value '{values[0]}' for '{_usage(flag)}': invalid digit found in string{_HELP_HINT}"
        )


def _usage(flag: Flag) -> str:
    placeholder = flag.name.replace("-", "_").upper()
    if flag.arity == "flag":
        return f"--{flag.name}"
    return f"--{flag.name} <{placeholder}>{'...' if flag.arity == 'many' else ''}"
