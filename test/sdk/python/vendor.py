"""Drives one of the other two vendors' APIs with the official Python SDK, as far as an SDK can that knows OpenAI's
types alone, and prints "ok STEP" for every step that held. The argument is the vendor: novita or neosantara."""

import sys

import openai

from driving import client, create, lines_of, refused, requests, upload, wait_for

NOVITA = sys.argv[1] == "novita"
LINES = 20
# Novita's pages show lines without method and url.
INPUT = requests(LINES, method=None, url=None) if NOVITA else requests(LINES)


def word(status):
    return status.upper() if NOVITA else status


files = [upload(f"input-{n}.jsonl", INPUT) for n in range(5)]
for f in files:
    assert f.object == "file" and f.purpose == "batch" and isinstance(f.created_at, int), f
    if NOVITA:
        assert f.id.startswith("file_") and f.metadata == {"total_requests": LINES}, f
    else:
        assert f.id.startswith("file-") and f.status == "uploaded", f
print("ok upload")

got = client.files.retrieve(files[0].id)
assert (got.id, got.filename, got.bytes) == (files[0].id, "input-0.jsonl", len(INPUT)), got
print("ok retrieve")

listed = [f.id for f in client.files.list(limit=2)]
assert listed == [f.id for f in reversed(files)], listed
assert len(list(client.files.list())) == 5
print("ok list-files")

batches = [create(f.id, metadata={"run": str(n)}) for n, f in enumerate(files)]
for b in batches:
    assert b.object == "batch" and b.status == word("validating") and b.completion_window == "24h", b
    assert b.errors == ("" if NOVITA else None), b
    assert isinstance(b.created_at, str if NOVITA else int), b
assert batches[3].metadata == {"run": "3"}, batches[3]
print("ok create")

batches = [wait_for(b.id, word("completed")) for b in batches]
for b in batches:
    counts = b.request_counts
    assert (counts.total, counts.completed, counts.failed) == (LINES, LINES, 0), b
    assert b.output_file_id and b.error_file_id == ("" if NOVITA else None), b
    assert b.created_at <= b.in_progress_at <= b.completed_at, b
    if NOVITA:
        assert (b.total, b.completed, b.failed, b.remark) == (LINES, LINES, 0, ""), b
print("ok poll")

for limit in (2, 5):
    listed = [b.id for b in client.batches.list(limit=limit)]
    assert listed == [b.id for b in reversed(batches)], listed
print("ok list-batches")

results = lines_of(batches[0].output_file_id)
assert [r["custom_id"] for r in results] == [f"request-{n}" for n in range(LINES)], results
assert all(r["error"] is None and r["response"]["body"]["choices"] for r in results), results
if NOVITA:
    assert all(r["response"]["request_id"] == r["custom_id"] for r in results), results
assert client.files.content(files[0].id).content == INPUT
print("ok content")

failed = wait_for(create(upload("bad.jsonl", INPUT + b'{"custom_id": "request-99"}\n').id).id, word("failed"))
assert failed.failed_at, failed
if NOVITA:
    assert failed.errors == f"line {LINES + 1}: missing_required_parameter: Missing required parameter: 'body'.", failed
else:
    assert {e.line for e in failed.errors.data} == {LINES + 1}, failed.errors
print("ok failed")

doomed = create(upload("doomed.jsonl", requests(5000)).id)
cancelling = client.batches.cancel(doomed.id)
if NOVITA:
    assert cancelling.status in ("CANCELLING", "CANCELLED") and cancelling.cancelling_at, cancelling
else:
    # Its answer has a few members only; the SDK reads the others as absent.
    assert cancelling.status == "canceled" and isinstance(cancelling.cancelled_at, int), cancelling
    assert cancelling.input_file_id is None, cancelling
cancelled = wait_for(doomed.id, word("cancelled"))
assert cancelled.cancelled_at and cancelled.request_counts.total in (0, 5000), cancelled
print("ok cancel")

deleted = client.files.delete(files[4].id)
assert (deleted.id, deleted.object, deleted.deleted) == (files[4].id, "file", True), deleted
error = refused(openai.NotFoundError, lambda: client.files.retrieve(files[4].id))
assert error.code == "file_not_found" and "not found" in error.message, error.body
assert files[4].id not in [f.id for f in client.files.list(limit=2)]
print("ok delete")

error = refused(openai.NotFoundError, lambda: client.batches.retrieve("batch_absent"))
assert error.code == "batch_not_found" and "not found" in error.message, error.body
error = refused(openai.BadRequestError, lambda: create("file_absent"))
assert error.param == "input_file_id" and "file_absent" in error.message, error.body
error = refused(openai.BadRequestError, lambda: create(files[0].id, endpoint="/v1/nonsense"))
assert error.param == "endpoint" and error.code == "invalid_value", error.body
# How a batch that has ended is refused is ours: neither vendor's pages say.
error = refused(
    openai.BadRequestError if NOVITA else openai.ConflictError, lambda: client.batches.cancel(batches[0].id)
)
assert word("completed") in error.message, error.body
print("ok errors")
