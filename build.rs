//! Makes the executable export the functions that plug-ins call.

/// What plug-ins find in the executable that loads them; `backends/include/websocksy.h` has the
/// prototypes.
const EXPORTED: [&str; 4] =
    ["core_framing", "core_register_framing", "core_register_encoder", "xstr_lower"];

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    for symbol in EXPORTED {
        println!("cargo::rustc-link-arg=-Wl,--export-dynamic-symbol={symbol}");
    }
}
