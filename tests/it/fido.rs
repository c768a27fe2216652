//! Keys of FIDO tokens: a token made of software, whose presence bit is off, shows what the SSH library lets pass.

use crate::common::SOON;
use crate::common::bastion::Bastion;
use russh::client::{self, AuthResult, Handler};
use russh::keys::agent::AgentIdentity;
use russh::keys::signature::Signer as _;
use russh::keys::ssh_key::public::{KeyData, SkEd25519};
use russh::keys::ssh_key::rand_core::UnwrapErr;
use russh::keys::{Algorithm, HashAlg, PrivateKey, PublicKey, PublicKeyOrCertificate};
use sha2::{Digest, Sha256};
use std::sync::Arc;

const APPLICATION: &str = "ssh:";
const KIND: &str = "sk-ssh-ed25519@openssh.com";
/// Flags of PROTOCOL.u2f: somebody touched the token.
const TOUCHED: u8 = 1;

/// A token that signs without being touched, unless it says that it was.
struct Token {
    key: PrivateKey,
    flags: u8,
}

impl Token {
    fn new() -> Self {
        let mut rng = UnwrapErr(ssh_key::getrandom::SysRng);
        Self { key: PrivateKey::random(&mut rng, Algorithm::Ed25519).unwrap(), flags: 0 }
    }
    fn public(&self) -> PublicKey {
        let plain = *self.key.public_key().key_data().ed25519().unwrap();
        PublicKey::new(KeyData::SkEd25519(SkEd25519::new(plain, APPLICATION)), "token")
    }
}

fn string(s: &[u8]) -> Vec<u8> {
    [&u32::try_from(s.len()).unwrap().to_be_bytes()[..], s].concat()
}

impl russh::Signer for Token {
    type Error = russh::SendError;
    async fn auth_sign(
        &mut self,
        _: &AgentIdentity,
        _: Option<HashAlg>,
        mut to_sign: Vec<u8>,
    ) -> Result<Vec<u8>, russh::SendError> {
        // PROTOCOL.u2f: hash of the application, flags, counter, hash of what is signed.
        let state = [&[self.flags][..], &7_u32.to_be_bytes()].concat();
        let signed = [&Sha256::digest(APPLICATION)[..], &state, &Sha256::digest(&to_sign)[..]].concat();
        let signature = self.key.try_sign(&signed).unwrap();
        let blob = [string(KIND.as_bytes()), string(signature.as_bytes()), state].concat();
        to_sign.extend(string(&blob));
        Ok(to_sign)
    }
}

/// Takes any server for the right one.
pub struct Anybody;
impl Handler for Anybody {
    type Error = russh::Error;
    async fn check_server_key(&mut self, _: &PublicKeyOrCertificate) -> Result<bool, russh::Error> {
        Ok(true)
    }
}

/// Whether the token signs in.
fn signs_in(b: &Bastion, token: &mut Token) -> bool {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let config = Arc::new(client::Config::default());
        let mut session = client::connect(config, b.address(), Anybody).await.unwrap();
        let asked = session.authenticate_publickey_with("x", token.public(), None, token);
        tokio::time::timeout(SOON, asked).await.unwrap().unwrap() == AuthResult::Success
    })
}

#[test]
fn a_token_that_nobody_touched_is_refused_by_default_and_accepted_by_the_library() {
    let mut token = Token::new();
    let line = token.public().to_openssh().unwrap();
    let b = Bastion::builder().team("pay", 2).host("pay-01", "pay").start();
    // By default its key may not even stand in the file.
    let entry = format!("\n[operators.al]\nrole = \"operator\"\nkeys = [\"{line}\"]\n");
    b.rewrite(|t| t + &entry);
    let out = b.cli(&["reload", "--yes"]);
    let told = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(!out.status.success() && told.contains("FIDO token's"), "{told}");
    assert!(!signs_in(&b, &mut token));
    let said = b.wait_refusal("auth.failure", "keys of FIDO tokens are refused: the SSH library does not show");
    assert!(said["fingerprint"].as_str().is_some_and(|f| f.starts_with("SHA256:")), "{said}");

    // Where policy does without the touch it signs in, and the proof is this: its flags say that nobody touched it.
    b.rewrite(|t| format!("[trust]\npending = true\nfido = \"accept-unverified\"\n{t}"));
    let out = b.cli(&["reload", "--yes"]);
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    for flags in [0, TOUCHED] {
        token.flags = flags;
        assert!(signs_in(&b, &mut token), "flags {flags}");
    }
    // A wrong signature is refused all the same.
    let mut liar = Token { key: Token::new().key, flags: TOUCHED };
    std::mem::swap(&mut liar.key, &mut token.key);
    assert!(!signs_in(&b, &mut Token { key: Token::new().key, flags: TOUCHED }));
    assert_eq!(b.json(&["pending"]), serde_json::json!([]), "a token's key is not one to be approved");
    assert!(signs_in(&b, &mut liar));

    // Back to refusing: who signed in by it is out, for its key is one that is not read any more.
    b.rewrite(|t| t.replace("fido = \"accept-unverified\"", "fido = \"refuse\"").replace(&entry, ""));
    assert!(b.cli(&["reload", "--yes"]).status.success());
    assert!(!signs_in(&b, &mut liar));
}
