//! One session as one line of JSON, for the session log. The format is described in the head of [`crate::journal`].

use base64::prelude::{BASE64_STANDARD, Engine as _};
use posthaste_evidence::session::Side;
use posthaste_evidence::{Refusal, Session, Shown, Who};
use posthaste_mail::text::armoured;
use serde::Serialize;
use std::time::Duration;

/// The version of the format; raised when a field changes its meaning, not when one is added.
const VERSION: u32 = 1;

/// Adds the session as JSON without a line end.
pub(crate) fn line(session: &Session, to: &mut String) {
    let json = serde_json::to_string(&of(session));
    to.push_str(&armoured(json.expect("a struct of strings and numbers becomes JSON")));
}

#[derive(Serialize)]
struct Line<'a> {
    v: u32,
    at: String,
    session: String,
    direction: &'static str,
    peer: String,
    local: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    listener: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    destination: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    route: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    host: Option<&'a str>,
    took_ms: f64,
    helo: Option<&'a str>,
    tls: Option<TlsLine<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tls_failed: Option<&'static str>,
    ended: &'static str,
    refused: u32,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    refusals: Vec<RefusalLine<'a>>,
    messages: u32,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    ids: Vec<String>,
    /// Milliseconds since the beginning, `<` for them and `>` for us, what was said.
    lines: Vec<(f64, &'static str, String)>,
}

#[derive(Serialize)]
struct TlsLine<'a> {
    protocol: &'a str,
    cipher: &'a str,
    verified: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    asked: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client: Option<ClientLine<'a>>,
}

/// The certificate that a client showed.
#[derive(Serialize)]
struct ClientLine<'a> {
    subject: &'a str,
    names: &'a [String],
    issuer: &'a str,
    not_after: String,
    /// SHA-256 of the public key (SPKI), base64.
    key: String,
    /// `ok`, or why it is not believed.
    verified: &'static str,
}

#[derive(Serialize)]
struct RefusalLine<'a> {
    by: &'static str,
    stage: Option<&'static str>,
    command: Option<&'a str>,
    code: u16,
    enhanced: Option<String>,
    text: String,
}

fn of(session: &Session) -> Line<'_> {
    let (client, direction, by) = match session.side {
        Side::In { .. } => (Who::They, "in", "us"),
        Side::Out { .. } => (Who::We, "out", "them"),
    };
    let lines = session.tape.lines(client).into_iter();
    let (listener, out) = match &session.side {
        Side::In { listener } => (Some(listener.as_str()), None),
        Side::Out { destination, route, host } => (None, Some((destination, route, host))),
    };
    Line {
        v: VERSION,
        at: session.at.rfc3339(),
        session: session.id.to_string(),
        direction,
        peer: session.peer.to_string(),
        local: session.local.to_string(),
        listener,
        destination: out.map(|(destination, ..)| destination.as_str()),
        route: out.map(|(_, route, _)| route.as_str()),
        host: out.map(|(.., host)| host.as_str()),
        took_ms: millis(session.took),
        helo: session.helo.as_deref(),
        tls: session.tls.as_ref().map(|tls| TlsLine {
            protocol: &tls.protocol,
            cipher: &tls.cipher,
            verified: tls.verified.as_deref(),
            asked: tls.asked.as_deref(),
            client: tls.client.as_ref().and_then(shown),
        }),
        tls_failed: session.tls_fault.as_ref().map(|fault| fault.name()),
        ended: session.ended.name(),
        refused: session.refused,
        refusals: session.refusals.iter().map(|refusal| told(refusal, by)).collect(),
        messages: session.carried,
        ids: session.messages.iter().map(ToString::to_string).collect(),
        lines: lines.map(|l| (millis(l.after), sign(l.who), l.text.to_string())).collect(),
    }
}

fn shown(shown: &Shown) -> Option<ClientLine<'_>> {
    let own = shown.chain.first()?;
    Some(ClientLine {
        subject: &own.subject,
        names: &own.names,
        issuer: &own.issuer,
        not_after: own.not_after.rfc3339(),
        key: BASE64_STANDARD.encode(own.key),
        verified: shown.verified.map_or_else(|why| why.name(), |()| "ok"),
    })
}

fn told<'a>(refusal: &'a Refusal, by: &'static str) -> RefusalLine<'a> {
    let reply = &refusal.reply;
    RefusalLine {
        by,
        stage: refusal.stage.map(|stage| stage.name()),
        command: refusal.command.as_deref(),
        code: reply.code,
        enhanced: reply.enhanced.map(|status| status.to_string()),
        text: reply.shortened().text(),
    }
}

const fn sign(who: Who) -> &'static str {
    match who {
        Who::We => ">",
        Who::They => "<",
    }
}

/// To the microsecond.
pub(crate) fn millis(duration: Duration) -> f64 {
    let micros =
        u32::try_from(duration.as_micros()).map_or(duration.as_secs_f64() * 1e6, f64::from);
    micros.round() / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use posthaste_evidence::{Ended, Stage, Tls};
    use posthaste_mail::{ConnectionId, QueueId, Reply, Timestamp};
    use std::net::SocketAddr;

    fn session(side: Side) -> Session {
        let peer = SocketAddr::from(([192, 0, 2, 7], 4000));
        let local = SocketAddr::from(([192, 0, 2, 25], 25));
        let at = Timestamp::from_micros(1_795_243_984_123_456);
        Session::new(ConnectionId((3 << 32) + 1), at, peer, local, side)
    }

    #[test]
    fn a_client_that_was_refused() {
        let mut s = session(Side::In { listener: "relay".into() });
        s.took = Duration::from_micros(2500);
        s.helo = Some("c".into());
        s.ended = Ended::Quit;
        s.tape.push(Duration::from_micros(100), Who::We, b"220 mx\r\n");
        s.tape.push(Duration::from_micros(1200), Who::They, b"RCPT TO:<a@x>\r\n");
        s.refuse(|| Refusal {
            stage: Some(Stage::Rcpt),
            command: Some("RCPT TO:<a@x>".into()),
            reply: Reply::new(550, None, "no"),
        });
        let mut text = String::new();
        line(&s, &mut text);
        assert_eq!(
            text,
            r#"{"v":1,"at":"2026-11-21T06:53:04.123Z","session":"out-C000001","direction":"in","peer":"192.0.2.7:4000","local":"192.0.2.25:25","listener":"relay","took_ms":2.5,"helo":"c","tls":null,"ended":"quit","refused":1,"refusals":[{"by":"us","stage":"rcpt","command":"RCPT TO:<a@x>","code":550,"enhanced":null,"text":"no"}],"messages":0,"lines":[[0.1,">","220 mx"],[1.2,"<","RCPT TO:<a@x>"]]}"#
        );
    }

    #[test]
    fn a_connection_of_ours() {
        let (destination, route) = ("y.example".into(), "default".into());
        let mut s = session(Side::Out { destination, route, host: "mx.y.example".into() });
        s.carry(QueueId::from_u64(1));
        s.tls = Some(Tls { protocol: "TLSv1.3".into(), cipher: "x".into(), ..Tls::default() });
        s.tape.push(Duration::ZERO, Who::We, b"AUTH PLAIN c2VjcmV0\r\n");
        s.tape.content(Duration::from_millis(1), Who::We, 10);
        let mut text = String::new();
        line(&s, &mut text);
        let json: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(json["host"], "mx.y.example");
        assert_eq!(json["tls"]["protocol"], "TLSv1.3");
        assert_eq!(json["ids"], serde_json::json!(["0000000000001"]));
        assert_eq!(json["lines"][0][2], "AUTH PLAIN [8 octets not shown]");
        assert_eq!(json["lines"][1][2], "[content, 10 octets]");
    }
}
