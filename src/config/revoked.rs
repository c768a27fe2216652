//! Revocation lists (`trust.revoked_keys`): files of keys and certificates that let nobody in, whoever has them.
//!
//! As with sshd, a list that cannot be read revokes everything: nobody signs in until it can.

use super::krl::{self, Content, fingerprint};
use crate::model::CertMark;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Largest list.
const MAX: u64 = 64 << 20;

/// The lists as they were last read.
#[derive(Debug, Clone, Default)]
pub struct RevokedKeys {
    lists: Vec<List>,
}

#[derive(Debug, Clone)]
struct List {
    path: PathBuf,
    stamp: Option<Stamp>,
    content: Result<Arc<Content>, String>,
}

/// What changes when a file does. Whoever replaces it, or writes into it, changes one of these.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp([i64; 7]);

impl Stamp {
    #[allow(clippy::cast_possible_wrap)] // compared, never counted with
    fn of(m: &Metadata) -> Self {
        Self([m.dev() as i64, m.ino() as i64, m.size() as i64, m.mtime(), m.mtime_nsec(), m.ctime(), m.ctime_nsec()])
    }
}

/// What became of a list that was looked at anew.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListNews {
    /// Which.
    pub path: PathBuf,
    /// How many keys it has, and how many certificates, numbers and key ids; or why it cannot be used.
    pub read: Result<(usize, usize), String>,
}

/// Somebody to look for in the lists.
#[derive(Debug, Clone, Copy)]
pub struct Suspect<'a> {
    /// The key, `SHA256:…`.
    pub fingerprint: &'a str,
    /// The key's SHA-1.
    pub sha1: &'a [u8; 20],
    /// The certificate: its mark, the key id as it is, the SHA-1 of its CA's key.
    pub certificate: Option<(&'a CertMark, &'a str, &'a [u8; 20])>,
}

impl RevokedKeys {
    /// The lists in these files, with what is known of those that have not changed; and what is new of the others.
    /// None when nothing has changed.
    #[must_use]
    pub fn look(&self, paths: &[PathBuf]) -> Option<(Self, Vec<ListNews>)> {
        let mut news = Vec::new();
        let one = |path: &PathBuf| {
            let known = self.lists.iter().find(|l| l.path == *path);
            let stamp = std::fs::metadata(path).ok().map(|m| Stamp::of(&m));
            if let Some(known) = known.filter(|l| l.stamp == stamp) {
                return known.clone();
            }
            let list = List::read(path);
            let read = list.content.as_ref().map(|c| c.counts()).map_err(Clone::clone);
            // Why a missing one is missing need not be told twice.
            let same = known.is_some_and(|k| k.content.is_err() && k.content == list.content);
            if !same {
                news.push(ListNews { path: path.clone(), read });
            }
            list
        };
        let lists: Vec<List> = paths.iter().map(one).collect();
        let same = lists.len() == self.lists.len() && lists.iter().zip(&self.lists).all(|(a, b)| a.same(b));
        (!same).then_some((Self { lists }, news))
    }

    /// Whether everything that is revoked is known.
    ///
    /// # Errors
    /// The list that cannot be used, and why.
    pub fn usable(&self) -> Result<(), String> {
        self.problems().next().map_or(Ok(()), Err)
    }

    /// The lists that cannot be used, a sentence each.
    pub fn problems(&self) -> impl Iterator<Item = String> {
        let bad = |l: &List| Some((l.path.display().to_string(), l.content.as_ref().err()?.clone()));
        self.lists.iter().filter_map(bad).map(|(path, why)| {
            format!(
                "the revocation list {path} cannot be used: {why}; nobody can sign in until it can (trust.revoked_keys)"
            )
        })
    }

    /// The rule by which this key or certificate is revoked.
    #[must_use]
    pub fn revoked(&self, who: Suspect<'_>) -> Option<String> {
        self.lists.iter().find_map(|l| {
            let what = l.content.as_ref().ok()?.names(who)?;
            Some(format!("{what} is revoked by the list {} (trust.revoked_keys)", l.path.display()))
        })
    }
}

impl List {
    fn same(&self, other: &Self) -> bool {
        self.path == other.path && self.stamp == other.stamp && self.content == other.content
    }

    fn read(path: &Path) -> Self {
        let mut stamp = None;
        // Before it is read: what is written meanwhile is seen the next time.
        let content = read_file(path, &mut stamp).and_then(|bytes| parse(&bytes)).map(Arc::new);
        Self { path: path.to_owned(), stamp, content }
    }
}

fn read_file(path: &Path, stamp: &mut Option<Stamp>) -> Result<Vec<u8>, String> {
    let failed = |e: io::Error| match e.kind() {
        io::ErrorKind::NotFound => "there is no such file".to_owned(),
        _ => e.to_string(),
    };
    // A pipe put in its place must not hold up the daemon.
    let file = File::options().read(true).custom_flags(libc::O_NONBLOCK).open(path).map_err(|e| {
        *stamp = std::fs::metadata(path).ok().map(|m| Stamp::of(&m));
        failed(e)
    })?;
    let about = file.metadata().map_err(failed)?;
    *stamp = Some(Stamp::of(&about));
    if !about.is_file() {
        return Err("it is not a file".to_owned());
    }
    let mode = about.mode() & 0o7777;
    if mode & 0o022 != 0 {
        return Err(format!("others than its owner can write it (mode {mode:04o}); chmod go-w"));
    }
    let mut bytes = Vec::new();
    file.take(MAX + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > MAX {
        return Err(format!("it is larger than {} MiB", MAX >> 20));
    }
    Ok(bytes)
}

pub(super) fn parse(bytes: &[u8]) -> Result<Content, String> {
    if bytes.starts_with(krl::MAGIC) {
        return krl::read(bytes).map_err(|e| format!("as a key revocation list: {e}"));
    }
    let text = std::str::from_utf8(bytes).map_err(|_| "it is neither a key revocation list nor text".to_owned())?;
    let mut content = Content::default();
    for (n, line) in text.lines().enumerate() {
        let line = line.trim();
        if !line.is_empty() && !line.starts_with('#') {
            let print = plain(line).map_err(|e| format!("line {}: {e}", n + 1))?;
            content.keys.insert(print);
        }
    }
    Ok(content)
}

/// One line of a plain list: a public key of any type, a certificate (for its key), or a fingerprint.
fn plain(line: &str) -> Result<String, String> {
    let mut words = line.split_whitespace();
    let kind = words.next().unwrap_or_default();
    if let Some(print) = kind.strip_prefix("SHA256:") {
        let whole = STANDARD_NO_PAD.decode(print).is_ok_and(|b| b.len() == 32);
        return if whole { Ok(kind.to_owned()) } else { Err("this is not a whole fingerprint".to_owned()) };
    }
    let not_a_key = || "this is neither a public key (type, key, comment) nor a fingerprint (SHA256:…)".to_owned();
    let blob = words.next().and_then(|b| STANDARD.decode(b).ok()).ok_or_else(not_a_key)?;
    let length = u32::try_from(kind.len()).unwrap_or(u32::MAX).to_be_bytes();
    if !blob.strip_prefix(&length).is_some_and(|b| b.starts_with(kind.as_bytes())) {
        return Err(not_a_key());
    }
    if kind.contains("-cert-v01@") {
        let certificate = ssh_key::Certificate::from_bytes(&blob).map_err(|e| format!("this certificate: {e}"))?;
        return Ok(certificate.public_key().fingerprint(ssh_key::HashAlg::Sha256).to_string());
    }
    Ok(fingerprint(&blob))
}

impl Content {
    pub(super) fn counts(&self) -> (usize, usize) {
        (self.keys.len() + self.keys_sha1.len(), self.certificates.iter().map(krl::OfCa::len).sum())
    }

    /// What of somebody this names.
    fn names(&self, who: Suspect<'_>) -> Option<String> {
        let key = |print: &str, sha1: &[u8; 20]| self.keys.contains(print) || self.keys_sha1.contains(sha1);
        if key(who.fingerprint, who.sha1) {
            return Some(format!("the key {}", who.fingerprint));
        }
        let (mark, key_id, ca_sha1) = who.certificate?;
        if key(&mark.ca, ca_sha1) {
            return Some(format!("the CA {}", mark.ca));
        }
        let named = self.certificates.iter().any(|c| c.names(&mark.ca, mark.serial, key_id));
        named.then(|| format!("the {mark}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f";

    fn suspect(fingerprint: &str) -> Suspect<'_> {
        Suspect { fingerprint, sha1: &[0; 20], certificate: None }
    }

    #[test]
    fn a_plain_list_is_read_and_a_bad_line_makes_all_of_it_bad() {
        let print = plain(KEY).unwrap();
        let content = parse(format!("# lost\n\n  {KEY} laptop of bob\n{print}\n").as_bytes()).unwrap();
        assert_eq!(content.counts(), (1, 0));
        assert!(content.names(suspect(&print)).is_some() && content.names(suspect("SHA256:x")).is_none());
        for bad in
            ["hello", "ssh-ed25519", "ssh-rsa AAAAC3NzaC1lZDI1NTE5AAAAIA==", "SHA256:abc", "from=\"x\" ssh-ed25519 A"]
        {
            let told = parse(format!("{KEY}\n{bad}\n").as_bytes()).unwrap_err();
            assert!(told.starts_with("line 2: "), "{told}");
        }
        assert!(parse(b"\xff\xfe").is_err());
        assert_eq!(parse(b"").unwrap(), Content::default(), "as with sshd, an empty list revokes nothing");
    }

    #[test]
    fn a_list_is_read_again_when_its_file_is_another_and_only_then() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("revoked");
        let paths = [path.clone()];
        let print = plain(KEY).unwrap();
        let (lists, news) = RevokedKeys::default().look(&paths).unwrap();
        assert!(news[0].read.as_ref().unwrap_err().contains("no such file"), "{news:?}");
        assert!(lists.usable().unwrap_err().contains("nobody can sign in until it can"));
        assert!(lists.look(&paths).is_none(), "it is still missing");

        let put = |text: &str| {
            fs::write(dir.path().join("new"), text).unwrap();
            fs::set_permissions(dir.path().join("new"), fs::Permissions::from_mode(0o644)).unwrap();
            fs::rename(dir.path().join("new"), &path).unwrap();
        };
        put(KEY);
        let (lists, news) = lists.look(&paths).unwrap();
        assert_eq!(news[0].read, Ok((1, 0)));
        assert!(lists.usable().is_ok() && lists.look(&paths).is_none());
        assert!(lists.revoked(suspect(&print)).unwrap().contains(&path.display().to_string()));
        put("# nobody");
        let (lists, _) = lists.look(&paths).unwrap();
        assert!(lists.revoked(suspect(&print)).is_none());
        fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
        let (lists, _) = lists.look(&paths).unwrap();
        assert!(lists.usable().unwrap_err().contains("mode 0666"));
        let (lists, news) = lists.look(&[]).unwrap();
        assert!(lists.usable().is_ok() && news.is_empty(), "no list, nothing to fear");
    }
}
