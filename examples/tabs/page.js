"use strict";

const $ = (id) => document.getElementById(id);

const stories = {
  new: "A new tab.",
  resumed: "The same tab, back again; it has missed nothing.",
  gap: "The same tab, back again; it may have missed events.",
  forked: "A duplicate of another tab, with an identity of its own.",
};

// Where the id is kept: it lives as long as the tab, over reloads. Whoever has
// it can be this tab, so it is not shown.
const store = {
  get id() { return sessionStorage.getItem("id"); },
  set id(id) { sessionStorage.setItem("id", id); },
  clear() { sessionStorage.removeItem("id"); },
};

// The browser remembers the id for its own reconnects, but a page that is
// loaded again has to say it.
const source = new EventSource(store.id ? "/events?id=" + encodeURIComponent(store.id) : "/events");

let address = "";
let leaving = false; // the server has said that this is the end

// The connection

function connection(text, kind = text) {
  $("connection").dataset.connection = kind;
  $("connection-text").textContent = text;
}

function story(text) { $("story").textContent = text; }

// The first of a connection is the library's; a later one, somebody has sent.
let greeted = false;

source.addEventListener("session", (e) => {
  if (greeted) return;
  greeted = true;
  let hello;
  try {
    hello = JSON.parse(e.data);
  } catch {
    return;
  }
  address = String(hello.address);
  leaving = false;
  paint($("dot"), address);
  $("address").textContent = address;
  $("state").textContent = String(hello.state);
  document.title = address.slice(0, 6) + " · Tabs";
  story(stories[hello.state] ?? "");
  connection("live");
});

source.addEventListener("close", () => { leaving = true; });

source.onerror = () => {
  greeted = false;
  // The EventSource looks after itself: it comes back as the same tab until it
  // is told by a 204 that there is nothing to come back to.
  if (source.readyState === EventSource.CLOSED) {
    closed();
  } else if (source.readyState === EventSource.CONNECTING) {
    connection(leaving ? "leaving" : "reconnecting", "connecting");
    $("state").textContent = "";
  }
};

// closed is the end of the EventSource, which does not say why: the 204 of a
// tab that was closed for good, or something wrong. So the page asks.
async function closed() {
  connection("closed");
  $("state").textContent = "";
  document.body.classList.add("closed");
  $("elsewhere").hidden = true;
  $("others").inert = true; // it does not hear of them any more
  $("over").hidden = false;
  const answer = store.id && await ask("GET", "/sessions", { id: store.id });
  if (answer?.status === 410) {
    connection("closed for good", "closed");
    story("This tab was closed for good. Neither a reload nor a new server brings it back.");
  } else {
    story("The server did not open the stream.");
  }
}

$("restart").onclick = () => {
  store.clear();
  location.reload();
};

// A window that is opened by this one gets a copy of its sessionStorage, as a
// duplicated tab does, and so the same id: the server tells them apart.
$("duplicate").onclick = () => window.open(location.href);

// The live tabs

const rows = new Map(); // by address

source.addEventListener("tabs", (e) => {
  let list;
  try {
    list = JSON.parse(e.data);
    list.tabs.length;
  } catch {
    return;
  }
  const here = new Set(list.tabs);
  for (const [tab, row] of rows) {
    if (!here.has(tab)) {
      row.remove();
      rows.delete(tab);
    }
  }
  // Rows stay where they are, so that nothing moves under a finger.
  let next = $("tabs").firstElementChild;
  for (const tab of list.tabs) {
    const row = rows.get(tab) ?? newRow(tab);
    row.classList.toggle("me", tab === address);
    if (row === next) {
      next = next.nextElementSibling;
    } else {
      $("tabs").insertBefore(row, next);
    }
  }
  $("count").textContent = list.total;
  const more = list.total - list.tabs.length;
  $("more").hidden = !more;
  $("more").textContent = more ? `and ${more} more` : "";
});

function newRow(tab) {
  const row = $("tab").content.cloneNode(true).firstElementChild;
  paint(row.querySelector(".dot"), tab);
  row.querySelector(".address").textContent = tab;
  row.dataset.address = tab;
  for (const button of row.querySelectorAll("button")) {
    button.setAttribute("aria-label", `${button.textContent} ${tab}`);
  }
  rows.set(tab, row);
  return row;
}

// paint gives each tab a colour that one can tell it by.
function paint(dot, tab) {
  let hue = 0;
  for (const c of tab) hue = (hue * 67 + c.codePointAt(0)) % 3600;
  dot.style.setProperty("--hue", hue / 10);
}

$("tabs").onclick = async (e) => {
  const button = e.target.closest("button");
  if (!button) return;
  const id = button.closest("li").dataset.address;
  const what = button.dataset.do;
  tell(await ask("POST", "/" + what, { id }, what === "send" ? $("text").value : undefined));
};

$("composer").onsubmit = async (e) => {
  e.preventDefault();
  tell(await ask("POST", "/broadcast", {}, $("text").value));
};

async function ask(method, path, query, body) {
  try {
    const answer = await fetch(path + "?" + new URLSearchParams(query), { method, body });
    return { status: answer.status, text: (await answer.text()).trim() };
  } catch {
    return { status: 0, text: "The server does not answer." };
  }
}

function tell(answer) {
  $("result").textContent = answer.text;
  $("result").classList.toggle("bad", answer.status !== 200);
}

// The events, newest first

const mostEvents = 100;
const heard = new Set();

function listen(name) {
  if (heard.has(name)) return;
  heard.add(name);
  source.addEventListener(name, (e) => {
    if (!(e instanceof MessageEvent)) return; // the connection's own "open" or "error"
    // Every event carries the id, so it is here even if the first was missed.
    store.id = e.lastEventId;
    show(e.type, e.data);
  });
}

["session", "connect", "message", "tabs", "close"].forEach(listen);

function show(name, data) {
  const events = $("events");
  const row = $("event").content.cloneNode(true).firstElementChild;
  row.dataset.event = name;
  row.querySelector("time").textContent = new Date().toLocaleTimeString([], { hour12: false });
  row.querySelector("b").textContent = name;
  row.querySelector("span").textContent = data;
  // Of the lists of tabs in a row, the last is enough.
  if (name === "tabs" && events.firstElementChild?.dataset.event === "tabs") {
    events.firstElementChild.remove();
  }
  events.prepend(row);
  while (events.childElementCount > mostEvents) events.lastElementChild.remove();
}

$("listen").onsubmit = (e) => {
  e.preventDefault();
  const name = $("name").value.trim();
  if (!name) return;
  listen(name);
  $("name").value = "";
  $("name").placeholder = `Listening for ${[...heard].slice(5).join(", ") || name}`;
};
