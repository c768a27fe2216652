//! The console as an operator has it: the program, or a stock `ssh -t` to it, in a terminal. What it draws is counted,
//! frame by frame, and kept as a screen.

use super::{Res, SOON, at, ours};
use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};
use std::io::{Read, Write};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Lines.
pub const ROWS: u16 = 40;
/// Columns.
pub const COLUMNS: u16 = 140;
/// What ends a frame: the end of a synchronized update.
const FRAME: &[u8] = b"\x1b[?2026l";

/// What came out of the terminal.
struct Drawn {
    bytes: u64,
    frames: u64,
    parser: vt100::Parser,
    /// The end of what came last, since a mark may be split.
    tail: Vec<u8>,
}

impl Drawn {
    fn take(&mut self, new: &[u8]) {
        self.bytes += new.len() as u64;
        self.tail.extend_from_slice(new);
        self.frames += self.tail.windows(FRAME.len()).filter(|w| *w == FRAME).count() as u64;
        // What is kept is shorter than a mark, so none counts twice.
        let keep = self.tail.len().saturating_sub(FRAME.len() - 1);
        self.tail.drain(..keep);
        self.parser.process(new);
    }
}

/// See the module. It ends when this is dropped.
pub struct Screen {
    child: Box<dyn Child + Send + Sync>,
    _master: Box<dyn MasterPty + Send>,
    keys: Box<dyn Write + Send>,
    drawn: Arc<(Mutex<Drawn>, Condvar)>,
}

/// The console over the control socket.
pub fn local(socket: &Path) -> CommandBuilder {
    let mut command = CommandBuilder::new(ours::BINARY);
    command.arg("--socket");
    command.arg(socket);
    command
}

impl Screen {
    /// Runs this in a terminal.
    pub fn run(mut command: CommandBuilder) -> Res<Self> {
        let size = PtySize { rows: ROWS, cols: COLUMNS, pixel_width: 0, pixel_height: 0 };
        let pty = native_pty_system().openpty(size).map_err(at("a terminal"))?;
        command.env_remove("NO_COLOR");
        command.env("TERM", "xterm-256color");
        command.env("LC_ALL", "C.UTF-8");
        let child = pty.slave.spawn_command(command).map_err(at("the console"))?;
        let mut from = pty.master.try_clone_reader().map_err(at("a terminal"))?;
        let keys = pty.master.take_writer().map_err(at("a terminal"))?;
        let (rows, columns) = (ROWS.try_into().map_err(at("rows"))?, COLUMNS.try_into().map_err(at("columns"))?);
        let parser = vt100::Parser::new(rows, columns, 0);
        let drawn = Drawn { bytes: 0, frames: 0, parser, tail: Vec::new() };
        let me = Self { child, _master: pty.master, keys, drawn: Arc::new((Mutex::new(drawn), Condvar::new())) };
        let drawn = Arc::clone(&me.drawn);
        std::thread::spawn(move || {
            let mut buf = [0; 16 * 1024];
            while let Ok(n) = from.read(&mut buf)
                && n > 0
            {
                drawn.0.lock().unwrap_or_else(PoisonError::into_inner).take(&buf[..n]);
                drawn.1.notify_all();
            }
        });
        Ok(me)
    }

    /// Attaches a console to the daemon behind this control socket, at the list of tunnels.
    pub fn attach(socket: &Path) -> Res<Self> {
        let mut me = Self::run(local(socket))?;
        // From triage, its home.
        me.press("2")?;
        Ok(me)
    }

    fn lock(&self) -> MutexGuard<'_, Drawn> {
        self.drawn.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Types.
    pub fn press(&mut self, keys: &str) -> Res<()> {
        self.keys.write_all(keys.as_bytes()).map_err(at("a key"))
    }

    /// Waits until the screen is as wanted, looking at each piece as it comes; the time it took.
    pub fn wait(&self, what: &str, wanted: impl Fn(&vt100::Screen) -> bool) -> Res<Duration> {
        let began = Instant::now();
        let mut drawn = self.lock();
        while !wanted(drawn.parser.screen()) {
            let left = SOON.saturating_sub(began.elapsed());
            if left.is_zero() {
                return Err(format!(
                    "not within {SOON:?}: {what}; the screen is:\n{}",
                    drawn.parser.screen().contents()
                ));
            }
            drawn = self.drawn.1.wait_timeout(drawn, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        Ok(began.elapsed())
    }

    /// Bytes drawn so far.
    pub fn drawn(&self) -> u64 {
        self.lock().bytes
    }

    /// Frames drawn so far.
    pub fn frames(&self) -> u64 {
        self.lock().frames
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.process_id().unwrap_or(0)
    }

    /// What is on it.
    pub fn contents(&self) -> String {
        self.lock().parser.screen().contents()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
