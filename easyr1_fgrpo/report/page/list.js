// A list box that only holds the rows in view, however long it is; arrow keys, Page Up and Down, Home and End.

const ROW = 58;

class VirtualList {
  constructor(box, row, chosen) {
    Object.assign(this, { box, row, chosen, positions: [], current: -1 });
    this.space = el("div", { role: "presentation" });
    box.append(this.space);
    box.addEventListener("scroll", () => this.render());
    box.addEventListener("keydown", (event) => this.key(event));
    box.addEventListener("click", (event) => {
      const option = event.target.closest("[role=option]");
      if (option) this.choose(Number(option.dataset.at));
    });
    new ResizeObserver(() => this.render()).observe(box);
  }

  show(positions, keep) {
    this.positions = positions;
    this.space.style.height = `${positions.length * ROW}px`;
    this.choose(Math.max(0, positions.indexOf(keep)));
  }

  choose(at) {
    this.current = this.positions.length ? Math.min(Math.max(at, 0), this.positions.length - 1) : -1;
    const top = this.current * ROW;
    if (top < this.box.scrollTop) this.box.scrollTop = top;
    if (top + ROW > this.box.scrollTop + this.box.clientHeight) this.box.scrollTop = top + ROW - this.box.clientHeight;
    this.render();
    this.chosen(this.current < 0 ? null : this.positions[this.current]);
  }

  key(event) {
    const page = Math.max(1, Math.floor(this.box.clientHeight / ROW) - 1);
    const to = {
      ArrowDown: this.current + 1,
      ArrowUp: this.current - 1,
      PageDown: this.current + page,
      PageUp: this.current - page,
      Home: 0,
      End: this.positions.length - 1,
    }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    this.choose(to);
  }

  render() {
    const first = Math.max(0, Math.floor(this.box.scrollTop / ROW) - 4);
    const last = Math.min(this.positions.length, first + Math.ceil(this.box.clientHeight / ROW) + 8);
    const options = [];
    for (let at = first; at < last; at++) {
      const option = el("div", {
        role: "option",
        id: `option-${at}`,
        "data-at": at,
        "aria-selected": at === this.current,
        "aria-setsize": this.positions.length,
        "aria-posinset": at + 1,
      });
      option.style.top = `${at * ROW}px`;
      option.append(...this.row(this.positions[at]));
      options.push(option);
    }
    this.space.replaceChildren(...options);
    if (this.current >= first && this.current < last) this.box.setAttribute("aria-activedescendant", `option-${this.current}`);
    else this.box.removeAttribute("aria-activedescendant");
  }
}
