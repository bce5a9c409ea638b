// Choosing another kind of feature opens the page of that kind: what was typed so far comes along.
// Without this script the links lead there all the same, with empty fields.
document.addEventListener("click", (event) => {
    const link = event.target.closest?.(".ft-kinds a");
    const form = document.getElementById("feature_form");
    if (!link || !form || event.ctrlKey || event.metaKey || event.shiftKey) return;
    const address = new URL(link.href);
    for (const field of form.elements) {
        const typed = field.matches("input[type=text], textarea, select") && field.value;
        if (typed && field.name && field.name !== "kind") address.searchParams.set(field.name, field.value);
    }
    link.href = address;
    // Nothing is lost: the page asks nobody whether to leave once its form is submitted, or so it seems.
    form.dispatchEvent(new Event("submit"));
});
