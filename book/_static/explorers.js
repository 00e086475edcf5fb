// Repairs of ipywidgets' html-manager on a static page; loads before it.
"use strict";

// It speaks to MathJax 2, and the book has MathJax 3. No label of an
// explorer holds a formula, so there is nothing to typeset.
function answerForMathJax2() {
  window.MathJax = window.MathJax || {};
  window.MathJax.Hub = window.MathJax.Hub || { Queue: () => {} };
}

// Its sliders have neither a name nor words for their value.
function nameSliders() {
  for (const handle of document.querySelectorAll(".ptq-explorer .noUi-handle")) {
    const slider = handle.closest(".widget-slider");
    const label = slider.querySelector(".widget-label");
    const readout = slider.querySelector(".widget-readout");
    setAttribute(handle, "aria-label", label.textContent);
    setAttribute(handle, "aria-valuetext", readout.textContent);
    readout.removeAttribute("contenteditable");
  }
}

// What changes is read aloud: the sentence below the image.
function announce() {
  for (const stack of document.querySelectorAll(".ptq-frames, .ptq-compared"))
    setAttribute(stack, "aria-live", "polite");
}

// Setting what is there already would call the observer for ever.
function setAttribute(element, name, value) {
  if (element.getAttribute(name) !== value) element.setAttribute(name, value);
}

function repair() {
  nameSliders();
  announce();
}

window.addEventListener("load", () => {
  answerForMathJax2();
  const watched = { childList: true, subtree: true, characterData: true };
  for (const cell of document.querySelectorAll("div.cell.tag_explorer"))
    new MutationObserver(repair).observe(cell, watched);
});
