"""`cryo-harness images`: build the container images, and say what is there and where each would come from."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from harness.containers.engine import EngineError, client
from harness.containers.images import IMAGES, build, is_there
from harness.containers.provenance import label_latest

images = typer.Typer(no_args_is_help=True, help="The container images, made from packages without a registry.")

FAILED = 1


@images.command("build")
def build_images(
    names: Annotated[list[str] | None, typer.Argument(metavar="[NAME]…", help="Which ones. [default: all]")] = None,
) -> None:
    """Build images that are not there yet; progress goes to standard error."""
    unknown = sorted(set(names or ()) - IMAGES.keys())
    if unknown:
        raise typer.BadParameter(f"no such image: {', '.join(unknown)}; there are {', '.join(IMAGES)}")
    try:
        for name in names or IMAGES:
            tag = build(IMAGES[name], _say)
            if name == "worker":
                _say(f"{name}: {label_latest(tag)} names it, with labels of this commit")
    except (EngineError, FileNotFoundError) as error:
        _say(str(error))
        raise typer.Exit(FAILED) from None


@images.command("list")
def list_images() -> None:
    """Say of each image whether it is there, its pin, where it comes from, and the variable that replaces it."""
    try:
        engine = client()
    except EngineError as error:
        _say(str(error))
        raise typer.Exit(FAILED) from None
    try:
        _list(engine)
    except FileNotFoundError as error:
        _say(str(error))
    finally:
        engine.close()


def _list(engine: Any) -> None:
    for image in IMAGES.values():
        state = "there" if is_there(image, engine) else "not built"
        sys.stdout.write(f"{image.name}  {state}  {image.tag}\n")
        sys.stdout.write(f"    {image.pin()}, from {image.source}\n")
        if image.variable:
            sys.stdout.write(f"    {image.variable} names another image{' (it does now)' * bool(image.given)}\n")


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()
