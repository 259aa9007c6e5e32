//! A random story of a seed: mail of all sizes, peers that misbehave in every way, networks that break, a relay
//! that crashes; then everything is mended, time passes, and the checkers look.

use crate::check::{self, Verdict};
use crate::client::Letter;
use crate::system::{MailSystem, Plan, Store};
use posthaste_io_sim::{Crash, Link, Rng};
use posthaste_peers::dns::Behaviour;
use posthaste_peers::mail::{Action, Script, Step};
use std::time::Duration;

const SERVFAIL: u8 = 2;
const REFUSED: u8 = 5;
const MINUTE: Duration = Duration::from_secs(60);
/// How long after the last fault everything must have ended: beyond the expiry of 5 days, and that of notices.
const PATIENCE: Duration = Duration::from_secs(7 * 86_400);

/// What senders ask to be told (RFC 3461 section 4.1).
const WISHES: [&str; 5] = [
    "NOTIFY=NEVER",
    "NOTIFY=FAILURE",
    "NOTIFY=DELAY",
    "NOTIFY=SUCCESS,FAILURE",
    "NOTIFY=SUCCESS,FAILURE,DELAY",
];

/// What a story came to.
#[derive(Debug)]
pub struct Told {
    /// Broken promises.
    pub broken: Verdict,
    /// Messages acknowledged.
    pub acknowledged: usize,
    /// Crashes of the relay.
    pub crashes: usize,
    /// The hash of the whole run.
    pub hash: u64,
}

/// Tells the story of a seed.
#[must_use]
pub fn tell(seed: u64, store: Store) -> Told {
    let mut dice = Rng::new(seed ^ 0x0070_6f73_7468_6173);
    let domains: Vec<(String, usize)> =
        (0..=dice.below(3)).map(|d| (format!("d{d}.test"), 1 + dice.index(2))).collect();
    let plan = Plan { domains, store, ..Plan::default() };
    let mut system = MailSystem::new(seed, plan.clone());
    let mut broken = Vec::new();
    let mut crashes = 0;
    let mut number = 0;
    for _ in 0..4 + dice.below(8) {
        for _ in 0..dice.below(4) {
            number += 1;
            send(&system, &plan, &mut dice, number);
        }
        crashes += usize::from(happen(&mut system, &mut dice));
        system.pass(pause(&mut dice));
        broken.extend(check::nothing_is_stuck(&system));
    }
    mend(&mut system);
    let quiet = |s: &MailSystem| s.is_ready() && s.live().is_empty();
    system.run_until(PATIENCE, 30 * MINUTE, quiet);
    broken.extend(check::ends(&system));
    let acknowledged = system.ledger.all().iter().filter(|h| h.acknowledged).count();
    Told { broken, acknowledged, crashes, hash: system.sim.hash() }
}

fn pause(dice: &mut Rng) -> Duration {
    match dice.below(4) {
        0 => Duration::from_millis(dice.below(200)),
        1 => Duration::from_secs(dice.below(10)),
        2 => Duration::from_secs(dice.below(600)),
        _ => Duration::from_secs(dice.below(7200)),
    }
}

fn send(system: &MailSystem, plan: &Plan, dice: &mut Rng, number: u32) {
    let mut to = Vec::new();
    for r in 0..=dice.below(3) {
        let (domain, _) = &plan.domains[dice.index(plan.domains.len())];
        to.push(format!("r{number}-{r}@{domain}"));
    }
    let octets = [100, 100, 1000, 1000, 3000, 3000, 20_000, 300_000][dice.index(8)];
    let from = if dice.chance(1, 12) { "" } else { "writer@sender.test" };
    let notify = if dice.chance(1, 3) { WISHES[dice.index(WISHES.len())] } else { "" };
    system.hand_in(Letter::new(number, from, &to, octets).with("", notify));
}

/// Something happens; true when the relay crashed.
fn happen(system: &mut MailSystem, dice: &mut Rng) -> bool {
    match dice.below(8) {
        0 | 1 => set_script(system, dice),
        2 => set_link(system, dice),
        3 => set_dns(system, dice),
        4 => {
            let crash = if dice.chance(1, 2) { Crash::power(dice.bits()) } else { Crash::kill() };
            system.crash(crash);
            system.pass(Duration::from_secs(dice.below(90)));
            system.restart();
            return true;
        }
        5 => mend(system),
        6 => system.probing.set(dice.chance(2, 3)),
        _ => {}
    }
    false
}

fn set_script(system: &MailSystem, dice: &mut Rng) {
    let names: Vec<&String> = system.hosts().map(|(name, _)| name).collect();
    let name = names[dice.index(names.len())].clone();
    let step = [Step::Greeting, Step::Ehlo, Step::Mail, Step::Rcpt, Step::Data, Step::Dot];
    let step = step[dice.index(step.len())];
    let action = match dice.below(8) {
        0 => Action::Reply("451 4.3.0 not now".into()),
        1 => Action::Reply("452 4.5.3 too many recipients".into()),
        2 if !name.contains("sender") => Action::Reply("550 5.1.1 no such user".into()),
        3 => Action::ReplyAndClose("421 4.3.2 closing".into()),
        4 => Action::Close,
        5 => Action::Delay(Duration::from_secs(dice.below(400))),
        6 if step == Step::Dot => Action::TakeAndClose,
        _ => Action::Silence,
    };
    let script = if dice.chance(1, 3) {
        Script::default().always(step, action)
    } else {
        Script::default().first(1 + u32::try_from(dice.below(3)).unwrap_or(0), step, action)
    };
    let script = if dice.chance(1, 4) { script.offering(&["8BITMIME"]) } else { script };
    system.host(&name).1.set(script);
}

fn set_link(system: &MailSystem, dice: &mut Rng) {
    let links = [Link::Drop, Link::Refuse, Link::Unreachable, Link::NoRoute];
    let link = links[dice.index(links.len())];
    let machines: Vec<_> = system.hosts().map(|(_, (machine, _))| machine.clone()).collect();
    system.sim.partition(&system.relay, &machines[dice.index(machines.len())], link);
}

fn set_dns(system: &MailSystem, dice: &mut Rng) {
    let behaviours = [Behaviour::Drop, Behaviour::Rcode(SERVFAIL), Behaviour::Rcode(REFUSED)];
    system.dns.behave("*", None, behaviours[dice.index(behaviours.len())].clone());
}

/// Everything works again.
fn mend(system: &mut MailSystem) {
    system.dns.recover();
    for (_, (machine, host)) in system.hosts() {
        host.set(Script::default());
        system.sim.partition(&system.relay, machine, Link::Up);
    }
}
