//! The last messages of either side (RFC 5802 section 7: client-final-message, server-final-message).

use super::{
    ClientFirst, KEY, Key, ScramFault, ServerFirst, attributes, auth_message, decoded_key, expect,
    only_extensions, text,
};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// `c=biws,r=nonce,p=proof`.
#[derive(Clone, PartialEq, Eq)]
pub struct ClientFinal {
    without_proof: String,
    proof: [u8; KEY],
}

/// `v=signature`, or `e=error`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ServerFinal {
    /// The server knows the user: its signature.
    Signature([u8; KEY]),
    /// Why it ends the exchange, one of the words of RFC 5802 section 7.
    Error(String),
}

impl ClientFinal {
    /// As a client, with the `ClientKey`.
    #[must_use]
    pub fn new(first: &ClientFirst, server: &ServerFirst, client_key: &Key) -> Self {
        let binding = STANDARD.encode(first.gs2());
        let without_proof = format!("c={binding},r={}", server.nonce());
        let mut last = Self { without_proof, proof: [0; KEY] };
        last.proof = client_key.proof(&auth_message(first, server, &last));
        last
    }

    /// As a server that has read `first` and sent `server`. Whether the proof holds is [`Key::proves`]'s to say.
    ///
    /// # Errors
    /// When it follows no grammar, or header or nonce are not those of this exchange.
    pub fn read(
        message: &[u8],
        first: &ClientFirst,
        server: &ServerFirst,
    ) -> Result<Self, ScramFault> {
        let message = text(message)?;
        let (without_proof, proof) = message.rsplit_once(",p=").ok_or(ScramFault::Malformed)?;
        let mut found = attributes(without_proof);
        let binding = expect(&mut found, b'c')?;
        let nonce = expect(&mut found, b'r')?;
        only_extensions(found)?;
        if binding != STANDARD.encode(first.gs2()) {
            return Err(ScramFault::ChannelBinding);
        }
        if nonce != server.nonce() {
            return Err(ScramFault::Nonce);
        }
        Ok(Self { without_proof: without_proof.to_owned(), proof: decoded_key(proof)? })
    }

    /// The message.
    #[must_use]
    pub fn text(&self) -> String {
        format!("{},p={}", self.without_proof, STANDARD.encode(self.proof))
    }

    /// The message without its proof: a part of what is signed.
    #[must_use]
    pub fn without_proof(&self) -> &str {
        &self.without_proof
    }

    /// What shows that the client knows the password.
    #[must_use]
    pub const fn proof(&self) -> &[u8; KEY] {
        &self.proof
    }
}

impl std::fmt::Debug for ClientFinal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClientFinal").field("without_proof", &self.without_proof).finish()
    }
}

impl ServerFinal {
    /// Reads it.
    ///
    /// # Errors
    /// When it follows no grammar.
    pub fn read(message: &[u8]) -> Result<Self, ScramFault> {
        let mut found = attributes(text(message)?);
        let read = match found.next().ok_or(ScramFault::Malformed)?? {
            (b'v', value) => Self::Signature(decoded_key(value)?),
            (b'e', value) => Self::Error(value.to_owned()),
            (b'm', _) => return Err(ScramFault::Extension),
            _ => return Err(ScramFault::Malformed),
        };
        only_extensions(found)?;
        Ok(read)
    }

    /// The message.
    #[must_use]
    pub fn text(&self) -> String {
        match self {
            Self::Signature(signature) => format!("v={}", STANDARD.encode(signature)),
            Self::Error(word) => format!("e={word}"),
        }
    }

    /// As a client, with the `ServerKey`: the server has shown that it knows the user's keys.
    ///
    /// # Errors
    /// When it has not.
    pub fn verify(&self, server_key: &Key, auth_message: &str) -> Result<(), ScramFault> {
        match self {
            Self::Signature(said) if Key::new(*said) == Key::new(server_key.sign(auth_message)) => {
                Ok(())
            }
            Self::Signature(_) => Err(ScramFault::ServerUnproven),
            Self::Error(_) => Err(ScramFault::ServerError),
        }
    }
}
