"""CONTRIBUTING.md matches the code: layers, files and numbers of files."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
GUIDE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
CONFIGURATION = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]
PLACEHOLDER = re.compile(r"\b[A-Z]{2,}\b")


def rows(text: str) -> list[list[str]]:
    """Return the cells of a table's rows."""
    lines = [line.strip("|").split(" | ") for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line] for line in lines[2:]]


def paths(text: str) -> list[str]:
    """Return the files that a text names in code."""
    return re.findall(r"`([\w./{},]+/[\w.{},]+\.\w+|\w+\.\w+)`", text)


@pytest.mark.parametrize("package", ["cryo_ingest", "harness"])
def test_the_layers_are_those_that_import_linter_checks(package: str):
    """The guide lists the layers as configured: from top to bottom, independent siblings in one row."""
    (configured,) = (
        one["layers"]
        for one in CONFIGURATION["contracts"]
        if one["type"] == "layers" and one["containers"] == [package]
    )
    table = GUIDE.split(f"<!-- layers: {package} -->", 1)[1].split("\n\n", 1)[0]
    documented = [re.findall(r"`(\w+)`", row[0]) for row in rows(table)]
    assert documented == [re.findall(r"\w+", layer) for layer in configured]


def test_each_recipe_lists_the_number_of_files_in_its_heading():
    """The number in each heading is the length of the list below it."""
    headings = [re.match(r"(.*): (\d+) files?\n", section) for section in GUIDE.split("\n### ")[1:]]
    recipes = [heading for heading in headings if heading is not None]
    assert len(recipes) == 5
    for recipe in recipes:
        listed = re.findall(r"^(\d+)\. `", recipe.string, re.MULTILINE)
        assert listed == [str(place + 1) for place in range(int(recipe[2]))], recipe[1]


def test_each_kind_of_fault_lists_the_number_of_files_in_the_heading():
    """Each row lists as many files as the heading says."""
    number, section = re.split(r"### A fault: (\d+) files, by kind\n", GUIDE)[1:]
    faults = rows(section.split("### ", 1)[0])
    assert faults
    for kind, files in faults:
        assert len(paths(files)) == int(number), kind


def test_every_file_that_the_guide_names_exists():
    """Each file that the guide names exists, except the files that the reader creates."""
    named = [path for path in paths(GUIDE) if not PLACEHOLDER.search(path.removesuffix(".md"))]
    assert len(named) > 20
    assert [path for path in named if not (ROOT / path).exists()] == []


def test_every_target_of_make_that_the_guide_names_exists():
    """The Makefile has each target that the guide names."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in set(re.findall(r"`?make ([a-z]+)`?", GUIDE.replace("make .venv", ""))):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
