// noVNC's own page at argv[2], as a user opens it, on the desktop that desktop.py draws.
import { screenshot, visit } from './browser.mjs';
import { BARS, checkNoise, checkSpots } from './screen.mjs';

await visit(process.argv[2], async page => {
    await page.waitForSelector('canvas');
    await page.waitForSelector('.noVNC_connected');
    await checkSpots(page, "the page's canvas shows the eight bars", BARS);
    await checkNoise(page);
    await screenshot(page, 'novnc-page');
});
