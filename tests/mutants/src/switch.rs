//! Which mutant is on.

use std::cell::RefCell;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::sync::LazyLock;
use std::{env, thread};

static ON: LazyLock<usize> = LazyLock::new(|| {
    env::var("MUTANT").ok().and_then(|id| id.parse().ok()).unwrap_or_default()
});

static TRACE: LazyLock<Option<File>> = LazyLock::new(|| {
    let path = env::var_os("MUTANT_TRACE")?;
    OpenOptions::new().create(true).append(true).open(path).ok()
});

thread_local! {
    /// Those that this thread has reached.
    static REACHED: RefCell<Vec<bool>> = const { RefCell::new(Vec::new()) };
}

/// Whether mutant `id` is on.
pub fn is(id: usize) -> bool {
    if let Some(trace) = &*TRACE {
        reached(id, trace);
    }
    *ON == id
}

#[cold]
fn reached(id: usize, mut trace: &File) {
    let is_new = REACHED.try_with(|reached| {
        let mut reached = reached.borrow_mut();
        if reached.len() <= id {
            reached.resize(id + 1, false);
        }
        !std::mem::replace(&mut reached[id], true)
    });
    if is_new.unwrap_or(true) {
        let name = thread::current().name().unwrap_or("?").to_owned();
        _ = trace.write_all(format!("{id} {name}\n").as_bytes());
    }
}
