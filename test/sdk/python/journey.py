"""Drives batchd with the official Python SDK, as a user would, and prints "ok STEP" for every step that held.

OPENAI_BASE_URL and OPENAI_API_KEY say where the server is; it must hold nothing yet. The first thing that is not as
OpenAI's own service would have it ends the program with a traceback.
"""

import json
import time

import openai

client = openai.OpenAI()
LINES = 20


def requests(count):
    """The bytes of an input file of count chat completions."""
    lines = (
        {
            "custom_id": f"request-{n}",
            "method": "POST",
            "url": "/v1/chat/completions",
            "body": {"model": "sim", "max_tokens": 4, "messages": [{"role": "user", "content": f"Say {n}."}]},
        }
        for n in range(count)
    )
    return "".join(json.dumps(line) + "\n" for line in lines).encode()


def upload(name, count=LINES):
    return client.files.create(file=(name, requests(count)), purpose="batch")


def create(file_id, **more):
    return client.batches.create(
        input_file_id=file_id, endpoint="/v1/chat/completions", completion_window="24h", **more
    )


def wait_for(batch_id, status):
    """Polls until the batch has the status; any other final one is a failure."""
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        batch = client.batches.retrieve(batch_id)
        if batch.status == status:
            return batch
        assert batch.status not in ("completed", "failed", "expired", "cancelled"), batch
        time.sleep(0.05)
    raise AssertionError(f"{batch_id} did not become {status}: {batch}")


def refused(kind, call):
    """The error of that kind which the call must raise."""
    try:
        answer = call()
    except kind as error:
        return error
    raise AssertionError(f"want {kind.__name__}, got {answer}")


files = [upload(f"input-{n}.jsonl") for n in range(5)]
assert all(f.id and f.object == "file" and f.purpose == "batch" for f in files), files
assert len({f.id for f in files}) == 5, files
print("ok upload")

got = client.files.retrieve(files[0].id)
assert (got.id, got.filename, got.status) == (files[0].id, "input-0.jsonl", "processed"), got
assert got.bytes == len(requests(LINES)) and abs(got.created_at - time.time()) < 300, got
print("ok retrieve")

listed = [f.id for f in client.files.list(limit=2)]
assert listed == [f.id for f in reversed(files)], listed
ascending = [f.id for f in client.files.list(limit=2, order="asc", purpose="batch")]
assert ascending == [f.id for f in files], ascending
print("ok list-files")

batches = [create(f.id, metadata={"run": str(n)}) for n, f in enumerate(files)]
assert all(b.object == "batch" and b.status == "validating" for b in batches), batches
assert batches[3].metadata == {"run": "3"} and batches[3].completion_window == "24h", batches[3]
print("ok create")

batches = [wait_for(b.id, "completed") for b in batches]
for b in batches:
    counts = b.request_counts
    assert (counts.total, counts.completed, counts.failed) == (LINES, LINES, 0), b
    assert b.output_file_id and b.error_file_id is None and b.errors is None, b
    assert b.created_at <= b.in_progress_at <= b.finalizing_at <= b.completed_at, b
print("ok poll")

listed = [b.id for b in client.batches.list(limit=2)]
assert listed == [b.id for b in reversed(batches)], listed
print("ok list-batches")

content = client.files.content(batches[0].output_file_id)
results = [json.loads(line) for line in content.text.splitlines()]
assert [r["custom_id"] for r in results] == [f"request-{n}" for n in range(LINES)], results
for r in results:
    assert r["id"] and r["error"] is None and r["response"]["status_code"] == 200, r
    assert r["response"]["body"]["choices"][0]["message"]["role"] == "assistant", r
assert client.files.retrieve(batches[0].output_file_id).purpose == "batch_output"
assert client.files.content(files[0].id).content == requests(LINES)
print("ok content")

doomed = create(upload("doomed.jsonl", 5000).id)
cancelling = client.batches.cancel(doomed.id)
assert cancelling.status in ("cancelling", "cancelled") and cancelling.cancelling_at, cancelling
cancelled = wait_for(doomed.id, "cancelled")
assert cancelled.cancelled_at and cancelled.request_counts.total in (0, 5000), cancelled
assert client.batches.cancel(doomed.id).status == "cancelled"
print("ok cancel")

deleted = client.files.delete(files[4].id)
assert (deleted.id, deleted.object, deleted.deleted) == (files[4].id, "file", True), deleted
refused(openai.NotFoundError, lambda: client.files.retrieve(files[4].id))
assert files[4].id not in [f.id for f in client.files.list(limit=2)]
print("ok delete")

error = refused(
    openai.BadRequestError, lambda: client.files.create(file=("a.jsonl", requests(1)), purpose="nonsense")
)
assert error.param == "purpose" and error.type == "invalid_request_error" and error.request_id, error.body
error = refused(
    openai.BadRequestError,
    lambda: client.batches.create(
        input_file_id=files[0].id, endpoint="/v1/nonsense", completion_window="24h"
    ),
)
assert error.param == "endpoint" and error.body["message"], error.body
error = refused(openai.NotFoundError, lambda: client.batches.retrieve("batch_absent"))
assert error.status_code == 404 and error.body["message"], error.body
once = client.with_options(max_retries=0)
error = refused(openai.ConflictError, lambda: once.batches.cancel(batches[0].id))
assert "completed" in error.body["message"], error.body
print("ok errors")
