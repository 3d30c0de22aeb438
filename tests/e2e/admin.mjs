// The operator's page in Chromium: argv has its port, the bridge's, the peer's that it makes, the daemon's
// process, and how many workers that has. Clients come, talk, are refused and are closed, and the page says
// so, whichever worker has them and whichever answers it.
import { once } from 'node:events';
import { createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import WebSocket from 'ws';
import { checkBecomes, open, screenshot } from './browser.mjs';
import { check, equal } from './check.mjs';

const [, , admin, bridge, peer, daemon, workers] = process.argv;
const picture = name => `admin-${workers > 1 ? 'workers-' : ''}${name}`;
const DESKTOP = { width: 1280, height: 1000 };
const PHONE = { width: 390, height: 844 };
// What a page must not take for its own.
const HOSTILE = 'http://<img src=x onerror=document.title=1>';

const echo = createServer(socket => socket.on('error', () => {}).pipe(socket));
await once(echo.listen(peer, 'localhost'), 'listening');

async function session(path, origin = 'http://localhost') {
    const socket = new WebSocket(`ws://localhost:${bridge}${path}`, { origin });
    const settled = await Promise.race([once(socket, 'open').then(() => 'open'),
        once(socket, 'unexpected-response').then(([, response]) => response.statusCode)]
        .map(promise => promise.catch(error => error.message)));
    return { socket, settled };
}

// Sends about so many bytes in each step; they come back.
function talk({ socket }, bytes, pause) {
    const some = () => Buffer.alloc(Math.round(bytes * (1.5 + Math.sin(Date.now() / 15_000))));
    const timer = setInterval(() => socket.readyState === 1 && socket.send(some()), pause);
    socket.on('close', () => clearInterval(timer));
}

const paths = ['/desk/alice', '/desk/bob?token=secret', '/irc', '/log', '/mqtt', '/serial'];
const sessions = await Promise.all(paths.map(path => session(path)));
equal('all come in', sessions.filter(({ settled }) => settled === 'open').length, paths.length);

// The kernel spreads clients over workers by chance: so many come that each worker has some.
async function oneOfEach() {
    const all = await (await fetch(`http://localhost:${admin}/sessions`)).json();
    return [...new Map(all.map(session => [session.worker ?? 1, session])).values()];
}
while ((await oneOfEach()).length < workers && sessions.length < 60) {
    sessions.push(await session(`/more/${sessions.length}`));
}
const count = sessions.length;
equal('every worker has sessions', (await oneOfEach()).length, Number(workers));
talk(sessions[1], 60_000, 20);
talk(sessions[0], 20_000, 50);
talk(sessions[4], 300, 200);
equal('another site is refused', (await session('/desk/alice', HOSTILE)).settled, 403);

const { browser, page } = await open(`http://localhost:${admin}/`, DESKTOP);
const wrong = [];
page.on('console', message => message.type() === 'error' && wrong.push(message.text()));
page.on('pageerror', error => wrong.push(error.message));
await page.reload();
const text = id => page.locator(`#${id}`).textContent();
const first = () => page.locator('#sessions tr').first().locator('[data-name=Path]').textContent();

try {
    await checkBecomes('the daemon is ready', () => text('state'), 'ready');
    await checkBecomes('all sessions are there', () => text('count'), `${count}`);
    await checkBecomes('who talks most is first', first, '/desk/bob?token=***');
    await checkBecomes('throughput is drawn', () => page.evaluate(() =>
        document.querySelectorAll('#c-bytes path')[0]?.getAttribute('d').includes('L') ?? false), true);
    check('a rate is shown', /[0-9.]+ [kM]B\/s/.test(await text('c-bytes')), await text('c-bytes'));
    const refused = await text('refusals');
    check('who was refused, and why', /403.*bad-handshake/.test(refused), refused);
    check('text of clients stays text', refused.includes(HOSTILE), refused);
    check('how many in the last minute', /^1 in the last minute/.test(await text('minute')));
    check('the listener', (await text('listeners')).includes(bridge));
    check('the certificate, and its days', /\d+ days? left/.test(await text('certificates')),
        await text('certificates'));
    equal('and makes no element', await page.locator('main img').count(), 0);
    equal('nor runs', await page.title(), 'websocksy');

    // As long as a picture for the docs wants.
    await sleep(Number(process.env.LOOK_SECONDS ?? 0) * 1000);
    const wide = () => page.evaluate(() => document.documentElement.scrollWidth <= innerWidth);
    check('it fits a desktop', await wide());
    await page.screenshot({ path: `${process.env.OUT}/${picture('desktop')}.png`, fullPage: true });
    const light = await page.evaluate(() => getComputedStyle(document.body).backgroundColor);
    await page.emulateMedia({ colorScheme: 'dark' });
    await page.setViewportSize(PHONE);
    const dark = await page.evaluate(() => getComputedStyle(document.body).backgroundColor);
    check('it is dark where that is wanted', light !== dark, `${light} ${dark}`);
    check('it fits a phone', await wide());
    await screenshot(page, picture('phone'));
    await page.locator('#sessions').scrollIntoViewIfNeeded();
    await screenshot(page, picture('phone-sessions'));

    // By the keyboard alone, from the filter on. One worker answers what the page asks in a connection, so
    // all sessions but those of one are others'.
    await page.setViewportSize(DESKTOP);
    page.on('dialog', dialog => dialog.accept());
    const chosen = await oneOfEach();
    for (const { worker, path } of chosen) {
        const of = worker ? ` of worker ${worker}` : '';
        const { socket } = sessions.find(({ socket }) => socket.url.includes(path.split('?')[0]));
        const closed = once(socket, 'close');
        await page.focus('#filter');
        await page.keyboard.press('ControlOrMeta+A');
        await page.keyboard.type(path);
        await checkBecomes(`the filter leaves one${of}`, () => page.locator('#sessions tr').count(), 1);
        await page.keyboard.press('Tab');
        equal('then comes its button', await page.evaluate(() => document.activeElement.textContent), 'Close');
        await page.keyboard.press('Enter');
        equal(`and ends the session${of}`, (await closed)[0], 1001);
        await checkBecomes('it is gone from the page', () => page.locator('#sessions tr:not(.gone)').count(), 0);
    }
    await checkBecomes('the others are left', () => text('count'), `${count - chosen.length}`);
    await checkBecomes('the endings are counted', async () =>
        (await text('endings')).includes(`operator${chosen.length}`), true);
    equal('nothing was blocked or went wrong', wrong.join(), '');

    process.kill(Number(daemon), 'SIGTERM');
    await checkBecomes('the end is seen', () => text('state'), 'the daemon does not answer');
} finally {
    await browser.close();
    sessions.forEach(({ socket }) => socket.terminate());
    echo.close();
}
process.exit();
