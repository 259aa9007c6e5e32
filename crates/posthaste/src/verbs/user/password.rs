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

/// Twice, so that a slip is noticed.
fn asked(name: &str) -> Result<Secret, Failure> {
    if !io::stdin().is_terminal() {
        return Err(Failure::usage(
            "there is no terminal to ask for the password; give --password-stdin, --password-file FILE or --generate",
        ));
    }
    let terminal = || File::options().read(true).write(true).open("/dev/tty");
    let mut terminal = terminal().context("cannot open the terminal")?;
    let quiet = Quiet::begin(&terminal).context("cannot make the terminal hide the password")?;
    let mut ask = |prompt: &str| -> Result<Secret, Failure> {
        let line = write!(terminal, "{prompt}").and_then(|()| typed(&mut terminal));
        let _told = writeln!(terminal);
        Ok(line.context("cannot read the password")?)
    };
    let first = ask(&format!("Password for {name}: "))?;
    check(&first).map_err(Failure::usage)?;
    let again = ask("Again: ")?;
    drop(quiet);
    if first == again { Ok(first) } else { Err(Failure::usage("the passwords differ")) }
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
