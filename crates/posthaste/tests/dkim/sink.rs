//! A mail host that writes down every octet it takes, as it came over the wire; it refuses `nobody@`.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

pub(crate) struct Sink {
    address: SocketAddr,
    taken: Arc<AtomicUsize>,
}

impl Sink {
    /// Listens on loopback; each message becomes a file `N.eml` in the folder.
    pub(crate) fn start(folder: &Path) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let address = listener.local_addr().expect("it is bound");
        let taken = Arc::new(AtomicUsize::new(0));
        let (count, folder) = (Arc::clone(&taken), folder.to_owned());
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (count, folder) = (Arc::clone(&count), folder.clone());
                std::thread::spawn(move || converse(stream, &count, &folder));
            }
        });
        Self { address, taken }
    }

    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits until so many messages were taken.
    pub(crate) fn wait_for(&self, count: usize, patience: Duration) {
        let end = Instant::now() + patience;
        while self.taken.load(Ordering::SeqCst) < count {
            assert!(
                Instant::now() < end,
                "{} of {count} arrived",
                self.taken.load(Ordering::SeqCst)
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// Ends when the client is gone.
fn converse(stream: TcpStream, taken: &AtomicUsize, folder: &Path) -> Option<()> {
    let mut out = stream.try_clone().ok()?;
    let mut lines = BufReader::new(stream);
    out.write_all(b"220 sink.test ESMTP\r\n").ok()?;
    loop {
        let command = String::from_utf8_lossy(&line(&mut lines)?).to_uppercase();
        let word = command.split([' ', ':', '\r']).next().unwrap_or_default();
        let reply = match word {
            "EHLO" => {
                "250-sink.test\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250 ENHANCEDSTATUSCODES\r\n"
            }
            "RCPT" if command.contains("<NOBODY@") => "550 5.1.1 nobody has that name\r\n",
            "QUIT" => "221 2.0.0 bye\r\n",
            "DATA" => {
                out.write_all(b"354 go on\r\n").ok()?;
                let mut content = Vec::new();
                loop {
                    let line = line(&mut lines)?;
                    if line == b".\r\n" {
                        break;
                    }
                    content.extend_from_slice(line.strip_prefix(b".").unwrap_or(&line));
                }
                let number = taken.fetch_add(1, Ordering::SeqCst);
                let part = folder.join(format!("{number:05}.part"));
                fs::write(&part, content).expect("the folder is ours");
                fs::rename(&part, folder.join(format!("{number:05}.eml")))
                    .expect("the folder is ours");
                "250 2.0.0 taken\r\n"
            }
            _ => "250 2.0.0 good\r\n",
        };
        out.write_all(reply.as_bytes()).ok()?;
    }
}

fn line(lines: &mut BufReader<TcpStream>) -> Option<Vec<u8>> {
    let mut line = Vec::new();
    (lines.read_until(b'\n', &mut line).ok()? > 0).then_some(line)
}
