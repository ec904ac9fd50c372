"""Drives batchd with the official Python SDK, as a user would, and prints "ok STEP" for every step that held.

OPENAI_BASE_URL and OPENAI_API_KEY say where the server is; it must hold nothing yet. The first thing that is not as
OpenAI's own service would have it ends the program with a traceback.
"""

import time

import openai

from driving import CountingClient, client, create, lines_of, refused, requests, upload, wait_for

LINES = 20
INPUT = requests(LINES)

files = [upload(f"input-{n}.jsonl", INPUT) for n in range(5)]
assert all(f.id and f.object == "file" and f.purpose == "batch" for f in files), files
assert len({f.id for f in files}) == 5, files
print("ok upload")

got = client.files.retrieve(files[0].id)
assert (got.id, got.filename, got.status) == (files[0].id, "input-0.jsonl", "processed"), got
assert got.bytes == len(INPUT) and abs(got.created_at - time.time()) < 300, got
assert client.files.wait_for_processing(got.id).id == got.id
print("ok retrieve")

listed = [f.id for f in client.files.list(limit=2)]
assert listed == [f.id for f in reversed(files)], listed
assert client.files.list(purpose="fine-tune").data == []
ascending = [f.id for f in client.files.list(limit=2, order="asc", purpose="batch")]
assert ascending == [f.id for f in files], ascending
print("ok list-files")

batches = [create(f.id, metadata={"run": str(n)}) for n, f in enumerate(files)]
assert all(b.object == "batch" and b.status == "validating" for b in batches), batches
assert batches[3].metadata == {"run": "3"} and batches[3].completion_window == "24h", batches[3]
print("ok create")

once = create(files[0].id, extra_headers={"Idempotency-Key": "nightly"})
again = create(files[0].id, extra_headers={"Idempotency-Key": "nightly"})
assert once.id == again.id, again
reused = refused(
    openai.ConflictError, lambda: create(files[1].id, extra_headers={"Idempotency-Key": "nightly"})
)
assert reused.code == "idempotency_key_reused", reused.body
batches.append(again)
print("ok idempotency")

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

results = lines_of(batches[0].output_file_id)
assert [r["custom_id"] for r in results] == [f"request-{n}" for n in range(LINES)], results
for r in results:
    assert r["id"] and r["error"] is None and r["response"]["status_code"] == 200, r
    assert r["response"]["body"]["choices"][0]["message"]["role"] == "assistant", r
assert client.files.retrieve(batches[0].output_file_id).purpose == "batch_output"
assert client.files.content(files[0].id).content == INPUT
print("ok content")

hour = {"anchor": "created_at", "seconds": 3600}
brief = client.files.create(file=("brief.jsonl", INPUT), purpose="batch", expires_after=hour)
assert brief.expires_at == brief.created_at + 3600, brief
batch = wait_for(create(brief.id, output_expires_after=hour).id, "completed")
output = client.files.retrieve(batch.output_file_id)
assert output.expires_at == output.created_at + 3600, output
print("ok expiry")

failed = wait_for(create(upload("bad.jsonl", INPUT + b'{"custom_id": "request-1"}\n').id).id, "failed")
assert failed.failed_at and failed.output_file_id is None and failed.errors.object == "list", failed
found = {(e.line, e.code, e.param) for e in failed.errors.data}
assert (LINES + 1, "missing_required_parameter", "method") in found, failed.errors
assert all(e.message for e in failed.errors.data), failed.errors
print("ok failed")

doomed = create(upload("doomed.jsonl", requests(5000)).id)
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
error = refused(openai.BadRequestError, lambda: create(files[0].id, completion_window="90s"))
assert (error.param, error.code) == ("completion_window", "invalid_value") and "90s" in error.message, error.body
error = refused(openai.NotFoundError, lambda: client.batches.retrieve("batch_absent"))
assert error.status_code == 404 and "batch_absent" in error.message, error.body
counting = CountingClient()
error = refused(openai.ConflictError, lambda: counting.batches.cancel(batches[0].id))
assert "completed" in error.body["message"], error.body
assert counting.sent == 1, f"a refusal that stays was asked for {counting.sent} times"
print("ok errors")
