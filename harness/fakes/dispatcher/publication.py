"""The exact publication for a payload, computed from contract.md independently of any worker."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.contract import dataset_version, prefix

STORAGE_FIELDS = {"s3": {"scheme", "bucket", "prefix", "glob"}, "file": {"scheme", "prefix", "glob"}}


def difference(payload: Mapping[str, Any], publication: Any, bucket: str | None) -> list[tuple[str, str]]:
    """Return the differences of a publication from what the payload requires, each with its clause.

    Args:
        payload: a valid payload.
        publication: what the worker sent.
        bucket: the bucket that it must name; None accepts any bucket.
    """
    expected = {
        "dataset_uuid": ("PUB-1", str(payload["dataset_uuid"]).lower()),
        "dataset_version": ("VER-2", dataset_version(payload)),
        "config_hash": ("PUB-1", payload["config_hash"]),
        "range_start": ("PUB-1", payload["range_start"]),
        "range_end": ("PUB-1", payload["range_end"]),
    }
    if not isinstance(publication, dict):
        return [("PUB-1", "the publication is not a JSON object")]
    names = {*expected, "storage_ref"}
    differences = [("PUB-1", f"{name} is missing") for name in sorted(names - set(publication))]
    differences += [("PUB-1", f"{name} is unknown") for name in sorted(set(publication) - names)]
    for name, (clause, value) in expected.items():
        if name in publication and (publication[name] != value or type(publication[name]) is not type(value)):
            differences.append((clause, f"{name} is {publication[name]!r}, the payload requires {value!r}"))
    if "storage_ref" in publication:
        differences += _storage_difference(prefix(payload), publication["storage_ref"], bucket)
    return differences


def _storage_difference(prefix: str, reference: Any, bucket: str | None) -> list[tuple[str, str]]:
    scheme = reference.get("scheme") if isinstance(reference, dict) else None
    if not isinstance(scheme, str) or scheme not in STORAGE_FIELDS:
        return [("PUB-2", f"storage_ref.scheme is {scheme!r}, not 's3' or 'file'")]
    if set(reference) != STORAGE_FIELDS[scheme]:
        return [("PUB-2", f"storage_ref has the fields {sorted(reference)}, not {sorted(STORAGE_FIELDS[scheme])}")]
    differences = []
    if scheme == "file" and bucket is not None:
        differences.append(("PUB-2", f"storage_ref.scheme is 'file', but the platform uses the bucket {bucket!r}"))
    if reference["glob"] != "*.parquet":
        differences.append(("PUB-2", f"storage_ref.glob is {reference['glob']!r}"))
    given = reference["prefix"]
    fits = isinstance(given, str) and (given == prefix if scheme == "s3" else _below_a_root(given, prefix))
    if not fits:
        differences.append(("LAY-1", f"storage_ref.prefix is {given!r}, the payload requires {prefix!r}"))
    if scheme == "s3" and (not reference["bucket"] or not isinstance(reference["bucket"], str)):
        differences.append(("PUB-2", f"storage_ref.bucket is {reference['bucket']!r}"))
    elif scheme == "s3" and bucket is not None and reference["bucket"] != bucket:
        differences.append(("PUB-2", f"storage_ref.bucket is {reference['bucket']!r}, the platform uses {bucket!r}"))
    return differences


def _below_a_root(given: str, prefix: str) -> bool:
    return given.startswith("/") and given.endswith(f"/{prefix}")
