//! Steps are skipped while their inputs are what they were.

use std::ffi::OsStr;
use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use walkdir::{DirEntry, WalkDir};

/// Hashes the names and contents of files, folders (without `node_modules`) and texts.
#[derive(Default)]
pub(crate) struct Fingerprint {
    hasher: DefaultHasher,
}

impl Fingerprint {
    pub(crate) fn text(mut self, text: &str) -> Self {
        text.hash(&mut self.hasher);
        self
    }

    /// Adds a file, or every file below a folder, in the order of their names.
    pub(crate) fn tree(mut self, root: &Path) -> anyhow::Result<Self> {
        let inside = |entry: &DirEntry| entry.file_name() != OsStr::new("node_modules");
        for entry in WalkDir::new(root).sort_by_file_name().into_iter().filter_entry(inside) {
            let entry = entry?;
            if entry.file_type().is_file() {
                entry.path().hash(&mut self.hasher);
                let bytes = fs::read(entry.path());
                bytes.with_context(|| entry.path().display().to_string())?.hash(&mut self.hasher);
            }
        }
        Ok(self)
    }

    /// Names the stamp in `file`, which records this fingerprint once a step has passed.
    pub(crate) fn stamp(self, file: PathBuf) -> Stamp {
        Stamp { value: format!("{:016x}\n", self.hasher.finish()), file }
    }
}

/// What a file must hold for a step to be skipped.
pub(crate) struct Stamp {
    value: String,
    file: PathBuf,
}

impl Stamp {
    /// Tells whether the step passed with these very inputs, and its outputs are there.
    pub(crate) fn is_current(&self, outputs: &[PathBuf]) -> bool {
        let recorded = fs::read_to_string(&self.file);
        recorded.is_ok_and(|text| text == self.value) && outputs.iter().all(|path| path.exists())
    }

    /// Forgets the record. A step that is cut off half-way must run again.
    pub(crate) fn clear(&self) {
        fs::remove_file(&self.file).ok();
    }

    /// Records that the step passed.
    pub(crate) fn write(&self) -> anyhow::Result<()> {
        if let Some(folder) = self.file.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(&self.file, &self.value).with_context(|| self.file.display().to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_of_content_or_a_lost_output_runs_the_step_again() {
        let folder = std::env::temp_dir().join(format!("xtask-fingerprint-{}", std::process::id()));
        fs::create_dir_all(folder.join("node_modules")).unwrap();
        let (input, output) = (folder.join("input"), folder.join("output.out"));
        let stamp = |text| {
            fs::write(&input, text).unwrap();
            Fingerprint::default().tree(&input).unwrap().stamp(folder.join("stamp"))
        };
        fs::write(&output, "").unwrap();
        assert!(!stamp("a").is_current(&[]));
        stamp("a").write().unwrap();
        assert!(stamp("a").is_current(std::slice::from_ref(&output)));
        assert!(!stamp("b").is_current(&[]));
        fs::remove_file(&output).unwrap();
        assert!(!stamp("a").is_current(&[output]));
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn installed_packages_are_no_input() {
        let folder = std::env::temp_dir().join(format!("xtask-tree-{}", std::process::id()));
        fs::create_dir_all(folder.join("node_modules")).unwrap();
        let value = || Fingerprint::default().tree(&folder).unwrap().stamp(PathBuf::new()).value;
        let before = value();
        fs::write(folder.join("node_modules/x"), "x").unwrap();
        assert_eq!(value(), before);
        fs::write(folder.join("x"), "x").unwrap();
        assert_ne!(value(), before);
        fs::remove_dir_all(folder).unwrap();
    }
}
