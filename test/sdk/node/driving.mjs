// What the programs of this folder share: a client of the server that OPENAI_BASE_URL names, and an ordinary user's way
// through its API. The first thing that is not as it should be ends a program with a stack trace.
import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import OpenAI, { toFile } from 'openai';

export const client = new OpenAI();

const terminal = ['completed', 'failed', 'expired', 'cancelled'];

// requests is the text of an input file of count chat completions; members that are overridden with undefined are left
// out.
export function requests(count, overrides = {}) {
  return Array.from({ length: count }, (_, n) => {
    const body = { model: 'sim', max_tokens: 4, messages: [{ role: 'user', content: `Say ${n}.` }] };
    const line = { custom_id: `request-${n}`, method: 'POST', url: '/v1/chat/completions', body, ...overrides };
    return JSON.stringify(line) + '\n';
  }).join('');
}

export async function upload(name, content, purpose = 'batch') {
  return client.files.create({ file: await toFile(Buffer.from(content), name), purpose });
}

export function create(fileID, more = {}, options = {}) {
  return client.batches.create(
    { input_file_id: fileID, endpoint: '/v1/chat/completions', completion_window: '24h', ...more },
    options,
  );
}

// waitFor polls until the batch has the status; any other final one is a failure.
export async function waitFor(id, status) {
  const deadline = Date.now() + 90_000;
  while (Date.now() < deadline) {
    const batch = await client.batches.retrieve(id);
    if (batch.status === status) return batch;
    assert.ok(!terminal.includes(batch.status.toLowerCase()), JSON.stringify(batch));
    await sleep(50);
  }
  throw new Error(`${id} did not become ${status}`);
}

// collect walks every page of a list.
export async function collect(page) {
  const ids = [];
  for await (const item of page) ids.push(item.id);
  return ids;
}

export async function contentOf(fileID) {
  return (await client.files.content(fileID)).text();
}

// linesOf is the decoded lines of a file.
export async function linesOf(fileID) {
  return (await contentOf(fileID)).trimEnd().split('\n').map((line) => JSON.parse(line));
}

// refused is the error of that kind which the call must throw.
export async function refused(kind, call) {
  try {
    await call();
  } catch (error) {
    assert.ok(error instanceof kind, error);
    return error;
  }
  throw new Error(`want ${kind.name}, got an answer`);
}

// counting is a client with the number of requests that it sent, those that it sent again included.
export function counting() {
  const counted = { sent: 0 };
  counted.client = new OpenAI({
    fetch: (...call) => {
      counted.sent++;
      return fetch(...call);
    },
  });
  return counted;
}
