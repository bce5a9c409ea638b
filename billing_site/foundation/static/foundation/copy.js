/* Buttons with data-copy="<selector>" copy the value or text of what they name, and say so. */
document.addEventListener("click", async (event) => {
    const button = event.target.closest("[data-copy]");
    if (!button) return;
    const source = document.querySelector(button.dataset.copy);
    const text = "value" in source ? source.value : source.textContent;
    try {
        await navigator.clipboard.writeText(text);
    } catch {
        // Over plain HTTP browsers offer no clipboard: select the text, so that Ctrl-C takes it.
        if ("select" in source) source.select();
        else getSelection().selectAllChildren(source);
        if (!document.execCommand("copy")) return;
    }
    const label = button.textContent;
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = label; }, 2000);
});
