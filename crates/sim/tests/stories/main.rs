//! Stories with a known course: each test pins one promise, seen from outside. The random ones are in `seeds.rs`.

mod belief;
mod connections;
mod dead;
mod decisions;
mod delivery;
mod dns_outage;
mod greeting;
mod invented;
mod lines;
mod lmtp;
mod logins;
mod mx;
mod notices;
mod operator;
mod recovery;
mod reload;
mod retry;
mod routes;
mod seen;
mod sessions;
mod stale;
mod store;
mod tidings;
mod tls;
mod verify;
mod words;
