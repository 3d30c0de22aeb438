//! The memory of all slots: one mapping, reserved at once, opened piece by piece, touched lazily.
#![allow(unsafe_code)] // mmap(2) and its kin, and references into what they give

use std::io;
use std::ptr::{self, NonNull};
use std::sync::{Mutex, PoisonError};

use websocksy_abi::websocket;

/// How many slots are opened together: a strict overcommit policy counts what may be written to,
/// so that is no more than the busiest moment took, rounded up to this.
const OPENED_TOGETHER: usize = 64;

/// Room for a number of `websocket` structs, each at the start of a page.
#[derive(Debug)]
pub(super) struct Mapping {
    base: NonNull<u8>,
    /// Bytes from one slot to the next.
    stride: usize,
    slots: usize,
    /// Slots whose loan ended somewhere, and which the loop has not heard of yet.
    returned: Mutex<Vec<u32>>,
}

// SAFETY: the mapping never moves, and what is in it is reached through `websocket` only, whose
// callers vouch that nobody else does at the same time.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Address space for `slots` structs; nobody may touch it yet.
    pub(super) fn reserve(slots: usize) -> io::Result<Self> {
        // SAFETY: sysconf(3) takes any name.
        let page = usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) });
        let page = page.map_err(|_| io::Error::last_os_error())?;
        let stride = size_of::<websocket>().next_multiple_of(page);
        let length = slots.checked_mul(stride).ok_or(io::ErrorKind::OutOfMemory)?;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
        // SAFETY: a new mapping at a place of the kernel's choice touches nothing that is there.
        let base = unsafe { libc::mmap(ptr::null_mut(), length, libc::PROT_NONE, flags, -1, 0) };
        if base == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let base = NonNull::new(base.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        let mapping = Self { base, stride, slots, returned: Mutex::default() };
        // A huge page would be 57 slots at once. Kernels without them refuse the advice (EINVAL).
        // SAFETY: the whole of our own mapping, which holds nothing yet.
        unsafe { libc::madvise(base.as_ptr().cast(), length, libc::MADV_NOHUGEPAGE) };
        Ok(mapping)
    }

    pub(super) fn slots(&self) -> usize {
        self.slots
    }

    fn at(&self, index: usize) -> NonNull<u8> {
        debug_assert!(index <= self.slots);
        // SAFETY: the mapping has `slots` times `stride` bytes.
        unsafe { self.base.add(index * self.stride) }
    }

    /// Lets the slots from `opened` on be used; returns how many are open after it.
    pub(super) fn open(&self, opened: usize) -> io::Result<usize> {
        let end = opened.saturating_add(OPENED_TOGETHER).min(self.slots);
        let length = end.saturating_sub(opened) * self.stride;
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: pages of our own mapping that nobody has used.
        if unsafe { libc::mprotect(self.at(opened).as_ptr().cast(), length, protection) } != 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(end)
    }

    /// A loan ends, on whatever thread.
    pub(super) fn hand_back(&self, index: u32) {
        self.returned.lock().unwrap_or_else(PoisonError::into_inner).push(index);
    }

    /// The loans that have ended since the last call.
    pub(super) fn returned(&self) -> Vec<u32> {
        std::mem::take(&mut self.returned.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The slot's struct, to be read.
    ///
    /// # Safety
    /// The slot is open, and nobody writes to it for as long as the reference lives.
    pub(super) unsafe fn websocket(&self, index: u32) -> &websocket {
        // SAFETY: aligned to a page, `stride` bytes long, and valid whatever is in it: integers,
        // pointers, and a function pointer that may be null. The caller sees to the rest.
        unsafe { self.at(index as usize).cast().as_ref() }
    }

    /// The slot's struct.
    ///
    /// # Safety
    /// The slot is open, and the caller has it alone for as long as the reference lives.
    #[allow(clippy::mut_from_ref)] // one of many structs in here, each in one hand
    pub(super) unsafe fn websocket_mut(&self, index: u32) -> &mut websocket {
        // SAFETY: as above.
        unsafe { self.at(index as usize).cast().as_mut() }
    }

    /// Gives the slot's pages back to the system; it reads as zeros after it.
    ///
    /// # Safety
    /// The slot is open, and no reference to it lives.
    pub(super) unsafe fn give_back(&self, index: u32) {
        let at = self.at(index as usize).as_ptr().cast();
        // It fails for memory that is locked (mlockall), and then the pages stay: no harm.
        // SAFETY: the slot's own pages, all of them and no others; the caller sees to the rest.
        unsafe { libc::madvise(at, self.stride, libc::MADV_DONTNEED) };
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        let length = self.slots * self.stride;
        // SAFETY: our own mapping, whole; who holds a slot holds the mapping too.
        unsafe { libc::munmap(self.base.as_ptr().cast(), length) };
    }
}
