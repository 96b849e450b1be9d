"""Cryo 0.3.2's block syntax and chunking, with its rounding and its bugs (`cli/src/parse/blocks.rs`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_SUFFIXES = {"k": 1e3, "m": 1e6, "b": 1e9}


class CryoError(Exception):
    """An error that Cryo prints on stdout before it ends with exit code 1."""


class ParsingError(CryoError):
    """A `ParseError` of Cryo, with its prefix."""

    def __init__(self, message: str) -> None:
        super().__init__(f"Parsing error: {message}")


class Blocks(NamedTuple):
    """The blocks of one chunk: a range, or a list of numbers."""

    numbers: Sequence[int]

    @property
    def label(self) -> str:
        """The part of a file's name that gives its first and last block; gaps are not visible in it."""
        return f"{min(self.numbers):08d}_to_{max(self.numbers):08d}"


def parse_blocks(tokens: Sequence[str], latest: Callable[[], int]) -> Blocks:
    """Return the blocks of `--blocks`; `latest` returns the head and is called only if it is needed.

    Raises:
        CryoError: Cryo would end with exit code 1.
    """
    chunks = [_parse_token(part, latest) for token in tokens for part in token.split(" ")]
    if len(chunks) == 1:
        return Blocks(chunks[0])
    return Blocks([number for chunk in chunks for number in chunk])


def split(blocks: Blocks, *, chunk_size: int, n_chunks: int | None) -> list[Blocks]:
    """Divide blocks into chunks, starting at the first block and never aligned."""
    numbers = blocks.numbers
    if n_chunks is not None:
        chunk_size = -(-len(numbers) // n_chunks)
    if chunk_size == 0:
        return [blocks]
    return [Blocks(numbers[start : start + chunk_size]) for start in range(0, len(numbers), chunk_size)]


def _parse_token(token: str, latest: Callable[[], int]) -> Sequence[int]:
    parts = token.replace("_", "").split(":")
    if len(parts) == 1:
        return [_number(parts[0], latest, missing=None)]
    if len(parts) > 3:  # noqa: PLR2004 (start:end:step)
        raise ParsingError("blocks must be in format block_number or start_block:end_block")
    first, (second, slash, keep) = parts[0], parts[1].partition("/")
    start, end = _bounds(first, second, latest)
    if end < start:
        raise ParsingError("end_block should not be less than start_block")
    if slash:
        return _evenly_spaced(range(start, end + 1), _integer(keep, "cannot parse block interval size"))
    if len(parts) == 3:  # noqa: PLR2004
        return range(start, end + 1, _integer(parts[2], "start_block parse error"))
    return range(start, end + 1)


def _bounds(first: str, second: str, latest: Callable[[], int]) -> tuple[int, int]:
    """Return the first and the last block, inclusive."""
    if first.startswith("-"):
        end = _number(second, latest, missing="last")
        start = end - _integer(first[1:], "start_block parse error")
        if start < 0:
            raise ParsingError("start_block underflow")
        return start + 1, end
    start = _number(first, latest, missing="first")
    if second.startswith("+"):
        end = start + _integer(second[1:], "start_block parse error")
    else:
        end = _number(second, latest, missing="last")
    if second in {"latest", ""}:
        return start, end
    if end == 0:
        raise ParsingError("end_block underflow (Cryo itself runs out of memory here: never end a range at 0)")
    return start, end - 1


def _number(text: str, latest: Callable[[], int], *, missing: str | None) -> int:
    if text == "latest" or (not text and missing == "last"):
        return latest()
    if not text and missing == "first":
        return 0
    factor = _SUFFIXES.get(text[-1:].lower())
    if factor is None:
        return _integer(text, "Error parsing block ref")
    try:
        return int(float(text[:-1]) * factor)
    except ValueError:
        raise ParsingError("Error parsing block ref") from None


def _integer(text: str, message: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise ParsingError(message)
    return int(text)


def _evenly_spaced(numbers: range, keep: int) -> Sequence[int]:
    if keep == 0:
        return []
    if keep >= len(numbers):
        return numbers
    interval = (len(numbers) - 1) / (keep - 1) if keep > 1 else 0.0
    return [numbers[int(interval * index)] for index in range(keep)]
