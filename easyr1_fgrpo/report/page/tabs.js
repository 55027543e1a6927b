// Tabs (arrow keys, Home, End). A panel learns by the event "shown" that it is looked at.

const tabs = [...document.querySelectorAll("[role=tab]")];
const panelOf = (tab) => byId(tab.getAttribute("aria-controls"));

const select = (tab) => {
  for (const other of tabs) {
    const chosen = other === tab;
    other.setAttribute("aria-selected", chosen);
    other.tabIndex = chosen ? 0 : -1;
    panelOf(other).hidden = !chosen;
  }
  panelOf(tab).dispatchEvent(new Event("shown"));
};

const chosenByHand = (tab) => {
  history.replaceState(null, "", `#view-${panelOf(tab).id}`);
  select(tab);
};

const startTabs = () => {
  for (const [index, tab] of tabs.entries()) {
    tab.addEventListener("click", () => chosenByHand(tab));
    tab.addEventListener("keydown", (event) => {
      const to = { ArrowRight: index + 1, ArrowLeft: index - 1, Home: 0, End: tabs.length - 1 }[event.key];
      if (to === undefined) return;
      event.preventDefault();
      const next = tabs[(to + tabs.length) % tabs.length];
      next.focus();
      chosenByHand(next);
    });
  }
  select(tabs.find((tab) => `#view-${panelOf(tab).id}` === location.hash) ?? tabs[0]);
};
