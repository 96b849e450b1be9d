"""The stores that workers are judged on here."""

import pytest

from harness.stores.backends import Backends, limitations_of
from harness.stores.bucket import S3Endpoint


@pytest.fixture(scope="session")
def on_moto(moto: S3Endpoint) -> Backends:
    """moto, with its card."""
    return Backends(moto, moto, "moto", limitations_of(moto))
