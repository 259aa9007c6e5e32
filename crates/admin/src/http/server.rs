//! The doors: a unix socket that only its owner can open, and a loopback TCP address. Bounded in connections and time.

use super::answer::Refusal;
use super::{Admin, MAX_TIME, guard};
use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use futures_util::future::{Either, select};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::fs;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::Semaphore;

/// Connections at once, for each of the two doors.
pub const MAX_CONNECTIONS: usize = 64;
/// The longest wait for the header of a request, and for the next request on a connection.
const HEADER_TIME: Duration = Duration::from_secs(15);
/// The longest header section, octets.
const MAX_HEADER: usize = 64 * 1024;
/// After an `accept` that failed (no descriptors): wait, for others to end.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Who asks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peer {
    /// The user, as the kernel says; `None` over TCP.
    pub(super) uid: Option<u32>,
}

/// A door cannot be opened; the operator must act.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Another daemon answers there.
    #[error("another daemon is listening on {}", .0.display())]
    InUse(PathBuf),
    /// There is something else at the path, which is not ours to remove.
    #[error("{} exists and is not a socket", .0.display())]
    NotASocket(PathBuf),
    /// The address is not loopback.
    #[error("{0} is not a loopback address, and this interface has no passwords yet")]
    NotLoopback(SocketAddr),
    /// The operating system says no.
    #[error("cannot listen on {at}: {source}")]
    Io {
        /// Where.
        at: String,
        /// Its answer.
        source: io::Error,
    },
}

/// Opens the socket with mode 0600. One that a dead daemon left is replaced.
///
/// # Errors
/// [`BindError`]
pub fn bind_unix(path: &Path) -> Result<UnixListener, BindError> {
    bind_socket(path, 0o600)
}

/// Opens a socket with this mode: who may write to it may connect. One that a dead daemon left is replaced.
///
/// # Errors
/// [`BindError`]
pub fn bind_socket(path: &Path, mode: u32) -> Result<UnixListener, BindError> {
    let failed = |source| BindError::Io { at: path.display().to_string(), source };
    match fs::symlink_metadata(path) {
        Ok(meta) if !meta.file_type().is_socket() => {
            return Err(BindError::NotASocket(path.to_owned()));
        }
        Ok(_) if std::os::unix::net::UnixStream::connect(path).is_ok() => {
            return Err(BindError::InUse(path.to_owned()));
        }
        _ => {}
    }
    // Bound under another name first, so that nobody can open it before its mode is set.
    let fresh = path.with_extension(format!("{}.new", std::process::id()));
    match fs::remove_file(&fresh) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    let listener = UnixListener::bind(&fresh).map_err(failed)?;
    fs::set_permissions(&fresh, fs::Permissions::from_mode(mode)).map_err(failed)?;
    fs::rename(&fresh, path).map_err(failed)?;
    Ok(listener)
}

/// Opens the TCP address.
///
/// # Errors
/// [`BindError`]
pub async fn bind_tcp(address: SocketAddr) -> Result<TcpListener, BindError> {
    if !address.ip().is_loopback() {
        return Err(BindError::NotLoopback(address));
    }
    TcpListener::bind(address)
        .await
        .map_err(|source| BindError::Io { at: address.to_string(), source })
}

/// Answers on the socket until `end`; requests under way are finished.
pub async fn serve_unix(listener: UnixListener, admin: Arc<Admin>, end: impl Future<Output = ()>) {
    let routes = admin.all_routes();
    let accept = || async {
        let (stream, _) = listener.accept().await?;
        let uid = stream.peer_cred().ok().map(|cred| cred.uid());
        Ok((stream, Peer { uid }))
    };
    serve(accept, routes, None, end).await;
}

/// Answers reading requests over TCP until `end`; requests under way are finished.
pub async fn serve_tcp(listener: TcpListener, admin: Arc<Admin>, end: impl Future<Output = ()>) {
    let routes = admin.read_only_routes();
    let address = listener.local_addr().ok();
    let accept = || async {
        let (stream, _) = listener.accept().await?;
        Ok((stream, Peer { uid: None }))
    };
    serve(accept, routes, address, end).await;
}

async fn serve<S, A>(
    mut accept: impl FnMut() -> A,
    routes: Router,
    guarded: Option<SocketAddr>,
    end: impl Future<Output = ()>,
) where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    A: Future<Output = io::Result<(S, Peer)>>,
{
    let free = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let (closing, closed) = tokio::sync::watch::channel(());
    let mut end = pin!(end);
    loop {
        let next = async {
            let permit = Arc::clone(&free).acquire_owned().await.expect("it is never closed");
            (accept().await, permit)
        };
        let (accepted, permit) = match select(end.as_mut(), pin!(next)).await {
            Either::Left(_) => break,
            Either::Right((next, _)) => next,
        };
        match accepted {
            Ok((stream, peer)) => {
                let (routes, mut closed) = (routes.clone(), closed.clone());
                tokio::spawn(async move {
                    let closing = async move { drop(closed.changed().await) };
                    connection(stream, peer, routes, guarded, closing).await;
                    drop(permit);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "the operators' interface cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(closing);
    // All permits are back once every connection has ended.
    let all = u32::try_from(MAX_CONNECTIONS).expect("it is small");
    let _ = tokio::time::timeout(MAX_TIME, free.acquire_many(all)).await;
}

async fn connection<S>(
    stream: S,
    peer: Peer,
    routes: Router,
    guarded: Option<SocketAddr>,
    closing: impl Future<Output = ()>,
) where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let answer = service_fn(move |mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(peer);
        let routes = routes.clone();
        async move {
            Ok::<_, Infallible>(bounded(routes, request.map(axum::body::Body::new), guarded).await)
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIME)
        .max_buf_size(MAX_HEADER)
        .serve_connection(TokioIo::new(stream), answer);
    let mut connection = pin!(connection);
    let outcome = match select(connection.as_mut(), pin!(closing)).await {
        Either::Left((outcome, _)) => outcome,
        Either::Right(_) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = outcome {
        tracing::debug!(%error, "a connection to the operators' interface ended early");
    }
}

async fn bounded(routes: Router, request: Request, guarded: Option<SocketAddr>) -> Response {
    let checked = guarded.map_or(Ok(()), |address| guard::check(request.headers(), address));
    let mut response = match checked {
        Err(refusal) => refusal.into_response(),
        Ok(()) => match tokio::time::timeout(MAX_TIME, call(routes, request)).await {
            Ok(response) => response,
            Err(_) => Refusal::too_late().into_response(),
        },
    };
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

async fn call(routes: Router, request: Request) -> Response {
    use hyper::service::Service as _;
    let service = hyper_util::service::TowerToHyperService::new(routes);
    match service.call(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    }
}
