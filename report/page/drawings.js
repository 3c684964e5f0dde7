/* SPDX-License-Identifier: MIT */
'use strict';
/* Pictures in the panels: roots and what they share, and the tree of the guest's frames. */

const MOST_ROOTS = 48, MOST_SHARES = 64, MOST_NODES = 4096;

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

function slotsText(slots) {
    const s = slots.filter((n) => Number.isInteger(n));
    return s.length > 4 ? `${s.slice(0, 3).join(', ')} and ${s.length - 3} more` : s.join(', ');
}

function rootsDrawing(app) {
    const { meta } = app.model;
    const roots = meta.roots.slice(0, MOST_ROOTS), shares = meta.shares.slice(0, MOST_SHARES);
    const rows = Math.max(roots.length, shares.length, 1), step = 40, height = rows * step + 8;
    const yOf = (i, n) => (i + 0.5) * ((height - 8) / Math.max(1, n)) + 4;
    const most = Math.max(1, ...roots.map((r) => Number(r.tables) || 0));
    const picture = svg('svg', { viewBox: `0 0 360 ${height}`, role: 'group', 'aria-label': 'Roots and the tables that they share', id: 'roots-drawing' });
    const lines = shares.flatMap((s, k) => s.roots.filter((i) => Number.isInteger(i) && i >= 0 && i < roots.length).map((i) => svg('path', {
        d: `M126 ${yOf(i, roots.length)} C190 ${yOf(i, roots.length)} 190 ${yOf(k, shares.length)} 246 ${yOf(k, shares.length)}`,
        fill: 'none', stroke: app.levelColour(Number(s.level)), 'stroke-width': 1.4, opacity: shares.length > 12 ? 0.5 : 0.85 })));
    picture.append(...lines);
    roots.forEach((r, i) => {
        const y = yOf(i, roots.length);
        const wide = Math.max(3, 118 * (Number(r.tables) || 0) / most), own = Math.max(r.own ? 2 : 0, 118 * (Number(r.own) || 0) / most);
        picture.append(node(app, r.mfn, `root mfn ${hex(r.mfn)} of ${r.of}: ${count(r.tables)} tables, ${count(r.own)} its own`, {},
            svg('rect', { x: 4, y: y - 16, width: 122, height: 31, rx: 2, fill: 'var(--sunk)', stroke: 'var(--strong)' }),
            svg('rect', { x: 6, y: y + 8, width: wide, height: 5, fill: 'var(--strong)' }),
            svg('rect', { x: 6 + wide - Math.min(own, wide), y: y + 8, width: Math.min(own, wide), height: 5, fill: app.levelColour(4) }),
            svg('text', { x: 9, y: y - 4, class: 'mono' }, hex(r.mfn)),
            svg('text', { x: 9, y: y + 6, class: 'soft', style: null }, String(r.of).slice(0, 20))));
    });
    shares.forEach((s, k) => {
        const y = yOf(k, shares.length);
        picture.append(node(app, s.mfn, `L${s.level} table mfn ${hex(s.mfn)} in slots ${slotsText(s.slots)} of ${s.roots.length} roots`, {},
            svg('rect', { x: 246, y: y - 13, width: 110, height: 26, rx: 2, fill: 'var(--sunk)', stroke: app.levelColour(Number(s.level)) }),
            svg('text', { x: 252, y: y - 2, class: 'mono' }, `L${s.level} ${hex(s.mfn)}`),
            svg('text', { x: 252, y: y + 9, class: 'soft' }, `slot ${slotsText(s.slots)}`.slice(0, 20))));
    });
    const left = meta.roots.length - roots.length + meta.shares.length - shares.length;
    return [rove(picture), left > 0 ? el('p', { class: 'soft' }, `${left} more are not drawn.`) : null];
}

/* Three levels above each other; the last is a strip along the pfns, so that where it ends is seen against max_pfn. */
function treeDrawing(app) {
    const { tree } = app.model.meta;
    const all = tree.nodes.map((n) => ({ ...n })).filter((n) => n.level >= 1 && n.level <= 3);
    const nodes = all.slice(0, MOST_NODES);
    const end = Math.max(1, (Number(tree.max_pfn) || 0) + 1, Number(tree.covered) || 0, ...tree.gaps.map((g) => (Number(g.last) || 0) + 1));
    const xOf = (pfn) => 4 + 352 * Math.max(0, Math.min(1, (Number(pfn) || 0) / end));
    const picture = svg('svg', { viewBox: '0 0 360 172', role: 'group', 'aria-label': `Tree of the guest's frames: covers ${count(tree.covered)} of ${count(Number(tree.max_pfn) + 1)} pfns`, id: 'tree-drawing' });
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
    picture.append(...links, ...boxes, ...treeAxis(tree, xOf, end));
    const notes = tree.gaps.slice(0, 40).map((g) => el('li', { class: 'broken' }, `pfns ${hex(g.first)} to ${hex(g.last)}: ${g.what}`, g.text ? `; ${g.text}` : ''));
    return [rove(picture), el('p', {}, tree.covered > tree.max_pfn ? 'It names every pfn up to max_pfn' : el('span', { class: 'broken' }, `It ends at pfn ${hex(tree.covered)}`),
        `; max_pfn is ${hex(tree.max_pfn)}.`), notes.length ? el('ul', { class: 'rows', id: 'gaps' }, notes) : null,
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

function treeAxis(tree, xOf, end) {
    const out = [svg('line', { x1: 4, y1: 136, x2: 356, y2: 136, stroke: 'var(--strong)' })];
    for (const g of tree.gaps.slice(0, 200))
        out.push(svg('rect', { x: xOf(g.first), y: 98, width: Math.max(1, xOf(Number(g.last) + 1) - xOf(g.first)), height: 30, fill: 'url(#gap)', stroke: 'var(--mark)' }, svg('title', {}, `${g.what}: pfns ${hex(g.first)} to ${hex(g.last)}`)));
    const max = xOf(Number(tree.max_pfn) + 1);
    out.push(svg('line', { x1: max, y1: 90, x2: max, y2: 144, stroke: 'var(--ink)', 'stroke-width': 1.5 }),
        svg('text', { x: max, y: 156, 'text-anchor': 'end' }, `max_pfn ${hex(tree.max_pfn)}`), svg('text', { x: 4, y: 156, class: 'soft' }, 'pfn 0'));
    if (Number(tree.covered) < end)
        out.push(svg('line', { x1: xOf(tree.covered), y1: 90, x2: xOf(tree.covered), y2: 144, stroke: 'var(--mark)', 'stroke-width': 1.5 }),
            svg('text', { x: xOf(tree.covered), y: 169, 'text-anchor': xOf(tree.covered) > 180 ? 'end' : 'start', fill: 'var(--mark)' }, `ends at ${hex(tree.covered)}`));
    return out;
}
