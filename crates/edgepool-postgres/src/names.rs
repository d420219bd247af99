//! Names of schemas, databases and roles, and how settings are written where a connection begins.

use crate::error::Error;

/// How many bytes of a name PostgreSQL keeps.
const LONGEST: usize = 63;

/// Returns a name if PostgreSQL takes it as it stands. What it would cut off could be another
/// tenant's.
pub(crate) fn checked(name: &str) -> Result<&str, Error> {
    let fits = (1..=LONGEST).contains(&name.len());
    match fits && !name.contains('\0') && name != "$user" {
        true => Ok(name),
        false => Err(Error::Name(name.to_owned())),
    }
}

/// Writes a name as an identifier that is taken as it stands.
pub(crate) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Adds a setting to the options that a connection begins with, which a space ends and a backslash
/// escapes.
pub(crate) fn add_option(options: &mut String, name: &str, value: &str) {
    if !options.is_empty() {
        options.push(' ');
    }
    options.push_str("-c ");
    for char in format!("{name}={value}").chars() {
        if char == '\\' || char.is_ascii_whitespace() || char == '\u{b}' {
            options.push('\\');
        }
        options.push(char);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_would_be_cut_off_is_none() {
        let longest = "x".repeat(LONGEST);
        for good in ["a", "tenant_a", "Ä b\"c\\d", &longest] {
            assert_eq!(checked(good).unwrap(), good);
        }
        let too_long = format!("{longest}x");
        let two_bytes_each = "ä".repeat(32);
        for bad in ["", "a\0b", "$user", &too_long, &two_bytes_each] {
            let error = checked(bad).unwrap_err();
            assert!(matches!(&error, Error::Name(name) if name == bad), "{error:?}");
            assert!(error.to_string().contains("give the tenant another name"));
        }
        let endless = Error::Name("\0".repeat(10_000)).to_string();
        assert!(endless.len() < 600, "{} bytes are shown", endless.len());
    }

    #[test]
    fn names_and_settings_are_quoted() {
        assert_eq!(quoted("a\"; DROP"), "\"a\"\"; DROP\"");
        let mut options = String::from("-c statement_timeout=5s");
        add_option(&mut options, "search_path", "\"a b\\c\"");
        let text = "-c statement_timeout=5s -c search_path=\"a\\ b\\\\c\"";
        assert_eq!(options, text);
    }
}
