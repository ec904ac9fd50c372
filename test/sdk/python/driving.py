"""What the programs of this folder share: a client of the server that OPENAI_BASE_URL names, and an ordinary user's way
through its API. The first thing that is not as it should be ends a program with a traceback."""

import json
import time

import openai

client = openai.OpenAI()


def requests(count, **overrides):
    """The bytes of an input file of count chat completions; a member that is overridden with None is left out."""

    def line(n):
        body = {"model": "sim", "max_tokens": 4, "messages": [{"role": "user", "content": f"Say {n}."}]}
        members = {"custom_id": f"request-{n}", "method": "POST", "url": "/v1/chat/completions", "body": body}
        return {name: value for name, value in (members | overrides).items() if value is not None}

    return "".join(json.dumps(line(n)) + "\n" for n in range(count)).encode()


def upload(name, content):
    return client.files.create(file=(name, content), purpose="batch")


def create(file_id, **more):
    return client.batches.create(
        **{"input_file_id": file_id, "endpoint": "/v1/chat/completions", "completion_window": "24h"} | more
    )


def wait_for(batch_id, status):
    """Polls until the batch has the status; any other final one is a failure."""
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        batch = client.batches.retrieve(batch_id)
        if batch.status == status:
            return batch
        assert batch.status.lower() not in ("completed", "failed", "expired", "cancelled"), batch
        time.sleep(0.05)
    raise AssertionError(f"{batch_id} did not become {status}: {batch}")


def lines_of(file_id):
    """The decoded lines of a file."""
    return [json.loads(line) for line in client.files.content(file_id).text.splitlines()]


def refused(kind, call):
    """The error of that kind which the call must raise."""
    try:
        answer = call()
    except kind as error:
        return error
    raise AssertionError(f"want {kind.__name__}, got {answer}")


class CountingClient(openai.OpenAI):
    """A client that counts the requests which it sends, those that it sends again included."""

    def __init__(self):
        self.sent = 0
        super().__init__(http_client=openai.DefaultHttpxClient(event_hooks={"request": [self._count]}))

    def _count(self, _request):
        self.sent += 1
