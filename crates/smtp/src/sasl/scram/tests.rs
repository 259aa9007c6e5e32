//! RFC 7677 section 3, and messages that somebody wrote differently.

use super::*;
use posthaste_mail::Secret;

const CLIENT_FIRST: &str = "n,,n=user,r=rOprNGfwEbeRWgbNEkqO";
const SERVER_FIRST: &str = "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
                            s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
const CLIENT_FINAL: &str = "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
                            p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
const SERVER_FINAL: &str = "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=";

fn ours() -> ClientFirst {
    ClientFirst::new("user", "rOprNGfwEbeRWgbNEkqO")
}

#[test]
fn the_example_of_rfc_7677_as_a_client() {
    let first = ours();
    assert_eq!(first.text(), CLIENT_FIRST);
    let server = ServerFirst::read(SERVER_FIRST.as_bytes(), &first).unwrap();
    let salted = SaltedPassword::derive(&Secret::new("pencil"), server.salt(), server.iterations());
    let last = ClientFinal::new(&first, &server, &salted.client_key());
    assert_eq!(last.text(), CLIENT_FINAL);
    let said = ServerFinal::read(SERVER_FINAL.as_bytes()).unwrap();
    let signed = auth_message(&first, &server, &last);
    assert_eq!(said.verify(&salted.server_key(), &signed), Ok(()));
    for (other, fault) in [
        ("v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G5=", Err(ScramFault::Malformed)),
        ("v=7rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=", Err(ScramFault::ServerUnproven)),
        ("e=invalid-proof", Err(ScramFault::ServerError)),
    ] {
        let verified = ServerFinal::read(other.as_bytes())
            .and_then(|said| said.verify(&salted.server_key(), &signed));
        assert_eq!(verified, fault, "{other}");
    }
}

#[test]
fn the_example_of_rfc_7677_as_a_server() {
    let first = ClientFirst::read(CLIENT_FIRST.as_bytes()).unwrap();
    assert_eq!((first.user(), first.authzid(), first.gs2()), ("user", None, "n,,"));
    let salt = STANDARD.decode("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap();
    let stored = Stored::of(&Secret::new("pencil"), &salt, 4096);
    let server = ServerFirst::new(&first, "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0", &salt, 4096);
    assert_eq!(server.text(), SERVER_FIRST);
    let last = ClientFinal::read(CLIENT_FINAL.as_bytes(), &first, &server).unwrap();
    let signed = auth_message(&first, &server, &last);
    assert!(stored.stored.proves(&signed, last.proof()));
    let said = ServerFinal::Signature(stored.server.sign(&signed));
    assert_eq!(said.text(), SERVER_FINAL);
    let wrong = Stored::of(&Secret::new("pen"), &salt, 4096);
    assert!(!wrong.stored.proves(&signed, last.proof()));
    assert!(!stored.stored.proves(&signed, &[0; KEY]));
}

#[test]
fn names_with_commas_and_equals_signs_survive() {
    for name in ["a,b=c", "=2C", "müller", "=,=,", "plain"] {
        let first = ClientFirst::new(name, "abc");
        assert_eq!(ClientFirst::read(first.text().as_bytes()).unwrap(), first, "{name}");
    }
    let authzid = ClientFirst::read(b"y,a=me=2Ctoo,n=user,r=abc,x=y").unwrap();
    assert_eq!((authzid.authzid(), authzid.gs2()), (Some("me,too"), "y,a=me=2Ctoo,"));
}

#[test]
fn first_messages_of_clients_that_are_refused() {
    use ScramFault::{ChannelBinding, Extension, Malformed};
    for (message, fault) in [
        ("", Malformed),
        ("n,,", Malformed),
        ("n,,n=user", Malformed),
        ("n,,r=abc,n=user", Malformed),
        ("n,,n=,r=abc", Malformed),
        ("n,,n=user,r=", Malformed),
        ("n,,n=us=er,r=abc", Malformed),
        ("n,,n=us=2cer,r=abc", Malformed),
        ("n,,n=user,r=a b", Malformed),
        ("n,,n=us\0er,r=abc", Malformed),
        ("x,,n=user,r=abc", Malformed),
        ("n,b=c,n=user,r=abc", Malformed),
        ("n,,m=x,n=user,r=abc", Extension),
        ("n,,n=user,r=abc,m=x", Extension),
        ("p=tls-unique,,n=user,r=abc", ChannelBinding),
    ] {
        assert_eq!(ClientFirst::read(message.as_bytes()), Err(fault), "{message:?}");
    }
    let long = format!("n,,n={},r=abc", "x".repeat(MAX_MESSAGE));
    assert_eq!(ClientFirst::read(long.as_bytes()), Err(Malformed));
    assert_eq!(ClientFirst::read(b"n,,n=\xff,r=abc"), Err(Malformed));
}

#[test]
fn first_messages_of_servers_that_are_refused() {
    use ScramFault::{Extension, Iterations, Malformed, Nonce};
    let first = ClientFirst::new("user", "abc");
    for (message, expected) in [
        ("r=abcd,s=AAAA,i=4096", None),
        ("r=abcd,s=AAAA,i=4096,x=later", None),
        ("r=abcd,s=AAAA,i=600000", None),
        ("r=abc,s=AAAA,i=4096", Some(Nonce)),
        ("r=xabc,s=AAAA,i=4096", Some(Nonce)),
        ("s=AAAA,r=abcd,i=4096", Some(Malformed)),
        ("r=abcd,s=A?,i=4096", Some(Malformed)),
        ("r=abcd,s=,i=4096", Some(Malformed)),
        ("r=abcd,s=AAAA,i=+4096", Some(Malformed)),
        ("r=abcd,s=AAAA", Some(Malformed)),
        ("r=abcd,s=AAAA,i=4095", Some(Iterations(4095))),
        ("r=abcd,s=AAAA,i=600001", Some(Iterations(600_001))),
        ("r=abcd,s=AAAA,i=99999999999999999999", Some(Iterations(u32::MAX))),
        ("m=x,r=abcd,s=AAAA,i=4096", Some(Extension)),
        ("e=other-error", Some(Malformed)),
    ] {
        assert_eq!(ServerFirst::read(message.as_bytes(), &first).err(), expected, "{message}");
    }
}

#[test]
fn last_messages_of_clients_that_are_refused() {
    use ScramFault::{ChannelBinding, Extension, Malformed, Nonce};
    let first = ClientFirst::new("user", "abc");
    let server = ServerFirst::new(&first, "def", &[1], 4096);
    let proof = STANDARD.encode([7; KEY]);
    for (start, expected) in [
        ("c=biws,r=abcdef", None),
        ("c=biws,r=abcdef,x=y", None),
        ("c=eSws,r=abcdef", Some(ChannelBinding)),
        ("c=biws,r=abcde", Some(Nonce)),
        ("c=biws,r=abcdefg", Some(Nonce)),
        ("r=abcdef,c=biws", Some(Malformed)),
        ("c=biws,r=abcdef,m=x", Some(Extension)),
    ] {
        let message = format!("{start},p={proof}");
        let read = ClientFinal::read(message.as_bytes(), &first, &server);
        assert_eq!(read.err(), expected, "{start}");
    }
    for message in ["c=biws,r=abcdef", "c=biws,r=abcdef,p=AAAA", "c=biws,r=abcdef,p=?"] {
        let read = ClientFinal::read(message.as_bytes(), &first, &server);
        assert_eq!(read.err(), Some(Malformed), "{message}");
    }
}

#[test]
fn what_is_stored_is_read_again() {
    let stored = Stored::of(&Secret::new("pencil"), b"some salt", 4096);
    let text = stored.text();
    let text = text.expose_str().unwrap();
    assert_eq!(Stored::read(text), Some(stored.clone()));
    assert!(stored.is_of(&Secret::new("pencil")));
    assert!(!stored.is_of(&Secret::new("Pencil")));
    assert!(!format!("{stored:?}").contains(&STANDARD.encode(stored.server.expose())));
    for broken in [
        text.replace("4096", "4095"),
        text.replace("4096", "600001"),
        text.replace("SHA-256", "SHA-1"),
        text.replace(':', "$"),
        format!("{text}$"),
        text[..text.len() - 2].to_owned(),
        String::new(),
    ] {
        assert_eq!(Stored::read(&broken), None, "{broken}");
    }
}

#[test]
fn a_nonce_needs_no_escaping() {
    assert!(is_nonce(&nonce(&[0xff; NONCE])));
    assert_eq!(nonce(&[0xff; NONCE]).len(), 24);
}
