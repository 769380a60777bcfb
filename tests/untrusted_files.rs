//! Untrusted files: pipes and devices in place of files, names with terminal escapes, decompression bombs.

#![cfg(unix)]

mod program;

use program::{done, folder, netc, text};
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output};

const NET: &str = "net kind = Input(8x8x3, image=Unit) >> Flatten >> Softmax(2)\n";

/// The output of a command that failed with a code.
#[track_caller]
fn refused(output: &Output) -> String {
    let messages = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{messages}");
    assert!(messages.contains("error[E"), "{messages}");
    messages
}

/// Opening it would block forever, as nothing writes to it.
fn pipe(path: &Path) {
    assert!(Command::new("mkfifo").arg(path).status().expect("mkfifo").success());
}

#[test]
fn pipes_and_devices_are_no_files() {
    for what in ["pipe", "/dev/zero"] {
        let folder = folder(&[
            ("labels.net", &format!("{NET}labels kind = \"{what}\"\n")),
            ("use.net", &format!("use \"{what}\"\n{NET}")),
            ("weights.net", &format!("{NET}weights kind = \"{what}\"\n")),
            ("list.net", &format!("{NET}train kind {{ data = csv(\"{what}\"), epochs = 1 }}\n")),
            ("array.net", &format!("{NET}train kind {{ data = arrays(x=\"{what}\", y=\"{what}\"), epochs = 1 }}\n")),
        ]);
        pipe(&folder.path().join("pipe"));
        for arguments in [
            &["build", "labels.net", "--allow-untrained"][..],
            &["check", "use.net"],
            &["build", "weights.net"],
            &["train", "list.net"],
            &["train", "array.net"],
            &["fmt", what],
        ] {
            refused(&netc(folder.path(), arguments));
        }
        // A spec may come from a pipe, but not from an endless one.
        if what == "/dev/zero" {
            assert!(refused(&netc(folder.path(), &["check", what])).contains("it is larger than 16 MiB"));
        }
        let messages = refused(&netc(folder.path(), &["build", "labels.net", "--allow-untrained"]));
        assert!(messages.contains("it is a pipe or a device, not a regular file"), "{messages}");
    }
}

#[test]
fn labels_forge_no_row_and_say_nothing_to_a_terminal() {
    let folder = folder(&[(
        "kind.net",
        &format!("{NET}labels kind = [\"\u{1b}]0;title\u{7}owl\", \"wren\\nfalcon  100.00 %\"]\n"),
    )]);
    image::RgbImage::from_pixel(8, 8, image::Rgb([9, 99, 199])).save(folder.path().join("a.png")).expect("a photo");
    done(&netc(folder.path(), &["build", "kind.net", "--allow-untrained"]));
    let messages = done(&netc(folder.path(), &["predict", "kind.netb", "a.png"]));
    assert_eq!(messages.lines().count(), 3, "{messages}");
    assert!(
        messages.contains("\\u{1b}]0;title\\u{7}owl") && messages.contains("wren\\nfalcon  100.00 %"),
        "{messages}"
    );
    // As data they are printed unchanged.
    let json = done(&netc(folder.path(), &["predict", "kind.netb", "a.png", "--format", "json"]));
    let json: serde_json::Value = serde_json::from_str(&json).expect("one document");
    let labels: Vec<&str> = (0..2).filter_map(|place| json[0]["top"][place]["label"].as_str()).collect();
    assert!(labels.contains(&"wren\nfalcon  100.00 %"), "{labels:?}");
}

/// A gigabyte of zeros in a megabyte.
#[test]
fn an_archive_takes_no_memory_out_of_proportion() {
    let folder = folder(&[]);
    let file = fs::File::create(folder.path().join("x.npz")).expect("a file");
    let mut archive = zip::ZipWriter::new(file);
    let options = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Deflated);
    archive.start_file("x.npy", options).expect("an entry");
    let header = format!("{:<117}\n", "{'descr': '|u1', 'fortran_order': False, 'shape': (268435456, 1), }");
    archive.write_all(b"\x93NUMPY\x01\0\x76\0").and_then(|()| archive.write_all(header.as_bytes())).expect("a header");
    let zeros = vec![0; 1 << 20];
    for _ in 0..256 {
        archive.write_all(&zeros).expect("zeros");
    }
    archive.finish().expect("an archive");
    fs::write(folder.path().join("one.net"), "net one = Input(1) >> Dense(1)\n").expect("a spec");
    done(&netc(folder.path(), &["build", "one.net", "--allow-untrained"]));
    let messages = refused(&netc(folder.path(), &["predict", "one.netb", "x.npz", "-o", "y.npy"]));
    assert!(messages.contains("above 256 MiB, the limit is 100 times the stored size"), "{messages}");
}

#[test]
fn damaged_weights_are_inspected_as_they_are_built() {
    let folder = folder(&[("kind.net", "net kind = Input(4) >> Dense(2) as d\nweights kind = \"w.safetensors\"\n")]);
    let header = br#"{"d.weight":{"dtype":"F32","shape":[2,4],"data_offsets":[0,99]}}"#;
    let bytes = [&(header.len() as u64).to_le_bytes()[..], header, &[0; 32]].concat();
    fs::write(folder.path().join("w.safetensors"), bytes).expect("a file");
    let wanted = "its shape [2, 4] takes 32 bytes, its offsets are 0..99";
    for arguments in [&["build", "kind.net"][..], &["inspect", "w.safetensors"]] {
        let messages = refused(&netc(folder.path(), arguments));
        assert!(messages.contains(wanted), "{arguments:?}: {messages}");
    }
}
