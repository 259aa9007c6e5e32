//! Where a password comes from: a person at a terminal, standard input, a file, or chance. Never an argument.

use crate::cli::PasswordArgs;
use crate::failure::Failure;
use crate::out::Out;
use crate::users::password::{check, generate};
use anyhow::Context as _;
use posthaste_mail::Secret;
use posthaste_mail::secret::MAX_SECRET;
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use serde_json::Value;
use std::fs::File;
use std::io::{self, IsTerminal as _, Read, Write as _};
use tokio::runtime::Builder;
use tokio::signal::unix::{SignalKind, signal};
use zeroize::Zeroizing;

/// The password, and the same to be shown when it was made here.
pub(super) fn get(args: &PasswordArgs, name: &str) -> Result<(Secret, Option<Secret>), Failure> {
    if args.generate {
        let made = generate()?;
        return Ok((made.clone(), Some(made)));
    }
    let given = if args.password_stdin {
        first_line(io::stdin().lock()).context("cannot read standard input")?
    } else if let Some(path) = &args.password_file {
        let told = || format!("cannot read {}", path.display());
        let file = crate::regular::open(path).with_context(told)?;
        first_line(file).with_context(told)?
    } else {
        asked(name)?
    };
    check(&given).map_err(Failure::usage)?;
    Ok((given, None))
}

/// What was made is shown this once.
pub(super) fn show(made: Option<&Secret>, user: &mut Value, out: &Out) {
    let Some(text) = made.and_then(Secret::expose_str) else { return };
    if out.is_json() {
        user["generated"] = text.into();
    } else {
        out.line(text);
    }
}

fn first_line(from: impl Read) -> io::Result<Secret> {
    let mut all = Zeroizing::new(Vec::with_capacity(MAX_SECRET + 1));
    from.take(MAX_SECRET as u64).read_to_end(&mut all)?;
    let line = all.split(|octet| *octet == b'\n').next().unwrap_or_default();
    Ok(Secret::new(line.strip_suffix(b"\r").unwrap_or(line)))
}

/// Whoever is interrupted while the terminal hides what is typed must not be left with such a terminal.
fn asked(name: &str) -> Result<Secret, Failure> {
    if !io::stdin().is_terminal() {
        return Err(Failure::usage(
            "there is no terminal to ask for the password; give --password-stdin, --password-file FILE or --generate",
        ));
    }
    let terminal = || File::options().read(true).write(true).open("/dev/tty");
    let mut terminal = terminal().context("cannot open the terminal")?;
    let runtime = Builder::new_current_thread().enable_io().build();
    let runtime = runtime.context("cannot wait for the terminal")?;
    let name = name.to_owned();
    let answer = runtime.block_on(async move {
        // Before the terminal is changed: from here on no signal ends us before it is as it was.
        let interrupted = interrupted().context("cannot wait for signals")?;
        let quiet =
            Quiet::begin(&terminal).context("cannot make the terminal hide the password")?;
        let asking = tokio::task::spawn_blocking(move || ask_twice(&mut terminal, &name));
        let answer = tokio::select! {
            biased;
            () = interrupted => {
                let _told = writeln!(&quiet.terminal);
                Err(Failure::failed("interrupted: nothing is changed"))
            }
            answer = asking => answer.context("cannot ask for the password")?,
        };
        drop(quiet);
        answer
    });
    // Somebody may still be asked: the thread that reads ends with the process.
    runtime.shutdown_background();
    answer
}

/// Ready when somebody wants us to end. One who wants us to stop for a while (^Z) is not heard.
fn interrupted() -> io::Result<impl Future<Output = ()>> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hangup = signal(SignalKind::hangup())?;
    let mut quit = signal(SignalKind::quit())?;
    let pause = signal(SignalKind::from_raw(rustix::process::Signal::TSTP.as_raw()))?;
    Ok(async move {
        let _not_heard = pause;
        tokio::select! {
            biased;
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
            _ = quit.recv() => {}
        }
    })
}

/// Twice, so that a slip is noticed.
fn ask_twice(terminal: &mut File, name: &str) -> Result<Secret, Failure> {
    let first = ask(terminal, &format!("Password for {name}: "))?;
    check(&first).map_err(Failure::usage)?;
    let again = ask(terminal, "Again: ")?;
    if first == again { Ok(first) } else { Err(Failure::usage("the passwords differ")) }
}

fn ask(terminal: &mut File, prompt: &str) -> Result<Secret, Failure> {
    let line = write!(terminal, "{prompt}").and_then(|()| typed(terminal));
    let _told = writeln!(terminal);
    Ok(line.context("cannot read the password")?)
}

fn typed(terminal: &mut File) -> io::Result<Secret> {
    let mut line = Zeroizing::new(Vec::with_capacity(MAX_SECRET));
    let mut octet = Zeroizing::new([0]);
    while line.len() < MAX_SECRET && terminal.read(&mut *octet)? == 1 && octet[0] != b'\n' {
        line.push(octet[0]);
    }
    Ok(Secret::new(line.as_slice()))
}

/// What is typed is not shown until it is dropped.
struct Quiet {
    terminal: File,
    before: Termios,
}

impl Quiet {
    fn begin(terminal: &File) -> io::Result<Self> {
        let terminal = terminal.try_clone()?;
        let before = tcgetattr(&terminal)?;
        let mut quiet = before.clone();
        quiet.local_modes.remove(LocalModes::ECHO);
        tcsetattr(&terminal, OptionalActions::Flush, &quiet)?;
        Ok(Self { terminal, before })
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        // Nothing can be done about a terminal that has gone.
        let _gone = tcsetattr(&self.terminal, OptionalActions::Now, &self.before);
    }
}
