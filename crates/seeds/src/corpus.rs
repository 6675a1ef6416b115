//! What fuzzing begins with: files that a test makes, in `fuzz/seeds`.

use std::collections::BTreeMap;
use std::path::Path;
use std::{env, fs};

/// The seeds of a fuzz target are these, by name, and the repository has them.
///
/// With `METALLB_WRITE_SEEDS` they are written there.
///
/// # Panics
/// When files are missing, other than these, or too many.
pub fn assert_is_kept(target: &str, seeds: &BTreeMap<String, Vec<u8>>) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let folder = root.join("fuzz/seeds").join(target);
    if env::var_os("METALLB_WRITE_SEEDS").is_some() {
        // Nothing is there before the first time.
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).expect("the folder can be made");
        for (name, bytes) in seeds {
            fs::write(folder.join(name), bytes).expect("a seed can be written");
        }
    }
    let mut kept = BTreeMap::new();
    for entry in fs::read_dir(&folder).into_iter().flatten() {
        let path = entry.expect("the folder can be read").path();
        let name = path.file_name().expect("a file").to_string_lossy();
        kept.insert(
            name.into_owned(),
            fs::read(&path).expect("a seed can be read"),
        );
    }
    assert!(
        kept == *seeds,
        "{} has not the seeds that the test makes; METALLB_WRITE_SEEDS=1 writes them",
        folder.display()
    );
}
