// A page in headless Chromium.
import { createHash } from 'node:crypto';
import { createRequire } from 'node:module';

const { chromium } = createRequire(new URL('../../e2e/', import.meta.url))('playwright-core');
const digest = createHash('sha256');
let count = 0;

const browser = await chromium.launch({
    executablePath: '/usr/bin/chromium',
    // No sandbox, since the tests are root; the rest keeps Chromium from calling home.
    args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
        '--disable-background-networking', '--disable-component-update', '--disable-sync'],
});
const page = await browser.newPage();
page.on('console', message => console.error(message.text()));
await page.exposeFunction('take', message => {
    const data = Buffer.from(message, 'base64');
    digest.update(data);
    count += data.length;
});
const code = await page.evaluate(url => new Promise(resolve => {
    const socket = new WebSocket(url);
    socket.binaryType = 'arraybuffer';
    let taken = Promise.resolve();
    socket.onmessage = ({ data }) => {
        const bytes = Array.from(new Uint8Array(data), byte => String.fromCharCode(byte));
        taken = taken.then(() => take(btoa(bytes.join(''))));
    };
    socket.onclose = event => taken.then(() => resolve(event.code));
}), process.argv[2]);
console.log(JSON.stringify({ count, digest: digest.digest('hex'), code }));
await browser.close();
