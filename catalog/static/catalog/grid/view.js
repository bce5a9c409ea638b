// The table on the page: Tabulator draws the rows that are in sight, keeps ranges of cells and opens editors. It is told
// what to show, and tells what was typed; the rows themselves are the sheet's.

import {
    EditModule, FormatModule, FrozenColumnsModule, InteractionModule, KeybindingsModule, ResizeColumnsModule,
    SelectRangeModule, Tabulator,
} from "../tabulator/tabulator_esm.min.js";
import { make } from "./dom.js";
import { textOf } from "./prices.js";
import { ANY } from "./sheet.js";

// As it is, it touches every row of the table at every move. Rows out of sight are laid out when they come into it.
class Ranges extends SelectRangeModule {
    static moduleName = "selectRange";

    layoutElement() { super.layoutElement(true); }
}

Tabulator.registerModule([
    EditModule, FormatModule, FrozenColumnsModule, InteractionModule, KeybindingsModule, ResizeColumnsModule, Ranges,
]);

const ROW_HEIGHT = 34;

export class View {
    #marks = new Map();
    #shown = [];
    #editing = false;

    // hooks: typed(key, column, text), chosen(), and config as the page has it.
    constructor(element, sheet, config, hooks) {
        this.sheet = sheet;
        this.config = config;
        this.hooks = hooks;
        this.scale = 0;
        // Names may hold a point, which Tabulator takes for a way into an object: its fields are numbered.
        this.columns = [...config.dimensions.map(({ name }) => name), "model", "price"];
        this.fields = this.columns.map((_, index) => `c${index}`);
        this.titles = new Map();
        this.element = element;
        this.models = new Map(config.models.map((model) => [model.value, model]));
        this.table = new Tabulator(element, {
            index: "key",
            data: [],
            maxHeight: "min(70vh, 40rem)",
            rowHeight: ROW_HEIGHT,
            layout: "fitColumns",
            selectableRange: 1,
            selectableRangeRows: true,
            selectableRangeColumns: true,
            selectableRangeAutoFocus: false,
            editTriggerEvent: "dblclick",
            columnDefaults: { resizable: "header", minWidth: 110 },
            rowHeader: {
                field: "number", width: 58, minWidth: 58, resizable: false, frozen: true, hozAlign: "right", cssClass: "tb-grid-number",
                formatter: (cell) => String(cell.getRow().getPosition() || ""),
            },
            columns: this.columns.map((name, index) => this.#column(name, index)),
            placeholder: make("p", { class: "tb-quiet" }, "No rows yet. Add one, paste some, or add a default row."),
        });
        this.ready = new Promise((resolve) => this.table.on("tableBuilt", resolve));
        this.table.on("rangeChanged", () => hooks.chosen());
        this.table.on("rangeAdded", () => hooks.chosen());
        this.table.on("cellEditing", () => { this.#editing = true; });
        this.table.on("cellEdited", () => { this.#editing = false; });
        this.table.on("cellEditCancelled", () => { this.#editing = false; });
    }

    get editing() { return this.#editing; }

    #column(name, index) {
        const price = name === "price" && index === this.columns.length - 1;
        const model = name === "model" && index === this.columns.length - 2;
        const titled = make("span", { title: name }, model ? "price model" : price ? "price" : name);
        this.titles.set(index, titled);
        return {
            title: String(index),
            titleFormatter: () => titled,
            field: this.fields[index],
            hozAlign: price ? "right" : "left",
            cssClass: price ? "tb-grid-price" : "",
            widthGrow: price ? 2 : 1,
            maxWidth: model ? 150 : undefined,
            formatter: (cell) => this.#format(cell, index),
            editor: this.config.mayChange
                ? (cell, rendered, done, cancel) => this.#editor(index, model)(cell, rendered, done, cancel)
                : undefined,
        };
    }

    get priceColumn() { return this.columns.length - 1; }
    get modelColumn() { return this.columns.length - 2; }

    // What a cell holds, as it is shown, typed and copied.
    text(row, index) {
        if (index === this.modelColumn) return row.model;
        if (index === this.priceColumn) return row.written?.text ?? textOf(row.price, this.scale);
        return row.match[this.columns[index]] ?? ANY;
    }

    #format(cell, index) {
        const element = cell.getElement();
        const { key } = cell.getRow().getData();
        const value = cell.getValue();
        const marks = (this.#marks.get(key) ?? []).filter(({ columns }) => columns.includes(index));
        const worst = ["error", "warning", "hint"].find((severity) => marks.some((mark) => mark.severity === severity));
        element.classList.remove("tb-mark-error", "tb-mark-warning", "tb-mark-hint");
        if (worst) element.classList.add(`tb-mark-${worst}`);
        element.classList.toggle("tb-grid-any", index < this.modelColumn && value === ANY);
        element.title = marks.map(({ message }) => message).join("\n") || (index === this.modelColumn ? "" : value);
        element.toggleAttribute("aria-invalid", worst === "error");
        return make("bdi", {}, index === this.modelColumn ? this.models.get(value)?.short ?? value : value);
    }

    #editor(index, model) {
        return (cell, rendered, done, cancel) => {
            const input = model ? this.#modelInput(cell) : this.#textInput(cell, index);
            let over = false;
            const finish = (take) => {
                if (over) return;
                over = true;
                this.#editing = false;
                const { key } = cell.getRow().getData();
                const [before, after] = [cell.getValue(), input.value];
                // The sheet decides what the cell shows; Tabulator is told that nothing changed.
                cancel();
                if (take && after !== before) this.hooks.typed(key, index, after);
            };
            input.addEventListener("blur", () => finish(true));
            input.addEventListener("keydown", (event) => {
                if (event.key === "Escape") finish(false);
                else if (event.key === "Enter" || event.key === "Tab") {
                    finish(true);
                    this.focus();
                    if (event.key === "Enter") this.step(event.shiftKey ? -1 : 1, 0);
                    else this.step(0, event.shiftKey ? -1 : 1);
                } else return;
                event.preventDefault();
                event.stopPropagation();
            });
            rendered(() => {
                input.focus();
                if (this.begin !== undefined && !model) input.value = this.begin;
                else input.select?.();
                this.begin = undefined;
            });
            return input;
        };
    }

    #textInput(cell, index) {
        const list = index < this.modelColumn ? `tb-grid-values-${index}` : null;
        const label = this.titles.get(index).textContent;
        return make("input", { type: "text", list, "aria-label": label, autocomplete: "off", value: cell.getValue(), dir: "auto" });
    }

    #modelInput(cell) {
        const options = this.config.models.map(({ value, short }) => make("option", { value }, short));
        const select = make("select", { "aria-label": "Price model" }, ...options);
        select.value = cell.getValue();
        return select;
    }

    #data(row) {
        return Object.fromEntries([["key", row.key], ...this.fields.map((field, index) => [field, this.text(row, index)])]);
    }

    // Shows the sheet's rows: those that changed alone, when they are the same ones.
    show() {
        const rows = this.sheet.rows;
        const same = rows.length === this.#shown.length && rows.every(({ key }, index) => key === this.#shown[index].key);
        if (same) {
            rows.forEach((row, index) => {
                if (row !== this.#shown[index]) this.table.getRow(row.key).update(this.#data(row));
            });
            this.#shown = rows;
            return Promise.resolve();
        }
        const range = this.range();
        this.#shown = rows;
        return this.table.replaceData(rows.map((row) => this.#data(row))).then(() => {
            if (range && rows.length) this.select(Math.min(range.top, rows.length - 1), range.left, Math.min(range.bottom, rows.length - 1), range.right);
        });
    }

    setScale(scale, unit, currency) {
        this.scale = scale;
        const many = { 0: "", 3: "1,000 ", 6: "million " }[scale];
        const title = this.titles.get(this.priceColumn);
        title.title = title.textContent = `price, ${currency} per ${many}${unit}`;
        this.#shown.forEach((row) => this.table.getRow(row.key).update(this.#data(row)));
    }

    // marks: Map of key → [{severity, message, columns: indexes}].
    mark(marks) {
        const keys = new Set([...this.#marks.keys(), ...marks.keys()]);
        this.#marks = marks;
        for (const { key } of this.#shown) if (keys.has(key)) this.table.getRow(key).reformat();
    }

    // The chosen cells: rows and columns by their numbers, from 0. Null when there are none.
    range() {
        const range = this.table.getRanges()[0];
        if (!range || !this.#shown.length || range.getTopEdge() === undefined) return null;
        const last = this.columns.length - 1;
        return {
            top: range.getTopEdge(),
            bottom: Math.min(range.getBottomEdge(), this.#shown.length - 1),
            left: Math.max(0, Math.min(range.getLeftEdge() - 1, last)),
            right: Math.max(0, Math.min(range.getRightEdge() - 1, last)),
        };
    }

    select(top, left, bottom = top, right = left) {
        const [first, last] = [this.#shown[top], this.#shown[bottom]];
        const range = this.table.getRanges()[0];
        if (!first || !last || !range) return;
        const cell = (row, column) => this.table.getRow(row.key).getCell(this.fields[column]);
        range.setBounds(cell(first, left), cell(last, right));
    }

    // Selects a cell, brings it into sight and takes the keyboard there.
    async goTo(top, column) {
        const row = this.#shown[top];
        if (!row) return;
        await this.table.scrollToRow(row.key, "nearest", false).catch(() => {});
        this.select(top, column);
        this.focus();
    }

    step(down, right) {
        const range = this.range();
        if (!range) return;
        const top = Math.max(0, Math.min(range.top + down, this.#shown.length - 1));
        const left = Math.max(0, Math.min(range.left + right, this.columns.length - 1));
        this.goTo(top, left);
    }

    // Opens the editor of the first chosen cell; `begin`: what is typed into it instead of what it holds.
    edit(begin) {
        const range = this.range();
        if (!range || !this.config.mayChange) return;
        this.begin = begin;
        this.table.getRow(this.#shown[range.top].key).getCell(this.fields[range.left]).edit();
    }

    focus() { this.element.querySelector(".tabulator-tableholder").focus({ preventScroll: true }); }
}
