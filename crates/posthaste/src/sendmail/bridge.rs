//! `-bs`: whoever calls speaks SMTP with the daemon, over standard input and output.
//!
//! Not here: the session, which is the daemon's.

use super::{Trouble, exit};
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::thread;

const PIECE: usize = 16 * 1024;

/// Passes octets both ways until the daemon closes.
///
/// # Errors
/// 75 without a daemon, which the caller is told in SMTP too.
pub(super) fn run(socket: &Path) -> Result<(), Trouble> {
    let stream = UnixStream::connect(socket).and_then(|stream| Ok((stream.try_clone()?, stream)));
    let (to, from) = stream.map_err(|error| {
        let _ = io::stdout()
            .lock()
            .write_all(b"421 4.3.2 No mail daemon is running, try again later\r\n");
        Trouble::new(exit::TEMPORARY, format!("no daemon at {}: {error}", socket.display()))
    })?;
    // Ends with the process: nobody can be made to stop reading standard input.
    thread::spawn(move || {
        let _broken_is_seen_below = pass(io::stdin(), &to);
        let _ = to.shutdown(Shutdown::Write);
    });
    pass(from, io::stdout())
        .map_err(|error| Trouble::new(exit::TEMPORARY, format!("the session broke: {error}")))
}

/// Each piece goes on at once: the other side waits for it.
fn pass(mut from: impl Read, mut to: impl Write) -> io::Result<()> {
    let mut piece = vec![0; PIECE];
    loop {
        match from.read(&mut piece) {
            Ok(0) => return Ok(()),
            Ok(length) => {
                to.write_all(&piece[..length])?;
                to.flush()?;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
