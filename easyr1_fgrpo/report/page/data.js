// The data of the page: JSON in the file's own script elements, gzip and base64, read when first needed.

// Large data stand behind this script, so that the overview is usable before they are parsed.
const parsed = new Promise((resolve) => {
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", resolve, { once: true });
  else resolve();
});

const inflate = async (id) => {
  await parsed;
  const packed = atob(byId(id).textContent);
  const bytes = new Uint8Array(packed.length);
  for (let i = 0; i < packed.length; i++) bytes[i] = packed.charCodeAt(i);
  return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip")));
};

const cached = new Map();
const once = (id, read) => {
  if (!cached.has(id)) cached.set(id, read());
  return cached.get(id);
};

const packedJson = (id) => once(id, async () => (await inflate(id)).json());
const plainJson = (id) => once(id, async () => (await parsed, JSON.parse(byId(id).textContent)));
// Its SHA-256 stands in the page's content security policy: no other script can enter this way.
const packedScript = (id) =>
  once(id, async () => {
    const script = el("script");
    script.textContent = await (await inflate(id)).text();
    document.head.append(script);
  });
