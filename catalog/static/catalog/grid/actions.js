// What the grid's buttons and keys do, by name. Who may not change prices has those that change nothing.

import { copyFrom } from "./copying.js";
import { make } from "./dom.js";
import { askWhere, put, putFile, readText } from "./pasting.js";
import { PER, tsv } from "./prices.js";
import { ANY, MODEL, PRICE, matching, sent } from "./sheet.js";

// page: {config, sheet, view, server, findings, reader, saving, part, say, attempt, shown}; shown() waits until the table
// shows what the sheet holds.
export function actionsOf(page) {
    const { config, sheet, view, server, findings, reader, saving, part, say, attempt, shown } = page;
    const names = sheet.names;
    // Of what is in the rows; empty: credits.
    const money = () => (config.inCredits ? "" : sheet.currency);
    const may = (action) => (...given) => (config.mayChange ? action(...given) : undefined);

    async function addRows(rows, at) {
        sheet.insert(at, rows);
        await shown();
        await view.goTo(at, 0);
    }

    function withRange(action) {
        const range = view.range();
        return range ? action(range) : say("Choose a cell first.");
    }

    // first: where the first row that was read comes to stand.
    function tell(read, take, what, first) {
        if (read.errors.length) return say(read.errors.map(({ message }) => message).join(" "), true);
        const count = take();
        const trimmed = read.trimmed ? ` ${read.trimmed === 1 ? "A value had blanks around it, which are" : `${read.trimmed} values had blanks around them, which are`} gone.` : "";
        const [mark] = read.marks;
        const index = first + (mark?.row ?? 0);
        const about = mark && { currency: sheet.currency, row: sheet.rows[index], index };
        const unread = read.marks.length === 1 ? "1 price" : `${read.marks.length} prices`;
        const wrong = mark ? ` ${unread} could not be read. ${sheet.named(about, mark.message)}` : "";
        const taken = read.told && ` ${read.told}`;
        const units = read.columns.includes("price per unit") ? ` Prices are taken ${PER[read.scale]}.` : "";
        say(`${count} ${count === 1 ? "row is" : "rows are"} ${what}.${units}${taken}${trimmed}${wrong}`, Boolean(wrong), about);
    }

    part("file").addEventListener("change", async ({ target }) => {
        const [file] = target.files;
        if (file) await attempt(async () => {
            const read = await readText(server, await file.text(), { scale: view.scale, currency: money() });
            const where = read && !read.errors.length && sheet.rows.length ? await askWhere(file.name, read, sheet) : "replace";
            if (read && where) tell(read, () => putFile(sheet, read, where), "read", where === "add" ? sheet.rows.length : 0);
        });
        target.value = "";
    });

    return {
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
        addUsed: may(() => attempt(async () => {
            await findings.look();
            const chosen = await findings.choose();
            if (!chosen?.length) return;
            await addRows(chosen.map((match) => sheet.made({ match })), beforeDefault(sheet));
            say(chosen.length === 1 ? "1 row is added: write its price." : `${chosen.length} rows are added: write their prices.`);
        })),
        duplicate: may(() => withRange(({ top, bottom }) => sheet.duplicate(top, bottom))),
        remove: may(() => withRange(({ top, bottom }) => sheet.remove(top, bottom))),
        move: may(async (by) => withRange(async ({ top, bottom, left, right }) => {
            if (!sheet.move(top, bottom, by)) return;
            await shown();
            view.select(top + by, left, bottom + by, right);
        })),
        fillDown: may(() => withRange(({ top, bottom, left, right }) => {
            if (bottom > top) sheet.fillDown(top, bottom, [...names, MODEL, PRICE].slice(left, right + 1));
            else say("Choose the cell to copy and those beneath it, then fill down.");
        })),
        clear: may(() => withRange(({ top, bottom, left, right }) => {
            const changes = sheet.rows.slice(top, bottom + 1).map((row) => {
                const cleared = Object.fromEntries(names.slice(left, right + 1).map((name) => [name, ANY]));
                const change = { match: matching({ ...row.match, ...cleared }) };
                if (right === view.priceColumn) Object.assign(change, { price: null, written: undefined });
                return [row.key, change];
            });
            sheet.update(new Map(changes));
        })),
        selectAll: () => { if (sheet.rows.length) view.select(0, 0, sheet.rows.length - 1, view.priceColumn); },
        paste: may((text, scale) => attempt(async () => {
            const range = view.range() ?? { top: 0, left: 0 };
            const models = sheet.rows.slice(range.top).map(({ model }) => model);
            const read = await readText(server, text, { start: range.left, models, scale: scale ?? view.scale, currency: money() });
            if (read) tell(read, () => put(sheet, read, range.top), "pasted", range.top);
        })),
        save: may(() => saving.save()),
        copyAll: () => attempt(async () => {
            const lines = [[...names, "price model", "price per unit"]];
            const scale = view.scale;
            view.scale = 0;
            for (const row of sheet.rows) lines.push(view.columns.map((_, index) => view.text(row, index)));
            view.scale = scale;
            await navigator.clipboard.writeText(tsv(lines));
            say(`${sheet.rows.length === 1 ? "1 row is" : `${sheet.rows.length} rows are`} copied, with a head; prices are per unit.`);
        }),
        download: () => attempt(async () => {
            await reader.finished();
            const address = URL.createObjectURL(await server.file(sheet.rows.map(sent)));
            make("a", { href: address, download: `${config.code}-${sheet.currency}.csv` }).click();
            setTimeout(() => URL.revokeObjectURL(address), 10_000);
        }),
        upload: may(() => part("file").click()),
        copyList: may(async () => {
            const others = config.currencies.filter((currency) => currency !== sheet.currency && sheet.lists[currency].length);
            if (!others.length) return say("There are no rows in another currency to copy.");
            await reader.finished();
            const done = await copyFrom(sheet, others, view.scale);
            if (done) say(done);
        }),
    };
}

export const isDefault = ({ match }) => Object.keys(match).length === 0;

export function beforeDefault(sheet) {
    const at = sheet.rows.findIndex(isDefault);
    return at < 0 ? sheet.rows.length : at;
}
