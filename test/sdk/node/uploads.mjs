// Sends files in parts with the official Node SDK and prints "ok STEP" for every step that held.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import OpenAI, { toFile } from 'openai';
import { client, contentOf, create, linesOf, refused, requests, waitFor } from './driving.mjs';

const lines = 60;
const input = requests(lines);
const md5 = createHash('md5').update(input).digest('hex');

function announce() {
  return client.uploads.create({
    filename: 'parts.jsonl', purpose: 'batch', bytes: input.length, mime_type: 'application/jsonl',
  });
}

async function addPart(upload, piece) {
  return client.uploads.parts.create(upload, { data: await toFile(Buffer.from(piece), 'piece') });
}

const pending = await announce();
assert.deepEqual([pending.object, pending.status, pending.bytes], ['upload', 'pending', input.length]);
assert.equal(pending.expires_at, pending.created_at + 3600);
console.log('ok announce');

// The pieces are cut in the middle of lines, and arrive in any order.
const cut = Math.floor(input.length / 4) + 1;
const pieces = Array.from({ length: 4 }, (_, n) => input.slice(n * cut, (n + 1) * cut));
const parts = await Promise.all(pieces.map((piece) => addPart(pending.id, piece)));
assert.ok(parts.every((p) => p.object === 'upload.part' && p.upload_id === pending.id));
const ids = parts.map((p) => p.id);
assert.equal(new Set(ids).size, 4);
console.log('ok parts');

let error = await refused(OpenAI.BadRequestError, () =>
  client.uploads.complete(pending.id, { part_ids: ids.slice(0, 3) }),
);
assert.equal(error.param, 'part_ids');
assert.match(error.message, new RegExp(String(input.length)));
// In the wrong order the parts make another file, which the digest tells.
error = await refused(OpenAI.BadRequestError, () =>
  client.uploads.complete(pending.id, { part_ids: [ids[0], ids[2], ids[1], ids[3]], md5 }),
);
assert.equal(error.param, 'md5');
console.log('ok refusals');

const completed = await client.uploads.complete(pending.id, { part_ids: ids, md5 });
assert.deepEqual([completed.id, completed.status], [pending.id, 'completed']);
assert.deepEqual([completed.file.filename, completed.file.bytes], ['parts.jsonl', input.length]);
assert.equal(await contentOf(completed.file.id), input);
const batch = await waitFor((await create(completed.file.id)).id, 'completed');
const results = await linesOf(batch.output_file_id);
assert.deepEqual(results.map((r) => r.custom_id), Array.from({ length: lines }, (_, n) => `request-${n}`));
console.log('ok complete');

const dropped = await announce();
await addPart(dropped.id, pieces[0]);
assert.equal((await client.uploads.cancel(dropped.id)).status, 'cancelled');
for (const late of [() => addPart(dropped.id, pieces[1]), () => client.uploads.complete(dropped.id, { part_ids: ids })]) {
  error = await refused(OpenAI.BadRequestError, late);
  assert.match(error.message, /cancelled/);
}
await refused(OpenAI.NotFoundError, () => client.uploads.cancel('upload_absent'));
console.log('ok cancel');
