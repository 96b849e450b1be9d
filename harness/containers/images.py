"""The images, made from packages: binaries come from package managers on the host and are copied in.

Nothing is installed inside a build and nothing is pulled. A tag holds a digest of what the image is made of, so it is
built once, and again only when its inputs change.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.containers.engine import EngineError, client
from harness.containers.packages import MINIO_MODULE, MINIO_VERSION, minio_binary
from harness.resources import dockerfiles

if TYPE_CHECKING:
    from collections.abc import Callable


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


def make_minio(folder: Path, say: Callable[[str], None]) -> None:
    """Put a static MinIO into the folder of a build."""
    shutil.copy2(minio_binary(say), folder / "minio")


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
