//! DNS: how the servers stand, a question asked as the daemon asks it, and forgetting what is kept.

use super::Admin;
use super::answer::Refusal;
use super::params::{Pairs, Params};
use crate::resolving::{DnsFault, DnsQuestion, Resolving};
use crate::view::{CheckObject, DnsAnswerObject, ServersObject, VERSION};
use axum::Json;
use axum::extract::State;
use posthaste_evidence::RecordType;
use serde::Serialize;
use std::sync::Arc;

type Here = State<Arc<Admin>>;
type Answer<T> = Result<Json<T>, Refusal>;

/// The types that may be asked for.
const TYPES: [RecordType; 12] = [
    RecordType::A,
    RecordType::Aaaa,
    RecordType::Mx,
    RecordType::Cname,
    RecordType::Ptr,
    RecordType::Txt,
    RecordType::Soa,
    RecordType::Ns,
    RecordType::Tlsa,
    RecordType::Ds,
    RecordType::Dnskey,
    RecordType::Rrsig,
];

#[derive(Serialize)]
pub(super) struct FlushedObject {
    v: u32,
    name: Option<String>,
    forgotten: usize,
}

pub(super) async fn servers(State(admin): Here) -> Answer<ServersObject> {
    let dns = dns(&admin)?;
    Ok(Json(ServersObject::of(&dns.servers(), &dns.caches())))
}

pub(super) async fn ask(State(admin): Here, pairs: Pairs) -> Answer<DnsAnswerObject> {
    let params = Params::new(pairs, &["name", "type", "route", "server", "fresh"])?;
    let question = DnsQuestion {
        name: params.required("name")?.to_owned(),
        kind: params.get("type").map(record_type).transpose()?,
        route: params.get("route").map(str::to_owned),
        server: params.get("server").map(str::to_owned),
        fresh: match params.get("fresh") {
            None | Some("false") => false,
            Some("true") => true,
            Some(_) => return Err(Refusal::bad_request("`fresh` is `true` or `false`")),
        },
    };
    if question.route.is_some() && question.server.is_some() {
        return Err(Refusal::bad_request("either `route` or `server`, not both"));
    }
    let _turn = admin.questions.acquire().await.map_err(|e| Refusal::failed(e.to_string()))?;
    let answer = dns(&admin)?.ask(question).await?;
    Ok(Json(DnsAnswerObject::of(&answer)))
}

pub(super) async fn check(State(admin): Here, pairs: Pairs) -> Answer<CheckObject> {
    let params = Params::new(pairs, &["name", "route"])?;
    let name = params.required("name")?;
    let _turn = admin.checks.acquire().await.map_err(|e| Refusal::failed(e.to_string()))?;
    let checked = dns(&admin)?.check(name, params.get("route")).await?;
    Ok(Json(CheckObject::of(&checked.report, &checked.asked)))
}

pub(super) async fn flush(State(admin): Here, pairs: Pairs) -> Answer<FlushedObject> {
    let params = Params::new(pairs, &["name"])?;
    let name = params.get("name");
    if name == Some("") {
        // A script whose variable is empty must not empty the caches.
        return Err(Refusal::bad_request(
            "`name` is empty; the root is `.`, and for all leave it out",
        ));
    }
    let forgotten = dns(&admin)?.flush(name)?;
    Ok(Json(FlushedObject { v: VERSION, name: name.map(str::to_owned), forgotten }))
}

fn dns(admin: &Admin) -> Result<&dyn Resolving, Refusal> {
    admin.desk.dns().ok_or_else(|| Refusal::not_found("this daemon asks no DNS"))
}

fn record_type(text: &str) -> Result<RecordType, Refusal> {
    let named = TYPES.iter().find(|kind| kind.to_string().eq_ignore_ascii_case(text));
    named.copied().ok_or_else(|| {
        let all = TYPES.map(|kind| kind.to_string()).join(", ");
        Refusal::bad_request(format!(
            "`{text}` is not a type that can be asked for; there are: {all}"
        ))
    })
}

impl From<DnsFault> for Refusal {
    fn from(fault: DnsFault) -> Self {
        match fault {
            DnsFault::NoSuchRoute { .. } => Self::not_found(fault.to_string()),
            DnsFault::BadName(_) | DnsFault::BadServer(_) => Self::bad_request(fault.to_string()),
        }
    }
}
