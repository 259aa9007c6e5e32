//! Decides about one address: whether it is ours, whether it is known, and whom it stands for.
//!
//! Pure: what only the next hop can say is left open as [`Judged::Ask`]. Local parts of our own domains are compared
//! without regard to case (RFC 5321 section 2.4 leaves that to us), domains as A-labels.

use super::aliases::{Alias, Aliases, MAX_TARGETS, Target};
use super::list::List;
use super::text::{LineFault, Wrong, fold};
use posthaste_mail::Mailbox;
use posthaste_route::domain::to_dns;
use posthaste_smtp::server::ForwardPath;
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Steps from alias to alias, one behind the other.
const MAX_STEPS: usize = 20;
/// Targets looked at for one address: aliases may meet again without a circle.
const MAX_LOOKS: usize = 20_000;
/// Names that each of our domains has, whatever its list says (RFC 2142 sections 4 and 5; root is where machines
/// write to). They go to the postmaster.
const ALWAYS: [&str; 3] = ["postmaster", "abuse", "root"];
const POSTMASTER: &str = "postmaster";

/// What the operator says of our own domains.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Setup {
    /// Our name; its users are ours too, as far as aliases name them.
    pub hostname: String,
    /// The domain of bare names that are handed in here; its users are as those of our name.
    pub origin: String,
    /// Our domains in the operator's order.
    pub domains: Vec<(String, Recipients)>,
    /// Aliases of all of them.
    pub aliases: Arc<Aliases>,
    /// Who reads mail to postmaster, abuse and root.
    pub postmaster: Option<Mailbox>,
    /// What separates a user from a detail: `+` in `bob+news`. `None`: nothing does.
    pub delimiter: Option<char>,
}

/// Who is a recipient in a domain of ours.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Recipients {
    /// Everybody; what its mail host then refuses is bounced.
    Any,
    /// Whom its next hop takes.
    Verify,
    /// Who is on the list.
    Listed(Arc<List>),
}

/// What was decided about an address.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Judged {
    /// It is none of ours.
    Elsewhere(Mailbox),
    /// It is known as it stands.
    Known(Mailbox, By),
    /// It is an alias, and stands for these. Not empty.
    Alias(Mailbox, Vec<Mailbox>),
    /// Its local part asks its host to send on, for somebody who may not relay.
    Routed,
    /// Nobody knows it.
    Unknown,
    /// Its next hop must be asked.
    Ask(Mailbox),
    /// The aliases are at fault; the operator must correct them.
    Troubled(Troubled),
}

/// By what an address is known.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum By {
    /// Its domain takes any.
    Any,
    /// It is on the list.
    List,
    /// Every domain has it.
    Postmaster,
}

/// Why an alias leads nowhere.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Troubled {
    /// To itself.
    #[error("its aliases lead in a circle")]
    Circle,
    /// To too many, or over too many steps.
    #[error("its aliases lead to too many recipients")]
    TooWide,
}

/// Something that is allowed, and probably a mistake.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Doubt {
    /// An alias leads to an address of ours that is not on its list: mail to it would bounce.
    #[error("line {line}: `{alias}` leads to {target}, which is not on the list of its domain")]
    UnlistedTarget {
        /// Its line in the aliases.
        line: usize,
        /// Its name.
        alias: String,
        /// Where it leads.
        target: Mailbox,
    },
    /// The postmaster's address is ours and not on its list.
    #[error("the postmaster's address {0} is not on the list of its domain")]
    UnlistedPostmaster(Mailbox),
    /// A list names a domain that does not use it.
    #[error(
        "it has addresses of {0}, which is no [[domain]] that uses this list; they are not looked at"
    )]
    StrangeDomain(String),
}

/// Our own domains made ready.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Directory {
    /// As an A-label, like all domains here.
    hostname: String,
    origin: String,
    home: String,
    domains: BTreeMap<Box<str>, Recipients>,
    aliases: Arc<Aliases>,
    postmaster: Option<Mailbox>,
    delimiter: Option<char>,
}

/// Whose an address is.
enum Place<'a> {
    Own(&'a Recipients),
    /// Of this machine's name, or the domain of its users, which is no domain of ours.
    Here,
    Elsewhere,
}

/// An alias being followed.
#[derive(Default)]
struct Way {
    /// The aliases on the way here; [`POSTMASTER_STEP`] stands for the rule of [`ALWAYS`].
    path: Vec<u32>,
    found: Vec<Mailbox>,
    seen: BTreeSet<(String, String)>,
    looks: usize,
}

/// No alias has this number.
const POSTMASTER_STEP: u32 = u32::MAX;

impl Directory {
    /// Domains that are no domain names at all are left out; the configuration refuses them before.
    #[must_use]
    pub fn new(setup: Setup) -> Self {
        let home = setup.domains.first().map_or(&setup.hostname, |(name, _)| name);
        let home = to_dns(home).unwrap_or_else(|| home.to_lowercase());
        let hostname = to_dns(&setup.hostname).unwrap_or_else(|| setup.hostname.to_lowercase());
        let ready = |(name, who): (String, Recipients)| Some((to_dns(&name)?.into(), who));
        Self {
            hostname,
            origin: to_dns(&setup.origin).unwrap_or_default(),
            home,
            domains: setup.domains.into_iter().filter_map(ready).collect(),
            aliases: setup.aliases,
            postmaster: setup.postmaster,
            delimiter: setup.delimiter,
        }
    }

    /// Decides about a forward-path. `relay`: the client may send to anywhere, so that aliases of this machine's own
    /// name are its to use.
    #[must_use]
    pub fn judge(&self, path: ForwardPath, relay: bool) -> Judged {
        let mailbox = match path {
            ForwardPath::Mailbox(mailbox) => mailbox,
            ForwardPath::Postmaster => {
                match Mailbox::parse(&format!("{POSTMASTER}@{}", self.home), true) {
                    Ok(mailbox) => mailbox,
                    Err(_) => return Judged::Unknown,
                }
            }
        };
        let domain = key(mailbox.domain());
        let place = self.place(&domain);
        let local_part = fold(mailbox.local_part());
        match place {
            Place::Elsewhere => Judged::Elsewhere(mailbox),
            Place::Here if !relay && (local_part != POSTMASTER || domain != self.hostname) => {
                Judged::Elsewhere(mailbox)
            }
            Place::Here | Place::Own(_)
                if self.stands_for_others(&mailbox, &local_part, &domain) =>
            {
                self.expand(mailbox)
            }
            Place::Own(recipients)
                if !relay
                    && asks_to_send_on(&mailbox)
                    && !names(recipients, &local_part, &domain) =>
            {
                Judged::Routed
            }
            Place::Own(Recipients::Listed(list)) if self.listed(list, &local_part, &domain) => {
                Judged::Known(mailbox, By::List)
            }
            _ if ALWAYS.contains(&&*local_part) => Judged::Known(mailbox, By::Postmaster),
            Place::Here => Judged::Elsewhere(mailbox),
            Place::Own(Recipients::Any) => Judged::Known(mailbox, By::Any),
            Place::Own(Recipients::Verify) => Judged::Ask(mailbox),
            Place::Own(Recipients::Listed(_)) => Judged::Unknown,
        }
    }

    /// True when there is no domain of ours.
    #[must_use]
    pub fn has_no_domains(&self) -> bool {
        self.domains.is_empty()
    }

    /// Follows every alias once.
    ///
    /// # Errors
    /// Those that lead nowhere, with their lines.
    pub fn check(&self) -> Result<Vec<Doubt>, Vec<LineFault>> {
        let (mut doubts, mut faults) = (Vec::new(), Vec::new());
        for alias in self.aliases.entries() {
            if faults.len() >= super::text::MAX_FAULTS {
                break;
            }
            let Some(mailbox) = self.example(alias) else { continue };
            match self.follow(&mailbox) {
                Ok(found) => {
                    let unlisted = found.into_iter().filter(|m| self.is_unlisted(m));
                    doubts.extend(unlisted.map(|target| Doubt::UnlistedTarget {
                        line: alias.line,
                        alias: alias.name.to_string(),
                        target,
                    }));
                }
                Err((why, path)) => {
                    let what = self.wrong(alias, why, &path);
                    faults.push(LineFault { line: alias.line, what });
                }
            }
        }
        let is_alias = |m: &Mailbox| self.alias(&fold(m.local_part()), &key(m.domain())).is_some();
        let postmaster = self.postmaster.iter().filter(|m| self.is_unlisted(m) && !is_alias(m));
        doubts.extend(postmaster.cloned().map(Doubt::UnlistedPostmaster));
        if faults.is_empty() { Ok(doubts) } else { Err(faults) }
    }

    fn wrong(&self, alias: &Alias, why: Troubled, path: &[u32]) -> Wrong {
        let name = |step: &u32| match *step {
            POSTMASTER_STEP => POSTMASTER.to_owned(),
            index => self.aliases.get(index).name.to_string(),
        };
        match why {
            Troubled::Circle => {
                let names: Vec<String> = path.iter().map(name).collect();
                Wrong::Circle(names.join(" -> "))
            }
            Troubled::TooWide => Wrong::TooWide(alias.name.to_string(), MAX_TARGETS, MAX_STEPS),
        }
    }

    /// An address that an alias holds for.
    fn example(&self, alias: &Alias) -> Option<Mailbox> {
        let domain = alias.domain.as_deref().unwrap_or(&self.home);
        let local_part = alias.name.rsplit_once('@').filter(|_| alias.domain.is_some());
        let local_part = local_part.map_or(&*alias.name, |(local_part, _)| local_part);
        Mailbox::parse(&format!("{local_part}@{domain}"), true).ok()
    }

    /// Of ours, and by no list known.
    fn is_unlisted(&self, mailbox: &Mailbox) -> bool {
        let (domain, local_part) = (key(mailbox.domain()), fold(mailbox.local_part()));
        match self.place(&domain) {
            Place::Own(Recipients::Listed(list)) => {
                !self.listed(list, &local_part, &domain) && !ALWAYS.contains(&&*local_part)
            }
            _ => false,
        }
    }

    fn place(&self, domain: &str) -> Place<'_> {
        match self.domains.get(domain) {
            Some(recipients) => Place::Own(recipients),
            None if domain == self.hostname || domain == self.origin => Place::Here,
            None => Place::Elsewhere,
        }
    }

    fn listed(&self, list: &List, local_part: &str, domain: &str) -> bool {
        let known = |local_part: &str| list.knows(local_part, domain);
        known(local_part) || self.without_detail(local_part).is_some_and(known)
    }

    fn alias(&self, local_part: &str, domain: &str) -> Option<u32> {
        let without = || self.aliases.find(self.without_detail(local_part)?, domain);
        self.aliases.find(local_part, domain).or_else(without)
    }

    /// `bob` of `bob+news`.
    fn without_detail<'t>(&self, local_part: &'t str) -> Option<&'t str> {
        let (user, _) = local_part.split_once(self.delimiter?)?;
        (!user.is_empty()).then_some(user)
    }

    fn stands_for_others(&self, mailbox: &Mailbox, local_part: &str, domain: &str) -> bool {
        self.alias(local_part, domain).is_some()
            || self.goes_to_postmaster(mailbox, local_part, domain)
    }

    /// One of the names that every domain has, unless the domain's list has it as a recipient of its own.
    fn goes_to_postmaster(&self, mailbox: &Mailbox, local_part: &str, domain: &str) -> bool {
        if !ALWAYS.contains(&local_part) {
            return false;
        }
        let own = match self.place(domain) {
            Place::Own(Recipients::Listed(list)) => list.names(local_part, domain),
            _ => false,
        };
        let is_postmasters = |p: &Mailbox| {
            fold(p.local_part()) == local_part && key(p.domain()) == key(mailbox.domain())
        };
        !own && self.postmaster.as_ref().is_some_and(|p| !is_postmasters(p))
    }

    fn expand(&self, mailbox: Mailbox) -> Judged {
        match self.follow(&mailbox) {
            Ok(found) => Judged::Alias(mailbox, found),
            Err((why, _)) => Judged::Troubled(why),
        }
    }

    fn follow(&self, mailbox: &Mailbox) -> Result<Vec<Mailbox>, (Troubled, Vec<u32>)> {
        let mut way = Way::default();
        match self.step(mailbox, &mut way) {
            Ok(()) => Ok(way.found),
            Err(why) => Err((why, way.path)),
        }
    }

    /// Depth first; bounded in depth, in width and in all.
    fn step(&self, mailbox: &Mailbox, way: &mut Way) -> Result<(), Troubled> {
        way.look()?;
        let (domain, local_part) = (key(mailbox.domain()), fold(mailbox.local_part()));
        if matches!(self.place(&domain), Place::Elsewhere) {
            return way.find(mailbox, &local_part, &domain);
        }
        let Some(index) = self.alias(&local_part, &domain) else {
            return match &self.postmaster {
                Some(postmaster) if self.goes_to_postmaster(mailbox, &local_part, &domain) => {
                    way.enter(POSTMASTER_STEP)?;
                    self.step(postmaster, way)?;
                    way.leave();
                    Ok(())
                }
                _ => way.find(mailbox, &local_part, &domain),
            };
        };
        // `ann: ann, bob` keeps a copy for ann.
        if way.path.last() == Some(&index) {
            return way.find(mailbox, &local_part, &domain);
        }
        way.enter(index)?;
        for target in &self.aliases.get(index).targets {
            match target {
                Target::Address(address) => self.step(address, way)?,
                Target::Local(name) => self.step(&beside(mailbox, name)?, way)?,
                Target::Final(name) => {
                    way.find(&beside(mailbox, name)?, &fold(name), &domain)?;
                }
            }
        }
        way.leave();
        Ok(())
    }
}

impl Way {
    fn enter(&mut self, step: u32) -> Result<(), Troubled> {
        let circle = self.path.contains(&step);
        self.path.push(step);
        if circle {
            return Err(Troubled::Circle);
        }
        if self.path.len() > MAX_STEPS { Err(Troubled::TooWide) } else { Ok(()) }
    }

    fn leave(&mut self) {
        self.path.pop();
    }

    fn look(&mut self) -> Result<(), Troubled> {
        self.looks += 1;
        if self.looks > MAX_LOOKS { Err(Troubled::TooWide) } else { Ok(()) }
    }

    fn find(&mut self, mailbox: &Mailbox, local_part: &str, domain: &str) -> Result<(), Troubled> {
        if self.seen.insert((local_part.to_owned(), domain.to_owned())) {
            self.found.push(mailbox.clone());
        }
        if self.found.len() > MAX_TARGETS { Err(Troubled::TooWide) } else { Ok(()) }
    }
}

/// A local part in the domain of another address.
fn beside(mailbox: &Mailbox, name: &str) -> Result<Mailbox, Troubled> {
    // Both halves were valid; together they may be too long, which no path of a sane file is.
    Mailbox::parse(&format!("{name}@{}", mailbox.domain()), true).map_err(|_| Troubled::TooWide)
}

/// Old hosts send on what has `user%host`, `host!user` or `user@host` as its local part, and some next hops still do
/// (Postfix: `allow_untrusted_routing`). Signs that are made into these by compatibility mapping (NFKC) count too.
fn asks_to_send_on(mailbox: &Mailbox) -> bool {
    mailbox.local_part().contains([
        '%', '!', '@', '\u{ff05}', '\u{ff01}', '\u{ff20}', '\u{fe6a}', '\u{fe57}', '\u{fe6b}',
    ])
}

/// The operator wrote down this very address.
fn names(recipients: &Recipients, local_part: &str, domain: &str) -> bool {
    matches!(recipients, Recipients::Listed(list) if list.names(local_part, domain))
}

/// A domain as it is compared.
fn key(domain: &str) -> Cow<'_, str> {
    let plain =
        |b: u8| b.is_ascii_digit() || b.is_ascii_lowercase() || matches!(b, b'-' | b'.' | b'_');
    if domain.bytes().all(plain) && !domain.ends_with('.') {
        return Cow::Borrowed(domain);
    }
    Cow::Owned(to_dns(domain).unwrap_or_else(|| domain.to_lowercase()))
}

#[cfg(test)]
mod tests;
