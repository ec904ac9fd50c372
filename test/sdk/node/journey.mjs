// Drives batchd with the official Node SDK, as a user would, and prints "ok STEP" for every step that held.
//
// OPENAI_BASE_URL and OPENAI_API_KEY say where the server is; it must hold nothing yet. The first thing that is not as
// OpenAI's own service would have it ends the program with a stack trace.
import assert from 'node:assert/strict';
import OpenAI, { toFile } from 'openai';
import { client, collect, contentOf, counting, create, linesOf, refused, requests, upload, waitFor } from './driving.mjs';

const lines = 20;
const input = requests(lines);

const files = [];
for (let n = 0; n < 5; n++) files.push(await upload(`input-${n}.jsonl`, input));
assert.equal(new Set(files.map((f) => f.id)).size, 5);
assert.ok(files.every((f) => f.object === 'file' && f.purpose === 'batch'));
console.log('ok upload');

const got = await client.files.retrieve(files[0].id);
assert.deepEqual([got.id, got.filename, got.status], [files[0].id, 'input-0.jsonl', 'processed']);
assert.equal(got.bytes, Buffer.byteLength(input));
assert.ok(Math.abs(got.created_at - Date.now() / 1000) < 300);
assert.equal((await client.files.waitForProcessing(got.id)).id, got.id);
console.log('ok retrieve');

const oldestFirst = files.map((f) => f.id);
assert.deepEqual(await collect(client.files.list({ limit: 2 })), [...oldestFirst].reverse());
assert.deepEqual(await collect(client.files.list({ limit: 2, order: 'asc', purpose: 'batch' })), oldestFirst);
assert.deepEqual(await collect(client.files.list({ purpose: 'fine-tune' })), []);
console.log('ok list-files');

let batches = [];
for (const [n, f] of files.entries()) batches.push(await create(f.id, { metadata: { run: String(n) } }));
assert.ok(batches.every((b) => b.object === 'batch' && b.status === 'validating'));
assert.deepEqual(batches[3].metadata, { run: '3' });
console.log('ok create');

const nightly = { headers: { 'Idempotency-Key': 'nightly' } };
const again = await create(files[0].id, {}, nightly);
assert.equal((await create(files[0].id, {}, nightly)).id, again.id);
const reused = await refused(OpenAI.ConflictError, () => create(files[1].id, {}, nightly));
assert.equal(reused.code, 'idempotency_key_reused');
batches.push(again);
console.log('ok idempotency');

batches = await Promise.all(batches.map((b) => waitFor(b.id, 'completed')));
for (const b of batches) {
  assert.deepEqual({ ...b.request_counts }, { total: lines, completed: lines, failed: 0 });
  assert.ok(b.output_file_id);
  assert.deepEqual([b.error_file_id, b.errors], [null, null]);
  assert.ok(b.created_at <= b.in_progress_at && b.in_progress_at <= b.completed_at);
}
console.log('ok poll');

assert.deepEqual(await collect(client.batches.list({ limit: 2 })), batches.map((b) => b.id).reverse());
console.log('ok list-batches');

const results = await linesOf(batches[0].output_file_id);
assert.deepEqual(results.map((r) => r.custom_id), Array.from({ length: lines }, (_, n) => `request-${n}`));
for (const r of results) {
  assert.equal(r.error, null);
  assert.equal(r.response.status_code, 200);
  assert.equal(r.response.body.choices[0].message.role, 'assistant');
}
assert.equal((await client.files.retrieve(batches[0].output_file_id)).purpose, 'batch_output');
assert.equal(await contentOf(files[0].id), input);
console.log('ok content');

const hour = { anchor: 'created_at', seconds: 3600 };
const brief = await client.files.create({
  file: await toFile(Buffer.from(input), 'brief.jsonl'), purpose: 'batch', expires_after: hour,
});
assert.equal(brief.expires_at, brief.created_at + 3600);
const kept = await waitFor((await create(brief.id, { output_expires_after: hour })).id, 'completed');
const keptOutput = await client.files.retrieve(kept.output_file_id);
assert.equal(keptOutput.expires_at, keptOutput.created_at + 3600);
console.log('ok expiry');

const bad = await upload('bad.jsonl', input + '{"custom_id": "request-1"}\n');
const failed = await waitFor((await create(bad.id)).id, 'failed');
assert.deepEqual([failed.output_file_id, failed.errors.object], [null, 'list']);
assert.ok(failed.failed_at);
const found = failed.errors.data.map((e) => `${e.line} ${e.code} ${e.param}`);
assert.ok(found.includes(`${lines + 1} missing_required_parameter method`), found.join());
console.log('ok failed');

const doomed = await create((await upload('doomed.jsonl', requests(5000))).id);
const cancelling = await client.batches.cancel(doomed.id);
assert.ok(['cancelling', 'cancelled'].includes(cancelling.status) && cancelling.cancelling_at);
const cancelled = await waitFor(doomed.id, 'cancelled');
assert.ok(cancelled.cancelled_at && [0, 5000].includes(cancelled.request_counts.total));
assert.equal((await client.batches.cancel(doomed.id)).status, 'cancelled');
console.log('ok cancel');

const deleted = await client.files.delete(files[4].id);
assert.deepEqual({ ...deleted }, { id: files[4].id, object: 'file', deleted: true });
await refused(OpenAI.NotFoundError, () => client.files.retrieve(files[4].id));
assert.ok(!(await collect(client.files.list({ limit: 2 }))).includes(files[4].id));
console.log('ok delete');

let error = await refused(OpenAI.BadRequestError, () => upload('a.jsonl', requests(1), 'nonsense'));
assert.deepEqual([error.param, error.type], ['purpose', 'invalid_request_error']);
assert.ok(error.requestID);
error = await refused(OpenAI.BadRequestError, () => create(files[0].id, { endpoint: '/v1/nonsense' }));
assert.deepEqual([error.param, error.code], ['endpoint', 'invalid_value']);
error = await refused(OpenAI.BadRequestError, () => create(files[0].id, { completion_window: '90s' }));
assert.deepEqual([error.param, error.code], ['completion_window', 'invalid_value']);
assert.match(error.message, /90s/);
error = await refused(OpenAI.NotFoundError, () => client.batches.retrieve('batch_absent'));
assert.equal(error.status, 404);
assert.match(error.message, /batch_absent/);
const counted = counting();
error = await refused(OpenAI.ConflictError, () => counted.client.batches.cancel(batches[0].id));
assert.match(error.message, /completed/);
assert.equal(counted.sent, 1, 'a refusal that stays is asked for once');
console.log('ok errors');
