//! Plug-ins for the daemon to load: the bundled ones, and C files compiled on the spot.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, OnceLock};
use std::thread::{self, ThreadId};

/// The bundled plug-ins and the C examples, as their makefiles build them.
pub(crate) fn bundled() -> &'static str {
    static DIRECTORY: OnceLock<String> = OnceLock::new();
    DIRECTORY.get_or_init(|| {
        run(Command::new("make").arg("backends"));
        // A relative path, since make(1) cannot name a file with blanks in it.
        let examples = format!("target/examples-{}", env!("CARGO_CRATE_NAME"));
        let out = format!("OUT=../../{examples}");
        run(Command::new("make").args(["-C", "backends/examples", &out, "plugins"]));
        let directory = scratch("bundled");
        for built in ["target/plugins", &examples] {
            for entry in fs::read_dir(built).unwrap().flatten() {
                fs::copy(entry.path(), directory.join(entry.file_name())).unwrap();
            }
        }
        directory.to_str().unwrap().to_owned()
    })
}

/// Compiles a C file of the tests to a plug-in in `directory`.
pub(crate) fn compile(directory: &Path, name: &str, source: &str, flags: &[&str]) {
    let compiler = std::env::var_os("CC").unwrap_or_else(|| "cc".into());
    let always = ["-std=gnu11", "-Wall", "-Wextra", "-Werror", "-g", "-shared", "-fPIC"];
    run(Command::new(compiler)
        .args(always)
        .args(flags)
        .args(["-I", "backends/include", "-o"])
        .arg(directory.join(name))
        .arg(Path::new("tests").join(source)));
}

/// A plug-in in Rust, an example of the crate for plug-ins, as `name` in `directory`.
pub(crate) fn example(directory: &Path, example: &str, name: &str) {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    run(Command::new(cargo).args(["build", "-p", "websocksy-plugin", "--example", example]));
    let built = Path::new(env!("CARGO_TARGET_TMPDIR")).join("../debug/examples");
    fs::copy(built.join(format!("lib{example}.so")), directory.join(name)).unwrap();
}

/// An empty directory of this name, which the daemon trusts, for this test alone.
#[track_caller]
pub(crate) fn scratch(name: &str) -> PathBuf {
    static OWNERS: Mutex<BTreeMap<String, ThreadId>> = Mutex::new(BTreeMap::new());
    let this = thread::current().id();
    let owner = *OWNERS.lock().unwrap().entry(name.into()).or_insert(this);
    assert_eq!(owner, this, "another test has the directory {name}");
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(env!("CARGO_CRATE_NAME")).join(name);
    let _ = fs::remove_dir_all(&path);
    fs::create_dir_all(&path).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

fn run(command: &mut Command) {
    // What Cargo says of this package, build scripts below would take for a change of theirs.
    let is_ours =
        |name: &str| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_");
    for (name, _) in std::env::vars().filter(|(name, _)| is_ours(name)) {
        command.env_remove(name);
    }
    // A make above this one must not count this one among its jobs.
    let output = command.env_remove("MAKEFLAGS").output();
    let output = output.unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {}\n{stderr}", output.status);
}

/// Compiler flags for each header that a plug-in may have been written against: ours, and that of
/// the first websocksy where it is present.
pub(crate) fn headers() -> Vec<Vec<String>> {
    // Once: other tests at the same time compile with the directory of stubs that is made here.
    static HEADERS: OnceLock<Vec<Vec<String>>> = OnceLock::new();
    let find = || {
        let seed = Path::new("../shared/seed");
        if !seed.join("websocksy.h").exists() {
            super::left_out("plug-ins for the first header", "no ../shared/seed/websocksy.h");
            return vec![Vec::new()];
        }
        // It asks for nettle, of which it uses nothing.
        let stubs = scratch("nettle");
        fs::create_dir(stubs.join("nettle")).unwrap();
        for name in ["sha1.h", "base64.h"] {
            fs::write(stubs.join("nettle").join(name), "").unwrap();
        }
        vec![Vec::new(), [&stubs, seed].map(|path| format!("-I{}", path.display())).to_vec()]
    };
    HEADERS.get_or_init(find).clone()
}
