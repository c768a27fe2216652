//! The control connection as scenarios, over real sockets and in-memory streams.

use super::client::{Client, ClientError};
use super::fake::{Fake, identity, port, snapshot};
use super::protocol::*;
use super::server::{Api, MAX_IN_FLIGHT, refuse, serve};
use super::unix::{BindError, MAX_CONNECTIONS, MODE, UnixServer};
use crate::model::{GrantId, GrantedRole, Role};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, DuplexStream};
use tokio::task::JoinHandle;

const HELLO: &str = r#"{"id":1,"request":{"do":"hello","version":1,"client":"test"}}"#;

fn start(api: &Arc<Fake>, buffer: usize) -> (DuplexStream, JoinHandle<()>) {
    let (ours, theirs) = tokio::io::duplex(buffer);
    let api: Arc<dyn Api> = Arc::clone(api) as Arc<dyn Api>;
    (ours, tokio::spawn(serve(theirs, identity("alice", Role::Operator), api)))
}

/// Sends lines as they are and gives back every frame until the server closes.
async fn raw(lines: &str) -> Vec<ServerFrame> {
    let (ours, served) = start(&Arc::new(Fake::default()), 1 << 20);
    let (mut read, mut write) = tokio::io::split(ours);
    let lines = lines.to_owned();
    let sent = tokio::spawn(async move {
        let _ = write.write_all(lines.as_bytes()).await;
        let _ = write.shutdown().await;
    });
    let mut got = String::new();
    read.read_to_string(&mut got).await.unwrap();
    sent.await.unwrap();
    served.await.unwrap();
    got.lines().map(|l| serde_json::from_str(l).unwrap()).collect()
}

fn error_of(frame: &ServerFrame) -> (u64, ErrorCode, &str) {
    match frame {
        ServerFrame::Reply { id, result: Err(e) } => (*id, e.code, &e.message),
        other => panic!("an error was expected, not {other:?}"),
    }
}

#[tokio::test]
async fn hello_tells_who_you_are() {
    let (stream, _served) = start(&Arc::new(Fake::default()), 1 << 16);
    let client = Client::connect(stream, "test").await.unwrap();
    assert_eq!(client.identity().name, "alice");
    assert_eq!(client.daemon_version(), env!("CARGO_PKG_VERSION"));
    assert_eq!(client.snapshot().await.unwrap(), snapshot());
}

#[tokio::test]
async fn whoever_may_see_something_else_from_now_on_gets_the_whole_picture_anew() {
    let api = Arc::new(Fake::default());
    let (stream, _served) = start(&api, 1 << 16);
    let client = Client::connect(stream, "test").await.unwrap();
    let mut pushes = client.subscribe(None).await.unwrap();
    assert!(matches!(pushes.recv().await, Some(Push::Snapshot(_))));
    api.changed.send_modify(|n| *n += 1);
    assert!(matches!(pushes.recv().await, Some(Push::Delta(_))));
    let granted = GrantedRole { grant: GrantId::new(), role: Role::Admin, teams: None, until: crate::model::now() };
    for (all, more) in [(vec![granted], 1), (vec![], 2)] {
        *api.granted.lock().unwrap() = all;
        api.changed.send_modify(|n| *n += 1);
        assert!(matches!(pushes.recv().await, Some(Push::Snapshot(_))), "change {more}");
        api.changed.send_modify(|n| *n += 1);
        assert!(matches!(pushes.recv().await, Some(Push::Delta(_))));
    }
}

#[tokio::test]
async fn another_version_is_refused_by_naming_both() {
    let frames = raw("{\"id\":9,\"request\":{\"do\":\"hello\",\"version\":99,\"client\":\"x\"}}\n").await;
    let (id, code, message) = error_of(&frames[0]);
    assert_eq!((id, code), (9, ErrorCode::Invalid));
    assert!(message.contains("version 1 ") && message.contains("version 99"), "{message}");
    assert_eq!(frames.len(), 1);

    let (ours, mut theirs) = tokio::io::duplex(1 << 16);
    let old_daemon = tokio::spawn(async move {
        let you = identity("alice", Role::Viewer);
        let result = Ok(Reply::Welcome { version: 7, portreeve: "9.0".to_owned(), you });
        let line = serde_json::to_string(&ServerFrame::Reply { id: 1, result }).unwrap() + "\n";
        theirs.write_all(line.as_bytes()).await.unwrap();
        theirs
    });
    let e = Client::connect(ours, "test").await.unwrap_err();
    assert!(matches!(e, ClientError::Version(_)) && e.to_string().contains("9.0"), "{e}");
    old_daemon.await.unwrap();
}

#[tokio::test]
async fn nothing_is_answered_before_hello() {
    let frames = raw("{\"id\":3,\"request\":{\"do\":\"snapshot\"}}\n").await;
    assert_eq!(frames.len(), 1);
    assert_eq!(error_of(&frames[0]).0, 3);
}

#[tokio::test]
async fn garbage_is_answered_and_the_connection_goes_on() {
    let frames = raw(&format!(
        "{HELLO}\nnot json\n{{\"id\":5,\"request\":{{\"do\":\"fly\"}}}}\n\n{{\"id\":6,\"request\":{{\"do\":\"snapshot\"}}}}\n"
    ))
    .await;
    assert_eq!(frames.len(), 4, "{frames:?}");
    assert_eq!(error_of(&frames[1]).0, 0);
    let (id, code, message) = error_of(&frames[2]);
    assert_eq!((id, code), (5, ErrorCode::Invalid));
    assert!(message.contains("fly"), "{message}");
    assert!(matches!(frames[3], ServerFrame::Reply { id: 6, result: Ok(Reply::Snapshot(_)) }));
}

#[tokio::test]
async fn an_oversize_line_is_answered_and_the_connection_closed() {
    let long = "x".repeat(70_000);
    let frames = raw(&format!("{HELLO}\n{long}\n{{\"id\":6,\"request\":{{\"do\":\"snapshot\"}}}}\n")).await;
    assert_eq!(frames.len(), 2);
    let (id, code, message) = error_of(&frames[1]);
    assert_eq!((id, code), (0, ErrorCode::Invalid));
    assert!(message.contains("65536"), "{message}");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_never_says_hello_is_let_go() {
    let (mut ours, served) = start(&Arc::new(Fake::default()), 1 << 16);
    let mut said = String::new();
    ours.read_to_string(&mut said).await.unwrap();
    assert!(said.contains("hello"), "{said}");
    served.await.unwrap();
}

#[tokio::test]
async fn sixty_four_requests_run_at_once_and_the_next_waits() {
    let api = Arc::new(Fake { gate: Arc::new(tokio::sync::Semaphore::new(0)), ..Fake::default() });
    let (stream, _served) = start(&api, 1 << 16);
    let client = Client::connect(stream, "test").await.unwrap();
    let asking: Vec<_> = (0..=MAX_IN_FLIGHT)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move { client.request(Request::Visitors { port: Some(port(20100)) }).await })
        })
        .collect();
    let mut busy = api.busy.subscribe();
    busy.wait_for(|n| *n == MAX_IN_FLIGHT).await.unwrap();
    assert_eq!(api.asked.lock().unwrap().len(), MAX_IN_FLIGHT);
    api.gate.add_permits(MAX_IN_FLIGHT + 1);
    for a in asking {
        assert!(matches!(a.await.unwrap(), Ok(Reply::Visitors { .. })));
    }
    assert_eq!(api.asked.lock().unwrap().len(), MAX_IN_FLIGHT + 1);
}

#[tokio::test]
async fn a_panic_while_answering_is_an_error_and_not_the_end() {
    let (stream, _served) = start(&Arc::new(Fake::default()), 1 << 16);
    let client = Client::connect(stream, "test").await.unwrap();
    let e = client.request(Request::Explain { who: "boom".to_owned(), port: None }).await.unwrap_err();
    assert!(matches!(&e, ClientError::Api(e) if e.code == ErrorCode::Unavailable), "{e}");
    assert!(client.request(Request::Check).await.is_ok());
}

#[tokio::test]
async fn when_the_client_leaves_questions_are_dropped_and_actions_go_on() {
    let gate = Arc::new(tokio::sync::Semaphore::new(0));
    let api = Arc::new(Fake { gate: Arc::clone(&gate), act_waits: true, ..Fake::default() });
    let (stream, served) = start(&api, 1 << 16);
    let client = Client::connect(stream, "test").await.unwrap();
    for (n, request) in [Request::Act(Action::Reload), Request::Visitors { port: None }].into_iter().enumerate() {
        let client = client.clone();
        let asked = tokio::spawn(async move { client.request(request).await });
        api.busy.subscribe().wait_for(|busy| *busy == n + 1).await.unwrap();
        asked.abort();
        let _ = asked.await;
    }
    drop(client);
    served.await.unwrap();
    gate.add_permits(2);
    api.acted.subscribe().wait_for(|n| *n == 1).await.unwrap();
    assert_eq!(gate.available_permits(), 1, "the question took no part");
}

#[tokio::test(start_paused = true)]
async fn pushes_come_at_most_ten_a_second_and_only_when_something_changed() {
    let api = Arc::new(Fake::default());
    let (stream, _served) = start(&api, 1 << 20);
    let client = Client::connect(stream, "test").await.unwrap();
    let mut pushes = client.subscribe(None).await.unwrap();
    assert!(matches!(pushes.recv().await, Some(Push::Snapshot(_))));
    let quiet = tokio::time::timeout(Duration::from_secs(60), pushes.recv()).await;
    assert!(quiet.is_err(), "nothing changed, nothing is sent");
    assert_eq!(api.deltas.load(Ordering::SeqCst), 0);

    let ticking = Arc::clone(&api);
    let ticks = tokio::spawn(async move {
        for _ in 0..1_000 {
            ticking.changed.send_modify(|n| *n += 1);
            tokio::time::advance(Duration::from_millis(1)).await;
        }
    });
    let mut last = 0;
    while last < 1_000 {
        match pushes.recv().await {
            Some(Push::Delta(d)) => last = d.revision.0,
            other => panic!("{other:?}"),
        }
    }
    ticks.await.unwrap();
    let n = api.deltas.load(Ordering::SeqCst);
    assert!((2..=12).contains(&n), "{n} pushes in a second");
}

#[tokio::test(start_paused = true)]
async fn a_stalled_subscriber_costs_one_frame_and_then_gets_the_latest_state() {
    let api = Arc::new(Fake { padding: 100_000, ..Fake::default() });
    let (stream, _served) = start(&api, 1 << 10);
    let (read, mut write) = tokio::io::split(stream);
    let mut read = BufReader::new(read);
    write
        .write_all(format!("{HELLO}\n{{\"id\":2,\"request\":{{\"do\":\"subscribe\",\"since\":null}}}}\n").as_bytes())
        .await
        .unwrap();
    let mut line = String::new();
    for _ in 0..3 {
        line.clear();
        read.read_line(&mut line).await.unwrap();
    }
    assert!(line.contains("snapshot"), "{line}");
    for _ in 0..500 {
        api.changed.send_modify(|n| *n += 1);
        tokio::time::advance(Duration::from_millis(50)).await;
    }
    assert_eq!(api.deltas.load(Ordering::SeqCst), 1, "nothing is computed while a frame is being written");
    // Another connection is not held up by it.
    let (other, _served_too) = start(&api, 1 << 20);
    let other = Client::connect(other, "test").await.unwrap();
    assert!(other.snapshot().await.is_ok());

    let mut revisions = vec![];
    while revisions.last() != Some(&500) {
        line.clear();
        read.read_line(&mut line).await.unwrap();
        match serde_json::from_str(&line).unwrap() {
            ServerFrame::Push(p) => match *p {
                Push::Delta(d) => revisions.push(d.revision.0),
                other => panic!("one snapshot only, and no {other:?}"),
            },
            ServerFrame::Reply { .. } => panic!("nothing was asked"),
        }
    }
    assert_eq!(revisions.len(), 2, "the frame under way, then the latest state: {revisions:?}");
}

#[tokio::test]
async fn the_socket_has_its_mode_and_goes_with_its_server() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("control.sock");
    let gid = nix::unistd::getegid();
    let group = nix::unistd::Group::from_gid(gid).unwrap().unwrap().name;
    let server = UnixServer::bind(&path, MODE, Some(&group)).unwrap();
    let meta = std::fs::metadata(&path).unwrap();
    assert_eq!(meta.permissions().mode() & 0o777, 0o660);
    assert_eq!(meta.gid(), gid.as_raw());
    drop(server);
    assert!(!path.exists());
    let e = UnixServer::bind(&path, MODE, Some("no-such-group-here")).unwrap_err();
    assert!(matches!(e, BindError::NoGroup(_)), "{e}");
}

#[tokio::test]
async fn a_stale_socket_is_replaced_and_a_live_daemon_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("control.sock");
    // A dead daemon leaves its socket behind.
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    assert!(path.exists());
    let server = UnixServer::bind(&path, MODE, None).unwrap();
    let e = UnixServer::bind(&path, MODE, None).unwrap_err();
    assert!(matches!(e, BindError::Live(_)), "{e}");
    assert!(path.exists());
    drop(server);

    // One that holds no lock of ours but answers is alive as well.
    let _other = std::os::unix::net::UnixListener::bind(&path).unwrap();
    assert!(matches!(UnixServer::bind(&path, MODE, None), Err(BindError::Live(_))));
    let file = dir.path().join("precious");
    std::fs::write(&file, "x").unwrap();
    assert!(matches!(UnixServer::bind(&file, MODE, None), Err(BindError::NotASocket(_))));
    assert_eq!(std::fs::read(&file).unwrap(), b"x");
}

#[tokio::test]
async fn peers_are_known_by_the_kernel_and_may_be_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("control.sock");
    let server = UnixServer::bind(&path, MODE, None).unwrap();
    let me = nix::unistd::geteuid().as_raw();
    let refusing = std::sync::atomic::AtomicBool::new(false);
    let identify = |peer: super::unix::PeerCred| {
        assert_eq!(peer.uid, me);
        assert_eq!(peer.pid, i32::try_from(std::process::id()).ok());
        if refusing.load(Ordering::SeqCst) {
            return Err(format!("uid {} is no operator", peer.uid));
        }
        Ok(identity("root", Role::Admin))
    };
    let asks = async {
        let client = Client::connect_unix(&path, "test").await.unwrap();
        assert_eq!(client.identity().name, "root");
        refusing.store(true, Ordering::SeqCst);
        Client::connect_unix(&path, "test").await.unwrap_err()
    };
    let e = tokio::select! {
        e = asks => e,
        () = server.run(Arc::new(Fake::default()), identify) => panic!("it runs until dropped"),
    };
    assert!(matches!(&e, ClientError::Api(e) if e.code == ErrorCode::Forbidden), "{e}");
    assert!(e.to_string().contains("is no operator"));
}

#[tokio::test]
async fn one_connection_too_many_is_told_so_and_the_others_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("control.sock");
    let server = UnixServer::bind(&path, MODE, None).unwrap();
    let asks = async {
        let mut open = vec![];
        for _ in 0..MAX_CONNECTIONS {
            open.push(Client::connect_unix(&path, "test").await.unwrap());
        }
        let e = Client::connect_unix(&path, "test").await.unwrap_err();
        assert!(open[0].request(Request::Check).await.is_ok());
        e
    };
    let e = tokio::select! {
        e = asks => e,
        () = server.run(Arc::new(Fake::default()), |_| Ok(identity("root", Role::Admin))) => panic!("runs until dropped"),
    };
    assert!(matches!(&e, ClientError::Api(e) if e.code == ErrorCode::Unavailable), "{e}");
}

#[tokio::test]
async fn a_missing_daemon_is_named_with_the_remedy() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("control.sock");
    let e = Client::connect_unix(&path, "test").await.unwrap_err();
    assert!(matches!(e, ClientError::NoSocket(_)) && e.to_string().contains("portreeve serve --config"), "{e}");
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let e = Client::connect_unix(&path, "test").await.unwrap_err();
    assert!(matches!(e, ClientError::NotAnswering(_)) && e.is_unreachable(), "{e}");
}

#[tokio::test]
async fn when_the_daemon_goes_everyone_waiting_is_told() {
    let api = Arc::new(Fake { gate: Arc::new(tokio::sync::Semaphore::new(0)), ..Fake::default() });
    let (stream, served) = start(&api, 1 << 16);
    let client = Client::connect(stream, "test").await.unwrap();
    let mut pushes = client.subscribe(None).await.unwrap();
    assert!(pushes.recv().await.is_some());
    let asking = tokio::spawn({
        let client = client.clone();
        async move { client.request(Request::Visitors { port: None }).await }
    });
    api.busy.subscribe().wait_for(|n| *n == 1).await.unwrap();
    served.abort();
    assert!(matches!(asking.await.unwrap(), Err(ClientError::Closed(_))));
    assert!(pushes.recv().await.is_none());
    assert!(matches!(client.request(Request::Check).await, Err(ClientError::Closed(_))));
}

#[tokio::test]
async fn a_refused_stream_gets_its_reason() {
    let (ours, theirs) = tokio::io::duplex(1 << 16);
    tokio::spawn(refuse(theirs, ApiError::new(ErrorCode::Forbidden, "no")));
    let e = Client::connect(ours, "test").await.unwrap_err();
    assert!(matches!(e, ClientError::Api(e) if e.code == ErrorCode::Forbidden));
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig { cases: 64, ..Default::default() })]
    /// Whatever bytes come, before or after a hello, the server ends in order.
    #[test]
    fn no_bytes_make_the_server_panic(hello: bool, bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..400)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (mut ours, served) = start(&Arc::new(Fake::default()), 1 << 16);
            if hello {
                ours.write_all(HELLO.as_bytes()).await.unwrap();
                ours.write_all(b"\n").await.unwrap();
            }
            ours.write_all(&bytes).await.unwrap();
            ours.write_all(b"\n").await.unwrap();
            ours.shutdown().await.unwrap();
            let mut got = Vec::new();
            ours.read_to_end(&mut got).await.unwrap();
            served.await.unwrap();
            for line in got.split(|b| *b == b'\n').filter(|l| !l.is_empty()) {
                serde_json::from_slice::<ServerFrame>(line).unwrap();
            }
        });
    }
}

/// A daemon from before triage says nothing of incidents; a console from before it passes over them.
#[test]
fn incidents_are_an_addition_that_neither_side_needs() {
    let mut old = serde_json::to_value(snapshot()).unwrap();
    assert!(old.as_object_mut().unwrap().remove("incidents").is_some());
    assert_eq!(serde_json::from_value::<Snapshot>(old).unwrap().incidents, None);
    let mut newer = serde_json::to_value(snapshot()).unwrap();
    newer["something_else"] = 1.into();
    newer["incidents"] = serde_json::json!([super::fake::incident()]);
    newer["incidents"][0]["cause"] = "a-cause-of-tomorrow".into();
    newer["incidents"][0]["severity"] = "catastrophe".into();
    let read = serde_json::from_value::<Snapshot>(newer).unwrap().incidents.unwrap();
    assert_eq!((read[0].cause.as_str(), read[0].severity), ("a-cause-of-tomorrow", crate::model::Severity::Note));
}
