/* SPDX-License-Identifier: MIT */
'use strict';
/* The page itself: its state, and what its parts tell each other. */

const ASPECT = 1.6;
const TABS = [['overview', 'Overview'], ['frame', 'Frame'], ['findings', 'Rules'], ['roots', 'Roots'], ['lists', 'Lists']];
const KEYS = [['/', 'search: mfn, pfn, address, symbol'], ['+ −', 'zoom'], ['0', 'all of it'], ['← ↑ → ↓', 'move the window'],
    ['Shift ← ↑ → ↓', 'the frame beside the chosen one'], ['Enter', 'choose the frame in the middle'], ['[ ]', 'frame before, frame after in this order'],
    ['n p', 'next, previous finding'], ['o', 'order by mfn or pfn'], ['c', 'colour by kind, runs, uses, writable'], ['f', 'findings’ rings on and off'],
    ['1 … 5', 'panels'], ['t', 'light or dark'], ['?', 'these keys'], ['Esc', 'close, or choose nothing']];

class App {
    constructor() {
        this.model = null;
        this.selected = NONE;
        this.by = 'mfn';
        this.shadeBy = 'kind';
        this.chosen = new Set();
        this.tab = 'overview';
        this.themeChosen = false;
        this.theme = matchMedia('(prefers-color-scheme: light)').matches ? 'light' : 'dark';
        this.view = new MapView($('frame'), {
            hover: (cell, x, y) => this.hover(cell, x, y), pick: (cell) => this.select(cell), moved: () => this.moved(),
            drawn: () => this.overlay.request(), label: (cell) => hex(this.model.c.mfn[cell]),
        });
        this.overlay = new Overlay(this.view);
        this.makeTabs();
        this.framePanel = new FramePanel(this, $('panel-frame'));
        this.timeline = new Timeline(this, $('timeline'));
        this.search = new Search(this);
        this.hash = new Hash(this);
        this.makeBar();
        this.listen();
        this.applyTheme();
    }

    paper() {
        return PAPER[this.theme];
    }

    kindColour(i) {
        const kind = this.model.meta.kinds[i];
        return kind ? kindColour(this.theme, kind.key, i) : this.paper().hole;
    }

    levelColour(level) {
        return KIND_COLOURS[this.theme][`l${level}`] || this.paper().ink;
    }

    rootName(cell) {
        const { meta, c } = this.model;
        const root = meta.roots.find((r) => r.mfn === c.mfn[cell]);
        return `root ${hex(c.mfn[cell])}${root ? ` (${root.of})` : ''}`;
    }

    /* The chosen frame if it is a root, the kernel's roots, then all others. */
    rootsToWalk() {
        const { meta } = this.model;
        const mfns = [...meta.vcpus.map((v) => v.kernel_root), ...meta.vcpus.map((v) => v.user_root), ...meta.roots.map((r) => r.mfn)];
        const cells = mfns.filter((x) => Number.isInteger(x) && x >= 0).map((x) => this.model.cellOfMfn(x)).filter((x) => x !== NONE);
        if (this.selected !== NONE && this.model.levelOf(this.selected) === 4)
            cells.unshift(this.selected);
        return [...new Set(cells)].slice(0, 64);
    }

    cellOfFinding(f) {
        const { model } = this;
        if (Number.isInteger(f.cell) && f.cell >= 0 && f.cell < model.cells)
            return f.cell;
        return Number.isInteger(f.mfn) && f.mfn >= 0 ? model.cellOfMfn(f.mfn) : NONE;
    }

    /* A model is shown, or takes the place of the one before without moving the window. */
    async show(model) {
        const before = this.model;
        const mfn = before && this.selected !== NONE ? before.c.mfn[this.selected] : null;
        const changed = before ? changedCells(before, model) : [];
        const order = new Order(model, this.by, ASPECT);
        const shade = await shadeOf(model, this.shadeBy);
        const old = this.view.picture;
        const picture = new Picture(order);
        await picture.fill(shade);
        this.model = model;
        this.order = order;
        this.shade = shade;
        this.shadeCounts = await countShade(shade, model.cells);
        await this.paint(picture);
        this.view.show(picture);
        if (old && (old.width !== picture.width || old.height !== picture.height))
            this.view.fit();
        this.selected = mfn === null ? NONE : model.cellOfMfn(mfn);
        this.afterShow(changed, before === null);
    }

    afterShow(changed, first) {
        const { model } = this;
        $('loading').hidden = true;
        showTitle(model.meta);
        this.overlay.found = [...new Set(model.meta.findings.map((f) => this.cellOfFinding(f)).filter((x) => x !== NONE))];
        this.overlay.glow(changed);
        this.drawLegend();
        this.drawPanels();
        this.mark(this.selected);
        this.timeline.show(model);
        this.view.request();
        if (first)
            this.takeHash(readHash());
    }

    async paint(picture = this.view.picture) {
        const colours = shadeColours(this.shade, this.theme);
        const sheet = parseColour(this.paper().sheet), hole = parseColour(this.paper().hole);
        const dim = (c) => mixColours(c, sheet, 0.82);
        const shown = colours.map((c, i) => (this.chosen.size && !this.chosen.has(this.shade.items[i].key) ? dim(c) : c));
        const weights = this.shade.items.map((item) => {
            if (this.chosen.size)
                return this.chosen.has(item.key) ? 12 : 1;
            return { l4: 16, l3: 12, l2: 8, l1: 3, segdesc: 6, shared_info: 12, start_info: 12 }[item.key] || 2;
        });
        if (await picture.paint(shown, hole, weights))
            this.view.request();
    }

    async setOrder(by) {
        if (by === this.by || !['mfn', 'pfn'].includes(by))
            return;
        this.by = by;
        this.checkBar();
        await this.rebuild();
        say(`in order of ${by}`);
    }

    async setShade(by) {
        if (by === this.shadeBy || !SHADES[by])
            return;
        this.shadeBy = by;
        this.chosen.clear();
        this.checkBar();
        await this.rebuild();
        say(`coloured by ${by}`);
    }

    async rebuild() {
        if (!this.model)
            return;
        const serial = this.serial = (this.serial || 0) + 1;
        const order = this.order.by === this.by ? this.order : new Order(this.model, this.by, ASPECT);
        const shade = await shadeOf(this.model, this.shadeBy);
        const counts = await countShade(shade, this.model.cells);
        const picture = new Picture(order);
        await picture.fill(shade);
        if (serial !== this.serial)
            return;
        Object.assign(this, { order, shade, shadeCounts: counts });
        await this.paint(picture);
        const moved = this.view.picture.order !== order;
        this.view.show(picture);
        if (moved && this.view.touched && this.selected !== NONE)
            this.view.goTo(this.selected, this.view.scale);
        this.drawLegend();
        this.hash.changed();
    }

    drawLegend() {
        const colours = shadeColours(this.shade, this.theme);
        const kept = document.activeElement && document.activeElement.dataset ? document.activeElement.dataset.key : null;
        put($('legend'), this.shade.items.map((item, i) => (this.shadeCounts[i] === 0 ? null
            : el('button', { type: 'button', 'data-key': item.key, 'aria-pressed': String(this.chosen.has(item.key)), title: item.name, on: { click: () => this.toggleKind(item.key) } },
                el('i', { colour: cssColour(colours[i]), 'aria-hidden': 'true' }), el('span', { class: 'label' }, item.name), el('span', { class: 'num' }, count(this.shadeCounts[i]))))));
        $('legend').classList.toggle('some', this.chosen.size > 0);
        const again = kept && [...$('legend').children].find((b) => b.dataset.key === kept);
        if (again)
            again.focus({ preventScroll: true });
    }

    toggleKind(key) {
        if (!this.chosen.delete(key))
            this.chosen.add(key);
        for (const b of $('legend').children)
            b.setAttribute('aria-pressed', String(this.chosen.has(b.dataset.key)));
        $('legend').classList.toggle('some', this.chosen.size > 0);
        this.hash.changed();
        return this.paint();
    }

    drawPanels() {
        overviewPanel(this, $('panel-overview'));
        rulesPanel(this, $('panel-findings'));
        rootsPanel(this, $('panel-roots'));
        listsPanel(this, $('panel-lists'));
        const found = this.model.meta.findings_in_all;
        put($('tab-findings'), 'Rules', found ? el('span', { class: 'badge' }, count(found)) : null);
    }

    select(cell, { go = false, walk = null, finding = -1 } = {}) {
        this.mark(cell);
        if (cell === NONE)
            return;
        if (go)
            this.view.goTo(cell);
        if (finding < 0)
            this.openTab('frame');
        if (walk)
            this.showWalk(walk);
        for (const b of document.querySelectorAll('.finding'))
            b.setAttribute('aria-current', String(Number(b.dataset.finding) === finding));
        const { c } = this.model;
        say(`mfn ${hex(c.mfn[cell])}, pfn ${pfnText(c.pfn[cell])}, ${this.model.kindOf(cell).name}`);
    }

    mark(cell) {
        const m = this.model;
        this.selected = cell;
        this.framePanel.show(cell);
        this.overlay.selected = cell;
        this.overlay.from = cell === NONE ? [] : [...new Set(m.entriesOf(cell, 64).found.map((e) => e.table))];
        const t = cell === NONE ? -1 : m.tableOf(cell);
        this.overlay.to = t < 0 ? [] : [...m.c.target.subarray(m.c.first[t], m.c.first[t + 1])].filter((x) => x !== NONE);
        this.overlay.request();
        this.hash.changed();
    }

    /* An address on its way through the tables, above what is said of its frame. */
    showWalk(walk) {
        const m = this.model;
        this.openTab('frame');
        const steps = walk.steps.map((s) => el('li', {}, el('b', {}, `L${s.level}`), ' ', chip(this, s.table), cellLink(this, s.table), ` slot ${s.slot} `,
            s.flags === null ? el('span', { class: 'broken' }, 'not present') : el('code', { class: 'soft' }, flagsText(s.flags)),
            s.target === NONE ? null : [' → ', cellLink(this, s.target)]));
        const region = m.regionOf(walk.va);
        const box = el('div', { id: 'walk' }, el('h2', {}, hexVa(walk.va)), el('p', { class: 'soft' }, `${region ? `${region}, ` : ''}from ${this.rootName(walk.root)}`),
            el('ol', { class: 'rows' }, steps), walk.why ? el('p', { class: 'broken' }, walk.why) : null);
        const old = $('walk');
        if (old)
            old.remove();
        $('panel-frame').prepend(box);
    }

    hover(cell, x, y) {
        const tip = $('tip');
        if (cell === NONE || !this.model) {
            tip.hidden = true;
            return;
        }
        const m = this.model, { c } = m;
        put(tip, el('b', {}, chip(this, cell), String(m.kindOf(cell).name)), el('br'), `mfn `, el('code', {}, hex(c.mfn[cell])), '  pfn ', el('code', {}, pfnText(c.pfn[cell])),
            el('br'), el('span', { class: 'soft' }, `${count(c.uses[cell])} uses, ${count(c.writable[cell])} writable${m.has(cell, FLAG.pinned) ? ', pinned' : ''}${m.has(cell, FLAG.found) ? ', a finding names it' : ''}`));
        tip.hidden = false;
        const w = tip.offsetWidth, h = tip.offsetHeight;
        tip.style.left = `${Math.min(x + 16, this.view.width - w - 6)}px`;
        tip.style.top = `${y + 16 + h > this.view.height ? Math.max(4, y - h - 12) : y + 16}px`;
    }

    moved() {
        if (!this.view.picture)
            return;
        const s = this.view.scale;
        put($('zoomed'), s >= 1 ? `${s.toFixed(s < 10 ? 1 : 0)} px a frame` : `${count(Math.round(1 / (s * s)))} frames a px`);
        if (this.hash)
            this.hash.changed();
    }

    takeHash(h) {
        this.opened = this.model !== null;
        if (h.theme === 'light' || h.theme === 'dark')
            this.setTheme(h.theme);
        if (TABS.some(([key]) => key === h.tab))
            this.openTab(h.tab);
        if (!this.model)
            return;
        this.chosen = new Set((h.only || '').split(',').filter((k) => this.shade.items.some((i) => i.key === k)));
        const mfn = /^[0-9a-f]{1,8}$/i.test(h.mfn || '') ? parseInt(h.mfn, 16) : -1;
        const cell = mfn < 0 ? NONE : this.model.cellOfMfn(mfn);
        const place = () => {
            const at = (h.at || '').split(',').map(Number);
            if (at.length === 3 && at.every(Number.isFinite)) {
                Object.assign(this.view, { x: at[0], y: at[1], scale: at[2], touched: true });
                this.view.changed();
            } else if (cell !== NONE)
                this.view.goTo(cell);
            if (cell !== NONE && cell !== this.selected)
                this.mark(cell);
            if (cell !== NONE && !h.tab)
                this.openTab('frame');
        };
        const order = h.order === 'pfn' ? 'pfn' : 'mfn', shade = SHADES[h.colour] ? h.colour : 'kind';
        this.settled = (async () => {
            if (order !== this.by || shade !== this.shadeBy) {
                Object.assign(this, { by: order, shadeBy: shade });
                this.checkBar();
                await this.rebuild();
                this.chosen = new Set((h.only || '').split(',').filter((k) => this.shade.items.some((i) => i.key === k)));
            }
            this.drawLegend();
            await this.paint();
            place();
        })();
    }

    setTheme(theme) {
        this.theme = theme;
        this.themeChosen = true;
        this.applyTheme();
    }

    applyTheme() {
        document.documentElement.dataset.theme = this.theme;
        this.view.paper = this.paper();
        if (this.model) {
            this.drawLegend();
            this.drawPanels();
            this.framePanel.show(this.selected);
            this.timeline.draw();
            this.painted = this.paint();
        }
        this.view.request();
        if (this.hash)
            this.hash.changed();
    }
}
