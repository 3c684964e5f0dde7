/* SPDX-License-Identifier: MIT */
'use strict';
/* The recorder's acts over time: bars by act, a brush that zooms, and playing them back on the map. */

const ACT_COLOURS = ['#d98b2b', '#5a93d6', '#3fa27c', '#b478d6', '#d6596b', '#8f9aa8', '#b5a03c', '#57b0b8'];

class Timeline {
    constructor(app, box) {
        this.app = app;
        this.box = box;
        this.canvas = el('canvas', { tabindex: '0', role: 'slider', id: 'acts', 'aria-label': 'Acts over time: arrows go from act to act, Enter goes to the frame, plus and minus zoom',
            'aria-valuemin': '0', 'aria-valuemax': '0' });
        this.text = el('span', { class: 'soft', id: 'act-text' });
        this.play = el('button', { type: 'button', id: 'play', on: { click: () => this.toggle() } }, 'Play');
        this.all = el('button', { type: 'button', on: { click: () => this.zoomTo(0, this.span) } }, 'All');
        this.key = el('span', { class: 'head' });
        put(box, el('div', { class: 'head' }, el('b', {}, 'Recorder'), this.play, this.all, this.key, el('span', { class: 'grow' }), this.text), this.canvas);
        this.now = -1;
        this.listen();
        new ResizeObserver(() => this.draw()).observe(this.canvas);
    }

    show(model) {
        const { timeline } = model.meta;
        this.model = model;
        this.n = model.c.act_time.length;
        this.box.hidden = !timeline || !this.n;
        if (this.box.hidden)
            return;
        this.acts = timeline.acts.map(String);
        this.tick = Number(timeline.tick) || 1;
        this.span = Math.max(1, model.c.act_time[this.n - 1]);
        this.from = 0;
        this.to = this.span;
        put(this.key, this.acts.map((a, i) => el('span', { class: 'act' }, el('i', { colour: this.colour(i) }), a)));
        this.canvas.setAttribute('aria-valuemax', this.n - 1);
        this.tell(timeline.lost ? `${count(this.n)} acts; ${count(timeline.lost)} older ones are lost` : `${count(this.n)} acts`);
        this.draw();
    }

    colour(i) {
        return ACT_COLOURS[i % ACT_COLOURS.length];
    }

    tell(text) {
        put(this.text, text);
    }

    time(t) {
        const ns = t * this.tick;
        return ns >= 1e9 ? `${(ns / 1e9).toFixed(3)} s` : ns >= 1e6 ? `${(ns / 1e6).toFixed(3)} ms` : `${(ns / 1e3).toFixed(1)} µs`;
    }

    listen() {
        const { canvas } = this;
        const timeAt = (e) => {
            const r = canvas.getBoundingClientRect();
            return this.from + (this.to - this.from) * Math.max(0, Math.min(1, (e.clientX - r.left) / r.width));
        };
        canvas.addEventListener('pointerdown', (e) => {
            canvas.setPointerCapture(e.pointerId);
            this.brush = [timeAt(e), timeAt(e)];
        });
        canvas.addEventListener('pointermove', (e) => {
            if (this.brush)
                this.brush[1] = timeAt(e);
            else
                this.describe(this.actAt(timeAt(e)), false);
            this.draw();
        });
        canvas.addEventListener('pointerup', (e) => {
            const [a, b] = this.brush || [0, 0];
            this.brush = null;
            if (Math.abs(a - b) > (this.to - this.from) / 100)
                this.zoomTo(Math.min(a, b), Math.max(a, b));
            else
                this.choose(this.actAt(timeAt(e)), true);
        });
        canvas.addEventListener('wheel', (e) => {
            e.preventDefault();
            this.zoomBy(Math.exp(e.deltaY * 0.002), timeAt(e));
        }, { passive: false });
        canvas.addEventListener('keydown', (e) => this.keyed(e));
    }

    keyed(e) {
        const middle = this.now >= 0 ? this.model.c.act_time[this.now] : (this.from + this.to) / 2;
        const doing = { ArrowRight: () => this.choose(this.now + 1), ArrowLeft: () => this.choose(this.now - 1), Home: () => this.choose(0), End: () => this.choose(this.n - 1),
            Enter: () => this.choose(this.now, true), '+': () => this.zoomBy(0.5, middle), '-': () => this.zoomBy(2, middle), 0: () => this.zoomTo(0, this.span), ' ': () => this.toggle() }[e.key];
        if (!doing)
            return;
        e.preventDefault();
        e.stopPropagation();
        doing();
    }

    zoomBy(factor, around) {
        const from = around - (around - this.from) * factor, to = around + (this.to - around) * factor;
        this.zoomTo(from, to);
    }

    zoomTo(from, to) {
        this.from = Math.max(0, from);
        this.to = Math.min(this.span, Math.max(to, this.from + 4));
        this.draw();
    }

    actAt(t) {
        const { act_time: times } = this.model.c;
        const i = Math.min(this.n - 1, lowerBound(times, t));
        return i > 0 && t - times[i - 1] < times[i] - t ? i - 1 : i;
    }

    describe(i, aloud) {
        const { c } = this.model;
        const cell = c.act_cell[i];
        const text = `${this.time(c.act_time[i])}: ${this.acts[c.act_kind[i]] ?? '?'}${cell === NONE ? '' : `, mfn ${hex(c.mfn[cell])}`}`;
        this.tell(text);
        if (aloud)
            this.canvas.setAttribute('aria-valuetext', text);
    }

    choose(i, go = false) {
        this.now = Math.max(0, Math.min(this.n - 1, i));
        const { c } = this.model;
        const t = c.act_time[this.now];
        if (t < this.from || t > this.to)
            this.zoomTo(t - (this.to - this.from) / 2, t + (this.to - this.from) / 2);
        this.canvas.setAttribute('aria-valuenow', this.now);
        this.describe(this.now, true);
        const cell = c.act_cell[this.now];
        this.app.overlay.played = cell === NONE ? [] : [cell];
        this.app.overlay.request();
        if (go && cell !== NONE)
            this.app.select(cell, { go: true });
        this.draw();
    }

    toggle() {
        this.playing = !this.playing;
        put(this.play, this.playing ? 'Stop' : 'Play');
        if (this.playing) {
            if (this.now >= this.n - 1)
                this.now = -1;
            this.step(performance.now());
        }
    }

    /* The whole in twenty seconds; an act is seen for a while after it. */
    step(before) {
        if (!this.playing)
            return;
        requestAnimationFrame((t) => {
            const { c } = this.model;
            const at = (this.now >= 0 ? c.act_time[this.now] : this.from) + (this.to - this.from) * (t - before) / 20000;
            const recent = [];
            let next = this.now;
            this.late = (this.late || 0) + (at - (this.now >= 0 ? c.act_time[this.now] : this.from));
            const until = (this.now >= 0 ? c.act_time[this.now] : this.from) + this.late;
            while (next + 1 < this.n && c.act_time[next + 1] <= until)
                next++;
            if (next !== this.now) {
                for (let i = Math.max(0, next - 60); i <= next; i++)
                    if (c.act_cell[i] !== NONE)
                        recent.push(c.act_cell[i]);
                this.late = 0;
                this.now = next;
                this.app.overlay.played = recent;
                this.app.overlay.request();
                this.describe(this.now, false);
                this.draw();
            }
            if (this.now >= this.n - 1 || c.act_time[this.now] >= this.to)
                this.toggle();
            else
                this.step(t);
        });
    }

    draw() {
        const { canvas } = this;
        if (!this.n || this.box.hidden)
            return;
        const ratio = window.devicePixelRatio || 1;
        const w = Math.max(1, Math.round(canvas.clientWidth * ratio)), h = Math.max(1, Math.round(canvas.clientHeight * ratio));
        canvas.width = w;
        canvas.height = h;
        const context = canvas.getContext('2d');
        const bars = Math.max(1, Math.floor(w / 4)), kinds = this.acts.length;
        const sums = this.sums(bars, kinds);
        let most = 1;
        for (let b = 0; b < bars; b++)
            most = Math.max(most, sums.subarray(b * kinds, (b + 1) * kinds).reduce((x, y) => x + y, 0));
        for (let b = 0; b < bars; b++)
            for (let k = 0, y = h; k < kinds; k++) {
                const high = sums[b * kinds + k] / most * (h - 6);
                context.fillStyle = this.colour(k);
                context.fillRect(b * 4, y - high, 3, high);
                y -= high;
            }
        this.drawMarks(context, w, h);
    }

    sums(bars, kinds) {
        const { act_time: times, act_kind: kind } = this.model.c;
        const sums = new Uint32Array(bars * kinds);
        const last = this.to - this.from || 1;
        for (let i = lowerBound(times, this.from); i < this.n && times[i] <= this.to; i++)
            if (kind[i] < kinds)
                sums[Math.min(bars - 1, Math.floor((times[i] - this.from) / last * bars)) * kinds + kind[i]]++;
        return sums;
    }

    drawMarks(context, w, h) {
        const xOf = (t) => (t - this.from) / (this.to - this.from) * w;
        const paper = this.app.paper();
        if (this.brush) {
            context.fillStyle = paper.ink;
            context.globalAlpha = 0.15;
            context.fillRect(Math.min(xOf(this.brush[0]), xOf(this.brush[1])), 0, Math.abs(xOf(this.brush[1]) - xOf(this.brush[0])), h);
            context.globalAlpha = 1;
        }
        if (this.now >= 0) {
            context.fillStyle = paper.mark;
            context.fillRect(xOf(this.model.c.act_time[this.now]) - 1, 0, 2, h);
        }
    }
}
