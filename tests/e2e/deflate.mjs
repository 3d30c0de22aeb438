// Compression with `ws` and Chromium: the file in argv[2], line by line and whole, there and back.
import { readFile } from 'node:fs/promises';
import { once } from 'node:events';
import WebSocket from 'ws';
import { PAGE_PORT, serve, visit } from './browser.mjs';
import { check, equal } from './check.mjs';

const [file, ...urls] = process.argv.slice(2);
const text = await readFile(file, 'utf8');
const texts = [...text.split('\n').slice(0, 150), text, '', text.slice(0, 100)];

const OFFERS = {
    'by default': { threshold: 0 },
    'with small windows': { threshold: 0, serverMaxWindowBits: 9, clientMaxWindowBits: 9 },
    'without context': { threshold: 0, serverNoContextTakeover: true, clientNoContextTakeover: true },
};

for (const url of urls) {
    for (const [name, perMessageDeflate] of Object.entries(OFFERS)) {
        const socket = new WebSocket(url, { perMessageDeflate, rejectUnauthorized: false });
        await once(socket, 'open');
        equal(`${url}: ws ${name} compresses`, socket.extensions, 'permessage-deflate');
        let wrong = 0;
        for (const [at, sent] of texts.entries()) {
            const answer = once(socket, 'message');
            if (at % 3 === 0) {
                socket.send(sent.slice(0, 7), { fin: false });
                socket.send(sent.slice(7));
            } else {
                socket.send(sent);
            }
            const [data] = await answer;
            wrong += data.toString() !== sent;
        }
        equal(`${url}: it gets what it sent`, wrong, 0);
        socket.close(1000);
        const [code] = await once(socket, 'close');
        equal(`${url}: it closes well`, code, 1000);
    }
}

const server = await serve(PAGE_PORT);
for (const url of urls) {
    await visit(`http://localhost:${PAGE_PORT}/`, async page => {
        const { extensions, wrong } = await page.evaluate(async ({ url, texts }) => {
            const socket = new WebSocket(url);
            await new Promise((resolve, reject) => {
                socket.onopen = resolve;
                socket.onerror = reject;
            });
            let wrong = 0;
            for (const sent of texts) {
                const answer = new Promise(resolve => { socket.onmessage = resolve; });
                socket.send(sent);
                wrong += (await answer).data !== sent;
            }
            return { extensions: socket.extensions, wrong };
        }, { url, texts });
        check(`${url}: Chromium compresses`, extensions.startsWith('permessage-deflate'), extensions);
        equal(`${url}: it gets what it sent`, wrong, 0);
    });
}
server.close();
