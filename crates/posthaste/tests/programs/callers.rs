//! What each program hands in arrives right: addresses, dates, blind recipients, 8-bit text, lines with dots, attachments.

use crate::postfix::Arrived;
use crate::process::{Process, until};
use crate::scene::{PATIENCE, Scene, libraries, programs, succeeds};
use std::fs;
use std::process::Command;

/// Everything that a receiver may rely on.
fn is_whole(message: &Arrived, from: &str) {
    let text = message.text();
    for name in ["Date", "Message-ID", "From"] {
        let count = header(message).iter().filter(|line| is(line, name)).count();
        assert_eq!(count, 1, "one {name}: {text}");
    }
    assert_eq!(message.header("From"), Some(from), "{text}");
    assert!(!header(message).iter().any(|line| is(line, "Bcc")), "no Bcc: {text}");
    assert!(message.header("Message-ID").is_some_and(|id| id.contains('@')), "{text}");
}

fn is(line: &str, name: &str) -> bool {
    line.split_once(':').is_some_and(|(field, _)| field.eq_ignore_ascii_case(name))
}

fn header(message: &Arrived) -> Vec<&str> {
    message.text().split("\n\n").next().unwrap_or_default().lines().collect()
}

/// To whom copies went.
fn delivered_to(all: &[Arrived]) -> Vec<String> {
    let mut to: Vec<String> =
        all.iter().filter_map(|m| m.header("Delivered-To")).map(str::to_owned).collect();
    to.sort();
    to
}

#[test]
fn php_mail() {
    let scene = Scene::set();
    let _posthaste = scene.posthaste();
    let code = r#"exit(mail("bob@remote.test, Ann <ann@remote.test>", "From PHP",
        "Grüße\n.\n..two\nend\n",
        "From: Web <www@sender.test>\r\nBcc: secret@remote.test\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit")
        ? 0 : 1);"#;
    let path = format!("sendmail_path={} -t -i", scene.text("sendmail"));
    succeeds(scene.program("usr/bin/php8.2").args(["-n", "-d", &path, "-r", code]), "");

    let arrived = scene.postfix.wait_for(3, PATIENCE);
    assert_eq!(
        delivered_to(&arrived),
        ["ann@remote.test", "bob@remote.test", "secret@remote.test"]
    );
    for message in &arrived {
        is_whole(message, "Web <www@sender.test>");
        assert_eq!(message.header("To"), Some("bob@remote.test, Ann <ann@remote.test>"));
        assert_eq!(message.header("Return-Path"), Some("<root@sender.test>"));
        // PHP itself ends the message with one more line end.
        assert_eq!(message.body().trim_end(), "Grüße\n.\n..two\nend", "{}", message.text());
    }
}

#[test]
fn bsd_mailx() {
    let scene = Scene::set();
    let _posthaste = scene.posthaste();
    let rc = scene.path("mailrc");
    fs::write(&rc, format!("set sendmail=\"{}\"\n", scene.text("sendmail"))).expect("ours");
    let mut mailx = scene.program("usr/bin/bsd-mailx");
    mailx.env("MAILRC", rc).args([
        "-s",
        "From mailx",
        "-b",
        "secret@remote.test",
        "bob@remote.test",
        "joe",
    ]);
    succeeds(&mut mailx, "hello\n..two dots\nend\n");

    let arrived = scene.postfix.wait_for(3, PATIENCE);
    assert_eq!(
        delivered_to(&arrived),
        ["bob@remote.test", "joe@sender.test", "secret@remote.test"]
    );
    for message in &arrived {
        is_whole(message, "root <root@sender.test>");
        assert_eq!(message.body(), "hello\n..two dots\nend\n", "{}", message.text());
    }
}

#[test]
fn s_nail_with_an_attachment() {
    let scene = Scene::set();
    let _posthaste = scene.posthaste();
    let attachment: Vec<u8> = (0..=255u8).cycle().take(100_000).collect();
    fs::write(scene.path("data.bin"), &attachment).expect("ours");
    let mta = format!("mta={}", scene.text("sendmail"));
    let mut nail = scene.program("usr/bin/s-nail");
    nail.args(["-:/", "-S", &mta, "-S", "sendwait", "-S", "from=Joe Doe <joe@sender.test>"]);
    nail.args([
        "-s",
        "From s-nail",
        "-a",
        "data.bin",
        "-b",
        "secret@remote.test",
        "bob@remote.test",
    ]);
    succeeds(&mut nail, "see the file\n");

    let arrived = scene.postfix.wait_for(2, PATIENCE);
    assert_eq!(delivered_to(&arrived), ["bob@remote.test", "secret@remote.test"]);
    for message in &arrived {
        is_whole(message, "Joe Doe <joe@sender.test>");
        let encoded: Vec<&str> =
            message.body().lines().filter(|line| line.len() > 60 && !line.contains(' ')).collect();
        // 3 octets in 4 characters, 76 characters a line.
        assert_eq!(encoded.concat().len(), attachment.len().div_ceil(3) * 4 / 76 * 76);
        assert!(message.body().contains("see the file\n"), "{}", message.text());
    }
}

#[test]
fn mutt_in_batch() {
    let scene = Scene::set();
    let _posthaste = scene.posthaste();
    let rc = format!(
        "set sendmail=\"{} -oem -oi\"\nset from=\"Zoë <zoe@sender.test>\"\nset use_envelope_from\n\
         set copy=no\nset write_bcc\nset charset=utf-8\nset send_charset=utf-8\nset allow_8bit\n",
        scene.text("sendmail")
    );
    fs::write(scene.path("muttrc"), rc).expect("ours");
    fs::write(scene.path("note.txt"), ".\nattached ä\n").expect("ours");
    let mut mutt = scene.program("usr/bin/mutt");
    mutt.args(["-n", "-F", "muttrc", "-x", "-s", "From mutt", "-b", "secret@remote.test"]);
    mutt.args(["-a", "note.txt", "--", "bob@remote.test"]);
    succeeds(&mut mutt, "Grüße\n.\nend\n");

    let arrived = scene.postfix.wait_for(2, PATIENCE);
    assert_eq!(delivered_to(&arrived), ["bob@remote.test", "secret@remote.test"]);
    for message in &arrived {
        is_whole(message, "=?utf-8?Q?Zo=C3=AB?= <zoe@sender.test>");
        assert_eq!(message.header("Return-Path"), Some("<zoe@sender.test>"));
        assert!(message.body().contains("\n\nGrüße\n.\nend\n"), "{}", message.text());
        assert!(message.body().contains("\n\n.\nattached ä\n"), "{}", message.text());
    }
}

#[test]
fn git_send_email() {
    let scene = Scene::set();
    let _posthaste = scene.posthaste();
    let tree = programs();
    let core = tree.join("usr/lib/git-core");
    let patch = "From 0123456789012345678901234567890123456789 Mon Sep 17 00:00:00 2001\n\
        From: Jörg <joerg@sender.test>\nDate: Sat, 21 Nov 2026 06:53:04 +0000\n\
        Subject: [PATCH] A change\nMIME-Version: 1.0\nContent-Type: text/plain; charset=UTF-8\n\
        Content-Transfer-Encoding: 8bit\n\nGrüße\n\n---\n f | 1 +\n\n+.\n.\n-- \n2.39.5\n\n";
    fs::write(scene.path("0001.patch"), patch).expect("ours");
    let mut git = Command::new("perl");
    git.arg(core.join("git-send-email")).current_dir(scene.dir.path());
    git.env("PERL5LIB", tree.join("usr/share/perl5")).env("GIT_EXEC_PATH", &core);
    git.env("LD_LIBRARY_PATH", libraries()).env("HOME", scene.dir.path());
    let path = std::env::var("PATH").unwrap_or_default();
    git.env("PATH", format!("{}:{path}", tree.join("usr/bin").display()));
    git.env("POSTHASTE_CONFIG", scene.path("posthaste.toml")).env("GIT_CONFIG_NOSYSTEM", "1");
    for who in ["AUTHOR", "COMMITTER"] {
        git.env(format!("GIT_{who}_NAME"), "Joe")
            .env(format!("GIT_{who}_EMAIL"), "joe@sender.test");
    }
    git.args(["--smtp-server", &scene.text("sendmail"), "--from", "joerg@sender.test"]);
    git.args(["--envelope-sender", "bounces@sender.test", "--to", "bob@remote.test"]);
    git.args(["--cc", "ann@remote.test", "--bcc", "secret@remote.test", "--confirm", "never"]);
    git.args(["--suppress-cc", "all", "0001.patch"]);
    succeeds(&mut git, "");

    let arrived = scene.postfix.wait_for(3, PATIENCE);
    let everybody = ["ann@remote.test", "bob@remote.test", "secret@remote.test"];
    assert_eq!(delivered_to(&arrived), everybody);
    for message in &arrived {
        let text = message.text();
        is_whole(message, "joerg@sender.test");
        assert_eq!(message.header("Return-Path"), Some("<bounces@sender.test>"));
        assert_eq!(message.header("Subject"), Some("[PATCH] A change"));
        assert!(
            message.body().contains("Grüße\n\n---\n f | 1 +\n\n+.\n.\n-- \n2.39.5\n"),
            "{text}"
        );
    }
}

/// A real cron in a mount namespace of its own, where /usr/sbin/sendmail is ours and /etc has its table.
#[test]
fn cron_mails_what_its_jobs_say() {
    let scene = Scene::set();
    let _posthaste = scene.posthaste();
    let etc = scene.path("etc");
    for folder in ["etc/posthaste", "etc/pam.d", "etc/cron.d", "sbin", "spool/crontabs", "run"] {
        fs::create_dir_all(scene.path(folder)).expect("new");
    }
    for file in ["passwd", "group", "nsswitch.conf", "ld.so.cache"] {
        fs::copy(format!("/etc/{file}"), etc.join(file)).expect("every Debian has it");
    }
    fs::copy(scene.path("posthaste.toml"), etc.join("posthaste/posthaste.toml")).expect("ours");
    let pam = ["auth", "account", "session"].map(|kind| format!("{kind} required pam_permit.so\n"));
    fs::write(etc.join("pam.d/cron"), pam.concat()).expect("ours");
    let job = r"@reboot root echo first; echo .; printf 'Gr\303\274\303\237e\n'; echo last";
    fs::write(etc.join("crontab"), format!("MAILTO=ops\n{job}\n")).expect("ours");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_posthaste"), scene.path("sbin/sendmail"))
        .expect("new");
    let script = "set -e; cd \"$1\"; mount --bind etc /etc; mount --bind sbin /usr/sbin; mount --bind run /run\n\
        mount -t tmpfs none /var/spool; mkdir -p /var/spool/cron/crontabs; exec \"$2\" -f -L 15";
    let mut cron = Command::new("setpriv");
    cron.args(["--pdeathsig", "KILL", "unshare", "-m", "sh", "-c", script, "sh"]);
    cron.arg(scene.dir.path()).arg(programs().join("usr/sbin/cron"));
    cron.env("LD_LIBRARY_PATH", libraries())
        .env("LC_ALL", "C.UTF-8")
        .env_remove("POSTHASTE_CONFIG");
    let _cron = Process::spawn(cron, &scene.path("cron.log"));

    let here = until(PATIENCE, || scene.postfix.count() > 0);
    let log = fs::read_to_string(scene.path("cron.log")).unwrap_or_default();
    assert!(here, "cron says: {log}");
    let message = scene.postfix.arrived().remove(0);
    is_whole(&message, "root@sender.test (Cron Daemon)");
    assert_eq!(message.header("Delivered-To"), Some("ops@sender.test"));
    assert_eq!(message.header("To"), Some("ops@sender.test"));
    assert_eq!(message.header("Return-Path"), Some("<root@sender.test>"));
    assert!(message.header("Subject").is_some_and(|s| s.starts_with("Cron <root@")));
    assert_eq!(message.body(), "first\n.\nGrüße\nlast\n", "{}", message.text());
}

#[test]
fn smtp_on_standard_input_and_the_queue_as_people_know_it() {
    let mut scene = Scene::set();
    let posthaste = scene.posthaste();
    scene.postfix.stop();
    let dialogue = "EHLO x\r\nMAIL FROM:<a>\r\nRCPT TO:<bob@remote.test>\r\nDATA\r\n\
        Subject: By -bs\r\nBcc: secret@remote.test\r\n\r\n..\r\n.\r\nQUIT\r\n";
    let said = crate::scene::fed(&mut scene.sendmail(&["-bs"]), dialogue);
    let text = String::from_utf8_lossy(&said.stdout).into_owned();
    assert!(
        said.status.success() && text.contains("queued as") && text.contains("221 2.0.0"),
        "{text}"
    );
    let listed = crate::scene::fed(&mut scene.sendmail(&["-bp"]), "");
    let text = String::from_utf8_lossy(&listed.stdout).into_owned();
    assert!(
        text.starts_with("-Queue ID-") && text.ends_with("-- 1 Kbytes in 1 Request.\n"),
        "{text}"
    );
    assert!(text.contains("a@sender.test\n") && text.contains(" bob@remote.test\n"), "{text}");
    scene.postfix.start_again();
    succeeds(&mut scene.sendmail(&["-q"]), "");
    let message = scene.arrived(1, "By -bs");
    is_whole(&message, "<a@sender.test>");
    assert_eq!(message.body(), ".\n");
    assert!(
        until(PATIENCE, || {
            let listed = crate::scene::fed(&mut scene.sendmail(&["-bp"]), "");
            listed.stdout == b"Mail queue is empty\n"
        }),
        "{}",
        posthaste.log()
    );
}
