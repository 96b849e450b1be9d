"""The provenance of the worker image: version and revision, as labels that registries and scanners read."""

from __future__ import annotations

import io
import subprocess
import tomllib

from harness.containers.engine import client
from harness.resources import checkout

LATEST = "cryo_ingest:latest"
TITLE = "cryo_ingest"


def labels() -> dict[str, str]:
    """Return the OCI labels of an image that is built from this checkout."""
    project = tomllib.loads((checkout() / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return {
        "org.opencontainers.image.title": TITLE,
        "org.opencontainers.image.description": project["description"],
        "org.opencontainers.image.licenses": project["license"],
        "org.opencontainers.image.version": project["version"],
        "org.opencontainers.image.revision": revision(),
    }


def revision() -> str:
    """Return the commit of the checkout, with `-dirty` if files differ from it, or `unknown` without git."""
    command = ["git", "-C", str(checkout()), "describe", "--always", "--abbrev=40", "--exclude=*", "--dirty"]
    try:
        ended = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return "unknown"
    return ended.stdout.strip() or "unknown"


def label_latest(tag: str) -> str:
    """Tag an image as `cryo_ingest:latest` with the current labels, in a layer without content, and return that tag.

    The other tag depends only on the content; the labels name the commit of the last build.
    """
    engine = client()
    try:
        engine.images.build(fileobj=io.BytesIO(f"FROM {tag}\n".encode()), tag=LATEST, labels=labels(), rm=True)
    finally:
        engine.close()
    return LATEST
