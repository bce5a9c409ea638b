// Draws the chart of a table that stands on the page: its rows are windows of time, its columns lines. What is drawn is
// therefore what is read, and the table is there without this script. The second column, “All”, is drawn when it is alone;
// with data-whole="none" there is no such column. data-kind: stack, lines, or steps, which hold until the next row.
"use strict";

const COLORS = ["#0d9488", "#d97706", "#6366f1", "#db2777", "#65a30d", "#0284c7", "#9333ea", "#dc2626", "#a16207"];
const OTHERS = "#94a3b8";
const HEIGHT = 280;
const color = (name) => (name === "others" ? OTHERS : COLORS[Number(name) % COLORS.length]);

// 1234567 → 1.2 M: only for the axis, which needs no more digits than it has lines.
const brief = new Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: 3 });

function read(table, whole) {
    const heads = [...table.tHead.rows[0].cells].slice(1);
    const rows = [...table.tBodies[0].rows];
    const cell = (row, number) => row.cells[number + 1];
    const value = (row, number) => {
        const data = cell(row, number).querySelector("data");
        return data ? Number(data.value) : null;
    };
    const columns = heads.map((head, number) => ({
        name: head.textContent.trim(),
        color: "others" in head.dataset ? OTHERS : color(Math.max(0, number - whole)),
        values: rows.map((row) => value(row, number)),
        text: (place) => cell(rows[place], number).textContent.trim(),
    }));
    return { labels: rows.map((row) => row.cells[0].textContent.trim()), all: whole ? columns[0] : null, lines: columns.slice(whole) };
}

// Each line upon those before it; drawn from the highest to the lowest, so that none hides another.
function stacked(lines, length) {
    const sums = new Array(length).fill(0);
    return lines.map((line) => ({ ...line, values: line.values.map((value, place) => (sums[place] += value ?? 0)) })).reverse();
}

function draw(box) {
    const { labels, all, lines } = read(document.getElementById(box.dataset.table), box.dataset.whole === "none" ? 0 : 1);
    const stacks = box.dataset.kind === "stack";
    const steps = box.dataset.kind === "steps";
    const parts = lines.length ? lines : [{ ...all, color: COLORS[0] }];
    const shown = stacks ? stacked(parts, labels.length) : parts;
    const readout = box.parentElement.querySelector(".tb-readout");
    const sparse = labels.length <= 100;
    // The year goes without saying on an axis of days.
    const short = labels.map((label) => (label.length > 7 ? label.slice(5) : label));
    const ink = () => getComputedStyle(box);

    const tell = (place) => {
        if (place == null) return void (readout.textContent = "Point at the chart, or use the arrow keys, to read a window.");
        const each = lines.map((line) => [line.name, line.text(place)]).filter(([, text]) => text !== "–");
        const first = all ? `${labels[place]}: ${all.text(place)} ${box.dataset.unit}` : labels[place];
        const told = [first, ...each.map((pair) => pair.join(" "))];
        readout.textContent = told.join(" · ");
    };

    const plot = new uPlot(
        {
            width: box.clientWidth,
            height: HEIGHT,
            legend: { show: false },
            cursor: { y: false, drag: { x: false, y: false } },
            hooks: { setCursor: [(u) => tell(u.cursor.idx)] },
            scales: {
                x: { time: false, range: [-0.6, labels.length - 0.4] },
                y: { range: (u, low, high) => (low < 0 ? [low * 1.05, Math.max(0, high) * 1.05] : [0, (high || 1) * 1.05]) },
            },
            axes: [
                {
                    stroke: () => ink().color,
                    grid: { show: false },
                    ticks: { show: false },
                    incrs: [1, 2, 3, 4, 6, 7, 12, 14, 24, 28, 48, 72, 96, 168, 336],
                    space: Math.max(...short.map((text) => text.length)) * 7 + 16,
                    values: (u, places) => places.map((place) => short[place] ?? ""),
                },
                {
                    stroke: () => ink().color,
                    grid: { stroke: () => ink().borderTopColor, width: 1 },
                    ticks: { show: false },
                    size: 56,
                    values: (u, values) => values.map((value) => brief.format(value)),
                },
            ],
            series: [
                {},
                ...shown.map((line) => ({
                    label: line.name,
                    stroke: line.color,
                    fill: stacks ? line.color : undefined,
                    width: stacks ? 0 : 2,
                    points: { show: !stacks && !steps && sparse, size: 5, fill: line.color },
                    paths: stacks ? uPlot.paths.bars({ size: [labels.length > 200 ? 1 : 0.85, 64] }) : steps ? uPlot.paths.stepped({ align: 1 }) : undefined,
                })),
            ],
        },
        [labels.map((_, place) => place), ...shown.map((line) => line.values)],
        box,
    );

    tell(null);
    box.addEventListener("keydown", (event) => {
        const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
        if (!step) return;
        event.preventDefault();
        const last = labels.length - 1;
        const from = plot.cursor.idx ?? (step > 0 ? -1 : last + 1);
        const place = Math.min(last, Math.max(0, from + step));
        plot.setCursor({ left: plot.valToPos(place, "x"), top: 0 });
    });
    new ResizeObserver(() => plot.setSize({ width: box.clientWidth, height: HEIGHT })).observe(box);
    // The theme was changed.
    new MutationObserver(() => plot.redraw(false)).observe(document.documentElement, { attributeFilter: ["class"] });
}

document.querySelectorAll(".tb-swatch").forEach((swatch) => (swatch.style.background = color(swatch.dataset.color)));
document.querySelectorAll(".tb-chart").forEach(draw);
