// Drives one of the other two vendors' APIs with the official Node SDK, as far as an SDK can that knows OpenAI's types
// alone, and prints "ok STEP" for every step that held. The argument is the vendor: novita or neosantara.
import assert from 'node:assert/strict';
import OpenAI from 'openai';
import { client, collect, contentOf, create, linesOf, refused, requests, upload, waitFor } from './driving.mjs';

const novita = process.argv[2] === 'novita';
const lines = 20;
// Novita's pages show lines without method and url.
const input = novita ? requests(lines, { method: undefined, url: undefined }) : requests(lines);
const word = (status) => (novita ? status.toUpperCase() : status);

const files = [];
for (let n = 0; n < 5; n++) files.push(await upload(`input-${n}.jsonl`, input));
for (const f of files) {
  assert.deepEqual([f.object, f.purpose, typeof f.created_at], ['file', 'batch', 'number']);
  assert.match(f.id, novita ? /^file_/ : /^file-/);
  if (novita) assert.deepEqual(f.metadata, { total_requests: lines });
  else assert.equal(f.status, 'uploaded');
}
console.log('ok upload');

const got = await client.files.retrieve(files[0].id);
assert.deepEqual([got.id, got.filename, got.bytes], [files[0].id, 'input-0.jsonl', Buffer.byteLength(input)]);
console.log('ok retrieve');

const newestFirst = files.map((f) => f.id).reverse();
assert.deepEqual(await collect(client.files.list({ limit: 2 })), newestFirst);
assert.deepEqual(await collect(client.files.list()), newestFirst);
console.log('ok list-files');

let batches = [];
for (const [n, f] of files.entries()) batches.push(await create(f.id, { metadata: { run: String(n) } }));
for (const b of batches) {
  assert.deepEqual([b.object, b.status, b.completion_window], ['batch', word('validating'), '24h']);
  assert.deepEqual([b.errors, typeof b.created_at], novita ? ['', 'string'] : [null, 'number']);
}
assert.deepEqual(batches[3].metadata, { run: '3' });
console.log('ok create');

batches = await Promise.all(batches.map((b) => waitFor(b.id, word('completed'))));
for (const b of batches) {
  assert.deepEqual({ ...b.request_counts }, { total: lines, completed: lines, failed: 0 });
  assert.ok(b.output_file_id);
  assert.equal(b.error_file_id, novita ? '' : null);
  assert.ok(b.created_at <= b.in_progress_at && b.in_progress_at <= b.completed_at);
  if (novita) assert.deepEqual([b.total, b.completed, b.failed, b.remark], [lines, lines, 0, '']);
}
console.log('ok poll');

for (const limit of [2, 5]) {
  assert.deepEqual(await collect(client.batches.list({ limit })), batches.map((b) => b.id).reverse());
}
console.log('ok list-batches');

const results = await linesOf(batches[0].output_file_id);
assert.deepEqual(results.map((r) => r.custom_id), Array.from({ length: lines }, (_, n) => `request-${n}`));
for (const r of results) {
  assert.equal(r.error, null);
  assert.equal(r.response.body.choices[0].message.role, 'assistant');
  if (novita) assert.equal(r.response.request_id, r.custom_id);
}
assert.equal(await contentOf(files[0].id), input);
console.log('ok content');

const bad = await upload('bad.jsonl', input + '{"custom_id": "request-99"}\n');
const failed = await waitFor((await create(bad.id)).id, word('failed'));
assert.ok(failed.failed_at);
if (novita) {
  assert.equal(failed.errors, `line ${lines + 1}: missing_required_parameter: Missing required parameter: 'body'.`);
} else {
  assert.ok(failed.errors.data.every((e) => e.line === lines + 1 && e.message));
}
console.log('ok failed');

const doomed = await create((await upload('doomed.jsonl', requests(5000))).id);
const cancelling = await client.batches.cancel(doomed.id);
if (novita) {
  assert.ok(['CANCELLING', 'CANCELLED'].includes(cancelling.status) && cancelling.cancelling_at);
} else {
  // Its answer has a few members only; the others are absent.
  assert.deepEqual([cancelling.status, typeof cancelling.cancelled_at], ['canceled', 'number']);
  assert.equal(cancelling.input_file_id, undefined);
}
const cancelled = await waitFor(doomed.id, word('cancelled'));
assert.ok(cancelled.cancelled_at && [0, 5000].includes(cancelled.request_counts.total));
console.log('ok cancel');

const deleted = await client.files.delete(files[4].id);
assert.deepEqual({ ...deleted }, { id: files[4].id, object: 'file', deleted: true });
let error = await refused(OpenAI.NotFoundError, () => client.files.retrieve(files[4].id));
assert.equal(error.code, 'file_not_found');
assert.match(error.message, /not found/);
assert.ok(!(await collect(client.files.list({ limit: 2 }))).includes(files[4].id));
console.log('ok delete');

error = await refused(OpenAI.NotFoundError, () => client.batches.retrieve('batch_absent'));
assert.equal(error.code, 'batch_not_found');
assert.match(error.message, /not found/);
error = await refused(OpenAI.BadRequestError, () => create('file_absent'));
assert.equal(error.param, 'input_file_id');
assert.match(error.message, /file_absent/);
error = await refused(OpenAI.BadRequestError, () => create(files[0].id, { endpoint: '/v1/nonsense' }));
assert.deepEqual([error.param, error.code], ['endpoint', 'invalid_value']);
// How a batch that has ended is refused is ours: neither vendor's pages say.
error = await refused(novita ? OpenAI.BadRequestError : OpenAI.ConflictError, () => client.batches.cancel(batches[0].id));
assert.match(error.message, new RegExp(word('completed')));
console.log('ok errors');
