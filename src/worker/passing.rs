//! Datagrams with descriptors: unix(7), SCM_RIGHTS.

use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};

use nix::cmsg_space;
use nix::sys::socket::{ControlMessage, ControlMessageOwned, MsgFlags, recvmsg, sendmsg};

use super::handoff::adopt;

/// The most descriptors of one message, which is the kernel's own limit (SCM_MAX_FD).
pub const MOST_HANDED: usize = 253;

/// Sends a message with descriptors, as far as that goes at once.
///
/// # Errors
/// Those of sendmsg(2).
pub fn send(socket: BorrowedFd<'_>, bytes: &[u8], handed: &[BorrowedFd<'_>]) -> io::Result<()> {
    let numbers: Vec<RawFd> = handed.iter().map(AsRawFd::as_raw_fd).collect();
    let rights = [ControlMessage::ScmRights(&numbers)];
    let rights = if numbers.is_empty() { &[][..] } else { &rights };
    let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
    sendmsg::<()>(socket.as_raw_fd(), &[IoSlice::new(bytes)], rights, flags, None)?;
    Ok(())
}

/// Receives a message if there is one, and the descriptors that came with it.
///
/// # Errors
/// Those of recvmsg(2).
pub fn receive(socket: BorrowedFd<'_>, bytes: &mut [u8]) -> io::Result<(usize, Vec<OwnedFd>)> {
    let mut space = cmsg_space!([RawFd; MOST_HANDED]);
    let mut room = [IoSliceMut::new(bytes)];
    let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_CMSG_CLOEXEC;
    let got = recvmsg::<()>(socket.as_raw_fd(), &mut room, Some(&mut space), flags)?;
    let mut handed = Vec::new();
    for message in got.cmsgs()? {
        if let ControlMessageOwned::ScmRights(numbers) = message {
            for number in numbers {
                handed.push(adopt(number)?);
            }
        }
    }
    Ok((got.bytes, handed))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::io::{Read, Write};
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixDatagram;

    #[test]
    fn descriptors_come_with_their_message() {
        let (ours, theirs) = UnixDatagram::pair().unwrap();
        let (mut reader, writer) = io::pipe().unwrap();
        send(ours.as_fd(), b"plain", &[]).unwrap();
        send(ours.as_fd(), b"with one", &[writer.as_fd()]).unwrap();
        let mut bytes = [0; 64];
        let (length, handed) = receive(theirs.as_fd(), &mut bytes).unwrap();
        assert_eq!((&bytes[..length], handed.len()), (&b"plain"[..], 0));
        drop(writer);
        let (length, handed) = receive(theirs.as_fd(), &mut bytes).unwrap();
        assert_eq!(&bytes[..length], b"with one");
        let mut files = handed.into_iter().map(File::from);
        files.next().unwrap().write_all(b"through it").unwrap();
        assert!(files.next().is_none());
        drop(files);
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        assert_eq!(text, "through it");
        let nothing = receive(theirs.as_fd(), &mut bytes).unwrap_err();
        assert_eq!(nothing.kind(), io::ErrorKind::WouldBlock);
    }
}
