//! Steps 3 and 6 of 6 - every contract on mutated cases, so many times, on a stable compiler.
//!
//! `cargo run --release --manifest-path fuzz/Cargo.toml --bin smoke -- --runs 200000 [--seed 1]`. Equal seeds give equal
//! runs. Exit code 0: all contracts held; 1: one broke, its input is printed escaped; 2: wrong use.

use std::panic::catch_unwind;
use std::path::Path;
use std::process::ExitCode;

use barkeep_fuzz::random::Random;
use barkeep_fuzz::{answer, body, case_file, connection, framing, head};

type Contract = fn(&[u8]);

const CONTRACTS: [(&str, Contract); 5] =
    [("head", head), ("framing", framing), ("body", body), ("connection", connection), ("answer", answer)];

/// What turns one case into another: what parsers stumble over.
const DICTIONARY: &[&[u8]] = &[
    b"\r\n",
    b"\r",
    b"\n",
    b"\0",
    b" ",
    b"\t",
    b":",
    b",",
    b";",
    b"=",
    b"\"",
    b"\\",
    b"0",
    b"+1",
    b"0x1",
    b"1_0",
    b"\xff",
    b"\x7f",
    b"%",
    b"%2f",
    b"?",
    b"#",
    b"*",
    b"@",
    b"[::1]",
    b"http://",
    b"HTTP/1.0",
    b"HTTP/1.1",
    b"Host: a\r\n",
    b"Content-Length: 5\r\n",
    b"Content-Length: 18446744073709551616\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Transfer-Encoding: gzip, chunked\r\n",
    b"Connection: close\r\n",
    b"Connection: keep-alive\r\n",
    b"Expect: 100-continue\r\n",
    b"0\r\n\r\n",
    b"5\r\nhello\r\n",
    b"ffffffffffffffff\r\n",
    b"200 OK",
    b"Date",
    b"Content-Length",
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (Some(runs), Some(seed)) = (option(&arguments, "--runs", 200_000), option(&arguments, "--seed", 1))
    else {
        eprintln!("usage: smoke [--runs COUNT] [--seed NUMBER]");
        return ExitCode::from(2);
    };
    let corpus = match read_corpus(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/cases")) {
        Ok(corpus) => corpus,
        Err(problem) => {
            eprintln!("cannot read the cases: {problem}");
            return ExitCode::from(2);
        }
    };
    let mut random = Random::new(seed);
    for run in 0..runs {
        let (name, contract) = CONTRACTS[(run as usize) % CONTRACTS.len()];
        let input =
            if name == "answer" { make_answer(&mut random) } else { make_input(&corpus, &mut random) };
        if catch_unwind(|| contract(&input)).is_err() {
            eprintln!("contract \"{name}\" broke in run {run} of seed {seed}; its input:");
            eprintln!("{}", input.escape_ascii());
            return ExitCode::from(1);
        }
    }
    println!("{runs} runs from {} cases, seed {seed}: every contract held", corpus.len());
    ExitCode::SUCCESS
}

/// The number behind `name`, or `default` without it; `None` when it is no number.
fn option(arguments: &[String], name: &str, default: u64) -> Option<u64> {
    match arguments.iter().position(|argument| argument == name) {
        None => Some(default),
        Some(at) => arguments.get(at + 1)?.parse().ok(),
    }
}

/// The bytes of all cases of up to 4 KiB, by name, so that a seed means the same on every machine.
fn read_corpus(folder: &Path) -> Result<Vec<Vec<u8>>, String> {
    let entries = std::fs::read_dir(folder).map_err(|error| error.to_string())?;
    let mut paths: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "http"));
    paths.sort();
    let mut corpus = Vec::new();
    for path in paths {
        let text = std::fs::read_to_string(&path).map_err(|error| error.to_string())?;
        let case = case_file::read_case(&text).map_err(|problem| format!("{}: {problem}", path.display()))?;
        if case.bytes.len() <= 4096 {
            corpus.push(case.bytes);
        }
    }
    if corpus.is_empty() { Err("there are none".to_owned()) } else { Ok(corpus) }
}

/// Eight bytes that decide the cuts, then a case or a few words, changed in up to seven places.
fn make_input(corpus: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    let mut input: Vec<u8> = (0..8).map(|_| random.below(256) as u8).collect();
    match random.below(8) {
        0 => (0..random.below(12)).for_each(|_| input.extend_from_slice(word(random))),
        1 => {
            // Two cases in one: pipelined, or a body after another head.
            input.extend_from_slice(&corpus[random.below(corpus.len())]);
            input.extend_from_slice(&corpus[random.below(corpus.len())]);
        }
        _ => input.extend_from_slice(&corpus[random.below(corpus.len())]),
    }
    for _ in 0..random.below(8) {
        mutate(&mut input, random);
    }
    input
}

/// Request facts, a status, names and values; parts end at 0xff, as the contract reads them.
fn make_answer(random: &mut Random) -> Vec<u8> {
    let statuses: [&[u8]; 8] = [
        b"200 OK",
        b"204 No Content",
        b"304 Not Modified",
        b"205 ",
        b"404",
        b"99 Nope",
        b"100 Continue",
        b"500 \xe9",
    ];
    let names: [&[u8]; 8] =
        [b"X-A", b"Content-Type", b"Content-Length", b"Date", b"Server", b"Connection", b"Set-Cookie", b"TE"];
    let values: [&[u8]; 8] =
        [b"", b"5", b"12345", b" a\tb ", b"\xe9", b"a; b=\"c\"", b"a\r\nX: b", b"text/plain"];
    let mut input = vec![random.below(256) as u8];
    input.extend_from_slice(statuses[random.below(8)]);
    for _ in 0..random.below(6) {
        input
            .extend_from_slice(&[b"\xff", names[random.below(8)], b"\xff", values[random.below(8)]].concat());
    }
    for _ in 0..random.below(4) {
        mutate(&mut input, random);
    }
    input
}

fn word(random: &mut Random) -> &'static [u8] {
    DICTIONARY[random.below(DICTIONARY.len())]
}

fn mutate(input: &mut Vec<u8>, random: &mut Random) {
    let at = random.below(input.len());
    let end = (at + 1 + random.below(12)).min(input.len());
    match random.below(6) {
        0 if at < input.len() => input[at] ^= 1 << random.below(8),
        1 if at < input.len() => input[at] = random.below(256) as u8,
        2 => drop(input.drain(at..end)),
        3 => drop(input.splice(at..at, word(random).iter().copied())),
        4 => drop(input.splice(at..end, word(random).iter().copied())),
        _ => {
            let copied = input[at..end].to_vec();
            let target = random.below(input.len());
            drop(input.splice(target..target, copied));
        }
    }
}
