// Keys and clipboard, as spreadsheets have them. Arrows, Tab and Enter are the table's own.

import { tsv } from "./prices.js";

// Prices that are copied are read for as many units as they were copied for, in whatever window they are pasted.
const SCALE = "application/x-tallybook-scale";

export class Keyboard {
    constructor(view, actions) {
        this.view = view;
        this.actions = actions;
        view.element.addEventListener("keydown", (event) => this.#key(event), true);
        for (const name of ["copy", "cut", "paste"]) {
            document.addEventListener(name, (event) => { if (this.#here()) this[name](event); });
        }
    }

    #here() { return this.view.element.contains(document.activeElement) && !this.view.editing; }

    #key(event) {
        const command = event.ctrlKey || event.metaKey;
        // What is being typed is saved, too.
        if (this.view.editing && command && event.key.toLowerCase() === "s") this.view.focus();
        if (this.view.editing) return;
        const action = command ? this.#command(event) : this.#plain(event);
        if (!action) return;
        event.preventDefault();
        event.stopPropagation();
        action();
    }

    #command(event) {
        const { undo, redo, fillDown, save, selectAll, remove } = this.actions;
        switch (event.key.toLowerCase()) {
            case "z": return event.shiftKey ? redo : undo;
            case "y": return redo;
            case "d": return fillDown;
            case "s": return save;
            case "a": return selectAll;
            case "-": return remove;
            default: return null;
        }
    }

    #plain(event) {
        const { view, actions } = this;
        if (event.altKey) {
            if (event.key === "ArrowUp") return () => actions.move(-1);
            if (event.key === "ArrowDown") return () => actions.move(1);
            return null;
        }
        const range = view.range();
        switch (event.key) {
            case "F2": return () => view.edit();
            case "Enter": return view.config.mayChange ? null : () => view.step(event.shiftKey ? -1 : 1, 0);
            case "Insert": return actions.add;
            case "Delete":
            case "Backspace": return actions.clear;
            case "Escape": return () => document.activeElement.blur();
            case "Tab": {
                // From the last cell on, and from the first one back, Tab leaves the table.
                const last = !range || (range.right === view.priceColumn && range.bottom === view.sheet.rows.length - 1);
                const first = !range || (range.left === 0 && range.top === 0);
                if (event.shiftKey ? first : last) event.stopPropagation();
                return null;
            }
            case "Home": return () => range && view.goTo(range.top, 0);
            case "End": return () => range && view.goTo(range.top, view.priceColumn);
            default: return event.key.length === 1 && event.key !== " " && range ? () => view.edit(event.key) : null;
        }
    }

    copy(event) {
        const { view } = this;
        const range = view.range();
        if (!range) return;
        const rows = view.sheet.rows.slice(range.top, range.bottom + 1);
        const columns = view.columns.map((_, index) => index).slice(range.left, range.right + 1);
        event.clipboardData.setData("text/plain", tsv(rows.map((row) => columns.map((index) => view.text(row, index)))));
        event.clipboardData.setData(SCALE, String(view.scale));
        event.preventDefault();
    }

    cut(event) {
        this.copy(event);
        this.actions.clear();
    }

    paste(event) {
        const scale = event.clipboardData.getData(SCALE);
        event.preventDefault();
        this.actions.paste(event.clipboardData.getData("text/plain"), scale === "" ? undefined : Number(scale));
    }
}
