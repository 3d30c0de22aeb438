//! Compilers, directories, logs, and an eye on `free`.

use libc::c_void;
use libloading::os::unix::Library;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, Once};

/// The C compiler.
pub(crate) fn cc() -> Command {
    Command::new(std::env::var_os("CC").unwrap_or_else(|| "cc".into()))
}

/// Runs a command that must succeed.
pub(crate) fn run(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {}\n{stderr}", output.status);
}

/// An empty directory of this test's own.
pub(crate) fn scratch(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("abi").join(name);
    let _ = fs::remove_dir_all(&path);
    fs::create_dir_all(&path).unwrap();
    mode(&path, 0o755);
    path
}

/// Sets permissions, whatever the umask.
pub(crate) fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// Compiles a plug-in from `tests/abi`.
pub(crate) fn plugin(dir: &Path, name: &str, source: &str, flags: &[&str]) -> PathBuf {
    let path = dir.join(name);
    let warnings = ["-std=gnu11", "-Wall", "-Wextra", "-Werror", "-g"];
    run(cc()
        .args(warnings)
        .args(["-shared", "-fPIC", "-I", "backends/include", "-o"])
        .arg(&path)
        .arg(Path::new("tests/abi").join(source))
        .args(flags));
    mode(&path, 0o755);
    path
}

/// A plug-in's variable, for one that is loaded already.
pub(crate) fn variable<T: Copy>(plugin: &Path, name: &str) -> T {
    // SAFETY: the plug-in is loaded and initialised; the callers know their variables' types.
    unsafe {
        let library = Library::open(Some(plugin), libc::RTLD_NOW | libc::RTLD_NOLOAD).unwrap();
        **library.get::<*const T>(name).unwrap()
    }
}

/// The address of a plug-in's variable.
fn variable_at(plugin: &Path, name: &str) -> usize {
    // SAFETY: the plug-in is loaded and initialised.
    unsafe {
        let library = Library::open(Some(plugin), libc::RTLD_NOW | libc::RTLD_NOLOAD).unwrap();
        *library.get::<*const u8>(name).unwrap() as usize
    }
}

struct Log(Mutex<Vec<String>>);

static LOG: Log = Log(Mutex::new(Vec::new()));

impl log::Log for Log {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        self.0.lock().unwrap().push(record.args().to_string());
    }

    fn flush(&self) {}
}

/// Counts one more. What the list itself frees carries no mark, so it does not come back here.
fn count(whose: usize) {
    let mut freed = FREED.lock().unwrap();
    match freed.iter_mut().find(|(of, _)| *of == whose) {
        Some((_, count)) => *count += 1,
        None => freed.push((whose, 1)),
    }
}

/// Keeps what is logged from now on.
pub(crate) fn keep_log() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        log::set_logger(&LOG).unwrap();
        log::set_max_level(log::LevelFilter::Warn);
    });
}

/// Whether a line with all of these words was logged.
pub(crate) fn logged(words: &[&str]) -> bool {
    let lines = LOG.0.lock().unwrap();
    lines.iter().any(|line| words.iter().all(|word| line.contains(word)))
}

/// For each plug-in that marks what it gives away, by the address of its mark.
static FREED: Mutex<Vec<(usize, usize)>> = Mutex::new(Vec::new());

/// How much marked memory of this plug-in was freed since this was last asked; see `give` in
/// `backend.c`.
pub(crate) fn freed(plugin: &Path) -> usize {
    let given = variable_at(plugin, "given");
    let mut freed = FREED.lock().unwrap();
    let mine = freed.iter_mut().find(|(whose, _)| *whose == given);
    mine.map_or(0, |(_, count)| std::mem::take(count))
}

unsafe extern "C" {
    fn __libc_free(memory: *mut c_void);
}

/// In the place of C's own for this whole executable: counts what is marked.
///
/// # Safety
/// As C's.
#[unsafe(no_mangle)]
unsafe extern "C" fn free(memory: *mut c_void) {
    // SAFETY: the caller's obligation; all usable bytes may be looked at.
    unsafe {
        if !memory.is_null() {
            let end = libc::malloc_usable_size(memory);
            let mark = memory.byte_add(end.saturating_sub(8));
            if end >= 24 && libc::memcmp(mark, c"GIVEN-AW".as_ptr().cast(), 8) == 0 {
                libc::memset(mark, 0, 8);
                let whose = mark.byte_sub(8).cast::<usize>().read_unaligned();
                count(whose);
            }
        }
        __libc_free(memory);
    }
}
