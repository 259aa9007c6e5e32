//! `dkim`: its arguments.

use clap::builder::NonEmptyStringValueParser;
use clap::{Args, Subcommand};
use std::path::PathBuf;

/// Keys that sign mail. None of these needs a daemon.
#[derive(Subcommand, Debug)]
pub(crate) enum DkimVerb {
    /// Make a key: writes its file, prints the DNS record to publish and the settings that use it
    New(DkimNew),
    /// The keys of the settings, who signs, and the records they need
    Show {
        /// Of this domain only
        #[arg(value_parser = NonEmptyStringValueParser::new())]
        domain: Option<String>,
    },
    /// Ask DNS whether the keys are published, and prove that signatures hold. Exit status 5 when one that signs is not right
    Check {
        /// Of this domain only
        #[arg(value_parser = NonEmptyStringValueParser::new())]
        domain: Option<String>,
    },
}

/// A key to be made.
#[derive(Args, Debug)]
pub(crate) struct DkimNew {
    /// The domain of the authors, as in From:
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    pub(crate) domain: String,
    /// Its name within the domain; default: the date
    #[arg(long, value_name = "NAME")]
    pub(crate) selector: Option<String>,
    /// RSA with 2048 bits, which every receiver understands: the default
    #[arg(long, conflicts_with_all = ["ed25519", "both"])]
    pub(crate) rsa: bool,
    /// Ed25519: short, and not understood everywhere yet
    #[arg(long, conflicts_with = "both")]
    pub(crate) ed25519: bool,
    /// One of each: two selectors, two records, two signatures
    #[arg(long)]
    pub(crate) both: bool,
    /// Where the files go; default: `dkim/DOMAIN` in the folder `data`
    #[arg(long, value_name = "FOLDER")]
    pub(crate) folder: Option<PathBuf>,
}
