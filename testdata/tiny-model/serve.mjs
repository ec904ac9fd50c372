// Serves a small language model over HTTP in OpenAI's chat-completions dialect: real llama.cpp, from npm.
//
//   node serve.mjs [MODEL.gguf] [PORT]
//
// PORT 0, the default, takes a free one. Once it listens, it prints one line, "ready http://127.0.0.1:PORT/v1".
// It answers GET /v1/models and POST /v1/chat/completions (temperature, max_tokens; no streaming), and stops on SIGTERM.
import { randomUUID } from 'node:crypto';
import http from 'node:http';
import { fileURLToPath } from 'node:url';
import { getLlama } from 'node-llama-cpp';

const modelPath = process.argv[2] ?? fileURLToPath(new URL('tiny.gguf', import.meta.url));
const port = Number(process.argv[3] ?? 0);

const sequences = 8; // requests that run at once; further ones wait their turn
const contextSize = 512; // tokens, prompt and answer together: what the model was trained with

const llama = await getLlama({ gpu: false, build: 'never', progressLogs: false, logLevel: 'error' });
const model = await llama.loadModel({ modelPath });
// One thread: for a model this small, more of them only spin against each other (2 threads: a tenth of the speed).
const context = await model.createContext({ sequences, contextSize, threads: 1 });

const idle = Array.from({ length: sequences }, () => context.getSequence());
const waiting = [];
const take = () => (idle.length ? Promise.resolve(idle.pop()) : new Promise((resolve) => waiting.push(resolve)));
const give = (sequence) => (waiting.length ? waiting.shift()(sequence) : idle.push(sequence));

// render is the chat template of the training run (train.py), up to where the answer begins.
function render(messages) {
  const turns = messages.map(({ role, content }) =>
    role === 'user' ? `<|user|>\n${content}\n` : `<|assistant|>\n${content}</s>`,
  );
  return turns.join('') + '<|assistant|>\n';
}

async function complete(request) {
  const prompt = [model.tokens.bos, ...model.tokenize(render(request.messages), true)];
  const limit = Math.min(request.max_tokens ?? 64, contextSize - prompt.length);
  const answer = [];
  const sequence = await take();
  try {
    await sequence.clearHistory();
    // The iteration ends by itself where the model says that its answer is complete.
    for await (const token of sequence.evaluate(prompt, { temperature: request.temperature ?? 0 })) {
      answer.push(token);
      if (answer.length >= limit) break;
    }
  } finally {
    give(sequence);
  }
  const finish = answer.length >= limit ? 'length' : 'stop';
  const message = { role: 'assistant', content: model.detokenize(answer) };
  return {
    id: `chatcmpl-${randomUUID()}`,
    object: 'chat.completion',
    created: Math.floor(Date.now() / 1000),
    model: request.model,
    choices: [{ index: 0, message, finish_reason: finish }],
    usage: {
      prompt_tokens: prompt.length,
      completion_tokens: answer.length,
      total_tokens: prompt.length + answer.length,
    },
  };
}

async function readJSON(request) {
  let text = '';
  for await (const chunk of request) text += chunk;
  return JSON.parse(text);
}

async function route(request) {
  const at = `${request.method} ${request.url}`;
  if (at === 'GET /v1/models') {
    return [200, { object: 'list', data: [{ id: 'tiny', object: 'model', created: 0, owned_by: 'batchd' }] }];
  }
  if (at !== 'POST /v1/chat/completions') {
    return [404, { error: { message: `no such route: ${at}`, type: 'invalid_request_error', param: null, code: null } }];
  }
  try {
    return [200, await complete(await readJSON(request))];
  } catch (fault) {
    return [400, { error: { message: String(fault), type: 'invalid_request_error', param: null, code: null } }];
  }
}

const server = http.createServer(async (request, response) => {
  const [status, body] = await route(request);
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(JSON.stringify(body));
});
server.listen(port, '127.0.0.1', () => console.log(`ready http://127.0.0.1:${server.address().port}/v1`));
process.on('SIGTERM', () => process.exit(0));
