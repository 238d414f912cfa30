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
mod column;
mod config;
mod content;
mod csv;
mod dates;
mod describe;
mod download;
mod error;
mod expression;
mod frame;
mod idx;
mod image_folder;
#[cfg(test)]
mod leaks;
mod npy;
mod numpy;
mod parquet;
mod prepare;
mod preprocess;
mod read;
mod resolve;
mod split;
mod stream;
mod synthetic;
mod table;
mod typing;
mod write;

pub use catalog::{Checksum, DataFile, Entry, Format, catalog, find};
pub use column::{Column, Levels, MISSING_LEVEL};
pub use config::{
    ArrayFile, Blobs, Builtin, BuiltinSource, CatalogSource, CsvSource, DataConfig, IdxSource,
    ImageFolderSource, LatentFactors, Locations, NumpySource, OfflineConfig, SyntheticSource,
    TableFile,
};
pub use describe::{ClassCount, ColumnDescription, Description, TableDescription, describe};
pub use download::download;
pub use error::Error;
pub use prepare::{Prepared, prepare};
pub use preprocess::{
    Categorical, ColumnConfig, ColumnSummary, DatePart, Fill, Missing, Numeric, PreprocessConfig,
    Preprocessor, Quantile, QuantileOutput,
};
pub use resolve::{Resolved, fingerprint, load, locate, resolve};
pub use split::{Published, SplitBy, SplitConfig};
pub use stream::{Batch, Batches, FittedStream, Stream};
pub use table::{Features, Loaded, Origin, Provenance, SourceFile, Table};
pub use typing::ColumnType;
pub use write::{Cells, RowWriter, write_parquet};
