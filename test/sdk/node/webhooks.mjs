// Verifies deliveries of webhooks with the official Node SDK and prints what each of them says. The argument is a JSON
// file: a list of {"body", "headers", "secret"}.
import { readFile } from 'node:fs/promises';
import OpenAI from 'openai';
import { client, refused } from './driving.mjs';

for (const { body, headers, secret } of JSON.parse(await readFile(process.argv[2], 'utf8'))) {
  const event = await client.webhooks.unwrap(body, headers, secret);
  console.log(event.type, event.data.id);
  const forged = body.replace('batch.', 'batch_');
  await refused(OpenAI.InvalidWebhookSignatureError, () => client.webhooks.unwrap(forged, headers, secret));
}
