//! A terminal of 80 columns and 24 lines, with a program in it, read through a terminal parser.

use super::{SOON, eventually};
use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};
use std::io::{Read, Write};
use std::num::NonZero;
use std::process::Command;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// See the module. The program is killed when this is dropped.
pub struct Terminal {
    child: Box<dyn Child + Send + Sync>,
    master: Box<dyn MasterPty + Send>,
    keys: Box<dyn Write + Send>,
    bytes: Receiver<Vec<u8>>,
    parser: vt100::Parser,
}

fn nonzero(n: u16) -> NonZero<u16> {
    n.try_into().unwrap()
}

fn size(columns: u16, rows: u16) -> PtySize {
    PtySize { rows, cols: columns, pixel_width: 0, pixel_height: 0 }
}

impl Terminal {
    /// Runs a command in it.
    #[track_caller]
    pub fn run(command: &Command) -> Self {
        Self::run_as(command, Some("xterm-256color"))
    }

    /// Runs a command in it, under another name for the terminal, or none.
    #[track_caller]
    pub fn run_as(command: &Command, term: Option<&str>) -> Self {
        let pty = native_pty_system().openpty(size(80, 24)).unwrap();
        let mut builder = CommandBuilder::new(command.get_program());
        builder.args(command.get_args());
        if let Some(dir) = command.get_current_dir() {
            builder.cwd(dir);
        }
        builder.env_remove("NO_COLOR");
        builder.env_remove("COLORTERM");
        builder.env_remove("SSH_AUTH_SOCK");
        builder.env_remove("TMUX");
        match term {
            Some(term) => builder.env("TERM", term),
            None => builder.env_remove("TERM"),
        }
        builder.env("LC_ALL", "C.UTF-8");
        // The settings of whoever runs the tests are not the console's under test.
        builder.env("XDG_CONFIG_HOME", "/nonexistent");
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => builder.env(name, value),
                None => builder.env_remove(name),
            }
        }
        let child = pty.slave.spawn_command(builder).unwrap();
        drop(pty.slave);
        let mut reader = pty.master.try_clone_reader().unwrap();
        let (tx, bytes) = channel();
        std::thread::spawn(move || {
            let mut buf = [0; 16 * 1024];
            while let Ok(n) = reader.read(&mut buf) {
                if n == 0 || tx.send(buf[..n].to_vec()).is_err() {
                    return;
                }
            }
        });
        let keys = pty.master.take_writer().unwrap();
        Self { child, master: pty.master, keys, bytes, parser: vt100::Parser::new(nonzero(24), nonzero(80), 0) }
    }

    /// What is on the screen.
    pub fn contents(&self) -> String {
        self.parser.screen().contents()
    }

    /// The colours on it: by number, or none where one is given by its parts.
    pub fn colours(&self) -> Vec<Option<u8>> {
        let screen = self.parser.screen();
        let (rows, columns) = screen.size();
        let cells = (0..rows.get()).flat_map(|y| (0..columns.get()).map(move |x| (y, x)));
        let used = cells.filter_map(|(y, x)| screen.cell(y, x)).flat_map(|c| [c.fgcolor(), c.bgcolor()]);
        used.filter_map(|c| match c {
            vt100::Color::Default => None,
            vt100::Color::Idx(n) => Some(Some(n)),
            vt100::Color::Rgb(..) => Some(None),
        })
        .collect()
    }

    /// Types.
    #[track_caller]
    pub fn keys(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
        self.keys.flush().unwrap();
    }

    /// Waits until the screen is as wanted, and says how long that took.
    #[track_caller]
    pub fn until(&mut self, what: &str, wanted: impl Fn(&vt100::Screen) -> bool) -> Duration {
        let began = Instant::now();
        loop {
            if wanted(self.parser.screen()) {
                return began.elapsed();
            }
            match self.bytes.recv_timeout(SOON.saturating_sub(began.elapsed())) {
                Ok(bytes) => self.parser.process(&bytes),
                Err(_) => panic!("{what}: not on the screen within {SOON:?}:\n{}", self.contents()),
            }
        }
    }

    /// Waits for a text, however it is broken into lines.
    #[track_caller]
    pub fn until_text(&mut self, text: &str) -> Duration {
        let flat = |s: &vt100::Screen| s.contents().split_whitespace().collect::<Vec<_>>().join(" ");
        self.until(&format!("{text:?}"), |s| s.contents().contains(text) || flat(s).contains(text))
    }

    /// Waits for a line that has all these words.
    #[track_caller]
    pub fn until_line(&mut self, words: &[&str]) -> Duration {
        self.until(&format!("a line with {words:?}"), |s| {
            s.contents().lines().any(|l| words.iter().all(|w| l.contains(w)))
        })
    }

    /// Bytes that come within a time.
    pub fn bytes_within(&mut self, time: Duration) -> Vec<u8> {
        let until = Instant::now() + time;
        let mut all = Vec::new();
        loop {
            match self.bytes.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(bytes) => {
                    self.parser.process(&bytes);
                    all.extend(bytes);
                }
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return all,
            }
        }
    }

    /// Changes its size.
    #[track_caller]
    pub fn resize(&mut self, columns: u16, rows: u16) {
        self.master.resize(size(columns, rows)).unwrap();
        self.parser.screen_mut().set_size(nonzero(rows), nonzero(columns));
    }

    /// Main screen, cursor on, no paste brackets, and the driver echoes and makes lines again.
    pub fn is_restored(&self) -> bool {
        let (s, modes) = (self.parser.screen(), self.master.get_termios().unwrap().local_flags);
        let modes = format!("{modes:?}");
        !s.alternate_screen()
            && !s.hide_cursor()
            && !s.bracketed_paste()
            && modes.contains("ICANON")
            && modes.contains("ECHO")
    }

    /// Waits for the program's end, and gives its exit code.
    #[track_caller]
    pub fn wait_exit(&mut self) -> u32 {
        let mut status = None;
        eventually("the program in the terminal ends", SOON, || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        // What it wrote last is still on its way.
        while let Ok(bytes) = self.bytes.recv_timeout(Duration::from_millis(200)) {
            self.parser.process(&bytes);
        }
        status.unwrap().exit_code()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("---- the terminal\n{}", self.contents());
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
