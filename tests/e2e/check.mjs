// One line per assertion; a failure is remembered in the exit code, and the test goes on.
export function check(what, holds, detail = '') {
    console.log(holds ? `ok - ${what}` : `not ok - ${what} ${detail}`);
    if (!holds) process.exitCode = 1;
}

export function equal(what, got, expected) {
    check(what, Object.is(got, expected), `(got ${got}, expected ${expected})`);
}
