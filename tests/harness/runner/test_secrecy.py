"""Secrets are found in every common encoding, and no cut divides one."""

import base64
import io
import os
from urllib.parse import quote

import pytest

from harness.history import CryoStarted, StagedEntry
from harness.runner.recorder import Recorder
from harness.runner.secrecy import Secrets
from harness.runner.streams import MAX_LINE_BYTES, MAX_OUTPUT_BYTES, Text, read_lines

KEY = "5f0c4dd2b1e94f6a8c7d3e2b1a09f8e7"
NAMED = "<secret:rpc-key>"


def known() -> Secrets:
    secrets = Secrets()
    secrets.add({"rpc-key": KEY})
    return secrets


@pytest.mark.parametrize(
    "text",
    [
        f"https://node/v3/{KEY}",
        KEY.upper(),
        "".join(f"%{ord(letter):02X}" for letter in KEY),
        quote(f"https://node/v3/{KEY}", safe=""),
        KEY.encode().hex(),
        *(base64.b64encode(b"x" * before + f"{KEY}/?".encode()).decode() for before in range(4)),
        base64.urlsafe_b64encode(f"??>{KEY}".encode()).decode(),
    ],
)
def test_a_secret_is_found_in_any_common_encoding(text: str):
    """As it is, in another case, percent-encoded, in hexadecimal, and in base64 at any offset."""
    secrets = known()
    assert secrets.found_in(text) == ("rpc-key",)
    assert NAMED in secrets.scrub(text)
    assert secrets.found_in(secrets.scrub(text)) == ()


def test_other_text_is_unchanged():
    """Text without a secret, or with half of one, is not changed."""
    for text in ("", "testing", KEY[:20], base64.b64encode(b"another key altogether").decode()):
        assert known().scrub(text) == text


def test_a_short_value_is_rejected():
    """A value that may occur by chance can't be a secret."""
    with pytest.raises(ValueError, match="under 12 characters"):
        known().add({"word": "test"})


def test_no_field_of_an_event_holds_a_secret():
    """Secrets are replaced in texts, tuples, names of fields and models."""
    recorder = Recorder()
    recorder.secrets.add({"rpc-key": KEY})
    event = recorder.add(
        CryoStarted,
        arguments=("blocks", KEY),
        environment=(f"X_{KEY}",),
        directory=f"/tmp/{KEY}",  # noqa: S108 - no file is made
        pid=1,
        staged=(StagedEntry(path=f"{KEY}/x", type="file", mode="600"),),
    )
    assert KEY not in event.model_dump_json()
    assert event.staged[0].path == f"{NAMED}/x"


def piped(text: bytes) -> io.BufferedReader:
    """Return a file with a descriptor that holds a text."""
    file = os.memfd_create("stream")
    os.write(file, text)
    os.lseek(file, 0, os.SEEK_SET)
    return os.fdopen(file, "rb")


@pytest.mark.parametrize("before", [MAX_LINE_BYTES + shift for shift in (-1100, -1024, -40, -16, 0)])
def test_a_line_is_not_cut_within_a_secret(before: int):
    """A secret is found wherever a long line is cut."""
    lines: list[str] = []
    with piped(b"x" * before + KEY.encode() + b"y" * 200_000 + b"\nlast") as stream:
        read_lines(stream, known(), lines.append)
    assert "".join(lines).count(NAMED) == 1
    assert lines[-1] == "last"


def test_dropped_output_is_searched_too():
    """A secret in output beyond the limit is reported once, without the text around it."""
    flood = b"x" * 999 + b"\n"
    text = flood * (MAX_OUTPUT_BYTES // 900) + KEY.encode() + b"\n" + flood + KEY.encode()
    lines: list[str] = []
    with piped(text) as stream:
        read_lines(stream, known(), lines.append)
    assert sum(NAMED in line for line in lines) == 1
    kept = Text(known())
    with piped(text) as stream:
        kept.read(stream)
    assert str(kept).count(NAMED) == 1
    assert len(str(kept)) < MAX_OUTPUT_BYTES + MAX_LINE_BYTES
