// The grid on the page of a charge: puts its parts together, and does what its buttons and keys ask for.
//
//   sheet     the rows, and undo            view      the table that shows them         keyboard  keys and clipboard
//   panel     one price, and a preview      findings  what to look at                   server    what is asked of it

import { copyFrom } from "./copying.js";
import { make } from "./dom.js";
import { Findings } from "./findings.js";
import { Keyboard } from "./keyboard.js";
import { Panel } from "./panel.js";
import { askWhere, put, putFile, readText } from "./pasting.js";
import { converted, perUnit, tsv } from "./prices.js";
import { Server } from "./server.js";
import { ANY, Sheet, matching, sent } from "./sheet.js";
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
const findings = new Findings(part("findings"), sheet, view, { check: (rows) => server.check(rows.map(sent), sheet.currency) });
const panel = new Panel(part("panel"), sheet, view, server, config, { priced });
let saving = false;

function say(message, wrong = false) {
    part("said").textContent = message;
    part("said").classList.toggle("tb-grid-error", wrong);
}

// What was typed into a cell. A plain number is a price at once; anything else the server reads.
async function typed(key, index, text) {
    const row = sheet.rows.find((each) => each.key === key);
    if (!row) return;
    if (index < view.modelColumn) return sheet.update(new Map([[key, { match: matching({ ...row.match, [names[index]]: text }) }]]));
    if (index === view.modelColumn) return priced(key, text, converted(row.price, text));
    const plain = row.model === "per_unit" ? perUnit(text, view.scale) : null;
    if (plain || !text.trim()) return priced(key, row.model, plain);
    await attempt(async () => {
        const read = await server.read(text.replace(/[\t\r\n]+/g, " "), { start: view.priceColumn, models: [row.model], scale: view.scale });
        const line = read.rows[0];
        sheet.update(new Map([[key, line?.price ? { price: line.price, model: line.price.model, text: undefined } : { price: null, text }]]));
        if (line?.price) return;
        say(read.marks[0]?.message ?? `“${text}” has a comma: write a point for decimals, and nothing between thousands.`, true);
        findings.later(0);
    });
}

function priced(key, model, price) {
    sheet.update(new Map([[key, { model, price, text: undefined }]]));
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

const may = (action) => (...given) => (config.mayChange ? action(...given) : undefined);

async function addRows(rows, at) {
    sheet.insert(at, rows);
    await shown;
    await view.goTo(at, 0);
}

async function withPending(wanted) {
    // A row that somebody came here to price: it stands ready, and the keyboard is at its price.
    const match = matching(wanted);
    const there = sheet.rows.findIndex((row) => same(row.match, match));
    if (there < 0) sheet.insert(beforeDefault(), [sheet.made({ match })]);
    await shown;
    await view.goTo(there < 0 ? sheet.rows.findIndex((row) => same(row.match, match)) : there, view.priceColumn);
}

const same = (one, other) => JSON.stringify(Object.entries(one).sort()) === JSON.stringify(Object.entries(other).sort());
const isDefault = ({ match }) => Object.keys(match).length === 0;
function beforeDefault() {
    const at = sheet.rows.findIndex(isDefault);
    return at < 0 ? sheet.rows.length : at;
}

const actions = {
    undo: may(() => sheet.undo()),
    redo: may(() => sheet.redo()),
    add: may(() => {
        const range = view.range();
        return addRows([sheet.made()], range ? range.bottom + 1 : sheet.rows.length);
    }),
    addDefault: may(() => {
        const at = sheet.rows.findIndex(isDefault);
        if (at < 0) return addRows([sheet.made()], sheet.rows.length).then(() => view.goTo(sheet.rows.length - 1, view.priceColumn));
        say(`Row ${at + 1} is the default row.`);
        return view.goTo(at, view.priceColumn);
    }),
    addUsed: may(async () => {
        await findings.look();
        const chosen = await findings.choose();
        if (!chosen?.length) return;
        await addRows(chosen.map((match) => sheet.made({ match })), beforeDefault());
        say(`${chosen.length} rows are added: write their prices.`);
    }),
    duplicate: may(() => withRange(({ top, bottom }) => sheet.duplicate(top, bottom))),
    remove: may(() => withRange(({ top, bottom }) => sheet.remove(top, bottom))),
    move: may(async (by) => withRange(async ({ top, bottom, left, right }) => {
        if (!sheet.move(top, bottom, by)) return;
        await shown;
        view.select(top + by, left, bottom + by, right);
    })),
    fillDown: may(() => withRange(({ top, bottom, left, right }) => {
        if (bottom > top) sheet.fillDown(top, bottom, view.columns.slice(left, right + 1).map((name, index) => named(left + index, name)));
        else say("Choose the cell to copy and those beneath it, then fill down.");
    })),
    clear: may(() => withRange(({ top, bottom, left, right }) => {
        const changes = sheet.rows.slice(top, bottom + 1).map((row) => {
            const cleared = Object.fromEntries(names.slice(left, right + 1).map((name) => [name, ANY]));
            const change = { match: matching({ ...row.match, ...cleared }) };
            if (right === view.priceColumn) Object.assign(change, { price: null, text: undefined });
            return [row.key, change];
        });
        sheet.update(new Map(changes));
    })),
    selectAll: () => { if (sheet.rows.length) view.select(0, 0, sheet.rows.length - 1, view.priceColumn); },
    paste: may((text, scale) => attempt(async () => {
        const range = view.range() ?? { top: 0, left: 0 };
        const models = sheet.rows.slice(range.top).map(({ model }) => model);
        const read = await readText(server, text, { start: range.left, models, scale: scale ?? view.scale });
        if (read) tell(read, () => put(sheet, read, range.top), "pasted");
    })),
    save: may(() => save()),
    copyAll: () => attempt(async () => {
        const lines = [[...names, "price model", "price per unit"]];
        const scale = view.scale;
        view.scale = 0;
        for (const row of sheet.rows) lines.push(view.columns.map((_, index) => view.text(row, index)));
        view.scale = scale;
        await navigator.clipboard.writeText(tsv(lines));
        say(`${sheet.rows.length} rows are copied, with a head; prices are per unit.`);
    }),
    download: () => attempt(async () => {
        const address = URL.createObjectURL(await server.file(sheet.rows.map(sent)));
        make("a", { href: address, download: `${config.code}-${sheet.currency}.csv` }).click();
        setTimeout(() => URL.revokeObjectURL(address), 10_000);
    }),
    upload: may(() => part("file").click()),
    copyList: may(async () => {
        const others = config.currencies.filter((currency) => currency !== sheet.currency && sheet.lists[currency].length);
        if (!others.length) return say("There are no rows in another currency to copy.");
        const done = await copyFrom(sheet, others);
        if (done) say(done);
    }),
};

// The sheet's own name of a column: a dimension may be called “price” or “model”.
function named(index, name) {
    return index === view.priceColumn ? "price" : index === view.modelColumn ? "model" : name;
}

function withRange(action) {
    const range = view.range();
    return range ? action(range) : say("Choose a cell first.");
}

function tell(read, take, what) {
    if (read.errors.length) return say(read.errors.map(({ message }) => message).join(" "), true);
    const count = take();
    const wrong = read.marks.length ? ` ${read.marks.length} prices could not be read: ${read.marks[0].message}` : "";
    say(`${count} ${count === 1 ? "row is" : "rows are"} ${what}.${wrong}`, Boolean(wrong));
}

part("file").addEventListener("change", async ({ target }) => {
    const [file] = target.files;
    if (file) await attempt(async () => {
        const read = await readText(server, await file.text(), { scale: 0 });
        const where = read && !read.errors.length && sheet.rows.length ? await askWhere(file.name, read, sheet) : "replace";
        if (read && where) tell(read, () => putFile(sheet, read, where), "read");
    });
    target.value = "";
});

// Saves every list that was changed, all or nothing. Gives whether there is nothing unsaved now.
async function save() {
    if (saving) return false;
    const changed = sheet.unsaved;
    if (!changed.length) {
        say("Nothing to save.");
        return true;
    }
    saving = true;
    refresh();
    const lists = Object.fromEntries(changed.map((currency) => [currency, sheet.lists[currency]]));
    try {
        const answer = await server.save(changed.map((currency) => ({
            currency, stamp: sheet.stamps[currency], rows: lists[currency].map(sent),
        })));
        sheet.markSaved(lists, answer.stamps);
        findings.refuse([]);
        findings.later(0);
        say("Saved.");
        return true;
    } catch (error) {
        refused(error);
        return false;
    } finally {
        saving = false;
        refresh();
    }
}

function refused(error) {
    const errors = error.errors ?? [];
    const placed = errors.find(({ row }) => row !== null);
    if (placed && placed.currency !== sheet.currency) sheet.choose(placed.currency);
    findings.refuse(errors);
    const more = errors.length > 1 ? ` (${errors.length} cells in all)` : "";
    say(errors.length ? `Not saved: ${(placed ?? errors[0]).message}${more}` : `Not saved: ${error.message}`, true);
    if (placed) findings.goToFirst();
}

// The page as it should look after each step.
let shown = Promise.resolve();
function refresh() {
    const count = sheet.unsaved.length;
    for (const save of root.querySelectorAll("[data-do=save]")) save.disabled = saving || !count;
    part("state").textContent = saving ? "Saving …" : count ? "Unsaved changes" : "All saved";
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
    if (what === "saved") return;
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

// The form's own button saves the prices first: one page, one “Save”.
const form = document.getElementById("charge_form");
let through = false;
form.addEventListener("submit", async (event) => {
    if (through || !sheet.unsaved.length) return;
    event.preventDefault();
    if (!(await save())) return void root.scrollIntoView();
    through = true;
    form.requestSubmit(event.submitter);
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
