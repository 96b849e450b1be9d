"""Redaction: SEC-1."""

from urllib.parse import quote

import pytest

from cryo_ingest.redact import Redactor

URL = "https://us3r-name:p4ss%2Fword@node.example:8545/v2/pathk3y-0123?apikey=qu3ry-4567#fr4gment"


@pytest.mark.parametrize(
    "leak",
    [
        URL,
        URL.removeprefix("https://"),
        "error sending request for url (" + URL + ")",
        "user us3r-name",
        "password p4ss%2Fword",
        "password decoded p4ss/word",
        "Authorization: Basic dXMzci1uYW1lOnA0c3Mvd29yZA==",
        "path pathk3y-0123",
        "key qu3ry-4567",
        "host node.example:8545",
    ],
)
def test_sec_1_no_part_of_a_secret_url_survives(leak: str):
    """SEC-1: user, password, path, query and host are removed in every form in which they can appear."""
    text = Redactor([URL])(f"before {leak} after")
    for secret in ("us3r", "p4ss", "pathk3y", "qu3ry", "node.example", "dXMzci1u"):
        assert secret not in text
    assert text.startswith("before ")


@pytest.mark.parametrize(
    "url", ["http://[::1/k3y-in-path", "https://us3r:p4ss℀word@node.example/k3y-in-path?q=k3y%2Din"]
)
def test_sec_1_a_url_that_cannot_be_parsed_is_a_secret_too(url: str):
    """SEC-1: a typo in a variable neither fails the worker before its first event nor reveals a part of the URL."""
    rest = url.partition("//")[2]
    text = Redactor([url])(f"before {url} {rest} {rest.replace('/', ' ').replace('@', ' ')} after")
    assert text.startswith("before ")
    assert text.endswith(" after")
    assert not any(secret in text for secret in ("k3y", "us3r", "p4ss"))


def test_sec_1_any_url_is_removed_even_an_unknown_one():
    """SEC-1: a node may redirect to or name another endpoint with an unknown key."""
    assert Redactor([])("see wss://other.example/k3y now") == "see <redacted> now"


def test_common_words_of_a_url_leave_text_readable():
    """Parts of less than four characters, such as `v2` and `rpc`, are not keys."""
    assert Redactor(["http://localhost/v2/rpc"])("v2 of rpc") == "v2 of rpc"


def test_sec_1_secrets_added_at_run_time_are_redacted_until_their_block_ends():
    """SEC-1: blocks of several attempts overlap; each removes only its own secrets."""
    redactor = Redactor(["first-secret"])
    with redactor.with_secrets("second-secret"):
        with redactor.with_secrets("second-secret", "third-secret"):
            assert redactor("first-secret second-secret third-secret") == " ".join(["<redacted>"] * 3)
        assert redactor("second-secret third-secret") == "<redacted> third-secret"
    assert redactor("first-secret second-secret") == "<redacted> second-secret"


@pytest.mark.parametrize(
    "leak",
    ["NODE.Example:8545", "P4SS%2fword", "PATHK3Y-0123", quote(URL, safe=""), quote(URL.partition("?")[0], safe="")],
)
def test_sec_1_a_secret_in_another_case_or_encoded_is_the_same_secret(leak: str):
    """SEC-1: hosts and hexadecimal may be printed in either case, and parts of a query are percent-encoded."""
    text = Redactor([URL])(f"before {leak} after")
    assert text.startswith("before ")
    assert text.endswith(" after")
    assert not any(secret in text.lower() for secret in ("p4ss", "pathk3y", "node.example"))


def test_sec_1_a_key_is_removed_in_its_form_in_a_query():
    """SEC-1: AWS secret keys contain slashes and pluses, which a signed URL encodes in either case."""
    redactor = Redactor(["wJalr/XUtn+FEMI/K7MDENG"])
    for leak in ("wJalr%2FXUtn%2BFEMI%2FK7MDENG", "wJalr%2fXUtn%2bFEMI%2fK7MDENG"):
        assert redactor(leak) == "<redacted>"
