// The noVNC library of argv[3] in headless Chromium, through the daemon at argv[2], on the desktop that
// desktop.py draws.
import { PATIENCE_MS, closings, checkBecomes, screenshot, serve, visit } from './browser.mjs';
import { equal } from './check.mjs';
import { BARS, checkNoise, checkSpots, keys } from './screen.mjs';

const [, , url, library] = process.argv;
// Until 1.1 noVNC leaves Shift to the user's own key, which Playwright does not press for a capital.
const TYPED = library === 'novnc-1.7' ? 'WebSocksy-6455' : 'websocksy-6455';

// What a promise of the page's session resolves to; 'timed out' when it does not in time.
const settled = (page, promise) => page.evaluate(([name, ms]) => Promise.race([
    session[name],
    new Promise(resolve => setTimeout(resolve, ms, 'timed out')),
]), [promise, PATIENCE_MS]);

async function view(page) {
    // noVNC's modules await at their top level, and the load event does not wait for that.
    await page.waitForFunction(() => window.session);
    equal(`${library} connects`, await settled(page, 'connected'), true);
    equal('the desktop has its name', await settled(page, 'named'), 'websocksy e2e');
    await checkSpots(page, 'the canvas shows the eight bars', BARS);
    await checkNoise(page);

    await page.evaluate(() => session.rfb.focus());
    await page.keyboard.type(TYPED);
    await checkSpots(page, `the keys "${TYPED}" arrive, and their colours come back`, keys(TYPED));
    await screenshot(page, library);

    await page.evaluate(() => session.rfb.disconnect());
    const clean = async () => /"wasClean":true/.test(await closings(page));
    await checkBecomes('the session closes cleanly', clean, true);
}

const server = await serve(0);
const query = new URLSearchParams({ url, library });
await visit(`http://localhost:${server.address().port}/novnc.html?${query}`, view);
server.close();
