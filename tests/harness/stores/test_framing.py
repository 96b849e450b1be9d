"""Streamed uploads: what S3 clients frame, told by what the store makes of it."""

import hashlib

import pytest

from harness.stores.framing import unframed

SIGNED = {"x-amz-content-sha256": "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"}
UNSIGNED = {"x-amz-content-sha256": "STREAMING-UNSIGNED-PAYLOAD-TRAILER"}
SIGNATURE = b";chunk-signature=" + b"0" * 64


def test_lay_2_a_framed_body_is_judged_by_what_is_stored():
    """LAY-2: signed chunks are taken apart, line ends inside the data being data."""
    body = (
        b"5"
        + SIGNATURE
        + b"\r\nhe\r\no\r\n"
        + b"a"
        + SIGNATURE
        + b"\r\n0123456789\r\n"
        + b"0"
        + SIGNATURE
        + b"\r\n\r\n"
    )
    assert unframed(SIGNED, body) == (b"he\r\no0123456789", {})


def test_lay_8_a_checksum_behind_the_body_is_seen():
    """LAY-8: a trailer counts as the header that it is."""
    body = b"5\r\nhello\r\n0\r\nx-amz-checksum-sha256:LPJNul==\r\n\r\n"
    assert unframed(UNSIGNED, body) == (b"hello", {"x-amz-checksum-sha256": "LPJNul=="})


@pytest.mark.parametrize("body", [b"", b"5\r\nhel", b"5\r\nhello", b"no frame", b"5\r\nhello\r\nx"])
def test_a_broken_frame_ends_where_it_breaks(body: bytes):
    """A request that was cut off is no error of the harness's."""
    stored, trailers = unframed(SIGNED, body)
    assert b"hello".startswith(stored)
    assert trailers == {}


def test_a_plain_body_stays_as_it_is():
    """Bytes that look like a frame are data where no header says otherwise."""
    body = b"5\r\nhello\r\n0\r\n\r\n"
    assert unframed({"x-amz-content-sha256": hashlib.sha256(body).hexdigest()}, body) == (body, {})
