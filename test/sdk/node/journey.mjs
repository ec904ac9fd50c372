// Drives batchd with the official Node SDK, as a user would, and prints "ok STEP" for every step that held.
//
// OPENAI_BASE_URL and OPENAI_API_KEY say where the server is; it must hold nothing yet. The first thing that is not as
// OpenAI's own service would have it ends the program with a stack trace.
import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import OpenAI, { toFile } from 'openai';

const client = new OpenAI();
const lines = 20;
const terminal = ['completed', 'failed', 'expired', 'cancelled'];

// requests is the text of an input file of count chat completions.
function requests(count) {
  return Array.from({ length: count }, (_, n) => {
    const body = { model: 'sim', max_tokens: 4, messages: [{ role: 'user', content: `Say ${n}.` }] };
    return JSON.stringify({ custom_id: `request-${n}`, method: 'POST', url: '/v1/chat/completions', body }) + '\n';
  }).join('');
}

async function upload(name, count = lines) {
  return client.files.create({ file: await toFile(Buffer.from(requests(count)), name), purpose: 'batch' });
}

function create(fileID, more = {}) {
  return client.batches.create({
    input_file_id: fileID, endpoint: '/v1/chat/completions', completion_window: '24h', ...more,
  });
}

// waitFor polls until the batch has the status; any other final one is a failure.
async function waitFor(id, status) {
  const deadline = Date.now() + 90_000;
  while (Date.now() < deadline) {
    const batch = await client.batches.retrieve(id);
    if (batch.status === status) return batch;
    assert.ok(!terminal.includes(batch.status), JSON.stringify(batch));
    await sleep(50);
  }
  throw new Error(`${id} did not become ${status}`);
}

// collect walks every page of a list.
async function collect(page) {
  const ids = [];
  for await (const item of page) ids.push(item.id);
  return ids;
}

// refused is the error of that kind which the call must throw.
async function refused(kind, call) {
  try {
    await call();
  } catch (error) {
    assert.ok(error instanceof kind, error);
    return error;
  }
  throw new Error(`want ${kind.name}, got an answer`);
}

const files = [];
for (let n = 0; n < 5; n++) files.push(await upload(`input-${n}.jsonl`));
assert.equal(new Set(files.map((f) => f.id)).size, 5);
assert.ok(files.every((f) => f.object === 'file' && f.purpose === 'batch'));
console.log('ok upload');

const got = await client.files.retrieve(files[0].id);
assert.deepEqual([got.id, got.filename, got.status], [files[0].id, 'input-0.jsonl', 'processed']);
assert.equal(got.bytes, Buffer.byteLength(requests(lines)));
assert.ok(Math.abs(got.created_at - Date.now() / 1000) < 300);
console.log('ok retrieve');

const oldestFirst = files.map((f) => f.id);
assert.deepEqual(await collect(client.files.list({ limit: 2 })), [...oldestFirst].reverse());
assert.deepEqual(await collect(client.files.list({ limit: 2, order: 'asc', purpose: 'batch' })), oldestFirst);
console.log('ok list-files');

let batches = [];
for (const [n, f] of files.entries()) batches.push(await create(f.id, { metadata: { run: String(n) } }));
assert.ok(batches.every((b) => b.object === 'batch' && b.status === 'validating'));
assert.deepEqual(batches[3].metadata, { run: '3' });
console.log('ok create');

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

const output = await (await client.files.content(batches[0].output_file_id)).text();
const results = output.trimEnd().split('\n').map((line) => JSON.parse(line));
assert.deepEqual(results.map((r) => r.custom_id), Array.from({ length: lines }, (_, n) => `request-${n}`));
for (const r of results) {
  assert.equal(r.error, null);
  assert.equal(r.response.status_code, 200);
  assert.equal(r.response.body.choices[0].message.role, 'assistant');
}
assert.equal((await client.files.retrieve(batches[0].output_file_id)).purpose, 'batch_output');
assert.equal(await (await client.files.content(files[0].id)).text(), requests(lines));
console.log('ok content');

const doomed = await create((await upload('doomed.jsonl', 5000)).id);
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

let error = await refused(OpenAI.BadRequestError, async () =>
  client.files.create({ file: await toFile(Buffer.from(requests(1)), 'a.jsonl'), purpose: 'nonsense' }),
);
assert.deepEqual([error.param, error.type], ['purpose', 'invalid_request_error']);
assert.ok(error.requestID);
error = await refused(OpenAI.BadRequestError, () =>
  client.batches.create({ input_file_id: files[0].id, endpoint: '/v1/nonsense', completion_window: '24h' }),
);
assert.equal(error.param, 'endpoint');
error = await refused(OpenAI.NotFoundError, () => client.batches.retrieve('batch_absent'));
assert.equal(error.status, 404);
error = await refused(OpenAI.ConflictError, () => client.batches.cancel(batches[0].id, { maxRetries: 0 }));
assert.match(error.message, /completed/);
console.log('ok errors');
