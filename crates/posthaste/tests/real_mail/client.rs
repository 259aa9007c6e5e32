//! Mail clients: curl and swaks as an administrator uses them, and a bare SMTP client that keeps count.
//!
//! Not here: Posthaste's own client session. RFC 5321 sections 3.3 and 4.5.2.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use crate::tree;

/// Longer than any server of these tests takes to answer.
const REPLY: Duration = Duration::from_secs(30);

/// Hands `message` in with `curl smtp://`. Taken or refused, returns the dialogue that curl shows.
pub(crate) fn curl(
    server: SocketAddr,
    from: &str,
    to: &[&str],
    message: &str,
) -> Result<String, String> {
    let mut command = Command::new("curl");
    command.args(["--silent", "--show-error", "--verbose", "--max-time", "30"]);
    command.arg(format!("smtp://{server}/client.test")).args(["--mail-from", from]);
    for recipient in to {
        command.args(["--mail-rcpt", recipient]);
    }
    succeed(feed(command.args(["--upload-file", "-"]), message))
}

/// Hands `message` in with swaks. Taken or refused, returns the dialogue that swaks shows.
pub(crate) fn swaks(
    server: SocketAddr,
    from: &str,
    to: &[&str],
    message: &str,
) -> Result<String, String> {
    let mut command = Command::new("perl");
    command.arg(tree::root().join("usr/bin/swaks"));
    command.args(["--server", &server.ip().to_string(), "--port", &server.port().to_string()]);
    command.args(["--helo", "client.test", "--from", from, "--to", &to.join(",")]);
    command.args(["--timeout", "30", "--data", "-"]);
    succeed(feed(&mut command, message))
}

fn feed(command: &mut Command, input: &str) -> Output {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|e| panic!("cannot start {command:?} ({e}): run setup first"));
    let mut stdin = child.stdin.take().expect("piped");
    // A client that is refused before the data ends early: that is for its exit status to say.
    let _ = stdin.write_all(input.as_bytes());
    drop(stdin);
    child.wait_with_output().expect("the child is ours")
}

fn succeed(output: Output) -> Result<String, String> {
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    if output.status.success() { Ok(said) } else { Err(said) }
}

/// One SMTP session, no pipelining: after each reply the caller knows exactly what was acknowledged.
#[derive(Debug)]
pub(crate) struct Client {
    read: BufReader<TcpStream>,
    write: TcpStream,
}

impl Client {
    /// Connects, reads the greeting and says EHLO.
    pub(crate) fn connect(server: SocketAddr) -> io::Result<Self> {
        let write = TcpStream::connect_timeout(&server, REPLY)?;
        write.set_read_timeout(Some(REPLY))?;
        write.set_nodelay(true)?;
        let mut client = Self { read: BufReader::new(write.try_clone()?), write };
        let greeting = client.reply()?;
        if !greeting.starts_with('2') {
            return Err(io::Error::other(greeting));
        }
        client.command("EHLO client.test")?;
        Ok(client)
    }

    /// One mail transaction; `message` has CRLF line ends. Returns the reply to the end of data, or the first reply
    /// that refuses. An error means that the connection broke and the fate of the message is not known.
    pub(crate) fn send(&mut self, from: &str, to: &[&str], message: &str) -> io::Result<String> {
        let to: Vec<_> = to.iter().map(|r| format!("<{r}>")).collect();
        self.transact(&format!("<{from}>"), &to, message.as_bytes())
    }

    /// As `send`, with everything that follows `FROM:` and `TO:`, parameters included.
    pub(crate) fn transact(
        &mut self,
        from: &str,
        to: &[String],
        message: &[u8],
    ) -> io::Result<String> {
        let recipients = to.iter().map(|r| format!("RCPT TO:{r}"));
        let commands = std::iter::once(format!("MAIL FROM:{from}")).chain(recipients);
        for command in commands.chain(std::iter::once("DATA".to_owned())) {
            let reply = self.command(&command)?;
            if !matches!(reply.as_bytes().first(), Some(b'2' | b'3')) {
                return Ok(reply);
            }
        }
        self.write.write_all(&stuffed(message))?;
        self.reply()
    }

    fn command(&mut self, line: &str) -> io::Result<String> {
        self.write.write_all(format!("{line}\r\n").as_bytes())?;
        self.reply()
    }

    /// The last line of a reply.
    fn reply(&mut self) -> io::Result<String> {
        loop {
            let mut line = String::new();
            if self.read.read_line(&mut line)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if line.as_bytes().get(3) != Some(&b'-') {
                return Ok(line.trim_end().to_owned());
            }
        }
    }
}

/// RFC 5321 section 4.5.2, and the end of the data.
fn stuffed(message: &[u8]) -> Vec<u8> {
    let mut wire = Vec::with_capacity(message.len() + 8);
    for line in message.split_inclusive(|b| *b == b'\n') {
        if line.starts_with(b".") {
            wire.push(b'.');
        }
        wire.extend_from_slice(line);
    }
    wire.extend_from_slice(b".\r\n");
    wire
}
