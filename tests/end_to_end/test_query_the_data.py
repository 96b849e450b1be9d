"""The snippets of docs/query-the-data.md run unchanged and print the output that the page shows."""

import os
import re
import subprocess
import sys
from pathlib import Path

from support.worker import BIN, Target

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "query-the-data.md").read_text(encoding="utf-8")


def shell_snippet(part: str) -> str:
    """Return the shell snippet of a part, without the indentation of a list item."""
    (found,) = re.findall(rf"<!-- executed by a test: {part} -->\n *```sh\n(.*?)```", PAGE, re.DOTALL)
    return "\n".join(line.strip() for line in found.splitlines())


def python_snippets(part: str) -> list[tuple[str, str]]:
    """Return the Python snippets of a part, each with the output that the page shows for it."""
    snippet = rf"<!-- executed by a test: {re.escape(part)} -->\n```python\n(.*?)```(?:\n\n```text\n(.*?)```)?"
    return re.findall(snippet, PAGE, re.DOTALL)


def run(command: list[str], folder: Path, environment: dict[str, str]) -> str:
    """Run a command in a folder and return what it printed."""
    whole = {"PATH": f"{BIN}:{os.environ['PATH']}"} | environment
    ran = subprocess.run(command, cwd=folder, env=whole, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


def check_python(part: str, folder: Path, environment: dict[str, str]) -> None:
    """Run a part's snippets one after the other in one process and compare what each prints with the page."""
    ((module, _),) = python_snippets("published.py")
    (folder / "published.py").write_text(module, encoding="utf-8")
    snippets = python_snippets(part)
    end = "=== the snippet ends ==="
    script = "".join(f"{code}\nprint({end!r})\n" for code, _ in snippets)
    printed = run([sys.executable, "-c", script], folder, environment)
    assert printed.split(f"{end}\n") == [*(output for _, output in snippets), ""]


def test_the_snippets_on_files_print_what_the_page_shows(tmp_path: Path):
    """A glob counts rows twice, manifests count each log once, and the column recipes print what the page shows."""
    publications = run(["/bin/sh", "-ec", shell_snippet("publish")], tmp_path, {})
    assert publications.count("\n") == 6
    report = run(["/bin/sh", "-ec", f"exec 2>&1; {shell_snippet('gaps')}"], tmp_path, {})
    assert report.endswith("exit code 1\n")
    run(["/bin/sh", "-ec", shell_snippet("views")], tmp_path, {})
    check_python("file", tmp_path, {})


def test_the_snippets_on_s3_print_what_the_page_shows(tmp_path: Path, moto_target: Target):
    """With the worker's environment, a reader finds and reads the published data on a store other than AWS."""
    run(["/bin/sh", "-ec", shell_snippet("publish to s3")], tmp_path, moto_target.environment)
    check_python("s3", tmp_path, moto_target.environment)


def test_every_snippet_of_the_page_is_executed_or_marked_as_not_executed():
    """The page says which snippet no test runs: the SQL for an extension that must be downloaded."""
    fences = re.findall(r"^ *```(\w+)$", PAGE, re.MULTILINE)
    assert len(re.findall(r"<!-- executed by a test: .* -->", PAGE)) == fences.count("sh") + fences.count("python")
    assert fences.count("sql") == 1
    assert "These lines are not run by the test" in PAGE
