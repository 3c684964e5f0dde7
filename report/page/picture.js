/* SPDX-License-Identifier: MIT */
'use strict';
/* The picture without a window on it: an index for each place, and levels of detail, each half as wide as the one before. */

const EMPTY = 255, HOLE = 254, TILE = 256, MOST_TILES = 200;

class Picture {
    constructor(order) {
        this.order = order;
        this.width = order.curve.width;
        this.height = order.curve.height;
        this.levels = [];
        this.tiles = new Map();
        this.serial = 0;
    }

    /* The index of each place: of its frame, HOLE where an order has none, EMPTY behind the end. */
    async fill(shade) {
        const { curve } = this.order;
        const grid = this.grid && this.grid.length === this.width * this.height ? this.grid : new Uint8Array(this.width * this.height);
        grid.fill(EMPTY);
        await inParts(curve.path.length, 1024, (from, to) => {
            for (let block = from; block < to; block++)
                this.fillBlock(grid, curve, shade.index, block);
        });
        this.grid = grid;
    }

    fillBlock(grid, curve, index, block) {
        const { order } = this;
        const [bx, by] = curve.path[block];
        const { place } = curve.way[block];
        const first = block * BLOCK_CELLS;
        const n = Math.min(BLOCK_CELLS, curve.positions - first);
        for (let d = 0; d < n; d++) {
            const p = place[d];
            const cell = order.cellAt(first + d);
            grid[(by * BLOCK + (p >> SHIFT)) * this.width + bx * BLOCK + (p & (BLOCK - 1))] = cell === NONE ? HOLE : index[cell];
        }
    }

    /* Colours of indices, weights from far, and all levels from them; a later call wins. */
    async paint(colours, hole, weights) {
        const serial = ++this.serial;
        const palette = new Uint32Array(256);
        colours.forEach((c, i) => { palette[i] = packColour(c); });
        palette[HOLE] = packColour(hole);
        const levels = [];
        let w = this.width, h = this.height;
        while (Math.max(w, h) > 64) {
            const level = { width: Math.ceil(w / 2), height: Math.ceil(h / 2) };
            level.rgba = new Uint32Array(level.width * level.height);
            const below = levels[levels.length - 1];
            await inParts(level.height, Math.max(1, Math.floor((1 << 19) / level.width)), (from, to) => {
                if (below)
                    halve(level, below, from, to);
                else
                    this.halveFirst(level, palette, weights, from, to);
            });
            if (serial !== this.serial)
                return false;
            levels.push(level);
            w = level.width;
            h = level.height;
        }
        this.palette = palette;
        this.levels = levels;
        this.tiles.clear();
        return true;
    }

    halveFirst(level, palette, weights, from, to) {
        const { grid, width, height } = this;
        for (let y = from; y < to; y++)
            for (let x = 0; x < level.width; x++) {
                let r = 0, g = 0, b = 0, sum = 0;
                for (let k = 0; k < 4; k++) {
                    const sx = 2 * x + (k & 1), sy = 2 * y + (k >> 1);
                    if (sx >= width || sy >= height)
                        continue;
                    const i = grid[sy * width + sx];
                    if (i === EMPTY)
                        continue;
                    const c = palette[i], weight = weights[i] || 1;
                    r += (c & 255) * weight;
                    g += (c >>> 8 & 255) * weight;
                    b += (c >>> 16 & 255) * weight;
                    sum += weight;
                }
                level.rgba[y * level.width + x] = sum ? (255 << 24 | b / sum << 16 | g / sum << 8 | r / sum) >>> 0 : 0;
            }
    }

    tile(level, tx, ty) {
        const key = (level * 4096 + ty) * 4096 + tx;
        const have = this.tiles.get(key);
        if (have)
            return have;
        if (this.tiles.size >= MOST_TILES)
            this.tiles.delete(this.tiles.keys().next().value);
        const canvas = this.makeTile(level, tx, ty);
        this.tiles.set(key, canvas);
        return canvas;
    }

    makeTile(level, tx, ty) {
        const from = level ? this.levels[level - 1] : this;
        const w = Math.min(TILE, from.width - tx * TILE), h = Math.min(TILE, from.height - ty * TILE);
        const canvas = document.createElement('canvas');
        canvas.width = w;
        canvas.height = h;
        const context = canvas.getContext('2d');
        const image = context.createImageData(w, h);
        const out = new Uint32Array(image.data.buffer);
        for (let y = 0; y < h; y++) {
            const row = (ty * TILE + y) * from.width + tx * TILE;
            for (let x = 0; x < w; x++)
                out[y * w + x] = level ? from.rgba[row + x] : this.grid[row + x] === EMPTY ? 0 : this.palette[this.grid[row + x]];
        }
        context.putImageData(image, 0, 0);
        return canvas;
    }

    /* What lies between x0, y0 and x1, y1 (in cells), at `scale` pixels a cell, with x0, y0 at left, top. */
    draw(context, left, top, scale, width, height) {
        const level = scale >= 1 ? 0 : Math.min(this.levels.length, Math.floor(-Math.log2(scale)));
        const source = level ? this.levels[level - 1] : this;
        const size = TILE * 2 ** level * scale;
        context.imageSmoothingEnabled = scale < 1;
        context.imageSmoothingQuality = 'high';
        const lastX = Math.ceil(source.width / TILE), lastY = Math.ceil(source.height / TILE);
        for (let ty = Math.max(0, Math.floor(-top / size)); ty < lastY && top + ty * size < height; ty++)
            for (let tx = Math.max(0, Math.floor(-left / size)); tx < lastX && left + tx * size < width; tx++) {
                const canvas = this.tile(level, tx, ty);
                const x = Math.round(left + tx * size), y = Math.round(top + ty * size);
                const x2 = Math.round(left + tx * size + canvas.width * 2 ** level * scale);
                const y2 = Math.round(top + ty * size + canvas.height * 2 ** level * scale);
                context.drawImage(canvas, x, y, x2 - x, y2 - y);
            }
        return level;
    }
}

function halve(level, below, from, to) {
    for (let y = from; y < to; y++)
        for (let x = 0; x < level.width; x++) {
            let r = 0, g = 0, b = 0, a = 0;
            for (let k = 0; k < 4; k++) {
                const sx = 2 * x + (k & 1), sy = 2 * y + (k >> 1);
                if (sx >= below.width || sy >= below.height)
                    continue;
                const c = below.rgba[sy * below.width + sx];
                const alpha = c >>> 24;
                r += (c & 255) * alpha;
                g += (c >>> 8 & 255) * alpha;
                b += (c >>> 16 & 255) * alpha;
                a += alpha;
            }
            level.rgba[y * level.width + x] = a ? (a / 4 << 24 | b / a << 16 | g / a << 8 | r / a) >>> 0 : 0;
        }
}
