// Texts that stand in cells in place of prices. The server reads them, those that came up together in one request. A text
// stays in its row until its answer comes, and after it when it is no price; an answer is for that very text, in whatever
// currency and place it stands by then, and for none that was typed since.

import { again, asWritten, priced } from "./sheet.js";

export class Reader {
    #asked = new Map();

    // hooks: told(message, about), of a text that cannot be read; about: {currency, row, index}, where it stands.
    constructor(sheet, server, hooks) { Object.assign(this, { sheet, server, hooks }); }

    // Begins to read what nobody has begun to read. After each change of the sheet.
    look() {
        const fresh = new Map(this.sheet.unread.map(({ row }) => [row.written, row.model])
            .filter(([written]) => !written.wrong && !this.#asked.has(written)));
        if (!fresh.size) return;
        const read = this.#read([...fresh]);
        for (const written of fresh.keys()) this.#asked.set(written, read);
    }

    async #read(texts) {
        const changes = new Map();
        try {
            const { prices } = await this.server.prices(texts.map(([written, model]) => ({ model, ...asWritten(written) })));
            prices.forEach(({ price, wrong }, index) => {
                const [written, model] = texts[index];
                changes.set(written, price ? priced(model, price) : { written: { ...written, wrong } });
            });
        } catch (error) {
            const why = error.errors ? error.message : "the server did not answer";
            for (const [written] of texts) {
                const wrong = `“${written.text}” is not read yet (${why}): it is asked for again when you save.`;
                changes.set(written, { written: { ...written, wrong, lost: true } });
            }
        }
        for (const [written] of texts) this.#asked.delete(written);
        const told = new Set([...changes.values()].map(({ written }) => written).filter(Boolean));
        this.sheet.settle(changes);
        const standing = this.sheet.unread.find(({ row }) => told.has(row.written));
        if (standing) this.hooks.told(this.sheet.named(standing, standing.row.written.wrong), standing);
    }

    // Waits until everything is read, asking once more for what was lost. Gives what is no price, as refusals have it.
    async finished() {
        const lost = this.sheet.unread.filter(({ row }) => row.written.lost);
        if (lost.length) this.sheet.settle(new Map(lost.map(({ row }) => [row.written, again(row.written)])));
        for (this.look(); this.#asked.size; this.look()) await Promise.all(this.#asked.values());
        return this.sheet.unread.map(({ currency, row, index }) => ({
            currency, row: index, column: "price", names: [], message: row.written.wrong,
        }));
    }
}
