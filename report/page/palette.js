/* SPDX-License-Identifier: MIT */
'use strict';
/* Colours. Page tables are warm, the kernel's own blue, users' green, what is special purple; within a family by lightness, so
 * that it can be told without hue. One set for paper, one for night. */

const KIND_COLOURS = {
    dark: {
        l4: '#fff4c2', l3: '#ffd447', l2: '#ff9d2e', l1: '#e85d2f', segdesc: '#f5b3df', shared_info: '#ff5fc4', start_info: '#ffffff',
        list: '#b57bea', text: '#a8dcff', kernel_ro: '#62b0ee', user_text: '#c6f7a0', user: '#2fc088', user_ro: '#1b8270',
        kernel: '#3474c4', plain: '#46536a', blank: '#222c3d', foreign: '#8d6a6a',
    },
    light: {
        l4: '#4d0610', l3: '#8f1318', l2: '#d1401a', l1: '#ee8a2c', segdesc: '#e05aa8', shared_info: '#b3127f', start_info: '#111111',
        list: '#7d4bc0', text: '#0a2f66', kernel_ro: '#1f62ac', user_text: '#0b4a33', user: '#1f8a60', user_ro: '#7fc4a2',
        kernel: '#6ea6df', plain: '#bdb8aa', blank: '#e3ded0', foreign: '#8a7468',
    },
};
const SPARE_COLOURS = ['#c08552', '#7a9e9f', '#a26769', '#6b717e'];
const PAPER = {
    dark: { sheet: '#10161f', hole: '#151c27', line: '#10161f', ink: '#eef2f7', mark: '#ff4d5e', glow: '#7cf5ff', arc: '#fff2b0' },
    light: { sheet: '#f4f0e6', hole: '#ece7da', line: '#f4f0e6', ink: '#1b1f24', mark: '#d4002a', glow: '#0077ff', arc: '#5a1e00' },
};
/* From few to many, readable without hue: dark to light at night, light to dark on paper. */
const RAMP = {
    dark: ['#2b1a4f', '#4a2377', '#8a2c74', '#c9455c', '#f2784b', '#fbb65a', '#fdf3b4'],
    light: ['#f3e3b3', '#f2b872', '#e5815c', '#c14a63', '#8a2c74', '#541f6f', '#241346'],
};

const parseColour = (text) => [1, 3, 5].map((i) => parseInt(text.slice(i, i + 2), 16));
const packColour = ([r, g, b]) => (255 << 24 | b << 16 | g << 8 | r) >>> 0;
const mixColours = (a, b, t) => a.map((v, i) => Math.round(v + (b[i] - v) * t));
const cssColour = ([r, g, b]) => `rgb(${r},${g},${b})`;

function rampColour(theme, t) {
    const stops = RAMP[theme].map(parseColour);
    const at = Math.max(0, Math.min(1, t)) * (stops.length - 1);
    const i = Math.min(stops.length - 2, Math.floor(at));
    return mixColours(stops[i], stops[i + 1], at - i);
}

function kindColour(theme, key, i) {
    return KIND_COLOURS[theme][key] || SPARE_COLOURS[i % SPARE_COLOURS.length];
}

/* What the picture is coloured by: an index for each cell, names for the legend, and how much each shows from far away. */
const SHADES = {
    kind: { title: 'kind', help: 'what a frame is' },
    runs: { title: 'runs', help: 'how long pfns and mfns go on together: fragmentation' },
    uses: { title: 'uses', help: 'how many entries map a frame, or hold it as a table' },
    writable: { title: 'writable', help: 'how many entries let a frame be written' },
};

function countBucket(n) {
    return n === 0 ? 0 : n === 1 ? 1 : n === 2 ? 2 : n < 5 ? 3 : n < 17 ? 4 : n < 257 ? 5 : 6;
}
const COUNT_NAMES = ['none', '1', '2', '3 to 4', '5 to 16', '17 to 256', 'more'];

async function shadeOf(model, by) {
    if (by === 'kind')
        return { index: model.c.kind, items: model.meta.kinds.map((k) => ({ key: k.key, name: String(k.name) })) };
    if (by === 'runs') {
        const index = await model.runs();
        const items = Array.from({ length: 25 }, (_, i) => ({ key: `run${i}`, name: `${bytesText(4096 * 2 ** i)} and more`, t: 0 }));
        const counts = await countShade({ index, items }, model.cells);
        const longest = Math.max(1, counts.findLastIndex((n) => n > 0));
        items.forEach((item, i) => { item.t = Math.max(0, 1 - i / longest); });
        return { index, items };
    }
    const from = model.c[by], index = new Uint8Array(model.cells);
    await inParts(model.cells, 1 << 18, (a, b) => {
        for (let i = a; i < b; i++)
            index[i] = countBucket(from[i]);
    });
    return { index, items: COUNT_NAMES.map((name, i) => ({ key: `n${i}`, name, t: i / 6 })) };
}

async function countShade(shade, cells) {
    const counts = new Array(shade.items.length).fill(0);
    await inParts(cells, 1 << 18, (a, b) => {
        for (let i = a; i < b; i++)
            counts[shade.index[i]]++;
    });
    return counts;
}

function shadeColours(shade, theme) {
    return shade.items.map((item, i) => (item.t === undefined ? parseColour(kindColour(theme, item.key, i)) : rampColour(theme, item.t)));
}
