// One more row for a condition, up to as many as the server reads. Without this script each search adds one.
const conditions = document.querySelector(".tb-conditions");
const add = document.querySelector("[data-add-condition]");
const AT_MOST = 5;

const rows = () => conditions.querySelectorAll(".tb-condition");
const offer = () => (add.hidden = rows().length >= AT_MOST);

add.addEventListener("click", () => {
    const number = rows().length;
    const row = rows()[number - 1].cloneNode(true);
    row.querySelectorAll(".tb-remove, [role=alert]").forEach((each) => each.remove());
    row.setAttribute("aria-label", `Condition ${number + 1}`);
    row.querySelectorAll("input, select").forEach((field) => {
        field.name = field.name.replace(/^p-\d+-/, `p-${number}-`);
        field.id = `id_${field.name}`;
        if (field.tagName === "INPUT") field.value = "";
        else field.selectedIndex = 0;
    });
    conditions.append(row);
    row.querySelector("input").focus();
    offer();
});
offer();
