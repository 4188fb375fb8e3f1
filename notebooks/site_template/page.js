// What a page does beyond showing itself. Without it nothing is missing but the search.
"use strict";

const all = selector => [...document.querySelectorAll(selector)];
const make = (tag, about, ...inside) => {
  const one = Object.assign(document.createElement(tag), about);
  one.append(...inside);
  return one;
};

// --- contents: where the reader is ---------------------------------------------------------------------------------

const contents = document.querySelector(".contents details");
if (contents) {
  const links = [...contents.querySelectorAll("a")];
  const named = link => link.getAttribute("href").slice(1); // a browser looks for it as it is written, or else decoded
  const headings = links.map(link => document.getElementById(named(link)) || document.getElementById(decodeURIComponent(named(link))));
  const place = contents.querySelector("summary span");
  const look = () => {
    const line = innerHeight / 3; // the section whose heading is the last above this line
    const k = headings.findLastIndex(heading => heading.getBoundingClientRect().top < line);
    links.forEach((link, j) => j === k ? link.setAttribute("aria-current", "true") : link.removeAttribute("aria-current"));
    place.textContent = k < 0 ? "" : links[k].textContent;
    if (k >= 0) show(links[k]);
  };
  const show = link => { // in a list that is longer than the window, unless the reader moves in it
    const boxes = [link.closest("ol"), link.closest(".contents")], box = boxes.find(one => one.scrollHeight > one.clientHeight + 1);
    if (!contents.open || !box || box.matches(":hover, :focus-within")) return;
    const {top, bottom} = link.getBoundingClientRect(), around = box.getBoundingClientRect();
    if (top < around.top || bottom > around.bottom) box.scrollTop += top - around.top - around.height / 2;
  };
  // all that is above the line counts as seen, else a heading that a jump carries past the screen would tell nobody
  const watch = new IntersectionObserver(look, {rootMargin: "10000000px 0px -66%"});
  headings.forEach(heading => watch.observe(heading));
  look();
  const wide = matchMedia("(min-width: 68rem)");
  contents.addEventListener("toggle", look);
  wide.addEventListener("change", () => { contents.open = wide.matches; });
  contents.addEventListener("click", event => { if (event.target.closest("a") && !wide.matches) contents.open = false; });
}

// --- one switch for all helper code --------------------------------------------------------------------------------

const button = document.getElementById("all-code");
if (button) {
  const show = on => {
    button.setAttribute("aria-pressed", on);
    all("details.helper").forEach(one => { one.open = on; });
  };
  button.hidden = false;
  button.addEventListener("click", () => show(button.getAttribute("aria-pressed") !== "true"));
}

// --- Predict: the reader's answer comes first ----------------------------------------------------------------------

all(".predict").forEach((frame, k) => {
  const answer = frame.querySelector("details.answer"), summary = answer.querySelector("summary");
  const field = make("input", {id: `guess-${k}`, type: "text", autocomplete: "off", maxLength: 200});
  const hint = make("p", {className: "hint"}, "");
  hint.setAttribute("role", "status");
  const form = make("form", {className: "guess"}, make("label", {htmlFor: field.id}, "Your guess"), field,
    make("button", {type: "submit"}, "I have my guess"), hint);
  let guessed = false;
  form.addEventListener("submit", event => {
    event.preventDefault();
    guessed = true;
    const said = field.value.trim();
    form.replaceWith(make("p", {className: "guessed"}, said ? `Your guess: ${said}` : "You have a guess in mind."));
    answer.open = true;
    summary.focus();
  });
  summary.addEventListener("click", event => {
    if (guessed) return;
    event.preventDefault();
    hint.textContent = "First your own: a word, a number, or a guess in your head and the button.";
    field.focus();
  });
  answer.before(form);
});

// --- what scrolls sideways can be reached by keyboard, and shows that it goes on ------------------------------------

const scrolls = all(".scroll, pre, p:has(> math[display=block])");
const fade = one => one.classList.toggle("more", one.scrollLeft + one.clientWidth < one.scrollWidth - 1);
const reach = () => scrolls.forEach(one => {
  if (one.scrollWidth > one.clientWidth + 1) one.tabIndex = 0; else one.removeAttribute("tabindex");
  fade(one);
});
addEventListener("resize", reach);
document.addEventListener("toggle", reach, true);
scrolls.forEach(one => one.addEventListener("scroll", () => fade(one), {passive: true}));
reach();

// --- search --------------------------------------------------------------------------------------------------------

const box = document.querySelector(".search");
if (box) {
  const field = box.querySelector("input"), found = box.querySelector(".found");
  const list = found.querySelector("ol"), status = found.querySelector("p");
  const plain = text => text.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase().replace(/[-_]/g, ""); // GPT2 is GPT-2
  const stem = word => word.replace(/(?<=.{4})(ing|ed|es)$|(?<=..[^aisu])s$/, ""); // folding is fold, spheres are sphere
  const SHOWN = 12;
  let index = null;

  // the words that the index is kept in come with the first use; a script, since a page from the disk may read no other
  const load = () => {
    if (index) return;
    index = [];
    const script = make("script", {src: "search.js"});
    script.addEventListener("load", () => {
      index = window.searchIndex.map(([page, anchor, title, heading, text]) =>
        ({page, anchor, title, heading, text, low: [title, heading, text].map(plain)}));
      search();
    });
    document.head.append(script);
  };

  const snippet = (one, word) => {
    const at = Math.max(0, one.text.toLowerCase().indexOf(word)), from = at < 40 ? 0 : one.text.indexOf(" ", at - 40) + 1;
    return `${from ? "… " : ""}${one.text.slice(from, from + 120)}${one.text.length > from + 120 ? " …" : ""}`;
  };

  const search = () => {
    const words = plain(field.value).split(/\s+/).filter(Boolean).map(stem);
    found.hidden = !words.length;
    if (!words.length) return;
    const ranked = (words, low) => index.map(one => {
      const scores = words.map(word => [8, 4, 1].reduce((sum, weight, k) => sum + (low(one)[k].includes(word) ? weight : 0), 0));
      return {one, score: Math.min(...scores) && scores.reduce((a, b) => a + b)};
    }).filter(hit => hit.score).sort((a, b) => b.score - a.score);
    const close = text => text.replace(/\s+/g, ""); // a name that others write in two words
    let hits = ranked(words, one => one.low);
    if (!hits.length && words.length < 3) hits = ranked([close(words.join(""))], one => one.low.map(close));
    status.textContent = hits.length ? `${hits.length} ${hits.length === 1 ? "place" : "places"}` +
      (hits.length > SHOWN ? `, the first ${SHOWN}:` : "") : "Nothing found.";
    list.replaceChildren(...hits.slice(0, SHOWN).map(({one}) => make("li", {},
      make("a", {href: one.page + (one.anchor ? `#${one.anchor}` : "")}, one.heading || one.title),
      make("span", {}, one.heading ? ` ${one.title}` : ""), make("p", {}, snippet(one, words[0])))));
  };

  box.hidden = false;
  field.addEventListener("focus", load);
  field.addEventListener("input", search);
  box.addEventListener("keydown", event => {
    if (event.key === "Escape") { found.hidden = true; field.focus(); }
  });
  document.addEventListener("click", event => { if (!box.contains(event.target) || event.target.closest("a")) found.hidden = true; });
}
