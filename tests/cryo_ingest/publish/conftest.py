"""What tests of publishing ask for: files as Cryo would have left them, and a worker's side of the prefix."""

from pathlib import Path

import pytest
from support.publishing import Publisher, extracted

from cryo_ingest.ports import Extraction


@pytest.fixture
def extraction(tmp_path: Path) -> Extraction:
    """Three complete files."""
    return extracted(tmp_path / "cryo")


@pytest.fixture
def publisher(tmp_path: Path) -> Publisher:
    """A publisher with a scratch directory of its own."""
    return Publisher(tmp_path)
