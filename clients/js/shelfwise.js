// What a page asks serving, answered in time or not at all: then `missing` says why. Nothing here ever throws. `url` is on
// the page's own origin: the shop's backend passes the questions on, with the shopper's id as its own login knows it.

// A shelf: serving's, or `fallback`. With `consent: false` the log holds no trace of who saw it.
export async function shelf(url, { userId, sessionId, consent = true, fallback = [], timeoutMs = 200, ...query }) {
  try {
    const [who, id] = userId ? ["users", userId] : ["sessions", sessionId];
    if (!id) throw new Error("userId or sessionId is needed");
    const given = Object.entries({ ...query, consent }).filter(([, value]) => value != null);
    const asked = new URLSearchParams(given);
    if (userId && sessionId) asked.set("session_id", sessionId);
    const body = await answer(`${url}/${who}/${encodeURIComponent(id)}/recommendations?${asked}`, {}, timeoutMs);
    return { productIds: body.items.map((item) => item.product_id), requestId: body.request_id, missing: null };
  } catch (error) {
    return { productIds: fallback, requestId: null, missing: error.message };
  }
}

// Prices that checkout honours: give it `quotes` as they are. Without a quote they are none, and checkout charges the
// shop's prices. `lines`: [{product_id, quantity}]. Ask again under the same key for one that came too late.
export async function quote(url, { idempotencyKey, lines, channel = null, zone = null, timeoutMs = 1000 }) {
  try {
    const asked = JSON.stringify({ idempotency_key: idempotencyKey, lines, channel, zone });
    const init = { method: "POST", headers: { "Content-Type": "application/json" }, body: asked };
    const body = await answer(`${url}/quotes`, init, timeoutMs);
    return { quotes: body.lines.map((line) => line.quote), quote: body, missing: null };
  } catch (error) {
    return { quotes: [], quote: null, missing: error.message };
  }
}

// The JSON of an answer that came in time.
async function answer(url, init, timeoutMs) {
  const over = new AbortController();
  const timer = setTimeout(() => over.abort(new Error(`no answer in ${timeoutMs} ms`)), timeoutMs);
  try {
    const said = await fetch(url, { ...init, signal: over.signal });
    if (!said.ok) throw new Error(`serving answered ${said.status}`);
    return await said.json();
  } finally {
    clearTimeout(timer);
  }
}
