"""Error messages of invalid scenario files."""

from pathlib import Path

import pytest

from harness.scenario import BadScenario, read

GOOD = 'title = "t"\nclauses = ["PAY-1"]\n'


def refusal(text: str, folder: Path) -> str:
    """Return the error message for a file with this text; it starts with the file's name."""
    path = folder / "mine.toml"
    path.write_text(text)
    with pytest.raises(BadScenario, match=r"^mine\.toml") as caught:
        read(path)
    return str(caught.value)
