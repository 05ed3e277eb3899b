// The order of what a search finds, instead of Sphinx's own: a page that speaks of the word stands above names of the
// Python API that hold it. All values but `score` are those of Sphinx.
const BELOW_PAGES = 1000;
var Scorer = {
  score: ([, , , , score, , kind]) => (kind === "object" || kind === "index" ? score - BELOW_PAGES : score),
  objNameMatch: 11,
  objPartialMatch: 6,
  objPrio: { 0: 15, 1: 5, 2: -5 },
  objPrioDefault: 0,
  title: 15,
  partialTitle: 7,
  term: 5,
  partialTerm: 2,
};
