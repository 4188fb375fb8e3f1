// Brings this page's explorers to life. Each figure holds its state, and this is all of a kernel that they need.
function model(values) {
  const heard = new Map();
  const listeners = event => heard.get(event) ?? heard.set(event, new Set()).get(event);
  return {
    get: name => values[name],
    set: (name, value) => { values[name] = value; for (const listen of listeners(`change:${name}`)) listen(); },
    save_changes() {},
    on: (event, listen) => listeners(event).add(listen),
    off: (event, listen) => listeners(event).delete(listen),
  };
}

for (const figure of document.querySelectorAll("figure.explorer")) {
  const values = JSON.parse(figure.querySelector("script").textContent);
  explorers[figure.dataset.explorer].render({ model: model(values), el: figure });
  figure.classList.add("live");
}
