//! The rules are seen to fail, on small trees that are made up.

use crate::rules::{Page, arrows, circles, lengths, places};
use crate::tree::Tree;
use crate::{names, read};

const PAGE: &str = "
## Modules

| module | it is | may import |
|---|---|---|
| `top` | the first | `middle` `low` |
| `middle` | the second | `low` |
| `low` | the last | |

| what | where |
|---|---|
| sockets | `top` |
| the clock | `top` |
| unsafe code | `low/raw.rs` |

## Another
| `other` | | |
";

/// A tree that keeps to the page.
const GOOD: [(&str, &str); 6] = [
    ("lib.rs", "mod low; mod middle; mod top;"),
    (
        "top.rs",
        "use crate::{low, middle::Thing};
         use std::net::{IpAddr, TcpStream};
         fn run(_: Thing, _: TcpStream, _: IpAddr) { low::helper(std::time::Instant::now()); }",
    ),
    (
        "middle/mod.rs",
        "mod thing; pub use thing::Thing; use crate::low::helper; #[cfg(test)] mod tests;",
    ),
    ("middle/thing.rs", "pub struct Thing;"),
    ("middle/tests.rs", "use crate::top::run; use mio::Poll; fn f() { unsafe { g() } }"),
    (
        "low/mod.rs",
        "mod raw; pub fn helper() { raw::f() } #[cfg(test)] mod tests { use crate::top; }",
    ),
];
const RAW: (&str, &str) = ("low/raw.rs", "pub fn f() { unsafe { g() } }");

/// The good tree with one file instead of its own, or beside it.
fn with(changed: &str, text: &str) -> Tree {
    let rest = GOOD.into_iter().chain([RAW]).filter(|(name, _)| *name != changed);
    Tree::parse(rest.chain([(changed, text)]))
}

fn page() -> Page {
    read(PAGE)
}

/// What breaks the rules on arrows and places in the good tree with this file in it.
fn broken(changed: &str, text: &str) -> Vec<String> {
    let tree = with(changed, text);
    [arrows(&tree, &page()), places(&tree, &page())].concat()
}

#[track_caller]
fn assert_only(broken: &[String], part: &str) {
    assert!(broken.len() == 1 && broken[0].contains(part), "{part:?} in {broken:#?}");
}

#[test]
fn a_good_tree_breaks_nothing() {
    assert_eq!(broken("middle/thing.rs", "pub struct Thing;"), [""; 0]);
    assert_eq!(circles(&with("middle/thing.rs", "pub struct Thing;")), [""; 0]);
}

#[test]
fn the_page_is_read_up_to_its_next_section() {
    let page = page();
    let row = |name: &str, imports: &str| (name.to_owned(), names(imports));
    let rows = [row("top", "`middle` `low`"), row("middle", "`low`"), row("low", "")];
    assert_eq!(page.modules, rows);
    assert_eq!(page.unsafe_code, ["low/raw.rs"]);
}

#[test]
fn arrows_that_are_not_drawn() {
    let bodies = [
        "use crate::top::run; pub fn helper() { run() }",
        "use super::top; pub fn helper() { top::run() }",
        "pub fn helper() { crate::top::run() }",
        "pub fn helper() { super::top::run() }",
        "pub fn helper() { assert!(crate::top::run() == 0) }",
        "use crate::top as up; pub fn helper() { up::run() }",
        "pub fn helper() -> crate::top::Run { todo() }",
        "use crate::top::*; pub fn helper() { run() }",
        "pub mod inner { pub fn f() { super::super::top::run() } } pub fn helper() {}",
        "pub fn helper(x: u8) { match x { crate::top::RUN => {} _ => {} } }",
    ];
    for body in bodies {
        let text = format!("mod raw; {body}");
        assert_only(&broken("low/mod.rs", &text), "`low` may not import `top`");
    }
}

/// A name that a module hands on leads to the file that defines it.
#[test]
fn names_that_are_handed_on() {
    let tree = with("top.rs", "use crate::middle::Thing; fn f(_: Thing) {}");
    let imports = tree.imports();
    let from_top: Vec<_> = imports.iter().filter(|import| import.place.file == "top.rs").collect();
    assert_eq!(from_top.len(), 1);
    assert_eq!(from_top[0].from, "middle/thing.rs");
}

#[test]
fn arrows_that_run_up_or_are_not_there() {
    let up = PAGE.replace("| `low` | the last | |", "| `low` | the last | `top` |");
    assert_only(&arrows(&with(RAW.0, RAW.1), &read(&up)), "`low` -> `top` does not run down");
    let idle = with("middle/mod.rs", "mod thing; pub use thing::Thing; #[cfg(test)] mod tests;");
    assert_only(&arrows(&idle, &page()), "`middle` does not import `low`");
    let more = PAGE.replace("| `low` | the", "| `lost` | | |\n| `low` | the");
    assert_only(&arrows(&with(RAW.0, RAW.1), &read(&more)), "there is no `lost`");
    assert_only(&broken("new.rs", ""), "new.rs: the page has no row for it");
}

#[test]
fn circles_of_files() {
    let two = with(RAW.0, "pub fn f() { super::helper() }");
    let found = circles(&two);
    assert_only(&found, "a circle: ");
    assert!(
        found[0].contains("takes low/mod.rs") && found[0].contains("takes low/raw.rs"),
        "{found:?}"
    );
    let three = Tree::parse([
        ("lib.rs", "mod a; mod b; mod c;"),
        ("a.rs", "pub fn a() { crate::b::b() }"),
        ("b.rs", "use crate::c::c; pub fn b() { c() }"),
        ("c.rs", "pub fn c() { crate::a::a() }"),
    ]);
    let found = circles(&three);
    assert_only(&found, "a.rs:1: crate::b::b takes b.rs");
    assert!(found[0].contains("b.rs:1: crate::c::c takes c.rs"), "{found:?}");
}

#[test]
fn sockets_clock_and_unsafe_code_elsewhere() {
    let strays = [
        ("use mio::Poll; pub struct Thing(Poll);", "no place for sockets"),
        ("use std::net; pub struct Thing(net::UdpSocket);", "no place for sockets"),
        (
            "use std::os::unix::net::UnixStream; pub struct Thing(UnixStream);",
            "no place for sockets",
        ),
        ("pub struct Thing(socket2::Socket);", "no place for sockets"),
        ("use std::net::*; pub struct Thing(IpAddr);", "no place for sockets"),
        (
            "use std::time::Instant; pub struct Thing; fn f() { Instant::now() }",
            "no place for the time",
        ),
        ("pub struct Thing; fn f() { g(std::time::SystemTime::now) }", "no place for the time"),
        ("pub struct Thing; fn f(t: T) { t.elapsed() }", "no place for the time"),
        ("pub struct Thing; fn f() { unsafe { g() } }", "no place for unsafe code"),
        ("pub struct Thing; unsafe fn f() {}", "no place for unsafe code"),
        ("pub struct Thing; unsafe impl Send for Thing {}", "no place for unsafe code"),
        ("pub struct Thing; #[allow(unsafe_code)] fn f() {}", "no place for unsafe code"),
        ("pub struct Thing; #[unsafe(no_mangle)] fn f() {}", "no place for unsafe code"),
        ("pub struct Thing; fn f() { vec![unsafe { g() }] }", "no place for unsafe code"),
    ];
    for (text, part) in strays {
        let found = broken("middle/thing.rs", text);
        assert!(
            !found.is_empty() && found.iter().all(|line| line.contains(part)),
            "{text}: {found:?}"
        );
    }
    assert_only(&broken(RAW.0, "pub fn f() {}"), "`low/raw.rs` has no use for unsafe code");
    // Addresses are values, and fields may be called what they like.
    let fine =
        "use std::net::SocketAddr; pub struct Thing(SocketAddr); fn f(t: T) { t.elapsed + t.mio }";
    assert_eq!(broken("middle/thing.rs", fine), [""; 0]);
}

#[test]
fn long_files_and_functions() {
    let text =
        |lines: usize, functions: &str| format!("{}{functions}", "// a line\n".repeat(lines));
    let function = |lines: usize| format!("fn f() {{\n{}}}\n", "g();\n".repeat(lines - 2));
    let long = |text: &str| lengths(&Tree::parse([("a.rs", text)]));
    assert_eq!(long(&text(340, &function(60))), [""; 0]);
    assert_only(&long(&text(341, &function(60))), "a.rs: 401 lines");
    assert_only(&long(&function(61)), "a.rs:1: f: 61 lines");
    assert_only(&long(&format!("impl T {{\n{}}}", function(61))), "a.rs:2: f: 61 lines");
    // Tests do not count.
    let tests = format!("#[cfg(test)]\nmod tests {{\n{}}}\n", function(300));
    assert_eq!(long(&text(400, &tests)), [""; 0]);
}
