//! Artifacts that are overwritten in place while they are used.

use super::{inputs, run, written};
use netc::artifact::Artifact;
use netc::runtime::Session;
use std::fs::{self, File};
use std::io::{Seek, SeekFrom, Write};
use std::sync::Arc;

/// Weights of 4 and of 36 MiB.
const NETS: [(&str, bool); 2] = [("Input(1024) >> Dense(1024)", true), ("Input(1024) >> Dense(9216)", false)];

#[test]
fn a_small_artifact_is_a_copy_and_a_large_one_is_watched() {
    for (net, copied) in NETS {
        let file = written(net);
        let artifact = Arc::new(Artifact::open(&file.path).expect("an artifact"));
        let given = inputs(&artifact, 1);
        let given: Vec<&[f32]> = given.iter().map(Vec::as_slice).collect();
        let mut session = Session::new(artifact, 1);
        let before = run(&mut session, 1, &given).expect("a prediction");
        let mut open = File::options().write(true).open(&file.path).expect("the artifact");
        open.seek(SeekFrom::Start(file.constants as u64))
            .and_then(|_| open.write_all(&[0; 4096]))
            .expect("other bytes");
        // The time of the change must differ whatever the clock of the file system is.
        open.set_modified(std::time::SystemTime::now() + std::time::Duration::from_secs(9)).expect("another time");
        match run(&mut session, 1, &given) {
            Ok(after) => assert!(copied && after == before, "{net}"),
            Err(error) => assert!(!copied && error.contains("was changed while it was used"), "{net}: {error}"),
        }
    }
}

#[test]
fn an_artifact_that_is_replaced_stays_what_it_was() {
    for (net, _) in NETS {
        let file = written(net);
        let artifact = Arc::new(Artifact::open(&file.path).expect("an artifact"));
        let given = inputs(&artifact, 1);
        let given: Vec<&[f32]> = given.iter().map(Vec::as_slice).collect();
        let mut session = Session::new(artifact, 1);
        let before = run(&mut session, 1, &given).expect("a prediction");
        let other = file.folder.path().join("other");
        fs::write(&other, "something else").and_then(|()| fs::rename(&other, &file.path)).expect("another file");
        assert_eq!(run(&mut session, 1, &given).expect("a prediction"), before, "{net}");
    }
}
