// Prices as the server says them ({model, unit_price, tiers, …}; numbers are texts), and the one line of text that
// stands in a cell for each. Reading such a line is the server's (catalog/pricing/compact.py): here is no second reader,
// but for the plain number that most cells hold.

import { canonical, multiply, places, round, shift } from "./decimals.js";

export const TIERED = ["graduated", "volume", "stairstep"];
// What a price of one unit is shown for, by `scale`.
export const PER = { 0: "per unit", 3: "per 1,000", 6: "per million" };
const ZERO = "0";
const MOST_PLACES = 15;

// `scale`: prices of one unit are shown for 10^scale units.
export function textOf(price, scale) {
    if (!price) return "";
    switch (price.model) {
        case "per_unit": return scaled(price.unit_price, scale);
        case "flat": return price.unit_price ?? "";
        case "package": return `${price.unit_price ?? ""} per ${price.size ?? ""}` + free(price);
        case "cost_plus": return `${price.percent ?? ""}%`;
        case "percentage": {
            const fixed = given(price.fixed) ? ` + ${price.fixed}` : "";
            const events = price.free_events ? `, ${price.free_events} events free` : "";
            return `${price.percent ?? ""}%${fixed}${free(price)}${events}`;
        }
        default: {
            const tiers = (price.tiers ?? []).map((tier) => `${tier.up_to ?? ""}: ${tierText(tier, price.model, scale)}`);
            return [...tiers, ...(price.flat_at_zero === false ? ["nothing at zero"] : [])].join("; ");
        }
    }
}

const given = (number) => number != null && number !== "" && canonical(number) !== ZERO;
const free = (price) => (given(price.free) ? `, ${price.free} free` : "");
const scaled = (number, scale) => (number == null ? "" : shift(number, scale) ?? number);

function tierText(tier, model, scale) {
    if (model === "stairstep") return tier.flat_price ?? "";
    const each = tier.package == null ? scaled(tier.unit_price, scale) : `${tier.unit_price} per ${tier.package}`;
    return given(tier.flat_price) ? `${each} + ${tier.flat_price}` : each;
}

// What was typed as the price of so many units, for one: exact. Null: no plain number, so the server has to read it.
export function perUnit(text, scale) {
    const number = shift(text, -scale);
    return number === null ? null : { model: "per_unit", unit_price: number };
}

// What stays of a price when its model is changed: tiers, or the one figure that both have. What is not known is left out,
// and the server asks for it: nothing is free because nobody wrote a price.
export function converted(price, model) {
    const figure = price?.unit_price ?? price?.tiers?.[0]?.unit_price ?? null;
    if (TIERED.includes(model)) {
        const stairs = model === "stairstep";
        const tiers = TIERED.includes(price?.model) ? price.tiers : [figure === null ? {} : { [stairs ? "flat_price" : "unit_price"]: figure }];
        return { model, tiers: stairs && price?.model !== model ? tiers.map(stair) : tiers };
    }
    if (model === "percentage" || model === "cost_plus") return price?.percent == null ? null : { model, percent: price.percent };
    if (figure === null) return null;
    return model === "package" ? { model, unit_price: figure, size: "1" } : { model, unit_price: figure };
}

// A tier as a stair: its bound, and its fee where it has one.
const stair = ({ up_to, flat_price }) => ({ ...(up_to != null && { up_to }), ...(given(flat_price) && { flat_price }) });

// All money of a price × factor, exactly, or rounded to so many decimals when that is asked for. Throws the number that
// would need more decimals than can be kept. Percentages and quantities are no money.
export function multiplied(price, factor, to) {
    const money = (number) => {
        if (number == null) return number;
        const product = multiply(number, factor);
        const kept = to === null ? product : round(product, to);
        if (places(kept) > MOST_PLACES) throw new RangeError(product);
        return kept;
    };
    if (!price) return price;
    const found = { ...price };
    for (const name of ["unit_price", "fixed"]) if (name in found) found[name] = money(found[name]);
    if (found.tiers) {
        found.tiers = found.tiers.map((tier) => {
            const each = { ...tier };
            for (const name of ["unit_price", "flat_price"]) if (name in each) each[name] = money(each[name]);
            return each;
        });
    }
    return found;
}

// A text that a spreadsheet would run as a formula begins with an apostrophe, as catalog/grid/sheets.py writes and reads it.
export const guarded = (text) => (/^'*[=+\-@\t\r]/.test(text) ? `'${text}` : text);

// Cells as a spreadsheet copies them.
export function tsv(lines) {
    const cell = (text) => (/[\t\r\n"]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
    return lines.map((line) => line.map((text) => cell(guarded(text))).join("\t")).join("\r\n");
}
