// Charts: the figures come ready from Python; here they get the theme's colours and are drawn once they come into view.

const colour = (name) => {
  const probe = el("span");
  probe.style.color = `var(--${name})`;
  document.body.append(probe);
  const found = getComputedStyle(probe).color;
  probe.remove();
  return found;
};

const themed = (figure, steps) => {
  const text = colour("text"), line = colour("line");
  const axis = { gridcolor: line, linecolor: line, zerolinecolor: line, automargin: true };
  const paint = (trace) => {
    const ink = colour(trace.ink);
    const whiskers = trace.error_y ? { error_y: { ...trace.error_y, color: ink } } : {};
    const sideways = trace.error_x ? { error_x: { ...trace.error_x, color: ink } } : {};
    return { showlegend: false, ...trace, line: { ...trace.line, color: ink }, marker: { ...trace.marker, color: ink }, ...whiskers, ...sideways };
  };
  const layout = {
    ...figure.layout,
    font: { color: text, family: "system-ui, sans-serif", size: 12 },
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    margin: { l: 52, r: 12, t: 12, b: 40 },
    showlegend: figure.layout.showlegend ?? false, // the page's head names the colours
    legend: { orientation: "h", x: 0, y: 1, yanchor: "bottom", itemclick: false, itemdoubleclick: false },
    shapes: (figure.layout.shapes ?? []).map((shape) => ({ ...shape, fillcolor: colour(shape.ink) })),
    hoverlabel: { bgcolor: colour("raised"), font: { color: text } },
    xaxis: { ...axis, ...figure.layout.xaxis },
    yaxis: { ...axis, ...figure.layout.yaxis },
  };
  return [figure.data.flatMap((curve) => withMean(curve, steps)).map(paint), layout];
};

const draw = async (chart) => {
  const figures = await packedJson("figures");
  await packedScript("plotly");
  const steps = Number(byId("smoothing")?.value ?? 1);
  await Plotly.react(chart, ...themed(figures[chart.dataset.figure], steps), { displayModeBar: false, responsive: true });
  chart.dataset.drawn = "";
};

// Milliseconds. Reading plotly holds everything up, so the tables and tabs answer before it starts.
const FIRST_TABLES = 150;

const startCharts = () => {
  const inView = new IntersectionObserver(
    (changes) => {
      for (const { target, isIntersecting } of changes) {
        if (!isIntersecting) continue;
        parsed.then(() => setTimeout(() => {
          if (!target.checkVisibility()) return; // another tab is looked at; it is observed until it is drawn
          inView.unobserve(target);
          draw(target);
        }, FIRST_TABLES));
      }
    },
    { rootMargin: "300px" },
  );
  const charts = [...document.querySelectorAll(".chart")];
  for (const chart of charts) inView.observe(chart);
  const redraw = () => charts.filter((chart) => "drawn" in chart.dataset).forEach(draw);
  document.addEventListener("themechange", redraw);
  byId("smoothing")?.addEventListener("change", redraw);
};
