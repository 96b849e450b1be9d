"""JSON-RPC errors: a final one is the answer of a single call, all others are retried and at last raised."""

from typing import Any

import pytest
from support.json_rpc import Answer, answer, each, error, json_rpc
from support.proving import JumpingClock
from support.rpc_requests import ask, calls, results, with_node

from cryo_ingest.errors import EndpointUnusable, NodeUnavailable
from cryo_ingest.ports import NodeError
from cryo_ingest.rpc.client import HttpNode
from cryo_ingest.rpc.replies import is_final, is_missing_method, is_quota_exhausted, retry_after

RATE, BEHIND, OTHER = "it limits the rate", "it does not know the block yet", "it answered error"
PASSING: list[tuple[int, str, str]] = [
    (-32603, "Internal error", OTHER),
    (-32000, "server is busy, please retry", OTHER),
    (-32011, "no backend is currently healthy to serve traffic", OTHER),
    (-32000, "historical backend temporarily unavailable", OTHER),
    (1, "", OTHER),
    (-32000, "header not found", BEHIND),
    (-39001, "Unknown block", BEHIND),
    (-32097, "You have exceeded your compute units per second", RATE),
    (-32007, "50/second request limit reached - reduce calls per second or upgrade your account", RATE),
    (-32005, "whatever", RATE),
    (429, "slow down", RATE),
    (-32000, "Too Many Requests", RATE),
    (-32601, "the method is rate limited", RATE),
]


@pytest.mark.parametrize(("code", "words", "reason"), PASSING)
def test_an_error_that_may_pass_is_retried_and_at_last_raised_in_our_words(code: int, words: str, reason: str):
    """RPC-1: an error is no evidence; retries last two minutes, and the node's text is not repeated."""
    clock = JumpingClock()
    message = f"{reason}.*, after [0-9]+ tries in 12[0-9] s"
    with (
        json_rpc(lambda body: each(body, lambda call: error(code, words, call))) as node,
        pytest.raises(NodeUnavailable, match=message),
    ):
        ask(node.url, calls(1), clock)
    assert 8 <= len(node.bodies) <= 12
    assert 120 <= sum(clock.waits) < 180


BODIES: dict[str, Answer] = {
    "a string": answer({"error": "Too Many Requests"}),
    "a message": answer({"message": "API rate limit exceeded"}),
    "an error without an id": answer(error(-32603, "Internal error")),
    "HTML": Answer(200, b"<html>maintenance</html>"),
    "nothing": Answer(200),
    "incomplete JSON": Answer(200, b'{"jsonrpc":"2.0","id":0,"res'),
    "a list": answer([]),
    "404": Answer(404, b"404 page not found"),
    "301": Answer(301, b"", (("Location", "/elsewhere"),)),
    "308 without a location": Answer(308),
}


@pytest.mark.parametrize("form", BODIES)
@pytest.mark.parametrize("number", [1, 120])
def test_unusable_responses_are_retried_until_they_end(form: str, number: int):
    """RPC-1: a minute of unusable responses, whatever their form, costs a minute."""
    clock = JumpingClock()
    with json_rpc(lambda _: BODIES[form] if clock.now < 1060 else None) as node:
        assert ask(node.url, calls(number), clock) == results(number)


FINAL = [
    (-32601, "the method eth_x does not exist/is not available"),
    (-32601, ""),
    (-32602, "invalid argument 0"),
    (-32000, "invalid block number"),
    (-32000, "unknown block tag"),
    (-32000, "json: cannot unmarshal hex string"),
    (4444, "pruned history unavailable"),
    (-32000, "missing trie node 1f (path ) state 0x1f is not available"),
    (-32000, "historical state not available in path scheme"),
    (-32000, "old data not available due to pruning"),
    (-32000, "receipts not available for block 17"),
    (-32000, "this request needs an archive node"),
]


@pytest.mark.parametrize(("code", "words"), FINAL)
def test_a_final_error_is_the_answer_at_once(code: int, words: str):
    """RPC-1: one call, no wait; the message is in the value and not in its text."""
    clock = JumpingClock()
    with json_rpc(lambda body: each(body, lambda call: error(code, words, call))) as node:
        assert ask(node.url, calls(1), clock) == [NodeError(code, words)]
    assert (len(node.bodies), clock.waits) == (1, [])
    assert words == "" or words not in repr(NodeError(code, words))


@pytest.mark.parametrize("status", [400, 404, 500, 403])
def test_a_missing_method_is_an_answer_under_any_status(status: int):
    """RPC-1: Cryo does not look at the status either."""
    words = "eth_x is not available on the Free tier"
    with json_rpc(lambda body: answer(error(-32000, words, body), status)) as node:
        assert ask(node.url, calls(1)) == [NodeError(-32000, words)]


@pytest.mark.parametrize("words", ["receipts not found for block 5", "eth_getBlockReceipts: no receipts"])
def test_missing_data_are_not_a_missing_method(words: str):
    """RPC-1: the node may have other blocks."""
    assert is_final(NodeError(-32000, words))
    assert not is_missing_method(NodeError(-32000, words))


def test_a_persistent_error_of_an_optional_call_is_returned_early():
    """`optional`: retries end after 15 s, and the next call of the method is tried once."""
    clock = JumpingClock()

    async def twice(node: HttpNode) -> list[Any]:
        return [*await node.request(calls(25), optional=True), *await node.request(calls(25), optional=True)]

    with json_rpc(lambda body: each(body, lambda call: error(-32603, "Internal error", call))) as served:
        assert with_node(served.url, twice, clock) == [NodeError(-32603, "Internal error")] * 50
    assert sum(clock.waits) < 60
    assert len(served.bodies) < 65


def test_a_passing_error_of_an_optional_call_is_retried():
    """`optional`: after ten seconds of errors the calls succeed, in batches again."""
    clock = JumpingClock()

    async def twice(node: HttpNode) -> list[Any]:
        return [*await node.request(calls(25), optional=True), *await node.request(calls(25), optional=True)]

    with json_rpc(
        lambda body: each(body, lambda call: error(-32603, "no", call)) if clock.now < 1010 else None
    ) as served:
        assert with_node(served.url, twice, clock) == results(25) * 2
    assert served.sizes[-1] > 1


@pytest.mark.parametrize("form", ["HTML", "a string", "404"])
def test_an_optional_call_without_an_error_object_raises(form: str):
    """`optional`: only an error object can be an answer."""
    with json_rpc(lambda _: BODIES[form]) as node, pytest.raises(NodeUnavailable):
        ask(node.url, calls(1), optional=True)


def test_a_quick_request_is_tried_three_times():
    """`quick`: the caller can use another endpoint."""
    clock = JumpingClock()
    with json_rpc(lambda _: Answer(404)) as node, pytest.raises(NodeUnavailable, match="404, after 3 tries"):
        ask(node.url, calls(1), clock, quick=True)
    assert clock.waits == [0.1, 0.5]


@pytest.mark.parametrize(
    "response",
    [
        Answer(402),
        Answer(403, b"forbidden"),
        Answer(401),
        answer(error(429, "Monthly capacity limit exceeded. Visit your dashboard to upgrade."), 429),
        answer(error(-32005, "daily request count exceeded, request rate limited")),
        answer({"message": "You are out of credits"}),
    ],
)
def test_an_exhausted_quota_or_a_rejected_key_is_raised_without_a_retry(response: Answer):
    """RPC-1: neither is restored while an attempt waits."""
    clock = JumpingClock()
    with json_rpc(lambda _: response) as node, pytest.raises(NodeUnavailable):
        ask(node.url, calls(1), clock)
    assert (len(node.bodies), clock.waits) == (1, [])


def test_a_rate_limit_is_not_an_exhausted_quota():
    """RPC-1: it passes within seconds."""
    assert not is_quota_exhausted("50/second request limit reached - reduce calls per second or upgrade your plan")
    assert not is_quota_exhausted(
        "quota exceeded for requests per minute per user, at most 600 requests per day per key"
    )


@pytest.mark.parametrize(
    ("value", "date", "seconds"),
    [
        ("7", None, 7.0),
        ("Wed, 21 Oct 2015 07:28:30 GMT", "Wed, 21 Oct 2015 07:28:00 GMT", 30.0),
        ("Wed, 21 Oct 2015 07:28:30 GMT", None, 10.0),
        ("Wed, 21 Oct 2015 07:28:30 GMT", "Wed, 21 Oct 2015 08:00:00 GMT", 0.0),
        ("Wed, 21 Oct 2020 07:28:30 GMT", "Wed, 21 Oct 2015 07:28:00 GMT", 300.0),
        ("soon", None, None),
        ("", None, None),
    ],
)
def test_rpc_2_retry_after_is_read_as_seconds_or_as_a_date(value: str, date: str | None, seconds: float | None):
    """RPC-2: a date is compared with the response's date, since the two clocks may differ."""
    headers = {"Retry-After": value} | ({"Date": date} if date else {})
    assert retry_after(headers, now=1445412500.0) == seconds


def test_rpc_2_no_request_is_sent_before_retry_after_is_over():
    """RPC-2: none of many concurrent batches is sent meanwhile, although others are answered."""
    clock = JumpingClock()
    asked_at: list[float] = []

    def reply(_: Any) -> Answer | None:
        asked_at.append(clock.now)
        return Answer(429, b"", (("Retry-After", "40"),)) if len(asked_at) == 3 else None

    with json_rpc(reply) as node:
        assert ask(node.url, calls(1000), clock) == results(1000)
    assert not [at for at in asked_at[12:] if at < asked_at[2] + 40]


@pytest.mark.parametrize("status", [307, 308])
def test_a_redirect_on_the_same_host_is_followed_with_the_key(status: int):
    """As in Cryo, the body is sent again to the new path."""

    def reply(_: Any) -> Answer | None:
        return Answer(status, b"", (("Location", "/rpc/?x=1"),)) if served.paths[-1] == "/rpc" else None

    with json_rpc(reply) as served:
        url = served.url.replace("http://", "http://user:k3y@") + "/rpc"
        assert ask(url, calls(60)) == results(60)
    assert {headers["authorization"] for headers in served.headers} == {"Basic dXNlcjprM3k="}


@pytest.mark.parametrize(
    ("location", "words"),
    [
        ("http://other.example/k3y-canary", "to another host"),
        ("https://127.0.0.1/", "to another host"),
        ("http://127.0.0.1:1/", "to another host"),
        ("http://[k3y-canary", "to another host"),
        ("/round", "in a circle"),
    ],
)
def test_a_redirect_to_another_host_is_fatal_and_its_url_is_not_repeated(location: str, words: str):
    """SEC-1: the key in the URL must not reach another host."""
    with (
        json_rpc(lambda _: Answer(308, b"", (("Location", location),))) as node,
        pytest.raises(EndpointUnusable, match=f"it redirects requests {words}") as caught,
    ):
        ask(node.url, calls(60))
    assert "k3y" not in str(caught.value)
    assert len(node.bodies) <= 6


@pytest.mark.parametrize("quoted", ["p%E2%82%AC%C3%BC%3A", "p€ü%3A"])
def test_user_info_is_sent_in_utf_8(quoted: str):
    """As in Cryo, a password can have any characters."""
    with json_rpc(lambda _: None) as node:
        ask(node.url.replace("http://", f"http://u:{quoted}@"), calls(1))
    assert node.headers[0]["authorization"] == "Basic dTpw4oKsw7w6"


def test_long_response_headers_are_accepted():
    """As in Cryo, a gateway's policy can be longer than the usual 8 kB."""
    policy = {"Content-Security-Policy": "x" * 200_000}
    with json_rpc(lambda body: answer({"id": body["id"], "result": "0x1"}, **policy)) as node:
        assert ask(node.url, calls(1)) == ["0x1"]
