"use strict";
// The stock admin page draws buttons without a name and headings out of order; it redraws, so we look again.
(() => {
  const page = document.querySelector(".lab-admin");
  const name = (element, text) => { if (!element.ariaLabel) element.ariaLabel = text; };
  const sortable = (icon) => {
    if (icon.tabIndex === 0) return;
    icon.tabIndex = 0;
    icon.setAttribute("role", "button");
    name(icon, `Sort by ${icon.parentElement.textContent.trim()}`);
    icon.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" && event.key !== " ") return;
      event.preventDefault();
      icon.click();
    });
  };
  const repair = () => {
    page.querySelectorAll("[data-testid$=-collapse-button]").forEach((button) => {
      name(button, `Details of ${button.dataset.testid.replace(/-collapse-button$/, "")}`);
    });
    page.querySelectorAll(".sort-icon").forEach(sortable);
    page.querySelectorAll("h3, h4, h5").forEach((heading) => { heading.ariaLevel = "2"; });
  };
  new MutationObserver(repair).observe(page, { childList: true, subtree: true });
  repair();
})();
