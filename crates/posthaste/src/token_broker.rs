//! Runs the operator's token commands in a process of its own, which is started before the daemon gives up the right to
//! run programs: the daemon asks for a command by its number in a list that is fixed from then on.
//!
//! It is this binary under another name, over two pipes that nobody else has: a line with the list, then a line with a
//! number for each question; a line answers each. It is the user that the daemon became, without capabilities, without the
//! daemon's environment and descriptors, and its memory is nobody's to read. It ends when the daemon does, and so does a
//! command that runs then. Not here: running one (`command`), when a token is asked for, how long it is kept
//! (`daemon::secrets`).

mod command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use posthaste_evidence::SecretFault;
use posthaste_mail::{MAX_SECRET, Secret};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{DumpableBehavior, set_dumpable_behavior};
use rustix::thread::{CapabilitySet, CapabilitySets};
use serde::{Deserialize, Serialize};
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, BufRead, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitCode, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use zeroize::Zeroizing;

/// What it is called as.
const NAME: &str = "posthaste-token-broker";
/// The longest a command may take.
const LIMIT: Duration = Duration::from_secs(30);
/// The longest answer: a secret in base64, and what is around it.
const MAX_ANSWER: usize = MAX_SECRET.div_ceil(3) * 4 + 256;
/// The most processes; with more commands, some share one, and wait for each other.
const MOST_AT_ONCE: usize = 8;
/// Standard input, output and error; what else is open is somebody else's.
const OWN_DESCRIPTORS: i32 = 3;

/// The daemon's end of it.
pub(crate) struct Broker {
    commands: Vec<Vec<String>>,
    /// One for each command, as far as they go, so that one that hangs holds up no other. `None` once it is gone: the daemon
    /// cannot start another one.
    lines: Vec<Mutex<Option<Line>>>,
}

struct Line {
    input: ChildStdin,
    output: ChildStdout,
    process: Child,
}

#[derive(Serialize, Deserialize)]
enum Answer<'a> {
    /// In base64.
    Token(&'a str),
    /// A [`SecretFault`] by its name and number.
    Fault(&'a str, i32),
}

impl Broker {
    /// Starts it for these commands; `None` when there are none.
    ///
    /// # Errors
    /// When this binary cannot be run again.
    pub(crate) fn start(commands: Vec<Vec<String>>) -> io::Result<Option<Self>> {
        if commands.is_empty() {
            return Ok(None);
        }
        let list = serde_json::to_string(&commands)?;
        let lines = (0..commands.len().min(MOST_AT_ONCE))
            .map(|_| Line::begin(&list).map(|line| Mutex::new(Some(line))))
            .collect::<io::Result<_>>()?;
        Ok(Some(Self { commands, lines }))
    }

    /// It was started for this command.
    pub(crate) fn knows(&self, command: &[String]) -> bool {
        self.commands.iter().any(|known| known == command)
    }

    /// Runs it and answers what it printed. Takes as long as the command, at most [`LIMIT`] for each that was
    /// asked of the same process before.
    pub(crate) fn token(&self, command: &[String]) -> Result<Secret, SecretFault> {
        let unknown = SecretFault::NotRun(rustix::io::Errno::PERM.raw_os_error());
        let number = self.commands.iter().position(|known| known == command).ok_or(unknown)?;
        let line = &self.lines[number % self.lines.len()];
        let mut held = line.lock().unwrap_or_else(PoisonError::into_inner);
        let gone = SecretFault::NotRun(rustix::io::Errno::PIPE.raw_os_error());
        let line = held.as_mut().ok_or(gone)?;
        let answer = line.ask(number);
        if let Some(result) = answer.ok().and_then(|answer| heard(&answer)) {
            return result;
        }
        tracing::error!("the process that runs token commands is gone; restart the daemon");
        // What is left of it; it may have closed its pipes without having ended yet.
        let _ = line.process.try_wait();
        *held = None;
        Err(gone)
    }
}

impl Line {
    fn begin(list: &str) -> io::Result<Self> {
        let mut broker = Command::new(std::env::current_exe()?);
        // Passwords may stand in the environment. A signal from the keyboard is for the daemon, which ends in its own time.
        broker.arg0(NAME).env_clear().process_group(0);
        if let Some(home) = home() {
            broker.env("HOME", home);
        }
        let mut process = broker.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let gone = || io::Error::other("it has no pipes");
        let mut input = process.stdin.take().ok_or_else(gone)?;
        let output = process.stdout.take().ok_or_else(gone)?;
        writeln!(input, "{list}")?;
        Ok(Self { input, output, process })
    }

    fn ask(&mut self, number: usize) -> io::Result<Zeroizing<Vec<u8>>> {
        writeln!(self.input, "{number}")?;
        let mut answer = Zeroizing::new(vec![0; MAX_ANSWER]);
        let mut length = 0;
        while !answer[..length].ends_with(b"\n") {
            match self.output.read(&mut answer[length..])? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                octets => length += octets,
            }
        }
        answer.truncate(length);
        Ok(answer)
    }
}

/// Of the user that we are, who may not be the one that started us.
fn home() -> Option<OsString> {
    let user = nix::unistd::User::from_uid(nix::unistd::geteuid()).ok().flatten();
    user.map(|user| user.dir.into_os_string()).or_else(|| std::env::var_os("HOME"))
}

/// `None`: it is no answer.
fn heard(answer: &[u8]) -> Option<Result<Secret, SecretFault>> {
    match serde_json::from_slice(answer).ok()? {
        Answer::Token(token) => Some(Ok(Secret::new(STANDARD.decode(token).ok()?))),
        Answer::Fault(name, number) => Some(Err(SecretFault::named(name, number)?)),
    }
}

/// The broker itself, when this process was called as it.
pub(crate) fn run() -> Option<ExitCode> {
    (std::env::args_os().next()?.to_str()? == NAME).then(|| match alone().and_then(|()| work()) {
        Ok(()) => ExitCode::SUCCESS,
        // The daemon is gone, or sees that we are: nobody else is to be told.
        Err(_) => ExitCode::FAILURE,
    })
}

/// Gives up what commands have no need of: whatever else is open, capabilities that a service manager gave (a port below
/// 1024), and that others of this user may look into our memory.
fn alone() -> io::Result<()> {
    let open = std::fs::read_dir("/proc/self/fd")?;
    let numbers = open.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok());
    for number in numbers.collect::<Vec<_>>() {
        if number >= OWN_DESCRIPTORS {
            // That of the listing is closed already.
            let _ = nix::unistd::close(number);
        }
    }
    let none = CapabilitySet::empty();
    let sets = CapabilitySets { effective: none, permitted: none, inheritable: none };
    rustix::thread::clear_ambient_capability_set()?;
    rustix::thread::set_capabilities(None, sets)?;
    Ok(set_dumpable_behavior(DumpableBehavior::NotDumpable)?)
}

fn work() -> io::Result<()> {
    let (input, output) = (io::stdin().lock(), io::stdout());
    // What the library buffers it does not wipe.
    let mut unbuffered = File::from(output.as_fd().try_clone_to_owned()?);
    let asking = io::stdin();
    serve(input, &mut unbuffered, &|| hung_up(asking.as_fd()))
}

/// The daemon has closed its end.
fn hung_up(input: BorrowedFd<'_>) -> bool {
    let mut asked = [PollFd::from_borrowed_fd(input, PollFlags::empty())];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    let polled = poll(&mut asked, Some(&now));
    polled.is_ok() && asked[0].revents().contains(PollFlags::HUP)
}

fn serve(
    input: impl BufRead,
    output: &mut impl Write,
    is_gone: &dyn Fn() -> bool,
) -> io::Result<()> {
    let mut lines = input.lines();
    let Some(list) = lines.next().transpose()? else { return Ok(()) };
    let commands: Vec<Vec<String>> = serde_json::from_str(&list)?;
    for line in lines {
        let command = line?.parse().ok().and_then(|number: usize| commands.get(number));
        let run = |words: &Vec<String>| command::execute(words, LIMIT, is_gone);
        let result = command.map_or(Err(SecretFault::NotRun(0)), run);
        let in_base64;
        let answer = match &result {
            Ok(token) => {
                in_base64 = Zeroizing::new(STANDARD.encode(token.expose()));
                Answer::Token(&in_base64)
            }
            Err(fault) => {
                let (name, number) = fault.name();
                Answer::Fault(name, number.unwrap_or(0))
            }
        };
        let mut line = Zeroizing::new(Vec::with_capacity(MAX_ANSWER));
        serde_json::to_writer(&mut *line, &answer)?;
        line.push(b'\n');
        output.write_all(&line)?;
    }
    Ok(())
}

/// What was printed or stands in a file: its line without the line's end.
pub(crate) fn one_line(printed: &[u8]) -> Result<Secret, SecretFault> {
    if printed.len() > MAX_SECRET {
        return Err(SecretFault::TooLong);
    }
    let text = printed.strip_suffix(b"\n").unwrap_or(printed);
    let text = text.strip_suffix(b"\r").unwrap_or(text);
    if text.is_empty() { Err(SecretFault::Empty) } else { Ok(Secret::new(text)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_broker_runs_what_it_was_started_for_and_nothing_else() {
        let list = r#"[["/bin/echo","first"]]"#;
        let mut said = Vec::new();
        let asked = format!("{list}\n0\n1\n/bin/echo\n");
        serve(asked.as_bytes(), &mut said, &|| false).unwrap();
        let said = String::from_utf8(said).unwrap();
        let not_run = r#"{"Fault":["not_run",0]}"#;
        assert_eq!(said.lines().collect::<Vec<_>>(), [r#"{"Token":"Zmlyc3Q="}"#, not_run, not_run]);
    }

    #[test]
    fn the_longest_token_fits_into_an_answer() {
        let token = Secret::new(vec![b'x'; MAX_SECRET]);
        let in_base64 = STANDARD.encode(token.expose());
        let answer = serde_json::to_vec(&Answer::Token(&in_base64)).unwrap();
        assert!(answer.len() < MAX_ANSWER, "{}", answer.len());
        assert_eq!(heard(&answer), Some(Ok(token)));
        assert_eq!(heard(br#"{"Fault":["timed_out",0]}"#), Some(Err(SecretFault::TimedOut)));
        assert_eq!(heard(b"{}"), None);
    }

    #[test]
    fn an_end_that_nobody_holds_is_seen() {
        let (reader, writer) = io::pipe().unwrap();
        assert!(!hung_up(reader.as_fd()));
        drop(writer);
        assert!(hung_up(reader.as_fd()));
    }
}
