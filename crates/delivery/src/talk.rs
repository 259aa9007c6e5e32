//! Moves octets between a stream and a client session, every wait bounded.
//!
//! Not here: what the octets mean (`posthaste_smtp`), and what is done about it (`line`, `transfer`).

use crate::record::Recorder;
use bytes::BytesMut;
use posthaste_evidence as evidence;
use posthaste_evidence::{Ended, TlsFacts, TlsFault, Who};
use posthaste_io::{Secure, Secured, Stream, Timer, World};
use posthaste_mail::{Reply, Secret};
use posthaste_smtp::client::{Session, Stage, Step, without_secrets};
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

/// Room offered to each read, octets.
const READ_SIZE: usize = 4096;

/// A stream, the session on it, and their shared timer.
pub(crate) struct Talk {
    stream: Box<dyn Stream>,
    pub(crate) session: Session,
    input: BytesMut,
    timer: Pin<Box<dyn Timer>>,
    pub(crate) recorder: Recorder,
    /// It goes under TLS.
    pub(crate) secured: bool,
}

/// What a wait came to.
pub(crate) enum Heard {
    /// The session's next step; never `Step::Read`.
    Step(Step),
    /// The wait was in vain; the session has not been told yet.
    Broken(Stage, Break),
}

/// Why a conversation broke.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Break {
    /// Nothing within this limit.
    TimedOut(Duration),
    /// The connection ended; by a reset, or in order.
    Lost { reset: bool },
}

/// How writing content ended.
pub(crate) enum Written {
    /// All of it was handed to the network.
    All,
    /// The server said something before that, or hung up: ask the session.
    Interrupted,
    /// The connection broke.
    Broken(Break),
}

impl Talk {
    /// A fresh connection.
    pub(crate) fn new(
        world: &World,
        stream: Box<dyn Stream>,
        session: Session,
        recorder: Recorder,
    ) -> Self {
        let input = BytesMut::with_capacity(READ_SIZE);
        Self { stream, session, input, timer: world.clock.timer(), recorder, secured: false }
    }

    /// Goes on under TLS; the session is told, and greets anew.
    pub(crate) async fn secure(
        self,
        world: &World,
        how: Secure,
    ) -> Result<(Self, TlsFacts), TlsFault> {
        let name = how.name.clone();
        let Self { stream, mut session, input, timer, mut recorder, .. } = self;
        let Secured { stream, facts } = world.net.secure(stream, how).await?;
        recorder.secured(&facts, &name);
        session.secured();
        Ok((Self { stream, session, input, timer, recorder, secured: true }, facts))
    }

    /// Our end of the connection.
    pub(crate) fn local(&self) -> SocketAddr {
        self.stream.local()
    }

    /// Writes what the session has to say and reads until it has a step to tell.
    pub(crate) async fn next(&mut self, world: &World) -> Heard {
        loop {
            match self.session.next(&mut self.input) {
                Step::Read { stage, timeout } => {
                    let exchanged = match self.flush(world, timeout).await {
                        Ok(()) => self.read(world, timeout).await,
                        broken => broken,
                    };
                    if let Err(broken) = exchanged {
                        if matches!(broken, Break::TimedOut(_)) {
                            self.recorder.end(Ended::TimedOut);
                        }
                        return Heard::Broken(stage, broken);
                    }
                }
                step => {
                    self.note(&step);
                    return Heard::Step(step);
                }
            }
        }
    }

    fn note(&mut self, step: &Step) {
        match step {
            Step::Reply(stage, reply) => {
                if matches!(stage, Stage::Auth) {
                    self.recorder.push(Who::They, &lines_of(reply));
                }
                self.recorder.reply(*stage, reply);
            }
            Step::Gibberish(..) => self.recorder.end(Ended::Closed),
            _ => {}
        }
    }

    /// Writes what the session has to say, as far as it works.
    pub(crate) async fn flush(&mut self, world: &World, limit: Duration) -> Result<(), Break> {
        let (output, secret);
        let output: &[u8] = if matches!(self.session.stage(), Stage::Auth) {
            // Wiped when it is dropped; the session log learns that something was said.
            secret = Secret::new(self.session.take_output());
            self.recorder.push(Who::We, &without_secrets(secret.expose()));
            secret.expose()
        } else {
            output = self.session.take_output();
            self.recorder.push(Who::We, &output);
            &output
        };
        let mut at = 0;
        self.arm(world, limit);
        while at < output.len() {
            let (stream, timer) = (&mut self.stream, &mut self.timer);
            let slice = &output[at..];
            let written = poll_fn(|cx| match stream.poll_write(cx, &[IoSlice::new(slice)]) {
                Poll::Pending => timed_out(timer, cx, limit),
                Poll::Ready(result) => Poll::Ready(progress(result)),
            });
            at += written.await?;
        }
        Ok(())
    }

    /// Writes slices of content. Stops when the server says something before the end.
    pub(crate) async fn write(
        &mut self,
        world: &World,
        mut slices: &mut [IoSlice<'_>],
        limit: Duration,
    ) -> Written {
        self.arm(world, limit);
        IoSlice::advance_slices(&mut slices, 0);
        let mut early = [0; READ_SIZE];
        while !slices.is_empty() {
            let (stream, timer) = (&mut self.stream, &mut self.timer);
            let polled = poll_fn(|cx| {
                if let Poll::Ready(result) = stream.poll_write(cx, slices) {
                    return Poll::Ready(Polled::Wrote(progress(result)));
                }
                if let Poll::Ready(result) = stream.poll_read(cx, &mut early) {
                    return Poll::Ready(Polled::Read(progress(result)));
                }
                timed_out(timer, cx, limit).map(Polled::Wrote)
            });
            match polled.await {
                Polled::Wrote(Ok(written)) => IoSlice::advance_slices(&mut slices, written),
                Polled::Read(Ok(read)) => {
                    self.recorder.push(Who::They, &early[..read]);
                    self.input.extend_from_slice(&early[..read]);
                    return Written::Interrupted;
                }
                Polled::Wrote(Err(Break::Lost { .. })) => return self.last_words(world).await,
                Polled::Wrote(Err(broken)) | Polled::Read(Err(broken)) => {
                    return Written::Broken(broken);
                }
            }
        }
        Written::All
    }

    /// A server that closed may have said why: what it sent before is still there to be read.
    async fn last_words(&mut self, world: &World) -> Written {
        const LAST_WORDS: Duration = Duration::from_secs(1);
        match self.read(world, LAST_WORDS).await {
            Ok(()) => Written::Interrupted,
            Err(broken) => Written::Broken(broken),
        }
    }

    async fn read(&mut self, world: &World, limit: Duration) -> Result<(), Break> {
        self.arm(world, limit);
        let mut chunk = [0; READ_SIZE];
        let (stream, timer) = (&mut self.stream, &mut self.timer);
        let read = poll_fn(|cx| match stream.poll_read(cx, &mut chunk) {
            Poll::Pending => timed_out(timer, cx, limit),
            Poll::Ready(result) => Poll::Ready(progress(result)),
        });
        let read = read.await?;
        // A reply to AUTH may give back our password: the session tells it without.
        if !matches!(self.session.stage(), Stage::Auth) {
            self.recorder.push(Who::They, &chunk[..read]);
        }
        self.input.extend_from_slice(&chunk[..read]);
        Ok(())
    }

    fn arm(&mut self, world: &World, limit: Duration) {
        self.timer.as_mut().set(world.now() + limit);
    }
}

/// A reply as on the wire.
fn lines_of(reply: &Reply) -> Vec<u8> {
    let last = reply.lines.len().saturating_sub(1);
    let line = |(at, text): (usize, &String)| {
        let sign = if at == last { ' ' } else { '-' };
        let enhanced = reply.enhanced.map(|status| format!("{status} ")).unwrap_or_default();
        format!("{:03}{sign}{enhanced}{text}\r\n", reply.code).into_bytes()
    };
    reply.lines.iter().enumerate().flat_map(line).collect()
}

enum Polled {
    Wrote(Result<usize, Break>),
    Read(Result<usize, Break>),
}

fn timed_out(
    timer: &mut Pin<Box<dyn Timer>>,
    cx: &mut Context<'_>,
    limit: Duration,
) -> Poll<Result<usize, Break>> {
    timer.as_mut().poll(cx).map(|()| Err(Break::TimedOut(limit)))
}

fn progress(result: io::Result<usize>) -> Result<usize, Break> {
    match result {
        Ok(0) => Err(Break::Lost { reset: false }),
        Ok(moved) => Ok(moved),
        Err(error) => {
            let reset =
                matches!(error.kind(), io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe);
            Err(Break::Lost { reset })
        }
    }
}

/// The stage of evidence for a stage of the session.
pub(crate) const fn stage_of(stage: Stage) -> evidence::Stage {
    match stage {
        Stage::Banner => evidence::Stage::Banner,
        Stage::Ehlo | Stage::Helo => evidence::Stage::Ehlo,
        Stage::Lhlo => evidence::Stage::Lhlo,
        Stage::Auth => evidence::Stage::Auth,
        Stage::StartTls => evidence::Stage::Starttls,
        Stage::Mail | Stage::Rset | Stage::Idle => evidence::Stage::Mail,
        Stage::Rcpt(_) => evidence::Stage::Rcpt,
        Stage::Data => evidence::Stage::Data,
        Stage::Content => evidence::Stage::Body,
        Stage::Eod | Stage::EodOf(_) => evidence::Stage::Eod,
        Stage::Quit => evidence::Stage::Quit,
    }
}

impl Break {
    /// The fault of a break at a stage.
    pub(crate) const fn fault(self, stage: evidence::Stage) -> evidence::Fault {
        match self {
            Self::TimedOut(after) => evidence::Fault::TimedOut { stage, after },
            Self::Lost { .. } => evidence::Fault::Lost { stage },
        }
    }

    /// The same where TLS was about to begin.
    pub(crate) const fn of_tls(self) -> evidence::TlsFault {
        match self {
            Self::TimedOut(_) => evidence::TlsFault::TimedOut,
            Self::Lost { reset } => evidence::TlsFault::Lost { reset },
        }
    }

    /// What was seen.
    pub(crate) const fn seen(self) -> evidence::Seen {
        match self {
            Self::TimedOut(after) => evidence::Seen::TimedOut { after },
            Self::Lost { reset } => evidence::Seen::Lost { reset },
        }
    }
}
