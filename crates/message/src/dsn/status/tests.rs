//! What is written is read; and what real servers write, in pieces (whole bounces: `tests/bounces.rs`).

use super::*;
use posthaste_mail::Reply;
use proptest::prelude::*;

fn read(text: &str) -> DeliveryStatus {
    DeliveryStatus::read(text.replace('\n', "\r\n").as_bytes())
}

#[test]
fn a_report_is_read_field_by_field() {
    let found = read(
        "Original-Envelope-Id: ann 1\nReporting-MTA: dns; mx.example.org\nDSN-Gateway: x400; gw\n\
         Received-From-MTA: DNS; client.example\nArrival-Date: Sat, 21 Nov 2026 06:53:04 +0000\n\
         X-Queue-ID: 7\n\n\
         Original-Recipient: rfc822;robert@example.net\nFinal-Recipient: RFC822; <bob@example.net>\n\
         Action: Delayed (still trying)\nStatus: 4.4.1 (no answer)\nRemote-MTA: dns; mx.example.net\n\
         Diagnostic-Code: smtp; 450-4.2.0 greylisted,\n  450 4.2.0 come again\n\
         Last-Attempt-Date: Sat, 21 Nov 2026 07:53:04 +0000\nFinal-Log-ID: 8\n\
         Will-Retry-Until: Mon, 23 Nov 2026 06:53:04 +0000\nX-Spam: no\n",
    );
    assert_eq!(found.original_envelope_id.as_deref(), Some("ann 1"));
    assert_eq!(found.dsn_gateway, Some(Typed::new("x400", "gw")));
    assert_eq!(found.received_from_mta, Some(Typed::new("DNS", "client.example")));
    assert_eq!(
        found.arrival_date.as_ref().and_then(Date::at),
        Some(Timestamp::from_secs(1_795_243_984))
    );
    assert_eq!(found.extension("x-queue-id"), Some("7"));
    let [one] = found.recipients.as_slice() else { panic!("{found:#?}") };
    assert_eq!(one.address(), Some("robert@example.net"));
    assert_eq!(one.final_recipient.as_ref().map(Typed::address), Some("bob@example.net"));
    assert_eq!((one.action, one.status), (Some(Action::Delayed), status(4, 4, 1)));
    let lines = vec!["greylisted,".to_owned(), "come again".to_owned()];
    let reply = Reply { code: 450, enhanced: status(4, 2, 0), lines };
    assert_eq!(one.diagnostic.as_ref().and_then(Typed::reply), Some(reply));
    assert_eq!(one.final_log_id.as_deref(), Some("8"));
    assert_eq!(one.extension("X-SPAM"), Some("no"));
    assert!(one.will_retry_until.is_some() && one.last_attempt_date.is_some());
}

const fn status(class: u8, subject: u16, detail: u16) -> Option<EnhancedStatus> {
    Some(EnhancedStatus::new(class, subject, detail))
}

#[test]
fn groups_that_run_together_or_are_torn_apart() {
    let together = "Reporting-MTA: dns; a\nFinal-Recipient: rfc822; b@x\nAction: failed\nStatus: 5.1.1\n\
                    Final-Recipient: rfc822; c@x\nAction: failed\nStatus: 5.2.2\n";
    let torn = "Reporting-MTA: dns; a\n \nFinal-Recipient: rfc822; b@x\n\nAction: failed\n\t\nStatus: 5.1.1\n\n\n\
                Action: failed\nFinal-Recipient: rfc822; c@x\nStatus: 5.2.2";
    let headless = "Action: failed\nStatus: 5.1.1\nFinal-Recipient: rfc822; b@x\n\n\
                    Status: 5.2.2\nFinal-Recipient: rfc822; c@x\nFinal-Recipient: rfc822; c@x\nAction: failed\n";
    for text in [together, torn, headless] {
        let found = read(text);
        let told: Vec<_> = found
            .recipients
            .iter()
            .map(|r| (r.address().unwrap_or(""), r.action, r.status))
            .collect();
        let expected = [
            ("b@x", Some(Action::Failed), status(5, 1, 1)),
            ("c@x", Some(Action::Failed), status(5, 2, 2)),
        ];
        assert_eq!(told, expected, "{text}");
    }
}

#[test]
fn what_is_not_understood_is_kept() {
    let found = read(
        "Reporting-MTA: mail.example\nReporting-MTA: dns; second\n\nFinal-Recipient: bob@x\nAction: eaten\nStatus: bad\nction: failed\n",
    );
    assert_eq!(found.reporting_mta, Some(Typed::new("", "mail.example")));
    assert_eq!(found.extension("Reporting-MTA"), Some("dns; second"));
    let one = &found.recipients[0];
    assert_eq!((one.action, one.status, one.address()), (None, None, Some("bob@x")));
    assert_eq!((one.extension("Action"), one.extension("Status")), (Some("eaten"), Some("bad")));
    assert_eq!(one.extension("ction"), Some("failed"));
}

#[test]
fn addresses_as_servers_write_them() {
    for (text, kind, address) in [
        ("rfc822; bob@example.net", "rfc822", "bob@example.net"),
        ("RFC822;<bob@example.net>", "RFC822", "bob@example.net"),
        ("rfc822; Bob <bob@example.net>", "rfc822", "bob@example.net"),
        ("rfc822; bob@example.net (unknown user)", "rfc822", "bob@example.net"),
        ("rfc822;SMTP:bob@example.net", "rfc822", "bob@example.net"),
        ("rfc822; \"a <b> (c)\"@example.net", "rfc822", "\"a <b> (c)\"@example.net"),
        ("x400; /G=bob/C=de;x/", "x400", "/G=bob/C=de;x/"),
        ("unknown; ", "unknown", ""),
        ("bob@example.net", "", "bob@example.net"),
    ] {
        let read = Typed::read(text);
        assert_eq!((read.kind.as_str(), read.address()), (kind, address), "{text}");
    }
}

#[test]
fn addresses_beyond_ascii_have_three_forms() {
    for (address, seven_bit, global) in [
        ("jörg@münchen.de", r"j\x{F6}rg@m\x{FC}nchen.de", "jörg@münchen.de"),
        ("jörg+1=2@x.de", r"j\x{F6}rg\x{2B}1\x{3D}2@x.de", "jörg+1=2@x.de"),
        (r#""j\ö +"@x"#, r#""j\x{5C}\x{F6}\x{20}\x{2B}"@x"#, r#""j\x{5C}ö\x{20}\x{2B}"@x"#),
        ("用户@例子.广告", r"\x{7528}\x{6237}@\x{4F8B}\x{5B50}.\x{5E7F}\x{544A}", "用户@例子.广告"),
    ] {
        for (form, written) in [(Form::SevenBit, seven_bit), (Form::Global, global)] {
            let recipient = RecipientStatus {
                final_recipient: Some(Typed::of_address(address)),
                ..RecipientStatus::default()
            };
            let status = DeliveryStatus { recipients: vec![recipient], ..Default::default() };
            let text = status.written(form);
            assert_eq!(text, format!("\r\nFinal-Recipient: utf-8; {written}\r\n"));
            assert_eq!(DeliveryStatus::read(text.as_bytes()), status);
        }
    }
}

#[test]
fn replies_within_diagnostic_codes() {
    for (text, expected) in [
        ("smtp; 550 5.1.1 no such user", Some((550, status(5, 1, 1), vec!["no such user"]))),
        ("smtp;421 busy", Some((421, None, vec!["busy"]))),
        (
            "SMTP; 550-5.7.1 one 550-5.7.1 two 550 5.7.1 three",
            Some((550, status(5, 7, 1), vec!["one", "two", "three"])),
        ),
        ("smtp; 550-see 550 and 550 end", Some((550, None, vec!["see", "and 550 end"]))),
        (
            "smtp; 550-5.7.1 see 550 and 550 5.7.1 end",
            Some((550, status(5, 7, 1), vec!["see 550 and", "end"])),
        ),
        ("smtp; 550-5.7.1 cut off", Some((550, status(5, 7, 1), vec!["cut off"]))),
        ("550 5.1.1 untyped", Some((550, status(5, 1, 1), vec!["untyped"]))),
        ("smtp; 250", Some((250, None, vec![""]))),
        ("smtp; DNS Error: NXDOMAIN", None),
        ("x-postfix; host said: 550 no", None),
        ("smtp; 5.1.1", None),
        ("smtp; ü50", None),
    ] {
        let reply = Typed::read(text).reply();
        let expected = expected.map(|(code, enhanced, lines)| Reply {
            code,
            enhanced,
            lines: lines.into_iter().map(str::to_owned).collect(),
        });
        assert_eq!(reply, expected, "{text}");
    }
}

#[test]
fn a_flood_is_counted_and_not_kept() {
    let many = "Final-Recipient: rfc822; a@x\r\nAction: failed\r\n\r\n".repeat(MAX_RECIPIENTS + 7);
    let found = DeliveryStatus::read(many.as_bytes());
    assert_eq!((found.recipients.len(), found.left_out), (MAX_RECIPIENTS, 7));
    let long = format!(
        "Final-Recipient: rfc822; a@x\nX-A: {}\n{}",
        "y".repeat(100_000),
        "X-B: z\n".repeat(500)
    );
    let one = &DeliveryStatus::read(long.as_bytes()).recipients[0];
    assert_eq!(one.extensions.len(), MAX_EXTENSIONS);
    assert!(one.extensions.iter().all(|field| field.value.len() <= MAX_VALUE));
}

#[test]
fn hostile_values_end_no_field_and_turn_no_writing() {
    let status = DeliveryStatus {
        original_envelope_id: Some("a\r\nAction: delivered\u{202e}\x1b\tb".into()),
        ..DeliveryStatus::default()
    };
    for form in [Form::SevenBit, Form::Global] {
        assert_eq!(status.written(form), "Original-Envelope-Id: a??Action: delivered?? b\r\n");
    }
}

/// Words without the blanks at the ends that unfolding and trimming take.
fn words() -> impl Strategy<Value = String> {
    proptest::collection::vec("[!-~äß用😀]{1,30}", 1..6).prop_flat_map(|words| {
        proptest::collection::vec(1..4usize, words.len()).prop_map(move |gaps| {
            let mut text = String::new();
            for (word, gap) in words.iter().zip(gaps) {
                text.push_str(word);
                text.push_str(&" ".repeat(gap));
            }
            text.trim().replace("=?", "==")
        })
    })
}

fn typed() -> impl Strategy<Value = Typed> {
    (prop_oneof![Just("rfc822"), Just("utf-8"), Just("x-y"), Just("smtp")], words())
        .prop_map(|(kind, value)| Typed::new(kind, value))
}

fn date() -> impl Strategy<Value = Date> {
    (0..4_000_000_000i64).prop_map(|at| Date::of(Timestamp::from_secs(at)))
}

fn extensions() -> impl Strategy<Value = Vec<Extension>> {
    proptest::collection::vec(("X-[A-Za-z-]{1,20}", words()), 0..4).prop_map(|fields| {
        fields.into_iter().map(|(name, value)| Extension { name, value }).collect()
    })
}

prop_compose! {
    fn recipient()(
        original_recipient in proptest::option::of(typed()),
        final_recipient in typed(),
        action in proptest::option::of(0..5usize),
        status in proptest::option::of((0..3usize, 0..1000u16, 0..1000u16)),
        remote_mta in proptest::option::of(typed()),
        diagnostic in proptest::option::of(typed()),
        last_attempt_date in proptest::option::of(date()),
        final_log_id in proptest::option::of(words()),
        will_retry_until in proptest::option::of(date()),
        extensions in extensions(),
    ) -> RecipientStatus {
        RecipientStatus {
            original_recipient,
            final_recipient: Some(final_recipient),
            action: action.map(|at| Action::ALL[at].0),
            status: status.map(|(class, subject, detail)| EnhancedStatus::new([2, 4, 5][class], subject, detail)),
            remote_mta, diagnostic, last_attempt_date, final_log_id, will_retry_until, extensions,
        }
    }
}

prop_compose! {
    fn report()(
        original_envelope_id in proptest::option::of(words()),
        reporting_mta in proptest::option::of(typed()),
        received_from_mta in proptest::option::of(typed()),
        arrival_date in proptest::option::of(date()),
        extensions in extensions(),
        recipients in proptest::collection::vec(recipient(), 0..5),
    ) -> DeliveryStatus {
        DeliveryStatus {
            original_envelope_id, reporting_mta, dsn_gateway: None, received_from_mta, arrival_date,
            extensions, recipients, left_out: 0,
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_written_is_read(report in report(), global: bool) {
        let form = if global { Form::Global } else { Form::SevenBit };
        let text = report.written(form);
        prop_assert!(global || text.is_ascii());
        prop_assert!(text.lines().all(|line| line.len() <= 998));
        prop_assert_eq!(DeliveryStatus::read(text.as_bytes()), report);
    }

    #[test]
    fn replies_come_back(code in 200..600u16, status in proptest::option::of((0..3usize, 0..9u16, 0..99u16)),
        lines in proptest::collection::vec("[a-z:,<>@]{1,10}( [a-z;.]{1,10}){0,5}", 1..6)) {
        let enhanced = status.map(|(class, subject, detail)| EnhancedStatus::new([2, 4, 5][class], subject, detail));
        let reply = Reply { code, enhanced, lines };
        let typed = Typed::of_reply(&reply);
        prop_assert_eq!(Typed::read(&format!("smtp; {}", typed.value)).reply(), Some(reply));
    }

    #[test]
    fn any_octets_are_read(octets in proptest::collection::vec(any::<u8>(), 0..2_000)) {
        let _ = DeliveryStatus::read(&octets);
    }
}
