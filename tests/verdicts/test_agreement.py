"""The simulation and the wire judge the same fault of our worker alike."""

import pytest
from support.agreement import compare, translatable

from harness.stores.backends import Backends

SAMPLE = ("store.create#1 unanswered", "dispatcher.complete#1 refused", "cryo.file#2 refused")


@pytest.mark.parametrize("name", SAMPLE)
def test_a_cell_has_the_same_verdict_in_process_and_over_the_wire(name: str, on_moto: Backends):
    """A sample; `scripts/agreement.py` compares all cells."""
    cells, _ = translatable()
    (cell,) = (cell for cell in cells if str(cell) == name)
    compared = compare(cell, on_moto)
    assert compared.agrees, compared
    assert compared.wire == ()
