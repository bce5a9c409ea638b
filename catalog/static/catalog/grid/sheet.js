// The rows of a charge in every currency, as they are being edited. A state is never changed: each step makes a new one
// of the rows that stay and the rows that are new, so undo is going back to the state before.
//
// A row: {key, match: {dimension: value}, model, price, text}. A dimension that match leaves out may be anything. price:
// as the server says it, null when it is missing. text: what was typed when it could not be read as a price.

import { converted, multiplied } from "./prices.js";

export const ANY = "*";
const STEPS_KEPT = 300;

export class Sheet {
    #last = 0;
    #listeners = [];
    #past = [];
    #future = [];

    constructor(names, currencies) {
        this.names = names;
        this.currency = currencies[0];
        this.lists = Object.fromEntries(currencies.map((currency) => [currency, []]));
        this.saved = this.lists;
        this.stamps = {};
    }

    load(lists) {
        this.lists = Object.fromEntries(lists.map(({ currency, rows }) => [currency, rows.map((row) => this.made(row))]));
        this.stamps = Object.fromEntries(lists.map(({ currency, stamp }) => [currency, stamp]));
        this.saved = this.lists;
        this.#past = [];
        this.#future = [];
        this.#tell("load");
    }

    onChange(listener) { this.#listeners.push(listener); }
    #tell(what) { for (const listener of this.#listeners) listener(what); }

    get rows() { return this.lists[this.currency]; }
    get canUndo() { return this.#past.length > 0; }
    get canRedo() { return this.#future.length > 0; }
    get unsaved() { return Object.keys(this.lists).filter((currency) => this.lists[currency] !== this.saved[currency]); }

    choose(currency) {
        this.currency = currency;
        this.#tell("choose");
    }

    // A row with a key of its own.
    made({ match = {}, price = null, model = price?.model ?? "per_unit", text } = {}) {
        return { key: ++this.#last, match, model, price, text };
    }

    #put(rows) {
        this.#past.push({ lists: this.lists, currency: this.currency });
        if (this.#past.length > STEPS_KEPT) this.#past.shift();
        this.#future = [];
        this.lists = { ...this.lists, [this.currency]: rows };
        this.#tell("change");
    }

    undo() { this.#go(this.#past, this.#future); }
    redo() { this.#go(this.#future, this.#past); }

    #go(from, to) {
        if (!from.length) return;
        to.push({ lists: this.lists, currency: this.currency });
        const { lists, currency } = from.pop();
        this.lists = lists;
        this.currency = currency;
        this.#tell("change");
    }

    // What was sent is what is saved, even if somebody has typed on meanwhile.
    markSaved(lists, stamps) {
        this.saved = { ...this.saved, ...lists };
        this.stamps = { ...this.stamps, ...stamps };
        this.#tell("saved");
    }

    // changes: Map of key → what is new of that row. One step, whatever their number.
    update(changes) {
        if (!changes.size) return;
        this.#put(this.rows.map((row) => (changes.has(row.key) ? { ...row, ...changes.get(row.key) } : row)));
    }

    insert(at, rows) { this.#put(this.rows.toSpliced(at, 0, ...rows)); }
    replaceAll(rows) { this.#put(rows); }
    remove(top, bottom) { this.#put(this.rows.toSpliced(top, bottom - top + 1)); }

    // Rows written over those from `top` on, and the rest added at the end: what pasting does.
    overwrite(top, changes, added) {
        const rows = this.rows.map((row, index) => (changes[index - top] ? { ...row, ...changes[index - top] } : row));
        this.#put([...rows, ...added]);
    }

    duplicate(top, bottom) {
        this.insert(bottom + 1, this.rows.slice(top, bottom + 1).map((row) => this.made(row)));
    }

    // By −1 or 1. Gives whether there was room.
    move(top, bottom, by) {
        if (top + by < 0 || bottom + by >= this.rows.length) return false;
        const rows = [...this.rows];
        rows.splice(top + by, 0, ...rows.splice(top, bottom - top + 1));
        this.#put(rows);
        return true;
    }

    // The values of the first row in all rows beneath it. columns: dimensions, "model", "price".
    fillDown(top, bottom, columns) {
        const first = this.rows[top];
        const filled = columns.reduce((all, column) => ({ ...all, ...part(first, column) }), {});
        const changes = new Map();
        for (const row of this.rows.slice(top + 1, bottom + 1)) {
            const change = { ...filled };
            if (filled.match) change.match = matching({ ...row.match, ...filled.match });
            changes.set(row.key, change);
        }
        this.update(changes);
    }

    // Throws RangeError when a product needs more decimals than can be kept.
    copied(currency, factor, places) {
        return this.lists[currency].map((row) => this.made({ ...row, price: multiplied(row.price, factor, places) }));
    }
}

// What a cell holds, as the change that puts it elsewhere. A price takes its model along.
function part(row, column) {
    if (column === "model") return { model: row.model, price: converted(row.price, row.model), text: row.text };
    if (column === "price") return { model: row.model, price: row.price, text: row.text };
    return { match: { [column]: row.match[column] ?? ANY } };
}

// A match without what may be anything.
export function matching(values) {
    return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== ANY && value !== ""));
}

// A row as it is sent.
export function sent({ match, model, price, text }) {
    return text === undefined ? { match, price: price ?? { model } } : { match, model, text };
}
