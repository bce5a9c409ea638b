// A file that is too large is refused before it is sent.
document.addEventListener("change", (event) => {
    const box = event.target.closest("[data-max-bytes]");
    if (!box || !event.target.files) return;
    const most = Number(box.dataset.maxBytes);
    const size = event.target.files.length ? event.target.files[0].size : 0;
    const tooLarge = size > most;
    document.getElementById("fault").textContent = tooLarge
        ? `The file has ${size.toLocaleString("en")} bytes; at most ${most.toLocaleString("en")} are taken: split it, or use gzip.`
        : "";
    event.target.form.querySelector("[type=submit]").disabled = tooLarge;
});
