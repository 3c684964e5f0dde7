/* SPDX-License-Identifier: MIT */
'use strict';
/* Pieces of the page. Text goes in as text alone: names come from the guest. */

function el(tag, attributes, ...children) {
    const e = document.createElement(tag);
    return dress(e, attributes, children);
}

function svg(tag, attributes, ...children) {
    return dress(document.createElementNS('http://www.w3.org/2000/svg', tag), attributes, children);
}

function dress(e, attributes, children) {
    for (const [key, value] of Object.entries(attributes || {})) {
        if (value === null || value === undefined || value === false)
            continue;
        if (key === 'on')
            for (const [name, f] of Object.entries(value))
                e.addEventListener(name, f);
        else if (key === 'colour')
            e.style.background = value;
        else
            e.setAttribute(key, value === true ? '' : String(value));
    }
    for (const child of children.flat(2))
        if (child !== null && child !== undefined && child !== false && child !== '')
            e.append(child instanceof Node ? child : String(child));
    return e;
}

const $ = (id) => document.getElementById(id);
const put = (e, ...children) => e.replaceChildren(...children.flat(2).filter((c) => c !== null && c !== undefined && c !== ''));
const say = (text) => { $('say').textContent = text; };

/* A button that leads to a frame of the map; plain text where the file does not have the frame. */
function mfnLink(app, mfn, text) {
    if (mfn === null || mfn === undefined)
        return el('span', { class: 'soft' }, 'not known');
    const cell = Number.isInteger(mfn) && app.model ? app.model.cellOfMfn(mfn) : NONE;
    const name = text || `mfn ${hex(mfn)}`;
    return cell === NONE ? el('code', {}, name) : cellLink(app, cell, name);
}

function cellLink(app, cell, text) {
    return el('button', { type: 'button', class: 'link', 'data-cell': cell, on: { click: () => app.select(cell, { go: true }) } },
        text || `mfn ${hex(app.model.c.mfn[cell])}`);
}

function chip(app, cell) {
    return el('span', { class: 'chip', colour: app.kindColour(app.model.c.kind[cell]), 'aria-hidden': 'true' });
}

function facts(pairs) {
    return el('dl', { class: 'facts' }, pairs.filter((p) => p).map(([name, value]) => [el('dt', {}, name), el('dd', {}, value)]));
}

const yes = (v) => (v ? 'yes' : 'no');
const pfnText = (pfn) => (pfn === NONE || pfn === null || pfn === undefined ? 'none' : hex(pfn));
