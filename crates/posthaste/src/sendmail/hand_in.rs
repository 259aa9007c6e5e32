//! One message handed to the daemon over its submission socket, by SMTP (RFC 5321).
//!
//! Not here: the protocol (`smtp::client`), and what becomes of what the daemon does not take now (`pickup`).

use super::{Trouble, exit};
use crate::pickup::Part;
use bytes::BytesMut;
use posthaste_smtp::client::{Fate, Report, Session, Settings, Stage, Step};
use posthaste_smtp::data::{Changes, pieces};
use std::io::{self, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// How long the daemon may leave our octets unread.
const WRITE_LIMIT: Duration = Duration::from_secs(120);
const PIECE: usize = 4096;

/// What the daemon did not take.
#[derive(Debug, Default)]
pub(super) struct Left {
    /// Numbers of recipients that wait for a daemon that takes them.
    pub(super) waiting: Vec<usize>,
    /// Why they wait.
    pub(super) why: String,
    /// What it will never take.
    pub(super) refused: Vec<Trouble>,
}

/// Hands it in. Whoever is not refused for good and not taken is left.
pub(super) fn hand_in(socket: &Path, name: &str, part: &Part<'_>) -> Left {
    let all = || (0..part.recipients.len()).collect();
    let report = UnixStream::connect(socket).and_then(|stream| dialogue(stream, name, part));
    match report {
        Ok(Some(report)) => left(&report, part),
        Ok(None) => Left {
            waiting: all(),
            why: "the daemon takes no mail now".to_owned(),
            ..Left::default()
        },
        Err(error) => {
            let why = format!("no daemon at {}: {error}", socket.display());
            Left { waiting: all(), why, ..Left::default() }
        }
    }
}

/// `None` when no transaction came about.
fn dialogue(mut stream: UnixStream, name: &str, part: &Part<'_>) -> io::Result<Option<Report>> {
    stream.set_write_timeout(Some(WRITE_LIMIT))?;
    let settings = Settings { name: name.to_owned(), ..Settings::default() };
    let mut session = Session::new(Arc::new(settings));
    let mut input = BytesMut::new();
    let mut report = None;
    loop {
        match session.next(&mut input) {
            Step::Read { timeout, .. } => {
                if exchange(&mut stream, &mut session, &mut input, timeout).is_err() {
                    report = session.lost().or(report);
                }
            }
            Step::Ready if report.is_some() => session.quit(),
            Step::Ready => session.begin(&part.transaction()),
            Step::Content => {
                let changes = Changes { stuff: true, fold: false };
                let sent =
                    pieces([part.content], changes).try_for_each(|piece| stream.write_all(piece));
                match sent.and_then(|()| stream.flush()) {
                    Ok(()) => session.content_sent(),
                    Err(_) => report = session.lost().or(report),
                }
            }
            Step::Finished(finished) => report = Some(finished),
            // STARTTLS is never asked for here: the socket is of this machine.
            Step::Reply(..) | Step::Gibberish(..) | Step::Secure | Step::Injected => {}
            Step::Close => {
                let _farewell = stream.write_all(&session.take_output());
                return Ok(report);
            }
        }
    }
}

fn exchange(
    stream: &mut UnixStream,
    session: &mut Session,
    input: &mut BytesMut,
    timeout: Duration,
) -> io::Result<()> {
    stream.write_all(&session.take_output())?;
    stream.set_read_timeout(Some(timeout))?;
    let mut piece = [0; PIECE];
    match stream.read(&mut piece)? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        length => {
            input.extend_from_slice(&piece[..length]);
            Ok(())
        }
    }
}

fn left(report: &Report, part: &Part<'_>) -> Left {
    let mut left = Left::default();
    for (number, recipient) in part.recipients.iter().enumerate() {
        match report.fate(number) {
            Some(Fate::Delivered(_)) => {}
            Some(Fate::Refused(stage, reply)) if reply.code >= 500 => {
                let code = if matches!(stage, Stage::Rcpt(_)) { exit::NO_USER } else { exit::DATA };
                left.refused.push(Trouble::new(code, format!("{}: {reply}", recipient.mailbox)));
            }
            Some(Fate::Refused(_, reply)) => {
                left.why = format!("the daemon said {reply}");
                left.waiting.push(number);
            }
            // Lost after the final dot, it may have been taken: a second copy has the same Message-ID.
            Some(Fate::Lost(_)) | None => {
                left.why = "the connection to the daemon broke".to_owned();
                left.waiting.push(number);
            }
        }
    }
    left
}
