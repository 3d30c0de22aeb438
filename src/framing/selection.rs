//! Which framing a session gets.

use super::config_fault::ConfigFault;
use super::registry::{self, Known};
use super::rendering::Rendering;
use libc::c_char;
use std::ffi::CString;
use std::sync::Arc;
use std::{fmt, ptr};
use websocksy_abi::ws_framing;

/// A framing function and its configuration, as a back end chose them.
#[derive(Clone)]
pub struct Selection {
    known: Known,
    /// Shared: sessions of one back end mostly have the same.
    config: Option<Arc<Config>>,
}

/// What a framing function is told at each call.
enum Config {
    /// The operator's words.
    Text(CString),
    /// What a back end returned, which is for the function alone to look at.
    Handed(Handed),
}

impl Config {
    fn pointer(&self) -> *const c_char {
        match self {
            Self::Text(text) => text.as_ptr(),
            Self::Handed(handed) => handed.pointer,
        }
    }
}

/// A back end's own pointer. It was made for one session and is given back when that ends.
struct Handed {
    pointer: *mut c_char,
    /// It came from C's allocator, and is ours to free.
    owned: bool,
}

#[allow(unsafe_code)] // a pointer of C's
// SAFETY: only the framing function looks at what is there, on the loop, and `free` takes it from
// any thread.
unsafe impl Send for Handed {}
#[allow(unsafe_code)] // a pointer of C's
// SAFETY: as above.
unsafe impl Sync for Handed {}

impl Drop for Handed {
    #[allow(unsafe_code)] // C's allocator
    fn drop(&mut self) {
        if self.owned {
            // SAFETY: it was handed over to be freed, and this is the only copy that does so.
            unsafe { libc::free(self.pointer.cast()) }
        }
    }
}

impl Selection {
    /// The function.
    pub fn function(&self) -> ws_framing {
        self.known.function
    }

    /// Whether the peer is to speak RFC 6455 frames both ways.
    #[must_use]
    pub fn is_two_way_frames(&self) -> bool {
        self.known.traits().frames
    }

    pub(super) fn known(&self) -> Known {
        self.known
    }

    /// What the function is told.
    pub(super) fn config(&self) -> *const c_char {
        self.config.as_ref().map_or(ptr::null(), |config| config.pointer())
    }

    /// What the operator's words say of messages. What a back end handed over for a function of
    /// ours is the operator's as well, and was copied as text.
    pub(super) fn rendering(&self) -> Rendering {
        match self.config.as_deref() {
            Some(Config::Text(text)) => self.known.rendering(text.as_bytes()),
            Some(Config::Handed(_)) | None => Rendering::default(),
        }
    }

    /// What a back end named, `auto` for nothing, if it is a function of ours.
    pub fn ours(function: Option<ws_framing>) -> Option<Self> {
        let known = function.map_or_else(Known::auto, Known::by_function);
        known.is_ours().then_some(Self { known, config: None })
    }

    /// The same function, which is told this.
    #[must_use]
    pub fn configured(self, text: Option<CString>) -> Self {
        Self { config: text.map(|text| Arc::new(Config::Text(text))), ..self }
    }

    /// A function that a back end named, and what it is to be told: null, or whatever the two of
    /// them agree on. If it is `owned`, it is freed when the last copy of this is dropped.
    ///
    /// # Safety
    /// The function keeps the contract of [`ws_framing`], its code is never unloaded, and it
    /// understands `config`. An `owned` one is from C's allocator, and nobody else's to free.
    #[allow(unsafe_code)] // safe code calls the function later: this is where that is vouched for
    pub unsafe fn foreign(function: ws_framing, config: *mut c_char, owned: bool) -> Self {
        let handed = (!config.is_null()).then_some(Handed { pointer: config, owned });
        let config = handed.map(|handed| Arc::new(Config::Handed(handed)));
        Self { known: Known::by_function(function), config }
    }
}

impl Default for Selection {
    /// `auto`
    fn default() -> Self {
        Self { known: Known::auto(), config: None }
    }
}

impl fmt::Debug for Selection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let config: Option<&dyn fmt::Debug> = match self.config.as_deref() {
            None => None,
            Some(Config::Text(text)) => Some(text),
            Some(Config::Handed(handed)) => Some(&handed.pointer),
        };
        let name = self.known.name();
        f.debug_struct("Selection").field("framing", &name).field("config", &config).finish()
    }
}

/// The framing registered under `name`, without a configuration.
pub fn by_name(name: &str) -> Option<Selection> {
    Known::by_name(name).map(|known| Selection { known, config: None })
}

/// The framing registered under `name`, with a configuration; ours is looked at here.
///
/// # Errors
/// No framing has this name, or the one that has it refuses the configuration.
pub fn check(name: &str, config: Option<&str>) -> Result<Selection, ConfigFault> {
    let known = Known::by_name(name).ok_or_else(|| unknown(name))?;
    let config = config.map(CString::new).transpose().map_err(|_| ConfigFault::Nul)?;
    known.accepts(config.as_deref())?;
    Ok(Selection { known, config: config.map(|text| Arc::new(Config::Text(text))) })
}

fn unknown(name: &str) -> ConfigFault {
    let builtins = registry::builtins().map(|(name, _)| name).collect();
    let bundled = registry::BUNDLED.iter().map(|(name, _)| *name).collect();
    ConfigFault::Unknown { name: name.into(), builtins, bundled }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::CStr;

    #[test]
    #[allow(unsafe_code)] // a C string
    fn a_function_is_told_what_it_is_configured_with() {
        let newline = by_name("newline").unwrap().configured(Some(c"lf".into()));
        // SAFETY: text that the selection holds.
        assert_eq!(unsafe { CStr::from_ptr(newline.config()) }, c"lf");
        assert_eq!(newline.known().name(), "newline");
        assert!(newline.configured(None).config().is_null());
    }

    #[test]
    fn who_names_no_function_has_auto() {
        assert_eq!(Selection::ours(None).unwrap().known().name(), "auto");
        let newline = by_name("newline").unwrap().function();
        assert_eq!(Selection::ours(Some(newline)).unwrap().known().name(), "newline");
    }

    /// Bytes of address space that this process has.
    fn address_space() -> usize {
        let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
        pages.split_whitespace().next().unwrap().parse::<usize>().unwrap() * 4096
    }

    #[test]
    #[allow(unsafe_code)] // C's allocator
    fn what_a_back_end_hands_over_is_freed() {
        // Large, and never touched, so that other tests' memory is nothing beside it.
        const LARGE: usize = 1 << 30;
        let before = address_space();
        for _ in 0..32 {
            // SAFETY: memory of its own, which the function does not get to see.
            let selection = unsafe {
                let config = libc::malloc(LARGE).cast();
                Selection::foreign(Selection::default().function(), config, true)
            };
            assert!(!selection.config().is_null());
            let copy = selection.clone();
            drop(selection);
            assert!(!copy.config().is_null());
        }
        assert!(address_space() < before + 16 * LARGE);
    }
}
