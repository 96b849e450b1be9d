"""Wake-up messages are recorded in both protocols of SQS."""

import json
import re
import urllib.parse
import urllib.request

from harness.runner.recorder import Recorder
from harness.runner.wakeups import QueueListener
from harness.stores.bucket import S3Endpoint
from harness.stores.proxy import StoreProxy
from harness.stores.queue import make_queue

SIGNED = "AWS4-HMAC-SHA256 Credential=x/20261124/us-east-1/sqs/aws4_request, SignedHeaders=host, Signature=0"
"""Moto selects the service by the scope, and accepts any signature."""
TASK = "5b0e0f6a-3a41-4c6b-8f8e-0d2c9f0a1b2c"


def post(url: str, headers: dict[str, str], body: str) -> bytes:
    request = urllib.request.Request(url, body.encode(), headers | {"Authorization": SIGNED})
    with urllib.request.urlopen(request) as answer:
        found: bytes = answer.read()
        return found


def recorded(recorder: Recorder) -> list[tuple[str, str | None]]:
    return [(event.kind, event.task_id) for event in recorder.events]


def test_the_query_protocol_is_recorded(cryo_moto: S3Endpoint):
    """SDKs from before 2023 send a form to the path of the queue, and get XML back."""
    recorder, queue = Recorder(), make_queue(cryo_moto)
    queue.send(TASK)
    with StoreProxy(cryo_moto.url, listener=QueueListener(recorder)) as proxy:
        url = proxy.url + urllib.parse.urlsplit(queue.url).path
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        answer = post(url, form, "Action=ReceiveMessage&Version=2012-11-05")
        (handle,) = re.findall("<ReceiptHandle>(.*)</ReceiptHandle>", answer.decode())
        words = {"Action": "DeleteMessage", "Version": "2012-11-05", "ReceiptHandle": handle}
        post(url, form, urllib.parse.urlencode(words))
    assert recorded(recorder) == [("message_received", TASK), ("message_acknowledged", TASK)]


def test_the_json_protocol_is_recorded(cryo_moto: S3Endpoint):
    """Newer SDKs send JSON."""
    recorder, queue = Recorder(), make_queue(cryo_moto)
    queue.send(TASK)
    with StoreProxy(cryo_moto.url, listener=QueueListener(recorder)) as proxy:
        form = {"Content-Type": "application/x-amz-json-1.0", "X-Amz-Target": "AmazonSQS.ReceiveMessage"}
        answer = json.loads(post(proxy.url, form, json.dumps({"QueueUrl": queue.url})))
        entries = [{"Id": "1", "ReceiptHandle": answer["Messages"][0]["ReceiptHandle"]}]
        form["X-Amz-Target"] = "AmazonSQS.DeleteMessageBatch"
        post(proxy.url, form, json.dumps({"QueueUrl": queue.url, "Entries": entries}))
    assert recorded(recorder) == [("message_received", TASK), ("message_acknowledged", TASK)]
