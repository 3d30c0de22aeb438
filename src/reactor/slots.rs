//! Slots with generations: a key of a tenant that moved out finds nobody.

use std::io::{ErrorKind, Result};

/// Finds one session, and after its end nothing.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Key {
    pub(super) index: u32,
    pub(super) generation: u32,
}

impl Key {
    /// As a number, which no other tenant's key has; never 0.
    pub(super) fn number(self) -> u64 {
        (u64::from(self.generation) << 32 | u64::from(self.index)) + 1
    }
}

/// Slots that come in one piece. Nobody moves when more are needed, and no memory is left behind.
const PIECE: usize = 64;

/// A list whose free slots are used again, the latest first: its pages are warm.
pub(super) struct Slots<T> {
    /// All but the last are full.
    pieces: Vec<Vec<Slot<T>>>,
    free: Vec<u32>,
}

struct Slot<T> {
    generation: u32,
    tenant: Option<T>,
}

impl<T> Slots<T> {
    pub(super) fn new() -> Self {
        Self { pieces: Vec::new(), free: Vec::new() }
    }

    pub(super) fn len(&self) -> usize {
        self.places() - self.free.len()
    }

    /// How many slots there are, whether somebody is there or not.
    pub(super) fn places(&self) -> usize {
        self.pieces.last().map_or(0, |last| (self.pieces.len() - 1) * PIECE + last.len())
    }

    fn slot_mut(&mut self, index: u32) -> Option<&mut Slot<T>> {
        self.pieces.get_mut(index as usize / PIECE)?.get_mut(index as usize % PIECE)
    }

    /// One more slot at the end.
    fn grow(&mut self) -> u32 {
        let index = self.places() as u32;
        let slot = Slot { generation: 0, tenant: None };
        match self.pieces.last_mut().filter(|last| last.len() < PIECE) {
            Some(last) => last.push(slot),
            None => {
                let mut piece = Vec::with_capacity(PIECE);
                piece.push(slot);
                self.pieces.push(piece);
            }
        }
        index
    }

    /// Lets a tenant in, who is told the key, where nobody is and `usable` says that nothing of an
    /// earlier tenant is left either, which is the case of nearly all.
    ///
    /// # Errors
    /// The tenant's own: nobody was let in.
    pub(super) fn insert(
        &mut self,
        usable: impl Fn(u32) -> bool,
        tenant: impl FnOnce(Key) -> Result<T>,
    ) -> Result<Key> {
        let place = self.free.iter().rposition(|index| usable(*index));
        let index = match place {
            Some(place) => self.free.remove(place),
            None => self.grow(),
        };
        let slot = self.slot_mut(index).ok_or(ErrorKind::NotFound)?;
        let key = Key { index, generation: slot.generation };
        match tenant(key) {
            Ok(tenant) => slot.tenant = Some(tenant),
            Err(error) => {
                self.free.push(index);
                return Err(error);
            }
        }
        Ok(key)
    }

    /// Who is at a place.
    pub(super) fn at(&self, place: usize) -> Option<&T> {
        self.pieces.get(place / PIECE)?.get(place % PIECE)?.tenant.as_ref()
    }

    pub(super) fn get(&self, key: Key) -> Option<&T> {
        let slot = self.pieces.get(key.index as usize / PIECE)?.get(key.index as usize % PIECE)?;
        if slot.generation == key.generation { slot.tenant.as_ref() } else { None }
    }

    pub(super) fn get_mut(&mut self, key: Key) -> Option<&mut T> {
        let slot = self.slot_mut(key.index)?;
        if slot.generation == key.generation { slot.tenant.as_mut() } else { None }
    }

    pub(super) fn remove(&mut self, key: Key) -> Option<T> {
        let slot = self.slot_mut(key.index)?;
        if slot.generation != key.generation {
            return None;
        }
        let tenant = slot.tenant.take()?;
        slot.generation = slot.generation.wrapping_add(1);
        self.free.push(key.index);
        Some(tenant)
    }

    pub(super) fn keys(&self) -> Vec<Key> {
        let occupied =
            self.pieces.iter().flatten().enumerate().filter(|(_, slot)| slot.tenant.is_some());
        occupied
            .map(|(index, slot)| Key { index: index as u32, generation: slot.generation })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stale_key_finds_nobody() {
        let mut slots = Slots::new();
        let old = slots.insert(|_| true, |_| Ok("old")).unwrap();
        assert_eq!(slots.remove(old), Some("old"));
        let new = slots.insert(|_| true, |_| Ok("new")).unwrap();
        assert_eq!(new.index, old.index, "the slot is used again");
        assert_eq!(slots.get_mut(old), None);
        assert_eq!(slots.remove(old), None);
        assert_eq!(slots.get_mut(new), Some(&mut "new"));
        assert_eq!((slots.len(), slots.keys()), (1, vec![new]));
    }

    #[test]
    fn a_tenant_who_does_not_come_leaves_the_place_free() {
        let mut slots = Slots::new();
        let refused = || std::io::ErrorKind::OutOfMemory.into();
        assert!(slots.insert(|_| true, |_| Err::<&str, _>(refused())).is_err());
        assert_eq!((slots.len(), slots.keys().len()), (0, 0));
        assert_eq!(slots.insert(|_| true, |_| Ok("a")).unwrap().index, 0);
    }

    #[test]
    fn a_place_that_is_not_vacated_yet_is_passed_over() {
        let mut slots = Slots::new();
        let keys = ["a", "b", "c"].map(|tenant| slots.insert(|_| true, |_| Ok(tenant)).unwrap());
        keys.iter().for_each(|key| _ = slots.remove(*key));
        assert_eq!(slots.insert(|index| index < 2, |_| Ok("d")).unwrap().index, 1);
        assert_eq!(slots.insert(|index| index != 2, |_| Ok("e")).unwrap().index, 0);
        assert_eq!(slots.insert(|index| index != 2, |_| Ok("f")).unwrap().index, 3);
        assert_eq!(slots.insert(|_| true, |_| Ok("g")).unwrap().index, 2);
    }
}
