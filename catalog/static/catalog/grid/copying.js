// The rows of one currency made of those of another by a factor: exact, or rounded when that is asked for.

import { canonical } from "./decimals.js";
import { ask, button, field, make } from "./dom.js";
import { PER } from "./prices.js";

const MOST_PLACES = 15;

// Asks and copies, in place of the rows that are there; rounds prices as they are shown, for 10^scale units. Gives what was
// done, in words; null when nothing was.
export function copyFrom(sheet, others, scale) {
    return ask(`Copy prices to ${sheet.currency}`, (close) => {
        const from = make("select", { class: "tb-input" }, ...others.map((each) => make("option", { value: each }, each)));
        const factor = make("input", { type: "text", class: "tb-input", inputmode: "decimal", value: "1" });
        const places = make("input", { type: "text", class: "tb-input", inputmode: "numeric", placeholder: "exact" });
        const wrong = make("p", { class: "tb-grid-error", role: "alert" });
        const copy = () => {
            wrong.textContent = problem(factor.value, places.value.trim(), scale);
            if (wrong.textContent) return;
            try {
                const to = places.value.trim() === "" ? null : Number(places.value);
                sheet.replaceAll(sheet.copied(from.value, factor.value, to, scale));
                const rounded = to === null ? "" : `, rounded to ${to} ${to === 1 ? "decimal" : "decimals"} ${PER[scale]}`;
                close(`The prices of ${from.value} × ${factor.value} stand here now${rounded}.`);
            } catch (error) {
                if (!(error instanceof RangeError)) throw error;
                wrong.textContent = error.message;
            }
        };
        return make("div", {},
            field("Rows of", from), field("× factor", factor), field(`Round to decimals ${PER[scale]}`, places), wrong,
            make("p", { class: "tb-quiet" }, "All money is multiplied; quantities and percentages stay. Fees, packages and flat amounts, which are of no unit, get as many decimals. The rows that are here are replaced."),
            make("div", { class: "tb-actions" }, button("Copy", copy, "tb-button"), button("Cancel", () => close(null))));
    });
}

function problem(factor, places, scale) {
    const number = canonical(factor);
    if (number === null || number === "0" || factor.includes("-")) return `“${factor}” is no factor: write a number above 0, for example 0.92.`;
    const most = MOST_PLACES - scale;
    const right = places === "" || (/^\d{1,2}$/.test(places) && Number(places) <= most);
    return right ? "" : `Decimals ${PER[scale]} are a whole number up to ${most}, or nothing.`;
}
