//! The functions of the wasm module. Each is what the one of [`calls`], [`providers`] or
//! [`services`] is that it calls; an error is thrown as a text.

use wasm_bindgen::prelude::wasm_bindgen;

use crate::{Thrown, calls, providers, services};

fn thrown<T>(result: Result<T, Thrown>) -> Result<T, String> {
    result.map_err(|thrown| thrown.to_string())
}

/// See [`crate::begin_epoch`].
#[wasm_bindgen]
pub fn begin_epoch(instance: f64) {
    crate::begin_epoch(instance);
}

/// See [`providers::open`].
#[wasm_bindgen]
pub fn provider_open(name: &str, options: &str, env: &str) -> Result<f64, String> {
    thrown(providers::open(name, options, env))
}

/// See [`providers::close`].
#[wasm_bindgen]
pub fn provider_close(provider: f64) {
    providers::close(provider);
}

/// See [`providers::describe`].
#[wasm_bindgen]
pub fn provider_describe(provider: f64) -> String {
    providers::describe(provider)
}

/// See [`providers::from_env`].
#[wasm_bindgen]
pub fn providers_from_env(env: &str) -> Result<String, String> {
    thrown(providers::from_env(env))
}

/// See [`providers::refuse`].
#[wasm_bindgen]
pub fn refusal(kind: &str, code: &str, message: &str, retry_after: f64) -> String {
    providers::refuse(kind, code, message, retry_after)
}

/// See [`services::open`].
#[wasm_bindgen]
pub fn service_open(provider: f64, now: f64) -> Result<f64, String> {
    thrown(services::open(provider, now))
}

/// See [`services::close`].
#[wasm_bindgen]
pub fn service_close(service: f64) {
    services::close(service);
}

/// See [`services::places`].
#[wasm_bindgen]
pub fn service_places(service: f64, now: f64) -> u32 {
    services::places(service, now)
}

/// See [`services::next_change`].
#[wasm_bindgen]
pub fn service_next_change(service: f64, now: f64) -> f64 {
    services::next_change(service, now)
}

/// See [`services::stats`].
#[wasm_bindgen]
pub fn service_stats(service: f64, now: f64) -> String {
    services::stats(service, now)
}

/// See [`services::alert`].
#[wasm_bindgen]
pub fn service_alert(service: f64, now: f64) -> String {
    services::alert(service, now)
}

/// See [`services::endpoints`].
#[wasm_bindgen]
pub fn service_endpoints(service: f64) -> String {
    services::endpoints(service)
}

/// See [`services::check_due`].
#[wasm_bindgen]
pub fn service_check_due(service: f64, chance: f64, now: f64) -> f64 {
    services::check_due(service, chance, now)
}

/// See [`services::check_request`].
#[wasm_bindgen]
pub fn service_check_request(service: f64, check: f64) -> Result<String, String> {
    thrown(services::check_request(service, check))
}

/// See [`services::checked`].
#[wasm_bindgen]
pub fn service_checked(service: f64, check: f64, status: i32, message: &str, now: f64) {
    services::checked(service, check, status, message, now);
}

/// See [`services::fell_back`].
#[wasm_bindgen]
pub fn service_fell_back(service: f64) {
    services::fell_back(service);
}

/// See [`calls::open`].
#[wasm_bindgen]
pub fn call_open(
    service: f64,
    provider: f64,
    kind: u32,
    request: &str,
    options: &str,
    now: f64,
) -> Result<f64, String> {
    thrown(calls::open(service, provider, kind, request, options, now))
}

/// See [`calls::batches`].
#[wasm_bindgen]
pub fn embed_batches(provider: f64, request: &str) -> Result<String, String> {
    thrown(calls::batches(provider, request))
}

/// See [`calls::step`].
#[wasm_bindgen]
pub fn call_step(call: f64, now: f64, chance: f64) -> f64 {
    calls::step(call, now, chance)
}

/// See [`calls::until`].
#[wasm_bindgen]
pub fn call_until(call: f64) -> f64 {
    calls::until(call)
}

/// See [`calls::request`].
#[wasm_bindgen]
pub fn call_request(call: f64, attempt: u32) -> Result<String, String> {
    thrown(calls::request(call, attempt))
}

/// See [`calls::body`].
#[wasm_bindgen]
pub fn call_body(call: f64) -> Vec<u8> {
    calls::body(call)
}

/// See [`calls::acquired`].
#[wasm_bindgen]
pub fn call_acquired(call: f64) -> bool {
    calls::acquired(call)
}

/// See [`calls::refused`].
#[wasm_bindgen]
pub fn call_refused(call: f64, code: &str, message: &str, now: f64) {
    calls::refused(call, code, message, now);
}

/// See [`calls::head`].
#[wasm_bindgen]
pub fn call_head(call: f64, attempt: u32, status: u16, headers: &str, now: f64, wall: f64) -> u32 {
    calls::head(call, attempt, status, headers, now, wall)
}

/// See [`calls::chunk`].
#[wasm_bindgen]
pub fn call_chunk(call: f64, attempt: u32, bytes: &[u8], now: f64) -> u32 {
    calls::chunk(call, attempt, bytes, now)
}

/// See [`calls::end`].
#[wasm_bindgen]
pub fn call_end(call: f64, attempt: u32, now: f64) -> u32 {
    calls::end(call, attempt, now)
}

/// See [`calls::lost`].
#[wasm_bindgen]
pub fn call_lost(call: f64, attempt: u32, message: &str, now: f64) {
    calls::lost(call, attempt, message, now);
}

/// See [`calls::taken`].
#[wasm_bindgen]
pub fn call_taken(call: f64, attempt: u32, now: f64) {
    calls::taken(call, attempt, now);
}

/// See [`calls::late`].
#[wasm_bindgen]
pub fn call_late(call: f64, attempt: u32, timer: u32, now: f64) {
    calls::late(call, attempt, timer, now);
}

/// See [`calls::events`].
#[wasm_bindgen]
pub fn call_events(call: f64) -> String {
    calls::events(call)
}

/// See [`calls::output`].
#[wasm_bindgen]
pub fn call_output(call: f64) -> String {
    calls::output(call)
}

/// See [`calls::usage`].
#[wasm_bindgen]
pub fn call_usage(call: f64) -> String {
    calls::usage(call)
}

/// See [`calls::vectors`].
#[wasm_bindgen]
pub fn call_vectors(call: f64) -> Vec<f32> {
    calls::vectors(call)
}

/// See [`calls::winner`].
#[wasm_bindgen]
pub fn call_winner(call: f64) -> i32 {
    calls::winner(call)
}

/// See [`calls::failure`].
#[wasm_bindgen]
pub fn call_failure(call: f64) -> String {
    calls::failure(call)
}

/// See [`calls::seen`].
#[wasm_bindgen]
pub fn call_seen(call: f64, now: f64) {
    calls::seen(call, now);
}

/// See [`calls::sweep`].
#[wasm_bindgen]
pub fn calls_sweep(service: f64, before: f64, now: f64) -> u32 {
    calls::sweep(service, before, now)
}

/// See [`calls::abandon`].
#[wasm_bindgen]
pub fn call_abandon(call: f64, now: f64) {
    calls::abandon(call, now);
}

/// See [`calls::free`].
#[wasm_bindgen]
pub fn call_free(call: f64, now: f64) {
    calls::free(call, now);
}
