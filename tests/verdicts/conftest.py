"""The stores that workers are judged on here."""

import pytest

from harness.stores.backends import Backends, limitations_of
from harness.stores.bucket import S3Endpoint


@pytest.fixture(scope="session")
def on_moto(cryo_moto: S3Endpoint) -> Backends:
    """moto, with its card."""
    return Backends(cryo_moto, cryo_moto, "moto", limitations_of(cryo_moto))
