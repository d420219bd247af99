//! What `[tenants]` takes, and what its errors say.

use super::*;

/// The longest lines have 20 places and a queue of 50.
const PROVIDERS: &str = "[providers.a]\nkind='http'\nurl='http://h'\nmax=4\nmax_waiting=9\n\
                         [providers.b]\nkind='http'\nurl='http://h'\nmax=20\nmax_waiting=50\n";
/// The line of the first thing behind `PROVIDERS`.
const FIRST: usize = 11;
const KEY: &str = "tk-acme-0123456789";
/// `printf tk-acme-0123456789 | sha256sum`
const DIGEST: &str = "4ecda9e5bcc9fcd14ab5556f127c57e48d607e1e43e0c0c3810781051e8ba567";

fn tenants(table: &str) -> Result<Value, String> {
    let env = [("KEY_OF_ACME", KEY), ("SHORT", "tk-acme"), ("BLANK", "tk-acme 0123456789")];
    let serve = load(&[], &format!("{PROVIDERS}{table}"), &env)?;
    Ok(json(&serve)["tenants"].clone())
}

#[test]
fn what_is_not_said_is_usual() {
    let told = tenants("[tenants]\nby = { header = 'X-Tenant' }").unwrap();
    let wanted = json!({
        "by": { "header": "x-tenant" }, "unknown": "create", "without": "refuse",
        "default": { "weight": 1, "max": null, "maxWaiting": null }, "report": 10, "named": {}
    });
    assert_eq!(told, wanted);
    let serve = load(&[], PROVIDERS, &[]).unwrap();
    assert_eq!(json(&serve).get("tenants"), None);
}

#[test]
fn a_named_tenant_has_what_it_does_not_say_from_the_default() {
    let table = "
        [tenants]
        by = 'path'
        unknown = 'refuse'
        without = 'nobody'
        report = 0
        default = { weight = 2, max = 4, max_waiting = 50 }
        [tenants.named.acme]
        weight = 3
        max = 20
        [tenants.named.'b.Corp_1']
        max = 'none'
        max_waiting = 0
        [tenants.named.other]
    ";
    let wanted = json!({
        "by": "path", "unknown": "refuse", "without": "nobody", "report": 0,
        "default": { "weight": 2, "max": 4, "maxWaiting": 50 },
        "named": {
            "acme": { "weight": 3, "max": 20, "maxWaiting": 50 },
            "b.Corp_1": { "weight": 2, "max": null, "maxWaiting": 0 },
            "other": { "weight": 2, "max": 4, "maxWaiting": 50 }
        }
    });
    assert_eq!(tenants(table).unwrap(), wanted);
}

#[test]
fn the_gateway_is_told_the_digest_of_a_key_and_not_the_key() {
    let by_variable = "[tenants]\nby = 'key'\n[tenants.named.acme]\nkey_env = 'KEY_OF_ACME'";
    let env = [("KEY_OF_ACME", KEY), ("EDGEPOOL_KEY_A", "sk-a"), ("KEY_OF_NOBODY", "sk-b")];
    let serve = load(&[], &format!("{PROVIDERS}{by_variable}"), &env).unwrap();
    assert!(serve.sources.iter().eq(["EDGEPOOL_KEY_A", "KEY_OF_ACME"]), "{:?}", serve.sources);
    assert_eq!(json(&serve)["tenants"]["named"]["acme"]["keySha256"], DIGEST);
    assert_eq!(json(&serve)["tenants"]["unknown"], "refuse");
    assert!(serve.keys.0.keys().eq(["EDGEPOOL_KEY_A"]), "the runtime has no variable of it");
    assert!(!json(&serve).to_string().contains(KEY) && !format!("{serve:?}").contains(KEY));
    let upper = DIGEST.to_ascii_uppercase();
    let by_digest = format!("[tenants]\nby = 'key'\n[tenants.named.acme]\nkey_sha256 = '{upper}'");
    assert_eq!(tenants(&by_digest).unwrap()["named"]["acme"]["keySha256"], DIGEST);
}

#[test]
fn the_simulator_is_shared_by_tenants_too() {
    let file = "[simulator]\nmax = 3\n[tenants]\nby = 'path'\ndefault = { max = 3 }";
    assert_eq!(json(&load(&[], file, &[]).unwrap())["tenants"]["default"]["max"], 3);
    let error = load(&[], &file.replace("{ max = 3 }", "{ max = 4 }"), &[]).unwrap_err();
    assert!(error.starts_with("line 5: tenants.default: max is 4, and takes 1 to 3, "), "{error}");
}

/// Each row: what stands behind the providers, in which of its lines it is wrong, and how the error
/// goes on.
const WRONG: &[(&str, usize, &str)] = &[
    ("[tenants]", 1, "tenants: by is needed: it takes \"key\", \"path\" or { header = NAME }"),
    ("[tenants]\nby = 'host'", 2, "tenants: by is \"host\", and takes \"key\", \"path\" or {"),
    ("[tenants]\nby = { key = true }", 2, "tenants: by takes \"key\", \"path\" or {"),
    ("[tenants]\nby = { header = 'a', path = 'b' }", 2, "tenants: by takes"),
    ("[tenants]\nby = { header = 'a b' }", 2, "tenants: by.header takes 1 to 64 letters"),
    ("[tenants]\nby = { header = '' }", 2, "tenants: by.header takes 1 to 64 letters"),
    ("[tenants]\nby = { header = 'Cookie' }", 2, "tenants: by.header takes a header of its own"),
    ("[tenants]\nby = { header = 'x-edgepool-t' }", 2, "tenants: by.header takes a header of its"),
    ("[tenants]\nby = 'path'\nby_path = 1", 3, "tenants: by_path is no option of tenants; there a"),
    ("[tenants]\nby = 'path'\nunknown = 'make'", 3, "tenants: unknown is \"make\", and takes one"),
    (
        "[tenants]\nby = 'key'\nunknown = 'create'",
        3,
        "tenants: unknown is \"create\", and takes \"",
    ),
    (
        "[tenants]\nby = 'key'",
        1,
        "tenants: every request would be refused, as no tenant is named: ",
    ),
    (
        "[tenants]\nunknown = 'refuse'\nby = 'path'\n[tenants.named]",
        1,
        "tenants: every request would be refused, as no tenant is named: name one by [tenants.na",
    ),
    ("[tenants]\nby = 'path'\nwithout = 1", 3, "tenants: without is 1, and takes one of refuse, n"),
    ("[tenants]\nby = 'path'\nreport = 1001", 3, "tenants: report is 1001, and takes 0 to 1000"),
    ("[tenants]\nby = 'path'\nreport = -1", 3, "tenants: report is -1, and takes 0 to 1000"),
    ("[tenants]\nby = 'path'\ndefault = 4", 3, "tenants: default is 4, and takes a table"),
    (
        "[tenants]\nby = 'path'\ndefault = { weight = 0 }",
        3,
        "tenants.default: weight is 0, and takes 1 to 1000000",
    ),
    (
        "[tenants]\nby = 'path'\n[tenants.default]\nmax = 21",
        4,
        "tenants.default: max is 21, and takes 1 to 20, or \"none\": no provider has more places",
    ),
    (
        "[tenants]\nby = 'path'\n[tenants.default]\nmax_waiting = 51",
        4,
        "tenants.default: max_waiting is 51, and takes 0 to 50, or \"none\": no provider has a l",
    ),
    (
        "[tenants]\nby = 'path'\n[tenants.default]\nkey_env = 'K'",
        4,
        "tenants.default: key_env is no option of tenants.default; there are weight, max, max_w",
    ),
    (
        "[tenants]\nby = 'path'\n[tenants.named.acme]\nweight = 1.5",
        4,
        "tenants.named.acme: weight is 1.5, and takes 1 to 1000000",
    ),
    (
        "[tenants]\nby = 'path'\n[tenants.named.acme]\nmax = 0",
        4,
        "tenants.named.acme: max is 0, and takes 1 to 20",
    ),
    (
        "[tenants]\nby = 'path'\n[tenants.named.acme]\nmax_share = 1",
        4,
        "tenants.named.acme: max_share is no option of a tenant; there are weight, max, max_wait",
    ),
    ("[tenants]\nby = 'path'\nnamed.acme = 1", 3, "tenants.named.acme: a tenant is a table"),
    ("[tenants]\nby = 'path'\n[tenants.named.'a b']", 3, "tenants.named.(a name that is not show"),
    ("[tenants]\nby = 'path'\n[tenants.named._a]", 3, "tenants.named._a: no tenant can have this"),
    ("[tenants]\nby = 'path'\n[tenants.named._others]", 3, "tenants.named._others: no tenant can"),
    (
        "[tenants]\nby = 'path'\n[tenants.named.nobody]",
        3,
        "tenants.named.nobody: no tenant can be ",
    ),
    ("[tenants]\nby = 'key'\n[tenants.named.acme]", 3, "tenants.named.acme: give its key by `key_"),
    (
        "[tenants]\nby = 'path'\n[tenants.named.acme]\nkey_env = 'KEY_OF_ACME'",
        3,
        "tenants.named.acme: a key is for tenants that are known by = \"key\"",
    ),
    (
        "[tenants]\nby = 'key'\n[tenants.named.acme]\nkey_env = 'NOWHERE'",
        4,
        "tenants.named.acme.key_env: the variable NOWHERE is not set",
    ),
    (
        "[tenants]\nby = 'key'\n[tenants.named.acme]\nkey_env = 'SHORT'",
        4,
        "tenants.named.acme.key_env: a key has 16 or more characters",
    ),
    (
        "[tenants]\nby = 'key'\n[tenants.named.acme]\nkey_env = 'BLANK'",
        4,
        "tenants.named.acme.key_env: a key has 16 or more characters of ASCII, none of them blank",
    ),
    (
        "[tenants]\nby = 'key'\n[tenants.named.acme]\nkey_sha256 = 'abc'",
        4,
        "tenants.named.acme.key_sha256: a SHA-256 has 64 hexadecimal digits",
    ),
    (
        "[tenants]\nby = 'key'\n[tenants.named.acme]\nkey = 'tk-acme-0123456789'",
        4,
        "tenants.named.acme: key is no option of a tenant; there are weight, max, max_waiting, k",
    ),
    (
        "[tenants]\nby = 'key'\n[tenants.named.a]\nkey_env = 'KEY_OF_ACME'\n[tenants.named.b]\n\
         key_env = 'KEY_OF_ACME'",
        5,
        "tenants.named.b: a has the same key: each tenant needs one of its own",
    ),
    (
        "[providers.t]\nkind='http'\nurl='http://h'\n[tenants]\nby = 'path'",
        5,
        "tenants.by: tenants' paths begin with /t/: give the provider or route t another name",
    ),
    (
        "[providers.c]\nkind='http'\nurl='http://h'\npass_client_key=true\n[tenants]\nby = 'key'",
        4,
        "providers.c.pass_client_key: tenants are known by their keys, which no provider may get",
    ),
    (
        "[providers.c]\nkind='http'\nurl='http://h'\nmax_waiting=4501\n[tenants]\nby = 'path'",
        4,
        "providers.c: max_waiting is 4501, and takes 0 to 4500 beside [tenants]: those below",
    ),
    (
        "[providers.c]\nkind='openai'\nkey='tk-acme-0123456789'\n[tenants]\nby = 'key'\n\
         [tenants.named.acme]\nkey_env = 'KEY_OF_ACME'",
        6,
        "tenants.named.acme: its key is that of a provider, which no tenant may have",
    ),
    (
        "[providers.c]\nkind='http'\nurl='http://h'\n\
         headers={x-key='tk-acme-0123456789'}\n[tenants]\n\
         by = 'key'\n[tenants.named.acme]\nkey_env = 'KEY_OF_ACME'",
        7,
        "tenants.named.acme: its key is that of a provider, which no tenant may have",
    ),
    (
        "[providers.c]\nkind='http'\nurl='http://h'\n\
         headers={authorization='Bearer tk-acme-0123456789'}\n[tenants]\n\
         by = 'key'\n[tenants.named.acme]\nkey_env = 'KEY_OF_ACME'",
        7,
        "tenants.named.acme: its key is that of a provider, which no tenant may have",
    ),
];

#[test]
fn errors_name_the_line_the_option_and_what_it_takes() {
    let mut wrong = Vec::new();
    for (table, line, goes_on) in WRONG {
        let error = tenants(table).map_or_else(|error| error, |told| format!("accepted: {told}"));
        let wanted = format!("line {}: {goes_on}", FIRST + line - 1);
        if !error.starts_with(&wanted) {
            wrong.push(format!("{table:?}: {wanted:?} is not how it begins: {error}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_error_shows_what_may_be_a_key() {
    let rows = [
        "[tenants]\nby = 'hunter2'",
        "[tenants]\nby = { header = 'hunter2 ' }",
        "[tenants]\nby = 'key'\nunknown = 'hunter2'",
        "[tenants]\nby = 'key'\nnamed = 'hunter2'",
        "[tenants]\nby = 'key'\n'hunter 2' = 'hunter2'",
        "[tenants]\nby = 'key'\n[tenants.named.'u:hunter2']",
        "[tenants]\nby = 'key'\n[tenants.named.acme]\nkey = 'hunter2'",
        "[tenants]\nby = 'key'\n[tenants.named.acme]\nkey_env = 'hunter2'",
        "[tenants]\nby = 'key'\n[tenants.named.acme]\nkey_env = ['hunter2']",
        "[tenants]\nby = 'key'\n[tenants.named.acme]\nkey_sha256 = 'hunter2'",
        "[tenants]\nby = 'key'\n[tenants.named.acme]\nweight = 'hunter2'",
    ];
    for table in rows {
        let error = tenants(table).expect_err(table);
        assert!(!error.contains("hunter2"), "{error}");
    }
}
