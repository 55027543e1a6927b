// What the trace browser opens on: held-out questions after RL, right answers that their own trace does not entail.

const WORTH_SEEING = { answer: "right", conclusion: "inconsistent" };

/** Values for the filters: the first of these sets with such a trace, else the first set; nothing without a set. */
const opening = (traces, sets) => {
  const anything = { source: "", set: "", step: "", answer: "", conclusion: "", grounding: "", differs: "", search: "" };
  for (const set of sets) {
    const wanted = { ...WORTH_SEEING, set: String(set) };
    if (filtered(traces, { ...anything, ...wanted }).length > 0) return wanted;
  }
  return sets.length > 0 ? { set: String(sets[0]) } : {};
};
