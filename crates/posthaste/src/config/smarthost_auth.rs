//! `auth` of a `[[route]]`: how we log in at its fixed next hops. Where the secret comes from, never the secret itself.
//!
//! Not here: reading the secret (`daemon::secrets`), what the mechanisms say (`smtp`).

use super::file::Surroundings;
use super::read::{Preset, Section};
use super::setting::Word;
use posthaste_mail::Mechanism;
use posthaste_route::{Login, SecretSource};
use posthaste_smtp::sasl::client::MAX_USER;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

/// Words of a token command.
const MAX_WORDS: usize = 64;
/// Permissions of everybody but the owner.
const OTHERS: u32 = 0o077;
/// To run it, for whomever.
const RUN: u32 = 0o111;

/// What the route says; `None` when it does not log in.
pub(super) fn read(section: &Section<'_, '_>, around: &Surroundings) -> Option<Login> {
    let in_clear = section.take("auth_in_clear", false);
    // Asked for in any case, so that it is known.
    let auth = section.section("auth");
    if !section.has("auth") {
        if in_clear {
            section.complain("auth_in_clear", "`route.auth_in_clear` means nothing without `auth`");
        }
        return None;
    }
    for key in ["password", "token"] {
        let what = format!(
            "`route.auth.{key}`: no secret stands in this file, which others read and copy; write password_file = \
             \"PATH\", password_env = \"NAME\" or token_command = [\"/path/of/program\"]"
        );
        auth.refuse(key, &what);
    }
    let user: Option<String> = auth.take_optional("user", "missing");
    let secret = secret(&auth, around);
    let login = secret.map(|secret| {
        let usual = Login::usual_mechanisms(&secret);
        let mechanisms =
            auth.take("mechanisms", Preset::because(usual, "the best that is offered"));
        Login { user: user.clone().unwrap_or_default(), secret, mechanisms, in_clear }
    });
    check(&auth, user.as_deref(), login.as_ref());
    auth.finish();
    login
}

fn check(auth: &Section<'_, '_>, user: Option<&str>, login: Option<&Login>) {
    match user {
        None => auth.complain(
            "user",
            "`route.auth.user` is missing: the name that the next hop knows us by",
        ),
        Some(user) if user.len() > MAX_USER || user.contains(char::is_control) => {
            let what = format!("`route.auth.user` must be one line of at most {MAX_USER} octets");
            auth.complain("user", what);
        }
        Some(_) => {}
    }
    let Some(login) = login else { return };
    let token = matches!(login.secret, SecretSource::Command(_));
    let fits = |mechanism: &Mechanism| token == (*mechanism == Mechanism::XOAuth2);
    if login.mechanisms.is_empty() {
        auth.complain(
            "mechanisms",
            "`route.auth.mechanisms` is empty: leave it out for the usual ones",
        );
    } else if !login.mechanisms.iter().all(fits) {
        let what = match token {
            true => "`route.auth.mechanisms`: a token_command is for \"XOAUTH2\" and nothing else",
            false => "`route.auth.mechanisms`: \"XOAUTH2\" takes a token: write token_command",
        };
        auth.complain("mechanisms", what);
    }
}

fn secret(auth: &Section<'_, '_>, around: &Surroundings) -> Option<SecretSource> {
    let file: Option<PathBuf> = auth.take_optional("password_file", "not used");
    let variable: Option<String> = auth.take_optional("password_env", "not used");
    let command: Option<Vec<String>> = auth.take_optional("token_command", "not used");
    let given = [file.is_some(), variable.is_some(), command.is_some()];
    if given.iter().filter(|given| **given).count() != 1 {
        let what =
            "`route.auth` needs exactly one of password_file, password_env and token_command";
        auth.complain("password_file", what);
        return None;
    }
    if let Some(file) = file {
        let file = around.folder.join(file);
        care(auth, &file);
        return Some(SecretSource::File(file));
    }
    if let Some(name) = variable {
        // What stands there is not repeated: it may be the password itself.
        if !is_variable(&name) {
            auth.complain(
                "password_env",
                "`route.auth.password_env` is the name of a variable, not its value: letters, digits and underscores, no \
                 digit first, such as \"HUB_PASSWORD\"",
            );
        } else if std::env::var_os(&name).is_none() {
            auth.warn(
                "password_env",
                "the variable that `route.auth.password_env` names is not set here; the daemon reads it once, when it \
                 starts",
            );
        }
        return Some(SecretSource::Environment(name));
    }
    let words = command?;
    let absolute = words.first().is_some_and(|program| Path::new(program).is_absolute());
    if !absolute || words.len() > MAX_WORDS {
        let what = format!(
            "`route.auth.token_command` is a program with its whole path and at most {MAX_WORDS} words; no shell reads it"
        );
        auth.complain("token_command", what);
    } else if let Some(why) = words.first().and_then(|program| not_to_be_run(Path::new(program))) {
        auth.warn("token_command", format!("{why}; mail waits until it can be run"));
    }
    Some(SecretSource::Command(words))
}

/// As shells name variables (POSIX, Base Definitions, section 3.216).
fn is_variable(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
    !name.is_empty() && name.chars().all(plain) && !name.starts_with(|c: char| c.is_ascii_digit())
}

/// Why a program cannot be run now. It may be installed later.
fn not_to_be_run(program: &Path) -> Option<String> {
    let place = program.display();
    match std::fs::metadata(program) {
        Err(error) => Some(format!("{place} cannot be run: {error}")),
        Ok(found) if !found.is_file() => Some(format!("{place} is no program")),
        Ok(found) if found.permissions().mode() & RUN == 0 => {
            Some(format!("{place} cannot be run by anybody; write: chmod 755 {place}"))
        }
        Ok(_) => None,
    }
}

/// What can be seen of the file now. It may be written later: nothing here is an error.
fn care(auth: &Section<'_, '_>, file: &Path) {
    match std::fs::metadata(file) {
        Err(error) => {
            let what =
                format!("{} cannot be read: {error}; mail waits until it can", file.display());
            auth.warn("password_file", what);
        }
        Ok(found) if found.permissions().mode() & OTHERS != 0 => {
            let what = format!(
                "{} can be read or written by others than its owner; write: chmod 600 {0}",
                file.display()
            );
            auth.warn("password_file", what);
        }
        Ok(_) => {}
    }
}

impl Word for Mechanism {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("SCRAM-SHA-256", Self::ScramSha256),
        ("XOAUTH2", Self::XOAuth2),
        ("PLAIN", Self::Plain),
        ("LOGIN", Self::Login),
    ];
}
