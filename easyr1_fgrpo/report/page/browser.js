// The trace browser: filters, the list, the chosen trace and one next to it.

const startTraces = async () => {
  const { sources, sets, opening: openingSets, traces } = await packedJson("traces-data");
  const images = await plainJson("images");
  const form = byId("filters");
  indexTraces(traces);
  const name = (trace) => `${sources[trace.source]} · ${sets[trace.set]}`;

  const offer = (field, options) => form.elements[field].append(...options.map(([value, text]) => el("option", { value }, text)));
  const steps = [...new Set(traces.map((trace) => trace.step))].sort((a, b) => a - b);
  offer("source", sources.map((text, value) => [value, text]));
  offer("set", sets.map((text, value) => [value, text]));
  offer("step", steps.map((step) => [step, step]));
  offer("differs", sources.map((text, value) => [value, text]));

  // ---------------------------------------------------------------- the chosen trace, and one next to it

  let chosen = null;
  let beside = null; // source that is looked for beside the chosen trace
  const shown = (trace) => traceArticle(trace, images, name(trace));

  const show = (position, other) => {
    chosen = position;
    const trace = position === null ? null : traces[position];
    if (other === undefined) other = trace && beside !== null ? counterpart(traces, trace, beside) : null;
    const same = trace ? trace.same.filter((there) => there !== position) : [];
    const options = same.map((there) => {
      const { step, session } = traces[there];
      return el("option", { value: there, ...(other?.position === there ? { selected: "" } : {}) }, `${name(traces[there])} · step ${step} · rollout ${session}`);
    });
    const none = same.length ? "nothing" : "no other trace of this question";
    byId("beside").replaceChildren(el("option", { value: "" }, none), ...options);
    byId("beside").disabled = same.length === 0;
    byId("details").replaceChildren(...[trace, other].filter(Boolean).map(shown));
  };

  byId("beside").addEventListener("change", (event) => {
    const other = event.target.value === "" ? null : traces[Number(event.target.value)];
    beside = other?.source ?? null;
    show(chosen, other);
  });

  // ---------------------------------------------------------------- the list

  const row = (position) => {
    const trace = traces[position];
    return [
      el("div", { class: "line" }, swatch(trace.source), el("bdi", {}, trace.question), el("span", { class: "note" }, `step ${trace.step}`)),
      el("div", { class: "badges" }, shortBadges(trace)),
    ];
  };
  const list = new VirtualList(byId("list"), row, (position) => show(position));

  const refresh = () => {
    const wanted = Object.fromEntries(new FormData(form));
    if (wanted.differs !== "") beside = Number(wanted.differs);
    const positions = filtered(traces, wanted);
    byId("count").textContent = `${positions.length.toLocaleString("en")} of ${traces.length.toLocaleString("en")} traces`;
    list.show(positions, chosen);
  };
  form.addEventListener("input", refresh);
  form.addEventListener("reset", () => setTimeout(refresh));
  form.addEventListener("submit", (event) => event.preventDefault());
  for (const [field, value] of Object.entries(opening(traces, openingSets))) form.elements[field].value = value;
  refresh();
};
