//! Where clients come from.

pub(super) mod tcp;
