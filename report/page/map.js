/* SPDX-License-Identifier: MIT */
'use strict';
/* The window on the picture: zoom, pan, what lies under the pointer. */

const CLOSEST = 96;

class MapView {
    constructor(box, hooks) {
        this.box = box;
        this.hooks = hooks;
        this.canvas = box.querySelector('#map');
        this.over = box.querySelector('#over');
        this.mini = box.querySelector('#mini');
        this.picture = null;
        this.paper = PAPER.dark;
        this.scale = 1;
        this.x = this.y = 0;
        this.touched = false;
        this.width = this.height = 1;
        this.ratio = 1;
        this.pointers = new Map();
        this.listen();
        new ResizeObserver(() => this.resize()).observe(box);
    }

    listen() {
        const { canvas } = this;
        canvas.addEventListener('wheel', (e) => {
            e.preventDefault();
            const step = e.deltaMode === 1 ? e.deltaY * 16 : e.deltaY;
            const at = this.local(e);
            this.zoomAt(at.x, at.y, Math.exp(-step * (e.ctrlKey ? 0.01 : 0.0022)));
        }, { passive: false });
        canvas.addEventListener('pointerdown', (e) => this.press(e));
        canvas.addEventListener('pointermove', (e) => this.move(e));
        canvas.addEventListener('pointerup', (e) => this.release(e));
        canvas.addEventListener('pointercancel', (e) => this.pointers.delete(e.pointerId));
        canvas.addEventListener('pointerleave', () => this.hooks.hover(NONE, 0, 0));
        canvas.addEventListener('dblclick', (e) => {
            const at = this.local(e);
            this.zoomAt(at.x, at.y, e.shiftKey ? 0.25 : 4);
        });
        this.mini.addEventListener('pointerdown', (e) => this.pressMini(e));
        this.mini.addEventListener('pointermove', (e) => e.buttons & 1 && this.pressMini(e));
    }

    local(e) {
        const r = this.canvas.getBoundingClientRect();
        return { x: e.clientX - r.left, y: e.clientY - r.top };
    }

    press(e) {
        if (e.button !== 0 && e.pointerType === 'mouse')
            return;
        this.canvas.setPointerCapture(e.pointerId);
        this.pointers.set(e.pointerId, this.local(e));
        this.dragged = this.pointers.size > 1;
        this.pressedAt = this.local(e);
    }

    move(e) {
        const now = this.local(e);
        const before = this.pointers.get(e.pointerId);
        if (!before) {
            this.hooks.hover(this.cellUnder(now.x, now.y), now.x, now.y);
            return;
        }
        if (this.pointers.size === 2)
            this.pinch(e.pointerId, now);
        else if (this.dragged || Math.hypot(now.x - this.pressedAt.x, now.y - this.pressedAt.y) > 4) {
            this.dragged = true;
            this.canvas.classList.add('dragging');
            this.pan((before.x - now.x) / this.scale, (before.y - now.y) / this.scale);
        } else
            return;
        this.pointers.set(e.pointerId, now);
    }

    pinch(id, now) {
        const other = [...this.pointers].find(([key]) => key !== id)[1];
        const before = this.pointers.get(id);
        const was = Math.hypot(before.x - other.x, before.y - other.y), is = Math.hypot(now.x - other.x, now.y - other.y);
        if (was > 4)
            this.zoomAt((now.x + other.x) / 2, (now.y + other.y) / 2, is / was);
    }

    release(e) {
        const had = this.pointers.delete(e.pointerId);
        this.canvas.classList.remove('dragging');
        if (!had || this.dragged)
            return;
        const at = this.local(e);
        this.hooks.pick(this.cellUnder(at.x, at.y));
    }

    pressMini(e) {
        const r = this.mini.getBoundingClientRect();
        if (!this.picture)
            return;
        this.touched = true;
        this.x = (e.clientX - r.left) / r.width * this.picture.width;
        this.y = (e.clientY - r.top) / r.height * this.picture.height;
        this.changed();
    }

    resize() {
        const r = this.box.getBoundingClientRect();
        this.width = Math.max(1, Math.round(r.width));
        this.height = Math.max(1, Math.round(r.height));
        this.ratio = Math.min(3, window.devicePixelRatio || 1);
        for (const canvas of [this.canvas, this.over]) {
            canvas.width = Math.round(this.width * this.ratio);
            canvas.height = Math.round(this.height * this.ratio);
        }
        if (!this.touched)
            this.fit();
        this.changed(false);
        this.draw();
    }

    show(picture) {
        this.picture = picture;
        if (!this.touched)
            this.fit();
        this.changed(false);
    }

    fitScale() {
        if (!this.picture)
            return 1;
        return Math.min((this.width - 24) / this.picture.width, (this.height - 24) / this.picture.height);
    }

    fit() {
        if (!this.picture)
            return;
        this.touched = false;
        this.scale = Math.max(0.001, this.fitScale());
        this.x = this.picture.width / 2;
        this.y = this.picture.height / 2;
        this.changed();
    }

    clamp() {
        if (!this.picture)
            return;
        const low = Math.min(this.fitScale() * 0.9, CLOSEST);
        this.scale = Math.max(low, Math.min(Math.max(CLOSEST, low), this.scale));
        this.x = Math.max(0, Math.min(this.picture.width, this.x));
        this.y = Math.max(0, Math.min(this.picture.height, this.y));
    }

    zoomAt(px, py, factor) {
        const cx = this.x + (px - this.width / 2) / this.scale, cy = this.y + (py - this.height / 2) / this.scale;
        this.touched = true;
        const low = Math.min(this.fitScale() * 0.9, CLOSEST);
        this.scale = Math.max(low, Math.min(CLOSEST, this.scale * factor));
        this.x = cx - (px - this.width / 2) / this.scale;
        this.y = cy - (py - this.height / 2) / this.scale;
        this.changed();
    }

    zoom(factor) {
        this.zoomAt(this.width / 2, this.height / 2, factor);
    }

    pan(dx, dy) {
        this.touched = true;
        this.x += dx;
        this.y += dy;
        this.changed();
    }

    changed(tell = true) {
        this.clamp();
        this.request();
        if (tell)
            this.hooks.moved();
    }

    goTo(cell, scale) {
        const place = this.picture && this.picture.order.placeOf(cell);
        if (!place)
            return false;
        this.touched = true;
        this.x = place.x + 0.5;
        this.y = place.y + 0.5;
        this.scale = scale || Math.max(this.scale, 10);
        this.changed();
        return true;
    }

    /* The least that brings a frame into the window, if it is not there. */
    reveal(cell) {
        const at = this.screenOf(cell);
        if (!at || (at.x > 12 && at.y > 12 && at.x < this.width - 12 && at.y < this.height - 12))
            return;
        this.goTo(cell, this.scale);
    }

    cellUnder(px, py) {
        if (!this.picture)
            return NONE;
        const x = Math.floor(this.x + (px - this.width / 2) / this.scale), y = Math.floor(this.y + (py - this.height / 2) / this.scale);
        return this.picture.order.cellAt(this.picture.order.curve.at(x, y));
    }

    /* Centre of a frame, in CSS pixels of the map. */
    screenOf(cell) {
        const place = this.picture && this.picture.order.placeOf(cell);
        return place && {
            x: (place.x + 0.5 - this.x) * this.scale + this.width / 2,
            y: (place.y + 0.5 - this.y) * this.scale + this.height / 2,
        };
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
        const context = this.canvas.getContext('2d', { alpha: false });
        const scale = this.scale * this.ratio;
        context.fillStyle = this.paper.sheet;
        context.fillRect(0, 0, this.canvas.width, this.canvas.height);
        if (!this.picture || !this.picture.palette)
            return;
        const left = this.canvas.width / 2 - this.x * scale, top = this.canvas.height / 2 - this.y * scale;
        this.level = this.picture.draw(context, left, top, scale, this.canvas.width, this.canvas.height);
        if (scale >= 4.5)
            this.drawLines(context, left, top, scale);
        if (this.scale >= 46)
            this.drawNumbers(context, left, top, scale);
        this.drawMini();
        this.drawScaleBar();
        this.hooks.drawn();
    }

    span(left, scale, size, most) {
        return [Math.max(0, Math.floor(-left / scale)), Math.min(most, Math.ceil((size - left) / scale))];
    }

    drawLines(context, left, top, scale) {
        const [x0, x1] = this.span(left, scale, this.canvas.width, this.picture.width);
        const [y0, y1] = this.span(top, scale, this.canvas.height, this.picture.height);
        const wide = Math.max(1, Math.round(scale / 14));
        context.fillStyle = this.paper.line;
        context.globalAlpha = Math.min(1, (scale - 2.5) / 8);
        for (let x = x0; x <= x1; x++)
            context.fillRect(Math.round(left + x * scale) - (wide >> 1), 0, wide, this.canvas.height);
        for (let y = y0; y <= y1; y++)
            context.fillRect(0, Math.round(top + y * scale) - (wide >> 1), this.canvas.width, wide);
        context.globalAlpha = 1;
    }

    drawNumbers(context, left, top, scale) {
        const [x0, x1] = this.span(left, scale, this.canvas.width, this.picture.width);
        const [y0, y1] = this.span(top, scale, this.canvas.height, this.picture.height);
        const { order, grid, palette, width } = this.picture;
        context.font = `${Math.round(scale * 0.2)}px ui-monospace, monospace`;
        context.textAlign = 'center';
        context.textBaseline = 'middle';
        for (let y = y0; y < y1; y++)
            for (let x = x0; x < x1; x++) {
                const cell = order.cellAt(order.curve.at(x, y));
                if (cell === NONE)
                    continue;
                const c = palette[grid[y * width + x]];
                const light = (c & 255) * 0.3 + (c >>> 8 & 255) * 0.59 + (c >>> 16 & 255) * 0.11;
                context.fillStyle = light > 140 ? '#000000cc' : '#ffffffd0';
                context.fillText(this.hooks.label(cell), left + (x + 0.5) * scale, top + (y + 0.5) * scale);
            }
    }

    drawMini() {
        const { picture, mini } = this;
        const zoomed = this.scale > this.fitScale() * 1.15;
        mini.hidden = !zoomed;
        if (!zoomed)
            return;
        const k = Math.min(168 / picture.width, 120 / picture.height);
        const w = Math.max(24, Math.round(picture.width * k)), h = Math.max(16, Math.round(picture.height * k));
        if (mini.width !== w * 2 || mini.height !== h * 2) {
            mini.width = w * 2;
            mini.height = h * 2;
            mini.style.width = `${w}px`;
            mini.style.height = `${h}px`;
        }
        const context = mini.getContext('2d');
        context.fillStyle = this.paper.sheet;
        context.fillRect(0, 0, mini.width, mini.height);
        picture.draw(context, 0, 0, w * 2 / picture.width, mini.width, mini.height);
        const sx = mini.width / picture.width, sy = mini.height / picture.height;
        const vw = this.width / this.scale, vh = this.height / this.scale;
        context.strokeStyle = this.paper.mark;
        context.lineWidth = 3;
        context.strokeRect((this.x - vw / 2) * sx, (this.y - vh / 2) * sy, Math.max(6, vw * sx), Math.max(6, vh * sy));
    }

    /* A square, as the curve fills squares: its side is `side` frames, it holds side * side. */
    drawScaleBar() {
        const bar = this.box.querySelector('#bar'), text = this.box.querySelector('#bar-text');
        let side = 1;
        while (side * this.scale < 26)
            side *= 2;
        const key = `${side} ${this.scale}`;
        if (this.barKey === key)
            return;
        this.barKey = key;
        bar.style.width = bar.style.height = `${side * this.scale}px`;
        text.textContent = side === 1 ? 'one frame, 4 KiB' : `${bytesText(side * side * 4096)}, ${count(side * side)} frames`;
    }
}
