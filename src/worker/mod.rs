//! What a worker process has of its supervisor: descriptors that are handed over, named in one
//! variable of the environment, a table in memory that all workers share, and what they say to each
//! other by way of it.

mod addresses;
mod files;
mod handoff;
mod message;
mod passing;
pub mod place;
mod table;

pub use addresses::ROWS;
pub use files::{FILES, Kept, Snapshot, hand, handed};
pub use handoff::{Handoff, Inheritance, VARIABLE, adopt};
pub use message::{Item, LONGEST, Message, Said, Wanted};
pub use passing::{MOST_HANDED, receive, send};
pub use table::{CELLS, Places, Table};
