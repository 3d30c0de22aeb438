//! What is counted: one flat block of 64-bit cells whose layout is fixed, so that it may lie in memory
//! that several processes share, and what is shown is made of blocks alone.
//!
//! Counting is an addition in memory that one thread writes; only who asks pays for making text of it.

mod block;
mod histogram;
mod history;
mod layout;
mod prometheus;
mod totals;

pub use block::{Block, CELLS};
pub use history::History;
pub use layout::{ENDINGS, Number, Place, Times, layout_id};
pub use prometheus::render;
pub use totals::Totals;
