"""The images, built from packages: binaries come from package managers on the host and are copied in.

A build installs and pulls nothing. A tag contains a digest of the image's inputs, so that an image is built once, and
again only when its inputs change. `packages.py` and `trees.py` make the contents.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.containers import packages, trees
from harness.containers.cache import cache_folder, clear
from harness.containers.engine import EngineError, client
from harness.resources import checkout, dockerfiles

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.containers.packages import Say


@dataclass(frozen=True, slots=True)
class Image:
    """One image: `variable` selects an image to use instead, `make` puts the files for the build into a folder.

    `pin` describes what it is built from; `inputs` is everything that its content depends on besides the Dockerfile and
    the base image.
    """

    name: str
    source: str
    variable: str | None
    pin: Callable[[], str]
    inputs: Callable[[], str]
    make: Callable[[Path, Say], None]
    on_base: bool = True
    repository: str = ""

    @property
    def override(self) -> str | None:
        """The image that the variable selects, or None."""
        return (os.environ.get(self.variable) or None) if self.variable else None

    @property
    def tag(self) -> str:
        """The image to use: the one that the variable selects, else the one that is built here."""
        if self.override:
            return self.override
        base = IMAGES["base"].tag if self.on_base else ""
        digest = hashlib.sha256(f"{self.dockerfile}\0{self.inputs()}\0{base}".encode()).hexdigest()[:12]
        return f"{self.repository or f'cryo-harness/{self.name}'}:{digest}"

    @property
    def dockerfile(self) -> str:
        """The text of the Dockerfile, in the repository's `images/`."""
        return (dockerfiles() / self.name / "Dockerfile").read_text(encoding="utf-8")


def make_base(folder: Path, say: Say) -> None:
    """Put the Debian root file system into the folder of a build."""
    os.link(trees.debian_root(say), folder / "rootfs.tar")


def make_minio(folder: Path, say: Say) -> None:
    """Put a static MinIO into the folder of a build."""
    shutil.copy2(packages.minio_binary(say), folder / "minio")


def make_anvil(folder: Path, say: Say) -> None:
    """Put anvil into the folder of a build."""
    shutil.copy2(packages.anvil_binary(say), folder / "anvil")


def make_cryo(folder: Path, say: Say) -> None:
    """Put the wheel of Cryo and its launcher into the folder of a build."""
    shutil.copytree(trees.wheels(trees.locked("cryo"), say), folder / "lib")
    shutil.copy2(checkout() / "cryo_ingest" / "from_wheel.py", folder / "lib" / "cryo_from_wheel.py")
    trees.launcher(folder / "bin" / "cryo", folders=["/opt/cryo/lib"], target="cryo_from_wheel:main")


def make_worker(folder: Path, say: Say) -> None:
    """Put the worker into the folder of a build: an init, locked wheels, our own package, launchers."""
    shutil.copy2(trees.tini(say), folder / "tini")
    shutil.copytree(trees.wheels(trees.locked(), say), folder / "lib")
    trees.own_package(folder / "app")
    for name, target in trees.WORKER_PROGRAMS.items():
        folders = ["/opt/cryo-ingest/app", "/opt/cryo-ingest/lib"]
        trees.launcher(folder / "bin" / name, folders=folders, target=target)
    (folder / "bin" / "cryo").symlink_to(trees.WORKER_CRYO)


IMAGES = {
    image.name: image
    for image in (
        Image(
            "base",
            "debootstrap",
            "HARNESS_BASE_IMAGE",
            trees.debian_pin,
            trees.debian_inputs,
            make_base,
            on_base=False,
        ),
        Image(
            "minio",
            "the Go module proxy",
            "HARNESS_MINIO_IMAGE",
            packages.minio_pin,
            packages.minio_pin,
            make_minio,
            on_base=False,
        ),
        Image("anvil", "npm", "HARNESS_ANVIL_IMAGE", packages.anvil_pin, packages.anvil_pin, make_anvil),
        Image("cryo", "PyPI", "HARNESS_CRYO_IMAGE", trees.cryo_pin, trees.cryo_inputs, make_cryo),
        Image(
            "worker",
            "PyPI and this checkout",
            None,
            trees.worker_pin,
            trees.worker_inputs,
            make_worker,
            repository="cryo_ingest",
        ),
    )
}


def exists(image: Image, engine: Any) -> bool:
    """Return whether the engine has the image."""
    import docker  # noqa: PLC0415 - slow to load

    try:
        engine.images.get(image.tag)
    except docker.errors.ImageNotFound:
        return False
    return True


def build(image: Image, say: Say = lambda _text: None) -> str:
    """Build an image, after its base, unless the engine has it, and return its tag.

    Raises:
        EngineError: there is no engine, or the build failed.
    """
    engine = client()
    try:
        cache_folder().mkdir(parents=True, exist_ok=True)
        # Concurrent processes build an image only once.
        with (cache_folder() / f".build-{image.name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if exists(image, engine):
                say(f"{image.name}: {image.tag} exists")
            elif image.override:
                raise EngineError(
                    f"{image.variable} selects {image.override}, which the engine does not have: docker pull it"
                )
            else:
                _make_and_build(engine, image, say)
        return image.tag
    finally:
        engine.close()


def _make_and_build(engine: Any, image: Image, say: Say) -> None:
    import docker  # noqa: PLC0415 - slow to load

    arguments = {"BASE": build(IMAGES["base"], say)} if image.on_base else {}
    clear(cache_folder(), prefix := f".build-{image.name}-")
    # In the cache folder, so that large files can be linked instead of copied.
    with tempfile.TemporaryDirectory(dir=cache_folder(), prefix=prefix) as name:
        folder = Path(name)
        (folder / "Dockerfile").write_text(image.dockerfile, encoding="utf-8")
        image.make(folder, say)
        say(f"{image.name}: building {image.tag}")
        try:
            engine.images.build(
                path=name, tag=image.tag, buildargs=arguments, rm=True, forcerm=True, pull=False, network_mode="none"
            )
        except (docker.errors.BuildError, docker.errors.APIError) as error:
            raise EngineError(f"building {image.tag} failed: {error}") from None
    size = engine.images.get(image.tag).attrs["Size"] / 1e6
    say(f"{image.name}: built {image.tag}, {size:.0f} MB")
