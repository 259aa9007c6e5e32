//! Why we could not log in at a next hop, in words, and what to do: it is always ours to correct.

use posthaste_evidence::{LoginFault, SecretFault};

/// One sentence, its cause in the catalogue first. It is the same from the queue and from the event log, which have the
/// host's words, or why the secret was not to be had, in `detail`.
pub(crate) fn fault(route: &str, fault: &LoginFault) -> String {
    let detail = match fault {
        LoginFault::Secret(why) => Some(secret(*why)),
        other => other.reply().map(ToString::to_string),
    };
    sentence(fault.name(), route, detail.as_deref())
        .unwrap_or_else(|| format!("{}: {route}", fault.name()))
}

/// Of a line of the event log; `None` when it is about something else.
pub(crate) fn logged(kind: &str, route: &str, detail: &str) -> Option<String> {
    let (name, number) = detail.split_once(' ').unwrap_or((detail, "0"));
    let why = || SecretFault::named(name, number.parse().ok()?);
    let told = match kind {
        "secret_unavailable" => secret(why()?),
        _ => detail.to_owned(),
    };
    sentence(kind, route, Some(&told))
}

fn sentence(kind: &str, route: &str, detail: Option<&str>) -> Option<String> {
    let said = detail.unwrap_or_default();
    let (what, act) = match kind {
        "credentials_refused" => (
            format!("the smarthost refuses our user name or password: {said}"),
            format!("correct `auth` of route {route}"),
        ),
        "credentials_missing" => (
            format!("the smarthost takes no mail from us unless we log in: {said}"),
            format!("correct `auth` (or `tls`) of route {route}"),
        ),
        "no_common_mechanism" => (
            "the smarthost offers no way to log in that is allowed".to_owned(),
            format!("correct `mechanisms` in `auth` (or `tls`) of route {route}"),
        ),
        "auth_needs_tls" => (
            "the connection to the smarthost is not encrypted, so no password was sent".to_owned(),
            format!("correct `tls` of route {route}"),
        ),
        "secret_unavailable" => (
            format!("no password or token for the smarthost: {said}"),
            format!("correct what `auth` of route {route} names"),
        ),
        "server_unproven" => (
            "the smarthost cannot prove that it knows our password, and may be somebody else"
                .to_owned(),
            format!("check `via` and `tls` of route {route}, and the password"),
        ),
        "auth_exchange_broken" => (
            "the smarthost breaks the rules of logging in".to_owned(),
            format!("try other `mechanisms` in `auth` of route {route}"),
        ),
        _ => return None,
    };
    let cause = posthaste_evidence::login::CAUSE;
    Some(format!("{cause}: {what}; {act}, then `posthaste queue retry`"))
}

/// Why there is no secret.
pub(crate) fn secret(fault: SecretFault) -> String {
    match fault {
        SecretFault::Unreadable(0) => "it is no regular file".to_owned(),
        SecretFault::Unreadable(error) => {
            format!("the file cannot be read ({})", std::io::Error::from_raw_os_error(error))
        }
        SecretFault::Empty => "there is nothing in it".to_owned(),
        SecretFault::TooLong => "it is too long".to_owned(),
        SecretFault::Unsuitable => "it has octets that cannot be sent".to_owned(),
        SecretFault::Unset => {
            "the variable was not set when the daemon started (set it and start again)".to_owned()
        }
        // What it is asked over is broken; the daemon cannot start another one.
        SecretFault::NotRun(error)
            if std::io::Error::from_raw_os_error(error).kind()
                == std::io::ErrorKind::BrokenPipe =>
        {
            "the process that runs token commands has ended: restart the daemon".to_owned()
        }
        SecretFault::NotRun(error) => {
            format!("the command cannot be run ({})", std::io::Error::from_raw_os_error(error))
        }
        SecretFault::Failed(status) if status < 0 => {
            format!("the command was ended by signal {}", -status)
        }
        SecretFault::Failed(status) => format!("the command failed with status {status}"),
        SecretFault::TimedOut => "the command did not end in time".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use posthaste_mail::Reply;

    #[test]
    fn the_operator_is_told_what_to_correct() {
        let refused = LoginFault::Refused { reply: Reply::new(535, None, "no") };
        assert_eq!(
            fault("relay", &refused),
            "route.smarthost-auth: the smarthost refuses our user name or password: 535 no; correct `auth` of route relay, then `posthaste queue retry`"
        );
        assert_eq!(
            logged("credentials_refused", "relay", "535 no"),
            Some(fault("relay", &refused))
        );
        let failed = LoginFault::Secret(SecretFault::Failed(3));
        assert_eq!(
            logged("secret_unavailable", "relay", "failed 3"),
            Some(fault("relay", &failed))
        );
        assert!(fault("relay", &failed).contains("the command failed with status 3"));
        let gone = fault("relay", &LoginFault::Secret(SecretFault::NotRun(32)));
        assert!(gone.contains("has ended: restart the daemon"), "{gone}");
        assert_eq!(logged("connect", "relay", "refused"), None);
    }
}
