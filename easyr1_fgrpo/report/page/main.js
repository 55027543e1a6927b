// Puts the page together: theme, tabs, charts, and the trace browser once it is looked at.

startTheme();
startCharts();
if (byId("list")) {
  let started = null;
  byId("traces").addEventListener("shown", () => (started ??= startTraces().catch((error) => {
    byId("count").textContent = `The traces cannot be shown: ${error.message}`;
    throw error;
  })));
}
startTabs();
startAnchors();
startConfigs();
document.documentElement.dataset.ready = "true";
