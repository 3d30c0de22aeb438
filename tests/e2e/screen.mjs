// The desktop that desktop.py draws: its geometry, its colours, and what is wrong with a picture of it.
import { checkBecomes } from './browser.mjs';

// A spot is a point and the colour it must have.
const colour = value => value << 16 | (255 - value) << 8 | (value ^ 0x55);
const spot = (x, y, value) => ({ x, y, colour: colour(value) });
const NOISE = { x: 0, y: 200, width: 640, height: 200 };
const noise = (x, y) => (x ** 3 + 7 * y ** 3 + x * y) % 65521 % 64 * 4;
const range = length => [...Array(length).keys()];

export const BARS = range(8).map(bar => spot(bar * 80 + 40, 100, bar * 32));

// The blocks of the keys typed so far.
export const keys = typed =>
    [...typed].map((key, index) => spot(index * 40 + 20, 440, key.charCodeAt()));

// The pixels of a rectangle of the page's first canvas, row by row, each as 0xRRGGBB.
function pixels(page, area) {
    return page.evaluate(({ x, y, width, height }) => {
        const context = document.querySelector('canvas').getContext('2d');
        const { data } = context.getImageData(x, y, width, height);
        return Array.from({ length: width * height }, (_, pixel) =>
            data[4 * pixel] << 16 | data[4 * pixel + 1] << 8 | data[4 * pixel + 2]);
    }, area);
}

export function checkSpots(page, what, spots) {
    const hex = colours => colours.map(colour => colour.toString(16).padStart(6, '0')).join(' ');
    const look = async () => {
        const seen = spots.map(({ x, y }) => pixels(page, { x, y, width: 1, height: 1 }));
        return hex((await Promise.all(seen)).flat());
    };
    return checkBecomes(what, look, hex(spots.map(spot => spot.colour)));
}

export function checkNoise(page) {
    const { x, y, width, height } = NOISE;
    const wanted = range(width * height)
        .map(pixel => colour(noise(x + pixel % width, y + Math.floor(pixel / width))));
    const wrong = async () =>
        (await pixels(page, NOISE)).filter((got, pixel) => got !== wanted[pixel]).length;
    return checkBecomes(`no pixel of the noise's ${wanted.length} is wrong`, wrong, 0);
}
