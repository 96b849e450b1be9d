"""The page is self-contained, text from a run can't act in it, and it explains each failure."""

import base64
import hashlib
import re
from html.parser import HTMLParser
from importlib.resources import files
from typing import get_args

import pytest

from harness import report
from harness.report.result import RunResult
from harness.report.steps import Mark

VOID = {"meta", "link", "input", "br", "img"}


class Page(HTMLParser):
    """Collects elements with their attributes, and asserts that all are closed in the right order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self._open: list[str] = []
        self.text = ""
        self.feed(text)
        self.close()
        assert self._open == []

    # html.parser calls these.

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # noqa: D102 - as above
        self.found.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # noqa: D102 - as above
        self.found.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:  # noqa: D102 - as above
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:  # noqa: D102 - as above
        self.text += data


@pytest.fixture
def page(result: RunResult) -> str:
    return report.render(".html", result)


def test_the_page_loads_nothing_and_allows_only_its_own_style_and_script(page: str):
    """The policy allows both by their hashes; no element or attribute loads anything else."""
    found = Page(page).found
    (policy,) = [
        attributes["content"] or ""
        for tag, attributes in found
        if attributes.get("http-equiv") == "Content-Security-Policy"
    ]
    assert "default-src 'none'" in policy
    for tag, directive in (("style", "style-src"), ("script", "script-src")):
        (body,) = re.findall(f"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(body.encode()).digest()).decode()
        assert f"{directive} 'sha256-{digest}'" in policy
    names = {name for _, attributes in found for name in attributes}
    assert not {name for name in names if name in {"src", "style", "srcset", "action"} or name.startswith("on")}
    assert {(attributes["href"] or "")[:1] for tag, attributes in found if "href" in attributes and tag == "a"} == {"#"}
    assert "http://" not in page
    assert "https://" not in page


def test_text_of_a_worker_is_escaped(page: str):
    """A log line with markup is shown as text."""
    found = Page(page)
    assert [tag for tag, _ in found.found].count("script") == 1
    assert not {"by", "space", "here"} & {tag for tag, _ in found.found}
    assert "</script><b>]]>\\x1b[2J\\x00 \\u202e" in found.text


def test_every_link_has_a_target(page: str):
    """Links to events, scenarios and clauses have a target, and no id occurs twice."""
    found = Page(page).found
    ids = [attributes["id"] for _, attributes in found if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert {(attributes["href"] or "")[1:] for tag, attributes in found if tag == "a"} <= set(ids)


def test_the_failure_is_shown_with_its_events_and_the_command(page: str):
    """The headline, the text of the clause, the cited events, the fault, and the command to run it again."""
    found = Page(page)
    for words in (
        "cmd:./worker violates 1 of 5 clauses; 1 of 5 excluded",
        "The manifest is written last: when it can be read, every object it lists can be read, whole.",
        "PUT {prefix}/_manifest.json — fault: store put _manifest answer 503 before #1",
        "cryo-harness run by-hand --target",
        "the harness failed: OSError: no <space>",
        "skipped: no Cryo <here>",
        "excluded: it has no secrets",
    ):
        assert words in found.text
    cited = [
        attributes
        for tag, attributes in found.found
        if tag == "li" and "cited" in (attributes.get("class") or "").split()
    ]
    assert len(cited) == 1
    assert "fault" in (cited[0]["class"] or "")


def test_a_run_without_a_failure_has_no_failed_scenarios():
    """The page has neither violations nor timelines."""
    passed = RunResult(target="cmd:./worker", store="minio", clauses=("LAY-5",), scenarios=())
    text = Page(report.render(".html", passed)).text
    assert "Violated clauses" not in text
    assert "Failed scenarios" not in text


@pytest.mark.parametrize("mark", [mark for mark in get_args(Mark) if mark])
def test_every_mark_of_a_step_has_a_style(mark: str):
    """Faults, actions of the harness and the final state are shown differently from other steps."""
    assert f".row.{mark} " in files("harness.report.page").joinpath("style.css").read_text(encoding="utf-8")
