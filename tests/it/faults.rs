//! What the world does to a run: Ctrl-C, a kill, a second run, a folder that can't be written, a
//! full disk. Nothing that was finished is lost, and the report is the same in the end.

use std::process::Command;

use crate::place::{Place, Running};

/// Trains for some seconds, so that there is time to interfere.
const LONG: &str = r#"
name = "long"
seed = 3
[data.builtin]
dataset = "digits"
[model.undercomplete]
hidden_dims = [256]
latent_dim = 16
[train]
epochs = 150
batch_size = 32
optimizer = { adam = { learning_rate = 1e-3 } }
[downstream]
compare = ["raw", "autoencoder"]
models = [{ knn = {} }]
"#;

const RUN: [&str; 3] = ["pipeline", "run", "pipeline.toml"];

/// Starts the pipeline and waits until this run has trained some epochs more.
fn start_training(place: &Place) -> Running {
    let before = place.epochs_trained();
    let mut running = place.start(&RUN);
    running.wait_until("some epochs are trained", || place.epochs_trained() >= before + 10);
    running
}

fn report_of_an_undisturbed_run() -> String {
    Place::with_pipeline(LONG).run_pipeline(&[]).read("report.json")
}

#[test]
#[cfg(unix)]
fn ctrl_c_and_kill_lose_nothing() {
    let place = Place::with_pipeline(LONG);
    let running = start_training(&place);
    running.signal("INT");
    let said = running.finish();
    assert_eq!(said.code, Some(130), "{said:#?}");
    assert!(said.stderr.contains("the same command goes on from here"), "{said:#?}");
    assert_eq!(said.stdout, "");
    let trained = place.epochs_trained();
    assert!((10..150).contains(&trained), "{trained}");

    // Killed on the spot: what Ctrl-C saved is still good.
    let running = start_training(&place);
    running.signal("KILL");
    assert_eq!(running.finish().code, None);

    let said = place.run(&RUN);
    assert_eq!(said.code, Some(0), "{said:#?}");
    assert!(said.stderr.contains("resumed in epoch"), "{said:#?}");
    let report = place.run_dir(&said).read("report.json");
    assert!(report == report_of_an_undisturbed_run(), "the interruptions show in the report");
}

#[test]
#[cfg(unix)]
fn a_second_ctrl_c_stops_at_once() {
    let place = Place::with_pipeline(LONG);
    let running = start_training(&place);
    running.signal("INT");
    running.signal("INT");
    assert_eq!(running.finish().code, Some(130));
    assert_eq!(place.run(&RUN).code, Some(0));
}

#[test]
#[cfg(unix)]
fn termination_saves_like_ctrl_c() {
    let place = Place::with_pipeline(LONG);
    let running = start_training(&place);
    running.signal("TERM");
    let said = running.finish();
    assert_eq!(said.code, Some(130), "{said:#?}");
    let said = place.run(&RUN);
    assert!(said.stderr.contains("resumed in epoch"), "{said:#?}");
}

#[test]
fn two_runs_at_once_train_once() {
    let place = Place::with_pipeline(LONG);
    let first = start_training(&place);
    let second = place.run(&RUN);
    let first = first.finish();
    assert_eq!((first.code, second.code), (Some(0), Some(0)), "{first:#?}\n{second:#?}");
    assert!(second.stderr.contains("waiting for it"), "{second:#?}");
    assert!(second.stderr.contains("everything was in the cache"), "{second:#?}");
    assert_eq!(place.run_dir(&first).path, place.run_dir(&second).path);
    assert_eq!(place.epochs_trained(), 150);
}

#[test]
fn a_folder_that_cannot_be_made_is_named() {
    // A file stands where a folder is wanted: permissions would not stop the superuser.
    let place = Place::with_pipeline(LONG);
    place.write("in_the_way", "");
    let said = place.run(&[&RUN[..], &["--runs-dir", "in_the_way/runs"]].concat());
    assert_eq!(said.code, Some(1), "{said:#?}");
    assert!(said.stderr.contains("error: cannot create `in_the_way/runs`"), "{said:#?}");
    assert!(said.stderr.contains("hint: "), "{said:#?}");
}

#[test]
#[cfg(target_os = "linux")]
fn a_read_only_or_full_disk_is_named() {
    let place = Place::with_pipeline(LONG);
    let Some(disk) = Disk::mount(&place, "size=64k") else { return };
    let run = [&RUN[..], &["--runs-dir", "disk/runs", "--set", "train.epochs=2"]].concat();
    let said = place.run(&run);
    assert_eq!(said.code, Some(1), "{said:#?}");
    assert!(said.stderr.contains("No space left on device"), "{said:#?}");
    assert!(said.stderr.contains("hint: the disk is full"), "{said:#?}");

    disk.remount("size=64m");
    let said = place.run(&run);
    assert_eq!(said.code, Some(0), "the same command goes on once there is space: {said:#?}");

    disk.remount("ro");
    let said = place.run(&[&run[..], &["--set", "seed=4"]].concat());
    assert_eq!(said.code, Some(1), "{said:#?}");
    assert!(said.stderr.contains("Read-only file system"), "{said:#?}");
    assert!(said.stderr.contains("hint: "), "{said:#?}");
    let said = place.run(&["report", "show", "disk/runs/latest", "--csv"]);
    assert_eq!(said.code, Some(0), "reading needs no writing: {said:#?}");
}

/// A small file system in memory, at `disk` of a place.
struct Disk {
    path: std::path::PathBuf,
}

impl Disk {
    /// `None`, said on the way, where this system lets nobody mount.
    fn mount(place: &Place, options: &str) -> Option<Disk> {
        let path = place.path("disk");
        std::fs::create_dir(&path).unwrap();
        let mount =
            Command::new("mount").args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(&path).output();
        if mount.is_ok_and(|output| output.status.success()) {
            Some(Disk { path })
        } else {
            println!("not tested: nothing can be mounted here");
            None
        }
    }

    fn remount(&self, options: &str) {
        let status = Command::new("mount")
            .args(["-o", &format!("remount,{options}")])
            .arg(&self.path)
            .status();
        assert!(status.unwrap().success());
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        drop(Command::new("umount").arg("--lazy").arg(&self.path).status());
    }
}
