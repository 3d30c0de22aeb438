// The block in argv[2] in a page's console.
import { readFile } from 'node:fs/promises';
import { checkBecomes, serve, visit } from './browser.mjs';

const block = await readFile(process.argv[2], 'utf8');
const promised = /\/\/ (.*)/.exec(block)[1];
const server = await serve(0);

await visit(`http://localhost:${server.address().port}/`, async page => {
    const said = [];
    page.on('console', message => said.push(message.text().trim()));
    await page.evaluate(block);
    await checkBecomes(`the console says ${promised}`, () => said.join(), promised);
});
server.close();
