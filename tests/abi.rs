//! The C contract, proved with C: the header's layout, and plug-ins that a C compiler built against
//! it, good and bad, loaded as the daemon loads them.
#![allow(unsafe_code)] // looks into the plug-ins' variables, and watches `free`
#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests fail as tests do

#[path = "abi/framing.rs"]
mod framing;
#[path = "common/left_out.rs"]
mod left_out;
#[path = "abi/loading.rs"]
mod loading;
#[path = "abi/query.rs"]
mod query;
#[path = "abi/support.rs"]
mod support;

use left_out::left_out;
use std::fs;
use std::path::Path;
use std::process::Command;
use support::{cc, scratch};

/// Compiles the layout's assertions, without output.
fn hold(compiler: &mut Command, includes: &[&Path]) {
    compiler.args(["-Wall", "-Wextra", "-Werror", "-pedantic", "-fsyntax-only"]);
    for include in includes {
        compiler.arg("-I").arg(include);
    }
    support::run(compiler.arg("tests/abi/layout.c"));
}

#[test]
fn our_header_has_the_layout_of_api_version_1() {
    let include = Path::new("backends/include");
    hold(cc().args(["-std=c11", "-DOURS"]), &[include]);
    if Command::new("c++").arg("--version").output().is_ok() {
        hold(Command::new("c++").args(["-std=c++11", "-x", "c++", "-DOURS"]), &[include]);
    } else {
        left_out("the header in C++", "no C++ compiler (c++)");
    }
}

#[test]
fn the_first_header_has_the_same_layout() {
    let seed = Path::new("../shared/seed");
    if !seed.join("websocksy.h").exists() {
        return left_out("the first websocksy's header", "no ../shared/seed/websocksy.h");
    }
    // It asks for nettle, of which it uses nothing.
    let stubs = scratch("nettle");
    fs::create_dir(stubs.join("nettle")).unwrap();
    for name in ["sha1.h", "base64.h"] {
        fs::write(stubs.join("nettle").join(name), "").unwrap();
    }
    hold(cc().arg("-std=c11"), &[&stubs, seed]);
}

#[test]
fn the_header_is_of_this_version() {
    let header = fs::read_to_string("backends/include/websocksy.h").unwrap();
    let version = concat!("#define WEBSOCKSY_VERSION \"", env!("CARGO_PKG_VERSION"), "\"");
    assert!(header.lines().any(|line| line == version), "{version}");
}
