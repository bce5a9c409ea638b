// Elements made of names, attributes and children; texts are texts, whatever is in them.

export function make(tag, attributes = {}, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
        if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
        else if (name === "value" || name === "checked") element[name] = value;
        else if (value !== false && value != null) element.setAttribute(name, value === true ? "" : value);
    }
    element.append(...children);
    return element;
}

export function field(label, input, more = "") {
    return make("label", { class: "tb-grid-field" }, make("span", {}, label), input, more);
}

// Asks by a dialog. build(close) gives its content, and calls close with the answer; null when it was put away.
export function ask(title, build) {
    return new Promise((resolve) => {
        const dialog = make("dialog", { class: "tb-grid-dialog", "aria-label": title });
        const close = (answer) => { dialog.returnValue = ""; dialog.close(); resolve(answer); dialog.remove(); };
        dialog.append(make("h2", { class: "tb-heading" }, title), build(close));
        dialog.addEventListener("cancel", (event) => { event.preventDefault(); close(null); });
        document.body.append(dialog);
        dialog.showModal();
    });
}

export const button = (text, onclick, style = "tb-button tb-plain") => make("button", { type: "button", class: style, onclick }, text);
