"""Verifies deliveries of webhooks with the official Python SDK and prints what each of them says.

The argument is a JSON file: a list of {"body", "headers", "secret"}."""

import json
import sys

import openai

from driving import client, refused

with open(sys.argv[1], encoding="utf-8") as file:
    deliveries = json.load(file)
for d in deliveries:
    event = client.webhooks.unwrap(d["body"], d["headers"], secret=d["secret"])
    print(event.type, event.data.id)
    forged = d["body"].replace("batch.", "batch_", 1)
    refused(openai.InvalidWebhookSignatureError, lambda: client.webhooks.unwrap(forged, d["headers"], secret=d["secret"]))
