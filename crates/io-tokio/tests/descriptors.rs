//! A process without descriptors: accepting rests, says so, and goes on when there are some again. In a test
//! program of its own, because the limit is the process's.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

use posthaste_evidence::ConnectFault;
use posthaste_io::{Dial, DialError, StreamExt, within};
use posthaste_io_tokio::NullJournal;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::fs::File;
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(20);

#[test]
fn without_descriptors_accepting_rests_and_goes_on() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let world = posthaste_io_tokio::world(Arc::new(NullJournal));
        let listener = world.net.listen("127.0.0.1:0".parse().unwrap(), 8).await.unwrap();
        let mut client = TcpStream::connect(listener.local()).unwrap();
        let old = getrlimit(Resource::Nofile);
        setrlimit(Resource::Nofile, Rlimit { current: Some(64), ..old }).unwrap();
        let mut hoard = Vec::new();
        while let Ok(file) = File::open("/dev/null") {
            hoard.push(file);
        }

        let begin = world.now();
        let error = listener.accept().await.err().unwrap();
        assert_eq!(error.raw_os_error(), Some(24), "EMFILE");
        assert!(world.now() - begin >= Duration::from_millis(90), "it rested");
        let dial = Dial { to: listener.local(), from: None, limit: LIMIT };
        let fault = world.net.dial(dial).await.err();
        assert_eq!(fault, Some(DialError(ConnectFault::LocalResources)));

        drop(hoard);
        let mut stream = within(&*world.clock, LIMIT, listener.accept()).await.unwrap().unwrap();
        stream.write_all(b"220").await.unwrap();
        let mut heard = [0; 3];
        std::io::Read::read_exact(&mut client, &mut heard).unwrap();
        assert_eq!(&heard, b"220");
    });
}
