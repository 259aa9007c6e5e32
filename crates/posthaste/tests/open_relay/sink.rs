//! A mail host that takes everything and remembers it; a wrong one may send on what has `%` in its local part.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

/// A message as it came.
#[derive(Clone, Debug, Default)]
pub(crate) struct Message {
    /// The forward-paths, without brackets.
    pub(crate) recipients: Vec<String>,
    pub(crate) content: String,
}

/// Lives as long as the test's process.
#[derive(Clone)]
pub(crate) struct Sink {
    port: u16,
    taken: Arc<Mutex<Vec<Message>>>,
    connections: Arc<AtomicUsize>,
    /// Where mail to `user%host` goes, for a host that honours it.
    sends_on: Option<Arc<Mutex<Vec<Message>>>>,
}

impl Sink {
    pub(crate) fn new() -> Self {
        Self::start(None)
    }

    /// One that honours `%` in local parts, as hosts of old did.
    pub(crate) fn that_sends_on_to(world: &Self) -> Self {
        Self::start(Some(Arc::clone(&world.taken)))
    }

    fn start(sends_on: Option<Arc<Mutex<Vec<Message>>>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (taken, connections) = (Arc::default(), Arc::default());
        let sink = Self { port, taken, connections, sends_on };
        let served = sink.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                served.connections.fetch_add(1, Ordering::SeqCst);
                let served = served.clone();
                std::thread::spawn(move || served.serve(stream.unwrap()));
            }
        });
        sink
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn messages(&self) -> Vec<Message> {
        self.taken.lock().unwrap().clone()
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    fn serve(&self, stream: TcpStream) -> Option<()> {
        let mut stream = BufReader::new(stream);
        stream.get_mut().write_all(b"220 sink.example\r\n").ok()?;
        let mut message = Message::default();
        loop {
            let line = line(&mut stream)?;
            let verb = line.get(..4).unwrap_or_default().to_ascii_uppercase();
            let reply = match verb.as_str() {
                "EHLO" => "250-sink.example\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250 SIZE 1000000",
                "QUIT" => "221 bye",
                "DATA" => "354 go on",
                "RCPT" => {
                    let path = line.split_once('<').map_or("", |(_, path)| path);
                    let path = path.rsplit_once('>').map_or("", |(path, _)| path);
                    message.recipients.push(path.to_owned());
                    "250 ok"
                }
                _ => "250 ok",
            };
            stream.get_mut().write_all(format!("{reply}\r\n").as_bytes()).ok()?;
            if verb == "DATA" {
                message.content = content(&mut stream)?;
                self.take(std::mem::take(&mut message));
                stream.get_mut().write_all(b"250 taken\r\n").ok()?;
            }
        }
    }

    fn take(&self, message: Message) {
        if let Some(world) = &self.sends_on
            && message.recipients.iter().any(|recipient| recipient.contains('%'))
        {
            world.lock().unwrap().push(message.clone());
        }
        self.taken.lock().unwrap().push(message);
    }
}

fn line(stream: &mut BufReader<TcpStream>) -> Option<String> {
    let mut octets = Vec::new();
    let read = stream.read_until(b'\n', &mut octets).ok()?;
    (read > 0).then(|| String::from_utf8_lossy(&octets).trim_end().to_owned())
}

fn content(stream: &mut BufReader<TcpStream>) -> Option<String> {
    let mut content = String::new();
    loop {
        let line = line(stream)?;
        if line == "." {
            return Some(content);
        }
        content += &line;
        content.push('\n');
    }
}
