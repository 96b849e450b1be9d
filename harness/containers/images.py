"""The images, made from packages: binaries come from package managers on the host and are copied in.

Nothing is installed inside a build and nothing is pulled. A tag holds a digest of what the image is made of, so it is
built once, and again only when its inputs change.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.containers.engine import EngineError, client
from harness.resources import dockerfiles

if TYPE_CHECKING:
    from collections.abc import Callable

MINIO_MODULE = "github.com/minio/minio"
MINIO_VERSION = "v0.0.0-20260212201848-7aac2a2c5b7c"


@dataclass(frozen=True, slots=True)
class Image:
    """One image: `variable` names an image to use instead, `make` puts the files of its build into a folder."""

    name: str
    pin: str
    source: str
    variable: str
    make: Callable[[Path, Callable[[str], None]], None]

    @property
    def tag(self) -> str:
        """The image that is used: the one that the variable names, else the one that is built here."""
        given = os.environ.get(self.variable)
        digest = hashlib.sha256(self.dockerfile.read_bytes() + self.pin.encode()).hexdigest()[:12]
        return given or f"cryo-harness/{self.name}:{digest}"

    @property
    def dockerfile(self) -> Path:
        """The recipe, in the repository's `images/`."""
        return dockerfiles() / self.name / "Dockerfile"


def cache_folder() -> Path:
    """Return the folder for binaries that outlive a run."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "cryo-harness"


def make_minio(folder: Path, say: Callable[[str], None]) -> None:
    """Put a static MinIO into the folder, building it from the Go module proxy where the cache has none.

    Raises:
        EngineError: there is no Go, or the build failed.
    """
    cached = cache_folder() / "bin" / f"minio-{MINIO_VERSION}"
    if not cached.exists():
        go = shutil.which("go")
        if go is None:
            raise EngineError("building MinIO needs Go: install it, or set HARNESS_MINIO_IMAGE to an image that has it")
        say(f"building {MINIO_MODULE}@{MINIO_VERSION} with {go} (about 6 minutes, once)")
        cached.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cached.parent) as fresh:
            environment = os.environ | {"GOBIN": fresh, "CGO_ENABLED": "0"}
            built = subprocess.run([go, "install", f"{MINIO_MODULE}@{MINIO_VERSION}"], env=environment, check=False)
            if built.returncode != 0:
                raise EngineError("building MinIO failed: Go's own words are above")
            (Path(fresh) / "minio").rename(cached)
    shutil.copy2(cached, folder / "minio")


IMAGES = {
    image.name: image
    for image in (Image("minio", MINIO_VERSION, f"Go module {MINIO_MODULE}", "HARNESS_MINIO_IMAGE", make_minio),)
}


def is_there(image: Image, engine: Any) -> bool:
    """Tell whether the engine has the image."""
    import docker  # noqa: PLC0415 - slow to load

    try:
        engine.images.get(image.tag)
    except docker.errors.ImageNotFound:
        return False
    return True


def build(image: Image, say: Callable[[str], None]) -> None:
    """Build an image unless the engine has it.

    Raises:
        EngineError: there is no engine, or the build failed.
    """
    engine = client()
    try:
        if is_there(image, engine):
            say(f"{image.name}: {image.tag} is there")
            return
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            shutil.copy2(image.dockerfile, folder / "Dockerfile")
            image.make(folder, say)
            say(f"{image.name}: building {image.tag}")
            _build(engine, folder, image.tag)
        say(f"{image.name}: {image.tag} is built")
    finally:
        engine.close()


def _build(engine: Any, folder: Path, tag: str) -> None:
    import docker  # noqa: PLC0415 - slow to load

    try:
        engine.images.build(path=str(folder), tag=tag, rm=True, pull=False, network_mode="none")
    except (docker.errors.BuildError, docker.errors.APIError) as error:
        raise EngineError(f"building {tag} failed: {error}") from None
