//! `config check`, `config show`: without a daemon.

use crate::certificates;
use crate::cli::{ConfigVerb, Global};
use crate::config::setting::Text as _;
use crate::config::{self, Loaded, Server, Servers};
use crate::daemon::machine::look;
use crate::daemon::privileges;
use crate::failure::{Exit, Failure};
use crate::out::{self, Out};
use crate::place;
use crate::recipients::{self, Books};
use posthaste_evidence::NameServer;
use posthaste_mail::Timestamp;
use serde_json::{Value, json};
use std::path::PathBuf;

pub(super) fn run(global: &Global, verb: ConfigVerb, out: &Out) -> Result<(), Failure> {
    let (file, show) = match verb {
        ConfigVerb::Check { file } => (file, false),
        ConfigVerb::Show { file } => (file, true),
    };
    let file: Option<PathBuf> = file.or_else(|| place::config_file(global));
    let loaded = config::load(file.as_deref(), global.allow_clock_scale)?;
    let warnings = if show { Vec::new() } else { warnings(&loaded)? };
    for (place, what) in &warnings {
        out.remark(&format!("{place}: warning: {what}"));
    }
    match (show, out.is_json()) {
        (true, true) => {
            let dns = InForce::look(&loaded).json();
            out.object(&json!({ "v": 1, "settings": loaded.settings(), "dns": dns }));
        }
        (true, false) => {
            out.text(&loaded.show());
            out.text(&InForce::look(&loaded).comments());
        }
        (false, true) => {
            let one = |(at, message): &(String, String)| json!({ "at": at, "message": message });
            let warnings: Vec<Value> = warnings.iter().map(one).collect();
            out.object(&json!({ "v": 1, "file": file, "good": true, "warnings": warnings }));
        }
        (false, false) => match &file {
            Some(file) => out.line(&format!("{}: good", file.display())),
            None => out.line("no file given; the defaults are good"),
        },
    }
    Ok(())
}

/// What the files of the system make of the settings: whose servers are asked, and which next hops need no DNS.
struct InForce {
    /// Where the servers come from.
    from: String,
    servers: Vec<String>,
    fallback: Vec<String>,
    /// `name: addresses`, out of the hosts file.
    hosts: Vec<String>,
    /// What of resolv.conf is not followed, each with its place.
    remarks: Vec<String>,
}

impl InForce {
    fn look(loaded: &Loaded) -> Self {
        let config = &loaded.config;
        let machine = look(config);
        let dns = config.lower(&machine).dns;
        let path = config.resolver.resolv_conf.display();
        let system = config.resolver.servers == Servers::System;
        let place = |line: usize| match line {
            0 => path.to_string(),
            line => format!("{path}:{line}"),
        };
        let remarks = machine.resolv_conf.remarks.iter().filter(|_| system);
        let hosts = dns.hosts.iter().map(|(name, ips)| {
            let ips: Vec<String> = ips.iter().map(ToString::to_string).collect();
            format!("{name}: {}", ips.join(", "))
        });
        let names = |servers: &[NameServer]| servers.iter().map(written).collect();
        Self {
            from: if system { path.to_string() } else { loaded.name() },
            servers: names(&dns.servers),
            fallback: names(&dns.fallback),
            hosts: hosts.collect(),
            remarks: remarks.map(|(line, what)| format!("{}: {what}", place(*line))).collect(),
        }
    }

    fn json(&self) -> Value {
        let Self { from, servers, fallback, hosts, remarks } = self;
        json!({ "from": from, "servers": servers, "fallback": fallback, "hosts": hosts, "remarks": remarks })
    }

    /// Beside the settings: what is shown still reads as the same settings.
    fn comments(&self) -> String {
        let mut text = format!("\n# DNS servers: {} # {}\n", self.servers.join(", "), self.from);
        if !self.fallback.is_empty() {
            text += &format!("# and when all of them fail: {}\n", self.fallback.join(", "));
        }
        for host in &self.hosts {
            text += &format!("# hosts file: {host}\n");
        }
        for remark in &self.remarks {
            text += &format!("# {remark}\n");
        }
        out::clean(&text)
    }
}

/// As the settings write it; `trusted` where its AD bit is believed.
fn written(server: &NameServer) -> String {
    let name = Server(server.clone()).to_text();
    if server.trusted { format!("{name} (trusted)") } else { name }
}

/// What is allowed and probably a mistake: in the settings, and in the files of recipients that they name.
fn warnings(loaded: &Loaded) -> Result<Vec<(String, String)>, Failure> {
    let config = &loaded.config;
    let opened = recipients::open(&config.own, &Books::default())?;
    let users = super::user::check(&config.users)?;
    let users = users.map(|what| (config.users.display().to_string(), what));
    let name = loaded.name();
    // A daemon that cannot become its user does not start.
    let foreseen = privileges::foresee(config, loaded.file.as_deref());
    let foreseen = foreseen
        .map_err(|error| Failure::new(Exit::Usage, "bad-config", format!("{name}: {error:#}")))?;
    let of_settings = loaded.warnings.iter().map(|w| (w.place_in(&name), w.what.clone()));
    let certificates = certificates::open(config)?
        .doubts(config, Timestamp::from_micros(super::now().as_microsecond()));
    Ok(of_settings.chain(opened.doubts).chain(users).chain(certificates).chain(foreseen).collect())
}
