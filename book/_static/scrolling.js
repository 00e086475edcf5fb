// What is wider than the page scrolls by itself: a table, a figure, an
// equation, code or its output. Then it can be reached by the keyboard, has a
// name that says so to those who hear it, and a cue for those who see it.
(() => {
  const BOXES = ".bd-article :is(.pst-scrollable-table-container, .drawing, " +
    "div.math > mjx-container, pre)";
  const cues = new WeakMap();

  const cueOf = (box) => {
    if (!cues.has(box)) {
      const cue = document.createElement("div");
      cue.className = "scroll-cue";
      cue.ariaHidden = "true";
      cue.innerHTML = "<span>scrolls →</span>";
      if (box.matches(".pst-scrollable-table-container")) box.before(cue);
      else (box.closest("div.math") ?? box).after(cue);
      cues.set(box, cue);
      box.addEventListener("scroll", () => follow(box));
    }
    return cues.get(box);
  };

  const nameOf = (box) => {
    const equation = box.closest("div.math");
    if (box.matches("pre"))
      return box.closest(".cell_output") ? "Output" : "Code";
    const number = (equation ?? box.closest("figure") ?? box)
      .querySelector(".eqno, .caption-number")?.firstChild.textContent;
    const kind = equation ? "Equation" : box.matches(".drawing") ? "" : "Table";
    return equation || !number ? `${kind} ${number ?? ""}`.trim() : number.trim();
  };

  const beyond = (box) => box.scrollWidth - box.clientWidth;

  const follow = (box) => {
    const more = beyond(box) - box.scrollLeft > 1;
    const caption = box.querySelector("caption")?.offsetHeight ?? 0;
    box.style.setProperty("--caption", `${caption}px`);
    box.toggleAttribute("data-more", more);
    if (more || cues.has(box)) cueOf(box).hidden = !more;
  };

  const name = (box) => {
    // Measured as it is by itself: a wide table is laid out more closely.
    box.removeAttribute("data-wide");
    box.toggleAttribute("data-wide", beyond(box) > 1);
    follow(box);
    if (beyond(box) > 1) {
      box.setAttribute("role", "region");
      box.setAttribute("aria-label", `${nameOf(box)}, scrolls sideways`);
      box.tabIndex = 0;
    } else if (box.role === "region") {
      ["role", "aria-label", "tabindex"].forEach((attribute) =>
        box.removeAttribute(attribute));
    }
  };

  const nameAll = () => document.querySelectorAll(BOXES).forEach(name);
  nameAll();
  window.addEventListener("resize", nameAll);
  // What is folded has no size before it is opened.
  const sizes = new ResizeObserver((found) => requestAnimationFrame(() =>
    found.forEach((entry) => name(entry.target))));
  document.querySelectorAll(BOXES).forEach((box) => sizes.observe(box));
  // Equations are there when MathJax has set them.
  window.addEventListener("load", () =>
    window.MathJax?.startup?.promise?.then(nameAll));
})();
