// A shelf for a page: serving's in time, or `fallback`, and then `missing` says why. Never throws. Served from the page's
// own origin, or behind a proxy that allows it. With `consent: false` the log holds no trace of who saw it.
export async function shelf(url, { userId, sessionId, consent = true, fallback = [], timeoutMs = 200, ...query }) {
  const over = new AbortController();
  const timer = setTimeout(() => over.abort(new Error(`no answer in ${timeoutMs} ms`)), timeoutMs);
  try {
    const [who, id] = userId ? ["users", userId] : ["sessions", sessionId];
    if (!id) throw new Error("userId or sessionId is needed");
    const asked = new URLSearchParams({ ...query, consent });
    if (userId && sessionId) asked.set("session_id", sessionId);
    const answer = await fetch(`${url}/${who}/${encodeURIComponent(id)}/recommendations?${asked}`, { signal: over.signal });
    if (!answer.ok) throw new Error(`serving answered ${answer.status}`);
    const body = await answer.json();
    return { productIds: body.items.map((item) => item.product_id), requestId: body.request_id, missing: null };
  } catch (error) {
    return { productIds: fallback, requestId: null, missing: error.message };
  } finally {
    clearTimeout(timer);
  }
}
