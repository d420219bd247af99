use crate::fixtures::{Chance, streams};

#[path = "../../../../tests/fuzz/wire.rs"]
mod wire;

/// What configurations, answers and headers look like.
const WORDS: [&str; 22] = [
    "{\"kind\":\"ollama\",\"endpoints\":[{\"baseURL\":\"http://a\",\"weight\":2}]}",
    "{\"data\":[{\"index\":0,\"embedding\":\"AAAAPwAAgEA=\"},{\"index\":1,\"embedding\":[1,2]}]}",
    "{\"error\":{\"message\":\"no\",\"type\":\"t\",\"code\":1}}",
    "{\"choices\":[{\"message\":{\"content\":[{\"text\":\"a\"}],\"tool_calls\":[{}]}}]}",
    "{\"output\":[{\"type\":\"function_call\"}],\"status\":\"incomplete\"}",
    "{\"content\":[{\"type\":\"tool_use\",\"input\":{}}]}",
    "Fri, 13 Feb 2026 12:00:30 GMT",
    "2026-02-13T12:00:10.5+01:00",
    "99999999999999999999h59m",
    "1e999",
    "-0",
    "https://[::1]:8080/v1/../x",
    "http://e.com/v1?a=b#c",
    "data: ",
    "event: error\n",
    "data: [DONE]\n\n",
    "\r\n\r",
    "\u{feff}",
    "\"done\":true",
    "\\\"",
    "[[[[[[[[",
    "\u{0}ü€🥊",
];

#[test]
fn random_bytes_do_no_harm() {
    for seed in 0..2_000 {
        let mut chance = Chance::new(seed);
        let length = chance.below(200);
        let bytes: Vec<u8> = (0..length).map(|_| chance.next() as u8).collect();
        wire::drive(&bytes);
    }
}

#[test]
fn words_in_any_order_do_no_harm() {
    for seed in 0..3_000 {
        let mut chance = Chance::new(seed);
        let mut bytes = vec![chance.next() as u8, chance.next() as u8];
        for _ in 0..chance.below(8) {
            bytes.extend_from_slice(WORDS[chance.below(WORDS.len())].as_bytes());
        }
        wire::drive(&mutated(bytes, &mut chance));
    }
}

#[test]
fn mutated_streams_do_no_harm() {
    let streams = streams();
    for seed in 0..3_000 {
        let mut chance = Chance::new(seed);
        let mut bytes = vec![chance.next() as u8, chance.next() as u8];
        bytes.extend_from_slice(streams[chance.below(streams.len())].body.as_bytes());
        wire::drive(&mutated(bytes, &mut chance));
    }
}

/// What the fuzz target starts with, and each input that failed.
#[test]
fn what_the_fuzz_target_found_does_no_harm() {
    let seeds = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fuzz/seeds/wire");
    let files = std::fs::read_dir(seeds).expect("they stand beside the target");
    let inputs = files.map(|file| std::fs::read(file.unwrap().path()).unwrap());
    let count = inputs.map(|bytes| wire::drive(&bytes)).count();
    assert!(count > 25, "only {count} inputs");
}

/// Changes, takes out and doubles a few bytes.
fn mutated(mut bytes: Vec<u8>, chance: &mut Chance) -> Vec<u8> {
    for _ in 0..chance.below(4) {
        if bytes.is_empty() {
            break;
        }
        let at = chance.below(bytes.len());
        match chance.below(4) {
            0 => bytes[at] = chance.next() as u8,
            1 => drop(bytes.drain(at..(at + chance.below(9)).min(bytes.len()))),
            2 => bytes.truncate(at.max(2)),
            _ => {
                let end = (at + chance.below(20)).min(bytes.len());
                let again = bytes[at..end].to_vec();
                bytes.splice(at..at, again);
            }
        }
    }
    bytes
}
