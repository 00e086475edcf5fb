// What folds is named by its title; the theme calls all of them the same.
window.addEventListener("load", () => {
  for (const button of document.querySelectorAll(".toggle-button"))
    button.setAttribute("aria-label", button.parentElement.textContent.trim());
});
