"""From a parsed command line to the dataset, the chunks and their files; errors come in the same order as Cryo's."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from harness.contract import network_name
from harness.fakes.cryo.arguments import EarlyExit
from harness.fakes.cryo.ranges import Blocks, CryoError, ParsingError, parse_blocks, split
from harness.world.catalogue import datasets
from harness.world.tables import ROWS

if TYPE_CHECKING:
    from harness.fakes.cryo.arguments import Arguments
    from harness.fakes.cryo.source import Source

Codec = Literal["gzip", "brotli", "zstd", "snappy", "lz4", "none"]

_LEVELS: dict[str, tuple[Codec, range]] = {
    "gzip": ("gzip", range(10)),
    "brotli": ("brotli", range(12)),
    "zstd": ("zstd", range(1, 23)),
}
_LEVELLESS: dict[str, Codec] = {"uncompressed": "none", "snappy": "snappy", "lz4": "lz4"}


@dataclass(frozen=True, slots=True)
class Chunk:
    """One file to write, and its blocks."""

    blocks: Blocks
    path: Path

    @property
    def temporary(self) -> Path:
        """The path that Cryo writes before it renames the file: `_tmp` replaces the extension."""
        return self.path.with_suffix("._tmp")


@dataclass(frozen=True, slots=True)
class Plan:
    """The plan of a run; `skipped` are the chunks that already have a file."""

    dataset: str
    network: str
    directory: Path
    chunks: tuple[Chunk, ...]
    skipped: tuple[Chunk, ...]
    compression: Codec
    compression_level: int | None
    row_group_size: int | None


def make_plan(arguments: Arguments, source: Source) -> Plan:
    """Turn a command line into a plan, and create the output directory as Cryo does.

    Raises:
        CryoError: Cryo would end with exit code 1.
        EarlyExit: the fake does not model one of the arguments.
    """
    dataset = _dataset(arguments.datatype)
    blocks = parse_blocks(arguments.blocks or ["0:latest"], source.latest)
    if arguments.n_chunks == 0:
        raise EarlyExit("attempt to divide by zero", 101)
    chunks = split(blocks, chunk_size=arguments.chunk_size, n_chunks=arguments.n_chunks)
    if arguments.chunk_order not in {None, "normal", "reverse"}:
        if arguments.chunk_order == "random":
            raise EarlyExit("error: fake-cryo does not model --chunk-order random")
        raise ParsingError("invalid --chunk-order, use normal, reverse, or random")
    if arguments.chunk_order == "reverse":
        chunks.reverse()
    network = arguments.network_name or network_name(source.chain_id)
    directory = _make(Path(arguments.output_dir)).resolve()
    compression, level = _compression(arguments.compression)
    if arguments.verbose and arguments.no_verbose:
        raise ParsingError("")
    _check_needs(dataset)
    folder = directory
    for part in arguments.subdirs:
        labelled = f"{dataset}__{arguments.label}" if arguments.label else dataset
        folder /= {"datatype": labelled, "network": network}.get(part, part)
    _make(folder)
    middle = f"{dataset}__{arguments.label}" if arguments.label else dataset
    files = [Chunk(chunk, folder / f"{network}__{middle}__{chunk.label}.parquet") for chunk in chunks]
    skipped = tuple(chunk for chunk in files if not arguments.overwrite and chunk.path.exists())
    return Plan(
        dataset=dataset,
        network=network,
        directory=directory,
        chunks=tuple(chunk for chunk in files if chunk not in skipped),
        skipped=skipped,
        compression=compression,
        compression_level=level,
        row_group_size=_row_group_size(arguments),
    )


def _dataset(names: tuple[str, ...]) -> str:
    known = datasets()
    canonical = {alias: name for name, dataset in known.items() for alias in dataset.aliases}
    groups = {dataset.group for dataset in known.values()}
    for name in names:
        if name in groups:
            raise EarlyExit(f"error: fake-cryo does not model dataset groups ({name})")
        if name not in known and name not in canonical:
            raise ParsingError(f"no datatype matches input: {name}")
    if len(names) != 1:
        raise EarlyExit("error: fake-cryo models one dataset at a time")
    return canonical.get(names[0], names[0])


def _check_needs(dataset: str) -> None:
    needs = datasets()[dataset].requires
    if needs:
        raise CryoError(f"Collect failed: need to specify {', '.join(needs)}")
    if dataset not in ROWS:
        raise EarlyExit(f"error: fake-cryo does not model the dataset {dataset}")


def _make(directory: Path) -> Path:
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError:
        raise ParsingError("could not create dir") from None
    return directory


def _compression(words: list[str]) -> tuple[Codec, int | None]:
    match words:
        case [name] if name in _LEVELLESS:
            return _LEVELLESS[name], None
        case [name] if name in _LEVELS:
            raise ParsingError("Missing compression level")
        case [name, level] if name in _LEVELS:
            codec, levels = _LEVELS[name]
            if not level.isdigit() or int(level) not in levels:
                raise ParsingError("Invalid compression level")
            return codec, int(level)
        case ["lzo"]:
            raise EarlyExit("error: fake-cryo does not model --compression lzo")
        case _:
            raise ParsingError("Invalid compression algorithm")


def _row_group_size(arguments: Arguments) -> int | None:
    if arguments.row_group_size is not None:
        return int(arguments.row_group_size)
    if arguments.n_row_groups:
        return -(-int(arguments.chunk_size) // int(arguments.n_row_groups))
    return None
