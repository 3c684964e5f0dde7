/* SPDX-License-Identifier: MIT */
'use strict';
/* Pictures in the panels: roots and what they share, and the tree of the guest's frames. */

const MOST_ROOTS = 48, MOST_SHARES = 16 * 14, MOST_NODES = 4096;

function node(app, mfn, label, attributes, ...children) {
    const cell = Number.isInteger(mfn) && mfn >= 0 ? app.model.cellOfMfn(mfn) : NONE;
    const go = () => cell !== NONE && app.select(cell, { go: true });
    return svg('g', { class: 'node', role: 'button', 'aria-label': label, 'data-mfn': Number.isInteger(mfn) ? mfn : null, ...attributes,
        on: { click: go, keydown: (e) => { if (e.key === 'Enter' || e.key === ' ') { e.preventDefault(); e.stopPropagation(); go(); } } } },
    svg('title', {}, label), ...children);
}

/* One stop of Tab for a whole picture; arrows go on from node to node. */
function rove(picture) {
    const nodes = [...picture.querySelectorAll('.node')];
    nodes.forEach((n, i) => n.setAttribute('tabindex', i ? '-1' : '0'));
    picture.addEventListener('keydown', (e) => {
        const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[e.key];
        const at = nodes.indexOf(document.activeElement);
        if (!step || at < 0)
            return;
        e.preventDefault();
        e.stopPropagation();
        const next = nodes[Math.max(0, Math.min(nodes.length - 1, at + step))];
        nodes[at].setAttribute('tabindex', '-1');
        next.setAttribute('tabindex', '0');
        next.focus();
    });
    return picture;
}

/* Slots in runs: 256-271, 402. */
function slotsText(slots) {
    const s = slots.filter((n) => Number.isInteger(n)).sort((a, b) => a - b);
    const runs = [];
    for (const n of s)
        if (runs.length && runs[runs.length - 1][1] + 1 >= n)
            runs[runs.length - 1][1] = n;
        else
            runs.push([n, n]);
    return runs.map(([a, b]) => (a === b ? `${a}` : `${a}–${b}`)).join(', ');
}

/* Shared tables by level and by the roots that share them. */
function shareGroups(meta) {
    const groups = new Map();
    for (const s of meta.shares) {
        const roots = s.roots.filter((i) => Number.isInteger(i) && i >= 0 && i < Math.min(MOST_ROOTS, meta.roots.length));
        const key = `${s.level} ${roots.join()}`;
        if (!groups.has(key))
            groups.set(key, { level: Number(s.level), roots, shares: [] });
        groups.get(key).shares.push(s);
    }
    return [...groups.values()].sort((a, b) => b.shares.length - a.shares.length);
}

const SQUARE = 9, SQUARES = 14;

function groupHeight(g) {
    return 34 + Math.ceil(Math.min(MOST_SHARES, g.shares.length) / SQUARES) * SQUARE;
}

function rootsDrawing(app) {
    const { meta } = app.model;
    const roots = meta.roots.slice(0, MOST_ROOTS), all = shareGroups(meta), groups = all.slice(0, 24);
    const step = 46, gap = 12;
    const right = groups.reduce((h, g) => h + groupHeight(g) + gap, 0);
    const height = Math.max(roots.length * step, right, 40) + 8;
    const yRoot = (i) => (i + 0.5) * (height - 8) / Math.max(1, roots.length) + 4;
    const picture = svg('svg', { viewBox: `0 0 360 ${height}`, role: 'group', 'aria-label': 'Roots and the tables that they share', id: 'roots-drawing' });
    const boxes = [];
    let y = 4 + (height - 8 - right + gap) / 2;
    for (const g of groups) {
        const h = groupHeight(g);
        for (const i of g.roots)
            picture.append(svg('path', { d: `M124 ${yRoot(i)} C172 ${yRoot(i)} 168 ${y + h / 2} 216 ${y + h / 2}`, fill: 'none', stroke: app.levelColour(g.level),
                'stroke-width': 1 + Math.min(5, Math.log2(g.shares.length)), opacity: 0.7 }));
        boxes.push(...shareBox(app, g, y, h));
        y += h + gap;
    }
    const most = Math.max(1, ...roots.map((r) => Number(r.tables) || 0));
    picture.append(...boxes, ...roots.map((r, i) => rootBox(app, r, yRoot(i), most)));
    const left = meta.roots.length - roots.length;
    return [rove(picture), left > 0 ? el('p', { class: 'soft' }, `${left} more roots are not drawn.`) : null,
        all.length > groups.length ? el('p', { class: 'soft' }, `${all.length - groups.length} more groups of shared tables are not drawn.`) : null];
}

function rootBox(app, r, y, most) {
    const wide = Math.max(3, 112 * (Number(r.tables) || 0) / most), own = Math.max(r.own ? 3 : 0, 112 * (Number(r.own) || 0) / most);
    return node(app, r.mfn, `root mfn ${hex(r.mfn)}, ${r.of}: ${count(r.tables)} tables, ${count(r.own)} its own`, {},
        svg('rect', { x: 4, y: y - 19, width: 120, height: 38, rx: 2, fill: 'var(--sunk)', stroke: app.levelColour(4) }),
        svg('text', { x: 10, y: y - 6, class: 'mono' }, `L4 ${hex(r.mfn)}`),
        svg('text', { x: 10, y: y + 7, class: 'soft' }, String(r.of).slice(0, 20)),
        svg('rect', { x: 8, y: y + 12, width: wide, height: 4, fill: 'var(--strong)' }),
        svg('rect', { x: 8 + wide - Math.min(own, wide), y: y + 12, width: Math.min(own, wide), height: 4, fill: app.levelColour(4) }));
}

function shareBox(app, g, y, h) {
    const slots = slotsText(g.shares.flatMap((s) => s.slots));
    const out = [svg('rect', { x: 216, y, width: 140, height: h, rx: 2, fill: 'var(--sunk)', stroke: app.levelColour(g.level) }, svg('title', {}, `slots ${slots}`)),
        svg('text', { x: 222, y: y + 13 }, `${count(g.shares.length)} L${g.level} of ${g.roots.length} roots`),
        svg('text', { x: 222, y: y + 25, class: 'soft' }, `slot ${slots}`.slice(0, 21) + (slots.length > 16 ? '…' : ''))];
    g.shares.slice(0, MOST_SHARES * 4).slice(0, Math.floor((h - 34) / SQUARE) * SQUARES).forEach((s, k) => {
        out.push(node(app, s.mfn, `L${s.level} table mfn ${hex(s.mfn)} in slot ${slotsText(s.slots)} of ${s.roots.length} roots`, {},
            svg('rect', { x: 222 + k % SQUARES * SQUARE, y: y + 30 + Math.floor(k / SQUARES) * SQUARE, width: SQUARE - 2, height: SQUARE - 2, fill: app.levelColour(g.level) })));
    });
    return out;
}

/* Three levels above each other; the last is a strip along the pfns, so that where it ends is seen against max_pfn. */
function treeDrawing(app) {
    const { tree } = app.model.meta;
    const all = tree.nodes.map((n) => ({ ...n })).filter((n) => n.level >= 1 && n.level <= 3);
    const nodes = all.slice(0, MOST_NODES);
    const end = Math.max(1, (Number(tree.max_pfn) || 0) + 1, Number(tree.covered) || 0, ...tree.gaps.map((g) => (Number(g.last) || 0) + 1));
    const xOf = (pfn) => 4 + 352 * Math.max(0, Math.min(1, (Number(pfn) || 0) / end));
    const picture = svg('svg', { viewBox: '0 0 360 172', role: 'group', 'aria-label': `Tree of the guest's frames: names ${count(tree.covered)} pfns, max_pfn is ${hex(tree.max_pfn)}`, id: 'tree-drawing' });
    picture.append(svg('defs', {}, svg('pattern', { id: 'gap', width: 6, height: 6, patternUnits: 'userSpaceOnUse', patternTransform: 'rotate(45)' },
        svg('rect', { width: 3, height: 6, fill: 'var(--mark)' }))));
    const rowOf = { 3: 4, 2: 50, 1: 98 }, highOf = { 3: 22, 2: 22, 1: 30 };
    const middle = (n) => (xOf(n.first_pfn) + xOf(Number(n.last_pfn) + 1)) / 2;
    const links = [], boxes = [];
    for (const n of nodes) {
        const x = xOf(n.first_pfn), w = Math.max(0.6, xOf(Number(n.last_pfn) + 1) - x), y = rowOf[n.level];
        const parent = Number.isInteger(n.parent) ? tree.nodes[n.parent] : null;
        if (parent && rowOf[parent.level] && links.length < 600)
            links.push(svg('path', { d: `M${middle(parent)} ${rowOf[parent.level] + highOf[parent.level]} L${middle(n)} ${y}`, stroke: 'var(--rule)', fill: 'none' }));
        boxes.push(treeNode(app, n, x, y, w, highOf[n.level]));
    }
    picture.append(...links, ...boxes, ...treeAxis(tree, xOf));
    const notes = tree.gaps.slice(0, 40).map((g) => el('li', { class: 'broken' }, `pfns ${hex(g.first)} to ${hex(g.last)}: ${g.what}`, g.text ? `; ${g.text}` : ''));
    const short = endOfTree(tree);
    return [rove(picture), el('p', {}, short === null ? `It goes on to max_pfn, ${hex(tree.max_pfn)}` : el('span', { class: 'broken' }, `It ends at pfn ${hex(short)}, before max_pfn, ${hex(tree.max_pfn)}`),
        `; it names ${count(tree.covered)} pfns.`), notes.length ? el('ul', { class: 'rows', id: 'gaps' }, notes) : null,
    all.length > nodes.length ? el('p', { class: 'soft' }, `${count(all.length - nodes.length)} nodes more are not drawn.`) : null];
}

function treeNode(app, n, x, y, w, h) {
    const colour = { ok: 'var(--accent)', differs: 'var(--mark)' }[n.state] || 'url(#gap)';
    const label = `level ${n.level}, index ${n.index}, pfns ${hex(n.first_pfn)} to ${hex(n.last_pfn)}: ${n.state}${n.text ? `, ${n.text}` : ''}${Number.isInteger(n.mfn) ? `, mfn ${hex(n.mfn)}` : ''}`;
    const text = w > 60 ? svg('text', { x: x + 6, y: y + h / 2 + 4, class: 'mono' }, Number.isInteger(n.mfn) ? `mfn ${hex(n.mfn)}` : String(n.state)) : null;
    const gap = w > 3 ? 0.5 : w > 1 ? 0.15 : 0;
    return node(app, n.mfn, label, { 'data-state': n.state },
        svg('rect', { x: x + gap, y, width: Math.max(0.5, w - 2 * gap), height: h, fill: n.level === 1 || n.state !== 'ok' ? colour : 'var(--sunk)',
            stroke: w > 3 && (n.level > 1 || n.state !== 'ok') ? 'var(--strong)' : null, 'fill-opacity': n.level === 1 ? 0.85 : 1 }), text);
}

/* Where a tree ends that ends before max_pfn: the beginning of the gap that goes on to it. */
function endOfTree(tree) {
    const gap = tree.gaps.find((g) => g.what !== 'differs' && Number(g.last) + 1 >= Number(tree.max_pfn));
    return gap ? gap.first : null;
}

function treeAxis(tree, xOf) {
    const out = [svg('line', { x1: 4, y1: 136, x2: 356, y2: 136, stroke: 'var(--strong)' })];
    for (const g of tree.gaps.slice(0, 200))
        out.push(svg('rect', { x: xOf(g.first), y: 98, width: Math.max(1, xOf(Number(g.last) + 1) - xOf(g.first)), height: 30, fill: 'url(#gap)', stroke: 'var(--mark)' }, svg('title', {}, `${g.what}: pfns ${hex(g.first)} to ${hex(g.last)}`)));
    const max = xOf(Number(tree.max_pfn) + 1);
    out.push(svg('line', { x1: max, y1: 90, x2: max, y2: 144, stroke: 'var(--ink)', 'stroke-width': 1.5 }),
        svg('text', { x: max, y: 156, 'text-anchor': 'end' }, `max_pfn ${hex(tree.max_pfn)}`), svg('text', { x: 4, y: 156, class: 'soft' }, 'pfn 0'));
    const short = endOfTree(tree);
    if (short !== null)
        out.push(svg('line', { x1: xOf(short), y1: 90, x2: xOf(short), y2: 144, stroke: 'var(--mark)', 'stroke-width': 1.5 }),
            svg('text', { x: xOf(short), y: 169, 'text-anchor': xOf(short) > 180 ? 'end' : 'start', fill: 'var(--mark)' }, `ends at ${hex(short)}`));
    return out;
}
