//! Answers in pieces: the same events however they are split, the protocol's own end, and what a
//! watch sees of the same bytes.

use crate::fixtures::{Chance, Stream, decode, streams};
use edgepool_llm::chat::{Collector, StreamEvent};
use edgepool_llm::dialect::Dialect;
use edgepool_llm::stream::{Decoder, MAX_EVENT, Progress, Sse, SseParser};
use edgepool_llm::watch::{BodyWatch, MAX_LOOK};
use edgepool_llm::{Class, Failure, Headers, Secret};

/// Splits bytes into pieces of random lengths, some of them empty.
fn pieces<'a>(bytes: &'a [u8], chance: &mut Chance) -> Vec<&'a [u8]> {
    let mut rest = bytes;
    let mut pieces = Vec::new();
    let longest = 1 + chance.below(60);
    while !rest.is_empty() {
        let (piece, next) = rest.split_at(chance.below(longest + 1).min(rest.len()));
        pieces.push(piece);
        rest = next;
    }
    pieces
}

fn good(stream: &Stream) -> Vec<Result<StreamEvent, Failure>> {
    stream.events.iter().cloned().map(Ok).collect()
}

#[test]
fn every_stream_gives_its_events() {
    for stream in streams() {
        let events = decode(stream.decoder(), [stream.body.as_bytes()]);
        assert_eq!(events, good(&stream), "{}", stream.name);
    }
}

#[test]
fn a_split_at_any_byte_changes_nothing() {
    for stream in streams() {
        let bytes = stream.body.as_bytes();
        for at in 0..=bytes.len() {
            let (one, two) = bytes.split_at(at);
            let events = decode(stream.decoder(), [one, two]);
            assert_eq!(events, good(&stream), "{} split at {at}", stream.name);
        }
        let events = decode(stream.decoder(), bytes.chunks(1));
        assert_eq!(events, good(&stream), "{} in single bytes", stream.name);
    }
}

#[test]
fn random_pieces_change_nothing() {
    for stream in streams() {
        for seed in 0..200 {
            let pieces = pieces(stream.body.as_bytes(), &mut Chance::new(seed));
            let events = decode(stream.decoder(), pieces);
            assert_eq!(events, good(&stream), "{} with seed {seed}", stream.name);
        }
    }
}

#[test]
fn whatever_is_cut_off_before_the_end_is_truncated() {
    for stream in streams() {
        let bytes = stream.body.as_bytes();
        let mut whole = 0;
        for at in 0..bytes.len() {
            let mut decoder = stream.decoder();
            let over = decoder.push(&bytes[..at]).over;
            decoder.end();
            let events: Vec<_> = std::iter::from_fn(|| decoder.poll()).collect();
            let last = events.last().unwrap();
            // A cut behind the last byte that counts takes blank lines off, and no more.
            if *last == Ok(StreamEvent::Done) {
                whole += 1;
                continue;
            }
            assert!(!over, "{} cut at {at}", stream.name);
            let failure = last.as_ref().unwrap_err();
            let broken = matches!(failure.class, Class::Truncated | Class::Malformed);
            assert!(broken, "{} cut at {at}: {failure}", stream.name);
            assert!(!events.contains(&Ok(StreamEvent::Done)));
        }
        assert!(whole < 40, "{} is whole after {whole} cuts", stream.name);
    }
}

#[test]
fn a_cut_between_events_is_named() {
    for (dialect, body, end) in [
        (Dialect::OpenAi, "data: {\"choices\":[]}\n\n", "[DONE]"),
        (
            Dialect::OpenAiResponses,
            "data: {\"type\":\"response.created\"}\n\n",
            "response.completed",
        ),
        (Dialect::Anthropic, "data: {\"type\":\"message_start\"}\n\n", "message_stop"),
        (Dialect::Ollama, "{\"message\":{},\"done\":false}\n", "\"done\":true"),
    ] {
        let stream = Stream { name: "", dialect, body: body.to_owned(), events: Vec::new() };
        let events = decode(stream.decoder(), [body.as_bytes()]);
        let failure = events.last().unwrap().as_ref().unwrap_err();
        assert_eq!(failure.class, Class::Truncated);
        assert!(failure.message.contains(end), "{failure}");
        let mut watch = BodyWatch::new(dialect, &stream.headers(), Vec::new());
        assert!(!watch.push(body.as_bytes()).over);
        assert_eq!(watch.end().unwrap_err().class, Class::Truncated, "{dialect:?}");
    }
}

#[test]
fn errors_within_a_stream_are_typed() {
    use Class::{Invalid, Overloaded, QuotaExhausted, RateLimited, Server, Unauthorised};
    let both = [Dialect::OpenAiResponses, Dialect::Anthropic];
    for (dialect, data, class) in [
        (Dialect::OpenAi, r#"{"error":{"message":"no","type":"server_error"}}"#, Server),
        (Dialect::OpenAi, r#"{"error":{"message":"no","code":429}}"#, RateLimited),
        (
            Dialect::OpenAi,
            r#"{"id":"x","error":{"message":"no","code":"insufficient_quota"},"choices":[]}"#,
            QuotaExhausted,
        ),
        (Dialect::OpenAi, r#"{"object":"error","message":"no","code":400}"#, Invalid),
        (
            Dialect::OpenAiResponses,
            r#"{"type":"error","code":"rate_limit_exceeded","message":"no"}"#,
            RateLimited,
        ),
        (
            Dialect::OpenAiResponses,
            r#"{"type":"response.failed","response":{"error":{"code":"x","message":"no"}}}"#,
            Server,
        ),
        (
            Dialect::Anthropic,
            r#"{"type":"error","error":{"type":"overloaded_error","message":"no"}}"#,
            Overloaded,
        ),
        (
            Dialect::Anthropic,
            r#"{"type":"error","error":{"type":"authentication_error","message":"no"}}"#,
            Unauthorised,
        ),
        (
            Dialect::Anthropic,
            r#"{"type":"error","error":{"type":"api_error","message":"no"}}"#,
            Server,
        ),
        (Dialect::Ollama, r#"{"error":"no"}"#, Server),
    ] {
        let name = if both.contains(&dialect) && !data.contains("failed") { "error" } else { "" };
        let body = match dialect {
            Dialect::Ollama => format!("{data}\n"),
            _ if name.is_empty() => format!("data: {data}\n\n"),
            _ => format!("event: {name}\ndata: {data}\n\n"),
        };
        let stream = Stream { name: "", dialect, body, events: Vec::new() };
        let more = stream.body.clone() + &stream.body;
        let events = decode(stream.decoder(), [more.as_bytes()]);
        let [Err(failure)] = &events[events.len() - 1..] else { panic!("{events:?}") };
        assert_eq!((failure.class, &failure.message[..]), (class, "no"), "{}", stream.body);
        let mut watch = BodyWatch::new(dialect, &stream.headers(), Vec::new());
        assert!(watch.push(stream.body.as_bytes()).over, "{}", stream.body);
        assert_eq!(watch.end().unwrap_err(), *failure, "{}", stream.body);
    }
}

#[test]
fn a_watch_sees_what_a_decoder_sees() {
    for stream in streams() {
        for seed in 0..100 {
            let mut decoder = stream.decoder();
            let mut watch = BodyWatch::new(stream.dialect, &stream.headers(), Vec::new());
            // An event ends with its blank line, for which a watch waits only at the end.
            let mut seen = Progress::default();
            for piece in pieces(stream.body.as_bytes(), &mut Chance::new(seed)) {
                let (decoded, watched) = (decoder.push(piece), watch.push(piece));
                seen.content |= watched.content;
                seen.over |= watched.over;
                assert!(seen.content || !decoded.content, "{} with seed {seed}", stream.name);
                assert!(seen.over || !decoded.over, "{} with seed {seed}", stream.name);
            }
            decoder.end();
            assert_eq!(watch.end(), Ok(()), "{}", stream.name);
            let events = std::iter::from_fn(|| decoder.poll());
            let used = events.flatten().find_map(|event| match event {
                StreamEvent::Usage(usage) => Some(usage),
                _ => None,
            });
            assert_eq!(watch.usage(), used, "{} with seed {seed}", stream.name);
        }
    }
}

#[test]
fn a_watch_tells_content_of_each_event_as_a_decoder_does() {
    for stream in streams().into_iter().filter(|stream| !stream.name.contains("odd")) {
        let end = if stream.dialect == Dialect::Ollama { "\n" } else { "\n\n" };
        let body = stream.body.replace("\r\n", "\n");
        let mut decoder = stream.decoder();
        let mut watch = BodyWatch::new(stream.dialect, &stream.headers(), Vec::new());
        for event in body.split_inclusive(end) {
            let (decoded, watched) = (decoder.push(event.as_bytes()), watch.push(event.as_bytes()));
            if decoded.over && !watched.content {
                assert!(watched.over);
                break;
            }
            assert_eq!(decoded, watched, "{}: {event}", stream.name);
        }
    }
}

#[test]
fn streams_without_an_end_of_their_own_end_well() {
    let sse: Headers<'_> = [("content-type", &b"text/event-stream"[..])].into_iter().collect();
    let lines: Headers<'_> = [("content-type", &b"application/x-ndjson"[..])].into_iter().collect();
    for (dialect, headers, body) in [
        (Dialect::OpenAi, &sse, "data: {\"type\":\"image_generation.completed\"}\n\n"),
        (Dialect::OpenAi, &sse, ": nothing\n\n"),
        (Dialect::Http, &sse, "event: error\ndata: {\"error\":1}\n\ndata: [DONE]\n\n"),
        (Dialect::Ollama, &lines, "{\"status\":\"pulling\"}\n{\"status\":\"success\"}\n"),
        (Dialect::Ollama, &Headers::default(), "{\"embeddings\":[[1]]}"),
        (Dialect::OpenAi, &Headers::default(), "<html>"),
    ] {
        let mut watch = BodyWatch::new(dialect, headers, Vec::new());
        assert!(!watch.push(body.as_bytes()).over, "{body}");
        assert_eq!(watch.end(), Ok(()), "{body}");
    }
}

#[test]
fn a_watch_of_openai_knows_both_of_its_dialects() {
    for stream in streams().iter().filter(|it| it.dialect == Dialect::OpenAiResponses) {
        let mut watch = BodyWatch::new(Dialect::OpenAi, &stream.headers(), Vec::new());
        assert!(watch.push(stream.body.as_bytes()).over, "{}", stream.name);
    }
}

#[test]
fn a_whole_body_tells_its_usage() {
    let body = br#"{"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":4}}"#;
    let mut watch = BodyWatch::new(Dialect::OpenAi, &Headers::default(), Vec::new());
    for piece in body.chunks(7) {
        let progress = watch.push(piece);
        assert!(progress.content && !progress.over);
    }
    assert_eq!(watch.end(), Ok(()));
    assert_eq!(watch.usage().map(|usage| (usage.input_tokens, usage.output_tokens)), Some((3, 4)));
}

#[test]
fn an_end_is_found_behind_a_line_of_any_length() {
    let headers: Headers<'_> = [("content-type", &b"text/event-stream"[..])].into_iter().collect();
    let long = "x".repeat(3 * MAX_LOOK);
    let data = format!(r#"{{"type":"response.completed","response":{{"a":"{long}"}}}}"#);
    let body = format!("event: response.completed\ndata: {data}\n\n");
    let mut watch = BodyWatch::new(Dialect::OpenAiResponses, &headers, Vec::new());
    let over = body.as_bytes().chunks(1_000).map(|piece| watch.push(piece).over);
    assert_eq!(over.filter(|over| *over).count(), 1);
    assert_eq!(watch.end(), Ok(()));
}

#[test]
fn an_event_over_the_bound_is_too_large() {
    let headers: Headers<'_> = [("content-type", &b"text/event-stream"[..])].into_iter().collect();
    for body in ["data: ".to_owned() + &"x".repeat(2_000), "data: x\n".repeat(2_000)] {
        for size in [1, 64, 5_000] {
            let mut decoder = Decoder::new(Dialect::OpenAi, &headers, 1_000, Vec::new()).unwrap();
            let over = body.as_bytes().chunks(size).any(|piece| decoder.push(piece).over);
            assert!(over, "in pieces of {size}");
            assert_eq!(decoder.poll().unwrap().unwrap_err().class, Class::TooLarge);
            assert_eq!(decoder.poll(), None);
        }
    }
}

#[test]
fn what_is_no_stream_is_told_at_once() {
    for (dialect, kind) in [
        (Dialect::OpenAi, "text/html; charset=utf-8"),
        (Dialect::Anthropic, "text/plain"),
        (Dialect::Ollama, "text/html"),
    ] {
        let headers: Headers<'_> = [("content-type", kind.as_bytes())].into_iter().collect();
        let failure = Decoder::new(dialect, &headers, MAX_EVENT, Vec::new()).unwrap_err();
        assert_eq!(failure.class, Class::Malformed);
        assert!(failure.message.contains(kind), "{failure}");
    }
    let events = decode(
        Decoder::new(Dialect::OpenAi, &Headers::default(), MAX_EVENT, Vec::new()).unwrap(),
        [&b"data: <html>\n\n"[..]],
    );
    assert_eq!(events[0].as_ref().unwrap_err().class, Class::Malformed);
}

#[test]
fn an_answer_that_came_whole_is_read_as_a_stream() {
    let headers: Headers<'_> = [("content-type", &b"application/json"[..])].into_iter().collect();
    let decoder = |dialect| Decoder::new(dialect, &headers, MAX_EVENT, Vec::new()).unwrap();
    let body = br#"{"id":"a","choices":[{"message":{"content":"hi"},"finish_reason":"stop"}]}"#;
    let events = decode(decoder(Dialect::OpenAi), body.chunks(5));
    let mut collector = Collector::default();
    for event in &events {
        collector.add(event.clone().unwrap()).unwrap();
    }
    assert_eq!(collector.finish().text, "hi");
    assert_eq!(events.last(), Some(&Ok(StreamEvent::Done)));
    let events = decode(decoder(Dialect::OpenAi), [&br#"{"error":"no"}"#[..]]);
    assert_eq!(events[0].as_ref().unwrap_err().message, "no");
}

#[test]
fn pieces_are_put_together_up_to_a_bound() {
    for stream in streams() {
        let mut collector = Collector::default();
        for event in stream.events.iter().cloned() {
            collector.add(event).unwrap();
        }
        let answer = collector.finish();
        for call in &answer.tool_calls {
            assert!(!call.name.is_empty() && call.arguments.starts_with('{'), "{}", stream.name);
        }
        let said = !answer.text.is_empty() || !answer.reasoning.is_empty();
        assert!(said || !answer.tool_calls.is_empty(), "{}", stream.name);
    }
    let mut collector = Collector::new(5);
    collector.add(StreamEvent::Text("abc".to_owned())).unwrap();
    let failure = collector.add(StreamEvent::Text("def".to_owned())).unwrap_err();
    assert_eq!(failure.class, Class::TooLarge);
    let far = StreamEvent::Arguments { index: usize::MAX, json: "{}".to_owned() };
    assert_eq!(Collector::default().add(far).unwrap_err().class, Class::TooLarge);
}

#[test]
fn keys_in_errors_of_a_stream_are_redacted() {
    let headers: Headers<'_> = [("content-type", &b"text/event-stream"[..])].into_iter().collect();
    let keys = vec![Secret::new("my-own-key")];
    let mut decoder = Decoder::new(Dialect::OpenAi, &headers, MAX_EVENT, keys.clone()).unwrap();
    let body =
        b"data: {\"error\":{\"message\":\"wrong key my-own-key\",\"code\":\"my-own-key\"}}\n\n";
    decoder.push(body);
    let failure = decoder.poll().unwrap().unwrap_err();
    assert!(!format!("{failure} {failure:?} {decoder:?}").contains("my-own-key"));
    let mut watch = BodyWatch::new(Dialect::OpenAi, &headers, keys);
    watch.push(body);
    assert!(!format!("{watch:?}").contains("my-own-key"));
}

#[test]
fn comments_and_events_without_data_are_told_apart() {
    let mut parser = SseParser::new(1_000);
    let mut told = Vec::new();
    let body =
        b": one\n\nevent: ping\n\ndata\n\nevent:a\ndata:  x\ndata:y\n\nevent: b\n: two\ndata: z\n";
    let mut tell = |item: Sse<'_>| match item {
        Sse::Comment => told.push(("comment".to_owned(), String::new())),
        Sse::Event { name, data } => {
            let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
            told.push((text(name), text(data)));
        }
        _ => unreachable!("there are no others"),
    };
    parser.push(body, &mut tell).unwrap();
    parser.end(&mut tell).unwrap();
    let told: Vec<_> = told.iter().map(|(name, data)| (&name[..], &data[..])).collect();
    assert_eq!(told, [("comment", ""), ("", ""), ("a", " x\ny"), ("comment", ""), ("b", "z")]);
}

#[test]
fn errors_of_chat_completions_may_have_a_type() {
    for data in [
        r#"{"object":"error","message":"boom","type":"InternalServerError","code":500}"#,
        r#"{"type":"error","error":{"type":"server_error","message":"boom"}}"#,
    ] {
        let body = format!("data: {data}\n\ndata: [DONE]\n\n");
        let dialect = Dialect::OpenAi;
        let stream = Stream { name: "", dialect, body, events: Vec::new() };
        let events = decode(stream.decoder(), [stream.body.as_bytes()]);
        let failure = events.last().unwrap().as_ref().unwrap_err();
        assert_eq!((failure.class, &failure.message[..]), (Class::Server, "boom"), "{data}");
    }
}

#[test]
fn what_keeps_a_stream_alive_does_not_end_it() {
    for alive in ["data:\n\n", "event: ping\ndata: keep-alive\n\n"] {
        let body = format!("{alive}data: {{\"choices\":[]}}\n\n{alive}data: [DONE]\n\n");
        let dialect = Dialect::OpenAi;
        let stream = Stream { name: "", dialect, body, events: Vec::new() };
        let events = decode(stream.decoder(), [stream.body.as_bytes()]);
        assert!(events.iter().all(Result::is_ok), "{events:?}");
    }
}

#[test]
fn the_last_event_is_over_when_its_reader_has_it() {
    let dialect = Dialect::Anthropic;
    let body = "event: message_start\ndata: {\"type\":\"message_start\"}\n\n\
                event: message_stop\ndata: {\"type\":\"message_stop\"}\n";
    let stream = Stream { name: "", dialect, body: body.to_owned(), events: Vec::new() };
    let watch = || BodyWatch::new(dialect, &stream.headers(), Vec::new());
    let mut whole = watch();
    assert!(!whole.push(body.as_bytes()).over);
    assert!(whole.push(b"\n").over);
    let mut cut = watch();
    cut.push(body.as_bytes());
    assert!(cut.end().is_ok(), "the end has come");
}

#[test]
fn calls_of_tools_under_one_number_are_told_apart_by_their_ids() {
    let call = |id: &str, arguments: &str| {
        format!(r#"{{"index":0,"id":"{id}","function":{{"name":"f","arguments":{arguments}}}}}"#)
    };
    let calls = [call("a", "\"{}\""), call("b", r#"{"x":1}"#)].join(",");
    let body = format!(
        "data: {{\"choices\":[{{\"delta\":{{\"tool_calls\":[{calls}]}}}}]}}\n\ndata: [DONE]\n\n"
    );
    let dialect = Dialect::OpenAi;
    let stream = Stream { name: "", dialect, body, events: Vec::new() };
    let events = decode(stream.decoder(), [stream.body.as_bytes()]);
    let arguments =
        |index: usize, json: &str| Ok(StreamEvent::Arguments { index, json: json.to_owned() });
    assert!(events.contains(&arguments(0, "{}")) && events.contains(&arguments(1, r#"{"x":1}"#)));
}
