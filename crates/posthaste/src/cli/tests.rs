//! What the command line takes, and what its help shows.

use super::*;
use clap::CommandFactory;

#[test]
fn the_command_line_is_consistent() {
    Cli::command().debug_assert();
}

#[test]
fn filters_may_be_written_without_quotes() {
    let cli = Cli::try_parse_from(["posthaste", "queue", "status", "=", "retry"]).unwrap();
    let Verb::Queue(QueueArgs { filter, verb: None, .. }) = cli.verb else { panic!("a queue") };
    assert_eq!(filter.join(" "), "status = retry");
    let cli = Cli::try_parse_from(["posthaste", "queue", "messages", "age > 1h"]).unwrap();
    let Verb::Queue(QueueArgs { verb: Some(QueueVerb::Messages { filter, .. }), .. }) = cli.verb
    else {
        panic!("messages")
    };
    assert_eq!(filter, ["age > 1h"]);
}

#[test]
fn a_retry_says_exactly_which() {
    let parse = |args: &[&str]| {
        let start = ["posthaste", "queue", "retry"];
        Cli::try_parse_from(start.iter().chain(args)).is_ok()
    };
    assert!(parse(&["0000000000001"]));
    assert!(parse(&["0000000000001", "0000000000002"]));
    assert!(parse(&["--destination", "a.example", "--reason", "why"]));
    assert!(parse(&["--all", "--dry-run"]));
    assert!(parse(&["--where", "age > 1h"]));
    assert!(!parse(&[]));
    assert!(!parse(&["--all", "0000000000001"]));
    assert!(!parse(&["--hold", "3"]), "only a release has the number of a hold");
}

#[test]
fn a_release_may_name_a_hold_by_its_number() {
    let parse = |args: &[&str]| {
        let start = ["posthaste", "queue", "release"];
        Cli::try_parse_from(start.iter().chain(args)).is_ok()
    };
    assert!(parse(&["--hold", "3"]));
    assert!(parse(&["0000000000001"]));
    assert!(!parse(&["--hold", "3", "--all"]));
    assert!(!parse(&[]));
}

#[test]
fn the_help_of_a_verb_lists_the_options_of_every_verb_apart() {
    let mut cli = Cli::command();
    cli.build();
    let verb = cli.find_subcommand_mut("queue").and_then(|q| q.find_subcommand_mut("hold"));
    let help = verb.expect("it is a verb").render_help().to_string();
    let (own, common) = help.split_once(EVERYWHERE).expect("they have a heading");
    assert!(own.contains("--dry-run") && !own.contains("--socket"), "{help}");
    assert!(common.contains("--socket") && common.contains("--json"), "{help}");
    assert!(!help.contains("NUMBER"), "{help}");
}
