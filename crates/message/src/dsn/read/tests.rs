//! Reports in the shapes that real servers, and people who forward them, give them (whole ones, each in the shape of one server: `tests/bounces.rs`).

use super::*;

const STATUS: &str = "Reporting-MTA: dns; mx.example.org\n\nFinal-Recipient: rfc822; bob@example.net\nAction: failed\nStatus: 5.1.1\n";
const ORIGINAL: &str = "From: ann@example.org\nTo: bob@example.net\nSubject: Minutes\nMessage-ID: <1@example.org>\n\nThe minutes.\n";

/// A `multipart/report` of these parts, each with the header it is given.
fn report(parts: &[(&str, &str)]) -> String {
    let mut mail = "From: MAILER-DAEMON@mx.example.org\nSubject: =?utf-8?Q?Zur=C3=BCck?=\nReferences: <0@x> <1@example.org>\n\
        Auto-Submitted: auto-replied\nX-Failed-Recipients: bob@example.net, eve@x\nDate: Sat, 21 Nov 2026 06:53:04 +0000\n\
        Content-Type: multipart/report; boundary=b\n\n"
        .to_owned();
    for (head, content) in parts {
        mail.push_str(&format!("--b\n{head}\n{content}\n"));
    }
    mail + "--b--\n"
}

fn found(mail: &str) -> ReadReport {
    read(mail.replace('\n', "\r\n").as_bytes()).unwrap_or_else(|none| panic!("{none}\n{mail}"))
}

fn bob(report: &ReadReport) -> bool {
    let told: Vec<_> = report.status.recipients.iter().map(|r| (r.address(), r.action)).collect();
    told == [(Some("bob@example.net"), Some(Action::Failed))]
}

#[test]
fn a_report_as_it_should_be() {
    let mail = report(&[
        ("Content-Type: text/plain; charset=utf-8\n", "Nicht zugestellt: Grüße\n"),
        ("Content-Type: message/delivery-status\n", STATUS),
        ("Content-Type: message/rfc822\n", ORIGINAL),
    ]);
    let read = found(&mail);
    assert!(bob(&read) && read.place == Place::Labelled && read.kind() == Some(Kind::Failed));
    assert_eq!(read.text.as_deref(), Some("Nicht zugestellt: Grüße\n"));
    let head = &read.head;
    assert_eq!(head.subject.as_deref(), Some("Zurück"));
    assert_eq!(head.in_reply_to.as_deref(), Some("<1@example.org>"));
    assert_eq!(head.auto_submitted.as_deref(), Some("auto-replied"));
    assert_eq!(head.failed_recipients, ["bob@example.net", "eve@x"]);
    assert!(head.date.as_ref().and_then(Date::at).is_some());
    let returned = read.returned.expect("it came back");
    assert!(returned.whole && !returned.cut);
    assert_eq!(returned.summary().subject.as_deref(), Some("Minutes"));
    assert_eq!(returned.octets, ORIGINAL.replace('\n', "\r\n").trim_end_matches('x').as_bytes());
}

#[test]
fn labels_that_are_wrong_or_missing() {
    let text = ("Content-Type: text/plain\n", "Sorry.\n");
    for parts in [
        // The part for machines is called a text, or an attachment, or nothing at all.
        vec![
            text,
            ("Content-Type: text/plain; name=status.txt\n", STATUS),
            ("Content-Type: message/rfc822\n", ORIGINAL),
        ],
        vec![
            text,
            ("Content-Type: application/octet-stream\n", STATUS),
            ("Content-Type: message/rfc822\n", ORIGINAL),
        ],
        vec![text, ("", STATUS), ("", ORIGINAL)],
        vec![
            ("", "Sorry.\n"),
            ("Content-Type: message/delivery-status\n", STATUS),
            ("Content-Type: text/plain\n", ORIGINAL),
        ],
        // Encodings that RFC 3464 forbids there.
        vec![
            text,
            (
                "Content-Type: message/delivery-status\nContent-Transfer-Encoding: quoted-printable\n",
                "Reporting-MTA: dns; mx=2Eexample.org\n\nFinal-Recipient: rfc822;=\n bob@example.net\nAction: failed\nStatus: 5.1.1\n",
            ),
            ("Content-Type: text/rfc822-headers\n", ORIGINAL),
        ],
        vec![
            text,
            (
                "Content-Type: message/global-delivery-status\nContent-Transfer-Encoding: base64\n",
                "UmVwb3J0aW5nLU1UQTogZG5zOyBteAoKRmluYWwtUmVjaXBpZW50OiByZmM4MjI7IGJvYkBleGFt\ncGxlLm5ldApBY3Rpb246IGZhaWxlZApTdGF0dXM6IDUuMS4xCg==\n",
            ),
            ("Content-Type: message/global-headers\n", ORIGINAL),
        ],
        // No empty line between the part's header and its fields.
        vec![
            text,
            ("Content-Type: message/delivery-status", STATUS),
            ("Content-Type: message/global\n", ORIGINAL),
        ],
        // The original comes first.
        vec![
            ("Content-Type: message/rfc822\n", ORIGINAL),
            ("Content-Type: message/delivery-status\n", STATUS),
            text,
        ],
    ] {
        let mail = report(&parts);
        let read = found(&mail);
        assert!(bob(&read), "{mail}\n{read:#?}");
        assert_eq!(read.text.as_deref().map(str::trim), Some("Sorry."), "{mail}");
        let about = read.returned.expect(&mail).summary().message_id;
        assert_eq!(about.as_deref(), Some("<1@example.org>"), "{mail}");
    }
}

#[test]
fn a_boundary_that_somebody_has_changed_in_the_middle() {
    let mail = report(&[
        ("Content-Type: text/plain\n", "Sorry.\n"),
        ("Content-Type: message/delivery-status\n", STATUS),
        ("Content-Type: message/rfc822\n", ORIGINAL),
    ]);
    let mail =
        mail.replace("--b\nContent-Type: message/rfc822", "--c\nContent-Type: message/rfc822");
    let read = found(&mail);
    assert!(bob(&read) && read.place == Place::Labelled, "{read:#?}");
    let about = read.returned.expect("it came back").summary().message_id;
    assert_eq!(about.as_deref(), Some("<1@example.org>"));
}

#[test]
fn no_mime_at_all() {
    let plain = format!("Subject: Returned mail\n\nSorry, it failed.\n\n{STATUS}\n{ORIGINAL}");
    let lost = format!(
        "Content-Type: multipart/report; boundary=lost\n\nSorry, it failed.\n\n{STATUS}\n{ORIGINAL}"
    );
    let quoted = format!(
        "Subject: Fwd\n\nWhat is this?\n> Sorry, it failed.\n>\n> {}",
        format!("{STATUS}\n{ORIGINAL}").replace('\n', "\n> ")
    );
    for mail in [plain, lost, quoted] {
        let read = found(&mail);
        assert!(bob(&read) && read.place == Place::WithinText, "{mail}");
        assert!(read.text.expect(&mail).contains("Sorry, it failed."));
        assert_eq!(read.returned.expect(&mail).summary().subject.as_deref(), Some("Minutes"));
    }
}

#[test]
fn the_first_report_is_the_one_within_which_others_came_back() {
    let inner =
        report(&[("Content-Type: message/delivery-status\n", &STATUS.replace("bob", "inner"))]);
    let mail = report(&[
        ("Content-Type: message/delivery-status\n", STATUS),
        ("Content-Type: message/rfc822\n", &inner.replace("=b\n", "=c\n").replace("--b", "--c")),
    ]);
    assert!(bob(&found(&mail)));
}

#[test]
fn forwarded_and_forwarded_again_but_not_for_ever() {
    let mut mail = report(&[("Content-Type: message/delivery-status\n", STATUS)]);
    for depth in 0..=MAX_FORWARDED {
        let within = read(mail.as_bytes()).map(|report| bob(&report));
        assert_eq!(within, Ok(true), "{depth}");
        mail = format!(
            "Content-Type: multipart/mixed; boundary=f{depth}\n\n--f{depth}\n\nSee below.\n--f{depth}\nContent-Type: message/rfc822\n\n{mail}\n--f{depth}--\n"
        );
    }
    assert_eq!(read(mail.as_bytes()).err(), Some(NoReport::NoStatus));
}

#[test]
fn what_is_no_report_is_told_so() {
    let feedback = report(&[(
        "Content-Type: message/feedback-report\n",
        "Feedback-Type: abuse\nReporting-MTA: dns; x\nOriginal-Recipient: rfc822; a@x\n",
    )]);
    let displayed = report(&[(
        "Content-Type: message/disposition-notification\n",
        "Final-Recipient: rfc822; a@x\nDisposition: manual-action/MDN-sent-manually; displayed\n",
    )]);
    for (mail, expected) in [
        ("", NoReport::NoStatus),
        ("Subject: hello\n\nhow are you?\n", NoReport::NoStatus),
        ("Status: RO\nAction: none\n\nFinal-Recipient of the prize: you\n", NoReport::NoStatus),
        (ORIGINAL, NoReport::NoStatus),
        (&feedback, NoReport::Feedback),
        (&displayed, NoReport::Disposition),
    ] {
        assert_eq!(read(mail.as_bytes()).err(), Some(expected), "{mail}");
    }
}

#[test]
fn what_is_kept_is_bounded() {
    let words = "x".repeat(MAX_WORDS + 9);
    let original = format!("{ORIGINAL}{}", "y\n".repeat(MAX_RETURNED));
    let mail = report(&[
        ("Content-Type: text/plain\n", &words),
        ("Content-Type: message/delivery-status\n", STATUS),
        ("Content-Type: message/rfc822\n", &original),
    ]);
    let read = found(&mail);
    assert_eq!(read.text.map(|text| text.len()), Some(MAX_WORDS));
    let returned = read.returned.expect("it came back");
    assert!(returned.cut && returned.octets.len() == MAX_RETURNED);
}

/// What cost more than its size would take minutes here.
#[test]
fn hostile_shapes_take_no_long_time() {
    const SIZE: usize = 128 * 1024;
    for piece in [
        "Final-Recipient: x\n",
        "Reporting-MTA: x\n\n",
        "> ",
        "--b\n",
        "--\nContent-Type: x\n",
        "\n",
        " \n",
        "=",
        "= \t",
        ";",
        "\\x{",
        "a: \n ",
        "Action: failed\n\n",
        "Content-Type: multipart/mixed; boundary=b\n\n--b\n",
    ] {
        for head in [
            "",
            "Content-Type: multipart/report; boundary=b\n\n",
            "Content-Type: message/delivery-status\n\n",
            "Content-Type: text/plain\nContent-Transfer-Encoding: quoted-printable\n\n",
        ] {
            let mail = format!("{head}{}", piece.repeat(SIZE / piece.len()));
            let _ = read(mail.as_bytes());
        }
    }
}
