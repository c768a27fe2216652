//! What the console does outside its terminal: its user's files, read, written and watched away from the loop.

use super::settings::file::{self, Edit, Unread};
use super::theme::Themes;
use super::words::{Lang, tr};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::io::unix::AsyncFd;
use tokio::sync::{Mutex, mpsc};
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::{Duration, sleep};

/// Between the first sign of a change and the reading: editors write in several steps.
const SETTLE: Duration = Duration::from_millis(50);

/// What has come of it.
#[derive(Debug)]
pub(crate) enum News {
    /// The settings' file as it is now.
    Settings(Result<String, Unread>),
    /// A value was written, or not.
    Saved(Edit, Result<(), String>),
    /// The themes as they are now, and what is wrong with some.
    Themes(Themes, Vec<String>),
    /// A file was written, with so many rows, or not.
    Exported(usize, Result<String, String>),
}

/// The user's files. Each may be absent: over SSH the console has only what the daemon gives it.
#[derive(Debug)]
pub(crate) struct World {
    settings: Option<PathBuf>,
    themes: Option<PathBuf>,
    tell: mpsc::Sender<News>,
    /// One change of the file after the other.
    turn: Arc<Mutex<()>>,
    watching: Arc<AtomicBool>,
    tasks: Vec<JoinHandle<()>>,
}

impl World {
    pub(crate) fn new(settings: Option<PathBuf>, themes: Option<PathBuf>, tell: mpsc::Sender<News>) -> Self {
        let mut world =
            Self { settings, themes, tell, turn: Arc::default(), watching: Arc::default(), tasks: Vec::new() };
        world.watch();
        world
    }

    /// Everything as it is now, before the first frame.
    pub(crate) async fn read(&self) -> (Themes, Vec<String>, Result<String, Unread>) {
        let (settings, themes) = (self.settings.clone(), self.themes.clone());
        let all = spawn_blocking(move || {
            let (themes, problems) = Themes::load(themes.as_deref());
            (themes, problems, settings.map_or_else(|| Ok(String::new()), |p| file::load(&p)))
        });
        all.await.unwrap_or_else(|e| {
            let (themes, problems) = Themes::load(None);
            (themes, problems, Err(Unread::new(Path::new(""), &e)))
        })
    }

    /// Changes one value in the file.
    pub(crate) fn save(&mut self, edit: Edit, lang: Lang) {
        let Some(path) = self.settings.clone() else { return };
        let (turn, tell) = (Arc::clone(&self.turn), self.tell.clone());
        self.tasks.retain(|t| !t.is_finished());
        // Not among the tasks that end with the console: what was said to be kept is.
        tokio::spawn(async move {
            let _turn = turn.lock().await;
            let wanted = edit.clone();
            let done = spawn_blocking(move || file::save(&path, &wanted, lang)).await;
            let done = done.unwrap_or_else(|e| Err(e.to_string())).map(drop);
            let _ = tell.send(News::Saved(edit, done)).await;
        });
    }

    /// Writes a new file. One that is there is never written over.
    pub(crate) fn export(&mut self, folder: &Path, name: &str, (text, rows): (String, usize), lang: Lang) {
        let (path, tell) = (folder.join(name), self.tell.clone());
        tokio::spawn(async move {
            let done = spawn_blocking(move || {
                use std::io::Write as _;
                let fail = |e: std::io::Error| match e.kind() {
                    std::io::ErrorKind::AlreadyExists => {
                        tr!(lang, export.there, file = path.display())
                    }
                    _ => format!("{}: {e}", path.display()),
                };
                let mut file = std::fs::File::options().write(true).create_new(true).open(&path).map_err(fail)?;
                file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(fail)?;
                Ok(path.display().to_string())
            });
            let done = done.await.unwrap_or_else(|e| Err(e.to_string()));
            let _ = tell.send(News::Exported(rows, done)).await;
        });
    }

    /// Looks out for changes, if there is something to look at and nobody does so yet.
    pub(crate) fn watch(&mut self) {
        if self.watching.load(Ordering::Relaxed) {
            return;
        }
        let folder = self.settings.as_deref().and_then(Path::parent).map(Path::to_owned);
        let folders: Vec<PathBuf> = folder.into_iter().chain(self.themes.clone()).filter(|f| f.is_dir()).collect();
        if folders.is_empty() {
            return;
        }
        let Ok(changes) = changes(&folders) else { return };
        self.watching.store(true, Ordering::Relaxed);
        let (settings, themes, tell) = (self.settings.clone(), self.themes.clone(), self.tell.clone());
        self.tasks.push(tokio::spawn(watched(changes, settings, themes, tell)));
    }
}

impl Drop for World {
    fn drop(&mut self) {
        for t in &self.tasks {
            t.abort();
        }
    }
}

/// A watch of folders, not of files: editors put a new file in the old one's place. The kernel wakes us; nobody polls.
fn changes(folders: &[PathBuf]) -> std::io::Result<(Inotify, AsyncFd<OwnedFd>)> {
    let inotify = Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC)?;
    let done = AddWatchFlags::IN_CLOSE_WRITE
        | AddWatchFlags::IN_MOVED_TO
        | AddWatchFlags::IN_MOVED_FROM
        | AddWatchFlags::IN_DELETE;
    for f in folders {
        inotify.add_watch(f, done)?;
    }
    // The same descriptor twice: one to wait for, one to read.
    #[allow(deprecated)] // for types whose descriptor may change under it; that of an OwnedFd never does
    let woken = AsyncFd::new(inotify.as_fd().try_clone_to_owned()?)?;
    Ok((inotify, woken))
}

/// Reads anew what has changed, for as long as somebody listens.
async fn watched(
    (inotify, woken): (Inotify, AsyncFd<OwnedFd>),
    settings: Option<PathBuf>,
    themes: Option<PathBuf>,
    tell: mpsc::Sender<News>,
) {
    loop {
        let Ok(mut ready) = woken.readable().await else { return };
        // Folders may hold more than ours: another file of them is no reason to read anything.
        let mut ours = false;
        while let Ok(events) = inotify.read_events() {
            ours |= events
                .iter()
                .any(|e| e.name.as_ref().is_some_and(|n| Path::new(n).extension().is_some_and(|x| x == "toml")));
        }
        ready.clear_ready();
        if !ours {
            continue;
        }
        sleep(SETTLE).await;
        while inotify.read_events().is_ok() {}
        let (settings, themes) = (settings.clone(), themes.clone());
        let news = spawn_blocking(move || {
            let (all, problems) = Themes::load(themes.as_deref());
            (all, problems, settings.map(|p| file::load(&p)))
        });
        let Ok((all, problems, text)) = news.await else { return };
        if tell.send(News::Themes(all, problems)).await.is_err() {
            return;
        }
        if let Some(text) = text
            && tell.send(News::Settings(text)).await.is_err()
        {
            return;
        }
    }
}
