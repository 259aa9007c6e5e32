//! `check`: its arguments.

use clap::Subcommand;
use clap::builder::NonEmptyStringValueParser;

/// What is looked at. Exit status 5 when a blocking problem was found.
#[derive(Subcommand, Debug)]
pub(crate) enum CheckVerb {
    /// A domain's DNS from the root down: each zone, name server and mail exchanger asked directly, and our resolvers
    ///
    /// Asks a few hundred questions at most and takes 20 s at most. Without a daemon the settings are read and this
    /// program asks itself.
    Domain {
        /// The domain, as in an address
        #[arg(value_parser = NonEmptyStringValueParser::new())]
        name: String,
        /// Our resolvers are those of this route; else those that mail to the domain asks
        #[arg(long, value_name = "NAME")]
        route: Option<String>,
    },
}
