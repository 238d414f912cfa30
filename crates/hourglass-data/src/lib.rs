//! Data for Hourglass: where it comes from, whether it is what it claims to be, and how it becomes
//! a finite, scaled, partitioned matrix.
//!
//! ```text
//! DataConfig --resolve--> Resolved --load--> Loaded --prepare--> (Samples, Preprocessor)
//! ```
//!
//! The only crate that knows polars and the only one that opens a network connection. It knows
//! nothing of tensors, models, or the terminal.

mod builtin;
mod catalog;
mod config;
mod content;
mod csv;
mod describe;
mod download;
mod error;
mod frame;
mod idx;
mod parquet;
mod prepare;
mod preprocess;
mod read;
mod resolve;
mod split;
mod synthetic;
mod table;

pub use catalog::{Checksum, DataFile, Entry, Format, catalog, find};
pub use config::{
    Blobs, Builtin, BuiltinSource, CatalogSource, CsvSource, DataConfig, IdxSource, LatentFactors,
    Locations, OfflineConfig, ParquetSource, SyntheticSource,
};
pub use describe::{ClassCount, Description, TableDescription, describe};
pub use download::download;
pub use error::Error;
pub use prepare::{Prepared, prepare};
pub use preprocess::{Fill, Missing, Numeric, PreprocessConfig, Preprocessor};
pub use resolve::{Resolved, fingerprint, load, locate, resolve};
pub use split::SplitConfig;
pub use table::{Features, Loaded, Origin, Provenance, SourceFile, Table};
