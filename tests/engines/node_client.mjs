// Used by test_sdk.py: node client.mjs BASE_URL MODEL [CAN,...]; prints one line of JSON.
import OpenAI from "openai";

const [baseURL, model, said = ""] = process.argv.slice(2);
const can = new Set(said.split(","));
const client = new OpenAI({ baseURL, apiKey: "none", maxRetries: 0, timeout: 60000 });
const messages = [{ role: "user", content: "say something of lanterns" }];
const seen = {};

if (can.has("embeddings")) {
  const answer = await client.embeddings.create({ model, input: ["copper river", "lantern"], encoding_format: "float" });
  seen.embeddings = answer.data.map((each) => each.embedding.length);
  seen.prompt_tokens = answer.usage.prompt_tokens;
} else {
  const whole = await client.chat.completions.create({ model, messages, max_tokens: 8 });
  seen.whole = whole.choices[0].message.content.length > 0;

  let text = "";
  const stream = await client.chat.completions.create({
    model, messages, max_tokens: 8, stream: true, stream_options: { include_usage: true },
  });
  for await (const chunk of stream) {
    text += chunk.choices[0]?.delta?.content ?? "";
    if (chunk.usage) seen.usage = chunk.usage.completion_tokens;
  }
  seen.streamed = text.length > 0;

  const completion = await client.completions.create({ model, prompt: "copper", max_tokens: 4 });
  seen.completion = completion.choices[0].text.length > 0;

  seen.models = (await client.models.list()).data.length > 0;
  try {
    await client.chat.completions.create({ model: "nobody", messages });
  } catch (error) {
    seen.error = error.code;
  }
}

if (can.has("choices")) {
  const finished = new Set();
  const both = await client.chat.completions.create({ model, messages, max_tokens: 8, n: 2, stream: true });
  for await (const chunk of both) {
    for (const choice of chunk.choices) if (choice.finish_reason) finished.add(choice.index);
  }
  seen.choices = [...finished].sort();
}

if (can.has("logprobs")) {
  const answer = await client.chat.completions.create({ model, messages, max_tokens: 4, logprobs: true, top_logprobs: 2 });
  seen.logprobs = answer.choices[0].logprobs.content.length;
}

if (can.has("tools")) {
  const parameters = { type: "object", properties: { n: { type: "integer" } }, required: ["n"] };
  const calls = await client.chat.completions.create({
    model, messages, max_tokens: 64, stream: true,
    tools: [{ type: "function", function: { name: "look_up", parameters } }],
    tool_choice: { type: "function", function: { name: "look_up" } },
  });
  for await (const chunk of calls) {
    seen.tool ??= chunk.choices[0]?.delta?.tool_calls?.[0]?.function?.name;
  }
}
console.log(JSON.stringify(seen));
