"""Views over exactly the files of the manifests, as SQL for DuckDB or as a Python module for Polars.

No view uses a glob: a glob would also read files that are not published, and ranges that are published twice.
"""

from __future__ import annotations

import re
from collections import defaultdict
from typing import TYPE_CHECKING

from cryo_ingest.audit.catalog import unique_names
from cryo_ingest.audit.parts import choose_parts, holes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from cryo_ingest.audit.catalog import Catalog, CatalogVersion
    from cryo_ingest.audit.parts import Part
    from cryo_ingest.settings import S3Settings

Read = tuple[list[str], "tuple[int, int] | None"]
"""Paths, and the blocks to read from them; None for all."""

DIALECTS = ("duckdb", "polars")


def duckdb_views(catalog: Catalog, url_of: Callable[[str], str], *, s3: S3Settings | None) -> Iterator[str]:
    """Yield the lines of an SQL script that creates a view for each dataset; `s3` is None for a directory."""
    yield "-- Views over the published files; made by `cryo-ingest catalog --sql duckdb`, run it again for new ranges."
    if s3 is not None:
        yield from _duckdb_secret(s3)
    for name, parts in _datasets(catalog):
        yield f"-- {_extent(parts)}"
        yield f'CREATE OR REPLACE VIEW "{name}" AS'
        selects = []
        for paths, blocks in _reads(parts, url_of):
            listed = ",\n    ".join(_sql_text(_duckdb_path(path)) for path in paths)
            where = "" if blocks is None else f" WHERE block_number >= {blocks[0]} AND block_number < {blocks[1]}"
            files = f"read_parquet([\n    {listed}], hive_partitioning = false)"
            selects.append(f"  SELECT * FROM {files}{where}")  # noqa: S608 - printed; paths are quoted above
        yield "\n  UNION ALL\n".join(selects) + ";"


def polars_views(catalog: Catalog, url_of: Callable[[str], str], *, s3: S3Settings | None) -> Iterator[str]:
    """Yield the lines of a Python module with a LazyFrame for each dataset and an SQLContext of all."""
    yield '"""The published files; made by `cryo-ingest catalog --sql polars`, run it again for new ranges."""'
    yield "import polars as pl\n"
    options = {} if s3 is None else _polars_options(s3)
    names = []
    yield "def _read(paths):"
    yield (
        "    return pl.scan_parquet(paths, glob=False, hive_partitioning=False"
        f"{f', storage_options={options!r}' if options else ''})\n"
    )
    for name, parts in _datasets(catalog):
        names.append(name)
        yield f"# {_extent(parts)}"
        yield f"{name} = pl.concat(["
        for paths, blocks in _reads(parts, url_of):
            listed = "".join(f"        {path!r},\n" for path in paths)
            where = ""
            if blocks is not None:
                where = f".filter(pl.col('block_number').is_between({blocks[0]}, {blocks[1]}, closed='left'))"
            yield f"    _read([\n{listed}    ]){where},"
        yield "])\n"
    frames = ", ".join(f"{name!r}: {name}" for name in names)
    yield f"views = pl.SQLContext({{{frames}}})"


def _datasets(catalog: Catalog) -> Iterator[tuple[str, list[Part]]]:
    """Yield the name of each dataset's view and the parts to read."""
    groups: dict[tuple[int, str, str], list[CatalogVersion]] = defaultdict(list)
    for version in catalog.versions:
        groups[version.location.chain_id, version.dataset, version.location.dataset_uuid].append(version)
    for key, name in unique_names(groups).items():
        yield name, choose_parts(groups[key])


def _reads(parts: Sequence[Part], url_of: Callable[[str], str]) -> Iterator[Read]:
    """Yield the files to read; neighbouring whole versions are read together."""
    whole: list[str] = []
    for part in parts:
        paths = [url_of(file.key) for file in part.version.files]
        if part.is_whole:
            whole += paths
            continue
        if whole:
            yield whole, None
            whole = []
        yield paths, (part.start, part.end)
    if whole:
        yield whole, None


def _extent(parts: Sequence[Part]) -> str:
    """Say which blocks a view has."""
    missing = holes(parts)
    text = f"blocks {parts[0].start} to {parts[-1].end - 1}"
    if not missing:
        return text
    first = ", ".join(f"{start} to {end - 1}" for start, end in missing[:3])
    more = f" and {len(missing) - 3} more ranges" if len(missing) > 3 else ""  # noqa: PLR2004 - as many as are shown
    return f"{text}, without {first}{more}"


def _sql_text(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _duckdb_path(path: str) -> str:
    """Escape what DuckDB would read as a glob; a directory's name can have these characters."""
    return re.sub(r"([\[*?])", r"[\1]", path)


def _duckdb_secret(s3: S3Settings) -> Iterator[str]:
    """Yield comments on how DuckDB reads s3://; keys are not printed."""
    parts = ["TYPE s3", "PROVIDER credential_chain", f"REGION {_sql_text(s3.region or 'us-east-1')}"]
    if s3.endpoint is not None:
        scheme, _, host = s3.endpoint.partition("://")
        parts += [f"ENDPOINT {_sql_text(host)}", "URL_STYLE 'path'", f"USE_SSL {str(scheme == 'https').lower()}"]
    yield "-- DuckDB needs the extensions httpfs and aws for s3://, and a secret; run this first:"
    yield f"--   INSTALL httpfs; LOAD httpfs; INSTALL aws; LOAD aws; CREATE SECRET ({', '.join(parts)});"


def _polars_options(s3: S3Settings) -> dict[str, str]:
    """Return Polars' options for the store; it reads the keys from AWS_* variables, as the worker does."""
    options = {"aws_region": s3.region or "us-east-1"}
    if s3.endpoint is not None:
        options["aws_endpoint_url"] = s3.endpoint
        options["aws_allow_http"] = str(s3.endpoint.startswith("http://")).lower()
    return options
