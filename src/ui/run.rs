//! The loop: takes in what is typed and what the daemon says, and sends frames when there is something new to see.

use super::caps::{Caps, TermEnv};
use super::input::Input;
use super::link::{self, Connector, LinkEvent};
use super::paint::{self, Painter};
use super::state::own::Own;
use super::state::{State, Zone};
use super::update::{self, Effect};
use super::words::{Lang, tr};
use super::world::{News, World};
use super::{UiError, notify, view};
use crate::control::protocol::Request;
use crate::model::{self, Time};
use base64::Engine as _;
use chrono::TimeDelta;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::sync::{mpsc, watch};
use tokio::time::{Duration, Instant, sleep_until, timeout};

/// Largest text given to a terminal's clipboard, bytes: what common terminals take in one OSC 52.
const CLIPBOARD_MAX: usize = 74_000;
/// Least time between two frames that answer keys: a held key repeats thirty times a second.
const ANSWER: Duration = Duration::from_millis(5);
/// Rows whose words are made ready after a frame: a millisecond's work.
const AHEAD: usize = 1_000;
/// How long the last bytes, which give the terminal back, may take to be accepted.
const FAREWELL: Duration = Duration::from_secs(1);

/// A terminal, wherever it is.
#[derive(Debug)]
pub struct TermIo {
    /// Bytes as they come from the terminal, in chunks of any size. Closed when the terminal is gone.
    pub input: mpsc::Receiver<Vec<u8>>,
    /// Columns and rows. Sizes beyond 500×200 are cut to that.
    pub resize: watch::Receiver<(u16, u16)>,
    /// Bytes for the terminal, one message a frame. Give it a capacity of 1 and take the next message only when the
    /// last one has been written: while it is full no frame is made, so a slow line gets fewer frames, never old ones.
    pub output: mpsc::Sender<Vec<u8>>,
    /// What it says of itself.
    pub env: TermEnv,
}

/// How a console behaves.
#[derive(Clone)]
pub struct Options {
    /// Name of the theme where the settings name none: `dark`, `light`, `high-contrast`, `mono`, or one of the folder's.
    pub theme: String,
    /// Folder of more themes.
    pub theme_dir: Option<PathBuf>,
    /// Folder that exports are written to; none where there is no file system to write to (over SSH).
    pub exports: Option<PathBuf>,
    /// Begin with the mouse, whatever the settings say.
    pub mouse: bool,
    /// File of the settings; none keeps nothing.
    pub settings: Option<PathBuf>,
    /// Most frames a second: 20 for a local terminal, 10 over SSH.
    pub max_fps: u32,
    /// How times are shown at first.
    pub zone: Zone,
    /// The language that was asked for; else that of the settings, else that of the terminal's locale.
    pub lang: Option<Lang>,
    /// The clock.
    pub clock: Arc<dyn Fn() -> Time + Send + Sync>,
}

impl Options {
    /// For a terminal on this machine.
    #[must_use]
    pub fn local() -> Self {
        Self {
            theme: "dark".into(),
            theme_dir: None,
            exports: None,
            mouse: false,
            settings: None,
            max_fps: 20,
            zone: Zone::Local,
            lang: None,
            clock: Arc::new(model::now),
        }
    }
    /// For a terminal at the other end of an SSH channel.
    #[must_use]
    pub fn ssh() -> Self {
        Self { max_fps: 10, ..Self::local() }
    }
}

impl std::fmt::Debug for Options {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { theme, theme_dir, exports, mouse, settings, max_fps, zone, lang, clock: _ } = self;
        f.debug_struct("Options")
            .field("theme", theme)
            .field("theme_dir", theme_dir)
            .field("exports", exports)
            .field("mouse", mouse)
            .field("settings", settings)
            .field("max_fps", max_fps)
            .field("zone", zone)
            .field("lang", lang)
            .finish_non_exhaustive()
    }
}

/// Why a console ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Exit {
    /// Its user left.
    Quit,
    /// Its terminal went away.
    Hangup,
    /// The daemon closed it, for this reason.
    Dismissed(String),
    /// This process was asked to stop (a local console only).
    Signal,
}

/// Runs a console until its user quits or its terminal goes away. The loss of the daemon does not end it.
///
/// Enters the alternate screen first and leaves it last. When the future is dropped before its end, the terminal is
/// left as it is: whoever owns it then restores it with [`RESTORE`].
///
/// # Errors
/// [`UiError`] before anything is written, when the terminal or the theme will not do.
pub async fn run(io: TermIo, connector: Arc<dyn Connector>, options: Options) -> Result<Exit, UiError> {
    let caps = Caps::detect(&io.env)?;
    let first = options.lang.unwrap_or(io.env.lang);
    let (report, news) = mpsc::channel(16);
    let world = World::new(options.settings.clone(), options.theme_dir.clone(), report);
    let (themes, odd_themes, settings) = world.read().await;
    let size = paint::clamp(*io.resize.borrow());
    let now = (options.clock)();
    let mut own = Own::new(themes.clone(), &options.theme, caps.depth, options.zone);
    own.first_lang = first;
    own.lang = own.first_lang;
    own.file = options.settings.as_deref().map(file_name);
    own.files = options.exports.is_some();
    let mut state = State::new(now, size, caps, own);
    state.resort();
    update::themes(&mut state, themes, &odd_themes);
    let mut first = update::loaded(&mut state, settings);
    // What was asked for goes before what is set, for this console.
    state.own.lang = options.lang.unwrap_or(state.own.lang);
    if options.mouse {
        first.extend(update::take_mouse(&mut state));
    }

    let (asks, asked) = mpsc::channel(64);
    let (tell, told) = mpsc::channel(64);
    let task = tokio::spawn(link::keep(connector, asked, tell));
    let output = io.output.clone();
    let mut console = Console {
        io,
        input: Input::default(),
        painter: Painter::new(size, caps.unicode),
        state,
        asks,
        told,
        news,
        world,
        options,
        extra: format!("{}{}", if caps.titled { notify::KEEP_TITLE } else { "" }, paint::ENTER),
        title: String::new(),
        pressed: Instant::now(),
        done: false,
        dismissed: None,
    };
    console.perform(first);
    let exit = console.serve().await;
    task.abort();
    let _ = timeout(FAREWELL, output.send(RESTORE.as_bytes().to_vec())).await;
    Ok(exit)
}

/// A file as people write it.
fn file_name(path: &Path) -> String {
    let home = std::env::var_os("HOME").map(PathBuf::from).filter(|h| h.is_absolute() && h.components().count() > 1);
    let short = home.and_then(|h| Some(format!("~/{}", path.strip_prefix(h).ok()?.display())));
    crate::model::clean_line(&short.unwrap_or_else(|| path.display().to_string()))
}

/// Bytes that give a terminal back as it was: main screen, cursor, no bracketed paste.
pub const RESTORE: &str = paint::LEAVE;

struct Console {
    io: TermIo,
    input: Input,
    painter: Painter,
    state: State,
    asks: mpsc::Sender<(u64, Request)>,
    told: mpsc::Receiver<LinkEvent>,
    news: mpsc::Receiver<News>,
    world: World,
    options: Options,
    /// Bytes to go before the next frame.
    extra: String,
    /// The terminal's title, as we have set it.
    title: String,
    /// When a key was last pressed.
    pressed: Instant,
    done: bool,
    /// Why the daemon closes it, when it does.
    dismissed: Option<String>,
}

impl Console {
    async fn serve(mut self) -> Exit {
        let step = Duration::from_secs(1) / self.options.max_fps.max(1);
        let mut next_frame = Instant::now();
        let mut last_frame = next_frame;
        let mut dirty = true;
        let mut wake: Option<Instant> = None;
        let (mut sizes, mut linked) = (true, true);
        let output = self.io.output.clone();
        while !self.done {
            let ready = dirty && Instant::now() >= next_frame;
            let esc = self.input.deadline();
            // A place far off stands for never.
            let never = Instant::now() + Duration::from_secs(86_400);
            tokio::select! {
                bytes = self.io.input.recv() => {
                    let Some(bytes) = bytes else { return Exit::Hangup };
                    let typed = self.input.feed(&bytes);
                    self.typed(typed);
                    dirty = true;
                    // Whoever types is answered at once; what the daemon says comes at its pace.
                    next_frame = next_frame.min(last_frame + ANSWER);
                }
                () = sleep_until(esc.unwrap_or(never)), if esc.is_some() => {
                    let typed = self.input.timeout();
                    dirty |= !typed.is_empty();
                    self.typed(typed);
                }
                changed = self.io.resize.changed(), if sizes => {
                    sizes = changed.is_ok();
                    let size = *self.io.resize.borrow_and_update();
                    update::resize(&mut self.state, size);
                    self.painter.invalidate();
                    dirty = true;
                }
                event = self.told.recv(), if linked => {
                    self.tick();
                    linked = event.is_some();
                    // The link never ends by itself. Should it fail, what is shown must not pass for live.
                    let broken = || LinkEvent::Down(link::Lost::Failed);
                    self.heard(event.unwrap_or_else(broken));
                    // Whatever else has come is part of the same frame.
                    for _ in 0..256 {
                        let Ok(event) = self.told.try_recv() else { break };
                        self.heard(event);
                    }
                    dirty = true;
                }
                Some(news) = self.news.recv() => {
                    self.tick();
                    self.learned(news);
                    dirty = true;
                }
                () = sleep_until(wake.unwrap_or(never)), if wake.is_some() && !dirty => {
                    self.tick();
                    dirty = true;
                }
                () = sleep_until(next_frame), if dirty && !ready => {}
                permit = output.reserve(), if ready => {
                    let Ok(permit) = permit else { return Exit::Hangup };
                    self.state.now = (self.options.clock)();
                    let drawn = view::draw(&self.state);
                    update::drawn(&mut self.state, drawn.scroll_max, drawn.spots);
                    self.entitle();
                    let mut bytes = std::mem::take(&mut self.extra);
                    bytes.push_str(&self.painter.paint(drawn.buffer, drawn.cursor));
                    if !bytes.is_empty() {
                        permit.send(bytes.into_bytes());
                    }
                    self.state.live.look_ahead(AHEAD);
                    let soonest = drawn.wake.into_iter().chain(self.state.deadline()).min();
                    let now = self.state.now;
                    wake = soonest.map(|t| {
                        let wait = (t - now).to_std().unwrap_or_default().clamp(step, Duration::from_secs(3600));
                        // A little late rather than a little early, when nothing would read differently yet.
                        Instant::now() + wait + Duration::from_millis(2)
                    });
                    dirty = false;
                    last_frame = Instant::now();
                    next_frame = last_frame + step;
                }
            }
        }
        self.dismissed.map_or(Exit::Quit, Exit::Dismissed)
    }

    /// The terminal's title, when it is to be another.
    fn entitle(&mut self) {
        let wanted = self.state.caps.titled && self.state.own.set.title != Some(false);
        let title = if wanted { notify::headline(&self.state) } else { String::new() };
        if title != self.title {
            let bytes = if title.is_empty() { notify::OWN_TITLE.to_owned() } else { notify::title(&title) };
            self.extra.push_str(&bytes);
            self.title = title;
        }
    }

    fn tick(&mut self) {
        let now = (self.options.clock)();
        // By the clock that nobody sets: that the other one was is neither a key nor the lack of one.
        self.state.last_key = now - TimeDelta::from_std(self.pressed.elapsed()).unwrap_or_default();
        let effects = update::tick(&mut self.state, now);
        self.perform(effects);
    }

    fn typed(&mut self, typed: Vec<super::input::Typed>) {
        self.tick();
        self.pressed = Instant::now();
        for t in typed {
            let hidden = self.state.locked;
            let effects = update::typed(&mut self.state, t);
            self.perform(effects);
            if hidden {
                // What else came with the key that woke it was typed at what could not be seen.
                return;
            }
        }
    }

    fn heard(&mut self, event: LinkEvent) {
        let effects = update::link(&mut self.state, event);
        self.perform(effects);
    }

    fn learned(&mut self, news: News) {
        let effects = match news {
            News::Settings(text) => update::loaded(&mut self.state, text),
            News::Saved(edit, done) => {
                update::saved(&mut self.state, &edit, done);
                self.world.watch();
                vec![]
            }
            News::Exported(rows, done) => {
                update::exported(&mut self.state, rows, done);
                vec![]
            }
            News::Themes(themes, problems) => {
                update::themes(&mut self.state, themes, &problems);
                vec![]
            }
        };
        self.perform(effects);
    }

    fn perform(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Send(id, request) => {
                    if self.asks.try_send((id, request)).is_err() {
                        let e = crate::control::protocol::ApiError::new(
                            crate::control::protocol::ErrorCode::Unavailable,
                            tr!(self.state.lang(), link.too_many),
                        );
                        let more = update::link(&mut self.state, LinkEvent::Reply(id, Err(e)));
                        self.perform(more);
                    }
                }
                Effect::Copy(text) if text.len() <= CLIPBOARD_MAX => {
                    let text = base64::engine::general_purpose::STANDARD.encode(text);
                    self.extra.push_str(&format!("\x1b]52;c;{text}\x07"));
                }
                Effect::Copy(_) => {}
                Effect::Export { name, text, rows } => {
                    if let Some(folder) = self.options.exports.clone() {
                        self.world.export(&folder, &name, (text, rows), self.state.lang());
                    }
                }
                Effect::Save(edit) => self.world.save(edit, self.state.lang()),
                Effect::Mouse(on) => self.extra.push_str(if on { paint::MOUSE_ON } else { paint::MOUSE_OFF }),
                Effect::Tell(text) => {
                    // Nor does it say elsewhere what it hides.
                    let text =
                        if self.state.locked { tr!(self.state.lang(), frame.locked_news).to_owned() } else { text };
                    let name = self.state.live.daemon.as_ref().map_or("portreeve", |d| d.name.as_str());
                    let bytes = self.state.own.set.notify.bytes(self.state.caps, name, &text);
                    self.extra.push_str(&bytes);
                }
                Effect::Redraw => self.painter.invalidate(),
                Effect::Leave(why) => {
                    self.dismissed = Some(why);
                    self.done = true;
                }
                Effect::Quit => self.done = true,
            }
        }
    }
}

#[cfg(test)]
mod tests;
