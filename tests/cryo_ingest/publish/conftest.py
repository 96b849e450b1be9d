"""Fixtures for tests of publishing: extracted files, and a publisher."""

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
    """A publisher with its own scratch directory."""
    return Publisher(tmp_path)
