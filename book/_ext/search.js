// Sphinx puts this before its own search: how results are ranked, and what their excerpts are from.

var Scorer = {
  objNameMatch: 11,
  objPartialMatch: 6,
  objPrio: { 0: 15, 1: 5, 2: -5 },
  objPrioDefault: 0,
  title: 15,
  partialTitle: 7,
  term: 5,
  partialTerm: 2,
  // A chapter before the pages that look things up, most of all one that is named after the words.
  score: ([page, title, anchor, , score]) => {
    const words = (new URLSearchParams(location.search).get("q") || "").trim().toLowerCase();
    const named = words && title.toLowerCase().includes(words) ? 50 : 0;
    // An entry of the index, such as a term of the glossary, has up to 100.
    return score + (page.startsWith("notebooks/") ? named + (anchor ? 100 : 120) : 0);
  },
};

// The text of a page, without the table of contents that the theme keeps for printing, and without code.
document.addEventListener("DOMContentLoaded", () => {
  Search.htmlToText = (html, anchor) => {
    const page = new DOMParser().parseFromString(html, "text/html");
    const article = page.querySelector("article") || page.body;
    const part = (anchor && article.querySelector(anchor)) || article;
    const prose = [...part.querySelectorAll("p:not(.reading-time)")].map((p) => p.textContent).join(" ");
    return prose || part.textContent;
  };
});
