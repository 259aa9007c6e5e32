//! What a standing hold cannot know of mail that comes later: such mail is compared with its filter once, on arrival.
//!
//! Not here: the comparison itself (`dispatch`), how a filter is written (`posthaste_admin::filter`).

use posthaste_admin::filter::{self, Field, Filter, MESSAGE};
use std::collections::BTreeMap;

/// A warning for whoever holds by a filter that tests what is not known on arrival; `None` when all of it is, or when
/// the text is no filter, which the daemon complains about.
pub(super) fn warning(filter: &str) -> Option<String> {
    let mut unknown = BTreeMap::new();
    collect(&filter::parse(filter, MESSAGE).ok()?, &mut unknown);
    if unknown.is_empty() {
        return None;
    }
    let those = if unknown.len() == 1 { "that field" } else { "those fields" };
    let each: Vec<String> =
        unknown.iter().map(|(field, what)| format!("`{}` is {what}", name(*field))).collect();
    let each = each.join(" and ");
    Some(format!(
        "mail that comes later is looked at when it arrives, and then {each}: this holds what is in the queue now, \
         and no later mail by {those}"
    ))
}

/// The fields that have no value yet, or always the same one.
fn collect(filter: &Filter, unknown: &mut BTreeMap<Field, &'static str>) {
    let field = match filter {
        Filter::And(one, other) | Filter::Or(one, other) => {
            collect(one, unknown);
            return collect(other, unknown);
        }
        Filter::Not(inner) => return collect(inner, unknown),
        Filter::Test { field, .. } | Filter::Present(field) => *field,
    };
    let what = match field {
        Field::Age | Field::Attempts => "0",
        Field::Status => "queued",
        Field::Held => "no",
        Field::LastError | Field::WaitReason | Field::Cause | Field::Owner => "not known",
        _ => return,
    };
    unknown.insert(field, what);
}

fn name(field: Field) -> &'static str {
    Field::ALL.iter().find(|(f, ..)| *f == field).map_or("", |(_, name, ..)| name)
}
