// A text field with data-suggest="address" offers what the address answers to what is typed: {options: [{value, label}]}.
// With data-with="name" it also sends that field of the form. Without this script the field is typed into all the same.
document.querySelectorAll("input[data-suggest]").forEach((input) => {
    const list = document.getElementById(input.getAttribute("list"));
    let waiting, latest = 0;

    const ask = async () => {
        const mine = ++latest;
        const query = new URLSearchParams({ q: input.value });
        const beside = input.dataset.with && input.form.elements[input.dataset.with];
        if (beside) query.set(input.dataset.with, beside.value);
        const answer = await fetch(`${input.dataset.suggest}?${query}`, { credentials: "same-origin" }).catch(() => null);
        if (!answer || !answer.ok || mine !== latest) return;
        const { options } = await answer.json();
        list.replaceChildren(...options.map(({ value, label }) => new Option(label || value, value)));
    };

    input.addEventListener("input", () => {
        clearTimeout(waiting);
        waiting = setTimeout(ask, 200);
    });
    input.addEventListener("focus", ask);
});
