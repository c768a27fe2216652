//! What happened: counted, noted with its time in `events.log`, and told at the end.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::Mutex;
use std::time::Instant;

/// Errors beyond these are counted only.
const SHOWN: usize = 40;

/// See the module.
pub struct Tally {
    began: Instant,
    log: Mutex<File>,
    counts: Mutex<BTreeMap<(&'static str, &'static str), u64>>,
    errors: Mutex<(u64, Vec<String>)>,
}

impl Tally {
    /// Notes go into this folder.
    pub fn new(out: &Path) -> Self {
        let log = Mutex::new(File::create(out.join("events.log")).unwrap());
        Self { began: Instant::now(), log, counts: Mutex::default(), errors: Mutex::default() }
    }
    /// Seconds since the beginning.
    pub fn seconds(&self) -> f64 {
        self.began.elapsed().as_secs_f64()
    }
    /// Counts more of something, under a heading.
    pub fn add(&self, heading: &'static str, what: &'static str, n: u64) {
        *self.counts.lock().unwrap().entry((heading, what)).or_default() += n;
    }
    /// How many under a heading.
    pub fn total(&self, heading: &'static str) -> u64 {
        self.counts.lock().unwrap().iter().filter(|((h, _), _)| *h == heading).map(|(_, n)| n).sum()
    }
    /// Writes down that something happened.
    pub fn note(&self, text: &str) {
        let _ = writeln!(self.log.lock().unwrap(), "{:9.3} {text}", self.seconds());
    }
    /// The same, and on the screen.
    pub fn say(&self, text: &str) {
        self.note(text);
        println!("{:7.1} s  {text}", self.seconds());
    }
    /// Something that must not happen.
    pub fn error(&self, text: &str) {
        self.note(&format!("ERROR {text}"));
        let mut errors = self.errors.lock().unwrap();
        errors.0 += 1;
        if errors.1.len() < SHOWN {
            println!("{:7.1} s  ERROR {text}", self.seconds());
            errors.1.push(text.to_owned());
        }
    }
    /// How many errors so far.
    pub fn errors(&self) -> u64 {
        self.errors.lock().unwrap().0
    }
    /// The counts as a table.
    pub fn print(&self) {
        let counts = self.counts.lock().unwrap();
        let mut last = "";
        for ((heading, what), n) in counts.iter() {
            if *heading != last {
                println!("{heading}");
                last = heading;
            }
            println!("  {what:<58} {n:>12}");
        }
        let errors = self.errors.lock().unwrap();
        println!("errors {}", errors.0);
        for e in &errors.1 {
            println!("  {e}");
        }
    }
}
