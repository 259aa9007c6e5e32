//! `user`: its arguments.

use clap::builder::NonEmptyStringValueParser;
use clap::{Args, Subcommand};
use std::path::PathBuf;

/// Who may log in to send. Changes the file of the users; no daemon is needed, and one that runs sees it in seconds.
#[derive(Subcommand, Debug)]
pub(crate) enum UserVerb {
    /// Add a user; the password is asked for
    Add {
        /// What the user logs in as; an address may also be sent from
        #[arg(value_parser = NonEmptyStringValueParser::new())]
        name: String,
        #[command(flatten)]
        password: PasswordArgs,
        /// An address the user may send from; "@example.org" for all there, "*" for any, "<>" for notices
        #[arg(long = "sender", value_name = "ADDRESS")]
        senders: Vec<String>,
        /// Instead of `limits.user_messages_per_minute`; 0: any number
        #[arg(long, value_name = "N")]
        messages_per_minute: Option<u32>,
        /// Instead of `limits.user_recipients_per_minute`; 0: any number
        #[arg(long, value_name = "N")]
        recipients_per_minute: Option<u32>,
        /// Instead of `limits.user_recipients_per_day`; 0: any number
        #[arg(long, value_name = "N")]
        recipients_per_day: Option<u32>,
    },
    /// Give a user another password
    Passwd {
        /// The user
        name: String,
        #[command(flatten)]
        password: PasswordArgs,
    },
    /// The users
    List,
    /// Remove a user
    Remove {
        /// The user
        name: String,
    },
    /// Let a user log in no more, and keep the password
    Disable {
        /// The user
        name: String,
    },
    /// Let a user log in again
    Enable {
        /// The user
        name: String,
    },
}

/// Where a password comes from, and how it is kept. It is never an argument: others on the machine could read it.
#[derive(Args, Debug)]
pub(crate) struct PasswordArgs {
    /// Keep keys for SCRAM-SHA-256 instead of an argon2id hash; PLAIN and LOGIN are checked against them too
    #[arg(long)]
    pub(crate) scram: bool,
    /// Read it from the first line of standard input
    #[arg(long, group = "origin")]
    pub(crate) password_stdin: bool,
    /// Read it from the first line of a file
    #[arg(long, value_name = "FILE", group = "origin")]
    pub(crate) password_file: Option<PathBuf>,
    /// Make one, and print it once
    #[arg(long, group = "origin")]
    pub(crate) generate: bool,
}
