//! Who calls: the login name and the person's name of the real user id.
//!
//! Read from `/etc/passwd`; users that only a directory service knows have what their environment says.

use std::env;
use std::fs;

const PASSWD: &str = "/etc/passwd";

/// The user who calls.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct User {
    /// The local part of the address.
    pub(super) login: String,
    /// For a missing `From:`.
    pub(super) full_name: Option<String>,
}

/// The user who calls.
pub(super) fn caller() -> User {
    let uid = rustix::process::getuid().as_raw();
    let variable = |name| env::var(name).ok().filter(|value: &String| !value.is_empty());
    let passwd = fs::read_to_string(PASSWD).unwrap_or_default();
    let mut user = listed(&passwd, uid).unwrap_or_else(|| User {
        login: ["LOGNAME", "USER"].into_iter().find_map(variable).unwrap_or(format!("uid{uid}")),
        full_name: None,
    });
    user.full_name = variable("NAME").or(user.full_name);
    user
}

/// `login:password:uid:gid:name,room,...:home:shell`; `&` in the name is the login with a capital.
fn listed(passwd: &str, uid: u32) -> Option<User> {
    let line =
        passwd.lines().find(|l| l.split(':').nth(2).is_some_and(|id| id.parse() == Ok(uid)))?;
    let mut fields = line.split(':');
    let login = fields.next().filter(|login| !login.is_empty())?.to_owned();
    let name = fields.nth(3).and_then(|gecos| gecos.split(',').next()).unwrap_or_default();
    let mut capital = login.chars();
    let capital: String =
        capital.next().into_iter().flat_map(char::to_uppercase).chain(capital).collect();
    let name = name.replace('&', &capital);
    Some(User { login, full_name: Some(name).filter(|name| !name.is_empty()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_who_passwd_says() {
        let passwd = "root:x:0:0:Charlie &,,,:/root:/bin/sh\nwww-data:x:33:33::/var/www:\nbroken\n";
        let user = |uid| listed(passwd, uid).map(|user| (user.login, user.full_name));
        assert_eq!(user(0), Some(("root".into(), Some("Charlie Root".into()))));
        assert_eq!(user(33), Some(("www-data".into(), None)));
        assert_eq!(user(1000), None);
    }
}
