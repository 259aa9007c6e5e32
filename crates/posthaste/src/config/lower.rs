//! From the configuration to each agent's own settings. Pure: what must be read from the machine is given.

use super::file::Config;
use super::kinds::Via;
use super::resolver::{Roots, Server, Servers};
use super::routes::RouteRule;
use posthaste_dns::{Hosts, ResolvConf};
use posthaste_evidence::NameServer;
use posthaste_queue::RouteSettings;
use posthaste_queue::Schedule;
use posthaste_queue::belief::Patience;
use posthaste_queue::schedule::{DelayRule, Step};
use posthaste_route::{Action, Route, Table};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// What the settings of the agents need of the machine.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Machine {
    /// What `resolv.conf` says.
    pub(crate) resolv_conf: ResolvConf,
    /// The text of the hosts file.
    pub(crate) hosts: String,
    /// The addresses of the interfaces, loopback included.
    pub(crate) addresses: Vec<IpAddr>,
    /// Descriptors this process may have open; `None`: not known, and nothing is scaled to it.
    pub(crate) files: Option<u64>,
    /// Octets of memory it may use.
    pub(crate) memory: Option<u64>,
}

/// Every agent's settings.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Lowered {
    pub(crate) reception: posthaste_reception::Settings,
    pub(crate) dns: posthaste_dns::Settings,
    pub(crate) routes: Arc<Table>,
    pub(crate) delivery: Arc<posthaste_delivery::Settings>,
    pub(crate) queue: posthaste_queue::Settings,
    pub(crate) dispatch: Arc<posthaste_dispatch::Settings>,
    pub(crate) admin: posthaste_admin::Settings,
    pub(crate) pressure: super::Pressure,
    /// The file of those who may log in.
    pub(crate) users: PathBuf,
}

/// Of the memory, bodies on their way in get this part.
const BODIES: u64 = 5;

/// Descriptors kept for the spool, the logs, the operators and refusals: a sixteenth, within these.
const KEPT_FILES: std::ops::RangeInclusive<u64> = 28..=512;
/// Of what is left, the percent that sessions get, and connections. The rest is for large bodies and DNS.
const SESSIONS: u64 = 40;
const CONNECTIONS: u64 = 30;

/// How many sessions and connections there may be, as far as descriptors go.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Shares {
    pub(crate) sessions: usize,
    pub(crate) connections: u32,
}

impl Machine {
    /// What there are descriptors for; never nothing.
    pub(crate) fn shares(&self) -> Shares {
        let Some(files) = self.files else {
            return Shares { sessions: usize::MAX, connections: u32::MAX };
        };
        let kept = (files / 16).clamp(*KEPT_FILES.start(), *KEPT_FILES.end());
        let left = files.saturating_sub(kept);
        let part = |percent: u64| left.saturating_mul(percent) / 100;
        Shares {
            sessions: usize::try_from(part(SESSIONS)).unwrap_or(usize::MAX).max(2),
            connections: u32::try_from(part(CONNECTIONS)).unwrap_or(u32::MAX).max(2),
        }
    }
}

impl Config {
    /// The settings of all agents.
    pub(crate) fn lower(&self, machine: &Machine) -> Lowered {
        let dkim = super::dkim::keyring(&self.dkim);
        Lowered {
            reception: posthaste_reception::Settings {
                dkim: Arc::clone(&dkim),
                ..self.reception(machine)
            },
            dns: self.dns(machine),
            routes: Arc::new(Table::new(self.routes.iter().map(|rule| self.route(rule)).collect())),
            delivery: Arc::new(self.attempts(machine)),
            queue: self.queue(machine),
            dispatch: Arc::new(posthaste_dispatch::Settings {
                patience: self.patience(),
                soft_fail: self.soft_fail,
                dkim,
                ..self.notices()
            }),
            admin: posthaste_admin::Settings { events: self.log.events.clone() },
            pressure: self.pressure,
            users: self.users.clone(),
        }
    }

    fn reception(&self, machine: &Machine) -> posthaste_reception::Settings {
        let share = machine.shares();
        let memory = self.pressure.memory_limit.or(machine.memory);
        let bodies =
            memory.map_or(usize::MAX, |m| usize::try_from(m / BODIES).unwrap_or(usize::MAX));
        posthaste_reception::Settings {
            listeners: self.listeners.clone(),
            relay_networks: self.relay_networks.clone(),
            refuse_networks: self.refuse_networks.clone(),
            verify: self.own.verify,
            origin: self.submission.origin.0.clone(),
            sessions: self.log.sessions,
            limits: posthaste_reception::Limits {
                sessions: self.limits.sessions.min(share.sessions),
                receive_budget: self.limits.receive_budget.min(bodies),
                slow_delay: self.pressure.delay,
                ..self.limits
            },
            soft_fail: self.soft_fail,
            ..posthaste_reception::Settings::new(self.hostname.0.clone())
        }
    }

    fn dns(&self, machine: &Machine) -> posthaste_dns::Settings {
        let own = &self.resolver;
        let base = posthaste_dns::Settings::default();
        let servers = match &own.servers {
            Servers::System => {
                let servers = machine.resolv_conf.servers.iter();
                let believed = |&address| NameServer {
                    trusted: machine.resolv_conf.trust_ad,
                    ..NameServer::from(address)
                };
                servers.map(|address| Server(believed(address))).collect()
            }
            Servers::These(servers) => servers.clone(),
        };
        let nothing = ResolvConf::default();
        let system = match &own.servers {
            Servers::System => &machine.resolv_conf,
            Servers::These(_) => &nothing,
        };
        let try_limit = own.try_limit.or(system.timeout).unwrap_or(base.try_limit);
        posthaste_dns::Settings {
            servers: self.believed(&servers),
            fallback: self.believed(&own.fallback),
            roots: match &own.roots {
                Roots::BuiltIn => posthaste_dns::walk::roots::hints(),
                Roots::These(roots) => roots.iter().map(|root| root.0).collect(),
            },
            try_limit: try_limit.min(own.total_limit),
            race_after: own.race_after,
            total_limit: own.total_limit,
            cache_entries: own.cache_entries,
            cache_octets: own.cache_size,
            stale_for: own.stale_for,
            tries: own.tries.or(system.attempts).unwrap_or(base.tries),
            rotate: own.rotate.unwrap_or(system.rotate),
            tcp_only: own.tcp_only.unwrap_or(system.use_vc),
            tls_trust: own.tls_roots.trust(),
            hosts: Arc::new(Hosts::read(&machine.hosts, &self.named_next_hops())),
            ..base
        }
    }

    /// The names of next hops in the resolver's form: for these alone the hosts file counts.
    fn named_next_hops(&self) -> BTreeSet<String> {
        let hops = self.routes.iter().filter_map(|rule| match &rule.via {
            Via::Hosts(hops) => Some(hops),
            _ => None,
        });
        hops.flatten().filter_map(|hop| posthaste_dns::to_dns(&hop.host).ok()).collect()
    }

    fn believed(&self, servers: &[Server]) -> Vec<NameServer> {
        servers.iter().map(|server| server.believed(&self.resolver.trusted)).collect()
    }

    fn attempts(&self, machine: &Machine) -> posthaste_delivery::Settings {
        let mut own_addresses = self.delivery.own_addresses.clone();
        own_addresses.extend(&machine.addresses);
        own_addresses.extend(self.listeners.iter().map(|l| l.address.ip()));
        own_addresses.retain(|ip| !ip.is_unspecified());
        own_addresses.sort_unstable();
        own_addresses.dedup();
        posthaste_delivery::Settings {
            hostname: self.hostname.0.clone(),
            own_addresses,
            connect_limit: self.delivery.connect_limit,
            attempt_limit: self.delivery.attempt_limit,
            hosts_per_attempt: self.delivery.hosts_per_attempt,
            sessions: self.log.sessions,
            ..posthaste_delivery::Settings::default()
        }
    }

    fn queue(&self, machine: &Machine) -> posthaste_queue::Settings {
        let special = |rule: &RouteRule| {
            let own = self.of_route(rule);
            (own != RouteSettings::default()).then(|| (rule.name.clone(), own))
        };
        let routes: BTreeMap<_, _> = self.routes.iter().filter_map(special).collect();
        posthaste_queue::Settings {
            schedule: self.scaled(&self.retry),
            routes,
            limits: posthaste_queue::settings::Limits {
                connections: self.delivery.limits.connections.min(machine.shares().connections),
                ..self.delivery.limits
            },
            drain: self.delivery.drain,
            notice_lifetime: self.faster(self.notices.expire_after),
            seed: seed(&self.hostname.0),
        }
    }

    fn of_route(&self, rule: &RouteRule) -> RouteSettings {
        RouteSettings {
            schedule: rule.retry.as_ref().map(|own| self.scaled(own)),
            expire_after: rule.expire_after.map(|after| self.faster(after)),
            delay_after: rule.delay_after.map(|after| self.faster(after)),
            connections: rule.connections,
            messages_per_minute: rule.messages_per_minute,
            hold: rule.via == Via::Hold,
        }
    }

    fn scaled(&self, schedule: &Schedule) -> Schedule {
        let step = |step: Step| Step { every: self.faster(step.every), ..step };
        Schedule {
            glitch: step(schedule.glitch),
            transient: step(schedule.transient),
            later: schedule.later.iter().map(|distance| self.faster(*distance)).collect(),
            jitter: schedule.jitter,
            expire_after: self.faster(schedule.expire_after),
            delay: DelayRule {
                after: self.faster(schedule.delay.after),
                at_failure: schedule.delay.at_failure,
                repeat: schedule.delay.repeat.map(|every| self.faster(every)),
            },
        }
    }

    fn route(&self, rule: &RouteRule) -> Route {
        let action = match &rule.via {
            Via::Mx => Action::Mx { port: rule.port },
            Via::Hosts(hosts) => Action::SmartHosts {
                hosts: hosts.iter().map(|hop| hop.with_port(rule.port)).collect(),
                order: rule.order,
                protocol: rule.protocol,
            },
            Via::Discard => Action::Discard,
            Via::Fail => Action::Fail { status: rule.status.0, text: rule.text.clone() },
            Via::Hold => Action::Hold,
        };
        Route {
            name: rule.name.clone(),
            to: rule.to.clone(),
            when: rule.when.clone(),
            action,
            sources: rule.source.clone(),
            ehlo: rule.ehlo.as_ref().map(|name| name.0.clone()),
            resolvers: self.believed(&rule.resolvers),
            message_size: rule.message_size.map(|size| size.0),
            allow_private: rule.allow_private,
            eight_bit: rule.eight_bit,
            families: rule.families,
            tls: rule.tls.policy(),
            tls_wrap: rule.tls.wrap(),
            auth: rule.auth.clone(),
        }
    }

    /// Who is told what, and in which words.
    fn notices(&self) -> posthaste_dispatch::Settings {
        let rules = &self.notices;
        let own_domains = self.own.domains.iter().map(|domain| domain.name.clone());
        posthaste_dispatch::Settings {
            sender: rules.sender.clone(),
            own_domains: Arc::new(own_domains.collect()),
            delimiter: self.own.delimiter,
            all_clear: rules.all_clear,
            strangers: posthaste_dispatch::StrangerLimits {
                per_sender_hour: rules.strangers_per_sender_hour,
                per_minute: rules.strangers_per_minute,
            },
            probe_wait: self.faster(rules.probe_wait),
            ..posthaste_dispatch::Settings::default()
        }
    }

    /// How long is waited before a domain that DNS says is missing is given up.
    fn patience(&self) -> Patience {
        let Patience { second_proof, longest_negative_ttl, vanished, targets, asked_every } =
            Patience::default();
        Patience {
            second_proof: self.faster(second_proof),
            longest_negative_ttl: self.faster(longest_negative_ttl),
            vanished: self.faster(vanished),
            targets: self.faster(targets),
            asked_every: self.faster(asked_every),
        }
    }

    /// A duration of the retry, notice and expiry clocks.
    fn faster(&self, duration: Duration) -> Duration {
        duration.div_f64(self.clock_scale)
    }
}

/// A number from a name (FNV-1a): the same at every start, another on every machine.
fn seed(name: &str) -> u64 {
    name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::super::file::{Surroundings, read};
    use super::*;
    use posthaste_mail::{Host, Mailbox, ReversePath};
    use posthaste_route::Facts;

    fn lowered(text: &str) -> Lowered {
        let around = Surroundings {
            allow_clock_scale: true,
            machine_name: "machine.example".into(),
            folder: "/data".into(),
        };
        let good = read("p.toml", text, &around).unwrap_or_else(|e| panic!("{e}"));
        good.config.lower(&Machine {
            resolv_conf: ResolvConf::read("nameserver 192.0.2.53\n", &|_| None),
            addresses: vec!["127.0.0.1".parse().unwrap(), "192.0.2.9".parse().unwrap()],
            ..Machine::default()
        })
    }

    #[test]
    fn the_defaults_are_those_of_the_agents() {
        let lowered = lowered("");
        assert_eq!(lowered.queue.schedule, Schedule::default());
        assert_eq!(lowered.queue.limits, posthaste_queue::settings::Limits::default());
        assert_eq!(*lowered.routes, Table::default());
        assert_eq!(lowered.reception.limits, posthaste_reception::Limits::default());
        assert_eq!(
            lowered.dns.servers,
            ["192.0.2.53:53".parse::<std::net::SocketAddr>().unwrap().into()]
        );
        assert_eq!(lowered.delivery.hostname, "machine.example");
        assert_eq!(lowered.delivery.own_addresses.len(), 2);
    }

    #[test]
    fn a_route_keeps_its_own_retries_and_ports() {
        let lowered = lowered(
            "[[route]]\nto = [\"b.example\"]\nvia = [\"10.0.0.5\", \"10.0.0.6:587\"]\nport = 2525\n\
             expire_after = \"1h\"\nretry.jitter = 0\n",
        );
        let to = Mailbox::parse("x@b.example", false).unwrap();
        let found = lowered.routes.find(&Facts::between(&ReversePath::Null, &to));
        let (_, route) = found.unwrap();
        assert_eq!(route.destination(Host::Name("b.example")), "10.0.0.5:2525,10.0.0.6:587");
        assert_eq!(lowered.queue.expire_after("b.example"), Duration::from_secs(3600));
        assert_eq!(lowered.queue.schedule_for("b.example").jitter, 0);
        assert_eq!(lowered.queue.schedule_for("default").jitter, 20);
        assert_eq!(lowered.queue.expire_after("default"), Schedule::default().expire_after);
    }

    #[test]
    fn a_check_asks_the_servers_that_mail_to_the_domain_asks() {
        let lowered = lowered(
            "[[route]]\nname = \"inner\"\nto = \"in.example\"\nresolvers = [\"127.0.0.1:5353\"]\n",
        );
        let asked = |domain, route| {
            let found = crate::daemon::dns::as_mail_to(&lowered, domain, route);
            found
                .map(|(asked, dns)| (asked, dns.servers[0].address.to_string(), dns.fallback.len()))
        };
        let inner = ("route inner".to_owned(), "127.0.0.1:5353".to_owned(), 0);
        let outer = ("[resolver]".to_owned(), "192.0.2.53:53".to_owned(), 0);
        assert_eq!(asked("in.example", None), Ok(inner.clone()));
        assert_eq!(asked("b.example", None), Ok(outer));
        assert_eq!(asked("b.example", Some("inner")), Ok(inner));
        let unknown = asked("b.example", Some("other")).unwrap_err().to_string();
        assert!(
            unknown.starts_with("no route has the name `other`; there are: inner"),
            "{unknown}"
        );
    }

    #[test]
    fn a_scaled_clock_makes_retries_and_expiry_faster_and_nothing_else() {
        let lowered = lowered("clock_scale = 60\n");
        assert_eq!(lowered.queue.schedule.glitch.every, Duration::from_secs(1));
        assert_eq!(lowered.queue.schedule.later[0], Duration::from_secs(10));
        assert_eq!(lowered.queue.schedule.expire_after, Duration::from_secs(7200));
        assert_eq!(lowered.dispatch.patience.asked_every, Duration::from_secs(1));
        assert_eq!(lowered.delivery.connect_limit, Duration::from_secs(20));
    }

    #[test]
    fn who_is_told_what_comes_from_the_section_of_notices() {
        let lowered = lowered(
            "clock_scale = 3600\nhostname = \"mx.example.org\"\npostmaster = \"a@example.org\"\n\
             [[domain]]\nname = \"M\u{fc}nchen.example\"\nrecipients = \"verify\"\n\
             [[route]]\nname = \"slow\"\nto = \"slow.example\"\nvia = \"mx\"\ndelay_after = \"10h\"\n\
             [[route]]\nname = \"quiet\"\nto = \"quiet.example\"\nvia = \"mx\"\ndelay_after = \"off\"\n\
             [notice]\ndelay_after = \"2h\"\ndelay_repeat = \"1d\"\ndelay_at_failure = true\nall_clear = true\n\
             language = \"de\"\nhtml = false\nfrom = \"post@example.org\"\nmax_original = \"1KiB\"\n\
             expire_after = \"10h\"\nprobe_wait = \"36s\"\nstrangers_per_sender_hour = 3\n\
             strangers_per_minute = 0\n",
        );
        let second = Duration::from_secs(1);
        let rule = lowered.queue.delay_rule("default");
        assert_eq!(
            (rule.after, rule.repeat, rule.at_failure),
            (2 * second, Some(24 * second), true)
        );
        assert_eq!(lowered.queue.delay_rule("slow").after, 10 * second);
        assert!(!lowered.queue.delay_rule("quiet").is_on());
        assert_eq!(lowered.queue.lifetime("default", true), 10 * second);
        let told = &lowered.dispatch;
        assert!(told.all_clear && told.own_domains.contains("xn--mnchen-3ya.example"));
        assert_eq!(told.probe_wait, second / 100);
        assert_eq!((told.strangers.per_sender_hour, told.strangers.per_minute), (3, 0));
        let sender = &told.sender;
        assert_eq!((sender.from.as_str(), sender.max_original), ("post@example.org", 1024));
        assert_eq!((sender.wordings.default_language(), sender.html), ("de", false));
    }

    #[test]
    fn few_descriptors_and_little_memory_make_small_limits() {
        let around = Surroundings {
            allow_clock_scale: false,
            machine_name: "machine.example".into(),
            folder: "/data".into(),
        };
        let good = read("p.toml", "", &around).unwrap_or_else(|e| panic!("{e}"));
        let config = good.config;
        for (files, sessions, connections) in [
            (16, 2, 2),
            (64, 14, 10),
            (256, 91, 68),
            (1024, 384, 288),
            (20_000, 1000, 1000),
            (u64::MAX, 1000, 1000),
        ] {
            let machine = Machine { files: Some(files), ..Machine::default() };
            let lowered = config.lower(&machine);
            assert_eq!(lowered.reception.limits.sessions, sessions, "{files}");
            assert_eq!(lowered.queue.limits.connections, connections, "{files}");
        }
        let lowered = config.lower(&Machine { memory: Some(256 << 20), ..Machine::default() });
        assert_eq!(lowered.reception.limits.receive_budget, (256 << 20) / 5);
        assert_eq!(lowered.reception.limits.sessions, 1000);
    }
}
