// Headless Chromium, and pages for it.
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { chromium } from 'playwright-core';
import { equal } from './check.mjs';

export const PATIENCE_MS = 30_000;
// A port that a page may be on: the recipe for a terminal admits pages of this one only.
export const PAGE_PORT = 6080;

const TYPES = { js: 'text/javascript', css: 'text/css', html: 'text/html' };

// Serves this directory, with a page at / that has the scripts named. Pages must come from loopback:
// Chromium keeps other origins from loopback sockets.
export async function serve(port, scripts = [], styles = []) {
    const tags = [...styles.map(href => `<link rel="stylesheet" href="${href}">`),
        ...scripts.map(src => `<script src="${src}"></script>`)];
    const home = ['<!doctype html><meta charset="utf-8"><link rel="icon" href="data:,">', ...tags,
        '<body></body>'].join('\n');
    const server = createServer(async (request, response) => {
        const path = new URL(request.url, 'http://localhost').pathname;
        const type = TYPES[path.split('.').pop()] ?? 'text/html';
        try {
            const body = path === '/' ? home : await readFile(new URL(`.${path}`, import.meta.url));
            response.writeHead(200, { 'Content-Type': type }).end(body);
        } catch {
            response.writeHead(404).end();
        }
    });
    await once(server.listen(port, 'localhost'), 'listening');
    return server;
}

// A Chromium with one page, whose WebSockets are on record in `sockets`: subprotocol, messages in
// and out, and how they close.
export async function open(url, viewport) {
    const browser = await chromium.launch({
        executablePath: '/usr/bin/chromium',
        // No sandbox, since CI is root; the rest keeps Chromium from calling home.
        args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
            '--disable-background-networking', '--disable-component-update', '--disable-sync'],
    });
    // Whom the tests' authority vouches for, only clients that are told of it can see.
    const page = await browser.newPage({ viewport, ignoreHTTPSErrors: true });
    page.setDefaultTimeout(PATIENCE_MS);
    page.on('console', message => {
        if (message.type() === 'error') console.error(`page: ${message.text()}`);
    });
    page.on('pageerror', error => console.error(`page: ${error.stack}`));
    await page.addInitScript(() => {
        window.sockets = [];
        window.WebSocket = new Proxy(WebSocket, {
            construct(target, options) {
                const socket = new target(...options);
                const record = { socket, received: [], closed: null };
                window.sockets.push(record);
                socket.addEventListener('message', ({ data }) => record.received.push(data));
                socket.addEventListener('close', ({ wasClean, code }) => {
                    record.closed = { wasClean, code };
                });
                return socket;
            },
        });
    });
    await page.goto(url);
    return { browser, page };
}

// Runs a client of a page, and ends the browser whatever comes of it.
export async function visit(url, client, viewport = { width: 800, height: 600 }) {
    const { browser, page } = await open(url, viewport);
    try {
        await client(page);
    } finally {
        await browser.close();
    }
}

// Asserts that what `look` sees becomes `expected` within the patience.
export async function checkBecomes(what, look, expected) {
    const end = Date.now() + PATIENCE_MS;
    let seen = await look();
    while (seen !== expected && Date.now() < end) {
        await sleep(50);
        seen = await look();
    }
    equal(what, seen, expected);
}

// How all sessions of the page closed, by what is on record.
export const closings = page => page.evaluate(() => JSON.stringify(sockets.map(it => it.closed)));

export function screenshot(page, name) {
    return page.screenshot({ path: `${process.env.OUT}/${name}.png` });
}
