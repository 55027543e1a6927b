// Search in the config: groups with a match unfold, rows without one go.

const startConfigs = () => {
  const field = byId("config-search");
  if (!field) return;
  const groups = [...document.querySelectorAll("#config details")];
  const rows = groups.map((group) => [...group.querySelectorAll("tbody tr")]);
  const search = () => {
    const needle = field.value.trim().toLowerCase();
    let found = 0;
    for (const [at, group] of groups.entries()) {
      const matches = rows[at].filter((row) => {
        row.hidden = !row.textContent.toLowerCase().includes(needle);
        return !row.hidden;
      });
      group.hidden = matches.length === 0;
      group.open = needle !== "" && matches.length > 0;
      found += matches.length;
    }
    byId("config-count").textContent = `${found} of ${rows.flat().length} keys`;
  };
  field.addEventListener("input", search);
  search();
};
