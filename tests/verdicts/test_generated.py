"""Generated scenarios on complete workers: no false alarm, and a failing one is made smaller."""

import pytest
from typer.testing import CliRunner

from harness.cli import app


@pytest.mark.parametrize("target", ["cmd:cryo-ingest", "reference"])
def test_correct_workers_pass_generated_scenarios(target: str):
    """A sample; `cryo-harness run --generated 1400` runs all pairs."""
    result = CliRunner().invoke(app, ["run", "--target", target, "--generated", "8", "--seed", "11"])
    assert result.exit_code == 0, result.output
    assert "8 generated scenarios" in result.output
