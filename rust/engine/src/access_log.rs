//! Step 6 of 6 - one line for every request, also refused, timed out and aborted ones.
//!
//! Bytes of the peer are escaped so that no request can forge a line or a field.

use crate::access_format::Format;
use crate::clock::{now_ns, unix_micros};
use crate::connection::{Connection, Peer};
use crate::exchange::Times;
use crate::log::Log;
use crate::shared::Shared;
use barkeep_wire::Head;
use std::sync::Arc;

/// How an exchange ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The answer was sent whole.
    Complete,
    /// Refused for what the peer sent.
    Refused,
    /// The peer was too slow, or the application.
    TimedOut,
    /// No application thread was free in time.
    Shed,
    /// Cut: the application failed after the head, the peer went away, or the server had to stop.
    Aborted,
}

impl Outcome {
    pub fn name(self) -> &'static str {
        match self {
            Outcome::Complete => "complete",
            Outcome::Refused => "refused",
            Outcome::TimedOut => "timed-out",
            Outcome::Shed => "shed",
            Outcome::Aborted => "aborted",
        }
    }
}

/// What is known of one exchange when its answer ends.
pub struct Record {
    /// None: nobody asks, because there is no access log.
    pub names: Option<Box<Names>>,
    /// 0: aborted before a head was sent.
    pub status: u16,
    /// Of the answer's body.
    pub bytes_sent: u64,
    /// Of the request's body, decoded.
    pub bytes_received: u64,
    pub times: Times,
    /// The application had finished.
    pub done_ns: u64,
    pub outcome: Outcome,
}

/// What a line says of the request besides numbers.
pub struct Names {
    pub peer: Peer,
    /// None when nothing of it was read.
    pub head: Option<Arc<Head>>,
}

/// The times of an exchange, in microseconds.
pub struct Durations {
    pub head_us: u64,
    pub queue_us: u64,
    pub app_us: u64,
    pub write_us: u64,
    pub total_us: u64,
}

impl Record {
    pub fn of_refusal(
        connection: &Connection,
        shared: &Shared,
        head: Option<Arc<Head>>,
        status: u16,
        times: Times,
        outcome: Outcome,
    ) -> Record {
        let names = shared.names_for_log(connection, head.as_ref());
        let done_ns = times.ready_ns;
        Record { names, status, bytes_sent: 0, bytes_received: 0, times, done_ns, outcome }
    }

    pub fn head(&self) -> Option<&Head> {
        self.names.as_ref()?.head.as_deref()
    }

    /// Empty for a unix socket.
    pub fn client(&self) -> &[u8] {
        self.names.as_ref().map_or(&[], |names| names.peer.address.as_bytes())
    }

    pub fn client_port(&self) -> Option<u16> {
        self.names.as_ref()?.peer.port
    }

    /// The last byte never left.
    pub fn was_cut(&mut self) {
        if self.outcome == Outcome::Complete {
            self.outcome = Outcome::Aborted;
        }
    }

    /// `now_ns`: the last byte left. Phases that never came last 0.
    pub fn durations(&self, now_ns: u64) -> Durations {
        let Times { first_byte_ns, ready_ns, taken_ns } = self.times;
        let us = |from: u64, to: u64| if from == 0 { 0 } else { to.saturating_sub(from) / 1000 };
        let left_queue_ns = if taken_ns == 0 { self.done_ns } else { taken_ns };
        Durations {
            head_us: us(first_byte_ns, ready_ns),
            queue_us: us(ready_ns, left_queue_ns),
            app_us: us(taken_ns, self.done_ns),
            write_us: us(self.done_ns, now_ns),
            total_us: us(first_byte_ns, now_ns),
        }
    }
}

/// Finished answers that wait for their last byte to leave. There is seldom more than one, which takes no allocation.
#[derive(Default)]
pub struct Unlogged {
    first: Option<Record>,
    more: Vec<Record>,
}

impl Unlogged {
    pub fn push(&mut self, record: Record) {
        match &self.first {
            None => self.first = Some(record),
            Some(_) => self.more.push(record),
        }
    }

    /// The last byte of these never left.
    pub fn were_cut(&mut self) {
        self.first.iter_mut().chain(&mut self.more).for_each(Record::was_cut);
    }

    fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    fn iter(&self) -> impl Iterator<Item = &Record> {
        self.first.iter().chain(&self.more)
    }
}

/// The access log of one server.
pub struct AccessLog {
    format: Format,
    log: Arc<Log>,
}

impl AccessLog {
    pub fn new(format: Format, log: Arc<Log>) -> AccessLog {
        AccessLog { format, log }
    }

    fn write<'a>(&self, records: impl Iterator<Item = &'a Record>, now_ns: u64) {
        let (unix_seconds, micros) = unix_micros();
        self.log.write_access(|out| {
            for record in records {
                self.format.render(record, &record.durations(now_ns), unix_seconds, micros, out);
                out.push(b'\n');
            }
        });
    }
}

impl Shared {
    /// Counts the answers whose last byte has left, or that were cut, and writes their lines.
    pub fn log_answers(&self, records: &mut Unlogged) {
        if records.is_empty() {
            return;
        }
        self.log_answers_at(records, now_ns());
    }

    /// As `log_answers`, for an answer that the socket took at once: nobody waited for the client, and its time to
    /// write is 0. That spares a look at the clock.
    pub fn log_answers_at_once(&self, records: &mut Unlogged) {
        if let Some(record) = &records.first {
            let done_ns = record.done_ns;
            self.log_answers_at(records, done_ns);
        }
    }

    fn log_answers_at(&self, records: &mut Unlogged, now_ns: u64) {
        for record in records.iter() {
            self.scoreboard.count(record, &record.durations(now_ns));
        }
        if let Some(access_log) = &self.access_log {
            access_log.write(records.iter(), now_ns);
        }
        let more = std::mem::take(&mut records.more);
        for record in records.first.take().into_iter().chain(more) {
            if let Some(head) = record.names.and_then(|names| names.head) {
                self.return_head(head);
            }
        }
    }

    /// What a line names: the client and the head. Both cost something, and without a log nobody asks.
    pub fn names_for_log(&self, connection: &Connection, head: Option<&Arc<Head>>) -> Option<Box<Names>> {
        self.access_log.as_ref()?;
        Some(Box::new(Names { peer: connection.peer.clone(), head: head.map(Arc::clone) }))
    }

    /// As `log_answers`, for answers that the peer did not get whole.
    pub fn log_answers_as_cut(&self, records: &mut Unlogged) {
        records.were_cut();
        self.log_answers(records);
    }
}

/// A value of a request field as the log shows it.
pub fn field_value<'a>(head: Option<&'a Head>, wanted: &[u8]) -> Option<&'a [u8]> {
    head?.fields().find(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use crate::access_format::{escape_json, escape_text};

    #[test]
    fn a_line_break_in_a_target_cannot_forge_a_line() {
        let mut out = Vec::new();
        escape_text(b"/a\r\nb\" \\ \xff", &mut out);
        assert_eq!(out, b"/a\\x0d\\x0ab\\\" \\\\ \\xff");
    }

    #[test]
    fn json_text_stays_one_string_whatever_the_bytes() {
        let mut out = Vec::new();
        escape_json(b"a\"\\\n\x00\xe9", &mut out);
        assert_eq!(out, b"\"a\\\"\\\\\\u000a\\u0000\\u00e9\"");
    }
}
