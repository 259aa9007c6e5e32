//! `spool`: its arguments.

use clap::Subcommand;
use std::path::PathBuf;

/// What to do with the spool. Without a daemon, unless it says otherwise.
#[derive(Subcommand, Debug)]
pub(crate) enum SpoolVerb {
    /// Read everything in the spool and tell what is wrong; changes nothing
    ///
    /// Exit status: 0 when all is well, 5 when something was found, 1 when the spool cannot be read. While a daemon has
    /// the spool, it is asked what it has found.
    Check {
        /// The data folder, instead of that of the settings
        folder: Option<PathBuf>,
    },
    /// Damaged places, and the messages that can be read out of them
    #[command(subcommand)]
    Quarantine(QuarantineVerb),
    /// Write all messages with envelopes, states and attempts to a folder, or as lines to standard output
    ///
    /// Out of a spool that no daemon has, or out of a running daemon. To move to another machine stop the daemon first:
    /// what it delivers after the export would be delivered again there.
    Export {
        /// A folder that is new or empty; `-` for standard output
        to: PathBuf,
        /// The data folder, instead of that of the settings
        #[arg(long, value_name = "FOLDER")]
        data: Option<PathBuf>,
    },
    /// Take in what `spool export` wrote, into a spool that no daemon has
    Import {
        /// The folder; `-` for standard input
        from: PathBuf,
        /// The data folder, instead of that of the settings
        #[arg(long, value_name = "FOLDER")]
        data: Option<PathBuf>,
    },
    /// Tell the version of the spool's format, and bring it to that of this program
    Upgrade {
        /// The data folder, instead of that of the settings
        folder: Option<PathBuf>,
        /// Only tell
        #[arg(long)]
        dry_run: bool,
    },
}

/// What to do with damaged places.
#[derive(Subcommand, Debug)]
pub(crate) enum QuarantineVerb {
    /// The places
    List {
        /// Also those that were removed
        #[arg(long)]
        all: bool,
        /// The data folder, instead of that of the settings
        #[arg(long, value_name = "FOLDER")]
        data: Option<PathBuf>,
    },
    /// One place and the messages in it
    Show {
        /// Its name
        name: String,
        /// The data folder, instead of that of the settings
        #[arg(long, value_name = "FOLDER")]
        data: Option<PathBuf>,
    },
    /// Write what can be read of the messages of a place as .eml files
    Export {
        /// Its name
        name: String,
        /// A folder; it is made when it is missing
        to: PathBuf,
        /// The data folder, instead of that of the settings
        #[arg(long, value_name = "FOLDER")]
        data: Option<PathBuf>,
    },
    /// Accept the whole messages of a place as new mail, by the daemon or without one
    Restore {
        /// Its name
        name: String,
        /// Only this message
        id: Option<String>,
        /// The data folder, instead of that of the settings
        #[arg(long, value_name = "FOLDER")]
        data: Option<PathBuf>,
    },
    /// Forget a place: its octets are removed, the note stays
    Remove {
        /// Its name
        name: String,
        /// The data folder, instead of that of the settings
        #[arg(long, value_name = "FOLDER")]
        data: Option<PathBuf>,
    },
}
