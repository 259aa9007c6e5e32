//! Asks a running daemon over its unix socket: one request, one JSON answer.
//!
//! Not here: what is asked (`verbs`), where the socket is (`place`).

use crate::failure::{ErrorLine, Exit, Failure};
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::{Method, Request, Response, StatusCode, header};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use std::fmt::Write as _;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::net::UnixStream;
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

/// The longest answer, octets: a slice of messages with many recipients.
const MAX_ANSWER: usize = 256 << 20;
/// The longest wait for an answer; the daemon gives up earlier.
const PATIENCE: Duration = Duration::from_secs(150);

/// A daemon that can be asked.
pub(crate) struct Client {
    socket: PathBuf,
    runtime: Runtime,
}

/// A path with its parameters, encoded (RFC 3986 section 2.1).
pub(crate) struct Target(String);

impl Target {
    pub(crate) fn new(path: &str) -> Self {
        Self(path.to_owned())
    }

    /// Adds a parameter.
    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        let sign = if self.0.contains('?') { '&' } else { '?' };
        let _ = write!(self.0, "{sign}{name}=");
        for byte in value.bytes() {
            match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                    self.0.push(char::from(byte));
                }
                _ => {
                    let _ = write!(self.0, "%{byte:02X}");
                }
            }
        }
        self
    }

    /// Adds a parameter where there is a value.
    pub(crate) fn with_some(self, name: &str, value: Option<&str>) -> Self {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }
}

impl Client {
    /// A client of the daemon at this socket; nothing is asked yet.
    pub(crate) fn new(socket: PathBuf) -> Result<Self, Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|e| Failure::failed(format!("cannot start: {e}")))?;
        Ok(Self { socket, runtime })
    }

    /// Asks without changing anything.
    pub(crate) fn get(&self, target: &Target) -> Result<Value, Failure> {
        self.ask(Method::GET, target, Bytes::new())
    }

    /// Acts.
    pub(crate) fn post(&self, target: &Target, body: Bytes) -> Result<Value, Failure> {
        self.ask(Method::POST, target, body)
    }

    /// Writes an answer that is no JSON as it comes, however large.
    pub(crate) fn download(&self, target: &Target, sink: &mut dyn Write) -> Result<(), Failure> {
        self.runtime.block_on(download(&self.socket, &target.0, sink))
    }

    /// The answer of `ping`, ready or not; `Err` when nobody answers.
    pub(crate) fn ping(&self) -> Result<Value, Failure> {
        let (status, answer) =
            self.exchange(Method::GET, &Target::new("/v1/ping"), Bytes::new())?;
        match status {
            StatusCode::OK | StatusCode::SERVICE_UNAVAILABLE => Ok(answer),
            _ => Err(refused(status, &answer)),
        }
    }

    /// Whether somebody listens there.
    pub(crate) fn is_alive(&self) -> bool {
        std::os::unix::net::UnixStream::connect(&self.socket).is_ok()
    }

    fn ask(&self, method: Method, target: &Target, body: Bytes) -> Result<Value, Failure> {
        let (status, answer) = self.exchange(method, target, body)?;
        if status.is_success() { Ok(answer) } else { Err(refused(status, &answer)) }
    }

    fn exchange(
        &self,
        method: Method,
        target: &Target,
        body: Bytes,
    ) -> Result<(StatusCode, Value), Failure> {
        let work = exchange(&self.socket, method, &target.0, body);
        let bounded = async { tokio::time::timeout(PATIENCE, work).await };
        match self.runtime.block_on(bounded) {
            Ok(answer) => answer,
            Err(_) => Err(Failure::failed("the daemon did not answer in time; see its log")),
        }
    }
}

async fn download(socket: &Path, target: &str, sink: &mut dyn Write) -> Result<(), Failure> {
    let (answer, driver) = send(socket, Method::GET, target, Bytes::new()).await?;
    let status = answer.status();
    let mut body = answer.into_body();
    if !status.is_success() {
        let bytes = Limited::new(body, MAX_ANSWER).collect().await;
        let bytes = bytes.map(|collected| collected.to_bytes()).unwrap_or_default();
        return Err(refused(status, &serde_json::from_slice(&bytes).unwrap_or_default()));
    }
    let broken = || Failure::failed("the daemon broke off the message; see its log");
    loop {
        let next = tokio::time::timeout(PATIENCE, body.frame()).await;
        let Some(frame) = next.map_err(|_| broken())? else { break };
        if let Ok(part) = frame.map_err(|_| broken())?.into_data() {
            let written = sink.write_all(&part);
            written.map_err(|error| Failure::failed(format!("cannot write: {error}")))?;
        }
    }
    driver.abort();
    sink.flush().map_err(|error| Failure::failed(format!("cannot write: {error}")))
}

async fn exchange(
    socket: &Path,
    method: Method,
    target: &str,
    body: Bytes,
) -> Result<(StatusCode, Value), Failure> {
    let (answer, driver) = send(socket, method, target, body).await?;
    let status = answer.status();
    let collected = Limited::new(answer.into_body(), MAX_ANSWER).collect().await;
    driver.abort();
    let bytes = collected
        .map_err(|error| {
            Failure::failed(format!("the daemon's answer did not come whole: {error}"))
        })?
        .to_bytes();
    let value = serde_json::from_slice(&bytes)
        .map_err(|error| Failure::failed(format!("the daemon's answer is not JSON: {error}")))?;
    Ok((status, value))
}

/// Sends a request; the connection lives until the handle is aborted.
async fn send(
    socket: &Path,
    method: Method,
    target: &str,
    body: Bytes,
) -> Result<(Response<Incoming>, JoinHandle<()>), Failure> {
    let stream = UnixStream::connect(socket).await.map_err(|error| no_daemon(socket, &error))?;
    let broken = |error: hyper::Error| {
        Failure::failed(format!("the daemon broke off the answer ({error}); see its log"))
    };
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
    let driver = tokio::spawn(async move { drop(connection.await) });
    let request = Request::builder()
        .method(method)
        .uri(target)
        .header(header::HOST, "posthaste")
        .header(header::CONTENT_TYPE, "application/json")
        .body(Full::new(body))
        .map_err(|error| Failure::failed(format!("cannot ask: {error}")))?;
    let answer = sender.send_request(request).await.map_err(broken)?;
    Ok((answer, driver))
}

fn no_daemon(socket: &Path, error: &io::Error) -> Failure {
    let path = socket.display();
    match error.kind() {
        io::ErrorKind::PermissionDenied => Failure::failed(format!(
            "{path} belongs to another user; run this as the user of the daemon, or as root"
        )),
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => Failure::new(
            Exit::NoDaemon,
            "no-daemon",
            format!("no daemon answers at {path}; start one with `posthaste serve`"),
        ),
        _ => Failure::new(Exit::NoDaemon, "no-daemon", format!("no daemon at {path}: {error}")),
    }
}

/// The daemon's own error, with the exit status that fits.
fn refused(status: StatusCode, answer: &Value) -> Failure {
    let error = &answer["error"];
    let text = |name: &str| error[name].as_str().map(str::to_owned);
    let code = text("code").unwrap_or_else(|| "failed".to_owned());
    let exit = match (status, code.as_str()) {
        (StatusCode::NOT_FOUND, "not-found") => Exit::NotFound,
        (StatusCode::BAD_REQUEST, _) | (_, "bad-config") => Exit::Usage,
        _ => Exit::Failed,
    };
    let message = text("message").unwrap_or_else(|| format!("the daemon answered {status}"));
    Failure { exit, errors: vec![ErrorLine { code, message, at: text("at") }] }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_encoded() {
        let target = Target::new("/v1/x").with("a", "b c=ü").with_some("n", None).with("d", "e@f");
        assert_eq!(target.0, "/v1/x?a=b%20c%3D%C3%BC&d=e%40f");
    }
}
