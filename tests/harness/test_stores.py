"""A store's card: what is measured of the stores that tests use, and which verdicts hang on it."""

import pytest

from harness.stores.backends import Backends, limitations_of
from harness.stores.bucket import S3Endpoint
from harness.stores.probe import CHECKSUMS, CREDENTIALS, RACES, STALE, limitations, probe


def test_moto_takes_wrong_checksums_and_credentials(cryo_moto: S3Endpoint):
    """What moto lets pass that S3 refuses is on its card, and races are not."""
    assert limitations(limitations_of(cryo_moto)) == (CHECKSUMS, CREDENTIALS)


@pytest.mark.docker
def test_minio_shows_everything(minio: S3Endpoint):
    """Nothing is INCONCLUSIVE on MinIO."""
    assert limitations(limitations_of(minio)) == ()


def test_a_probe_leaves_no_bucket_behind(cryo_moto: S3Endpoint):
    """A card is measured on a bucket of its own, which goes again."""
    client = cryo_moto.client()
    before = {bucket["Name"] for bucket in client.list_buckets()["Buckets"]}
    limitations_of(cryo_moto)
    assert {bucket["Name"] for bucket in client.list_buckets()["Buckets"]} <= before


def test_a_store_that_lets_everything_pass_can_show_none_of_it(cryo_moto: S3Endpoint):
    """Each of S3's promises that a card may lack is known by its own answer."""
    card = dict.fromkeys(probe(cryo_moto.make_bucket()), "200") | {"create-only race": "8 of 8 won"}
    assert set(limitations(card)) == {CHECKSUMS, CREDENTIALS, RACES, STALE}


def test_credentials_cannot_be_shown_before_an_external_store(cryo_moto: S3Endpoint):
    """There the proxy signs with the harness's keys, whatever the worker's are."""
    assert Backends(cryo_moto, cryo_moto, "http://store", {}, external=True).limitations == (CREDENTIALS,)
