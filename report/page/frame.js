/* SPDX-License-Identifier: MIT */
'use strict';
/* The panel of one frame: what it is, who maps it and where, and what it holds if it is a table. */

const FIRST_MAPPERS = 12, MORE_MAPPERS = 50;

class FramePanel {
    constructor(app, box) {
        this.app = app;
        this.box = box;
    }

    show(cell) {
        const { app } = this;
        if (cell === NONE || !app.model) {
            put(this.box, el('h2', {}, 'No frame chosen'),
                el('p', { class: 'soft' }, 'Click a frame of the map, search for one, or press Enter on the map for the one in its middle.'));
            return;
        }
        const m = app.model, c = m.c;
        const kind = m.kindOf(cell);
        put(this.box, el('h2', { id: 'frame-title' }, chip(app, cell), `mfn ${hex(c.mfn[cell])}`),
            el('p', { class: 'soft' }, String(kind.name)), this.factsOf(cell), this.said(cell), this.holds(cell), this.mappers(cell));
    }

    factsOf(cell) {
        const m = this.app.model, { c, meta } = m;
        const own = m.has(cell, FLAG.own);
        const number = (n) => (n === 65535 ? '65 535 or more' : count(n));
        const isTable = m.tableOf(cell) >= 0;
        return facts([
            ['mfn', el('code', { id: 'frame-mfn' }, hex(c.mfn[cell]))],
            ['pfn', el('code', { id: 'frame-pfn' }, pfnText(c.pfn[cell]))],
            ['kind', el('span', { id: 'frame-kind' }, String(m.kindOf(cell).name))],
            ['owner', own ? this.owner(meta) : 'not the guest'],
            (isTable || m.has(cell, FLAG.pinned)) && ['pinned', yes(m.has(cell, FLAG.pinned))],
            ['used by', el('span', { id: 'frame-uses' }, `${number(c.uses[cell])} ${c.uses[cell] === 1 ? 'entry' : 'entries'}`)],
            ['writable by', number(c.writable[cell])],
            ['in its list', m.has(cell, FLAG.listed) ? 'yes, at its pfn' : own ? 'no' : 'no; not its own'],
            ['mapped', [m.has(cell, FLAG.user) && 'for the user', m.has(cell, FLAG.exec) && 'executable'].filter((x) => x).join(', ') || (c.uses[cell] ? 'for the kernel' : 'by nobody')],
            ['contents', m.has(cell, FLAG.zero) ? 'all zeroes' : 'not all zeroes'],
        ]);
    }

    owner(meta) {
        const { id, name } = meta.domain;
        return `the guest${name ? ` ${name}` : ''}${Number.isInteger(id) ? ` (d${id})` : ''}`;
    }

    /* Names that lead to this frame: symbols, roots, vCPUs, findings. */
    said(cell) {
        const { app } = this, m = app.model, mfn = m.c.mfn[cell], { meta } = m;
        const lines = [];
        for (const s of m.symbolsOf(cell))
            lines.push(el('li', {}, el('code', {}, String(s.name)), ' ', el('span', { class: 'soft' }, String(s.va))));
        for (const r of meta.roots.filter((x) => x.mfn === mfn))
            lines.push(el('li', {}, `root: ${r.of}`));
        for (const v of meta.vcpus.filter((x) => x.kernel_root === mfn || x.user_root === mfn))
            lines.push(el('li', {}, `${v.kernel_root === mfn ? 'kernel' : 'user'} root of vCPU ${v.n}`));
        for (const n of meta.tree.nodes.filter((x) => x.mfn === mfn).slice(0, 4))
            lines.push(el('li', {}, `level ${n.level} of ${meta.tree.kind}, pfns ${hex(n.first_pfn)} to ${hex(n.last_pfn)}`));
        if (meta.start_info === mfn)
            lines.push(el('li', {}, 'start_info of this boot'));
        const found = meta.findings.filter((f) => f.cell === cell || f.mfn === mfn);
        for (const f of found.slice(0, 8))
            lines.push(el('li', { class: 'broken' }, `R${f.rule}: ${f.text}`));
        return lines.length ? [el('h3', {}, 'said of it'), el('ul', { class: 'rows' }, lines)] : null;
    }

    mappers(cell) {
        const { app } = this, m = app.model;
        const list = el('ul', { class: 'rows', id: 'mappers' });
        const { found, next } = m.entriesOf(cell, FIRST_MAPPERS);
        for (const entry of found)
            list.append(this.mapper(entry, cell));
        const left = m.meta.detail === 'tables' ? el('p', { class: 'soft' }, m.meta.left_out || 'Entries of L1 tables are not in this report; the counts are of all.') : null;
        const none = found.length ? null : el('p', { class: 'soft' }, 'No entry that this report holds names it.');
        return [el('h3', {}, 'who maps it'), list, none, next >= 0 ? this.more(list, cell, next) : null, left];
    }

    more(list, cell, next) {
        const button = el('button', { type: 'button', class: 'more' }, 'More');
        button.addEventListener('click', () => {
            const got = this.app.model.entriesOf(cell, MORE_MAPPERS, next);
            for (const entry of got.found)
                list.append(this.mapper(entry, cell));
            next = got.next;
            if (next < 0)
                button.remove();
        });
        return button;
    }

    mapper(entry, cell) {
        const { app } = this, m = app.model;
        const whole = entry.level > 1 && !(entry.flags & ENTRY.superpage) && m.tableOf(cell) >= 0;
        const addresses = m.addressesOf(entry.table, entry.slot, 16);
        return el('li', {}, chip(app, entry.table), cellLink(app, entry.table), ` L${entry.level || '?'} slot ${entry.slot} `,
            el('code', { class: 'soft' }, flagsText(entry.flags)), whole ? el('span', { class: 'soft' }, ' as a table') : null,
            this.addressLines(addresses));
    }

    /* An address once, with all the roots under which it is one. */
    addressLines(addresses) {
        const { app } = this;
        const roots = new Map();
        for (const a of addresses)
            roots.set(a.va, [...(roots.get(a.va) || []), a.root]);
        return [...roots].map(([va, of]) => el('span', { class: 'va' }, el('code', {}, hexVa(va)), ` ${app.model.regionOf(va)} `,
            el('span', { class: 'soft' }, `under ${of.slice(0, 3).map((r) => app.rootName(r)).join(', ')}${of.length > 3 ? ` and ${of.length - 3} more` : ''}`)));
    }

    holds(cell) {
        const m = this.app.model, t = m.tableOf(cell);
        if (t < 0)
            return null;
        const { first } = m.c;
        const n = first[t + 1] - first[t];
        const box = el('div', {});
        const strip = this.strip(t, box);
        return [el('h3', {}, `what it holds: ${n} of 512`), n ? strip : el('p', { class: 'soft' }, 'No entry of it is in this report.'), box];
    }

    /* 512 slots as 64 by 8 squares in the colours of what they name. */
    strip(t, box) {
        const { app } = this, { c } = app.model;
        const canvas = el('canvas', { class: 'strip', width: 384, height: 48, tabindex: '0', role: 'slider', 'aria-label': 'Slots of this table: arrows choose, Enter goes there',
            'aria-valuemin': '0', 'aria-valuemax': '511', id: 'strip' });
        const context = canvas.getContext('2d');
        const at = new Map();
        for (let e = c.first[t]; e < c.first[t + 1]; e++)
            at.set(c.slot[e], e);
        let now = at.size ? at.keys().next().value : 0;
        const draw = () => {
            context.fillStyle = app.paper().hole;
            context.fillRect(0, 0, 384, 48);
            for (const [slot, e] of at) {
                context.fillStyle = c.target[e] === NONE ? app.paper().mark : app.kindColour(c.kind[c.target[e]]);
                context.fillRect(slot % 64 * 6, (slot >> 6) * 6, 5, 5);
            }
            context.strokeStyle = app.paper().ink;
            context.strokeRect(now % 64 * 6 - 0.5, (now >> 6) * 6 - 0.5, 6, 6);
        };
        const choose = (slot) => {
            now = Math.max(0, Math.min(511, slot));
            canvas.setAttribute('aria-valuenow', now);
            const e = at.get(now);
            const text = e === undefined ? 'not present' : c.target[e] === NONE ? 'names a frame that is not in the file' : '';
            canvas.setAttribute('aria-valuetext', `slot ${now} ${text}`);
            put(box, el('p', {}, `slot ${now}: `, text || [chip(app, c.target[e]), cellLink(app, c.target[e])], ' ',
                e === undefined ? '' : el('code', { class: 'soft' }, flagsText(c.entry[e]))));
            draw();
        };
        const slotOf = (e) => {
            const r = canvas.getBoundingClientRect();
            return Math.min(7, Math.floor((e.clientY - r.top) / r.height * 8)) * 64 + Math.min(63, Math.floor((e.clientX - r.left) / r.width * 64));
        };
        const go = () => {
            const e = at.get(now);
            if (e !== undefined && c.target[e] !== NONE)
                app.select(c.target[e], { go: true });
        };
        canvas.addEventListener('click', (e) => choose(slotOf(e)));
        canvas.addEventListener('dblclick', go);
        canvas.addEventListener('keydown', (e) => {
            const step = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: 64, ArrowUp: -64 }[e.key];
            if (!step && e.key !== 'Enter')
                return;
            e.preventDefault();
            e.stopPropagation();
            if (step)
                choose(now + step);
            else
                go();
        });
        choose(now);
        return canvas;
    }
}
