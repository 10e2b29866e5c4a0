// Used by test_sdk.py: node client.mjs BASE_URL MODEL; prints one line of JSON.
import OpenAI from "openai";

const [baseURL, model] = process.argv.slice(2);
const client = new OpenAI({ baseURL, apiKey: "none", maxRetries: 0, timeout: 60000 });
const messages = [{ role: "user", content: "say something of lanterns" }];
const seen = {};

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
console.log(JSON.stringify(seen));
