//! Runs the operator's token commands in a process of its own, which is started before the daemon gives up the right to
//! run programs: the daemon asks for a command by its number in a list that is fixed from then on.
//!
//! It is this binary under another name, over two pipes: a line with the list, then a line with a number for each question;
//! a line answers each. It ends with the daemon. Not here: when a token is asked for, how long it is kept (`daemon::secrets`).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use posthaste_evidence::SecretFault;
use posthaste_mail::{MAX_SECRET, Secret};
use serde::{Deserialize, Serialize};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitCode, ExitStatus, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// What it is called as.
const NAME: &str = "posthaste-token-broker";
/// The longest a command may take.
const LIMIT: Duration = Duration::from_secs(30);
/// How often an end is looked for.
const LOOK: Duration = Duration::from_millis(20);
/// Where commands find programs. Nothing else of the daemon's environment is passed on but HOME.
const PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// The daemon's end of it.
pub(crate) struct Broker {
    commands: Vec<Vec<String>>,
    pipes: Mutex<(ChildStdin, BufReader<ChildStdout>)>,
    _process: Child,
}

#[derive(Serialize, Deserialize)]
enum Answer {
    /// In base64.
    Token(String),
    /// A [`SecretFault`] by its name and number.
    Fault(String, i32),
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
        let mut broker = Command::new(std::env::current_exe()?);
        let mut process = broker.arg0(NAME).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let gone = || io::Error::other("it has no pipes");
        let mut input = process.stdin.take().ok_or_else(gone)?;
        let output = BufReader::new(process.stdout.take().ok_or_else(gone)?);
        writeln!(input, "{}", serde_json::to_string(&commands)?)?;
        Ok(Some(Self { commands, pipes: Mutex::new((input, output)), _process: process }))
    }

    /// It was started for this command.
    pub(crate) fn knows(&self, command: &[String]) -> bool {
        self.commands.iter().any(|known| known == command)
    }

    /// Runs it and answers what it printed. Takes as long as the command, at most [`LIMIT`] for each that was asked before.
    pub(crate) fn token(&self, command: &[String]) -> Result<Secret, SecretFault> {
        let unknown = SecretFault::NotRun(rustix::io::Errno::PERM.raw_os_error());
        let number = self.commands.iter().position(|known| known == command).ok_or(unknown)?;
        let gone = SecretFault::NotRun(rustix::io::Errno::PIPE.raw_os_error());
        let mut pipes = self.pipes.lock().unwrap_or_else(PoisonError::into_inner);
        let (input, output) = &mut *pipes;
        let mut line = String::new();
        let asked = writeln!(input, "{number}").and_then(|()| input.flush());
        asked.and_then(|()| output.read_line(&mut line)).map_err(|_| gone)?;
        match serde_json::from_str(&line).map_err(|_| gone)? {
            Answer::Token(token) => STANDARD.decode(token).map(Secret::new).map_err(|_| gone),
            Answer::Fault(name, number) => Err(SecretFault::named(&name, number).unwrap_or(gone)),
        }
    }
}

/// The broker itself, when this process was called as it.
pub(crate) fn run() -> Option<ExitCode> {
    (std::env::args_os().next()?.to_str()? == NAME).then(|| {
        // The daemon is gone: nobody is to be told.
        let _ = serve(io::stdin().lock(), &mut io::stdout().lock());
        ExitCode::SUCCESS
    })
}

fn serve(input: impl BufRead, output: &mut impl Write) -> io::Result<()> {
    let mut lines = input.lines();
    let Some(list) = lines.next().transpose()? else { return Ok(()) };
    let commands: Vec<Vec<String>> = serde_json::from_str(&list)?;
    for line in lines {
        let command = line?.parse().ok().and_then(|number: usize| commands.get(number));
        let result = command.map_or(Err(SecretFault::NotRun(0)), |words| execute(words, LIMIT));
        let answer = match result {
            Ok(token) => Answer::Token(STANDARD.encode(token.expose())),
            Err(fault) => {
                let (name, number) = fault.name();
                Answer::Fault(name.to_owned(), number.unwrap_or(0))
            }
        };
        let answer = Secret::new(serde_json::to_string(&answer)?);
        output.write_all(answer.expose())?;
        output.write_all(b"\n")?;
        output.flush()?;
    }
    Ok(())
}

/// Without a shell, in a group of its own, which is ended as a whole when time is over.
fn execute(words: &[String], limit: Duration) -> Result<Secret, SecretFault> {
    let not_run = |error: io::Error| SecretFault::NotRun(error.raw_os_error().unwrap_or(0));
    let (program, arguments) = words.split_first().ok_or(SecretFault::NotRun(0))?;
    let mut command = Command::new(program);
    command.args(arguments).env_clear().env("PATH", PATH).process_group(0);
    if let Some(home) = std::env::var_os("HOME") {
        command.env("HOME", home);
    }
    let piped = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = piped.spawn().map_err(not_run)?;
    let deadline = Instant::now() + limit;
    let output = child.stdout.take().map(|out| {
        let most = u64::try_from(MAX_SECRET).unwrap_or(u64::MAX) + 1;
        std::thread::spawn(move || {
            let mut printed = Vec::with_capacity(MAX_SECRET + 1);
            let _ = out.take(most).read_to_end(&mut printed);
            Secret::new(printed)
        })
    });
    let status = ended(&mut child, deadline).map_err(not_run)?;
    let Some(status) = status else { return Err(SecretFault::TimedOut) };
    if !status.success() {
        return Err(SecretFault::Failed(number_of(status)));
    }
    let printed = output.and_then(|reader| reader.join().ok()).unwrap_or_default();
    one_line(printed)
}

/// How it ended; `None` when it had to be ended. Either way nothing of its group stays.
fn ended(child: &mut Child, deadline: Instant) -> io::Result<Option<ExitStatus>> {
    loop {
        if let Some(status) = child.try_wait()? {
            end_group(child);
            return Ok(Some(status));
        }
        if Instant::now() >= deadline {
            end_group(child);
            child.wait()?;
            return Ok(None);
        }
        std::thread::sleep(LOOK);
    }
}

fn end_group(child: &Child) {
    let group = i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw);
    if let Some(group) = group {
        // It may be gone already.
        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
    }
}

fn number_of(status: ExitStatus) -> i32 {
    use std::os::unix::process::ExitStatusExt;
    status.code().or(status.signal().map(|signal| -signal)).unwrap_or(0)
}

/// What was printed or stands in a file: its line without the line's end.
pub(crate) fn one_line(printed: Secret) -> Result<Secret, SecretFault> {
    if printed.expose().len() > MAX_SECRET {
        return Err(SecretFault::TooLong);
    }
    let text = printed.expose().strip_suffix(b"\n").unwrap_or(printed.expose());
    let text = text.strip_suffix(b"\r").unwrap_or(text);
    if text.is_empty() { Err(SecretFault::Empty) } else { Ok(Secret::new(text)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    #[test]
    fn commands_print_a_token_or_fail_in_time() {
        let long = format!("head -c {} /dev/zero", MAX_SECRET + 5);
        for (command, expected) in [
            (&["/bin/echo", "a token"][..], Ok("a token")),
            (&["/bin/sh", "-c", "printf x"], Ok("x")),
            (&["/bin/sh", "-c", "echo \"$SHELL$USER\"; exit 0"], Err(SecretFault::Empty)),
            (&["/bin/sh", "-c", "exit 3"], Err(SecretFault::Failed(3))),
            (&["/bin/sh", "-c", "kill -9 $$"], Err(SecretFault::Failed(-9))),
            (&["/nowhere/program"], Err(SecretFault::NotRun(2))),
            (&["/bin/sh", "-c", "sleep 60 & sleep 60"], Err(SecretFault::TimedOut)),
            (&["/bin/sh", "-c", &long], Err(SecretFault::TooLong)),
        ] {
            let token = execute(&words(command), Duration::from_secs(2));
            assert_eq!(token, expected.map(Secret::new), "{command:?}");
        }
    }

    #[test]
    fn the_broker_runs_what_it_was_started_for_and_nothing_else() {
        let list = serde_json::to_string(&[words(&["/bin/echo", "first"])]).unwrap();
        let mut said = Vec::new();
        serve(format!("{list}\n0\n1\n/bin/echo\n").as_bytes(), &mut said).unwrap();
        let said = String::from_utf8(said).unwrap();
        let not_run = r#"{"Fault":["not_run",0]}"#;
        assert_eq!(said.lines().collect::<Vec<_>>(), [r#"{"Token":"Zmlyc3Q="}"#, not_run, not_run]);
    }
}
