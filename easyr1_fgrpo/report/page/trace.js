// One trace in full: its question, picture, coloured response, conclusion, matched boxes and signals.

const STATES = {
  grounded: ["✓", "grounded"],
  ungrounded: ["✗", "ungrounded"],
  skipped: ["–", "skipped"],
  unjudged: ["?", "not judged"],
  consistent: ["✓", "consistent"],
  inconsistent: ["✗", "inconsistent"],
  right: ["✓", "right answer"],
  wrong: ["✗", "wrong answer"],
  plain: ["", ""],
};

const badge = (state, text = STATES[state][1]) =>
  el("span", { class: "badge", "data-state": state }, `${STATES[state][0]} ${text}`.trim());

const conclusionBadge = (trace) =>
  badge(trace.conclusion.state, trace.conclusion.state === "unjudged" ? "consistency not judged" : undefined);

const badges = (trace) => {
  const answer = trace.correct === null ? badge("unjudged", "answer not measured") : badge(trace.correct ? "right" : "wrong");
  const sentences = trace.grounded + trace.ungrounded;
  return [
    answer,
    conclusionBadge(trace),
    trace.ungrounded ? badge("ungrounded", `${trace.ungrounded} ungrounded`) : sentences ? badge("grounded") : badge("unjudged", "no judged sentence"),
    trace.truncated ? badge("plain", "cut at the length limit") : null,
  ];
};

/** In a list's narrow row: what is wrong or missing, in a word each. */
const shortBadges = (trace) => [
  trace.correct === null ? badge("unjudged", "answer") : badge(trace.correct ? "right" : "wrong", trace.correct ? "right" : "wrong"),
  trace.conclusion.state === "unjudged" ? badge("unjudged", "consistency") : badge(trace.conclusion.state),
  trace.ungrounded ? badge("ungrounded", `${trace.ungrounded} ungrounded`) : trace.grounded ? badge("grounded") : badge("unjudged", "sentences"),
  trace.truncated ? badge("plain", "cut") : null,
];

const verdictText = ({ word, note, judge }) =>
  [word, note.trim() === word ? "" : note, judge && `(judge: ${judge})`].filter(Boolean).join(" – ");

const sentence = (article, trace, part, word) => {
  const [symbol, state] = STATES[part.state];
  const names = part.boxes.map((box) => `P${box + 1}`).join(", ");
  const enter = () => {
    light(article(), trace, part);
    word.textContent = `${state}${names && `, ${names}`}: ${verdictText(part)}`;
  };
  const leave = () => light(article(), trace, null);
  const attributes = { class: "sentence", "data-state": part.state, "data-symbol": symbol, tabindex: 0, "aria-description": state };
  return el("span", { ...attributes, mouseenter: enter, focus: enter, mouseleave: leave, blur: leave }, part.text);
};

const table = (heads, rows) =>
  el(
    "div",
    { class: "scroll" },
    el("table", {}, el("thead", {}, el("tr", {}, heads.map((head) => el("th", { scope: "col" }, head)))),
      el("tbody", {}, rows.map((cells) => el("tr", {}, cells.map((cell) => el("td", {}, cell)))))),
  );

const pairsTable = (trace) => {
  if (!trace.references.length) return el("p", { class: "note" }, "This question has no reference boxes.");
  if (!trace.pairs.length) return el("p", { class: "note" }, `No match: ${trace.n_boxes} predicted, ${trace.references.length} reference boxes.`);
  return table(["predicted", "reference", "CIoU"], trace.pairs.map(([p, r, score]) => [`P${p + 1}`, `R${r + 1}`, score.toFixed(3)]));
};

const signalRows = (trace) =>
  Object.entries(trace.signals).map(([name, value]) => [name, typeof value === "number" ? String(value) : `none (${value.replaceAll("_", " ")})`]);

const letter = (index) => (index < 26 ? `${String.fromCharCode(65 + index)}. ` : "");

const traceArticle = (trace, images, title) => {
  const word = el("p", { class: "word text", "aria-live": "polite" }, "Point at a sentence, or reach it with Tab: its boxes light up and its verdict is shown here.");
  const response = el("div", { class: "response text", dir: "auto" });
  let article = null;
  for (const part of trace.parts) response.append(part.state ? sentence(() => article, trace, part, word) : part.text);
  const origin = [trace.item && `item ${trace.item}`, `${trace.split} ${trace.index}`, `step ${trace.step}`, `rollout ${trace.session}`];
  article = el(
    "article",
    { "aria-label": title, "data-position": trace.position },
    el("h2", {}, swatch(trace.source), el("bdi", {}, title)),
    el("p", { class: "note" }, origin.filter(Boolean).join(" · ")),
    el("div", { class: "badges" }, badges(trace)),
    el("p", { class: "text", dir: "auto" }, trace.question),
    trace.choices.length ? el("p", { class: "text note", dir: "auto" }, trace.choices.map((choice, at) => letter(at) + choice).join("\n")) : null,
    picture(trace, images),
    el("p", { class: "key" }, el("span", {}, el("i"), "predicted"), el("span", {}, el("i", { class: "dashed" }), "reference")),
    response,
    word,
    el("dl", {},
      el("dt", {}, "answer"), el("dd", { class: "text" }, trace.answer ?? "none"),
      el("dt", {}, "right answer"), el("dd", { class: "text" }, trace.truth),
      el("dt", {}, "conclusion"), el("dd", { class: "conclusion text" }, conclusionBadge(trace), ` ${verdictText(trace.conclusion)}`)),
    el("details", { open: "" }, el("summary", {}, "Matched boxes"), pairsTable(trace)),
    el("details", {}, el("summary", {}, "Signals"), table(["signal", "value"], signalRows(trace))),
  );
  for (const shape of article.querySelectorAll("g.box")) {
    const number = shape.dataset.name.startsWith("P") ? Number(shape.dataset.name.slice(1)) - 1 : -1;
    const parts = trace.parts.filter((part) => part.state);
    const at = parts.findIndex((part) => part.boxes.includes(number));
    const own = at < 0 ? null : response.querySelectorAll(".sentence")[at];
    shape.addEventListener("mouseenter", () => own?.classList.add("lit"));
    shape.addEventListener("mouseleave", () => own?.classList.remove("lit"));
  }
  return article;
};

const swatch = (source) => {
  const mark = el("span", { class: "swatch" });
  mark.style.setProperty("--colour", `var(--run-${source % 8})`);
  return mark;
};
