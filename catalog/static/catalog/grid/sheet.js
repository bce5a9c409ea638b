// The rows of a charge in every currency, as they are being edited. A state is never changed: each step makes a new one
// of the rows that stay and the rows that are new, so undo is going back to the state before.
//
// A row: {key, match: {dimension: value}, model, price, written}. A dimension that match leaves out may be anything. price:
// as the server says it, null when it is missing. written: what stands in place of a price until it is read
// (reading.js): {text, scale, comma, wrong, lost}, for 10^scale units, with commas as they were said to be meant; wrong: why
// it cannot be read; lost: because the server gave no answer.

import { converted, multiplied } from "./prices.js";

export const ANY = "*";
// The sheet's own names of two columns: a dimension may be called “price” or “model”.
export const [MODEL, PRICE] = [Symbol("model"), Symbol("price")];
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
    made({ match = {}, price = null, model = price?.model ?? "per_unit", written } = {}) {
        return { key: ++this.#last, match, model, price, written };
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

    // changes: Map of what was written → what its rows say now. No step of its own: undo never goes back to a text whose
    // answer has come. Rows that were written anew meanwhile hold another text, and stay.
    settle(changes) {
        const rows = new Map();
        const lists = new Map();
        const row = (each) => {
            if (!changes.has(each.written)) return each;
            if (!rows.has(each)) rows.set(each, { ...each, ...changes.get(each.written) });
            return rows.get(each);
        };
        const list = (each) => {
            if (!lists.has(each)) lists.set(each, each.some(({ written }) => changes.has(written)) ? each.map(row) : each);
            return lists.get(each);
        };
        const all = (each) => Object.fromEntries(Object.entries(each).map(([currency, some]) => [currency, list(some)]));
        const state = ({ lists: each, currency }) => ({ lists: all(each), currency });
        this.#past = this.#past.map(state);
        this.#future = this.#future.map(state);
        this.lists = all(this.lists);
        this.#tell("settled");
    }

    // Rows of all currencies that hold a text in place of a price: [{currency, row, index}].
    get unread() {
        return Object.entries(this.lists).flatMap(([currency, rows]) => rows
            .map((row, index) => ({ currency, row, index })).filter(({ row }) => row.written));
    }

    // A message about a row, naming it, unless it does so itself.
    named({ currency, index }, message) {
        if (/\brows? \d/i.test(message)) return message;
        return `Row ${index + 1}${currency === this.currency ? "" : ` in ${currency}`}: ${message}`;
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

    // The values of the first row in all rows beneath it. columns: dimensions, MODEL, PRICE. A price takes its model
    // along; a model alone leaves each row its own price.
    fillDown(top, bottom, columns) {
        const first = this.rows[top];
        const changes = new Map();
        for (const row of this.rows.slice(top + 1, bottom + 1)) {
            const values = columns.filter((column) => this.names.includes(column)).map((name) => [name, first.match[name] ?? ANY]);
            const change = { match: matching({ ...row.match, ...Object.fromEntries(values) }) };
            if (columns.includes(PRICE)) Object.assign(change, { model: first.model, price: first.price, written: first.written });
            else if (columns.includes(MODEL)) Object.assign(change, remodelled(row, first.model));
            changes.set(row.key, change);
        }
        this.update(changes);
    }

    // A text that is no price yet stays behind: nothing would multiply what comes of it. Throws RangeError,
    // naming the row, when a product cannot be kept, or would be nothing. places: decimals of prices of 10^scale units.
    copied(currency, factor, places, scale) {
        return this.lists[currency].map((row, index) => {
            try {
                return this.made({ ...row, price: multiplied(row.price, factor, places, scale), written: undefined });
            } catch (error) {
                throw error instanceof RangeError ? new RangeError(`Row ${index + 1}: ${error.message}`) : error;
            }
        });
    }
}

// What changes of a row: a price, or none; a text that is to be read as one; another model, by which its own price, or
// the text in place of it, is taken as far as it can be.
export const priced = (model, price) => ({ model, price, written: undefined });
export const unread = (text, how = {}) => ({ price: null, written: { text, scale: 0, comma: null, wrong: "", ...how } });
export const again = ({ text, scale, comma }) => unread(text, { scale, comma });
export function remodelled({ price, model: before, written }, model) {
    if (model === before) return {};
    return written ? { model, ...again(written) } : priced(model, converted(price, model));
}

// A match without what may be anything.
export function matching(values) {
    return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== ANY && value !== ""));
}

export const asWritten = ({ text, scale, comma }) => ({ text, scale, ...(comma && { comma }) });

// A row as it is sent.
export function sent({ match, model, price, written }) {
    return written ? { match, model, ...asWritten(written) } : { match, price: price ?? { model } };
}
