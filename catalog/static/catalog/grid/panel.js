// Beside the table: everything that the chosen row's price consists of, and what some quantities would cost by it. The
// server prices them, by the code that bills.

import { canonical, shift } from "./decimals.js";
import { field, make } from "./dom.js";
import { TIERED } from "./prices.js";

const FIELDS = {
    per_unit: [["unit_price", "Price", { scaled: true }]],
    flat: [["unit_price", "Amount, once there is usage"]],
    package: [["unit_price", "Price of a package"], ["size", "Units in a package"], ["free", "Units free before the first"]],
    percentage: [["percent", "Percent"], ["fixed", "Fee for each event"], ["free", "Quantity free"], ["free_events", "Events without fee", { whole: true }]],
    cost_plus: [["percent", "Margin on the cost, in percent"]],
};
// Models whose unit prices are those of one unit, and so are shown for many.
const OF_ONE_UNIT = ["per_unit", "graduated", "volume"];
const [WAIT, MOVED_WAIT] = [250, 100];

export class Panel {
    #row = null;
    #latest = 0;
    #waiting;

    // hooks: priced(key, model, price), remodelled(row, model)
    constructor(element, sheet, view, server, config, hooks) {
        Object.assign(this, { element, sheet, view, server, config, hooks });
        this.quantities = make("input", {
            type: "text", class: "tb-input", inputmode: "decimal", placeholder: "chosen by the price",
            oninput: () => this.#later(),
        });
        this.events = make("input", { type: "text", class: "tb-input", inputmode: "numeric", value: "1", oninput: () => this.#later() });
        this.form = make("div", { class: "tb-grid-fields" });
        this.told = make("div", { class: "tb-grid-preview", "aria-live": "polite" });
        this.title = make("h2", { class: "tb-heading" });
        this.eventsField = field("Events in it", this.events);
        this.asking = make("div", { class: "tb-grid-fields", hidden: true }, field("What would these quantities cost?", this.quantities), this.eventsField);
        element.append(this.title, this.form, this.asking, this.told);
    }

    // Shows the row that is chosen, unless it is shown as it is already.
    show() {
        const range = this.view.range();
        const row = range ? this.sheet.rows[range.top] : null;
        if (row === this.#row && this.#scale === this.view.scale && this.#currency === this.sheet.currency) return;
        // What was typed here stands here already: building the fields anew would take the keyboard away from them.
        const typed = row && this.#given && row.key === this.#row?.key && row.price === this.#given && this.#scale === this.view.scale;
        this.#row = row;
        this.#scale = this.view.scale;
        this.#currency = this.sheet.currency;
        this.title.textContent = row ? `Price of row ${range.top + 1}` : "Price";
        this.asking.hidden = !row || !this.config.mayChange;
        if (!row) {
            this.form.replaceChildren(make("p", { class: "tb-quiet" }, "Choose a row to see what its price consists of."));
            this.told.replaceChildren();
        } else if (!typed || row.model !== this.#model) this.#build(row);
        if (row) this.#later(MOVED_WAIT);
    }

    #scale;
    #currency;
    #model;
    #given = null;

    #build(row) {
        this.#model = row.model;
        // Who may not change it reads it in the words of the preview.
        if (!this.config.mayChange) return;
        const options = this.config.models.map(({ value, label }) => make("option", { value }, label));
        const model = make("select", { class: "tb-input", "aria-label": "Price model" }, ...options);
        model.value = row.model;
        model.addEventListener("change", () => this.hooks.remodelled(this.#row, model.value));
        const children = [field("Price model", model)];
        if (row.written?.wrong) children.push(make("p", { class: "tb-grid-error" }, row.written.wrong));
        if (TIERED.includes(row.model)) children.push(...this.#tiers(row));
        else for (const [name, label, how = {}] of FIELDS[row.model]) children.push(field(this.#label(label, how), this.#input(name, row.price?.[name], how)));
        this.form.replaceChildren(...children);
        this.eventsField.hidden = row.model !== "percentage";
    }

    #label(label, { scaled }) { return scaled ? `${label} per ${this.#many()}${this.config.unit}` : label; }
    #many() { return { 0: "", 3: "1,000 ", 6: "1,000,000 " }[this.view.scale]; }

    #input(name, value, how) {
        const shown = value == null ? "" : how.scaled ? shift(value, this.view.scale) ?? value : String(value);
        return make("input", {
            type: "text", class: "tb-input", inputmode: "decimal", autocomplete: "off", value: shown,
            "data-name": name, "data-whole": how.whole,
            oninput: () => this.#later(), onchange: () => this.#take(this.#typed()),
        });
    }

    #tiers(row) {
        const stairs = row.model === "stairstep";
        const many = this.#many();
        const heads = stairs ? ["Up to", "Amount", ""] : ["Up to", `Price per ${many || "unit"}`, "or per package of", "Fee", ""];
        this.body = make("tbody", {}, ...(row.price?.tiers ?? [{}]).map((tier) => this.#tier(tier, stairs)));
        // Where there are dimensions nothing is due without usage: there is nothing to choose, and what was said stays.
        this.atZero = make("input", { type: "checkbox", checked: row.price?.flat_at_zero !== false, onchange: () => this.#take(this.#typed()) });
        const offered = this.sheet.names.length ? [] : [make("label", { class: "tb-grid-check" }, this.atZero, "The first tier's fee is due without usage, too")];
        const add = make("button", { type: "button", class: "tb-link", onclick: () => {
            const last = this.body.lastElementChild;
            this.body.append(this.#tier({}, stairs));
            // The one that was the last needs a bound from now on.
            const bound = last?.querySelector("[data-name=up_to]");
            (bound?.value.trim() === "" ? bound : this.body.lastElementChild.querySelectorAll("input")[1]).focus();
        } }, "Add a tier");
        return [
            make("table", { class: "tb-grid-tiers" }, make("thead", {}, make("tr", {}, ...heads.map((head) => make("th", { scope: "col" }, head)))), this.body),
            add,
            make("p", { class: "tb-quiet" }, "A tier reaches up to and including its bound; the last one has none."),
            ...offered,
        ];
    }

    #tier(tier, stairs) {
        const priced = tier.package == null;
        const input = (name, value, how = {}) => {
            const element = this.#input(name, value, how);
            element.setAttribute("aria-label", name.replace("_", " "));
            return make("td", {}, element);
        };
        const line = make("tr", {}, input("up_to", tier.up_to));
        if (!stairs) line.append(input("unit_price", tier.unit_price, { scaled: priced }), input("package", tier.package));
        line.append(input("flat_price", stairs ? tier.flat_price : given(tier.flat_price)));
        const remove = () => { line.remove(); this.#take(this.#typed()); };
        line.append(make("td", {}, make("button", { type: "button", class: "tb-link", "aria-label": "Remove the tier", onclick: remove }, "×")));
        return line;
    }

    // The price as it stands in the fields, whatever is in them: what is wrong with it the server says.
    #typed() {
        const model = this.#row.model;
        if (!TIERED.includes(model)) return { model, ...this.#read(this.form) };
        const tiers = [...this.body.rows].map((line) => this.#read(line));
        return { model, tiers, ...(this.atZero.checked ? {} : { flat_at_zero: false }) };
    }

    #read(within) {
        const found = {};
        const packaged = within.querySelector("[data-name=package]")?.value.trim();
        for (const input of within.querySelectorAll("[data-name]")) {
            const text = input.value.trim();
            if (!text) continue;
            const { name, whole } = input.dataset;
            const scaled = name === "unit_price" && OF_ONE_UNIT.includes(this.#row.model) && !packaged;
            if (whole !== undefined) found[name] = /^\d{1,15}$/.test(text) ? Number(text) : text;
            else found[name] = (scaled ? shift(text, -this.view.scale) : canonical(text)) ?? text;
        }
        return found;
    }

    #take(price) {
        if (!this.#row) return;
        this.#given = price;
        this.hooks.priced(this.#row.key, price.model, price);
    }

    #later(wait = WAIT) {
        clearTimeout(this.#waiting);
        this.#waiting = setTimeout(() => this.#preview(), wait);
    }

    async #preview() {
        if (!this.#row || this.#row.written) return void this.told.replaceChildren();
        const mine = ++this.#latest;
        const quantities = this.quantities.value.split(/[\s;]+/).filter(Boolean);
        const price = this.config.mayChange ? this.#typed() : this.#row.price;
        const events = Number(this.events.value);
        try {
            const answer = await this.server.preview({ price, currency: this.sheet.currency, quantities, events, match: this.#row.match });
            if (mine === this.#latest) this.#tell(answer);
        } catch (error) {
            if (mine === this.#latest) this.#fault(error);
        }
    }

    #tell({ words, lines }) {
        this.#clear();
        const rows = lines.map(({ quantity, amount, steps }) => make("tr", {},
            make("td", { class: "tb-number" }, quantity),
            make("td", {}, make("strong", {}, amount), ...steps.map((step) => make("div", { class: "tb-quiet" }, step)))));
        this.told.replaceChildren(make("p", {}, words), make("table", { class: "tb-table" }, make("tbody", {}, ...rows)));
    }

    #fault(error) {
        this.#clear();
        for (const { field: place = "" } of error.errors ?? []) {
            const parts = place.split(".").slice(1);
            const within = parts[0] === "tiers" && parts.length > 2 ? this.body?.rows[Number(parts[1])] : this.form;
            within?.querySelector(`[data-name="${CSS.escape(parts.at(-1) ?? "")}"]`)?.setAttribute("aria-invalid", "true");
        }
        const said = (error.errors ?? [error]).map(({ message }) => make("p", { class: "tb-grid-error" }, message));
        this.told.replaceChildren(...said);
    }

    #clear() {
        for (const input of this.form.querySelectorAll("[aria-invalid]")) input.removeAttribute("aria-invalid");
    }
}

const given = (number) => (number && number !== "0" ? number : null);
