//! The console as an operator has it: the program in a terminal of 140 columns and 40 lines. What it draws is counted, and
//! kept as a screen.

use super::common::{Res, at, ours};
use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};
use std::io::{Read, Write};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

const ROWS: u16 = 40;
const COLUMNS: u16 = 140;

/// See the module. It ends when this is dropped.
pub struct Screen {
    child: Box<dyn Child + Send + Sync>,
    _master: Box<dyn MasterPty + Send>,
    _keys: Box<dyn Write + Send>,
    drawn: Arc<AtomicU64>,
    parser: Arc<Mutex<vt100::Parser>>,
}

impl Screen {
    /// Attaches one to the daemon behind this control socket.
    pub fn attach(socket: &Path) -> Res<Self> {
        let size = PtySize { rows: ROWS, cols: COLUMNS, pixel_width: 0, pixel_height: 0 };
        let pty = native_pty_system().openpty(size).map_err(at("a terminal"))?;
        let mut command = CommandBuilder::new(ours::BINARY);
        command.arg("--socket");
        command.arg(socket);
        command.env_remove("NO_COLOR");
        command.env("TERM", "xterm-256color");
        command.env("LC_ALL", "C.UTF-8");
        let child = pty.slave.spawn_command(command).map_err(at("the console"))?;
        let mut from = pty.master.try_clone_reader().map_err(at("a terminal"))?;
        // From triage, its home, to the list of tunnels.
        let mut keys = pty.master.take_writer().map_err(at("a terminal"))?;
        keys.write_all(b"2").map_err(at("a key"))?;
        let (rows, columns) = (ROWS.try_into().map_err(at("rows"))?, COLUMNS.try_into().map_err(at("columns"))?);
        let me = Self {
            child,
            _master: pty.master,
            _keys: keys,
            drawn: Arc::default(),
            parser: Arc::new(Mutex::new(vt100::Parser::new(rows, columns, 0))),
        };
        let (drawn, parser) = (Arc::clone(&me.drawn), Arc::clone(&me.parser));
        std::thread::spawn(move || {
            let mut buf = [0; 16 * 1024];
            while let Ok(n) = from.read(&mut buf)
                && n > 0
            {
                drawn.fetch_add(n as u64, Ordering::Relaxed);
                parser.lock().unwrap_or_else(PoisonError::into_inner).process(&buf[..n]);
            }
        });
        Ok(me)
    }

    /// Bytes drawn so far.
    pub fn drawn(&self) -> u64 {
        self.drawn.load(Ordering::Relaxed)
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.process_id().unwrap_or(0)
    }

    /// What is on it.
    pub fn contents(&self) -> String {
        self.parser.lock().unwrap_or_else(PoisonError::into_inner).screen().contents()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
