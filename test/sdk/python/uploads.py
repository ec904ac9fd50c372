"""Sends files in parts with the official Python SDK and prints "ok STEP" for every step that held."""

import hashlib
import pathlib
import tempfile
from concurrent.futures import ThreadPoolExecutor

import openai

from driving import client, create, lines_of, refused, requests, wait_for

LINES = 60
INPUT = requests(LINES)
MD5 = hashlib.md5(INPUT).hexdigest()


def announce(size=len(INPUT)):
    return client.uploads.create(filename="parts.jsonl", purpose="batch", bytes=size, mime_type="application/jsonl")


pending = announce()
assert (pending.object, pending.status, pending.bytes, pending.file) == ("upload", "pending", len(INPUT), None), pending
assert pending.expires_at == pending.created_at + 3600, pending
print("ok announce")

# The pieces are cut in the middle of lines, and arrive in any order.
cut = len(INPUT) // 4 + 1
pieces = [INPUT[at : at + cut] for at in range(0, len(INPUT), cut)]
with ThreadPoolExecutor(len(pieces)) as pool:
    parts = list(pool.map(lambda piece: client.uploads.parts.create(pending.id, data=piece), pieces))
assert all(p.object == "upload.part" and p.upload_id == pending.id for p in parts), parts
assert len({p.id for p in parts}) == 4, parts
print("ok parts")

part_ids = [p.id for p in parts]
error = refused(openai.BadRequestError, lambda: client.uploads.complete(pending.id, part_ids=part_ids[:3]))
assert error.param == "part_ids" and str(len(INPUT)) in error.message, error.body
# In the wrong order the parts make another file, which the digest tells.
swapped = [part_ids[0], part_ids[2], part_ids[1], part_ids[3]]
error = refused(openai.BadRequestError, lambda: client.uploads.complete(pending.id, part_ids=swapped, md5=MD5))
assert error.param == "md5", error.body
print("ok refusals")

completed = client.uploads.complete(pending.id, part_ids=part_ids, md5=MD5)
assert (completed.id, completed.status) == (pending.id, "completed"), completed
assert (completed.file.filename, completed.file.bytes, completed.file.purpose) == ("parts.jsonl", len(INPUT), "batch")
assert client.files.content(completed.file.id).content == INPUT
batch = wait_for(create(completed.file.id).id, "completed")
assert [r["custom_id"] for r in lines_of(batch.output_file_id)] == [f"request-{n}" for n in range(LINES)], batch
print("ok complete")

dropped = announce()
client.uploads.parts.create(dropped.id, data=pieces[0])
assert client.uploads.cancel(dropped.id).status == "cancelled"
for late in (
    lambda: client.uploads.parts.create(dropped.id, data=pieces[1]),
    lambda: client.uploads.complete(dropped.id, part_ids=part_ids),
):
    error = refused(openai.BadRequestError, late)
    assert "cancelled" in error.message, error.body
refused(openai.NotFoundError, lambda: client.uploads.cancel("upload_absent"))
print("ok cancel")

with tempfile.TemporaryDirectory() as folder:
    path = pathlib.Path(folder, "chunked.jsonl")
    path.write_bytes(INPUT)
    chunked = client.uploads.upload_file_chunked(
        file=path, mime_type="application/jsonl", purpose="batch", part_size=1000, md5=MD5
    )
assert chunked.status == "completed" and chunked.file.filename == "chunked.jsonl", chunked
assert client.files.content(chunked.file.id).content == INPUT
assert [f.id for f in client.files.list(purpose="batch")][0] == chunked.file.id
print("ok helper")
