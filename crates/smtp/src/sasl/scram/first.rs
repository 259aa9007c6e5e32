//! The first messages of either side (RFC 5802 section 7: client-first-message, server-first-message).

use super::{
    MAX_ITERATIONS, MAX_SALT, MIN_ITERATIONS, ScramFault, attributes, decoded, expect, is_nonce,
    only_extensions, text,
};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// `n,,n=user,r=nonce`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ClientFirst {
    gs2: String,
    bare: String,
    authzid: Option<String>,
    user: String,
    nonce: String,
}

/// `r=nonce,s=salt,i=iterations`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ServerFirst {
    text: String,
    nonce: String,
    salt: Vec<u8>,
    iterations: u32,
}

impl ClientFirst {
    /// As a client, without channel binding. The nonce is [`super::nonce`]'s.
    #[must_use]
    pub fn new(user: &str, nonce: &str) -> Self {
        Self {
            gs2: "n,,".to_owned(),
            bare: format!("n={},r={nonce}", escaped(user)),
            authzid: None,
            user: user.to_owned(),
            nonce: nonce.to_owned(),
        }
    }

    /// As a server that offers no channel binding.
    ///
    /// # Errors
    /// When it follows no grammar, insists on channel binding (`p=`) or asks for an extension.
    pub fn read(message: &[u8]) -> Result<Self, ScramFault> {
        let message = text(message)?;
        let mut parts = message.splitn(3, ',');
        let flag = parts.next().unwrap_or_default();
        let authzid = parts.next().ok_or(ScramFault::Malformed)?;
        let bare = parts.next().ok_or(ScramFault::Malformed)?;
        match flag {
            "n" | "y" => {}
            _ if flag.starts_with("p=") => return Err(ScramFault::ChannelBinding),
            _ => return Err(ScramFault::Malformed),
        }
        let authzid = match authzid.strip_prefix("a=") {
            Some(name) => Some(unescaped(name)?),
            None if authzid.is_empty() => None,
            None => return Err(ScramFault::Malformed),
        };
        let mut found = attributes(bare);
        let user = unescaped(expect(&mut found, b'n')?)?;
        let nonce = expect(&mut found, b'r')?.to_owned();
        only_extensions(found)?;
        if !is_nonce(&nonce) {
            return Err(ScramFault::Malformed);
        }
        let gs2 = message[..message.len() - bare.len()].to_owned();
        Ok(Self { gs2, bare: bare.to_owned(), authzid, user, nonce })
    }

    /// The message.
    #[must_use]
    pub fn text(&self) -> String {
        format!("{}{}", self.gs2, self.bare)
    }

    /// The message without its header: a part of what is signed.
    #[must_use]
    pub fn bare(&self) -> &str {
        &self.bare
    }

    /// The header, which the last message repeats.
    #[must_use]
    pub fn gs2(&self) -> &str {
        &self.gs2
    }

    /// Whose password it is.
    #[must_use]
    pub fn user(&self) -> &str {
        &self.user
    }

    /// Whom the client wants to act as, when it says so.
    #[must_use]
    pub fn authzid(&self) -> Option<&str> {
        self.authzid.as_deref()
    }

    /// The client's nonce.
    #[must_use]
    pub fn nonce(&self) -> &str {
        &self.nonce
    }
}

impl ServerFirst {
    /// As a server: its own nonce (from [`super::nonce`]) is appended to the client's.
    #[must_use]
    pub fn new(first: &ClientFirst, nonce: &str, salt: &[u8], iterations: u32) -> Self {
        let nonce = format!("{}{nonce}", first.nonce());
        let text = format!("r={nonce},s={},i={iterations}", STANDARD.encode(salt));
        Self { text, nonce, salt: salt.to_vec(), iterations }
    }

    /// As a client that sent `first`.
    ///
    /// # Errors
    /// When it follows no grammar, does not extend our nonce, or has too few or too many iterations.
    pub fn read(message: &[u8], first: &ClientFirst) -> Result<Self, ScramFault> {
        let message = text(message)?;
        let mut found = attributes(message);
        let nonce = expect(&mut found, b'r')?.to_owned();
        let salt = decoded(expect(&mut found, b's')?)?;
        let iterations = expect(&mut found, b'i')?;
        only_extensions(found)?;
        if !is_nonce(&nonce) || salt.is_empty() || salt.len() > MAX_SALT {
            return Err(ScramFault::Malformed);
        }
        let extended = nonce.starts_with(first.nonce()) && nonce.len() > first.nonce().len();
        if !extended {
            return Err(ScramFault::Nonce);
        }
        let digits = iterations.bytes().all(|b| b.is_ascii_digit());
        let iterations: u32 = match iterations.parse() {
            Ok(count) if digits => count,
            _ if digits => u32::MAX,
            _ => return Err(ScramFault::Malformed),
        };
        if !(MIN_ITERATIONS..=MAX_ITERATIONS).contains(&iterations) {
            return Err(ScramFault::Iterations(iterations));
        }
        Ok(Self { text: message.to_owned(), nonce, salt, iterations })
    }

    /// The message: a part of what is signed.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Both nonces, the client's first.
    #[must_use]
    pub fn nonce(&self) -> &str {
        &self.nonce
    }

    /// The salt.
    #[must_use]
    pub fn salt(&self) -> &[u8] {
        &self.salt
    }

    /// How often the password is hashed.
    #[must_use]
    pub const fn iterations(&self) -> u32 {
        self.iterations
    }
}

/// RFC 5802 section 5.1: `,` and `=` in names.
fn escaped(name: &str) -> String {
    name.replace('=', "=3D").replace(',', "=2C")
}

fn unescaped(name: &str) -> Result<String, ScramFault> {
    let mut out = String::with_capacity(name.len());
    let mut parts = name.split('=');
    out.push_str(parts.next().unwrap_or_default());
    for part in parts {
        let (letter, rest) = match part.get(..2) {
            Some("2C") => (',', &part[2..]),
            Some("3D") => ('=', &part[2..]),
            _ => return Err(ScramFault::Malformed),
        };
        out.push(letter);
        out.push_str(rest);
    }
    (!out.is_empty()).then_some(out).ok_or(ScramFault::Malformed)
}
