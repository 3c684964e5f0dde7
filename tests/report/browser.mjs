// SPDX-License-Identifier: MIT
// The report's page in headless Chromium. Usage: browser.mjs PLAYWRIGHT CHROMIUM FIXTURES CASE
// FIXTURES is what fixtures.py made: pages, and truth.json with what must be found in them.
import { createRequire } from 'node:module';
import { createServer } from 'node:http';
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { readFileSync } from 'node:fs';
import assert from 'node:assert/strict';

const [playwright, chromium, fixtures, wanted] = process.argv.slice(2);
const { chromium: browserType } = createRequire(import.meta.url)(playwright);
const truth = JSON.parse(readFileSync(`${fixtures}/truth.json`, 'utf8'));
const url = (name) => `file://${fixtures}/${name}.html`;
const state = (page) => page.evaluate(() => window.pvmm.state());
const settle = async (page) => {
    await page.evaluate(() => window.pvmm.look.settled());
    await page.evaluate(() => new Promise((go) => requestAnimationFrame(() => requestAnimationFrame(go))));
};
const until = async (page, what, seconds = 20) => {
    for (let end = Date.now() + seconds * 1000; ;) {
        const s = await state(page);
        if (what(s))
            return s;
        assert(Date.now() < end, `did not come: ${what}; the page is at ${JSON.stringify(s)}`);
        await new Promise((go) => setTimeout(go, 50));
    }
};

let browser;

/* A page that must neither complain nor ask for anything but what `allowed` says. */
async function open(where, { hash = '', width = 1280, height = 800, scheme = 'dark', allowed = /^file:|^data:/ } = {}) {
    const context = await browser.newContext({ viewport: { width, height }, colorScheme: scheme, reducedMotion: 'reduce' });
    const page = await context.newPage();
    page.complaints = [];
    page.on('console', (m) => page.complaints.push(`console: ${m.text()}`));
    page.on('pageerror', (e) => page.complaints.push(`error: ${e.stack}`));
    page.on('request', (r) => allowed.test(r.url()) || page.complaints.push(`request: ${r.url()}`));
    page.setDefaultTimeout(60000);
    await page.goto(where + (hash ? `#${hash}` : ''));
    await page.evaluate(() => window.pvmm.ready);
    return page;
}

async function done(page) {
    assert.deepEqual(page.complaints, []);
    await page.context().close();
}

const place = (page, mfn) => page.evaluate((m) => window.pvmm.look.place(m), mfn);

async function search(page, text) {
    await page.keyboard.press('/');
    await page.keyboard.type(text);
    await page.keyboard.press('Enter');
}

async function clickFrame(page, mfn) {
    const at = await place(page, mfn);
    await page.mouse.click(at.x, at.y);
    return state(page);
}

/* The colour of the canvas at the middle of a frame, as #rrggbb. */
function pixel(page, mfn) {
    return page.evaluate((m) => {
        const at = window.pvmm.look.place(m), map = document.getElementById('map'), r = map.getBoundingClientRect();
        const k = map.width / r.width;
        const one = Object.assign(document.createElement('canvas'), { width: 1, height: 1 }).getContext('2d', { willReadFrequently: true });
        one.drawImage(map, Math.floor((at.x - r.left) * k), Math.floor((at.y - r.top) * k), 1, 1, 0, 0, 1, 1);
        const [red, green, blue] = one.getImageData(0, 0, 1, 1).data;
        return '#' + [red, green, blue].map((v) => v.toString(16).padStart(2, '0')).join('');
    }, mfn);
}

const near = (a, b) => [1, 3, 5].every((i) => Math.abs(parseInt(a.slice(i, i + 2), 16) - parseInt(b.slice(i, i + 2), 16)) <= 6);

const cases = {
    async renders() {
        const page = await open(url('plain'));
        const t = truth.plain;
        const seen = new Set();
        for (const mfn of [t.text_mfn + 5, t.user_mfn + 5, t.start_info + 5, t.root, t.user_root]) {
            await page.evaluate((m) => window.pvmm.look.goTo(m, 12), mfn);
            await settle(page);
            const is = await pixel(page, mfn), want = await page.evaluate((m) => window.pvmm.look.colour(m), mfn);
            assert(near(is, want), `frame ${mfn.toString(16)} has colour ${is}, its kind ${want}`);
            seen.add(is);
        }
        assert(seen.size >= 4, 'kinds look alike');
        for (const [i, n] of t.counts.entries()) {
            const button = page.locator('#legend button').nth(t.counts.slice(0, i).filter((c) => c).length);
            if (n)
                assert.equal((await button.locator('.num').innerText()).replace(/\D/g, ''), String(n));
        }
        await done(page);
    },
    async click() {
        const t = truth.plain;
        for (const order of ['mfn', 'pfn']) {
            const page = await open(url('plain'), { hash: `order=${order}` });
            await settle(page);
            let s = await clickFrame(page, t.text_mfn);
            assert.equal(s.mfn, t.text_mfn);
            assert.equal(s.pfn, t.text_pfn);
            assert.equal(await page.innerText('#frame-mfn'), t.text_mfn.toString(16));
            assert.equal(await page.innerText('#frame-pfn'), t.text_pfn.toString(16));
            assert.match(await page.innerText('#mappers'), /0xffffffff81000000 kernel text/);
            s = await clickFrame(page, t.user_mfn);
            assert.equal(s.mfn, t.user_mfn);
            assert.match(await page.innerText('#mappers'), /0x00007f0000000000/);
            await page.locator('#mappers .link').first().click();
            s = await state(page);
            assert.equal(s.kind, 'l1');
            await page.locator('#strip').focus();
            await page.keyboard.press('ArrowRight');
            await page.keyboard.press('Enter');
            assert.notEqual((await state(page)).mfn, s.mfn);
            await done(page);
        }
    },
    async real() {
        const t = truth.real;
        const page = await open(url('real'));
        for (const f of t.frames) {
            await search(page, `pfn ${f.pfn.toString(16)}`);
            let s = await state(page);
            assert.equal(s.mfn, f.mfn, `pfn ${f.pfn.toString(16)}`);
            s = await clickFrame(page, f.mfn);
            assert.equal(s.pfn, f.pfn);
        }
        for (const w of t.walks) {
            await search(page, w.va);
            const s = await state(page);
            assert.equal(s.mfn, w.mfn, `address ${w.va}`);
            const text = await page.innerText('#walk');
            for (const l of w.levels)
                assert.match(text, new RegExp(`L${l.level}\\s*mfn ${l.table}\\s*slot ${l.slot}\\b`));
        }
        await done(page);
    },
    async zoom() {
        const page = await open(url('plain'));
        const first = await state(page);
        const at = await place(page, truth.plain.text_mfn);
        await page.mouse.move(at.x, at.y);
        await page.mouse.wheel(0, -600);
        const near1 = await until(page, (s) => s.scale > first.scale * 1.5);
        const after = await place(page, truth.plain.text_mfn);
        assert(Math.hypot(after.x - at.x, after.y - at.y) < near1.scale * 1.5, 'what is under the pointer stays there');
        assert(await page.isVisible('#mini'));
        await page.mouse.down();
        await page.mouse.move(at.x + 90, at.y + 40, { steps: 5 });
        await page.mouse.up();
        const dragged = await state(page);
        assert(dragged.x < near1.x - 1 && dragged.mfn === null, 'a drag moves the map, and selects nothing');
        await page.focus('#map');
        await page.keyboard.press('+');
        assert((await state(page)).scale > dragged.scale);
        await page.keyboard.press('-');
        await page.keyboard.press('ArrowRight');
        assert((await state(page)).x > dragged.x);
        await page.keyboard.press('0');
        assert.equal((await state(page)).scale, first.scale);
        await page.click('#zoom-in');
        assert((await state(page)).scale > first.scale);
        await done(page);
    },
    async search() {
        const t = truth.plain;
        const page = await open(url('plain'));
        for (const [text, mfn] of [[`mfn ${t.text_mfn.toString(16)}`, t.text_mfn], [`pfn 0x${t.banner_pfn.toString(16)}`, t.banner_mfn],
            [t.banner_va, t.banner_mfn], ['linux_banner', t.banner_mfn], [t.user_va, t.user_mfn]]) {
            await search(page, text);
            assert.equal((await state(page)).mfn, mfn, text);
            await page.keyboard.press('Escape');
            assert.equal((await state(page)).mfn, null);
        }
        await search(page, t.banner_va);
        assert.match(await page.innerText('#walk'), /L4[^]*L3[^]*L2[^]*L1/);
        await page.keyboard.press('Escape');
        await page.keyboard.press('/');
        await page.keyboard.type(t.text_pfn.toString(16));
        assert.match(await page.innerText('#hits'), /pfn/);
        assert.match(await page.innerText('#hits'), /mfn/);
        await page.keyboard.press('Escape');
        for (const [text, said] of [['zebra', /no mfn, pfn, address or known symbol/], ['pfn fffffff', /no frame/], ['0xffffc90000001000', /not mapped/],
            ['0x1234567890abcdef', /not canonical/]]) {
            await search(page, text);
            assert.match(await page.innerText('#hits'), said);
            assert.equal((await state(page)).mfn, null, text);
            await page.keyboard.press('Escape');
        }
        await done(page);
    },
    async keyboard() {
        const page = await open(url('findings'));
        const stops = new Set();
        for (let i = 0; i < 60; i++) {
            await page.keyboard.press('Tab');
            stops.add(await page.evaluate(() => document.activeElement.id || document.activeElement.dataset.key || document.activeElement.name || ''));
        }
        for (const id of ['query', 'theme', 'help', 'map', 'zoom-in', 'l4', 'plain', 'tab-overview', 'order'])
            assert(stops.has(id), `Tab does not come to ${id}: ${[...stops]}`);
        await page.focus('#map');
        await page.keyboard.press('Enter');
        const first = await state(page);
        assert.notEqual(first.mfn, null);
        await page.keyboard.press('Shift+ArrowRight');
        const second = await state(page);
        assert.notEqual(second.mfn, first.mfn);
        await page.keyboard.press(']');
        assert.notEqual((await state(page)).mfn, second.mfn);
        await page.keyboard.press('?');
        assert(await page.isVisible('#keys'));
        await page.keyboard.press('Escape');
        assert(!await page.isVisible('#keys'));
        assert.notEqual((await state(page)).mfn, null, 'Escape closes one thing at a time');
        await page.keyboard.press('n');
        assert.equal((await state(page)).mfn, truth.findings.found[0]);
        await page.keyboard.press('n');
        assert.equal((await state(page)).mfn, truth.findings.found[1]);
        await page.keyboard.press('4');
        assert.equal((await state(page)).tab, 'roots');
        await page.keyboard.press('ArrowRight');
        assert.equal((await state(page)).tab, 'lists');
        await page.keyboard.press('o');
        await until(page, (s) => s.order === 'pfn');
        await page.keyboard.press('c');
        await until(page, (s) => s.colour === 'runs');
        await settle(page);
        await done(page);
    },
    async legend() {
        const page = await open(url('plain'));
        const t = truth.plain;
        await page.evaluate((m) => window.pvmm.look.goTo(m, 8), t.text_mfn + 20);
        await settle(page);
        const before = await pixel(page, t.text_mfn + 20);
        await page.click('#legend [data-key="l1"]');
        assert.deepEqual((await state(page)).only, ['l1']);
        await page.waitForTimeout(300);
        assert(!near(await pixel(page, t.text_mfn + 20), before), 'what is not chosen is dimmed');
        await page.click('#legend [data-key="l1"]');
        await page.waitForTimeout(300);
        assert(near(await pixel(page, t.text_mfn + 20), before));
        await done(page);
    },
    async findings() {
        const page = await open(url('findings'));
        assert.equal((await state(page)).rings, truth.findings.found.length);
        await page.click('#tab-findings');
        assert.equal(await page.locator('.finding').count(), truth.findings.found.length);
        await page.locator('.finding').nth(2).click();
        const s = await state(page);
        assert.equal(s.mfn, truth.findings.found[2]);
        const at = await place(page, s.mfn), box = await page.locator('#map').boundingBox();
        assert(at.x > box.x && at.x < box.x + box.width && at.y > box.y && at.y < box.y + box.height);
        assert.equal(await page.locator('.rule .broken').count(), 2);
        await page.click('#tab-lists');
        assert.match(await page.innerText('#panel-lists'), /It ends at pfn/);
        assert(await page.locator('#tree-drawing [data-state="missing"]').count() > 0);
        await done(page);
    },
    async pictures() {
        const page = await open(url('plain'));
        const t = truth.plain;
        await page.click('#tab-roots');
        await page.click(`#roots-drawing [data-mfn="${t.user_root}"]`);
        assert.equal((await state(page)).mfn, t.user_root);
        await page.click('#tab-lists');
        await page.locator('#tree-drawing .node').first().focus();
        await page.keyboard.press('ArrowRight');
        await page.keyboard.press('Enter');
        assert.equal((await state(page)).kind, 'list');
        await done(page);
    },
    async timeline() {
        const page = await open(url('findings'));
        assert(await page.isVisible('#acts'));
        await page.focus('#acts');
        for (let i = 0; i < 40 && (await state(page)).mfn === null; i++) {
            await page.keyboard.press('ArrowRight');
            await page.keyboard.press('Enter');
        }
        assert.notEqual((await state(page)).mfn, null);
        assert.match(await page.innerText('#act-text'), /(µs|ms): \w/);
        await page.click('#play');
        await page.waitForTimeout(400);
        await page.click('#play');
        const box = await page.locator('#acts').boundingBox();
        await page.mouse.move(box.x + 100, box.y + 20);
        await page.mouse.down();
        await page.mouse.move(box.x + 300, box.y + 20, { steps: 4 });
        await page.mouse.up();
        await page.mouse.wheel(0, -200);
        await done(page);
    },
    async themes() {
        const lights = [];
        for (const scheme of ['light', 'dark']) {
            const page = await open(url('plain'), { scheme });
            assert.equal((await state(page)).theme, scheme);
            await page.evaluate((m) => window.pvmm.look.goTo(m, 12), truth.plain.text_mfn);
            await settle(page);
            lights.push(await pixel(page, truth.plain.text_mfn));
            await page.keyboard.press('t');
            assert.notEqual((await state(page)).theme, scheme);
            await settle(page);
            assert(!near(await pixel(page, truth.plain.text_mfn), lights[lights.length - 1]));
            await done(page);
        }
        assert(!near(lights[0], lights[1]));
    },
    async hash() {
        const t = truth.plain;
        const page = await open(url('plain'));
        await clickFrame(page, t.user_mfn);
        await page.keyboard.press('+');
        await page.keyboard.press('t');
        await page.waitForTimeout(500);
        const link = page.url(), was = await state(page);
        assert.match(link, new RegExp(`#.*mfn=${t.user_mfn.toString(16)}`));
        const other = await open(link);
        await settle(other);
        const is = await state(other);
        assert.deepEqual([is.mfn, is.theme, is.tab], [was.mfn, was.theme, was.tab]);
        assert(Math.abs(is.scale - was.scale) < 0.01 * was.scale && Math.abs(is.x - was.x) < 0.1);
        await other.evaluate((m) => { location.hash = `mfn=${m.toString(16)}&order=pfn&only=l1`; }, t.text_mfn);
        await until(other, (s) => s.mfn === t.text_mfn && s.order === 'pfn' && s.only[0] === 'l1');
        await done(page);
        await done(other);
    },
    async sizes() {
        for (const [width, height] of [[1280, 800], [1920, 1080], [420, 800]]) {
            const page = await open(url('findings'), { width, height });
            const wide = await page.evaluate(() => document.documentElement.scrollWidth);
            assert(wide <= width, `at ${width} the page is ${wide} wide`);
            const box = await page.locator('#map').boundingBox();
            assert(box.width > width * 0.5 && box.height > 230, `the map is ${box.width} by ${box.height}`);
            await done(page);
        }
    },
    async large() {
        const start = Date.now();
        const page = await open(url('large'));
        const took = Date.now() - start;
        assert.equal((await state(page)).cells, 16777217);
        assert(took < 90000, `64 GB took ${took} ms`);
        const t = truth.large;
        await search(page, t.banner_va);
        assert.equal((await state(page)).mfn, t.banner_mfn);
        await page.keyboard.press('0');
        const box = await page.locator('#map').boundingBox();
        await page.mouse.move(box.x + box.width / 3, box.y + box.height / 3);
        const frames = await page.evaluate(() => {
            const out = { longest: 0, n: 0 };
            let last = performance.now();
            window.frames64 = out;
            const tick = (now) => { out.longest = Math.max(out.longest, now - last); last = now; out.n++; window.frames64 && requestAnimationFrame(tick); };
            requestAnimationFrame(tick);
            return out.n;
        });
        assert.equal(frames, 0);
        for (let i = 0; i < 30; i++)
            await page.mouse.wheel(0, -120);
        const s = await until(page, (x) => x.scale > 1);
        assert.equal(s.level, 0);
        const seen = await page.evaluate(() => { const f = window.frames64; window.frames64 = null; return f; });
        assert(seen.longest < 2000, `a frame took ${seen.longest} ms`);
        console.log(`64 GB: shown after ${took} ms, ${seen.n} frames while zooming, the longest ${Math.round(seen.longest)} ms`);
        await done(page);
    },
    async hostile() {
        const page = await open(url('hostile'));
        assert.notEqual(await page.title(), 'broken');
        assert.equal(await page.locator('img').count(), 0);
        assert.match(await page.innerText('h1'), /<\/script><img/);
        for (const tab of ['overview', 'findings', 'roots', 'lists'])
            await page.click(`#tab-${tab}`);
        await search(page, '</script>');
        await done(page);
        for (const [name, said] of [['damaged', /column pfn/], ['empty', /format|columns/], ['no-data', /no data/], ['wrong-target', /column target/], ['not-json', /damaged/]]) {
            const bad = await open(url(name));
            assert(await bad.isVisible('#failed'), name);
            assert.match(await bad.innerText('#failed'), said);
            await done(bad);
        }
    },
    async live() {
        const turns = [0, 1, 2].map((n) => readFileSync(`${fixtures}/turn${n}.json`));
        let asked = 0, gone = false;
        const server = createServer((request, answer) => {
            if (request.url === '/') {
                answer.setHeader('content-type', 'text/html; charset=utf-8');
                answer.end(readFileSync(`${fixtures}/live.html`));
            } else if (request.url === '/data' && !gone)
                answer.end(turns[Math.min(2, asked++)]);
            else
                answer.writeHead(410).end();
        });
        await new Promise((go) => server.listen(0, '127.0.0.1', go));
        const origin = `http://127.0.0.1:${server.address().port}/`;
        const page = await open(origin, { allowed: new RegExp(`^${origin}|^data:`) });
        await search(page, `mfn ${truth.live.text_mfn.toString(16)}`);
        const before = await until(page, (s) => s.mfn === truth.live.text_mfn);
        const after = await until(page, (s) => s.turns >= 2 && s.glows > 0);
        assert.deepEqual([after.mfn, after.scale, after.x], [before.mfn, before.scale, before.x]);
        await page.click('#pause');
        await page.waitForTimeout(300);
        const paused = (await state(page)).turns;
        await page.waitForTimeout(1800);
        assert((await state(page)).turns <= paused + 1);
        gone = true;
        await page.click('#pause');
        await until(page, (s) => s.gone);
        assert.match(await page.innerText('#foot'), /the guest is gone/);
        assert.equal((await state(page)).mfn, before.mfn);
        page.complaints = page.complaints.filter((c) => !/410/.test(c));
        await done(page);
        server.close();
    },
    async guest() {
        const { url: where, destroy } = truth.guest;
        const page = await open(where, { allowed: new RegExp(`^${new URL(where).origin}/|^data:`) });
        const first = await until(page, (s) => s.ready && s.cells >= 16384, 60);
        await page.focus('#map');
        await page.keyboard.press('Enter');
        const chosen = await state(page);
        assert.notEqual(chosen.mfn, null);
        const later = await until(page, (s) => s.turns >= first.turns + 3, 60);
        assert.deepEqual([later.mfn, later.scale], [chosen.mfn, chosen.scale]);
        await promisify(execFile)(destroy[0], destroy.slice(1));
        await until(page, (s) => s.gone, 60);
        assert.match(await page.innerText('#foot'), /the guest is gone/);
        page.complaints = page.complaints.filter((c) => !/\b(410|503)\b/.test(c));
        await done(page);
    },
};

const names = wanted === 'small' ? Object.keys(cases).filter((name) => name !== 'large' && name !== 'guest') : [wanted];
browser = await browserType.launch({ executablePath: chromium, args: ['--no-sandbox', '--disable-gpu'] });
let failures = 0;
for (const name of names) {
    const start = Date.now();
    try {
        await cases[name]();
        console.log(`ok ${name} (${Date.now() - start} ms)`);
    } catch (e) {
        failures++;
        console.log(`not ok ${name}: ${e.stack}`);
    }
}
await browser.close();
process.exit(failures ? 1 : 0);
