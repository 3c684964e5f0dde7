/* SPDX-License-Identifier: MIT */
'use strict';
/* Questions about the frames: where one is, who maps it, where an address leads. A cell is a frame that is shown. */

function lowerBound(a, value, n = a.length) {
    let low = 0, high = n;
    while (low < high) {
        const mid = (low + high) >>> 1;
        if (a[mid] < value)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

const canonical = (va) => BigInt.asUintN(64, BigInt.asIntN(48, va));

function parseAddress(text) {
    try {
        return typeof text === 'string' && /^0x[0-9a-f]{1,16}$/i.test(text) ? BigInt(text) : null;
    } catch {
        return null;
    }
}

class Model {
    static async make(meta, c) {
        const m = new Model();
        Object.assign(m, { meta, c, cells: c.mfn.length });
        m.level = meta.kinds.map((k) => (/^l[1-4]$/.test(k.key) ? Number(k.key[1]) : 0));
        await m.indexPfns();
        await m.indexTables();
        return m;
    }

    /* pfns in a row where they are dense enough, else sorted pairs. */
    async indexPfns() {
        const { pfn } = this.c;
        let end = 0, known = 0;
        await inParts(this.cells, 1 << 18, (from, to) => {
            for (let i = from; i < to; i++)
                if (pfn[i] !== NONE) {
                    known++;
                    if (pfn[i] >= end)
                        end = pfn[i] + 1;
                }
        });
        this.endPfn = end;
        this.dense = end <= 4 * this.cells + 65536;
        if (this.dense) {
            this.byPfn = new Uint32Array(end).fill(NONE);
            await inParts(this.cells, 1 << 18, (from, to) => {
                for (let i = from; i < to; i++)
                    if (pfn[i] !== NONE)
                        this.byPfn[pfn[i]] = i;
            });
            return;
        }
        this.byPfn = new Uint32Array(known);
        let k = 0;
        for (let i = 0; i < this.cells; i++)
            if (pfn[i] !== NONE)
                this.byPfn[k++] = i;
        this.byPfn.sort((a, b) => pfn[a] - pfn[b]);
    }

    /* Which tables hold a table: few enough to be kept; who maps a frame is looked for when it is asked. */
    async indexTables() {
        const { table, first, target, entry, kind } = this.c;
        this.holders = new Map();
        await inParts(table.length, 512, (from, to) => {
            for (let t = from; t < to; t++) {
                const level = this.level[kind[table[t]]];
                if (level < 2)
                    continue;
                for (let e = first[t]; e < first[t + 1]; e++)
                    if (target[e] !== NONE && !(entry[e] & ENTRY.superpage))
                        this.addHolder(target[e], t, e);
            }
        });
    }

    addHolder(cell, t, e) {
        const have = this.holders.get(cell);
        if (have)
            have.push([t, e]);
        else
            this.holders.set(cell, [[t, e]]);
    }

    cellOfMfn(mfn) {
        const i = lowerBound(this.c.mfn, mfn);
        return i < this.cells && this.c.mfn[i] === mfn ? i : NONE;
    }

    cellOfPfn(pfn) {
        if (!Number.isInteger(pfn) || pfn < 0 || pfn >= this.endPfn)
            return NONE;
        if (this.dense)
            return this.byPfn[pfn];
        let low = 0, high = this.byPfn.length;
        while (low < high) {
            const mid = (low + high) >>> 1;
            if (this.c.pfn[this.byPfn[mid]] < pfn)
                low = mid + 1;
            else
                high = mid;
        }
        return low < this.byPfn.length && this.c.pfn[this.byPfn[low]] === pfn ? this.byPfn[low] : NONE;
    }

    tableOf(cell) {
        const t = lowerBound(this.c.table, cell);
        return t < this.c.table.length && this.c.table[t] === cell ? t : -1;
    }

    levelOf(cell) {
        return this.level[this.c.kind[cell]];
    }

    kindOf(cell) {
        return this.meta.kinds[this.c.kind[cell]];
    }

    has(cell, flag) {
        return (this.c.flags[cell] & flag) !== 0;
    }

    /* Entries that name a cell, at most `most` from entry `from` on; and where to go on, or -1. */
    entriesOf(cell, most, from = 0) {
        const { target } = this.c;
        const found = [];
        let e = target.indexOf(cell, from);
        while (e >= 0 && found.length < most) {
            found.push(this.entryAt(e));
            e = target.indexOf(cell, e + 1);
        }
        return { found, next: e };
    }

    entryAt(e) {
        const { first, table, slot, entry, target } = this.c;
        let low = 0, high = table.length;
        while (low < high) {
            const mid = (low + high) >>> 1;
            if (first[mid + 1] <= e)
                low = mid + 1;
            else
                high = mid;
        }
        const cell = table[low];
        return { e, table: cell, level: this.levelOf(cell), slot: slot[e], flags: entry[e], target: target[e] };
    }

    /* Addresses that `slot` of table `cell` stands for, up to each root; at most `most`. */
    addressesOf(cell, slot, most = 4) {
        const out = [];
        const climb = (at, level, low, path) => {
            if (out.length >= most)
                return;
            if (level === 4) {
                out.push({ root: at, va: canonical(low), path });
                return;
            }
            for (const [t, e] of this.holders.get(at) || []) {
                const parent = this.c.table[t];
                if (this.levelOf(parent) !== level + 1)
                    continue;
                const part = BigInt(this.c.slot[e]) << BigInt(12 + 9 * level);
                climb(parent, level + 1, low | part, [{ table: parent, slot: this.c.slot[e] }, ...path]);
            }
        };
        const level = this.levelOf(cell);
        if (level)
            climb(cell, level, BigInt(slot) << BigInt(12 + 9 * (level - 1)), [{ table: cell, slot }]);
        return out;
    }

    /* The walk of an address from a root: one step a level, as far as it goes. */
    walk(root, va) {
        const steps = [];
        let at = root;
        for (let level = 4; level >= 1; level--) {
            const slot = Number((va >> BigInt(12 + 9 * (level - 1))) & 511n);
            const t = this.tableOf(at);
            if (t < 0)
                return { steps, at: null, why: `mfn ${hex(this.c.mfn[at])} is not known as a table` };
            const { first, slot: slots, target, entry } = this.c;
            let e = first[t];
            while (e < first[t + 1] && slots[e] !== slot)
                e++;
            if (e === first[t + 1]) {
                const left = level === 1 && this.meta.detail === 'tables';
                steps.push({ level, table: at, slot, flags: null, target: NONE });
                return { steps, at: null, why: left ? 'entries of L1 tables are not in this report' : `L${level} slot ${slot} is not present` };
            }
            steps.push({ level, table: at, slot, flags: entry[e], target: target[e] });
            if (target[e] === NONE)
                return { steps, at: null, why: `L${level} slot ${slot} names a frame that is not in the file` };
            at = target[e];
            if (level > 1 && entry[e] & ENTRY.superpage) {
                const below = Number((va >> 12n) & ((1n << BigInt(9 * (level - 1))) - 1n));
                const cell = this.cellOfMfn(this.c.mfn[at] + below);
                return { steps, at: cell === NONE ? null : cell, why: cell === NONE ? 'its frame is not in the file' : '' };
            }
        }
        return { steps, at, why: '' };
    }

    regionOf(va) {
        for (const r of this.meta.regions) {
            const from = parseAddress(r.from), to = parseAddress(r.to);
            if (from !== null && to !== null && va >= from && va <= to)
                return String(r.name);
        }
        return '';
    }

    symbolsOf(cell) {
        return this.meta.symbols.filter((s) => s.mfn === this.c.mfn[cell]);
    }

    /* Length of the run that a frame is in, pfns and mfns going on together; as log2, for the picture. */
    async runs() {
        const { mfn, pfn } = this.c;
        const out = new Uint8Array(this.cells);
        let start = 0;
        await inParts(this.cells, 1 << 18, (from, to) => {
            for (let i = from; i < to; i++) {
                const goesOn = i + 1 < this.cells && mfn[i + 1] === mfn[i] + 1 && pfn[i] !== NONE && pfn[i + 1] === pfn[i] + 1;
                if (goesOn)
                    continue;
                out.fill(Math.min(24, Math.floor(Math.log2(i + 1 - start))), start, i + 1);
                start = i + 1;
            }
        });
        return out;
    }
}

const hex = (n) => (n === null || n === undefined ? '?' : Number(n).toString(16));
const hexVa = (va) => `0x${va.toString(16).padStart(16, '0')}`;
const count = (n) => (typeof n === 'number' && Number.isFinite(n) ? n.toLocaleString('en').replace(/,/g, '\u202f') : '?');

function bytesText(n) {
    if (typeof n !== 'number' || !Number.isFinite(n))
        return '?';
    const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
    let u = 0;
    while (n >= 1024 && u < 4) {
        n /= 1024;
        u++;
    }
    return `${n >= 100 || n === Math.floor(n) ? Math.round(n) : n.toFixed(1)} ${units[u]}`;
}

function flagsText(f) {
    const names = [[ENTRY.rw, 'RW'], [ENTRY.us, 'US'], [ENTRY.accessed, 'A'], [ENTRY.dirty, 'D'],
        [ENTRY.superpage, 'PSE'], [ENTRY.global, 'G'], [ENTRY.nx, 'NX']];
    return names.filter(([bit]) => f & bit).map(([, name]) => name).join(' ') || 'P';
}
