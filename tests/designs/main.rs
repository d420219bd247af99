//! The tables of what was asked for name a test for each row, and each of those tests is there.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

const TABLES: [(&str, &str); 2] =
    [("clients.md", include_str!("clients.md")), ("tenants.md", include_str!("tenants.md"))];

/// Returns the cells of a row of a table.
fn cells(line: &str) -> Option<Vec<&str>> {
    let row = line.strip_prefix("| ")?.strip_suffix(" |")?;
    let cells: Vec<_> = row.split(" | ").collect();
    (cells[0] != "what").then_some(cells)
}

/// Returns the words of a cell that are set as code.
fn code(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}

/// Adds the names of the tests below a folder: functions of Rust, cases and tests of JavaScript.
fn collect(folder: &Path, names: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            if !["node_modules", "target", "dist"].contains(&&name[..]) {
                collect(&path, names);
            }
        } else if let Some(marks) = marks(&name) {
            let text = fs::read_to_string(&path).unwrap();
            for &(before, after) in marks {
                let parts = text.split(before).skip(1);
                names.extend(parts.filter_map(|part| Some(part.split_once(after)?.0.to_owned())));
            }
        }
    }
}

/// Returns what stands around a test's name in a file of that name.
fn marks(file: &str) -> Option<&'static [(&'static str, &'static str)]> {
    match file.rsplit_once('.')?.1 {
        "rs" => Some(&[("fn ", "(")]),
        "mjs" => Some(&[
            ("name: \"", "\""),
            ("test(\"", "\""),
            ("test(`${RUNTIME}: ", "`"),
            ("\n  async ", "("),
        ]),
        _ => None,
    }
}

#[test]
fn every_row_has_tests_and_they_are_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut names = BTreeSet::new();
    collect(&root.join("crates"), &mut names);
    collect(&root.join("tests"), &mut names);
    let mut missing = Vec::new();
    let mut rows = 0;
    for (file, table) in TABLES {
        for cells in table.lines().filter_map(cells) {
            rows += 1;
            assert_eq!(cells.len(), 5, "{file}: {cells:?}");
            let tests: Vec<_> = code(cells[4]).collect();
            assert!(!tests.is_empty(), "{file}: no test holds {:?}", cells[0]);
            missing.extend(tests.into_iter().filter(|&test| !names.contains(test)));
        }
    }
    assert!(missing.is_empty(), "no tests are named {missing:#?}");
    assert!(rows > 50, "{rows} rows were read");
}
