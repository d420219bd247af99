//! The guard of what stays: it becomes a program only while its own parent lives.

use std::process::{Command, Output};

fn guard(parent: u32) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    command.arg("guard").arg(parent.to_string()).args(["--", "echo", "--ran", "--", "it"]);
    command.output().expect("the guard starts")
}

#[test]
fn it_becomes_the_program_of_a_living_parent() {
    let output = guard(std::process::id());
    assert!(output.status.success(), "{output:?}");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "--ran -- it\n");
}

#[test]
fn it_starts_nothing_once_its_parent_has_ended() {
    // Its parent is this process: another one stands for a parent that is gone.
    let output = guard(u32::MAX);
    assert!(!output.status.success(), "{output:?}");
    assert!(output.stdout.is_empty(), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("has ended"), "{output:?}");
}
