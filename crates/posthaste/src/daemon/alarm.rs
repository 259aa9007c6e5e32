//! Tells in the log what needs a person, once each until it has gone: destinations that no route matches, decisions that
//! cannot go on, holds that hold nothing, smarthosts that do not let us in.
//!
//! Not here: the numbers of `status` (`desk`).

use posthaste_dispatch::Dispatch;
use posthaste_evidence::Fault;
use posthaste_reception::{Reception, Unproxied};
use posthaste_spool::Stage;
use posthaste_spool::decision::{DecisionView, HoldView};
use std::collections::BTreeSet;
use std::time::Duration;

/// How often it looks.
const EVERY: Duration = Duration::from_secs(5);
/// How long nothing is told of balancers after that.
const BALANCERS: Duration = Duration::from_secs(60);
/// Destinations that are warned of; more are told by `status`.
const MOST: usize = 1000;

/// Looks for ever.
pub(super) async fn watch(dispatch: Dispatch) {
    let (mut unreachable, mut decisions, mut holds) = <(_, _, _)>::default();
    let mut logins = BTreeSet::new();
    loop {
        tokio::time::sleep(EVERY).await;
        unreachable = fresh(unreachable, dispatch.unreachable(MOST), |destination| {
            tracing::warn!(
                destination,
                "no route matches: its mail is held; add a [[route]] and reload, or bounce it"
            );
        });
        let not_let_in = dispatch.not_let_in();
        let now = not_let_in.iter().map(which).collect();
        logins = fresh(logins, now, |known| {
            let told = not_let_in.iter().find(|one| which(one) == *known);
            if let Some((destination, fault)) = told {
                tracing::warn!(destination, "{}", posthaste_admin::told(fault));
            }
        });
        decisions = fresh(decisions, stopped(&dispatch.decisions()), |(decision, fault)| {
            tracing::error!(
                decision,
                fault,
                "a decision has stopped: act anew with a filter that can be read, and cancel this one"
            );
        });
        holds = fresh(holds, broken(&dispatch.holds()), |(hold, fault)| {
            tracing::error!(
                hold,
                fault,
                "a hold cannot be read and holds nothing: hold anew, and release this one"
            );
        });
    }
}

/// Tells of balancers whose connections are not taken, for ever: one of them in a while.
pub(super) async fn watch_balancers(reception: Reception) {
    let mut told = 0;
    loop {
        tokio::time::sleep(EVERY).await;
        let Some(Unproxied { balancer, listener, reason }) = reception.unproxied() else {
            continue;
        };
        let connections = reception.counts().refused_proxies;
        let since_last = connections - told;
        told = connections;
        tracing::warn!(
            %balancer,
            listener,
            connections = since_last,
            "connections from an address in proxy_from are closed: {reason}"
        );
        tokio::time::sleep(BALANCERS).await;
    }
}

/// Destination, route and which fault it is, whatever the host's words were: they may be others at each trial. Several
/// routes may lead to one destination, each with a login of its own.
fn which((destination, fault): &(String, Fault)) -> (String, String, &'static str) {
    let (route, kind) = match fault {
        Fault::Login { route, fault } => (route.to_string(), fault.name()),
        _ => (String::new(), ""),
    };
    (destination.clone(), route, kind)
}

/// How many decisions have stopped, and how many holds hold nothing.
pub(super) fn stuck(dispatch: &Dispatch) -> (u64, u64) {
    let (decisions, holds) = (stopped(&dispatch.decisions()), broken(&dispatch.holds()));
    (decisions.len() as u64, holds.len() as u64)
}

/// Tells those that are new; answers those that are known now.
fn fresh<T: Ord>(told: BTreeSet<T>, now: Vec<T>, tell: impl Fn(&T)) -> BTreeSet<T> {
    now.iter().filter(|one| !told.contains(*one)).for_each(tell);
    now.into_iter().collect()
}

fn stopped(decisions: &[DecisionView]) -> Vec<(u64, String)> {
    let stopped = decisions.iter().filter(|view| view.decision.stage == Stage::Stopped);
    stopped.map(|view| (view.number, view.decision.fault.clone().unwrap_or_default())).collect()
}

fn broken(holds: &[HoldView]) -> Vec<(u64, String)> {
    holds.iter().filter_map(|view| Some((view.number, view.fault.clone()?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use posthaste_evidence::LoginFault;
    use std::cell::RefCell;

    #[test]
    fn routes_to_one_host_are_told_apart() {
        let fault = |route: &str| {
            let fault = LoginFault::NeedsTls;
            ("mx.example:587".to_owned(), Fault::Login { route: route.into(), fault })
        };
        let all = ["sales", "support"].map(fault);
        let told: Vec<_> =
            all.iter().map(|one| all.iter().find(|o| which(o) == which(one))).collect();
        assert_eq!(told, all.iter().map(Some).collect::<Vec<_>>());
    }

    #[test]
    fn each_is_told_once_until_it_has_gone() {
        let told = RefCell::new(Vec::new());
        let look =
            |known, now: &[u64]| fresh(known, now.to_vec(), |one| told.borrow_mut().push(*one));
        let known = look(BTreeSet::new(), &[1, 2]);
        let known = look(known, &[2, 3]);
        look(known, &[1, 2, 3]);
        assert_eq!(*told.borrow(), [1, 2, 3, 1]);
    }
}
