//! The plug-ins that are linked in look for the core's functions as loaded ones do.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    for symbol in ["core_framing", "core_register_framing", "core_register_encoder"] {
        println!("cargo::rustc-link-arg=-Wl,--export-dynamic-symbol={symbol}");
    }
}
