//! Who may ask over TCP: programs on this machine that mean us. A web page must not reach us through a name of its own
//! (DNS rebinding) nor by a request of its own (another origin).

use super::answer::Refusal;
use axum::http::{HeaderMap, header};
use std::net::SocketAddr;

/// Checks `Host` and `Origin` of a request to the listener at `address`.
pub(super) fn check(headers: &HeaderMap, address: SocketAddr) -> Result<(), Refusal> {
    let names = [address.to_string(), format!("localhost:{}", address.port())];
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    if !names.iter().any(|name| name.eq_ignore_ascii_case(host)) {
        return Err(Refusal::foreign(format!("this is {}, not `{host}`", names[0])));
    }
    let Some(origin) = headers.get(header::ORIGIN) else { return Ok(()) };
    let origin = origin.to_str().unwrap_or_default();
    let ours = names.iter().any(|name| origin.eq_ignore_ascii_case(&format!("http://{name}")));
    if ours { Ok(()) } else { Err(Refusal::foreign(format!("`{origin}` may not ask here"))) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    #[test]
    fn only_our_own_names_are_answered() {
        let address: SocketAddr = "127.0.0.1:2580".parse().unwrap();
        for (host, origin, passes) in [
            (Some("127.0.0.1:2580"), None, true),
            (Some("localhost:2580"), None, true),
            (Some("LOCALHOST:2580"), Some("http://localhost:2580"), true),
            (Some("127.0.0.1:2580"), Some("http://127.0.0.1:2580"), true),
            (None, None, false),
            (Some("evil.example:2580"), None, false),
            (Some("127.0.0.1"), None, false),
            (Some("127.0.0.1:2580"), Some("http://evil.example"), false),
            (Some("127.0.0.1:2580"), Some("http://localhost:3000"), false),
            (Some("127.0.0.1:2580"), Some("null"), false),
        ] {
            let mut headers = HeaderMap::new();
            for (name, value) in [(header::HOST, host), (header::ORIGIN, origin)] {
                if let Some(value) = value {
                    headers.insert(name, HeaderValue::from_static(value));
                }
            }
            assert_eq!(check(&headers, address).is_ok(), passes, "{host:?} {origin:?}");
        }
    }
}
