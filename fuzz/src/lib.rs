//! What the fuzzers run: plain functions over bytes, each an assertion about the daemon.
//!
//! libFuzzer calls them through `fuzz_targets/`; `tests/replay.rs` takes this file in as a module
//! of its own and calls them with every file of `tests/corpus/`.

// An assertion that fails is what these are for.
#![allow(clippy::expect_used, clippy::panic)]

mod access;
mod config;
mod deflate;
mod file;
mod files;
mod frames;
mod framing;
mod handshake;
mod head;
mod proxy;
mod script;
mod session;
mod text;
mod tls;
mod world;

pub use access::{networks, passwords};
pub use config::config;
pub use deflate::{deflate, extensions};
pub use file::{file_lines, file_template};
pub use files::files;
pub use frames::frames;
pub use framing::{auto, binary, dynamic32, fixedlength, json, newline, rfc6455, separator};
pub use handshake::handshake;
pub use head::head;
pub use proxy::{forwarded, proxy};
pub use session::session;
pub use text::text;
pub use tls::tls;

// Linked in for their constructors, which register the framings.
use {dynamic32 as _, fixedlength as _, json as _};

/// Takes an input, and panics over a defect.
pub type Target = fn(&[u8]);

/// Every target and its name, which is that of its corpus too.
pub const TARGETS: [(&str, Target); 24] = [
    ("auto", auto),
    ("binary", binary),
    ("config", config),
    ("deflate", deflate),
    ("dynamic32", dynamic32),
    ("extensions", extensions),
    ("file_lines", file_lines),
    ("file_template", file_template),
    ("files", files),
    ("fixedlength", fixedlength),
    ("forwarded", forwarded),
    ("frames", frames),
    ("handshake", handshake),
    ("head", head),
    ("json", json),
    ("networks", networks),
    ("newline", newline),
    ("passwords", passwords),
    ("proxy", proxy),
    ("rfc6455", rfc6455),
    ("separator", separator),
    ("session", session),
    ("text", text),
    ("tls", tls),
];
