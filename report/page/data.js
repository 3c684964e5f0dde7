/* SPDX-License-Identifier: MIT */
'use strict';
/* What the page was given, decoded and checked (docs/report-format.md). All of it comes from a guest that may be hostile. */

const NONE = 0xffffffff;
const MOST_CELLS = 1 << 26, MOST_ENTRIES = 1 << 28;
const FLAG = { pinned: 1, user: 2, exec: 4, zero: 8, found: 16, own: 32, listed: 64 };
const ENTRY = { rw: 1, us: 2, accessed: 4, dirty: 8, superpage: 16, global: 32, nx: 64 };
const COLUMNS = {
    mfn: 'u32', pfn: 'u32', kind: 'u8', flags: 'u8', uses: 'u16', writable: 'u16', table: 'u32', first: 'u32',
    slot: 'u16', target: 'u32', entry: 'u8', act_time: 'u32', act_kind: 'u8', act_cell: 'u32',
};
const ARRAYS = { u8: Uint8Array, u16: Uint16Array, u32: Uint32Array };

const breath = () => new Promise((go) => {
    const channel = new MessageChannel();
    channel.port1.onmessage = () => { channel.port1.close(); go(); };
    channel.port2.postMessage(0);
});

/* Calls work(from, to) for [0, n) in parts, and lets the page live in between. */
async function inParts(n, part, work) {
    let last = performance.now();
    for (let i = 0; i < n; i += part) {
        work(i, Math.min(n, i + part));
        if (performance.now() - last > 24) {
            await breath();
            last = performance.now();
        }
    }
}

async function feedBase64(text, stream) {
    const writer = stream.getWriter();
    const step = 1 << 18;
    for (let i = 0; i < text.length; i += step) {
        const raw = atob(text.slice(i, i + step));
        const bytes = new Uint8Array(raw.length);
        for (let k = 0; k < raw.length; k++)
            bytes[k] = raw.charCodeAt(k);
        await writer.ready;
        await writer.write(bytes);
    }
    await writer.close();
}

async function inflate(text, size, tick) {
    const out = new Uint8Array(size);
    const stream = new DecompressionStream('deflate');
    const fed = feedBase64(/\s/.test(text) ? text.replace(/\s+/g, '') : text, stream.writable);
    const reader = stream.readable.getReader();
    const drained = (async () => {
        let at = 0, last = performance.now();
        for (;;) {
            const { done, value } = await reader.read();
            if (done)
                break;
            if (at + value.length > size)
                throw new Error('it holds more than it says');
            out.set(value, at);
            at += value.length;
            tick(value.length);
            if (performance.now() - last > 24) {
                await breath();
                last = performance.now();
            }
        }
        if (at !== size)
            throw new Error(`it holds ${at} bytes of ${size}`);
    })();
    fed.catch(() => {});
    try {
        await drained;
        await fed;
    } catch (e) {
        reader.cancel().catch(() => {});
        throw e;
    }
    return out;
}

async function undelta(a) {
    let sum = 0;
    await inParts(a.length, 1 << 18, (from, to) => {
        for (let i = from; i < to; i++)
            a[i] = sum = (sum + a[i]) >>> 0;
    });
}

function columnShape(meta, name) {
    const c = meta.columns[name];
    if (c === undefined)
        return null;
    if (!c || c.type !== COLUMNS[name] || (c.coding !== 'plain' && c.coding !== 'delta') || (c.coding === 'delta' && c.type === 'u8'))
        throw new Error(`column ${name}: this page does not know its shape`);
    if (!Number.isInteger(c.count) || c.count < 0 || c.count > MOST_ENTRIES)
        throw new Error(`column ${name}: ${c.count} elements`);
    return { name, array: ARRAYS[c.type], count: c.count, delta: c.coding === 'delta' };
}

async function decodeColumn(shape, text, tick) {
    const size = shape.count * shape.array.BYTES_PER_ELEMENT;
    try {
        const a = new shape.array((await inflate(text, size, tick)).buffer);
        if (shape.delta)
            await undelta(a);
        return a;
    } catch (e) {
        throw new Error(`column ${shape.name}: ${e.message || 'it is damaged'}`);
    }
}

/* All columns; those that are not there are empty. textOf(name) is the base64 of one, or null. */
async function decodeColumns(meta, textOf, progress) {
    if (!meta || meta.format !== 1)
        throw new Error(`the data are of format ${meta && meta.format}, this page reads format 1`);
    if (!meta.columns || typeof meta.columns !== 'object')
        throw new Error('the data name no columns');
    const shapes = Object.keys(COLUMNS).map((name) => columnShape(meta, name)).filter((s) => s);
    const total = shapes.reduce((n, s) => n + s.count * s.array.BYTES_PER_ELEMENT, 0);
    const out = {};
    let done = 0;
    for (const name of Object.keys(COLUMNS))
        out[name] = new ARRAYS[COLUMNS[name]](0);
    for (const shape of shapes) {
        const text = textOf(shape.name);
        if (text === null)
            throw new Error(`column ${shape.name} is not in the file`);
        out[shape.name] = await decodeColumn(shape, text, (n) => {
            done += n;
            progress(total ? done / total : 1, `decoding ${shape.name}`);
        });
    }
    return out;
}

function mustBeSame(c, names) {
    for (const name of names)
        if (c[name].length !== c[names[0]].length)
            throw new Error(`columns ${names[0]} and ${name} differ in length`);
}

async function mustAscend(a, what) {
    await inParts(a.length, 1 << 18, (from, to) => {
        for (let i = Math.max(1, from); i < to; i++)
            if (a[i] <= a[i - 1])
                throw new Error(`column ${what} does not ascend at ${i}`);
    });
}

async function mustBeBelow(a, limit, none, what) {
    await inParts(a.length, 1 << 18, (from, to) => {
        for (let i = from; i < to; i++)
            if (a[i] >= limit && !(none && a[i] === NONE))
                throw new Error(`column ${what}: ${a[i]} at ${i}, there are ${limit}`);
    });
}

async function checkColumns(meta, c) {
    if (!Array.isArray(meta.kinds) || !meta.kinds.length || meta.kinds.length > 255)
        throw new Error('the data name no kinds');
    mustBeSame(c, ['mfn', 'pfn', 'kind', 'flags', 'uses', 'writable']);
    mustBeSame(c, ['slot', 'target', 'entry']);
    mustBeSame(c, ['act_time', 'act_kind', 'act_cell']);
    const n = c.mfn.length;
    if (n > MOST_CELLS)
        throw new Error(`${n} frames are more than this page shows`);
    await mustAscend(c.mfn, 'mfn');
    await mustBeBelow(c.kind, meta.kinds.length, false, 'kind');
    await mustAscend(c.table, 'table');
    await mustBeBelow(c.table, n, false, 'table');
    if (c.table.length && (c.first.length !== c.table.length + 1 || c.first[c.table.length] !== c.slot.length))
        throw new Error('column first does not fit the tables');
    for (let i = 1; i < c.first.length; i++)
        if (c.first[i] < c.first[i - 1])
            throw new Error(`column first descends at ${i}`);
    await mustBeBelow(c.slot, 512, false, 'slot');
    await mustBeBelow(c.target, n, true, 'target');
    await mustBeBelow(c.act_cell, n, true, 'act_cell');
}

/* Lists that the panels go through are lists, and numbers are numbers or null. */
function tidyMeta(meta) {
    for (const key of ['vcpus', 'regions', 'roots', 'shares', 'p2m', 'differences', 'rules', 'findings', 'symbols'])
        if (!Array.isArray(meta[key]))
            meta[key] = [];
        else
            meta[key] = meta[key].filter((x) => x && typeof x === 'object');
    for (const key of ['domain', 'p2m_summary', 'tree'])
        if (!meta[key] || typeof meta[key] !== 'object')
            meta[key] = {};
    for (const key of ['nodes', 'gaps'])
        meta.tree[key] = Array.isArray(meta.tree[key]) ? meta.tree[key].filter((x) => x && typeof x === 'object') : [];
    meta.shares = meta.shares.filter((s) => Array.isArray(s.slots) && Array.isArray(s.roots));
    for (const kind of meta.kinds)
        kind.key = String(kind.key);
    if (meta.timeline && !Array.isArray(meta.timeline.acts))
        meta.timeline = null;
}

async function readData(meta, textOf, progress) {
    const c = await decodeColumns(meta, textOf, progress);
    progress(1, 'checking');
    await checkColumns(meta, c);
    tidyMeta(meta);
    progress(1, 'indexing');
    return Model.make(meta, c);
}

function embeddedText(name) {
    const e = document.getElementById(`pvmm-column-${name}`);
    if (!e)
        return null;
    const text = e.textContent;
    e.remove();
    return text;
}

function embeddedMeta() {
    const e = document.getElementById('pvmm-report');
    if (!e)
        throw new Error('this page holds no data: it was not made by pvmm report');
    try {
        return JSON.parse(e.textContent);
    } catch (error) {
        throw new Error(`the data about the file are damaged: ${error.message}`);
    }
}
