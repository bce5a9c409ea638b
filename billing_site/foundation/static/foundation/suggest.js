// A text field with data-suggest="address" offers what the address answers to what is typed: {options: [{value, label}]}.
// With data-with="name" it also sends that field of the form. Without this script the field is typed into all the same.
// The document listens, so that fields of dialogs, which come later, are heard as well.
(() => {
    const asking = new WeakMap();

    const ask = async (input) => {
        const mine = (asking.get(input)?.latest ?? 0) + 1;
        asking.set(input, { ...asking.get(input), latest: mine });
        const query = new URLSearchParams({ q: input.value });
        const beside = input.dataset.with && input.form.elements[input.dataset.with];
        if (beside) query.set(input.dataset.with, beside.value);
        const answer = await fetch(`${input.dataset.suggest}?${query}`, { credentials: "same-origin" }).catch(() => null);
        if (!answer || !answer.ok || mine !== asking.get(input).latest) return;
        const { options } = await answer.json();
        const list = document.getElementById(input.getAttribute("list"));
        list?.replaceChildren(...options.map(({ value, label }) => new Option(label || value, value)));
    };

    document.addEventListener("input", ({ target }) => {
        if (!target.matches?.("input[data-suggest]")) return;
        clearTimeout(asking.get(target)?.waiting);
        asking.set(target, { ...asking.get(target), waiting: setTimeout(() => ask(target), 200) });
    });
    document.addEventListener("focusin", ({ target }) => {
        if (target.matches?.("input[data-suggest]")) ask(target);
    });
})();
