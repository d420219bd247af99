mod tenants;

use super::*;

use clap::Parser as _;

use crate::cli::{Cli, Command};

fn serve_args(args: &[&str]) -> Result<ServeArgs, String> {
    let line = ["xtask", "serve"].iter().chain(args);
    match Cli::try_parse_from(line).map_err(|error| error.to_string())?.command {
        Some(Command::Serve(args)) => Ok(args),
        other => panic!("{other:?}"),
    }
}

fn load(args: &[&str], file: &str, env: &[(&str, &str)]) -> Result<Serve, String> {
    let args = serve_args(args)?;
    let lookup = |name: &str| {
        let found = env.iter().find(|(variable, _)| *variable == name);
        found.map(|(_, value)| (*value).to_owned())
    };
    let file = if file.is_empty() { Ok(FileConfig::default()) } else { file.parse() };
    let serve = file.and_then(|file| Serve::assemble(args, file, &lookup));
    serve.map_err(|error| format!("{error:#}"))
}

fn json(serve: &Serve) -> serde_json::Value {
    serde_json::to_value(&serve.gateway).unwrap()
}

/// Each row: arguments, file, and what the error must say.
#[test]
fn bad_input_is_named_and_the_accepted_values_with_it() {
    let rows: &[(&[&str], &str, &[&str])] = &[
        (&["--provider", "a=openai,nonsense"], "", &["nonsense", "no URL", "http://HOST"]),
        (&["--provider", "a=openai,ftp://h"], "", &["ftp://h", "http://HOST"]),
        (&["--provider", "a=openai,http://h/?k=v"], "", &["query"]),
        (
            &["--provider", "a=gopher,http://h"],
            "",
            &["gopher", "openai, anthropic, ollama, http, "],
        ),
        (&["--provider", "a=openai,http://h,max=0"], "", &["max is 0", "1 to 65535"]),
        (&["--provider", "a=openai,http://h,max=65536"], "", &["max is 65536"]),
        (&["--provider", "a=openai,http://h,max=x"], "", &["max is \"x\""]),
        (&["--provider", "a=openai,http://h,max=1,max=2"], "", &["max is given twice"]),
        (&["--provider", "a=openai,http://h,mix=1"], "", &["\"mix\"", "max=N"]),
        (&["--provider", "a=openai"], "", &["NAME=KIND,URL[,max=N]"]),
        (&["--provider", "a"], "", &["NAME=KIND,URL[,max=N]"]),
        (&["--provider", "Big=openai,http://h"], "", &["\"Big\"", "a-z, 0-9"]),
        (&["--provider", "_a=openai,http://h"], "", &["starts with a letter or digit"]),
        (&["--provider", "=openai,http://h"], "", &["no provider name"]),
        (&["--provider", "stats=openai,http://h"], "", &["reserved", "healthz", "metrics"]),
        (
            &["--provider", "a=openai,http://h", "--provider", "a=http,http://i"],
            "",
            &["provider a is named twice"],
        ),
        (
            &["--provider", "sim=openai,http://h", "--sim-max", "2"],
            "",
            &["sim is named twice", "simulator"],
        ),
        (&["--sim-max", "0"], "", &["--sim-max", "1..=65535"]),
        (&["--runtime", "perl"], "", &["perl", "workerd, deno, node, bun"]),
        (&["--scope", "world"], "", &["world", "isolate, object"]),
        (&["--scope", "object", "--runtime", "bun"], "", &["scope object", "bun has not"]),
        (
            &["--runtime", "node"],
            "[gateway]\nscope = 'object'",
            &["line 2", "gateway.scope", "scope object", "node has not"],
        ),
        (&[], "[gateway]\nscope = 'all'", &["line 2", "scope is \"all\"", "isolate, object"]),
        (&["--bind", "here"], "", &["here", "IP"]),
        (&["--port", "65536"], "", &["65536", "--port"]),
        (&[], "# nothing\n", &["empty", "[providers.NAME]"]),
        (&[], "[providers]", &["line 1", "[providers] is empty"]),
        (&[], "[gateway]\nprot = 1", &["line 2: gateway: prot", "runtime", "port", "bind"]),
        (&[], "[gateway]\nport = 65536", &["line 2: gateway: port is 65536", "0 to 65535"]),
        (&[], "[gateway]\nbind = 'here'", &["line 2: gateway: bind takes an IP address"]),
        (&[], "gateway = 1", &["line 1: gateway is 1, and takes a table"]),
        (&[], "tenants = 1", &["line 1: tenants is 1, and takes a table"]),
        (&[], "\nproviders = 1", &["line 2: providers is 1, and takes a table"]),
        (
            &[],
            "[gateway]\nhosts = ['http://h']",
            &["line 2", "http://h", "without a scheme or port"],
        ),
        (&[], "[gateway]\nhosts = ['h:80']", &["line 2", "h:80", "without a scheme or port"]),
        (
            &[],
            "[pools]",
            &["line 1: pools", "gateway, pool, providers, routes, tenants, simulator"],
        ),
        (&[], "[pool]\nacquire_timeout = 1", &["line 2", "acquire_timeout_ms"]),
        (&[], "[pool]\nacquire_timeout_ms = 0", &["line 2", "1 to 2147483647"]),
        (&[], "[pool]\nlease_ttl_ms = 0", &["line 2", "1 to 2147483647"]),
        (&[], "[pool]\nheartbeat_ms = 2147483648", &["heartbeat_ms is 2147483648", "2147483647"]),
        (
            &[],
            "[pool]\nheaders_timeout_ms = 0",
            &["line 2: pool: headers_timeout_ms is 0, and takes 1 to 2147483647, or \"none\""],
        ),
        (&[], "[pool]\ntotal_timeout_ms = 0", &["total_timeout_ms is 0, and takes more than 0"]),
        (&[], "[pool]\nmax_waiting = 10000", &["line 2", "max_waiting is 10000", "0 to 9000"]),
        (&[], "[pool]\nmodel = 'm'", &["line 2: pool: model is said for each provider"]),
        (
            &[],
            "[providers.a]\nkind='openai'\nurl='http://h'\nmax=0",
            &["line 4: providers.a: max is 0, and takes 1 to 65535"],
        ),
        (&[], "[providers.a]\nkind='openai'\nurl='h'", &["line 3: providers.a.url", "no URL"]),
        (
            &[],
            "[providers.a]\nkind='open'\nurl='http://h'",
            &["line 2: providers.a: kind is \"open\"", "one of", "anthropic"],
        ),
        (&[], "[providers.a]\nkind='http'", &["line 1: providers.a: url is needed"]),
        (&[], "[providers.a]\nurl='http://h'", &["line 1: providers.a: kind takes one of openai"]),
        (&[], "[providers.metrics]\nkind='http'", &["line 1", "metrics", "reserved"]),
        (
            &[],
            "[providers.a]\nkind='openai'\nurl='http://h'\nkey='k'\nkey_env='K'",
            &["line 1: providers.a: give", "not both"],
        ),
        (
            &[],
            "[providers.a]\nkind='openai'\nurl='http://h'\nkey_env='K'",
            &["line 4: providers.a.key_env", "K is not set"],
        ),
        (&[], "[simulator]\nmax = 0", &["line 2: simulator.max", "--sim-max", "1..=65535"]),
        (&["--sim-max", "2"], "[simulator]\nchunks = 0", &["line 2: simulator.chunks"]),
        (&[], "[simulator]\nmex = 1", &["line 2: simulator: mex", "latency_ms"]),
        (
            &["--provider", "a=http,http://h,max=3"],
            "[pool]\nadaptive_limit = { min = 4 }\n[providers.b]\nkind='http'\nurl='http://h'",
            &["--provider a", "line 2: adaptive_limit.min is 4", "adaptive_limit.max"],
        ),
        (
            &["--sim-max", "2"],
            "[providers.sim]\nkind='http'\nurl='http://h'",
            &["sim is named twice"],
        ),
        (&[], "what", &["line 1"]),
    ];
    let mut wrong = Vec::new();
    for (args, file, wanted) in rows {
        let error = load(args, file, &[]).map_or_else(|error| error, |_| "accepted".into());
        if !wanted.iter().all(|word| error.contains(word)) {
            wrong.push(format!("{args:?} {file:?}: not all of {wanted:?} is in: {error}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn with_nothing_said_the_simulator_runs_in_workerd_on_loopback() {
    let mut serve = load(&[], "", &[]).unwrap();
    assert_eq!((serve.runtime, serve.port), (Runtime::Workerd, 8787));
    assert!(serve.bind.is_loopback());
    assert_eq!(serve.simulator, Some(SimArgs::default()));
    serve.set_simulator_url("http://127.0.0.1:9");
    let sim = json(&serve)["providers"]["sim"].clone();
    assert_eq!(sim["kind"], "openai");
    assert_eq!(sim["baseURL"], "http://127.0.0.1:9");
    assert_eq!(sim["max"], 4);
    assert_eq!(sim["simulator"], true);
    assert_eq!(json(&serve)["scope"], "isolate");
}

#[test]
fn the_scope_comes_from_the_file_or_the_command_line() {
    let file = "[gateway]\nscope = 'object'\n[simulator]\nmax = 1";
    assert_eq!(json(&load(&[], file, &[]).unwrap())["scope"], "object");
    assert_eq!(json(&load(&["--scope", "object"], "", &[]).unwrap())["scope"], "object");
    let serve = load(&["--scope", "isolate", "--runtime", "deno"], file, &[]).unwrap();
    assert_eq!(json(&serve)["scope"], "isolate");
}

#[test]
fn the_pool_holds_as_many_places_as_the_simulator() {
    let serve = load(&["--sim-max", "7", "--sim-chunks", "3"], "", &[]).unwrap();
    assert_eq!(json(&serve)["providers"]["sim"]["max"], 7);
    assert_eq!(serve.simulator.unwrap().to_args(), ["--max", "7", "--chunks", "3"]);
}

#[test]
fn a_named_provider_stands_in_for_the_simulator() {
    let serve = load(&["--provider", "a=anthropic,https://h/v1/,max=3"], "", &[]).unwrap();
    assert_eq!(serve.simulator, None);
    let provider = json(&serve)["providers"]["a"].clone();
    assert_eq!(provider, json!({ "kind": "anthropic", "baseURL": "https://h/v1", "max": 3 }));
}

#[test]
fn the_command_line_overrides_the_file_and_a_provider_its_pool() {
    let file = "
        [gateway]
        runtime = 'deno'
        port = 9000
        bind = '::1'
        hosts = ['pool.example', 'fd00::1']
        [pool]
        max = 2
        acquire_timeout_ms = 100
        lease_ttl_ms = 900
        [providers.a]
        kind = 'http'
        url = 'http://h:1'
        acquire_timeout_ms = 200
        pass_client_key = true
        [simulator]
        max = 5
    ";
    let serve = load(&["--port", "0", "--sim-max", "6"], file, &[]).unwrap();
    assert_eq!((serve.runtime, serve.port), (Runtime::Deno, 0));
    assert_eq!(serve.bind.to_string(), "::1");
    let json = json(&serve);
    assert_eq!(json["hosts"], json!(["pool.example", "fd00::1"]));
    assert_eq!(json["leaseTtl"], 900);
    assert_eq!(json["providers"]["a"]["max"], 2);
    assert_eq!(json["providers"]["a"]["acquireTimeout"], 200);
    assert_eq!(json["providers"]["a"]["passClientKey"], true);
    assert_eq!(json["providers"]["sim"]["acquireTimeout"], 100);
    assert_eq!(json["providers"]["sim"]["max"], 6);
}

#[test]
fn keys_come_from_the_file_or_the_environment_and_stay_out_of_the_json() {
    let file = "
        [providers.a-b]
        kind = 'openai'
        url = 'http://h'
        key = 'secret-1'
        [providers.c]
        kind = 'openai'
        url = 'http://h'
        key_env = 'ELSEWHERE'
    ";
    let env = [("ELSEWHERE", "secret-2"), ("EDGEPOOL_KEY_D", "secret-3")];
    let serve = load(&["--provider", "d=openai,http://h"], file, &env).unwrap();
    let json = json(&serve);
    assert_eq!(json["providers"]["a-b"]["keyEnv"], "EDGEPOOL_KEY_A_B");
    assert_eq!(json["providers"]["c"]["keyEnv"], "EDGEPOOL_KEY_C");
    assert_eq!(json["providers"]["d"]["keyEnv"], "EDGEPOOL_KEY_D");
    let keys: Vec<_> = serve.keys.0.values().collect();
    assert_eq!(keys, ["secret-1", "secret-2", "secret-3"]);
    assert!(!json.to_string().contains("secret"));
    assert!(!format!("{serve:?}").contains("secret"));
}

#[test]
fn no_error_shows_a_key() {
    let rows = [
        "[providers.a]\nkind='openai'\nurl='http://h'\nkey = ['hunter2']",
        "[providers.a]\nkind='openai'\nurl='http://h'\nkey = 'hunter2",
        "[providers.a]\nkind='openai'\nurl='http://user:hunter2@h'",
        "[providers.a]\nkind='openai'\nurl='http://user:hunter2@h:99999'",
        "[providers.'u:hunter2@h']\nkind='openai'\nurl='http://h'",
        "[providers.a]\nkind='openai'\nurl='http://h'\nkey = \"hunter2\\n\"",
        "[providers.a]\nkind='openai'\nurl='http://h'\nkeey = 'hunter2'",
        "[providers.a]\nkind='openai'\nkey_env = 'hunter2'",
        "[providers.a]\nkind='hunter2'",
        "[providers.a]\nkind='http'\nendpoints = ['http://u:hunter2@h']",
        "[providers.a]\nkind='http'\nurl='http://h'\nheaders = { a = ['hunter2'] }",
        "[providers.a]\nkind='http'\nurl='http://h'\napi_key = ['hunter2']",
        "[providers.a]\nkind='http'\nurl='http://h'\nkey = { value = 'hunter2' }",
        "[providers.a]\nkind='http'\nurl='http://h'\nkey_env = ['hunter2']",
        "[providers.a]\nkind='http'\nurl='http://h'\nkey = hunter2",
        "[providers.a]\nkind='http'\nurl='http://h'\nkey = \"hunter2\\q\"",
        "[providers.a]\nkind='http'\nurl='http://h'\nkey = 'hunter2' 'hunter2'",
        "[providers.a]\nkind='http'\nurl='http://h'\nkey 'hunter2'",
        "[providers.a]\nkind='http'\nurl='http://h'\nkey = 'hunter2'\nkey = 'hunter2'",
        "[providers.a]\nkind='http'\nurl='http://h'\n'k hunter2' = 1",
        "[providers.a]\nkind='http'\nurl='http://h'\nmax = 'hunter2'",
        "[providers.a]\nkind='http'\nurl='http://h'\nacquire_timeout_ms = 'hunter2'",
        "[providers.a]\nkind='http'\nurl='http://h'\nbalance = 'hunter2'",
        "[providers.a]\nkind='http'\nurl='http://h'\nretry = 'hunter2'",
        "[providers.a]\nkind='http'\nurl='hunter2'",
        "[providers.a]\nkind='http'\nendpoints=['hunter2']",
        "[providers]\na = 'hunter2'",
        "providers = 'hunter2'",
        "key = 'hunter2'",
        "[pool]\nkey = 'hunter2'",
        "[pool]\nlease_ttl_ms = 'hunter2'",
        "[gateway]\nkey = 'hunter2'",
        "[gateway]\nport = 'hunter2'",
        "[gateway]\nport = 'a, expected hunter2'",
        "[gateway]\nbind = 'hunter2'",
        "[gateway]\nruntime = 'hunter2'",
        "[gateway]\nscope = 'a`, expected `hunter2`'",
        "[gateway]\nhosts = 'hunter2'",
        "[gateway]\nhosts = ['http://u:hunter2@h']",
        "[gateway]\n'u:hunter2@h' = 1",
        "['u:hunter2@h']",
        "[simulator]\nmax = 'hunter2'",
    ];
    for file in rows {
        let error = load(&[], file, &[]).expect_err(file);
        assert!(!error.contains("hunter2"), "{error}");
    }
    let rows = [
        "a=openai,http://user:hunter2@h",
        "a=openai,https://hunter2@h",
        "a=openai,https://user:hunter2@h:99999",
        "a=openai,https://user:hunter2,x@h",
        "a=openai,ftp://u:hunter2@h",
        "a=openai,mailto:u:hunter2@h",
        "a=openai,https://h/?api_key=hunter2",
        "a=openai,https://h:99999/?api_key=hunter2",
        "a=openai,ftp://h/#hunter2",
        "a=openai,https://h:x/#hunter2",
        "a=openai,https://h,key=hunter2",
        "a=openai,https://h,hunter2",
        "a=https://user:hunter2@h,openai",
        "https://user:hunter2@h/?a=openai,http://h",
    ];
    for provider in rows {
        let error = load(&["--provider", provider], "", &[]).expect_err(provider);
        assert!(!error.contains("hunter2"), "{error}");
    }
}

#[test]
fn two_names_cannot_share_the_variable_of_a_key() {
    let args = ["--provider", "a-b=http,http://h", "--provider", "a_b=http,http://h"];
    let error = load(&args, "", &[("EDGEPOOL_KEY_A_B", "k")]).unwrap_err();
    assert!(error.contains("a-b and a_b share the variable EDGEPOOL_KEY_A_B"), "{error}");
    assert!(load(&args, "", &[]).is_ok());
}

#[test]
fn names_are_at_most_64_long() {
    let name = |length| format!("{}=http,http://h", "x".repeat(length));
    assert!(load(&["--provider", &name(64)], "", &[]).is_ok());
    assert!(load(&["--provider", &name(65)], "", &[]).is_err());
}

const EVERYTHING: &str = "
    [pool]
    max = 6
    alert_after_ms = 250
    retry = { retries = 5, base_ms = 10, budget = { percent = 50 } }
    [providers.a]
    kind = 'openai'
    endpoints = ['http://h:1/v1/', { url = 'http://h:2/v1', weight = 3 }]
    model = 'the_model'
    acquire_timeout_ms = 100
    total_timeout_ms = 'none'
    hedge_after_ms = 30.5
    balance = 'least_connections'
    checks = { interval_ms = 1000, timeout_ms = 500, failures = 2 }
    adaptive_limit = { way = 'gradient', min = 2, hold_ms = 100 }
    [providers.a.headers]
    x_of_ours = 'hunter2'
    [providers.a.ejection]
    consecutive = 'none'
    base_ms = 1000
    at_most = 100
    slow_start_ms = 0
    share = { percent = 20, least = 2, window_ms = 500 }
    [providers.a.rates]
    requests = { amount = 100, window_ms = 1000 }
    [providers.a.retry]
    retries = 1
    retry_after_cap_ms = 2000
    budget = { per_second = 2 }
";

#[test]
fn every_rule_of_a_provider_is_handed_on_under_its_name_in_json() {
    let serve = load(&[], EVERYTHING, &[]).unwrap();
    let wanted = json!({
        "kind": "openai", "max": 6, "model": "the_model", "balance": "leastConnections",
        "endpoints": ["http://h:1/v1", { "baseURL": "http://h:2/v1", "weight": 3 }],
        "acquireTimeout": 100, "totalTimeout": null, "hedgeAfter": 30.5, "alertAfter": 250,
        "checks": { "interval": 1000, "timeout": 500, "failures": 2 },
        "adaptiveLimit": { "way": "gradient", "min": 2, "hold": 100 },
        "headers": { "x_of_ours": "hunter2" },
        "ejection": {
            "consecutive": null, "base": 1000, "atMost": 100, "slowStart": 0,
            "share": { "percent": 20, "least": 2, "window": 500 }
        },
        "rates": { "requests": { "amount": 100, "window": 1000 } },
        "retry": {
            "retries": 1, "base": 10, "retryAfterCap": 2000,
            "budget": { "percent": 50, "perSecond": 2 }
        }
    });
    assert_eq!(json(&serve)["providers"]["a"], wanted);
    let provider = serve.gateway.providers.values().next().unwrap();
    assert_eq!(provider.addresses(), "http://h:1/v1, http://h:2/v1");
    assert!(!format!("{serve:?}").contains("hunter2"));
}

#[test]
fn errors_of_rules_have_the_names_of_the_file() {
    let rows = [
        ("acquire_timeout = 1", "acquire_timeout is no option of provider; there are kind, url, "),
        ("acquire_timeout = 1", ", acquire_timeout_ms, "),
        ("max_ms = 1", "max_ms is no option of provider"),
        ("acquireTimeout = 1", "none but a-z, 0-9 and _"),
        ("base_url = 'http://h'", "base_url is no option of provider; there are kind, url, "),
        ("parameters = { seed = 1 }", "parameters is no option of a gateway"),
        ("on_refusal = 'throw'", "on_refusal is no option of a gateway"),
        ("retry = { base_ms = 9000 }", "retry.base_ms is 9000, and takes at most what retry"),
        (
            "retry = { bose_ms = 1 }",
            "retry.bose_ms is no option of retry; there are retries, base_ms",
        ),
        ("ejection = { consecutive = 0 }", "is 0, and takes at least 1, or \"none\" for never"),
        ("ejection = { base_ms = true }", "ejection.base_ms is true, and takes milliseconds"),
        ("rates = { tokens = { amount = -1 } }", "rates.tokens.amount is -1, and takes a whole"),
        (
            "balance = 'dice'",
            "balance is \"dice\", and takes one of round_robin, least_connections, p",
        ),
        ("balance = 'round robin'", "takes one of round_robin"),
        ("hedge_after_ms = '1 s'", "hedge_after_ms takes milliseconds from 0 to 1e12, or \"none\""),
        ("adaptive_limit = { min = 11 }", "min is 11, and takes 1 to what adaptive_limit.max"),
        ("adaptive_limit = { way = 'east' }", "adaptive_limit.way is \"east\", and takes one of"),
        ("endpoints = ['http://i']", "endpoints cannot stand beside \"url\""),
        ("pass_client_key = 1", "pass_client_key is 1, and takes true or false"),
        ("alert_after_ms = 2020-01-01", "alert_after_ms takes milliseconds"),
    ];
    for (line, wanted) in rows {
        let file = format!("[providers.a]\nkind='http'\nurl='http://h'\n{line}");
        let error = load(&[], &file, &[]).map_or_else(|error| error, |_| "accepted".into());
        assert!(error.contains(wanted), "{line}: {wanted:?} is not in: {error}");
        assert!(error.starts_with("line 4: providers.a"), "{error}");
    }
}

#[test]
fn routes_name_providers_in_their_order() {
    let providers = "[providers.a]\nkind = 'openai'\n[providers.b]\nkind = 'groq'\n\
                     [providers.c]\nkind = 'openai-responses'\n[providers.d]\nkind = 'ollama'\n";
    let of = |routes: &str| load(&[], &format!("{providers}{routes}"), &[]);
    let serve = of("[routes.chat]\nproviders = ['b', 'a', 'c']").unwrap();
    let told = serde_json::to_value(&serve.gateway).unwrap();
    assert_eq!(told["routes"], json!({"chat": ["b", "a", "c"]}));
    let told = serde_json::to_value(&of("").unwrap().gateway).unwrap();
    assert_eq!(told.get("routes"), None);
    let rows = [
        ("[routes.a]\nproviders = ['b']", "line 9: routes.a: a provider has this name"),
        ("[routes.'A B']\nproviders = ['b']", "line 9: routes"),
        ("[routes.stats]\nproviders = ['b']", "line 9: routes.stats: "),
        ("[routes.r]\nproviders = []", "line 10: routes.r.providers: the list is empty"),
        ("[routes.r]", "line 9: routes.r"),
        ("[routes.r]\nproviders = ['b',\n 'x']", "line 11: routes.r.providers[1]: no provider has"),
        ("[routes.r]\nproviders = ['b', 'b']", "line 10: routes.r.providers[1]: b is named twice"),
        ("[routes.r]\nproviders = ['a', 'd']", "line 10: routes.r.providers[1]: d does not under"),
        ("[routes.r]\nproviders = ['a']\nmodel = 'm'", "line 11: routes.r: model"),
    ];
    for (routes, begins) in rows {
        let error = of(routes).unwrap_err();
        assert!(error.starts_with(begins), "{routes}: {error}");
    }
    let hidden = of("[routes.r]\nproviders = ['sk-abcdef0123456789-secret']").unwrap_err();
    assert!(!hidden.contains("sk-abcdef"), "{hidden}");
}

/// Each row: what the file has, and how the error begins.
#[test]
fn errors_of_the_file_name_the_line() {
    let of_a = |more: &str| format!("[providers.a]\nkind = 'http'\nurl = 'http://h'\n{more}");
    let rows = [
        // Tables within, by a header, in one line, and by dotted names.
        (of_a("\n[providers.a.retry]\n\nretries = -1"), "line 7: providers.a: retry.retries is -1"),
        (of_a("[providers.a.retry.budget]\npercent=101"), "line 5: providers.a: retry.budget.perc"),
        (
            of_a("retry = { base_ms = 1, retries = 0.5 }"),
            "line 4: providers.a: retry.retries is 0.5",
        ),
        (of_a("# a\nretry.retries = -0x1\n"), "line 5: "),
        (
            of_a("# a\nretry.budget.percent = 0x65"),
            "line 5: providers.a: retry.budget.percent is 0x",
        ),
        (
            "# a\nproviders.a.kind = 'http'\nproviders.a.max = 1".into(),
            "line 2: providers.a: url is",
        ),
        ("providers.a = { kind = 'http' }".into(), "line 1: providers.a: url is needed"),
        ("[providers]\n\na.kind = 'http'".into(), "line 3: providers.a: url is needed"),
        (
            "[providers.a.retry]\nretries = 1\n[providers.a]\nkind = 'http'".into(),
            "line 3: providers.a: url is needed",
        ),
        // Lists.
        (
            "[providers.a]\nkind = 'http'\nendpoints = [\n  'http://h',\n  'nowhere',\n]".into(),
            "line 5: providers.a.endpoints[1]: \"nowhere\" is no URL",
        ),
        (
            "[providers.a]\nkind = 'http'\nendpoints = [\n 'http://h',\n { weight = 1 }]".into(),
            "line 5: providers.a: endpoints[1].url is needed",
        ),
        (
            "[[providers.a.endpoints]]\nurl = 'http://h'\n[[providers.a.endpoints]]\n\
             url = 'http://i'\nweight = 1001\n[providers.a]\nkind = 'http'"
                .into(),
            "line 5: ",
        ),
        (
            "[providers.a]\nkind = 'http'\n[[providers.a.endpoints]]\nurl = 'http://h'\n\
             [[providers.a.endpoints]]\nurl = 'http://i'\nweight = 1001"
                .into(),
            "line 7: providers.a: endpoints[1].weight is 1001, and takes 1 to 1000",
        ),
        (
            "[providers.a]\nkind = 'http'\n\n[[providers.a.endpoints]]\nweight = 1".into(),
            "line 4: providers.a: endpoints[0].url is needed",
        ),
        ("[gateway]\nhosts = [\n'h',\n'h:80']".into(), "line 4: gateway.hosts[1]: \"h:80\" is no"),
        // Unknown options, wrong types and missing ones.
        (of_a("\nmaximum = 1"), "line 5: providers.a: maximum is no option of provider; there are"),
        (of_a("\nMaximum = 1"), "line 5: providers.a.Maximum: the name of an option has none but"),
        (of_a("max = true"), "line 4: providers.a: max is true, and takes a whole number"),
        (of_a("max = '1'"), "line 4: providers.a: max takes a whole number from 0 on"),
        (of_a("key = 1"), "line 4: providers.a.key: takes a text"),
        (
            of_a("stall_timeout_ms = 0.5"),
            "line 4: providers.a: stall_timeout_ms is 0.5, and takes 1",
        ),
        (
            of_a("[providers.a.rates.requests]\nwindow_ms = 1"),
            "line 4: providers.a: rates.requests.",
        ),
        (of_a("[providers.b]\nkind = 'http'\n"), "line 4: providers.b: url is needed"),
        // What a provider takes from all.
        (
            format!("[pool]\nadaptive_limit.max = 4\n{}", of_a("adaptive_limit.min = 5")),
            "line 6: providers.a: adaptive_limit.min is 5",
        ),
        (
            format!("[pool]\nadaptive_limit.min = 5\n{}", of_a("adaptive_limit.max = 4")),
            "line 2: providers.a: adaptive_limit.min is 5",
        ),
        // No TOML.
        (of_a("max ="), "line 4: "),
        (of_a("max = 1\nmax = 2"), "line 5: duplicate key"),
        (of_a("endpoints = ["), "line 4: "),
    ];
    let mut wrong = Vec::new();
    for (file, wanted) in rows {
        // What ends lines makes no difference.
        for file in [file.replace('\n', "\r\n"), file] {
            let error = load(&[], &file, &[]).map_or_else(|error| error, |_| "accepted".into());
            if !error.starts_with(wanted) {
                wrong.push(format!("{file:?}: {wanted:?} is not how it begins: {error}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn errors_of_the_file_name_the_file_and_those_of_the_command_line_do_not() {
    let path = std::env::temp_dir().join(format!("edgepool-config-{}.toml", std::process::id()));
    let named = format!("--config {}: line ", path.display());
    let says = |text: &str, provider: &str| {
        std::fs::write(&path, text).unwrap();
        let args = serve_args(&["--config", path.to_str().unwrap(), "--provider", provider]);
        format!("{:#}", Serve::load(args.unwrap()).unwrap_err())
    };
    for text in ["[pool]\nmax = 0", "[gateway]\nport = -1", "[simulator]\nmax = 0", "["] {
        let error = says(text, "a=http,http://h");
        assert!(error.starts_with(&named), "{error}");
    }
    let error = says("[pool]\nmax = 1", "a=gopher,http://h");
    assert!(error.starts_with("--provider: ") && !error.contains("--config"), "{error}");
    std::fs::remove_file(&path).unwrap();
}

#[test]
fn timers_take_what_a_timer_can_have() {
    for name in ["acquire", "headers", "first_content", "stall"] {
        for (value, is_right) in
            [("1", true), ("2147483647", true), ("'none'", true), ("0", false), ("-1", false)]
        {
            let file = format!("[pool]\n{name}_timeout_ms = {value}");
            assert_eq!(load(&[], &file, &[]).is_ok(), is_right, "{file}");
        }
        let error = load(&[], &format!("[pool]\n{name}_timeout_ms = 2147483648"), &[]).unwrap_err();
        let wanted = format!("{name}_timeout_ms is 2147483648, and takes 1 to 2147483647");
        assert!(error.contains(&wanted), "{error}");
    }
}

#[test]
fn every_kind_is_listed_once() {
    let mut listed = provider::kinds();
    assert!(listed.iter().all(|kind| Flavour::named(kind).is_some()), "{listed:?}");
    listed.sort_unstable();
    let mut known: Vec<_> = Flavour::names().collect();
    known.sort_unstable();
    assert_eq!(listed, known);
}

/// The names of what is a duration are known here, and must be right at every place.
#[test]
fn what_is_a_duration_is_one_for_the_providers_too() {
    let known = |place: &str| {
        let options = place.rsplit('.').fold(json!({ "no option": 1 }), |inner, name| {
            if name.is_empty() { inner } else { json!({ name: inner }) }
        });
        let error = refused(options);
        let (_, known) = error.split_once("; there are ").unwrap_or_else(|| panic!("{error}"));
        known.split(", ").map(str::to_owned).collect::<Vec<_>>()
    };
    let mut seen = std::collections::BTreeSet::new();
    let places =
        ["", "ejection", "ejection.share", "checks", "adaptiveLimit", "rates", "rates.requests"];
    for place in places.into_iter().chain(["rates.tokens", "retry", "retry.budget"]) {
        for name in known(place) {
            let path = format!("{place}.{name}");
            let mut last = json!({ (name.as_str()): [true] });
            if place.starts_with("rates.") && name != "amount" {
                last["amount"] = json!(1);
            }
            let options = place.rsplit('.').filter(|name| !name.is_empty());
            let options = options.fold(last, |inner, name| json!({ name: inner }));
            let is_duration = refused(options).contains("takes milliseconds");
            assert_eq!(options::DURATIONS.contains(&&name[..]), is_duration, "{path}");
            seen.extend(is_duration.then_some(name));
        }
    }
    assert_eq!(seen.len(), options::DURATIONS.len(), "{seen:?}");
}

/// Says why the provider is refused that has these options beside an address.
fn refused(options: Value) -> String {
    let mut all = json!({ "kind": "http", "baseURL": "http://h" });
    let Value::Object(options) = options else { panic!("an object") };
    all.as_object_mut().unwrap().extend(options);
    edgepool_llm::provider::Provider::from_json("a", &all, &|_| None).unwrap_err().to_string()
}
