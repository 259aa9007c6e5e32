//! `notice`: its arguments.

use clap::builder::NonEmptyStringValueParser;
use clap::{Args, Subcommand, ValueEnum};
use posthaste_evidence::NoticeKind;

/// What senders are told.
#[derive(Subcommand, Debug)]
pub(crate) enum NoticeVerb {
    /// Show the notice that a sender would get; nothing is sent
    ///
    /// Of a message in the queue the daemon says what it would tell its sender now. A sample needs no daemon: it is made
    /// with the settings, your own texts included.
    Preview(Preview),
    /// Print the built-in texts of a language: what a file of your own begins with (docs/notices.md)
    Texts {
        /// Which
        #[arg(long, value_name = "TAG", default_value = "en")]
        lang: String,
    },
}

/// Which notice, and which part of it.
#[derive(Args, Debug)]
pub(crate) struct Preview {
    #[command(flatten)]
    pub(crate) of: Of,
    /// What the notice of the message tells
    #[arg(long, value_enum, value_name = "KIND", default_value_t = Kind::Delayed)]
    #[arg(conflicts_with = "sample")]
    pub(crate) kind: Kind,
    /// The language, such as de; not given: the one that the message asks for, else that of the settings
    #[arg(long, value_name = "TAG", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) lang: Option<String>,
    /// What of it; `html` and `all` are for files and browsers: --part all > notice.eml
    #[arg(long, value_enum, default_value_t = Part::Text)]
    pub(crate) part: Part,
}

/// Exactly one of these.
#[derive(Args, Debug)]
#[group(required = true, multiple = false)]
pub(crate) struct Of {
    /// A message in the queue
    #[arg(value_name = "ID")]
    pub(crate) id: Option<String>,
    /// A made-up message instead, to look at the words
    #[arg(long, value_enum, value_name = "KIND")]
    pub(crate) sample: Option<Sample>,
}

/// What a notice tells, by the words of the outside interface.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    /// The message will not be delivered
    Failed,
    /// It has not been delivered yet
    Delayed,
    /// It has been delivered, which the sender asked to be told
    Delivered,
    /// It was handed to a server that tells nothing further
    Relayed,
    /// It has been delivered after a delay notice
    AllClear,
}

/// Of which notice a sample is made: of a failure there are two, as they have little in common.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Sample {
    /// A server refused the message for good
    Failed,
    /// Its time was over; a failure as well
    Expired,
    /// It has not been delivered yet
    Delayed,
    /// It has been delivered, which the sender asked to be told
    Delivered,
    /// It was handed to a server that tells nothing further
    Relayed,
    /// It has been delivered after a delay notice
    AllClear,
}

/// A part of a notice.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Part {
    /// The words, with the sender, recipient and subject in front
    Text,
    /// The same words as a page
    Html,
    /// What machines read (RFC 3464)
    Status,
    /// The whole message, as it would be sent
    All,
}

impl From<Kind> for NoticeKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Failed => Self::Failed,
            Kind::Delayed => Self::Delayed,
            Kind::Delivered => Self::Delivered,
            Kind::Relayed => Self::Relayed,
            Kind::AllClear => Self::AllClear,
        }
    }
}

impl From<Sample> for NoticeKind {
    fn from(sample: Sample) -> Self {
        match sample {
            Sample::Failed | Sample::Expired => Self::Failed,
            Sample::Delayed => Self::Delayed,
            Sample::Delivered => Self::Delivered,
            Sample::Relayed => Self::Relayed,
            Sample::AllClear => Self::AllClear,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Cli, Verb};
    use clap::Parser;

    fn preview(arguments: &[&str]) -> Option<Preview> {
        let start = ["posthaste", "notice", "preview"];
        match Cli::try_parse_from(start.iter().chain(arguments)).ok()?.verb {
            Verb::Notice(NoticeVerb::Preview(preview)) => Some(preview),
            _ => None,
        }
    }

    #[test]
    fn a_preview_is_of_a_message_or_of_a_sample() {
        let of = |arguments: &[&str]| preview(arguments).expect("it is understood");
        let message = of(&["0000000000001"]);
        assert_eq!((message.kind, message.part), (Kind::Delayed, Part::Text));
        assert_eq!(of(&["0000000000001", "--kind", "failed"]).kind, Kind::Failed);
        let sample = of(&["--sample", "all-clear", "--lang", "de", "--part", "html"]);
        assert_eq!((sample.of.sample, sample.part), (Some(Sample::AllClear), Part::Html));
        for wrong in [
            &[][..],
            &["0000000000001", "--sample", "failed"],
            &["--sample", "failed", "--kind", "delayed"],
            &["--sample", "bounce"],
            &["--sample", "failed", "--lang", ""],
            &["--sample", "failed", "--part", "pdf"],
        ] {
            assert!(preview(wrong).is_none(), "{wrong:?}");
        }
    }

    #[test]
    fn kinds_have_the_names_of_the_outside_interface() {
        for kind in Kind::value_variants() {
            let word = kind.to_possible_value().expect("none is hidden");
            assert_eq!(NoticeKind::from(*kind).name(), word.get_name());
            let sample = Sample::from_str(word.get_name(), false).expect("each has a sample");
            assert_eq!(NoticeKind::from(sample), NoticeKind::from(*kind));
        }
        assert_eq!(Kind::value_variants().len(), NoticeKind::ALL.len());
    }
}
