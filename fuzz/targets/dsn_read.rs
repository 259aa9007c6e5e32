//! A bounce as any server, or anybody else, may send it: reading it never panics, keeps within its limits, takes time in
//! proportion to its size, and what was read can be shown and written.
#![no_main]

use libfuzzer_sys::fuzz_target;
use posthaste_message::dsn::read::{MAX_RETURNED, MAX_WORDS};
use posthaste_message::dsn::status::{
    DeliveryStatus, Extension, Form, MAX_EXTENSIONS, MAX_NAME, MAX_RECIPIENTS, Typed,
};
use posthaste_message::dsn::{ReadReport, read};

/// RFC 5322 section 2.1.1.
const LONGEST_LINE: usize = 998;

fuzz_target!(|octets: &[u8]| {
    fields(&DeliveryStatus::read(octets));
    let Ok(report) = read(octets) else { return };
    let ReadReport { text, html, status, returned, .. } = &report;
    // A character beyond the charset becomes three octets.
    assert!(text.iter().chain(html).all(|words| words.len() <= 3 * MAX_WORDS));
    assert!(returned.as_ref().is_none_or(|returned| returned.octets.len() <= MAX_RETURNED));
    assert!(!status.is_empty());
    fields(status);
    let _ = (report.kind(), returned.as_ref().map(|returned| returned.summary()));
});

fn fields(status: &DeliveryStatus) {
    assert!(status.recipients.len() <= MAX_RECIPIENTS);
    assert!(status.recipients.len() == MAX_RECIPIENTS || status.left_out == 0);
    extensions(&status.extensions);
    for one in &status.recipients {
        extensions(&one.extensions);
        let typed = [&one.original_recipient, &one.final_recipient, &one.remote_mta, &one.diagnostic];
        for typed in typed.into_iter().flatten() {
            calm(&typed.value);
            let _ = (typed.address(), typed.reply().map(|reply| Typed::of_reply(&reply)));
        }
        let dates = [&one.last_attempt_date, &one.will_retry_until];
        dates.into_iter().flatten().for_each(|date| drop(date.at()));
    }
    assert!(status.written(Form::SevenBit).is_ascii());
    for form in [Form::SevenBit, Form::Global] {
        let text = status.written(form);
        assert!(text.split("\r\n").all(|line| line.len() <= LONGEST_LINE && !line.contains(['\r', '\n'])));
    }
}

fn extensions(all: &[Extension]) {
    assert!(all.len() <= MAX_EXTENSIONS);
    for field in all {
        assert!(field.name.len() <= MAX_NAME);
        calm(&field.value);
    }
}

/// Nothing that could paint a terminal, or end a field.
fn calm(value: &str) {
    assert!(!value.chars().any(char::is_control), "{value:?}");
}
