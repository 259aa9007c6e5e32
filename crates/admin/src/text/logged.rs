//! A fault as the event log has it, read back so that it is told in the same words as everywhere else.
//!
//! For people only: no decision depends on it. A kind that a later version writes is told by its name.

use super::fault;
use posthaste_evidence::{AnswerKind, ConnectFault, Doubt, Fault, RecordType, Stage};
use posthaste_mail::EnhancedStatus;
use serde_json::Value;
use std::time::Duration;

/// The `fault` of a line in one sentence; `None` when there is none.
pub(crate) fn logged_fault(logged: &Value) -> Option<String> {
    let kind = logged["kind"].as_str()?;
    let text = |name: &str| logged[name].as_str().unwrap_or_default();
    if kind == "reply" {
        return Some(text("detail").to_owned());
    }
    if let Some(login) = super::login::logged(kind, text("name"), text("detail")) {
        return Some(login);
    }
    let read = read(kind, text("name"), text("detail"), stage(text("stage")));
    Some(read.as_ref().map_or_else(|| by_name(kind, text("name"), text("detail")), fault))
}

fn read(kind: &str, name: &str, detail: &str, stage: Stage) -> Option<Fault> {
    let name = name.to_owned();
    Some(match kind {
        "dns_failed" => {
            let (asked, answer) = detail.split_once(' ')?;
            Fault::DnsFailed { name, kind: record_type(asked)?, answer: answer_kind(answer)? }
        }
        doubted if doubt(doubted).is_some() => Fault::Doubted { name, doubt: doubt(doubted)? },
        "no_such_domain" => Fault::NoSuchDomain { name },
        "no_hosts" => Fault::NoHosts { name },
        "null_mx" => Fault::NullMx { name },
        "loops_back" => Fault::LoopsBack { name },
        "only_private_addresses" => Fault::OnlyPrivateAddresses { name },
        "connect" => Fault::Connect(connect(detail)?),
        "lost" => Fault::Lost { stage },
        "timed_out" => {
            let seconds = detail.strip_prefix("after ")?.strip_suffix(" s")?.parse().ok()?;
            Fault::TimedOut { stage, after: Duration::from_secs(seconds) }
        }
        "gibberish" => Fault::Gibberish { stage },
        "needs_smtputf8" => Fault::NeedsSmtpUtf8,
        "needs_8bitmime" => Fault::NeedsEightBit,
        "over_peers_size" => Fault::OverPeersSize { limit: detail.parse().ok()? },
        "no_route" => Fault::NoRoute,
        "store_fault" => Fault::StoreFault,
        "attempt_too_long" => Fault::AttemptTooLong,
        "interrupted" => Fault::Interrupted,
        "expired" => Fault::Expired,
        "operator" => Fault::Operator,
        "unknown_recipient" => Fault::UnknownRecipient,
        "route_discards" => Fault::RouteDiscards { route: name },
        "over_route_size" => Fault::OverRouteSize { route: name, limit: detail.parse().ok()? },
        "route_fails" => {
            // The status is in a field of its own, and is not part of the sentence.
            let (status, text) = (EnhancedStatus::new(5, 7, 1), detail.to_owned());
            Fault::RouteFails { route: name, status, text }
        }
        _ => return None,
    })
}

fn doubt(kind: &str) -> Option<Doubt> {
    Doubt::ALL.iter().find(|(_, name)| *name == kind).map(|(doubt, _)| *doubt)
}

fn by_name(kind: &str, name: &str, detail: &str) -> String {
    let words = [kind.replace('_', " "), name.to_owned(), detail.to_owned()];
    let given: Vec<String> = words.into_iter().filter(|word| !word.is_empty()).collect();
    given.join(" ")
}

fn stage(name: &str) -> Stage {
    Stage::NAMES.iter().find(|(_, n)| *n == name).map_or(Stage::Local, |(stage, _)| *stage)
}

fn record_type(word: &str) -> Option<RecordType> {
    use RecordType::{A, Aaaa, Cname, Dnskey, Ds, Mx, Ns, Ptr, Rrsig, Soa, Tlsa, Txt};
    let all = [A, Aaaa, Mx, Cname, Ptr, Txt, Soa, Ns, Tlsa, Ds, Dnskey, Rrsig];
    all.into_iter().find(|kind| kind.to_string().eq_ignore_ascii_case(word))
}

fn answer_kind(word: &str) -> Option<AnswerKind> {
    if let Some(code) = word.strip_prefix("otherrcode(") {
        return Some(AnswerKind::OtherRcode(code.strip_suffix(')')?.parse().ok()?));
    }
    Some(match word {
        "answer" => AnswerKind::Answer,
        "nodata" => AnswerKind::NoData,
        "nxdomain" => AnswerKind::NxDomain,
        "servfail" => AnswerKind::ServFail,
        "refused" => AnswerKind::Refused,
        "notimp" => AnswerKind::NotImp,
        "formerr" => AnswerKind::FormErr,
        "lame" => AnswerKind::Lame,
        "timeout" => AnswerKind::Timeout,
        "unreachable" => AnswerKind::Unreachable,
        "malformed" => AnswerKind::Malformed,
        "bogus" => AnswerKind::Bogus,
        _ => return None,
    })
}

fn connect(words: &str) -> Option<ConnectFault> {
    Some(match words {
        "refused" => ConnectFault::Refused,
        "timed out" => ConnectFault::TimedOut,
        "host unreachable" => ConnectFault::HostUnreachable,
        "network unreachable" => ConnectFault::NetworkUnreachable,
        "forbidden" => ConnectFault::Forbidden,
        "source address unavailable" => ConnectFault::SourceUnavailable,
        "no local resources" => ConnectFault::LocalResources,
        "reset" => ConnectFault::Reset,
        other => ConnectFault::Other(other.strip_prefix("error ")?.parse().ok()?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_log_and_the_queue_say_the_same() {
        for (logged, text) in [
            (json!({ "kind": "lost", "stage": "eod" }), "the connection was lost at eod"),
            (
                json!({ "kind": "dns_failed", "stage": "dns-mx", "name": "b.example", "detail": "mx servfail" }),
                "DNS did not answer for MX of b.example: SERVFAIL",
            ),
            (
                json!({ "kind": "dns_failed", "name": "b.example", "detail": "aaaa otherrcode(9)" }),
                "DNS did not answer for AAAA of b.example: response code 9",
            ),
            (
                json!({ "kind": "no_such_domain", "name": "b.example" }),
                "the domain b.example does not exist",
            ),
            (
                json!({ "kind": "domain_vanished", "name": "b.example" }),
                "dns.domain-undelegated: b.example is gone from DNS, though mail was delivered to it in the last 30 days",
            ),
            (json!({ "kind": "connect", "detail": "error 5" }), "no connection: system error 5"),
            (
                json!({ "kind": "timed_out", "stage": "banner", "detail": "after 300 s" }),
                "no answer at banner within 5 min",
            ),
            (
                json!({ "kind": "over_peers_size", "detail": "1000" }),
                "the message is larger than the 1000 octets the destination takes",
            ),
            (
                json!({ "kind": "route_fails", "name": "old", "detail": "closed" }),
                "the route old says: closed",
            ),
            (json!({ "kind": "route_discards", "name": "bin" }), "discarded by the route bin"),
            (json!({ "kind": "reply", "detail": "450 4.2.0 later" }), "450 4.2.0 later"),
            (json!({ "kind": "new_kind", "name": "x", "detail": "y z" }), "new kind x y z"),
            (json!({ "kind": "connect", "detail": "?" }), "connect ?"),
        ] {
            assert_eq!(logged_fault(&logged).as_deref(), Some(text), "{logged}");
        }
        assert_eq!(logged_fault(&Value::Null), None);
    }
}
