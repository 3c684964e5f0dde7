/* SPDX-License-Identifier: MIT */
'use strict';
/* What the address of the page says: selection, window, theme, order, colours; so that a link to a frame can be sent. */

function readHash() {
    const out = {};
    for (const part of location.hash.slice(1).split('&')) {
        const i = part.indexOf('=');
        if (i > 0)
            out[part.slice(0, i)] = part.slice(i + 1);
    }
    return out;
}

function hashOf(app) {
    const parts = [];
    if (app.selected !== NONE && app.model)
        parts.push(`mfn=${hex(app.model.c.mfn[app.selected])}`);
    const { view } = app;
    if (view.touched)
        parts.push(`at=${view.x.toFixed(1)},${view.y.toFixed(1)},${view.scale.toPrecision(4)}`);
    if (app.by !== 'mfn')
        parts.push(`order=${app.by}`);
    if (app.shadeBy !== 'kind')
        parts.push(`colour=${app.shadeBy}`);
    if (app.chosen.size)
        parts.push(`only=${[...app.chosen].join(',')}`);
    if (app.tab !== 'overview')
        parts.push(`tab=${app.tab}`);
    if (app.themeChosen)
        parts.push(`theme=${app.theme}`);
    return parts.join('&');
}

class Hash {
    constructor(app) {
        this.app = app;
        addEventListener('hashchange', () => {
            if (location.hash.slice(1) !== this.written)
                app.takeHash(readHash());
        });
    }

    changed() {
        if (this.timer || !this.app.opened)
            return;
        this.timer = setTimeout(() => {
            this.timer = null;
            this.write();
        }, 250);
    }

    write() {
        const text = hashOf(this.app);
        if (text === this.written || (!text && !location.hash))
            return;
        this.written = text;
        history.replaceState(null, '', text ? `#${text}` : location.pathname + location.search);
    }
}
