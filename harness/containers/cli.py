"""`cryo-harness images`: build and list the container images."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from harness.containers.engine import EngineError, client
from harness.containers.images import IMAGES, build, exists
from harness.containers.provenance import label_latest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

images = typer.Typer(no_args_is_help=True, help="The container images, built from packages without a registry.")

FAILED = 1


@images.command("build")
def build_images(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME]…", help="Images to build. [default: all]")
    ] = None,
) -> None:
    """Build images that do not exist yet; progress goes to standard error."""
    unknown = sorted(set(names or ()) - IMAGES.keys())
    if unknown:
        raise typer.BadParameter(f"no such image: {', '.join(unknown)}; there are {', '.join(IMAGES)}")
    try:
        with _steps() as say:
            for name in names or IMAGES:
                tag = build(IMAGES[name], say)
                if name == "worker":
                    say(f"{name}: also tagged {label_latest(tag)}, with labels of this commit")
    except (EngineError, FileNotFoundError) as error:
        _print_to_stderr(str(error))
        raise typer.Exit(FAILED) from None


@images.command("list")
def list_images() -> None:
    """List each image: whether it is built, its pinned version, its source, and the variable that replaces it."""
    try:
        engine = client()
    except EngineError as error:
        _print_to_stderr(str(error))
        raise typer.Exit(FAILED) from None
    try:
        _list(engine)
    except FileNotFoundError as error:
        _print_to_stderr(str(error))
    finally:
        engine.close()


@contextmanager
def _steps() -> Iterator[Callable[[str], None]]:
    """Provide the function that prints a step; on a terminal, the last one has a spinner and its time."""
    if not sys.stderr.isatty():
        yield _print_to_stderr
        return
    from rich.console import Console  # noqa: PLC0415 - only for a terminal
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn  # noqa: PLC0415 - as above

    columns = (SpinnerColumn(finished_text=" "), TextColumn("{task.description}", markup=False), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), redirect_stdout=False, redirect_stderr=False) as progress:

        def say(text: str) -> None:
            for task in progress.tasks:
                progress.update(task.id, total=1, completed=1)
            progress.add_task(text, total=None)

        yield say
        for task in progress.tasks:
            progress.update(task.id, total=1, completed=1)


def _list(engine: Any) -> None:
    for image in IMAGES.values():
        state = "built" if exists(image, engine) else "not built"
        sys.stdout.write(f"{image.name}  {state}  {image.tag}\n")
        sys.stdout.write(f"    {image.pin()}, from {image.source}\n")
        if image.variable:
            sys.stdout.write(f"    {image.variable} selects another image{' (it is set)' * bool(image.override)}\n")


def _print_to_stderr(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()
