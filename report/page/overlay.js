/* SPDX-License-Identifier: MIT */
'use strict';
/* What is drawn above the picture: the selection and what maps it, findings, frames that have just changed. */

const MOST_RINGS = 400, MOST_ARCS = 512, MOST_GLOWS = 6000, GLOW_MS = 2600;

class Overlay {
    constructor(view) {
        this.view = view;
        this.selected = NONE;
        this.from = [];
        this.to = [];
        this.found = [];
        this.showFound = true;
        this.glows = [];
        this.played = [];
        this.still = matchMedia('(prefers-reduced-motion: reduce)');
    }

    glow(cells) {
        const now = performance.now();
        const step = Math.max(1, Math.ceil(cells.length / MOST_GLOWS));
        for (let i = 0; i < cells.length; i += step)
            this.glows.push({ cell: cells[i], at: now });
        this.glows.splice(0, Math.max(0, this.glows.length - MOST_GLOWS));
        this.request();
    }

    request() {
        if (this.asked)
            return;
        this.asked = true;
        requestAnimationFrame(() => {
            this.asked = false;
            this.draw();
        });
    }

    draw() {
        const { view } = this;
        const canvas = view.over, context = canvas.getContext('2d');
        context.setTransform(1, 0, 0, 1, 0, 0);
        context.clearRect(0, 0, canvas.width, canvas.height);
        if (!view.picture)
            return;
        context.setTransform(view.ratio, 0, 0, view.ratio, 0, 0);
        this.drawGlows(context);
        this.drawArcs(context);
        this.drawPlayed(context);
        if (this.showFound)
            this.drawRings(context);
        this.drawSelected(context);
        const pulsing = this.showFound && this.found.length && !this.still.matches && !document.hidden;
        if (this.glows.length || pulsing)
            setTimeout(() => this.request(), this.glows.length ? 16 : 40);
    }

    drawGlows(context) {
        const now = performance.now();
        this.glows = this.glows.filter((g) => now - g.at < GLOW_MS);
        const { view } = this;
        const size = Math.max(3, view.scale);
        context.fillStyle = view.paper.glow;
        for (const g of this.glows) {
            const at = view.screenOf(g.cell);
            if (!at)
                continue;
            context.globalAlpha = Math.pow(1 - (now - g.at) / GLOW_MS, 1.5) * 0.95;
            context.fillRect(at.x - size / 2, at.y - size / 2, size, size);
        }
        context.globalAlpha = 1;
    }

    drawPlayed(context) {
        const { view } = this;
        const size = Math.max(6, view.scale + 4);
        context.strokeStyle = view.paper.glow;
        context.lineWidth = 2;
        this.played.forEach((cell, i) => {
            const at = view.screenOf(cell);
            if (!at)
                return;
            context.globalAlpha = (i + 1) / this.played.length;
            context.strokeRect(at.x - size / 2, at.y - size / 2, size, size);
        });
        context.globalAlpha = 1;
    }

    /* From what maps the frame to it, and from it to what it holds. */
    drawArcs(context) {
        const { view } = this;
        const here = this.selected === NONE ? null : view.screenOf(this.selected);
        if (!here)
            return;
        context.strokeStyle = view.paper.arc;
        const draw = (cells, alpha, bend) => {
            context.globalAlpha = Math.max(0.08, alpha / Math.sqrt(Math.max(1, cells.length / 8)));
            context.lineWidth = cells.length > 40 ? 0.8 : 1.4;
            for (const cell of cells.slice(0, MOST_ARCS)) {
                const there = view.screenOf(cell);
                if (!there || cell === this.selected)
                    continue;
                const mx = (here.x + there.x) / 2 + (there.y - here.y) * bend, my = (here.y + there.y) / 2 - (there.x - here.x) * bend;
                context.beginPath();
                context.moveTo(there.x, there.y);
                context.quadraticCurveTo(mx, my, here.x, here.y);
                context.stroke();
            }
        };
        draw(this.from, 0.9, 0.18);
        draw(this.to, 0.5, -0.1);
        context.globalAlpha = 1;
        context.fillStyle = view.paper.arc;
        for (const cell of this.from.slice(0, MOST_ARCS)) {
            const there = view.screenOf(cell);
            if (there && cell !== this.selected) {
                context.beginPath();
                context.arc(there.x, there.y, 3, 0, 7);
                context.fill();
            }
        }
    }

    drawRings(context) {
        const { view } = this;
        const t = this.still.matches ? 0.35 : performance.now() / 1600 % 1;
        const core = Math.max(5, view.scale * 0.75);
        context.strokeStyle = view.paper.mark;
        for (const cell of this.found.slice(0, MOST_RINGS)) {
            const at = view.screenOf(cell);
            if (!at || at.x < -40 || at.y < -40 || at.x > view.width + 40 || at.y > view.height + 40)
                continue;
            context.lineWidth = 2;
            context.globalAlpha = 1;
            context.beginPath();
            context.arc(at.x, at.y, core, 0, 7);
            context.stroke();
            context.globalAlpha = 0.75 * (1 - t);
            context.beginPath();
            context.arc(at.x, at.y, core + t * 16, 0, 7);
            context.stroke();
        }
        context.globalAlpha = 1;
    }

    drawSelected(context) {
        const { view } = this;
        const at = this.selected === NONE ? null : view.screenOf(this.selected);
        if (!at)
            return;
        const half = Math.max(5, view.scale / 2 + 1.5);
        context.lineWidth = 1;
        context.strokeStyle = view.paper.ink;
        context.globalAlpha = 0.35;
        for (const [x0, y0, x1, y1] of [[0, at.y, at.x - half, at.y], [at.x + half, at.y, view.width, at.y],
            [at.x, 0, at.x, at.y - half], [at.x, at.y + half, at.x, view.height]]) {
            context.beginPath();
            context.moveTo(x0, y0);
            context.lineTo(x1, y1);
            context.stroke();
        }
        context.globalAlpha = 1;
        context.lineWidth = 4;
        context.strokeStyle = view.paper.sheet;
        context.strokeRect(at.x - half, at.y - half, 2 * half, 2 * half);
        context.lineWidth = 2;
        context.strokeStyle = view.paper.ink;
        context.strokeRect(at.x - half, at.y - half, 2 * half, 2 * half);
    }
}
