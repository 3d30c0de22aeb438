// spice-html5's page at argv[2], on a machine that has nothing to boot from.
import { setTimeout as sleep } from 'node:timers/promises';
import { PATIENCE_MS, checkBecomes, closings, screenshot, visit } from './browser.mjs';
import { check, equal } from './check.mjs';

// How many pixels of the machine's screen are lit: what the firmware writes there.
const lit = page => page.evaluate(() => {
    const canvases = [...document.querySelectorAll('canvas')];
    const counts = canvases.map(canvas => {
        const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
        return data.reduce((sum, value, at) => sum + (at % 4 !== 3 && value > 64), 0);
    });
    return Math.max(0, ...counts);
});

// Waits until the screen has not changed for two seconds.
async function rest(page) {
    const end = Date.now() + PATIENCE_MS;
    for (let seen = -1, now = await lit(page); seen !== now && Date.now() < end;) {
        await sleep(2_000);
        [seen, now] = [now, await lit(page)];
    }
    return lit(page);
}

await visit(process.argv[2], async page => {
    await checkBecomes('the screen shows something', async () => await lit(page) > 1_000, true);
    const before = await rest(page);
    await screenshot(page, 'spice-booted');
    // Ctrl-Alt-Del restarts the machine: the firmware clears the screen and writes anew.
    await page.locator('canvas').first().click();
    await page.keyboard.press('Control+Alt+Delete');
    await checkBecomes('it goes dark when the keyboard restarts the machine',
        async () => await lit(page) < before / 2, true);
    equal('and comes up again', await rest(page) > before / 2, true);
    await screenshot(page, 'spice-restarted');

    const protocols = await page.evaluate(() => sockets.map(({ socket }) => socket.protocol));
    check('there are several channels', protocols.length >= 3, `(got ${protocols.length})`);
    check('each agreed on the subprotocol binary', protocols.every(it => it === 'binary'), protocols);
    equal('none was closed', /wasClean/.test(await closings(page)), false);
}, { width: 1_000, height: 800 });
