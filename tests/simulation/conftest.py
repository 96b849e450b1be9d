"""Simulated workers log nothing; the tests after them do."""

from collections.abc import Iterator

import pytest
import structlog


@pytest.fixture(autouse=True, scope="module")
def own_log_settings() -> Iterator[None]:
    """Restore the settings that a simulated worker changes for its whole process."""
    before = structlog.get_config()
    yield
    structlog.configure(**before)
