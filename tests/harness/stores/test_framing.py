"""Streamed uploads: bodies that S3 clients send in chunks, as the store decodes them."""

import hashlib

import pytest

from harness.stores.framing import unframed

SIGNED = {"x-amz-content-sha256": "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"}
UNSIGNED = {"x-amz-content-sha256": "STREAMING-UNSIGNED-PAYLOAD-TRAILER"}
SIGNATURE = b";chunk-signature=" + b"0" * 64


def test_lay_2_the_stored_bytes_of_a_framed_body_are_checked():
    """LAY-2: signed chunks are decoded; line ends in the data are data."""
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


def test_lay_8_a_checksum_in_a_trailer_counts():
    """LAY-8: a trailer counts as a header."""
    body = b"5\r\nhello\r\n0\r\nx-amz-checksum-sha256:LPJNul==\r\n\r\n"
    assert unframed(UNSIGNED, body) == (b"hello", {"x-amz-checksum-sha256": "LPJNul=="})


@pytest.mark.parametrize("body", [b"", b"5\r\nhel", b"5\r\nhello", b"no frame", b"5\r\nhello\r\nx"])
def test_a_malformed_frame_ends_the_body(body: bytes):
    """A truncated request is not an error of the harness."""
    stored, trailers = unframed(SIGNED, body)
    assert b"hello".startswith(stored)
    assert trailers == {}


def test_a_plain_body_is_unchanged():
    """Bytes that look like a chunk are data if no header says that the body is framed."""
    body = b"5\r\nhello\r\n0\r\n\r\n"
    assert unframed({"x-amz-content-sha256": hashlib.sha256(body).hexdigest()}, body) == (body, {})
