// What was pasted, or read from a file: the server reads it, and a comma that could mean two things is asked about.

import { ask, button, make } from "./dom.js";
import { PER } from "./prices.js";
import { matching, remodelled, unread } from "./sheet.js";

// The answer of the server; null when whoever was asked about commas thought better of it.
export async function readText(server, text, how) {
    const answer = await server.read(text, how);
    if (!answer.commas.length) return answer;
    const comma = await askComma(answer.commas);
    return comma && { ...await server.read(text, { ...how, comma }), comma };
}

function askComma(examples) {
    return ask("What do the commas in these prices mean?", (close) => make("div", {},
        make("p", {}, `There are prices such as ${examples.join("   ")}`),
        make("p", { class: "tb-quiet" }, "Nothing is guessed: one of the two would be wrong by a factor of a thousand."),
        make("div", { class: "tb-actions" },
            button("A decimal comma: 0,5 is one half", () => close("decimal"), "tb-button"),
            button("Thousands: 1,000 is one thousand", () => close("thousands"), "tb-button"),
            button("Cancel", () => close(null)))));
}

// What a line says of a price: one, a text that is none, or nothing.
function priceIn({ model, price, text, wrong }, { scale, comma }) {
    if (text) return { ...unread(text, { scale, comma, wrong }), ...(model && { model }) };
    const known = price?.model ?? model;
    return { price, written: undefined, ...(known && { model: known }) };
}

// Writes what was read over the rows from `top` on; further rows are added. One step. Gives how many rows it was.
export function put(sheet, read, top) {
    const withPrices = read.columns.includes("price per unit");
    const changes = [];
    const added = [];
    read.rows.forEach((line, index) => {
        const row = sheet.rows[top + index];
        const values = { ...row?.match, ...line.values };
        const change = { match: matching(values) };
        if (withPrices) Object.assign(change, priceIn(line, read));
        else if (line.model) Object.assign(change, row ? remodelled(row, line.model) : { model: line.model });
        if (row) changes[index] = change;
        else added.push(sheet.made(change));
    });
    sheet.overwrite(top, changes, added);
    return read.rows.length;
}

// Whether the rows of a file stand in place of those that are there, or behind them. Null: neither.
export function askWhere(name, read, sheet) {
    return ask("Rows from a file", (close) => make("div", {},
        make("p", {}, `${name} has ${read.rows.length} ${read.rows.length === 1 ? "row" : "rows"}${read.columns.includes("price per unit") ? `, with prices ${PER[read.scale]}` : ""}.`),
        make("div", { class: "tb-actions" },
            button(sheet.rows.length === 1 ? "Replace the row here" : `Replace the ${sheet.rows.length} rows here`, () => close("replace"), "tb-button"),
            button("Add them at the end", () => close("add")),
            button("Cancel", () => close(null)))));
}

// The rows of a whole file. One step. Gives how many rows it was.
export function putFile(sheet, read, where) {
    const rows = read.rows.map((line) => sheet.made({
        match: matching(line.values), ...priceIn(line, read),
    }));
    if (where === "add") sheet.insert(sheet.rows.length, rows);
    else sheet.replaceAll(rows);
    return rows.length;
}
