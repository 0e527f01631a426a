//! The settings that the engine needs, as `settings.py` hands them over: `Settings.engine_options()`.
//!
//! Names, defaults, limits and help live in that table alone; here are only their types.

use barkeep_wire::Limits;
use pyo3::prelude::*;
use std::time::Duration;

/// One value per engine setting; durations arrive in seconds, sizes in bytes.
#[derive(FromPyObject, Clone, Debug)]
#[pyo3(from_item_all)]
pub struct Options {
    pub threads: usize,
    pub root_path: String,
    pub server_header: String,
    pub access_log: Option<String>,
    pub access_log_format: String,
    pub log_level: String,
    pub head_timeout: f64,
    pub body_timeout: f64,
    pub keep_alive_timeout: f64,
    pub write_timeout: f64,
    pub min_data_rate: u64,
    pub timeout: f64,
    pub timeout_for: Vec<(String, f64)>,
    pub request_line_limit: usize,
    pub request_fields_limit: usize,
    pub request_head_limit: usize,
    pub request_buffer: usize,
    pub request_buffer_total: usize,
    pub max_request_body: u64,
    pub response_buffer: usize,
    pub max_connections: usize,
    pub underscore_headers: String,
    pub health_path: String,
}

impl Options {
    /// The limits of the wire, from the settings of the same meaning.
    pub fn limits(&self) -> Limits {
        Limits {
            request_line_bytes: self.request_line_limit,
            fields: self.request_fields_limit,
            head_bytes: self.request_head_limit,
            body_bytes: self.max_request_body,
            ..Limits::default()
        }
    }

    /// Shortest deadline: how finely the clock must be looked at.
    pub fn shortest_deadline(&self) -> Duration {
        let shortest = [self.head_timeout, self.body_timeout, self.keep_alive_timeout, self.write_timeout]
            .into_iter()
            .fold(f64::INFINITY, f64::min);
        Duration::try_from_secs_f64(shortest).unwrap_or(Duration::from_secs(1))
    }
}
