"""The measured limitations of the stores, on which some verdicts depend."""

import pytest

from harness.stores.backends import Backends, limitations_of
from harness.stores.bucket import S3Endpoint
from harness.stores.probe import CHECKSUMS, CREDENTIALS, RACES, STALE, limitations, probe


def test_moto_accepts_wrong_checksums_and_credentials(cryo_moto: S3Endpoint):
    """The limitations of moto are wrong checksums and credentials, and not races."""
    assert limitations(limitations_of(cryo_moto)) == (CHECKSUMS, CREDENTIALS)


@pytest.mark.docker
def test_minio_has_no_limitations(minio: S3Endpoint):
    """No verdict is INCONCLUSIVE on MinIO."""
    assert limitations(limitations_of(minio)) == ()


def test_a_probe_leaves_no_bucket(cryo_moto: S3Endpoint):
    """Limitations are measured in a temporary bucket, which is removed."""
    client = cryo_moto.client()
    before = {bucket["Name"] for bucket in client.list_buckets()["Buckets"]}
    limitations_of(cryo_moto)
    assert {bucket["Name"] for bucket in client.list_buckets()["Buckets"]} <= before


def test_a_store_that_accepts_everything_has_all_limitations(cryo_moto: S3Endpoint):
    """Each limitation is derived from its own answer."""
    card = dict.fromkeys(probe(cryo_moto.make_bucket()), "200") | {"create-only race": "8 of 8 won"}
    assert set(limitations(card)) == {CHECKSUMS, CREDENTIALS, RACES, STALE}


def test_an_external_store_cannot_show_wrong_credentials(cryo_moto: S3Endpoint):
    """There the proxy signs with the harness's keys, whatever keys the worker has."""
    assert Backends(cryo_moto, cryo_moto, "http://store", {}, external=True).limitations == (CREDENTIALS,)
