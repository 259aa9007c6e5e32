//! The command line: every verb and its options.

mod check;
mod dkim;
mod notice;
mod spool;
mod user;

pub(crate) use check::CheckVerb;
pub(crate) use dkim::{DkimNew, DkimVerb};
pub(crate) use notice::{NoticeVerb, Part, Preview, Sample};
pub(crate) use spool::{QuarantineVerb, SpoolVerb};
pub(crate) use user::{PasswordArgs, UserVerb};

use clap::builder::NonEmptyStringValueParser;
use clap::error::ErrorKind;
use clap::{Args, Parser, Subcommand};
use posthaste_admin::units::parse_duration;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// Under which the help of a verb lists what every verb takes, apart from its own options.
const EVERYWHERE: &str = "Options of every verb";

/// An SMTP mail transport that explains itself.
#[derive(Parser, Debug)]
#[command(name = "posthaste", version, max_term_width = 100, disable_help_subcommand = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    /// Print JSON and nothing else on standard output
    #[arg(long, global = true, help_heading = EVERYWHERE)]
    pub(crate) json: bool,
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

/// Where the daemon is.
#[derive(Args, Debug)]
pub(crate) struct Global {
    /// The configuration file [env: POSTHASTE_CONFIG]
    #[arg(long, global = true, value_name = "FILE", help_heading = EVERYWHERE)]
    pub(crate) config: Option<PathBuf>,
    /// The daemon's control socket [env: POSTHASTE_SOCKET] [default: posthaste-data/control.sock, then
    /// /run/posthaste/control.sock]
    #[arg(long, global = true, value_name = "PATH", help_heading = EVERYWHERE)]
    pub(crate) socket: Option<PathBuf>,
    /// Let `clock_scale` make retry and expiry clocks faster: for tests
    #[arg(long, global = true, hide = true)]
    pub(crate) allow_clock_scale: bool,
}

/// What to do.
#[derive(Subcommand, Debug)]
pub(crate) enum Verb {
    /// Run the daemon
    ///
    /// Without a configuration file it listens on 127.0.0.1:2525, keeps its spool in ./posthaste-data, relays for this
    /// machine only and delivers by MX.
    Serve,
    /// Tell whether the daemon is ready: all listeners bound, recovery done, mail accepted
    Ping {
        /// Wait for it, at most this long
        #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
        wait: Option<Duration>,
    },
    /// What is going on, in ten lines
    Status(MonitorArgs),
    /// Accept no more mail and deliver what is queued; holds after a restart
    #[command(subcommand)]
    Maintenance(MaintenanceVerb),
    /// Let the daemon reread its settings
    Reload,
    /// Let the daemon finish what is under way and end
    Stop {
        /// Wait for its end, at most this long
        #[arg(long, value_name = "DURATION", value_parser = parse_duration, default_value = "30s")]
        wait: Duration,
    },
    /// Check or show the settings
    #[command(subcommand)]
    Config(ConfigVerb),
    /// Check, carry and mend the spool
    #[command(subcommand)]
    Spool(SpoolVerb),
    /// Hand in a message; prints its id
    Send(SendArgs),
    /// Do what `sendmail` does: for cron, PHP, mailx and scripts
    ///
    /// The same as calling this program under the name sendmail, mailq or newaliases. Understood are -t -i -f -r -F -N -R -V
    /// -C -bm -bs -bp -bi -q and -oi; others that programs pass are ignored. Exit statuses are those of sysexits.h.
    #[command(disable_help_flag = true)]
    Sendmail {
        /// Options and recipients
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Destinations with mail, one message, or messages
    Queue(QueueArgs),
    /// How mail to an address would be sent, and why not now
    Route(RouteArgs),
    /// DNS as the daemon asks it: its servers, a question, forgetting what is kept
    #[command(subcommand)]
    Dns(DnsVerb),
    /// Keys that sign mail (DKIM): made, shown, and looked up in DNS
    #[command(subcommand)]
    Dkim(DkimVerb),
    /// Who may log in to send: add, change and remove users
    #[command(subcommand)]
    User(UserVerb),
    /// What senders are told when mail is late or lost: see the words before they do
    #[command(subcommand)]
    Notice(NoticeVerb),
    /// Look at something actively, step by step
    #[command(subcommand)]
    Check(CheckVerb),
    /// What became of a message, also after it has left; what was said in a session
    Track(TrackArgs),
}

/// What is tracked: messages, or with one of the options sessions.
#[derive(Args, Debug)]
pub(crate) struct TrackArgs {
    /// An id, or a filter such as: to = a@b.example and age < 2d
    #[arg(value_name = "ID|FILTER", required_unless_present_any = ["session", "client", "refused"])]
    #[arg(conflicts_with_all = ["session", "client", "refused", "age"])]
    pub(crate) question: Vec<String>,
    /// The dialogue of one session, in or out, or of those that carried a message, to be sent to the other side
    #[arg(long, value_name = "ID", conflicts_with_all = ["client", "refused", "age"])]
    pub(crate) session: Option<String>,
    /// Sessions with an address or a network, in and out
    #[arg(long, value_name = "IP|CIDR")]
    pub(crate) client: Option<String>,
    /// Sessions in which we refused something, or were refused
    #[arg(long)]
    pub(crate) refused: bool,
    /// Sessions not older than this
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub(crate) age: Option<Duration>,
    /// The most messages or sessions
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub(crate) limit: u16,
}

/// What of DNS.
#[derive(Subcommand, Debug)]
pub(crate) enum DnsVerb {
    /// How each server stands: state, time, counts, last failure; dead ones are named in words
    Servers {
        /// Exit status 5 when one is dead
        #[arg(long)]
        check: bool,
    },
    /// Ask as the daemon would, and see what every server said
    Ask(DnsAskArgs),
    /// Forget what is kept of a name and all names below it, or everything
    Flush {
        /// The name; the root is "."
        #[arg(value_parser = NonEmptyStringValueParser::new())]
        name: Option<String>,
    },
}

/// What is asked of DNS.
#[derive(Args, Debug)]
pub(crate) struct DnsAskArgs {
    /// A name, or an address for its names
    pub(crate) name: String,
    /// A, AAAA, MX, CNAME, PTR, TXT, SOA, NS, TLSA; not given: what mail asks, MX and the addresses of its targets
    #[arg(value_name = "TYPE")]
    pub(crate) kind: Option<String>,
    /// Ask the servers of this route
    #[arg(long, value_name = "NAME", conflicts_with = "server")]
    pub(crate) route: Option<String>,
    /// Ask this server alone: 192.0.2.1, 192.0.2.1:5353, tls://192.0.2.1#dns.example.org
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) server: Option<String>,
    /// Forget what is kept of the name first
    #[arg(long)]
    pub(crate) fresh: bool,
}

/// Which mail `route` is asked about.
#[derive(Args, Debug)]
pub(crate) struct RouteArgs {
    /// Whom to
    pub(crate) address: String,
    /// Whom from; not given: a notice, which is from nobody
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) from: Option<String>,
    /// The name of the listener it comes in by
    #[arg(long, value_name = "NAME")]
    pub(crate) listener: Option<String>,
    /// The user who hands it in
    #[arg(long, value_name = "NAME")]
    pub(crate) user: Option<String>,
    /// How large it is, such as 12MB
    #[arg(long, value_name = "SIZE")]
    pub(crate) size: Option<String>,
}

/// For monitoring systems.
#[derive(Args, Debug)]
pub(crate) struct MonitorArgs {
    /// One line and the exit status of a monitoring plug-in: 0 OK, 1 WARNING, 2 CRITICAL (also when no daemon
    /// answers), 3 UNKNOWN
    #[arg(long)]
    pub(crate) monitor: bool,
    /// WARNING when the oldest message has waited so long
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, default_value = "4h", requires = "monitor")]
    pub(crate) warn_age: Duration,
    /// CRITICAL when it has waited so long
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, default_value = "1d", requires = "monitor")]
    pub(crate) crit_age: Duration,
    /// WARNING with so many messages in the queue
    #[arg(long, value_name = "MESSAGES", default_value_t = 5000, requires = "monitor")]
    pub(crate) warn_queue: u64,
    /// CRITICAL with so many
    #[arg(long, value_name = "MESSAGES", default_value_t = 50_000, requires = "monitor")]
    pub(crate) crit_queue: u64,
}

/// What of maintenance.
#[derive(Subcommand, Debug)]
pub(crate) enum MaintenanceVerb {
    /// Accept no more mail: sessions end between transactions, what is queued is delivered
    On {
        /// Why, for colleagues; shown by status
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
        /// Deliver nothing either
        #[arg(long, conflicts_with = "wait")]
        hold: bool,
        /// Wait until nothing is left in the queue, at most this long
        #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
        wait: Option<Duration>,
    },
    /// Accept mail again
    Off,
    /// Whether there is maintenance, and what is left in the queue
    Status,
}

/// What to do with the settings.
#[derive(Subcommand, Debug)]
pub(crate) enum ConfigVerb {
    /// Find every error, with file:line:column and a suggestion
    Check {
        /// The file, instead of --config
        file: Option<PathBuf>,
    },
    /// Show the effective settings and where each came from
    Show {
        /// The file, instead of --config
        file: Option<PathBuf>,
    },
}

/// What to send.
#[derive(Args, Debug)]
pub(crate) struct SendArgs {
    /// The message, header and body; `-` or nothing for standard input
    pub(crate) file: Option<PathBuf>,
    /// The reverse-path, where notices go; <> for none
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) from: String,
    /// A recipient; may be given several times
    #[arg(long, required = true, value_name = "ADDRESS")]
    pub(crate) to: Vec<String>,
}

/// What of the queue.
#[derive(Args, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct QueueArgs {
    #[command(subcommand)]
    pub(crate) verb: Option<QueueVerb>,
    /// Which destinations, such as: status = retry and age > 1h
    #[arg(value_name = "FILTER")]
    pub(crate) filter: Vec<String>,
    /// The most destinations
    #[arg(long, default_value_t = 1000, value_parser = at_least_one)]
    pub(crate) limit: usize,
    /// Each destination in full: rates, retries, every age class
    #[arg(long, short)]
    pub(crate) verbose: bool,
    /// Sum destinations up by what they have in common
    #[arg(long, value_enum, conflicts_with = "verbose")]
    pub(crate) by: Option<By>,
    /// List the reasons for which a recipient waits
    #[arg(long)]
    pub(crate) wait_reasons: bool,
}

/// What destinations have in common.
#[derive(clap::ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum By {
    /// The route
    Route,
    /// active, ready, retry, held
    Status,
    /// The last error
    Error,
    /// The next-hop domain
    Domain,
}

impl By {
    /// As on the command line.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Route => "route",
            Self::Status => "status",
            Self::Error => "error",
            Self::Domain => "domain",
        }
    }
}

/// What of the queue, more closely.
#[derive(Subcommand, Debug)]
pub(crate) enum QueueVerb {
    /// One message with every attempt
    Show {
        /// Its id
        id: String,
    },
    /// The table again every 2 seconds, until ctrl-C
    Watch {
        /// Which destinations
        #[arg(value_name = "FILTER")]
        filter: Vec<String>,
        /// End after so many times
        #[arg(long, value_name = "N")]
        times: Option<u32>,
    },
    /// Messages
    Messages {
        /// Which, such as: domain = example.org and age > 1h
        #[arg(value_name = "FILTER")]
        filter: Vec<String>,
        /// The most messages
        #[arg(long, default_value_t = 1000, value_parser = at_least_one)]
        limit: usize,
        /// Go on after this id
        #[arg(long, value_name = "ID")]
        after: Option<String>,
    },
    /// Try messages again now
    Retry(ActArgs),
    /// Hold messages until they are released; with --where or --destination also those that come later
    Hold(ActArgs),
    /// Let held messages, and those parked as poison, go on; lifts the hold of the same filter or destination
    Release(ReleaseArgs),
    /// Remove messages without a notice to the sender
    Remove(RemoveArgs),
    /// Give messages back to their senders with a failure notice
    Bounce(BounceArgs),
    /// Send messages elsewhere
    Redirect(RedirectArgs),
    /// Write messages to files (.eml), envelope in front
    Export(ExportArgs),
    /// Hand exported files in again
    Import(ImportArgs),
    /// What operators have decided, and how far it has come
    Decisions {
        /// Only this one
        number: Option<u64>,
        /// Call it off; what it has done stays done
        #[arg(long, requires = "number")]
        cancel: bool,
    },
    /// What is held when it comes
    Holds,
}

/// Whom to act on, and how.
#[derive(Args, Debug)]
pub(crate) struct ActArgs {
    #[command(flatten)]
    pub(crate) which: Which,
    /// Why, for the event log
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: Option<String>,
    /// Only count
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Do not wait until all is done
    #[arg(long)]
    pub(crate) no_wait: bool,
}

/// What to release.
#[derive(Args, Debug)]
pub(crate) struct ReleaseArgs {
    #[command(flatten)]
    pub(crate) act: ActArgs,
    /// What the hold of this number concerns
    #[arg(long, value_name = "NUMBER", group = "Which")]
    pub(crate) hold: Option<u64>,
}

/// What to remove.
#[derive(Args, Debug)]
pub(crate) struct RemoveArgs {
    #[command(flatten)]
    pub(crate) act: ActArgs,
    /// Tell the senders: the same as bounce
    #[arg(long)]
    pub(crate) notice: bool,
    /// Do not tell the senders: the default
    #[arg(long, conflicts_with = "notice")]
    pub(crate) no_notice: bool,
}

/// What to bounce.
#[derive(Args, Debug)]
pub(crate) struct BounceArgs {
    #[command(flatten)]
    pub(crate) act: ActArgs,
    /// What the sender is told besides
    #[arg(long, value_name = "TEXT")]
    pub(crate) text: Option<String>,
}

/// Where to send messages.
#[derive(Args, Debug)]
pub(crate) struct RedirectArgs {
    #[command(flatten)]
    pub(crate) act: ActArgs,
    /// To another address
    #[arg(long, value_name = "ADDRESS", required_unless_present = "to_route")]
    pub(crate) to_address: Option<String>,
    /// Over this route, whatever the rules say
    #[arg(long, value_name = "NAME", conflicts_with = "to_address")]
    pub(crate) to_route: Option<String>,
}

/// What to export.
#[derive(Args, Debug)]
pub(crate) struct ExportArgs {
    /// Messages
    #[arg(value_name = "ID", required_unless_present = "filter", conflicts_with = "filter")]
    pub(crate) ids: Vec<String>,
    /// Those that fit
    #[arg(long = "where", value_name = "FILTER")]
    pub(crate) filter: Option<String>,
    /// The file, for one message; `-` or nothing for standard output
    #[arg(long, value_name = "FILE", conflicts_with = "to_folder")]
    pub(crate) to: Option<PathBuf>,
    /// The folder, which is made when it is missing: one file for each message, named by its id
    #[arg(long, value_name = "DIR")]
    pub(crate) to_folder: Option<PathBuf>,
}

/// What to import.
#[derive(Args, Debug)]
pub(crate) struct ImportArgs {
    /// Files with the envelope in front
    #[arg(required_unless_present = "folder")]
    pub(crate) files: Vec<PathBuf>,
    /// All .eml files of this folder
    #[arg(long, value_name = "DIR")]
    pub(crate) folder: Option<PathBuf>,
    /// Only check
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// Exactly one of these.
#[derive(Args, Debug)]
#[group(required = true, multiple = false)]
pub(crate) struct Which {
    /// Messages
    #[arg(value_name = "ID")]
    pub(crate) ids: Vec<String>,
    /// Recipients that fit
    #[arg(long = "where", value_name = "FILTER")]
    pub(crate) filter: Option<String>,
    /// Recipients at a destination, as `queue` names it
    #[arg(long, value_name = "NAME")]
    pub(crate) destination: Option<String>,
    /// All
    #[arg(long)]
    pub(crate) all: bool,
}

fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) | Err(_) => Err("give a number from 1".to_owned()),
        Ok(number) => Ok(number),
    }
}

/// Reads the command line. `Err` is the exit status once help, version or an error has been printed.
pub(crate) fn parse() -> Result<Cli, ExitCode> {
    Cli::try_parse().map_err(|error| {
        let asked = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
        let json = std::env::args().any(|argument| argument == "--json");
        if !asked && json {
            let text = error.render().to_string();
            let message = text.trim().strip_prefix("error: ").unwrap_or(text.trim()).to_owned();
            crate::out::Out::new(true).failure(&crate::failure::Failure::usage(message));
        } else {
            // Standard output or error that has gone away is no failure of ours.
            let _ = error.print();
        }
        if asked { ExitCode::SUCCESS } else { crate::failure::Exit::Usage.into() }
    })
}

#[cfg(test)]
mod tests;
