/* SPDX-License-Identifier: MIT */
'use strict';
/* The search box: mfn, pfn, address or symbol. */

class Search {
    constructor(app) {
        this.app = app;
        this.input = $('query');
        this.list = $('hits');
        this.hits = [];
        this.at = 0;
        $('search').addEventListener('submit', (e) => { e.preventDefault(); this.take(this.at); });
        this.input.addEventListener('input', () => this.update());
        this.input.addEventListener('focus', () => this.input.value && this.update());
        this.input.addEventListener('blur', () => setTimeout(() => this.close(), 150));
        this.input.addEventListener('keydown', (e) => this.keyed(e));
    }

    keyed(e) {
        if (e.key === 'ArrowDown' || e.key === 'ArrowUp') {
            e.preventDefault();
            this.mark(this.at + (e.key === 'ArrowDown' ? 1 : -1));
        } else if (e.key === 'Escape') {
            e.stopPropagation();
            this.input.value = '';
            this.close();
            $('map').focus();
        } else if (e.key === 'Enter') {
            e.preventDefault();
            this.update();
            this.take(this.at);
        }
    }

    close() {
        this.list.hidden = true;
        this.input.setAttribute('aria-expanded', 'false');
    }

    update() {
        const text = this.input.value.trim();
        this.hits = text && this.app.model ? this.find(text) : [];
        this.list.hidden = !text;
        this.input.setAttribute('aria-expanded', String(!this.list.hidden));
        put(this.list, this.hits.map((h, i) => el('li', { role: 'option', id: `hit-${i}`, class: h.cell === NONE ? 'none' : null, on: { pointerdown: (e) => { e.preventDefault(); this.take(i); } } },
            h.name, h.more ? el('small', {}, h.more) : null)));
        this.at = Math.max(0, this.hits.findIndex((h) => h.cell !== NONE));
        this.mark(this.at);
    }

    mark(i) {
        if (!this.hits.length)
            return;
        this.at = Math.max(0, Math.min(this.hits.length - 1, i));
        [...this.list.children].forEach((li, k) => li.setAttribute('aria-selected', String(k === this.at)));
        this.input.setAttribute('aria-activedescendant', `hit-${this.at}`);
    }

    take(i) {
        const hit = this.hits[i];
        if (!hit)
            return;
        if (hit.cell === NONE) {
            say(hit.name);
            if (hit.walk)
                this.app.showWalk(hit.walk);
            return;
        }
        this.close();
        this.input.blur();
        this.app.select(hit.cell, { go: true, walk: hit.walk });
        $('map').focus({ preventScroll: true });
    }

    find(text) {
        const m = /^(mfn|pfn|va|address)?\s*:?\s*(?:0x)?([0-9a-f]{1,16})$/i.exec(text);
        const hits = m ? this.number(m[1] && m[1].toLowerCase(), m[2]) : [];
        const symbols = this.symbols(text);
        const out = symbols.exact.concat(hits, symbols.rest);
        if (!out.length)
            out.push({ cell: NONE, name: `“${text.slice(0, 60)}” is no mfn, pfn, address or known symbol` });
        return out;
    }

    number(what, digits) {
        const value = BigInt(`0x${digits}`);
        if (what === 'mfn' || what === 'pfn')
            return [this.frame(what, value)];
        if (what || value > 0xffffffffn)
            return this.address(value);
        const both = [this.frame('mfn', value), this.frame('pfn', value)].sort((a, b) => (a.cell === NONE) - (b.cell === NONE));
        return both.concat(this.address(value).filter((h) => h.cell !== NONE));
    }

    frame(what, value) {
        const n = value <= 0xffffffffn ? Number(value) : -1;
        const { app } = this, { model } = app;
        const cell = n < 0 ? NONE : what === 'mfn' ? model.cellOfMfn(n) : model.cellOfPfn(n);
        if (cell === NONE)
            return { cell, name: `no frame of this file has ${what} ${value.toString(16)}` };
        const other = what === 'mfn' ? `pfn ${pfnText(model.c.pfn[cell])}` : `mfn ${hex(model.c.mfn[cell])}`;
        return { cell, name: `${what} ${hex(n)}`, more: `${other}, ${model.kindOf(cell).name}` };
    }

    address(va) {
        const { app } = this, { model } = app;
        if (canonical(va) !== va)
            return [{ cell: NONE, name: `${hexVa(va)} is not canonical` }];
        const roots = app.rootsToWalk();
        if (!roots.length)
            return [{ cell: NONE, name: 'no root is known to walk from' }];
        const walks = roots.map((root) => ({ root, va, ...model.walk(root, va) }));
        const good = walks.filter((w) => w.at !== null);
        const shown = good.length ? good.slice(0, 8) : walks.slice(0, 1);
        return shown.map((w) => (w.at === null
            ? { cell: NONE, name: `${hexVa(va)} is not mapped: ${w.why}`, more: `walked from ${app.rootName(w.root)}`, walk: w }
            : { cell: w.at, name: hexVa(va), more: `mfn ${hex(model.c.mfn[w.at])}, walked from ${app.rootName(w.root)}`, walk: w }));
    }

    symbols(text) {
        const exact = [], rest = [];
        const low = text.toLowerCase();
        for (const s of this.app.model.meta.symbols) {
            const name = String(s.name);
            if (!name.toLowerCase().includes(low))
                continue;
            const hit = this.symbol(s, name);
            (name.toLowerCase() === low ? exact : rest).push(hit);
        }
        return { exact, rest: rest.slice(0, 12) };
    }

    symbol(s, name) {
        const va = parseAddress(s.va);
        const walked = va === null ? [] : this.address(va).filter((h) => h.cell !== NONE);
        if (walked.length)
            return { ...walked[0], name, more: `${s.va}, ${walked[0].more}` };
        const cell = Number.isInteger(s.mfn) && s.mfn >= 0 ? this.app.model.cellOfMfn(s.mfn) : NONE;
        return { cell, name: cell === NONE ? `${name}: its frame is not in the file` : name, more: String(s.va) };
    }
}
