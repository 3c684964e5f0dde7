/* SPDX-License-Identifier: MIT */
'use strict';
/* Tabs, the bar above the map, and the keys; and the start. */

Object.assign(App.prototype, {
    makeTabs() {
        put($('tabs'), TABS.map(([key, name]) => el('button', { type: 'button', role: 'tab', id: `tab-${key}`, 'aria-controls': `panel-${key}`, on: { click: () => this.openTab(key) } }, name)));
        put($('panels'), TABS.map(([key, name]) => el('div', { role: 'tabpanel', id: `panel-${key}`, 'aria-label': name, tabindex: '0' })));
        $('tabs').addEventListener('keydown', (e) => {
            const step = { ArrowRight: 1, ArrowLeft: -1 }[e.key];
            if (!step)
                return;
            e.preventDefault();
            e.stopPropagation();
            const i = TABS.findIndex(([key]) => key === this.tab);
            this.openTab(TABS[(i + step + TABS.length) % TABS.length][0]);
            $(`tab-${this.tab}`).focus();
        });
        this.openTab(this.tab);
    },

    openTab(tab) {
        this.tab = tab;
        for (const [key] of TABS) {
            $(`tab-${key}`).setAttribute('aria-selected', String(key === tab));
            $(`tab-${key}`).setAttribute('tabindex', key === tab ? '0' : '-1');
            $(`panel-${key}`).hidden = key !== tab;
        }
        if (this.hash)
            this.hash.changed();
    },

    makeBar() {
        const radio = (group, key, title, help, go) => el('label', { title: help }, el('input', { type: 'radio', name: group, value: key, on: { change: () => go(key) } }), title);
        $('orders').append(radio('order', 'mfn', 'mfn', 'by frame of the machine', (k) => this.setOrder(k)), radio('order', 'pfn', 'pfn', 'by frame of the guest', (k) => this.setOrder(k)));
        for (const [key, s] of Object.entries(SHADES))
            $('shades').append(radio('shade', key, s.title, s.help, (k) => this.setShade(k)));
        $('zoom-in').addEventListener('click', () => this.view.zoom(2));
        $('zoom-out').addEventListener('click', () => this.view.zoom(0.5));
        $('zoom-fit').addEventListener('click', () => this.view.fit());
        $('rings').addEventListener('change', () => this.showRings($('rings').checked));
        $('theme').addEventListener('click', () => this.setTheme(this.theme === 'dark' ? 'light' : 'dark'));
        $('help').addEventListener('click', () => $('keys').showModal());
        put($('key-list'), KEYS.map(([keys, what]) => [el('dt', {}, el('kbd', {}, keys)), el('dd', {}, what)]));
        this.checkBar();
    },

    checkBar() {
        for (const input of document.querySelectorAll('.bar input[type="radio"]'))
            input.checked = input.value === (input.name === 'order' ? this.by : this.shadeBy);
    },

    showRings(on) {
        $('rings').checked = on;
        this.overlay.showFound = on;
        this.overlay.request();
    },

    listen() {
        document.addEventListener('keydown', (e) => this.keyed(e));
        document.addEventListener('visibilitychange', () => this.overlay.request());
        matchMedia('(prefers-color-scheme: light)').addEventListener('change', (e) => {
            if (!this.themeChosen) {
                this.theme = e.matches ? 'light' : 'dark';
                this.applyTheme();
            }
        });
    },

    keyed(e) {
        if (e.ctrlKey || e.metaKey || e.altKey || $('keys').open || /^(text|search)$/.test(e.target.type || ''))
            return;
        const onMap = e.target === $('map') || e.target === document.body;
        const arrow = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[e.key];
        if (arrow && onMap) {
            e.preventDefault();
            if (e.shiftKey)
                this.stepFrame(arrow);
            else
                this.view.pan(arrow[0] * 80 / this.view.scale, arrow[1] * 80 / this.view.scale);
            return;
        }
        if (e.key === 'Enter' && onMap) {
            e.preventDefault();
            this.select(this.view.cellUnder(this.view.width / 2, this.view.height / 2));
            return;
        }
        const doing = this.keys()[e.key];
        if (!doing)
            return;
        e.preventDefault();
        doing();
    },

    keys() {
        const shades = Object.keys(SHADES);
        const out = {
            '/': () => { $('query').focus(); $('query').select(); }, '+': () => this.view.zoom(1.5), '=': () => this.view.zoom(1.5), '-': () => this.view.zoom(1 / 1.5),
            0: () => this.view.fit(), '[': () => this.stepOrder(-1), ']': () => this.stepOrder(1), n: () => this.stepFinding(1), p: () => this.stepFinding(-1),
            o: () => this.setOrder(this.by === 'mfn' ? 'pfn' : 'mfn'), c: () => this.setShade(shades[(shades.indexOf(this.shadeBy) + 1) % shades.length]),
            f: () => this.showRings(!this.overlay.showFound), t: () => this.setTheme(this.theme === 'dark' ? 'light' : 'dark'), '?': () => $('keys').showModal(),
            Escape: () => this.select(NONE),
        };
        TABS.forEach(([key], i) => { out[i + 1] = () => { this.openTab(key); $(`tab-${key}`).focus(); }; });
        return out;
    },

    stepFrame([dx, dy]) {
        if (!this.model)
            return;
        const { curve } = this.order;
        const place = this.selected === NONE ? null : this.order.placeOf(this.selected);
        const cell = place ? this.order.cellAt(curve.at(place.x + dx, place.y + dy)) : this.view.cellUnder(this.view.width / 2, this.view.height / 2);
        if (cell === NONE)
            return;
        this.select(cell);
        this.view.reveal(cell);
    },

    stepOrder(step) {
        if (!this.model || this.selected === NONE)
            return;
        let at = this.order.positionOf(this.selected) + step;
        while (at >= 0 && at < this.order.curve.positions && this.order.cellAt(at) === NONE)
            at += step;
        const cell = this.order.cellAt(at);
        if (cell === NONE)
            return;
        this.select(cell);
        this.view.reveal(cell);
    },

    stepFinding(step) {
        const buttons = [...document.querySelectorAll('.finding:not([disabled])')];
        if (!buttons.length)
            return;
        const now = buttons.findIndex((b) => b.getAttribute('aria-current') === 'true');
        const next = buttons[now < 0 ? (step > 0 ? 0 : buttons.length - 1) : (now + step + buttons.length) % buttons.length];
        this.openTab('findings');
        next.click();
        next.focus();
    },
});

function loadingShown(part, text) {
    $('progress').value = part;
    put($('loading-text'), text);
}

function failed(e) {
    const box = $('failed');
    put(box, `This report cannot be shown: ${e && e.message ? e.message : e}.`);
    box.hidden = false;
    $('loading').hidden = true;
    say(box.textContent);
}

function stateOf(app) {
    const m = app.model, sel = app.selected;
    return {
        ready: m !== null, theme: app.theme, order: app.by, colour: app.shadeBy, only: [...app.chosen], tab: app.tab, cells: m ? m.cells : 0,
        scale: app.view.scale, x: app.view.x, y: app.view.y, level: app.view.level, rings: app.overlay.found.length, glows: app.overlay.glows.length,
        mfn: sel === NONE ? null : m.c.mfn[sel], pfn: sel === NONE || m.c.pfn[sel] === NONE ? null : m.c.pfn[sel], kind: sel === NONE ? null : m.kindOf(sel).key,
        turns: app.live ? app.live.turns : 0, gone: app.live ? app.live.gone : false,
    };
}

/* For tests: where a frame is on the screen, and what colour its kind has. */
function lookAt(app) {
    return {
        place(mfn) {
            const at = app.view.screenOf(app.model.cellOfMfn(mfn));
            const r = $('map').getBoundingClientRect();
            return at && { x: at.x + r.left, y: at.y + r.top };
        },
        goTo: (mfn, scale) => app.view.goTo(app.model.cellOfMfn(mfn), scale),
        colour: (mfn) => app.kindColour(app.model.c.kind[app.model.cellOfMfn(mfn)]),
        settled: async () => { await app.settled; await app.painted; },
    };
}

(() => {
    const app = new App();
    const begin = async () => {
        app.takeHash(readHash());
        const meta = embeddedMeta();
        if (meta.live) {
            app.live = new Live(app);
            loadingShown(0, 'asking the guest');
            await app.live.turn();
            return;
        }
        await app.show(await readData(meta, embeddedText, loadingShown));
        await app.settled;
    };
    const ready = begin().catch(failed);
    window.pvmm = { ready, state: () => stateOf(app), look: lookAt(app) };
})();
