//! Shared objects: opened, never closed, asked for their own symbols only.
#![allow(unsafe_code)] // to load a plug-in is to run it

use super::copy::Loaded;
use super::error::LoadError;
use libc::{Dl_info, RTLD_LOCAL, RTLD_NOW, c_void};
use libloading::os::unix;
use std::ffi::{CStr, OsStr};
use std::mem::{ManuallyDrop, MaybeUninit};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use websocksy_abi::{ws_backend, ws_backend_check, ws_backend_ended};

/// A loaded plug-in. It stays loaded as long as the process does: a framing function, a thread of
/// its own or a destructor of a thread's data may still run its code.
struct Object {
    /// What the linker was told to load: the file, or a copy of it.
    loaded: Loaded,
    handle: ManuallyDrop<unix::Library>,
}

/// The functions of a back end. They keep the contract of [`ws_backend`], for only [`backend`] makes
/// this, and their code is never unloaded.
pub(super) struct Functions {
    table: ws_backend,
    check: Option<ws_backend_check>,
    ended: Option<ws_backend_ended>,
}

impl Functions {
    pub(super) fn table(&self) -> &ws_backend {
        &self.table
    }

    /// What judges its configuration, if it has such.
    pub(super) fn check(&self) -> Option<ws_backend_check> {
        self.check
    }

    /// What is told of the ends of sessions, if it has such.
    pub(super) fn ended(&self) -> Option<ws_backend_ended> {
        self.ended
    }
}

/// Loads a plug-in for what its constructors do; `anew` as if it had not been loaded before.
pub(super) fn framing(path: &Path, anew: bool) -> Result<(), LoadError> {
    Object::open(path, anew).map(drop)
}

/// Loads a back end's functions; `anew` as if it had not been loaded before.
pub(super) fn backend(path: &Path, anew: bool) -> Result<Functions, LoadError> {
    let library = Object::open(path, anew)?;
    let missing = |symbol| LoadError::Missing(path.into(), symbol);
    // SAFETY: functions of these names have these types: that is the contract of a back end. The
    // library is never unloaded.
    unsafe {
        let table = ws_backend {
            init: library.own("init").ok_or_else(|| missing("init"))?,
            config: library.own("configure"),
            query: library.own("query").ok_or_else(|| missing("query"))?,
            cleanup: library.own("cleanup"),
        };
        let (check, ended) = (library.own("websocksy_check"), library.own("websocksy_ended"));
        Ok(Functions { table, check, ended })
    }
}

impl Object {
    fn open(path: &Path, anew: bool) -> Result<Self, LoadError> {
        let unreadable = |error| LoadError::Unreadable(path.into(), error);
        let loaded = Loaded::of(path, anew).map_err(unreadable)?;
        // All symbols now: one that is missing is an error here, not a crash of some session.
        // SAFETY: what the constructors do is the plug-in's own; the operator trusts its code.
        let handle = unsafe { unix::Library::open(Some(loaded.path()), RTLD_NOW | RTLD_LOCAL) };
        let refused = |error: libloading::Error| {
            let name = loaded.path().display().to_string();
            let words = reason(&error).replace(&name, &path.display().to_string());
            LoadError::Refused(path.into(), words)
        };
        let handle = ManuallyDrop::new(handle.map_err(refused)?);
        Ok(Self { handle, loaded })
    }

    /// The function that this very object defines. The linker looks through its dependencies as
    /// well, and any library may have an `init` of its own.
    ///
    /// # Safety
    /// `F` is the type of the function.
    unsafe fn own<F: Copy>(&self, name: &str) -> Option<F> {
        // SAFETY: the caller's obligation.
        let symbol: unix::Symbol<F> = unsafe { self.handle.get(name) }.ok()?;
        let function = *symbol;
        self.defines(symbol.as_raw_ptr()).then_some(function)
    }

    fn defines(&self, address: *mut c_void) -> bool {
        let identity = |path: &Path| path.metadata().map(|file| (file.dev(), file.ino())).ok();
        let own = identity(self.loaded.path());
        own.is_some() && object_of(address, identity).flatten() == own
    }
}

/// The user that this process acts as.
pub(super) fn user() -> libc::uid_t {
    // SAFETY: it takes nothing and cannot fail.
    unsafe { libc::geteuid() }
}

/// Whether `address` lies in an object that is loaded: code, constants, variables, but nothing of
/// any allocator's.
pub(super) fn is_of_an_object(address: *const c_void) -> bool {
    object_of(address.cast_mut(), |_| ()).is_some()
}

/// What `look` finds of the file that what is at `address` was loaded from.
fn object_of<T>(address: *mut c_void, look: impl Fn(&Path) -> T) -> Option<T> {
    let mut info = MaybeUninit::<Dl_info>::uninit();
    // SAFETY: `dladdr` takes any address; it fills `info` in when it returns non-zero, and then
    // `dli_fname` is a C string of the linker's that lives as long as the object is loaded.
    let name = unsafe {
        if libc::dladdr(address, info.as_mut_ptr()) == 0 {
            return None;
        }
        CStr::from_ptr(info.assume_init().dli_fname)
    };
    Some(look(Path::new(OsStr::from_bytes(name.to_bytes()))))
}

/// The linker's words, which name the cause better than the crate's.
fn reason(error: &libloading::Error) -> String {
    std::error::Error::source(error).map_or_else(|| error.to_string(), ToString::to_string)
}
