//! Where a store is: in memory, in a file, or on a server. Passwords are read and never shown.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use crate::Error;

/// The address of a store.
///
/// ```
/// use hourglass_search::Address;
/// let address: Address = "postgres://ada:secret@db.example/studies".parse()?;
/// assert_eq!(address.to_string(), "postgres://ada:***@db.example/studies");
/// assert_eq!("runs/studies.db".parse::<Address>()?.to_string(), "runs/studies.db");
/// # Ok::<(), hourglass_search::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub enum Address {
    /// In this process, gone with it: `memory`.
    Memory,
    /// A SQLite file: a path, or `sqlite:///path` as Optuna writes it.
    Sqlite(PathBuf),
    /// A PostgreSQL server: `postgres://...` or `postgresql://...`.
    Postgres(String),
}

impl FromStr for Address {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let wrong = || Error::Address { given: without_password(text) };
        if text == "memory" {
            return Ok(Address::Memory);
        }
        let Some((scheme, rest)) = text.split_once("://") else {
            let path = PathBuf::from(text);
            let names_a_file = path.file_name().is_some() && !text.ends_with('/');
            return if names_a_file { Ok(Address::Sqlite(path)) } else { Err(wrong()) };
        };
        // SQLAlchemy names the driver behind a plus sign.
        match scheme.split('+').next() {
            // SQLAlchemy's three slashes begin a relative path, four an absolute one.
            Some("sqlite") => match rest.strip_prefix('/') {
                Some(path) if !path.is_empty() => Ok(Address::Sqlite(path.into())),
                _ => Err(wrong()),
            },
            Some("postgres" | "postgresql") => Ok(Address::Postgres(format!("postgres://{rest}"))),
            _ => Err(wrong()),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Memory => write!(f, "memory"),
            Address::Sqlite(path) => write!(f, "{}", path.display()),
            Address::Postgres(url) => write!(f, "{}", without_password(url)),
        }
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({self})")
    }
}

/// The same text with `***` where a password stands: between the colon of the user and the last
/// `@` of the host part, and behind `password=`.
fn without_password(text: &str) -> String {
    let mut shown = text.to_owned();
    if let Some(start) = shown.find("://").map(|at| at + 3) {
        // A password may hold a slash that nobody escaped, so the last `@` counts.
        if let Some(at) = shown[start..].rfind('@').map(|at| at + start)
            && let Some(colon) = shown[start..at].find(':').map(|colon| colon + start)
        {
            shown.replace_range(colon + 1..at, "***");
        }
    }
    if let Some(start) = shown.find("password=").map(|at| at + "password=".len()) {
        let end = shown[start..].find(['&', ' ']).map_or(shown.len(), |end| end + start);
        shown.replace_range(start..end, "***");
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read() {
        let check = |text: &str, expect: Address| {
            assert_eq!(text.parse::<Address>().unwrap(), expect, "{text}");
        };
        check("memory", Address::Memory);
        check("runs/studies.db", Address::Sqlite("runs/studies.db".into()));
        check("sqlite:///runs/studies.db", Address::Sqlite("runs/studies.db".into()));
        check("sqlite:////tmp/studies.db", Address::Sqlite("/tmp/studies.db".into()));
        check("postgresql+psycopg2://h/d", Address::Postgres("postgres://h/d".into()));
        for wrong in ["", "runs/", "mysql://host/studies", "sqlite://"] {
            assert!(wrong.parse::<Address>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn passwords_are_never_shown() {
        for secret in [
            "postgres://ada:pa55@host/d",
            "postgres://ada:pa55@host:5432/d?sslmode=disable",
            "postgres://ada:x/pa55@y@host/d",
            "postgres://host/d?user=ada&password=pa55&x=y",
            "mysql://ada:pa55@host/d",
        ] {
            let shown = match secret.parse::<Address>() {
                Ok(address) => format!("{address} {address:?}"),
                Err(error) => format!("{error} {error:?}"),
            };
            assert!(!shown.contains("pa55") && shown.contains("***"), "{shown}");
        }
    }
}
