//! What is loaded as a plug-in, what is refused, and why.

use crate::left_out::left_out;
use crate::support::{keep_log, logged, mode, plugin, scratch, variable};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use websocksy::backend::{Backend, ConfigureError, Framings, LoadError};

/// The directory and the back end's name, for a file that `make` puts there.
fn only(test: &str, make: impl FnOnce(&Path)) -> Result<Backend, LoadError> {
    let dir = scratch(test);
    make(&dir.join("backend_it.so"));
    Backend::load(&dir, "it")
}

fn variant(test: &str, flags: &[&str]) -> Result<Backend, LoadError> {
    only(test, |path| {
        plugin(path.parent().unwrap(), "backend_it.so", "backend.c", flags);
    })
}

/// The error's text, without the directory.
fn refusal(result: Result<Backend, LoadError>) -> String {
    let Err(error) = result else { panic!("it was loaded") };
    let text = error.to_string();
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("abi");
    text.replace(dir.to_str().unwrap(), "")
}

#[test]
fn g08_c59_init_must_return_the_api_version() {
    for (flag, version) in [
        ("-DAPI_VERSION=0", "0"),
        ("-DAPI_VERSION=2", "2"),
        ("-DAPI_VERSION=UINT64_MAX", "18446744073709551615"),
    ] {
        let text = refusal(variant(&format!("g08-{version}"), &[flag]));
        assert!(text.ends_with(&format!("init returned API version {version}, not 1")), "{text}");
    }
}

#[test]
fn g09_c59_init_and_query_are_required() {
    for (test, flag, symbol) in
        [("g09-init", "-DNO_INIT", "init"), ("g09-query", "-DNO_QUERY", "query")]
    {
        let text = refusal(variant(test, &[flag]));
        assert!(text.ends_with(&format!("backend_it.so: does not define {symbol}")), "{text}");
    }
}

#[test]
fn g09_c63_configure_and_cleanup_are_not() {
    let mut backend = variant("g09", &["-DNO_CONFIGURE", "-DNO_CLEANUP"]).unwrap();
    assert_eq!(backend.configure("key", "value"), Err(ConfigureError::Unconfigurable));
    assert_eq!(backend.check(), Ok(()));
    backend.cleanup();
}

#[test]
fn configure_takes_and_refuses_keys() {
    let mut backend = variant("configure", &[]).unwrap();
    assert_eq!(backend.name(), "it");
    assert_eq!(backend.configure("Good", "value"), Ok(()));
    assert_eq!(backend.configure("bad", ""), Err(ConfigureError::Refused("bad".into(), 7, None)));
    for (key, value) in [("go\0od", ""), ("good", "\0")] {
        assert_eq!(backend.configure(key, value), Err(ConfigureError::Nul));
    }
}

#[test]
fn cleanup_is_called_once() {
    let dir = scratch("cleanup");
    let path = plugin(&dir, "backend_it.so", "backend.c", &[]);
    let mut backend = Backend::load(&dir, "it").unwrap();
    assert_eq!(variable::<u64>(&path, "cleanups"), 0);
    backend.cleanup();
    assert_eq!(variable::<u64>(&path, "cleanups"), 1);
    backend.cleanup();
    drop(backend);
    assert_eq!(variable::<u64>(&path, "cleanups"), 1);
    drop(Backend::load(&dir, "it").unwrap());
    assert_eq!(variable::<u64>(&path, "cleanups"), 2);
}

/// A name, what makes the file, and a part of the reason why it is no plug-in.
type BadFile = (&'static str, fn(&Path), &'static str);

fn bad_files() -> Vec<BadFile> {
    vec![
        ("absent", |_| (), "No such file"),
        ("empty", |path| fs::write(path, "").unwrap(), "file too short"),
        ("text", |path| fs::write(path, "not ELF".repeat(100)).unwrap(), "invalid ELF header"),
        ("directory", |path| fs::create_dir(path).unwrap(), "not a regular file"),
        (
            "fifo",
            |path| super::support::run(Command::new("mkfifo").arg(path)),
            "not a regular file",
        ),
        ("dangling", |path| std::os::unix::fs::symlink("nowhere", path).unwrap(), "No such file"),
        ("unresolved", unresolved, "undefined symbol: this_function_is_nowhere"),
        ("machine", other_machine, "cannot open shared object file"),
        ("cut", cut, "file too short"),
        ("writable", writable, "everybody may write to it"),
    ]
}

fn unresolved(path: &Path) {
    plugin(path.parent().unwrap(), "x", "backend.c", &["-DUNRESOLVED"]);
    fs::rename(path.with_file_name("x"), path).unwrap();
}

fn sound(path: &Path) -> Vec<u8> {
    plugin(path.parent().unwrap(), "x", "backend.c", &[]);
    let bytes = fs::read(path.with_file_name("x")).unwrap();
    fs::remove_file(path.with_file_name("x")).unwrap();
    bytes
}

/// ELF's e_machine at offset 18: none that we run on.
fn other_machine(path: &Path) {
    let mut bytes = sound(path);
    bytes[18..20].copy_from_slice(&[0x08, 0x00]);
    fs::write(path, bytes).unwrap();
}

fn cut(path: &Path) {
    fs::write(path, &sound(path)[..50]).unwrap();
}

fn writable(path: &Path) {
    fs::write(path, sound(path)).unwrap();
    mode(path, 0o757);
}

#[test]
fn g10_c59_what_is_no_shared_object_is_no_back_end() {
    for (test, make, reason) in bad_files() {
        let text = refusal(only(&format!("g10-{test}"), make));
        assert!(text.contains("backend_it.so: ") && text.contains(reason), "{test}: {text}");
    }
}

#[test]
fn g10_c61_bad_framings_are_named_in_the_log_and_skipped() {
    keep_log();
    let dir = scratch("g10-framings");
    for (name, make, _) in bad_files() {
        make(&dir.join(format!("{name}.so")));
    }
    // Neither a back end nor a file of another name is touched.
    fs::write(dir.join("backend_none.so"), "").unwrap();
    fs::write(dir.join("none.txt"), "").unwrap();
    let good = plugin(&dir, "good.so", "backend.c", &[]);
    Framings::load(&dir, None, |_| ()).ok().unwrap();
    assert_eq!(variable::<u64>(&good, "given"), 0);
    for (name, _, reason) in bad_files() {
        let named = logged(&["plug-in skipped", &format!("g10-framings/{name}.so"), reason]);
        assert!(named || name == "absent", "{name}");
    }
    assert!(!logged(&["backend_none"]) && !logged(&["none.txt"]));
}

#[test]
fn g24_c60_a_directory_must_be_trusted() {
    let dir = scratch("g24");
    plugin(&dir, "backend_it.so", "backend.c", &[]);
    fs::write(dir.join("file"), "").unwrap();
    let open = dir.join("open");
    fs::create_dir(&open).unwrap();
    fs::copy(dir.join("backend_it.so"), open.join("backend_it.so")).unwrap();
    mode(&open, 0o1777); // sticky, as /tmp: others may still add files
    let cases: [(PathBuf, &str); 6] = [
        ("plugins".into(), "directory \"plugins\" is not an absolute path"),
        ("".into(), "directory \"\" is not an absolute path"),
        ("../".into(), "directory \"../\" is not an absolute path"),
        (dir.join("absent"), "No such file or directory"),
        (dir.join("file"), "file: not a directory"),
        (open, "open: everybody may write to it, so it is not trusted"),
    ];
    for (dir, reason) in cases {
        let text = refusal(Backend::load(&dir, "it"));
        assert!(text.contains(reason), "{dir:?}: {text}");
        assert!(
            Framings::load(&dir, None, |_| ()).err().unwrap().to_string().contains(reason),
            "{dir:?}"
        );
    }
    assert!(Backend::load(&dir, "it").is_ok());
}

/// Makes `path` another user's, if this is root.
fn give_away(path: &Path) -> bool {
    std::os::unix::fs::lchown(path, Some(65_534), None).is_ok()
}

/// A plug-in three directories below one that may be anybody's.
fn below(test: &str) -> [PathBuf; 3] {
    let outer = scratch(test);
    let dirs = [outer.join("a"), outer.join("a/b"), outer.join("a/b/c")];
    for dir in &dirs {
        fs::create_dir(dir).unwrap();
        mode(dir, 0o755);
    }
    plugin(&dirs[2], "backend_it.so", "backend.c", &[]);
    assert!(Backend::load(&dirs[2], "it").is_ok());
    dirs
}

#[test]
fn a16_who_may_write_on_the_way_to_a_plugin() {
    let [a, b, c] = below("a16-mode");
    let file = c.join("backend_it.so");
    // A user's own group is nobody else, and root has none such.
    let ours = fs::metadata(&file).unwrap();
    let own_group = ours.uid() != 0 && ours.uid() == ours.gid();
    let group = if own_group { Ok(()) } else { Err("may write to it, so it is not trusted") };
    let everybody = "everybody may write to it, so it is not trusted";
    for (path, permissions, expected) in [
        (&a, 0o775, group),
        (&a, 0o757, Err(everybody)),
        (&a, 0o1777, Ok(())), // what is in there is ours alone to replace
        (&b, 0o770, group),
        (&b, 0o1775, Ok(())),
        (&c, 0o775, group),
        (&c, 0o1775, group), // the group may add files
        (&file, 0o775, group),
        (&file, 0o1775, group),
        (&file, 0o600, Ok(())),
    ] {
        let before = fs::metadata(path).unwrap().permissions();
        mode(path, permissions);
        let result = Backend::load(&c, "it");
        let named = path.file_name().unwrap().to_str().unwrap();
        match expected {
            Ok(()) => assert!(result.is_ok(), "{path:?} {permissions:o}: {}", refusal(result)),
            Err(reason) => {
                let text = refusal(result);
                assert!(text.contains(&format!("{named}: ")) && text.ends_with(reason), "{text}");
            }
        }
        fs::set_permissions(path, before).unwrap();
    }
}

#[test]
fn a16_whose_the_way_to_a_plugin_is() {
    for (test, which) in [("a", 0), ("b", 1), ("c", 2), ("file", 3)] {
        let [a, b, c] = below(&format!("a16-owner-{test}"));
        let path = [&a, &b, &c, &c.join("backend_it.so")][which].clone();
        if !give_away(&path) {
            return left_out("plug-ins of somebody else's", "only root can give files away");
        }
        let text = refusal(Backend::load(&c, "it"));
        let words = "it belongs to user 65534, neither root nor this daemon's";
        assert!(text.contains(words), "{test}: {text}");
        if which < 3 {
            let refused = Framings::load(&c, None, |_| ()).err().unwrap().to_string();
            assert!(refused.contains(words), "{test}: {refused}");
        }
    }
}

#[test]
fn a16_links_on_the_way_to_a_plugin() {
    use std::os::unix::fs::symlink;
    let [a, b, c] = below("a16-links");
    let elsewhere = scratch("a16-elsewhere");
    let open = elsewhere.join("open");
    fs::create_dir(&open).unwrap();
    mode(&open, 0o1777);
    for (name, target) in [
        ("absolute", c.clone()),
        ("relative", "../a16-links/a/b/c".into()),
        ("up", "../a16-links/a/../a/b/../b/c".into()),
        ("twice", "absolute".into()),
        ("through", "open/link".into()),
        ("round", "round".into()),
    ] {
        symlink(target, elsewhere.join(name)).unwrap();
    }
    symlink(&c, open.join("link")).unwrap();
    let load = |name: &str| Backend::load(&elsewhere.join(name), "it");
    for name in ["absolute", "relative", "up", "twice", "through"] {
        assert!(load(name).is_ok(), "{name}: {}", refusal(load(name)));
    }
    assert!(refusal(load("round")).contains("Too many levels of symbolic links"));
    // Somebody could lead these elsewhere: a link in a directory of theirs, and one of their own.
    mode(&open, 0o777);
    assert!(refusal(load("through")).contains("open: everybody may write to it"));
    mode(&open, 0o1777);
    if give_away(&open.join("link")) {
        assert!(refusal(load("through")).contains("link: it belongs to user 65534"));
    }
    assert!(a.exists() && b.exists());
}

#[test]
fn a_name_is_a_part_of_a_file_name() {
    let dir = scratch("name");
    for name in ["", "/it", "../name/backend_it", "x/y", "it\0"] {
        let text = refusal(Backend::load(&dir, name));
        assert!(text.starts_with(&format!("{name:?} is not the name of a back end")), "{text}");
    }
}

#[test]
fn g29_symbols_of_a_dependency_are_not_the_plugins() {
    let cases: [(&str, &str, Result<(), &str>); 3] = [
        ("none", "", Err("backend_it.so: does not define init")),
        ("init", "-DNO_QUERY -DNO_CONFIGURE -DNO_CLEANUP", Err("does not define query")),
        ("both", "-DNO_CONFIGURE -DNO_CLEANUP", Ok(())),
    ];
    for (test, own, expected) in cases {
        let dir = scratch(&format!("g29-{test}"));
        // The linker takes libraries of the same name for the same library.
        let whole = plugin(&dir, &format!("libg29{test}.so"), "backend.c", &[]);
        let search = format!("-L{}", dir.display());
        let library = format!("-lg29{test}");
        let mut flags = vec!["-Wl,--no-as-needed", "-Wl,-rpath,$ORIGIN", &search, &library];
        flags.extend(own.split_whitespace());
        let source = if own.is_empty() { "empty.c" } else { "backend.c" };
        plugin(&dir, "backend_it.so", source, &flags);
        match (Backend::load(&dir, "it"), expected) {
            (Ok(mut backend), Ok(())) => {
                assert_eq!(backend.configure("good", ""), Err(ConfigureError::Unconfigurable));
                drop(backend);
                assert_eq!(variable::<u64>(&whole, "cleanups"), 0);
            }
            (result, expected) => {
                let text = refusal(result);
                assert!(text.ends_with(expected.unwrap_err()), "{test}: {text}");
            }
        }
    }
}
