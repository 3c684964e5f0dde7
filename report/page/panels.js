/* SPDX-License-Identifier: MIT */
'use strict';
/* The panels beside the map, but that of the frame: what file this is, rules and findings, and who runs in it. */

function showTitle(meta) {
    const domain = meta.domain && meta.domain.name;
    const name = domain || meta.file || 'a guest';
    document.title = `${name} – memory`;
    put($('name'), String(name));
    $('name').title = String(name);
    put($('kernel'), meta.kernel ? String(meta.kernel) : 'no kernel was recognised');
    $('kernel').title = meta.kernel ? String(meta.kernel) : '';
    const found = meta.findings_in_all || 0;
    const cells = [['Frames', count(meta.pages ?? meta.cells)], ['Memory', bytesText(4096 * (meta.pages ?? 0))],
        ['Taken from', meta.kind || '?'], ['Xen', meta.xen || '?'],
        ['vCPUs', count(meta.vcpus.length)], ['Findings', el('span', { class: found ? 'broken' : 'holds' }, found ? count(found) : 'none')]];
    put($('plate'), cells.map(([k, v]) => el('div', {}, el('dt', {}, k), el('dd', {}, v))));
    showFoot(meta);
}

function showFoot(meta) {
    put($('foot'), el('span', {}, meta.file ? String(meta.file) : ''), el('span', {}, `pvmm ${meta.pvmm || '?'}`),
        el('span', {}, meta.made ? String(meta.made) : ''), el('span', { class: 'grow' }),
        el('span', { id: 'live-state' }));
}

function overviewPanel(app, box) {
    const { meta } = app.model;
    put(box, el('h2', {}, meta.file ? String(meta.file) : 'A running guest'),
        facts([
            ['kind', String(meta.kind || '?')],
            ['size', typeof meta.bytes === 'number' && meta.bytes ? bytesText(meta.bytes) : '?'],
            ['kernel', meta.kernel ? String(meta.kernel) : 'not recognised'],
            ['Xen', String(meta.xen || '?')],
            meta.domain.name && ['domain', `${meta.domain.name}${Number.isInteger(meta.domain.id) ? `, d${meta.domain.id}` : ''}`],
            meta.domain.uuid && ['uuid', el('code', {}, String(meta.domain.uuid))],
            ['pages', `${count(meta.pages)}; pfns end at ${hex(meta.end_pfn)}`],
            ['tables hold', meta.portable ? 'pfns' : 'mfns'],
            ['start_info', mfnLink(app, meta.start_info)],
            ['shared_info', mfnLink(app, meta.shared_info)],
            meta.lost && ['lost', el('span', { class: 'broken' }, String(meta.lost))],
            meta.left_out && ['left out', String(meta.left_out)],
        ]),
        el('h3', {}, 'vCPUs'),
        el('ul', { class: 'rows' }, meta.vcpus.slice(0, 64).map((v) => el('li', {}, `vCPU ${v.n}: `,
            Number.isInteger(v.kernel_root) ? [mfnLink(app, v.kernel_root), ' kernel root'] : 'no kernel root',
            Number.isInteger(v.user_root) ? [', ', mfnLink(app, v.user_root), ' user root'] : null,
            el('span', { class: 'va' }, el('code', {}, String(v.rip)), v.symbol ? ` ${v.symbol}` : '',
                el('span', { class: 'soft' }, v.in_kernel ? ' in the kernel' : ' in user mode'))))),
        meta.symbols.length ? [el('h3', {}, 'symbols'), el('ul', { class: 'rows' }, meta.symbols.slice(0, 40).map((s) =>
            el('li', {}, el('code', {}, String(s.name)), ' ', el('code', { class: 'soft' }, String(s.va)), ' ', mfnLink(app, s.mfn))))] : null,
        meta.regions.length ? [el('h3', {}, 'addresses'), el('ul', { class: 'rows' }, meta.regions.slice(0, 40).map((r) =>
            el('li', {}, String(r.name), el('span', { class: 'va soft' }, el('code', {}, `${r.from} to ${r.to}`)))))] : null);
}

function rulesPanel(app, box) {
    const { meta } = app.model;
    const rules = meta.rules.length ? meta.rules.map((r) => el('div', { class: 'rule' }, el('b', {}, `R${r.rule}`),
        el('span', { class: ['holds', 'broken', 'undecidable'].includes(r.answer) ? r.answer : 'soft' }, `${{ holds: '✓', broken: '✗', undecidable: '?' }[r.answer] || ''} ${r.answer}`),
        el('span', {}, String(r.why || ''), r.findings ? el('button', { type: 'button', class: 'link', on: { click: () => app.openTab('findings') } }, ` ${count(r.findings)} found`) : null)))
        : el('p', { class: 'soft' }, meta.live ? 'A running guest is not checked.' : 'Nothing was checked.');
    const findings = meta.findings.map((f, i) => findingButton(app, f, i));
    const shown = meta.findings.length, all = meta.findings_in_all || shown;
    put(box, el('h2', {}, all ? `${count(all)} ${all === 1 ? 'finding' : 'findings'}` : meta.rules.length ? 'Nothing found' : 'Not checked'),
        shown < all ? el('p', { class: 'soft' }, `the first ${count(shown)} of them`) : null,
        el('div', { id: 'findings' }, findings), el('h3', {}, 'rules of the memory contract'), rules);
}

function findingButton(app, f, i) {
    const cell = app.cellOfFinding(f);
    const where = [f.mfn !== null && f.mfn !== undefined && `mfn ${hex(f.mfn)}`, f.pfn !== null && f.pfn !== undefined && `pfn ${hex(f.pfn)}`,
        f.va && `va ${f.va}`, f.symbol, f.at && `entry at ${f.at}`, f.entry && `= ${f.entry}`].filter((x) => x).join('  ');
    return el('button', { type: 'button', class: 'finding', 'data-finding': i, disabled: cell === NONE, on: { click: () => app.select(cell, { go: true, finding: i }) } },
        el('b', {}, `R${f.rule} ${f.code}`), f.count > 1 ? ` ×${count(f.count)}` : '', el('br'), String(f.text || f.meaning || ''), el('small', {}, where),
        cell === NONE ? el('small', {}, 'its frame is not on the map') : null);
}

function rootsPanel(app, box) {
    const { meta } = app.model;
    put(box, el('h2', {}, `${meta.roots.length} ${meta.roots.length === 1 ? 'root' : 'roots'}, ${meta.shares.length} shared ${meta.shares.length === 1 ? 'table' : 'tables'}`),
        el('p', { class: 'soft' }, 'Left, the roots (L4): the bar is their tables, its bright end those that no other root reaches. Right, a square for each table that several have in a slot, by which roots have it.'),
        meta.roots.length ? rootsDrawing(app) : null,
        el('h3', {}, 'roots'), el('ul', { class: 'rows' }, meta.roots.slice(0, 200).map((r) => el('li', {}, mfnLink(app, r.mfn), ` ${r.of}`,
            r.pinned ? ', pinned' : '', el('span', { class: 'va soft' }, `${count(r.tables)} tables, ${count(r.own)} its own; maps ${count(r.frames)} frames`)))));
}

function listsPanel(app, box) {
    const { meta } = app.model;
    const s = meta.p2m_summary;
    put(box, el('h2', {}, 'Lists of frames'),
        el('p', { class: 'soft' }, `${count(s.pfns)} pfns in ${count(meta.p2m_runs)} ${meta.p2m_runs === 1 ? 'run' : 'runs'} of mfns that follow each other; the lists agree on ${count(s.agreed)}, differ on ${count(s.disagreed)}${s.recovered ? `; ${count(s.recovered)} recovered` : ''}.`),
        el('h3', {}, meta.tree.kind ? `the tree: ${meta.tree.kind}` : 'the tree of its frames'),
        meta.tree.kind && meta.tree.nodes.length ? treeDrawing(app) : el('p', { class: 'soft' }, 'The guest keeps none that could be read.'),
        meta.differences.length ? [el('h3', {}, 'where the sources differ'), el('ul', { class: 'rows', id: 'differences' }, meta.differences.map((d) => differenceRow(app, d)))] : null,
        el('h3', {}, 'sources'), sourceBars(meta));
}

function differenceRow(app, d) {
    const cell = app.model.cellOfPfn(d.first);
    const name = `pfn ${hex(d.first)}${d.last !== d.first ? ` to ${hex(d.last)}` : ''}`;
    return el('li', {}, cell === NONE ? el('code', {}, name) : cellLink(app, cell, name), el('span', { class: 'va' }, String(d.text)));
}

function sourceBars(meta) {
    const end = Math.max(1, ...meta.p2m.map((p) => (Number.isFinite(p.end) ? p.end : 0)), meta.end_pfn || 0);
    return el('div', { class: 'bars' }, meta.p2m.map((p) => {
        const fill = el('span', { class: p.stale ? 'fill stale' : 'fill' });
        fill.style.width = `${p.there ? Math.max(0, Math.min(100, 100 * p.end / end)) : 0}%`;
        return el('div', {}, el('span', {}, String(p.name)), el('div', { class: 'track' }, fill),
            el('small', {}, p.there ? `${count(p.has)} of pfns below ${hex(p.end)}${p.stale ? ', stale' : ''}; ${p.how}` : `not there; ${p.how || ''}`));
    }));
}
