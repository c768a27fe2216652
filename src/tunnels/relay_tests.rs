//! Tests of the relay, without SSH.

use super::super::carrier::LinkGone;
use super::*;
use bytes::Bytes;
use tokio::sync::{Notify, mpsc};

struct TestReader(mpsc::Receiver<FromHost>);
impl HostReader for TestReader {
    async fn next(&mut self) -> FromHost {
        self.0.recv().await.unwrap_or(FromHost::Closed)
    }
}
struct TestWriter(mpsc::Sender<Option<Bytes>>);
impl HostWriter for TestWriter {
    async fn write(&self, data: Bytes) -> Result<(), LinkGone> {
        self.0.send(Some(data)).await.map_err(|_| LinkGone)
    }
    async fn eof(&self) -> Result<(), LinkGone> {
        self.0.send(None).await.map_err(|_| LinkGone)
    }
    async fn close(&self) -> Result<(), LinkGone> {
        Ok(())
    }
}

/// The host's side of a visit: what it sends goes into the first sender, what it is sent comes out of the last receiver.
/// So many of its messages wait before it has to.
fn host_side(queue: usize) -> (TestReader, mpsc::Sender<FromHost>, TestWriter, mpsc::Receiver<Option<Bytes>>) {
    let (host_tx, host_rx) = mpsc::channel(queue);
    let (up_tx, up_rx) = mpsc::channel(4);
    (TestReader(host_rx), host_tx, TestWriter(up_tx), up_rx)
}

struct Rig {
    limits: RelayLimits,
    tally: Tally,
    total: Tally,
    vital: Vital,
    _dir: tempfile::TempDir,
}

impl Rig {
    fn terms_with<'a>(&'a self, slows: &'a (dyn Fn(u64) + Sync)) -> Terms<'a> {
        Terms { limits: &self.limits, stall: self.limits.config.stall_timeout, vital: &self.vital, slows }
    }
    fn terms(&self) -> Terms<'_> {
        self.terms_with(&|_| {})
    }
}

fn rig(memory: usize, spill: u64) -> Rig {
    let dir = tempfile::tempdir().unwrap();
    let config = RelayConfig {
        visitor_memory: memory,
        visitor_spill: spill,
        total_spill: spill,
        stall_timeout: Duration::from_secs(60),
        open_timeout: Duration::from_secs(10),
        max_visitors: 8,
    };
    let budget = Arc::new(SpillBudget::new(dir.path(), spill));
    Rig {
        limits: RelayLimits { config, budget },
        tally: Tally::default(),
        total: Tally::default(),
        vital: Vital::default(),
        _dir: dir,
    }
}

#[tokio::test]
async fn half_close_travels_both_ways_and_bytes_are_counted() {
    let rig = rig(1024, 1 << 20);
    let (mut near, mut far) = tokio::io::duplex(64);
    let (mut reader, host_tx, writer, mut up_rx) = host_side(4);
    let terms = rig.terms();
    let run = relay(&mut near, &mut reader, &writer, [&rig.tally, &rig.total], &terms);
    let script = async {
        far.write_all(b"question").await.unwrap();
        far.shutdown().await.unwrap();
        let mut got = Vec::new();
        while let Some(Some(b)) = up_rx.recv().await {
            got.extend_from_slice(&b);
        }
        assert_eq!(got, b"question");
        host_tx.send(FromHost::Data(Bytes::from_static(b"answer"))).await.unwrap();
        host_tx.send(FromHost::Eof).await.unwrap();
        let mut answer = Vec::new();
        far.read_to_end(&mut answer).await.unwrap();
        assert_eq!(answer, b"answer");
    };
    let (end, ()) = tokio::join!(run, script);
    assert_eq!(end, End::Finished);
    assert_eq!(rig.tally.to_host.load(Ordering::Relaxed), 8);
    assert_eq!(rig.total.to_visitor.load(Ordering::Relaxed), 6);
}

#[tokio::test]
async fn a_visitor_that_does_not_read_never_makes_the_host_wait_and_gets_every_byte_in_the_end() {
    let rig = rig(1024, 8 << 20);
    let (mut near, mut far) = tokio::io::duplex(64);
    // A queue of one: if the relay stopped draining, this script would hang.
    let (mut reader, host_tx, writer, _up_rx) = host_side(1);
    let terms = rig.terms();
    let run = relay(&mut near, &mut reader, &writer, [&rig.tally, &rig.total], &terms);
    let script = async {
        for i in 0..1000_u32 {
            host_tx.send(FromHost::Data(Bytes::from(vec![i as u8; 4096]))).await.unwrap();
        }
        assert!(rig.tally.buffered.load(Ordering::Relaxed) > 3 << 20);
        host_tx.send(FromHost::Eof).await.unwrap();
        let mut all = Vec::new();
        far.read_to_end(&mut all).await.unwrap();
        assert_eq!(all.len(), 1000 * 4096);
        assert!(all.chunks(4096).enumerate().all(|(i, c)| c.iter().all(|&b| b == i as u8)));
        host_tx.send(FromHost::Closed).await.unwrap();
    };
    let (end, ()) = tokio::join!(run, script);
    assert_eq!(end, End::HostClosed);
    assert_eq!(rig.tally.buffered.load(Ordering::Relaxed), 0);
    assert_eq!(rig.limits.budget.used(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_visitor_without_progress_is_cut_after_the_stall_time() {
    let rig = rig(1024, 1 << 20);
    let (mut near, _far) = tokio::io::duplex(64);
    let (mut reader, host_tx, writer, _up_rx) = host_side(1);
    let terms = rig.terms();
    let run = relay(&mut near, &mut reader, &writer, [&rig.tally, &rig.total], &terms);
    let script = async {
        host_tx.send(FromHost::Data(Bytes::from(vec![1; 4096]))).await.unwrap();
    };
    let before = Instant::now();
    let (end, ()) = tokio::join!(run, script);
    assert_eq!(end, End::Stalled { after: Duration::from_secs(60), waiting: 4096 - 64 });
    assert!(before.elapsed() >= Duration::from_secs(60));
}

/// Takes `piece` bytes from the visitor's end every quarter of a second.
async fn sip(far: &mut tokio::io::DuplexStream, piece: usize) -> usize {
    let mut buf = vec![0; piece];
    let mut got = 0;
    while got < piece {
        match far.read(&mut buf[..piece - got]).await {
            Ok(0) | Err(_) => return got,
            Ok(n) => got += n,
        }
    }
    tokio::time::sleep(Duration::from_millis(250)).await;
    got
}

#[tokio::test(start_paused = true)]
async fn a_visitor_that_reads_slowly_slows_its_session_beyond_the_cap_and_gets_every_byte() {
    let rig = rig(16 << 10, 256 << 10);
    let (mut near, mut far) = tokio::io::duplex(4096);
    let (mut reader, host_tx, writer, _up_rx) = host_side(1);
    let told = AtomicU64::new(0);
    let slows = |_| {
        told.fetch_add(1, Ordering::Relaxed);
    };
    let terms = rig.terms_with(&slows);
    let run = relay(&mut near, &mut reader, &writer, [&rig.tally, &rig.total], &terms);
    let feed = async {
        // A visitor at work: it reads as fast as it is sent to at first.
        for i in 0..100_u32 {
            host_tx.send(FromHost::Data(Bytes::from(vec![i as u8; 16 << 10]))).await.unwrap();
        }
        host_tx.send(FromHost::Closed).await.unwrap();
    };
    let read = async {
        let mut got = 0;
        let mut most = 0;
        loop {
            // 128 KiB a second.
            let n = sip(&mut far, 32 << 10).await;
            if n == 0 {
                break (got, most);
            }
            got += n;
            most = most.max(rig.tally.buffered.load(Ordering::Relaxed));
            assert!(rig.vital.silence() < Duration::from_secs(1));
        }
    };
    let (end, (), (got, most)) = tokio::join!(run, feed, read);
    assert_eq!((end, got), (End::HostClosed, 100 * (16 << 10)));
    assert!(most <= (256 + 16 + 32) << 10, "{most} bytes waited");
    assert_eq!(told.load(Ordering::Relaxed), 1, "told once");
    assert!(rig.tally.held.load(Ordering::Relaxed) > 5_000, "{:?}", rig.tally);
    assert_eq!(rig.tally.held.load(Ordering::Relaxed), rig.total.held.load(Ordering::Relaxed));
    assert_eq!((rig.tally.holding.load(Ordering::Relaxed), rig.limits.budget.used()), (0, 0));
    assert!(!rig.vital.is_held());
}

#[tokio::test(start_paused = true)]
async fn beyond_the_cap_a_visitor_that_stops_is_cut_within_the_window() {
    let rig = rig(16 << 10, 256 << 10);
    let (mut near, mut far) = tokio::io::duplex(4096);
    let (mut reader, host_tx, writer, _up_rx) = host_side(1);
    let terms = rig.terms();
    let run = async {
        let end = relay(&mut near, &mut reader, &writer, [&rig.tally, &rig.total], &terms).await;
        drop((near, reader));
        (end, Instant::now())
    };
    let feed = async { while host_tx.send(FromHost::Data(Bytes::from(vec![1; 16 << 10]))).await.is_ok() {} };
    let read = async {
        for _ in 0..12 {
            assert_eq!(sip(&mut far, 64 << 10).await, 64 << 10);
        }
        Instant::now()
    };
    let ((end, at), (), stopped) = tokio::join!(run, feed, read);
    assert!(matches!(end, End::TooFarBehind { waiting } if waiting >= (256 - 64) << 10), "{end:?}");
    assert!(rig.tally.held.load(Ordering::Relaxed) > 0);
    assert!(at - stopped < Duration::from_millis(2_300), "{:?}", at - stopped);
    assert_eq!((rig.tally.holding.load(Ordering::Relaxed), rig.limits.budget.used()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_visitor_that_never_read_hardly_slows_anything() {
    let rig = rig(16 << 10, 256 << 10);
    let (mut near, _far) = tokio::io::duplex(4096);
    let (mut reader, host_tx, writer, _up_rx) = host_side(1);
    let terms = rig.terms();
    let run = async {
        let end = relay(&mut near, &mut reader, &writer, [&rig.tally, &rig.total], &terms).await;
        drop(reader);
        end
    };
    let feed = async { while host_tx.send(FromHost::Data(Bytes::from(vec![1; 16 << 10]))).await.is_ok() {} };
    let (end, ()) = tokio::join!(run, feed);
    assert!(matches!(end, End::TooFarBehind { .. }), "{end:?}");
    assert!(rig.tally.held.load(Ordering::Relaxed) <= 500, "{:?}", rig.tally);
}

#[tokio::test(start_paused = true)]
async fn a_hold_ends_with_its_session() {
    let rig = rig(16 << 10, 256 << 10);
    let (mut near, mut far) = tokio::io::duplex(4096);
    let (mut reader, host_tx, writer, _up_rx) = host_side(1);
    let terms = rig.terms();
    let run = async {
        let end = relay(&mut near, &mut reader, &writer, [&rig.tally, &rig.total], &terms).await;
        drop((near, reader));
        (end, Instant::now())
    };
    let feed = async { while host_tx.send(FromHost::Data(Bytes::from(vec![1; 16 << 10]))).await.is_ok() {} };
    let read = async {
        let mut asked = None;
        while sip(&mut far, 32 << 10).await > 0 {
            if rig.vital.is_held() && asked.is_none() {
                rig.vital.poison();
                asked = Some(Instant::now());
            }
        }
        asked.unwrap()
    };
    let ((end, at), (), asked) = tokio::join!(run, feed, read);
    assert_eq!(end, End::LinkGone);
    assert!(at - asked < Duration::from_millis(300), "{:?}", at - asked);
}

/// The host's EOF waits for its turn behind what the visitor has not read.
#[tokio::test]
async fn the_end_comes_after_the_bytes_that_waited() {
    let rig = rig(1024, 8 << 20);
    let (mut near, mut far) = tokio::io::duplex(64);
    let (mut reader, host_tx, writer, mut up_rx) = host_side(1);
    let terms = rig.terms();
    let run = relay(&mut near, &mut reader, &writer, [&rig.tally, &rig.total], &terms);
    let script = async {
        host_tx.send(FromHost::Data(Bytes::from(vec![7; 1 << 20]))).await.unwrap();
        host_tx.send(FromHost::Data(Bytes::from(vec![7; 1 << 20]))).await.unwrap();
        host_tx.send(FromHost::Eof).await.unwrap();
        // What the visitor sends meanwhile goes through.
        far.write_all(b"still there").await.unwrap();
        assert_eq!(up_rx.recv().await.unwrap().unwrap(), Bytes::from_static(b"still there"));
        // It may be on its way into the file at this moment.
        let shown = async {
            while rig.tally.buffered.load(Ordering::Relaxed) <= 1 << 20 {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), shown).await.unwrap();
        let mut all = Vec::new();
        far.read_to_end(&mut all).await.unwrap();
        assert_eq!(all.len(), 2 << 20);
        // And the other half closes after that.
        far.shutdown().await.unwrap();
        assert_eq!(up_rx.recv().await, Some(None));
    };
    let (end, ()) = tokio::join!(run, script);
    assert_eq!(end, End::Finished);
}

#[tokio::test]
async fn a_visitor_that_leaves_gives_back_what_waited_for_it() {
    let rig = rig(1024, 8 << 20);
    let (mut near, far) = tokio::io::duplex(64);
    let (mut reader, host_tx, writer, _up_rx) = host_side(1);
    let terms = rig.terms();
    let run = relay(&mut near, &mut reader, &writer, [&rig.tally, &rig.total], &terms);
    let script = async {
        for _ in 0..64 {
            host_tx.send(FromHost::Data(Bytes::from(vec![1; 64 << 10]))).await.unwrap();
        }
        assert!(rig.limits.budget.used() > 3 << 20);
        drop(far);
    };
    let (end, ()) = tokio::join!(run, script);
    assert_eq!(end, End::VisitorGone);
    assert_eq!((rig.limits.budget.used(), rig.tally.buffered.load(Ordering::Relaxed)), (0, 0));
}

#[tokio::test]
async fn what_a_visitor_had_sent_reaches_the_host_though_it_takes_nothing_more() {
    let rig = rig(1024, 1 << 20);
    let (mut near, mut far) = tokio::io::duplex(1 << 20);
    let (mut reader, host_tx, writer, mut up_rx) = host_side(4);
    let terms = rig.terms();
    far.write_all(&[7; 1 << 20]).await.unwrap();
    drop(far);
    let run = relay(&mut near, &mut reader, &writer, [&rig.tally, &rig.total], &terms);
    let script = async {
        // The service says something before it takes the rest.
        host_tx.send(FromHost::Data(Bytes::from_static(b"250 OK"))).await.unwrap();
        host_tx.send(FromHost::Data(Bytes::from_static(b"250 OK"))).await.unwrap();
        host_tx.reserve_many(4).await.map(drop).unwrap();
        let mut got = 0;
        while let Some(Some(data)) = up_rx.recv().await {
            got += data.len();
        }
        assert_eq!(got, 1 << 20);
    };
    let (end, ()) = tokio::join!(run, script);
    assert_eq!(end, End::VisitorGone);
}

#[tokio::test(start_paused = true)]
async fn a_visitor_that_takes_nothing_more_is_not_waited_for_when_its_host_takes_nothing_either() {
    let rig = rig(1024, 1 << 20);
    let (mut near, mut far) = tokio::io::duplex(1 << 20);
    let (mut reader, host_tx, writer, _up_rx) = host_side(4);
    let terms = rig.terms();
    far.write_all(&[7; 1 << 20]).await.unwrap();
    host_tx.send(FromHost::Data(Bytes::from_static(b"250 OK"))).await.unwrap();
    drop(far);
    let end = relay(&mut near, &mut reader, &writer, [&rig.tally, &rig.total], &terms).await;
    assert_eq!(end, End::VisitorGone);
}

/// A session that waits for the stream to be read takes no word from us either.
#[tokio::test(start_paused = true)]
async fn settling_reads_while_it_says_goodbye() {
    struct Deaf(Arc<Notify>);
    impl HostWriter for Deaf {
        async fn write(&self, _: Bytes) -> Result<(), LinkGone> {
            Ok(())
        }
        async fn eof(&self) -> Result<(), LinkGone> {
            self.0.notified().await;
            Ok(())
        }
        async fn close(&self) -> Result<(), LinkGone> {
            panic!("not by force")
        }
    }
    struct Reads(Arc<Notify>, u32);
    impl HostReader for Reads {
        async fn next(&mut self) -> FromHost {
            self.1 += 1;
            if self.1 == 40 {
                self.0.notify_one();
            }
            if self.1 > 80 { FromHost::Closed } else { FromHost::Data(Bytes::from_static(b"x")) }
        }
    }
    let listens = Arc::new(Notify::new());
    settle(Reads(Arc::clone(&listens), 0), Deaf(Arc::clone(&listens)), End::VisitorGone).await;
    leave(Reads(Arc::clone(&listens), 0), Deaf(listens)).await;
}

/// The session waits until there is room for what the host sends, or until nobody is left who might read it.
#[tokio::test(start_paused = true)]
async fn a_close_by_force_is_heard_by_a_session_that_waits_for_its_reader() {
    struct Deaf(Arc<Notify>);
    impl HostWriter for Deaf {
        async fn write(&self, _: Bytes) -> Result<(), LinkGone> {
            Ok(())
        }
        async fn eof(&self) -> Result<(), LinkGone> {
            std::future::pending().await
        }
        async fn close(&self) -> Result<(), LinkGone> {
            self.0.notified().await;
            Ok(())
        }
    }
    struct Unread(Arc<Notify>);
    impl HostReader for Unread {
        async fn next(&mut self) -> FromHost {
            std::future::pending().await
        }
    }
    impl Drop for Unread {
        fn drop(&mut self) {
            self.0.notify_one();
        }
    }
    let ends = async {
        let gone = Arc::new(Notify::new());
        close(Unread(Arc::clone(&gone)), Deaf(Arc::clone(&gone))).await;
        leave(Unread(Arc::clone(&gone)), Deaf(Arc::clone(&gone))).await;
        settle(Unread(Arc::clone(&gone)), Deaf(gone), End::Finished).await;
    };
    tokio::time::timeout(Duration::from_secs(60), ends).await.unwrap();
}
