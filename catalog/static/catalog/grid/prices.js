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

// A price whose amounts may be shown for many units, and are rounded as they are shown: neither fees nor packages are.
const ofUnits = (model, { package: size }) => model === "per_unit" || (["graduated", "volume"].includes(model) && size == null);

// All money of a price × factor, exactly, or rounded to so many decimals as it is shown at `scale` when that is asked for.
// Throws RangeError, which says of which number, when a product needs more decimals than can be kept, or when what costs
// something would cost nothing. Percentages and quantities are no money.
export function multiplied(price, factor, to, scale = 0) {
    const money = (number, many) => {
        if (number == null) return number;
        const product = multiply(number, factor);
        const kept = to === null ? product : round(product, to + many);
        if (places(kept) > MOST_PLACES) throw new RangeError(`${product} has more than ${MOST_PLACES} decimals: say to how many to round.`);
        if (kept === ZERO && given(product)) {
            throw new RangeError(`${shift(product, many)} ${many ? `${PER[many]} ` : ""}would become 0, which is free: round to more decimals.`);
        }
        return kept;
    };
    const all = (part, names) => {
        const many = { unit_price: ofUnits(price.model, part) ? scale : 0 };
        return { ...part, ...Object.fromEntries(names.filter((name) => name in part).map((name) => [name, money(part[name], many[name] ?? 0)])) };
    };
    if (!price) return price;
    const found = all(price, ["unit_price", "fixed"]);
    return price.tiers ? { ...found, tiers: price.tiers.map((tier) => all(tier, ["unit_price", "flat_price"])) } : found;
}

// A text that a spreadsheet would run as a formula, or whose blanks at its ends would be taken for a slip, begins with an
// apostrophe, as catalog/grid/sheets.py writes and reads it. \s is not all that Python strips, and one more.
export const guarded = (text) => (/^'*([=+\-@]|[^\S\ufeff]|[\x1c-\x1f\x85])|([^\S\ufeff]|[\x1c-\x1f\x85])$/.test(text) ? `'${text}` : text);

// Cells as a spreadsheet copies them.
export function tsv(lines) {
    const cell = (text) => (/[\t\r\n"]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
    return lines.map((line) => line.map((text) => cell(guarded(text))).join("\t")).join("\r\n");
}
