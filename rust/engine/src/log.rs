//! Where log lines go: one writer thread, so that a full pipe or a slow disk never holds the I/O thread or Python.
//!
//! Lines wait in bounded buffers. When those are full, because the disk stands still, lines are counted instead
//! and the count is logged: serving goes on.

use crate::clock::unix_micros;
use crate::lock;
use std::fmt::{self, Write as _};
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

/// Lines waiting for the writer, per sink. At 200 bytes a line, 20,000 lines.
const WAITING_BYTES: usize = 4 * 1024 * 1024;

/// Access-log lines are gathered for so long: a hundred writes a second at the most.
const GATHER: Duration = Duration::from_millis(10);

/// How long the end of a server waits for its last lines to be written.
const LAST_WRITE: Duration = Duration::from_secs(1);

/// How much is told. Each level tells what those before it tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    Error,
    Warning,
    Info,
    Debug,
}

impl Level {
    /// From the setting; the table has refused other words already.
    pub fn named(name: &str) -> Option<Level> {
        [Level::Error, Level::Warning, Level::Info, Level::Debug]
            .into_iter()
            .find(|level| level.name() == name)
    }

    fn name(self) -> &'static str {
        match self {
            Level::Error => "error",
            Level::Warning => "warning",
            Level::Info => "info",
            Level::Debug => "debug",
        }
    }
}

/// The file behind the access log; `-` is the standard output.
pub enum AccessSink {
    None,
    Stdout,
    File(PathBuf, File),
}

impl AccessSink {
    /// Opens for appending. The sink owns the file and closes it.
    pub fn open(path: Option<&str>) -> io::Result<AccessSink> {
        match path {
            None => Ok(AccessSink::None),
            Some("-") => Ok(AccessSink::Stdout),
            Some(path) => {
                let path = PathBuf::from(path);
                let file = OpenOptions::new().append(true).create(true).open(&path)?;
                Ok(AccessSink::File(path, file))
            }
        }
    }

    fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        match self {
            AccessSink::None => Ok(()),
            AccessSink::Stdout => io::stdout().lock().write_all(lines).and_then(|()| io::stdout().flush()),
            AccessSink::File(_, file) => file.write_all(lines),
        }
    }

    fn reopen(&mut self) -> io::Result<()> {
        if let AccessSink::File(path, file) = self {
            *file = OpenOptions::new().append(true).create(true).open(&*path)?;
        }
        Ok(())
    }
}

/// The writer thread, to wait for at the end.
pub struct Writer {
    /// Nothing is ever sent: the channel closes when the thread ends.
    ended: Mutex<Receiver<()>>,
}

impl Writer {
    /// Waits until all is written, but not for a pipe that nobody reads: the thread is left behind then.
    pub fn join(self) {
        let _ = lock(&self.ended).recv_timeout(LAST_WRITE);
    }
}

/// The log of one server. Any thread may write; nothing here waits for a disk.
pub struct Log {
    level: Level,
    pid: u32,
    waiting: Mutex<Waiting>,
    /// Told when the writer sleeps and there is something to write.
    ready: Condvar,
}

#[derive(Default)]
struct Waiting {
    errors: Vec<u8>,
    access: Vec<u8>,
    lost_lines: u64,
    is_writer_asleep: bool,
    is_reopen_due: bool,
    is_closed: bool,
}

impl Log {
    pub fn new(level: Level) -> Arc<Log> {
        let pid = std::process::id();
        Arc::new(Log { level, pid, waiting: Mutex::default(), ready: Condvar::new() })
    }

    /// Starts the writer thread; it ends after `close` when all is written.
    pub fn start(self: &Arc<Self>, access: AccessSink) -> io::Result<Writer> {
        let log = Arc::clone(self);
        let (alive, ended) = std::sync::mpsc::channel();
        std::thread::Builder::new().name("barkeep-log".to_owned()).spawn(move || {
            log.run(access);
            drop(alive);
        })?;
        Ok(Writer { ended: Mutex::new(ended) })
    }

    pub fn error(&self, text: fmt::Arguments<'_>) {
        self.write(Level::Error, text);
    }

    pub fn warning(&self, text: fmt::Arguments<'_>) {
        self.write(Level::Warning, text);
    }

    pub fn info(&self, text: fmt::Arguments<'_>) {
        self.write(Level::Info, text);
    }

    /// One event. Lines after the first are indented, so that no text can pass for an event of its own.
    pub fn write(&self, level: Level, text: fmt::Arguments<'_>) {
        if level > self.level {
            return;
        }
        let mut line = String::with_capacity(128);
        let (seconds, micros) = unix_micros();
        write_timestamp(&mut line, seconds, micros);
        let mut escaped = Escaping { out: &mut line };
        let _ = write!(escaped, " [{}] {}: {text}", self.pid, level.name());
        line.push('\n');
        let mut waiting = lock(&self.waiting);
        if waiting.errors.len() + line.len() > WAITING_BYTES {
            waiting.lost_lines += 1;
            return;
        }
        waiting.errors.extend_from_slice(line.as_bytes());
        self.call_writer(&mut waiting);
    }

    /// Adds access-log lines, rendered in place.
    pub fn write_access(&self, render: impl FnOnce(&mut Vec<u8>)) {
        let mut waiting = lock(&self.waiting);
        if waiting.access.len() > WAITING_BYTES {
            waiting.lost_lines += 1;
            return;
        }
        render(&mut waiting.access);
        self.call_writer(&mut waiting);
    }

    /// Asks for the access log to be opened anew, as after a rotation.
    pub fn reopen(&self) {
        let mut waiting = lock(&self.waiting);
        waiting.is_reopen_due = true;
        self.call_writer(&mut waiting);
    }

    /// Nothing more will be logged: the writer writes what waits and ends.
    pub fn close(&self) {
        let mut waiting = lock(&self.waiting);
        waiting.is_closed = true;
        self.call_writer(&mut waiting);
        self.ready.notify_all();
    }

    fn call_writer(&self, waiting: &mut Waiting) {
        if std::mem::take(&mut waiting.is_writer_asleep) {
            self.ready.notify_one();
        }
    }

    fn run(&self, mut access: AccessSink) {
        let mut errors = Vec::new();
        let mut lines = Vec::new();
        let mut told_of_failure = false;
        loop {
            let (lost_lines, is_reopen_due, is_closed) = self.collect(&mut errors, &mut lines);
            // Nobody is left to tell when the standard error is gone.
            let _ = io::stderr().lock().write_all(&errors);
            let reopened = if is_reopen_due { access.reopen() } else { Ok(()) };
            let failed = access.write(&lines).and(reopened).err();
            if let Some(error) = &failed
                && !told_of_failure
            {
                self.error(format_args!("cannot write the access log: {error}"));
            }
            if failed.is_some() || !lines.is_empty() {
                told_of_failure = failed.is_some();
            }
            if lost_lines > 0 {
                self.error(format_args!("{lost_lines} log lines were lost: the log takes no more"));
            }
            errors.clear();
            lines.clear();
            if is_closed && self.is_empty() {
                return;
            }
        }
    }

    fn is_empty(&self) -> bool {
        let waiting = lock(&self.waiting);
        waiting.errors.is_empty() && waiting.access.is_empty()
    }

    /// Sleeps until there is something to write, gathers for a moment, and takes it.
    fn collect(&self, errors: &mut Vec<u8>, lines: &mut Vec<u8>) -> (u64, bool, bool) {
        let mut waiting = lock(&self.waiting);
        while waiting.errors.is_empty()
            && waiting.access.is_empty()
            && !waiting.is_reopen_due
            && !waiting.is_closed
        {
            waiting.is_writer_asleep = true;
            waiting = self.ready.wait(waiting).unwrap_or_else(std::sync::PoisonError::into_inner);
        }
        waiting.is_writer_asleep = false;
        if waiting.errors.is_empty() && !waiting.is_closed && !waiting.is_reopen_due {
            let gathered = self.ready.wait_timeout(waiting, GATHER);
            waiting = gathered.unwrap_or_else(std::sync::PoisonError::into_inner).0;
        }
        std::mem::swap(&mut waiting.errors, errors);
        std::mem::swap(&mut waiting.access, lines);
        let lost_lines = std::mem::take(&mut waiting.lost_lines);
        (lost_lines, std::mem::take(&mut waiting.is_reopen_due), waiting.is_closed)
    }
}

/// Passes text through, with line breaks indented and other control characters escaped.
struct Escaping<'a> {
    out: &'a mut String,
}

impl fmt::Write for Escaping<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for character in text.chars() {
            match character {
                '\n' => self.out.push_str("\n    "),
                '\t' => self.out.push('\t'),
                control if control.is_control() => write!(self.out, "\\x{:02x}", u32::from(control))?,
                other => self.out.push(other),
            }
        }
        Ok(())
    }
}

/// `2026-11-20T14:00:00.123456Z`
pub fn write_timestamp(out: &mut String, unix_seconds: u64, micros: u32) {
    let (year, month, day) = barkeep_wire::civil_date(unix_seconds / 86_400);
    let (hour, minute, second) = (unix_seconds / 3600 % 24, unix_seconds / 60 % 60, unix_seconds % 60);
    let _ = write!(out, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{micros:06}Z");
}
