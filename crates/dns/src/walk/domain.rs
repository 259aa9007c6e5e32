//! A domain looked at as someone who knows DNS would by hand: each zone from the root, each of its servers by each
//! way, each mail exchanger at its own zone, what is signed, and what our resolvers make of it all.
//!
//! Not here: what follows from it (`judge`).

mod exchangers;
mod resolvers;
mod servers;
mod signing;

use super::descent::Path;
use super::finding::Finding;
use super::judge;
use super::limits::Limits;
use super::reading::Step;
use super::seen::{DomainReport, DomainSeen, ZoneSeen};
use super::walker::{Question, Walker};
use super::zones::Zone;
use super::{Existence, descent::Descent};
use crate::name::BadName;
use crate::settings::Settings;
use futures_util::future::join3;
use posthaste_evidence::{Effect, RecordType};
use posthaste_io::World;

/// Checks a domain from the roots of `settings` down, and how its recursive servers see it. Ends within
/// [`Limits::CHECK`]. Without roots only the recursive servers are asked.
///
/// # Errors
/// [`BadName`], when no such name can exist.
pub async fn domain(
    world: &World,
    settings: &Settings,
    name: &str,
) -> Result<DomainReport, BadName> {
    let name = crate::name::to_dns(name)?;
    let (at, began) = (world.wall(), world.now());
    let walker = Walker::new(world, settings, Limits::CHECK);
    let mut seen = DomainSeen { closed: walker.closed, ..DomainSeen::default() };
    let mut authority = None;
    if !settings.roots.is_empty() {
        authority = walker.authority(&name, &mut seen).await;
    }
    let best = match &authority {
        Some(zone) => walker.look(zone, &name, &mut seen).await,
        None => None,
    };
    walker.resolvers(settings, &name, best.as_deref(), &mut seen).await;
    let at_zone = seen.servers.iter().any(|server| walker.has_spoken(server.mx));
    if !at_zone && seen.missing.is_none() {
        walker.exchangers_by_resolvers(settings, &name, &mut seen).await;
    }
    let (observations, limits) = walker.finish();
    let mut findings = judge::judge(&name, &seen, &observations, at);
    findings.sort_by_key(|finding: &Finding| rank(finding.effect));
    let took = world.now() - began;
    Ok(DomainReport { name, at, took, seen, observations, findings, limits })
}

const fn rank(effect: Effect) -> u8 {
    match effect {
        Effect::Blocking => 0,
        Effect::Degrading => 1,
        Effect::Cosmetic => 2,
        Effect::None => 3,
    }
}

impl Walker {
    /// Goes down to the zone that holds the name; `None` when there is nothing to look at there.
    async fn authority(&self, name: &str, seen: &mut DomainSeen) -> Option<std::sync::Arc<Zone>> {
        let path = Path::to(name);
        let descent = self.descend(name, RecordType::Soa, &path, false).await;
        seen.zones = descent.chain.iter().map(|zone| ZoneSeen::of(zone)).collect();
        seen.last = descent.said.as_ref().map(|said| said.seen);
        let zone = std::sync::Arc::clone(descent.zone());
        if let Descent { said: Some(said), .. } = &descent
            && said.step == Step::NxDomain
        {
            let agreed = self.all_agree(&zone, name, &path, said).await;
            if let Existence::Missing { .. } = agreed {
                seen.missing = Some(said.seen);
                return None;
            }
        }
        // The servers of the root and of zones above all others are not ours to examine.
        (zone.parent.is_some() && (zone.name.contains('.') || zone.name == name)).then_some(zone)
    }

    /// Looks at the zone, its servers and its mail exchangers; the best of these.
    async fn look(&self, zone: &Zone, name: &str, seen: &mut DomainSeen) -> Option<String> {
        self.servers(zone, name, seen).await;
        let good = seen.servers.iter().find(|server| server.mx.is_some())?;
        let to = good.address;
        let nobody = self.nobody(name);
        let control = Question::plain(to, &zone.name, &nobody, RecordType::A);
        let (exchangers, signing, control) = join3(
            self.exchangers(name, seen),
            self.signing(zone, name, to, seen),
            self.ask(control),
        )
        .await;
        seen.exchangers = exchangers;
        seen.signing = signing;
        seen.control = control.map(|said| said.seen);
        seen.exchangers.first().map(|exchanger| exchanger.name.clone())
    }

    /// A name below the domain that nobody has.
    fn nobody(&self, name: &str) -> String {
        format!("posthaste-{:016x}.{name}", self.world.random.next())
    }
}

impl ZoneSeen {
    fn of(zone: &Zone) -> Self {
        Self {
            name: zone.name.clone(),
            servers: zone.servers.iter().map(|s| (s.name.clone(), s.glue.clone())).collect(),
            referred: zone.referred,
            by_parent: zone.by_parent,
        }
    }
}
