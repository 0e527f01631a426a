//! Step 3 of 6 - every raw request case of tests/cases, whole and cut at every byte, gives what its header says.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failing test says so by panicking")]

#[path = "../../../fuzz/src/case_file.rs"]
mod case_file;
#[path = "../../../fuzz/src/transcript.rs"]
mod transcript;

use std::path::{Path, PathBuf};

use barkeep_wire::{Limits, Version};
use case_file::{Case, ExpectedEnding, key_and_value, read_case, unescape};
use transcript::{Ending, Request, Transcript, read_connection};

/// Cases longer than this are cut at fewer places: what is long in them is one byte again and again.
const CUT_EVERYWHERE_BYTES: usize = 2048;

fn all_cases() -> Vec<(PathBuf, Case)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/cases");
    let entries = std::fs::read_dir(folder).unwrap();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "http"));
    paths.sort();
    assert!(paths.len() > 300, "the cases are not where they were");
    let read = |path: PathBuf| {
        let text = std::fs::read_to_string(&path).unwrap();
        let case = read_case(&text).unwrap_or_else(|problem| panic!("{}: {problem}", path.display()));
        (path, case)
    };
    paths.into_iter().map(read).collect()
}

fn read_whole(bytes: &[u8]) -> Transcript {
    read_connection([bytes], usize::MAX, &Limits::default())
}

#[test]
fn every_case_gives_what_its_header_says() {
    let mut wrong = Vec::new();
    for (path, case) in all_cases() {
        if let Err(difference) = compare(&case, &read_whole(&case.bytes)) {
            wrong.push(format!("{}: {difference}", path.file_name().unwrap().display()));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn every_case_in_single_bytes_gives_the_same() {
    for (path, case) in all_cases() {
        let cut = read_connection(case.bytes.chunks(1), 1, &Limits::default());
        assert_eq!(read_whole(&case.bytes), cut, "{}", path.display());
    }
}

#[test]
fn every_case_cut_in_two_at_every_byte_gives_the_same() {
    for (path, case) in all_cases() {
        let whole = read_whole(&case.bytes);
        let step = if case.bytes.len() <= CUT_EVERYWHERE_BYTES { 1 } else { 997 };
        for at in (0..case.bytes.len()).step_by(step) {
            let (first, second) = case.bytes.split_at(at);
            let cut = read_connection([first, second], usize::MAX, &Limits::default());
            assert_eq!(whole, cut, "{} cut at byte {at}", path.display());
        }
    }
}

#[test]
fn every_refusal_has_a_case() {
    let cases = all_cases();
    for refusal in barkeep_wire::Refusal::ALL {
        let name = format!("{refusal:?}");
        let has_case = cases.iter().any(|(_, case)| {
            matches!(&case.ending, ExpectedEnding::Refused(status, found)
                if *found == name && *status == refusal.status())
        });
        assert!(has_case, "no case is refused as {name}");
    }
}

fn compare(case: &Case, transcript: &Transcript) -> Result<(), String> {
    let expected_ending = match transcript.ending {
        Ending::Idle => ExpectedEnding::Idle,
        Ending::Close => ExpectedEnding::Close,
        Ending::InHead => ExpectedEnding::NeedMore("head".to_owned()),
        Ending::InBody => ExpectedEnding::NeedMore("body".to_owned()),
        Ending::Refused(refusal) => ExpectedEnding::Refused(refusal.status(), format!("{refusal:?}")),
    };
    if case.ending != expected_ending {
        return Err(format!("ends {expected_ending:?}, not {:?}", case.ending));
    }
    if case.requests.len() != transcript.requests.len() {
        return Err(format!("{} requests, not {}", transcript.requests.len(), case.requests.len()));
    }
    for (expected, request) in case.requests.iter().zip(&transcript.requests) {
        let line = [&request.method[..], b" ", &request.target, version_suffix(request.version)].concat();
        if unescape(&expected.line)? != line {
            return Err(format!("request {}, not {}", line.escape_ascii(), expected.line));
        }
        let mut facts = expected.facts.iter().filter(|(key, _)| key != "field");
        facts.try_for_each(|(key, value)| compare_fact(key, value, request))?;
        compare_fields(&expected.facts, request)?;
    }
    Ok(())
}

fn version_suffix(version: Version) -> &'static [u8] {
    match version {
        Version::Http10 => b" HTTP/1.0",
        Version::Http11 => b" HTTP/1.1",
    }
}

fn compare_fact(key: &str, value: &str, request: &Request) -> Result<(), String> {
    let connection = if request.wants_keep_alive { b"keep-alive".to_vec() } else { b"close".to_vec() };
    let expects = if request.expects_continue { b"yes".to_vec() } else { b"no".to_vec() };
    let found = match key {
        "body" => &request.body,
        "path" => &request.path,
        "query" => &request.query,
        "host" => request.host.as_ref().ok_or("no host")?,
        "connection" => &connection,
        "continue" => &expects,
        _ => return Err(format!("unknown fact {key}")),
    };
    if *found == unescape(value)? { Ok(()) } else { Err(format!("{key} is {}", found.escape_ascii())) }
}

/// A case that names any field names them all.
fn compare_fields(facts: &[(String, String)], request: &Request) -> Result<(), String> {
    let mut expected = Vec::new();
    for (_, field) in facts.iter().filter(|(key, _)| key == "field") {
        let (name, value) = key_and_value(field).ok_or("a field without a colon")?;
        expected.push((unescape(name)?, unescape(value)?));
    }
    if expected.is_empty() || expected == request.fields {
        return Ok(());
    }
    Err(format!("fields are {:?}", request.fields))
}
