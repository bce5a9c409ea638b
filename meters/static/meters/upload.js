// A file that is too large is refused before it is sent.
document.addEventListener("change", (event) => {
    const input = event.target.closest("input[data-max-bytes]");
    if (!input) return;
    const most = Number(input.dataset.maxBytes);
    const size = input.files.length ? input.files[0].size : 0;
    input.setCustomValidity(size > most ? `The file has ${size.toLocaleString("en")} bytes; at most ${most.toLocaleString("en")} are taken: split it, or use gzip.` : "");
    input.reportValidity();
});
