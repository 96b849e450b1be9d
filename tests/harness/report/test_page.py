"""The page is whole in itself, nothing of a run acts in it, and it tells the failure."""

import base64
import hashlib
import re
from html.parser import HTMLParser

import pytest

from harness import report
from harness.report.result import Result

VOID = {"meta", "link", "input", "br", "img"}


class Page(HTMLParser):
    """Elements with their attributes, and that each that opens is closed in its place."""

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
def page(result: Result) -> str:
    return report.render(".html", result)


def test_nothing_is_loaded_and_only_our_own_style_and_script_may_act(page: str):
    """A strict policy names both by their hashes; no element or attribute asks for anything else."""
    found = Page(page).found
    (policy,) = [kept["content"] or "" for tag, kept in found if kept.get("http-equiv") == "Content-Security-Policy"]
    assert "default-src 'none'" in policy
    for tag, directive in (("style", "style-src"), ("script", "script-src")):
        (body,) = re.findall(f"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(body.encode()).digest()).decode()
        assert f"{directive} 'sha256-{digest}'" in policy
    names = {name for _, kept in found for name in kept}
    assert not {name for name in names if name in {"src", "style", "srcset", "action"} or name.startswith("on")}
    assert {(kept["href"] or "")[:1] for tag, kept in found if "href" in kept and tag == "a"} == {"#"}
    assert "http://" not in page
    assert "https://" not in page


def test_what_a_worker_says_is_text(page: str):
    """A log line full of markup is shown as it was."""
    found = Page(page)
    assert [tag for tag, _ in found.found].count("script") == 1
    assert not {"by", "space", "here"} & {tag for tag, _ in found.found}
    assert "</script><b>]]>\\x1b[2J\\x00 \\u202e" in found.text


def test_every_link_leads_to_its_place(page: str):
    """Events, scenarios and clauses that are named can be gone to; no id is there twice."""
    found = Page(page).found
    ids = [kept["id"] for _, kept in found if "id" in kept]
    assert len(ids) == len(set(ids))
    assert {(kept["href"] or "")[1:] for tag, kept in found if tag == "a"} <= set(ids)


def test_the_failure_is_told_with_its_events_and_the_command(page: str):
    """The headline, the clause in its own words, the cited events marked, the fault, and how to run it again."""
    found = Page(page)
    for words in (
        "cmd:./worker breaks 1 of 5 clauses; 1 of 5 left out",
        "The manifest is written last: when it can be read, every object it lists can be read, whole.",
        "PUT {prefix}/_manifest.json — fault: store put _manifest answer 503 before #1",
        "cryo-harness run by-hand --target",
        "the harness failed: OSError: no <space>",
        "left out: no Cryo <here>",
        "left out: it has no secrets",
    ):
        assert words in found.text
    cited = [kept for tag, kept in found.found if tag == "li" and "cited" in (kept.get("class") or "").split()]
    assert len(cited) == 1
    assert "fault" in (cited[0]["class"] or "")


def test_a_run_without_a_failure_has_no_stories():
    """A good worker's page is short."""
    good = Result(target="cmd:./worker", store="minio", asked=("LAY-5",), scenarios=())
    text = Page(report.render(".html", good)).text
    assert "What is broken" not in text
    assert "What happened" not in text
