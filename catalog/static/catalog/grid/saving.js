// Saves every list that was changed, all or nothing; with the fields of the page, when its own button asks for that, in the
// same request: one page, one “Save”. What is refused is told at its cell or its field.

import { make } from "./dom.js";
import { sent } from "./sheet.js";

export class Saving {
    #running = null;
    #submitting = false;
    #marked = [];

    // hooks: say(message, wrong, about), refresh(), and bring(), which brings the grid into sight.
    constructor(form, sheet, reader, server, findings, hooks) {
        Object.assign(this, { form, sheet, reader, server, findings, hooks });
        form.addEventListener("submit", (event) => this.#submit(event));
    }

    get running() { return this.#running !== null; }

    // One after the other. Gives the server's answer; null when it was refused, or when there was nothing to save.
    async save(fields = "") {
        if (this.#running && !fields) return this.#running;
        await this.#running;
        this.#running = this.#save(fields);
        this.hooks.refresh();
        try {
            return await this.#running;
        } finally {
            this.#running = null;
            this.hooks.refresh();
        }
    }

    async #save(fields) {
        try {
            const unread = await this.reader.finished();
            if (unread.length) return this.#refused(unread);
            const changed = this.sheet.unsaved;
            if (!changed.length && !fields) {
                this.hooks.say("Nothing to save.");
                return null;
            }
            const lists = Object.fromEntries(changed.map((currency) => [currency, this.sheet.lists[currency]]));
            const answer = await this.server.save(changed.map((currency) => ({
                currency, stamp: this.sheet.stamps[currency], rows: lists[currency].map(sent),
            })), fields);
            this.sheet.markSaved(lists, answer.stamps);
            this.findings.refuse([]);
            this.findings.later(0);
            this.#mark([]);
            this.hooks.say("Saved.");
            return answer;
        } catch (error) {
            return this.#refused(error.errors ?? [], error.message);
        }
    }

    // The form's own button: when there are prices to be saved, they and the fields go together.
    async #submit(event) {
        if (!this.sheet.unsaved.length && !this.running) return;
        event.preventDefault();
        if (this.#submitting) return;
        const fields = new FormData(this.form);
        if (event.submitter?.name) fields.append(event.submitter.name, event.submitter.value);
        this.#submitting = true;
        const answer = await this.save(new URLSearchParams(fields).toString());
        this.#submitting = false;
        if (answer) location.assign(answer.goto);
    }

    #refused(errors, message = "") {
        const { sheet, findings, hooks } = this;
        const placed = errors.find(({ row }) => row !== null);
        if (placed && placed.currency !== sheet.currency) sheet.choose(placed.currency);
        findings.refuse(errors.filter(({ field = "" }) => field.split(".")[0] !== "form"));
        const more = errors.length > 1 ? ` (${errors.length} in all)` : "";
        const about = placed && { currency: placed.currency, row: sheet.lists[placed.currency][placed.row], index: placed.row };
        const said = about ? sheet.named(about, placed.message) : errors[0]?.message ?? message;
        hooks.say(`Not saved: ${said}${more}`, true, about);
        const first = this.#mark(errors);
        if (first && !placed) {
            first.focus();
            first.scrollIntoView({ block: "center" });
            return null;
        }
        hooks.bring();
        if (placed) findings.goToFirst();
        return null;
    }

    // Says at each field of the page what is wrong with it. Gives the first, if there is one.
    #mark(errors) {
        for (const { field, told } of this.#marked) {
            field.removeAttribute("aria-invalid");
            told.remove();
        }
        this.#marked = [];
        for (const { field: place = "", message } of errors) {
            const field = place.startsWith("form.") ? this.form.elements.namedItem(place.slice("form.".length)) : null;
            if (!(field instanceof HTMLElement)) continue;
            const told = make("p", { class: "tb-grid-error tb-grid-at-field" }, message);
            field.setAttribute("aria-invalid", "true");
            field.after(told);
            this.#marked.push({ field, told });
        }
        return this.#marked[0]?.field;
    }
}
