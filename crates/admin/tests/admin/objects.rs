//! The JSON objects, whole: what scripts rely on. A change here is a change of the outside interface.

use crate::sample::{self, NOW};
use posthaste_admin::desk::{Numbers, Readiness};
use posthaste_admin::view::{DestinationObject, MessageObject, RouteObject, StatusObject};
use serde::Serialize;

fn golden(object: &impl Serialize, expected: &str) {
    let got = serde_json::to_string_pretty(object).unwrap();
    assert_eq!(got.trim(), expected.trim(), "got:\n{got}");
}

#[test]
fn a_message() {
    golden(
        &MessageObject::with_attempts(&sample::message(1), &sample::history(1)),
        include_str!("golden/message.json"),
    );
}

#[test]
fn a_message_of_a_listing_has_no_attempts() {
    let object = serde_json::to_value(MessageObject::of(&sample::message(1))).unwrap();
    assert_eq!(object.get("attempts"), None);
}

#[test]
fn a_destination() {
    let destination = DestinationObject::of(&sample::destination("b.example"));
    golden(&destination, include_str!("golden/destination.json"));
}

#[test]
fn a_route() {
    let route = RouteObject::of("eve@e.example", &sample::route_answer());
    golden(&route, include_str!("golden/route.json"));
}

#[test]
fn a_status() {
    let ready = Readiness { listening: true, recovered: true, ..Readiness::default() };
    let numbers = Numbers { started: sample::ago(1), messages: 5, ..Numbers::default() };
    let mut object = serde_json::to_value(StatusObject::of(NOW, ready, &numbers)).unwrap();
    object["version"] = "0".into();
    golden(&object, include_str!("golden/status.json"));
}
