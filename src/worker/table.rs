//! Numbers that all workers share, in one mapping: each writes its own row, and reads all.
//!
//! Nobody waits for anybody: a worker that is killed in the middle leaves a row that the supervisor
//! empties, and nothing locked.
#![allow(unsafe_code)] // mmap(2), and a reference into what it gives

use std::hash::{BuildHasher, RandomState};
use std::io;
use std::net::IpAddr;
use std::os::fd::{AsRawFd, OwnedFd};
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::unistd::ftruncate;

use super::addresses::{Addresses, ROWS};

/// Cells of a row for what its process counts beside its clients.
pub const CELLS: usize = 2048;

/// A row for each process. All zeros is a table without anybody.
#[repr(C)]
pub struct Table {
    /// How many rows from the first on were ever in use.
    used: AtomicU64,
    rows: [Row; ROWS],
    cells: [[AtomicU64; CELLS]; ROWS],
    addresses: Addresses,
}

/// What one process counts; on its own cache line, since others write to theirs.
#[repr(C, align(64))]
struct Row {
    admitted: AtomicU64,
    /// What the cells mean, by a number for each layout; zero where nobody has counted.
    layout: AtomicU64,
    /// The name of what its loop is in.
    doing: [AtomicU64; 4],
}

impl Table {
    /// An empty one, and the memory that it is handed on by.
    ///
    /// # Errors
    /// There is no memory, or no descriptor.
    pub fn create() -> io::Result<(OwnedFd, &'static Self)> {
        let flags = MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING;
        let memory = memfd_create(c"websocksy", flags)?;
        ftruncate(&memory, size_of::<Self>() as i64)?;
        // Memory that somebody cuts off is SIGBUS for all others.
        let seals = SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_SEAL;
        fcntl(&memory, FcntlArg::F_ADD_SEALS(seals))?;
        let table = Self::map(&memory)?;
        let chance = RandomState::new();
        table.addresses.set_key([0, 1].map(|part| chance.hash_one(part)));
        Ok((memory, table))
    }

    /// The one in `memory`, for as long as the process lives.
    ///
    /// # Errors
    /// It is too short, which is another version's, or the system refuses.
    pub fn map(memory: &OwnedFd) -> io::Result<&'static Self> {
        let length = nix::sys::stat::fstat(memory)?.st_size;
        if usize::try_from(length).is_ok_and(|length| length < size_of::<Self>()) {
            return Err(io::Error::other("another version's: it takes a restart"));
        }
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a new mapping at a place of the kernel's choice touches nothing that is there.
        let base = unsafe {
            let (flags, fd) = (libc::MAP_SHARED, memory.as_raw_fd());
            libc::mmap(ptr::null_mut(), size_of::<Self>(), protection, flags, fd, 0)
        };
        if base == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let base: NonNull<Self> = NonNull::new(base.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        // SAFETY: the mapping begins at a page, is as long as a table, is never undone, and holds
        // atomic integers only, of which every value is one.
        Ok(unsafe { base.as_ref() })
    }

    fn row(&self, row: usize) -> Option<&AtomicU64> {
        self.rows.get(row).map(|row| &row.admitted)
    }

    /// How many clients there are in all rows.
    #[must_use]
    pub fn admitted(&self) -> u64 {
        let used = self.used.load(Ordering::SeqCst) as usize;
        let rows = self.rows.iter().take(used);
        rows.map(|row| row.admitted.load(Ordering::SeqCst)).sum()
    }

    /// Where a process writes what its loop is in.
    #[must_use]
    pub fn doing(&self, row: usize) -> Option<&[AtomicU64; 4]> {
        self.rows.get(row).map(|row| &row.doing)
    }

    /// The cells of a row, for the process that counts in it from now on: as one before it left them,
    /// if they had this layout then.
    #[must_use]
    pub fn take_cells(&'static self, row: usize, layout: u64) -> &'static [AtomicU64] {
        let (Some(cells), Some(own)) = (self.cells.get(row), self.rows.get(row)) else {
            return &[];
        };
        if own.layout.load(Ordering::SeqCst) != layout {
            own.layout.store(0, Ordering::SeqCst);
            cells.iter().for_each(|cell| cell.store(0, Ordering::Relaxed));
            own.layout.store(layout, Ordering::SeqCst);
        }
        cells
    }

    /// The cells of a row, if they have this layout.
    #[must_use]
    pub fn cells(&'static self, row: usize, layout: u64) -> Option<&'static [AtomicU64]> {
        let own = self.rows.get(row)?;
        (own.layout.load(Ordering::SeqCst) == layout).then_some(self.cells.get(row)?)
    }

    /// The cells of all rows that have this layout.
    pub fn all_cells(&'static self, layout: u64) -> impl Iterator<Item = &'static [AtomicU64]> {
        let used = self.used.load(Ordering::SeqCst) as usize;
        (0..used).filter_map(move |row| self.cells(row, layout))
    }

    /// Empties a row, whose process is gone, or is about to begin.
    pub fn clear(&self, row: usize) {
        let used = self.used.fetch_max(row as u64 + 1, Ordering::SeqCst);
        if row as u64 >= used {
            return; // nobody has had it
        }
        if let Some(admitted) = self.row(row) {
            admitted.store(0, Ordering::SeqCst);
        }
        let doing = self.doing(row).into_iter().flatten();
        doing.for_each(|cell| cell.store(0, Ordering::Relaxed));
        self.addresses.clear(row);
    }
}

/// Places that all workers share.
#[derive(Clone, Copy)]
pub struct Places {
    table: &'static Table,
    row: usize,
    most: usize,
}

impl Places {
    /// `most` places over all, taken by the process of `row`.
    #[must_use]
    pub fn new((table, row): (&'static Table, usize), most: usize) -> Self {
        Self { table, row, most }
    }

    /// The same, of which there are `most`.
    #[must_use]
    pub fn up_to(self, most: usize) -> Self {
        Self { most, ..self }
    }

    /// Takes a place, if there is one. Of two that want the last at the same moment neither may get
    /// it, and never both.
    #[must_use]
    pub fn take(&self) -> bool {
        let Some(own) = self.table.row(self.row) else { return false };
        // Added before the others are looked at: of two at least the later sees both.
        own.fetch_add(1, Ordering::SeqCst);
        if self.table.admitted() <= self.most as u64 {
            return true;
        }
        own.fetch_sub(1, Ordering::SeqCst);
        false
    }

    /// Counts one more client of an address, unless there are `most` of it in all processes; zero for
    /// any number. Returns whether it may come.
    #[must_use]
    pub fn enter(&self, address: IpAddr, most: usize) -> bool {
        let used = self.table.used.load(Ordering::SeqCst) as usize;
        self.table.addresses.enter(address, self.row, used, most)
    }

    /// A client of an address that was counted is gone.
    pub fn leave(&self, address: IpAddr) {
        self.table.addresses.leave(address, self.row);
    }

    /// Takes a token of an address, of a bucket that fills in `per`, one token in `token`; `now` is
    /// CLOCK_MONOTONIC.
    ///
    /// # Errors
    /// None is there: the time until there is one.
    pub fn take_token(
        &self,
        address: IpAddr,
        (token, per): (Duration, Duration),
        now: Duration,
    ) -> Result<(), Duration> {
        self.table.addresses.take_token(address, (token, per), now.as_nanos() as u64)
    }

    /// Gives a place back.
    pub fn give_back(&self) {
        if let Some(own) = self.table.row(self.row) {
            own.fetch_sub(1, Ordering::SeqCst);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicUsize;
    use std::thread;

    fn rows(most: usize, count: usize) -> (&'static Table, Vec<Places>) {
        let (memory, table) = Table::create().unwrap();
        // Another process has a mapping of its own.
        let other = Table::map(&memory).unwrap();
        let places = (0..count).map(|row| {
            table.clear(row);
            Places::new((if row % 2 == 0 { table } else { other }, row), most)
        });
        let places = places.collect();
        (table, places)
    }

    #[test]
    fn places_are_everybodys_and_those_of_the_dead_come_back() {
        let (table, places) = rows(3, 2);
        assert!(places[0].take() && places[1].take() && places[1].take());
        assert!(!places[0].take() && !places[1].take());
        places[0].give_back();
        assert!(places[1].take() && !places[0].take());
        table.clear(1);
        assert_eq!(table.admitted(), 0);
        assert!((0..3).all(|_| places[0].take()) && !places[0].take());
    }

    #[test]
    fn never_more_than_there_are_places() {
        const MOST: usize = 5;
        let (table, places) = rows(MOST, 4);
        let (inside, highest) = (AtomicUsize::new(0), AtomicUsize::new(0));
        thread::scope(|scope| {
            for own in &places {
                scope.spawn(|| {
                    for _ in 0..20_000 {
                        if own.take() {
                            let now = inside.fetch_add(1, Ordering::SeqCst) + 1;
                            highest.fetch_max(now, Ordering::SeqCst);
                            inside.fetch_sub(1, Ordering::SeqCst);
                            own.give_back();
                        }
                    }
                });
            }
        });
        assert!((1..=MOST).contains(&highest.load(Ordering::SeqCst)));
        assert_eq!(table.admitted(), 0);
    }

    #[test]
    fn an_address_counts_in_all_processes_and_not_for_the_dead() {
        let (table, places) = rows(100, 2);
        let [here, there] = ["192.0.2.1", "2001:db8::"].map(|text| text.parse().unwrap());
        assert!(places[0].enter(here, 2) && places[1].enter(here, 2));
        assert!(!places[0].enter(here, 2) && !places[1].enter(here, 2));
        assert!(places[1].enter(there, 2));
        places[0].leave(here);
        assert!(places[1].enter(here, 2) && !places[0].enter(here, 2));
        table.clear(1);
        assert!(places[0].enter(here, 2) && places[0].enter(here, 2) && !places[0].enter(here, 2));
        // One that was never counted takes nobody's count away.
        places[0].leave(there);
        assert!(!places[0].enter(here, 2));
    }

    #[test]
    fn places_of_addresses_that_are_gone_are_others() {
        let (_, places) = rows(100, 2);
        for number in 0..200_000_u32 {
            let address = IpAddr::from(number.to_be_bytes());
            assert!(places[0].enter(address, 1), "{number}");
            assert!(!places[1].enter(address, 1), "{number}");
            places[0].leave(address);
        }
        // As many at once as there are places are all let in, counted or not.
        assert!(
            (0..100_000_u32).all(|number| places[0].enter(IpAddr::from(number.to_be_bytes()), 1))
        );
    }

    #[test]
    fn never_more_of_an_address_than_may_be() {
        let (_, places) = rows(1000, 4);
        let address = "192.0.2.1".parse().unwrap();
        let (inside, highest) = (AtomicUsize::new(0), AtomicUsize::new(0));
        thread::scope(|scope| {
            for (number, own) in places.iter().enumerate() {
                let (inside, highest) = (&inside, &highest);
                scope.spawn(move || {
                    for turn in 0..10_000_u32 {
                        let other = IpAddr::from((turn * 4 + number as u32).to_be_bytes());
                        assert!(own.enter(other, 1));
                        if own.enter(address, 3) {
                            let now = inside.fetch_add(1, Ordering::SeqCst) + 1;
                            highest.fetch_max(now, Ordering::SeqCst);
                            inside.fetch_sub(1, Ordering::SeqCst);
                            own.leave(address);
                        }
                        own.leave(other);
                    }
                });
            }
        });
        assert!((1..=3).contains(&highest.load(Ordering::SeqCst)));
        assert!((0..3).all(|_| places[0].enter(address, 3)) && !places[1].enter(address, 3));
    }

    #[test]
    fn a_rate_is_of_all_processes() {
        let (_, places) = rows(100, 2);
        let address = "192.0.2.1".parse().unwrap();
        let (second, start) = (Duration::from_secs(1), Duration::from_secs(1000));
        let bucket = (second, second * 4); // four in four seconds
        let takes = |worker: usize, at| places[worker].take_token(address, bucket, start + at);
        (0..4).for_each(|turn| assert_eq!(takes(turn % 2, Duration::ZERO), Ok(())));
        assert_eq!(takes(0, Duration::ZERO), Err(second));
        assert_eq!(takes(1, second / 2), Err(second / 2));
        assert_eq!(takes(1, second), Ok(()));
        assert_eq!(takes(0, second), Err(second));
        assert_eq!(places[0].take_token("192.0.2.2".parse().unwrap(), bucket, start), Ok(()));
        (0..4).for_each(|turn| assert_eq!(takes(turn % 2, second * 9), Ok(())));
        assert!(takes(0, second * 9).is_err());
    }

    #[test]
    fn counters_outlive_who_counted_and_not_another_layout() {
        let (table, _) = rows(1, 3);
        table.take_cells(0, 7)[5].store(3, Ordering::Relaxed);
        table.take_cells(2, 7)[5].store(4, Ordering::Relaxed);
        table.clear(0);
        assert_eq!(table.take_cells(0, 7)[5].load(Ordering::Relaxed), 3);
        let sum = |layout| -> u64 {
            table.all_cells(layout).map(|cells| cells[5].load(Ordering::Relaxed)).sum()
        };
        assert_eq!((sum(7), sum(8)), (7, 0));
        assert_eq!(table.take_cells(0, 8)[5].load(Ordering::Relaxed), 0);
        assert_eq!((sum(7), sum(8)), (4, 0));
        assert!(table.cells(1, 7).is_none() && table.take_cells(ROWS, 7).is_empty());
    }

    #[test]
    fn memory_that_is_too_short_is_refused() {
        let memory = memfd_create(c"short", MFdFlags::MFD_CLOEXEC).unwrap();
        ftruncate(&memory, 64).unwrap();
        assert!(Table::map(&memory).is_err());
    }
}
