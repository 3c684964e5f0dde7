/* SPDX-License-Identifier: MIT */
'use strict';
/* Where a frame lies in the picture: squares of 16 by 16 frames, each filled by a Hilbert curve, which follow each other on a
 * curve over the whole rectangle; so frames that are close in order are close in the picture, whatever its size. */

const SHIFT = 4, BLOCK = 1 << SHIFT, BLOCK_CELLS = BLOCK * BLOCK;
/* Corners of a square: 0 top left, 1 top right, 2 bottom right, 3 bottom left. */

function hilbertFrom(n, d) {
    let x = 0, y = 0;
    for (let s = 1, t = d; s < n; s *= 2) {
        const rx = 1 & (t >> 1), ry = 1 & (t ^ rx);
        if (ry === 0) {
            if (rx === 1) {
                x = s - 1 - x;
                y = s - 1 - y;
            }
            [x, y] = [y, x];
        }
        x += s * rx;
        y += s * ry;
        t >>= 2;
    }
    return [x, y];
}

/* For each pair of neighbouring corners: place of the d-th frame as y * BLOCK + x, and back. */
const WAYS = (() => {
    const ways = {};
    const last = BLOCK - 1;
    const corner = [[0, 0], [last, 0], [last, last], [0, last]];
    const turns = [(x, y) => [x, y], (x, y) => [last - y, x], (x, y) => [last - x, last - y], (x, y) => [y, last - x]];
    for (let flip = 0; flip < 2; flip++)
        for (const turn of turns) {
            const place = new Uint16Array(BLOCK_CELLS), back = new Uint16Array(BLOCK_CELLS);
            for (let d = 0; d < BLOCK_CELLS; d++) {
                let [x, y] = hilbertFrom(BLOCK, d);
                if (flip)
                    [x, y] = [y, x];
                [x, y] = turn(x, y);
                place[d] = y * BLOCK + x;
                back[place[d]] = d;
            }
            const at = (p) => corner.findIndex(([x, y]) => p === y * BLOCK + x);
            ways[`${at(place[0])}${at(place[BLOCK_CELLS - 1])}`] = { place, back };
        }
    return ways;
})();
const WAY_NAMES = Object.keys(WAYS);

/* A curve over a rectangle of even sides, step by step to a neighbour (a generalised Hilbert curve, by halving). */
function rectangleCurve(width, height) {
    const out = [];
    const walk = (x, y, ax, ay, bx, by) => {
        const w = Math.abs(ax + ay), h = Math.abs(bx + by);
        const [dax, day, dbx, dby] = [Math.sign(ax), Math.sign(ay), Math.sign(bx), Math.sign(by)];
        if (h === 1) {
            for (let i = 0; i < w; i++, x += dax, y += day)
                out.push([x, y]);
            return;
        }
        if (w === 1) {
            for (let i = 0; i < h; i++, x += dbx, y += dby)
                out.push([x, y]);
            return;
        }
        let [ax2, ay2, bx2, by2] = [Math.trunc(ax / 2), Math.trunc(ay / 2), Math.trunc(bx / 2), Math.trunc(by / 2)];
        const w2 = Math.abs(ax2 + ay2), h2 = Math.abs(bx2 + by2);
        if (2 * w > 3 * h) {
            if (w2 % 2 && w > 2) {
                ax2 += dax;
                ay2 += day;
            }
            walk(x, y, ax2, ay2, bx, by);
            walk(x + ax2, y + ay2, ax - ax2, ay - ay2, bx, by);
            return;
        }
        if (h2 % 2 && h > 2) {
            bx2 += dbx;
            by2 += dby;
        }
        walk(x, y, bx2, by2, ax2, ay2);
        walk(x + bx2, y + by2, ax, ay, bx - bx2, by - by2);
        walk(x + (ax - dax) + (bx2 - dbx), y + (ay - day) + (by2 - dby), -bx2, -by2, -(ax - ax2), -(ay - ay2));
    };
    if (width >= height)
        walk(0, 0, width, 0, 0, height);
    else
        walk(0, 0, 0, height, width, 0);
    return out;
}

/* The rectangle that wastes little and is about `aspect` times as wide as high, and that a curve fills in single steps. */
function bestRectangle(blocks, aspect) {
    const tried = [];
    const middle = Math.sqrt(blocks * aspect);
    for (let across = Math.max(1, Math.floor(middle * 0.75)); across <= Math.ceil(middle * 1.3); across++) {
        const down = Math.ceil(blocks / across);
        const waste = (across * down - blocks) / blocks;
        tried.push({ across, down, cost: waste + 0.4 * Math.abs(Math.log(across / down / aspect)) });
    }
    tried.sort((a, b) => a.cost - b.cost);
    for (const { across, down } of tried) {
        const path = rectangleCurve(across, down);
        const single = (p, i) => !i || Math.abs(p[0] - path[i - 1][0]) + Math.abs(p[1] - path[i - 1][1]) === 1;
        if (path.every(single))
            return { across, down, path };
    }
    const side = 2 * Math.ceil(Math.sqrt(blocks) / 2);
    return { across: side, down: side, path: rectangleCurve(side, side) };
}

class Curve {
    constructor(positions, aspect) {
        Object.assign(this, bestRectangle(Math.max(1, Math.ceil(positions / BLOCK_CELLS)), aspect));
        this.positions = positions;
        this.width = this.across * BLOCK;
        this.height = this.down * BLOCK;
        this.orient();
    }

    /* Each square is entered at a corner, and left at a neighbour of it that touches the next square. */
    orient() {
        const n = this.path.length;
        this.way = new Array(n);
        this.blockAt = new Int32Array(this.across * this.down).fill(-1);
        let enter = 0;
        for (let i = 0; i < n; i++) {
            const [x, y] = this.path[i];
            this.blockAt[y * this.across + x] = i;
            const [nx, ny] = i + 1 < n ? this.path[i + 1] : [x + 1, y];
            const side = nx > x ? [1, 2] : nx < x ? [0, 3] : ny > y ? [2, 3] : [0, 1];
            const leave = side.find((c) => WAY_NAMES.includes(`${enter}${c}`)) ?? side[0];
            this.way[i] = WAYS[`${enter}${leave}`] || WAYS[WAY_NAMES[0]];
            const mirror = ny === y ? [1, 0, 3, 2] : [3, 2, 1, 0];
            enter = mirror[leave];
        }
    }

    /* Position at x, y, or -1. */
    at(x, y) {
        if (x < 0 || y < 0 || x >= this.width || y >= this.height)
            return -1;
        const block = this.blockAt[(y >> SHIFT) * this.across + (x >> SHIFT)];
        if (block < 0)
            return -1;
        const d = block * BLOCK_CELLS + this.way[block].back[(y & (BLOCK - 1)) * BLOCK + (x & (BLOCK - 1))];
        return d < this.positions ? d : -1;
    }

    place(position) {
        const block = Math.floor(position / BLOCK_CELLS);
        const p = this.way[block].place[position % BLOCK_CELLS];
        const [x, y] = this.path[block];
        return { x: x * BLOCK + (p & (BLOCK - 1)), y: y * BLOCK + (p >> SHIFT) };
    }
}

/* Positions in order of mfn are the cells themselves; in order of pfn there are holes, and behind the last pfn those without one. */
class Order {
    constructor(model, by, aspect) {
        this.by = by;
        this.model = model;
        this.extra = new Map();
        let n = model.cells;
        if (by === 'pfn' && model.dense) {
            n = model.endPfn;
            this.tail = [];
            for (let i = 0; i < model.cells; i++)
                if (model.c.pfn[i] === NONE || model.byPfn[model.c.pfn[i]] !== i) {
                    this.extra.set(i, n + this.tail.length);
                    this.tail.push(i);
                }
            this.end = n;
            n += this.tail.length;
        } else if (by === 'pfn') {
            this.perm = model.byPfn;
            n = this.perm.length;
            this.rank = new Map();
            for (let i = 0; i < n; i++)
                this.rank.set(this.perm[i], i);
        }
        this.curve = new Curve(n, aspect);
    }

    cellAt(position) {
        if (position < 0 || position >= this.curve.positions)
            return NONE;
        if (this.by === 'mfn')
            return position;
        if (this.perm)
            return this.perm[position];
        return position < this.end ? this.model.byPfn[position] : this.tail[position - this.end];
    }

    positionOf(cell) {
        if (this.by === 'mfn')
            return cell;
        if (this.perm)
            return this.rank.has(cell) ? this.rank.get(cell) : -1;
        const extra = this.extra.get(cell);
        return extra === undefined ? this.model.c.pfn[cell] : extra;
    }

    placeOf(cell) {
        const position = this.positionOf(cell);
        return position < 0 ? null : this.curve.place(position);
    }
}
