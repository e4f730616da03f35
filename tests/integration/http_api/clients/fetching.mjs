// Clients of vcon-server that are written for Node, each with its own retries, on Node's fetch.
// The request comes as JSON by standard input; the outcome goes as JSON to standard output.
// A pause is recorded instead of slept.

const HEADER = "x-conserver-api-token";
const waits = [];
const statuses = [];

async function post(url, body, headers, seconds) {
  const signal = AbortSignal.timeout(seconds * 1000);
  const answer = await fetch(url, { method: "POST", headers, body, signal });
  statuses.push(answer.status);
  return { status: answer.status, text: await answer.text() };
}

// Tries again after no answer and after the statuses for which `again` holds.
async function insist(times, pause, again, request) {
  for (let number = 0; ; number += 1) {
    let answer = { status: 0, text: "" };
    try {
      answer = await request();
    } catch (error) {
      statuses.push(0);
    }
    if (answer.status >= 200 && answer.status < 300) return { end: "delivered", ...answer };
    if (number === times || !(answer.status === 0 || again(answer.status))) {
      return { end: "failed", ...answer };
    }
    waits.push(pause);
  }
}

const clients = {
  // The Google Meet adapter: network errors, 429 and 5xx three times more; 15 seconds.
  meet: ({ url, token, list, vcon }) => insist(3, 0.5, (status) => status === 429 || status >= 500,
    () => post(`${url}/vcon?ingress_lists=${encodeURIComponent(list)}`, JSON.stringify(vcon),
      { "Content-Type": "application/json", [HEADER]: token }, 15)),

  // The MCP proxy: the list is a header; /health is asked for at the origin, without the prefix.
  proxy: async ({ url, token, list, vcon }) => {
    const address = new URL(`${url}/api/vcon`);
    const health = await fetch(`${address.origin}/health`);
    const healthy = health.ok && (await health.json()).status === "healthy";
    const sent = await insist(3, 1, (status) => status >= 500, () => post(address,
      JSON.stringify(vcon),
      { "Content-Type": "application/json", [HEADER]: token, ingress_list: list }, 30));
    return { healthy, ...sent };
  },

  // A partner with a key, who is told success by 204 and reads the body of everything else.
  partner: async ({ url, token, list, vcon }) => {
    const target = new URL("/vcon/external-ingress", url);
    target.searchParams.set("ingress_list", list);
    const answer = await fetch(target, { method: "POST", body: JSON.stringify(vcon),
      headers: { "Content-Type": "application/json", [HEADER]: token } });
    if (answer.status === 204) return { end: "delivered", body: await answer.text() };
    return { end: "failed", body: await answer.json() };
  },

  // A body that is streamed has no length: it goes out in chunks.
  stream: ({ url, token, list, vcon }) => insist(0, 0, () => false, async () => {
    const body = new Blob([JSON.stringify(vcon)]).stream();
    const answer = await fetch(`${url}/vcon?ingress_lists=${list}`,
      { method: "POST", body, duplex: "half", headers: { [HEADER]: token } });
    statuses.push(answer.status);
    return { status: answer.status, text: await answer.text() };
  }),
};

let input = "";
for await (const part of process.stdin) input += part;
const request = JSON.parse(input);
const outcome = await clients[request.client](request);
process.stdout.write(JSON.stringify({ ...outcome, waits, statuses }));
