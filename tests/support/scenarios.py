"""Scenario files that are wrong, and what is said of them."""

from pathlib import Path

import pytest

from harness.scenario import BadScenario, read

GOOD = 'title = "t"\nclauses = ["PAY-1"]\n'


def refusal(text: str, folder: Path) -> str:
    """Return why a file of this text is refused, which begins with the file's name."""
    path = folder / "mine.toml"
    path.write_text(text)
    with pytest.raises(BadScenario, match=r"^mine\.toml") as caught:
        read(path)
    return str(caught.value)
