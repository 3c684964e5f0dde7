// SPDX-License-Identifier: MIT
// Pictures of reports. Usage: screenshots.mjs PLAYWRIGHT CHROMIUM FOLDER-OF-PAGES OUT-DIR (screenshots.py)
import { createRequire } from 'node:module';

const [playwright, chromium, folder, out] = process.argv.slice(2);
const { chromium: browserType } = createRequire(import.meta.url)(playwright);

const search = async (page, text) => {
    await page.keyboard.press('/');
    await page.keyboard.type(text);
    await page.keyboard.press('Enter');
};

const pictures = [
    { name: 'fresh', of: 'fresh', hash: 'theme=light&order=pfn' },
    { name: 'fragmented', of: 'busy', hash: 'theme=light', async act(page) {
        await search(page, 'linux_banner');
        await page.locator('#walk .link').nth(4).click();
        await page.keyboard.press('0');
    } },
    { name: 'findings', of: 'short-list', hash: 'theme=light&order=pfn', async act(page) {
        await page.keyboard.press('n');
        await page.keyboard.press('0');
        await page.click('#tab-lists');
    } },
    { name: 'dark', of: 'busy', hash: 'theme=dark&tab=roots' },
];

const browser = await browserType.launch({ executablePath: chromium, args: ['--no-sandbox'] });
for (const picture of pictures) {
    const context = await browser.newContext({ viewport: picture.of === 'busy' ? { width: 1120, height: 700 } : { width: 1440, height: 900 }, reducedMotion: 'reduce' });
    const page = await context.newPage();
    await page.goto(`file://${folder}/${picture.of}.html#${picture.hash}`);
    await page.evaluate(() => window.pvmm.ready);
    await page.evaluate(() => window.pvmm.look.settled());
    if (picture.act)
        await picture.act(page);
    await page.waitForTimeout(600);
    await page.screenshot({ path: `${out}/report-${picture.name}.png` });
    await context.close();
}
await browser.close();
