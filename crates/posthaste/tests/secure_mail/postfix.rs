//! Postfix with TLS and AUTH: a submission server whose users are in Cyrus SASL's database, and a client with a
//! transport of its own for every way.
//!
//! Not here: how it is run (`base`).

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Stdio;

use tempfile::TempDir;

use crate::base_postfix::{More, Postfix as Base};
use crate::more_tree;
use crate::peer::{OLD, Peer, SUBMISSION, SUBMISSIONS, Scene};
use crate::way::{Check, OTHER_NAME, PASSWORD, SCRAM_USER, Security, Seen, USER, Way};

pub(crate) struct Postfix {
    base: Base,
    _dir: TempDir,
}

impl Postfix {
    pub(crate) fn start(scene: &Scene<'_>) -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        fs::set_permissions(dir.path(), open).expect("ours");
        scene.certify(dir.path());
        make_users(dir.path());
        let domain = scene.place.domain.replace('.', "[.]");
        let domains = format!("regexp:{{{{/[.]{domain}$$/ own}}}}");
        let more = More {
            settings: settings(scene, dir.path()),
            services: services(scene, dir.path()),
            sasl: format!(
                "pwcheck_method: auxprop\nauxprop_plugin: sasldb\nsasldb_path: {}\n\
                 mech_list: PLAIN LOGIN SCRAM-SHA-256\n",
                dir.path().join("sasldb").display()
            ),
        };
        let (name, address) = (scene.place.name, scene.place.plain());
        let base = Base::start_with(name, address, &[&domains], &more);
        Self { base, _dir: dir }
    }
}

impl Peer for Postfix {
    fn kept(&self) -> Vec<String> {
        self.base.arrived().iter().map(|message| message.text().to_owned()).collect()
    }

    /// Its own trace field is the first; users have a domain there, which Cyrus SASL wants.
    fn says_of_kept(&self, message: &str) -> Seen {
        let field = message.split("\nReceived:").nth(1).unwrap_or_default();
        let login = field.split("(Authenticated sender: ").nth(1);
        Seen::read(field, login.and_then(|rest| rest.split(['@', ')']).next()))
    }

    /// It never logs as whom it logs in.
    fn says_of_sent(&self, domain: &str) -> Option<Seen> {
        let log = self.base.log();
        let service = format!("way-{}/smtp[", domain.split('.').next()?);
        let lines: Vec<_> = log.lines().filter(|line| line.contains(&service)).collect();
        lines.iter().find(|line| line.contains("status=sent"))?;
        let secured = lines.iter().find(|line| line.contains("TLS connection established"))?;
        Some(Seen::read(secured.split("established").nth(1)?, None))
    }

    fn says_of_waiting(&self, domain: &str) -> String {
        let log = self.base.log();
        let service = format!("way-{}/smtp[", domain.split('.').next().unwrap_or_default());
        log.lines().filter(|l| l.contains(&service)).map(|line| format!("{line}\n")).collect()
    }

    fn log(&self) -> String {
        self.base.log()
    }
}

/// Cyrus SASL keeps passwords as they are: SCRAM and PLAIN find the same users.
fn make_users(folder: &Path) {
    [USER, SCRAM_USER].iter().for_each(|user| make_user(folder, user));
    let mail = 8; // in every Debian
    std::os::unix::fs::chown(folder.join("sasldb"), Some(mail), Some(mail)).expect("root");
}

fn make_user(folder: &Path, user: &str) {
    let mut command = more_tree::command("usr/sbin/saslpasswd2");
    command.args(["-p", "-c", "-f"]).arg(folder.join("sasldb")).args(["-u", "users", user]);
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("setup unpacked it");
    child
        .stdin
        .take()
        .expect("piped")
        .write_all(format!("{PASSWORD}\n").as_bytes())
        .expect("it reads");
    let output = child.wait_with_output().expect("ours");
    assert!(output.status.success(), "{output:?}");
}

fn settings(scene: &Scene<'_>, folder: &Path) -> String {
    let (dir, place) = (folder.display(), &scene.place);
    let places: String = scene
        .ways
        .iter()
        .map(|way| {
            let address = scene.target.address(way);
            let (ip, port) = (address.ip(), address.port());
            format!(
                " {{ {} = way-{}:[{ip}]:{port} }}",
                way.domain(scene.target.domain),
                way.label()
            )
        })
        .collect();
    // An empty table is none.
    let ways = if places.is_empty() { String::new() } else { format!("inline:{{{places} }}") };
    format!(
        "mynetworks = 127.0.0.0/8\n\
         smtpd_relay_restrictions = permit_mynetworks, reject_unauth_destination\n\
         import_environment = MAIL_CONFIG MAIL_DEBUG MAIL_LOGTAG TZ LANG=C LD_LIBRARY_PATH={libraries} SASL_PATH={sasl}\n\
         smtpd_tls_cert_file = {dir}/{name}.crt\nsmtpd_tls_key_file = {dir}/{name}.key\n\
         smtpd_tls_received_header = yes\nsmtpd_tls_loglevel = 1\nsmtp_tls_loglevel = 1\n\
         smtpd_sasl_type = cyrus\nsmtpd_sasl_path = smtpd\n\
         smtpd_sasl_local_domain = users\nsmtpd_sasl_authenticated_header = yes\n\
         smtpd_sasl_security_options = noanonymous\nsmtp_sasl_security_options = noanonymous\n\
         smtp_tls_CAfile = {dir}/trusted.pem\nmessage_size_limit = 40000000\n\
         smtp_tls_session_cache_database =\nsmtp_connection_cache_on_demand = no\n\
         minimal_backoff_time = 1s\nmaximal_backoff_time = 3s\nqueue_run_delay = 1s\n\
         transport_maps = {ways}\n",
        libraries = more_tree::library_path(),
        sasl = more_tree::sasl_path(),
        name = place.name,
    )
}

fn services(scene: &Scene<'_>, folder: &Path) -> String {
    let ip = scene.place.ip;
    let mut text = "tlsmgr unix - - n 1000? 1 tlsmgr\n".to_owned();
    let doors = [
        (SUBMISSION, "-o smtpd_tls_security_level=encrypt"),
        (SUBMISSIONS, "-o smtpd_tls_wrappermode=yes"),
        (OLD[0], "-o smtpd_tls_security_level=encrypt -o smtpd_tls_mandatory_protocols=TLSv1.2"),
        (OLD[1], "-o smtpd_tls_wrappermode=yes -o smtpd_tls_mandatory_protocols=TLSv1.2"),
    ];
    for (port, options) in doors {
        text +=
            &format!("{ip}:{port} inet n - n - - smtpd -o smtpd_sasl_auth_enable=yes {options}\n");
    }
    for way in scene.ways {
        text += &format!(
            "way-{label} unix - - n - - smtp -o syslog_name=postfix/way-{label} {options}\n",
            label = way.label(),
            options = client_options(way, scene.target.name, folder),
        );
    }
    text
}

fn client_options(way: &Way, name: &str, folder: &Path) -> String {
    let mut options = Vec::new();
    match way.check {
        Check::Nothing => options.push("smtp_tls_security_level=encrypt".to_owned()),
        _ => options.push("smtp_tls_security_level=secure".to_owned()),
    }
    let name = if way.check == Check::OtherName { OTHER_NAME } else { name };
    options.push(format!("smtp_tls_secure_cert_match={name}"));
    if way.check == Check::OtherRoots {
        options.push(format!("smtp_tls_CAfile={}/stranger.pem", folder.display()));
    }
    if way.security == Security::Implicit {
        options.push("smtp_tls_wrappermode=yes".to_owned());
    }
    if way.old {
        options.push("smtp_tls_mandatory_protocols=TLSv1.2".to_owned());
    }
    if let Some(user) = way.user() {
        let mechanism = way.auth.name().to_lowercase();
        options.push("smtp_sasl_auth_enable=yes".to_owned());
        options.push(format!("smtp_sasl_mechanism_filter={mechanism}"));
        let secret = format!("{user}:{}", way.password());
        options.push(format!("{{ smtp_sasl_password_maps = static:{{{secret}}} }}"));
    }
    options.iter().map(|option| format!("-o {option} ")).collect()
}
