//! One token command: started without a shell, heard, and ended with all of its group when its time is over or nobody
//! waits for it any more.
//!
//! Not here: which commands there are, who asks (`token_broker`).

use super::one_line;
use posthaste_evidence::SecretFault;
use posthaste_mail::{MAX_SECRET, Secret};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};
use std::io::{self, Read};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};
use zeroize::Zeroizing;

/// How often an end is looked for.
const LOOK: Duration = Duration::from_millis(20);
/// Where commands find programs. Nothing else of the daemon's environment is passed on but HOME.
const PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// Runs it and answers its line.
pub(super) fn execute(
    words: &[String],
    limit: Duration,
    is_gone: &dyn Fn() -> bool,
) -> Result<Secret, SecretFault> {
    let deadline = Instant::now() + limit;
    let mut child = begin(words).map_err(not_run)?;
    let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    let (Some(mut output), Some(group)) = (child.stdout.take(), group) else {
        return Err(SecretFault::NotRun(0));
    };
    let is_late = || Instant::now() >= deadline || is_gone();
    let heard = hear(group, &mut output, &is_late);
    // Not waited for yet, so that the number is still its own. Whatever it left behind goes too.
    let _ = kill_process_group(group, Signal::KILL);
    let status = child.wait().map_err(not_run)?;
    let printed = heard?;
    match status.success() {
        true => one_line(&printed),
        false => Err(SecretFault::Failed(number_of(status))),
    }
}

fn begin(words: &[String]) -> io::Result<Child> {
    let (program, arguments) = words.split_first().ok_or(io::ErrorKind::InvalidInput)?;
    let mut command = Command::new(program);
    command.args(arguments).env_clear().env("PATH", PATH).process_group(0);
    if let Some(home) = std::env::var_os("HOME") {
        command.env("HOME", home);
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()
}

/// What it printed until it ended: not until everybody has closed its output, which it may have handed on.
fn hear(
    process: Pid,
    output: &mut ChildStdout,
    is_late: &dyn Fn() -> bool,
) -> Result<Zeroizing<Vec<u8>>, SecretFault> {
    let mut printed = Zeroizing::new(vec![0; MAX_SECRET + 1]);
    let (mut length, mut is_open) = (0, true);
    loop {
        let is_over = has_ended(process).map_err(|error| not_run(error.into()))?;
        let wait = if is_over { Duration::ZERO } else { LOOK };
        if is_open && is_readable(output, wait) {
            let octets = output.read(&mut printed[length..]).map_err(not_run)?;
            length += octets;
            is_open = octets > 0;
            if length > MAX_SECRET {
                return Err(SecretFault::TooLong);
            }
        } else if is_over {
            printed.truncate(length);
            return Ok(printed);
        } else if !is_open {
            std::thread::sleep(LOOK);
        }
        if is_late() {
            return Err(SecretFault::TimedOut);
        }
    }
}

/// It is left to be waited for.
fn has_ended(process: Pid) -> rustix::io::Result<bool> {
    let look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    Ok(waitid(WaitId::Pid(process), look)?.is_some())
}

fn is_readable(output: &ChildStdout, wait: Duration) -> bool {
    let mut asked = [PollFd::new(output, PollFlags::IN)];
    let wait = Timespec::try_from(wait).ok();
    poll(&mut asked, wait.as_ref()).is_ok_and(|ready| ready > 0)
}

fn not_run(error: io::Error) -> SecretFault {
    SecretFault::NotRun(error.raw_os_error().unwrap_or(0))
}

fn number_of(status: ExitStatus) -> i32 {
    status.code().or(status.signal().map(|signal| -signal)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    fn words(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    #[test]
    fn commands_print_a_token_or_fail_in_time() {
        let long = format!("head -c {} /dev/zero", MAX_SECRET + 5);
        for (command, expected) in [
            (&["/bin/echo", "a token"][..], Ok("a token")),
            (&["/bin/sh", "-c", "printf x"], Ok("x")),
            (&["/bin/sh", "-c", "printf x; exec >&-; sleep 0.2"], Ok("x")),
            (&["/bin/sh", "-c", "echo \"$SHELL$USER\"; exit 0"], Err(SecretFault::Empty)),
            (&["/bin/sh", "-c", "exit 3"], Err(SecretFault::Failed(3))),
            (&["/bin/sh", "-c", "kill -9 $$"], Err(SecretFault::Failed(-9))),
            (&["/nowhere/program"], Err(SecretFault::NotRun(2))),
            (&["/bin/sh", "-c", "sleep 60 & sleep 60"], Err(SecretFault::TimedOut)),
            (&["/bin/sh", "-c", "exec >&-; sleep 60"], Err(SecretFault::TimedOut)),
            (&["/bin/sh", "-c", &long], Err(SecretFault::TooLong)),
            (&["/bin/sh", "-c", "yes"], Err(SecretFault::TooLong)),
            // One that goes on in another session keeps the output open.
            (&["/bin/sh", "-c", "setsid sleep 4 & echo token"], Ok("token")),
        ] {
            let began = Instant::now();
            let token = execute(&words(command), Duration::from_secs(2), &|| false);
            assert_eq!(token, expected.map(Secret::new), "{command:?}");
            assert!(began.elapsed() < Duration::from_secs(3), "{command:?}");
        }
    }

    #[test]
    fn a_command_ends_when_nobody_waits_for_it() {
        let (looks, began) = (Cell::new(0), Instant::now());
        let is_gone = || looks.replace(looks.get() + 1) > 3;
        let token = execute(&words(&["/bin/sleep", "60"]), Duration::from_secs(30), &is_gone);
        assert_eq!(token, Err(SecretFault::TimedOut));
        assert!(began.elapsed() < Duration::from_secs(10));
    }
}
