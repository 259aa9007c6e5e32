//! The door for programs on this machine: a unix socket that everybody may connect to who may come into its folder. It
//! speaks SMTP, takes mail and does nothing else.
//!
//! Not here: the operators' socket, which is private (`admin`).

use anyhow::{Context as _, Result};
use posthaste_admin::http;
use posthaste_io_tokio::unix_listener;
use posthaste_reception::Reception;
use std::path::Path;

/// Who may connect: everybody. What they may do there is to hand in mail.
const MODE: u32 = 0o666;

/// Opens the socket and accepts mail on it from now on.
///
/// # Errors
/// It cannot be had; another daemon may have it.
pub(super) fn open(socket: &Path, reception: &Reception) -> Result<()> {
    let bound = http::bind_socket(socket, MODE)
        .with_context(|| format!("cannot open the submission socket {}", socket.display()))?;
    let (reception, listener) = (reception.clone(), unix_listener(bound));
    tokio::spawn(async move { reception.serve_local(listener).await });
    tracing::info!(socket = %socket.display(), "listening for programs on this machine");
    Ok(())
}
