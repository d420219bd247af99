use edgepool_clients::calls::{self, Code, GONE};
use edgepool_clients::{begin_epoch, services};
use serde_json::json;

use super::{CHAT, World, answer, chat, code, parse, sent, step};

#[test]
fn a_number_that_is_out_of_date_means_nothing() {
    let world = World::usual();
    let call = world.call(CHAT, chat(), json!({}));
    let attempt = sent(call, 0.0);
    calls::free(call, 0.0);
    assert_eq!(step(call, 0.0).0, code(Code::Fail));
    assert_eq!(parse(&calls::failure(call))["class"], "cancelled");
    assert!(calls::request(call, attempt).is_err());
    assert!(calls::body(call).is_empty());
    assert!(!calls::acquired(call));
    assert_eq!(calls::chunk(call, attempt, b"{}", 0.0), GONE);
    assert_eq!((calls::events(call), calls::output(call)), ("[]".into(), "null".into()));
    assert_eq!(calls::until(call), f64::INFINITY);
    calls::free(call, 0.0);
    assert_eq!(world.stats()["inFlight"], 0, "its place was given back once");
    assert_eq!(world.stats()["failures"]["cancelled"], 1);
}

#[test]
fn an_instance_has_numbers_of_its_own() {
    let before = World::usual().provider;
    begin_epoch(7.0);
    let after = World::usual().provider;
    assert!(after - before > 1e12, "{before} {after}");
    assert_eq!(after + 1.0, World::usual().provider - 1.0, "they are exact");
}

#[test]
fn a_call_that_nobody_waits_for_is_swept() {
    let (world, other) = (World::usual(), World::usual());
    let dead = world.call(CHAT, chat(), json!({}));
    sent(dead, 0.0);
    let alive = world.call(CHAT, chat(), json!({}));
    sent(alive, 0.0);
    let elsewhere = other.call(CHAT, chat(), json!({}));
    sent(elsewhere, 0.0);
    calls::seen(alive, 900.0);
    assert_eq!(calls::sweep(world.service, 500.0, 1_000.0), 1);
    assert_eq!((&world.stats()["inFlight"], &other.stats()["inFlight"]), (&json!(1), &json!(1)));
    assert_eq!(step(dead, 1_000.0).0, code(Code::Fail));
    assert_eq!(step(alive, 1_000.0).0, code(Code::Wait));
}

#[test]
fn who_gives_up_gets_back_what_is_theirs() {
    let world = World::usual();
    let call = world.call(CHAT, chat(), json!({}));
    let attempt = sent(call, 0.0);
    calls::abandon(call, 1.0);
    assert_eq!(step(call, 1.0), (code(Code::Cancel), 0, attempt));
    assert_eq!(step(call, 1.0).0, code(Code::Fail));
    assert_eq!(parse(&calls::failure(call))["class"], "cancelled");
}

#[test]
fn a_call_goes_on_when_its_service_is_closed() {
    let world = World::usual();
    let call = world.call(CHAT, chat(), json!({}));
    let attempt = sent(call, 0.0);
    services::close(world.service);
    answer(call, attempt, 200, r#"{"choices":[{"message":{"content":"So."}}]}"#, 0.0);
    assert_eq!(step(call, 0.0).0, code(Code::Finished));
    assert_eq!(services::stats(world.service, 0.0), "{}");
    assert!(world.try_call(CHAT, chat(), json!({})).is_err());
}
