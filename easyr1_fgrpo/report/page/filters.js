// Which traces are listed: plain loops over all of them, so that 20,000 answer within a blink.

const NUMBERED = ["source", "set", "step"];

/** Adds to every trace what filters compare, and finds the traces of the same question. */
const indexTraces = (traces) => {
  const questions = new Map();
  for (const [position, trace] of traces.entries()) {
    const response = trace.parts.map((part) => part.text).join("");
    const states = trace.parts.map((part) => part.state);
    trace.position = position;
    trace.text = [trace.question, ...trace.choices, trace.item, response].join("\n").toLowerCase();
    trace.ungrounded = states.filter((state) => state === "ungrounded").length;
    trace.grounded = states.filter((state) => state === "grounded").length;
    const key = `${trace.split}\n${trace.item || trace.index}\n${trace.question}`;
    trace.same = questions.get(key) ?? questions.set(key, []).get(key);
    trace.same.push(position);
  }
};

/** The nearest trace of another source on the same question: same set, then nearest step and rollout; null if none. */
const counterpart = (traces, trace, source) => {
  const distance = (other) =>
    (other.set !== trace.set) * 1e9 + Math.abs(other.step - trace.step) * 1e3 + Math.abs(other.session - trace.session);
  let best = null;
  for (const position of trace.same) {
    const other = traces[position];
    if (other.source !== source || other === trace) continue;
    if (best === null || distance(other) < distance(best)) best = other;
  }
  return best;
};

const differ = (trace, other) => {
  const known = trace.conclusion.state !== "unjudged" && other.conclusion.state !== "unjudged";
  return trace.correct !== other.correct || (known && trace.conclusion.state !== other.conclusion.state);
};

const GROUNDING = {
  ungrounded: (trace) => trace.ungrounded > 0,
  grounded: (trace) => trace.grounded > 0 && trace.ungrounded === 0,
  none: (trace) => trace.grounded + trace.ungrounded === 0,
};
const ANSWER = { right: (trace) => trace.correct === true, wrong: (trace) => trace.correct === false };

/** Positions of the traces that pass; `wanted` holds the form's values, "" where everything passes. */
const filtered = (traces, wanted) => {
  const tests = NUMBERED.filter((name) => wanted[name] !== "").map((name) => {
    const number = Number(wanted[name]);
    return (trace) => trace[name] === number;
  });
  if (wanted.answer) tests.push(ANSWER[wanted.answer]);
  if (wanted.conclusion) tests.push((trace) => trace.conclusion.state === wanted.conclusion);
  if (wanted.grounding) tests.push(GROUNDING[wanted.grounding]);
  if (wanted.differs !== "") {
    const source = Number(wanted.differs);
    tests.push((trace) => {
      const other = trace.source === source ? null : counterpart(traces, trace, source);
      return other !== null && differ(trace, other);
    });
  }
  const needle = wanted.search.trim().toLowerCase();
  if (needle) tests.push((trace) => trace.text.includes(needle));
  const positions = [];
  for (const trace of traces) if (tests.every((test) => test(trace))) positions.push(trace.position);
  return positions;
};
