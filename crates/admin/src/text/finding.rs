//! What a check of a domain found, in words: what is wrong, and what to do.

use super::observation::answer_outcome;
use posthaste_dns::walk::{About, Acts, Problem, Validation};

/// Whom a finding is about.
pub(crate) fn about(about: &About) -> String {
    match about {
        About::Domain(name) | About::Host(name) => name.clone(),
        About::Zone(name) if name.is_empty() => "the root zone".to_owned(),
        About::Zone(name) => format!("zone {name}"),
        About::Server { name, address: Some(address) } => format!("{name} ({address})"),
        About::Server { name, address: None } => name.clone(),
        About::Resolver(address) => format!("our resolver {address}"),
        About::Here => "this machine".to_owned(),
    }
}

/// Who must act, for people.
pub(crate) const fn acts(acts: Acts) -> &'static str {
    match acts {
        Acts::Us => "we",
        Acts::RecipientDns => "who runs the DNS of the domain",
        Acts::RecipientRegistrar => "who holds the domain, at its registrar",
        Acts::Sender => "who wrote the message",
        Acts::Nobody => "nobody",
    }
}

/// What is wrong.
pub(crate) fn problem(problem: Problem) -> String {
    match problem {
        Problem::ServerLame(kind) => {
            format!("does not know the zone it is named for: it answers {}", answer_outcome(kind))
        }
        Problem::AaaaBroken(kind) => format!(
            "its zone answers AAAA with {}, and A as it should; mail goes by A",
            answer_outcome(kind)
        ),
        other => plain(other).to_owned(),
    }
}

/// What to do.
pub(crate) const fn advice(problem: Problem) -> &'static str {
    match problem {
        Problem::RootsUnreachable => {
            "let this machine ask port 53 (UDP and TCP) of any address, or name roots that it can reach in `[resolver] roots`"
        }
        Problem::NotDelegated => {
            "look for a typing error in the address; if mail went there before, the domain has expired or was put on hold"
        }
        Problem::Undelegated | Problem::SaidVanished => {
            "renew the domain or have its delegation restored at the registrar: mail went there in the last 30 days"
        }
        Problem::SaidMissing => {
            "look for a typing error in the address; name roots in `[resolver] roots` to have it confirmed"
        }
        Problem::AllServersDead => {
            "name servers must answer from here, too: they are down, or drop what comes from us"
        }
        Problem::ServerDead => "repair the server, or remove it from the delegation",
        Problem::AllServersLame | Problem::ServerLame(_) => {
            "give the zone to the server, or remove the server at the registrar"
        }
        Problem::ServerWithoutAddress | Problem::ServerIsAlias | Problem::ServerPrivate => {
            "name servers need names with public addresses of their own"
        }
        Problem::SerialsDiffer | Problem::ExchangersDiffer => {
            "repair the zone transfer to the server that is behind"
        }
        Problem::GlueStale | Problem::ServersDiffer => {
            "have the registrar take over what the zone itself says"
        }
        Problem::TcpClosed | Problem::LargeAnswerLost => {
            "open TCP port 53 to the name server (RFC 7766)"
        }
        Problem::EdnsDropped | Problem::EdnsRefused => {
            "let questions with EDNS through (RFC 6891): a firewall or an old server stands in their way"
        }
        Problem::AaaaBroken(_) => {
            "answer AAAA with no error and no records, and the SOA of the zone (RFC 4074): often a load balancer's fault"
        }
        Problem::ExchangerDangling
        | Problem::AllExchangersDangling
        | Problem::ExchangerIsAddress => "let MX name hosts that have an address",
        Problem::ExchangerUnknown => "its zone must answer, and aliases must end",
        Problem::ExchangerIsAlias => "let MX name the host itself (RFC 2181 section 10.3)",
        Problem::ExchangerPrivate | Problem::AllExchangersPrivate => {
            "publish public addresses, not internal ones"
        }
        Problem::NullMx => "write to another address: this domain takes no mail",
        Problem::ImplicitMx => {
            "publish MX records, or the null MX if the domain takes no mail (RFC 7505)"
        }
        Problem::NoRecords => "publish MX records, or write to another address",
        Problem::ApexAlias => "replace the alias by records of the domain's own, MX among them",
        Problem::ZeroTtl => "nothing: it is asked for anew at each attempt",
        Problem::SignatureExpired | Problem::SignatureNotYet => {
            "sign the zone again, and see to the clock of the signer"
        }
        Problem::DsWithoutKey | Problem::Unsigned => {
            "remove or replace the DS record at the registrar"
        }
        other => advice_of_ours(other),
    }
}

const fn advice_on_validation(why: Validation) -> &'static str {
    match why {
        Validation::Times => "sign the zone again; all who validate fail",
        Validation::Keys => {
            "remove or replace the DS record at the registrar; all who validate fail"
        }
        Validation::Unexplained => {
            "see the resolver's log; if others that validate fail alike, the domain's signatures are wrong"
        }
    }
}

/// What to do about our own servers; the last resort for what needs no advice of its own.
const fn advice_of_ours(problem: Problem) -> &'static str {
    match problem {
        Problem::ResolverDead => "start it, or take it out of the settings",
        Problem::ResolverRefuses => "let it recurse for this machine, or take another one",
        Problem::ResolverFails => "see to its forwarders and its way to the Internet",
        Problem::ResolverFailsHere | Problem::ResolverNegative | Problem::ResolverStale => {
            "flush the domain in it; its name servers answer otherwise"
        }
        Problem::ResolverFailsUnseen | Problem::ResolversDisagree => {
            "name roots in `[resolver] roots` that can be reached, so that the domain's own servers are asked"
        }
        Problem::ResolverSplit => {
            "it has a zone of its own by this name: complete that, or remove it"
        }
        Problem::ResolverRewrites => "turn the rewriting off, or take another resolver",
        Problem::ResolverDropsAaaa => "let it answer AAAA questions",
        Problem::ResolverBogusAlone => {
            "see the resolver's log; if others that validate fail alike, the domain's signatures are wrong"
        }
        Problem::ResolverBogus(why) => advice_on_validation(why),
        _ => "compare its clock with ours, and renew its trust anchor",
    }
}

const fn plain(problem: Problem) -> &'static str {
    match problem {
        Problem::RootsUnreachable => {
            "no server of the root zone answers: the domain's own servers could not be asked"
        }
        Problem::NotDelegated => "does not exist: the zone above says so",
        Problem::Undelegated => {
            "is gone: the zone above says that it does not exist, and mail was delivered to it before"
        }
        Problem::SaidMissing => "does not exist",
        Problem::SaidVanished => "does not exist, and mail was delivered to it before",
        Problem::ResolversDisagree => {
            "exists by the word of some of them, and by that of others not"
        }
        Problem::AllServersDead => "none of its name servers answers",
        Problem::ServerDead => "does not answer, by UDP or by TCP",
        Problem::AllServersLame => "none of its name servers knows the zone",
        Problem::ServerLame(_) => "does not know the zone",
        Problem::ServerWithoutAddress => "is a name server without an address",
        Problem::ServerIsAlias => "is a name server whose name is an alias",
        Problem::ServerPrivate => "is a name server with private addresses only",
        Problem::SerialsDiffer => "its servers have different serial numbers",
        Problem::ExchangersDiffer => "its servers name different mail exchangers",
        Problem::GlueStale => "has another address than the zone above says",
        Problem::ServersDiffer => "the zone above names other servers than the zone itself",
        Problem::TcpClosed => "does not answer by TCP",
        Problem::LargeAnswerLost => "its answer is too large for a datagram, and TCP does not work",
        Problem::EdnsDropped => "is silent to questions with EDNS, and answers without",
        Problem::EdnsRefused => "refuses questions with EDNS, and answers without",
        Problem::AaaaBroken(_) => "its zone answers AAAA wrongly",
        Problem::ExchangerDangling => "is a mail exchanger without an address",
        Problem::AllExchangersDangling => "none of its mail exchangers has an address",
        Problem::ExchangerUnknown => "is a mail exchanger whose address cannot be had",
        Problem::ExchangerIsAlias => "is a mail exchanger whose name is an alias",
        Problem::ExchangerIsAddress => "stands in an MX record, where only names may stand",
        Problem::ExchangerPrivate => "is a mail exchanger with private addresses only",
        Problem::AllExchangersPrivate => "all its mail exchangers have private addresses only",
        Problem::NullMx => "says that it takes no mail (null MX, RFC 7505)",
        Problem::ImplicitMx => "has no MX records: mail goes to the host of that name",
        Problem::NoRecords => "has neither MX nor address records",
        Problem::ApexAlias => "is an alias: mail goes where another domain says",
        Problem::ZeroTtl => "its answers may not be kept at all: probably about to change",
        Problem::SignatureExpired => "its signatures have expired",
        Problem::SignatureNotYet => "its signatures are not valid yet",
        Problem::DsWithoutKey => "the zone above vouches for a key that the zone does not have",
        Problem::Unsigned => "the zone above vouches for a key, and answers are not signed",
        Problem::ResolverDead => "does not answer",
        Problem::ResolverRefuses => "refuses to ask for us",
        Problem::ResolverFails => "fails for everything",
        Problem::ResolverFailsUnseen => {
            "fails for this domain, whose own servers could not be asked"
        }
        Problem::ResolverFailsHere => "fails for this domain, whose own servers answer",
        Problem::ResolverBogusAlone => "says that validation of the domain's signatures failed",
        Problem::ResolverNegative => {
            "says there is nothing, and the domain's servers have something"
        }
        Problem::ResolverSplit => "has a zone of its own in place of the public one",
        Problem::ResolverStale => {
            "names other mail exchangers than any of the domain's own servers"
        }
        Problem::ResolverRewrites => "answers for names that do not exist",
        Problem::ResolverDropsAaaa => "does not answer AAAA questions",
        Problem::ResolverBogus(why) => not_validated(why),
        Problem::ResolverClock => "takes signatures for invalid that are valid now",
    }
}

const fn not_validated(why: Validation) -> &'static str {
    match why {
        Validation::Times => {
            "does not accept the domain's signatures, whose time is wrong; it answers without validation"
        }
        Validation::Keys => {
            "does not accept the domain's keys, which are not those that the zone above vouches for; it answers \
             without validation"
        }
        Validation::Unexplained => {
            "says that validation failed, for a reason that cannot be seen from here; it answers without validation"
        }
    }
}
