//! Sign-ins with a client that costs little: a stock `ssh` process is most of the CPU time of its handshake, so with it
//! the servers can hardly be told apart. The same client for all: russh's, in the driver.

use crate::common::{Res, Server, at};
use crate::handshakes::{AT_ONCE, PORTS};
use russh::client::{self, Handle};
use russh::keys::{Algorithm, PrivateKey, PrivateKeyWithHashAlg, PublicKeyOrCertificate};
use russh::{Disconnect, Preferred, cipher, kex};
use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(10);

struct Trusting;

impl client::Handler for Trusting {
    type Error = russh::Error;

    async fn check_server_key(&mut self, _key: &PublicKeyOrCertificate) -> Result<bool, russh::Error> {
        Ok(true)
    }
}

/// One run: sign-ins a second, over so many, each until its forward is up.
pub fn run(server: &dyn Server, count: usize) -> Res<f64> {
    let config = Arc::new(client::Config {
        preferred: Preferred {
            kex: Cow::Borrowed(&[kex::CURVE25519, kex::EXTENSION_OPENSSH_STRICT_KEX_AS_CLIENT]),
            key: Cow::Borrowed(&[Algorithm::Ed25519]),
            cipher: Cow::Borrowed(&[cipher::AES_128_GCM]),
            ..Preferred::DEFAULT
        },
        nodelay: true,
        ..client::Config::default()
    });
    let keys: Vec<_> = (0..AT_ONCE)
        .map(|host| PrivateKey::read_openssh_file(server.key(host)).map(Arc::new).map_err(at("key")))
        .collect::<Res<_>>()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(at("runtime"))?;
    let begun = AtomicUsize::new(0);
    let began = Instant::now();
    let worker = async |host: usize| {
        for n in 0.. {
            if begun.fetch_add(1, Ordering::Relaxed) >= count {
                break;
            }
            let signed_in = Box::pin(sign_in(server, &config, host, n % PORTS, &keys[host]));
            let handle = tokio::time::timeout(PATIENCE, signed_in).await.map_err(at("a sign-in"))??;
            let _ = handle.disconnect(Disconnect::ByApplication, "", "").await;
        }
        Ok(began.elapsed())
    };
    let ends: Vec<Res<Duration>> = runtime.block_on(async {
        let (a, b, c, d, e, f, g, h) =
            tokio::join!(worker(0), worker(1), worker(2), worker(3), worker(4), worker(5), worker(6), worker(7));
        vec![a, b, c, d, e, f, g, h]
    });
    let ends = ends.into_iter().collect::<Res<Vec<_>>>()?;
    let took = ends.into_iter().max().unwrap_or_default();
    runtime.shutdown_background();
    Ok(count as f64 / took.as_secs_f64())
}

async fn sign_in(
    server: &dyn Server,
    config: &Arc<client::Config>,
    host: usize,
    port: u16,
    key: &Arc<PrivateKey>,
) -> Res<Handle<Trusting>> {
    let mut handle = client::connect(Arc::clone(config), server.address(), Trusting).await.map_err(at("handshake"))?;
    let key = PrivateKeyWithHashAlg::new(Arc::clone(key), None);
    let allowed = handle.authenticate_publickey(server.user(host), key).await.map_err(at("sign-in"))?;
    if !allowed.success() {
        return Err("the key was not accepted".to_owned());
    }
    let port = u32::from(server.port(host, port));
    handle.tcpip_forward("127.0.0.1", port).await.map_err(at("forward"))?;
    Ok(handle)
}
