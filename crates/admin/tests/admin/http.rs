//! The interface over a real unix socket and a real TCP address, with a fake desk behind it.

use crate::client::{self, Answer};
use crate::desk::FakeDesk;
use posthaste_admin::http::{bind_tcp, bind_unix, serve_tcp, serve_unix};
use posthaste_admin::{Admin, Settings};
use posthaste_evidence::Act;
use posthaste_mail::{QueueId, ReversePath};
use posthaste_spool::decision::Which;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::Arc;
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio::sync::oneshot;

/// A running interface; ends when dropped.
struct Running {
    desk: Arc<FakeDesk>,
    folder: TempDir,
    tcp: SocketAddr,
    end: Option<oneshot::Sender<()>>,
    runtime: Runtime,
}

impl Running {
    fn start(desk: FakeDesk) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let runtime = Runtime::new().unwrap();
        let desk = Arc::new(desk);
        let settings = Settings { events: folder.path().to_owned() };
        let admin = Admin::new(Arc::clone(&desk) as _, settings);
        let socket = folder.path().join("control.sock");
        let (end, ended) = oneshot::channel();
        let tcp = runtime.block_on(async {
            let tcp = bind_tcp("127.0.0.1:0".parse().unwrap()).await.unwrap();
            let address = tcp.local_addr().unwrap();
            tokio::spawn(serve_tcp(tcp, Arc::clone(&admin), std::future::pending()));
            let unix = bind_unix(&socket).unwrap();
            tokio::spawn(serve_unix(unix, admin, async move { drop(ended.await) }));
            address
        });
        Self { desk, folder, tcp, end: Some(end), runtime }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("control.sock")
    }

    fn get(&self, target: &str) -> Answer {
        client::socket(&self.path(), "GET", target, b"")
    }

    fn post(&self, target: &str, body: &str) -> Answer {
        client::socket(&self.path(), "POST", target, body.as_bytes())
    }

    fn over_tcp(&self, method: &str, target: &str) -> Answer {
        client::tcp(self.tcp, method, target, &format!("Host: {}\r\n", self.tcp))
    }
}

fn id(number: u64) -> String {
    QueueId::from_u64(number).to_string()
}

#[test]
fn ping_tells_whether_it_is_ready() {
    let running = Running::start(FakeDesk::default());
    let answer = running.get("/v1/ping");
    assert_eq!((answer.status, &answer.json()["ready"]), (200, &true.into()));
    let running = Running::start(FakeDesk { not_ready: true, ..FakeDesk::default() });
    let answer = running.get("/v1/ping");
    assert_eq!((answer.status, &answer.json()["recovered"]), (503, &false.into()));
}

#[test]
fn status_counts() {
    let status = Running::start(FakeDesk::with_messages(3)).get("/v1/status").json();
    assert_eq!(status["v"], 1);
    assert_eq!(status["messages"], 3);
    assert_eq!(status["uptime"], 3600);
    assert_eq!(status["store"]["accepting"], true);
}

#[test]
fn listings_come_in_slices_without_gap_or_repeat() {
    let running = Running::start(FakeDesk::with_messages(450));
    let mut seen = Vec::new();
    let mut target = "/v1/messages?limit=100".to_owned();
    loop {
        let slice = running.get(&target).json();
        let messages = slice["messages"].as_array().unwrap();
        assert!(messages.len() <= 100);
        seen.extend(messages.iter().map(|m| m["id"].as_str().unwrap().to_owned()));
        match slice["next"].as_str() {
            Some(next) => target = format!("/v1/messages?limit=100&after={next}"),
            None => break,
        }
    }
    assert_eq!(seen, (1..=450).map(id).collect::<Vec<_>>());
}

#[test]
fn filters_choose_and_their_errors_point() {
    let running = Running::start(FakeDesk::with_messages(30));
    let slice = running.get("/v1/messages?filter=subject+%3D+%22Invoice+7%22").json();
    assert_eq!(slice["messages"].as_array().unwrap().len(), 1);
    assert_eq!(slice["messages"][0]["id"], id(7));
    let none = running.get("/v1/messages?filter=age+%3E+2h").json();
    assert_eq!(none["messages"].as_array().unwrap().len(), 0);
    let wrong = running.get("/v1/messages?filter=age+%3E+2");
    assert_eq!(wrong.status, 400);
    assert_eq!(wrong.json()["error"]["code"], "bad-filter");
    assert_eq!(wrong.json()["error"]["at"], "column 7");
    let queue = running.get("/v1/queue?filter=destination+like+*.example&limit=1").json();
    assert_eq!(queue["destinations"][0]["name"], "a.example");
    let next = queue["next"].as_str().unwrap().replace(' ', "+");
    let queue =
        running.get(&format!("/v1/queue?filter=destination+like+*.example&after={next}")).json();
    assert_eq!(queue["destinations"].as_array().unwrap().len(), 1);
    assert_eq!(queue["destinations"][0]["name"], "b.example");
    assert_eq!(queue["next"], serde_json::Value::Null);
}

#[test]
fn one_message_comes_with_its_attempts() {
    let running = Running::start(FakeDesk::with_messages(1));
    let message = running.get(&format!("/v1/messages/{}", id(1))).json();
    assert_eq!(message["attempts"][0]["host"], "mx.e.example");
    let absent = running.get(&format!("/v1/messages/{}", id(2)));
    assert_eq!((absent.status, &absent.json()["error"]["code"]), (404, &"not-found".into()));
    assert_eq!(running.get("/v1/messages/nonsense").status, 400);
}

#[test]
fn an_act_is_on_some_on_those_that_fit_at_a_destination_or_on_all() {
    let running = Running::start(FakeDesk::with_messages(300));
    let ordered = || std::mem::take(&mut *running.desk.ordered.lock().unwrap());
    let one = running.post("/v1/acts", &format!(r#"{{"act":"hold","ids":["{}"]}}"#, id(5)));
    assert_eq!((one.status, &one.json()["stage"]), (200, &"done".into()));
    let command = ordered().remove(0);
    assert_eq!(command.which, Which::Messages(vec![QueueId::from_u64(5)]));
    assert!(command.by.starts_with("uid "), "the kernel says who: {}", command.by);
    let gone = format!(r#"{{"act":"remove","ids":["{}"]}}"#, id(999));
    assert_eq!(running.post("/v1/acts", &gone).status, 404);
    let some = format!(r#"{{"act":"remove","ids":["{}","{}"]}}"#, id(1), id(999));
    assert_eq!(running.post("/v1/acts", &some).json()["missing"], serde_json::json!([id(999)]));
    ordered();
    for (request, act) in [
        (r#"{"act":"remove","all":true}"#, Act::Remove),
        (r#"{"act":"remove","all":true,"notice":true}"#, Act::Bounce),
        (r#"{"act":"bounce","all":true,"text":"sorry"}"#, Act::Bounce),
        (
            r#"{"act":"redirect","destination":"a.example","to_address":"x@y.example"}"#,
            Act::Redirect,
        ),
        (r#"{"act":"release","hold":3,"reason":"over"}"#, Act::Release),
    ] {
        assert_eq!(running.post("/v1/acts", request).status, 200, "{request}");
        assert_eq!(ordered().remove(0).act, act, "{request}");
    }
    for wrong in [
        "{}",
        r#"{"act":"hold"}"#,
        r#"{"act":"shred","all":true}"#,
        r#"{"act":"hold","all":true,"where":"size > 1"}"#,
        r#"{"act":"hold","everything":true}"#,
        r#"{"act":"hold","all":true,"notice":true}"#,
        r#"{"act":"redirect","all":true,"to_address":"a@b.c","to_route":"r"}"#,
        "",
        "[1]",
    ] {
        assert_eq!(running.post("/v1/acts", wrong).status, 400, "{wrong}");
    }
    let wrong = running.post("/v1/acts", r#"{"act":"hold","where":"age > 2"}"#).json();
    assert_eq!(wrong["error"]["at"], "column 7");
    assert_eq!(ordered(), []);
}

#[test]
fn a_dry_run_counts_recipients_and_does_nothing() {
    let running = Running::start(FakeDesk::with_messages(300));
    for (request, messages, recipients) in [
        (r#"{"act":"retry","all":true,"dry_run":true}"#, 300, 300),
        (r#"{"act":"remove","where":"subject like \"Invoice 1*\"","dry_run":true}"#, 111, 111),
        // The other recipient of each is at an end.
        (r#"{"act":"hold","where":"domain = b.example","dry_run":true}"#, 0, 0),
        (r#"{"act":"hold","destination":"E.example","dry_run":true}"#, 300, 300),
        (r#"{"act":"release","all":true,"dry_run":true}"#, 0, 0),
    ] {
        let counted = running.post("/v1/acts", request).json();
        let got = (&counted["messages"], &counted["recipients"], &counted["next"]);
        assert_eq!(
            got,
            (&messages.into(), &recipients.into(), &serde_json::Value::Null),
            "{request}"
        );
    }
    assert!(running.desk.ordered.lock().unwrap().is_empty());
}

#[test]
fn decisions_and_holds_are_listed() {
    let running = Running::start(FakeDesk::with_messages(3));
    assert_eq!(running.get("/v1/decisions/7").status, 404);
    let request = r#"{"act":"hold","where":"size > 1 kB","reason":"a test"}"#;
    assert_eq!(running.post("/v1/acts", request).status, 200);
    let one = running.get("/v1/decisions/7?wait=1").json();
    assert_eq!((&one["target"]["kind"], &one["reason"]), (&"filter".into(), &"a test".into()));
    assert_eq!(running.get("/v1/decisions").json()["decisions"][0]["decision"], 7);
    assert_eq!(running.get("/v1/decisions/7?wait=31").status, 400);
    assert_eq!(running.post("/v1/decisions/7/cancel", "").status, 404);
    let holds = running.get("/v1/holds").json();
    assert_eq!((&holds["holds"][0]["hold"], &holds["holds"][0]["caught"]), (&3.into(), &4.into()));
}

#[test]
fn a_message_goes_out_as_a_file_and_comes_in_again() {
    let running = Running::start(FakeDesk::with_messages(3));
    let file = running.get(&format!("/v1/messages/{}/content", id(1))).body;
    let head = "X-Sender: <ann@sender.example>\r\nX-Receiver: <Eve@E.example>\r\n";
    assert_eq!(file, format!("{head}X-CreatedBy: Posthaste\r\nSubject: x\r\n\r\nhello\r\n"));
    let large = running.get(&format!("/v1/messages/{}/content", id(2))).body;
    assert!(large.len() > 3 << 19, "{}", large.len());
    assert_eq!(running.get(&format!("/v1/messages/{}/content", id(99))).status, 404);
    let dry = running.post("/v1/import?dry_run=true", &file).json();
    assert_eq!((&dry["id"], &dry["to"][0]), (&serde_json::Value::Null, &"Eve@E.example".into()));
    assert!(running.desk.submitted.lock().unwrap().is_empty());
    assert_eq!(running.post("/v1/import", &file).json()["id"], id(43));
    let submitted = running.desk.submitted.lock().unwrap();
    assert_eq!(&submitted[0].content[..], b"Subject: x\r\n\r\nhello\r\n");
    drop(submitted);
    let wrong = running.post("/v1/import", "Subject: x\r\n\r\n");
    assert_eq!((wrong.status, &wrong.json()["error"]["code"]), (422, &"bad-file".into()));
    let target = format!("/v1/messages/{}/content", id(1));
    assert_eq!(running.over_tcp("GET", &target).status, 404, "content is its owner's");
}

#[test]
fn a_message_is_handed_in_whole() {
    let running = Running::start(FakeDesk::default());
    let target = "/v1/messages?from=ann%40sender.example&to=bob%40b.example&to=eve%40e.example";
    let answer = running.post(target, "Subject: x\n\nhello\n");
    assert_eq!((answer.status, &answer.json()["id"]), (200, &id(42).into()));
    let submitted = running.desk.submitted.lock().unwrap();
    assert_eq!(submitted[0].to.len(), 2);
    assert_eq!(&submitted[0].content[..], b"Subject: x\n\nhello\n");
    assert!(submitted[0].user.as_ref().is_some_and(|user| user.starts_with("uid ")));
    drop(submitted);
    running.post("/v1/messages?to=bob%40b.example", "x");
    assert_eq!(running.desk.submitted.lock().unwrap()[1].from, ReversePath::Null);
    for (target, body, status) in [
        ("/v1/messages", "x".to_owned(), 400),
        ("/v1/messages?to=nobody", "x".to_owned(), 400),
        ("/v1/messages?to=a%40b.example&cc=x", "x".to_owned(), 400),
        ("/v1/messages?to=a%40b.example", "x".repeat(100_001), 413),
    ] {
        assert_eq!(running.post(target, &body).status, status, "{target}");
    }
    let full = Running::start(FakeDesk { full: true, ..FakeDesk::default() });
    let answer = full.post("/v1/messages?to=a%40b.example", "x");
    assert_eq!((answer.status, &answer.json()["error"]["code"]), (503, &"not-now".into()));
}

#[test]
fn reload_and_stop_reach_the_desk() {
    let running = Running::start(FakeDesk { bad_config: true, ..FakeDesk::default() });
    let answer = running.post("/v1/reload", "");
    assert_eq!((answer.status, &answer.json()["error"]["code"]), (422, &"bad-config".into()));
    assert_eq!(running.post("/v1/stop", "").status, 202);
    assert!(*running.desk.stopped.lock().unwrap());
    let good = Running::start(FakeDesk::default()).post("/v1/reload", "").json();
    assert_eq!(good["after_restart"][0], "data");
    assert_eq!(good["due_now"], 3);
}

#[test]
fn a_route_is_explained() {
    let running = Running::start(FakeDesk::default());
    let route = running
        .get("/v1/route?address=eve%40e.example&from=a%40b.example&listener=relay&user=ann&size=12MB")
        .json();
    assert_eq!(route["hops"][0]["ip"], "192.0.2.1");
    assert_eq!(route["observations"][0]["stage"], "dns-mx");
    assert_eq!(running.get("/v1/route").status, 400);
    assert_eq!(running.get("/v1/route?address=x").status, 400);
    assert_eq!(running.get("/v1/route?address=a%40b.example&size=big").status, 400);
    let unknown = running.get("/v1/route?address=a%40b.example&listener=nolist").json();
    let said = "no listener has the name `nolist`; there are: relay, local";
    assert_eq!(unknown["error"]["message"], said);
}

#[test]
fn a_notice_is_shown_before_it_is_sent() {
    let running = Running::start(FakeDesk::with_messages(1));
    let preview = |rest: &str| running.get(&format!("/v1/notices/preview?id=0000000000001{rest}"));
    let usual = preview("").json();
    assert_eq!((&usual["kind"], &usual["language"]), (&"delayed".into(), &"en".into()));
    let failed = preview("&kind=failed&language=de").json();
    assert_eq!((&failed["kind"], &failed["language"]), (&"failed".into(), &"de".into()));
    for (rest, said) in [
        ("&kind=bounce", "`bounce` is not a kind of notice; there are: failed, delayed,"),
        ("&kind=relayed", "nobody asked"),
        ("&language=tlh", "there are no texts in `tlh`; there are: de"),
        ("&lang=de", "unknown parameter `lang`"),
    ] {
        let answer = preview(rest);
        let message = answer.json()["error"]["message"].as_str().unwrap().to_owned();
        assert!(answer.status == 400 && message.starts_with(said), "{rest}: {message}");
    }
    assert_eq!(running.get("/v1/notices/preview?id=0000000000002").status, 404);
    let over_tcp = running.over_tcp("GET", "/v1/notices/preview?id=0000000000001");
    assert_eq!(over_tcp.status, 404, "it quotes mail");
}

#[test]
fn tcp_reads_only_and_only_for_those_who_mean_us() {
    let running = Running::start(FakeDesk::with_messages(1));
    assert_eq!(running.over_tcp("GET", "/v1/status").status, 200);
    for target in ["/v1/acts", "/v1/import", "/v1/reload", "/v1/stop"] {
        assert_eq!(running.over_tcp("POST", target).status, 404, "{target}");
    }
    let answer = running.over_tcp("POST", "/v1/messages?to=a%40b.example");
    assert_eq!((answer.status, &answer.json()["error"]["code"]), (403, &"socket-only".into()));
    // A page in a browser on this machine must not make us ask strangers' servers.
    assert_eq!(running.over_tcp("GET", "/v1/dns/ask?name=b.example").status, 404);
    assert_eq!(running.over_tcp("POST", "/v1/dns/flush").status, 404);
    assert_eq!(running.get("/v1/dns/servers").status, 404, "this desk asks no DNS");
    assert!(!*running.desk.stopped.lock().unwrap());
    for fields in [
        "Host: rebound.example\r\n".to_owned(),
        format!("Host: {}\r\nOrigin: https://evil.example\r\n", running.tcp),
    ] {
        let answer = client::tcp(running.tcp, "GET", "/v1/status", &fields);
        assert_eq!((answer.status, &answer.json()["error"]["code"]), (403, &"foreign".into()));
        assert!(!answer.head.to_lowercase().contains("access-control-allow"), "{}", answer.head);
    }
}

#[test]
fn unknown_paths_and_methods_are_json_errors() {
    let running = Running::start(FakeDesk::default());
    assert_eq!(running.get("/").json()["error"]["code"], "no-such-path");
    assert_eq!(running.post("/v1/status", "").json()["error"]["code"], "wrong-method");
    assert_eq!(running.get("/v1/messages?fliter=x").status, 400);
}

#[test]
fn the_socket_is_its_owners_and_never_taken_from_a_living_daemon() {
    let running = Running::start(FakeDesk::default());
    let path = running.path();
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let _inside = running.runtime.enter();
    let error = bind_unix(&path).unwrap_err();
    assert!(error.to_string().starts_with("another daemon is listening"), "{error}");
    let file = running.folder.path().join("file");
    std::fs::write(&file, "precious").unwrap();
    let error = bind_unix(&file).unwrap_err();
    assert!(error.to_string().ends_with("is not a socket"), "{error}");
    assert_eq!(std::fs::read(&file).unwrap(), b"precious");
    let stale = running.folder.path().join("stale.sock");
    drop(bind_unix(&stale).unwrap());
    assert!(stale.exists(), "a killed daemon leaves it");
    drop(bind_unix(&stale).expect("it is replaced"));
}

#[test]
fn it_listens_on_loopback_only() {
    let runtime = Runtime::new().unwrap();
    let error = runtime.block_on(bind_tcp("192.0.2.1:2580".parse().unwrap())).unwrap_err();
    assert!(error.to_string().contains("not a loopback address"), "{error}");
}

#[test]
fn the_end_closes_the_door() {
    let mut running = Running::start(FakeDesk::default());
    assert_eq!(running.get("/v1/ping").status, 200);
    let path = running.path();
    drop(running.end.take());
    let closed = || std::os::unix::net::UnixStream::connect(&path).is_err();
    let start = std::time::Instant::now();
    while !closed() {
        assert!(start.elapsed().as_secs() < 20, "the listener is still there");
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
}
