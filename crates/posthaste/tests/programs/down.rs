//! The daemon down, killed, or without room: what was taken is not lost, and what is not taken is said.

use crate::posthaste::Posthaste;
use crate::process::until;
use crate::scene::{PATIENCE, Scene, fed, succeeds};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

const TEMPORARY: i32 = 75;

/// The same as another user, to whom the daemon's private folder is closed.
fn as_nobody(command: &Command) -> Command {
    let mut other = Command::new("setpriv");
    other.args(["--reuid", "65534", "--regid", "65534", "--clear-groups"]);
    other.arg(command.get_program()).args(command.get_args());
    other.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    other
}

#[test]
fn mail_waits_in_the_pickup_folder_while_the_daemon_is_down() {
    let scene = Scene::set();
    let mut posthaste = scene.posthaste();
    posthaste.terminate();
    let path = format!("sendmail_path={} -t -i", scene.text("sendmail"));
    let code = r#"exit(mail("bob@remote.test", "By PHP", "Grüße\n.\nend", "Bcc: secret@remote.test") ? 0 : 1);"#;
    let mut php = scene.program("usr/bin/php8.2");
    succeeds(&mut as_nobody(php.args(["-n", "-d", &path, "-r", code])), "");
    let cron = ["-i", "-FCronDaemon", "-B8BITMIME", "-oem", "bob@remote.test"];
    succeeds(&mut scene.sendmail(&cron), "From: root (Cron Daemon)\nSubject: By cron\n\nsaid\n");
    let by_hand = scene.path("pickup/by hand.eml");
    fs::write(&by_hand, "From: Ann <ann>\nTo: bob@remote.test\nSubject: By hand\n\nhello\n")
        .expect("ours");
    let bad = scene.path("pickup/bad.eml");
    fs::write(&bad, "Subject: to nobody\n\n").expect("ours");

    let left = scene.left(".eml");
    assert_eq!(left.len(), 4, "{left:?}");
    let modes: Vec<u32> = left
        .iter()
        .filter(|path| **path != by_hand && **path != bad)
        .map(|path| fs::metadata(path).expect("readable").mode() & 0o777)
        .collect();
    assert_eq!(modes, [0o640, 0o640], "nobody else may read them");

    posthaste.start_again();
    let arrived = scene.postfix.wait_for(4, PATIENCE);
    let php = scene.arrived(4, "By PHP");
    assert_eq!(php.header("From"), Some("nobody <nobody@sender.test>"), "{}", php.text());
    assert_eq!(php.body().trim_end(), "Grüße\n.\nend");
    assert!(
        arrived.iter().all(|m| !m.text().contains("\nBcc:") && !m.text().contains("\nX-Receiver:"))
    );
    let cron = scene.arrived(4, "By cron");
    assert_eq!(cron.header("From"), Some("root@sender.test (Cron Daemon)"));
    let hand = scene.arrived(4, "By hand");
    assert_eq!(hand.header("Return-Path"), Some("<ann@sender.test>"));
    assert!(until(PATIENCE, || scene.left(".eml").is_empty() && scene.in_hand().is_empty()));
    assert_eq!(scene.left(".bad").len(), 1);
    assert!(posthaste.log().contains("no recipient in the header"), "{}", posthaste.log());
    let why = fs::read_to_string(scene.path("pickup/bad.eml.bad.why")).expect("beside it");
    assert!(why.contains("no recipient in the header"), "{why}");
    let status = posthaste.verb(&["status"]);
    let status = String::from_utf8_lossy(&status.stdout).into_owned();
    let to_do = format!("1 file in {} cannot be sent: *.bad.why", scene.text("pickup"));
    assert!(status.contains(&to_do), "{status}");
    assert!(until(PATIENCE, || posthaste.json(&["status"])["pickup_bad"] == 1));
    let tracked = posthaste.json(&["track", "from like \"*\" or listener = pickup"]);
    let users = tracked["messages"].as_array().map_or(0, Vec::len);
    assert!(users >= 3, "{tracked:#}");
}

#[test]
fn one_unknown_recipient_costs_the_others_nothing() {
    let scene = Scene::set();
    fs::write(scene.path("people"), "bob@sender.test\nann@sender.test\n").expect("ours");
    let settings = scene.settings().replace(
        "[submission]",
        "postmaster = \"bob@sender.test\"\n\
         [[domain]]\nname = \"sender.test\"\nrecipients = \"file:people\"\n[submission]",
    );
    let mut posthaste = Posthaste::start(&settings, scene.dir.path());
    posthaste.terminate();
    for (sender, to, subject) in [
        ("ann@sender.test", &["nobody@sender.test", "bob@sender.test"][..], "One is unknown"),
        ("ann@sender.test", &["nobody@sender.test"][..], "All are unknown"),
        ("<>", &["nobody@sender.test", "bob@sender.test"][..], "No sender"),
        ("<>", &["nobody@sender.test"][..], "No sender, nobody"),
    ] {
        let arguments = [&["-f", sender], to].concat();
        succeeds(&mut scene.sendmail(&arguments), &format!("Subject: {subject}\n\nhello\n"));
    }
    posthaste.start_again();
    // Bob's two, and a notice of each of the two that had a sender.
    let arrived = scene.postfix.wait_for(4, PATIENCE);
    assert!(until(PATIENCE, || scene.left(".eml").is_empty() && scene.left(".taken").is_empty()));
    assert!(until(PATIENCE, || posthaste.json(&["status"])["messages"] == 0));
    assert_eq!(scene.arrived(4, "One is unknown").body(), "hello\n", "{}", posthaste.log());
    scene.arrived(4, "No sender");
    let notices: Vec<_> = arrived.iter().filter(|m| m.text().contains("Final-Recipient")).collect();
    assert_eq!(notices.len(), 2, "{arrived:#?}");
    for notice in notices {
        let text = notice.text();
        assert_eq!(notice.header("Return-Path"), Some("<>"));
        assert_eq!(notice.header("To"), Some("<ann@sender.test>"));
        assert!(text.contains("Final-Recipient: rfc822; nobody@sender.test"), "{text}");
        assert!(text.contains("Action: failed") && text.contains("Status: 5.1.1"), "{text}");
        assert!(text.contains("This mail server does not know the address."), "{text}");
        assert!(!text.contains("Final-Recipient: rfc822; bob@"), "{text}");
    }

    let bad: Vec<String> =
        scene.left(".bad").iter().map(|path| fs::read_to_string(path).expect("ours")).collect();
    assert_eq!(bad.len(), 2, "those without a sender: {bad:#?}");
    for file in &bad {
        assert!(file.contains("X-Receiver: <nobody@sender.test>"), "{file}");
        assert!(!file.contains("bob@"), "given back, nobody gets it twice: {file}");
    }
    for path in scene.left(".bad.why") {
        let why = fs::read_to_string(path).expect("ours");
        assert!(why.starts_with("nobody@sender.test: recipient unknown"), "{why}");
    }
    let tracked = posthaste.json(&["track", "to = nobody@sender.test"]).to_string();
    assert_eq!(tracked.matches("unknown_recipient").count(), 3, "{tracked}");
}

#[test]
fn mail_waits_as_well_while_the_daemon_takes_none() {
    let scene = Scene::set();
    let posthaste = scene.posthaste();
    let on = posthaste.verb(&["maintenance", "on"]);
    assert!(on.status.success(), "{on:?}");
    succeeds(&mut scene.sendmail(&["bob@remote.test"]), "Subject: Later\n\nhello\n");
    assert_eq!(scene.left(".eml").len(), 1);
    sleep(Duration::from_secs(3));
    assert_eq!(scene.left(".eml").len() + scene.in_hand().len(), 1, "{}", posthaste.log());
    let off = posthaste.verb(&["maintenance", "off"]);
    assert!(off.status.success(), "{off:?}");
    assert_eq!(scene.arrived(1, "Later").body(), "hello\n");
}

/// Each of these once stopped the folder for everybody, or took another's mail.
#[test]
fn whatever_lies_in_the_pickup_folder_the_others_go_on() {
    let scene = Scene::set();
    let mut posthaste = scene.posthaste();
    posthaste.terminate();
    let pickup = |name: &str| scene.path(&format!("pickup/{name}"));
    let letter = |subject: &str| {
        format!("From: a@sender.test\nTo: bob@remote.test\nSubject: {subject}\n\nx\n")
    };
    let id = "6H01RG65G0000";
    fs::create_dir(pickup(&format!("q.eml.{id}.taken"))).expect("ours");
    fs::write(pickup("q.eml"), letter("q")).expect("ours");
    fs::create_dir(pickup("000.eml")).expect("ours");
    fs::write(pickup("backup.eml"), letter("victim")).expect("ours");
    fs::write(pickup(&format!("backup.eml.{id}.taken")), letter("attacker")).expect("ours");
    for number in 0..10_100 {
        fs::write(pickup(&format!("j{number}.new")), "").expect("ours");
    }
    fs::write(pickup("real.eml"), letter("real")).expect("ours");
    for name in ["bad.eml", "bad.eml.bad"] {
        fs::write(pickup(name), "Subject: to nobody\n\n").expect("ours");
    }
    posthaste.start_again();

    let arrived = scene.postfix.wait_for(3, PATIENCE);
    let mut subjects: Vec<_> = arrived.iter().filter_map(|m| m.header("Subject")).collect();
    subjects.sort_unstable();
    assert_eq!(subjects, ["q", "real", "victim"], "{}", posthaste.log());
    assert!(until(PATIENCE, || {
        let status = posthaste.json(&["status"]);
        status["pickup_bad"] == 2 && status["pickup_stuck"] == 1
    }));
    let log = posthaste.log();
    assert_eq!(log.matches("000.eml").count(), 1, "told once: {log}");
    let monitor = posthaste.verb(&["status", "--monitor"]);
    let said = String::from_utf8_lossy(&monitor.stdout).into_owned();
    assert!(said.contains("1 pickup files that cannot be taken up"), "{said}");
}

#[test]
fn what_cannot_be_kept_is_refused_with_75() {
    let scene = Scene::set();
    let mut posthaste = scene.posthaste();
    posthaste.terminate();
    fs::remove_dir_all(scene.path("pickup")).expect("ours");
    let refused = fed(&mut scene.sendmail(&["bob@remote.test"]), "Subject: x\n\n");
    assert_eq!(refused.status.code(), Some(TEMPORARY), "{refused:?}");
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(
        said.contains("no daemon at ") && said.contains("not sent: cannot leave it in "),
        "{said}"
    );

    fs::create_dir(scene.path("pickup")).expect("ours");
    let refused = fed(&mut as_nobody(&scene.sendmail(&["bob@remote.test"])), "Subject: x\n\n");
    assert_eq!(refused.status.code(), Some(TEMPORARY), "{refused:?}");
    assert!(scene.left("").is_empty(), "nothing is left half-way");

    let session = fed(&mut scene.sendmail(&["-bs"]), "QUIT\r\n");
    assert_eq!(session.status.code(), Some(TEMPORARY));
    assert!(session.stdout.starts_with(b"421 4.3.2 "));
    assert_eq!(fed(&mut scene.sendmail(&["-bp"]), "").status.code(), Some(69));
}

#[test]
fn a_file_half_through_a_change_costs_no_mail() {
    let scene = Scene::set();
    let mut posthaste = scene.posthaste();
    let file = scene.path("posthaste.toml");
    let good = fs::read_to_string(&file).expect("ours");
    fs::write(&file, format!("{good}[[route]\n")).expect("ours");
    succeeds(&mut scene.sendmail(&["bob@remote.test"]), "Subject: Taken\n\nhello\n");
    assert_eq!(scene.arrived(1, "Taken").body(), "hello\n");
    posthaste.terminate();
    succeeds(&mut scene.sendmail(&["bob@remote.test"]), "Subject: Kept\n\nhello\n");
    assert_eq!(scene.left(".eml").len(), 1);
    fs::remove_dir_all(scene.path("pickup")).expect("ours");
    fs::remove_file(scene.path("submit.sock")).ok();
    let refused = fed(&mut scene.sendmail(&["bob@remote.test"]), "Subject: x\n\n");
    assert_eq!(refused.status.code(), Some(TEMPORARY), "{refused:?}");
}

#[test]
fn kills_while_200_files_are_taken_up_lose_none() {
    const FILES: usize = 200;
    const KILLS: u64 = 8;
    // What a dead daemon had taken is looked after so long after a start.
    const LOOKED_AFTER: Duration = Duration::from_millis(3000);
    let scene = Scene::set();
    let mut posthaste = scene.posthaste();
    posthaste.terminate();
    for number in 0..FILES {
        let message = format!("Subject: {number}\n\nbody of {number}\n");
        succeeds(&mut scene.sendmail(&["-f", "a@sender.test", "bob@remote.test"]), &message);
    }
    assert_eq!(scene.left(".eml").len(), FILES);
    sleep(Duration::from_secs(1)); // all of them are settled: the work begins at once
    let mut met = 0;
    for round in 0..KILLS {
        let before = if scene.in_hand().is_empty() { Duration::ZERO } else { LOOKED_AFTER };
        posthaste.start_again();
        sleep(before + Duration::from_millis(20 + 60 * (round % 5)));
        posthaste.kill9();
        let taken = scene.in_hand().len();
        met += usize::from(taken > 0);
        println!("kill {round}: {} wait, {taken} taken", scene.left(".eml").len());
    }
    posthaste.start_again();
    let done = until(3 * PATIENCE, || {
        scene.left(".eml").is_empty()
            && scene.in_hand().is_empty()
            && posthaste.json(&["status"])["messages"] == 0
    });
    let arrived = until(PATIENCE, || scene.postfix.count() >= FILES);
    let mut copies: BTreeMap<String, usize> = BTreeMap::new();
    let mut names: BTreeMap<String, usize> = BTreeMap::new();
    let mut taken_up: BTreeSet<String> = BTreeSet::new();
    for message in scene.postfix.arrived() {
        *copies.entry(message.header("Subject").unwrap_or_default().to_owned()).or_default() += 1;
        let (_, id) = message.text().split_once("by mta.sender.test id ").expect("a trace field");
        taken_up.insert(id.split(';').next().unwrap_or_default().trim().to_owned());
        *names.entry(message.header("Message-ID").unwrap_or_default().to_owned()).or_default() += 1;
    }
    let duplicates: usize = copies.values().map(|count| count - 1).sum();
    // The rest was sent a second time: its first try was in doubt after the kill (RFC 1047).
    let doubled = taken_up.len() - copies.len();
    println!(
        "{KILLS} kills, {met} with files in hand: {} arrived, {duplicates} duplicates, {doubled} of them taken up twice",
        copies.len()
    );
    assert!(done && arrived, "{}", posthaste.log());
    assert_eq!(copies.len(), FILES, "{}", posthaste.log());
    assert_eq!(names.len(), FILES, "a copy is known by its Message-ID");
    assert_eq!(doubled, 0, "what was accepted is known after a crash: {}", posthaste.log());
    assert!(met > 0, "the kills must fall into the work");
}
