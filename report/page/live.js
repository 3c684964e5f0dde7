/* SPDX-License-Identifier: MIT */
'use strict';
/* A running guest: its data once more, a second after the last were drawn. */

class Live {
    constructor(app) {
        this.app = app;
        this.paused = false;
        this.gone = false;
        this.turns = 0;
        this.button = $('pause');
        this.button.hidden = false;
        this.button.addEventListener('click', () => this.pause(!this.paused));
    }

    start() {
        if (!this.next)
            this.next = setTimeout(() => this.turn(), this.turns ? 1000 : 0);
    }

    pause(paused) {
        this.paused = paused;
        put(this.button, paused ? 'Go on' : 'Pause');
        this.tell(paused ? 'paused' : 'live');
        if (!paused)
            this.start();
    }

    tell(text, alert) {
        const e = $('live-state');
        if (e) {
            put(e, text);
            e.className = alert ? 'alert' : '';
        }
        if (alert)
            say(text);
    }

    async turn() {
        this.next = null;
        if (this.paused || this.gone)
            return;
        try {
            const answer = await fetch('data', { cache: 'no-store' });
            if (answer.status === 410) {
                this.end();
                return;
            }
            if (answer.status === 503)
                throw new Error('the guest is not ready');
            if (!answer.ok)
                throw new Error(`the server answered ${answer.status}`);
            await this.take(await answer.json());
            this.tell(this.paused ? 'paused' : 'live');
        } catch (e) {
            this.tell(`no news: ${e.message}`, true);
            if (!this.app.model)
                put($('loading-text'), `waiting for the guest: ${e.message}`);
        }
        this.turns++;
        this.start();
    }

    async take(data) {
        const columns = data && data.columns && typeof data.columns === 'object' ? data.columns : {};
        const textOf = (name) => (typeof columns[name] === 'string' ? columns[name] : null);
        const model = await readData(data && data.meta, textOf, this.app.model ? () => {} : loadingShown);
        await this.app.show(model);
    }

    end() {
        this.gone = true;
        this.button.hidden = true;
        this.tell('the guest is gone', true);
        if (!this.app.model)
            put($('loading-text'), 'the guest is gone');
    }
}

/* Cells of `now` that were not there before, or were of another kind or another pfn. */
function changedCells(before, now) {
    const a = before.c, b = now.c;
    const names = (m) => m.meta.kinds.map((k) => k.key);
    const kindsA = names(before), kindsB = names(now);
    const out = [];
    for (let i = 0, k = 0; i < now.cells; i++) {
        while (k < before.cells && a.mfn[k] < b.mfn[i])
            k++;
        const same = k < before.cells && a.mfn[k] === b.mfn[i] && kindsA[a.kind[k]] === kindsB[b.kind[i]] && a.pfn[k] === b.pfn[i];
        if (!same)
            out.push(i);
    }
    return out;
}
