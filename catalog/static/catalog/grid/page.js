// The grid on the page of a charge: puts its parts together.
//
//   sheet     the rows, and undo            view      the table that shows them         keyboard  keys and clipboard
//   panel     one price, and a preview      findings  what to look at                   server    what is asked of it
//   reading   texts that are to be prices   saving    rows, and the page's fields       actions   what buttons and keys do

import { actionsOf, beforeDefault } from "./actions.js";
import { make } from "./dom.js";
import { Findings } from "./findings.js";
import { Keyboard } from "./keyboard.js";
import { Panel } from "./panel.js";
import { perUnit } from "./prices.js";
import { Reader } from "./reading.js";
import { Saving } from "./saving.js";
import { Server } from "./server.js";
import { ANY, Sheet, matching, priced, remodelled, sent, unread } from "./sheet.js";
import { View } from "./view.js";

const root = document.getElementById("charge-grid");
const config = JSON.parse(document.getElementById("charge-grid-config").textContent);
const part = (name) => root.querySelector(`[data-part="${name}"]`);
const SCALE_KEPT = "tallybook-price-scale";

const server = new Server(config.urls, document.querySelector("[name=csrfmiddlewaretoken]").value);
const names = config.dimensions.map(({ name }) => name);
const sheet = new Sheet(names, config.currencies);
root.hidden = false;
const view = new View(part("table"), sheet, config, { typed, chosen: () => panel?.show() });
const reader = new Reader(sheet, server, { told: (message, about) => say(message, true, about) });
const findings = new Findings(part("findings"), sheet, view, { check: (rows, soFar) => server.check(rows.map(sent), sheet.currency, soFar) });
const panel = new Panel(part("panel"), sheet, view, server, config, {
    priced: (key, model, price) => change(key, priced(model, price)),
    remodelled: (row, model) => change(row.key, remodelled(row, model)),
});
const form = document.getElementById("charge_form");
const saving = new Saving(form, sheet, reader, server, findings, { say, refresh, bring: () => root.scrollIntoView({ block: "nearest" }) });
let shown = Promise.resolve();
const actions = actionsOf({ config, sheet, view, server, findings, reader, saving, part, say, attempt, shown: () => shown });

let about = null;

// about: {currency, row, index}, what the message is about: with the next change of it, what was said is over.
function say(message, wrong = false, of = null) {
    about = of;
    part("said").textContent = message;
    part("said").classList.toggle("tb-grid-error", wrong);
}

// Does what may be refused, and says so.
async function attempt(action) {
    try {
        return await action();
    } catch (error) {
        say(error.errors ? error.message : `That did not work: ${error.message}`, true);
        return null;
    }
}

const change = (key, what) => sheet.update(new Map([[key, what]]));

// What was typed into a cell stands in its row at once. A plain number is a price; anything else the server reads.
function typed(key, index, text) {
    const row = sheet.rows.find((each) => each.key === key);
    if (!row) return;
    if (index < view.modelColumn) return change(key, { match: matching({ ...row.match, [names[index]]: text }) });
    if (index === view.modelColumn) return change(key, remodelled(row, text));
    const plain = row.model === "per_unit" ? perUnit(text, view.scale) : null;
    const line = text.replace(/[\t\r\n]+/g, " ");
    change(key, plain || !text.trim() ? priced(row.model, plain) : unread(line, { scale: view.scale }));
}

async function withPending(wanted) {
    // A row that somebody came here to price: it stands ready, and the keyboard is at its price.
    const match = matching(wanted);
    const there = sheet.rows.findIndex((row) => same(row.match, match));
    if (there < 0) sheet.insert(beforeDefault(sheet), [sheet.made({ match })]);
    await shown;
    await view.goTo(there < 0 ? sheet.rows.findIndex((row) => same(row.match, match)) : there, view.priceColumn);
}

const same = (one, other) => JSON.stringify(Object.entries(one).sort()) === JSON.stringify(Object.entries(other).sort());

// The page as it should look after each step.
function refresh() {
    const count = sheet.unsaved.length;
    for (const save of root.querySelectorAll("[data-do=save]")) save.disabled = saving.running || !count;
    part("state").textContent = saving.running ? "Saving …" : count ? "Unsaved changes" : "All saved";
    part("state").classList.toggle("tb-grid-unsaved", Boolean(count));
    const set = (name, off) => { const each = root.querySelector(`[data-do=${name}]`); if (each) each.disabled = off; };
    set("undo", !sheet.canUndo);
    set("redo", !sheet.canRedo);
    part("count").textContent = `${sheet.rows.length.toLocaleString("en")} ${sheet.rows.length === 1 ? "row" : "rows"}`;
    for (const tab of root.querySelectorAll("[data-currency]")) tab.setAttribute("aria-selected", tab.dataset.currency === sheet.currency);
    for (const each of root.querySelectorAll("[data-scale]")) each.setAttribute("aria-pressed", Number(each.dataset.scale) === view.scale);
}

function setScale(scale) {
    view.setScale(scale, config.unit, config.inCredits ? "credits" : sheet.currency);
    try { localStorage.setItem(SCALE_KEPT, scale); } catch { /* not kept, then */ }
    refresh();
    panel.show();
}

sheet.onChange((what) => {
    refresh();
    if (about && sheet.lists[about.currency][about.index] !== about.row) say("");
    if (what === "saved") return;
    reader.look();
    shown = view.show().then(() => panel.show());
    if (what === "choose") view.setScale(view.scale, config.unit, config.inCredits ? "credits" : sheet.currency);
    findings.settle();
    findings.later(what === "change" ? undefined : 0);
});

root.addEventListener("click", ({ target }) => {
    const pressed = target.closest("[data-do], [data-currency], [data-scale]");
    if (!pressed) return;
    if (pressed.dataset.currency) sheet.choose(pressed.dataset.currency);
    else if (pressed.dataset.scale) setScale(Number(pressed.dataset.scale));
    else if (pressed.dataset.do === "up" || pressed.dataset.do === "down") actions.move(pressed.dataset.do === "up" ? -1 : 1);
    else actions[pressed.dataset.do]();
});

addEventListener("beforeunload", (event) => { if (sheet.unsaved.length) event.preventDefault(); });

async function begin() {
    await view.ready;
    let scale = "0";
    try { scale = localStorage.getItem(SCALE_KEPT) ?? "0"; } catch { /* as it is by default */ }
    const { lists, values } = await server.rows();
    for (const [index, name] of names.entries()) {
        const options = [ANY, ...(values[name] ?? [])].map((value) => make("option", { value }));
        root.append(make("datalist", { id: `tb-grid-values-${index}` }, ...options));
    }
    sheet.load(lists.filter(({ currency }) => config.currencies.includes(currency)));
    await shown;
    setScale([3, 6].includes(Number(scale)) ? Number(scale) : 0);
    new Keyboard(view, actions);
    const wanted = Object.fromEntries([...new URLSearchParams(location.search)]
        .filter(([name]) => name.startsWith("dimension_")).map(([name, value]) => [name.slice("dimension_".length), value])
        .filter(([name]) => names.includes(name)));
    if (Object.keys(wanted).length && config.mayChange) await withPending(wanted);
    root.dataset.ready = "";
}

attempt(begin);
