//! Scripted mail hosts on loopback, as long as the runtime lives.

use posthaste_io::World;
use posthaste_io_tokio::NullJournal;
use posthaste_peers::mail::{MailHost, Script};
use std::net::SocketAddr;
use std::sync::Arc;

pub(crate) struct Hosts {
    runtime: tokio::runtime::Runtime,
    world: World,
}

impl Hosts {
    pub(crate) fn new() -> Self {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        let runtime = builder.worker_threads(1).enable_all().build().unwrap();
        let world = {
            let _inside = runtime.enter();
            posthaste_io_tokio::world(Arc::new(NullJournal))
        };
        Self { runtime, world }
    }

    /// A host that does as its script says.
    pub(crate) fn start(&self, name: &str, script: Script) -> (MailHost, SocketAddr) {
        let host = MailHost::new(name);
        host.set(script);
        let (serving, world) = (host.clone(), self.world.clone());
        let listener = self.runtime.block_on(async {
            self.world.net.listen("127.0.0.1:0".parse().unwrap(), 64).await.unwrap()
        });
        let at = listener.local();
        self.runtime.spawn(async move { serving.serve_on(world, listener).await });
        (host, at)
    }
}
