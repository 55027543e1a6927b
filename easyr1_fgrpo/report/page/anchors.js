// Links to a section, also from outside: its tab is shown and it unfolds.

const goTo = (hash) => {
  const target = hash.length > 1 ? byId(decodeURIComponent(hash.slice(1))) : null;
  const panel = target?.closest("[role=tabpanel]");
  if (!panel || panel === target) return;
  select(tabs.find((tab) => panelOf(tab) === panel));
  if (target.tagName === "DETAILS") target.open = true;
  target.scrollIntoView();
};

const startAnchors = () => {
  for (const link of document.querySelectorAll("nav.anchors a")) {
    link.addEventListener("click", () => goTo(link.hash)); // also where the address has this hash already
  }
  addEventListener("hashchange", () => goTo(location.hash));
  goTo(location.hash);
};
