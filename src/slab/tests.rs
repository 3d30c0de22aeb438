use std::fs;
use std::io::ErrorKind;
use std::thread;

use proptest::prelude::*;

use super::book::MOST_WARM;
use super::*;
use websocksy_abi::{PEER_BUFFER_SIZE, WS_MAX_LINE, websocket};

fn slab() -> Slab {
    Slab::new(4000).unwrap()
}

/// The C struct's own words on its buffers.
fn offsets(slot: &Slot) -> (usize, usize) {
    (slot.websocket().read_buffer_offset, slot.websocket().peer_buffer_offset)
}

/// KiB of memory behind the slots that are open.
fn resident(slab: &Slab) -> usize {
    let first = slab.claim(3000).unwrap(); // opens more than any test uses
    let at = std::ptr::from_ref(first.websocket()) as usize;
    let maps = fs::read_to_string("/proc/self/smaps").unwrap();
    let mut here = false;
    for line in maps.lines() {
        let range = line.split(' ').next().unwrap().split_once('-');
        let bound = |text| usize::from_str_radix(text, 16).ok();
        if let Some((start, end)) = range.and_then(|(a, b)| Some((bound(a)?, bound(b)?))) {
            here = (start..end).contains(&at);
        } else if let (true, Some(rest)) = (here, line.strip_prefix("Anonymous:")) {
            return rest.trim_end_matches("kB").trim().parse().unwrap();
        }
    }
    panic!("{at:x} is not mapped");
}

#[test]
fn a_slot_is_a_struct_at_the_start_of_a_page() {
    let slab = slab();
    let (first, second) = (slab.claim(0).unwrap(), slab.claim(1).unwrap());
    let at = |slot: &Slot| std::ptr::from_ref(slot.websocket()) as usize;
    assert_eq!(at(&first) % 4096, 0);
    assert_eq!(at(&second) - at(&first), size_of::<websocket>().next_multiple_of(4096));
    assert_eq!((first.index(), second.index()), (0, 1));
}

#[test]
fn a_slot_has_one_holder() {
    let slab = slab();
    let slot = slab.claim(7).unwrap();
    assert!(slab.is_taken(7) && !slab.is_taken(6));
    assert_eq!(slab.claim(7).unwrap_err().kind(), ErrorKind::ResourceBusy);
    drop(slot);
    assert!(!slab.is_taken(7));
    drop(slab.claim(7).unwrap());
    assert_eq!(slab.claim(4000).unwrap_err().kind(), ErrorKind::InvalidInput);
    assert!(!slab.is_taken(4000));
    // The last may be in a piece of its own.
    slab.claim(3999).unwrap().peer_buffer().set(&[1; PEER_BUFFER_SIZE]);
}

#[test]
fn address_space_that_is_not_there_is_an_error() {
    assert_eq!(Slab::new(usize::MAX).unwrap_err().kind(), ErrorKind::OutOfMemory);
    assert_eq!(Slab::new(usize::MAX / 65_536).unwrap_err().kind(), ErrorKind::OutOfMemory);
    assert!(Slab::new(0).is_err());
}

#[test]
fn what_arrives_is_taken_or_kept() {
    let slab = slab();
    let mut slot = slab.claim(0).unwrap();
    assert_eq!(slot.read_buffer().space().len(), WS_MAX_LINE);
    slot.read_buffer().space()[..10].copy_from_slice(b"head|early");
    assert_eq!(slot.read_buffer().arrived(4), b"head");
    slot.read_buffer().keep(0, 0);
    assert_eq!((slot.read_bytes(), offsets(&slot)), (&b""[..], (0, 0)));
    slot.read_buffer().keep(5, 10);
    assert_eq!((slot.read_bytes(), offsets(&slot)), (&b"early"[..], (5, 0)));
    assert_eq!(slot.read_buffer().space().len(), WS_MAX_LINE - 5);
    slot.read_buffer().space()[..3].copy_from_slice(b"xyz");
    slot.read_buffer().keep(1, 3);
    assert_eq!((slot.read_bytes(), offsets(&slot)), (&b"earlyyz"[..], (7, 0)));
    slot.peer_buffer().set(&[7; PEER_BUFFER_SIZE]);
    assert_eq!(slot.peer_buffer().space().len(), 0);
    assert_eq!((slot.peer_bytes(), offsets(&slot)), (&[7; PEER_BUFFER_SIZE][..], (7, 16_384)));
    slot.peer_buffer().set(b"less");
    assert_eq!((slot.peer_bytes(), offsets(&slot)), (&b"less"[..], (7, 4)));
    slot.read_buffer().clear();
    slot.peer_buffer().set(b"");
    assert_eq!((slot.read_bytes(), slot.peer_bytes()), (&b""[..], &b""[..]));
    assert_eq!(offsets(&slot), (0, 0));
}

proptest! {
    /// Both buffers against two vectors.
    #[test]
    fn buffers_are_what_they_were_told(
        steps in prop::collection::vec((any::<bool>(), 0..4, 0_usize..200, 0_usize..200), 1..60),
    ) {
        let slab = Slab::new(1).unwrap();
        let mut slot = slab.claim(0).unwrap();
        let mut naive = [Vec::new(), Vec::new()];
        for (seed, (peer, what, a, b)) in steps.into_iter().enumerate() {
            let vector = &mut naive[usize::from(peer)];
            let mut buffer = if peer { slot.peer_buffer() } else { slot.read_buffer() };
            let bytes: Vec<u8> = (0..b).map(|n| (n + seed) as u8).collect();
            match what {
                0 => {
                    buffer.set(&bytes);
                    *vector = bytes;
                }
                1 => {
                    buffer.clear();
                    vector.clear();
                }
                _ => {
                    buffer.space()[..b].copy_from_slice(&bytes);
                    buffer.keep(a.min(b), b);
                    vector.extend_from_slice(&bytes[a.min(b)..]);
                }
            }
            prop_assert_eq!(slot.read_bytes(), &naive[0][..]);
            prop_assert_eq!(slot.peer_bytes(), &naive[1][..]);
            prop_assert_eq!(offsets(&slot), (naive[0].len(), naive[1].len()));
        }
    }
}

#[test]
fn a_loan_is_nobody_elses_until_it_is_back() {
    let slab = slab();
    let mut slot = slab.claim(3).unwrap();
    slot.read_buffer().set(b"early");
    let mut loan = slot.lend();
    assert!(slab.is_taken(3));
    assert_eq!(slab.claim(3).unwrap_err().kind(), ErrorKind::ResourceBusy);
    let loan = thread::spawn(move || {
        let ws = loan.websocket();
        assert_eq!((ws.read_buffer_offset, &ws.read_buffer[..5]), (5, &b"early"[..]));
        // What a plug-in writes there is not believed.
        ws.read_buffer.fill(0xff);
        (ws.read_buffer_offset, ws.peer_buffer_offset) = (usize::MAX, 9);
        loan
    });
    let loan = loan.join().unwrap();
    assert!(slab.is_taken(3));
    let slot = slab.take_back(loan);
    assert!(slab.is_taken(3), "it goes on");
    assert_eq!((slot.read_bytes(), slot.peer_bytes()), (&b"early"[..], &b""[..]));
    assert_eq!(offsets(&slot), (5, 0));
    drop(slot);
    assert!(!slab.is_taken(3));
}

#[test]
fn a_loan_that_is_lost_frees_its_slot() {
    let slab = slab();
    for here in [true, false] {
        let mut loan = slab.claim(3).unwrap().lend();
        loan.websocket().peer_buffer_offset = 77;
        loan.websocket().read_buffer_offset = usize::MAX;
        assert!(slab.is_taken(3));
        if here {
            drop(loan);
        } else {
            thread::spawn(move || drop(loan)).join().unwrap();
        }
        assert!(!slab.is_taken(3));
        let slot = slab.claim(3).unwrap();
        assert_eq!((slot.read_bytes(), offsets(&slot)), (&b""[..], (0, 0)));
    }
}

#[test]
fn a_loan_outlives_the_slab() {
    let slab = slab();
    let mut loan = slab.claim(0).unwrap().lend();
    drop(slab);
    loan.websocket().read_buffer.fill(1);
    assert_eq!(loan.websocket().read_buffer[16_383], 1);
}

/// Pages of a slot whose head was of the usual length, and that was asked about.
const USUAL: usize = 12;

fn heads(slab: &Slab, count: u32) -> Vec<Slot> {
    (0..count)
        .map(|index| {
            let mut slot = slab.claim(index).unwrap();
            slot.read_buffer().space()[..600].fill(b'x');
            slot.read_buffer().keep(0, 0);
            let mut loan = slot.lend();
            loan.websocket().headers = 3;
            loan.websocket().peer_buffer[..600].fill(b'x');
            slab.take_back(loan)
        })
        .collect()
}

#[test]
fn untouched_slots_cost_nothing() {
    let slab = slab();
    let slots: Vec<Slot> = (0..2000).map(|index| slab.claim(index).unwrap()).collect();
    assert_eq!(resident(&slab), 0);
    // Reading costs no memory either: the zero page is everybody's.
    assert!(slots.iter().all(|slot| offsets(slot) == (0, 0)));
    assert_eq!(resident(&slab), 0);
}

#[test]
fn slots_that_hold_nothing_are_given_back_but_for_the_latest() {
    let slab = slab();
    let slots = heads(&slab, 2000);
    let warm = resident(&slab);
    assert!(warm <= MOST_WARM * USUAL, "{warm} KiB");
    assert!(warm >= MOST_WARM * 4, "{warm} KiB");
    drop(slots);
    assert!(resident(&slab) <= MOST_WARM * USUAL);
    // What a slot holds stays, whatever the others do.
    let mut slot = slab.claim(100).unwrap();
    slot.peer_buffer().set(&[7; 5000]);
    let others = (200..500).map(|index| slab.claim(index).unwrap());
    for mut other in others {
        other.read_buffer().set(b"x");
    }
    assert_eq!(slot.peer_bytes(), &[7; 5000]);
    assert!(resident(&slab) <= MOST_WARM * USUAL + 36);
}

#[test]
fn loans_that_are_lost_leave_no_memory() {
    let slab = slab();
    for index in 0..2000 {
        let mut loan = slab.claim(index).unwrap().lend();
        loan.websocket().read_buffer.fill(1);
    }
    assert!(!slab.is_taken(1999));
    let left = resident(&slab);
    assert!(left <= MOST_WARM * 36, "{left} KiB");
}
