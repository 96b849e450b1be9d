"""The snippets in the documentation run unchanged, and its links have targets."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from support.worker import BIN

ROOT = Path(__file__).resolve().parents[2]
HOW_TO = (ROOT / "docs" / "how-to.md").read_text(encoding="utf-8")


def test_the_snippet_without_a_node_publishes(tmp_path: Path):
    """The shell snippet starts the chain, publishes two files with a worker, and stops the chain."""
    (snippet,) = re.findall(r"<!-- executed by a test -->\n```sh\n(.*?)```", HOW_TO, re.DOTALL)
    environment = {"PATH": f"{BIN}:{os.environ['PATH']}"}
    ran = subprocess.run(
        ["/bin/sh", "-ec", f"{snippet}\nwait"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.stdout.startswith('{"dataset_uuid":"7f3c5c1e'), ran.stderr
    assert len(list((tmp_path / "out").rglob("*.parquet"))) == 2
    assert ran.returncode == 0


CHECK = (ROOT / "docs" / "check-your-worker.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        ("check", ["PASS my worker keeps all"]),
        ("failure", ["FAIL LAY-3", "exit code 1"]),
        ("scenario", ["PASS reference"]),
    ],
)
def test_the_tutorial_prints_what_it_shows(part: str, expected: list[str], tmp_path: Path):
    """The snippets of each part run in order in one directory and print what the page shows."""
    snippets = re.findall(rf"<!-- executed by a test: {part} -->\n```sh\n(.*?)```", CHECK, re.DOTALL)
    environment = {"PATH": f"{BIN}:{os.environ['PATH']}"}
    script = ["/bin/sh", "-ec", "".join(snippets)]
    ran = subprocess.run(script, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    for words in expected:
        assert words in ran.stdout


CHAIN = (ROOT / "docs" / "chain-in-your-bucket.md").read_text(encoding="utf-8")


@pytest.mark.long
@pytest.mark.real_cryo
def test_the_tutorial_of_a_chain_in_a_bucket_runs(tmp_path: Path):
    """Its snippets run in order in one directory, and the query prints what the page shows."""
    snippets = re.findall(r"<!-- executed by a test: chain -->\n```sh\n(.*?)```", CHAIN, re.DOTALL)
    environment = {"PATH": f"{BIN}:{os.environ['PATH']}", "TRACE_LOG_FORMAT": "json"}
    # The node must not outlive a snippet that fails: it has the output open.
    script = ["/bin/sh", "-ec", "trap 'kill $node 2>/dev/null || :' EXIT\n" + "".join(snippets)]
    ran = subprocess.run(script, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "(2000, 1999)" in ran.stdout
    assert len(list((tmp_path / "bucket").rglob("_manifest.json"))) == 9


PYTHON = re.findall(r"```python\n(.*?)```", HOW_TO, re.DOTALL)


@pytest.mark.parametrize("snippet", PYTHON, ids=range(len(PYTHON)))
def test_the_python_snippets_run(snippet: str):
    """The Python snippets of the how-to page run."""
    subprocess.run([sys.executable, "-c", snippet], check=True)


def test_the_commands_of_the_readme_are_targets_of_the_makefile():
    """The README has `make demo` first and `make test` second."""
    commands = re.findall(r"```sh\nmake (\w+)\n```", (ROOT / "README.md").read_text(encoding="utf-8"))
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert commands == ["demo", "test"]
    assert all(re.search(rf"^{command}:", makefile, re.MULTILINE) for command in commands)


def anchors(page: Path) -> set[str]:
    """Return the anchors that GitHub gives a page's headings."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_link_between_documents_has_a_target():
    """No page links to a page or a heading that does not exist."""
    for page in [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md"))]:
        for link, anchor in re.findall(r"\]\(([^)#:]*)(?:#([^)]*))?\)", page.read_text(encoding="utf-8")):
            target = page.parent / link if link else page
            assert target.exists(), f"{page.name}: {link}"
            assert not anchor or anchor in anchors(target), f"{page.name}: {link}#{anchor}"
