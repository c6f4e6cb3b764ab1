// Runs before the page is painted, so that the theme does not flash.
"use strict";
(() => {
  try {
    const theme = localStorage.getItem("kneeage.theme");
    if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
  } catch {
    // storage is switched off: the system's theme counts
  }
})();
