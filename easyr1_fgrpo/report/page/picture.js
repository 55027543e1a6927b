// A trace's image with its predicted and reference boxes; boxes and sentences light each other up.

const boxShape = (box, kind, name, size) => {
  const [x1, y1, x2, y2] = box;
  const area = { x: x1, y: y1, width: x2 - x1, height: y2 - y1 };
  return svg(
    "g",
    { class: "box", "data-name": name },
    svg("title", {}, `${kind} ${name}: [${box.join(", ")}]`),
    svg("rect", { ...area, class: "halo" }),
    svg("rect", { ...area, class: kind }),
    svg("text", { x: x1 + size * 0.2, y: kind === "predicted" ? y1 + size : y2 - size * 0.25, "font-size": size, "stroke-width": size / 5 }, name),
  );
};

/** Where boxes are drawn when there is no image to tell its size. */
const extent = (boxes) => [8, 8].map((least, axis) => Math.max(least, ...boxes.map((box) => box[axis + 2])));

const picture = (trace, images) => {
  const boxes = [...trace.references, ...trace.boxes];
  const [first, ...others] = trace.images.map((name) => (Object.hasOwn(images, name) ? images[name] : null));
  const [width, height] = first ?? extent(boxes);
  const size = Math.max(width, height) / 20;
  const shapes = [
    ...trace.references.map((box, index) => boxShape(box, "reference", `R${index + 1}`, size)),
    ...trace.boxes.map((box, index) => boxShape(box, "predicted", `P${index + 1}`, size)),
  ];
  const label = `${trace.boxes.length} predicted and ${trace.references.length} reference boxes`;
  const overlay = svg("svg", { viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none", role: "img", "aria-label": label }, ...shapes);
  const missing = trace.images.length ? `image ${trace.images[0]} is not in the run directory` : "this trace names no image";
  const ground = first ? el("img", { src: first[2], alt: "The question's image", width, height }) : el("div", { class: "absent" }, missing);
  if (!first) ground.style.aspectRatio = `${width} / ${height}`;
  const further = others.map((image) =>
    image ? el("img", { src: image[2], alt: "A further image of the question" }) : el("span", { class: "note" }, "a further image is missing"),
  );
  return [el("div", { class: "picture" }, ground, overlay), further.length ? el("div", { class: "more" }, further) : null];
};

/** Lights up the boxes of a sentence and the reference boxes they are matched with; nothing when `part` is null. */
const light = (article, trace, part) => {
  const own = part?.boxes ?? [];
  const matched = trace.pairs.filter(([predicted]) => own.includes(predicted)).map(([, reference]) => `R${reference + 1}`);
  const names = new Set([...own.map((index) => `P${index + 1}`), ...matched]);
  for (const shape of article.querySelectorAll("g.box")) shape.classList.toggle("lit", names.has(shape.dataset.name));
};
