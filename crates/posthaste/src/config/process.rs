//! `[process]`: whom the daemon becomes once its ports are bound, and whether the kernel keeps it to what it needs.
//!
//! Not here: doing it (`daemon::privileges`).

use super::domains::Source;
use super::file::Config;
use super::read::Section;
use super::setting::Word;
use posthaste_route::SecretSource;
use std::collections::BTreeSet;
use std::path::PathBuf;

/// What the process may do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Process {
    /// The user it becomes when it was started as root.
    pub(crate) user: Option<String>,
    /// The group; otherwise the user's own.
    pub(crate) group: Option<String>,
    pub(crate) sandbox: Sandbox,
}

/// Whether the kernel is asked to refuse what the daemon never does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Sandbox {
    /// As far as this kernel can.
    Auto,
    Off,
}

impl Config {
    /// Programs that print tokens, each once.
    pub(crate) fn token_commands(&self) -> Vec<Vec<String>> {
        let commands = self.routes.iter().filter_map(|route| match &route.auth.as_ref()?.secret {
            SecretSource::Command(words) => Some(words.clone()),
            _ => None,
        });
        commands.collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// The files that settings name, and the folder of texts, that are read while the daemon runs.
    pub(crate) fn files(&self) -> Vec<PathBuf> {
        let lists = self.own.domains.iter().filter_map(|domain| match &domain.recipients {
            Source::File(path) => Some(path),
            _ => None,
        });
        let own = lists.chain(&self.own.aliases).chain([&self.resolver.resolv_conf]);
        let roots = self.resolver.tls_roots.path().into_iter();
        let certificates = self.certificates.iter().flat_map(|files| [&files.chain, &files.key]);
        let of_routes = self.routes.iter().filter_map(|rule| rule.tls.roots().path());
        let tls = roots.chain(of_routes).chain(&self.client_roots).chain(certificates);
        let keys = self.dkim.iter().map(|key| &key.path);
        let passwords = self.routes.iter().filter_map(|route| match &route.auth.as_ref()?.secret {
            SecretSource::File(path) => Some(path),
            _ => None,
        });
        let others = tls.chain([&self.users]).chain(keys).chain(passwords);
        let others = others.chain(&self.notices.texts);
        own.chain(&self.resolver.hosts_file.0).chain(others).cloned().collect()
    }
}

pub(super) fn read(section: Section<'_, '_>) -> Process {
    let process = Process {
        user: section.take_optional("user", "whoever starts it"),
        group: section.take_optional("group", "the user's own"),
        sandbox: section.take("sandbox", Sandbox::Auto),
    };
    if process.group.is_some() && process.user.is_none() {
        section.complain("group", "`process.group` needs `process.user`: whom to become");
    }
    section.finish();
    process
}

impl Word for Sandbox {
    const WORDS: &'static [(&'static str, Self)] = &[("auto", Self::Auto), ("off", Self::Off)];
}
