// On paper a page is light, and nothing is folded away; afterwards all is as it was.
(() => {
  let folded = [];
  let theme;
  addEventListener("beforeprint", () => {
    folded = [...document.querySelectorAll("details:not([open])")];
    folded.forEach((fold) => (fold.open = true));
    theme = document.documentElement.dataset.theme;
    document.documentElement.dataset.theme = "light";
  });
  addEventListener("afterprint", () => {
    folded.forEach((fold) => (fold.open = false));
    document.documentElement.dataset.theme = theme;
  });
})();
