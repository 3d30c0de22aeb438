// noVNC in headless Chromium, through the daemon at argv[2], on the desktop that desktop.py draws.
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { chromium } from 'playwright-core';
import { check, equal } from './check.mjs';

const PATIENCE_MS = 20_000;
const TYPED = 'WebSocksy-6455';
const [, , url] = process.argv;

// The geometry and the colours of desktop.py. A spot is a point and the colour it must have.
const colour = value => value << 16 | (255 - value) << 8 | (value ^ 0x55);
const spot = (x, y, value) => ({ x, y, colour: colour(value) });
const BARS = range(8).map(bar => spot(bar * 80 + 40, 100, bar * 32));
const KEYS = [...TYPED].map((key, index) => spot(index * 40 + 20, 440, key.charCodeAt()));
const NOISE = { x: 0, y: 200, width: 640, height: 200 };
const noise = (x, y) => (x ** 3 + 7 * y ** 3 + x * y) % 65521 % 64 * 4;

function range(length) {
    return [...Array(length).keys()];
}

// The page must come from http://127.0.0.1: Chromium keeps other origins from loopback sockets.
async function serve() {
    const server = createServer(async (request, response) => {
        const path = new URL(request.url, 'http://127.0.0.1').pathname;
        const file = path.replace(/^\/novnc\//, '/node_modules/@novnc/novnc/');
        const type = path.endsWith('.js') ? 'text/javascript' : 'text/html';
        try {
            const body = await readFile(new URL(`.${file}`, import.meta.url));
            response.writeHead(200, { 'Content-Type': type }).end(body);
        } catch {
            response.writeHead(404).end();
        }
    });
    await once(server.listen(0, '127.0.0.1'), 'listening');
    return server;
}

function launch() {
    return chromium.launch({
        executablePath: '/usr/bin/chromium',
        // No sandbox, since CI is root; the rest keeps Chromium from calling home.
        args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
            '--disable-background-networking', '--disable-component-update', '--disable-sync'],
    });
}

async function open(browser, server) {
    const page = await browser.newPage({ viewport: { width: 640, height: 480 } });
    page.setDefaultTimeout(PATIENCE_MS);
    page.on('console', message => {
        if (message.type() === 'error') console.error(`page: ${message.text()}`);
    });
    page.on('pageerror', error => console.error(`page: ${error.stack}`));
    const query = new URLSearchParams({ url });
    await page.goto(`http://127.0.0.1:${server.address().port}/novnc.html?${query}`);
    // noVNC's modules await at their top level, and the load event does not wait for that.
    await page.waitForFunction(() => window.session);
    return page;
}

// What a promise of the page's session resolves to; 'timed out' when it does not in time.
const settled = (page, promise) => page.evaluate(([name, ms]) => Promise.race([
    session[name],
    new Promise(resolve => setTimeout(resolve, ms, 'timed out')),
]), [promise, PATIENCE_MS]);

// Asserts that what `look` sees becomes `expected` within the patience.
async function checkBecomes(what, look, expected) {
    const end = Date.now() + PATIENCE_MS;
    let seen = await look();
    while (seen !== expected && Date.now() < end) {
        await sleep(50);
        seen = await look();
    }
    equal(what, seen, expected);
}

function checkSpots(page, what, spots) {
    const hex = colours => colours.map(colour => colour.toString(16).padStart(6, '0')).join(' ');
    const look = () => page.evaluate(
        spots => spots.map(({ x, y }) => session.pixels(x, y, 1, 1)[0]), spots);
    return checkBecomes(what, async () => hex(await look()), hex(spots.map(spot => spot.colour)));
}

function checkNoise(page) {
    const { x, y, width, height } = NOISE;
    const wanted = range(width * height)
        .map(pixel => colour(noise(x + pixel % width, y + Math.floor(pixel / width))));
    const look = () => page.evaluate(area => session.pixels(...area), [x, y, width, height]);
    const wrong = async () => (await look()).filter((got, pixel) => got !== wanted[pixel]).length;
    return checkBecomes(`no pixel of the noise's ${wanted.length} is wrong`, wrong, 0);
}

function screenshot(page, name) {
    return page.screenshot({ path: `${process.env.OUT}/novnc-${name}.png` });
}

async function view(page) {
    equal('noVNC connects', await settled(page, 'connected'), true);
    equal('the desktop has its name', await settled(page, 'named'), 'websocksy e2e');
    await checkSpots(page, 'the canvas shows the eight bars', BARS);
    await checkNoise(page);
    await screenshot(page, 'desktop');

    await page.evaluate(() => session.rfb.focus());
    await page.keyboard.type(TYPED);
    await checkSpots(page, `the keys "${TYPED}" arrive, and their colours come back`, KEYS);
    await screenshot(page, 'typed');

    await page.evaluate(() => session.rfb.disconnect());
    const { wasClean, code } = await settled(page, 'closed');
    check('the session closes cleanly', wasClean, `(code ${code})`);
}

const server = await serve();
const browser = await launch();
try {
    await view(await open(browser, server));
} finally {
    await browser.close();
    server.close();
}
