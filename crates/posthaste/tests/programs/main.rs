//! Programs that call `sendmail`: real ones of Debian's packages hand in mail through ours, and a real Postfix at the end
//! shows what arrived. Also with the daemon down, and killed while it takes up what was left for it.
//!
//! Not here: each option (`sendmail::options`). `setup` beside this file fetches the programs, `real_mail/setup` Postfix.

#[allow(dead_code, reason = "shared with real_mail, which uses all of it")]
#[path = "../real_mail/client.rs"]
mod client;
#[path = "../real_mail/loopback.rs"]
#[allow(dead_code, reason = "shared with real_mail, which uses all of it")]
mod loopback;
#[allow(dead_code, reason = "shared with real_mail, which uses all of it")]
#[path = "../real_mail/postfix.rs"]
mod postfix;
#[allow(dead_code, reason = "shared with real_mail, which uses all of it")]
#[path = "../real_mail/posthaste.rs"]
mod posthaste;
#[allow(dead_code, reason = "shared with real_mail, which uses all of it")]
#[path = "../real_mail/process.rs"]
mod process;
#[allow(dead_code, reason = "shared with real_mail, which uses all of it")]
#[path = "../real_mail/tree.rs"]
mod tree;

mod callers;
mod down;
mod scene;
