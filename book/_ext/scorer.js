// The search of the site: pages that have the asked words in their title come
// first, and an excerpt quotes the text, not the list of the page's contents.
// (Sphinx puts this behind an expression without a semicolon.)
;(() => {
  const stem = (text) => splitQuery(text.toLowerCase())
    .map((word) => new Stemmer().stemWord(word));
  let asked = [];

  const parse = Search._parseQuery;
  Search._parseQuery = (query) => {
    asked = stem(query);
    return parse(query);
  };

  Scorer.score = ([, title, , , score]) => {
    const known = new Set(stem(title));
    const found = asked.filter((word) => known.has(word));
    return score + Math.round((30 * found.length) / asked.length);
  };

  const toText = Search.htmlToText;
  Search.htmlToText = (html, anchor) => {
    const page = new DOMParser().parseFromString(html, "text/html");
    const article = page.querySelector("article") ?? page.body;
    return toText(`<main role="main">${article.outerHTML}</main>`, anchor);
  };
})();
