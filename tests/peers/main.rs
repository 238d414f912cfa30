//! Our side of `cargo xtask bench peers`: `peers WORK FOLDER HOURGLASS` prepares a work, writes
//! what the peer reads into the folder, says `ready`, and does a round for each line that it reads.
//!
//! What is measured stands in one module a kind of work; which works there are, and what they are
//! measured against, in `xtask/src/bench/works.rs`.

mod downstream;
mod encode;
mod pipelines;
mod process;
mod rows;
mod steps;
mod tables;

use std::io::{BufRead, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

// As in the binary.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What a round came to.
struct Measured {
    value: f64,
    /// Something that both sides must agree on.
    loss: Option<f64>,
}

/// A prepared work.
type Round = Box<dyn FnMut() -> Result<Measured> + Send>;

/// What a work is prepared with.
struct Place {
    /// Where the peer finds its input.
    folder: PathBuf,
    /// The binary.
    hourglass: PathBuf,
}

impl Place {
    fn write<T: Copy, const N: usize>(
        &self,
        name: &str,
        values: impl IntoIterator<Item = T>,
        bytes: impl Fn(T) -> [u8; N],
    ) -> Result<()> {
        let content: Vec<u8> = values.into_iter().flat_map(bytes).collect();
        let path = self.folder.join(name);
        std::fs::write(&path, content).with_context(|| format!("cannot write `{}`", path.display()))
    }
}

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [work, folder, hourglass] = args.as_slice() else {
        bail!("the arguments are WORK FOLDER HOURGLASS");
    };
    let place = Place { folder: folder.into(), hourglass: Path::new(hourglass).to_owned() };
    match prepare(work, place) {
        Ok(round) => serve(round),
        Err(error) => {
            say(&format!("skip {error:#}").replace('\n', " "));
            Ok(())
        }
    }
}

fn prepare(work: &str, place: Place) -> Result<Round> {
    match work {
        "mnist" => return pipelines::mnist(place),
        "growth" => return pipelines::growth(place),
        "stream" => return pipelines::streamed(place),
        _ => {}
    }
    let place = &place;
    match work {
        "encode" | "encode-onnx" => encode::round(place),
        "adult" => tables::adult(),
        "logistic" => downstream::logistic(place),
        "matmul" => steps::matmul(place),
        "share" => steps::share(place),
        "trials" => steps::trials(place),
        "check" => process::check(place),
        _ => steps::round(work.trim_start_matches("step-"), place),
    }
}

fn serve(mut round: Round) -> Result<()> {
    say(&format!("ready hourglass={}", env!("CARGO_PKG_VERSION")));
    for line in std::io::stdin().lock().lines() {
        line?;
        // As the binary does, on the threads of the pool.
        let Measured { value, loss } = rayon::scope(|_| round())?;
        let loss = loss.map_or(String::new(), |loss| format!(" loss={loss}"));
        say(&format!("value={value}{loss}"));
    }
    Ok(())
}

fn say(line: &str) {
    let mut out = std::io::stdout();
    // A caller that is gone wants no answer.
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}
