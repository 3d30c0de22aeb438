//! The loads: each drives a bridge for a while and says what a unit of work cost it.

mod churn;
mod echo;
mod hold;
mod stream;

pub(crate) use churn::churn;
pub(crate) use echo::echo;
pub(crate) use hold::{hold_cpu, hold_memory};
pub(crate) use stream::{download, upload};

use std::io;

use mio::net::TcpStream;

use crate::dial::Client;
use crate::secure::Stream;
use crate::ws::Receiver;

/// A connection that has joined a poll loop.
struct Line {
    stream: Stream<TcpStream>,
    receiver: Receiver,
}

impl TryFrom<Client> for Line {
    type Error = io::Error;

    fn try_from(client: Client) -> io::Result<Self> {
        client.stream.socket().set_nonblocking(true)?;
        Ok(Self { stream: client.stream.map(TcpStream::from_std), receiver: client.receiver })
    }
}
