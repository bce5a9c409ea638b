// Decimal numbers as text: no float ever holds a price. Moving the point is text work; products are made of whole
// numbers. Every function takes and gives texts such as "0.00001"; what is no number gives null.

const NUMBER = /^([+-]?)(\d*)\.?(\d*)(?:[eE]([+-]?\d{1,2}))?$/;

// {negative, digits, places}: digits × 10^-places.
function parse(text) {
    const found = NUMBER.exec(String(text).trim());
    if (!found || !(found[2] + found[3])) return null;
    return {
        negative: found[1] === "-",
        digits: found[2] + found[3],
        places: found[3].length - Number(found[4] || 0),
    };
}

// The one way a number is written: no exponent, no zeros before it or at its end.
function write({ negative, digits, places }) {
    const all = places < 0 ? digits + "0".repeat(-places) : digits.padStart(places + 1, "0");
    const point = places > 0 ? all.length - places : all.length;
    const whole = all.slice(0, point).replace(/^0+(?=\d)/, "");
    const decimals = all.slice(point).replace(/0+$/, "");
    const text = decimals ? `${whole}.${decimals}` : whole;
    return negative && /[1-9]/.test(text) ? `-${text}` : text;
}

export function canonical(text) {
    const number = parse(text);
    return number && write(number);
}

// text × 10^by, exactly.
export function shift(text, by) {
    const number = parse(text);
    return number && write({ ...number, places: number.places - by });
}

export function multiply(one, other) {
    const [a, b] = [parse(one), parse(other)];
    if (!a || !b) return null;
    const digits = (BigInt(a.digits) * BigInt(b.digits)).toString();
    return write({ negative: a.negative !== b.negative, digits, places: a.places + b.places });
}

// How many decimals a number has, without zeros at its end.
export function places(text) {
    return (canonical(text)?.split(".")[1] ?? "").length;
}

// Half away from zero, as invoices round.
export function round(text, to) {
    const number = parse(canonical(text));
    if (!number) return null;
    if (number.places <= to) return write(number);
    const unit = 10n ** BigInt(number.places - to);
    const [whole, rest] = [BigInt(number.digits) / unit, BigInt(number.digits) % unit];
    const digits = (rest * 2n >= unit ? whole + 1n : whole).toString();
    return write({ negative: number.negative, digits, places: to });
}
