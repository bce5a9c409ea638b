// Beside the table: what the server found in the rows, each with why and how to mend it; a click goes to the cell. And
// the combinations that were really used last month and have no row of their own.

import { ask, button, make } from "./dom.js";

const WAIT = 1500;
const TITLE = "Values that were really used";
const TITLES = { error: "Cannot be published", warning: "Is this meant?", hint: "Perhaps" };

export class Findings {
    #waiting;
    #latest = 0;
    #refused = [];
    #unread = [];
    // What the last month had: {wanted, month, used, problem}; used: whether it had anything.
    usage = { wanted: [], month: "", used: false, problem: "" };

    constructor(element, sheet, view, server) {
        Object.assign(this, { element, sheet, view, server });
        this.state = make("p", { class: "tb-quiet", role: "status" }, "Looking …");
        this.list = make("div");
        element.append(make("h2", { class: "tb-heading" }, "Look at these"), this.state, this.list);
    }

    // Looks again, once nothing has changed for a while.
    later(wait = WAIT) {
        clearTimeout(this.#waiting);
        this.#waiting = setTimeout(() => this.look(), wait);
    }

    async look() {
        const mine = ++this.#latest;
        const rows = this.sheet.rows;
        try {
            const answer = await this.server.check(rows);
            if (mine !== this.#latest || rows !== this.sheet.rows) return;
            this.usage = answer;
            this.#found = answer.findings.map((each) => ({ ...each, key: rows[each.row]?.key ?? null, was: rows[each.row] }));
            this.#problem = answer.problem;
        } catch (error) {
            if (mine !== this.#latest) return;
            this.#found = [];
            this.#problem = `The rows could not be looked at: ${error.message}`;
        }
        this.#show();
    }

    #found = [];
    #problem = "";

    // What saving refused: it stays until that cell is changed.
    refuse(errors) {
        this.#refused = errors.map(({ message, row, column, names, currency }) => ({
            severity: "error", message, mend: "", currency, column, names,
            key: row === null ? null : this.sheet.lists[currency]?.[row]?.key ?? null,
            was: row === null ? null : this.sheet.lists[currency]?.[row] ?? null,
        }));
        this.#show();
    }

    // Forgets what was said of rows that have been changed since, and tells of texts that are no prices.
    settle() {
        const rows = new Set(this.sheet.rows);
        const before = [...this.#refused, ...this.#found, ...this.#unread];
        this.#refused = this.#refused.filter(({ was, currency }) => was && (currency !== this.sheet.currency || rows.has(was)));
        this.#found = this.#found.filter(({ key, was }) => !key || rows.has(was));
        const told = new Map(this.#unread.map((each) => [each.was, each]));
        this.#unread = this.sheet.rows.filter(({ written }) => written?.wrong).map((row) => told.get(row) ?? {
            severity: "error", message: row.written.wrong, mend: "", column: "price", names: [], key: row.key, was: row,
        });
        const after = [...this.#refused, ...this.#found, ...this.#unread];
        if (before.length !== after.length || after.some((each, index) => each !== before[index])) this.#show();
    }

    #show() {
        const here = this.#refused.filter(({ currency }) => !currency || currency === this.sheet.currency);
        const said = new Set();
        const once = ({ key, message }) => !said.has(`${key} ${message}`) && said.add(`${key} ${message}`);
        const all = [...here, ...this.#unread, ...this.#found].filter(once);
        this.view.mark(this.#marks(all));
        const { month, used } = this.usage;
        const usage = !month ? "" : used || this.#problem ? `Usage of ${month}, all customers. ` : `${unused(month)} `;
        this.state.textContent = usage + (this.#problem || (all.length ? "" : "Nothing found."));
        this.list.replaceChildren(...["error", "warning", "hint"].flatMap((severity) => {
            const some = all.filter((each) => each.severity === severity);
            if (!some.length) return [];
            const items = some.map((each) => make("li", {},
                each.key ? make("button", { type: "button", class: "tb-grid-finding", onclick: () => this.#go(each) }, each.message) : each.message,
                each.mend ? make("span", { class: "tb-quiet" }, ` ${each.mend}`) : ""));
            const listed = make("ul", { class: "tb-list" }, ...items);
            const title = `${TITLES[severity]} (${some.length})`;
            return [make("details", { class: `tb-found tb-found-${severity}`, open: severity !== "hint" }, make("summary", {}, title), listed)];
        }));
    }

    #marks(all) {
        const marks = new Map();
        for (const each of all) {
            if (!each.key) continue;
            marks.set(each.key, [...(marks.get(each.key) ?? []), { ...each, columns: this.#columns(each) }]);
        }
        return marks;
    }

    #columns({ column, names }) {
        const { columns, modelColumn, priceColumn } = this.view;
        if (column === "model") return [modelColumn];
        if (column !== "match") return [priceColumn];
        const dimensions = columns.map((_, index) => index).slice(0, modelColumn);
        return names?.length ? dimensions.filter((index) => names.includes(columns[index])) : dimensions;
    }

    // To the first cell that saving refused.
    goToFirst() {
        const first = this.#refused.find(({ key, currency }) => key && currency === this.sheet.currency);
        if (first) this.#go(first);
    }

    #go(finding) {
        const at = this.sheet.rows.findIndex(({ key }) => key === finding.key);
        if (at >= 0) this.view.goTo(at, this.#columns(finding)[0] ?? this.view.priceColumn);
    }

    // Which of the combinations that were really used should get a row. Null: none. Where last month had no usage, those
    // of this month so far are offered.
    async choose() {
        let from = { ...this.usage, problem: this.#problem };
        if (from.month && !from.used && !from.problem) {
            if (!await this.#askSoFar(from.month)) return null;
            from = await this.server.check(this.sheet.rows, true);
        }
        return from.wanted.length ? this.#chooseOf(from) : this.#tellNone(from);
    }

    #askSoFar(month) {
        return ask(TITLE, (close) => make("div", {},
            make("p", {}, unused(month)),
            make("div", { class: "tb-actions" },
                button("Look at this month so far", () => close(true), "tb-button"),
                button("Close", () => close(false)))));
    }

    #tellNone({ month, used, problem }) {
        const said = problem || (!month ? "No usage is known yet." : used ? `All usage of ${month} has a row of its own.` : unused(month));
        return ask(TITLE, (close) => make("div", {}, make("p", {}, said), make("div", { class: "tb-actions" }, button("Close", () => close(null)))));
    }

    #chooseOf({ wanted, month }) {
        return ask(TITLE, (close) => {
            const lines = wanted.map((each) => {
                const box = make("input", { type: "checkbox", checked: true });
                const values = this.view.columns.slice(0, -2).map((name) => make("td", {}, make("bdi", {}, each.match[name] ?? "– missing")));
                return { each, box, line: make("tr", {}, make("td", {}, box), ...values, make("td", { class: "tb-number" }, each.share), make("td", {}, each.by_default ? "default row" : "no row")) };
            });
            const all = make("input", { type: "checkbox", checked: true, "aria-label": "All", onchange: () => { for (const { box } of lines) box.checked = all.checked; } });
            const heads = this.view.columns.slice(0, -2).map((name) => make("th", { scope: "col" }, name));
            const head = make("tr", {}, make("th", {}, all), ...heads, make("th", { scope: "col", class: "tb-number" }, `of ${month}`), make("th", { scope: "col" }, "priced by"));
            const table = make("table", { class: "tb-table" }, make("thead", {}, head), make("tbody", {}, ...lines.map(({ line }) => line)));
            const chosen = () => close(lines.filter(({ box }) => box.checked).map(({ each }) => each.match));
            return make("div", {},
                make("div", { class: "tb-grid-scroll" }, table),
                make("div", { class: "tb-actions" }, button("Add rows for these", chosen, "tb-button"), button("Cancel", () => close(null))));
        });
    }
}

const unused = (month) => `There was no usage in ${month}.`;
