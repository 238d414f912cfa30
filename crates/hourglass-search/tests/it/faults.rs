//! Stores that can't be used: each message says what is wrong and what to do.

use std::path::Path;

use hourglass_search::{Address, Error, PostgresStore, SqliteStore, Study, open};

use crate::fixture::{Server, config};

fn refused(path: &Path) -> String {
    match SqliteStore::open(path) {
        Ok(_) => panic!("{} was opened", path.display()),
        Err(error) => error.to_string(),
    }
}

/// Runs statements on a file from outside.
fn outside(path: &Path, sql: &str) {
    rusqlite::Connection::open(path).unwrap().execute_batch(sql).unwrap();
}

#[test]
fn a_file_that_is_no_store_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let text = folder.path().join("notes.txt");
    std::fs::write(&text, "not a database, but long enough to be mistaken for one".repeat(40))
        .unwrap();
    let message = refused(&text);
    assert!(message.contains("can't reach") && message.contains("hint:"), "{message}");
    let message = refused(&text.join("studies.db"));
    assert!(message.contains("can't reach") && message.contains("hint:"), "{message}");
}

#[test]
fn a_store_of_another_version_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("studies.db");
    SqliteStore::open(&path).unwrap();
    outside(&path, "UPDATE alembic_version SET version_num = 'v3.0.0.d'");
    let message = refused(&path);
    assert!(message.contains("has tables of version v3.0.0.d"), "{message}");
    assert!(message.contains("optuna storage upgrade"), "{message}");
    outside(&path, "UPDATE alembic_version SET version_num = 'v9.0.0.a'");
    assert!(refused(&path).contains("a newer Optuna made it"));
    outside(&path, "DELETE FROM alembic_version");
    assert!(refused(&path).contains("optuna storage upgrade"));
    outside(&path, "INSERT INTO alembic_version VALUES ('v3.2.0.a')");
    outside(&path, "UPDATE hourglass_version SET version = 2");
    let message = refused(&path);
    assert!(message.contains("version 2, but this program reads 1"), "{message}");
}

#[test]
fn what_cannot_be_read_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("studies.db");
    let study = Study::create(SqliteStore::open(&path).unwrap(), config("s")).unwrap();
    study.optimize(1, |_| Ok(1.0.into())).unwrap();
    outside(&path, "UPDATE trial_params SET distribution_json = '{\"name\": \"Beta\"}'");
    let message = study.trials().unwrap_err().to_string();
    assert!(message.contains("`Beta` is not a known distribution"), "{message}");
    outside(&path, "UPDATE study_system_attributes SET value_json = '{}'");
    let Err(error) = Study::load(SqliteStore::open(&path).unwrap(), "s") else { panic!() };
    assert!(error.to_string().contains("a configuration of study `s`"), "{error}");
    outside(&path, "DELETE FROM study_system_attributes");
    let Err(error) = Study::load(SqliteStore::open(&path).unwrap(), "s") else { panic!() };
    assert!(matches!(error, Error::ForeignStudy { .. }), "{error}");
}

#[test]
fn a_server_that_is_not_there_is_named_without_its_password() {
    let address: Address = "postgres://ada:pa55@127.0.0.1:1/studies".parse().unwrap();
    let Err(error) = open(&address) else { panic!() };
    let message = format!("{error} {error:?}");
    assert!(message.contains("can't reach postgres://ada:***@127.0.0.1:1/studies"), "{message}");
    assert!(message.contains("refused") && message.contains("hint:"), "{message}");
    assert!(!message.contains("pa55"), "{message}");
}

#[test]
fn a_database_that_is_not_there_is_named() {
    let Some(server) = Server::shared() else { return };
    let url = server.database().replace("/d", "/nowhere");
    let Err(error) = PostgresStore::open(&url) else { panic!() };
    let message = error.to_string();
    assert!(message.contains("does not exist") && message.contains("hint:"), "{message}");
}
